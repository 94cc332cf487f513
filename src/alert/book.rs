//! The life of alerts: pending, firing, resolved.
//!
//! Rounds are counted, not seconds, and only those with new datapoints: a clock that jumps, or rounds that follow each other
//! faster than CloudWatch has news, change nothing. "Cannot see" alone is counted in seconds, each step bounded.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Silence, Subject, Symptom,
    cause::{CANNOT_SEE, Severity, follows, id},
    content::{Content, Message, Status},
    observation::{Look, Observation, unseen},
};

/// Rounds with new datapoints after a change of the cluster in which nothing begins to fire: what is left of the change.
const SETTLING_ROUNDS: u32 = 2;

/// How long an alert that is over is remembered, ms: one that returns within this time takes longer to resolve.
const REMEMBERED_MS: u64 = 6 * 3600 * 1000;

/// Most rounds without a cause before a flapping alert is over.
const MOST_ROUNDS_TO_RESOLVE: u32 = 16;

/// What a reader of the state may set.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How long nothing may be seen of a subject before that is an alert, ms.
    pub cannot_see_after_ms: i64,
    /// Most that one round adds to that time, ms: after a pause or a jump of the clock nothing is known of the time between.
    pub longest_step_ms: i64,
    pub silences: Vec<Silence>,
}

/// Every alert that is pending, firing or remembered, and what is known of the subjects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    alerts: BTreeMap<String, Alert>,
    subjects: BTreeMap<String, Known>,
}

/// An alert, by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub subject: Subject,
    pub cause: String,
    pub object: String,
    pub severity: Severity,
    pub phase: Phase,
    /// Times at which it began to fire, ms since the epoch, the oldest first.
    pub firings_ms: Vec<i64>,
    /// People were told that it fires, and not yet that it is over.
    pub is_told: bool,
    pub content: Content,
}

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    /// Seen in so many rounds, which is not enough yet.
    Pending { seen: u32 },
    /// Not seen any more in so many rounds, which is not enough yet.
    Firing { clear: u32 },
    /// Over since then, ms since the epoch.
    Resolved { at_ms: i64 },
}

/// What is known of a subject from earlier rounds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    region: String,
    caller: Option<String>,
    /// Time of the newest datapoint of the last round that judged it.
    newest_ms: Option<i64>,
    /// Rounds until it has settled after a change.
    settling: u32,
    /// How long nothing was seen of it, ms.
    blind_ms: i64,
    /// When it was last observed, ms since the epoch.
    observed_ms: i64,
}

impl Book {
    /// Takes in one round; returns what people should be told, oldest alert first.
    ///
    /// A subject that is not among the observations stays as it is: nothing is known of it.
    pub fn round(&mut self, now_ms: i64, observations: Vec<Observation>, policy: &Policy) -> Vec<Message> {
        for observation in observations {
            self.observe(now_ms, observation, policy);
        }
        let messages = self.messages(now_ms, policy);
        let is_kept = |alert: &Alert| match alert.phase {
            Phase::Resolved { .. } | Phase::Pending { seen: 0 } => alert.lately(now_ms) > 0,
            _ => true,
        };
        self.alerts.retain(|_, alert| is_kept(alert));
        messages
    }

    /// Alerts that fire now, the most severe first.
    pub fn firing(&self) -> Vec<(&str, &Alert)> {
        let mut firing: Vec<(&str, &Alert)> =
            self.alerts.iter().filter(|(_, alert)| alert.is_firing()).map(|(id, alert)| (id.as_str(), alert)).collect();
        firing.sort_by(|(_, a), (_, b)| {
            (b.severity, &a.subject, &a.cause, &a.object).cmp(&(a.severity, &b.subject, &b.cause, &b.object))
        });
        firing
    }

    /// The alert with this id.
    pub fn get(&self, id: &str) -> Option<&Alert> {
        self.alerts.get(id)
    }

    /// Subjects of `region` read with `caller` that earlier rounds saw, by id: those that are missing now were deleted.
    pub fn known(&self, region: &str, caller: Option<&str>) -> Vec<&str> {
        let is_there = |known: &Known| known.region == region && known.caller.as_deref() == caller;
        self.subjects.iter().filter(|(_, known)| is_there(known)).map(|(id, _)| id.as_str()).collect()
    }

