//! Entry points for the timings in `benches/rendering.rs` (`cargo bench --features bench`); no interface for anyone
//! else.
//!
//! `kgen bench` is something else: it scores the diagnosis, with `benchmark` and `commands/bench`.

use crate::{
    hcl::schema::Schema,
    stack::{Stack, check},
};

/// Renders the stack of this kgen.toml; returns the size of its files, bytes.
///
/// # Panics
/// It is no kgen.toml.
pub fn render(kgen_toml: &str) -> usize {
    let stack = Stack::parse(kgen_toml).expect("a benchmark gives a kgen.toml");
    stack.render().files().map(|(_, text)| text.len()).sum()
}

/// Reads the provider's schema `schema_json`, and checks the default stack against it and the rules beyond it; returns
/// how many faults were found.
///
/// # Panics
/// It is no schema, or kgen renders what is no HCL.
pub fn check_schema(schema_json: &str) -> usize {
    let schema = Schema::parse(schema_json).expect("a benchmark gives a schema");
    check(&Stack::default().render(), &schema).expect("what is rendered is HCL").len()
}
