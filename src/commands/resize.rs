//! `kgen resize`: another broker type, in the HCL and in the cluster, measured before and after.

use std::{path::Path, time::Duration};

use super::{
    change::{Change, prepare},
    documents,
    journal::Intent,
    place::Place,
    proven,
    working_dir::{self, confirmed, ensure_confirmable},
};
use crate::{
    cli::{Look, Outcome, Resize, SourceChoice, refused},
    project::Project,
};

/// Time between two samples.
pub const INTERVAL: Duration = Duration::from_secs(2);

pub fn run(dir: &Path, args: &Resize) -> anyhow::Result<Outcome> {
    if let Some(foreign) = &args.dir {
        return super::foreign::run(dir, foreign, args);
    }
    if !args.dry_run {
        ensure_confirmable(args.yes, "resize")?;
    }
    let project = Project::open(dir).map_err(refused)?;
    let change = Change::BrokerType(args.broker_type);
    // Before anything is asked of terraform or AWS: a type that can never be changed to.
    change.applied_to(&project)?;
    let place = Place::Environment;
    let working_dir = working_dir::lock_rendered(dir, &args.terraform, None)?;
    // Another kgen may have changed it until it was locked.
    let project = Project::open(dir).map_err(refused)?;
    let ready = prepare(&project, change, &place)?;
    eprint!("{}", ready.summary());
    if args.dry_run {
        if args.json {
            documents::print(ready.prepared(None))?;
        }
        return Ok(Outcome::Done);
    }
    if !args.yes && !confirmed(&format!("Change all {} brokers to {}?", ready.cluster.broker_count, args.broker_type))?
    {
        eprintln!("nothing was changed");
        return Ok(Outcome::Done);
    }
    let intent = Intent { change, measure_s: args.measure.as_secs_f64(), throttle_bytes_per_s: 0 };
    proven::begin(&ready, &intent, &working_dir, args.json, args.plain)
}

/// The look of kgen's own measurements.
pub fn own_look() -> Look {
    Look { cluster: None, region: None, source: SourceChoice::Auto, targets: None, interval: INTERVAL }
}
