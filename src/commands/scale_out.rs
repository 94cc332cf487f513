//! `kgen scale-out`: more brokers, then partitions moved onto them, measured before and after.

use std::path::Path;

use super::{
    change::{Change, prepare, replication},
    documents::{self, PreparedMoves},
    journal::Intent,
    moving,
    place::Place,
    proven,
    working_dir::{self, confirmed, ensure_confirmable},
};
use crate::{
    cli::{Outcome, ScaleOut, refused},
    kafka::partitions::Partitions,
    project::Project,
};

pub fn run(dir: &Path, args: &ScaleOut) -> anyhow::Result<Outcome> {
    if !args.dry_run {
        ensure_confirmable(args.yes, "scale-out")?;
    }
    let project = Project::open(dir).map_err(refused)?;
    let change = Change::BrokerCount(args.brokers);
    change.applied_to(&project)?;
    let place = Place::Environment;
    let working_dir = working_dir::lock_rendered(dir, &args.terraform, None)?;
    // Another kgen may have changed it until it was locked.
    let project = Project::open(dir).map_err(refused)?;
    let ready = prepare(&project, change, &place)?;
    // Before brokers are paid for: somebody else's moves would be in the way of ours.
    let partitions = Partitions::of(&ready.bootstrap);
    moving::ensure_alone(&partitions.moving()?.into_keys().collect::<Vec<_>>(), &partitions.throttled()?)?;
    eprint!("{}", ready.summary());
    let replicas: u64 = replication(&ready.bootstrap)?.brokers.values().map(|broker| broker.replicas).sum();
    let new = u64::from(args.brokers.saturating_sub(ready.cluster.broker_count));
    let moved = replicas * new / u64::from(args.brokers);
    eprintln!(
        "then about {moved} of {replicas} replicas move onto the new brokers, at most {} MiB/s each",
        args.throttle
    );
    let throttle_bytes_per_s = u64::from(args.throttle) << 20;
    if args.dry_run {
        if args.json {
            let moves = PreparedMoves { replicas: moved, of: replicas, throttle_bytes_per_s };
            documents::print(ready.prepared(Some(moves)))?;
        }
        return Ok(Outcome::Done);
    }
    let (now, name) = (ready.cluster.broker_count, &ready.cluster.name);
    let question = format!("Add {} brokers to {name} and move partitions onto them?", args.brokers.saturating_sub(now));
    if !args.yes && !confirmed(&question)? {
        eprintln!("nothing was changed");
        return Ok(Outcome::Done);
    }
    let intent = Intent { change, measure_s: args.measure.as_secs_f64(), throttle_bytes_per_s };
    proven::begin(&ready, &intent, &working_dir, args.json, args.plain)
}
