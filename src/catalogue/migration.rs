//! Changes that MSK makes only of clusters that meet conditions: to Express brokers, and from ZooKeeper to KRaft.
//!
//! Conditions as of November 2026 (MSK Developer Guide, "Upgrade to Express brokers" and "Migrate to KRaft").

/// What bears on such a change of a cluster; `None` where it is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present<'a> {
    /// Such as `kafka.m5.large`.
    pub broker_type: &'a str,
    /// Such as `3.9.x.kraft`.
    pub kafka_version: Option<&'a str>,
    pub zones: Option<usize>,
    pub replication_factor: Option<u32>,
}

/// A condition that is not met, or of which that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub text: String,
    /// It is known not to be met.
    pub is_unmet: bool,
}

impl Present<'_> {
    /// What keeps MSK from upgrading the cluster to Express brokers.
    pub fn conditions_of_express(&self) -> Vec<Condition> {
        let is_upgradable =
            ["kafka.m5.", "kafka.m7g.", "kafka.m8g."].iter().any(|kind| self.broker_type.starts_with(kind));
        let of_type = (!is_upgradable)
            .then(|| condition(format!("brokers of M5, M7g or M8g (they are {})", self.broker_type), true));
        let version = match self.kafka_version {
            Some(version) if version.starts_with("3.9.") && version.ends_with(".kraft") => None,
            Some(version) => Some(condition(format!("Kafka 3.9 in KRaft mode (it is {version})"), true)),
            None => Some(condition("Kafka 3.9 in KRaft mode".to_owned(), false)),
        };
        let replicas = match self.replication_factor {
            Some(3) => None,
            Some(factor) => Some(condition(format!("replication factor 3 (it is {factor})"), true)),
            None => Some(condition("replication factor 3 of every topic".to_owned(), false)),
        };
        [version, self.three_zones(), replicas, of_type].into_iter().flatten().collect()
    }

    /// What keeps MSK from migrating the cluster from ZooKeeper to KRaft in place. Whether ZooKeeper access is on, no API says.
    pub fn conditions_of_kraft(&self) -> Vec<Condition> {
        let of_type = self.broker_type.starts_with("kafka.t3.").then(|| {
            condition(format!("another broker type first ({} exists only with ZooKeeper)", self.broker_type), true)
        });
        let access = "ZooKeeper access turned off (AWS provider 5 cannot do that; `aws kafka update-connectivity \
                      --zookeeper-access Enabled=false` can)";
        let version = match self.kafka_version {
            Some(version) if version.starts_with("3.9.") => None,
            Some(version) => Some(condition(format!("Kafka 3.9.x first (it is {version})"), true)),
            None => Some(condition("Kafka 3.9.x".to_owned(), false)),
        };
        let listeners = "no `advertised.listeners` set on a running broker";
        let certain = [of_type, version, self.three_zones()].into_iter().flatten();
        certain.chain([access, listeners].map(|text| condition(text.to_owned(), false))).collect()
    }

    fn three_zones(&self) -> Option<Condition> {
        match self.zones {
            Some(3) => None,
            Some(zones) => Some(condition(format!("brokers in three zones (they are in {zones})"), true)),
            None => Some(condition("brokers in three zones".to_owned(), false)),
        }
    }
}

fn condition(text: String, is_unmet: bool) -> Condition {
    Condition { text, is_unmet }
}

/// Conditions as a list in a sentence.
pub fn listed(conditions: &[Condition]) -> String {
    conditions.iter().map(|condition| condition.text.as_str()).collect::<Vec<_>>().join(", ")
}

/// Why a change of type is no way from a Standard type to the Express type `to`, with what an upgrade still needs.
pub fn express_refusal(from: &str, to: &str, conditions: &[Condition]) -> String {
    let needs = match conditions.is_empty() {
        true => "the known conditions are met; begin with CreateAssessment (UPDATE_BROKER_TYPE)".to_owned(),
        false => format!("it needs {}", listed(conditions)),
    };
    format!(
        "MSK does not change {from} to {to} by a type change: Standard to Express is a separate upgrade, in mixed \
         mode, and MSK would treat a plain type change as its completion; {needs}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmet(conditions: &[Condition]) -> Vec<&str> {
        conditions.iter().filter(|condition| condition.is_unmet).map(|condition| condition.text.as_str()).collect()
    }

    #[test]
    fn what_an_upgrade_to_express_needs_is_listed() {
        let ready = Present {
            broker_type: "kafka.m7g.large",
            kafka_version: Some("3.9.x.kraft"),
            zones: Some(3),
            replication_factor: Some(3),
        };
        assert_eq!(ready.conditions_of_express(), []);
        let demo = Present {
            broker_type: "kafka.t3.small",
            kafka_version: Some("3.9.x"),
            zones: Some(2),
            replication_factor: Some(2),
        };
        let conditions = demo.conditions_of_express();
        let expected = [
            "Kafka 3.9 in KRaft mode (it is 3.9.x)",
            "brokers in three zones (they are in 2)",
            "replication factor 3 (it is 2)",
            "brokers of M5, M7g or M8g (they are kafka.t3.small)",
        ];
        assert_eq!(unmet(&conditions), expected);
        let unknown = Present { broker_type: "kafka.m5.large", ..Present::default() }.conditions_of_express();
        assert_eq!((unknown.len(), unmet(&unknown).len()), (3, 0));
        assert!(express_refusal("a", "b", &conditions).ends_with("(they are kafka.t3.small)"));
    }

    #[test]
    fn zookeeper_access_stands_in_the_way_of_kraft_beside_the_type() {
        let small = Present {
            broker_type: "kafka.t3.small",
            kafka_version: Some("3.9.x"),
            zones: Some(3),
            replication_factor: None,
        };
        let conditions = small.conditions_of_kraft();
        assert_eq!(unmet(&conditions), ["another broker type first (kafka.t3.small exists only with ZooKeeper)"]);
        assert!(listed(&conditions).contains("ZooKeeper access turned off"));
        let large = Present { broker_type: "kafka.m5.large", kafka_version: Some("3.8.x"), ..small };
        assert_eq!(unmet(&large.conditions_of_kraft()), ["Kafka 3.9.x first (it is 3.8.x)"]);
    }
}
