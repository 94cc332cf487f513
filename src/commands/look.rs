//! What `watch` and `diagnose` share: finding the cluster, opening a source of samples, recorded samples.

use std::{io::BufReader, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::time::{self, Instant};

use super::{out, place::Place};
use crate::{
    aws::{Aws, AwsError, Cluster},
    cli::{Look, SourceChoice, refused},
    diagnose::{Context, Verdict},
    files::bounded,
    kafka::Connection,
    metrics::{CloudWatch, Prometheus, Protocol, Source, Targets},
    run::{ReadError, Run, SAMPLES_ID},
    sample::{BrokerId, BrokerState, Sample},
    stack::Stack,
    visible,
};

/// Longest wait for the control plane between two samples.
const STATE_TIMEOUT: Duration = Duration::from_secs(2);

/// Of a file of samples.
const LONGEST_LINE: u64 = 8 << 20;

/// A cluster that can be sampled.
pub struct Opened {
    pub aws: Aws,
    pub context: Context,
    pub source: Source,
}

/// One line of `kgen watch --json`; each stands alone.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Line {
    pub schema: String,
    pub cluster: Context,
    pub sample: Sample,
    /// What the samples so far say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(default)]
    pub findings: Vec<String>,
}

impl Line {
    pub const SCHEMA: &str = "kgen.sample/1";
}

pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the asynchronous runtime")
}

/// Finds the cluster and a source of its metrics. Changes nothing.
pub async fn open(look: &Look, stack: &Stack, place: &Place) -> anyhow::Result<Opened> {
    let name = look.cluster.as_deref().unwrap_or(&stack.cluster().name);
    out::learn_cluster(name);
    let region = look.region.as_deref().unwrap_or(stack.region());
    let aws = place.aws(region).await;
    let lab = aws.lab().await;
    let cluster = match aws.cluster(name).await {
        Ok(cluster) => Some(cluster),
        // Endpoints named by hand can be read without a control plane.
        Err(error) if look.targets.is_some() => {
            eprintln!("note: no control plane, so type and state of the cluster are unknown: {error}");
            None
        }
        Err(error) => return Err(refused(error)),
    };
    let scale = lab.map(|lab| lab.scale.unwrap_or(1.0));
    let mut context = context(name, region, cluster.as_ref(), scale);
    if let Some(cluster) = &cluster {
        // A cluster without a plaintext listener, or none that answers yet, is watched without the Kafka protocol.
        context.bootstrap_servers = aws.bootstrap(cluster).await.ok().and_then(|bootstrap| bootstrap.plaintext);
    }
    out::learn_context(&context);
    let source = match (source(look, &aws, cluster.as_ref(), &context).await?, &context.bootstrap_servers) {
        (Source::Prometheus(source), Some(servers)) => {
            let protocol = Protocol::start(Connection::plain(servers.as_str()), look.interval);
            Source::Prometheus(source.with_protocol(protocol))
        }
        (source, _) => source,
    };
    Ok(Opened { aws, context, source })
}

