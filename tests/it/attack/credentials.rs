//! Real credentials are never sent to an endpoint on this machine.

use rand::rngs::StdRng;

use super::Case;

pub fn cases(_random: &mut StdRng) -> Vec<Case> {
    vec![]
}
