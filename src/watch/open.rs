//! Finds a cluster and opens a source of its metrics.

use std::{path::PathBuf, time::Duration};

use tokio::time;

use super::{
    Place,
    target::{Named, Target, TargetError},
};
use crate::{
    aws::{Aws, AwsError, ClusterInfo},
    diagnose::{ClusterKind, Context},
    kafka::Connection,
    metrics::{CloudWatch, Prometheus, Protocol, Source, Targets},
    sample::{BrokerId, BrokerState, Sample},
};

/// Longest wait for the control plane between two samples.
const STATE_TIMEOUT: Duration = Duration::from_secs(2);

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
    let mut context = context(target, info.as_ref(), lab.map(|lab| lab.scale.unwrap_or(1.0)));
    if let Some(info) = &info {
        // A cluster without a plaintext listener, or none that answers yet, is watched without the Kafka protocol.
        context.bootstrap_servers = aws.bootstrap_of(&info.arn).await.ok().and_then(|bootstrap| bootstrap.plaintext);
    }
    let Chosen { source, seen, because } = chosen(request, &aws, &context, info.as_ref()).await;
    let source = match (source, &context.bootstrap_servers) {
        (Source::Prometheus(source), Some(servers)) => {
            let protocol = Protocol::start(Connection::plain(servers.as_str()), request.interval);
            Source::Prometheus(source.with_protocol(protocol))
        }
        (source, _) => source,
    };
    Ok(Opened { aws, context, source, seen, because, notes })
}

/// The cluster that is meant, described anew.
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

fn context(target: &Target, info: Option<&ClusterInfo>, lab_scale: Option<f64>) -> Context {
    let known = Context {
        cluster: target.name().unwrap_or_default().to_owned(),
        region: target.region.name.clone(),
        lab_scale,
        ..Context::default()
    };
    let Some(info) = info else { return known };
    Context {
        cluster: info.name.clone(),
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
        ..known
    }
}

/// A source, and why it is this one.
struct Chosen {
    source: Source,
    seen: Seen,
    because: Option<String>,
}

async fn chosen(request: &Request, aws: &Aws, context: &Context, info: Option<&ClusterInfo>) -> Chosen {
    let prometheus = |targets| Prometheus::new(&context.cluster, targets, request.interval);
    let inside = |source, because| Chosen { source: Source::Prometheus(source), seen: Seen::Inside, because };
    let in_lab = context.lab_scale.is_some();
    let endpoints = match (&request.targets, &context.arn) {
        (Some(file), _) => return inside(prometheus(Targets::File(file.clone())), None),
        (None, Some(arn)) if !in_lab => Targets::Nodes(aws.clone(), arn.clone()),
        (None, _) => Targets::Lab(aws.clone()),
    };
    let outside = |because| Chosen { source: outside(aws, context), seen: Seen::Outside, because };
    match request.view {
        View::Inside => inside(prometheus(endpoints), None),
        View::Outside => outside(None),
        View::Best => {
            if let Some(reason) = unreadable(info, in_lab) {
                return outside(Some(reason.to_owned()));
            }
            let mut tried = prometheus(endpoints);
            match answers(&mut tried, in_lab).await {
                true => inside(tried, Some("the brokers answer from here".to_owned())),
                false => outside(Some("no broker answers on its Prometheus ports from here".to_owned())),
            }
        }
    }
}

/// Why nobody needs to ask the brokers.
fn unreadable(info: Option<&ClusterInfo>, in_lab: bool) -> Option<&'static str> {
    let info = info?;
    if info.kind == ClusterKind::Serverless {
        return Some("a serverless cluster has no brokers that could be asked");
    }
    // The lab's brokers have their exporters whatever the cluster says.
    (!in_lab && !info.open_monitoring.is_on()).then_some("open monitoring is off")
}

/// Whether the brokers can be read from here, within [`PROBE_TIMEOUT`]. Takes the first sample, which rates need.
async fn answers(source: &mut Prometheus, in_lab: bool) -> bool {
    let Ok(Ok(sample)) = time::timeout(PROBE_TIMEOUT, source.sample()).await else { return false };
    // A broker of the lab that is known and does not answer is down.
    in_lab || serves(&sample)
}

fn serves(sample: &Sample) -> bool {
    sample.brokers.values().any(|broker| broker.state != BrokerState::Unreachable)
}

fn outside(aws: &Aws, context: &Context) -> Source {
    // A broker of the lab has its share of the type's memory.
    let mib = |memory_mib: u64| memory_mib as f64 / context.lab_scale.unwrap_or(1.0);
    let memory = context.known_type().map(|broker_type| (mib(broker_type.memory_mib) * 1024.0 * 1024.0) as u64);
    let brokers = (1..=context.broker_count as BrokerId).collect();
    Source::CloudWatch(CloudWatch::new(aws.clone(), &context.cluster, brokers, memory))
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
