//! What the demo sees: samples of the brokers and seconds of the load, recorded as they come and kept for the proof.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use parking_lot::Mutex;

use crate::{
    change::{ClusterView, Figures, INTERVAL, LoadFigures},
    diagnose::{Context, Diagnosis},
    edge,
    files::own,
    load::{
        producer::{ProducerConfig, Summary, Tick},
        sending::Sending,
    },
    proof::Measured,
    record::Record,
    report::Span,
    run::{Event, now},
    sample::{BrokerId, LoadSample, Sample},
    sandbox::Stage,
    stack::Stack,
    watch::{Following, Line, Place, Session},
};

/// The samples of the run by themselves.
const SAMPLES: &str = "samples.jsonl";

/// How far back the diagnosis looks.
pub const WINDOW: Duration = Duration::from_secs(30);

/// The samples in it.
const LOOK_BACK: usize = (WINDOW.as_secs() / INTERVAL.as_secs()) as usize + 1;

/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(30);

/// Time between two looks whether the demo was interrupted.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The cluster, watched, and its load.
pub struct Seen {
    session: Session,
    record: Record,
    load: Option<Sending>,
    loaded: Arc<Mutex<Loaded>>,
    measured_from_ms: i64,
}

/// What the load has seen.
#[derive(Default)]
struct Loaded {
    /// The newest second: when it ended, s after the start, and what it saw.
    latest: Option<(f64, LoadSample)>,
    /// Of the stretch that is being measured.
    figures: LoadFigures,
    seconds: Vec<(i64, LoadSample)>,
    failed: Option<anyhow::Error>,
}

impl Loaded {
    fn take(&mut self, tick: &Tick) {
        self.seconds.push((tick.at_ms, tick.sample));
        let seconds = self.latest.map_or(tick.at_s, |(last, _)| tick.at_s - last);
        let figures = &mut self.figures;
        figures.seconds += seconds;
        figures.offered += tick.sample.offered_per_s * seconds;
        figures.acknowledged += tick.sample.acknowledged_per_s * seconds;
        figures.response.add(&tick.response);
        self.latest = Some((tick.at_s, tick.sample));
    }
}

/// What was measured, for the proof.
pub struct Stretch {
    context: Context,
    span: Span,
    samples: Vec<Sample>,
    load: Vec<LoadSample>,
    pub figures: Figures,
}

impl Stretch {
    pub fn measured(&self) -> Measured<'_> {
        Measured { context: Some(&self.context), samples: &self.samples, load: &self.load }
    }

    pub fn span(&self) -> Span {
        self.span
    }
}

impl Seen {
    /// Begins to watch the stack's cluster.
    ///
    /// # Errors
    /// The samples cannot be written.
    pub fn begin(stack: &Stack, place: &Place, record: &Record) -> anyhow::Result<Seen> {
        let path = record.dir().join(SAMPLES);
        let file = own::create(&path, 0o666).with_context(|| format!("writing {}", path.display()))?;
        let loaded = Arc::<Mutex<Loaded>>::default();
        let latest = Arc::clone(&loaded);
        let view = ClusterView::of(&stack.cluster().name, stack.region(), place, INTERVAL);
        let following = Following {
            interval: INTERVAL,
            look_back: LOOK_BACK,
            load: Box::new(move || latest.lock().latest.map(|(_, sample)| sample)),
            tell: Box::new(telling(record.clone(), file, path)),
        };
        let session = Session::start(async move || view.open().await, following);
        Ok(Seen { session, record: record.clone(), load: None, loaded, measured_from_ms: 0 })
    }

    /// Where the samples by themselves are, for `kgen diagnose --replay`.
    pub fn samples_file(&self) -> PathBuf {
        self.record.dir().join(SAMPLES)
    }

    /// Begins the load on a thread of its own.
    pub fn start_load(&mut self, config: ProducerConfig) {
        let (loaded, record) = (Arc::clone(&self.loaded), self.record.clone());
        self.load = Some(Sending::start(config, move |tick| {
            let recorded = record.load(tick);
            let mut loaded = loaded.lock();
            loaded.take(tick);
            if let Err(error) = recorded {
                loaded.failed.get_or_insert(error);
            }
        }));
    }

    /// Ends the load, and waits for its last answers.
    ///
    /// # Errors
    /// It had failed.
    pub fn stop_load(&mut self) -> anyhow::Result<Summary> {
        self.load.take().context("no load was started")?.end()
    }

