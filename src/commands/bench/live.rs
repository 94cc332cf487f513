//! The runs of the benchmark, one after another on one lab: load, calm, fault, recovery.

mod outside;

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};

use crate::{
    aws::Aws,
    benchmark::{LOOK_BACK, SCENARIOS, Scenario, TRUTH, Truth, Variation, View, answer, find, judge_in, minutes},
    cli::{
        Outcome,
        bench::{BenchDiagnose, BenchView},
        lab::T3Mode,
        refused,
    },
    commands::{
        look::{Opened, open, own_look, refresh, runtime},
        out,
        place::Place,
        record::environment,
    },
    diagnose::{Context, diagnose},
    files::{bounded, own},
    finding_id,
    kafka::{
        Connection,
        admin::{Admin, TopicSpec},
    },
    lab::{
        exporter::host_cpu_pressure_percent,
        fault::{Abilities, Hits},
        limits::Means,
    },
    lab_api::{FaultOrder, LabFault},
    load::{
        keys::Keys,
        pacer::Rate,
        payload::Payload,
        producer::{self, Load, ProducerConfig, Summary, Tick},
        sizes::Sizes,
    },
    project::Project,
    run::{self, Entry, Event, Mark, Observed, Start, Writer, new_id, now},
    sample::{LoadSample, Sample},
    sandbox::{
        self,
        lab::{start_fault, stop_faults},
    },
};

/// Storage of one broker, GiB: MSK's own default, which the recorded runs have.
const VOLUME_GIB: i32 = 1000;

/// Seconds of calm before a fault at least.
const CALM_S: f64 = 10.0;
/// How long a fault goes on at least, and after it was first named rightly.
const FAULT_AT_LEAST: Duration = Duration::from_secs(12);
const NAMED_FOR: Duration = Duration::from_secs(6);
/// Seconds of load before anything is recorded: the first requests of a new topic are slow.
const WARM_UP: Duration = Duration::from_secs(4);
/// How long a cluster may take to be made, and to be well again after a fault.
const ACTIVE_WITHIN: Duration = Duration::from_secs(180);
const WELL_WITHIN: Duration = Duration::from_secs(120);
const BROKERS: u32 = 3;
const CLUSTER: &str = "kgen-bench";
/// What AWS advises: a client that waits for a batch (5 to 25 ms).
const LINGER_MS: &str = "20";
/// Load on new brokers before the first run: a JVM that has just begun takes several times the CPU.
const BROKERS_WARM_UP: Duration = Duration::from_secs(45);
/// Time between two looks at the control plane.
const STATE_EVERY: Duration = Duration::from_secs(3);
/// How long datapoints may be late, beside what they cover and CloudWatch's delay of two of them.
const LATE: Duration = Duration::from_secs(40);
/// How long the load may take to end.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// The lab of the benchmark and what is known of it.
struct Stage {
    sandbox: sandbox::Stage,
    place: Place,
    bootstrap: String,
}

/// Makes every run that is asked for and possible, below `out`.
///
/// # Errors
/// Refused: no such scenario, or another benchmark runs here. The lab cannot be raised, or a run cannot be recorded.
pub fn play(outer: &Project, args: &BenchDiagnose, out: &Path) -> anyhow::Result<Outcome> {
    let wanted = scenarios(&args.scenario)?;
    let abilities = Abilities::detect(&Means::detect(), outer.kgen_dir().as_path());
    let mut possible = Vec::new();
    for scenario in wanted {
        let faults = scenario.faults.iter().filter_map(|id| crate::lab::fault::find(id));
        match faults.filter_map(|fault| fault.obstacle(&abilities)).next() {
            Some(why) => eprintln!("{} cannot be made on this machine: it {why}", scenario.name),
            None => possible.push(scenario),
        }
    }
    let mut stage = Stage::raise(outer, args)?;
    let played = stage.play(args, &possible, out);
    let ended = stage.sandbox.end_lab();
    let outcome = played?;
    ended?;
    stage.sandbox.strike(&say)?;
    Ok(outcome)
}

fn say(text: &str) {
    eprintln!("{text}");
}

fn scenarios(names: &[String]) -> anyhow::Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let known = || SCENARIOS.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    let found = names
        .iter()
        .map(|name| find(name).ok_or_else(|| refused(anyhow!("no scenario is called {name}; there are: {}", known()))));
    found.collect()
}

