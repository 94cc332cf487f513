//! The samples of a window.

use std::time::Duration;

use tokio::time::{self, Instant};

use crate::{metrics::Source, sample::Sample};

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
