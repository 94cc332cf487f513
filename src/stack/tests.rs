use super::*;

fn stack(toml: &str) -> Stack {
    Stack::parse(toml).unwrap()
}
