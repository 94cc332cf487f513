//! Every cluster of some regions and accounts, seen from outside: a row each, or the reason why there is none.
//!
//! One round for all who ask: `kgen clusters` shows the rows, `kgen guard` what was diagnosed.

mod places;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::{sync::Semaphore, task::JoinSet, time};

pub use places::{Accounts, RegionsAsked};

use super::{
    collect::collected,
    history::{requests_for_saving, saving},
    open::{OutsideOptions, Seen, context_of, inside, outside, refresh},
};
use crate::{
    aws::{Aws, AwsError, ClusterInfo, LabStatus},
    catalogue::{ClusterKind, MonitoringLevel},
    diagnose::{Context, Diagnosis, Finding, Verdict, diagnose},
    finding_id,
    metrics::{CloudWatch, Requests, Source},
    sample::{BrokerSample, Sample},
};

/// Clusters and regions that are read at the same time. With 10, a fleet in one region stays below the 50 GetMetricData calls
/// a second that CloudWatch allows (CloudWatch API Reference, service quotas); the SDK retries what MSK throttles.
const AT_ONCE: usize = 10;

/// Longest time for one cluster or one region, so that one that does not answer holds up nobody.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Time between two samples of a cluster that is seen from inside.
const INSIDE_INTERVAL: Duration = Duration::from_secs(1);

/// Datapoints that are read at least.
const FEWEST_DATAPOINTS: u32 = 10;

/// Datapoints that are read where no window is given: three hours of minutes, so that the recent part can be judged against
/// the hours before it.
pub const DATAPOINTS: u32 = 180;

/// A region of an account.
#[derive(Debug, Clone)]
pub struct Place {
    /// Profile or role, if one was named.
    pub caller: Option<String>,
    pub aws: Aws,
    /// Nobody named the region: if the account has not enabled it, that is no failure.
    pub may_be_disabled: bool,
    /// How long clusters are watched from inside whose brokers answer from here; without it, every one is seen from outside.
    pub inside: Option<Duration>,
}

/// How the clusters are read.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// How far back; [`DATAPOINTS`] where nothing is said.
    pub window: Option<Duration>,
    /// What is younger is not judged; two datapoints where nothing is said.
    pub delay: Option<Duration>,
    /// Consumer groups and topics too.
    pub parts: bool,
    /// Where partitions are, by the topics API.
    pub topics: bool,
    /// The longer history of healthy clusters too, for `cluster.oversized`.
    pub savings: bool,
    /// Longest time for one cluster or one region.
    pub deadline: Duration,
}

/// The clusters that were found, ready to be read.
pub struct Fleet {
    ready: Vec<Ready>,
    failed: Vec<Row>,
    deadline: Duration,
    /// Regions of accounts that were listed whole.
    pub listed: Vec<Origin>,
    pub failures: Vec<Failure>,
    /// Regions that the account has not enabled, as far as the answer shows.
    pub disabled: Vec<Failure>,
}

/// A region of an account, as it was named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
pub struct Origin {
    pub region: String,
    /// Profile or role, if one was named.
    pub caller: Option<String>,
}

/// A cluster that can be read.
struct Ready {
    row: Row,
    aws: Aws,
    context: Context,
    source: Ways,
}

/// Through what a cluster is read.
enum Ways {
    Outside { source: Box<CloudWatch>, periods: u32, savings: bool },
    Inside { source: Box<Source>, window: Duration },
}

/// A region of an account that could not be listed.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Failure {
    pub region: String,
    /// Profile or role, if one was named.
    pub caller: Option<String>,
    pub error: String,
}

/// What is known of one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Row {
    pub name: String,
    pub region: String,
    pub arn: String,
    /// Profile or role that it was read with, if one was named.
    pub caller: Option<String>,
    pub kind: ClusterKind,
    /// `null` for a serverless cluster.
    pub broker_type: Option<String>,
    pub broker_count: u32,
    /// In the words of MSK, such as `ACTIVE`.
    pub state: String,
    pub kafka_version: Option<String>,
    pub monitoring_level: Option<MonitoringLevel>,
    /// Through what it was read, or would have been.
    pub view: Seen,
    /// `null` where the cluster could not be read.
    pub verdict: Option<Verdict>,
    /// The likeliest finding; of a healthy cluster `cluster.oversized`, or `null`.
    pub finding: Option<Top>,
    /// Causes that the datapoints can show or rule out; `null` where the cluster could not be read.
    pub causes_assessed: Option<usize>,
    /// Causes that this kind of cluster can have, likewise.
    pub causes: Option<usize>,
    /// Datapoints that the verdict is based on.
    pub datapoints: usize,
    /// 95th percentile over the window of the broker that has the highest; `null` where nothing was published.
    pub cpu_p95_percent: Option<f64>,
    /// Likewise.
    pub disk_p95_percent: Option<f64>,
    /// Heap in use after garbage collection, likewise.
    pub heap_p95_percent: Option<f64>,
    /// Brokers without storage and traffic, by AWS's list price in us-east-1; `null` for a type whose price is not known.
    pub usd_per_month: Option<f64>,
    /// Why the cluster could not be read.
    pub error: Option<String>,
}

