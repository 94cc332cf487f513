//! `kgen scale-out`: more brokers, then partitions moved onto them, measured before and after.

use std::path::Path;

use super::{
    changing::{self, Words},
    console::ensure_confirmable,
};
use crate::{
    change::{self, Change, Request, Site},
    cli::{Outcome, ScaleOut},
};

pub fn run(dir: &Path, args: &ScaleOut) -> anyhow::Result<Outcome> {
    if !args.dry_run {
        ensure_confirmable(args.yes, "scale-out")?;
    }
    let (change, throttle_bytes_per_s) = (Change::BrokerCount(args.brokers), u64::from(args.throttle) << 20);
    let request = Request { change, measure: args.measure, throttle_bytes_per_s, dry_run: args.dry_run };
    let site = Site::new(dir, args.terraform.terraform_bin.as_deref());
    let mut words = Words::new(args.yes, args.json).plain(args.plain);
    changing::show(change::run(&request, &site, &mut words)?, args.json)
}
