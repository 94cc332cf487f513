//! A producer.

use comfy_table::Table;

use super::{objectives, times};
use crate::load::producer::{Summary, Tick};

/// A second of the load, in a line.
pub fn sent_second(tick: &Tick) -> String {
    let ms = |time: Option<f64>| time.map_or("none".to_owned(), |time| format!("{time:.1} ms"));
    let sample = &tick.sample;
    let mut line = format!(
        "{:.0} s: {:.0} records/s due, {:.0} acknowledged, {} outstanding, p50 {}, p99 {} (from the send {})",
        tick.at_s,
        sample.offered_per_s,
        sample.acknowledged_per_s,
        sample.outstanding,
        ms(sample.p50_ms),
        ms(sample.p99_ms),
        ms(tick.service_p99_ms)
    );
    if tick.total_failed > 0 {
        line += &format!(", {} failed so far", tick.total_failed);
    }
    if sample.generator_bound {
        line += ", generator bound";
    }
    line
}

/// The summary of a load that was sent.
pub fn produced(summary: &Summary) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let asked = summary.rate_asked.map_or("as fast as possible".to_owned(), |rate| format!("{rate:.1} asked"));
    table.add_row(["run".to_owned(), summary.run.clone()]);
    table.add_row(["duration".to_owned(), format!("{:.1} s", summary.duration_s)]);
    table.add_row(["records/s".to_owned(), format!("{:.1} reached, {asked}", summary.rate_reached)]);
    table.add_row(["records due".to_owned(), summary.offered.to_string()]);
    table.add_row(["acknowledged".to_owned(), summary.acknowledged.to_string()]);
    let codes: Vec<_> = summary.failed.iter().map(|(code, count)| format!("{count} {code}")).collect();
    table.add_row(["failed".to_owned(), if codes.is_empty() { "0".to_owned() } else { codes.join(", ") }]);
    if summary.unsent > 0 {
        table.add_row(["due, never sent".to_owned(), summary.unsent.to_string()]);
    }
    let times = times(&[
        ("response (from due)", &summary.response),
        ("service (from sent)", &summary.service),
        ("send error", &summary.send_error),
    ]);
    let mut lines = vec![table.to_string(), times];
    if summary.generator_bound {
        lines.push(format!(
            "generator bound: {:.2} % of the records were sent more than 100 ms late or never ({} because the \
             client's queue was full, {} because this machine was busy); these times say little about the cluster",
            summary.late_share * 100.0,
            summary.late_queue_full,
            summary.late_generator
        ));
    }
    lines.extend(objectives(&summary.slo));
    lines.push(format!("proof: kgen consume --verify {} --topic {}", summary.run, summary.topic));
    lines.join("\n")
}
