//! The demo that a recorded command line asks for.

use anyhow::{anyhow, ensure};

use super::{Cli, Command, Demo, TerraformArgs, lab::T3Mode};

/// Words of a recorded command line that are read, and characters of each.
const ARGS_MAX: usize = 64;
const ARG_MAX: usize = 4096;

/// The demo that the record `id` asks for with its `args`: how it is shown and what its brokers get. The program that is started, the port and the
/// folder are those of whoever resumes it.
///
/// # Errors
/// The recorded command line is not one of `kgen demo`.
pub fn demo(id: &str, args: &[String], terraform: &TerraformArgs, json: bool) -> anyhow::Result<(Demo, Vec<String>)> {
    let unreadable = || anyhow!("{id}: its command line is not a `kgen demo` command; run `kgen demo`");
    ensure!(args.len() <= ARGS_MAX && args.iter().all(|arg| arg.len() <= ARG_MAX), unreadable());
    let words = std::iter::once("kgen".to_owned()).chain(args.iter().cloned());
    let parsed = <Cli as clap::Parser>::try_parse_from(words).map_err(|_| unreadable())?;
    let Command::Demo(recorded) = parsed.command else { return Err(unreadable()) };
    let named = |option: &str| args.iter().any(|arg| arg.split('=').next() == Some(option));
    let mut dropped: Vec<String> = ["--terraform-bin", "--port", "--project", "-C", "--redact", "--color"]
        .into_iter()
        .filter(|option| named(option))
        .map(str::to_owned)
        .collect();
    dropped.sort();
    let demo = Demo {
        port: None,
        scale: recorded.scale,
        t3: recorded.t3,
        json: json || recorded.json,
        plain: recorded.plain,
        terraform: terraform.clone(),
    };
    Ok((demo, dropped))
}

/// The command that plays `demo`.
pub fn demo_command(demo: &Demo) -> String {
    let scale = demo.scale.map(|scale| format!("--scale {scale}"));
    let mut words = vec!["kgen demo"];
    words.extend(scale.as_deref());
    words.extend((demo.t3 == T3Mode::Credits).then_some("--t3 credits"));
    words.extend(demo.json.then_some("--json"));
    words.extend(demo.plain.then_some("--plain"));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo(args: &[&str], terraform: &TerraformArgs) -> anyhow::Result<(Demo, Vec<String>)> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        super::demo("demo-1", &args, terraform, false)
    }

    #[test]
    fn a_recorded_demo_starts_no_recorded_program() {
        let own = TerraformArgs { terraform_bin: None };
        let words =
            ["-C", "/x", "demo", "--terraform-bin=/x/evil", "--port", "80", "--t3", "credits", "--scale", "2.5"];
        let (played, dropped) = demo(&words, &own).unwrap();
        assert_eq!((played.terraform.terraform_bin.as_ref(), played.port), (None, None));
        assert_eq!(demo_command(&played), "kgen demo --scale 2.5 --t3 credits");
        assert_eq!(dropped, ["--port", "--terraform-bin", "-C"]);
        for args in [&["resize", "kafka.m5.large"][..], &["demo", "--help"], &[], &["demo; rm -rf x"]] {
            assert!(demo(args, &own).is_err(), "{args:?}");
        }
        assert!(demo(&["demo"; 1000], &own).is_err());
    }
}
