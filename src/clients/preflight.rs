//! Whether machines are ready for a load together: the same kgen everywhere, room, descriptors, a clock that may be right.

use std::{collections::BTreeMap, time::Duration};

use anyhow::bail;

use super::task::Ran;
use crate::load::merge::Clock;

/// Disk that a run needs beside its ledger, KiB.
const FREE_KIB: u64 = 64 << 10;
/// What a ledger and its report take for each second of a run, KiB: four blocks of ranges, and as much again for the report.
const FREE_KIB_PER_S: u64 = 64;
/// Connections to brokers and files of one kgen.
const DESCRIPTORS: u64 = 1024;
/// A clock that is certainly off by more is refused, ms; less is reported with the result.
const CLOCK_OFF_MS: f64 = 1000.0;

/// What the machines have in common.
#[derive(Debug)]
pub struct Ready {
    pub version: String,
    /// One for each machine, in their order.
    pub clocks: Vec<Option<Clock>>,
    /// What each says of its kind, likewise: on EC2, its instance type.
    pub products: Vec<Option<String>>,
}

/// # Errors
/// Every machine that is not ready, by name.
pub fn judge(asked: &[Ran], duration: Duration) -> anyhow::Result<Ready> {
    let need_kib = FREE_KIB + FREE_KIB_PER_S * duration.as_secs();
    let (mut wrong, mut clocks, mut products) = (Vec::new(), Vec::new(), Vec::new());
    let mut kinds: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for ran in asked {
        let name = ran.machine.as_str();
        let facts: BTreeMap<&str, &str> = ran.stdout.lines().filter_map(|line| line.split_once(' ')).collect();
        let number = |fact: &str| facts.get(fact).and_then(|text| text.trim().parse::<u64>().ok());
        let clock = number("clock_ns").map(|ns| Clock::read(ns as f64 / 1e6, ran.asked_ms, ran.answered_ms));
        clocks.push(clock);
        products.push(facts.get("type").map(|product| product.trim().to_owned()));
        if let Some(lost) = &ran.lost {
            wrong.push(format!("{name} does not respond: {lost}"));
            continue;
        }
        if ran.code != Some(0) {
            let last = ran.stderr.trim_end().lines().next_back().unwrap_or("the questions before the load failed");
            wrong.push(format!("{name}: {last}"));
            continue;
        }
        let text = |fact: &str| facts.get(fact).map_or_else(String::new, |text| text.trim().to_owned());
        kinds.entry((text("version"), text("sha256"))).or_default().push(name);
        if number("free_kib").is_none_or(|kib| kib < need_kib) {
            let free = number("free_kib").map_or("an unknown amount".to_owned(), |kib| format!("{} MiB", kib >> 10));
            wrong.push(format!("{name} has {free} of disk free, and the run needs {} MiB", need_kib >> 10));
        }
        // "unlimited" is not a number, but is enough.
        if number("descriptors").is_some_and(|descriptors| descriptors < DESCRIPTORS) {
            wrong.push(format!("{name} allows a process {} files, and kgen needs {DESCRIPTORS}", text("descriptors")));
        }
        let off_ms = clock.map_or(0.0, Clock::certainly_off_ms);
        if off_ms > CLOCK_OFF_MS {
            wrong.push(format!("the clock of {name} is off by {:.0} s or more", off_ms / 1000.0));
        }
    }
    if kinds.len() > 1 {
        let kind = |((version, sum), names): (&(String, String), &Vec<&str>)| {
            format!("{version} ({}…) on {}", sum.get(..12).unwrap_or(sum), names.join(", "))
        };
        wrong.push(format!("not the same kgen everywhere: {}", kinds.iter().map(kind).collect::<Vec<_>>().join("; ")));
    }
    if !wrong.is_empty() {
        bail!("nothing was sent, because not all machines are ready: {}", wrong.join("; "));
    }
    let version = kinds.into_keys().next().map(|(version, _)| version).unwrap_or_default();
    Ok(Ready { version, clocks, products })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(machine: &str, change: &[(&str, &str)]) -> Ran {
        let mut stdout = "version kgen 0.1.0\nsha256 0123456789abcdef\nfree_kib 9999999\ndescriptors 1024\n\
                          clock_ns 2000000000\n"
            .to_owned();
        for (from, to) in change {
            stdout = stdout.replace(from, to);
        }
        Ran {
            machine: machine.into(),
            code: Some(0),
            stdout,
            stderr: String::new(),
            lost: None,
            ended_by: None,
            asked_ms: 1900.0,
            answered_ms: 2100.0,
        }
    }

    fn check(change: &[(&str, &str)], expected: Option<&str>) {
        let judged = judge(&[ran("i-a", &[]), ran("i-b", change)], Duration::from_secs(60));
        match (judged, expected) {
            (Ok(ready), None) => assert_eq!((ready.version.as_str(), ready.clocks.len()), ("kgen 0.1.0", 2)),
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
            (judged, expected) => panic!("{judged:?} {expected:?}"),
        }
    }

    #[test]
    fn what_is_not_ready_is_named() {
        check(&[], None);
        check(&[("descriptors 1024", "descriptors unlimited")], None);
        check(&[("0.1.0", "0.2.0")], Some("kgen 0.1.0 (0123456789ab…) on i-a; kgen 0.2.0 (0123456789ab…) on i-b"));
        check(&[("0123456789abcdef", "ff")], Some("kgen 0.1.0 (ff…) on i-b"));
        check(&[("9999999", "67000")], Some("i-b has 65 MiB of disk free, and the run needs 67 MiB"));
        check(&[("descriptors 1024", "descriptors 256")], Some("i-b allows a process 256 files"));
        // An hour ahead; half a second, which is reported with the result.
        check(&[("clock_ns 2", "clock_ns 3602")], Some("the clock of i-b is off by 3600 s"));
        check(&[("clock_ns 2000000000", "clock_ns 2700000000")], None);
        let judged = |ran: Ran| judge(&[ran], Duration::ZERO).unwrap_err().to_string();
        let lost = Ran { lost: Some("no answer within 60 s".into()), ..ran("i-a", &[]) };
        assert!(judged(lost).ends_with("i-a does not respond: no answer within 60 s"));
        let failed = Ran { code: Some(127), stderr: "kgen is not on the PATH\n".into(), ..ran("i-a", &[]) };
        assert!(judged(failed).ends_with("i-a: kgen is not on the PATH"));
    }
}
