// librdkafka allocates and frees some hundred bytes for each record, often in two threads; glibc's allocator took nearly
// half of the CPU of sending small records. This one also serves the C code that is linked in; without huge pages (no_thp), for
// the same CPU, a run stays in a third of the memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kgen::run(std::env::args_os()).into()
}
