//! Samples of a cluster as they come: judged, and told to the record with what is found.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    diagnose::fixes,
    look::{Line, Opened, open, refresh, runtime},
    place::Place,
    record::Record,
    resize::own_look,
};
use crate::{
    aws::Aws,
    cli::Look,
    diagnose::{Context, Diagnosis, Verdict, diagnose},
    finding_id,
    project::Project,
    run::{self, Entry, Event, Found, Mark, Observed},
    sample::Sample,
    stack::Stack,
};

/// Samples that the running diagnosis looks back on.
const LOOK_BACK: usize = 60;

/// Time between two looks at the control plane.
pub const STATE_EVERY: Duration = Duration::from_secs(5);

/// What is found at every beginning, and no news.
const TOO_FEW: &str = finding_id::INCONCLUSIVE_TOO_FEW_SAMPLES;

/// What is known of a cluster that is watched.
pub struct Watching {
    aws: Aws,
    pub context: Context,
    record: Record,
    /// Where the fix's change of the HCL is read from.
    terraform_dir: PathBuf,
    samples: VecDeque<Sample>,
    state_read: Instant,
    held: BTreeSet<&'static str>,
    marks: Marks,
}

impl Watching {
    pub fn new(aws: Aws, context: Context, project: &Project, record: Record, marks: Marks) -> Watching {
        Watching {
            aws,
            context,
            record,
            terraform_dir: project.terraform_dir(),
            samples: VecDeque::new(),
            state_read: Instant::now(),
            held: BTreeSet::new(),
            marks,
        }
    }

    /// Judges a sample and tells it with all that is new. Returns what was told; nothing of a sample that was there before.
    ///
    /// # Errors
    /// The record cannot be written.
    pub async fn take(&mut self, mut sample: Sample) -> anyhow::Result<Vec<Entry>> {
        if self.state_read.elapsed() >= STATE_EVERY {
            // Metrics go on while the control plane does not answer.
            if let Err(error) = refresh(&self.aws, &mut self.context).await {
                eprintln!("note: {error}");
            }
            self.state_read = Instant::now();
        }
        sample.cluster_state = self.context.state.clone();
        // CloudWatch gives the same minute until the next one is complete.
        if self.samples.back().is_some_and(|last| last.at_ms == sample.at_ms) {
            return Ok(Vec::new());
        }
        self.samples.push_back(sample);
        if self.samples.len() > LOOK_BACK {
            self.samples.pop_front();
        }
        let diagnosis = diagnose(&self.context, self.samples.make_contiguous());
        let Some(sample) = self.samples.back() else { return Ok(Vec::new()) };
        let at = run::at(sample.at_ms);
        let observed = Observed::new(self.context.clone(), sample.clone(), &diagnosis);
        let marks = self.marks.of(&self.context, sample, &diagnosis);
        let mut events = vec![Event::Sample(Box::new(observed))];
        let told = diagnosis.findings.iter().map(|finding| finding.id).filter(|id| *id != TOO_FEW);
        let holds: BTreeSet<&'static str> = told.collect();
        if !holds.is_subset(&self.held) {
            let fixes = fixes(&self.context, &diagnosis, &self.terraform_dir);
            let new = diagnosis
                .findings
                .iter()
                .zip(fixes)
                .filter(|(finding, _)| holds.contains(finding.id) && !self.held.contains(finding.id));
            let found = new.map(|(finding, fix)| Found::new(&self.context.cluster, diagnosis.verdict, finding, fix));
            events.extend(found.map(|found| Event::Finding(Box::new(found))));
        }
        self.held = holds;
        events.extend(marks);
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            self.record.tell_at(at, event.clone())?;
            told.push(Entry { at, event });
        }
        Ok(told)
    }
}

/// One line of `kgen watch --json`.
pub fn line(observed: &Observed) -> Line {
    Line {
        schema: Line::SCHEMA.to_owned(),
        cluster: observed.cluster.clone(),
        sample: observed.sample.clone(),
        verdict: observed.verdict,
        findings: observed.findings.clone(),
    }
}

/// Which points of a trouble have been marked, until it is over.
#[derive(Debug, Default)]
pub struct Marks {
    /// CPU of a broker above which its alarm is set off, percent.
    threshold: f64,
    /// A command that changes the type itself says when it is done.
    leaves_fixed: bool,
    broker_type: Option<String>,
    /// Samples in a row with a broker above it.
    above: usize,
    named: bool,
}

/// Samples in a row that are no mere peak.
const LASTING: usize = 3;

impl Marks {
    pub fn new(stack: &Stack) -> Marks {
        Marks { threshold: stack.alarms().cpu_percent, ..Marks::default() }
    }

    pub fn without_fixed(self) -> Marks {
        Marks { leaves_fixed: true, ..self }
    }

