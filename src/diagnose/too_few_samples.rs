//! The brokers were not observed long enough.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
};
use crate::finding_id;

pub const RULE: Rule = Rule {
    id: finding_id::INCONCLUSIVE_TOO_FEW_SAMPLES,
    kind: Kind::Gate,
    judge,
    needs: Needs { any: &[], helps: &[], of: Clusters::All },
    meaning: "The brokers were not observed long enough to distinguish a burst, or a JVM that is warming up, from a \
              lasting state.",
    told_apart: "By the time covered: 15 seconds and three samples from Prometheus, two datapoints from CloudWatch.",
    in_the_lab: "kgen diagnose --window 5s",
};

fn judge(window: &Window) -> Option<Finding> {
    let (seconds, samples) = window.lacking()?;
    // Where datapoints are read and there are none, more of them would not come of a longer window: `no_data` tells.
    if window.all().is_empty() && window.context.reads_cloudwatch() {
        return None;
    }
    let lacking = match (seconds, window.is_cloudwatch()) {
        (_, true) => format!("{samples} more datapoints, one a minute"),
        (seconds, false) if seconds > 0.0 => format!("{seconds:.0} more seconds"),
        _ => format!("{samples} more samples"),
    };
    Some(Finding {
        title: "not observed long enough".to_owned(),
        cause: format!("{} samples are too few for a verdict", window.all().len()),
        evidence_for: vec![Evidence::fact(format!("{} samples were taken", window.all().len()))],
        missing: vec![lacking],
        check: Some(
            if window.is_cloudwatch() {
                "diagnose again in a few minutes: there is one datapoint each minute"
            } else {
                "diagnose with a longer --window"
            }
            .to_owned(),
        ),
        confidence: 1.0,
        ..Finding::default()
    })
}
