//! The scenarios and what is right for each. The labels, their neighbours and the right remedies are those of the measured
//! fault scenarios (docs/benchmark.md).

use serde::{Deserialize, Serialize};

use crate::finding_id;

/// A row of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scenario {
    /// The finding that is right; with what differs where there are several of one.
    pub name: &'static str,
    /// Faults of the lab, made in this order; none where nothing is made.
    pub faults: &'static [&'static str],
    /// The findings that are right, the root first; empty where nothing may be found.
    pub truth: &'static [&'static str],
    pub kind: Kind,
    pub names: Names,
    /// Kinds of remedy that are right for the root; empty where there is nothing to be done.
    pub remedies: &'static [&'static str],
    /// Share of a run's load that continues all the time.
    pub load: f64,
    /// The first variation that is kept for scoring alone. Rules may be tuned on the ones before it, never on it or later ones.
    pub first_held_out: u32,
}

/// The first variation that is held out where no rule has been changed since because of one.
const FIRST_HELD_OUT: u32 = 4;

/// Which runs a rule may have been made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Tuning,
    HeldOut,
}

/// What kind of run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A fault that has to be named within 30 s.
    Fault,
    /// One that has to be named within 15 s.
    Hard,
    /// Nothing is wrong with the cluster: no cause may be named.
    Control,
}

/// What a finding has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Nothing,
    Broker,
    Partitions,
    Groups,
}

const fn fault(
    name: &'static str,
    truth: &'static [&'static str],
    names: Names,
    remedies: &'static [&'static str],
) -> Scenario {
    Scenario {
        name,
        faults: truth,
        truth,
        kind: Kind::Fault,
        names,
        remedies,
        load: 1.0,
        first_held_out: FIRST_HELD_OUT,
    }
}

