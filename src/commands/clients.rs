//! `kgen produce --on clients` and `--hosts FILE`: a load from many machines, with one result; and what `kgen load` shares with it.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum as _;
use comfy_table::Table;

use super::{
    look, out,
    produce::{config, ensure_topics, print_objectives, print_times},
    record::{self, environment},
    stopping::Stopping,
};
use crate::{
    aws::Aws,
    cli::{
        Outcome, Which,
        load::{Brokers, Machines, Produce},
        refused,
    },
    clients::{self, Chosen, Demand, Engine, Event, Hosts, Order, Progress, Ssm, Work},
    files::bounded,
    kafka::{Connection, REACHABLE_WITHIN, Security},
    load::{
        merge::{Fault, Merged, Silence, Standing},
        mix::{Group, Sending},
        payload::Payload,
        producer::ProducerConfig,
        slo::{Figure, Slo},
    },
    project::Project,
    stack::run_command,
    watch::{Place, runtime},
};

/// Between two lines of progress, s.
const LINE_EVERY: f64 = 10.0;

pub fn run(args: &Produce, project: &Path) -> anyhow::Result<Outcome> {
    let project = &Project::open(project).map_err(refused)?;
    let (config, _) = config(args, project)?;
    config.validate().map_err(refused)?;
    let arguments = arguments(args, &config).map_err(refused)?;
    ensure_topics_from_here(&config.load.topics, &config.connection)?;
    let engine = engine(&args.machines, &args.brokers.which, project)?;
    let run = format!("{:016x}", config.run);
    let work = Work {
        run: run.clone(),
        arguments,
        file: None,
        duration: config.load.duration,
        end_within: config.flush_within * 2,
        start_in: args.machines.start_in,
        demand: demand(
            &args.machines,
            vec![Sending { name: String::new(), after: Duration::ZERO, config: config.clone() }],
            Vec::new(),
            project,
        ),
    };
    let order = Order {
        work,
        topic: config.load.topics.join(","),
        rate_asked: config.load.rate.mean(config.load.duration),
        folder: project.runs_dir().join(format!("{:016x}", config.run)),
    };
    let record = record::begin_if_possible(project, "produce", Some(run), environment(project));
    let stopping = Stopping::begin(|| eprintln!("ended at once: what runs on the machines may run on"))?;
    let mut shown = Shown::default();
    let merged = clients::produce(&engine, &order, stopping.flag(), &mut |event| shown.show(&event));
    let finished = merged.and_then(|merged| {
        let Some(mut merged) = merged else {
            eprintln!("nothing was sent");
            return Ok(Outcome::Interrupted);
        };
        merged.stopped |= stopping.was_asked();
        merged.slo = args.slo.as_ref().map(|slo| slo.judge_merged(&merged)).unwrap_or_default();
        record.result("load", &merged)?;
        show(args, &merged)?;
        Ok(outcome(&merged, args.slo.as_ref()))
    });
    record.end(&finished, stopping.was_asked())?;
    finished
}

fn show(args: &Produce, merged: &Merged) -> anyhow::Result<()> {
    if args.json {
        out::document(merged)?;
    } else if args.json_stream {
        let _ = out::json_line(merged);
    } else {
        print(merged);
    }
    Ok(())
}

/// Checks that the topics exist, where the brokers answer from here.
///
/// # Errors
/// Refused: one does not.
pub fn ensure_topics_from_here(topics: &[String], connection: &Connection) -> anyhow::Result<()> {
    // Brokers of a VPC may be within reach of the machines alone; they say so themselves.
    match connection.ensure_reachable(REACHABLE_WITHIN) {
        Ok(cluster) => ensure_topics(topics, &cluster)?,
        Err(error) => eprintln!("note: from here, {error:#}; the machines may reach them"),
    }
    Ok(())
}

/// Whether records were lost. Whoever says how many errors are too many does not mean "none".
pub fn has_lost_records(merged: &Merged, slo: Option<&Slo>) -> bool {
    let errors_are_judged = slo.is_some_and(|slo| slo.has(Figure::Errors));
    !errors_are_judged && merged.failed_total() + merged.unsent + merged.lost_track > 0
}

