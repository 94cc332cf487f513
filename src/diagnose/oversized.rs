//! The cluster costs more than what carries its load: a cheaper shape has the same headroom. Said beside the verdict: what is
//! paid for twice over is no trouble.

use super::{
    Context, Diagnosis, Evidence, Finding, Kind, Rule, Verdict, Window,
    coverage::{Clusters, Needs},
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::{Field, Sample},
    sizing::{Current, LEAST_DAYS_FOR_SAVING, LEAST_SAVING, Question, Sizing, size},
};

/// Confidence where CPU was measured on the cluster's own minutes; the second where published figures had to help.
const MEASURED: f64 = 0.8;
const SCALED: f64 = 0.6;

pub const RULE: Rule = Rule {
    id: finding_id::CLUSTER_OVERSIZED,
    kind: Kind::Saving,
    judge,
    needs: Needs { any: &[&[Field::Cpu, Field::Traffic]], helps: &[], of: Clusters::Provisioned },
    meaning: "A cheaper broker type or count carries the load of the last days with the same headroom: one broker away, CPU \
              below 60 %, every other limit kept.",
    told_apart: "By the history, not by the moment: seven days at least, and a saving of a tenth at least. The verdict stays \
                 healthy. kgen size shows the shapes and how certain the prediction is.",
    in_the_lab: "a week of history is needed; tests/scenarios/oversized.toml has the samples",
};

fn judge(window: &Window) -> Option<Finding> {
    let days = |samples: &[Sample]| Some(samples.last()?.at_ms - samples.first()?.at_ms);
    let is_long = days(window.all())? as f64 >= (LEAST_DAYS_FOR_SAVING - 0.1) * 86_400_000.0;
    is_long.then(|| finding(window.context, window.all(), &window.context.current()?)).flatten()
}

/// What the history of a cluster says of its price; nothing where it is too short or too little would be saved.
pub fn finding(context: &Context, history: &[Sample], current: &Current) -> Option<Finding> {
    let sizing = size(current, history, &Question::usual()).ok()?;
    let saving = sizing.saving()?;
    let (now, then) = (sizing.current.shape, saving.shape);
    Some(Finding {
        id: finding_id::CLUSTER_OVERSIZED,
        title: format!("{now} costs USD {:.0} a month more than {then} would", saving.usd_per_month),
        cause: format!(
            "{then} would carry the peak of {:.0} days with one broker away and CPU below 60 %; fewer brokers: {}",
            sizing.certainty.days, sizing.count_bound
        ),
        evidence_for: evidence(&sizing, saving.percent),
        missing: sizing.certainty.notes.clone(),
        confidence: if sizing.certainty.basis == crate::sizing::Basis::Measured { MEASURED } else { SCALED },
        remedy: Some(Remedy::Advice(Advice::new(
            &format!("change {now} to {then}: saves USD {:.0} a month (brokers, us-east-1)", saving.usd_per_month),
            &["see the other shapes, and how certain the prediction is: kgen size"],
        ))),
        anti_recommendations: vec![format!(
            "do not change the brokers of {} in its busy hours: each is restarted in turn",
            context.cluster
        )],
        ..Finding::default()
    })
}

fn evidence(sizing: &Sizing, percent: f64) -> Vec<Evidence> {
    let saved = format!("saves {percent:.0} % of the price of the brokers");
    let mut evidence = vec![Evidence::measured(saved, percent, LEAST_SAVING * 100.0)];
    let Some(chosen) = sizing.shapes.iter().find(|judged| judged.fits && sizing.is_chosen(judged)) else {
        return evidence;
    };
    let text = format!(
        "CPU there at the peak: {:.0} %, right within ±{:.0} %",
        chosen.cpu_percent, sizing.certainty.interval_percent
    );
    evidence.push(Evidence::seen(text, chosen.cpu_percent));
    let peak = &sizing.peak;
    evidence.push(Evidence::seen(format!("peak: {:.1} MB/s in", peak.bytes_in_per_s / 1e6), peak.bytes_in_per_s));
    evidence.extend(peak.cpu_percent.map(|cpu| Evidence::seen(format!("CPU now, at the peak: {cpu:.0} %"), cpu)));
    evidence
}

impl Diagnosis {
    /// Adds the finding of [`finding`] to a healthy verdict.
    pub fn add_saving(&mut self, finding: Option<Finding>) {
        let is_known = self.findings.iter().any(|known| known.id == finding_id::CLUSTER_OVERSIZED);
        if self.verdict == Verdict::Healthy && !is_known {
            self.findings.extend(finding);
        }
    }
}
