//! Finds a cluster and opens a source of its metrics.

use std::{path::PathBuf, time::Duration};

use tokio::time;

use super::{
    Place,
    target::{Named, Target, TargetError},
};
use crate::{
    aws::{Aws, AwsError, ClusterInfo, LabStatus},
    diagnose::{ClusterKind, Context},
    kafka::Connection,
    metrics::{CloudWatch, MetricsError, Options, Prometheus, Protocol, Source, Targets, Timing},
    sample::{BrokerState, Sample},
};

/// Longest wait for the control plane between two samples.
const STATE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a datapoint of CloudWatch covers.
const MINUTE: Duration = Duration::from_secs(60);

/// Longest wait for a broker to answer from here when the best view is looked for (a design choice: an open port answers
/// in milliseconds, a security group never).
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Which cluster, and through what.
#[derive(Debug, Clone)]
pub struct Request {
    pub target: Target,
    pub view: View,
    /// A file of Prometheus targets (file_sd JSON) in place of what the control plane says.
    pub targets: Option<PathBuf>,
    /// Time between two samples from inside.
    pub interval: Duration,
    /// Age below which datapoints of CloudWatch are not judged; two of them where nothing is said.
    pub delay: Option<Duration>,
}

impl Request {
    /// The best view of `target`, a sample each `interval` from inside.
    pub fn best(target: Target, interval: Duration) -> Request {
        Request { target, view: View::Best, targets: None, interval, delay: None }
    }
}

/// Through what a cluster is asked to be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum View {
    /// Inside if the brokers answer from here, else outside.
    #[default]
    Best,
    /// The brokers' Prometheus endpoints and the Kafka protocol.
    Inside,
    /// CloudWatch and the MSK API.
    Outside,
}

/// Through what a cluster is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The brokers' Prometheus endpoints and the Kafka protocol.
    Inside,
    /// CloudWatch and the MSK API.
    Outside,
    /// A run or a file.
    Recorded,
}

/// A cluster that can be sampled.
pub struct Opened {
    pub aws: Aws,
    pub context: Context,
    pub source: Source,
    pub seen: Seen,
    /// Why it is seen so, if that was kgen's choice: a sentence without a full stop.
    pub because: Option<String>,
    /// What a person should know about how it was opened.
    pub notes: Vec<String>,
}

/// Why a cluster cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

impl Seen {
    /// In the words of messages.
    pub fn describe(self) -> &'static str {
        match self {
            Seen::Inside => "inside (the brokers' Prometheus endpoints and the Kafka protocol)",
            Seen::Outside => "outside (CloudWatch and the MSK API)",
            Seen::Recorded => "recorded",
        }
    }
}