    fn of(&mut self, context: &Context, sample: &Sample, diagnosis: &Diagnosis) -> Vec<Event> {
        let mut marks = Vec::new();
        let cpus = sample.brokers.iter().filter_map(|(id, broker)| Some((*id, broker.cpu_percent()?)));
        let busiest = cpus.max_by(|a, b| a.1.total_cmp(&b.1));
        // A sample without any CPU says nothing of it.
        if let Some((_, cpu)) = busiest {
            self.above = if cpu > self.threshold { self.above + 1 } else { 0 };
        }
        if let Some((broker, cpu)) = busiest.filter(|_| self.above == LASTING && !self.named) {
            let text =
                format!("CPU of broker {broker} is {cpu:.0} % of what it may use (alarm at {} %)", self.threshold);
            marks.push(Event::mark(Mark::Seen, text));
        }
        if let Some(finding) = diagnosis.findings.first().filter(|_| diagnosis.verdict == Verdict::CauseFound)
            && !self.named
        {
            self.named = true;
            marks.push(Event::mark(Mark::Named, format!("{}: {}", finding.id, finding.title)));
        }
        if context.state.as_deref() == Some("ACTIVE") && context.broker_type != self.broker_type {
            let before = std::mem::replace(&mut self.broker_type, context.broker_type.clone());
            if let (Some(before), Some(now), false) = (before, &context.broker_type, self.leaves_fixed) {
                marks.push(Event::mark(Mark::Fixed, format!("every broker is {now}, no longer {before}")));
            }
        }
        if diagnosis.verdict == Verdict::Healthy {
            if self.named {
                marks.push(Event::mark(Mark::Verified, "healthy again"));
            }
            self.named = false;
        }
        marks
    }
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
    /// The cluster or a source of its metrics is not to be found.
    pub async fn open(&self) -> anyhow::Result<Opened> {
        open(&self.look, self.project.stack(), &self.place).await
    }
}

/// A cluster, watched on a thread of its own while a command does something else. Dropping it ends it.
pub struct Beside {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    /// Begins to watch. When the cluster cannot be watched, the record says why, and the command goes on.
    pub fn start(watched: Watched, record: &Record, marks: Marks) -> Beside {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, record) = (Arc::clone(&stop), record.clone());
        let thread = std::thread::spawn(move || {
            let ended = runtime().and_then(|runtime| {
                runtime.block_on(async {
                    tokio::select! {
                        ended = watch(&watched, &record, marks) => ended,
                        () = told(&stopped) => Ok(()),
                    }
                })
            });
            if let Err(error) = ended {
                let _ = record.tell(Event::note(format!("the brokers are not watched: {error:#}")));
            }
        });
        Beside { stop, thread: Some(thread) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn watch(watched: &Watched, record: &Record, marks: Marks) -> anyhow::Result<()> {
    let Opened { aws, context, source } = watched.open().await?;
    let mut watching = Watching::new(aws, context, &watched.project, record.clone(), marks);
    let mut samples = source.stream(watched.look.interval);
    while let Some(sample) = samples.recv().await {
        watching.take(sample?).await?;
    }
    Ok(())
}

/// Comes back once `flag` is set.
async fn told(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnose::Finding, sample::BrokerSample};

    #[test]
    fn a_trouble_is_marked_once_until_it_is_over() {
        let mut marks = Marks { threshold: 60.0, ..Marks::default() };
        let mut step = |cpu: f64, verdict: Verdict, broker_type: &str| {
            let broker =
                BrokerSample { cpu_user_percent: Some(cpu), cpu_system_percent: Some(0.0), ..BrokerSample::default() };
            let sample = Sample { brokers: [(1, broker)].into(), ..Sample::default() };
            let context =
                Context { broker_type: Some(broker_type.into()), state: Some("ACTIVE".into()), ..Context::default() };
            let findings = vec![Finding { id: "broker.undersized", ..Finding::default() }];
            let events = marks.of(&context, &sample, &Diagnosis { verdict, findings, coverage: Default::default() });
            let name = |event: &Event| match event {
                Event::Mark(marked) => marked.mark.name(),
                _ => "?",
            };
            events.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(step(10.0, Verdict::Healthy, "small"), [""; 0]);
        assert_eq!(step(90.0, Verdict::Inconclusive, "small"), [""; 0]);
        assert_eq!(step(90.0, Verdict::Inconclusive, "small"), [""; 0]);
        assert_eq!(step(90.0, Verdict::CauseFound, "small"), ["seen", "named"]);
        assert_eq!(step(95.0, Verdict::CauseFound, "small"), [""; 0]);
        assert_eq!(step(30.0, Verdict::Inconclusive, "large"), ["fixed"]);
        assert_eq!(step(30.0, Verdict::Healthy, "large"), ["verified"]);
        assert_eq!(step(30.0, Verdict::Healthy, "large"), [""; 0]);
        assert_eq!(step(90.0, Verdict::CauseFound, "large"), ["named"]);
    }
}
