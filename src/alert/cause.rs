//! What an alert is about: its id, how severe it is, and which causes follow from which.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::finding_id::*;

/// A cluster or a region of an account could not be seen for some time.
pub const CANNOT_SEE: &str = "guard.cannot-see";

/// MSK says that the cluster is in the state FAILED.
pub const CLUSTER_FAILED: &str = "cluster.failed";

/// Hexadecimal digits of an alert's id.
const DIGITS: usize = 16;

/// How much an alert matters, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Money or headroom is wasted; nothing is at risk.
    Info,
    /// It gets worse, or clients notice it.
    Warning,
    /// Data cannot be written or read, or soon cannot.
    Critical,
}

impl Severity {
    /// Of a cause, by its id.
    pub fn of(cause: &str) -> Severity {
        match cause {
            CLUSTER_FAILED | DISK_FULL | BROKER_DOWN | BROKER_HUNG | REPLICATION_MIN_ISR_BLOCKED => Severity::Critical,
            CLIENT_TINY_BATCHES | NETWORK_EGRESS_FANOUT | LEADERS_NOT_PREFERRED => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// In lower case, as labels have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }

    /// Rounds with new datapoints in which a cause has to be seen before it is an alert.
    pub fn rounds_to_fire(self) -> u32 {
        match self {
            Severity::Critical => 1,
            Severity::Warning => 2,
            Severity::Info => 3,
        }
    }

    /// Rounds with new datapoints in which it must not be seen before the alert is over.
    pub fn rounds_to_resolve(self) -> u32 {
        match self {
            Severity::Critical | Severity::Warning => 2,
            Severity::Info => 3,
        }
    }
}

/// The id of an alert: the same in every run for the same subject, cause and object.
pub fn id(subject: &str, cause: &str, object: &str) -> String {
    let mut hash = Sha256::new();
    for part in ["kgen.alert/1", subject, cause, object] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..DIGITS].to_owned()
}

/// What a cause takes away from a cluster. The order says which explains which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// A broker or a volume does not work; nearly everything else can follow from it.
    Outage,
    /// Brokers have more to do than they can, or unevenly.
    Strain,
    /// A cause of its own.
    Own,
}

fn reach(cause: &str) -> Reach {
    match cause {
        CLUSTER_FAILED | DISK_FULL | BROKER_DOWN | BROKER_HUNG => Reach::Outage,
        REPLICATION_THROTTLED
        | REPLICATION_MIN_ISR_BLOCKED
        | DISK_SLOW
        | NETWORK_CONSTRAINED
        | LEADERS_NOT_PREFERRED
        | LEADERS_PLACEMENT_SKEW
        | PARTITION_HOT_KEY
        | BROKER_DEGRADED
        | CLIENT_TINY_BATCHES
        | CLIENT_CONNECTION_STORM
        | CLUSTER_TOO_MANY_PARTITIONS
        | BROKER_HEAP_PRESSURE
        | NETWORK_EGRESS_FANOUT
        | BROKER_CPU_CREDITS_EXHAUSTED
        | BROKER_UNDERSIZED => Reach::Strain,
        _ => Reach::Own,
    }
}

/// Whether `cause` is a consequence of `root`, which the diagnosis named before it: no alert of its own while `root` lasts.
pub fn follows(root: &str, cause: &str) -> bool {
    match (reach(root), reach(cause)) {
        // That a volume fills is what a full volume was.
        _ if cause == DISK_FILLING => root == DISK_FULL,
        (Reach::Outage, _) => true,
        (Reach::Strain, Reach::Strain) => true,
        (Reach::Strain, _) => cause == CONSUMER_SLOW || cause == INCONCLUSIVE_UNEXPLAINED,
        (Reach::Own, _) => false,
    }
}

/// Whether each broker that such a finding names is an incident of its own.
pub fn is_of_one_broker(cause: &str) -> bool {
    matches!(cause, BROKER_DOWN | BROKER_HUNG | BROKER_DEGRADED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_subject_cause_and_object_and_on_nothing_else() {
        let of = |cause: &str, object: &str| id("arn:a", cause, object);
        assert_eq!(of(CONSUMER_SLOW, "group a"), of(CONSUMER_SLOW, "group a"));
        // Written out, so that a change of the hash, which would tell everybody everything again, is noticed.
        assert_eq!(of(CONSUMER_SLOW, "group a").len(), DIGITS);
        let all = [of(CONSUMER_SLOW, "group a"), of(CONSUMER_SLOW, "group b"), of(CONSUMER_STALLED, "group a")];
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
        assert_ne!(id("a", "bc", ""), id("ab", "c", ""), "parts do not run together");
    }

    #[test]
    fn a_consequence_follows_its_root_and_an_independent_cause_does_not() {
        for (root, cause, expected) in [
            (BROKER_DOWN, REPLICATION_MIN_ISR_BLOCKED, true),
            (BROKER_DOWN, BROKER_UNDERSIZED, true),
            (BROKER_DOWN, CONSUMER_STALLED, true),
            (BROKER_DOWN, DISK_FILLING, false),
            (DISK_FULL, DISK_FILLING, true),
            (CLIENT_TINY_BATCHES, BROKER_UNDERSIZED, true),
            (BROKER_UNDERSIZED, CONSUMER_SLOW, true),
            (BROKER_UNDERSIZED, CONSUMER_STALLED, false),
            (BROKER_UNDERSIZED, DISK_FILLING, false),
            (CONSUMER_STALLED, CONSUMER_SLOW, false),
            (CLIENT_QUOTA_THROTTLED, BROKER_DOWN, false),
        ] {
            assert_eq!(follows(root, cause), expected, "{cause} after {root}");
        }
    }
}
