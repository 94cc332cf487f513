//! Terraform's language: building blocks as values, printing them the way `terraform fmt` wants, changing one value in a file.
//!
//! Values are those of hcl-rs; its printer is not used, for `terraform fmt -check` refuses what it prints.

mod block;
pub mod edit;
mod escape;
mod print;
#[cfg(any(test, feature = "bench"))]
pub mod schema;
mod text;

pub use block::{Address, Block, array, attr_of, bare, call, each_value, either, equal, nested, object};
pub use escape::escape;
pub use print::Document;
#[cfg(test)]
pub use print::print;
pub use text::{Text, heredoc};

pub use ::hcl::Expression;
