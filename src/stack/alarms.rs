//! `alarms.tf`: one alarm a broker for each entry of [`entries`], and who is told.
//!
//! Nothing here depends on the broker type, so that a resize changes no alarm.

use super::{Alarms, Stack, config::SnsTopic, kms::KmsFile, msk::MskFile};
use crate::{
    catalogue::Metric,
    hcl::{Address, Block, Document, Expression, Text, array, attr_of, call, object},
};

/// One alarm, for every broker.
struct Alarm {
    name: &'static str,
    description: &'static str,
    value: Measure,
    comparison: &'static str,
    threshold: f64,
    period_s: u32,
    evaluation_periods: u32,
    /// What CloudWatch makes of a period without data.
    missing: &'static str,
}

/// What is compared with the threshold.
enum Measure {
    /// A metric and its statistic.
    One(PerBroker, &'static str),
    /// Averages, each under its id, and what is computed from them (CloudWatch metric math).
    Math { label: &'static str, expression: &'static str, averages: Vec<(&'static str, PerBroker)> },
}

/// A metric of the catalogue that MSK publishes for each broker.
struct PerBroker(&'static Metric);

fn metric(name: &str) -> PerBroker {
    PerBroker(Metric::per_broker(name).expect("the alarms watch metrics of the catalogue (rendered in every test)"))
}

/// Every alarm. A new one is one more entry.
fn entries(alarms: &Alarms) -> Vec<Alarm> {
    let (period_s, evaluation_periods) = (alarms.period_s, alarms.evaluation_periods);
    vec![
        Alarm {
            name: "cpu",
            description: "CPU user + system: above 60 % a broker has no headroom for the leaders of another that \
                          restarts",
            value: Measure::Math {
                label: "CPU user + system, percent",
                expression: "user + system",
                averages: vec![("user", metric("CpuUser")), ("system", metric("CpuSystem"))],
            },
            comparison: "GreaterThanThreshold",
            threshold: alarms.cpu_percent,
            period_s,
            evaluation_periods,
            missing: "missing",
        },
        Alarm {
            name: "memory",
            description: "Memory used, as a share of used + free: a sign, not a cause; read it with heap_after_gc",
            value: Measure::Math {
                label: "Memory used of used + free, percent",
                // Not by the memory of the type, which would tie the alarm to it.
                expression: "100 * used / (used + free)",
                averages: vec![("used", metric("MemoryUsed")), ("free", metric("MemoryFree"))],
            },
            comparison: "GreaterThanThreshold",
            threshold: alarms.memory_percent,
            period_s,
            evaluation_periods,
            missing: "missing",
        },
        Alarm {
            name: "heap_after_gc",
            description: "JVM heap in use after garbage collection: the memory that Kafka really needs",
            value: Measure::One(metric("HeapMemoryAfterGC"), "Average"),
            comparison: "GreaterThanThreshold",
            threshold: alarms.heap_percent,
            period_s,
            evaluation_periods,
            missing: "missing",
        },
        Alarm {
            name: "cpu_credits",
            description: "CPU credits left (burstable types only; others send no data): at 0 the broker is limited to \
                          its baseline",
            value: Measure::One(metric("CPUCreditBalance"), "Minimum"),
            comparison: "LessThanThreshold",
            threshold: alarms.credit_balance,
            // EC2 publishes credits every five minutes; with shorter periods most would hold nothing.
            period_s: alarms.period_s.max(300),
            evaluation_periods: 1,
            missing: "notBreaching",
        },
        Alarm {
            name: "under_replicated",
            description: "Partitions led by the broker with a replica out of sync; expected while brokers restart one by one",
            value: Measure::One(metric("UnderReplicatedPartitions"), "Maximum"),
            comparison: "GreaterThanThreshold",
            threshold: 0.0,
            period_s,
            evaluation_periods,
            missing: "missing",
        },
        Alarm {
            name: "disk",
            description: "Disk used for data logs: act at 85 %",
            value: Measure::One(metric("KafkaDataLogsDiskUsed"), "Maximum"),
            comparison: "GreaterThanThreshold",
            threshold: alarms.disk_percent,
            period_s,
            evaluation_periods,
            missing: "missing",
        },
    ]
}

pub(super) fn render(stack: &Stack, msk: &MskFile, kms: Option<&KmsFile>) -> Document {
    let brokers = call("toset", [array(stack.broker_ids().map(|id| id.to_string()))]);
    let (document, told) = topic(stack, kms);
    let published = |alarm: &Alarm| alarm.metrics().iter().all(|metric| super::is_published(stack, &metric.name));
    let alarms = entries(stack.alarms()).into_iter().filter(published);
    alarms.fold(document, |document, alarm| {
        document.block(alarm.block(&stack.cluster().name, &brokers, &msk.cluster, told.as_ref()))
    })
}

/// Who is told: the topic's ARN, with the topic where it is the stack's own.
fn topic(stack: &Stack, kms: Option<&KmsFile>) -> (Document, Option<Expression>) {
    let alarms = stack.alarms();
    match &alarms.sns_topic {
        None => (Document::new(), None),
        Some(SnsTopic::Arn(arn)) => (Document::new(), Some(arn.as_str().into())),
        Some(SnsTopic::Own) => {
            let name = format!("{}-alarms", stack.cluster().name);
            let (block, topic) = Block::resource("aws_sns_topic", "alarms");
            let block = block.set("name", name).set_some("kms_master_key_id", kms.map(|kms| kms.key.attr("arn")));
            let document = Document::new().block(block);
            let told = Some(topic.attr("arn"));
            if alarms.emails.is_empty() {
                return (document, told);
            }
            let (subscription, _) = Block::resource("aws_sns_topic_subscription", "email");
            let subscription = subscription
                .set("for_each", call("toset", [array(alarms.emails.iter().map(String::as_str))]))
                .set("topic_arn", topic.attr("arn"))
                .set("protocol", "email")
                .set("endpoint", attr_of("each", "key"));
            (document.commented("AWS asks each address to confirm.", subscription), told)
        }
    }
}

impl Alarm {
    fn metrics(&self) -> Vec<&'static Metric> {
        match &self.value {
            Measure::One(PerBroker(metric), _) => vec![metric],
            Measure::Math { averages, .. } => averages.iter().map(|(_, PerBroker(metric))| *metric).collect(),
        }
    }

    fn block(self, cluster_name: &str, brokers: &Expression, cluster: &Address, told: Option<&Expression>) -> Block {
        let name = format!("{cluster_name}-{}-broker-", self.name.replace('_', "-"));
        let (block, _) = Block::resource("aws_cloudwatch_metric_alarm", self.name);
        let block = block
            .set("for_each", brokers.clone())
            .set("alarm_name", Text::new().literal(name).value(attr_of("each", "key")))
            .set("alarm_description", self.description)
            .set("comparison_operator", self.comparison)
            .set("threshold", self.threshold)
            .set("evaluation_periods", self.evaluation_periods)
            .set("treat_missing_data", self.missing)
            .set_some("alarm_actions", told.map(|topic| array([topic.clone()])))
            .set_some("ok_actions", told.map(|topic| array([topic.clone()])));
        match self.value {
            Measure::One(PerBroker(metric), statistic) => block
                .set("namespace", Metric::NAMESPACE)
                .set("metric_name", metric.name.as_str())
                .set("statistic", statistic)
                .set("period", self.period_s)
                .set("dimensions", dimensions(metric, cluster)),
            Measure::Math { label, expression, averages } => {
                let result = Block::new("metric_query")
                    .set("id", "result")
                    .set("label", label)
                    .set("expression", expression)
                    .set("return_data", true);
                averages.into_iter().fold(block.nest(result), |block, (id, PerBroker(metric))| {
                    let of = Block::new("metric")
                        .set("namespace", Metric::NAMESPACE)
                        .set("metric_name", metric.name.as_str())
                        .set("stat", "Average")
                        .set("period", self.period_s)
                        .set("dimensions", dimensions(metric, cluster));
                    block.nest(Block::new("metric_query").set("id", id).nest(of))
                })
            }
        }
    }
}

/// The series of one broker: CloudWatch finds it by exactly the dimensions under which MSK publishes it.
fn dimensions(metric: &Metric, cluster: &Address) -> Expression {
    object(metric.dimensions().map(|dimension| {
        let value = match dimension {
            "Broker ID" => attr_of("each", "key"),
            _ => cluster.attr("cluster_name"),
        };
        (dimension, value)
    }))
}
