//! `kgen capacity`: the highest rate that a cluster sustains, by experiment.

use std::{path::Path, time::Duration};

use anyhow::anyhow;

use super::{
    documents::{self, Measured},
    look::naming,
    place::{Found as Cluster, Reached, reached},
    record::{self, Record, environment, telling},
    stopping::Stopping,
};
use crate::{
    capacity::{Found, Step},
    change::ClusterView,
    cli::{Capacity, Outcome, capacity::Away, refused},
    console::{confirmed, ensure_confirmable},
    experiment::{self, Happened, Request, Seen, usd_per_mb_s_month},
    kafka::REACHABLE_WITHIN,
    project::Project,
    run::{Environment, Event},
    selection::load::{ensure_topics, trial_config},
    text, visible,
    watch::{Marks, News, Place},
};

/// Time between two samples of the brokers.
const INTERVAL: Duration = Duration::from_secs(1);

pub fn run(args: &Capacity, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let Reached { connection, cluster } = reached(&args.brokers, &project)?;
    let cluster = cluster.ok_or_else(|| {
        refused(anyhow!("the brokers' CPU is needed, and --bootstrap-servers names none to watch: use --cluster"))
    })?;
    let mut producer = trial_config(args, &project, connection)?;
    let topics = &producer.load.topics;
    ensure_topics(topics, &producer.connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?)?;
    ask(args, &cluster.name)?;
    let environment = Environment {
        cluster: Some(cluster.name.clone()),
        region: Some(cluster.region.clone()),
        ..environment(&project)
    };
    let record = record::begin_if_possible(&project, "capacity", None, environment);
    if !record.dir().as_os_str().is_empty() {
        producer.runs = record.dir().join("trials");
    }
    let request = Request {
        producer,
        slo: args.slo.clone(),
        survive_broker: args.survive == Away::Broker,
        start_per_s: f64::from(args.start),
        rounds: usize::from(args.rounds),
        within: args.within(),
    };
    let interrupted = record.clone();
    let stopping = Stopping::begin(move || _ = interrupted.end(&Ok(Outcome::Interrupted), true))?;
    record::show(&record, args.json);
    let searched = search(&request, &project, cluster, &stopping, &record);
    let recorded =
        record.end(&searched.as_ref().map(outcome).map_err(|error| anyhow!("{error:#}")), stopping.was_asked());
    let measured = searched?;
    recorded?;
    if stopping.was_asked() {
        return Ok(Outcome::Interrupted);
    }
    let outcome = outcome(&measured);
    if args.json {
        documents::print(measured)?;
    } else {
        print!("{}", text::capacity::answer(&measured));
    }
    Ok(outcome)
}

/// Nobody's cluster is loaded to its limit without being asked.
fn ask(args: &Capacity, cluster: &str) -> anyhow::Result<()> {
    ensure_confirmable(args.yes, "capacity")?;
    let question = format!(
        "Load {} to its limit for up to {} minutes? Its clients will notice.",
        visible::line(cluster),
        args.max_minutes
    );
    if args.yes || confirmed(&question)? { Ok(()) } else { Err(refused(anyhow!("nothing was sent"))) }
}

fn search(
    request: &Request,
    project: &Project,
    cluster: Cluster,
    stopping: &Stopping,
    record: &Record,
) -> anyhow::Result<Measured> {
    let Cluster { name, region } = cluster;
    let seen = Seen::default();
    let (tap, mut tell) = (seen.clone(), telling(record.clone()));
    let news = News::new(naming(project, &name, &region), Marks::new(project.stack()));
    let view = ClusterView::of(&name, &region, &Place::Environment, INTERVAL);
    let beside = view.beside_telling(
        record,
        news,
        Box::new(move |at, event, diagnosis| {
            if let Event::Sample(observed) = &event {
                tap.add(observed);
            }
            tell(at, event, diagnosis)
        }),
    );
    let ran = experiment::search(request, &seen, stopping.flag(), &mut |happened| told(happened, record));
    drop(beside);
    let (found, trials) = ran?;
    let cluster = seen.cluster();
    let usd_per_mb_s_month = match (&found, &cluster) {
        (Found::Capacity(answer), Some(context)) => usd_per_mb_s_month(context, answer),
        _ => None,
    };
    let measured = Measured { cluster, found, trials, usd_per_mb_s_month, run: record.id().to_owned() };
    record.result("capacity", &measured)?;
    record.close();
    Ok(measured)
}

/// Into the record, and a line for whoever waits.
fn told(happened: Happened<'_>, record: &Record) -> anyhow::Result<()> {
    let line = match happened {
        Happened::Second(tick) => return record.load(tick),
        Happened::Begun(Step::Warm(rate)) => format!("warming up with {rate:.0} records/s"),
        Happened::Begun(Step::Confirm(rate)) => format!("confirming {rate:.0} records/s"),
        Happened::Begun(Step::Try(_) | Step::Done) => return Ok(()),
        Happened::Ended(trial) => text::capacity::tried(trial),
    };
    if !record.is_shown() {
        eprintln!("{line}");
    }
    record.tell(Event::note(line))
}

fn outcome(measured: &Measured) -> Outcome {
    match measured.found {
        Found::Capacity(_) => Outcome::Done,
        Found::GeneratorBound { .. } | Found::Nothing { .. } => Outcome::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_that_is_late_is_no_answer() {
        let measured = |found| Measured {
            cluster: None,
            found,
            trials: Vec::new(),
            usd_per_mb_s_month: None,
            run: "r1".to_owned(),
        };
        let late = Found::GeneratorBound { at_least_per_s: Some(500.0) };
        assert_eq!(outcome(&measured(late)), Outcome::Inconclusive);
        let nothing = Found::Nothing { reason: "no trial was ended".to_owned() };
        assert_eq!(outcome(&measured(nothing)), Outcome::Inconclusive);
    }
}
