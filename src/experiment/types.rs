//! The same search with one broker type after the other: as the brokers are, with each type in turn, and back. Decides and keeps
//! the order; what changes the brokers and what searches are passed in.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    aws::MskCluster,
    catalogue::{BrokerType, KafkaVersion},
};

/// Broker types to search with, each reached from the one before by a change that MSK makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Types {
    /// What the brokers are now, and become again at the end.
    pub first: BrokerType,
    pub others: Vec<BrokerType>,
}

/// Why a search with other types is refused before anything is sent.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum TypesError {
    #[error("--against names {0} more than once")]
    Repeated(BrokerType),
    #[error("--against names {0}, which the brokers already are: the search begins with it, so leave it out")]
    Present(BrokerType),
    #[error("the brokers are {0:?}, which this version of kgen does not support, so they could not be changed back")]
    Unknown(String),
    #[error("--against {to}: {reason}")]
    NotOffered { to: BrokerType, reason: String },
    #[error("--against {from}: the brokers could not be changed back to {first} afterwards: {reason}")]
    NoWayBack { from: BrokerType, first: BrokerType, reason: String },
    #[error(
        "cluster {name} is {state}: MSK changes brokers only while the cluster is ACTIVE with no operation running; \
             wait for that"
    )]
    NotActive { name: String, state: String },
}

/// Changes the brokers to a type. Ends early with an error once the flag is set; without one it cannot be stopped.
pub type ChangeType<'a> = &'a mut dyn FnMut(BrokerType, Option<&AtomicBool>) -> anyhow::Result<()>;

/// How a series of searches ended.
#[derive(Debug)]
pub struct Ended {
    /// An error, unless every type was searched with or the series was stopped.
    pub searched: anyhow::Result<()>,
    /// Whether the brokers are of the first type again.
    pub back: anyhow::Result<()>,
}

impl Types {
    /// Checks that `cluster` can be changed to each of `others` in turn, and back from any of them. `partitions` is the largest
    /// number of partitions on one broker, where it is known.
    ///
    /// # Errors
    /// The first change that MSK would not make.
    pub fn of(cluster: &MskCluster, others: &[BrokerType], partitions: Option<u32>) -> Result<Types, TypesError> {
        if !cluster.is_idle() {
            return Err(TypesError::NotActive { name: cluster.name.clone(), state: cluster.state.clone() });
        }
        let first: BrokerType =
            cluster.broker_type.parse().map_err(|_| TypesError::Unknown(cluster.broker_type.clone()))?;
        // A version that the catalogue does not know has no rule to break.
        let version: Option<KafkaVersion> = cluster.kafka_version.parse().ok();
        let mut from = first;
        for (i, to) in others.iter().copied().enumerate() {
            if to == first {
                return Err(TypesError::Present(to));
            }
            if others[..i].contains(&to) {
                return Err(TypesError::Repeated(to));
            }
            let not_offered = |reason: String| TypesError::NotOffered { to, reason };
            from.check_change_to(to, partitions).map_err(|error| not_offered(error.to_string()))?;
            version
                .map_or(Ok(()), |version| version.check_sold_with(to))
                .map_err(|error| not_offered(error.to_string()))?;
            // An error or an interrupt may end the series with any of them.
            to.check_change_to(first, partitions).map_err(|error| {
                let reason = error.to_string();
                TypesError::NoWayBack { from: to, first, reason }
            })?;
            from = to;
        }
        Ok(Types { first, others: others.to_vec() })
    }

    /// The types in words, in their order.
    pub fn listed(&self) -> String {
        let others: Vec<&str> = self.others.iter().map(BrokerType::as_str).collect();
        format!("{} (now), {}", self.first, others.join(", "))
    }
}

