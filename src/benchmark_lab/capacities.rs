//! Capacities measured shape by shape, each on a lab of its own, with a history of every workload: what the predictions of
//! `kgen size` are compared with.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};

use super::{
    FLUSH_WITHIN, Raised, raised,
    recording::Come,
    sampler::{INTERVAL_OF_TRIALS, Sampler},
};
use crate::{
    capacity::{Found, Held, Trial, corrected_percent},
    edge,
    experiment::{self, Happened, Pace, Seen},
    kafka::{
        Connection,
        admin::{Admin, TopicSpec},
    },
    lab::hardware::Hardware,
    load::{
        consumer::{self, Commands, ConsumerConfig},
        keys::Keys,
        pacer::Rate,
        payload::Payload,
        producer::{Acks, Load, ProducerConfig, new_run},
        sending::Sending,
        sizes::Sizes,
        slo::Slo,
    },
    outcome::Outcome,
    prediction::{LINGER_MS, Span, TRUTH, Truth, WORKLOADS, Workload},
    process::pause,
    project::Project,
    record::environment,
    run::{self, Entry, Event, Observed, Start, Writer, new_id, now},
    sample::BrokerSample,
    sandbox::{self, lab::Say},
    sizing::Shape,
    statistics::mean,
};

/// Latency is not what sizing predicts, so it only has to be no queue that grows.
const OBJECTIVE: &str = "p99=3000ms";

/// Rates of the two histories, shares of the capacity: a third to two thirds of it, as a cluster that is not yet too small has.
const HISTORIES: [[f64; 6]; 2] = [[0.34, 0.5, 0.66, 0.42, 0.58, 0.36], [0.6, 0.37, 0.47, 0.64, 0.4, 0.54]];

/// How long each of these rates is sent; the seconds at its start in which the load settles do not count. What CPU of the same load
/// varies by, it varies by from one span to the next: many short ones even it out.
const RATE_FOR: Duration = Duration::from_secs(13);
const SETTLE: Duration = Duration::from_secs(3);

/// New brokers are loaded for so long at a time, as often at most, until CPU is at least this share of the least before, so many times in
/// succession: from one time to the next it falls by less than it varies by.
const WARMING: Duration = Duration::from_secs(25);
const MOST_WARMING: u32 = 14;
const STEADY: f64 = 0.97;
const STEADY_FOR: u32 = 3;

/// So many that every partition gets about the same share of them.
const KEYS: Keys = Keys::Uniform(100_000);

/// Clients that send. CPU of the same load differs by a twentieth or more from one trial to the next. A guess is that it depends on which
/// of a broker's network threads a connection is on; several clients would even that out.
const CLIENTS: u16 = 3;

/// The topic of all workloads; it is removed after each.
const TOPIC: &str = "bench-size";

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Measurements {
    pub workloads: Vec<&'static Workload>,
    pub shapes: Vec<Shape>,
    /// N of "scale 1:N".
    pub scale: u32,
    /// Longest search of one capacity.
    pub within: Duration,
    /// Folder for the runs, a folder each.
    pub out: PathBuf,
}

/// N of "scale 1:N" at which there are shapes to compare on this machine: with two and a half times as many vCPUs as usual, the
/// largest leaves the load generator the CPU that it needs.
pub fn scale_of_shapes() -> u32 {
    (sandbox::hardware(false).scale * 2.5).round() as u32
}

/// A lab with one cluster of a shape.
struct Stage<'a> {
    wanted: &'a Measurements,
    shape: Shape,
    say: Say<'a>,
    sandbox: sandbox::Stage,
    bootstrap: String,
    seen: Seen,
    pace: Pace,
    /// Ends with the samples, which end with the sampler.
    _sampler: Sampler,
}

