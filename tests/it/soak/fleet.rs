//! `kgen guard` over a large fleet without brokers, for many rounds: what a round takes, and that memory stays flat.
//!
//! `scripts/fleet CLUSTERS ROUNDS` runs it; `scripts/test` leaves it out.

use std::{fs, time::Duration};

use crate::{
    awaited::await_until,
    guard_live::{configure, create_fleet, guard, rounds, target, write_profiles},
    lab::Lab,
};

/// Longest wait for a round.
const ROUND_WITHIN: Duration = Duration::from_secs(600);

/// MiB that the memory may have grown by between the first and the last quarter of the rounds, beside a twentieth of it.
const SLACK_MIB: f64 = 4.0;

#[test]
#[ignore = "takes minutes: a fleet of a hundred clusters"]
fn memory_stays_flat_over_many_rounds_of_a_fleet() {
    let chosen = std::env::var("KGEN_TEST_FLEET").unwrap_or_else(|_| "20 40".to_owned());
    let (clusters, most) = chosen.split_once(' ').expect("CLUSTERS ROUNDS");
    let (clusters, most): (usize, usize) = (clusters.parse().unwrap(), most.parse().unwrap());
    let lab = Lab::with_options("--metrics-period 5s --without-brokers");
    let accounts = create_fleet(&lab, clusters, "calm");
    let endpoint = lab.sh("printf %s \"$AWS_ENDPOINT_URL\"");
    let profiles: Vec<_> =
        accounts.iter().map(|(name, region)| (name.as_str(), *region, "AKIAFLEET", &*endpoint)).collect();
    write_profiles(&lab, &profiles);
    let targets: String = accounts.iter().map(|(name, _)| target(name)).collect();
    configure(&lab, &format!("interval = \"1s\"\nmax_usd_per_day = 1000000\n{targets}"));
    let began = std::time::Instant::now();
    let running = lab.spawn(&guard(""), "guard");
    let (mut memory, mut peak) = (Vec::new(), 0.0);
    for number in 1..=most {
        await_until("a round ends", ROUND_WITHIN, || rounds(&lab) >= number);
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let mib = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
        };
        memory.push(mib("VmRSS"));
        peak = mib("VmHWM");
    }
    let seconds = began.elapsed().as_secs_f64();
    let last = lab.sh("tail -n 1 guard.log");
    assert!(last.starts_with(&format!("clusters: {clusters} (healthy {clusters},")), "{last}");
    let median = |part: &[f64]| {
        let mut sorted = part.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    // The first quarter fills what is kept.
    let quarter = most / 4;
    let (first, end) = match quarter {
        0 => (memory[0], median(&memory)),
        _ => (median(&memory[quarter..2 * quarter]), median(&memory[most - quarter..])),
    };
    eprintln!(
        "{clusters} clusters, {most} rounds in {seconds:.0} s ({:.1} s each): {first:.1} MiB early, {end:.1} MiB at the end, \
         {peak:.1} MiB at most",
        seconds / most as f64
    );
    assert!(end <= first * 1.05 + SLACK_MIB, "memory grows: {memory:?}");
    assert_eq!(running.interrupt(Duration::from_secs(60)), 0);
    lab.down();
}
