//! A cluster that is watched beside the work of a command, into the command's record.

use super::{
    look::{INSIDE_INTERVAL, Opened, open},
    place::Place,
    record::Record,
};
use crate::{
    cli::Look,
    project::Project,
    run::{Event, Observed},
    watch::{Background, Naming, Tell, Watchable, Watcher},
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
    /// Without the project's Terraform for a cluster that is not the project's.
    fn naming(&self) -> Naming {
        let (stack, look) = (self.project.stack(), &self.look);
        let is_own = look.cluster.as_ref().is_none_or(|name| *name == stack.cluster().name)
            && look.region.as_deref().is_none_or(|region| region == stack.region());
        if is_own { Naming::of_project(&self.project.terraform_dir()) } else { Naming::default() }
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
        Beside::start_telling(watched, record, marks, |_| {})
    }

    /// As [`Beside::start`]; `seen` is told each event as well.
    pub fn start_telling(
        watched: Watched,
        record: &Record,
        marks: Marks,
        seen: impl FnMut(&Event) + Send + 'static,
    ) -> Beside {
        let interval = watched.look.interval.unwrap_or(INSIDE_INTERVAL);
        let naming = watched.naming();
        let (record, failed) = (record.clone(), record.clone());
        let background = Background::start(
            async move || watched.open().await,
            interval,
            move |cluster| watcher_telling(cluster, naming, record, marks, seen),
            move |error| {
                let _ = failed.tell(Event::note(format!("the brokers are not watched: {error:#}")));
            },
        );
        Beside { _background: background }
    }
}

/// A watcher that writes to `record`.
pub fn watcher(cluster: Watchable, naming: Naming, record: Record, marks: Marks) -> Watcher {
    watcher_telling(cluster, naming, record, marks, |_| {})
}

fn watcher_telling(
    cluster: Watchable,
    naming: Naming,
    record: Record,
    marks: Marks,
    mut seen: impl FnMut(&Event) + Send + 'static,
) -> Watcher {
    let tell: Tell = Box::new(move |at, event| {
        seen(&event);
        // A note is also for whoever reads the messages; the screen shows it once, from the record.
        if let Event::Note { text } = &event {
            super::out::aside(format_args!("note: {text}\n"));
        }
        record.tell_at(at, event)
    });
    Watcher::new(cluster, naming, marks, tell)
}
