//! One round: the fleet is read once, and becomes observations.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    budget::{Decision, Spent},
    config::Config,
    report::{Report, Seen, Stage, Standing},
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
    disabled: Vec<String>,
    clusters: Vec<Reading>,
    requests: Requests,
    /// Consumer groups and topics were read too.
    reads_groups: bool,
}

/// How a round went.
pub enum Outcome {
    Read(Box<Round>, Decision),
    /// It was not read for its price, USD.
    Unread(Decision, f64),
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
        return Outcome::Unread(decision, usd);
    }
    let (listed, failures) = (std::mem::take(&mut fleet.listed), std::mem::take(&mut fleet.failures));
    let disabled = std::mem::take(&mut fleet.disabled);
    let Read { clusters, requests } = fleet.read().await;
    Outcome::Read(
        Box::new(Round { listed, failures, disabled, clusters, requests, reads_groups: config.groups }),
        decision,
    )
}

impl Round {
    /// What it cost, USD.
    pub fn usd(&self) -> f64 {
        self.requests.usd()
    }

    /// What was seen of every region, every cluster, and every cluster that `book` knows and that is no more.
    pub fn observations(&self, book: &Book) -> Vec<Observation> {
        let mut observations: Vec<Observation> =
            self.clusters.iter().map(|reading| observed(reading, self.reads_groups)).collect();
        let seen: BTreeSet<String> = observations.iter().map(|observation| observation.subject.id.clone()).collect();
        for Origin { region, caller } in &self.listed {
            let place = Subject::place(region, caller.as_deref());
            let known = book.known(region, caller.as_deref());
            let gone = known.into_iter().filter(|known| *known != place.id && !seen.contains(*known));
            observations.extend(gone.map(|known| Observation { subject: gone_from(known, region), look: Look::Gone }));
            let look = Look::Judged { newest_ms: None, symptoms: Vec::new(), assessed: BTreeSet::new(), blind: None };
            observations.push(Observation { subject: place, look });
        }
        observations.extend(self.failures.iter().map(|failure| Observation {
            subject: Subject::place(&failure.region, failure.caller.as_deref()),
            look: Look::Blind(failure.error.clone()),
        }));
        observations
    }

    /// What the round says, once `book` has taken in its observations.
    pub fn report(self, at: Timestamp, standings: Vec<Standing>, usd_today: f64) -> Report {
        let usd = self.usd();
        let newest = |reading: &Reading| {
            let ms = reading.judged.as_ref()?.newest_ms?;
            Timestamp::from_millisecond(ms).ok()
        };
        Report {
            at,
            clusters: self.clusters.into_iter().map(|read| Seen { newest: newest(&read), row: read.row }).collect(),
            findings: standings,
            failures: self.failures,
            disabled_regions: self.disabled,
            metrics: self.requests.metrics,
            usd,
            usd_today,
            undelivered: Default::default(),
        }
    }
}

fn observed(reading: &Reading, reads_groups: bool) -> Observation {
    let row = &reading.row;
    let subject =
        Subject { id: row.arn.clone(), name: row.name.clone(), region: row.region.clone(), caller: row.caller.clone() };
    let mut look = match (&reading.judged, &row.error) {
        (Some(judged), _) => look(&judged.context, &judged.diagnosis, judged.newest_ms),
        (None, error) => Look::Blind(error.clone().unwrap_or_else(|| "it was not read".to_owned())),
    };
    // What was left out on purpose is not missing.
    if let (Look::Judged { blind, .. }, false) = (&mut look, reads_groups) {
        *blind = None;
    }
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
        diagnose::{Context, Diagnosis, Finding, Verdict},
        finding_id::INCONCLUSIVE_NOT_SEEN,
        guard::testing::row,
        watch::fleet::Judged,
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
            reads_groups: true,
        }
    }

    #[test]
    fn what_was_left_out_on_purpose_is_not_missing() {
        let finding = Finding { id: INCONCLUSIVE_NOT_SEEN, ..Finding::default() };
        let diagnosis =
            Diagnosis { verdict: Verdict::Inconclusive, findings: vec![finding], coverage: Default::default() };
        let judged = Judged { context: Context::default(), diagnosis, newest_ms: Some(0) };
        let reading = Reading { row: row("orders", Some(Verdict::Inconclusive)), judged: Some(judged) };
        let is_blind =
            |reads_groups| matches!(observed(&reading, reads_groups).look, Look::Judged { blind: Some(_), .. });
        assert_eq!((is_blind(true), is_blind(false)), (true, false));
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
