//! `kgen capacity`: the highest rate that a cluster sustains, by experiment.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};

use super::{
    documents::{self, Measured, Searched},
    look::naming,
    place::{Found as Cluster, Reached, reached},
    record::{self, Record, environment, telling},
    stopping::Stopping,
};
use crate::{
    capacity::{Found, Step},
    catalogue::BrokerType,
    change::ClusterView,
    cli::{Capacity, Outcome, capacity::Away, refused},
    console::{confirmed, ensure_confirmable},
    experiment::{self, Ended, Happened, LabBrokers, Pace, Request, Seen, Types, usd_per_mb_s_month, usd_per_month},
    kafka::{Connection, REACHABLE_WITHIN},
    load::producer::ProducerConfig,
    project::Project,
    run::{Environment, Event},
    selection::load::{ensure_topics, trial_config},
    text, visible,
    watch::{Marks, News, Place},
};

/// Time between two samples of the brokers.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a search needs beside its request.
struct Stage<'a> {
    request: &'a Request,
    project: &'a Project,
    cluster: &'a Cluster,
    stop: &'a AtomicBool,
    record: &'a Record,
}

/// Other types to search with, and the brokers that are changed for that.
struct Against {
    brokers: LabBrokers,
    types: Types,
    /// While they are not the first type.
    is_changed: AtomicBool,
}

pub fn run(args: &Capacity, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let Reached { connection, cluster } = reached(&args.brokers, &project)?;
    let cluster = cluster.ok_or_else(|| {
        refused(anyhow!("the brokers' CPU is needed, and --bootstrap-servers names none to watch: use --cluster"))
    })?;
    let against = against(args, &cluster, &connection)?.map(Arc::new);
    let mut producer = trial_config(args, &project, connection)?;
    let topics = &producer.load.topics;
    ensure_topics(topics, &producer.connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?)?;
    ask(args, &cluster.name, against.as_deref())?;
    let environment = Environment {
        cluster: Some(cluster.name.clone()),
        region: Some(cluster.region.clone()),
        ..environment(&project)
    };
    let record = record::begin_if_possible(&project, "capacity", None, environment);
    if !record.dir().as_os_str().is_empty() {
        producer.runs = record.dir().join("trials");
    }
    let request = request(args, producer);
    let stopping = stopping(&record, &against)?;
    record::show(&record, args.json);
    let stage =
        Stage { request: &request, project: &project, cluster: &cluster, stop: stopping.flag(), record: &record };
    let measured = stage.measure(against.as_deref());
    let recorded =
        record.end(&measured.as_ref().map(outcome).map_err(|error| anyhow!("{error:#}")), stopping.was_asked());
    let measured = measured?;
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

/// Interrupts from now on: the second one ends this at once, and brokers that it leaves changed are reported.
fn stopping(record: &Record, against: &Option<Arc<Against>>) -> anyhow::Result<Stopping> {
    let (record, against) = (record.clone(), against.clone());
    Stopping::begin(move || {
        _ = record.end(&Ok(Outcome::Interrupted), true);
        if let Some(left) = against.and_then(|against| against.left_changed()) {
            eprintln!("{left}");
        }
    })
}

fn request(args: &Capacity, producer: ProducerConfig) -> Request {
    Request {
        producer,
        slo: args.slo.clone(),
        survive_broker: args.survive == Away::Broker,
        start_per_s: f64::from(args.start),
        rounds: usize::from(args.rounds),
        within: args.within(),
        pace: Pace::start(),
    }
}

fn against(args: &Capacity, cluster: &Cluster, connection: &Connection) -> anyhow::Result<Option<Against>> {
    if args.against.is_empty() {
        return Ok(None);
    }
    let brokers = LabBrokers::find(&cluster.name, &cluster.region, connection)?;
    let types = brokers.types(&args.against)?;
    Ok(Some(Against { brokers, types, is_changed: AtomicBool::new(false) }))
}

/// Nobody's cluster is loaded to its limit without being asked.
fn ask(args: &Capacity, cluster: &str, against: Option<&Against>) -> anyhow::Result<()> {
    ensure_confirmable(args.yes, "capacity")?;
    let (cluster, minutes) = (visible::line(cluster), args.max_minutes);
    let question = match against.map(|against| &against.types) {
        None => format!("Load {cluster} to its limit for up to {minutes} minutes? Its clients will notice."),
        Some(types) => format!(
            "Load {cluster} to its limit for up to {minutes} minutes with each of these broker types: {}? The brokers \
             restart for each type, and at the end to be {} again. Its clients will notice.",
            types.listed(),
            types.first
        ),
    };
    if args.yes || confirmed(&question)? { Ok(()) } else { Err(refused(anyhow!("nothing was sent"))) }
}

impl Stage<'_> {
    /// Searches with the type that the brokers are, and then with each of the others.
    fn measure(&self, against: Option<&Against>) -> anyhow::Result<Measured> {
        let mut searches: Vec<Searched> = Vec::new();
        let ended = match against {
            None => {
                searches.push(self.search()?);
                Ended { searched: Ok(()), back: Ok(()) }
            }
            Some(against) => self.search_each(against, &mut searches),
        };
        let measured = self.record_all(&searches);
        self.record.close();
        if let (Some(against), Err(error)) = (against, &ended.back) {
            self.say(format!("the brokers were not changed back: {error:#}"))?;
            against.left_changed().map_or(Ok(()), |left| self.say(left))?;
        }
        ended.searched?;
        ended.back?;
        measured?.context("no search was made")
    }

    fn search_each(&self, against: &Against, searches: &mut Vec<Searched>) -> Ended {
        let mut change = |to: BrokerType, stop: Option<&AtomicBool>| {
            let began = Instant::now();
            against.is_changed.store(true, Ordering::SeqCst);
            self.say(format!("changing the brokers to {to}"))?;
            against.brokers.change(to, stop)?;
            against.is_changed.store(to != against.types.first, Ordering::SeqCst);
            self.say(format!("the brokers are {to}, and all replicas are in sync ({} s)", began.elapsed().as_secs()))
        };
        let mut search = |of: BrokerType| {
            self.say(format!("searching with {of}"))?;
            let searched = self.search()?;
            self.say(text::capacity::found(&searched))?;
            searches.push(searched);
            // Should this kgen be killed, the record has what was found until then.
            self.record_all(searches).map(drop)
        };
        experiment::with_each(&against.types, self.stop, &mut change, &mut search)
    }

    fn search(&self) -> anyhow::Result<Searched> {
        let Cluster { name, region } = self.cluster;
        let seen = Seen::default();
        let (tap, mut tell) = (seen.clone(), telling(self.record.clone()));
        let news = News::new(naming(self.project, name, region), Marks::new(self.project.stack()));
        let view = ClusterView::of(name, region, &Place::Environment, INTERVAL);
        let beside = view.beside_telling(
            self.record,
            news,
            Box::new(move |at, event, diagnosis| {
                if let Event::Sample(observed) = &event {
                    tap.add(observed);
                }
                tell(at, event, diagnosis)
            }),
        );
        let ran = experiment::search(self.request, &seen, self.stop, &mut |happened| self.tell(happened));
        drop(beside);
        let (found, trials) = ran?;
        let cluster = seen.cluster();
        let usd_per_mb_s_month = match (&found, &cluster) {
            (Found::Capacity(answer), Some(context)) => usd_per_mb_s_month(context, answer),
            _ => None,
        };
        let usd_per_month = cluster.as_ref().and_then(usd_per_month);
        Ok(Searched { cluster, found, trials, usd_per_mb_s_month, usd_per_month })
    }

    /// Records what was found so far; nothing where no search was made.
    fn record_all(&self, searches: &[Searched]) -> anyhow::Result<Option<Measured>> {
        let Some((first, others)) = searches.split_first() else { return Ok(None) };
        let (searched, against) = (first.clone(), others.to_vec());
        let measured = Measured { searched, run: self.record.id().to_owned(), against };
        self.record.result("capacity", &measured)?;
        Ok(Some(measured))
    }

    /// Into the record, and a line for whoever waits.
    fn tell(&self, happened: Happened<'_>) -> anyhow::Result<()> {
        match happened {
            Happened::Second(tick) => self.record.load(tick),
            Happened::Begun(Step::Warm(rate)) => self.say(format!("warming up with {rate:.0} records/s")),
            Happened::Begun(Step::Confirm(rate)) => self.say(format!("confirming {rate:.0} records/s")),
            Happened::Begun(Step::Try(_) | Step::Done) => Ok(()),
            Happened::Ended(trial) => self.say(text::capacity::tried(trial)),
        }
    }

    fn say(&self, line: String) -> anyhow::Result<()> {
        if !self.record.is_shown() {
            eprintln!("{line}");
        }
        self.record.tell(Event::note(line))
    }
}

