//! `kgen load`: several producers and consumer groups as one load, on this machine or on many; and `kgen consume --on clients`,
//! which is a load of one group.

use std::{path::Path, time::Duration};

use anyhow::Context as _;

use super::{
    clients::{
        Shown, connecting, demand, engine, ensure_no_secret, ensure_topics_from_here, has_lost_records,
        print as print_producer,
    },
    consume, out,
    place::connection,
    produce::{self, ensure_topics, print_objectives},
    record::{self, Record, environment},
    stopping::Stopping,
};
use crate::{
    cli::{
        Outcome,
        load::{Brokers, Consume, Load, Machines},
        mix::{self as file, Mix},
        refused,
    },
    clients::{self, Demand, MixOrder, Work},
    files::bounded,
    kafka::{Connection, REACHABLE_WITHIN},
    load::{
        self,
        consumer::ReadTick,
        merge::Standing,
        mix::{Expected, Group, MixMachine, Mixed, MixedGroup, Second, Sending},
        part::Part,
        payload::Payload,
        producer::{Tick, new_run},
    },
    project::Project,
    stack::Stack,
};

/// Between two lines of progress, s.
const LINE_EVERY: f64 = 10.0;
/// The mix on a machine.
const FILE: &str = "mix.toml";

/// What is run, and where.
struct Asked<'a> {
    mix: Mix,
    /// The file, with nothing left out.
    text: String,
    brokers: &'a Brokers,
    machines: &'a Machines,
    json: bool,
}

pub fn run(args: &Load, project: &Path) -> anyhow::Result<Outcome> {
    let project = &Project::open(project).map_err(refused)?;
    let reading = || format!("reading the load of {}", args.file.display());
    let text = bounded::text(&args.file, bounded::TEXT_BYTES).with_context(reading).map_err(refused)?;
    let (text, mix) = read(&text, project.stack()).with_context(reading).map_err(refused)?;
    let asked = Asked { mix, text, brokers: &args.brokers, machines: &args.machines, json: args.json };
    if args.machines.are_named() {
        return everywhere(&asked, project);
    }
    here(&asked, args, project)
}

/// `kgen consume --on clients`: every machine is a member of the group.
pub fn consume(args: &Consume, project: &Path) -> anyhow::Result<Outcome> {
    let project = &Project::open(project).map_err(refused)?;
    let (text, mix) = read(&of_one_group(args), project.stack()).map_err(refused)?;
    everywhere(&Asked { mix, text, brokers: &args.brokers, machines: &args.machines, json: args.json }, project)
}

/// The mix of one group.
fn of_one_group(args: &Consume) -> String {
    let seconds = |time: Duration| format!("{}s", time.as_secs_f64());
    let mut table = toml::Table::new();
    let mut put = |key: &str, value: toml::Value| drop(table.insert(key.to_owned(), value));
    put("group", args.group.clone().into());
    put("from", args.from.clone().into());
    put("delay", seconds(args.delay).into());
    if !args.topic.is_empty() {
        put("topic", args.topic.clone().into());
    }
    if let Some(duration) = args.duration {
        put("duration", seconds(duration).into());
    }
    if let Some(rate) = args.rate {
        put("rate", rate.into());
    }
    if let Some(slo) = &args.slo {
        put("slo", slo.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",").into());
    }
    let stalls = args.stalls.iter().map(|stall| format!("{}@{}", seconds(stall.length), seconds(stall.from)));
    put("stall", stalls.collect::<Vec<_>>().into());
    let mut file = toml::Table::new();
    file.insert("consumer".to_owned(), toml::Value::Array(vec![table.into()]));
    file.to_string()
}

