//! `kgen resize`: another broker type, in the HCL and in the cluster, measured before and after.

mod foreign;

use std::path::Path;

use super::{
    changing::{self, Words},
    console::ensure_confirmable,
};
use crate::{
    change::{self, Change, Request, Site},
    cli::{Outcome, Resize},
};

pub fn run(dir: &Path, args: &Resize) -> anyhow::Result<Outcome> {
    if let Some(foreign) = &args.dir {
        return foreign::run(dir, foreign, args);
    }
    if !args.dry_run {
        ensure_confirmable(args.yes, "resize")?;
    }
    let change = Change::BrokerType(args.broker_type);
    let request = Request { change, measure: args.measure, throttle_bytes_per_s: 0, dry_run: args.dry_run };
    let site = Site::new(dir, args.terraform.terraform_bin.as_deref());
    let mut words = Words::new(args.yes, args.json).plain(args.plain);
    changing::show(change::run(&request, &site, &mut words)?, args.json)
}
