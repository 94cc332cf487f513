//! A cluster that is watched beside the work of a command, into the command's record.

use super::{
    look::{Opened, open, own_look},
    place::Place,
    record::Record,
};
use crate::{
    aws::Aws,
    cli::Look,
    diagnose::Context,
    project::Project,
    run::{Event, Observed},
    watch::{Background, Tell, Watcher},
};

pub use crate::watch::{Line, Marks, STATE_EVERY};

/// One line of `kgen watch --json`.
pub fn line(observed: &Observed) -> Line<'_> {
    Line::of(observed)
}

/// A cluster, and how it is looked at.
#[derive(Debug, Clone)]
pub struct Watched {
    pub project: Project,
    pub look: Look,
    pub place: Place,
}

impl Watched {
    /// The stack's cluster.
    pub fn of_stack(project: &Project, place: &Place) -> Watched {
        Watched { project: project.clone(), look: own_look(), place: place.clone() }
    }

    /// # Errors
    /// The cluster or a source of its metrics cannot be found.
    pub async fn open(&self) -> anyhow::Result<Opened> {
        open(&self.look, self.project.stack(), &self.place).await
    }
}

/// A cluster, watched on its own thread while a command does something else. Dropping it ends it.
pub struct Beside {
    _background: Background,
}

impl Beside {
    /// Starts to watch. When the cluster cannot be watched, the record says why, and the command goes on.
    pub fn start(watched: Watched, record: &Record, marks: Marks) -> Beside {
        let (interval, project) = (watched.look.interval, watched.project.clone());
        let (record, failed) = (record.clone(), record.clone());
        let background = Background::start(
            async move || watched.open().await,
            interval,
            move |aws, context| watcher(aws, context, &project, record, marks),
            move |error| {
                let _ = failed.tell(Event::note(format!("the brokers are not watched: {error:#}")));
            },
        );
        Beside { _background: background }
    }
}

/// A watcher that writes to `record`.
pub fn watcher(aws: Aws, context: Context, project: &Project, record: Record, marks: Marks) -> Watcher {
    let tell: Tell = Box::new(move |at, event| {
        // A note is also for whoever reads the messages; the screen shows it once, from the record.
        if let Event::Note { text } = &event {
            super::out::aside(format_args!("note: {text}\n"));
        }
        record.tell_at(at, event)
    });
    Watcher::new(aws, context, project.terraform_dir(), marks, tell)
}
