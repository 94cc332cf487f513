//! Kafka's classes, read and verified once and kept in a file, so that each Java process starts in half the CPU time.
//!
//! Only ever a help: brokers start without it, and Java passes over a file that is not of its version or its jars.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, ensure};

use super::{
    admin,
    layout::{Layout, Properties, defaults, local},
    node,
};
use crate::{
    lab::install::{Classes, Kafka},
    sample::BrokerId,
};

const ID: BrokerId = 1;
const HEAP_MIB: u64 = 128;

/// How long Java may take to write the file as it ends (measured: 4 s on two cores).
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes the archive of `kafka`'s classes at `to`: by a node that is broker and controller, ended as soon as it serves.
///
/// # Errors
/// The node did not serve, or Java wrote nothing.
pub fn make(kafka: &Kafka, to: &Path) -> anyhow::Result<()> {
    let cache = to.parent().with_context(|| format!("{} is not in a folder", to.display()))?;
    fs::create_dir_all(cache).with_context(|| format!("making {}", cache.display()))?;
    let dir =
        tempfile::Builder::new().prefix(".classes-").tempdir_in(cache).context("creating a folder in the cache")?;
    let new = dir.path().join("classes.jsa");
    let layout = Layout { dir: dir.path().join("node") };
    let (identity, _held) = layout.open(&[1])?;
    let (controller, broker) = (identity.controller_port, identity.ports[&ID].plaintext);
    layout.prepare(ID, &identity, &properties(controller, broker, &layout.data_dir(ID)))?;
    let kafka = Kafka { classes: Classes::Archive(new.clone()), ..kafka.clone() };
    // The agent is left out: Java writes no archive with one, and reads it with one.
    let starting = node::start(&kafka, &layout, ID, HEAP_MIB, None)?;
    let serves = || admin::metadata(local(broker), Duration::from_secs(3)).is_some_and(|it| it.brokers.contains(&ID));
    let ended = node::ready(starting, &layout, ID, serves)?.stop(WRITE_TIMEOUT);
    ensure!(ended, "Java did not write it within {} s", WRITE_TIMEOUT.as_secs());
    let written = fs::metadata(&new).map_or(0, |file| file.len());
    let log = layout.node_dir(ID).join("output.log");
    ensure!(written > 0, "Java did not write one: {}", fs::read_to_string(log).unwrap_or_default().trim());
    fs::rename(&new, to).with_context(|| format!("moving it to {}", to.display()))
}

fn properties(controller: u16, broker: u16, data: &Path) -> Properties {
    let mut own = Properties::default();
    own.set("node.id", ID);
    own.set("process.roles", "broker,controller");
    own.set("log.dirs", data.display());
    own.set("controller.quorum.voters", format!("{ID}@127.0.0.1:{controller}"));
    own.set("controller.listener.names", "CONTROLLER");
    own.set("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT");
    own.set("listeners", format!("PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}"));
    defaults(1).with(&own)
}
