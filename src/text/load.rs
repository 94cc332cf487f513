//! The results of a load, and its progress: of a producer, of a consumer, of several of them, of many machines.

mod merged;
mod mixed;
mod read;
mod sent;

use comfy_table::Table;

pub use merged::merged;
pub use mixed::{mixed, rates};
pub use read::{consumed, read_second, verification};
pub use sent::{produced, sent_second};

use crate::load::{latency::Quantiles, slo::Judged};

/// The quantiles of each kind of time that was measured.
fn times(kinds: &[(&str, &Option<Quantiles>)]) -> String {
    let mut times = Table::new();
    times.load_style(comfy_table::presets::NOTHING);
    times.set_header(["ms", "mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"]);
    for (name, q) in kinds.iter().filter_map(|(name, times)| Some((*name, times.as_ref()?))) {
        let figures = [q.mean_ms, q.p50_ms, q.p90_ms, q.p95_ms, q.p99_ms, q.p99_9_ms, q.p99_99_ms, q.max_ms];
        times.add_row(std::iter::once(name.to_owned()).chain(figures.iter().map(|ms| format!("{ms:.2}"))));
    }
    times.to_string()
}

/// Each objective, what was reached, and whether that keeps it.
fn objectives(slo: &[Judged]) -> impl Iterator<Item = String> {
    slo.iter().map(|Judged { objective, reached, kept, .. }| {
        let reached = reached.map_or("nothing was measured".to_owned(), |reached| format!("{reached:.3} reached"));
        format!("objective {objective}: {}, {reached}", if *kept { "kept" } else { "missed" })
    })
}
