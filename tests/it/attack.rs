//! The attack on kgen: hostile inputs and situations, in the nine groups of SECURITY.md.
//!
//! `cargo test` tries some of each group; `scripts/attack` tries all of them and prints the table of docs/reliability.md.
//! A seed chooses the values, so that a fault can be shown again: `KGEN_ATTACK_SEED`.

mod approval;
mod asking;
mod bounds;
mod credentials;
mod edge;
mod files;
mod folders;
mod full_device;
mod hcl;
mod redaction;
mod shell;
mod terminal;

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::{SeedableRng as _, rngs::StdRng};

/// Cases of a group that are tried when not all are asked for.
const SOME: usize = 10;

/// The seed unless `KGEN_ATTACK_SEED` names another.
const SEED: u64 = 20_261_130;

/// One hostile input or situation.
pub struct Case {
    /// Tells it from the other cases of its group, with the values in it.
    pub name: String,
    attack: Box<dyn Fn() -> Result<(), String>>,
}

impl Case {
    /// A case whose `attack` returns what was wrong with kgen's answer. A panic counts as a fault as well.
    pub fn new(name: impl Into<String>, attack: impl Fn() -> Result<(), String> + 'static) -> Case {
        Case { name: name.into(), attack: Box::new(attack) }
    }

    fn fault(&self) -> Option<String> {
        let ended = catch_unwind(AssertUnwindSafe(|| (self.attack)()));
        let fault = match ended {
            Ok(ended) => ended.err()?,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
            }
        };
        Some(format!("{}: {fault}", self.name))
    }
}

/// Tries the cases of a group and prints its row of the table: inputs, faults.
fn attack(group: &str, cases: fn(&mut StdRng) -> Vec<Case>) {
    let seed = std::env::var("KGEN_ATTACK_SEED").ok().map_or(SEED, |seed| seed.parse().expect("a number as seed"));
    let cases = cases(&mut StdRng::seed_from_u64(seed));
    let all = std::env::var_os("KGEN_ATTACK_ALL").is_some();
    // Spread over the group, so that each kind in it has its turn.
    let step = if all { 1 } else { cases.len().div_ceil(SOME).max(1) };
    let tried: Vec<&Case> = cases.iter().step_by(step).collect();
    let faults: Vec<String> = tried.iter().filter_map(|case| case.fault()).collect();
    println!("| {group} | {} | {} |", tried.len(), faults.len());
    assert!(!tried.is_empty(), "the group {group} has no case");
    assert!(faults.is_empty(), "{} of {} ({group}, seed {seed}):\n{}", faults.len(), tried.len(), faults.join("\n"));
}

#[test]
fn approval_binds_to_the_plan() {
    attack("approval", approval::cases);
}

#[test]
fn what_is_asked_is_visible() {
    attack("questions", asking::cases);
}

#[test]
fn nothing_identifying_passes_redaction() {
    attack("redaction", redaction::cases);
}

#[test]
fn no_stranger_controls_the_terminal() {
    attack("terminal", terminal::cases);
}

#[test]
fn folders_and_records_of_others_are_data() {
    attack("folders and records", folders::cases);
}

#[test]
fn no_value_is_evaluated_as_hcl() {
    attack("HCL", hcl::cases);
}

#[test]
fn ports_files_and_exits_hold() {
    attack("ports, files, exits", |random| {
        files::cases(random).into_iter().chain(full_device::cases(random)).collect()
    });
}

#[test]
fn real_credentials_stay_away_from_the_lab() {
    attack("credentials", credentials::cases);
}

#[test]
fn reading_is_bounded() {
    attack("bounds", bounds::cases);
}