/// Searches with each type until `stop` is set or something fails, and changes the brokers back in any case.
pub fn with_each(
    types: &Types,
    stop: &AtomicBool,
    change: ChangeType<'_>,
    search: &mut dyn FnMut(BrokerType) -> anyhow::Result<()>,
) -> Ended {
    let is_stopped = || stop.load(Ordering::Relaxed);
    let mut is_changed = false;
    let mut all = || -> anyhow::Result<()> {
        search(types.first)?;
        for other in &types.others {
            if is_stopped() {
                break;
            }
            is_changed = true;
            change(*other, Some(stop))?;
            search(*other)?;
        }
        Ok(())
    };
    // What fails because it was stopped is no error.
    let searched = all().or_else(|error| if is_stopped() { Ok(()) } else { Err(error) });
    let back = if is_changed { change(types.first, None) } else { Ok(()) };
    Ended { searched, back }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use anyhow::bail;

    use super::*;

    fn cluster(broker_type: &str) -> MskCluster {
        MskCluster {
            arn: "arn".to_owned(),
            name: "orders".to_owned(),
            state: "ACTIVE".to_owned(),
            current_version: "K1".to_owned(),
            broker_type: broker_type.to_owned(),
            broker_count: 3,
            kafka_version: "3.9.x".to_owned(),
            volume_gib: None,
            active_operation: None,
        }
    }

    fn known(names: &[&str]) -> Vec<BrokerType> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn only_types_with_a_way_there_and_back_are_tried() {
        let check = |now: &str, others: &[&str], partitions, refusal: Option<&str>| {
            let types = Types::of(&cluster(now), &known(others), partitions);
            match (types, refusal) {
                (Ok(types), None) => assert_eq!(types.others, known(others)),
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
                (types, _) => panic!("{now} {others:?}: {types:?}"),
            }
        };
        check("kafka.m5.large", &["kafka.m5.xlarge", "kafka.m7g.large"], Some(100), None);
        check("kafka.m5.large", &["kafka.m5.large"], None, Some("already are"));
        check("kafka.m5.large", &["kafka.m7g.large", "kafka.m7g.large"], None, Some("more than once"));
        check("kafka.m5.large", &["kafka.t3.small"], None, Some("--against kafka.t3.small: MSK cannot change"));
        check("kafka.m5.large", &["express.m7g.large"], None, Some("--against express.m7g.large"));
        check("kafka.t3.small", &["kafka.m5.large"], None, Some("could not be changed back to kafka.t3.small"));
        check("kafka.m9.large", &["kafka.m5.large"], None, Some("does not support"));
        check("kafka.m5.2xlarge", &["kafka.m5.large"], Some(1501), Some("1501 partitions"));
        check("kafka.m5.large", &["kafka.m5.2xlarge"], Some(1501), Some("could not be changed back"));
    }

    #[test]
    fn a_cluster_that_is_being_changed_is_left_alone() {
        let updating = MskCluster { state: "UPDATING".to_owned(), ..cluster("kafka.m5.large") };
        let running = MskCluster { active_operation: Some("arn".to_owned()), ..cluster("kafka.m5.large") };
        for busy in [updating, running] {
            let error = Types::of(&busy, &known(&["kafka.m5.xlarge"]), None).unwrap_err();
            assert!(matches!(error, TypesError::NotActive { .. }), "{error}");
        }
    }

    /// Plays a series of two other types, and returns what was done and how it ended. `fails` is a step that fails, and `stops`
    /// one during which the series is stopped.
    fn played(fails: &str, stops: &str) -> (Vec<String>, Ended) {
        let types = Types::of(&cluster("kafka.m5.large"), &known(&["kafka.m5.xlarge", "kafka.m7g.large"]), None);
        let (done, stop) = (RefCell::new(Vec::new()), AtomicBool::new(false));
        let step = |what: String| {
            done.borrow_mut().push(what.clone());
            if what == stops {
                stop.store(true, Ordering::Relaxed);
            }
            if what == fails { bail!("no") } else { Ok(()) }
        };
        let mut change = |to: BrokerType, may_stop: Option<&AtomicBool>| {
            step(format!("{} {to}", if may_stop.is_some() { "to" } else { "back to" }))
        };
        let ended = with_each(&types.unwrap(), &stop, &mut change, &mut |of| step(format!("search {of}")));
        (done.into_inner(), ended)
    }

    #[test]
    fn every_type_is_searched_with_and_the_first_one_returns() {
        let all = [
            "search kafka.m5.large",
            "to kafka.m5.xlarge",
            "search kafka.m5.xlarge",
            "to kafka.m7g.large",
            "search kafka.m7g.large",
            "back to kafka.m5.large",
        ];
        let (done, ended) = played("", "");
        assert_eq!(done, all);
        assert!(ended.searched.is_ok() && ended.back.is_ok(), "{ended:?}");
        // Wherever it ends, the brokers are changed back; how many steps are taken before that.
        for (at, steps) in [(1, 2), (2, 3), (3, 4), (4, 5)] {
            let expected: Vec<&str> = all[..steps].iter().copied().chain([all[5]]).collect();
            let (done, ended) = played(all[at], "");
            assert_eq!(done, expected, "{} fails", all[at]);
            assert!(ended.searched.is_err() && ended.back.is_ok(), "{ended:?}");
            // A change that is stopped fails.
            let (done, ended) = played(all[at], all[at]);
            assert_eq!(done, expected, "{} is stopped", all[at]);
            assert!(ended.searched.is_ok() && ended.back.is_ok(), "{ended:?}");
        }
    }

    #[test]
    fn brokers_that_were_not_changed_are_not_changed_back() {
        for (fails, stops) in [("search kafka.m5.large", ""), ("", "search kafka.m5.large")] {
            let (done, ended) = played(fails, stops);
            assert_eq!(done, ["search kafka.m5.large"]);
            assert_eq!((ended.searched.is_err(), ended.back.is_ok()), (!fails.is_empty(), true));
        }
    }

    #[test]
    fn a_way_back_that_fails_is_no_success() {
        let (_, ended) = played("back to kafka.m5.large", "");
        assert!(ended.searched.is_ok() && ended.back.is_err(), "{ended:?}");
    }
}
