//! Some brokers are saturated and others are not: another type is not the answer, and which answer it is was not seen.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    undersized::{all_saturated, is_saturated},
    window::{CPU_PERCENT, THROTTLED_PERCENT, names},
};
use crate::{
    finding_id,
    sample::{BrokerId, BrokerSample, Field},
};

/// Traffic of the busy brokers over that of the others from which on it counts as uneven (a design choice).
const UNEVEN_TIMES: f64 = 1.5;

pub const RULE: Rule = Rule {
    id: finding_id::INCONCLUSIVE_UNEVEN_LOAD,
    kind: Kind::Rest,
    judge,
    needs: Needs { any: &[&[Field::Cpu]], helps: &[Field::Traffic], of: Clusters::Provisioned },
    meaning: "Some brokers have used up their CPU while others have room. A larger type for all would hide it, not mend it.",
    told_apart: "Traffic of the busy broker tells: much more than the others' means a hot key or gathered leaders; the \
                 same means a weak broker.",
    in_the_lab: "create a topic whose partitions all have the same first replica, kgen produce to it, kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    if all_saturated(window)? {
        return None;
    }
    let (busy, calm): (Vec<BrokerId>, Vec<BrokerId>) =
        window.brokers().into_iter().partition(|id| is_saturated(window, *id));
    let mut evidence_for = Vec::new();
    for id in busy.iter().chain(&calm) {
        if let Some(cpu) = window.median(*id, BrokerSample::cpu_percent) {
            evidence_for.push(Evidence::measured(
                format!("broker {id}: CPU {cpu:.0} % of what it has"),
                cpu,
                CPU_PERCENT,
            ));
        }
        if let Some(throttled) = window.median(*id, |broker| broker.cpu_throttled_percent) {
            let text = format!("broker {id}: throttled in {throttled:.0} % of the periods");
            evidence_for.push(Evidence::measured(text, throttled, THROTTLED_PERCENT));
        }
    }
    let mean = |brokers: &[BrokerId]| {
        let values: Vec<f64> = brokers.iter().filter_map(|id| window.median(*id, |b| b.bytes_in_per_s)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let times = mean(&busy).zip(mean(&calm)).map(|(busy, calm)| busy / calm.max(1.0));
    let mut missing = Vec::new();
    let (cause, check) = match times {
        Some(times) if times >= UNEVEN_TIMES => {
            let text = format!("they take {times:.1} times the produce traffic of the others");
            evidence_for.push(Evidence::measured(text, times, UNEVEN_TIMES));
            (
                "more of the traffic is led by them: a hot key, or leaders gathered on them",
                "LeaderCount of each broker: uneven means leaders to move, even means a hot partition",
            )
        }
        Some(times) => {
            let text = format!("they take {times:.1} times the produce traffic of the others");
            evidence_for.push(Evidence::measured(text, times, UNEVEN_TIMES));
            (
                "they have less CPU for the same traffic, or do other work",
                "the broker's own history: if it was like the others before, reboot it (aws kafka reboot-broker)",
            )
        }
        None => {
            missing.push("BytesInPerSec of each broker".to_owned());
            ("a weak broker, a hot key or gathered leaders", "BytesInPerSec and LeaderCount of each broker")
        }
    };
    Some(Finding {
        title: format!(
            "only {} saturated: not a matter of the type",
            if busy.len() == 1 { "one broker is" } else { "some brokers are" }
        ),
        cause: format!("{}: {cause}", names(&busy)),
        brokers: busy,
        evidence_for,
        missing,
        check: Some(check.to_owned()),
        confidence: 0.7,
        anti_recommendations: vec![
            "do not resize for this: every broker gets larger, and the same one fills up again".to_owned(),
        ],
        ..Finding::default()
    })
}