/// Measures every workload on every shape. `say` receives what comes of each.
///
/// # Errors
/// Refused: another benchmark runs here. A lab cannot be raised, or a run cannot be recorded.
pub fn measure(outer: &Project, wanted: &Measurements, say: Say<'_>) -> anyhow::Result<Outcome> {
    fs::create_dir_all(&wanted.out).with_context(|| format!("making {}", wanted.out.display()))?;
    let pace = Pace::start();
    for shape in &wanted.shapes {
        let mut stage = Stage::raise(outer, wanted, *shape, &pace, say)?;
        let measured = stage.measure();
        let ended = stage.sandbox.end_lab();
        let outcome = measured?;
        ended?;
        stage.sandbox.strike(say)?;
        if outcome == Outcome::Interrupted {
            say(&format!("interrupted; what was recorded is in {}", wanted.out.display()));
            return Ok(outcome);
        }
    }
    Ok(Outcome::Done)
}

impl Stage<'_> {
    fn raise<'a>(
        outer: &Project,
        wanted: &'a Measurements,
        shape: Shape,
        pace: &Pace,
        say: Say<'a>,
    ) -> anyhow::Result<Stage<'a>> {
        let hardware = Hardware { scale: f64::from(wanted.scale), ..sandbox::hardware(false) };
        let Raised { sandbox, place, bootstrap } =
            raised(outer, (shape.broker_type.as_str(), shape.brokers), hardware, Vec::new(), say)?;
        let (sender, inbox) = mpsc::channel();
        let sampler = Sampler::inside(sandbox.project().clone(), place, INTERVAL_OF_TRIALS, sender);
        let seen = Seen::default();
        let tap = seen.clone();
        thread::spawn(move || keep(&inbox, &tap));
        Ok(Stage { wanted, shape, say, sandbox, bootstrap, seen, pace: pace.clone(), _sampler: sampler })
    }

    fn measure(&self) -> anyhow::Result<Outcome> {
        self.warm_up()?;
        for workload in &self.wanted.workloads {
            if self.sandbox.was_interrupted() {
                break;
            }
            let began = Instant::now();
            let told = match self.of(workload) {
                Ok(Found::Capacity(answer)) => format!("{:.0} records/s", answer.carried.acknowledged_per_s),
                Ok(Found::GeneratorBound { .. }) => "void: the load generator was the limit".to_owned(),
                Ok(Found::Nothing { reason }) => format!("void: {reason}"),
                // One workload that cannot be sent does not block the others.
                Err(error) => format!("not recorded: {error:#}"),
            };
            (self.say)(&format!("{} on {}: {told} ({} s)", workload.name, self.shape, began.elapsed().as_secs()));
        }
        Ok(if self.sandbox.was_interrupted() { Outcome::Interrupted } else { Outcome::Done })
    }

    /// Loads the brokers until the same load no longer takes less CPU: a JVM that has just begun takes several times as much.
    fn warm_up(&self) -> anyhow::Result<()> {
        let workload = &WORKLOADS[0];
        let topic = self.topic(workload)?;
        let load = Sending::start(self.producer(workload, self.start_per_s(workload), None), |_| ());
        let (mut least, mut steady) = (f64::MAX, 0);
        for _ in 0..MOST_WARMING {
            let from_ms = now().as_millisecond();
            self.pause(WARMING);
            let Some(cpu) = self.cpu_percent(from_ms) else { continue };
            steady = if cpu >= least * STEADY { steady + 1 } else { 0 };
            least = least.min(cpu);
            if steady >= STEADY_FOR || self.sandbox.was_interrupted() {
                break;
            }
        }
        drop(load);
        topic.remove()
    }

    /// CPU of all brokers since then, corrected for the pace of the machine, the mean, percent; `None` where it was not seen.
    fn cpu_percent(&self, from_ms: i64) -> Option<f64> {
        let seen = self.seen.between(from_ms, i64::MAX);
        let brokers = seen.iter().flat_map(|of| of.sample.brokers.values());
        let cpu = mean(brokers.filter_map(BrokerSample::cpu_percent));
        cpu.map(|cpu| corrected_percent(cpu, self.pace.slowdown(from_ms, i64::MAX)))
    }

    /// Finds the capacity of a workload and records its histories.
    fn of(&self, workload: &'static Workload) -> anyhow::Result<Found> {
        let topic = self.topic(workload)?;
        let readers = Readers::start(workload, &self.bootstrap);
        let measured = self.searched(workload);
        drop(readers);
        topic.remove()?;
        measured
    }

    fn searched(&self, workload: &'static Workload) -> anyhow::Result<Found> {
        let request = experiment::Request {
            producer: self.producer(workload, 1.0, Some(Duration::from_secs(1))),
            slo: OBJECTIVE.parse::<Slo>().map_err(|error| anyhow!(error))?,
            survive_broker: true,
            start_per_s: self.start_per_s(workload),
            rounds: 1,
            within: self.wanted.within,
            pace: self.pace.clone(),
        };
        let stop = AtomicBool::new(false);
        let mut told = |happened: Happened<'_>| {
            if self.sandbox.was_interrupted() {
                stop.store(true, Ordering::Relaxed);
            }
            if let Happened::Ended(trial) = happened {
                let cpu = trial.cpu_percent.map_or("not seen".to_owned(), |cpu| format!("{cpu:.0} %"));
                let slowdown = trial.slowdown.unwrap_or(1.0);
                (self.say)(&format!(
                    "  {:.0} records/s, CPU {cpu} (corrected by {slowdown:.2}): {}",
                    trial.asked_per_s,
                    held(trial)
                ));
            }
            Ok(())
        };
        let (found, trials) = experiment::search(&request, &self.seen, &stop, &mut told)?;
        self.sandbox.ensure_not_interrupted()?;
        let histories = match &found {
            Found::Capacity(answer) => self.histories(workload, answer.carried.acknowledged_per_s)?,
            Found::GeneratorBound { .. } | Found::Nothing { .. } => Vec::new(),
        };
        self.write(workload, found.clone(), trials, histories)?;
        Ok(found)
    }

    /// Sends the rates of each history, and returns when.
    fn histories(&self, workload: &Workload, capacity_per_s: f64) -> anyhow::Result<Vec<Vec<Span>>> {
        let span_of = |share: f64| {
            let load = Sending::start(self.producer(workload, capacity_per_s * share, None), |_| ());
            self.pause(SETTLE);
            let from_ms = now().as_millisecond();
            self.pause(RATE_FOR.saturating_sub(SETTLE));
            let until_ms = now().as_millisecond();
            load.end()?;
            self.sandbox.ensure_not_interrupted()?;
            Ok(Span { from_ms, until_ms, slowdown: self.pace.slowdown(from_ms, until_ms) })
        };
        HISTORIES.iter().map(|shares| shares.iter().map(|share| span_of(*share)).collect()).collect()
    }

    fn write(
        &self,
        workload: &Workload,
        found: Found,
        trials: Vec<Trial>,
        histories: Vec<Vec<Span>>,
    ) -> anyhow::Result<()> {
        let truth = Truth {
            workload: workload.name.to_owned(),
            shape: self.shape,
            lab_scale: f64::from(self.wanted.scale),
            found,
            trials,
            histories,
        };
        let name = truth.name();
        let start = Start {
            id: new_id(&name, now()),
            command: "bench".to_owned(),
            args: vec!["size".to_owned(), name],
            started: now(),
            environment: environment(self.sandbox.project()),
        };
        let mut writer = Writer::create(&self.wanted.out, start)?;
        let mut write = |at, event| writer.write(&edge::redacted_entry(Entry { at, event }));
        for span in truth.histories.iter().flatten() {
            for observed in self.seen.between(span.from_ms, span.until_ms) {
                write(run::at(observed.sample.at_ms), Event::Sample(Box::new(observed)))?;
            }
        }
        write(now(), Event::result(TRUTH, &truth)?)?;
        let end = run::End { exit_code: 0, outcome: "done".to_owned(), error: None };
        Ok(write(now(), Event::End(end))?)
    }

    fn start_per_s(&self, workload: &Workload) -> f64 {
        let vcpus = f64::from(self.shape.broker_type.vcpus * self.shape.brokers);
        vcpus * workload.start_per_vcpu / f64::from(self.wanted.scale)
    }

    fn topic(&self, workload: &Workload) -> anyhow::Result<MadeTopic> {
        let admin = Admin::connect(&Connection::plain(self.bootstrap.as_str()))?;
        let in_sync = workload.replication_factor.saturating_sub(1).max(1);
        admin.create_even(&TopicSpec {
            name: TOPIC.to_owned(),
            partitions: workload.partitions as i32,
            replication_factor: workload.replication_factor as i32,
            configs: BTreeMap::from([("min.insync.replicas".to_owned(), in_sync.to_string())]),
        })?;
        Ok(MadeTopic(admin))
    }

    /// `for_time`: a day if there is none.
    fn producer(&self, workload: &Workload, per_s: f64, for_time: Option<Duration>) -> ProducerConfig {
        let mut connection = Connection::plain(self.bootstrap.as_str());
        connection.settings.insert("linger.ms".to_owned(), LINGER_MS.to_string());
        connection.settings.insert("batch.size".to_owned(), workload.batch_bytes.to_string());
        let load = Load {
            topics: vec![TOPIC.to_owned()],
            rate: Rate::Constant(per_s),
            duration: for_time.unwrap_or(Duration::from_secs(24 * 3600)),
            max_records: u64::MAX,
            record_size: Sizes::Fixed(workload.record_bytes),
            keys: KEYS,
            payload: Payload::Json,
            headers: Vec::new(),
            seed: 1,
        };
        let runs = self.sandbox.project().runs_dir();
        ProducerConfig {
            run: new_run(),
            clients: CLIENTS,
            acks: if workload.acks_all { Acks::All } else { Acks::Leader },
            idempotent: workload.acks_all,
            compression: workload.compression.to_owned(),
            ..ProducerConfig::idempotent(load, connection, runs, FLUSH_WITHIN)
        }
    }

    /// Waits so long, or until it is interrupted.
    fn pause(&self, time: Duration) {
        pause(time, || self.sandbox.was_interrupted());
    }
}

