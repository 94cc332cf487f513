//! A data volume that will be full soon.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    disk_full::full,
    window::names,
};
use crate::{
    finding_id,
    remedy::{Advice, Expand, Remedy},
    sample::{BrokerId, Field},
};

/// Use at which AWS wants an alarm, percent (MSK best practices).
pub const HIGH_PERCENT: f64 = 85.0;

/// A volume that is full sooner than this is worth a finding, hours (a design choice: a night).
pub const SOON_H: f64 = 12.0;

/// A rise of less than so many points within the window may be one segment.
pub const RISE_PERCENT: f64 = 1.0;

/// Below this, percent, a fast rise is the beginning of a load, and retention is still to set in.
pub const FORECAST_FROM_PERCENT: f64 = 50.0;

pub const RULE: Rule = Rule {
    id: finding_id::DISK_FILLING,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::DiskUsed]], helps: &[], of: Clusters::Standard },
    meaning: "The data volumes are filling up: more is written than retention deletes.",
    told_apart: "By disk use and its slope over the window; everything else may look normal. With disk.full no space \
                 is left.",
    in_the_lab: "a small file system for the data of a broker; tests/scenarios/disk_filling.toml has the samples",
};

fn judge(window: &Window) -> Option<Finding> {
    let mut finding = Finding::default();
    let mut rises = false;
    for id in window.brokers() {
        let Some((used, slope_per_h)) = trend(window, id) else { continue };
        if full(window, id).is_some() {
            continue;
        }
        let hours = (slope_per_h > 0.0).then(|| (100.0 - used) / slope_per_h);
        let soon = hours.filter(|hours| *hours <= SOON_H && used >= FORECAST_FROM_PERCENT);
        if used < HIGH_PERCENT && soon.is_none() {
            continue;
        }
        rises |= slope_per_h > 0.0;
        finding.brokers.push(id);
        finding.evidence_for.push(Evidence::measured(
            format!("broker {id}: data volume {used:.0} % full"),
            used,
            HIGH_PERCENT,
        ));
        if let Some(hours) = soon {
            let text = format!("broker {id}: full in {} at this rate", time(hours));
            finding.evidence_for.push(Evidence::measured(text, hours, SOON_H));
        }
    }
    if finding.brokers.is_empty() {
        return None;
    }
    let sure = finding.evidence_for.len() > finding.brokers.len();
    if !sure && !rises {
        return Some(high(finding));
    }
    let expand = window.context.volume_gib.and_then(|gib| Expand::twice(gib, "the volumes are filling up"));
    let advice = Advice::new("expand the volumes, or shorten retention.ms of the largest topic", &[]);
    Some(Finding {
        title: format!("the data volume of {} is filling up", names(&finding.brokers)),
        cause: "more is written than retention deletes".to_owned(),
        check: Some(
            "check the size of each topic (kafka-log-dirs.sh --describe): the retention of one that grows is too long"
                .to_owned(),
        ),
        confidence: if sure { 0.9 } else { 0.75 },
        remedy: Some(expand.map_or(Remedy::Advice(advice), Remedy::Expand)),
        anti_recommendations: vec![
            "do not wait for the alarm at 100 %: MSK allows one storage change in 6 hours".to_owned(),
        ],
        ..finding
    })
}

/// A volume that is high and was not seen to rise: where retention goes by size, it stays so. A suspicion.
fn high(finding: Finding) -> Finding {
    Finding {
        title: format!(
            "the data volume of {} is nearly full, but was not observed to be filling up",
            names(&finding.brokers)
        ),
        cause: "retention by size fills the volume on purpose, or the rise is too slow to show in the window"
            .to_owned(),
        missing: vec!["disk use over several hours".to_owned()],
        check: Some(
            "check KafkaDataLogsDiskUsed over the last day: flat means retention by size, a rise means that it is \
             filling up"
                .to_owned(),
        ),
        confidence: 0.45,
        remedy: Some(Remedy::Advice(Advice::new(
            "if it rises, expand the volumes or shorten retention",
            &["if it stays at this level, lower retention.bytes to leave space for a broker that catches up"],
        ))),
        anti_recommendations: vec!["do not expand a volume that is not filling up: volumes cannot shrink".to_owned()],
        ..finding
    }
}

/// Use now, percent, and its rise, percent an hour, by least squares over every sample.
fn trend(window: &Window, id: BrokerId) -> Option<(f64, f64)> {
    let points: Vec<(f64, f64)> = window
        .all()
        .iter()
        .filter_map(|sample| Some((sample.at_ms as f64 / 3_600_000.0, sample.brokers.get(&id)?.disk_used_percent?)))
        .collect();
    let (first, last) = (points.first()?, points.last()?);
    let n = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / n;
    let (at, used) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - at).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - at) * (point.1 - used)).sum::<f64>() / spread.max(1e-12);
    Some((last.1, if last.1 - first.1 >= RISE_PERCENT { slope } else { 0.0 }))
}

fn time(hours: f64) -> String {
    if hours < 1.0 { format!("{:.0} minutes", (hours * 60.0).ceil()) } else { format!("{hours:.1} hours") }
}
