//! EC2 instance types, as clients of a cluster: what their network carries.

use std::{collections::HashMap, sync::LazyLock};

/// By the name of the type, Gbit/s.
static BASELINES: LazyLock<HashMap<String, f64>> = LazyLock::new(|| {
    csv::Reader::from_reader(&include_bytes!("../../data/client-types.csv")[..])
        .deserialize()
        .collect::<Result<_, _>>()
        .expect("data/client-types.csv is well formed (checked by a test)")
});

/// What the network of an instance type carries all the time in each direction, Gbit/s; `None` for a type that is not in the
/// table.
pub fn network_baseline_gbit_per_s(instance_type: &str) -> Option<f64> {
    BASELINES.get(instance_type).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::BrokerType;

    #[test]
    fn baselines_are_those_of_ec2() {
        let check =
            |name: &str, expected: Option<f64>| assert_eq!(network_baseline_gbit_per_s(name), expected, "{name}");
        check("t3.small", Some(0.128));
        check("c5.large", Some(0.75));
        check("c5n.18xlarge", Some(100.0));
        check("kafka.t3.small", None);
        assert!(BASELINES.values().all(|gbit| *gbit > 0.0));
    }

    /// Brokers are instances, too.
    #[test]
    fn both_tables_say_the_same() {
        let of_brokers = BrokerType::all().filter_map(|one| {
            let name = one.to_string();
            Some((name.strip_prefix("kafka.")?.to_owned(), one.network_baseline_gbit_per_s?))
        });
        for (name, gbit) in of_brokers {
            assert_eq!(network_baseline_gbit_per_s(&name), Some(gbit), "{name}");
        }
    }
}