/// Finds the cluster and a source of its metrics. Changes nothing.
///
/// # Errors
/// It is not clear which cluster is meant, or it cannot be found or read.
pub async fn open(request: &Request, place: &Place) -> Result<Opened, OpenError> {
    let target = &request.target;
    let aws = place.aws(&target.region.name).await;
    let mut notes = Vec::new();
    let info = match found(target, &aws, &mut notes).await {
        Ok(info) => Some(info),
        // Endpoints named by hand can be read without a control plane.
        Err(TargetError::Aws { error, .. }) if request.targets.is_some() => {
            notes.push(format!("no control plane, so type and state of the cluster are unknown: {error}"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    let lab = aws.lab().await;
    let region = &target.region.name;
    let mut context = match &info {
        Some(info) => context_of(info, region, lab.as_ref()),
        None => {
            let cluster = target.name().unwrap_or_default().to_owned();
            Context { cluster, region: region.clone(), ..in_lab(lab.as_ref()) }
        }
    };
    if let Some(info) = &info {
        // A cluster without a plaintext listener, or none that answers yet, is watched without the Kafka protocol.
        context.bootstrap_servers = aws.bootstrap_of(&info.arn).await.ok().and_then(|bootstrap| bootstrap.plaintext);
    }
    let has_brokers = lab.as_ref().is_none_or(|lab| !lab.without_brokers);
    let Chosen { source, seen, because } = chosen(request, &aws, &context, info.as_ref(), has_brokers).await?;
    if let Some(status) = source.status() {
        (context.unavailable, context.broker_ids) = (status.unavailable(), status.broker_ids());
    }
    context.period_s = match &source {
        Source::CloudWatch(source) => Some(source.timing().period.as_secs_f64()),
        Source::Prometheus(_) => None,
    };
    let source = match (source, &context.bootstrap_servers) {
        (Source::Prometheus(source), Some(servers)) => {
            let protocol = Protocol::start(Connection::plain(servers.as_str()), request.interval);
            Source::Prometheus(source.with_protocol(protocol))
        }
        (source, _) => source,
    };
    Ok(Opened { aws, context, source, seen, because, notes })
}

/// The cluster that is meant, described again.
///
/// # Errors
/// There is no such cluster, or more than one could be meant.
pub async fn found(target: &Target, aws: &Aws, notes: &mut Vec<String>) -> Result<ClusterInfo, TargetError> {
    let region = &target.region.name;
    let name = match &target.named {
        Named::Name(name) | Named::Arn(name) => name.clone(),
        Named::Only => {
            let listed = aws.clusters().await.map_err(|error| target.failed(error))?;
            let only = target.only(listed.into_iter().map(|info| info.name).collect())?;
            notes.push(format!("using cluster {only}, the only one in {region} (choose another with --cluster)"));
            only
        }
    };
    aws.find(&name).await.map_err(|error| target.failed(error))
}

/// What is known of a cluster in a lab, or not, beside what the control plane says.
fn in_lab(lab: Option<&LabStatus>) -> Context {
    Context {
        lab_scale: lab.map(|lab| lab.scale.unwrap_or(1.0)),
        period_s: lab.and_then(|lab| lab.metrics_period_s).map(|seconds| seconds as f64),
        ..Context::default()
    }
}

/// What the control plane says of a cluster.
pub(super) fn context_of(info: &ClusterInfo, region: &str, lab: Option<&LabStatus>) -> Context {
    Context {
        cluster: info.name.clone(),
        region: region.to_owned(),
        arn: Some(info.arn.clone()),
        current_version: Some(info.current_version.clone()),
        broker_type: info.broker_type.as_ref().map(ToString::to_string),
        broker_count: info.broker_count,
        kafka_version: info.kafka_version.clone(),
        volume_gib: info.volume_gib,
        state: Some(info.state.as_str().to_owned()),
        active_operation: info.active_operation.clone(),
        kind: Some(info.kind),
        monitoring_level: info.monitoring_level,
        ..in_lab(lab)
    }
}

/// A source, and why it is this one.
struct Chosen {
    source: Source,
    seen: Seen,
    because: Option<String>,
}

async fn chosen(
    request: &Request,
    aws: &Aws,
    context: &Context,
    info: Option<&ClusterInfo>,
    has_brokers: bool,
) -> Result<Chosen, MetricsError> {
    let prometheus = |targets| Prometheus::new(&context.cluster, targets, request.interval);
    let inside = |source, because| Ok(Chosen { source: Source::Prometheus(source), seen: Seen::Inside, because });
    let in_lab = context.lab_scale.is_some();
    let endpoints = match (&request.targets, &context.arn) {
        (Some(file), _) => return inside(prometheus(Targets::File(file.clone())), None),
        (None, Some(arn)) if !in_lab => Targets::Nodes(aws.clone(), arn.clone()),
        (None, _) => Targets::Lab(aws.clone()),
    };
    let outside = async |because| {
        // Without a cluster only endpoints named by hand are read, which is decided above.
        let info = info.ok_or_else(|| MetricsError::NoTargets { cluster: context.cluster.clone() })?;
        let options = OutsideOptions { delay: request.delay, parts: true, topics: true };
        let source = Source::CloudWatch(outside(aws, info, context, options).await?);
        Ok(Chosen { source, seen: Seen::Outside, because })
    };
    match request.view {
        View::Inside => inside(prometheus(endpoints), None),
        View::Outside => outside(None).await,
        View::Best => {
            if let Some(reason) = unreadable(info, in_lab, has_brokers) {
                return outside(Some(reason.to_owned())).await;
            }
            let mut tried = prometheus(endpoints);
            match answers(&mut tried, in_lab).await {
                true => inside(tried, Some("the brokers answer from here".to_owned())),
                false => outside(Some("no broker responds on its Prometheus ports from here".to_owned())).await,
            }
        }
    }
}

/// Why nobody needs to ask the brokers.
fn unreadable(info: Option<&ClusterInfo>, in_lab: bool, has_brokers: bool) -> Option<&'static str> {
    if !has_brokers {
        return Some("the lab runs without brokers");
    }
    let info = info?;
    if info.kind == ClusterKind::Serverless {
        return Some("a serverless cluster has no brokers that could be asked");
    }
    // The lab's brokers have their exporters whatever the cluster says.
    (!in_lab && !info.open_monitoring.is_on()).then_some("open monitoring is off")
}

/// Whether the brokers can be read from here, within [`PROBE_TIMEOUT`]. Takes the first sample, which rates need.
async fn answers(source: &mut Prometheus, in_lab: bool) -> bool {
    match time::timeout(PROBE_TIMEOUT, source.sample()).await {
        // A broker of the lab that is known and does not respond is down.
        Ok(Ok(sample)) => in_lab || serves(&sample),
        Ok(Err(_)) => false,
        // The lab's machine is busy, for example with terraform. Nothing is between it and the brokers.
        Err(_) => in_lab,
    }
}

fn serves(sample: &Sample) -> bool {
    sample.brokers.values().any(|broker| broker.state != BrokerState::Unreachable)
}

/// A source of a cluster from inside, if its brokers answer from here. `context` gets to know where they are.
pub(super) async fn inside(
    aws: &Aws,
    info: &ClusterInfo,
    context: &mut Context,
    lab: Option<&LabStatus>,
    interval: Duration,
) -> Option<Source> {
    let has_brokers = lab.is_none_or(|lab| !lab.without_brokers);
    if unreadable(Some(info), lab.is_some(), has_brokers).is_some() {
        return None;
    }
    let targets = match lab {
        Some(_) => Targets::Lab(aws.clone()),
        None => Targets::Nodes(aws.clone(), info.arn.clone()),
    };
    let mut source = Prometheus::new(&info.name, targets, interval);
    if !answers(&mut source, lab.is_some()).await {
        return None;
    }
    context.period_s = None;
    context.bootstrap_servers = aws.bootstrap_of(&info.arn).await.ok().and_then(|bootstrap| bootstrap.plaintext);
    Some(Source::Prometheus(match &context.bootstrap_servers {
        Some(servers) => source.with_protocol(Protocol::start(Connection::plain(servers.as_str()), interval)),
        None => source,
    }))
}

/// How a cluster is read from outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutsideOptions {
    /// Two datapoints where nothing is said.
    pub delay: Option<Duration>,
    /// Consumer groups and topics too.
    pub parts: bool,
    /// Where partitions are, by the topics API.
    pub topics: bool,
}

/// Prepares to read a cluster from outside: lists what it has. Reads no metric.
pub(super) async fn outside(
    aws: &Aws,
    info: &ClusterInfo,
    context: &Context,
    options: OutsideOptions,
) -> Result<CloudWatch, MetricsError> {
    // A broker of the lab has its share of the type's memory.
    let bytes = |memory_mib: u64| memory_mib as f64 / context.lab_scale.unwrap_or(1.0) * 1024.0 * 1024.0;
    let timing = Timing::of_period(context.period_s.map_or(MINUTE, Duration::from_secs_f64));
    let options = Options {
        timing: Timing { delay: options.delay.unwrap_or(timing.delay), ..timing },
        memory_total_bytes: context.known_type().map(|known| bytes(known.memory_mib) as u64),
        parts: options.parts,
        topics: options.topics,
        limit_usd: None,
    };
    CloudWatch::open(aws.clone(), info, options).await
}

/// Reads state, version and operation of the cluster again. Keeps what is known when the answer takes too long.
///
/// # Errors
/// The control plane refuses.
pub async fn refresh(aws: &Aws, context: &mut Context) -> Result<(), AwsError> {
    let Some(arn) = context.arn.clone() else { return Ok(()) };
    let Ok(info) = time::timeout(STATE_TIMEOUT, aws.info(&arn)).await else { return Ok(()) };
    let info = info?;
    context.current_version = Some(info.current_version);
    context.broker_type = info.broker_type.map(|name| name.to_string());
    context.broker_count = info.broker_count;
    context.state = Some(info.state.as_str().to_owned());
    context.active_operation = info.active_operation;
    Ok(())
}