/// How the command ends.
fn outcome(merged: &Merged, slo: Option<&Slo>) -> Outcome {
    match merged {
        merged if merged.stopped => Outcome::Interrupted,
        merged if has_lost_records(merged, slo) => Outcome::RecordsLost,
        merged if merged.standing != Standing::Whole => Outcome::Inconclusive,
        merged if merged.slo.iter().any(|judged| !judged.kept) => Outcome::Missed,
        _ => Outcome::Done,
    }
}

/// What carries a load to the machines that are named.
///
/// # Errors
/// Refused: the hosts cannot be read, or it is not clear where the instances are.
pub fn engine(machines: &Machines, which: &Which, project: &Project) -> anyhow::Result<Engine> {
    if let Some(path) = &machines.hosts {
        let reading = || format!("reading the hosts of {}", path.display());
        let text = bounded::text(path, bounded::TEXT_BYTES).with_context(reading).map_err(refused)?;
        return Ok(Engine::Hosts(Hosts::read("ssh".into(), &text).with_context(reading).map_err(refused)?));
    }
    let runtime = runtime()?;
    let aws: Aws = runtime.block_on(async {
        let target = look::target(which, project, false).await?;
        anyhow::Ok(Place::Environment.aws(&target.region.name).await)
    })?;
    let bucket = machines.results_bucket.clone();
    if let Some(tag) = &machines.client_tag {
        let chosen = Chosen::read(tag).map_err(refused)?;
        return Ok(Engine::Ssm(Box::new(Ssm::new(runtime, aws, chosen, bucket))));
    }
    let document = run_command::document_name(&project.stack().cluster().name);
    let ssm = Ssm::new(runtime, aws, of_the_stack(project), bucket);
    let ssm = ssm.with_document(&document, run_command::BUCKET_PARAMETER).map_err(refused)?;
    Ok(Engine::Ssm(Box::new(ssm)))
}

/// What a load means for the network of these machines.
pub fn demand(machines: &Machines, senders: Vec<Sending>, groups: Vec<Group>, project: &Project) -> Demand {
    let is_of_the_stack = machines.on.is_some() && machines.client_tag.is_none();
    let instance_type = is_of_the_stack.then(|| project.stack().client().instance_type.clone());
    Demand { senders, groups, instance_type, beyond_baseline: machines.beyond_baseline }
}

/// The names that the stack gives its client instances.
fn of_the_stack(project: &Project) -> Chosen {
    let stack = project.stack();
    let name = format!("{}-client", stack.cluster().name);
    let values = match stack.client().count {
        1 => vec![name],
        count => (0..count).map(|number| format!("{name}-{number}")).collect(),
    };
    let count = Some(values.len());
    Chosen { tag: "Name".to_owned(), values, count }
}

/// What every machine's kgen is given.
fn arguments(args: &Produce, config: &ProducerConfig) -> anyhow::Result<Vec<String>> {
    let load = &config.load;
    if matches!(load.payload, Payload::Lines(_)) {
        return Err(anyhow!("--payload lines:FILE reads a file of this machine, which the others do not have"));
    }
    ensure_no_secret(&args.brokers)?;
    let acks = args.acks.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let seconds = |time: Duration| format!("{}s", time.as_secs_f64());
    let mut words = vec!["produce".to_owned()];
    let mut put = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    put("bootstrap-servers", config.connection.bootstrap_servers.clone());
    put("topic", load.topics.join(","));
    put("rate", load.rate.to_string());
    put("duration", seconds(load.duration));
    put("record-size", load.record_size.to_string());
    put("keys", load.keys.to_string());
    put("payload", load.payload.to_string());
    put("acks", acks);
    put("compression", config.compression.clone());
    put("clients", config.clients.to_string());
    put("seed", load.seed.to_string());
    put("flush-within", seconds(config.flush_within));
    if load.max_records < u64::MAX {
        put("records", load.max_records.to_string());
    }
    words.extend(connecting(&args.brokers));
    let mut put = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    load.headers.iter().for_each(|(name, value)| put("header", format!("{name}={value}")));
    if let Some(commit) = config.transactions {
        words.push(format!("--transactions={commit}"));
    }
    if config.idempotent {
        words.push("--idempotent".to_owned());
    }
    Ok(words)
}

/// # Errors
/// The arguments have a password.
pub fn ensure_no_secret(brokers: &Brokers) -> anyhow::Result<()> {
    let is_secret = |name: &str| ["password", "secret", "key.pem"].iter().any(|word| name.contains(word));
    if brokers.security == Some(Security::Scram) || brokers.set.iter().any(|(name, _)| is_secret(name)) {
        return Err(anyhow!(
            "a password would stay in the history of commands of every machine: use --security iam, tls or plaintext"
        ));
    }
    Ok(())
}

