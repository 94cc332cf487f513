//! The history of a cluster as sizing takes it: what is known of the cluster beside its datapoints.

use std::collections::BTreeSet;

use crate::{
    aws::{Authentication, Aws, PastOperation},
    catalogue::ClusterKind,
    diagnose::{Context, Finding, oversized},
    metrics::{CloudWatch, MetricsError, Requests, Resolution},
    sizing::{Current, DAY_MS, Exclude, LEAST_DAYS_FOR_SAVING},
};

/// Days that are read to see whether a cluster is paid for twice over: two weeks, so that a weekly peak is in it twice.
pub const SAVING_DAYS: u32 = 14;

/// What the control plane adds to a cluster's datapoints.
#[derive(Debug)]
pub struct Background {
    pub current: Current,
    /// The time before brokers were removed: their traffic is in nothing that is read.
    pub exclude: Option<Exclude>,
    /// When the cluster was created, ms since the epoch.
    pub created_at_ms: Option<i64>,
    /// What could not be asked, and what changed the cluster: a sentence each, without a full stop.
    pub notes: Vec<String>,
}

/// Asks the control plane for zones, authentication and past changes. `None` for a type that the catalogue does not have. What
/// it does not answer stays assumed, with a note.
pub async fn background(aws: &Aws, context: &Context) -> Option<Background> {
    let mut found = Background { current: context.current()?, exclude: None, created_at_ms: None, notes: Vec::new() };
    let Some(arn) = context.arn.as_deref() else { return Some(found) };
    let mut zones = 0;
    match aws.nodes(arn).await {
        Ok(nodes) => zones = nodes.iter().filter_map(|node| node.subnet.as_ref()).collect::<BTreeSet<_>>().len(),
        Err(error) => found.notes.push(error.to_string()),
    }
    match aws.info(arn).await {
        Ok(info) => {
            // A cluster whose brokers name no subnets is in those that it was created with, one a zone.
            zones = zones.max(info.subnets.len());
            found.current.uses_iam = info.authentication.contains(&Authentication::Iam);
            found.created_at_ms = info.created_at_ms;
        }
        Err(error) => found.notes.push(error.to_string()),
    }
    if let Some(zones) = u32::try_from(zones).ok().filter(|zones| *zones > 0) {
        (found.current.zones, found.current.zones_assumed) = (zones, false);
    }
    match aws.operations(arn).await {
        Ok(operations) => found.add(&operations),
        Err(error) => found.notes.push(format!("{error}; a change of the broker type would not be noticed")),
    }
    Some(found)
}

impl Background {
    fn add(&mut self, operations: &[PastOperation]) {
        let ended = |kind: &str| {
            let of_kind = operations.iter().filter(|of| of.operation_type == kind && of.state == "UPDATE_COMPLETE");
            of_kind.max_by_key(|of| of.ended_at_ms)
        };
        self.current.since_ms = ended("UPDATE_BROKER_TYPE").and_then(|of| of.ended_at_ms);
        if let Some((removed, until_ms)) = ended("DECREASE_BROKER_COUNT").and_then(|of| Some((of, of.ended_at_ms?))) {
            self.exclude = Some(Exclude { from_ms: i64::MIN, until_ms });
            self.notes.push(format!("{removed}: the time before does not count, as removed brokers are not read"));
        }
    }
}

/// What reading the history for [`saving`] takes. Makes no call.
pub fn requests_for_saving(source: &CloudWatch, context: &Context) -> Requests {
    if is_sized(context) { source.requests_of_days(SAVING_DAYS, Resolution::Hours) } else { Requests::default() }
}

/// Reads the history of a cluster that is healthy, and returns `cluster.oversized` if it says so. Nothing is read of a cluster
/// that is younger than a week, serverless, or in the lab, whose traffic has no price.
///
/// # Errors
/// Why CloudWatch gave no answer.
pub async fn saving(
    aws: &Aws,
    context: &Context,
    source: &mut CloudWatch,
    now_ms: i64,
) -> Result<Option<Finding>, MetricsError> {
    if !is_sized(context) {
        return Ok(None);
    }
    let Some(Background { current, exclude, created_at_ms, .. }) = background(aws, context).await else {
        return Ok(None);
    };
    let week_ms = (LEAST_DAYS_FOR_SAVING * DAY_MS as f64) as i64;
    if created_at_ms.is_some_and(|created| now_ms - created < week_ms) {
        return Ok(None);
    }
    let mut samples = source.days(SAVING_DAYS, Resolution::Hours).await?;
    let from_ms = exclude.map_or(i64::MIN, |exclude| exclude.until_ms);
    samples.retain(|sample| sample.at_ms >= from_ms);
    Ok(oversized::finding(context, &samples, &current))
}

fn is_sized(context: &Context) -> bool {
    context.lab_scale.is_none() && context.kind != Some(ClusterKind::Serverless) && context.known_type().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_type_begins_the_model_and_removed_brokers_the_history() {
        let context = Context { broker_type: Some("kafka.m5.large".to_owned()), broker_count: 6, ..Context::default() };
        let operation = |kind: &str, state: &str, ended_at_ms| PastOperation {
            arn: String::new(),
            operation_type: kind.to_owned(),
            state: state.to_owned(),
            started_at_ms: Some(0),
            ended_at_ms,
        };
        let check = |operations: &[PastOperation], since_ms, until_ms| {
            let current = context.current().unwrap();
            let mut found = Background { current, exclude: None, created_at_ms: None, notes: Vec::new() };
            found.add(operations);
            assert_eq!((found.current.since_ms, found.exclude.map(|of| of.until_ms)), (since_ms, until_ms));
            assert_eq!(found.notes.len(), usize::from(until_ms.is_some()));
        };
        let (resize, remove) = ("UPDATE_BROKER_TYPE", "DECREASE_BROKER_COUNT");
        check(&[], None, None);
        let done = |kind, ended_at_ms| operation(kind, "UPDATE_COMPLETE", Some(ended_at_ms));
        check(&[done(resize, 500), done(resize, 300), operation(resize, "UPDATE_FAILED", Some(900))], Some(500), None);
        check(&[operation(resize, "UPDATE_IN_PROGRESS", None)], None, None);
        check(&[done(remove, 700), done("INCREASE_BROKER_COUNT", 800)], None, Some(700));
    }
}