    /// The message that says what `alert` is now.
    pub fn message(id: &str, alert: &Alert) -> Message {
        let since_ms = alert.firings_ms.last().copied().unwrap_or_default();
        let (status, until) = match alert.phase {
            Phase::Resolved { at_ms } => (Status::Resolved, Some(at_ms)),
            _ => (Status::Firing, None),
        };
        Message {
            id: format!("{id}-{since_ms}-{}", status.as_str()),
            alert: id.to_owned(),
            status,
            severity: alert.severity,
            cause: alert.cause.clone(),
            object: alert.object.clone(),
            subject: alert.subject.clone(),
            since: timestamp(since_ms),
            until: until.map(timestamp),
            content: alert.content.clone(),
        }
    }

    fn observe(&mut self, now_ms: i64, Observation { subject, look }: Observation, policy: &Policy) {
        let known = self
            .subjects
            .entry(subject.id.clone())
            .or_insert_with(|| Known { observed_ms: now_ms, ..Known::default() });
        (known.region, known.caller) = (subject.region.clone(), subject.caller.clone());
        let step_ms = (now_ms - known.observed_ms).clamp(0, policy.longest_step_ms);
        known.observed_ms = now_ms;
        let blind = match &look {
            Look::Blind(reason) => Some(reason.clone()),
            Look::Judged { blind, .. } => blind.clone(),
            Look::Changing | Look::Gone => None,
        };
        known.blind_ms = if blind.is_some() { known.blind_ms + step_ms } else { 0 };
        let is_long = known.blind_ms >= policy.cannot_see_after_ms;
        self.see(now_ms, &subject, blind, is_long);
        match look {
            Look::Judged { newest_ms, symptoms, assessed, .. } => {
                self.judge(now_ms, &subject, newest_ms, symptoms, &|cause| assessed.contains(cause));
            }
            Look::Changing => {
                if let Some(known) = self.subjects.get_mut(&subject.id) {
                    known.settling = SETTLING_ROUNDS;
                }
            }
            Look::Blind(_) => {}
            Look::Gone => {
                let of_it = self.alerts.values_mut().filter(|alert| alert.subject.id == subject.id);
                of_it.for_each(|alert| alert.resolve(now_ms));
                self.subjects.remove(&subject.id);
            }
        }
    }

    /// The alert that a subject cannot be seen.
    fn see(&mut self, now_ms: i64, subject: &Subject, blind: Option<String>, is_long: bool) {
        let id = id(&subject.id, CANNOT_SEE, "");
        match blind {
            Some(reason) => {
                let symptom = unseen(&reason);
                let is_known = self.alerts.get(&id).is_some_and(Alert::is_firing);
                if is_long || is_known {
                    self.alerts
                        .entry(id)
                        .or_insert_with(|| Alert::new(subject, &symptom))
                        .fire(now_ms, symptom.content);
                }
            }
            None => {
                if let Some(alert) = self.alerts.get_mut(&id) {
                    alert.absent(now_ms);
                }
            }
        }
    }

    fn judge(
        &mut self,
        now_ms: i64,
        subject: &Subject,
        newest_ms: Option<i64>,
        symptoms: Vec<Symptom>,
        is_assessed: &dyn Fn(&str) -> bool,
    ) {
        let Some(known) = self.subjects.get_mut(&subject.id) else { return };
        // A round without news is no further evidence, for or against. Without datapoints, each round is news.
        let is_news = newest_ms.is_none() || newest_ms != known.newest_ms;
        let is_settling = known.settling > 0;
        known.newest_ms = newest_ms;
        if !is_news {
            return;
        }
        known.settling = known.settling.saturating_sub(1);
        let mut present = Vec::new();
        for (at, symptom) in symptoms.iter().enumerate() {
            let id = self.continued(subject, symptom);
            let has_root = has_root(&symptoms, at);
            let alert = self.alerts.entry(id.clone()).or_insert_with(|| Alert::new(subject, symptom));
            alert.present(now_ms, symptom, has_root || is_settling);
            present.push(id);
        }
        let of_it = self.alerts.iter_mut().filter(|(_, alert)| alert.subject.id == subject.id);
        let absent = of_it.filter(|(id, alert)| !present.contains(id) && is_assessed(&alert.cause));
        absent.for_each(|(_, alert)| alert.absent(now_ms));
    }

    /// The id of the alert that a symptom belongs to: its own, or that of a firing one which looks the same from outside, so
    /// that a diagnosis that names now the one, now the other is one alert.
    fn continued(&self, subject: &Subject, symptom: &Symptom) -> String {
        let own = id(&subject.id, &symptom.cause, &symptom.object);
        if self.alerts.get(&own).is_some_and(Alert::is_firing) {
            return own;
        }
        let looks_the_same = |alert: &Alert| {
            alert.is_firing()
                && alert.subject.id == subject.id
                && alert.object == symptom.object
                && (symptom.content.alternatives.contains(&alert.cause)
                    || alert.content.alternatives.contains(&symptom.cause))
        };
        let other = self.alerts.iter().find(|(_, alert)| looks_the_same(alert)).map(|(id, _)| id.clone());
        other.unwrap_or(own)
    }