    /// Waits for the next sample.
    ///
    /// # Errors
    /// The demo was interrupted, nothing came for half a minute, or the load has ended too early.
    pub fn next(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            stage.ensure_not_interrupted()?;
            if let Some(error) = self.loaded.lock().failed.take() {
                return Err(error);
            }
            if self.session.next(LOOK_EVERY)? {
                return Ok(());
            }
            if self.load.as_ref().is_some_and(Sending::is_over) {
                let summary = self.stop_load()?;
                bail!("the load ended after {:.0} s, before the story did", summary.duration_s);
            }
            if started.elapsed() > SILENCE {
                bail!("no sample of the brokers came for {} s", SILENCE.as_secs());
            }
        }
    }

    pub fn run_for(&mut self, time: Duration, stage: &Stage) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < time {
            self.next(stage)?;
        }
        Ok(())
    }

    /// The cluster as it was at the newest sample.
    pub fn context(&self) -> Context {
        self.session.context()
    }

    /// What the last [`WINDOW`] of the samples says: what every sample is recorded with.
    pub fn diagnosis(&self) -> Diagnosis {
        self.session.diagnosis()
    }

    /// The samples of the last `window`, since [`Seen::forget`].
    pub fn samples(&self, window: Duration) -> Vec<Sample> {
        self.session.samples(window)
    }

    /// The broker that uses most of its capacity now, percent.
    pub fn busiest(&self) -> Option<(BrokerId, f64)> {
        let sample = self.session.newest()?;
        let cpus = sample.brokers.iter().filter_map(|(id, broker)| Some((*id, broker.cpu_percent()?)));
        cpus.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Judges nothing by the samples so far: they are of another cluster than there is now.
    pub fn forget(&mut self) {
        self.session.forget();
    }

    /// Measures for `time`.
    ///
    /// # Errors
    /// As [`Seen::next`].
    pub fn measure(&mut self, time: Duration, broker_type: &str, stage: &Stage) -> anyhow::Result<Stretch> {
        self.measured_from_ms = now().as_millisecond();
        {
            let mut loaded = self.loaded.lock();
            (loaded.figures, loaded.seconds) = Default::default();
        }
        self.run_for(time, stage)?;
        let span = Span { from_ms: self.measured_from_ms, to_ms: now().as_millisecond() };
        let samples: Vec<Sample> = self.session.samples_since(span.from_ms);
        let samples: Vec<Sample> = samples.into_iter().filter(|sample| span.holds(sample.at_ms)).collect();
        let loaded = self.loaded.lock();
        let figures = Figures::of(broker_type, &samples).with_load(&loaded.figures);
        let load = loaded.seconds.iter().filter(|(at, _)| span.holds(*at)).map(|(_, load)| *load).collect();
        Ok(Stretch { context: self.session.context(), span, samples, load, figures })
    }
}

/// Records each sample, and writes it to `file` by itself too.
fn telling(
    record: Record,
    mut file: File,
    path: PathBuf,
) -> impl FnMut(jiff::Timestamp, Event) -> anyhow::Result<()> + Send {
    move |at, event| {
        if let Event::Sample(observed) = &event {
            write_line(&mut file, &path, &Line::of(observed))?;
        }
        record.tell_at(at, event)
    }
}

fn write_line(file: &mut File, path: &Path, line: &Line<'_>) -> anyhow::Result<()> {
    writeln!(file, "{}", edge::leaving_json(line)?).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{Verdict, diagnose},
        project::Project,
        run::{self, Observed, Run},
        sample::{BrokerSample, BrokerState},
    };

    /// Three brokers without a rest of CPU.
    fn busy(at_ms: i64) -> Sample {
        let broker = BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(90.0),
            cpu_system_percent: Some(5.0),
            under_replicated_partitions: Some(0),
            ..BrokerSample::default()
        };
        Sample { at_ms, brokers: (1..=3).map(|id| (id, broker.clone())).collect(), ..Sample::default() }
    }

    #[test]
    fn every_sample_is_recorded_with_its_verdict_and_written_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::begin(&Project::open(dir.path()).unwrap(), "demo", None).unwrap();
        let path = record.dir().join(SAMPLES);
        let mut tell = telling(record.clone(), own::create(&path, 0o666).unwrap(), path.clone());
        let context = Context { broker_count: 3, broker_type: Some("kafka.m5.large".into()), ..Context::default() };
        let mut samples = Vec::new();
        for second in 0..20 {
            samples.push(busy(second * 1000));
            let observed = Observed::new(context.clone(), busy(second * 1000), &diagnose(&context, &samples));
            tell(run::at(second * 1000), Event::Sample(Box::new(observed))).unwrap();
        }
        tell(run::at(20_000), Event::note("the control plane does not answer")).unwrap();
        let run = Run::read(record.dir()).unwrap();
        let verdicts: Vec<_> = run.samples().filter_map(|observed| observed.verdict).collect();
        assert_eq!(
            (verdicts.len(), verdicts[0], run.verdict()),
            (20, Verdict::Inconclusive, Some(Verdict::CauseFound))
        );
        let lines = std::fs::read_to_string(path).unwrap();
        assert_eq!(lines.lines().count(), 20);
        assert!(lines.lines().last().unwrap().contains(r#""verdict":"cause_found","findings":["broker.undersized""#));
    }

    #[test]
    fn seconds_of_the_load_add_up() {
        let tick = |at_s: f64, per_s: f64| Tick {
            at_s,
            at_ms: (at_s * 1000.0) as i64,
            sample: LoadSample { offered_per_s: per_s, acknowledged_per_s: per_s / 2.0, ..LoadSample::default() },
            ..Tick::default()
        };
        let mut loaded = Loaded::default();
        loaded.take(&tick(1.0, 100.0));
        loaded.take(&tick(3.0, 200.0));
        let LoadFigures { seconds, offered, acknowledged, .. } = loaded.figures;
        assert_eq!((seconds, offered, acknowledged, loaded.seconds.len()), (3.0, 500.0, 250.0, 2));
    }
}