impl Stage {
    fn raise(outer: &Project, args: &BenchDiagnose) -> anyhow::Result<Stage> {
        let text = format!("[cluster]\nname = \"{CLUSTER}\"\nbroker_type = \"{}\"\n", args.broker_type);
        let files = vec![(PathBuf::from("kgen.toml"), text.into_bytes())];
        let mut sandbox = sandbox::Stage::set(outer, &sandbox::Request { name: "bench", files }, &say)?;
        let short_minutes = match args.view {
            BenchView::Inside => Vec::new(),
            BenchView::Outside => outside::arguments(args.metrics_period),
        };
        sandbox.raise_lab_with(None, sandbox::hardware(args.t3 == T3Mode::Credits), short_minutes, &say)?;
        let place = sandbox.place()?;
        let made = runtime()?.block_on(made(&place, sandbox.project()));
        let bootstrap = made.inspect_err(|_| {
            // The error of the cluster counts.
            let _ = sandbox.end_lab();
        })?;
        Ok(Stage { sandbox, place, bootstrap })
    }

    fn play(&self, args: &BenchDiagnose, scenarios: &[&'static Scenario], out: &Path) -> anyhow::Result<Outcome> {
        fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
        self.warm_up()?;
        for number in args.first..=args.variations {
            for scenario in scenarios {
                if self.sandbox.was_interrupted() {
                    eprintln!("interrupted; what was recorded is in {}", out.display());
                    return Ok(Outcome::Interrupted);
                }
                let variation = Variation::of(scenario.name, number, BROKERS, CALM_S);
                let began = Instant::now();
                let told = match self.run(scenario, &variation, args, out) {
                    Ok(told) => told,
                    // One fault that cannot be started does not block the others.
                    Err(error) => format!("not recorded: {error:#}"),
                };
                eprintln!("{} {number}: {told} ({} s)", scenario.name, began.elapsed().as_secs());
                self.recover()?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Loads the brokers for a while, in a topic that goes away again.
    fn warm_up(&self) -> anyhow::Result<()> {
        let variation = Variation::of("warm-up", 1, BROKERS, CALM_S);
        let topic = "bench-warm-up";
        create(&self.admin()?, topic, &variation)?;
        let load = LoadThread::start(self.load(&variation, topic), |_| true);
        let end = Instant::now() + BROKERS_WARM_UP;
        while Instant::now() < end && !self.sandbox.was_interrupted() {
            std::thread::sleep(Duration::from_millis(200));
        }
        load.stop();
        self.recover()
    }

    /// Plays one run and records it.
    fn run(
        &self,
        scenario: &Scenario,
        variation: &Variation,
        args: &BenchDiagnose,
        out: &Path,
    ) -> anyhow::Result<String> {
        let topic = format!("bench-{}", variation.number);
        let admin = self.admin()?;
        create(&admin, &topic, variation)?;
        let (sender, inbox) = mpsc::channel();
        let loaded = Variation { rate: variation.rate * scenario.load, ..variation.clone() };
        let load = LoadThread::start(self.load(&loaded, &topic), {
            let sender = sender.clone();
            move |tick| sender.send(Come::Tick(Box::new(LoadSample::from(tick)))).is_ok()
        });
        std::thread::sleep(WARM_UP);
        let view = LiveView::of(args);
        let sampler = Sampler::start((self.sandbox.project().clone(), self.place.clone()), view, move |come| {
            sender.send(come).is_ok()
        });
        let id = new_id(&format!("{}-{}", scenario.name, variation.number), now());
        let writer = Writer::create(
            out,
            Start {
                id,
                command: "bench".to_owned(),
                args: vec![scenario.name.to_owned(), variation.number.to_string()],
                started: now(),
                environment: environment(self.sandbox.project()),
            },
        )?;
        let truth = Truth { scenario: scenario.name.to_owned(), variation: variation.clone(), ..Truth::default() };
        let mut recording = Recording {
            writer,
            inbox,
            cluster: Context::default(),
            window: VecDeque::new(),
            load: None,
            generator: None,
            truth,
            view,
            pressure: Vec::new(),
        };
        let played = self.play_out(scenario, variation, args, &topic, &admin, &mut recording);
        drop(sampler);
        load.stop();
        played?;
        recording.finish()?;
        let view = if args.view == BenchView::Outside { View::Outside } else { View::Inside };
        let judged = judge_in(&run::Run::read(recording.writer.dir())?, view);
        let judged = judged.context("the run that was just recorded is one of the benchmark")?;
        let named = judged.named.as_ref().filter(|_| judged.is_right());
        Ok(match (&judged.void, named.or(judged.first.as_ref())) {
            (Some(why), _) => format!("void: {why}"),
            (None, Some(answer)) if named.is_some() => {
                format!("right: {} after {:.0} s", answer.id, judged.named_after_s.unwrap_or_default())
            }
            (None, Some(answer)) => format!("WRONG: {}", answer.id),
            (None, None) if judged.is_right() => "right: nothing was found".to_owned(),
            (None, None) => "WRONG: nothing was found".to_owned(),
        })
    }

    fn play_out(
        &self,
        scenario: &Scenario,
        variation: &Variation,
        args: &BenchDiagnose,
        topic: &str,
        admin: &Admin,
        recording: &mut Recording,
    ) -> anyhow::Result<()> {
        recording.take_calm(Duration::from_secs_f64(variation.calm_s))?;
        let before = ends(admin, topic);
        recording.truth.asked_ms = Some(now().as_millisecond());
        let mut faults = Vec::new();
        for id in scenario.faults {
            faults = self.start(id, variation, topic)?;
        }
        recording.truth.on_ms = Some(now().as_millisecond());
        recording.truth.broker = faults.iter().find_map(|fault| fault.broker);
        recording.truth.groups = groups(&faults);
        if scenario.truth == [finding_id::CLIENT_GENERATOR_BOUND] {
            let clients = faults.iter().flat_map(|fault| &fault.clients);
            recording.generator = clients.map(|client| PathBuf::from(&client.log)).next();
        }
        recording.mark(format!("{} is made", scenario.name))?;
        let fault = recording.take_fault(scenario, Duration::from_secs(u64::from(args.seconds)));
        recording.truth.off_ms = Some(now().as_millisecond());
        recording.truth.partitions = hottest(topic, &before, &ends(admin, topic));
        let stopped = if scenario.faults.is_empty() || scenario.faults == [finding_id::CLUSTER_MAINTENANCE] {
            Ok(Vec::new())
        } else {
            stop_faults(self.sandbox.project(), self.sandbox.lab()?, None)
        };
        fault?;
        stopped?;
        Ok(())
    }

    fn start(&self, id: &str, variation: &Variation, topic: &str) -> anyhow::Result<Vec<LabFault>> {
        let known = crate::lab::fault::find(id).with_context(|| format!("there is no fault {id}"))?;
        let order = FaultOrder {
            id: id.to_owned(),
            cluster: Some(CLUSTER.to_owned()),
            broker: (known.hits == Hits::Broker).then_some(variation.broker),
            instance: None,
            region: None,
            topic: known.needs_topic().then(|| topic.to_owned()),
            strength: variation.strength,
        };
        start_fault(self.sandbox.project(), self.sandbox.lab()?, &order)
    }

    /// Waits until every broker takes part and every replica is in sync, and removes the topics of the run.
    fn recover(&self) -> anyhow::Result<()> {
        // Whatever a run that failed has left.
        let _ = stop_faults(self.sandbox.project(), self.sandbox.lab()?, None);
        let admin = self.admin()?;
        let began = Instant::now();
        while !admin.replication(Duration::from_secs(5)).is_ok_and(|seen| seen.is_whole(BROKERS as usize)) {
            if began.elapsed() > WELL_WITHIN {
                bail!("the cluster is not well {} s after a fault", WELL_WITHIN.as_secs());
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        let connection = Connection::plain(self.bootstrap.as_str());
        let cluster = connection.ensure_reachable(Duration::from_secs(20))?;
        for topic in cluster.topics.keys().filter(|topic| topic.starts_with("bench-")) {
            admin.delete(topic)?;
        }
        await_active(&self.place, self.sandbox.project())?;
        // Collections of garbage and the closing of connections are of the run before.
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    fn admin(&self) -> anyhow::Result<Admin> {
        Ok(Admin::connect(&Connection::plain(self.bootstrap.as_str()))?)
    }

    fn load(&self, variation: &Variation, topic: &str) -> ProducerConfig {
        let mut connection = Connection::plain(self.bootstrap.as_str());
        connection.settings.insert("linger.ms".to_owned(), LINGER_MS.to_owned());
        let load = Load {
            topics: vec![topic.to_owned()],
            rate: Rate::Constant(variation.rate),
            duration: Duration::from_secs(24 * 3600),
            max_records: u64::MAX,
            record_size: Sizes::Fixed(variation.record_size as usize),
            keys: Keys::UNIFORM,
            payload: Payload::Json,
            headers: Vec::new(),
            seed: u64::from(variation.number),
        };
        ProducerConfig::idempotent(load, connection, self.sandbox.project().runs_dir(), FLUSH_WITHIN)
    }
}

/// The topic of a run, as AWS advises it.
fn create(admin: &Admin, topic: &str, variation: &Variation) -> anyhow::Result<()> {
    Ok(admin.create(&TopicSpec {
        name: topic.to_owned(),
        partitions: variation.partitions as i32,
        replication_factor: BROKERS as i32,
        configs: BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]),
    })?)
}

/// Makes the cluster, and returns its bootstrap brokers when it is active.
async fn made(place: &Place, project: &Project) -> anyhow::Result<String> {
    let stack = project.stack();
    let aws = place.aws(stack.region()).await;
    aws.create_lab_cluster(CLUSTER, stack.cluster().broker_type.as_str(), BROKERS as i32, VOLUME_GIB).await?;
    active(&aws).await?;
    Ok(crate::commands::place::cluster(&aws, CLUSTER).await?.1)
}

async fn active(aws: &Aws) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let cluster = aws.cluster(CLUSTER).await?;
        match cluster.state.as_str() {
            "ACTIVE" => return Ok(()),
            "FAILED" => bail!("the lab could not make the cluster (`kgen lab status` says why)"),
            state if began.elapsed() > ACTIVE_WITHIN => bail!("the cluster is {state} still"),
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

fn await_active(place: &Place, project: &Project) -> anyhow::Result<()> {
    runtime()?.block_on(async { active(&place.aws(project.stack().region()).await).await })
}

/// What comes from the threads that look and load.
enum Come {
    Sample(Box<(Context, Sample)>),
    Tick(Box<LoadSample>),
    Failed(anyhow::Error),
}

/// A run that is being written.
struct Recording {
    writer: Writer,
    inbox: Receiver<Come>,
    /// The cluster and its samples as a live watcher has them now.
    cluster: Context,
    window: VecDeque<Sample>,
    /// What the load saw last.
    load: Option<LoadSample>,
    /// The output of a generator that is the fault itself: then its view counts.
    generator: Option<PathBuf>,
    truth: Truth,
    view: LiveView,
    /// CPU pressure of the machine at each datapoint, percent.
    pressure: Vec<f64>,
}

/// How a run is seen while it is recorded.
#[derive(Debug, Clone, Copy)]
enum LiveView {
    Inside,
    /// Datapoints that begin at `since_ms` or later, of this length.
    Outside {
        since_ms: i64,
        period: Duration,
    },
}

impl LiveView {
    fn of(args: &BenchDiagnose) -> LiveView {
        match args.view {
            BenchView::Inside => LiveView::Inside,
            BenchView::Outside => {
                LiveView::Outside { since_ms: now().as_millisecond(), period: Duration::from_secs(args.metrics_period) }
            }
        }
    }
}

impl Recording {
    fn write(&mut self, at: jiff::Timestamp, event: Event) -> anyhow::Result<()> {
        Ok(self.writer.write(&out::redacted_entry(Entry { at, event }))?)
    }

    /// Records the calm: for `time`, or as many datapoints as a run has.
    fn take_calm(&mut self, time: Duration) -> anyhow::Result<()> {
        match self.view {
            LiveView::Inside => self.take(time),
            LiveView::Outside { since_ms, period } => self.take_datapoints(since_ms, minutes::CALM, period),
        }
    }

    /// Records the fault: until it has been named, and no longer than `time`, or as many datapoints as a run has.
    fn take_fault(&mut self, scenario: &Scenario, time: Duration) -> anyhow::Result<()> {
        match self.view {
            LiveView::Inside => self.take_until_named(scenario, time),
            LiveView::Outside { period, .. } => {
                let on_ms = self.truth.on_ms.unwrap_or_default();
                self.take_datapoints(on_ms, minutes::FAULT, period)
            }
        }
    }

    /// Records until `count` datapoints have come that begin at `since_ms` or later.
    fn take_datapoints(&mut self, since_ms: i64, count: usize, period: Duration) -> anyhow::Result<()> {
        // One that it began in does not count, and CloudWatch is two of them late.
        let end = Instant::now() + period * (count as u32 + 3) + LATE;
        let mut taken = 0;
        while taken < count {
            if !self.take_sample(end)? {
                bail!("{taken} of {count} datapoints came in time");
            }
            taken += usize::from(self.window.back().is_some_and(|sample| sample.at_ms >= since_ms));
        }
        Ok(())
    }

    /// Records what comes within `time`.
    fn take(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while self.take_sample(end)? {}
        Ok(())
    }

    /// Records a fault until it has been named rightly for a while, and no longer than `time`. Samples of the time in which
    /// it was being made lie in the inbox still; they name nothing.
    fn take_until_named(&mut self, scenario: &Scenario, time: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut end = began + time;
        let mut is_named = false;
        while self.take_sample(end)? {
            if !is_named && self.is_named(scenario) {
                is_named = true;
                end = end.min((began + FAULT_AT_LEAST).max(Instant::now() + NAMED_FOR));
            }
        }
        Ok(())
    }

    /// Whether the newest sample is of the fault and leads to the right answer.
    fn is_named(&self, scenario: &Scenario) -> bool {
        let newest_ms = self.window.back().map(|sample| sample.at_ms);
        let window: Vec<Sample> = self.window.iter().cloned().collect();
        newest_ms >= self.truth.on_ms
            && answer(scenario, &self.truth, &diagnose(&self.cluster, &window)).is_some_and(|answer| answer.is_right)
    }

    /// Records the next sample; false when none came before `end`.
    fn take_sample(&mut self, end: Instant) -> anyhow::Result<bool> {
        loop {
            let come = match self.inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(come) => come,
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => bail!("neither samples nor load come any more"),
            };
            match come {
                Come::Tick(load) => self.load = Some(*load),
                Come::Failed(error) => return Err(error.context("watching the brokers")),
                Come::Sample(seen) => {
                    let (cluster, sample) = *seen;
                    let generator = self.generator.as_ref().and_then(|log| newest_tick(log));
                    let sample = match self.view {
                        LiveView::Inside => Sample { load: generator.or(self.load), ..sample },
                        // What the generator sees is not seen from outside.
                        LiveView::Outside { .. } => sample,
                    };
                    self.pressure.extend(host_cpu_pressure_percent());
                    self.window.push_back(sample.clone());
                    if self.window.len() > LOOK_BACK {
                        self.window.pop_front();
                    }
                    self.cluster = cluster.clone();
                    let observed = Observed { cluster, sample, verdict: None, findings: Vec::new() };
                    let at = run::at(observed.sample.at_ms);
                    self.write(at, Event::Sample(Box::new(observed)))?;
                    return Ok(true);
                }
            }
        }
    }

    fn mark(&mut self, text: String) -> anyhow::Result<()> {
        self.write(now(), Event::mark(Mark::Onset, text))
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        if matches!(self.view, LiveView::Outside { .. }) && !self.pressure.is_empty() {
            self.truth.pressure_percent = Some(self.pressure.iter().sum::<f64>() / self.pressure.len() as f64);
        }
        self.write(now(), Event::result(TRUTH, &self.truth)?)?;
        let end = run::End { exit_code: 0, outcome: "done".to_owned(), error: None };
        self.write(now(), Event::End(end))
    }
}

/// How much of the end of a generator's output is read: many seconds.
const TICKS_BYTES: u64 = 64 << 10;

/// The last whole second that a generator has told of.
fn newest_tick(log: &Path) -> Option<LoadSample> {
    let text = bounded::tail(&own::open(log).ok()?, TICKS_BYTES).ok()?;
    String::from_utf8_lossy(&text).lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

/// End offsets of a topic's partitions; none where they cannot be read now.
fn ends(admin: &Admin, topic: &str) -> BTreeMap<i32, i64> {
    let partitions = admin.describe(topic).map(|topic| topic.partitions).unwrap_or_default();
    partitions.iter().filter_map(|partition| Some((partition.id, partition.offsets?.1))).collect()
}

/// Partitions that took more than twice an even share.
fn hottest(topic: &str, before: &BTreeMap<i32, i64>, after: &BTreeMap<i32, i64>) -> Vec<String> {
    let grown: Vec<(i32, i64)> = after.iter().filter_map(|(id, end)| Some((*id, end - before.get(id)?))).collect();
    let even = grown.iter().map(|(_, grown)| grown).sum::<i64>() as f64 / grown.len().max(1) as f64;
    let hot = grown.iter().filter(|(_, grown)| *grown as f64 > even * 2.0);
    hot.map(|(id, _)| format!("{topic}-{id}")).collect()
}

/// Groups of the readers that faults run.
fn groups(faults: &[LabFault]) -> Vec<String> {
    let commands = faults.iter().flat_map(|fault| &fault.clients).map(|client| client.command.as_str());
    commands.filter_map(|command| Some(command.split("--group ").nth(1)?.split(' ').next()?.to_owned())).collect()
}

/// The load, on a thread of its own.
struct LoadThread {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Summary>>,
}

impl LoadThread {
    fn start(config: ProducerConfig, mut tell: impl FnMut(&Tick) -> bool + Send + 'static) -> LoadThread {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            producer::run(&config, &stopped, &mut |tick| {
                // Nobody listens any more when the run has failed.
                tell(tick);
            })
        });
        LoadThread { stop, thread }
    }

    /// Ends it. Records that brokers never answered for are part of a fault.
    fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.join();
    }
}

/// Samples of the brokers, on a thread of its own. Dropping it ends it.
struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    fn start(
        (project, place): (Project, Place),
        view: LiveView,
        tell: impl Fn(Come) -> bool + Send + 'static,
    ) -> Sampler {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let watched = runtime().and_then(|runtime| match view {
                LiveView::Inside => runtime.block_on(watch(&project, &place, &tell, &stopped)),
                LiveView::Outside { since_ms, period } => {
                    let of = (since_ms, period);
                    runtime.block_on(outside::watch((&project, &place), of, &tell, &stopped))
                }
            });
            if let Err(error) = watched {
                tell(Come::Failed(error));
            }
        });
        Sampler { stop, thread: Some(thread) }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn watch(
    project: &Project,
    place: &Place,
    tell: &impl Fn(Come) -> bool,
    stopped: &AtomicBool,
) -> anyhow::Result<()> {
    let Opened { aws, mut context, source, .. } = open(&own_look(), project.stack(), place).await?;
    let mut stream = source.stream(crate::change::INTERVAL);
    let mut read = Instant::now();
    while let Some(sample) = stream.recv().await {
        if read.elapsed() >= STATE_EVERY {
            // Metrics go on while the control plane does not answer.
            let _ = refresh(&aws, &mut context).await;
            read = Instant::now();
        }
        let sample = Sample { cluster_state: context.state.clone(), ..sample? };
        if stopped.load(Ordering::SeqCst) || !tell(Come::Sample(Box::new((context.clone(), sample)))) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_of_hot_keys_are_found_by_their_growth() {
        let before = BTreeMap::from([(0, 10), (1, 10), (2, 10), (3, 10)]);
        let after = BTreeMap::from([(0, 20), (1, 90), (2, 15), (3, 20)]);
        assert_eq!(hottest("t", &before, &after), ["t-1"]);
        assert!(hottest("t", &before, &before).is_empty());
        assert!(hottest("t", &BTreeMap::new(), &after).is_empty());
    }

    #[test]
    fn groups_are_those_of_the_readers() {
        let client = |command: &str| crate::lab_api::LabClient { command: command.into(), ..Default::default() };
        let fault = LabFault {
            clients: vec![client("kgen consume --group g-1 --duration 24h"), client("kgen produce --topic t")],
            ..LabFault::default()
        };
        assert_eq!(groups(&[fault]), ["g-1"]);
    }
}
