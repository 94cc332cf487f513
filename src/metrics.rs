//! One stream of samples: from the brokers' Prometheus endpoints and the Kafka protocol, or from CloudWatch.

pub mod broker;
mod cloudwatch;
mod exposition;
mod jmx;
mod node;
mod prometheus;
mod protocol;
mod scrape;
mod targets;

use std::{path::PathBuf, time::Duration};

use tokio::{sync::mpsc, time};

pub use cloudwatch::{CloudWatch, Options, Requests, Resolution, Status, Timing};
pub use prometheus::{Prometheus, Targets};
pub use protocol::Protocol;
pub use targets::TargetsError;

use crate::{
    aws::AwsError,
    sample::{BrokerId, Sample},
};

/// The longest pause after trouble that may pass.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Where samples come from.
#[allow(clippy::large_enum_variant, reason = "a command has one")]
#[derive(Debug)]
pub enum Source {
    Prometheus(Prometheus),
    CloudWatch(CloudWatch),
}

/// Why there is no sample.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error("reading {path}: {reason}")]
    TargetsFile { path: PathBuf, reason: String },
    #[error("no Prometheus endpoint of cluster {cluster} is known (on AWS, open monitoring must be on)")]
    NoTargets { cluster: String },
    #[error("CloudWatch has no datapoints for cluster {cluster}: {reason}")]
    NoDatapoints { cluster: String, reason: String },
    #[error("reading {metrics} metrics costs USD {usd:.2}, more than the limit of USD {limit_usd:.2}")]
    Price { usd: f64, limit_usd: f64, metrics: u64 },
    #[error("{path}: {source}")]
    Targets { path: PathBuf, source: TargetsError },
    /// From the start; a page that is odd for a moment later on is taken for no answer.
    #[error("{target} (job {job} of broker {broker}) is not an MSK exporter: {reason}")]
    NoExporter { target: String, job: &'static str, broker: BrokerId, reason: String },
    /// No broker has answered yet, and none is still to answer. `is_on` is what DescribeClusterV2 says.
    #[error("{}", closed(.cluster, *.is_on))]
    OpenMonitoring { cluster: String, is_on: Option<bool> },
}

impl MetricsError {
    /// Bad input or a missing prerequisite: nothing was read, and trying again gives the same.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            MetricsError::Targets { .. }
                | MetricsError::TargetsFile { .. }
                | MetricsError::NoTargets { .. }
                | MetricsError::NoExporter { .. }
                | MetricsError::OpenMonitoring { .. }
                | MetricsError::Price { .. }
        )
    }

    /// It may pass by itself: throttling, an endpoint that does not answer now, a cluster that has published nothing yet.
    pub fn is_transient(&self) -> bool {
        match self {
            MetricsError::Aws(error) => error.is_transient(),
            MetricsError::NoDatapoints { .. } => true,
            _ => false,
        }
    }
}

fn closed(cluster: &str, is_on: Option<bool>) -> String {
    let instead = "use --source cloudwatch";
    let closed = "no broker responds on ports 11001 and 11002 from here: this machine is outside the cluster's \
                  network, or its security group does not let it in";
    match is_on {
        Some(false) => format!(
            "open monitoring of cluster {cluster} is off, so its brokers have no Prometheus endpoints; turn on the JMX and the \
             node exporter (`open_monitoring` in Terraform), or {instead}"
        ),
        Some(true) => format!("open monitoring of cluster {cluster} is on, but {closed}; allow it, or {instead}"),
        None => format!("open monitoring of cluster {cluster} is off or unreachable: {closed}; {instead}"),
    }
}

impl Source {
    /// What is known besides the samples of a cluster that is read from outside.
    pub fn status(&self) -> Option<Status> {
        match self {
            Source::Prometheus(_) => None,
            Source::CloudWatch(source) => Some(source.status()),
        }
    }

    /// Samples every `interval`, for as long as the receiver is held.
    ///
    /// When one takes longer than the interval, the next follows at once and none is made up for. From CloudWatch a sample
    /// may come again with more in it: it replaces the one of the same time. What may pass by itself does not come as an
    /// error: it is noted in [`Source::status`], and tried again after longer and longer pauses.
    pub fn stream(self, interval: Duration) -> mpsc::Receiver<Result<Sample, MetricsError>> {
        let (sender, receiver) = mpsc::channel(1);
        match self {
            Source::CloudWatch(source) => tokio::spawn(stream_outside(source, interval, sender)),
            Source::Prometheus(source) => tokio::spawn(stream_inside(source, interval, sender)),
        };
        receiver
    }
}

type Sender = mpsc::Sender<Result<Sample, MetricsError>>;

async fn stream_inside(mut source: Prometheus, interval: Duration, sender: Sender) {
    let mut tick = time::interval(interval);
    tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    while !sender.is_closed() {
        tick.tick().await;
        if sender.send(source.sample().await).await.is_err() {
            break;
        }
    }
}

async fn stream_outside(mut source: CloudWatch, interval: Duration, sender: Sender) {
    let mut failures = 0;
    while !sender.is_closed() {
        let (news, failed) = match source.update().await {
            Ok(samples) => {
                source.status().recovered();
                (samples.into_iter().map(Ok).collect(), false)
            }
            Err(error) if error.is_transient() => {
                source.status().note(error.to_string());
                (Vec::new(), true)
            }
            Err(error) => (vec![Err(error)], false),
        };
        failures = if failed { failures + 1 } else { 0 };
        for sample in news {
            if sender.send(sample).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = time::sleep(pause(interval, failures)) => {}
            () = sender.closed() => return,
        }
    }
}

/// After so many failures in a row: twice as long with each, at most [`LONGEST_PAUSE`].
fn pause(interval: Duration, failures: u32) -> Duration {
    let longer = interval.saturating_mul(2u32.saturating_pow(failures));
    longer.min(LONGEST_PAUSE.max(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_end() {
        let minute = Duration::from_secs(60);
        let pauses: Vec<u64> = [0, 1, 2, 3, 60].map(|failures| pause(minute, failures).as_secs()).to_vec();
        assert_eq!(pauses, [60, 120, 240, 300, 300]);
        assert_eq!(pause(minute * 10, 3), minute * 10);
    }

    #[test]
    fn closed_open_monitoring_is_not_called_a_dead_broker() {
        let said = |is_on| MetricsError::OpenMonitoring { cluster: "orders".to_owned(), is_on }.to_string();
        assert!(said(Some(false)).contains("open monitoring of cluster orders is off, so"));
        assert!(said(Some(true)).contains("is on, but no broker responds on ports 11001 and 11002"));
        assert!(said(None).contains("is off or unreachable"));
    }
}
