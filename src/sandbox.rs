//! A project with its own lab, below `.kgen` of another project: created, used, and removed again.

pub mod client;
pub mod lab;

use std::{
    ffi::OsString,
    net::TcpListener,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use self::lab::{Say, Wanted, env_of_programs, folder, found, stop, up};
use crate::{
    files::own,
    lab::{
        hardware::{Hardware, T3Mode, machine_cores},
        service::Running,
    },
    outcome::refused,
    process::Interrupts,
    project::{Lock, Project, replace_all},
    watch::Place,
};

/// A sandbox that is requested.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Of its folder in `.kgen`, which it has for itself.
    pub name: &'a str,
    /// Its files, by their path in it; a kgen.toml at least.
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

/// A sandbox. While it lives, interrupts are counted and no other kgen works in it.
pub struct Stage {
    project: Project,
    interrupts: Interrupts,
    lab: Option<Running>,
    _lock: Lock,
}

impl Stage {
    /// Makes the sandbox. What one that was killed has left there is cleared away first.
    ///
    /// # Errors
    /// Refused: another kgen works in it. It cannot be cleared or made.
    pub fn set(outer: &Project, request: &Request<'_>, say: Say<'_>) -> anyhow::Result<Stage> {
        let dir = outer.kgen_dir().join(request.name);
        // The lock is beside the folder, which is removed.
        let lock = Lock::take(&outer.kgen_dir().join(format!("{}.lock", request.name))).map_err(refused)?;
        let interrupts = Interrupts::hold().context("taking interrupts")?;
        clear(&dir, say)?;
        let making = || format!("making {}", dir.display());
        own::make_folder(&dir, 0o777).with_context(making)?;
        let files: Vec<(PathBuf, Vec<u8>)> =
            request.files.iter().map(|(path, bytes)| (dir.join(path), bytes.clone())).collect();
        for folder in files.iter().filter_map(|(path, _)| path.parent()) {
            own::make_folder(folder, 0o777).with_context(making)?;
        }
        drop(replace_all(&files)?);
        let project = Project::open(&dir).map_err(refused)?;
        Ok(Stage { project, interrupts, lab: None, _lock: lock })
    }

    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Starts its lab with `more` arguments of `kgen lab serve`, on a free port unless one is named, and waits until it answers.
    ///
    /// # Errors
    /// See [`up`].
    pub fn raise_lab(
        &mut self,
        port: Option<u16>,
        hardware: Hardware,
        more: Vec<OsString>,
        say: Say<'_>,
    ) -> anyhow::Result<()> {
        let port = match port {
            Some(port) => port,
            None => TcpListener::bind(("127.0.0.1", 0))
                .and_then(|free| free.local_addr())
                .context("finding a free port")?
                .port(),
        };
        self.lab = Some(up(&self.project, &Wanted { port, hardware, arguments: more }, say)?);
        Ok(())
    }

    /// # Errors
    /// Its lab was not started.
    pub fn lab(&self) -> anyhow::Result<&Running> {
        self.lab.as_ref().context("the lab is up")
    }

    /// Its lab, for the AWS clients of kgen and for programs.
    ///
    /// # Errors
    /// Its lab was not started.
    pub fn place(&self) -> anyhow::Result<Place> {
        let running = self.lab()?.clone();
        let env = env_of_programs(&folder(&self.project), &running, self.project.stack().region());
        Ok(Place::Lab { env, running })
    }

    /// # Errors
    /// Once it was interrupted.
    pub fn ensure_not_interrupted(&self) -> anyhow::Result<()> {
        if self.was_interrupted() { Err(anyhow!("interrupted")) } else { Ok(()) }
    }

    pub fn was_interrupted(&self) -> bool {
        self.interrupts.count() > 0
    }

    /// Ends its lab, whose clusters go with it. Its folder stays.
    ///
    /// # Errors
    /// The lab does not end.
    pub fn end_lab(&mut self) -> anyhow::Result<()> {
        match self.lab.take() {
            Some(running) => stop(&folder(&self.project), running.pid),
            None => Ok(()),
        }
    }

    /// Ends its lab, and removes its folder.
    ///
    /// # Errors
    /// The lab does not end, or the folder cannot be removed.
    pub fn strike(&mut self, say: Say<'_>) -> anyhow::Result<()> {
        self.lab = None;
        clear(self.project.dir(), say)
    }
}

/// What a lab's brokers get of this machine.
pub fn hardware(t3_credits: bool) -> Hardware {
    let mut hardware = Hardware::for_machine(machine_cores());
    if t3_credits {
        hardware.t3 = T3Mode::Credits;
    }
    hardware
}

/// Ends a lab that runs in `dir`, and removes it.
fn clear(dir: &Path, say: Say<'_>) -> anyhow::Result<()> {
    own::check(dir).map_err(refused)?;
    if !dir.exists() {
        return Ok(());
    }
    let folder = folder(&Project::open(dir)?);
    if let Some(pid) = found(&folder, say)? {
        stop(&folder, pid)?;
    }
    own::remove_folder(dir).with_context(|| format!("removing {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request<'static> {
        let files = [("kgen.toml", "[cluster]\nname = \"inner\"\n"), ("terraform/main.tf", "# rendered\n")];
        let files = files.map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).to_vec();
        Request { name: "demo", files }
    }

    #[test]
    fn a_sandbox_is_made_anew_and_leaves_nothing() {
        let outer = tempfile::tempdir().unwrap();
        let outer = Project::open(outer.path()).map(|project| (project, outer)).unwrap();
        let dir = outer.0.kgen_dir().join("demo");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("left"), "of one that was killed").unwrap();
        let mut stage = Stage::set(&outer.0, &request(), &|_| {}).unwrap();
        assert_eq!(stage.project().stack().cluster().name, "inner");
        assert!(dir.join("terraform/main.tf").exists() && !dir.join("left").exists());
        assert!(stage.place().is_err() && !stage.was_interrupted());
        // No two at a time.
        let error = Stage::set(&outer.0, &request(), &|_| {}).err().unwrap();
        assert!(error.to_string().contains("another kgen"), "{error:#}");
        stage.strike(&|_| {}).unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn a_folder_that_leads_elsewhere_is_not_cleared() {
        let (outer, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(victim.path().join("kept"), "").unwrap();
        let project = Project::open(outer.path()).unwrap();
        std::fs::create_dir_all(project.kgen_dir()).unwrap();
        std::os::unix::fs::symlink(victim.path(), project.kgen_dir().join("demo")).unwrap();
        assert!(Stage::set(&project, &request(), &|_| {}).is_err());
        assert!(victim.path().join("kept").exists());
    }
}
