//! The brokers, a line each. Columns that do not fit are left out, the least informative first.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{palette::Palette, view::View};
use crate::sample::{BrokerId, BrokerSample, BrokerState, RequestTimes};

/// CPU above which a broker has no room left for a restart of another, percent (MSK best practices: keep it under 60 %).
pub const BUSY_PERCENT: f64 = 60.0;
/// Heap after garbage collection that MSK advises to stay under, percent (MSK best practices: "below 60%").
const HEAP_PERCENT: f64 = 60.0;

/// Cells of a bar.
const BAR: usize = 10;

struct Column {
    title: &'static str,
    width: usize,
    /// The lower, the longer it stays.
    rank: u8,
    cell: fn(&BrokerSample, Palette) -> Vec<Span<'static>>,
}

const COLUMNS: [Column; 17] = [
    Column { title: "state", width: 8, rank: 10, cell: |broker, palette| vec![state(broker, palette)] },
    Column { title: "CPU of allowed", width: 15, rank: 0, cell: cpu },
    Column {
        title: "held",
        width: 4,
        rank: 3,
        cell: |broker, palette| vec![percent(broker.cpu_throttled_percent, Some(20.0), palette)],
    },
    Column {
        title: "mem",
        width: 4,
        rank: 5,
        cell: |broker, palette| vec![percent(broker.memory_percent(), None, palette)],
    },
    Column { title: "heap", width: 4, rank: 6, cell: heap },
    Column { title: "prod ms", width: 7, rank: 2, cell: |broker, _| vec![ms(broker, |times| Some(times.total_ms))] },
    Column { title: "made of", width: BAR, rank: 7, cell: |broker, palette| parts(broker.produce.as_ref(), palette) },
    Column { title: "queue", width: 6, rank: 11, cell: |broker, _| vec![ms(broker, |times| times.queue_ms)] },
    Column { title: "local", width: 6, rank: 11, cell: |broker, _| vec![ms(broker, |times| times.local_ms)] },
    Column { title: "remote", width: 6, rank: 11, cell: |broker, _| vec![ms(broker, |times| times.remote_ms)] },
    Column { title: "send", width: 6, rank: 11, cell: |broker, _| vec![ms(broker, |times| times.send_ms)] },
    Column { title: "in MB/s", width: 7, rank: 8, cell: |broker, _| vec![megabytes(broker.bytes_in_per_s)] },
    Column { title: "out", width: 6, rank: 9, cell: |broker, _| vec![megabytes(broker.bytes_out_per_s)] },
    Column {
        title: "URP",
        width: 4,
        rank: 1,
        cell: |broker, palette| vec![count(broker.under_replicated_partitions, palette)],
    },
    Column {
        title: "<minISR",
        width: 7,
        rank: 12,
        cell: |broker, palette| vec![count(broker.under_min_isr_partitions, palette)],
    },
    Column { title: "leads", width: 9, rank: 13, cell: |broker, _| vec![leads(broker)] },
    Column {
        title: "conns",
        width: 6,
        rank: 14,
        cell: |broker, _| vec![Span::raw(broker.connection_count.map_or("-".to_owned(), |count| count.to_string()))],
    },
];

/// The heading and a line for each of `brokers`, as wide as `width` allows.
pub fn lines<'a>(
    brokers: impl Iterator<Item = (&'a BrokerId, &'a BrokerSample)>,
    width: usize,
    view: &View,
    palette: Palette,
) -> (Line<'static>, Vec<Line<'static>>) {
    let columns = fitting(width);
    let mut heading = format!("{:>6}", "broker");
    for column in &columns {
        let (title, width) = (column.title, column.width);
        heading += &if is_left(column) { format!(" {title:<width$}") } else { format!(" {title:>width$}") };
    }
    let rows = brokers.map(|(id, broker)| {
        let is_selected = view.selected == Some(*id);
        let style = if is_selected { palette.selected() } else { Style::new() };
        let mut spans = vec![Span::styled(format!("{}{id:>5}", if is_selected { '>' } else { ' ' }), style)];
        for column in &columns {
            let cell =
                if column.rank == 0 && broker.state != BrokerState::Serving && !columns.iter().any(|c| c.rank == 10) {
                    vec![state(broker, palette)]
                } else {
                    (column.cell)(broker, palette)
                };
            let used: usize = cell.iter().map(Span::width).sum();
            let room = " ".repeat(column.width.saturating_sub(used));
            spans.push(Span::raw(" "));
            if is_left(column) {
                spans.extend(cell);
                spans.push(Span::raw(room));
            } else {
                spans.push(Span::raw(room));
                spans.extend(cell);
            }
        }
        Line::from(spans)
    });
    (Line::styled(heading.trim_end().to_owned(), palette.heading()), rows.collect())
}

fn is_left(column: &Column) -> bool {
    column.width >= 8 && column.title != "leads"
}

fn fitting(width: usize) -> Vec<&'static Column> {
    let mut columns: Vec<&Column> = COLUMNS.iter().collect();
    while columns.len() > 1 && 6 + columns.iter().map(|column| column.width + 1).sum::<usize>() > width {
        // Those of one rank go together: half of the parts would be taken for the whole.
        let last = columns.iter().map(|column| column.rank).max();
        columns.retain(|column| Some(column.rank) != last);
    }
    columns
}

fn state(broker: &BrokerSample, palette: Palette) -> Span<'static> {
    match broker.state {
        BrokerState::Serving => Span::raw("serving"),
        BrokerState::Starting => Span::styled("starting", palette.warning()),
        BrokerState::Unreachable => Span::styled("no reply", palette.bad()),
    }
}

