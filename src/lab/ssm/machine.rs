//! A client instance on this machine: its folder, and what its commands and sessions find there.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{Place, disk, harm::Faults, user_data};
use crate::{
    files::own,
    process::{Around, Containment, shell_quoted},
};

/// What documents run as another user, an instance runs as whoever runs the lab.
const RUNUSER: &str = "#!/bin/sh\nwhile [ $# -gt 0 ] && [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n";

/// An instance of a region.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a> {
    pub place: &'a Place,
    pub id: &'a str,
    pub region: &'a str,
}

/// How a program is started on an instance.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Lines of a shell that come before it, in its namespaces.
    pub before: Option<String>,
    pub without_network: bool,
    /// Where it is started. What comes before it may lead elsewhere.
    pub dir: PathBuf,
    pub env: Vec<(OsString, OsString)>,
}

impl Entry {
    pub fn around(&self) -> Around<'_> {
        let Entry { before, without_network, dir, env } = self;
        Around { dir, env, before: before.as_deref(), without_network: *without_network }
    }
}

impl Machine<'_> {
    pub fn home(&self) -> PathBuf {
        self.place.folder.join(self.id)
    }

    pub fn user_data(&self) -> PathBuf {
        self.home().join("user-data")
    }

    fn bin(&self) -> PathBuf {
        self.home().join("bin")
    }

    fn fstab(&self) -> PathBuf {
        self.home().join("fstab")
    }

    /// Makes what is the same for all of its commands. Its file system is made again each time: this machine's changes.
    ///
    /// # Errors
    /// Its folder cannot be written.
    pub fn prepare(&self) -> io::Result<()> {
        for folder in [self.home(), self.bin(), self.home().join("tmp")] {
            own::make_folder(&folder, 0o700)?;
        }
        // The lab has no users of its own.
        match own::create_new(&self.bin().join("runuser"), 0o700) {
            Ok(mut file) => file.write_all(RUNUSER.as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        match std::os::unix::fs::symlink(&self.place.kgen, self.bin().join("kgen")) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !self.has_disk() {
            return Ok(());
        }
        match self.mounts() {
            Ok(mounts) => own::replace(&self.fstab(), mounts.as_bytes()),
            Err(error) => user_data::forgo(&self.user_data(), &error.to_string()),
        }
    }

    /// Whether it has a file system of its own, in which its user data can be carried out; unless its user data has been given up.
    fn has_disk(&self) -> bool {
        Containment::here() == Containment::ProcessNamespace && !user_data::is_forgone(&self.user_data())
    }

    fn mounts(&self) -> io::Result<String> {
        let lab = fs::canonicalize(&self.place.folder)?;
        disk::prepare(&self.home().join("disk"), Path::new("/"), &lab)
    }

    /// How a program is started on it in the folder `dir`: its file system, its user data if that is due, and what `faults` do
    /// to it, for which there may be programs in `scratch`.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn entry(&self, dir: &Path, scratch: &Path, faults: &Faults) -> io::Result<Entry> {
        let mut env = self.environment();
        if let Some(date) = faults.date(self.id) {
            let folder = scratch.join("faults");
            own::make_folder(&folder, 0o700)?;
            own::create(&folder.join("date"), 0o700)?.write_all(date.as_bytes())?;
            for (_, path) in env.iter_mut().filter(|(name, _)| name == "PATH") {
                let others = std::mem::replace(path, folder.clone().into_os_string());
                path.push(":");
                path.push(others);
            }
        }
        let (mut before, mut start) = (Vec::new(), dir.to_owned());
        if self.has_disk() && self.fstab().exists() {
            let word = |path: &Path| shell_quoted(&path.to_string_lossy());
            before.push(format!("mount --fstab {} --all || exit 70", word(&self.fstab())));
            before.extend(user_data::command(&self.user_data(), &self.place.tools));
            // From here on, paths lead to what was mounted.
            before.push(format!("cd {} || exit 70", word(dir)));
            start = self.home();
        }
        before.extend(faults.before(self.id));
        let before = (!before.is_empty()).then(|| before.join("\n"));
        Ok(Entry { before, without_network: faults.is_without_network(self.id), dir: start, env })
    }

    /// Nothing of the lab's own environment but what finds programs.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let home = self.home();
        let mut path = OsString::from(self.bin());
        for more in [Some(self.place.tools.clone().into_os_string()), std::env::var_os("PATH")].into_iter().flatten() {
            path.push(":");
            path.push(more);
        }
        let tmp = home.join("tmp");
        let mut env = vec![("PATH".into(), path), ("HOME".into(), home.into()), ("TMPDIR".into(), tmp.into())];
        for (name, value) in [
            ("LANG", "C.UTF-8"),
            ("AWS_ENDPOINT_URL", self.place.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "lab"),
            ("AWS_SECRET_ACCESS_KEY", "lab"),
            ("AWS_REGION", self.region),
            ("AWS_DEFAULT_REGION", self.region),
            // As the agent of Systems Manager sets them.
            ("AWS_SSM_INSTANCE_ID", self.id),
            ("AWS_SSM_REGION_NAME", self.region),
        ] {
            env.push((name.into(), value.into()));
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_wrong_clock_ends_with_its_fault() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::without_lab(dir.path());
        let machine = Machine { place: &place, id: "i-a", region: "us-west-2" };
        machine.prepare().unwrap();
        let home = machine.home();
        let path = |faults: &Faults| {
            let entry = machine.entry(&home, &home, faults).unwrap();
            let path = entry.env.into_iter().find(|(name, _)| name == "PATH").unwrap().1;
            std::env::split_paths(&path).collect::<Vec<_>>()
        };
        let mut faults = Faults::default();
        faults
            .start(&serde_json::from_str(r#"{"id": "instance.clock-off"}"#).unwrap(), "i-a", Timestamp::now())
            .unwrap();
        let with_fault = path(&faults);
        assert!(with_fault[0].join("date").exists());
        assert_eq!(with_fault[1], home.join("bin"));
        faults.stop(None);
        let without = path(&faults);
        assert_eq!(without, with_fault[1..]);
        assert!(!without[0].join("date").exists());
    }
}
