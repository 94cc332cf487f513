//! The demo: a cluster that is too small for its load, in a lab of its own, until the fix is proven.
//!
//! [`play`] takes the story from its lab to its end, a step a function. What happens is told to an [`Audience`] and recorded;
//! what came of it is returned as [`DemoEnd`]. Nothing is printed here.

mod seen;
mod story;

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use self::seen::{Seen, Stretch, WINDOW};
pub use self::story::{Moment, Story};
use crate::{
    aws::{Aws, MskCluster},
    catalogue::BrokerType,
    change::{self, Change, Figures, INTERVAL, Journal, Observer, Question, Timing, prepare},
    diagnose::{Context, Diagnosis, Finding, Verdict},
    kafka::{
        Connection, REACHABLE_WITHIN,
        admin::{Admin, TopicSpec},
    },
    lab::hardware::Hardware,
    load::{
        consumer,
        ledger::Ledger,
        producer::{Load, ProducerConfig, Summary},
        verify::Verification,
    },
    outcome::{Outcome, refused},
    project::{Project, WorkingDir},
    proof::{Proof, proof},
    record::Record,
    remedy::Rendered,
    report::{STRETCHES, Stretches},
    run::{Event, Fix, Found},
    sample::Sample,
    sandbox::{self, Stage},
    terraform::{self, Goal},
    watch::{Naming, Place, cluster, fixes, refresh},
};

/// Brokers of a demo are larger than those of other labs by this factor, so that the outcome does not depend on the machine. Measured on
/// 2 cores at 500 records/s of 1024 bytes, on a fast and on a slow host: each broker uses 0.16 to 0.45 core. At 1:2.5 a `kafka.t3.small`
/// has 0.16, so it is too small, and a `kafka.m5.large` 0.8, of which it uses 20 to 56 %.
const LARGER: f64 = 1.6;
/// How long brokers without load are watched at least, and at most until they are calm.
const CALM: Duration = Duration::from_secs(14);
const CALM_WITHIN: Duration = Duration::from_secs(45);
/// CPU of the busiest broker below which they are.
const CALM_CPU_PERCENT: f64 = 40.0;
/// How long the undersized brokers are measured under load, once a cause is named.
const BEFORE: Duration = Duration::from_secs(30);
/// How long a cause may take to be named, and the cluster to be healthy again.
const NAME_WITHIN: Duration = Duration::from_secs(120);
const RECOVER_WITHIN: Duration = Duration::from_secs(120);
/// How long the resized brokers are measured.
const AFTER: Duration = Duration::from_secs(30);
/// How long the load may take to end.
const FLUSH_WITHIN: Duration = Duration::from_secs(60);

/// A demo that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The project that it is played beside.
    pub outer: &'a Project,
    /// The terraform to use; the default is the one on the PATH.
    pub terraform: Option<&'a Path>,
    /// The port of the lab; the default is any free one.
    pub port: Option<u16>,
    pub hardware: Hardware,
}

/// What a diagnosis says, and what it is based on.
#[derive(Debug, Clone)]
pub struct Diagnosed {
    pub context: Context,
    pub samples: Vec<Sample>,
    pub diagnosis: Diagnosis,
    /// The remedy of each finding; empty where none was looked for.
    pub fixes: Vec<Option<Rendered>>,
}

