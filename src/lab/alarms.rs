//! CloudWatch alarms on `AWS/Kafka`, evaluated with the lab's own series, because moto stores alarms but does not
//! evaluate them.

mod evaluation;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use aws_sdk_cloudwatch::{
    Client,
    error::DisplayErrorContext,
    types::{ComparisonOperator, MetricAlarm, StateValue},
};
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use self::evaluation::{Comparison, Missing, Rule};
use super::cloudwatch::{Query, SeriesId, Statistic, Store, now_ms};
use crate::catalogue::Metric;

const INTERVAL: Duration = Duration::from_secs(10);

/// An alarm as it is evaluated.
#[derive(Debug, Clone, PartialEq)]
struct Alarm {
    query: Query,
    period_ms: i64,
    rule: Rule,
}

/// Evaluates the alarms every 10 s, for as long as the task lives. `minute` is the length of the lab's minutes: an alarm with a
/// period of 60 s looks at one of them at a time. An alarm that cannot be evaluated, and a failed call, is passed to `report`
/// once for each alarm and reason.
pub async fn evaluate_forever(
    client: Client,
    series: Arc<Mutex<Store>>,
    minute: Duration,
    report: impl Fn(String) + Send + 'static,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = BTreeMap::new();
    loop {
        interval.tick().await;
        let round = tokio::time::timeout(INTERVAL * 3, evaluate_all(&client, &series, minute)).await;
        let complaints = match round {
            Ok(Ok(complaints)) => complaints,
            Ok(Err(error)) => vec![("alarms".to_owned(), format!("{error:#}"))],
            Err(_) => vec![("alarms".to_owned(), "CloudWatch does not respond".to_owned())],
        };
        for (alarm, complaint) in complaints {
            if told.insert(alarm, complaint.clone()).as_ref() != Some(&complaint) {
                report(complaint);
            }
        }
    }
}

/// Pages of a hundred alarms each that are read in one round.
const MOST_PAGES: usize = 100;

/// One round. Returns the alarms that could not be evaluated, and why.
async fn evaluate_all(
    client: &Client,
    series: &Mutex<Store>,
    minute: Duration,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut complaints = Vec::new();
    let mut pages = client.describe_alarms().into_paginator().send();
    for _ in 0..MOST_PAGES {
        let Some(page) = pages.next().await else { break };
        let page = page.map_err(|error| anyhow::anyhow!("cannot read the alarms: {}", DisplayErrorContext(error)))?;
        for described in page.metric_alarms() {
            let name = described.alarm_name().unwrap_or_default();
            let alarm = match parse(described, minute) {
                Ok(Some(alarm)) => alarm,
                Ok(None) => continue,
                Err(error) => {
                    complaints.push((name.to_owned(), format!("alarm {name} was not evaluated: {error:#}")));
                    continue;
                }
            };
            let current = described.state_value().cloned().unwrap_or(StateValue::InsufficientData);
            let (state, reason) = {
                let series = series.lock();
                alarm.evaluate(&series, now_ms(), &current)
            };
            // Also when it is the same: moto makes an alarm again, without its state, whenever it is put again.
            let set = client.set_alarm_state().alarm_name(name).state_value(state).state_reason(reason);
            if let Err(error) = set.send().await {
                let error = DisplayErrorContext(error);
                complaints.push((name.to_owned(), format!("cannot set the state of alarm {name}: {error}")));
            }
        }
    }
    Ok(complaints)
}

impl Alarm {
    /// The state after the last complete period before `now_ms`, and why.
    fn evaluate(&self, series: &Store, now_ms: i64, current: &StateValue) -> (StateValue, String) {
        let end = now_ms - now_ms.rem_euclid(self.period_ms);
        let range = self.rule.range() as i64;
        let values: Vec<Option<f64>> = (1..=range)
            .rev()
            .map(|back| self.query.value(series, end - back * self.period_ms, self.period_ms))
            .collect();
        let state = self.rule.state(&values, current);
        let real: Vec<String> = values.iter().flatten().map(|value| format!("{:.2}", value)).collect();
        let reason = format!(
            "{} of the last periods of {} s had data [{}]; threshold: {} {} in {} of {}",
            real.len(),
            self.period_ms / 1000,
            real.join(", "),
            self.rule.comparison,
            self.rule.threshold,
            self.rule.datapoints_to_alarm,
            self.rule.periods,
        );
        (state, reason)
    }
}

/// Reads what CloudWatch says of an alarm; `None` for one that is not on `AWS/Kafka`. Its period is in minutes of the lab.
fn parse(alarm: &MetricAlarm, minute: Duration) -> anyhow::Result<Option<Alarm>> {
    let namespaces = alarm.metrics().iter().filter_map(|query| query.metric_stat()?.metric()?.namespace());
    if !alarm.namespace().into_iter().chain(namespaces).any(|namespace| namespace == Metric::NAMESPACE) {
        return Ok(None);
    }
    let (query, period) = match alarm.metric_name() {
        Some(name) => {
            let key = key(name, alarm.dimensions())?;
            let statistic = alarm.statistic().context("it has no statistic")?;
            (Query::Metric(key, Statistic::parse(statistic.as_str())?), alarm.period().context("it has no period")?)
        }
        None => expression(alarm)?,
    };
    if period <= 0 {
        bail!("its period is {period} s");
    }
    let periods = alarm.evaluation_periods().context("it has no evaluation periods")?.clamp(1, 1000) as usize;
    let rule = Rule {
        periods,
        datapoints_to_alarm: alarm.datapoints_to_alarm().map_or(periods, |m| m.max(1) as usize).min(periods),
        threshold: alarm.threshold().context("it has no threshold")?,
        comparison: match alarm.comparison_operator().context("it has no comparison operator")? {
            ComparisonOperator::GreaterThanThreshold => Comparison::Greater,
            ComparisonOperator::GreaterThanOrEqualToThreshold => Comparison::GreaterOrEqual,
            ComparisonOperator::LessThanThreshold => Comparison::Less,
            ComparisonOperator::LessThanOrEqualToThreshold => Comparison::LessOrEqual,
            other => bail!("the lab does not support {other}"),
        },
        missing: Missing::parse(alarm.treat_missing_data().unwrap_or("missing"))?,
    };
    Ok(Some(Alarm { query, period_ms: (i64::from(period) * minute.as_millis() as i64 / 60).max(1), rule }))
}

