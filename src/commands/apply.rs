//! `kgen apply`: applies terraform/.

use std::path::Path;

use serde_json::Value;

use super::{
    delivery,
    documents::{self, Applied},
    place::Place,
    plan::notes,
    progress::Progress,
    working_dir::{self, confirmed, ended, ensure_confirmable},
};
use crate::{
    catalogue::BrokerType,
    change::{await_earlier, rolling},
    cli::{Apply, Outcome, refused},
    terraform::{
        Goal, Terraform,
        plan::{Changes, Plan},
    },
};

pub fn run(project: &Path, args: &Apply) -> anyhow::Result<Outcome> {
    ensure_confirmable(args.yes || args.dry_run, "apply")?;
    let working_dir = working_dir::lock_rendered(project, &args.terraform, Some(&args.locking))?;
    let terraform = working_dir.terraform();
    let mut progress = Progress::new();
    await_earlier(&working_dir, &mut |event| progress.see(event))?;

    let without_kgen = delivery::prepare(project)?;
    progress.phase("planning");
    let plan = match working_dir.plan(Goal::Apply, &mut |seen| progress.show(seen)) {
        Ok(plan) => plan,
        Err(error) => return ended(error, &mut progress),
    };
    progress.plan(&plan, !args.dry_run);
    let refusals = plan.changes.obstacles().into_iter().filter(|obstacle| obstacle.is_certain);
    let refusals: Vec<String> = refusals.map(|obstacle| obstacle.text).collect();
    if !refusals.is_empty() && !args.dry_run {
        return Err(refused(anyhow::anyhow!("nothing was changed: {}", refusals.join("; "))));
    }
    without_kgen.iter().chain(&notes(project, &plan.changes)).for_each(|note| progress.line(&format!("note: {note}")));
    price(&plan.changes).iter().for_each(|line| progress.line(line));
    let mut steps = Vec::new();
    if plan.has_changes() && !args.dry_run {
        if !args.yes && !confirmed("Apply these changes?")? {
            progress.line("nothing was changed");
            return Ok(Outcome::Done);
        }
        progress.phase("applying");
        match rolling::apply(terraform, &plan, &Place::Environment, &mut |event| progress.see(event)) {
            Ok(ended) => steps = ended,
            Err(error) => return ended(error, &mut progress),
        }
        progress.clear();
    }
    if args.json {
        let applied = plan.has_changes() && !args.dry_run;
        documents::print(summary(terraform, &plan, applied, &progress, steps)?)?;
    }
    Ok(Outcome::Done)
}

fn summary(
    terraform: &Terraform,
    plan: &Plan<'_>,
    applied: bool,
    progress: &Progress,
    steps: Vec<rolling::EndedStep>,
) -> anyhow::Result<Applied> {
    let outputs = terraform
        .output()?
        .into_iter()
        .filter(|(_, output)| !output.sensitive)
        .map(|(name, output)| (name, output.value))
        .collect();
    Ok(Applied { applied, changes: (&plan.changes).into(), resources: progress.ended().to_vec(), steps, outputs })
}

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
