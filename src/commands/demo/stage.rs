//! Where the demo plays: a project and a lab of its own below .kgen/demo, made anew and removed again.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use crate::{
    cli::{Demo, TerraformArgs, lab::LabUp, refused},
    commands::{
        lab::{env_of_programs, folder, found, stop, up},
        place::Place,
    },
    files::own,
    lab::service::Running,
    process::Interrupts,
    project::{Lock, Project, WorkingDir, replace_all},
    terraform::Terraform,
};

pub struct Stage {
    dir: PathBuf,
    interrupts: Interrupts,
    lab: Option<Running>,
    scale: String,
    _lock: Lock,
}

impl Stage {
    /// Makes the folder with the outer project's kgen.toml and the Terraform that it renders. What a demo that was
    /// killed has left there is cleared away first.
    ///
    /// # Errors
    /// Refused: another demo plays here, or there is no terraform.
    pub fn set(outer: &Project, args: &Demo) -> anyhow::Result<Stage> {
        Terraform::find(args.terraform.terraform_bin.as_deref()).map_err(refused)?;
        let dir = outer.kgen_dir().join("demo");
        // The lock lies beside the folder, which is removed.
        let lock = Lock::take(&outer.kgen_dir().join("demo.lock")).map_err(refused)?;
        let interrupts = Interrupts::hold().context("taking interrupts")?;
        clear(&dir)?;
        own::make_folder(&dir.join("terraform"), 0o777).with_context(|| format!("making {}", dir.display()))?;
        let mut files = vec![(dir.join("kgen.toml"), outer.kgen_toml_text()?.into_bytes())];
        let rendered = outer.stack().render();
        files.extend(rendered.files().map(|(name, text)| (dir.join("terraform").join(name), text.as_bytes().to_vec())));
        drop(replace_all(&files)?);
        Ok(Stage { dir, interrupts, lab: None, scale: String::new(), _lock: lock })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// N of "1:N".
    pub fn scale(&self) -> &str {
        &self.scale
    }

    /// The scale that the lab will have.
    pub fn hardware_scale(&self, args: &Demo) -> f64 {
        crate::commands::lab::hardware(&LabUp { port: 0, scale: None, t3: args.t3, json: false }).scale
    }

    pub fn raise_lab(&mut self, args: &Demo) -> anyhow::Result<()> {
        let project = Project::open(&self.dir)?;
        let port = match args.port {
            Some(port) => port,
            None => TcpListener::bind(("127.0.0.1", 0))
                .and_then(|free| free.local_addr())
                .context("finding a free port")?
                .port(),
        };
        let options = LabUp { port, scale: None, t3: args.t3, json: false };
        self.scale = crate::commands::lab::hardware(&options).to_string();
        self.lab = Some(up(&project, &options)?);
        Ok(())
    }

    /// The lab, for the AWS clients of kgen and for terraform.
    pub fn place(&self, region: &str) -> anyhow::Result<Place> {
        let running = self.lab.clone().context("the lab is up")?;
        let folder = folder(&Project::open(&self.dir)?);
        Ok(Place::Lab { env: env_of_programs(&folder, &running, region), running })
    }

    pub fn terraform(&self, args: &TerraformArgs, place: &Place) -> anyhow::Result<WorkingDir> {
        WorkingDir::lock(&self.dir, args.terraform_bin.as_deref(), None, || place.env()).map_err(refused)
    }

    /// # Errors
    /// Once the demo was interrupted.
    pub fn ensure_not_interrupted(&self) -> anyhow::Result<()> {
        match self.interrupts.count() {
            0 => Ok(()),
            _ => Err(anyhow!("interrupted")),
        }
    }

    pub fn was_interrupted(&self) -> bool {
        self.interrupts.count() > 0
    }

    /// Ends the lab, whose clusters go with it, and removes the folder.
    ///
    /// # Errors
    /// The lab does not end, or the folder cannot be removed.
    pub fn strike(&mut self) -> anyhow::Result<()> {
        self.lab = None;
        clear(&self.dir)
    }
}

/// Ends a lab that runs in `dir`, and removes it.
fn clear(dir: &Path) -> anyhow::Result<()> {
    own::check(dir)?;
    if !dir.exists() {
        return Ok(());
    }
    let folder = folder(&Project::open(dir)?);
    if let Some(pid) = found(&folder)? {
        stop(&folder, pid)?;
    }
    own::remove_folder(dir).with_context(|| format!("removing {}", dir.display()))
}