/// How every machine's kgen connects, beside the brokers' addresses.
pub fn connecting(brokers: &Brokers) -> Vec<String> {
    let security = brokers.security.map(|security| ("security", security.to_string()));
    let set = brokers.set.iter().map(|(name, value)| ("set", format!("{name}={value}")));
    security.into_iter().chain(set).flat_map(|(name, value)| [format!("--{name}"), value]).collect()
}

/// What was shown of a load last.
#[derive(Default)]
pub struct Shown {
    last_line_s: f64,
    ended: usize,
}

impl Shown {
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Ready { machines, version, start_in } => {
                eprintln!("{machines} machines are ready with {version}; the load starts in {} s", start_in.as_secs());
            }
            Event::Note(note) => eprintln!("note: {note}"),
            Event::Progress(Progress::States { running, ended, of }) if *ended != self.ended => {
                eprintln!("{ended} of {of} machines have ended, {running} are under way");
                self.ended = *ended;
            }
            Event::Progress(Progress::States { .. }) => {}
            Event::Progress(Progress::Second { machines, at_s, offered_per_s, acknowledged_per_s }) => {
                if at_s - self.last_line_s >= LINE_EVERY - 0.5 {
                    eprintln!(
                        "{at_s:.0} s: {offered_per_s:.0} records/s due, {acknowledged_per_s:.0} acknowledged, on {machines} machines"
                    );
                    self.last_line_s = *at_s;
                }
            }
        }
    }
}

/// Prints a result for people.
pub fn print(merged: &Merged) {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let asked = merged.rate_asked.map_or("as fast as possible".to_owned(), |rate| format!("{rate:.1} asked"));
    let mut row = |name: &str, text: String| {
        table.add_row([name.to_owned(), text]);
    };
    row("run", merged.run.clone());
    row("machines", format!("{} of {} reported", merged.reported, merged.machines.len()));
    row("duration", format!("{:.1} s", merged.duration_s));
    row("records/s", format!("{:.1} reached, {:.1} offered, {asked}", merged.rate_reached, merged.rate_offered));
    row("records due", merged.offered.to_string());
    row("acknowledged", merged.acknowledged.to_string());
    let codes: Vec<_> = merged.failed.iter().map(|(code, count)| format!("{count} {code}")).collect();
    row("failed", if codes.is_empty() { "0".to_owned() } else { codes.join(", ") });
    if merged.unsent > 0 {
        row("due, never sent", merged.unsent.to_string());
    }
    if let Some(spread) = merged.start_spread_ms {
        row("start spread", format!("{spread:.1} ms, each by its own clock"));
    }
    println!("{table}");
    print_times(&[
        ("response (from due)", &merged.response),
        ("service (from sent)", &merged.service),
        ("send error", &merged.send_error),
    ]);
    for share in &merged.machines {
        share.faults.iter().for_each(|fault| println!("{}: {}", share.machine, described(fault)));
    }
    match merged.standing {
        Standing::Whole => {}
        Standing::Partial => println!("partial: these figures are those of the machines that reported"),
        Standing::Void => {
            println!("void: this was not the load that was asked for; these figures say little about the cluster")
        }
    }
    print_objectives(&merged.slo);
    println!("proof: kgen consume --verify {} --topic {}", merged.run, merged.topic);
}

fn described(fault: &Fault) -> String {
    match fault {
        Fault::StartedLate { late_ms } => format!("started {late_ms:.0} ms late"),
        Fault::ClockOff { at_least_ms } => format!("its clock is off by {at_least_ms:.0} ms or more"),
        Fault::GeneratorBound { late_share } => {
            format!(
                "generator bound: {:.2} % of its records were sent more than 100 ms late or never",
                late_share * 100.0
            )
        }
        Fault::Stopped => "was stopped before its schedule was over".to_owned(),
        Fault::Silent { why, reason } => {
            let what = match why {
                Silence::Refused => "did not begin",
                Silence::Died => "died",
                Silence::DiskFull => "its disk is full",
                Silence::Stopped => "was stopped before it could report",
                Silence::LostContact => "nothing is known of it",
                Silence::Mistaken => "its report does not count",
            };
            format!("{what} ({})", crate::visible::line(reason))
        }
    }
}
