//! A consumer, and the proof of a run.

use comfy_table::Table;

use super::objectives;
use crate::load::{
    consumer::{Consumed, ReadTick},
    latency::Quantiles,
    verify::Verification,
};

/// A second of reading, in a line.
pub fn read_second(tick: &ReadTick) -> String {
    let behind = tick.end_to_end_p99_ms.map_or(String::new(), |p99| format!(", p99 {p99:.0} ms after due"));
    let stalled = if tick.stalled { ", paused" } else { "" };
    format!(
        "{:.0} s: {} records read, {:.0} records/s, lag {}{behind}{stalled}",
        tick.at_s,
        tick.read,
        tick.read_per_s,
        count(tick.lag)
    )
}

/// What was read.
pub fn consumed(consumed: &Consumed) -> String {
    let mut lines = vec![format!(
        "{} records ({} bytes) in {:.1} s, {:.1} records/s, lag {} at the end, {} at most",
        consumed.read,
        consumed.bytes,
        consumed.duration_s,
        consumed.read_per_s,
        count(consumed.lag),
        count(consumed.lag_max)
    )];
    if consumed.stalled_s > 0.0 {
        lines.push(format!("paused for {:.1} s", consumed.stalled_s));
    }
    if consumed.corrupted > 0 {
        lines.push(format!("{} records are damaged", consumed.corrupted));
    }
    lines.extend(consumed.end_to_end.as_ref().map(end_to_end));
    lines.extend(objectives(&consumed.slo));
    lines.join("\n")
}

/// What a topic holds of a run.
pub fn verification(topic: &str, found: &Verification) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let mut row = |name: &str, count: u64| {
        table.add_row([name.to_owned(), count.to_string()]);
    };
    row("records read", found.read);
    row("of other runs", found.foreign);
    row("acknowledged", found.acknowledged);
    row("lost", found.lost);
    row("duplicates", found.duplicates);
    row("reordered", found.reordered);
    row("corrupted", found.corrupted);
    row("reported as failed", found.failed);
    row("  there nevertheless", found.failed_but_there);
    row("unknown to the ledger", found.unknown);
    row("  there", found.unknown_but_there);
    let mut lines = vec![format!("topic {topic}"), table.to_string()];
    if !found.ledger_complete {
        lines.push("the ledger was not closed: its producer did not exit normally".to_owned());
    }
    if found.partitions_cut > 0 {
        lines.push(format!(
            "retention has deleted the beginning of {} partitions: the lost records may have been there",
            found.partitions_cut
        ));
    }
    let lost = found.lost_examples.iter();
    lines.extend(lost.map(|(producer, sequence)| format!("lost: producer {producer}, sequence {sequence}")));
    lines.join("\n")
}

/// A lag, where it is known.
pub fn count(lag: Option<u64>) -> String {
    lag.map_or("unknown".to_owned(), |lag| lag.to_string())
}

/// The times from due to read.
pub fn end_to_end(times: &Quantiles) -> String {
    let Quantiles { p50_ms, p99_ms, p99_9_ms, max_ms, .. } = times;
    format!(
        "end to end (from due to read): p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, p99.9 {p99_9_ms:.1} ms, max {max_ms:.1} ms"
    )
}
