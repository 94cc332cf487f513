//! The run of this process: each event is written to .kgen/runs as it happens, and shown on the screen if there is one.

pub mod page;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

use crate::{
    edge,
    load::producer::Tick,
    outcome::{Outcome, refused},
    project::Project,
    run::{self, End, Entry, Environment, Event, FILE, Head, LoadSecond, Run, Start, Writer, masked, new_id, now},
    screen::{Live, Quit},
};

/// Written while the run happens, from every part of a command.
#[derive(Clone)]
pub struct Record(Arc<Inner>);

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Record").field(&self.0.head.id).finish()
    }
}

struct Inner {
    head: Head,
    dir: PathBuf,
    /// Until the end is written.
    writer: Mutex<Option<Writer>>,
    screen: Mutex<Option<Live>>,
}

impl Record {
    /// Begins a run of `command` on the stack's cluster; `lab_scale` is that of the lab, where it is known already.
    ///
    /// # Errors
    /// The run's folder or its file cannot be made.
    pub fn begin(project: &Project, command: &str, lab_scale: Option<f64>) -> anyhow::Result<Record> {
        Record::begin_in(project, command, Environment { lab_scale, ..environment(project) })
    }

    /// As [`Record::begin`], on the cluster that `environment` names.
    pub fn begin_in(project: &Project, command: &str, environment: Environment) -> anyhow::Result<Record> {
        Record::begun(project, start(command, None, environment))
    }

    /// Resumes the run in `dir`.
    ///
    /// # Errors
    /// Refused: another kgen still writes it; its file cannot be written.
    pub fn resume(dir: &Path) -> anyhow::Result<Record> {
        let writer = Writer::resume(dir).with_context(|| format!("resuming {}", dir.display())).map_err(refused)?;
        let head = Run::read(&dir.join(FILE))?.head;
        Ok(Record::of(head, dir.to_owned(), Some(writer)))
    }

    fn begun(project: &Project, start: Start) -> anyhow::Result<Record> {
        let runs = project.runs_dir();
        let writer =
            Writer::create(&runs, start).with_context(|| format!("recording the run in {}", runs.display()))?;
        let dir = writer.dir().to_owned();
        let head = Run::read(&dir.join(FILE))?.head;
        Ok(Record::of(head, dir, Some(writer)))
    }

    /// As [`Record::begin`], under the name `id` if there is one. Where nothing can be written, the run continues
    /// without a record, and the reason is returned as well.
    pub fn begin_if_possible(
        project: &Project,
        command: &str,
        id: Option<String>,
        environment: Environment,
    ) -> (Record, Option<String>) {
        let start = start(command, id, environment);
        match Record::begun(project, start.clone()) {
            Ok(record) => (record, None),
            Err(error) => {
                let why = format!("{error:#}");
                ensure_unwritable(error);
                let Start { id, command, args, started, environment } = start;
                let schema = crate::run::SCHEMA.to_owned();
                let head = Head { schema, id, command, args, started, environment };
                (Record::of(head, PathBuf::new(), None), Some(why))
            }
        }
    }

    fn of(head: Head, dir: PathBuf, writer: Option<Writer>) -> Record {
        Record(Arc::new(Inner { head, dir, writer: Mutex::new(writer), screen: Mutex::new(None) }))
    }

    pub fn head(&self) -> &Head {
        &self.0.head
    }

    pub fn id(&self) -> &str {
        &self.0.head.id
    }

    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Reports the run to `screen` from now on. Until it is closed, what is printed is kept for afterwards.
    pub fn draw_on(&self, screen: Live) {
        let tell = screen.teller();
        edge::hold(move |text| tell(Entry { at: now(), event: Event::note(text) }));
        // It may have been left already.
        if screen.is_closed() {
            edge::release();
        }
        *self.0.screen.lock() = Some(screen);
    }

    /// Whether the run is being drawn.
    pub fn is_shown(&self) -> bool {
        self.0.screen.lock().as_ref().is_some_and(|screen| !screen.is_closed())
    }

