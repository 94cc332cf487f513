//! What happens to a cluster that is watched: recorded, and the notes said.

use super::record::Record;
use crate::{
    project::Project,
    run::Event,
    watch::{Naming, Tell},
};

/// Records what happens. A note is also for whoever reads the messages; the screen shows it once, from the record.
pub fn telling(record: Record) -> Tell {
    Box::new(move |at, event, _| {
        if let Event::Note { text } = &event {
            super::out::aside(format_args!("note: {text}\n"));
        }
        record.tell_at(at, event)
    })
}

/// How printed commands name the cluster: without the project's Terraform where it is not the project's.
pub fn naming(project: &Project, cluster: &str, region: &str) -> Naming {
    let stack = project.stack();
    let is_own = cluster == stack.cluster().name && region == stack.region();
    if is_own { Naming::of_project(&project.terraform_dir()) } else { Naming::default() }
}
