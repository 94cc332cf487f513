//! The load generator could not keep up, so the brokers were not tested.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
};
use crate::{finding_id, sample::Field};

pub const RULE: Rule = Rule {
    id: finding_id::CLIENT_GENERATOR_BOUND,
    kind: Kind::Rest,
    judge,
    needs: Needs { any: &[&[Field::Load]], helps: &[], of: Clusters::All },
    meaning: "The load generator fell behind its own schedule while the brokers had headroom, so this run does not \
              show what the cluster can handle.",
    told_apart: "The generator reports that it was late or that its queue was full, and no broker is saturated.",
    in_the_lab: "load.rate = 1000000 in kgen.toml, then kgen demo",
};

fn judge(window: &Window) -> Option<Finding> {
    let loads: Vec<_> = window.recent().iter().filter_map(|sample| sample.load).collect();
    let bound = loads.iter().filter(|load| load.generator_bound).count();
    if bound * 2 <= loads.len() {
        return None;
    }
    Some(Finding {
        title: "the load generator is the bottleneck".to_owned(),
        cause: "the generator cannot send as fast as requested, and no broker is saturated".to_owned(),
        evidence_for: [Some(Evidence::fact(format!("the generator was late in {bound} of {} intervals", loads.len())))]
            .into_iter()
            .chain([window.load_evidence()])
            .flatten()
            .collect(),
        check: Some("lower the rate, or run the generator on a larger machine".to_owned()),
        confidence: 0.8,
        anti_recommendations: vec!["do not treat this rate as the capacity of the cluster".to_owned()],
        ..Finding::default()
    })
}
