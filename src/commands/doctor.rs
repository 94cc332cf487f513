//! `kgen doctor`: what this machine lacks, the command that fixes it, and `--fix`, which runs it.

mod fix;

use std::path::Path;

use super::out;
use crate::{
    cli::{Doctor, DoctorFor, Outcome, refused},
    doctor::{Side, State, examine},
    documents::Readiness,
    project::Project,
    surroundings::machine,
    text,
};

pub fn run(args: &Doctor, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let side = match args.side {
        DoctorFor::Lab => Side::Lab,
        DoctorFor::Aws => Side::Aws,
        DoctorFor::All => Side::Both,
    };
    let checks = examine(&machine::look(&project, args.terraform.terraform_bin.as_deref())?, side);
    let ready = checks.iter().all(|check| check.state != State::Missing);
    if args.json {
        out::document(&Readiness { schema: Readiness::SCHEMA, ready, checks })?;
    } else {
        println!("{}", text::doctor::text(&checks));
        if args.fix {
            return fix::run(args, &checks);
        }
    }
    Ok(if ready { Outcome::Done } else { Outcome::Lacking })
}
