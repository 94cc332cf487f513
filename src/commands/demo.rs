//! `kgen demo`: the whole story in a lab of its own, told as it happens and summed up at the end.

mod story;
pub mod timeline;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use self::{
    story::{Events, WINDOW},
    timeline::{Moment, Story},
};
use super::{
    changing::Words,
    diagnose::{fixes, text},
    documents::{self, Played},
    figures::table,
    look::refresh,
    out, place,
    produce::stack_load,
    progress::Progress,
    record::{self, Record},
    report::write_page,
};
use crate::{
    catalogue::BrokerType,
    change::{Change, Figures, INTERVAL, Journal, Timing, prepare},
    cli::{Demo, Outcome, lab::T3Mode, refused},
    diagnose::Verdict,
    kafka::{
        Connection, REACHABLE_WITHIN,
        admin::{Admin, TopicSpec},
    },
    lab::hardware::Hardware,
    load::{
        consumer,
        ledger::Ledger,
        part::Part,
        producer::{Acks, ProducerConfig, new_run},
    },
    project::{Project, WorkingDir},
    proof::proof,
    report::{STRETCHES, Stretches},
    run::{Event, Fix, Found},
    sandbox::{self, Request, Stage},
    terraform::{Goal, Terraform},
};

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

pub fn run(dir: &Path, args: &Demo) -> anyhow::Result<Outcome> {
    let outer = Project::open(dir).map_err(refused)?;
    Terraform::find(args.terraform.terraform_bin.as_deref()).map_err(refused)?;
    let mut stage = Stage::set(&outer, &sandbox(&outer)?, &say)?;
    let hardware = sandbox::hardware(args.t3 == T3Mode::Credits);
    let record = Record::begin(&outer, "demo", Some(hardware.scale))?;
    record::show(&record, args.json || args.plain);
    let played = play(&outer, args, hardware, &mut stage, &record);
    // Whatever happened, nothing of it stays.
    let struck = stage.strike(&say);
    let page = record.end(&played, stage.was_interrupted()).and_then(|()| write_page(record.dir()));
    match page {
        Ok(page) => eprintln!("report: {}", page.display()),
        // What was played is not undone by it.
        Err(error) => {
            eprintln!("note: no report was written: {error:#}");
            super::out::failed(error);
        }
    }
    if stage.was_interrupted() {
        eprintln!("interrupted; the lab of the demo is gone");
        return struck.map(|()| Outcome::Interrupted);
    }
    let outcome = played?;
    struck?;
    Ok(outcome)
}

/// The outer project's kgen.toml, and the Terraform that it renders to.
fn sandbox(outer: &Project) -> anyhow::Result<Request<'static>> {
    let mut files = vec![(PathBuf::from("kgen.toml"), outer.kgen_toml_text()?.into_bytes())];
    let rendered = outer.stack().render();
    files.extend(rendered.files().map(|(name, text)| (Path::new("terraform").join(name), text.as_bytes().to_vec())));
    Ok(Request { name: "demo", files })
}

fn say(text: &str) {
    eprintln!("{text}");
}

