//! Finds a cluster and opens a source of its metrics.

use std::{path::PathBuf, time::Duration};

use tokio::time;

use super::Place;
use crate::{
    aws::{Aws, AwsError, Cluster},
    diagnose::Context,
    kafka::Connection,
    metrics::{CloudWatch, Prometheus, Protocol, Source, Targets},
    sample::{BrokerId, BrokerState, Sample},
};

/// Longest wait for the control plane between two samples.
const STATE_TIMEOUT: Duration = Duration::from_secs(2);

/// Which cluster, and through what.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its name.
    pub cluster: String,
    pub region: String,
    pub view: View,
    /// A file of Prometheus targets (file_sd JSON) in place of what the control plane says.
    pub targets: Option<PathBuf>,
    /// Time between two samples.
    pub interval: Duration,
}

/// Through what a cluster is seen.
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

/// A cluster that can be sampled.
pub struct Opened {
    pub aws: Aws,
    pub context: Context,
    pub source: Source,
    /// What a person should know about how it was opened.
    pub notes: Vec<String>,
}

/// Why a cluster cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// Finds the cluster and a source of its metrics. Changes nothing.
///
/// # Errors
/// The cluster cannot be found or read.
pub async fn open(request: &Request, place: &Place) -> Result<Opened, OpenError> {
    let aws = place.aws(&request.region).await;
    let lab = aws.lab().await;
    let mut notes = Vec::new();
    let cluster = match aws.cluster(&request.cluster).await {
        Ok(cluster) => Some(cluster),
        // Endpoints named by hand can be read without a control plane.
        Err(error) if request.targets.is_some() => {
            notes.push(format!("no control plane, so type and state of the cluster are unknown: {error}"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    let scale = lab.map(|lab| lab.scale.unwrap_or(1.0));
    let mut context = context(request, cluster.as_ref(), scale);
    if let Some(cluster) = &cluster {
        // A cluster without a plaintext listener, or none that answers yet, is watched without the Kafka protocol.
        context.bootstrap_servers = aws.bootstrap(cluster).await.ok().and_then(|bootstrap| bootstrap.plaintext);
    }
    let source = match (source(request, &aws, &context, &mut notes).await, &context.bootstrap_servers) {
        (Source::Prometheus(source), Some(servers)) => {
            let protocol = Protocol::start(Connection::plain(servers.as_str()), request.interval);
            Source::Prometheus(source.with_protocol(protocol))
        }
        (source, _) => source,
    };
    Ok(Opened { aws, context, source, notes })
}

fn context(request: &Request, cluster: Option<&Cluster>, lab_scale: Option<f64>) -> Context {
    Context {
        cluster: request.cluster.clone(),
        region: request.region.clone(),
        arn: cluster.map(|cluster| cluster.arn.clone()),
        current_version: cluster.map(|cluster| cluster.current_version.clone()),
        broker_type: cluster.map(|cluster| cluster.broker_type.clone()),
        broker_count: cluster.map_or(0, |cluster| cluster.broker_count),
        kafka_version: cluster.map(|cluster| cluster.kafka_version.clone()),
        volume_gib: cluster.and_then(|cluster| cluster.volume_gib),
        bootstrap_servers: None,
        state: cluster.map(|cluster| cluster.state.clone()),
        active_operation: cluster.and_then(|cluster| cluster.active_operation.clone()),
        lab_scale,
        ..Context::default()
    }
}

async fn source(request: &Request, aws: &Aws, context: &Context, notes: &mut Vec<String>) -> Source {
    let prometheus = |targets| Prometheus::new(&context.cluster, targets, request.interval);
    let in_lab = context.lab_scale.is_some();
    let endpoints = match (&request.targets, &context.arn) {
        (Some(file), _) => return Source::Prometheus(prometheus(Targets::File(file.clone()))),
        (None, Some(arn)) if !in_lab => Targets::Nodes(aws.clone(), arn.clone()),
        (None, _) => Targets::Lab(aws.clone()),
    };
    if request.view == View::Inside || (in_lab && request.view == View::Best) {
        return Source::Prometheus(prometheus(endpoints));
    }
    if request.view == View::Best {
        let mut tried = prometheus(endpoints);
        let answers = |sample: &Sample| sample.brokers.values().any(|broker| broker.state != BrokerState::Unreachable);
        if tried.sample().await.is_ok_and(|sample| answers(&sample)) {
            return Source::Prometheus(tried);
        }
        notes.push("no broker answers on its Prometheus ports from here, so CloudWatch is read".to_owned());
    }
    Source::CloudWatch(cloudwatch(aws, context))
}

fn cloudwatch(aws: &Aws, context: &Context) -> CloudWatch {
    // A broker of the lab has its share of the type's memory.
    let mib = |memory_mib: u64| memory_mib as f64 / context.lab_scale.unwrap_or(1.0);
    let memory = context.known_type().map(|broker_type| (mib(broker_type.memory_mib) * 1024.0 * 1024.0) as u64);
    let brokers = (1..=context.broker_count as BrokerId).collect();
    CloudWatch::new(aws.clone(), &context.cluster, brokers, memory)
}

/// Reads state, version and operation of the cluster again. Keeps what is known when the answer takes too long.
///
/// # Errors
/// The control plane refuses.
pub async fn refresh(aws: &Aws, context: &mut Context) -> Result<(), AwsError> {
    let Some(arn) = context.arn.clone() else { return Ok(()) };
    let Ok(cluster) = time::timeout(STATE_TIMEOUT, aws.describe(&arn)).await else { return Ok(()) };
    let cluster = cluster?;
    context.current_version = Some(cluster.current_version);
    context.broker_type = Some(cluster.broker_type);
    context.broker_count = cluster.broker_count;
    context.state = Some(cluster.state);
    context.active_operation = cluster.active_operation;
    Ok(())
}