impl Against {
    /// What to do where the brokers were left with another type; nothing where they were not.
    fn left_changed(&self) -> Option<String> {
        let first = self.types.first;
        self.is_changed.load(Ordering::SeqCst).then(|| {
            format!(
                "the brokers are not {first} again; once the cluster is ACTIVE, change them back with: {}",
                self.brokers.by_hand(first)
            )
        })
    }
}

/// A capacity, if every search found one.
fn outcome(measured: &Measured) -> Outcome {
    let is_found = |searched: &Searched| matches!(searched.found, Found::Capacity(_));
    if measured.searches().all(is_found) { Outcome::Done } else { Outcome::Inconclusive }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::{Answer, Round};

    fn searched(found: Found) -> Searched {
        Searched { cluster: None, found, trials: Vec::new(), usd_per_mb_s_month: None, usd_per_month: None }
    }

    fn measured(found: Found, against: Vec<Searched>) -> Measured {
        Measured { searched: searched(found), run: "r1".to_owned(), against }
    }

    #[test]
    fn a_generator_that_is_late_is_no_answer() {
        let late = Found::GeneratorBound { at_least_per_s: Some(500.0) };
        assert_eq!(outcome(&measured(late.clone(), Vec::new())), Outcome::Inconclusive);
        let nothing = Found::Nothing { reason: "no trial was ended".to_owned() };
        assert_eq!(outcome(&measured(nothing, Vec::new())), Outcome::Inconclusive);
        let carried = Round { acknowledged_per_s: 1.0, bytes_per_s: 1.0, cpu_percent: None, p99_ms: None };
        let rounds = vec![carried];
        let found = Found::Capacity(Answer { carried, rounds, spread_percent: 0.0, limit: None, fails_at_per_s: None });
        assert_eq!(outcome(&measured(found.clone(), Vec::new())), Outcome::Done);
        assert_eq!(outcome(&measured(found, vec![searched(late)])), Outcome::Inconclusive);
    }

    #[test]
    fn the_field_of_other_types_is_left_out_without_them() {
        let nothing = || Found::Nothing { reason: "no time".to_owned() };
        let document = serde_json::to_value(measured(nothing(), Vec::new())).unwrap();
        assert!(document.get("against").is_none() && document["found"] == "nothing", "{document}");
        let document = serde_json::to_value(measured(nothing(), vec![searched(nothing())])).unwrap();
        assert_eq!(document["against"][0]["found"], "nothing");
    }
}
