//! Another broker type for the same cluster.

use serde::Serialize;

use super::{Rendered, Target, hcl_change::instance_type_diff};
use crate::catalogue::{BrokerType, HOURS_A_MONTH};

/// Minutes that MSK takes for one broker (MSK Developer Guide, "Update the cluster broker size").
const MINUTES_A_BROKER: (u32, u32) = (10, 15);

/// CPU that leaves room for a broker's leaders while it restarts, percent (MSK best practices).
const CPU_WITH_HEADROOM_PERCENT: f64 = 60.0;

/// What the brokers before and after a change cost, each as a type and how many.
pub(super) fn price(before: (BrokerType, u32), after: (BrokerType, u32)) -> String {
    let hourly = |(broker_type, count): (BrokerType, u32)| broker_type.usd_per_broker_hour * f64::from(count);
    let (before, after) = (hourly(before), hourly(after));
    format!(
        "price: {before:.4} to {after:.4} USD/h, {:.0} to {:.0} USD a month of {HOURS_A_MONTH} h \
         (AWS list price in us-east-1, brokers without storage)",
        before * HOURS_A_MONTH,
        after * HOURS_A_MONTH,
    )
}

/// A change of the broker type.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Resize {
    pub from: BrokerType,
    pub to: BrokerType,
    pub brokers: u32,
    pub reason: String,
    /// vCPUs of the present type that one broker uses now.
    pub vcpus_used: Option<f64>,
    /// The broker is throttled, so it would use more CPU if it could.
    pub demand_is_higher: bool,
}

impl Resize {
    /// CPU per broker to be expected of the new type, percent: what is used now, spread over what the new type has.
    pub fn expected_cpu_percent(&self) -> Option<f64> {
        Some(self.vcpus_used? / self.to.sustained_vcpus() * 100.0)
    }

    /// The same while one broker is away and the others do its work.
    pub fn expected_cpu_without_one_percent(&self) -> Option<f64> {
        let left = f64::from(self.brokers.checked_sub(1).filter(|left| *left > 0)?);
        Some(self.expected_cpu_percent()? * f64::from(self.brokers) / left)
    }

    pub(super) fn rendered(&self, target: &Target) -> Rendered {
        let (from, to) = (self.from.as_str(), self.to.as_str());
        Rendered {
            summary: format!("{} brokers from {from} to {to}: {}", self.brokers, self.reason),
            aws_cli: target.arn.zip(target.current_version).map(|(arn, version)| {
                format!(
                    "aws kafka update-broker-type --cluster-arn {arn} --current-version {version} \
                     --target-instance-type {to} --region {}",
                    target.region
                )
            }),
            kgen: Some(format!("kgen resize {to}")),
            hcl_diff: Some(instance_type_diff(target.msk_tf, from, to)),
            kafka_tools: Vec::new(),
            notes: [
                Some(price((self.from, self.brokers), (self.to, self.brokers))),
                Some(self.duration()),
                self.headroom(),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }

    fn duration(&self) -> String {
        let (shortest, longest) = MINUTES_A_BROKER;
        format!(
            "duration on AWS: {} to {} minutes, one broker at a time; producers and consumers continue to work",
            shortest * self.brokers,
            longest * self.brokers
        )
    }

    fn headroom(&self) -> Option<String> {
        let (cpu, without_one) = (self.expected_cpu_percent()?, self.expected_cpu_without_one_percent()?);
        let at_least = if self.demand_is_higher { "at least " } else { "about " };
        let verdict = match without_one {
            percent if percent > CPU_WITH_HEADROOM_PERCENT => "too little headroom for a restart: choose the next size",
            _ if self.demand_is_higher => "measure again afterwards",
            _ => "enough",
        };
        Some(format!(
            "CPU expected after: {at_least}{cpu:.0} %, with one broker unavailable {at_least}{without_one:.0} % \
             (derived from the vCPUs used now; {verdict})"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resize(vcpus_used: Option<f64>, demand_is_higher: bool) -> Resize {
        let reason = "CPU is used up".to_owned();
        let (from, to) = (BrokerType::T3_SMALL, BrokerType::M5_LARGE);
        Resize { from, to, brokers: 3, reason, vcpus_used, demand_is_higher }
    }

    #[test]
    fn it_renders_to_what_can_be_pasted() {
        let target = Target {
            arn: Some("arn:c"),
            current_version: Some("K1"),
            region: "us-west-2",
            bootstrap_servers: None,
            msk_tf: None,
        };
        let rendered = resize(Some(0.36), true).rendered(&target);
        assert_eq!(
            rendered.aws_cli.as_deref(),
            Some(
                "aws kafka update-broker-type --cluster-arn arn:c --current-version K1 \
                 --target-instance-type kafka.m5.large --region us-west-2"
            )
        );
        assert_eq!(rendered.kgen.as_deref(), Some("kgen resize kafka.m5.large"));
        insta::assert_snapshot!(rendered.notes.join("\n"), @r"
        price: 0.1368 to 0.6300 USD/h, 100 to 460 USD a month of 730 h (AWS list price in us-east-1, brokers without storage)
        duration on AWS: 30 to 45 minutes, one broker at a time; producers and consumers continue to work
        CPU expected after: at least 18 %, with one broker unavailable at least 27 % (derived from the vCPUs used now; measure again afterwards)
        ");
    }

    #[test]
    fn headroom_counts_the_broker_that_is_away() {
        let rows = [(Some(1.0), Some(75.0)), (Some(0.4), Some(30.0)), (None, None)];
        for (used, expected) in rows {
            let found = resize(used, false).expected_cpu_without_one_percent();
            assert_eq!(found.map(f64::round), expected, "{used:?}");
        }
    }
}
