//! The charts of a run: its load, its cluster, each broker. Missing data is listed instead of drawing empty charts.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    chart::{Chart, Line, Mark, Stretch},
    scale::{Axis, minutes},
    stretches::Stretches,
};
use crate::{
    run::{LoadSecond, Observed, Run},
    sample::{BrokerId, BrokerSample, BrokerState},
};

/// Brokers that get charts of their own; of more, those with the highest CPU.
pub const BROKERS: usize = 12;
/// Marks that are numbered; a cluster that was watched for days may have more.
const MARKS: usize = 20;
/// A gap is drawn where this many times the usual time between two values has passed, and at least so many s.
const GAP_TIMES: f64 = 3.5;
const GAP_AT_LEAST_S: f64 = 3.0;

/// Sizes of the drawings: about what they have on the page, so that letters are as large as the text's.
const WIDE: (f64, f64) = (420.0, 160.0);
const PANEL: (f64, f64) = (350.0, 110.0);

/// Charts that belong together.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    pub title: &'static str,
    pub what: &'static str,
    pub panels: Vec<Panel>,
    /// What could not be drawn.
    pub missing: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Panel {
    pub title: String,
    pub svg: String,
}

/// Everything that the charts of one run have in common.
pub struct Frame {
    from: f64,
    to: f64,
    marks: Vec<Mark>,
    stretches: Vec<Stretch>,
    /// Marks in words, for the descriptions.
    told: String,
}

impl Frame {
    /// `None` when the run has neither samples nor seconds of load.
    pub fn of(run: &Run, stretches: Option<&Stretches>) -> Option<Frame> {
        let samples = run.samples().map(|observed| run.seconds_at(observed.sample.at_ms));
        let loads = run.loads().map(|(at, _)| run.seconds_at(at.as_millisecond()));
        let drawn: Vec<f64> = samples.chain(loads).collect();
        let marked = marks(run);
        let marks: Vec<Mark> = marked.iter().map(|(at, number, ..)| Mark { at: *at, number: *number }).collect();
        let all = || drawn.iter().copied().chain(marks.iter().map(|mark| mark.at));
        let (from, to) = (all().min_by(f64::total_cmp)?, all().max_by(f64::total_cmp)?);
        if drawn.is_empty() {
            return None;
        }
        let told: Vec<String> = marked.iter().map(|(at, _, name, _)| format!("{name} at {}", minutes(*at))).collect();
        let mut named = Vec::new();
        if let Some(stretches) = stretches {
            let stretch = |from_ms: i64, to_ms: i64, name| {
                let (low, high) = (run.seconds_at(from_ms).max(from), run.seconds_at(to_ms).min(to));
                Some(Stretch { from: low, to: high, name }).filter(|stretch| stretch.from < stretch.to)
            };
            named.extend(stretch(stretches.before.from_ms, stretches.before.to_ms, "before"));
            named.extend(stretch(stretches.before.to_ms, fixed_ms(run, stretches), "fix"));
            named.extend(stretch(stretches.after.from_ms, stretches.after.to_ms, "after"));
        }
        Some(Frame { from, to, marks, stretches: named, told: told.join(", ") })
    }

    fn chart(&self, id: String, title: String, size: (f64, f64), y: Axis, unit: &str, lines: Vec<Line>) -> Chart {
        let description = self.described(unit, &lines);
        Chart {
            id,
            title,
            description,
            width: size.0,
            height: size.1,
            x: Axis::time(self.from, self.to),
            x_unit: "",
            y,
            y_unit: unit.to_owned(),
            lines,
            limit: None,
            marks: self.marks.clone(),
            stretches: self.stretches.clone(),
            away: Vec::new(),
            points: Vec::new(),
            answer: None,
        }
    }

