//! Datapoints of the lab's CloudWatch with what the MSK API says beside them, read as `kgen diagnose --source cloudwatch` reads
//! them: opened again each time, so that groups and topics are those of the moment.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::bail;

use super::{INTERVAL, recording::Come};
use crate::{
    change::ClusterView,
    diagnose::Context,
    metrics::Source,
    project::Project,
    sample::Sample,
    watch::{Opened, Place, View},
};

/// Datapoints that are read each time: those that were read before are not told again.
const READ: u32 = 4;

/// Readings in a row that may fail: the control plane may be busy with the fault.
const MOST_FAILURES: u32 = 5;

/// Arguments of `kgen lab serve` for minutes that last `period`.
pub fn arguments(period: Duration) -> Vec<std::ffi::OsString> {
    vec!["--metrics-period".into(), format!("{}s", period.as_secs()).into()]
}

/// Tells each datapoint once, from the first on that begins at `since_ms` or later, until `stopped`.
pub async fn watch(
    (project, place): (&Project, &Place),
    (since_ms, period): (i64, Duration),
    tell: &impl Fn(Come) -> bool,
    stopped: &AtomicBool,
) -> anyhow::Result<()> {
    let (mut next_ms, mut failures) = (since_ms, 0);
    while !stopped.load(Ordering::SeqCst) {
        let began = Instant::now();
        match read(project, place).await {
            Ok((context, samples)) => {
                failures = 0;
                for sample in samples.into_iter().filter(|sample| sample.at_ms >= since_ms) {
                    if sample.at_ms < next_ms {
                        continue;
                    }
                    next_ms = sample.at_ms + 1;
                    let sample = Sample { cluster_state: context.state.clone(), ..sample };
                    if !tell(Come::Sample(Box::new((context.clone(), sample)))) {
                        return Ok(());
                    }
                }
            }
            Err(error) if failures + 1 >= MOST_FAILURES => return Err(error),
            Err(_) => failures += 1,
        }
        tokio::time::sleep(period.saturating_sub(began.elapsed())).await;
    }
    Ok(())
}

async fn read(project: &Project, place: &Place) -> anyhow::Result<(Context, Vec<Sample>)> {
    let stack = project.stack();
    let mut cluster = ClusterView::of(&stack.cluster().name, stack.region(), place, INTERVAL);
    cluster.request.view = View::Outside;
    let Opened { mut context, source, .. } = cluster.open().await?;
    let Source::CloudWatch(mut source) = source else { bail!("the cluster was not opened from outside") };
    let samples = source.history(READ).await?;
    let status = source.status();
    (context.unavailable, context.broker_ids) = (status.unavailable(), status.broker_ids());
    Ok((context, samples))
}
