fn main() -> std::process::ExitCode {
    kgen::run(std::env::args_os()).into()
}
