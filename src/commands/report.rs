//! `kgen report`: a run as one page.

use std::path::Path;

use anyhow::anyhow;

use super::{
    documents::{self, WrittenReport},
    out,
};
use crate::{
    cli::{Outcome, Report, ReportFormat, refused, refused_if_not_begun},
    files::own,
    project::Project,
    record::page,
    report,
    run::{Run, find},
};
pub fn run(args: &Report, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let runs = project.runs_dir();
    // A run that has only begun says nothing yet.
    let path = find(&runs, args.run.as_deref(), |_| true).map_err(|error| refused(anyhow!("{error}")))?;
    let run = out::redacted_run(Run::read(&path).map_err(refused)?);
    let times = page::times(&run, &path, &runs);
    let report = report::Page::of(&run, &times);
    let (text, place) = match args.format {
        ReportFormat::Html => {
            let own = page::place(&path);
            if args.output.is_none() {
                own::check(&own).map_err(refused)?;
            }
            (report.html()?, Some(own))
        }
        ReportFormat::Markdown => (report.markdown(), None),
    };
    match args.output.clone().or(place).filter(|place| place != Path::new("-")) {
        Some(place) => {
            match args.output {
                Some(_) => out::write_file(&place, &text)?,
                None => out::write_own_file(&place, &text).map_err(refused_if_not_begun)?,
            }
            if args.json {
                documents::print(WrittenReport { run: run.head.id.clone(), file: place })?;
            } else {
                println!("{}", place.display());
            }
        }
        None => print!("{text}"),
    }
    Ok(Outcome::Done)
}
