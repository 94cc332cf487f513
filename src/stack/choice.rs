//! The settings of a stack that `kgen init` chooses, and the kgen.toml that has them.

use super::commented::commented;

/// What of a stack is chosen here.
#[derive(Debug, Default, PartialEq)]
pub struct Choice {
    pub region: Option<String>,
    /// How many zones, where it is not the stack's own number.
    pub zones: Option<usize>,
    pub name: Option<String>,
    pub broker_type: Option<String>,
    pub broker_count: Option<u32>,
    pub kafka_version: Option<String>,
    pub volume_gib: Option<u32>,
}

impl Choice {
    /// This, and what it leaves open from `second`.
    pub fn over(self, second: Choice) -> Choice {
        Choice {
            region: self.region.or(second.region),
            zones: self.zones.or(second.zones),
            name: self.name.or(second.name),
            broker_type: self.broker_type.or(second.broker_type),
            broker_count: self.broker_count.or(second.broker_count),
            kafka_version: self.kafka_version.or(second.kafka_version),
            volume_gib: self.volume_gib.or(second.volume_gib),
        }
    }

    /// The text of a kgen.toml with these settings, and all others as comments. `None` if its example lacks one of them.
    pub fn kgen_toml(&self) -> Option<String> {
        commented(&self.settings())
    }

    /// What is written, in the order of the file: each key and its value as TOML.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let text = |value: &String| toml::Value::String(value.clone()).to_string();
        let list =
            |items: Vec<String>| toml::Value::Array(items.into_iter().map(toml::Value::String).collect()).to_string();
        // The default is three zones, and a subnet in each.
        let zones = self.zones.filter(|zones| *zones != 3);
        let names = zones.zip(self.region.as_ref()).map(|(zones, region)| {
            list(["a", "b", "c", "d", "e", "f"].iter().take(zones).map(|zone| format!("{region}{zone}")).collect())
        });
        let subnets = zones.map(|zones| list((1..=zones).map(|number| format!("10.0.{number}.0/24")).collect()));
        let rows = [
            ("region", self.region.as_ref().map(text)),
            ("zones", names),
            ("network.subnet_cidrs", subnets),
            ("cluster.name", self.name.as_ref().map(text)),
            ("cluster.broker_type", self.broker_type.as_ref().map(text)),
            ("cluster.broker_count", self.broker_count.map(|count| count.to_string())),
            ("cluster.kafka_version", self.kafka_version.as_ref().map(text)),
            ("cluster.volume_gib", self.volume_gib.map(|gib| gib.to_string())),
        ];
        rows.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Stack;

    #[test]
    fn options_go_before_the_cluster_and_the_result_is_a_stack() {
        let cluster = Choice {
            region: Some("eu-west-1".to_owned()),
            zones: Some(2),
            name: Some("orders".to_owned()),
            broker_type: Some("kafka.m5.large".to_owned()),
            broker_count: Some(4),
            kafka_version: Some("3.6.0".to_owned()),
            volume_gib: Some(500),
        };
        let choice = Choice { broker_count: Some(6), ..Choice::default() }.over(cluster);
        let written = choice.settings();
        assert!(written.contains(&("zones", "[\"eu-west-1a\", \"eu-west-1b\"]".to_owned())), "{written:?}");
        let stack = Stack::parse(&commented(&written).unwrap()).unwrap();
        assert_eq!((stack.cluster().broker_count, stack.zones().len(), stack.cluster().volume_gib), (6, 2, 500));
    }

    #[test]
    fn a_hostile_name_stays_one_value() {
        let choice = Choice { name: Some("a\"\n[x]\n".to_owned()), ..Choice::default() };
        let text = commented(&choice.settings()).unwrap();
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(parsed["cluster"]["name"].as_str(), Some("a\"\n[x]\n"));
    }
}
