//! What a round says: the clusters as they are, and what stands against them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    alert::{Content, Message, Severity, Subject},
    diagnose::Verdict,
    watch::fleet::{Failure, Row},
};

/// One round.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct RoundReport {
    /// When it ended.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The worst first.
    pub clusters: Vec<Seen>,
    /// Causes that were seen, without those that follow from another one.
    pub findings: Vec<Standing>,
    /// Regions of accounts that could not be listed.
    pub failures: Vec<Failure>,
    /// Regions that the account has not enabled.
    pub disabled_regions: Vec<String>,
    /// Metrics that were read of CloudWatch.
    pub metrics: u64,
    /// What the round cost, USD.
    pub usd: f64,
    /// What was spent since midnight UTC, this round included, USD.
    pub usd_today: f64,
    /// Messages that are not delivered yet, by sink.
    pub undelivered: BTreeMap<String, usize>,
}

/// A cluster, and how new what is known of it is.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Seen {
    #[serde(flatten)]
    pub row: Row,
    /// Time of the newest datapoint; `null` where there is none.
    #[schemars(with = "Option<String>")]
    pub newest: Option<Timestamp>,
}

/// A cause that was seen in the round.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Standing {
    /// Id of the alert: the same in every run for the same cluster, cause and object.
    pub alert: String,
    pub stage: Stage,
    pub severity: Severity,
    /// Such as `broker.undersized`.
    pub cause: String,
    /// Such as `group orders`; empty where it is the cluster.
    pub object: String,
    pub subject: Subject,
    #[serde(flatten)]
    pub content: Content,
}

/// How far the alert of a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Not seen in enough rounds for an alert.
    Pending,
    Firing,
    /// A silence of the configuration holds.
    Silenced,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Pending => "pending",
            Stage::Firing => "firing",
            Stage::Silenced => "silenced",
        }
    }
}

impl RoundReport {
    /// Findings that nobody has silenced.
    pub fn unsilenced(&self) -> impl Iterator<Item = &Standing> {
        self.findings.iter().filter(|finding| finding.stage != Stage::Silenced)
    }

    /// Clusters that could not be read.
    pub fn unread(&self) -> usize {
        self.clusters.iter().filter(|seen| seen.row.error.is_some()).count()
    }

    /// Clusters with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.clusters.iter().filter(|seen| seen.row.verdict == Some(verdict)).count()
    }

    /// The round in one line.
    pub fn summary(&self) -> String {
        // Of a region that could not be listed it is not known how many clusters it has.
        let unlisted = match self.failures.len() {
            0 => String::new(),
            count => format!("; regions that could not be listed: {count}"),
        };
        format!(
            "clusters: {} (healthy {}, with a cause {}, inconclusive {}, not read {}){unlisted}; metrics read: {}, USD {:.4}",
            self.clusters.len(),
            self.count(Verdict::Healthy),
            self.count(Verdict::CauseFound),
            self.count(Verdict::Inconclusive),
            self.unread(),
            self.metrics,
            self.usd,
        )
    }
}

impl Standing {
    /// In a few words: `orders (us-west-2): broker.undersized of group x: the brokers are too small`.
    pub fn headline(&self) -> String {
        let object = if self.object.is_empty() { String::new() } else { format!(" of {}", self.object) };
        format!("{} ({}): {}{object}: {}", self.subject.name, self.subject.region, self.cause, self.content.title)
    }
}

/// A message as a line of JSON, with the name of its form.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    message: &'a Message,
}

impl<'a> Line<'a> {
    /// Raised with every change that an older reader could not read.
    pub const SCHEMA: &'static str = "kgen.alert/1";

    pub fn of(message: &'a Message) -> Line<'a> {
        Line { schema: Line::SCHEMA, message }
    }
}

#[cfg(test)]
mod tests {
    use crate::guard::testing::report;

    #[test]
    fn a_summary_says_what_was_not_seen() {
        let summary = report().summary();
        let expected = "clusters: 3 (healthy 1, with a cause 1, inconclusive 0, not read 1); regions that could not be \
                        listed: 1; metrics read: 75, USD 0.0008";
        assert_eq!(summary, expected);
    }
}
