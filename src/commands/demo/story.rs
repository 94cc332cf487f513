//! What happens in the demo, in the order in which it happens.

use std::{
    fs::File,
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use tokio::runtime::{Handle, Runtime};

use crate::{
    aws::Aws,
    change::{Figures, INTERVAL, LoadFigures},
    commands::{
        look::{Opened, open, own_look, refresh},
        out,
        place::Place,
        record::Record,
        watching::{STATE_EVERY, line},
    },
    diagnose::{Context, Diagnosis, diagnose},
    files::own,
    load::producer::{self, ProducerConfig, Summary, Tick},
    proof::Measured,
    report::Span,
    run::{self, Event, Observed, now},
    sample::{BrokerId, LoadSample, Sample},
    sandbox::Stage,
    stack::Stack,
};

/// What comes from the threads that look and load.
enum Come {
    Sample(Box<Sample>),
    Tick(Box<Tick>),
    Failed(anyhow::Error),
}

/// Samples of the brokers and seconds of the load, as they come, recorded and kept for the diagnosis.
pub struct Events {
    runtime: Handle,
    pub aws: Aws,
    pub context: Context,
    sender: Sender<Come>,
    inbox: Receiver<Come>,
    samples: Vec<Sample>,
    /// What the last [`WINDOW`] of the samples says.
    diagnosis: Diagnosis,
    record: Record,
    file: File,
    load: Option<Load>,
    latest_load: Option<Tick>,
    stretch: Stretch,
}

struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Summary>>,
}

/// What is being measured.
#[derive(Default)]
struct Stretch {
    from_sample: usize,
    from_ms: i64,
    load: LoadFigures,
    seconds: Vec<(i64, LoadSample)>,
}

/// What was measured, for the proof.
pub struct Kept {
    context: Context,
    span: Span,
    samples: Vec<Sample>,
    load: Vec<LoadSample>,
}

impl Kept {
    pub fn measured(&self) -> Measured<'_> {
        Measured { context: Some(&self.context), samples: &self.samples, load: &self.load }
    }

    pub fn span(&self) -> Span {
        self.span
    }
}

/// The samples of the run by themselves.
const SAMPLES: &str = "samples.jsonl";

/// How far back the diagnosis looks.
pub const WINDOW: Duration = Duration::from_secs(30);

/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(30);

