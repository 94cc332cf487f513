//! The lab's machine lacks CPU, so the measurement shows the machine, not the brokers.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    window::THROTTLED_PERCENT,
};
use crate::{finding_id, statistics::median};

/// CPU pressure above which a run in the lab is void, percent (a starting point; 98 was seen on a starved machine).
pub const PRESSURE_PERCENT: f64 = 40.0;

pub const RULE: Rule = Rule {
    id: finding_id::LAB_HOST_CONTENTION,
    kind: Kind::Gate,
    judge,
    needs: Needs { any: &[], helps: &[], of: Clusters::Provisioned },
    meaning: "Other work on the lab's machine took the CPU reserved for the brokers. The run is void: neither healthy \
              nor undersized.",
    told_apart: "CPU pressure of the machine is high and produce requests are slow, but no broker reaches its own \
                 limit. Brokers that are throttled by their limit raise the pressure as well, so if one is throttled, \
                 the brokers are judged as usual.",
    in_the_lab: "run one `yes > /dev/null` for each core of the machine, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let pressure = median(window.recent().iter().filter_map(|sample| sample.host_cpu_pressure_percent).collect())?;
    // Tasks that wait for their quota count as waiting for the CPU, so one throttled broker alone explains the pressure.
    let throttled = window.most_throttled()?;
    let slow: Vec<Evidence> = window.brokers().into_iter().filter_map(|id| window.slow_produce(id)).collect();
    if pressure <= PRESSURE_PERCENT || throttled >= THROTTLED_PERCENT || slow.is_empty() {
        return None;
    }
    let mut evidence_for =
        vec![Evidence::measured(format!("CPU pressure of the machine is {pressure:.0} %"), pressure, PRESSURE_PERCENT)];
    evidence_for.extend(slow);
    let limit = format!(
        "at most {throttled:.0} % of a broker's CPU periods were throttled, so the brokers' limit is not the \
                 cause"
    );
    evidence_for.push(Evidence::measured(limit, throttled, THROTTLED_PERCENT));
    Some(Finding {
        title: "void: the lab's machine is busy with other work".to_owned(),
        cause: "other processes on the machine use the CPU reserved for the brokers".to_owned(),
        evidence_for,
        check: Some("run `top`, stop the other work, and diagnose again".to_owned()),
        confidence: 0.85,
        anti_recommendations: vec!["do not resize because of this run".to_owned()],
        ..Finding::default()
    })
}