    fn described(&self, unit: &str, lines: &[Line]) -> String {
        let line = |line: &Line| match (line.lowest(), line.highest(), last(line)) {
            (Some(low), Some(high), Some(last)) => {
                format!("{}: between {} and {} {unit}, {} at the end.", line.name, short(low), short(high), short(last))
            }
            _ => format!("{}: not seen.", line.name),
        };
        let lines: Vec<String> = lines.iter().map(line).collect();
        let marks = if self.told.is_empty() { String::new() } else { format!(" Marks: {}.", self.told) };
        format!("From {} to {}. {}{marks}", minutes(self.from), minutes(self.to), lines.join(" "))
    }
}

fn fixed_ms(run: &Run, stretches: &Stretches) -> i64 {
    let fixed = run
        .marks()
        .find(|(at, mark, _)| *mark == crate::run::Mark::Fixed && at.as_millisecond() > stretches.before.to_ms);
    fixed.map_or(stretches.after.from_ms, |(at, ..)| at.as_millisecond())
}

/// Marks in the order of their times: seconds since the run began, number, name, text.
pub fn marks(run: &Run) -> Vec<(f64, usize, &'static str, String)> {
    let mut marks: Vec<_> =
        run.marks().map(|(at, mark, text)| (run.seconds_at(at.as_millisecond()), mark, text.to_owned())).collect();
    marks.sort_by(|a, b| a.0.total_cmp(&b.0));
    marks.into_iter().take(MARKS).zip(1..).map(|((at, mark, text), number)| (at, number, mark.name(), text)).collect()
}

/// Charts of kgen's own load; no panels where there was none.
pub fn load(run: &Run, frame: &Frame) -> Group {
    let seconds: Vec<(f64, &LoadSecond)> =
        run.loads().map(|(at, second)| (run.seconds_at(at.as_millisecond()), second)).collect();
    let line = |name, value: fn(&LoadSecond) -> Option<f64>| Line {
        name,
        points: gapped(seconds.iter().map(|(at, second)| (*at, value(second))).collect()),
    };
    let mut group = Group {
        title: "Load",
        what: "Records that kgen's load was due to send and records that were acknowledged, each second. Response \
               times run from the moment a record was due to its acknowledgement, so waiting in the client counts.",
        panels: Vec::new(),
        missing: Vec::new(),
    };
    if seconds.is_empty() {
        group.missing.push("kgen produced no load during this run".to_owned());
        return group;
    }
    let mut rates = vec![
        line("due", |second| Some(second.sample.offered_per_s)),
        line("acknowledged", |second| Some(second.sample.acknowledged_per_s)),
    ];
    let failed = line("failed", |second| Some(second.sample.failed_per_s));
    if failed.highest().is_some_and(|highest| highest > 0.0) {
        rates.push(failed);
    }
    let title = "Records due and acknowledged".to_owned();
    let y = Axis::from_zero(highest(&rates));
    group.panels.push(panel(&frame.chart("load-rate".to_owned(), title, WIDE, y, "records/s", rates)));
    let times = vec![
        line("p50", |second| second.sample.p50_ms.filter(|ms| *ms > 0.0)),
        line("p99", |second| second.sample.p99_ms.filter(|ms| *ms > 0.0)),
        line("max", |second| second.max_ms.filter(|ms| *ms > 0.0)),
    ];
    let times: Vec<Line> = times.into_iter().filter(|line| !line.is_empty()).collect();
    if times.is_empty() {
        group.missing.push("no record was acknowledged, so there are no response times".to_owned());
        return group;
    }
    let lowest = times.iter().filter_map(Line::lowest).fold(f64::INFINITY, f64::min);
    let y = Axis::logarithmic(lowest, highest(&times));
    let title = "Response times (logarithmic)".to_owned();
    group.panels.push(panel(&frame.chart("load-times".to_owned(), title, WIDE, y, "ms", times)));
    group
}