impl Events {
    /// Begins to sample the stack's cluster; every sample is recorded.
    pub fn watch(runtime: &Runtime, stack: &Stack, place: &Place, record: Record) -> anyhow::Result<Events> {
        let Opened { aws, context, source, .. } = runtime.block_on(open(&own_look(), stack, place))?;
        let events = Events::new(runtime, aws, context, record)?;
        let samples = events.sender.clone();
        runtime.spawn(async move {
            let mut stream = source.stream(INTERVAL);
            while let Some(sample) = stream.recv().await {
                let event = sample.map_or_else(|error| Come::Failed(error.into()), |s| Come::Sample(Box::new(s)));
                if samples.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(events)
    }

    fn new(runtime: &Runtime, aws: Aws, context: Context, record: Record) -> anyhow::Result<Events> {
        let (sender, inbox) = mpsc::channel();
        let path = record.dir().join(SAMPLES);
        let file = own::create(&path, 0o666).with_context(|| format!("writing {}", path.display()))?;
        Ok(Events {
            runtime: runtime.handle().clone(),
            aws,
            diagnosis: diagnose(&context, &[]),
            context,
            sender,
            inbox,
            samples: Vec::new(),
            record,
            file,
            load: None,
            latest_load: None,
            stretch: Stretch::default(),
        })
    }

    /// The samples by themselves, for `kgen diagnose --replay`.
    pub fn record(&self) -> PathBuf {
        self.record.dir().join(SAMPLES)
    }

    /// Begins the load on a thread of its own.
    pub fn start_load(&mut self, config: ProducerConfig) {
        let (stop, ticks) = (Arc::new(AtomicBool::new(false)), self.sender.clone());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            // Nobody listens any more when the demo is ending.
            producer::run(&config, &stopped, &mut |tick| drop(ticks.send(Come::Tick(Box::new(tick.clone())))))
        });
        self.load = Some(Load { stop, thread });
    }

    /// Ends the load, and waits for its last answers.
    ///
    /// # Errors
    /// It had failed.
    pub fn stop_load(&mut self) -> anyhow::Result<Summary> {
        let load = self.load.take().context("no load was started")?;
        load.stop.store(true, Ordering::SeqCst);
        load.thread.join().map_err(|_| anyhow!("the load generator panicked"))?
    }

    /// Waits for the next sample.
    ///
    /// # Errors
    /// The demo was interrupted, nothing came for half a minute, or the load has ended too early.
    pub fn next(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            stage.ensure_not_interrupted()?;
            match self.inbox.recv_timeout(Duration::from_millis(200)) {
                Ok(Come::Sample(sample)) => return self.take(*sample),
                Ok(Come::Tick(tick)) => self.take_tick(*tick)?,
                Ok(Come::Failed(error)) => return Err(error.context("sampling the brokers")),
                Err(RecvTimeoutError::Disconnected) => bail!("the sampling of the brokers has ended"),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.load.as_ref().is_some_and(|load| load.thread.is_finished()) {
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

    /// Does something that takes its time, while samples and seconds of the load are recorded as they come.
    ///
    /// # Errors
    /// What `act` says; else why something could not be taken.
    pub fn during<T>(&mut self, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        /// Ends the taking in each case, also when `act` panics: the scope waits for it.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| self.take_until(&is_over));
            let over = Over(&is_over);
            let acted = act();
            drop(over);
            let taken = taking.join().map_err(|_| anyhow!("the recording of samples panicked"))?;
            acted.and_then(|acted| taken.map(|()| acted))
        })
    }

    fn take_until(&mut self, is_over: &AtomicBool) -> anyhow::Result<()> {
        let mut state_read = Instant::now();
        while !is_over.load(Ordering::SeqCst) {
            match self.inbox.recv_timeout(Duration::from_millis(200)) {
                Ok(come) => self.take_any(come)?,
                Err(RecvTimeoutError::Disconnected) => bail!("the sampling of the brokers has ended"),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if state_read.elapsed() >= STATE_EVERY {
                // Samples go on while the control plane does not answer.
                if let Err(error) = self.runtime.block_on(refresh(&self.aws, &mut self.context)) {
                    eprintln!("note: {error}");
                }
                state_read = Instant::now();
            }
        }
        self.take_waiting()
    }

    /// Takes what has come already.
    fn take_waiting(&mut self) -> anyhow::Result<()> {
        while let Ok(come) = self.inbox.try_recv() {
            self.take_any(come)?;
        }
        Ok(())
    }

    fn take_any(&mut self, come: Come) -> anyhow::Result<()> {
        match come {
            Come::Sample(sample) => self.take(*sample),
            Come::Tick(tick) => self.take_tick(*tick),
            Come::Failed(error) => Err(error.context("sampling the brokers")),
        }
    }

    fn take(&mut self, mut sample: Sample) -> anyhow::Result<()> {
        sample.load = self.latest_load.as_ref().map(|tick| tick.sample);
        sample.cluster_state = self.context.state.clone();
        let at = run::at(sample.at_ms);
        self.samples.push(sample.clone());
        self.diagnosis = diagnose(&self.context, self.samples(WINDOW));
        let observed = Observed::new(self.context.clone(), sample, &self.diagnosis);
        writeln!(self.file, "{}", out::leaving_json(&line(&observed))?)
            .with_context(|| format!("writing {}", self.record().display()))?;
        self.record.tell_at(at, Event::Sample(Box::new(observed)))
    }

    /// What the last [`WINDOW`] of the samples says: what every sample is recorded with.
    pub fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
    }

    fn take_tick(&mut self, tick: Tick) -> anyhow::Result<()> {
        self.record.load(&tick)?;
        self.stretch.seconds.push((tick.at_ms, tick.sample));
        let load = &mut self.stretch.load;
        let seconds = self.latest_load.as_ref().map_or(tick.at_s, |last| tick.at_s - last.at_s);
        load.seconds += seconds;
        load.offered += tick.sample.offered_per_s * seconds;
        load.acknowledged += tick.sample.acknowledged_per_s * seconds;
        load.response.add(&tick.response);
        self.latest_load = Some(tick);
        Ok(())
    }

    /// The samples of the last `window`, since [`Events::forget`].
    pub fn samples(&self, window: Duration) -> &[Sample] {
        let Some(last) = self.samples.last() else { return &[] };
        let from = last.at_ms - window.as_millis() as i64;
        let first = self.samples.partition_point(|sample| sample.at_ms < from);
        &self.samples[first..]
    }

    /// The broker that uses most of its capacity now, percent.
    pub fn busiest(&self) -> Option<(BrokerId, f64)> {
        let brokers = &self.samples.last()?.brokers;
        let cpus = brokers.iter().filter_map(|(id, broker)| Some((*id, broker.cpu_percent()?)));
        cpus.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Records what waits, and judges nothing by the samples so far: they are of another cluster than there is now.
    ///
    /// # Errors
    /// The record cannot be written, or the sampling has failed.
    pub fn forget(&mut self) -> anyhow::Result<()> {
        self.take_waiting()?;
        self.samples.clear();
        self.diagnosis = diagnose(&self.context, &[]);
        self.start_stretch();
        Ok(())
    }

    /// Measures from here.
    pub fn start_stretch(&mut self) {
        let from_ms = now().as_millisecond();
        self.stretch = Stretch { from_sample: self.samples.len(), from_ms, ..Stretch::default() };
    }

    /// What was measured since.
    pub fn figures(&self, broker_type: &str) -> Figures {
        Figures::of(broker_type, &self.samples[self.stretch.from_sample..]).with_load(&self.stretch.load)
    }

    /// The same, whole: what lies in the stretch by its own time, as a reader of the record would find it.
    pub fn measured(&self) -> Kept {
        let span = Span { from_ms: self.stretch.from_ms, to_ms: now().as_millisecond() };
        let samples = self.samples.iter().filter(|sample| span.holds(sample.at_ms)).cloned().collect();
        let seconds = self.stretch.seconds.iter().filter(|(at, _)| span.holds(*at));
        Kept { context: self.context.clone(), span, samples, load: seconds.map(|(_, load)| *load).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::Verdict,
        project::Project,
        run::Run,
        sample::{BrokerSample, BrokerState},
    };

    /// Three brokers without a rest of CPU.
    fn busy() -> Sample {
        let broker = BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(90.0),
            cpu_system_percent: Some(5.0),
            under_replicated_partitions: Some(0),
            ..BrokerSample::default()
        };
        Sample { brokers: (1..=3).map(|id| (id, broker.clone())).collect(), ..Sample::default() }
    }

    #[test]
    fn what_comes_during_the_fix_is_recorded_as_it_comes_and_judges_nothing_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::begin(&Project::open(dir.path()).unwrap(), "demo", None).unwrap();
        let runtime = Runtime::new().unwrap();
        let aws = runtime.block_on(Aws::connect_to("us-west-2", "http://127.0.0.1:1"));
        let mut events = Events::new(&runtime, aws, Context::default(), record.clone()).unwrap();
        let sender = events.sender.clone();
        let sample = |at_ms| Come::Sample(Box::new(Sample { at_ms, ..Sample::default() }));
        let recorded = || Run::read(record.dir()).unwrap().samples().count();
        let seen = events.during(|| {
            (1..=3).for_each(|at| sender.send(sample(at)).unwrap());
            let started = Instant::now();
            while recorded() < 3 && started.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(recorded())
        });
        assert_eq!(seen.unwrap(), 3);
        sender.send(sample(4)).unwrap();
        events.forget().unwrap();
        assert_eq!((recorded(), events.samples(Duration::from_secs(60)).len()), (4, 0));

        // Every sample of the record has the verdict of the samples so far.
        for second in 0..20 {
            sender.send(Come::Sample(Box::new(Sample { at_ms: second * 1000, ..busy() }))).unwrap();
        }
        events.context = Context { broker_count: 3, broker_type: Some("kafka.m5.large".into()), ..Context::default() };
        events.take_waiting().unwrap();
        let run = Run::read(record.dir()).unwrap();
        let verdicts: Vec<_> = run.samples().filter_map(|observed| observed.verdict).collect();
        assert_eq!((verdicts.len(), verdicts[4]), (24, Verdict::Inconclusive));
        assert_eq!((run.verdict(), events.diagnosis().verdict), (Some(Verdict::CauseFound), Verdict::CauseFound));
        let lines = std::fs::read_to_string(events.record()).unwrap();
        assert!(lines.lines().last().unwrap().contains(r#""verdict":"cause_found","findings":["broker.undersized""#));

        let failed = events.during(|| {
            sender.send(Come::Failed(anyhow!("gone"))).unwrap();
            Ok(())
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("gone"));
    }
}