/// The finding that a row shows.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Top {
    /// Such as `broker.undersized`; `kgen explain` takes it.
    pub id: String,
    pub title: String,
    /// 0 to 1.
    pub confidence: f64,
}

/// What was read.
pub struct Read {
    /// The worst first.
    pub clusters: Vec<Reading>,
    /// Requests of CloudWatch that were made.
    pub requests: Requests,
}

/// A cluster that was read, or not.
pub struct Reading {
    pub row: Row,
    /// `None` where it could not be read; the row says why.
    pub judged: Option<Judged>,
}

/// What was diagnosed of a cluster.
pub struct Judged {
    pub context: Context,
    pub diagnosis: Diagnosis,
    /// Time of the newest datapoint, ms since the epoch; `None` where there is none.
    pub newest_ms: Option<i64>,
}

/// Finds every cluster of `places` that is `wanted` and prepares to read it. Reads no metric.
pub async fn prepare(places: Vec<Place>, sweep: Sweep, wanted: impl Fn(&ClusterInfo) -> bool) -> Fleet {
    let mut fleet = Fleet {
        ready: Vec::new(),
        failed: Vec::new(),
        deadline: sweep.deadline,
        listed: Vec::new(),
        failures: Vec::new(),
        disabled: Vec::new(),
    };
    let deadline = sweep.deadline;
    let list = move |place: Place| async move {
        let listed = time::timeout(deadline, place.aws.clusters()).await;
        // Asked once for all clusters of the place: it describes every one of the lab.
        let lab = if matches!(listed, Ok(Ok(_))) { place.aws.lab().await.map(Arc::new) } else { None };
        (listed, place, lab)
    };
    let mut found: BTreeMap<String, (Place, ClusterInfo, Option<Arc<LabStatus>>)> = BTreeMap::new();
    for (listed, place, lab) in at_once(places, list).await {
        let origin = Origin { region: place.aws.region().to_owned(), caller: place.caller.clone() };
        let failed = |error: String| Failure { region: origin.region.clone(), caller: origin.caller.clone(), error };
        match listed {
            // A cluster that two profiles can see is one cluster.
            Ok(Ok(clusters)) => {
                clusters.into_iter().filter(|info| wanted(info)).for_each(|info| {
                    found.entry(info.arn.clone()).or_insert_with(|| (place.clone(), info, lab.clone()));
                });
                fleet.listed.push(origin);
            }
            Ok(Err(error)) if place.may_be_disabled && is_disabled(&error) => {
                fleet.disabled.push(failed(error.to_string()));
            }
            Ok(Err(error)) => fleet.failures.push(failed(error.to_string())),
            Err(_) => fleet.failures.push(failed(too_slow(sweep.deadline))),
        }
    }
    let opening = move |(place, info, lab)| ready(place, info, lab, sweep);
    let opened = at_once(found.into_values().collect(), opening).await;
    for opened in opened {
        match opened {
            Ok(ready) => fleet.ready.push(*ready),
            Err(row) => fleet.failed.push(*row),
        }
    }
    fleet.settle_disabled();
    fleet
}

async fn ready(
    place: Place,
    listed: ClusterInfo,
    lab: Option<Arc<LabStatus>>,
    sweep: Sweep,
) -> Result<Box<Ready>, Box<Row>> {
    let row = Row::of(&listed, &place);
    let opening = async {
        let lab = lab.as_deref();
        let mut context = context_of(&listed, place.aws.region(), lab);
        if let Some(window) = place.inside
            && let Some(source) = inside(&place.aws, &listed, &mut context, lab, INSIDE_INTERVAL).await
        {
            return Ok((context, Ways::Inside { source: Box::new(source), window }));
        }
        let options = OutsideOptions { delay: sweep.delay, parts: sweep.parts, topics: sweep.topics };
        let source = Box::new(outside(&place.aws, &listed, &context, options).await?);
        let period = source.timing().period;
        let periods = sweep.window.map_or(DATAPOINTS, |window| periods(window, period));
        anyhow::Ok((context, Ways::Outside { source, periods, savings: sweep.savings }))
    };
    match within(sweep.deadline, opening).await {
        Ok((context, source)) => {
            let view = if matches!(source, Ways::Inside { .. }) { Seen::Inside } else { Seen::Outside };
            Ok(Box::new(Ready { row: Row { view, ..row }, aws: place.aws, context, source }))
        }
        Err(error) => Err(Box::new(Row { error: Some(error), ..row })),
    }
}

