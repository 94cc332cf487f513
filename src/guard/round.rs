//! One round: the fleet is read once, and becomes observations.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    budget::{Decision, Spent},
    config::Config,
    report::{RoundReport, Seen, Stage, Standing},
};
use crate::{
    alert::{Book, Look, Observation, Policy, Severity, Subject, has_root, id, look},
    aws::cluster_name,
    metrics::Requests,
    watch::fleet::{self, Failure, Fleet, Origin, Read, Reading},
};

/// What a round has read.
pub struct Round {
    listed: Vec<Origin>,
    failures: Vec<Failure>,
    disabled: Vec<Failure>,
    clusters: Vec<Reading>,
    requests: Requests,
}

/// How a round went.
pub enum Outcome {
    Read(Box<Round>, Decision),
    /// It was not read for its price.
    Unread(Unpaid),
}

/// Why a round was not read.
pub struct Unpaid {
    pub decision: Decision,
    /// What the round would cost, USD.
    pub usd: f64,
    /// What it took to know that, USD.
    pub spent_usd: f64,
}

/// Reads every cluster that `config` names, if the money for it is there.
pub async fn read(config: &Config, own_region: &str, spent: &Spent) -> Outcome {
    let mut places = Vec::new();
    for accounts in config.accounts() {
        places.extend(accounts.places(own_region).await);
    }
    let filter = &config.clusters;
    let mut fleet: Fleet = fleet::prepare(places, config.sweep(), |info| filter.takes(info)).await;
    let usd = fleet.requests().usd();
    let decision = spent.decide(Timestamp::now(), usd, config.interval, config.max_usd_per_day);
    if !matches!(decision, Decision::Read { .. }) {
        return Outcome::Unread(Unpaid { decision, usd, spent_usd: fleet.made().usd() });
    }
    let (listed, failures) = (std::mem::take(&mut fleet.listed), std::mem::take(&mut fleet.failures));
    let disabled = std::mem::take(&mut fleet.disabled);
    let Read { clusters, requests } = fleet.read().await;
    Outcome::Read(Box::new(Round { listed, failures, disabled, clusters, requests }), decision)
}

impl Round {
    /// What it cost, USD.
    pub fn usd(&self) -> f64 {
        self.requests.usd()
    }

    /// Counts a region as failed that seems not to be enabled, and that `book` knows as one that was.
    pub fn settle(&mut self, book: &Book) {
        let is_known = |failure: &Failure| !book.known(&failure.region, failure.caller.as_deref()).is_empty();
        let (known, disabled): (Vec<Failure>, Vec<Failure>) =
            std::mem::take(&mut self.disabled).into_iter().partition(is_known);
        self.disabled = disabled;
        self.failures.extend(known);
    }

    /// What was seen of every account, every region, every cluster, and every cluster that `book` knows and that is no more.
    pub fn observations(&self, book: &Book) -> Vec<Observation> {
        let seen: BTreeSet<&str> = self.clusters.iter().map(|reading| reading.row.arn.as_str()).collect();
        let callers = self.listed.iter().map(|origin| &origin.caller);
        let callers: BTreeSet<&Option<String>> =
            callers.chain(self.failures.iter().map(|failure| &failure.caller)).collect();
        let mut observations = Vec::new();
        for caller in callers {
            observations.extend(self.of_account(caller.as_deref(), book, &seen));
        }
        observations
    }

