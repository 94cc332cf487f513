//! The samples of a window.

use std::time::Duration;

use tokio::time::{self, Instant};

use crate::{
    metrics::{MetricsError, Source},
    outcome::refused,
    sample::Sample,
};

/// Returns the samples of `window`.
///
/// # Errors
/// The source fails for good.
pub async fn collected(source: Source, window: Duration, interval: Duration) -> anyhow::Result<Vec<Sample>> {
    collected_with(source, window, interval, &mut |_| Ok(())).await
}

/// As [`collected`]; each sample is passed to `seen` when it arrives. An error of `seen` ends the collection.
///
/// # Errors
/// The source fails for good, or `seen` fails.
pub async fn collected_with<See>(
    source: Source,
    window: Duration,
    interval: Duration,
    seen: &mut See,
) -> anyhow::Result<Vec<Sample>>
where
    See: FnMut(&Sample) -> anyhow::Result<()> + ?Sized,
{
    // The first sample has no rates yet, so one more interval is watched.
    let end = Instant::now() + window + interval;
    let mut stream = source.stream(interval);
    let mut samples = Vec::new();
    while let Ok(Some(sample)) = time::timeout_at(end, stream.recv()).await {
        let sample = sample.map_err(ended)?;
        seen(&sample)?;
        samples.push(sample);
    }
    Ok(samples)
}

/// What a source ends with: a refusal where it could not be read from the start.
pub fn ended(error: MetricsError) -> anyhow::Error {
    if error.is_refusal() { refused(error) } else { error.into() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{aws::AwsError, metrics::TargetsError, outcome::Refused};

    #[test]
    fn what_cannot_be_read_from_the_start_is_a_refusal() {
        let cluster = || "orders".to_owned();
        let path = || PathBuf::from("targets.json");
        for (error, is_refusal) in [
            (MetricsError::OpenMonitoring { cluster: cluster(), is_on: Some(false) }, true),
            (MetricsError::Targets { path: path(), source: TargetsError::TooMany }, true),
            (MetricsError::TargetsFile { path: path(), reason: "no JSON".into() }, true),
            (MetricsError::NoTargets { cluster: cluster() }, true),
            (MetricsError::Price { usd: 2.0, limit_usd: 1.0, metrics: 200_000 }, true),
            (
                MetricsError::NoExporter { target: "h:1".into(), job: "jmx", broker: 1, reason: "an HTML page".into() },
                true,
            ),
            (MetricsError::NoDatapoints { cluster: cluster(), reason: "it is new".into() }, false),
            (MetricsError::Aws(AwsError::Serverless { name: cluster() }), false),
        ] {
            let told = error.to_string();
            assert_eq!(ended(error).downcast_ref::<Refused>().is_some(), is_refusal, "{told}");
        }
    }
}