/// The regions of `failures`, each once.
pub fn regions(failures: &[Failure]) -> Vec<String> {
    let regions: BTreeSet<String> = failures.iter().map(|failure| failure.region.clone()).collect();
    regions.into_iter().collect()
}

/// Datapoints in `window`, and at least [`FEWEST_DATAPOINTS`].
pub fn periods(window: Duration, period: Duration) -> u32 {
    let periods = window.as_millis() / period.as_millis().max(1);
    u32::try_from(periods).unwrap_or(u32::MAX).max(FEWEST_DATAPOINTS)
}

impl Fleet {
    /// Of a caller that is known nowhere it is not the regions that are disabled: its credentials are wrong.
    fn settle_disabled(&mut self) {
        let is_known = |failure: &Failure| self.listed.iter().any(|origin| origin.caller == failure.caller);
        let (disabled, unknown): (Vec<Failure>, Vec<Failure>) =
            std::mem::take(&mut self.disabled).into_iter().partition(is_known);
        self.disabled = disabled;
        self.failures.extend(unknown);
        for failures in [&mut self.disabled, &mut self.failures] {
            failures.sort_by(|a, b| (&a.region, &a.caller).cmp(&(&b.region, &b.caller)));
        }
    }

    /// Clusters that will be read.
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Requests of CloudWatch that reading takes at most, and those made so far to prepare it: the history is read of healthy
    /// clusters alone.
    pub fn requests(&self) -> Requests {
        let mut all = self.made();
        for ready in &self.ready {
            let Ways::Outside { source, periods, savings } = &ready.source else { continue };
            all += source.requests_of(*periods);
            if *savings {
                all += requests_for_saving(source, &ready.context);
            }
        }
        all
    }

    /// Requests of CloudWatch made so far, to prepare the reading.
    pub fn made(&self) -> Requests {
        let mut all = Requests::default();
        for ready in &self.ready {
            if let Ways::Outside { source, .. } = &ready.source {
                all += source.status().requests();
            }
        }
        all
    }

    /// Reads every cluster and judges it.
    pub async fn read(self) -> Read {
        let mut requests = Requests::default();
        let mut clusters: Vec<Reading> = self.failed.into_iter().map(|row| Reading { row, judged: None }).collect();
        let deadline = self.deadline;
        for (reading, made) in at_once(self.ready, move |ready| judged(ready, deadline)).await {
            clusters.push(reading);
            requests += made;
        }
        sort(&mut clusters);
        Read { clusters, requests }
    }
}

async fn judged(ready: Ready, deadline: Duration) -> (Reading, Requests) {
    let Ready { row, aws, mut context, source } = ready;
    let (read, requests) = match source {
        Ways::Outside { mut source, periods, savings } => {
            let status = source.status();
            let reading = async {
                let samples = source.history(periods).await?;
                (context.unavailable, context.broker_ids) = (status.unavailable(), status.broker_ids());
                let mut diagnosis = diagnose(&context, &samples);
                if savings && diagnosis.verdict == Verdict::Healthy {
                    let now_ms = jiff::Timestamp::now().as_millisecond();
                    diagnosis.add_saving(saving(&aws, &context, &mut source, now_ms).await?);
                }
                Ok((context, samples, diagnosis))
            };
            (within(deadline, reading).await, status.requests())
        }
        Ways::Inside { source, window } => {
            let reading = async {
                let samples = collected(*source, window, INSIDE_INTERVAL).await?;
                // What the cluster is by now: a change that has begun meanwhile is a change.
                refresh(&aws, &mut context).await?;
                let diagnosis = diagnose(&context, &samples);
                Ok((context, samples, diagnosis))
            };
            // Watching takes its time, whatever the deadline for an answer is.
            (within(deadline + window, reading).await, Requests::default())
        }
    };
    let reading = match read {
        Ok((context, samples, diagnosis)) => {
            let row = row.judged(&samples, &diagnosis);
            let newest_ms = samples.last().map(|sample| sample.at_ms);
            Reading { row, judged: Some(Judged { context, diagnosis, newest_ms }) }
        }
        Err(error) => Reading { row: Row { error: Some(error), ..row }, judged: None },
    };
    (reading, requests)
}

