//! The runs of the benchmark, one after another on a lab of their own: load, calm, fault, recovery. What is right and how it is
//! scored is in [`benchmark`](crate::benchmark).

mod capacities;
mod outside;
mod recording;
mod runs;
mod sampler;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    ops::ControlFlow,
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};

pub use capacities::{Measurements, measure, scale_of_shapes};
pub use runs::{pack, pack_measurement, recorded_in, runs_in};

use self::{
    recording::{Come, LiveView, Recording},
    sampler::Sampler,
};
use crate::{
    aws::Aws,
    benchmark::{Judged, SCENARIOS, Scenario, Truth, Variation, View, find, judge_in},
    finding_id,
    kafka::{
        Connection,
        admin::{Admin, TopicSpec},
    },
    lab::{
        fault::{Abilities, Hits},
        hardware::Hardware,
        limits::Means,
    },
    lab_api::{FaultOrder, LabFault},
    load::{
        keys::Keys,
        pacer::Rate,
        payload::Payload,
        producer::{Load, ProducerConfig},
        sending::Sending,
        sizes::Sizes,
    },
    outcome::{Outcome, refused},
    process::{await_until, pause},
    project::Project,
    record::environment,
    run::{self, Start, Writer, new_id, now},
    sample::LoadSample,
    sandbox::{
        self,
        lab::{Say, start_fault, stop_faults},
    },
    watch::{Place, cluster, runtime},
};

/// Storage of one broker, GiB: MSK's own default, which the recorded runs have.
const VOLUME_GIB: i32 = 1000;

/// Time between two samples from inside, as `kgen resize` measures.
const INTERVAL: Duration = Duration::from_secs(2);
/// Seconds of calm before a fault at least.
const CALM_S: f64 = 10.0;
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
/// How long the load may take to end.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// The runs that are requested.
#[derive(Debug, Clone)]
pub struct Request {
    /// Names of scenarios; all that this machine allows when empty.
    pub scenarios: Vec<String>,
    /// First and last variation of each.
    pub first: u32,
    pub last: u32,
    /// How the brokers are seen.
    pub view: View,
    /// Length of a minute of CloudWatch, seen from outside.
    pub period: Duration,
    /// Longest duration of a fault, seen from inside.
    pub fault_within: Duration,
    /// Of the three brokers.
    pub broker_type: String,
    /// T3 brokers have credits to spend.
    pub t3_credits: bool,
    /// Folder for the runs, a folder each.
    pub out: PathBuf,
}

/// The lab of the benchmark and what is known of it.
struct Stage<'a> {
    request: &'a Request,
    say: Say<'a>,
    sandbox: sandbox::Stage,
    place: Place,
    bootstrap: String,
}