    /// How the screen was left, if it was.
    pub fn left(&self) -> Option<Quit> {
        self.0.screen.lock().as_ref().and_then(Live::left)
    }

    /// Restores the terminal, and prints what was kept.
    pub fn close(&self) {
        let screen = self.0.screen.lock().take();
        drop(screen);
        edge::release();
    }

    /// # Errors
    /// The record cannot be written.
    pub fn tell(&self, event: Event) -> anyhow::Result<()> {
        self.tell_at(now(), event)
    }

    /// # Errors
    /// The record cannot be written.
    pub fn tell_at(&self, at: Timestamp, event: Event) -> anyhow::Result<()> {
        let entry = edge::redacted_entry(Entry { at, event });
        if let Some(screen) = &*self.0.screen.lock() {
            screen.tell(&entry);
        }
        let mut writer = self.0.writer.lock();
        let written = writer.as_mut().map_or(Ok(()), |writer| writer.write(&entry));
        if matches!(entry.event, Event::End(_)) {
            // The last line: another thread may still tell something, also another end.
            *writer = None;
        }
        written
            .inspect_err(|error| {
                // Whoever tells may continue, and the rest may be written: the record has a gap all the same.
                let copy = io::Error::new(error.kind(), error.to_string());
                edge::failed(anyhow::Error::new(copy).context(format!("writing {}", self.0.dir.display())));
            })
            .with_context(|| format!("writing {}", self.0.dir.display()))
    }

    /// A second of the load.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn load(&self, tick: &Tick) -> anyhow::Result<()> {
        let at = run::at(tick.at_ms);
        for note in &tick.notes {
            self.tell_at(at, Event::note(format!("client: {note}")))?;
        }
        self.tell_at(at, Event::Load(second(tick)))
    }

    /// # Errors
    /// The record cannot be written.
    pub fn result(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.tell(Event::result(name, value)?)
    }

    /// The last line, whatever the outcome was; the first who says it is believed. Closes the screen.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn end(&self, played: &anyhow::Result<Outcome>, was_interrupted: bool) -> anyhow::Result<()> {
        let (exit_code, outcome, error) = match played {
            _ if was_interrupted => (Outcome::Interrupted.code(), "interrupted", None),
            Ok(outcome) => (outcome.code(), outcome.word(), None),
            Err(error) => (1, "failed", Some(format!("{error:#}"))),
        };
        let told = self.tell(Event::End(End { exit_code, outcome: outcome.to_owned(), error }));
        self.close();
        told
    }
}

/// A second of the load as runs record it.
fn second(tick: &Tick) -> LoadSecond {
    LoadSecond {
        at_s: tick.at_s,
        sample: tick.sample,
        max_ms: tick.max_ms,
        service_p99_ms: tick.service_p99_ms,
        offered: tick.total_offered,
        acknowledged: tick.total_acknowledged,
        failed: tick.total_failed,
    }
}

/// Of a run on the stack's cluster.
pub fn environment(project: &Project) -> Environment {
    let stack = project.stack();
    let (region, cluster) = (Some(stack.region().to_owned()), Some(stack.cluster().name.clone()));
    Environment { region, cluster, ..Environment::here() }
}

fn start(command: &str, id: Option<String>, environment: Environment) -> Start {
    let started = now();
    environment.cluster.iter().for_each(|name| edge::learn_cluster(name));
    let environment =
        Environment { cluster: environment.cluster.map(|name| edge::redacted(&name).into_owned()), ..environment };
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    Start {
        id: id.unwrap_or_else(|| new_id(command, started)),
        command: command.to_owned(),
        args: masked(args).iter().map(|arg| edge::redacted(arg).into_owned()).collect(),
        started,
        environment,
    }
}

/// A folder that nobody may write in is no failure. A disk that is full, or broken, is one.
fn ensure_unwritable(error: anyhow::Error) {
    use std::io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    let is_unwritable = |kind| [NotADirectory, PermissionDenied, ReadOnlyFilesystem].contains(&kind);
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    if !cause.is_some_and(|cause| is_unwritable(cause.kind())) {
        edge::failed(error);
    }
}