/// The file with what the stack says where it says nothing.
fn read(text: &str, stack: &Stack) -> anyhow::Result<(String, Mix)> {
    let stacks = load::producer::Load::of_stack(stack);
    let topic = ("topic", stack.topic().name.clone());
    let producer = [
        topic.clone(),
        ("rate", stacks.rate.to_string()),
        ("record-size", stacks.record_size.to_string()),
        ("keys", stacks.keys.to_string()),
    ];
    let text = file::completed(text, &producer, &[topic])?;
    let mut mix = Mix::read(&text)?;
    for producer in &mut mix.producers {
        let args = &mut producer.args;
        args.duration = args.duration.or(args.rate.as_ref().and_then(|rate| rate.length())).or(Some(stacks.duration));
    }
    Ok((text, mix))
}

/// The producers and groups with the brokers of the command line.
fn planned(
    asked: &Asked,
    run: u64,
    part: Part,
    connection: &Connection,
    project: &Project,
) -> anyhow::Result<(Vec<Sending>, Vec<Group>)> {
    let mut senders = Vec::new();
    for (number, producer) in (0..).zip(&asked.mix.producers) {
        let mut config = produce::config_at(&producer.args, connection.clone(), project)?;
        config.run = run.wrapping_add(number);
        config.part = part;
        let name = || format!("producer {}", producer.name);
        config.validate().with_context(name).map_err(refused)?;
        senders.push(Sending { name: producer.name.clone(), after: producer.after, config });
    }
    let groups = asked.mix.groups.iter().map(|group| Group {
        name: group.name.clone(),
        after: group.after,
        members: group.members,
        config: consume::config(&group.args, connection.clone(), project.stack()),
    });
    Ok((senders, groups.collect()))
}

fn topics(senders: &[Sending], groups: &[Group]) -> Vec<String> {
    let sent = senders.iter().flat_map(|one| one.config.load.topics.clone());
    sent.chain(groups.iter().flat_map(|one| one.config.topics.clone())).collect()
}

/// Runs it on this machine.
fn here(asked: &Asked, args: &Load, project: &Project) -> anyhow::Result<Outcome> {
    let connection = connection(asked.brokers, project)?;
    let (run, part) = (args.run_id.unwrap_or_else(new_run), args.part.unwrap_or(Part::WHOLE));
    let (senders, groups) = planned(asked, run, part, &connection, project)?;
    let cluster = connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    ensure_topics(&topics(&senders, &groups), &cluster)?;
    let order = order(asked, run, &senders, Vec::new(), Demand::default(), project);
    let record = record::begin_if_possible(project, "load", Some(order.work.run.clone()), environment(project));
    let stopping = Stopping::begin(|| {
        eprintln!("stopped at once: it is unknown whether the unacknowledged records were written")
    })?;
    let mix = load::mix::Mix { part, start_at: args.start_at, drain: asked.mix.drain, senders, groups };
    let mut seconds = Seconds::new(args.part.is_some());
    let ran = load::mix::run(&mix, stopping.flag(), &mut |second| seconds.take(second));
    let finished = ran.and_then(|report| {
        if args.part.is_some() {
            let stopped = report.producers.values().any(|one| one.summary.stopped) || stopping.was_asked();
            out::json_line(&report)?;
            return Ok(if stopped { Outcome::Interrupted } else { Outcome::Done });
        }
        let machine = MixMachine { name: "this machine".to_owned(), clock: None, ended: Ok(Box::new(report)) };
        ended(asked, clients::keep_mix(&order, vec![machine])?, stopping.was_asked(), &record)
    });
    record.end(&finished, stopping.was_asked())?;
    finished
}