/// Makes every run that is requested and possible. `say` receives what comes of each.
///
/// # Errors
/// Refused: no such scenario, or another benchmark runs here. The lab cannot be raised, or a run cannot be recorded.
pub fn play(outer: &Project, request: &Request, say: Say<'_>) -> anyhow::Result<Outcome> {
    let wanted = scenarios(&request.scenarios)?;
    let abilities = Abilities::detect(&Means::detect(), outer.kgen_dir().as_path());
    let mut possible = Vec::new();
    for scenario in wanted {
        let faults = scenario.faults.iter().filter_map(|id| crate::lab::fault::find(id));
        match faults.filter_map(|fault| fault.obstacle(&abilities)).next() {
            Some(why) => say(&format!("{} cannot be made on this machine: it {why}", scenario.name)),
            None => possible.push(scenario),
        }
    }
    let mut stage = Stage::raise(outer, request, say)?;
    let played = stage.play(&possible);
    let ended = stage.sandbox.end_lab();
    let outcome = played?;
    ended?;
    stage.sandbox.strike(say)?;
    Ok(outcome)
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

impl Stage<'_> {
    fn raise<'a>(outer: &Project, request: &'a Request, say: Say<'a>) -> anyhow::Result<Stage<'a>> {
        let short_minutes = match request.view {
            View::Inside => Vec::new(),
            View::Outside => outside::arguments(request.period),
        };
        let hardware = sandbox::hardware(request.t3_credits);
        let Raised { sandbox, place, bootstrap } =
            raised(outer, (&request.broker_type, BROKERS), hardware, short_minutes, say)?;
        Ok(Stage { request, say, sandbox, place, bootstrap })
    }

    fn play(&self, scenarios: &[&'static Scenario]) -> anyhow::Result<Outcome> {
        let out = &self.request.out;
        fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
        self.warm_up()?;
        for number in self.request.first..=self.request.last {
            for scenario in scenarios {
                if self.sandbox.was_interrupted() {
                    (self.say)(&format!("interrupted; what was recorded is in {}", out.display()));
                    return Ok(Outcome::Interrupted);
                }
                let variation = Variation::of(scenario.name, number, BROKERS, CALM_S);
                let began = Instant::now();
                let told = match self.run(scenario, &variation) {
                    Ok(told) => told,
                    // One fault that cannot be started does not block the others.
                    Err(error) => format!("not recorded: {error:#}"),
                };
                (self.say)(&format!("{} {number}: {told} ({} s)", scenario.name, began.elapsed().as_secs()));
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
        let load = Sending::start(self.load(&variation, topic), |_| ());
        pause(BROKERS_WARM_UP, || self.sandbox.was_interrupted());
        drop(load);
        self.recover()
    }

    /// Plays one run and records it.
    fn run(&self, scenario: &Scenario, variation: &Variation) -> anyhow::Result<String> {
        let topic = format!("bench-{}", variation.number);
        let admin = self.admin()?;
        create(&admin, &topic, variation)?;
        let (sender, inbox) = mpsc::channel();
        let loaded = Variation { rate: variation.rate * scenario.load, ..variation.clone() };
        let ticks = sender.clone();
        // Records that brokers never answered for are part of a fault, and nobody listens any more when the run has failed.
        let load = Sending::start(self.load(&loaded, &topic), move |tick| {
            let _ = ticks.send(Come::Tick(Box::new(LoadSample::from(tick))));
        });
        std::thread::sleep(WARM_UP);
        let view = LiveView::of(self.request);
        let sampler = Sampler::start((self.sandbox.project(), &self.place), view, sender);
        let writer = self.writer(scenario, variation)?;
        let truth = Truth { scenario: scenario.name.to_owned(), variation: variation.clone(), ..Truth::default() };
        let mut recording = Recording::new(writer, inbox, truth, view);
        let played = self.play_out(scenario, variation, &topic, &admin, &mut recording);
        drop(sampler);
        drop(load);
        played?;
        recording.finish()?;
        let judged = judge_in(&run::Run::read(recording.dir())?, self.request.view);
        Ok(told(&judged.context("the run that was just recorded is one of the benchmark")?))
    }

    fn writer(&self, scenario: &Scenario, variation: &Variation) -> anyhow::Result<Writer> {
        let start = Start {
            id: new_id(&format!("{}-{}", scenario.name, variation.number), now()),
            command: "bench".to_owned(),
            args: vec![scenario.name.to_owned(), variation.number.to_string()],
            started: now(),
            environment: environment(self.sandbox.project()),
        };
        Ok(Writer::create(&self.request.out, start)?)
    }

    fn play_out(
        &self,
        scenario: &Scenario,
        variation: &Variation,
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
        let fault = recording.take_fault(scenario, self.request.fault_within);
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
        // A look is a request to each broker.
        let well = await_until(WELL_WITHIN, Duration::from_secs(1), || {
            let is_whole = admin.replication(Duration::from_secs(5)).is_ok_and(|seen| seen.is_whole(BROKERS as usize));
            anyhow::Ok(if is_whole { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        ensure!(well.is_ok(), "the cluster is not well {} s after a fault", WELL_WITHIN.as_secs());
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

/// What came of a run, in words.
fn told(judged: &Judged) -> String {
    let named = judged.named.as_ref().filter(|_| judged.is_right());
    match (&judged.void, named.or(judged.first.as_ref())) {
        (Some(why), _) => format!("void: {why}"),
        (None, Some(answer)) if named.is_some() => {
            format!("right: {} after {:.0} s", answer.id, judged.named_after_s.unwrap_or_default())
        }
        (None, Some(answer)) => format!("WRONG: {}", answer.id),
        (None, None) if judged.is_right() => "right: nothing was found".to_owned(),
        (None, None) => "WRONG: nothing was found".to_owned(),
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

/// A lab with one cluster.
struct Raised {
    sandbox: sandbox::Stage,
    place: Place,
    bootstrap: String,
}

/// Raises a lab of its own, started with `more` arguments, and makes a cluster of so many brokers of a type in it.
fn raised(
    outer: &Project,
    (broker_type, brokers): (&str, u32),
    hardware: Hardware,
    more: Vec<OsString>,
    say: Say<'_>,
) -> anyhow::Result<Raised> {
    let text = format!("[cluster]\nname = \"{CLUSTER}\"\nbroker_type = \"{broker_type}\"\n");
    let files = vec![(PathBuf::from("kgen.toml"), text.into_bytes())];
    let mut sandbox = sandbox::Stage::set(outer, &sandbox::Request { name: "bench", files }, say)?;
    sandbox.raise_lab(None, hardware, more, say)?;
    let place = sandbox.place()?;
    let made = runtime()?.block_on(made(&place, sandbox.project(), brokers));
    let bootstrap = made.inspect_err(|_| {
        // The error of the cluster counts.
        let _ = sandbox.end_lab();
    })?;
    Ok(Raised { sandbox, place, bootstrap })
}

/// Makes the cluster, and returns its bootstrap brokers when it is active.
async fn made(place: &Place, project: &Project, brokers: u32) -> anyhow::Result<String> {
    let stack = project.stack();
    let aws = place.aws(stack.region()).await;
    let brokers = i32::try_from(brokers).map_err(|_| refused(anyhow!("a cluster has no {brokers} brokers")))?;
    aws.create_lab_cluster(CLUSTER, stack.cluster().broker_type.as_str(), brokers, VOLUME_GIB).await?;
    active(&aws).await?;
    Ok(cluster(&aws, CLUSTER).await?.1)
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
