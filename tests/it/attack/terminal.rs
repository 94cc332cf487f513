//! Control characters of strangers never reach the terminal.

use rand::rngs::StdRng;

use super::Case;

pub fn cases(_random: &mut StdRng) -> Vec<Case> {
    vec![]
}