/// A line's name and its value.
type Drawn = (&'static str, fn(&BrokerSample) -> Option<f64>);

/// How one kind of value of the brokers is drawn.
struct Kind {
    id: &'static str,
    title: &'static str,
    what: &'static str,
    unit: &'static str,
    /// A percentage of something: the axis ends at 100, and this is what 100 is.
    limit: Option<&'static str>,
    lines: &'static [Drawn],
    /// Left out without a word where no broker has it.
    optional: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        id: "cpu",
        title: "CPU",
        what: "CpuUser + CpuSystem of each broker, percent of the capacity of its type; throttled: periods in which \
               its limit stopped it (in the lab only).",
        unit: "%",
        limit: Some("full capacity"),
        lines: &[("CPU", BrokerSample::cpu_percent), ("throttled", |broker| broker.cpu_throttled_percent)],
        optional: false,
    },
    Kind {
        id: "credits",
        title: "CPU credits",
        what: "CPUCreditBalance of each broker (T3 types only): at zero the broker is limited to its baseline.",
        unit: "credits",
        limit: None,
        lines: &[("credits", |broker| broker.cpu_credit_balance)],
        optional: true,
    },
    Kind {
        id: "memory",
        title: "Memory and heap",
        what: "MemoryUsed, percent of the type's memory (it includes page cache, so it is high on a healthy broker \
               too), and the heap, percent of its maximum.",
        unit: "%",
        limit: Some("full capacity"),
        lines: &[
            ("memory", BrokerSample::memory_percent),
            ("heap", |broker| broker.heap_after_gc_percent.or(broker.heap_used_percent)),
        ],
        optional: false,
    },
    Kind {
        id: "produce",
        title: "Produce time",
        what: "Mean time of a produce request at each broker: total, waiting for followers (remote), at the leader \
               (local), waiting for a request handler (queue).",
        unit: "ms",
        limit: None,
        lines: &[
            ("total", |broker| Some(broker.produce?.total_ms)),
            ("remote", |broker| broker.produce?.remote_ms),
            ("local", |broker| broker.produce?.local_ms),
            ("queue", |broker| broker.produce?.queue_ms),
        ],
        optional: false,
    },
    Kind {
        id: "bytes",
        title: "Traffic",
        what: "Bytes from and to clients at each broker.",
        unit: "kB/s",
        limit: None,
        lines: &[
            ("in", |broker| Some(broker.bytes_in_per_s? / 1000.0)),
            ("out", |broker| Some(broker.bytes_out_per_s? / 1000.0)),
        ],
        optional: false,
    },
    Kind {
        id: "replicas",
        title: "Under-replicated partitions",
        what: "Partitions that each broker leads and whose replicas are not all in sync; restarting brokers cause \
               them.",
        unit: "partitions",
        limit: None,
        lines: &[("under-replicated", |broker| broker.under_replicated_partitions.map(|count| count as f64))],
        optional: false,
    },
];

/// Charts of the brokers, a group a kind of value; also those brokers that are not drawn.
pub fn brokers(run: &Run, frame: &Frame) -> (Vec<Group>, Vec<BrokerId>) {
    let samples: Vec<(f64, &Observed)> =
        run.samples().map(|observed| (run.seconds_at(observed.sample.at_ms), observed)).collect();
    let ids: BTreeSet<BrokerId> =
        samples.iter().flat_map(|(_, observed)| observed.sample.brokers.keys().copied()).collect();
    let peak = |id: BrokerId| {
        let brokers = samples.iter().filter_map(|(_, observed)| observed.sample.brokers.get(&id));
        brokers.filter_map(BrokerSample::cpu_percent).fold(0.0, f64::max)
    };
    let mut ranked: Vec<BrokerId> = ids.iter().copied().collect();
    ranked.sort_by(|a, b| peak(*b).total_cmp(&peak(*a)));
    let (mut drawn, mut left) = (ranked.clone(), ranked.split_off(BROKERS.min(ranked.len())));
    drawn.truncate(BROKERS);
    drawn.sort_unstable();
    left.sort_unstable();
    let groups = KINDS.iter().filter_map(|kind| group(kind, &samples, &drawn, frame)).collect();
    (groups, left)
}

