//! The faults that this machine supports.

use std::{collections::BTreeSet, path::Path};

use super::{Need, network};
use crate::lab::limits::{Means, disk_of};

/// Programs that some fault runs.
const PROGRAMS: [&str; 4] = ["mkfs.ext4", "mount", "umount", "tc"];

/// What was found of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    pub root: bool,
    pub programs: BTreeSet<&'static str>,
    /// The data is on a disk that control groups can hold back.
    pub disk_limit: bool,
    pub shaping: bool,
}

impl Abilities {
    /// Looks at the machine, and at the file system where `dir` lies or will lie.
    pub fn detect(means: &Means, dir: &Path) -> Abilities {
        let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
        let root = rustix::process::geteuid().is_root();
        let programs: BTreeSet<&'static str> =
            PROGRAMS.into_iter().filter(|program| which::which(program).is_ok()).collect();
        Abilities {
            disk_limit: means.limits_disk() && disk_of(there).is_some(),
            shaping: root && programs.contains("tc") && network::is_known_to_the_kernel(),
            root,
            programs,
        }
    }

    /// Why `need` is not met, if it is not.
    pub(super) fn lack(&self, need: Need) -> Option<String> {
        let (met, why) = match need {
            Need::Root => (self.root, "needs root".to_owned()),
            Need::Program(name) => (self.programs.contains(name), format!("needs the program {name}")),
            Need::DiskLimit => (
                self.disk_limit,
                "needs control groups that can limit writes (blkio or io, as root), and the data on a separate disk"
                    .to_owned(),
            ),
            Need::Shaping => (self.shaping, "needs a kernel with the queueing disciplines htb and tbf".to_owned()),
        };
        (!met).then_some(why)
    }
}