impl Row {
    fn of(info: &ClusterInfo, place: &Place) -> Row {
        let known = info.broker_type.as_ref().and_then(|name| name.known());
        Row {
            name: info.name.clone(),
            region: place.aws.region().to_owned(),
            arn: info.arn.clone(),
            caller: place.caller.clone(),
            kind: info.kind,
            broker_type: info.broker_type.as_ref().map(ToString::to_string),
            broker_count: info.broker_count,
            state: info.state.as_str().to_owned(),
            view: Seen::Outside,
            kafka_version: info.kafka_version.clone(),
            monitoring_level: info.monitoring_level,
            verdict: None,
            finding: None,
            causes_assessed: None,
            causes: None,
            datapoints: 0,
            cpu_p95_percent: None,
            disk_p95_percent: None,
            heap_p95_percent: None,
            usd_per_month: known.map(|known| known.usd_per_month(info.broker_count)),
            error: None,
        }
    }

    fn judged(self, samples: &[Sample], diagnosis: &Diagnosis) -> Row {
        // Of a healthy cluster, what it could save.
        let is_news =
            |finding: &&Finding| diagnosis.verdict != Verdict::Healthy || finding.id == finding_id::CLUSTER_OVERSIZED;
        let top = diagnosis.findings.iter().find(is_news);
        Row {
            verdict: Some(diagnosis.verdict),
            finding: top.map(|finding| Top {
                id: finding.id.to_owned(),
                title: finding.title.clone(),
                confidence: finding.confidence,
            }),
            causes_assessed: Some(diagnosis.coverage.assessed.len()),
            causes: Some(diagnosis.coverage.of()),
            datapoints: samples.len(),
            cpu_p95_percent: p95(samples, BrokerSample::cpu_percent),
            disk_p95_percent: p95(samples, |broker| broker.disk_used_percent),
            heap_p95_percent: p95(samples, |broker| broker.heap_after_gc_percent),
            ..self
        }
    }

    /// What is most urgent comes first.
    fn urgency(&self) -> u8 {
        match self.verdict {
            Some(Verdict::CauseFound) => 0,
            None => 1,
            Some(Verdict::Inconclusive) => 2,
            Some(Verdict::Healthy) => 3,
        }
    }
}

fn sort(clusters: &mut [Reading]) {
    clusters.sort_by(|Reading { row: a, .. }, Reading { row: b, .. }| {
        (a.urgency(), &a.name, &a.arn).cmp(&(b.urgency(), &b.name, &b.arn))
    });
}

/// The 95th percentile (nearest rank) of each broker's values; the highest of them.
fn p95(samples: &[Sample], value: impl Fn(&BrokerSample) -> Option<f64>) -> Option<f64> {
    let ids: BTreeSet<_> = samples.iter().flat_map(|sample| sample.brokers.keys()).collect();
    let of_broker = |id| {
        let mut values: Vec<f64> =
            samples.iter().filter_map(|sample| sample.brokers.get(id)).filter_map(&value).collect();
        values.sort_by(f64::total_cmp);
        let rank = (values.len() as f64 * 0.95).ceil() as usize;
        values.get(rank.saturating_sub(1)).copied()
    };
    ids.into_iter().filter_map(of_broker).max_by(f64::total_cmp)
}