/// Runs it on many machines.
fn everywhere(asked: &Asked, project: &Project) -> anyhow::Result<Outcome> {
    ensure_no_secret(asked.brokers).map_err(refused)?;
    if asked.mix.producers.iter().any(|one| matches!(one.args.payload, Payload::Lines(_))) {
        return Err(refused(anyhow::anyhow!(
            "a payload of lines is in a file of this machine, which the others do not have"
        )));
    }
    let connection = connection(asked.brokers, project)?;
    let run = new_run();
    let (senders, groups) = planned(asked, run, Part::WHOLE, &connection, project)?;
    ensure_topics_from_here(&topics(&senders, &groups), &connection)?;
    let engine = engine(asked.machines, &asked.brokers.which, project)?;
    let mut arguments = vec!["load".to_owned(), FILE.to_owned()];
    arguments.extend(["--bootstrap-servers".to_owned(), connection.bootstrap_servers.clone()]);
    arguments.extend(connecting(asked.brokers));
    let demand = demand(asked.machines, senders.clone(), groups, project);
    let order = order(asked, run, &senders, arguments, demand, project);
    let record = record::begin_if_possible(project, "load", Some(order.work.run.clone()), environment(project));
    let stopping = Stopping::begin(|| eprintln!("ended at once: what runs on the machines may run on"))?;
    let mut shown = Shown::default();
    let mixed = clients::load(&engine, &order, stopping.flag(), &mut |event| shown.show(&event));
    let finished = mixed.and_then(|mixed| match mixed {
        Some(mixed) => ended(asked, mixed, stopping.was_asked(), &record),
        None => {
            eprintln!("nothing was sent");
            Ok(Outcome::Interrupted)
        }
    });
    record.end(&finished, stopping.was_asked())?;
    finished
}

fn order(
    asked: &Asked,
    run: u64,
    senders: &[Sending],
    arguments: Vec<String>,
    demand: Demand,
    project: &Project,
) -> MixOrder {
    let sent = senders.iter().map(|one| (one.after + one.config.load.duration, one.config.flush_within * 2));
    let read = asked.mix.groups.iter().filter_map(|one| Some((one.after + one.args.duration?, Duration::ZERO)));
    let (lasts, flush) =
        sent.chain(read).fold((Duration::ZERO, Duration::ZERO), |all, one| (all.0.max(one.0), all.1.max(one.1)));
    let producers = senders.iter().map(|one| Expected {
        name: one.name.clone(),
        run: format!("{:016x}", one.config.run),
        topic: one.config.load.topics.join(","),
        rate_asked: one.config.load.rate.mean(one.config.load.duration),
    });
    MixOrder {
        work: Work {
            run: format!("{run:016x}"),
            arguments,
            file: Some((FILE.to_owned(), asked.text.clone())),
            duration: lasts,
            end_within: flush + asked.mix.drain,
            start_in: asked.machines.start_in,
            demand,
        },
        producers: producers.collect(),
        groups: asked.mix.groups.iter().map(|one| one.name.clone()).collect(),
        runs: project.runs_dir(),
    }
}

/// Judges and shows the result. Returns how the command ends.
fn ended(asked: &Asked, mut mixed: Mixed, was_stopped: bool, record: &Record) -> anyhow::Result<Outcome> {
    mixed.stopped |= was_stopped;
    for (one, asked) in mixed.producers.iter_mut().zip(&asked.mix.producers) {
        one.result.slo = asked.args.slo.as_ref().map(|slo| slo.judge_merged(&one.result)).unwrap_or_default();
    }
    for (one, asked) in mixed.groups.iter_mut().zip(&asked.mix.groups) {
        one.slo = asked.args.slo.as_ref().map(|slo| slo.judge_consumed(&one.as_consumed())).unwrap_or_default();
    }
    record.result("mix", &mixed)?;
    if asked.json {
        out::document(&mixed)?;
    } else {
        print(&mixed);
    }
    Ok(outcome(&asked.mix, &mixed))
}

fn outcome(asked: &Mix, mixed: &Mixed) -> Outcome {
    let results = || mixed.producers.iter().map(|one| &one.result);
    let objectives = || results().flat_map(|one| &one.slo).chain(mixed.groups.iter().flat_map(|one| &one.slo));
    let mut of_producers = results().zip(&asked.producers);
    if mixed.stopped {
        Outcome::Interrupted
    } else if of_producers.any(|(one, asked)| has_lost_records(one, asked.args.slo.as_ref()))
        || mixed.groups.iter().any(|one| one.corrupted > 0)
    {
        Outcome::RecordsLost
    } else if mixed.standing != Standing::Whole {
        Outcome::Inconclusive
    } else if objectives().any(|judged| !judged.kept) {
        Outcome::Missed
    } else {
        Outcome::Done
    }
}

