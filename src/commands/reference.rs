//! `kgen reference`: a generated page of docs/.

use crate::{cli::Outcome, reference};

pub fn run(wants_scenarios: bool, wants_from_outside: bool) -> anyhow::Result<Outcome> {
    let page = match (wants_scenarios, wants_from_outside) {
        (true, _) => reference::scenarios(),
        (_, true) => reference::from_outside(),
        _ => reference::commands(),
    };
    print!("{page}");
    Ok(Outcome::Done)
}