fn play(
    outer: &Project,
    args: &Demo,
    hardware: Hardware,
    stage: &mut Stage,
    record: &Record,
) -> anyhow::Result<Outcome> {
    let mut story = Story::begin(record.clone());
    let project = stage.project().clone();
    let stack = project.stack();
    let mut progress = Progress::new();

    stage.raise_lab(args.port, hardware, &say)?;
    let place = stage.place()?;
    story.tell(Moment::LabUp, format!("lab at scale {} of real Kafka brokers", hardware));
    let program = args.terraform.terraform_bin.as_deref();
    let working_dir = WorkingDir::lock(project.dir(), program, None, || place.env()).map_err(refused)?;
    let terraform = working_dir.terraform();
    let plan = working_dir.plan(Goal::Apply, &mut |seen| progress.show(seen))?;
    terraform.apply(&plan, &mut |seen| progress.show(seen))?;
    progress.clear();
    let (created, _, _) = plan.changes.totals();
    story.tell(
        Moment::Applied,
        format!("terraform made {created} resources, 3 zones, {} brokers", stack.cluster().broker_count),
    );

    let runtime = tokio::runtime::Runtime::new().context("starting the asynchronous runtime")?;
    let (cluster, bootstrap) = runtime.block_on(async {
        let aws = place.aws(stack.region()).await;
        place::cluster(&aws, &stack.cluster().name).await
    })?;
    let connection = Connection::plain(&bootstrap);
    connection.ensure_reachable(REACHABLE_WITHIN)?;
    let topic = stack.topic();
    let spec = TopicSpec {
        name: topic.name.clone(),
        partitions: topic.partitions as i32,
        replication_factor: topic.replication_factor as i32,
        configs: Default::default(),
    };
    Admin::connect(&connection)?.create(&spec)?;

    let mut events = Events::watch(&runtime, stack, &place, record.clone())?;
    let from: BrokerType = cluster.broker_type.parse()?;
    eprintln!("watching the brokers without load");
    let started = Instant::now();
    events.run_for(CALM, stage)?;
    // Brokers that have just started still compile; the load is not to be blamed for that.
    while events.busiest().is_none_or(|(_, cpu)| cpu > CALM_CPU_PERCENT) && started.elapsed() < CALM_WITHIN {
        events.next(stage)?;
    }
    let calm = Figures::of(from.as_str(), events.samples(INTERVAL * 2));
    story.tell(Moment::Calm, format!("{from}: CPU {:.0} %, no load", calm.cpu_percent.unwrap_or(f64::NAN)));

    let load = stack_load(stack);
    let config = ProducerConfig {
        run: new_run(),
        load: load.clone(),
        connection: connection.clone(),
        acks: Acks::All,
        idempotent: true,
        transactions: None,
        compression: "none".to_owned(),
        clients: 1,
        part: Part::WHOLE,
        start_at: None,
        runs: outer.runs_dir(),
        flush_within: Duration::from_secs(60),
    };
    events.start_load(config);
    let rate = load.rate.mean(load.duration).unwrap_or_default();
    story.tell(
        Moment::LoadStarted,
        format!("{rate} records/s of {} bytes to {}, acks=all", load.record_size, topic.name),
    );

    // The undersized cluster: the constraint shows, and its cause is named.
    let threshold = stack.alarms().cpu_percent;
    let started = Instant::now();
    let named = loop {
        events.next(stage)?;
        if !story.has(Moment::Seen)
            && let Some((broker, cpu)) = events.busiest()
            && cpu > threshold
        {
            story.tell(
                Moment::Seen,
                format!("CPU of broker {broker} is {cpu:.0} % of what it may use (alarm at {threshold} %)"),
            );
        }
        let diagnosis = events.diagnosis();
        if story.has(Moment::Seen) && diagnosis.verdict == Verdict::CauseFound {
            break diagnosis.clone();
        }
        if started.elapsed() > NAME_WITHIN {
            let found = diagnosis.findings.first().map(|finding| finding.title.clone()).unwrap_or_default();
            eprintln!("no cause could be named within {} s: {found}", NAME_WITHIN.as_secs());
            return Ok(Outcome::Inconclusive);
        }
    };
    let finding = named.findings.first().context("a verdict has a finding")?.clone();
    story.tell(Moment::Named, format!("{}: {}", finding.id, finding.title));
    runtime.block_on(refresh(&events.aws, &mut events.context))?;
    let remedies = fixes(&events.context, &named, &project.terraform_dir());
    for (finding, fix) in named.findings.iter().zip(&remedies) {
        let found = Found::new(&events.context.cluster, named.verdict, finding, fix.clone());
        record.tell(Event::Finding(Box::new(found)))?;
    }
    out::aside(format_args!("\n{}\n", text(&events.context, events.samples(WINDOW), &named, &remedies)));
    let Some(to) = finding.remedy.as_ref().and_then(|remedy| remedy.broker_type()) else {
        eprintln!("the remedy of {} is no other broker type", finding.id);
        return Ok(Outcome::Unhealthy);
    };
    eprintln!("measuring {from} for {} s", BEFORE.as_secs());
    events.start_stretch();
    events.run_for(BEFORE, stage)?;
    let (before, measured_before) = (events.figures(from.as_str()), events.measured());

    // The fix, while the load goes on.
    story.tell(Moment::FixStarted, format!("kgen resize {to}"));
    let fixed = events.during(|| {
        let ready = prepare(&project, Change::BrokerType(to), &place)?;
        record
            .tell(Event::Remedy(Box::new(Fix { command: format!("kgen resize {to}"), rendered: ready.rendered() })))?;
        ready.carry_out(&working_dir, &Journal::new(None, Timing::default(), &mut Words::new(true, true))?)
    });
    if fixed?.is_none() {
        return Ok(Outcome::Interrupted);
    }
    story.tell(Moment::Fixed, format!("every broker is {to}, every partition in sync"));
    runtime.block_on(refresh(&events.aws, &mut events.context))?;
    events.forget()?;
    let started = Instant::now();
    let diagnosis = loop {
        events.next(stage)?;
        let diagnosis = events.diagnosis();
        if diagnosis.verdict == Verdict::Healthy {
            break diagnosis.clone();
        }
        if started.elapsed() > RECOVER_WITHIN {
            eprintln!(
                "not healthy {} s after the fix:\n{}",
                RECOVER_WITHIN.as_secs(),
                text(&events.context, events.samples(WINDOW), diagnosis, &[])
            );
            return Ok(Outcome::Unhealthy);
        }
    };
    for finding in &diagnosis.findings {
        let found = Found::new(&events.context.cluster, diagnosis.verdict, finding, None);
        record.tell(Event::Finding(Box::new(found)))?;
    }
    story.tell(Moment::Recovered, "healthy under the same load".to_owned());
    eprintln!("measuring {to} for {} s", AFTER.as_secs());
    events.start_stretch();
    events.run_for(AFTER, stage)?;
    let (after, measured_after) = (events.figures(to.as_str()), events.measured());
    let change = proof(&measured_before.measured(), &measured_after.measured());
    record.result(STRETCHES, &Stretches { before: measured_before.span(), after: measured_after.span() })?;
    record.result("conclusion", &change)?;

    let summary = events.stop_load()?;
    record.result("load", &summary)?;
    let ledgers = Ledger::read_run(&outer.runs_dir().join(&summary.run))?;
    let never = std::sync::atomic::AtomicBool::new(false);
    let verified = consumer::verify(&connection, &load.topics, ledgers, &never, &mut |_, _| {})?;
    let verified = verified.context("reading the topic back was stopped")?;
    record.result("verification", &verified)?;
    story.tell(
        Moment::Verified,
        format!(
            "{} records acknowledged, {} lost, {} duplicated",
            verified.acknowledged, verified.lost, verified.duplicates
        ),
    );

    progress.phase("destroying");
    let plan = working_dir.plan(Goal::Destroy, &mut |seen| progress.show(seen))?;
    terraform.apply(&plan, &mut |seen| progress.show(seen))?;
    progress.clear();
    let (_, _, destroyed) = plan.changes.totals();
    if runtime.block_on(events.aws.describe(&cluster.arn)).is_ok() {
        bail!("terraform destroyed {destroyed} resources, and the cluster is still there");
    }
    story.tell(Moment::Destroyed, format!("terraform destroyed {destroyed} resources"));

    let whole = verified.is_whole() && summary.failed_total() + summary.unsent + summary.lost_track == 0;
    if args.json {
        documents::print(Played {
            lab_scale: events.context.lab_scale,
            timeline: &story,
            cause: finding.id,
            before: &before,
            after: &after,
            change: &change,
            load: &summary,
            proof: &verified,
            samples: &events.record(),
        })?;
    } else {
        println!("\n{} (lab, scale {}; {})", story.title(from, to), hardware, events.record().display());
        print!("{}", story.timeline());
        println!("\n{}", table((from.as_str(), to.as_str()), &change));
        println!(
            "\nrecords: {} due, {} acknowledged, {} failed, {} lost, {} duplicated",
            summary.offered,
            summary.acknowledged,
            summary.failed_total() + summary.unsent,
            verified.lost,
            verified.duplicates
        );
    }
    Ok(if whole { Outcome::Done } else { Outcome::RecordsLost })
}
