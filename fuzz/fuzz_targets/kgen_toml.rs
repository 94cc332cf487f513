#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| kgen::fuzzing::kgen_toml(input));