    fn messages(&mut self, now_ms: i64, policy: &Policy) -> Vec<Message> {
        let mut told = Vec::new();
        for (id, alert) in &mut self.alerts {
            let is_over = match alert.phase {
                Phase::Pending { .. } => continue,
                Phase::Firing { .. } => false,
                Phase::Resolved { .. } => true,
            };
            // Who was told that it fires is told that it is over, silence or not.
            let is_due = match is_over {
                true => alert.is_told,
                false => !alert.is_told && !policy.silences.iter().any(|silence| silence.holds(alert, now_ms)),
            };
            if is_due {
                alert.is_told = !is_over;
                told.push(Book::message(id, alert));
            }
        }
        told.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        told
    }
}

impl Alert {
    fn new(subject: &Subject, symptom: &Symptom) -> Alert {
        Alert {
            subject: subject.clone(),
            cause: symptom.cause.clone(),
            object: symptom.object.clone(),
            severity: Severity::of(&symptom.cause),
            phase: Phase::Pending { seen: 0 },
            firings_ms: Vec::new(),
            is_told: false,
            content: symptom.content.clone(),
        }
    }

    pub fn is_firing(&self) -> bool {
        matches!(self.phase, Phase::Firing { .. })
    }

    /// Its cause was seen in a round. `is_held` if it must not begin to fire now.
    fn present(&mut self, now_ms: i64, symptom: &Symptom, is_held: bool) {
        match self.phase {
            // Also when it is less sure by now.
            Phase::Firing { .. } => {
                self.phase = Phase::Firing { clear: 0 };
                if symptom.cause == self.cause {
                    self.content = symptom.content.clone();
                }
            }
            _ if is_held || !symptom.is_sure => {}
            Phase::Pending { .. } | Phase::Resolved { .. } => {
                let seen = if let Phase::Pending { seen } = self.phase { seen + 1 } else { 1 };
                self.phase = Phase::Pending { seen };
                self.content = symptom.content.clone();
                if seen >= self.severity.rounds_to_fire() {
                    self.fire(now_ms, symptom.content.clone());
                }
            }
        }
    }

    /// Its cause was looked for in a round and not seen.
    fn absent(&mut self, now_ms: i64) {
        match self.phase {
            Phase::Pending { seen } => self.phase = Phase::Pending { seen: seen.saturating_sub(1) },
            Phase::Firing { clear } if clear + 1 >= self.rounds_to_resolve(now_ms) => self.resolve(now_ms),
            Phase::Firing { clear } => self.phase = Phase::Firing { clear: clear + 1 },
            Phase::Resolved { .. } => {}
        }
    }

    fn fire(&mut self, now_ms: i64, content: Content) {
        if !self.is_firing() {
            self.firings_ms.retain(|at| is_lately(*at, now_ms));
            // Two firings in one millisecond would have one message id.
            let at_ms = self.firings_ms.last().map_or(now_ms, |last| now_ms.max(last + 1));
            self.firings_ms.push(at_ms);
        }
        self.phase = Phase::Firing { clear: 0 };
        self.content = content;
    }

    fn resolve(&mut self, now_ms: i64) {
        self.phase = match self.phase {
            Phase::Firing { .. } => Phase::Resolved { at_ms: now_ms },
            Phase::Pending { .. } => Phase::Pending { seen: 0 },
            over @ Phase::Resolved { .. } => over,
        };
    }

    /// Twice as many with every time that it has fired lately.
    fn rounds_to_resolve(&self, now_ms: i64) -> u32 {
        let doublings = self.lately(now_ms).saturating_sub(1).min(4);
        (self.severity.rounds_to_resolve() << doublings).min(MOST_ROUNDS_TO_RESOLVE)
    }

    /// How often it began to fire within the time that is remembered.
    fn lately(&self, now_ms: i64) -> usize {
        self.firings_ms.iter().filter(|at| is_lately(**at, now_ms)).count()
    }
}

/// Whether the symptom at `at` follows from one that was named before it.
pub fn has_root(symptoms: &[Symptom], at: usize) -> bool {
    symptoms[..at].iter().any(|root| root.is_sure && follows(&root.cause, &symptoms[at].cause))
}

/// Also where the clock was set back since.
fn is_lately(at_ms: i64, now_ms: i64) -> bool {
    now_ms.abs_diff(at_ms) < REMEMBERED_MS
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}
