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

pub use cloudwatch::CloudWatch;
pub use prometheus::{Prometheus, Targets};
pub use protocol::Protocol;
pub use targets::TargetsError;

use crate::{
    aws::AwsError,
    sample::{BrokerId, Sample},
};

/// Where samples come from.
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
    #[error("no Prometheus endpoint of cluster {cluster} is known (in AWS, open monitoring must be on)")]
    NoTargets { cluster: String },
    #[error("{path}: {source}")]
    Targets { path: PathBuf, source: TargetsError },
    /// From the start; a page that is odd for a moment later on is taken for no answer.
    #[error("{target} (job {job} of broker {broker}) is no MSK exporter: {reason}")]
    NoExporter { target: String, job: &'static str, broker: BrokerId, reason: String },
    /// No broker has answered yet, and none is still to answer. `is_on` is what DescribeClusterV2 says.
    #[error("{}", closed(.cluster, *.is_on))]
    OpenMonitoring { cluster: String, is_on: Option<bool> },
    #[error("CloudWatch has no datapoint of cluster {cluster} yet (a new cluster needs some minutes)")]
    NoDatapoints { cluster: String },
}

fn closed(cluster: &str, is_on: Option<bool>) -> String {
    let instead = "use --source cloudwatch";
    let closed = "no broker answers on ports 11001 and 11002 from here: this machine is outside the cluster's network, or its \
                  security group does not let it in";
    match is_on {
        Some(false) => format!(
            "open monitoring of cluster {cluster} is off, so its brokers have no Prometheus endpoints; turn on the JMX and the \
             node exporter (`open_monitoring` in Terraform), or {instead}"
        ),
        Some(true) => format!("open monitoring of cluster {cluster} is on, but {closed}; let it in, or {instead}"),
        None => format!("open monitoring of cluster {cluster} is off or unreachable: {closed}; {instead}"),
    }
}

impl Source {
    /// Reads every broker once. A broker that does not answer is in the sample as unreachable.
    ///
    /// # Errors
    /// Why not even a broker to ask is known.
    pub async fn sample(&mut self) -> Result<Sample, MetricsError> {
        match self {
            Source::Prometheus(source) => source.sample().await,
            Source::CloudWatch(source) => source.sample().await,
        }
    }

    /// Samples every `interval`, for as long as the receiver is held.
    ///
    /// When one takes longer than the interval, the next follows at once and none is made up for.
    pub fn stream(mut self, interval: Duration) -> mpsc::Receiver<Result<Sample, MetricsError>> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut tick = time::interval(interval);
            tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
            while !sender.is_closed() {
                tick.tick().await;
                if sender.send(self.sample().await).await.is_err() {
                    break;
                }
            }
        });
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_open_monitoring_is_not_called_a_dead_broker() {
        let said = |is_on| MetricsError::OpenMonitoring { cluster: "orders".to_owned(), is_on }.to_string();
        assert!(said(Some(false)).contains("open monitoring of cluster orders is off, so"));
        assert!(said(Some(true)).contains("is on, but no broker answers on ports 11001 and 11002"));
        assert!(said(None).contains("is off or unreachable"));
    }
}