/// The newest second of each producer and member.
struct Seconds {
    is_part: bool,
    sent: std::collections::BTreeMap<String, Tick>,
    read: std::collections::BTreeMap<(String, u16), ReadTick>,
    begun: std::time::Instant,
    last_s: f64,
}

/// A second of all producers and groups, for the driver of a load that several machines run.
#[derive(serde::Serialize)]
struct Line {
    schema: &'static str,
    at_s: f64,
    offered_per_s: f64,
    acknowledged_per_s: f64,
    read_per_s: f64,
}

impl Seconds {
    fn new(is_part: bool) -> Seconds {
        let begun = std::time::Instant::now();
        Seconds { is_part, sent: Default::default(), read: Default::default(), begun, last_s: 0.0 }
    }

    fn take(&mut self, second: Second) {
        let notes = match second {
            Second::Sent(name, tick) => {
                let notes = tick.notes.clone();
                self.sent.insert(name, *tick);
                notes
            }
            Second::Read(name, member, tick) => {
                let notes = tick.notes.clone();
                self.read.insert((name, member), *tick);
                notes
            }
        };
        notes.iter().for_each(|note| eprintln!("client: {note}"));
        let (at_s, every) = (self.begun.elapsed().as_secs_f64(), if self.is_part { 1.0 } else { LINE_EVERY });
        if at_s - self.last_s < every {
            return;
        }
        self.last_s = at_s;
        let line = Line {
            schema: clients::SECOND_SCHEMA,
            at_s,
            offered_per_s: self.sent.values().map(|tick| tick.sample.offered_per_s).sum(),
            acknowledged_per_s: self.sent.values().map(|tick| tick.sample.acknowledged_per_s).sum(),
            read_per_s: self.read.values().map(|tick| tick.read_per_s).sum(),
        };
        if self.is_part {
            // As in `kgen produce`.
            let _ = out::json_line(&line);
            return;
        }
        eprintln!(
            "{at_s:.0} s: {:.0} records/s due, {:.0} acknowledged, {:.0} read",
            line.offered_per_s, line.acknowledged_per_s, line.read_per_s
        );
    }
}

fn print(mixed: &Mixed) {
    for one in &mixed.producers {
        println!("producer {}", one.name);
        print_producer(&one.result);
        println!();
    }
    mixed.groups.iter().for_each(print_group);
    match mixed.standing {
        Standing::Whole => {}
        Standing::Partial => println!("partial: a part of the load is missing, as named above"),
        Standing::Void => println!("void: this was not the load that was asked for, as named above"),
    }
}

fn print_group(group: &MixedGroup) {
    println!(
        "consumer {}: {} records ({} bytes) of {} by {} members in {:.1} s, {:.1} records/s, lag {} at the end, {} at most of one",
        group.name,
        group.read,
        group.bytes,
        group.topic,
        group.members,
        group.duration_s,
        group.read_per_s,
        consume::count(group.lag),
        consume::count(group.lag_max)
    );
    if group.corrupted > 0 {
        println!("{} records are damaged", group.corrupted);
    }
    if let Some(times) = &group.end_to_end {
        let by = match group.clock_uncertainty_ms {
            Some(0.0) => "by the clock of this machine".to_owned(),
            Some(ms) => format!("uncertain by {ms:.0} ms, because clocks of several machines are compared"),
            None => "by clocks of different machines, which were not compared: they say little".to_owned(),
        };
        println!("{}, {by}", consume::end_to_end(times));
    }
    for fault in &group.faults {
        println!("{}: {}", fault.machine, crate::visible::line(&fault.reason));
    }
    print_objectives(&group.slo);
}
