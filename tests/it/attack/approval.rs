//! Approval binds to the plan: what was shown is what is applied, whatever another shell does meanwhile.

use rand::rngs::StdRng;

use super::Case;

pub fn cases(_random: &mut StdRng) -> Vec<Case> {
    vec![]
}