fn held(trial: &Trial) -> String {
    match trial.held() {
        Held::Yes => "holds".to_owned(),
        Held::No { limit, .. } => limit.to_string(),
        Held::GeneratorBound => "the load generator was late".to_owned(),
    }
}

/// Passes samples on until there are none any more.
fn keep(inbox: &Receiver<Come>, seen: &Seen) {
    for come in inbox {
        // Why no sample comes is said by the search, which waits for them.
        if let Come::Sample(sampled) = come {
            let (cluster, sample) = *sampled;
            seen.add(&Observed { cluster, sample, verdict: None, findings: Vec::new() });
        }
    }
}

/// The topic while it exists.
struct MadeTopic(Admin);

impl MadeTopic {
    fn remove(self) -> anyhow::Result<()> {
        self.0.delete(TOPIC)?;
        // Files are removed, and clients learn of it.
        thread::sleep(Duration::from_secs(3));
        Ok(())
    }
}

/// Consumer groups that read what comes. Dropping them ends them.
struct Readers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    fn start(workload: &Workload, bootstrap: &str) -> Readers {
        let stop = Arc::new(AtomicBool::new(false));
        let read = |number: u32| {
            let config = ConsumerConfig {
                connection: Connection::plain(bootstrap),
                topics: vec![TOPIC.to_owned()],
                group: format!("{TOPIC}-{number}"),
                from_beginning: false,
                max_records: u64::MAX,
                duration: Duration::from_secs(24 * 3600),
                delay: Duration::ZERO,
                rate: None,
                stalls: Vec::new(),
            };
            let commands = Commands { stop: Arc::clone(&stop), ..Commands::default() };
            // A group that cannot read shows in the bytes out, which the samples have.
            thread::spawn(move || drop(consumer::run(&config, &commands, &mut |_| ())))
        };
        let threads = (0..workload.readers).map(read).collect();
        Readers { stop, threads }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
