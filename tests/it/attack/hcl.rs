//! A value in kgen.toml is never evaluated as HCL.

use rand::rngs::StdRng;

use super::Case;

pub fn cases(_random: &mut StdRng) -> Vec<Case> {
    vec![]
}
