//! `kgen resume`: resumes an interrupted, killed or failed demo, resize or scale-out.

use std::path::Path;

use super::{
    changing::{self, Words},
    console::{confirmed, ensure_confirmable},
};
use crate::{
    change::{
        Site,
        resume::{Found, find},
    },
    cli::{Outcome, Resume, recorded, refused},
    run::Run,
    terraform::Terraform,
};

pub fn run(dir: &Path, args: &Resume) -> anyhow::Result<Outcome> {
    let site = Site::new(dir, args.terraform.terraform_bin.as_deref());
    match find(&site, args.run.as_deref())? {
        Found::Demo(run) => again(dir, &run, args),
        Found::Change(left) => {
            ensure_confirmable(args.yes, "resume")?;
            let mut words = Words::new(args.yes, args.json);
            changing::show(left.resume(args.undo, &site, &mut words)?, args.json)
        }
    }
}

/// A demo is played again from its beginning: its brokers are gone with its lab, and a load that stood still for who knows how
/// long would prove nothing.
fn again(dir: &Path, run: &Run, args: &Resume) -> anyhow::Result<Outcome> {
    let (demo, dropped) = recorded::demo(&run.head.id, &run.head.args, &args.terraform, args.json).map_err(refused)?;
    ensure_confirmable(args.yes, "resume")?;
    let program = Terraform::find(demo.terraform.terraform_bin.as_deref()).map_err(refused)?;
    eprintln!(
        "{}: the lab of a demo ends with the demo, so the demo starts again from the beginning; what it left behind \
         is removed, but its record stays",
        run.head.id
    );
    if !dropped.is_empty() {
        eprintln!("note: {} of the recorded command line applies only if it is given again", dropped.join(", "));
    }
    let command = recorded::demo_command(&demo);
    eprintln!("this runs `{command}` in {}, with {} as terraform", dir.display(), program.display());
    if !args.yes && !confirmed(&format!("Play {} again?", run.head.id))? {
        eprintln!("nothing was done");
        return Ok(Outcome::Done);
    }
    super::demo::run(dir, &demo)
}