/// A bar with the figure; `!` where there is no room left.
fn cpu(broker: &BrokerSample, palette: Palette) -> Vec<Span<'static>> {
    let Some(cpu) = broker.cpu_percent() else { return vec![Span::raw("-")] };
    let full = ((cpu / 100.0 * BAR as f64).round() as usize).min(BAR);
    let (style, sign) = match cpu {
        c if c > BUSY_PERCENT => (if c > 85.0 { palette.bad() } else { palette.warning() }, '!'),
        _ => (palette.good(), ' '),
    };
    vec![
        Span::styled("█".repeat(full), style),
        Span::styled("░".repeat(BAR - full), palette.faint()),
        Span::styled(format!("{cpu:>3.0}%{sign}"), style),
    ]
}

/// Where produce requests spend their time, a letter for each tenth of it.
fn parts(times: Option<&RequestTimes>, palette: Palette) -> Vec<Span<'static>> {
    let Some(times) = times else { return vec![Span::raw("-")] };
    let parts = [('q', times.queue_ms), ('l', times.local_ms), ('r', times.remote_ms), ('s', times.send_ms)];
    let sum: f64 = parts.iter().filter_map(|(_, ms)| *ms).sum();
    if sum <= 0.0 {
        return vec![Span::raw("-")];
    }
    let (mut below, mut used) = (0.0, 0);
    let mut spans = Vec::new();
    for (letter, ms) in parts {
        below += ms.unwrap_or(0.0);
        let upto = (below / sum * BAR as f64).round() as usize;
        spans.push(Span::styled(letter.to_string().repeat(upto.saturating_sub(used)), palette.part(letter)));
        used = upto.max(used);
    }
    spans
}

/// After collection, against what is advised; else what is in use now, which is high on a healthy broker too.
fn heap(broker: &BrokerSample, palette: Palette) -> Vec<Span<'static>> {
    let after_gc = broker.heap_after_gc_percent;
    vec![percent(after_gc.or(broker.heap_used_percent), after_gc.map(|_| HEAP_PERCENT), palette)]
}

fn percent(value: Option<f64>, limit: Option<f64>, palette: Palette) -> Span<'static> {
    match value {
        None => Span::raw("-"),
        Some(value) if limit.is_some_and(|limit| value > limit) => {
            Span::styled(format!("{value:.0}%"), palette.warning())
        }
        Some(value) => Span::raw(format!("{value:.0}%")),
    }
}

fn ms(broker: &BrokerSample, of: impl Fn(&RequestTimes) -> Option<f64>) -> Span<'static> {
    let text = match broker.produce.as_ref().and_then(of) {
        None => "-".to_owned(),
        Some(ms) if ms >= 9999.5 => format!("{:.0}s", ms / 1000.0),
        Some(ms) if ms >= 99.95 => format!("{ms:.0}"),
        Some(ms) => format!("{ms:.1}"),
    };
    Span::raw(text)
}

fn megabytes(bytes: Option<f64>) -> Span<'static> {
    let text = match bytes.map(|bytes| bytes / 1e6) {
        None => "-".to_owned(),
        Some(mb) if mb >= 100.0 => format!("{mb:.0}"),
        Some(mb) => format!("{mb:.2}"),
    };
    Span::raw(text)
}

/// A number that ought to be zero; `!` where it is not.
fn count(value: Option<u64>, palette: Palette) -> Span<'static> {
    match value {
        None => Span::raw("-"),
        Some(0) => Span::raw("0"),
        Some(count) => Span::styled(format!("{count}!"), palette.bad()),
    }
}

/// Partitions led, of those it has.
fn leads(broker: &BrokerSample) -> Span<'static> {
    let number = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    Span::raw(format!("{}/{}", number(broker.leader_count), number(broker.partition_count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_telling_columns_go_first() {
        let titles = |width| fitting(width).iter().map(|column| column.title).collect::<Vec<_>>();
        assert_eq!(titles(160).len(), COLUMNS.len());
        let at_80 = titles(80);
        for title in ["CPU of allowed", "held", "mem", "heap", "prod ms", "made of", "in MB/s", "out", "URP"] {
            assert!(at_80.contains(&title), "{at_80:?}");
        }
        assert_eq!(titles(40), ["CPU of allowed", "held", "prod ms", "URP"]);
        assert_eq!(titles(10), ["CPU of allowed"]);
    }

    #[test]
    fn only_heap_after_collection_is_judged() {
        let palette = Palette { is_coloured: true };
        let style = |broker: BrokerSample| heap(&broker, palette)[0].style;
        let used = BrokerSample { heap_used_percent: Some(98.0), ..BrokerSample::default() };
        let after = BrokerSample { heap_after_gc_percent: Some(98.0), ..BrokerSample::default() };
        assert_eq!((style(used), style(after)), (Style::new(), palette.warning()));
    }

    #[test]
    fn the_parts_of_a_produce_request_fill_the_bar() {
        let times = |queue, local, remote, send| RequestTimes {
            queue_ms: Some(queue),
            local_ms: Some(local),
            remote_ms: Some(remote),
            send_ms: Some(send),
            ..RequestTimes::default()
        };
        let text = |times: &RequestTimes| -> String {
            parts(Some(times), Palette { is_coloured: false }).iter().map(|span| span.content.to_string()).collect()
        };
        assert_eq!(text(&times(1.0, 2.0, 7.0, 0.0)), "qllrrrrrrr");
        assert_eq!(text(&times(0.04, 0.0, 0.0, 9.0)), "ssssssssss");
        assert_eq!(text(&times(0.0, 0.0, 0.0, 0.0)), "-");
    }
}