fn context(name: &str, region: &str, cluster: Option<&Cluster>, lab_scale: Option<f64>) -> Context {
    Context {
        cluster: name.to_owned(),
        region: region.to_owned(),
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

async fn source(look: &Look, aws: &Aws, cluster: Option<&Cluster>, context: &Context) -> anyhow::Result<Source> {
    let prometheus = |targets| Source::Prometheus(Prometheus::new(&context.cluster, targets, look.interval));
    if let Some(file) = &look.targets {
        return Ok(prometheus(Targets::File(file.clone())));
    }
    let Some(cluster) = cluster else { bail!("no cluster to read from") };
    let in_lab = context.lab_scale.is_some();
    let endpoints =
        || if in_lab { Targets::Lab(aws.clone()) } else { Targets::Nodes(aws.clone(), cluster.arn.clone()) };
    if look.source == SourceChoice::Prometheus || (in_lab && look.source == SourceChoice::Auto) {
        return Ok(prometheus(endpoints()));
    }
    if look.source == SourceChoice::Auto {
        let mut tried = Prometheus::new(&context.cluster, endpoints(), look.interval);
        let answers = |sample: &Sample| sample.brokers.values().any(|broker| broker.state != BrokerState::Unreachable);
        if tried.sample().await.is_ok_and(|sample| answers(&sample)) {
            return Ok(Source::Prometheus(tried));
        }
        eprintln!("note: no broker answers on its Prometheus ports from here, so CloudWatch is read");
    }
    // A broker of the lab has its share of the type's memory.
    let mib = |memory_mib: u64| memory_mib as f64 / context.lab_scale.unwrap_or(1.0);
    let memory = context.known_type().map(|broker_type| (mib(broker_type.memory_mib) * 1024.0 * 1024.0) as u64);
    let brokers = (1..=cluster.broker_count as BrokerId).collect();
    Ok(Source::CloudWatch(CloudWatch::new(aws.clone(), &context.cluster, brokers, memory)))
}

/// Reads state, version and operation of the cluster again. Keeps what is known when the answer takes too long.
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

/// Samples of a run's record, or that `kgen watch --json` wrote, and the cluster as the last of them had it.
pub fn recorded(path: &Path) -> anyhow::Result<(Context, Vec<Sample>)> {
    match Run::read(path) {
        Ok(run) if run.head.id != SAMPLES_ID => {
            if let Some(context) = run.cluster().cloned() {
                out::learn_run(&run);
                return Ok((context, run.samples().map(|observed| observed.sample.clone()).collect()));
            }
        }
        Ok(_) | Err(ReadError::NoRun(_)) => {}
        Err(error @ ReadError::TooLarge { .. }) => return Err(refused(error)),
        Err(ReadError::Io { path, source }) => {
            let what = format!("reading {} (`kgen watch --json` writes such a file)", path.display());
            return Err(refused(anyhow::Error::from(source).context(what)));
        }
    }
    let file = bounded::open(path).with_context(|| format!("reading {}", path.display())).map_err(refused)?;
    let (mut context, mut samples) = (None, Vec::new());
    // As many as Run::read has found to fit.
    let mut lines = bounded::Lines::new(BufReader::new(file), LONGEST_LINE, u64::MAX);
    let reading = || format!("reading {}", path.display());
    while let Some((number, line)) = lines.next_line().with_context(reading).map_err(refused)? {
        let place = || format!("{}, line {number}", path.display());
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(line).with_context(place).map_err(refused)?;
        if line.schema != Line::SCHEMA {
            return Err(refused(anyhow::anyhow!("{}: schema is {}, not {}", place(), line.schema, Line::SCHEMA)));
        }
        out::learn_context(&line.cluster);
        context = Some(line.cluster);
        samples.push(line.sample);
    }
    match context {
        Some(context) => Ok((context, samples)),
        None => Err(refused(anyhow::anyhow!("{} holds no sample (kgen watch --json writes them)", path.display()))),
    }
}

/// The samples of `window`.
///
/// # Errors
/// The source fails for good.
pub async fn collected(source: Source, window: Duration, interval: Duration) -> anyhow::Result<Vec<Sample>> {
    collected_with(source, window, interval, &mut |_| Ok(())).await
}

/// As [`collected`]; each sample is handed to `seen` as it comes, which may end it.
///
/// # Errors
/// The source fails for good, or what `seen` says.
pub async fn collected_with(
    source: Source,
    window: Duration,
    interval: Duration,
    seen: &mut dyn FnMut(&Sample) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Sample>> {
    // The first sample has no rates yet, so one more interval is watched.
    let end = Instant::now() + window + interval;
    let mut stream = source.stream(interval);
    let mut samples = Vec::new();
    while let Ok(Some(sample)) = time::timeout_at(end, stream.recv()).await {
        let sample = sample?;
        seen(&sample)?;
        samples.push(sample);
    }
    Ok(samples)
}

/// What is looked at, in one line.
pub fn headline(context: &Context) -> String {
    let brokers = match &context.broker_type {
        Some(broker_type) => format!(": {} x {broker_type}", context.broker_count),
        None => String::new(),
    };
    let version = context.kafka_version.as_ref().map(|version| format!(", Kafka {version}")).unwrap_or_default();
    let place = match context.lab_scale {
        Some(scale) => format!("; lab, scale 1:{scale}"),
        None => String::new(),
    };
    visible::line(&format!("cluster {} in {}{brokers}{version}{place}", context.cluster, context.region)).into_owned()
}