fn group(kind: &Kind, samples: &[(f64, &Observed)], ids: &[BrokerId], frame: &Frame) -> Option<Group> {
    let lines_of = |id: BrokerId| -> Vec<Line> {
        let line = |(name, value): &Drawn| Line {
            name,
            points: gapped(
                samples.iter().map(|(at, seen)| (*at, seen.sample.brokers.get(&id).and_then(value))).collect(),
            ),
        };
        kind.lines.iter().map(line).filter(|line| !line.is_empty()).collect()
    };
    let all: Vec<(BrokerId, Vec<Line>)> = ids.iter().map(|id| (*id, lines_of(*id))).collect();
    let max = all.iter().map(|(_, lines)| highest(lines)).fold(0.0, f64::max);
    let (mut panels, mut missing) = (Vec::new(), Vec::new());
    for (id, lines) in all {
        if lines.is_empty() {
            missing.push(format!("broker {id}"));
            continue;
        }
        // One scale for all, so that brokers can be held against each other.
        let y = if kind.limit.is_some() { Axis::percent(max) } else { Axis::from_zero(max.max(1.0)) };
        let title = format!("{} of broker {id}", kind.title);
        let mut chart = frame.chart(format!("{}-{id}", kind.id), title, PANEL, y, kind.unit, lines);
        chart.limit = kind.limit.map(|name| (100.0, name));
        chart.away = away(samples, id);
        let mut panel = panel(&chart);
        panel.title = format!("Broker {id}");
        panels.push(panel);
    }
    if panels.is_empty() {
        missing = vec![format!("{}: not observed on any broker", kind.title)];
    } else if !missing.is_empty() {
        missing = vec![format!("{}: not observed on {}", kind.title, missing.join(", "))];
    }
    let wanted = !panels.is_empty() || !(kind.optional || ids.is_empty());
    wanted.then_some(Group { title: kind.title, what: kind.what, panels, missing })
}

/// When the broker was seen not to serve.
fn away(samples: &[(f64, &Observed)], id: BrokerId) -> Vec<(f64, f64)> {
    let serves =
        |seen: &Observed| seen.sample.brokers.get(&id).is_some_and(|broker| broker.state == BrokerState::Serving);
    let mut away: Vec<(f64, f64)> = Vec::new();
    let mut since = None;
    for (at, seen) in samples {
        match (serves(seen), since) {
            (false, None) => since = Some(*at),
            (true, Some(from)) => {
                away.push((from, *at));
                since = None;
            }
            _ => {}
        }
    }
    away.extend(since.zip(samples.last()).map(|(from, (to, _))| (from, *to)));
    away
}

fn panel(chart: &Chart) -> Panel {
    Panel { title: chart.title.clone(), svg: chart.svg() }
}

fn highest(lines: &[Line]) -> f64 {
    lines.iter().filter_map(Line::highest).fold(0.0, f64::max)
}

fn last(line: &Line) -> Option<f64> {
    line.points.iter().rev().find_map(|(_, y)| *y)
}

fn short(value: f64) -> String {
    let digits = if value.abs() < 10.0 && value.fract() != 0.0 { 1 } else { 0 };
    format!("{value:.digits$}")
}

/// Breaks the line where nothing came for much longer than usual.
fn gapped(points: Vec<(f64, Option<f64>)>) -> Vec<(f64, Option<f64>)> {
    let mut steps: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    steps.sort_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(0.0);
    let longest = (usual * GAP_TIMES).max(GAP_AT_LEAST_S);
    let mut broken = Vec::with_capacity(points.len());
    for point in points {
        if let Some((at, _)) = broken.last().copied().filter(|(at, _): &(f64, Option<f64>)| point.0 - at > longest) {
            broken.push(((at + point.0) / 2.0, None));
        }
        broken.push(point);
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_breaks_the_line() {
        let points = [0.0, 1.0, 2.0, 3.0, 20.0, 21.0].map(|at| (at, Some(1.0))).to_vec();
        assert_eq!(
            gapped(points).iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            [0.0, 1.0, 2.0, 3.0, 11.5, 20.0, 21.0]
        );
        assert_eq!(gapped(vec![(1.0, None)]), [(1.0, None)]);
    }
}
