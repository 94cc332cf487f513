//! What the brokers of a plan cost.

use serde_json::Value;

use super::plan::Changes;
use crate::catalogue::BrokerType;

/// What the brokers of each cluster in the plan cost, a line each.
///
/// Empty when an endpoint other than AWS's is set: nothing is billed there.
pub fn price(changes: &Changes) -> Vec<String> {
    if std::env::var_os("AWS_ENDPOINT_URL").is_some() {
        return Vec::new();
    }
    let price = |cluster: &Value| {
        let broker_type: BrokerType = cluster["broker_node_group_info"][0]["instance_type"].as_str()?.parse().ok()?;
        let count = cluster["number_of_broker_nodes"].as_u64()?;
        let usd = broker_type.usd_per_broker_hour * count as f64;
        Some(format!("{count} × {broker_type} {usd:.4} USD an hour"))
    };
    changes
        .of_type("aws_msk_cluster")
        .filter_map(|cluster| {
            let Some(after) = price(&cluster.change.after) else {
                let before = price(&cluster.change.before).filter(|_| cluster.change.after.is_null())?;
                return Some(format!(
                    "{}: {before} no longer charged (brokers only, list price in us-east-1)",
                    cluster.address
                ));
            };
            let before = price(&cluster.change.before).map(|before| format!("{before} → ")).unwrap_or_default();
            Some(format!("{}: {before}{after} (brokers only, list price in us-east-1)", cluster.address))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_brokers_have_a_price() {
        let cluster = |broker_type: &str| json!({"number_of_broker_nodes": 3, "broker_node_group_info": [{"instance_type": broker_type}]});
        #[track_caller]
        fn check(before: Value, after: Value, expected: &[&str]) {
            let change = json!({"actions": ["update"], "before": before, "after": after});
            let resource = json!({"address": "c", "type": "aws_msk_cluster", "change": change});
            let changes = Changes::parse(&json!({"resource_changes": [resource]}).to_string()).unwrap();
            assert_eq!(price(&changes), expected);
        }
        let hourly = |name: &str| name.parse::<BrokerType>().unwrap().usd_per_broker_hour * 3.0;
        let (small, large) = (hourly("kafka.t3.small"), hourly("kafka.m5.large"));
        check(
            Value::Null,
            cluster("kafka.t3.small"),
            &[&format!("c: 3 × kafka.t3.small {small:.4} USD an hour (brokers only, list price in us-east-1)")],
        );
        check(
            cluster("kafka.t3.small"),
            cluster("kafka.m5.large"),
            &[&format!(
                "c: 3 × kafka.t3.small {small:.4} USD an hour → 3 × kafka.m5.large {large:.4} USD an hour \
                 (brokers only, list price in us-east-1)"
            )],
        );
        check(
            cluster("kafka.t3.small"),
            Value::Null,
            &[&format!(
                "c: 3 × kafka.t3.small {small:.4} USD an hour no longer charged (brokers only, list price in us-east-1)"
            )],
        );
        check(Value::Null, cluster("kafka.of.the.future"), &[]);
    }
}