/// Every row.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { kind: Kind::Control, ..fault(finding_id::HEALTHY, &[], Names::Nothing, &[]) },
    Scenario {
        kind: Kind::Control,
        faults: &[finding_id::HEALTHY],
        ..fault("healthy.bursts", &[], Names::Nothing, &[])
    },
    fault(finding_id::BROKER_UNDERSIZED, &[finding_id::BROKER_UNDERSIZED], Names::Nothing, &["resize", "scale_out"]),
    fault(
        finding_id::BROKER_CPU_CREDITS_EXHAUSTED,
        &[finding_id::BROKER_CPU_CREDITS_EXHAUSTED],
        Names::Nothing,
        &["resize"],
    ),
    fault(finding_id::BROKER_DEGRADED, &[finding_id::BROKER_DEGRADED], Names::Broker, &["reboot"]),
    fault(finding_id::PARTITION_HOT_KEY, &[finding_id::PARTITION_HOT_KEY], Names::Partitions, &["advice"]),
    fault(finding_id::LEADERS_NOT_PREFERRED, &[finding_id::LEADERS_NOT_PREFERRED], Names::Nothing, &["elect_leaders"]),
    fault(finding_id::LEADERS_PLACEMENT_SKEW, &[finding_id::LEADERS_PLACEMENT_SKEW], Names::Broker, &["reassign"]),
    Scenario {
        kind: Kind::Hard,
        ..fault(finding_id::BROKER_DOWN, &[finding_id::BROKER_DOWN], Names::Broker, &["reboot"])
    },
    Scenario {
        kind: Kind::Hard,
        ..fault(finding_id::BROKER_HUNG, &[finding_id::BROKER_HUNG], Names::Broker, &["reboot"])
    },
    fault(finding_id::CONSUMER_SLOW, &[finding_id::CONSUMER_SLOW], Names::Groups, &["advice"]),
    fault(finding_id::CONSUMER_STALLED, &[finding_id::CONSUMER_STALLED], Names::Groups, &["advice"]),
    fault(finding_id::CLIENT_TINY_BATCHES, &[finding_id::CLIENT_TINY_BATCHES], Names::Nothing, &["advice"]),
    fault(finding_id::CLIENT_CONNECTION_STORM, &[finding_id::CLIENT_CONNECTION_STORM], Names::Nothing, &["advice"]),
    fault(
        finding_id::CLUSTER_TOO_MANY_PARTITIONS,
        &[finding_id::CLUSTER_TOO_MANY_PARTITIONS],
        Names::Nothing,
        &["resize", "scale_out", "advice"],
    ),
    fault(finding_id::DISK_FILLING, &[finding_id::DISK_FILLING], Names::Broker, &["expand"]),
    // Variations 4 to 6 showed that a full volume was hidden by the warm-up of the broker on it: tuning runs since.
    Scenario {
        kind: Kind::Hard,
        first_held_out: 7,
        ..fault(finding_id::DISK_FULL, &[finding_id::DISK_FULL], Names::Broker, &["expand"])
    },
    fault(finding_id::DISK_SLOW, &[finding_id::DISK_SLOW], Names::Broker, &["advice"]),
    fault(finding_id::NETWORK_CONSTRAINED, &[finding_id::NETWORK_CONSTRAINED], Names::Broker, &["resize", "scale_out"]),
    fault(finding_id::NETWORK_EGRESS_FANOUT, &[finding_id::NETWORK_EGRESS_FANOUT], Names::Groups, &["advice"]),
    fault(finding_id::BROKER_HEAP_PRESSURE, &[finding_id::BROKER_HEAP_PRESSURE], Names::Broker, &["resize"]),
    // Variations 3 and 5 were taken for a disk that stands still: tuning runs both.
    Scenario {
        first_held_out: 6,
        ..fault(
            finding_id::REPLICATION_THROTTLED,
            &[finding_id::REPLICATION_THROTTLED],
            Names::Nothing,
            &["remove_throttle"],
        )
    },
    Scenario {
        faults: &[finding_id::REPLICATION_MIN_ISR_BLOCKED],
        truth: &[finding_id::BROKER_DOWN, finding_id::REPLICATION_MIN_ISR_BLOCKED],
        kind: Kind::Hard,
        ..fault(finding_id::REPLICATION_MIN_ISR_BLOCKED, &[], Names::Broker, &["reboot"])
    },
    Scenario {
        remedies: &[],
        ..fault(finding_id::CLIENT_GENERATOR_BOUND, &[finding_id::CLIENT_GENERATOR_BOUND], Names::Nothing, &[])
    },
    Scenario {
        ..fault(finding_id::CLUSTER_MAINTENANCE, &[finding_id::CLUSTER_MAINTENANCE], Names::Nothing, &["wait"])
    },
    fault(finding_id::CLIENT_QUOTA_THROTTLED, &[finding_id::CLIENT_QUOTA_THROTTLED], Names::Nothing, &["advice"]),
    fault(finding_id::LAB_HOST_CONTENTION, &[finding_id::LAB_HOST_CONTENTION], Names::Nothing, &[]),
    fault(
        "broker.undersized+consumer.slow",
        &[finding_id::BROKER_UNDERSIZED, finding_id::CONSUMER_SLOW],
        Names::Nothing,
        &["resize", "scale_out"],
    ),
    fault(
        "partition.hot-key+consumer.slow",
        &[finding_id::PARTITION_HOT_KEY, finding_id::CONSUMER_SLOW],
        Names::Partitions,
        &["advice"],
    ),
    fault(
        "leaders.placement-skew+broker.undersized",
        &[finding_id::LEADERS_PLACEMENT_SKEW, finding_id::BROKER_UNDERSIZED],
        Names::Broker,
        &["reassign"],
    ),
    Scenario {
        kind: Kind::Hard,
        ..fault(
            "broker.down+broker.undersized",
            &[finding_id::BROKER_DOWN, finding_id::BROKER_UNDERSIZED],
            Names::Broker,
            &["reboot"],
        )
    },
    // Brokers that small take few requests: most must be those of the client without batches.
    Scenario {
        load: 0.1,
        ..fault(
            "client.tiny-batches+broker.undersized",
            &[finding_id::CLIENT_TINY_BATCHES, finding_id::BROKER_UNDERSIZED],
            Names::Nothing,
            &["advice"],
        )
    },
];

/// The row of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Which part the run of this number belongs to.
    pub fn part(&self, variation: u32) -> Part {
        if variation >= self.first_held_out { Part::HeldOut } else { Part::Tuning }
    }

    /// Whether a true first answer may be this. Of two faults either may be the first to show; a consequence may not.
    pub fn may_come_first(&self, id: &str) -> bool {
        let first = if self.faults.len() > 1 { self.truth } else { &self.truth[..self.truth.len().min(1)] };
        first.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::diagnose::RULES;

    #[test]
    fn the_last_two_of_five_are_held_out_unless_one_was_looked_at() {
        let parts = |name: &str| (1..=7).map(|n| find(name).map(|row| row.part(n))).collect::<Vec<_>>();
        let (tuning, held_out) = (Some(Part::Tuning), Some(Part::HeldOut));
        assert_eq!(parts("broker.hung"), [tuning, tuning, tuning, held_out, held_out, held_out, held_out]);
        assert_eq!(parts("disk.full"), [tuning, tuning, tuning, tuning, tuning, tuning, held_out]);
    }

    #[test]
    fn every_row_is_about_findings_that_there_are() {
        let names: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!((names.len(), SCENARIOS.len() - 5), (SCENARIOS.len(), 27));
        for scenario in SCENARIOS {
            for id in scenario.truth {
                assert!(RULES.iter().any(|rule| rule.id == *id), "{id}");
            }
            // The name of a pair follows from its faults.
            if scenario.faults.len() > 1 {
                assert_eq!(scenario.name, scenario.faults.join("+"));
            }
            assert_eq!(scenario.kind == Kind::Control, scenario.truth.is_empty(), "{}", scenario.name);
        }
    }
}