    /// What was seen of an account. One of which nothing can be seen is one thing that is not seen, and so is a region: not
    /// as many as it has clusters.
    fn of_account(&self, caller: Option<&str>, book: &Book, seen: &BTreeSet<&str>) -> Vec<Observation> {
        let of_caller = |of: &Option<String>| of.as_deref() == caller;
        let failures: Vec<&Failure> = self.failures.iter().filter(|failure| of_caller(&failure.caller)).collect();
        let regions: Vec<&str> = self
            .listed
            .iter()
            .filter(|origin| of_caller(&origin.caller))
            .map(|origin| origin.region.as_str())
            .collect();
        let clusters: Vec<&Reading> = self.clusters.iter().filter(|reading| of_caller(&reading.row.caller)).collect();
        let mut observations = Vec::new();
        let (account, places) = (Subject::account(caller), failures.len() + regions.len());
        let is_unseen = clusters.iter().all(|reading| reading.judged.is_none());
        if places > 1 && is_unseen && (regions.is_empty() || !clusters.is_empty()) {
            let first = failures.first().map(|failure| failure.error.as_str());
            let first = first.or_else(|| clusters.first()?.row.error.as_deref()).unwrap_or_default();
            let reason = format!("nothing of its {places} regions can be read: {first}");
            observations.push(Observation { subject: account, look: Look::Blind(reason) });
            return observations;
        }
        observations.push(Observation { subject: account, look: nothing_wrong() });
        observations.extend(failures.iter().map(|failure| Observation {
            subject: Subject::place(&failure.region, caller),
            look: Look::Blind(failure.error.clone()),
        }));
        for region in regions {
            let of_region = || clusters.iter().filter(|reading| reading.row.region == region);
            let place = Subject::place(region, caller);
            let known = book.known(region, caller).into_iter();
            let gone = known.filter(|known| *known != place.id && !seen.contains(*known));
            observations.extend(gone.map(|known| Observation { subject: gone_from(known, region), look: Look::Gone }));
            let count = of_region().count();
            if count > 1 && of_region().all(|reading| reading.judged.is_none()) {
                let first = of_region().find_map(|reading| reading.row.error.as_deref()).unwrap_or_default();
                let reason = format!("none of its {count} clusters can be read: {first}");
                observations.push(Observation { subject: place, look: Look::Blind(reason) });
                continue;
            }
            observations.push(Observation { subject: place, look: nothing_wrong() });
            observations.extend(of_region().map(|reading| observed(reading)));
        }
        observations
    }

    /// What the round says, once `book` has taken in its observations.
    pub fn report(self, at: Timestamp, standings: Vec<Standing>, usd_today: f64) -> RoundReport {
        let usd = self.usd();
        let newest = |reading: &Reading| {
            let ms = reading.judged.as_ref()?.newest_ms?;
            Timestamp::from_millisecond(ms).ok()
        };
        RoundReport {
            at,
            clusters: self.clusters.into_iter().map(|read| Seen { newest: newest(&read), row: read.row }).collect(),
            findings: standings,
            failures: self.failures,
            disabled_regions: fleet::regions(&self.disabled),
            metrics: self.requests.metrics,
            usd,
            usd_today,
            undelivered: Default::default(),
        }
    }
}

/// What there is to say of an account or a region that was listed.
fn nothing_wrong() -> Look {
    Look::Judged { newest_ms: None, symptoms: Vec::new(), assessed: BTreeSet::new(), blind: None }
}

fn observed(reading: &Reading) -> Observation {
    let row = &reading.row;
    let subject =
        Subject { id: row.arn.clone(), name: row.name.clone(), region: row.region.clone(), caller: row.caller.clone() };
    let look = match (&reading.judged, &row.error) {
        (Some(judged), _) => look(&judged.context, &judged.diagnosis, judged.newest_ms),
        (None, error) => Look::Blind(error.clone().unwrap_or_else(|| "it was not read".to_owned())),
    };
    Observation { subject, look }
}

fn gone_from(arn: &str, region: &str) -> Subject {
    let name = cluster_name(arn).to_owned();
    Subject { id: arn.to_owned(), name, region: region.to_owned(), caller: None }
}

