//! `kgen load`: several producers and consumer groups as one load, on this machine or on many; and `kgen consume --on clients`,
//! which is a load of one group.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{
    clients::Shown as ShownOfMachines,
    out,
    place::connection,
    record::{self, Record, environment},
    stopping::Stopping,
};
use crate::{
    cli::{
        Outcome,
        load::{Brokers, Consume, Load, Machines},
        mix::{Mix, of_one_group},
        onward::{connecting, ensure_no_secret},
        refused,
    },
    clients::{self, Demand, MixOrder, Work},
    files::bounded,
    kafka::REACHABLE_WITHIN,
    load::{
        self, ending,
        mix::{Expected, Group, MixMachine, Mixed, Rates, Second, Seconds, Sending},
        part::Part,
        payload::Payload,
        producer::new_run,
    },
    project::Project,
    selection::{
        load::{ensure_topics, ensure_topics_from_here, plan_mix, read_mix},
        machines::{demand, engine},
    },
    text,
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
    let (text, mix) = read_mix(&text, project.stack()).with_context(reading).map_err(refused)?;
    let asked = Asked { mix, text, brokers: &args.brokers, machines: &args.machines, json: args.json };
    if args.machines.are_named() {
        return everywhere(&asked, project);
    }
    here(&asked, args, project)
}

/// `kgen consume --on clients`: every machine is a member of the group.
pub fn consume(args: &Consume, project: &Path) -> anyhow::Result<Outcome> {
    let project = &Project::open(project).map_err(refused)?;
    let (text, mix) = read_mix(&of_one_group(args), project.stack()).map_err(refused)?;
    everywhere(&Asked { mix, text, brokers: &args.brokers, machines: &args.machines, json: args.json }, project)
}

fn topics(senders: &[Sending], groups: &[Group]) -> Vec<String> {
    let sent = senders.iter().flat_map(|one| one.config.load.topics.clone());
    sent.chain(groups.iter().flat_map(|one| one.config.topics.clone())).collect()
}

/// Runs it on this machine.
fn here(asked: &Asked, args: &Load, project: &Project) -> anyhow::Result<Outcome> {
    let connection = connection(asked.brokers, project)?;
    let (run, part) = (args.run_id.unwrap_or_else(new_run), args.part.unwrap_or(Part::WHOLE));
    let (senders, groups) = plan_mix(&asked.mix, run, part, &connection, project)?;
    let cluster = connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    ensure_topics(&topics(&senders, &groups), &cluster)?;
    let order = order(asked, run, &senders, Vec::new(), Demand::default(), project);
    let record = record::begin_if_possible(project, "load", Some(order.work.run.clone()), environment(project));
    let stopping = Stopping::begin(|| {
        eprintln!("stopped at once: it is unknown whether the unacknowledged records were written")
    })?;
    let mix = load::mix::Mix { part, start_at: args.start_at, drain: asked.mix.drain, senders, groups };
    let mut shown = Shown::new(args.part.is_some());
    let ran = load::mix::run(&mix, stopping.flag(), &mut |second| shown.show(second));
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
    let (senders, groups) = plan_mix(&asked.mix, run, Part::WHOLE, &connection, project)?;
    ensure_topics_from_here(&topics(&senders, &groups), &connection)?;
    let engine = engine(asked.machines, &asked.brokers.which, project)?;
    let mut arguments = vec!["load".to_owned(), FILE.to_owned()];
    arguments.extend(["--bootstrap-servers".to_owned(), connection.bootstrap_servers.clone()]);
    arguments.extend(connecting(asked.brokers));
    let demand = demand(asked.machines, senders.clone(), groups, project);
    let order = order(asked, run, &senders, arguments, demand, project);
    let record = record::begin_if_possible(project, "load", Some(order.work.run.clone()), environment(project));
    let stopping = Stopping::begin(|| eprintln!("ended at once: what runs on the machines may run on"))?;
    let mut shown = ShownOfMachines::default();
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
        println!("{}", text::load::mixed(&mixed));
    }
    Ok(ending::of_mixed(&mixed, asked.mix.producers.iter().map(|one| one.args.slo.as_ref())))
}

/// Shows the seconds of a load: a line each, or one now and then.
struct Shown {
    is_part: bool,
    seconds: Seconds,
    begun: Instant,
    last_s: f64,
}

/// A second of all producers and groups, for the driver of a load that several machines run.
#[derive(serde::Serialize)]
struct Line {
    schema: &'static str,
    at_s: f64,
    #[serde(flatten)]
    rates: Rates,
}

impl Shown {
    fn new(is_part: bool) -> Shown {
        Shown { is_part, seconds: Seconds::default(), begun: Instant::now(), last_s: 0.0 }
    }

    fn show(&mut self, second: Second) {
        self.seconds.take(second).iter().for_each(|note| eprintln!("client: {note}"));
        let (at_s, every) = (self.begun.elapsed().as_secs_f64(), if self.is_part { 1.0 } else { LINE_EVERY });
        if at_s - self.last_s < every {
            return;
        }
        self.last_s = at_s;
        let rates = self.seconds.rates();
        if self.is_part {
            // As in `kgen produce`.
            let _ = out::json_line(&Line { schema: clients::SECOND_SCHEMA, at_s, rates });
            return;
        }
        eprintln!("{at_s:.0} s: {}", text::load::rates(rates));
    }
}
