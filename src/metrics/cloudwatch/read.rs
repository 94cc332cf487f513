//! The calls of CloudWatch: metrics in bulk, and which series there are.

use std::collections::BTreeSet;

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{
        Dimension, DimensionFilter, Metric as CloudWatchMetric, MetricDataQuery, MetricStat, RecentlyActive, ScanBy,
    },
};

use super::{
    minutes::{Key, Of, Series},
    price::Requests,
    table::{Scope, Statistic},
    wanted::Discovered,
};
use crate::{
    aws::{Action, Aws, AwsError, Paging},
    catalogue::Metric,
    sample::BrokerId,
};

/// Metrics that one GetMetricData takes (CloudWatch API Reference, "GetMetricData").
const METRICS_A_CALL: usize = 500;

/// Datapoints of one answer (as above). A call that stays below is answered in one page.
const POINTS_A_CALL: i64 = 100_800;

/// Series of one kind that are taken from a listing: each is read, and paid for, with every minute.
pub const MOST_LISTED: usize = 1000;

/// A part of time, ms since the epoch, the end left out; in whole periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from_ms: i64,
    pub to_ms: i64,
    pub period_ms: i64,
    /// What is read as a mean otherwise is read as the highest value of the period.
    pub highest: bool,
}

impl Span {
    /// Metrics that one call asks for.
    fn metrics_a_call(&self) -> usize {
        let points = ((self.to_ms - self.from_ms) / self.period_ms.max(1)).max(1);
        METRICS_A_CALL.min((POINTS_A_CALL / points).max(1) as usize)
    }

    /// What reading `count` metrics takes.
    pub fn requests(&self, count: usize) -> Requests {
        let calls = count.div_ceil(self.metrics_a_call()) as u64;
        Requests { metrics: count as u64, get_metric_data_calls: calls, list_metrics_calls: 0 }
    }
}

/// Reads `keys` of the cluster `name` in `span` into `series`. Returns what was asked for, also when it fails.
pub async fn read(
    aws: &Aws,
    name: &str,
    keys: &[Key],
    span: Span,
    series: &mut Series,
) -> (Requests, Result<(), AwsError>) {
    let mut made = Requests::default();
    for keys in keys.chunks(span.metrics_a_call()) {
        made.metrics += keys.len() as u64;
        if let Err(error) = read_call(aws, name, keys, span, series, &mut made).await {
            return (made, Err(error));
        }
    }
    (made, Ok(()))
}

async fn read_call(
    aws: &Aws,
    name: &str,
    keys: &[Key],
    span: Span,
    series: &mut Series,
    made: &mut Requests,
) -> Result<(), AwsError> {
    let queries = keys.iter().enumerate().map(|(n, key)| query(n, name, key, span)).collect();
    let mut pages = aws
        .cloudwatch()?
        .get_metric_data()
        .set_metric_data_queries(Some(queries))
        .start_time(DateTime::from_millis(span.from_ms))
        .end_time(DateTime::from_millis(span.to_ms))
        .scan_by(ScanBy::TimestampAscending)
        .into_paginator()
        .send();
    let mut paging = Paging::of(Action::GetMetricData);
    while let Some(page) = paging.bounded(pages.next()).await? {
        made.get_metric_data_calls += 1;
        let page = page.map_err(|error| aws.failed(Action::GetMetricData, error))?;
        for result in page.metric_data_results.unwrap_or_default() {
            let number = result.id.as_deref().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
            let Some(key) = number.and_then(|number| keys.get(number)) else { continue };
            let at = result.timestamps.unwrap_or_default().into_iter().filter_map(|at| at.to_millis().ok());
            let points = at.zip(result.values.unwrap_or_default());
            // Whatever answers: a time beyond the span is none that was asked for.
            series.add(key, points.filter(|(at, _)| (span.from_ms..span.to_ms).contains(at)));
        }
    }
    Ok(())
}

fn query(number: usize, cluster: &str, key: &Key, span: Span) -> MetricDataQuery {
    let statistic = match key.metric().statistic {
        Statistic::Average if span.highest => Statistic::Maximum,
        statistic => statistic,
    };
    let stat = MetricStat::builder()
        .metric(metric(cluster, key))
        .period((span.period_ms / 1000).max(1) as i32)
        .stat(statistic.as_str())
        .build();
    MetricDataQuery::builder().id(format!("m{number}")).metric_stat(stat).return_data(true).build()
}

/// The series by its exact dimensions: with others, CloudWatch has no data.
fn metric(cluster: &str, key: &Key) -> CloudWatchMetric {
    let values: Vec<String> = match &key.of {
        Of::Cluster => Vec::new(),
        Of::Broker(id) => vec![id.to_string()],
        Of::PartOfBroker(id, part) => vec![id.to_string(), part.clone()],
        Of::Group { group, topic } => vec![group.clone(), topic.clone()],
        Of::Topic(topic) => vec![topic.clone()],
    };
    let names: &[&str] = match &key.of {
        Of::Topic(_) => &["Cluster Name", "Topic"],
        _ => key.metric().scope.dimensions(),
    };
    let values = std::iter::once(cluster.to_owned()).chain(values);
    let dimensions =
        names.iter().zip(values).map(|(name, value)| Dimension::builder().name(*name).value(value).build());
    CloudWatchMetric::builder()
        .namespace(Metric::NAMESPACE)
        .metric_name(key.metric().name)
        .set_dimensions(Some(dimensions.collect()))
        .build()
}

