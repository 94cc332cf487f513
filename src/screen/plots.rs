//! The available charts. A chart without data is left out.

use super::{
    chart::{Chart, Drawn, Scale},
    model::Model,
    series::{Metric, Series},
    view::View,
};

/// Time that a chart spans at least, s.
const SHORTEST: f64 = 10.0;

/// The charts of `model`, the most informative first.
pub fn plots<'a>(model: &'a Model, view: &View) -> Vec<Chart<'a>> {
    let Some(first) = model.first_measured() else { return Vec::new() };
    let from = first.max(model.now - view.window_s()).min(model.now);
    let to = model.now.max(from + SHORTEST);
    let brokers = model.series(view.selected);
    let loads = model.loads();
    // What a figure is of: a broker, or of several the worst, or all.
    let (worst, sum) = match view.selected {
        Some(broker) => (format!("broker {broker}"), format!("broker {broker}")),
        None if model.brokers.len() == 1 => ("the broker".to_owned(), "the broker".to_owned()),
        None => ("worst broker".to_owned(), "all brokers".to_owned()),
    };
    let chart = |short_title: &'static str,
                 of: &str,
                 y: Scale,
                 series: &Series,
                 lines: &[(&'static str, char, Metric)]| {
        let seen: Vec<_> = lines.iter().filter(|(_, _, metric)| series.has(*metric)).collect();
        let is_stacked = lines.iter().all(|(_, letter, _)| *letter != ' ');
        // A part alone would be taken for the whole.
        let wanted = if is_stacked { lines.len() } else { 1 };
        (seen.len() >= wanted).then(|| Chart {
            title: if of.is_empty() { short_title.to_owned() } else { format!("{short_title}, {of}") },
            short_title,
            lines: seen.into_iter().map(|(name, letter, metric)| drawn(name, *letter, series, *metric, from)).collect(),
            is_stacked,
            y,
            from,
            to,
            marks: &model.marks,
        })
    };
    let charts = [
        chart("CPU %", &worst, Scale::Percent, brokers, &[("used", ' ', Metric::Cpu), ("held", ' ', Metric::Held)]),
        chart(
            "response ms",
            "load",
            Scale::Logarithmic,
            loads,
            &[("p99", ' ', Metric::P99), ("p50", ' ', Metric::P50)],
        ),
        chart(
            "produce ms",
            &worst,
            Scale::Linear,
            brokers,
            &[("", 'q', Metric::Queue), ("", 'l', Metric::Local), ("", 'r', Metric::Remote), ("", 's', Metric::Send)],
        ),
        chart(
            "records/s",
            "",
            Scale::Linear,
            loads,
            &[("acked", ' ', Metric::Acknowledged), ("due", ' ', Metric::Offered)],
        ),
        chart("bytes/s", &sum, Scale::Linear, brokers, &[("in", ' ', Metric::BytesIn), ("out", ' ', Metric::BytesOut)]),
        chart(
            "memory %",
            &worst,
            Scale::Percent,
            brokers,
            &[("RAM", ' ', Metric::Memory), ("heap", ' ', Metric::Heap)],
        ),
        chart("under-replicated", &sum, Scale::Linear, brokers, &[("", ' ', Metric::UnderReplicated)]),
    ];
    charts.into_iter().flatten().collect()
}

fn drawn(name: &'static str, letter: char, series: &Series, metric: Metric, from: f64) -> Drawn {
    let points = series.points().iter().filter(|point| point.at >= from);
    Drawn { name, letter, points: points.map(|point| (point.at, point.get(metric))).collect() }
}
