//! One stream of samples: from the brokers' Prometheus endpoints and the Kafka protocol, or from CloudWatch.

pub mod broker;
mod cloudwatch;
mod exposition;
mod prometheus;
mod protocol;

use std::{path::PathBuf, time::Duration};

use tokio::{sync::mpsc, time};

pub use cloudwatch::CloudWatch;
pub use prometheus::{Prometheus, Targets};
pub use protocol::Protocol;

use crate::{aws::AwsError, sample::Sample};

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
    #[error("there are endpoints of more than {most} brokers of cluster {cluster}, and no cluster of MSK has as many")]
    TooManyTargets { cluster: String, most: usize },
    #[error("CloudWatch has no datapoint of cluster {cluster} yet (a new cluster needs some minutes)")]
    NoDatapoints { cluster: String },
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