/// Whether a region is refused because the account has not enabled it: its credentials are unknown there (AWS Account
/// Management Reference Guide, "Enable or disable AWS Regions").
fn is_disabled(error: &AwsError) -> bool {
    const CODES: [&str; 4] = ["UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "OptInRequired"];
    matches!(error, AwsError::Api { code, .. } if CODES.contains(&code.as_str()))
}

async fn within<T>(deadline: Duration, work: impl Future<Output = anyhow::Result<T>>) -> Result<T, String> {
    match time::timeout(deadline, work).await {
        Ok(done) => done.map_err(|error| format!("{error:#}")),
        Err(_) => Err(too_slow(deadline)),
    }
}

fn too_slow(deadline: Duration) -> String {
    format!("no answer within {} s", deadline.as_secs_f64())
}

/// Does `work` for every item, [`AT_ONCE`] of them at a time.
async fn at_once<T: Send + 'static, R: Send + 'static, F>(items: Vec<T>, work: impl Fn(T) -> F) -> Vec<R>
where
    F: Future<Output = R> + Send + 'static,
{
    let (permits, mut tasks) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for item in items {
        let (permits, work) = (Arc::clone(&permits), work(item));
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            work.await
        });
    }
    tasks.join_all().await
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// A Standard cluster of three brokers of which nothing was read.
    pub fn row(name: &str) -> Row {
        Row {
            name: name.to_owned(),
            region: "us-west-2".to_owned(),
            arn: format!("arn:aws:kafka:us-west-2:123456789012:cluster/{name}/x"),
            caller: None,
            kind: ClusterKind::Standard,
            broker_type: Some("kafka.m5.large".to_owned()),
            broker_count: 3,
            state: "ACTIVE".to_owned(),
            view: Seen::Outside,
            kafka_version: Some("3.9.x".to_owned()),
            monitoring_level: Some(MonitoringLevel::Default),
            verdict: None,
            finding: None,
            causes_assessed: None,
            causes: None,
            datapoints: 0,
            cpu_p95_percent: None,
            disk_p95_percent: None,
            heap_p95_percent: None,
            usd_per_month: None,
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::row, *};

    #[test]
    fn the_worst_comes_first_then_the_name() {
        let of = |name, verdict| Row { verdict, ..row(name) };
        let rows = [
            of("d", Some(Verdict::Healthy)),
            of("c", Some(Verdict::Inconclusive)),
            of("b", None),
            of("z", Some(Verdict::CauseFound)),
            of("a", Some(Verdict::CauseFound)),
        ];
        let mut rows = rows.map(|row| Reading { row, judged: None });
        sort(&mut rows);
        assert_eq!(rows.iter().map(|read| read.row.name.as_str()).collect::<Vec<_>>(), ["a", "z", "b", "c", "d"]);
    }

    #[test]
    fn a_percentile_is_that_of_the_broker_with_the_highest() {
        let sample = |values: &[Option<f64>]| {
            let broker = |disk_used_percent| BrokerSample { disk_used_percent, ..BrokerSample::default() };
            let brokers = values.iter().enumerate().map(|(id, value)| (id as i32 + 1, broker(*value))).collect();
            Sample { brokers, ..Sample::default() }
        };
        let disk = |broker: &BrokerSample| broker.disk_used_percent;
        // 1 to 100 at one broker, 50 at the other.
        let samples: Vec<Sample> = (1..=100).map(|value| sample(&[Some(50.0), Some(f64::from(value))])).collect();
        assert_eq!(p95(&samples, disk), Some(95.0));
        assert_eq!(p95(&[sample(&[Some(7.0), None])], disk), Some(7.0));
        assert_eq!(p95(&[sample(&[None])], disk), None);
        assert_eq!(p95(&[], disk), None);
    }

    #[test]
    fn a_healthy_cluster_shows_no_finding() {
        let finding = |id, title: &str| Finding { id, title: title.to_owned(), ..Finding::default() };
        let of = |verdict, id| {
            let diagnosis = Diagnosis { verdict, findings: vec![finding(id, "x")], coverage: Default::default() };
            row("a").judged(&[], &diagnosis).finding.map(|top| top.id)
        };
        assert_eq!(of(Verdict::Healthy, "healthy"), None);
        assert_eq!(of(Verdict::CauseFound, "disk.full").as_deref(), Some("disk.full"));
    }

    #[test]
    fn a_caller_that_is_known_nowhere_has_wrong_credentials_and_no_disabled_regions() {
        let failure = |region: &str, caller: &str| Failure {
            region: region.to_owned(),
            caller: Some(caller.to_owned()),
            error: "UnrecognizedClientException".to_owned(),
        };
        let mut fleet = Fleet {
            ready: Vec::new(),
            failed: Vec::new(),
            deadline: DEADLINE,
            listed: vec![Origin { region: "us-west-2".to_owned(), caller: Some("a".to_owned()) }],
            failures: vec![failure("us-west-1", "a")],
            disabled: vec![failure("me-south-1", "b"), failure("af-south-1", "a"), failure("af-south-1", "b")],
        };
        fleet.settle_disabled();
        assert_eq!(fleet.disabled, [failure("af-south-1", "a")]);
        let failed = [failure("af-south-1", "b"), failure("me-south-1", "b"), failure("us-west-1", "a")];
        assert_eq!(fleet.failures, failed);
    }

    #[test]
    fn a_window_is_counted_in_datapoints() {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        assert_eq!((periods(hour, minute), periods(minute, minute), periods(hour, minute / 12)), (60, 10, 720));
    }
}
