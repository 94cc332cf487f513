//! Several producers and consumer groups.

use super::{
    merged, objectives,
    read::{count, end_to_end},
};
use crate::{
    load::{
        merge::Standing,
        mix::{Mixed, MixedGroup, Rates},
    },
    visible,
};

/// A second of the load, in a line.
pub fn rates(rates: Rates) -> String {
    let Rates { offered_per_s, acknowledged_per_s, read_per_s } = rates;
    format!("{offered_per_s:.0} records/s due, {acknowledged_per_s:.0} acknowledged, {read_per_s:.0} read")
}

/// The result of a load of several producers and groups.
pub fn mixed(mixed: &Mixed) -> String {
    let mut lines = Vec::new();
    for one in &mixed.producers {
        lines.push(format!("producer {}\n{}\n", one.name, merged(&one.result)));
    }
    mixed.groups.iter().for_each(|of| lines.extend(group(of)));
    lines.extend(match mixed.standing {
        Standing::Whole => None,
        Standing::Partial => Some("partial: a part of the load is missing, as named above".to_owned()),
        Standing::Void => Some("void: this was not the load that was asked for, as named above".to_owned()),
    });
    lines.join("\n")
}

fn group(group: &MixedGroup) -> Vec<String> {
    let mut lines = vec![format!(
        "consumer {}: {} records ({} bytes) of {} by {} members in {:.1} s, {:.1} records/s, lag {} at the end, {} at most of one",
        group.name,
        group.read,
        group.bytes,
        group.topic,
        group.members,
        group.duration_s,
        group.read_per_s,
        count(group.lag),
        count(group.lag_max)
    )];
    if group.corrupted > 0 {
        lines.push(format!("{} records are damaged", group.corrupted));
    }
    if let Some(times) = &group.end_to_end {
        let by = match group.clock_uncertainty_ms {
            Some(0.0) => "by the clock of this machine".to_owned(),
            Some(ms) => format!("uncertain by {ms:.0} ms, because clocks of several machines are compared"),
            None => "by clocks of different machines, which were not compared: they say little".to_owned(),
        };
        lines.push(format!("{}, {by}", end_to_end(times)));
    }
    let faults = group.faults.iter();
    lines.extend(faults.map(|fault| format!("{}: {}", fault.machine, visible::line(&fault.reason))));
    lines.extend(objectives(&group.slo));
    lines
}
