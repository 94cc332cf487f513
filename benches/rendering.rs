//! How long rendering and checking take. `cargo bench --features bench -- --verbose` prints median and deviation; nothing is asserted.

use std::{fs, hint::black_box, path::Path, process::Command};

use criterion::{Criterion, criterion_group, criterion_main};

fn rendering(c: &mut Criterion) {
    c.bench_function("render the default stack", |b| b.iter(|| kgen::bench::render(black_box(""))));
}

fn schema(c: &mut Criterion) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/aws.json");
    let schema = fs::read_to_string(&file).expect("the schema is committed");
    c.bench_function("read the schema, render the default stack and check it", |b| {
        b.iter(|| kgen::bench::check_schema(black_box(&schema)));
    });
}

/// The program as a whole: start, kgen.toml, rendering, comparing with what is there.
fn process(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let kgen = |args: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_kgen")).arg("-C").arg(dir.path()).args(args).output();
        assert!(ran.is_ok_and(|ran| ran.status.success()), "kgen {args:?}");
    };
    kgen(&["render"]);
    c.bench_function("kgen render, the whole process, nothing to write", |b| b.iter(|| kgen(&["render"])));
    c.bench_function("kgen render --check, the whole process", |b| b.iter(|| kgen(&["render", "--check"])));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(60);
    targets = rendering, schema, process
}
criterion_main!(benches);
