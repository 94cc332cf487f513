//! Many machines.

use comfy_table::Table;

use super::{objectives, times};
use crate::{
    load::merge::{Fault, Merged, Silence, Standing},
    visible,
};

/// The result of a load that many machines sent.
pub fn merged(merged: &Merged) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let asked = merged.rate_asked.map_or("as fast as possible".to_owned(), |rate| format!("{rate:.1} asked"));
    let mut row = |name: &str, text: String| {
        table.add_row([name.to_owned(), text]);
    };
    row("run", merged.run.clone());
    row("machines", format!("{} of {} reported", merged.reported, merged.machines.len()));
    row("duration", format!("{:.1} s", merged.duration_s));
    row("records/s", format!("{:.1} reached, {:.1} offered, {asked}", merged.rate_reached, merged.rate_offered));
    row("records due", merged.offered.to_string());
    row("acknowledged", merged.acknowledged.to_string());
    let codes: Vec<_> = merged.failed.iter().map(|(code, count)| format!("{count} {code}")).collect();
    row("failed", if codes.is_empty() { "0".to_owned() } else { codes.join(", ") });
    if merged.unsent > 0 {
        row("due, never sent", merged.unsent.to_string());
    }
    if let Some(spread) = merged.start_spread_ms {
        row("start spread", format!("{spread:.1} ms, each by its own clock"));
    }
    let times = times(&[
        ("response (from due)", &merged.response),
        ("service (from sent)", &merged.service),
        ("send error", &merged.send_error),
    ]);
    let mut lines = vec![table.to_string(), times];
    for share in &merged.machines {
        lines.extend(share.faults.iter().map(|fault| format!("{}: {}", share.machine, described(fault))));
    }
    lines.extend(match merged.standing {
        Standing::Whole => None,
        Standing::Partial => Some("partial: these figures are those of the machines that reported".to_owned()),
        Standing::Void => Some(
            "void: this was not the load that was asked for; these figures say little about the cluster".to_owned(),
        ),
    });
    lines.extend(objectives(&merged.slo));
    lines.push(format!("proof: kgen consume --verify {} --topic {}", merged.run, merged.topic));
    lines.join("\n")
}

fn described(fault: &Fault) -> String {
    match fault {
        Fault::StartedLate { late_ms } => format!("started {late_ms:.0} ms late"),
        Fault::ClockOff { at_least_ms } => format!("its clock is off by {at_least_ms:.0} ms or more"),
        Fault::GeneratorBound { late_share } => {
            format!(
                "generator bound: {:.2} % of its records were sent more than 100 ms late or never",
                late_share * 100.0
            )
        }
        Fault::Stopped => "was stopped before its schedule was over".to_owned(),
        Fault::Silent { why, reason } => {
            let what = match why {
                Silence::Refused => "did not begin",
                Silence::Died => "died",
                Silence::DiskFull => "its disk is full",
                Silence::Stopped => "was stopped before it could report",
                Silence::LostContact => "nothing is known of it",
                Silence::Mistaken => "its report does not count",
            };
            format!("{what} ({})", visible::line(reason))
        }
    }
}
