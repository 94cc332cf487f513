//! Some brokers are saturated and others are not: another type would not help, and the cause was not observed.

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
    meaning: "Some brokers have used up their CPU while others have headroom. A larger type for all of them would \
              hide this, not fix it.",
    told_apart: "By the traffic of the busy broker: much more than the others' means a hot key or unevenly placed \
                 leaders; the same means a weak broker.",
    in_the_lab: "create a topic whose partitions all have the same first replica, kgen produce to it, then kgen \
                 diagnose",
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
                format!("broker {id}: CPU is at {cpu:.0} % of its capacity"),
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
            let text = format!("they receive {times:.1} times the produce traffic of the others");
            evidence_for.push(Evidence::measured(text, times, UNEVEN_TIMES));
            (
                "they lead more of the traffic: a hot key, or unevenly placed leaders",
                "check LeaderCount of each broker: if it is uneven, leaders must move; if it is even, a partition is \
                 hot",
            )
        }
        Some(times) => {
            let text = format!("they receive {times:.1} times the produce traffic of the others");
            evidence_for.push(Evidence::measured(text, times, UNEVEN_TIMES));
            (
                "they have less CPU for the same traffic, or do other work",
                "check the broker's own history: if it used to be like the others, reboot it (aws kafka reboot-broker)",
            )
        }
        None => {
            missing.push("check BytesInPerSec of each broker".to_owned());
            (
                "a weak broker, a hot key or unevenly placed leaders",
                "check BytesInPerSec and LeaderCount of \
                                                                     each broker",
            )
        }
    };
    Some(Finding {
        title: format!(
            "only {} saturated, so the broker type is not the cause",
            if busy.len() == 1 { "one broker is" } else { "some brokers are" }
        ),
        cause: format!("{}: {cause}", names(&busy)),
        brokers: busy,
        evidence_for,
        missing,
        check: Some(check.to_owned()),
        confidence: 0.7,
        anti_recommendations: vec![
            "do not resize because of this: every broker gets larger, and the same one is saturated again".to_owned(),
        ],
        ..Finding::default()
    })
}