/// The causes that were seen, the most severe first, each with the stage of its alert.
pub fn standings(observations: &[Observation], book: &Book, policy: &Policy, now_ms: i64) -> Vec<Standing> {
    let mut standings = Vec::new();
    for Observation { subject, look } in observations {
        let Look::Judged { symptoms, .. } = look else { continue };
        for (at, symptom) in symptoms.iter().enumerate() {
            if !symptom.is_sure || has_root(symptoms, at) {
                continue;
            }
            let id = id(&subject.id, &symptom.cause, &symptom.object);
            let alert = book.get(&id);
            let is_silenced =
                alert.is_some_and(|alert| policy.silences.iter().any(|silence| silence.holds(alert, now_ms)));
            standings.push(Standing {
                stage: match (is_silenced, alert.is_some_and(|alert| alert.is_firing())) {
                    (true, _) => Stage::Silenced,
                    (false, true) => Stage::Firing,
                    (false, false) => Stage::Pending,
                },
                alert: id,
                severity: Severity::of(&symptom.cause),
                cause: symptom.cause.clone(),
                object: symptom.object.clone(),
                subject: subject.clone(),
                content: symptom.content.clone(),
            });
        }
    }
    standings.sort_by(|a, b| (b.severity, &a.subject, &a.cause).cmp(&(a.severity, &b.subject, &b.cause)));
    standings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{Context, Diagnosis, Verdict},
        guard::testing::row,
        watch::fleet::{Judged, Row},
    };

    fn round(listed: &[&str], failures: &[&str]) -> Round {
        let origin = |region: &&str| Origin { region: (*region).to_owned(), caller: None };
        let failure =
            |region: &&str| Failure { region: (*region).to_owned(), caller: None, error: "denied".to_owned() };
        Round {
            listed: listed.iter().map(origin).collect(),
            failures: failures.iter().map(failure).collect(),
            disabled: Vec::new(),
            clusters: Vec::new(),
            requests: Requests::default(),
        }
    }

    /// A cluster that was read, or not.
    fn reading(name: &str, region: &str, is_read: bool) -> Reading {
        let verdict = is_read.then_some(Verdict::Healthy);
        let row = Row { region: region.to_owned(), ..row(name, verdict) };
        let diagnosis = Diagnosis { verdict: Verdict::Healthy, findings: Vec::new(), coverage: Default::default() };
        let judged = is_read.then(|| Judged { context: Context::default(), diagnosis, newest_ms: Some(0) });
        Reading { row, judged }
    }

    /// Names of the subjects of which nothing was seen.
    fn blind(round: &Round) -> Vec<String> {
        let observations = round.observations(&Book::default());
        let blind = observations.iter().filter(|observation| matches!(observation.look, Look::Blind(_)));
        blind.map(|observation| format!("{} in {}", observation.subject.name, observation.subject.region)).collect()
    }

    #[test]
    fn what_cannot_be_seen_is_one_account_one_region_or_one_cluster() {
        let check = |listed: &[&str], failures: &[&str], clusters: &[(&str, &str, bool)], expected: &[&str]| {
            let clusters = clusters.iter().map(|(name, region, is_read)| reading(name, region, *is_read)).collect();
            let round = Round { clusters, ..round(listed, failures) };
            assert_eq!(blind(&round), expected, "{listed:?} {failures:?}");
        };
        check(&["a"], &["b"], &[("x", "a", true)], &["the account in b"]);
        check(&["a"], &["b"], &[], &["the account in b"]);
        check(&[], &["a", "b", "c"], &[], &["the account in every region"]);
        check(&[], &["a"], &[], &["the account in a"]);
        check(&["a"], &[], &[("x", "a", false), ("y", "a", true)], &["x in a"]);
        check(&["a"], &[], &[("x", "a", false), ("y", "a", false)], &["the account in a"]);
        check(&["a"], &[], &[("x", "a", false)], &["x in a"]);
        check(&["a", "b"], &[], &[("x", "a", false), ("y", "b", false)], &["the account in every region"]);
    }

    #[test]
    fn a_region_that_was_enabled_is_missing_when_it_is_not() {
        let mut book = Book::default();
        let policy = Config::default().policy();
        let listed = round(&["us-west-2"], &[]).observations(&book);
        book.round(0, listed, &policy);
        let failure =
            |region: &str| Failure { region: region.to_owned(), caller: None, error: "unrecognized".to_owned() };
        let disabled = vec![failure("us-west-2"), failure("me-south-1")];
        let mut round = Round { disabled, ..round(&["eu-west-1"], &[]) };
        round.settle(&book);
        assert_eq!((round.failures, round.disabled), (vec![failure("us-west-2")], vec![failure("me-south-1")]));
    }

    #[test]
    fn a_cluster_is_gone_only_where_its_region_was_listed() {
        let mut book = Book::default();
        let policy = Config::default().policy();
        let subject = gone_from("arn:aws:kafka:us-west-2:1:cluster/orders/x", "us-west-2");
        let look = Look::Judged { newest_ms: None, symptoms: Vec::new(), assessed: BTreeSet::new(), blind: None };
        book.round(0, vec![Observation { subject, look }], &policy);
        let gone = |round: Round| round.observations(&book).into_iter().filter(|seen| seen.look == Look::Gone).count();
        assert_eq!(gone(round(&["us-west-2"], &[])), 1);
        assert_eq!(gone(round(&["eu-west-1"], &[])), 0);
        assert_eq!(gone(round(&[], &["us-west-2"])), 0);
    }

    #[test]
    fn an_account_that_cannot_be_listed_is_told_once_and_its_end_once() {
        let (mut book, policy) = (Book::default(), Config::default().policy());
        let mut told = Vec::new();
        for minute in 0..60 {
            let round = if minute < 40 { round(&[], &["us-west-2"]) } else { round(&["us-west-2"], &[]) };
            let observations = round.observations(&book);
            let messages = book.round(minute * 60_000, observations, &policy);
            told.extend(messages.iter().map(|message| (minute, message.status.as_str())));
        }
        assert_eq!(told, [(15, "firing"), (41, "resolved")]);
    }
}
