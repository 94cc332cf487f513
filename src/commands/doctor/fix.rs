//! `kgen doctor --fix`: installs what can be installed, after showing it and asking.

use std::env;

use anyhow::Context as _;

use crate::{
    cli::{Doctor, Outcome},
    console::{confirmed, ensure_confirmable},
    doctor::{Answer, Fix, State, script},
    lab::install,
    process::{Tool, shell_word},
};

/// Applies the fixes for `checks`, and ends as `kgen doctor` does afterwards.
pub fn run(args: &Doctor, checks: &[Answer]) -> anyhow::Result<Outcome> {
    let wrong = || checks.iter().filter(|check| check.state != State::Ok);
    let fixes: Vec<&Fix> = wrong().filter_map(|check| check.fix.as_ref()).collect();
    let left: Vec<&str> = wrong().filter(|check| check.fix.is_none()).map(|check| check.id).collect();
    if !left.is_empty() {
        eprintln!("left to you: {}", left.join(", "));
    }
    let lacking =
        if checks.iter().any(|check| check.state == State::Missing) { Outcome::Lacking } else { Outcome::Done };
    if fixes.is_empty() {
        eprintln!("there is nothing that kgen can install");
        return Ok(lacking);
    }
    ensure_confirmable(args.yes, "doctor --fix")?;
    eprintln!("\nkgen would:");
    fixes.iter().for_each(|fix| eprintln!("  {}", described(fix)));
    if !args.yes && !confirmed("Do this?")? {
        eprintln!("nothing was installed");
        return Ok(lacking);
    }
    for fix in &fixes {
        match fix {
            Fix::Jars => drop(install::jars(&|line| eprintln!("{line}"))?),
            Fix::Moto => drop(install::moto_server(&|line| eprintln!("{line}"))?),
            Fix::Command(_) => {}
        }
    }
    let commands: Vec<&str> = fixes.iter().filter_map(|fix| command(fix)).collect();
    look_again(&commands)
}

/// Puts a shell in kgen's place that runs `commands`, with the terminal for passwords, then kgen again for what is left.
fn look_again(commands: &[&str]) -> anyhow::Result<Outcome> {
    let kgen = env::current_exe().context("finding kgen itself")?;
    // As it was called, but for the installation.
    let words = env::args_os().skip(1).filter(|word| word != "--fix" && word != "--yes");
    let words = std::iter::once(kgen.into_os_string()).chain(words);
    let words: Vec<String> = words.map(|word| shell_word(&word.to_string_lossy())).collect();
    let again = format!("exec {}", words.join(" "));
    let script = format!("{}\n{again}", script(commands, rustix::process::geteuid().is_root()));
    let here = env::current_dir().context("finding the current folder")?;
    Err(Tool::new("sh", here).exec(["-c", &script]).into())
}

fn described(fix: &Fix) -> String {
    match fix {
        Fix::Command(command) => format!("run: {command}"),
        Fix::Jars => format!("fetch Kafka {} from {}", install::KAFKA_VERSION, install::repository()),
        Fix::Moto => format!("install moto {} from PyPI into the cache", install::MOTO_VERSION),
    }
}

fn command(fix: &Fix) -> Option<&str> {
    match fix {
        Fix::Command(command) => Some(command),
        Fix::Jars | Fix::Moto => None,
    }
}