/// The metrics of a metric-math alarm as one query, and their period.
fn expression(alarm: &MetricAlarm) -> anyhow::Result<(Query, i32)> {
    let mut period = None;
    let mut parts = BTreeMap::new();
    let mut returned = None;
    for part in alarm.metrics() {
        let id = part.id().context("a query has no id")?;
        let query = match (part.metric_stat(), part.expression()) {
            (Some(stat), _) => {
                let metric = stat.metric().context("a query has no metric")?;
                period = period.max(stat.period());
                let key = key(metric.metric_name().context("a metric has no name")?, metric.dimensions())?;
                Query::Metric(key, Statistic::parse(stat.stat().context("a metric has no statistic")?)?)
            }
            (None, Some(text)) => Query::expression(text)?,
            (None, None) => bail!("{id} is neither a metric nor an expression"),
        };
        if part.return_data().unwrap_or(true) {
            returned = Some(id.to_owned());
        }
        parts.insert(id.to_owned(), query);
    }
    let returned = returned.context("none of its queries returns data")?;
    Ok((Query::named(&returned, &parts, 0)?, period.context("it has no period")?))
}

fn key(metric: &str, dimensions: &[aws_sdk_cloudwatch::types::Dimension]) -> anyhow::Result<SeriesId> {
    let of = |dimension: &aws_sdk_cloudwatch::types::Dimension| {
        Some((dimension.name()?.to_owned(), dimension.value()?.to_owned()))
    };
    let id = SeriesId { metric: metric.to_owned(), dimensions: dimensions.iter().filter_map(of).collect() };
    let has_cluster = id.dimensions.contains_key("Cluster Name") || id.dimensions.contains_key("Consumer Group");
    anyhow::ensure!(has_cluster, "{metric} has no dimension Cluster Name");
    Ok(id)
}

#[cfg(test)]
mod on_moto;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::cloudwatch::Datapoint;
    use aws_sdk_cloudwatch::types::{Dimension, Metric as SdkMetric, MetricDataQuery, MetricStat};

    const MINUTE: Duration = Duration::from_secs(60);

    fn series(user_and_system: &[(f64, f64)]) -> Store {
        let mut store = Store::default();
        for (at_ms, (user, system)) in (0..).step_by(60_000).zip(user_and_system) {
            let point = |metric: &str, value: f64| {
                let dimensions = [("Cluster Name", "demo".to_owned()), ("Broker ID", "1".to_owned())];
                Datapoint { id: SeriesId::new(metric, dimensions), unit: "Percent", at_ms, values: vec![value] }
            };
            store.add(vec![point("CpuUser", *user), point("CpuSystem", *system)]);
        }
        store
    }

    fn cpu_alarm() -> MetricAlarm {
        let metric = |id: &str, name: &str| {
            let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
            let metric = SdkMetric::builder()
                .namespace("AWS/Kafka")
                .metric_name(name)
                .dimensions(dimension("Cluster Name", "demo"))
                .dimensions(dimension("Broker ID", "1"))
                .build();
            let stat = MetricStat::builder().metric(metric).period(60).stat("Average").build();
            MetricDataQuery::builder().id(id).metric_stat(stat).return_data(false).build()
        };
        MetricAlarm::builder()
            .alarm_name("cpu")
            .metrics(MetricDataQuery::builder().id("cpu").expression("m1 + m2").return_data(true).build())
            .metrics(metric("m1", "CpuUser"))
            .metrics(metric("m2", "CpuSystem"))
            .evaluation_periods(2)
            .threshold(60.0)
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .build()
    }

    #[test]
    fn an_alarm_on_a_sum_goes_off_and_comes_back() {
        let alarm = parse(&cpu_alarm(), MINUTE).unwrap().unwrap();
        for (minutes, state) in [
            (&[(10.0, 5.0), (50.0, 20.0)][..], StateValue::Ok),
            (&[(10.0, 5.0), (50.0, 20.0), (70.0, 20.0)], StateValue::Alarm),
            (&[(50.0, 20.0), (70.0, 20.0), (10.0, 5.0)], StateValue::Ok),
            (&[], StateValue::InsufficientData),
        ] {
            // 20 s into the minute after: the running minute does not count.
            let now = minutes.len() as i64 * 60_000 + 20_000;
            let (found, reason) = alarm.evaluate(&series(minutes), now, &StateValue::Ok);
            assert_eq!(found, state, "{minutes:?}: {reason}");
        }
    }

    #[test]
    fn a_period_counts_minutes_of_the_lab() {
        let alarm = |minute| parse(&cpu_alarm(), minute).unwrap().unwrap();
        assert_eq!((alarm(MINUTE).period_ms, alarm(Duration::from_secs(5)).period_ms), (60_000, 5_000));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let other = MetricAlarm::builder().namespace("AWS/EC2").metric_name("CPUUtilization").build();
        assert_eq!(parse(&other, MINUTE).unwrap(), None);
        let bare = MetricAlarm::builder().namespace("AWS/Kafka").metric_name("CpuUser").build();
        assert_eq!(parse(&bare, MINUTE).unwrap_err().to_string(), "CpuUser has no dimension Cluster Name");
    }
}