/// Something that happens.
pub enum Scene<'a> {
    /// Something to know that has no kind of its own.
    Note(&'a str),
    /// A line of the story.
    Told(&'a str),
    Terraform(&'a terraform::Seen),
    /// Terraform has ended, or something new is done.
    TerraformOver,
    Destroying,
    /// The brokers are measured for so long.
    Measuring(BrokerType, Duration),
    /// The cause, with its remedy.
    Named(&'a Diagnosed),
    /// Something that happens during the fix.
    Change(&'a change::Event<'a>),
}

/// Sees what happens.
pub trait Audience {
    fn see(&self, scene: &Scene<'_>);
}

/// What came of a demo that did not fail.
pub enum DemoEnd {
    /// No cause could be named in time; with the likeliest, if there is one.
    NotNamed {
        likeliest: Option<String>,
        within: Duration,
    },
    /// The remedy of the finding is no other broker type.
    NoOtherType {
        finding: &'static str,
    },
    /// The fix was interrupted.
    Interrupted,
    /// The fix was made, and the cluster is not healthy.
    NotHealthy {
        diagnosed: Box<Diagnosed>,
        within: Duration,
    },
    Played(Box<Played>),
}

/// A demo that was played to its end.
pub struct Played {
    pub hardware: Hardware,
    pub lab_scale: Option<f64>,
    pub story: Story,
    pub from: BrokerType,
    pub to: BrokerType,
    /// Id of the finding.
    pub cause: &'static str,
    pub before: Figures,
    pub after: Figures,
    /// What the fix brought.
    pub change: Proof,
    pub load: Summary,
    pub verification: Verification,
    /// The samples by themselves.
    pub samples: PathBuf,
}

impl DemoEnd {
    /// How a command ends that has played this.
    pub fn outcome(&self) -> Outcome {
        match self {
            DemoEnd::NotNamed { .. } => Outcome::Inconclusive,
            DemoEnd::NoOtherType { .. } | DemoEnd::NotHealthy { .. } => Outcome::Unhealthy,
            DemoEnd::Interrupted => Outcome::Interrupted,
            DemoEnd::Played(played) if played.is_whole() => Outcome::Done,
            DemoEnd::Played(_) => Outcome::RecordsLost,
        }
    }
}

impl Played {
    /// Every record was acknowledged and is there once.
    fn is_whole(&self) -> bool {
        self.verification.is_whole() && self.load.failed_total() + self.load.unsent + self.load.lost_track == 0
    }
}

/// The outer project's kgen.toml, and the Terraform that it renders to.
///
/// # Errors
/// kgen.toml cannot be read.
pub fn sandbox(outer: &Project) -> anyhow::Result<sandbox::Request<'static>> {
    let mut files = vec![(PathBuf::from("kgen.toml"), outer.kgen_toml_text()?.into_bytes())];
    let rendered = outer.stack().render();
    files.extend(rendered.files().map(|(name, text)| (Path::new("terraform").join(name), text.as_bytes().to_vec())));
    Ok(sandbox::Request { name: "demo", files })
}

/// What the brokers of a demo get: of a `scale` that is not given, what the machine has room for.
pub fn hardware(scale: Option<f64>, t3_credits: bool) -> Hardware {
    let hardware = sandbox::hardware(t3_credits);
    // Rounded, as it is shown.
    let larger = (hardware.scale / LARGER * 100.0).round() / 100.0;
    Hardware { scale: scale.unwrap_or(larger.max(1.0)), ..hardware }
}

/// Plays the demo on `stage`, whose files are those of [`sandbox`].
///
/// # Errors
/// A step fails, or the demo is interrupted. What it has made is left to the stage, which is struck in each case.
pub fn play(
    request: &Request<'_>,
    stage: &mut Stage,
    record: &Record,
    audience: &dyn Audience,
) -> anyhow::Result<DemoEnd> {
    let story = Story::begin(record.clone());
    stage.raise_lab(request.port, request.hardware, Vec::new(), &|text| audience.see(&Scene::Note(text)))?;
    let (place, project) = (stage.place()?, stage.project().clone());
    let mut play = Play { request, stage, record, audience, place, project, story };
    play.tell(Moment::LabUp, format!("lab at scale {} of real Kafka brokers", request.hardware));
    let working_dir = play.built()?;
    let cast = play.found()?;
    let mut seen = Seen::begin(play.project.stack(), &play.place, record)?;
    play.calm(&cast, &mut seen)?;
    play.start_load(&cast, &mut seen);
    let Some(named) = play.cause(&mut seen)? else {
        let likeliest = seen.diagnosis().findings.first().map(|finding| finding.title.clone());
        return Ok(DemoEnd::NotNamed { likeliest, within: NAME_WITHIN });
    };
    let finding = play.named(&cast, &seen, named)?;
    let Some(to) = finding.remedy.as_ref().and_then(|remedy| remedy.broker_type()) else {
        return Ok(DemoEnd::NoOtherType { finding: finding.id });
    };
    let before = play.measured(&mut seen, cast.from, BEFORE)?;
    if !play.fixed(&working_dir, to)? {
        return Ok(DemoEnd::Interrupted);
    }
    if !play.recovered(&mut seen)? {
        let diagnosed = Box::new(Diagnosed::of(&seen, seen.diagnosis(), Vec::new()));
        return Ok(DemoEnd::NotHealthy { diagnosed, within: RECOVER_WITHIN });
    }
    let after = play.measured(&mut seen, to, AFTER)?;
    let change = play.proven(&before, &after)?;
    let (load, verification) = play.verified(&cast, &mut seen)?;
    play.destroyed(&working_dir, &cast)?;
    Ok(DemoEnd::Played(Box::new(Played {
        hardware: request.hardware,
        lab_scale: seen.context().lab_scale,
        samples: seen.samples_file(),
        story: play.story,
        from: cast.from,
        to,
        cause: finding.id,
        before: before.figures,
        after: after.figures,
        change,
        load,
        verification,
    })))
}

/// A demo that is being played.
struct Play<'a> {
    request: &'a Request<'a>,
    stage: &'a Stage,
    record: &'a Record,
    audience: &'a dyn Audience,
    place: Place,
    project: Project,
    story: Story,
}

/// The cluster that terraform has made, and what is sent to it.
struct Cast {
    runtime: tokio::runtime::Runtime,
    aws: Aws,
    cluster: MskCluster,
    from: BrokerType,
    connection: Connection,
    load: Load,
}

impl Play<'_> {
    fn tell(&mut self, moment: Moment, text: String) {
        let line = self.story.tell(moment, text);
        self.audience.see(&Scene::Told(&line));
    }

    fn note(&self, text: &str) {
        self.audience.see(&Scene::Note(text));
    }

    /// Has terraform make the stack. Returns its working directory, which is locked from here on.
    fn built(&mut self) -> anyhow::Result<WorkingDir> {
        let working_dir = WorkingDir::lock(self.project.dir(), self.request.terraform, None, || self.place.env());
        let working_dir = working_dir.map_err(refused)?;
        let (created, _) = self.applied(&working_dir, Goal::Apply)?;
        let brokers = self.project.stack().cluster().broker_count;
        self.tell(Moment::Applied, format!("terraform made {created} resources, 3 zones, {brokers} brokers"));
        Ok(working_dir)
    }

    /// Plans and applies. Returns how many resources were created and how many destroyed.
    fn applied(&self, working_dir: &WorkingDir, goal: Goal) -> anyhow::Result<(usize, usize)> {
        let mut watch = |seen: &terraform::Seen| self.audience.see(&Scene::Terraform(seen));
        let plan = working_dir.plan(goal, &mut watch)?;
        working_dir.terraform().apply(&plan, &mut watch)?;
        self.audience.see(&Scene::TerraformOver);
        let (created, _, destroyed) = plan.changes.totals();
        Ok((created, destroyed))
    }

    /// Finds the cluster, and creates the topic of the stack.
    fn found(&self) -> anyhow::Result<Cast> {
        let stack = self.project.stack();
        let runtime = tokio::runtime::Runtime::new().context("starting the asynchronous runtime")?;
        let (aws, (found, bootstrap)) = runtime.block_on(async {
            let aws = self.place.aws(stack.region()).await;
            let found = cluster(&aws, &stack.cluster().name).await?;
            anyhow::Ok((aws, found))
        })?;
        let connection = Connection::plain(&bootstrap);
        connection.ensure_reachable(REACHABLE_WITHIN)?;
        let topic = stack.topic();
        Admin::connect(&connection)?.create(&TopicSpec {
            name: topic.name.clone(),
            partitions: topic.partitions as i32,
            replication_factor: topic.replication_factor as i32,
            configs: Default::default(),
        })?;
        let from = found.broker_type.parse()?;
        Ok(Cast { runtime, aws, cluster: found, from, connection, load: Load::of_stack(stack) })
    }

    /// Watches the brokers without load. Brokers that have just started still compile; the load is not to be blamed for that.
    fn calm(&mut self, cast: &Cast, seen: &mut Seen) -> anyhow::Result<()> {
        self.note("watching the brokers without load");
        let started = Instant::now();
        seen.run_for(CALM, self.stage)?;
        while seen.busiest().is_none_or(|(_, cpu)| cpu > CALM_CPU_PERCENT) && started.elapsed() < CALM_WITHIN {
            seen.next(self.stage)?;
        }
        let calm = Figures::of(cast.from.as_str(), &seen.samples(INTERVAL * 2));
        let cpu = calm.cpu_percent.map_or("unknown".to_owned(), |cpu| format!("{cpu:.0} %"));
        self.tell(Moment::Calm, format!("{}: CPU {cpu}, no load", cast.from));
        Ok(())
    }

    fn start_load(&mut self, cast: &Cast, seen: &mut Seen) {
        let load = &cast.load;
        let (connection, runs) = (cast.connection.clone(), self.request.outer.runs_dir());
        seen.start_load(ProducerConfig::idempotent(load.clone(), connection, runs, FLUSH_WITHIN));
        let rate = load.rate.mean(load.duration).unwrap_or_default();
        let text = format!("{rate} records/s of {} bytes to {}, acks=all", load.record_size, load.topics.join(", "));
        self.tell(Moment::LoadStarted, text);
    }

    /// Waits until the constraint shows and its cause is named; nothing where that takes too long.
    fn cause(&mut self, seen: &mut Seen) -> anyhow::Result<Option<Diagnosis>> {
        let threshold = self.project.stack().alarms().cpu_percent;
        let started = Instant::now();
        loop {
            seen.next(self.stage)?;
            if !self.story.has(Moment::Seen)
                && let Some((broker, cpu)) = seen.busiest()
                && cpu > threshold
            {
                let text = format!("CPU of broker {broker} is {cpu:.0} % of its capacity (alarm at {threshold} %)");
                self.tell(Moment::Seen, text);
            }
            let diagnosis = seen.diagnosis();
            if self.story.has(Moment::Seen) && diagnosis.verdict == Verdict::CauseFound {
                return Ok(Some(diagnosis));
            }
            if started.elapsed() > NAME_WITHIN {
                return Ok(None);
            }
        }
    }

    /// Tells the cause with its remedy. Returns the finding.
    fn named(&mut self, cast: &Cast, seen: &Seen, diagnosis: Diagnosis) -> anyhow::Result<Finding> {
        let finding = diagnosis.findings.first().context("a verdict has a finding")?.clone();
        self.tell(Moment::Named, format!("{}: {}", finding.id, finding.title));
        let mut named = Diagnosed::of(seen, diagnosis, Vec::new());
        // The commands of the remedy need the current version of the cluster.
        cast.runtime.block_on(refresh(&cast.aws, &mut named.context))?;
        named.fixes = fixes(&named.context, &named.diagnosis, &Naming::of_project(&self.project.terraform_dir()));
        self.record_findings(&named)?;
        self.audience.see(&Scene::Named(&named));
        Ok(finding)
    }

    fn record_findings(&self, diagnosed: &Diagnosed) -> anyhow::Result<()> {
        let Diagnosed { context, diagnosis, fixes, .. } = diagnosed;
        for (number, finding) in diagnosis.findings.iter().enumerate() {
            let fix = fixes.get(number).cloned().flatten();
            let found = Found::new(&context.cluster, diagnosis.verdict, finding, fix);
            self.record.tell(Event::Finding(Box::new(found)))?;
        }
        Ok(())
    }

    fn measured(&self, seen: &mut Seen, broker_type: BrokerType, time: Duration) -> anyhow::Result<Stretch> {
        self.audience.see(&Scene::Measuring(broker_type, time));
        seen.measure(time, broker_type.as_str(), self.stage)
    }

    /// Changes the broker type under load. Returns whether it is done, and not interrupted.
    fn fixed(&mut self, working_dir: &WorkingDir, to: BrokerType) -> anyhow::Result<bool> {
        let command = format!("kgen resize {to}");
        self.tell(Moment::FixStarted, command.clone());
        let ready = prepare(&self.project, Change::BrokerType(to), &self.place)?;
        self.record.tell(Event::Remedy(Box::new(Fix { command, rendered: ready.rendered() })))?;
        let mut fixing = Fixing(self.audience);
        let done = ready.carry_out(working_dir, &Journal::new(None, Timing::default(), &mut fixing)?)?;
        if done.is_some() {
            self.tell(Moment::Fixed, format!("every broker is {to}, every partition in sync"));
        }
        Ok(done.is_some())
    }

    /// Waits until the cluster is healthy under the same load; false where that takes too long.
    fn recovered(&mut self, seen: &mut Seen) -> anyhow::Result<bool> {
        seen.forget();
        let started = Instant::now();
        loop {
            seen.next(self.stage)?;
            let diagnosis = seen.diagnosis();
            if diagnosis.verdict == Verdict::Healthy {
                self.record_findings(&Diagnosed::of(seen, diagnosis, Vec::new()))?;
                self.tell(Moment::Recovered, "healthy under the same load".to_owned());
                return Ok(true);
            }
            if started.elapsed() > RECOVER_WITHIN {
                return Ok(false);
            }
        }
    }

    fn proven(&self, before: &Stretch, after: &Stretch) -> anyhow::Result<Proof> {
        let change = proof(&before.measured(), &after.measured());
        self.record.result(STRETCHES, &Stretches { before: before.span(), after: after.span() })?;
        self.record.result("conclusion", &change)?;
        Ok(change)
    }

    /// Ends the load, and reads back every record.
    fn verified(&mut self, cast: &Cast, seen: &mut Seen) -> anyhow::Result<(Summary, Verification)> {
        let summary = seen.stop_load()?;
        self.record.result("load", &summary)?;
        let ledgers = Ledger::read_run(&self.request.outer.runs_dir().join(&summary.run))?;
        let never = AtomicBool::new(false);
        let verified = consumer::verify(&cast.connection, &cast.load.topics, ledgers, &never, &mut |_, _| {})?;
        let verified = verified.context("reading the topic back was stopped")?;
        self.record.result("verification", &verified)?;
        let (acknowledged, lost, twice) = (verified.acknowledged, verified.lost, verified.duplicates);
        let text = format!("{acknowledged} records acknowledged, {lost} lost, {twice} duplicated");
        self.tell(Moment::Verified, text);
        Ok((summary, verified))
    }

    /// Has terraform destroy everything.
    fn destroyed(&mut self, working_dir: &WorkingDir, cast: &Cast) -> anyhow::Result<()> {
        self.audience.see(&Scene::Destroying);
        let (_, destroyed) = self.applied(working_dir, Goal::Destroy)?;
        if cast.runtime.block_on(cast.aws.describe(&cast.cluster.arn)).is_ok() {
            bail!("terraform destroyed {destroyed} resources, and the cluster is still there");
        }
        self.tell(Moment::Destroyed, format!("terraform destroyed {destroyed} resources"));
        Ok(())
    }
}

impl Diagnosed {
    fn of(seen: &Seen, diagnosis: Diagnosis, fixes: Vec<Option<Rendered>>) -> Diagnosed {
        Diagnosed { context: seen.context(), samples: seen.samples(WINDOW), diagnosis, fixes }
    }
}

/// The audience during the fix, which nobody is asked about.
struct Fixing<'a>(&'a dyn Audience);

impl Observer for Fixing<'_> {
    fn see(&mut self, event: &change::Event<'_>) {
        self.0.see(&Scene::Change(event));
    }

    fn approve(&mut self, _: &Question<'_>) -> anyhow::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_of_a_demo_are_larger_and_never_larger_than_life() {
        let of_lab = sandbox::hardware(false).scale;
        let scale = hardware(None, false).scale;
        assert!(scale >= 1.0 && scale <= of_lab && (scale < of_lab || of_lab <= 1.0), "{scale}, {of_lab}");
        assert_eq!(hardware(Some(7.0), true), Hardware { scale: 7.0, ..sandbox::hardware(true) });
    }
}