/// The dimensions of every series of the metric `name` that had a datapoint in the last three hours, without the cluster's
/// name; each once. `more` is true where there are more than are taken.
async fn listed(
    aws: &Aws,
    cluster: &str,
    name: &str,
    made: &mut Requests,
) -> Result<(BTreeSet<Vec<(String, String)>>, bool), AwsError> {
    let mut pages = aws
        .cloudwatch()?
        .list_metrics()
        .namespace(Metric::NAMESPACE)
        .metric_name(name)
        .dimensions(DimensionFilter::builder().name("Cluster Name").value(cluster).build())
        .recently_active(RecentlyActive::Pt3H)
        .into_paginator()
        .send();
    let (mut found, mut paging) = (BTreeSet::new(), Paging::of(Action::ListMetrics));
    while let Some(page) = paging.bounded(pages.next()).await? {
        made.list_metrics_calls += 1;
        let page = page.map_err(|error| aws.failed(Action::ListMetrics, error))?;
        for metric in page.metrics.unwrap_or_default() {
            let dimensions = metric.dimensions.unwrap_or_default().into_iter();
            let mut dimensions: Vec<(String, String)> =
                dimensions.filter_map(|of| Some((of.name?, of.value?))).collect();
            dimensions.sort();
            let is_own = dimensions.iter().any(|(name, value)| name == "Cluster Name" && value == cluster);
            if metric.metric_name.as_deref() == Some(name) && is_own {
                dimensions.retain(|(name, _)| name != "Cluster Name");
                found.insert(dimensions);
            }
        }
        if found.len() > MOST_LISTED {
            found = found.into_iter().take(MOST_LISTED).collect();
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

/// What a listing is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    Groups,
    Topics,
    Authentications,
}

impl Listing {
    pub const ALL: [Listing; 3] = [Listing::Groups, Listing::Topics, Listing::Authentications];

    /// The metric whose series are listed, and the scope of the rows that are read with what is found.
    pub fn metric(self) -> (&'static str, Scope) {
        match self {
            Listing::Groups => ("SumOffsetLag", Scope::Group),
            Listing::Topics => ("BytesInPerSec", Scope::BrokerTopic),
            Listing::Authentications => ("ClientConnectionCount", Scope::BrokerAuthentication),
        }
    }
}

/// Adds to `discovered` what `listing` finds of the cluster `name`. Returns whether there is more than is taken.
pub async fn discover(
    aws: &Aws,
    name: &str,
    listing: Listing,
    discovered: &mut Discovered,
    made: &mut Requests,
) -> Result<bool, AwsError> {
    let (metric, scope) = listing.metric();
    let (found, more) = listed(aws, name, metric, made).await?;
    for dimensions in &found {
        let value = |wanted: &str| dimensions.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let broker = value("Broker ID").and_then(|id| id.parse::<BrokerId>().ok());
        let is_exact = dimensions.len() + 1 == scope.dimensions().len();
        match (listing, is_exact) {
            (Listing::Groups, true) => {
                let pair = value("Consumer Group").zip(value("Topic"));
                discovered.groups.extend(pair.map(|(group, topic)| (group.to_owned(), topic.to_owned())));
            }
            // As in the Kafka protocol's view: without Kafka's own topics.
            (Listing::Topics, _) if value("Topic").is_some_and(|topic| topic.starts_with("__")) => {}
            (Listing::Topics, true) => {
                discovered.topics.extend(broker.zip(value("Topic")).map(|(id, topic)| (id, topic.to_owned())));
            }
            (Listing::Topics, false) if broker.is_none() => {
                discovered.cluster_topics.extend(value("Topic").map(str::to_owned));
            }
            (Listing::Authentications, true) => {
                let pair = broker.zip(value("Client Authentication"));
                discovered.authentications.extend(pair.map(|(id, kind)| (id, kind.to_owned())));
            }
            _ => {}
        }
    }
    Ok(more)
}

/// Ids of the brokers that publish CPU, where ListNodes cannot be asked.
pub async fn publishing_brokers(aws: &Aws, name: &str, made: &mut Requests) -> Result<Vec<BrokerId>, AwsError> {
    let (found, _) = listed(aws, name, "CpuUser", made).await?;
    let ids = found.iter().flatten().filter(|(name, _)| name == "Broker ID").filter_map(|(_, id)| id.parse().ok());
    let ids: BTreeSet<BrokerId> = ids.collect();
    Ok(ids.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_stay_within_the_limits_of_cloudwatch() {
        let span = |minutes: i64| Span { from_ms: 0, to_ms: minutes * 60_000, period_ms: 60_000, highest: false };
        assert_eq!(
            span(10).requests(1500),
            Requests { metrics: 1500, get_metric_data_calls: 3, list_metrics_calls: 0 }
        );
        assert_eq!(span(180).metrics_a_call(), 500);
        // A day of minutes: 70 metrics a call are 100,800 datapoints.
        assert_eq!((span(1440).metrics_a_call(), span(1440).requests(140).get_metric_data_calls), (70, 2));
        assert_eq!(span(10).requests(0), Requests::default());
    }
}
