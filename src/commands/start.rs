//! `kgen` without a command, on a terminal: what can be done here, and the command for each.

use std::{env, path::PathBuf};

use super::out;
use crate::{
    cli::{Outcome, refused},
    project::Project,
    surroundings::Here,
    text,
};

pub fn run() -> anyhow::Result<Outcome> {
    let dir = env::var_os("KGEN_PROJECT").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let project = Project::open(&dir).map_err(refused)?;
    let here = Here::look(&dir, &project)?;
    let names = here.clusters.iter().filter_map(|(_, listed)| listed.as_ref().ok()).flatten();
    names.chain(here.stack.iter().map(|(name, _)| name)).for_each(|name| out::learn_cluster(name));
    println!("{}", text::here::text(&here));
    Ok(Outcome::Done)
}
