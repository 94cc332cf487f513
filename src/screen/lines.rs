//! A run as lines, if there is no terminal: a block per sample, a line for each change, a summary at the end.

use ratatui::crossterm::style::{Color, Stylize as _};

use super::{
    chart::{clock, short},
    model::Model,
    palette::Palette,
};
use crate::{
    diagnose::Verdict,
    run::{Entry, Event, Head},
    sample::{BrokerSample, BrokerState},
    visible,
};

/// Lines between two headings.
const LINES_A_HEADING: usize = 30;

const HEADING: &str = "time      broker  state        cpu%  held%   mem%  heap%   queue  local  remote   send   total ms   \
                       in MB/s  out MB/s   urp";

/// What was told already, and what is told of the next entry.
#[derive(Debug)]
pub struct Lines {
    palette: Palette,
    model: Model,
    since_heading: Option<usize>,
    highest: Highest,
}

/// A line without a line break, and its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextLine {
    text: String,
    color: Option<Color>,
}

impl TextLine {
    /// `text` may hold what someone else wrote.
    fn plain(text: impl AsRef<str>) -> TextLine {
        TextLine { text: visible::line(text.as_ref()).into_owned(), color: None }
    }

    /// The line as it is printed: `shown` makes its text fit to be, and only around that the colour is put.
    pub fn styled(&self, shown: impl FnOnce(&str) -> String) -> String {
        let text = shown(&self.text);
        self.color.map_or(text.clone(), |color| text.with(color).to_string())
    }
}

/// For the summary.
#[derive(Debug, Default)]
struct Highest {
    cpu: Option<(i32, f64)>,
    total_ms: Option<(i32, f64)>,
    under_replicated: u64,
    first: Option<f64>,
}

impl Lines {
    pub fn new(head: &Head, palette: Palette) -> Lines {
        Lines { palette, model: Model::new(head), since_heading: None, highest: Highest::default() }
    }

    /// What is to be said of `entry`: nothing, or lines.
    pub fn of(&mut self, entry: &Entry) -> Vec<TextLine> {
        self.model.take(entry);
        let time = time_of_day(entry.at.as_millisecond());
        match &entry.event {
            Event::Sample(observed) => {
                let mut lines = Vec::new();
                if self.since_heading.is_none_or(|lines| lines >= LINES_A_HEADING) {
                    self.since_heading = Some(0);
                    lines.push(TextLine::plain(HEADING));
                }
                let seconds = self.model.seconds(entry.at);
                self.highest.first.get_or_insert(seconds);
                for (id, broker) in &observed.sample.brokers {
                    self.highest.take(*id, broker);
                    lines.push(TextLine::plain(row(&time, *id, broker)));
                }
                self.since_heading = self.since_heading.map(|since| since + lines.len());
                lines
            }
            Event::Load(second) => {
                let load = &second.sample;
                let ms = |time: Option<f64>| time.map_or("none".to_owned(), |ms| format!("{ms:.1} ms"));
                let mut line = format!(
                    "{time}  load: {:.0} records/s due, {:.0} acknowledged, {} outstanding, p50 {}, p99 {}",
                    load.offered_per_s,
                    load.acknowledged_per_s,
                    load.outstanding,
                    ms(load.p50_ms),
                    ms(load.p99_ms)
                );
                if second.failed > 0 {
                    line += &format!(", {} failed so far", second.failed);
                }
                vec![TextLine::plain(line)]
            }
            Event::Finding(_) => {
                let Some(shown) = self.model.findings.last() else { return Vec::new() };
                let (sign, color) = match (shown.is_healthy(), &shown.summary) {
                    (true, _) => ('+', Color::Green),
                    (_, Some(_)) => ('!', Color::Red),
                    _ => ('?', Color::Yellow),
                };
                let mut lines = vec![self.styled(format!("{time}  {sign} {}: {}", shown.id, shown.title), color)];
                if !shown.is_healthy() {
                    let name = if shown.summary.is_some() { "fix" } else { "see" };
                    lines.push(TextLine::plain(format!("{time}    {name}: {}", shown.command)));
                }
                lines
            }
            Event::Mark(marked) => {
                vec![self.styled(format!("{time}  mark {}: {}", marked.mark.name(), marked.text), Color::Magenta)]
            }
            Event::Remedy(fix) => {
                vec![TextLine::plain(format!("{time}  fix: {} ({})", fix.command, fix.rendered.summary))]
            }
            Event::Note { text } => text.lines().map(|line| TextLine::plain(format!("{time}  {line}"))).collect(),
            Event::End(end) => {
                let error = end.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                vec![TextLine::plain(format!("{time}  end: {}{error}", end.outcome))]
            }
            // It changes often while metrics begin; the summary has the last.
            Event::Coverage(_) | Event::Result(_) | Event::Unknown => Vec::new(),
        }
    }

    /// What it all came to.
    pub fn summary(&self) -> Vec<TextLine> {
        let model = &self.model;
        let name = model.name().unwrap_or("the cluster");
        let lab = model.lab_scale.map(|scale| format!("; lab, scale 1:{scale}")).unwrap_or_default();
        let verdict = match model.verdict {
            Some(Verdict::Healthy) => "healthy",
            Some(Verdict::CauseFound) => "a cause was found",
            Some(Verdict::Inconclusive) => "inconclusive",
            None => "not judged",
        };
        let span = model.now - self.highest.first.unwrap_or(model.now);
        let mut lines = vec![format!(
            "summary of {name}: {} samples over {}, at the end: {verdict}{lab}",
            model.samples,
            clock(span)
        )];
        if let Some(coverage) = &model.coverage {
            lines.push(format!("  {}", coverage.summary()));
            lines.extend(coverage.lacking.iter().map(|line| format!("    {line}")));
        }
        let highest = |what: &str, value: Option<(i32, f64)>, unit: &str| {
            value.map(|(id, value)| format!("{what} {}{unit} at broker {id}", short(value)))
        };
        let mut figures: Vec<String> = Vec::new();
        figures.extend(highest("CPU", self.highest.cpu, " %"));
        figures.extend(highest("produce time", self.highest.total_ms, " ms"));
        figures.push(format!("{} partitions under-replicated", self.highest.under_replicated));
        if model.samples > 0 {
            lines.push(format!("  highest: {}", figures.join(", ")));
        }
        if let Some(load) = &model.latest_load {
            lines.push(format!(
                "  load: {} records due, {} acknowledged, {} failed",
                load.offered, load.acknowledged, load.failed
            ));
        }
        let mut told = Vec::new();
        for shown in model.findings.iter().filter(|shown| !shown.is_healthy()) {
            if !told.contains(&&shown.id) {
                told.push(&shown.id);
                lines.push(format!("  {} at {}: {}", shown.id, clock(shown.at), shown.command));
            }
        }
        lines.iter().map(TextLine::plain).collect()
    }

    fn styled(&self, line: String, color: Color) -> TextLine {
        TextLine { color: Some(color).filter(|_| self.palette.is_coloured), ..TextLine::plain(line) }
    }
}

impl Highest {
    fn take(&mut self, id: i32, broker: &BrokerSample) {
        let higher = |so_far: &mut Option<(i32, f64)>, value: Option<f64>| {
            if let Some(value) = value
                && so_far.is_none_or(|(_, highest)| value > highest)
            {
                *so_far = Some((id, value));
            }
        };
        higher(&mut self.cpu, broker.cpu_percent());
        higher(&mut self.total_ms, broker.produce.map(|times| times.total_ms));
        self.under_replicated = self.under_replicated.max(broker.under_replicated_partitions.unwrap_or(0));
    }
}

/// One broker's line under [`HEADING`]. A value that was not given is a dash.
fn row(time: &str, id: i32, broker: &BrokerSample) -> String {
    let state = match broker.state {
        BrokerState::Unreachable => "unreachable",
        BrokerState::Starting => "starting",
        BrokerState::Serving => "serving",
    };
    let number = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    let megabytes = |bytes: Option<f64>| number(bytes.map(|bytes| bytes / 1e6), 3);
    let produce = broker.produce.as_ref();
    format!(
        "{time:<8}  {id:>6}  {state:<11} {:>5} {:>6} {:>6} {:>6} {:>7} {:>6} {:>7} {:>6} {:>10} {:>9} {:>9} {:>5}",
        number(broker.cpu_percent(), 0),
        number(broker.cpu_throttled_percent, 0),
        number(broker.memory_percent(), 0),
        number(broker.heap_after_gc_percent.or(broker.heap_used_percent), 0),
        number(produce.and_then(|times| times.queue_ms), 1),
        number(produce.and_then(|times| times.local_ms), 1),
        number(produce.and_then(|times| times.remote_ms), 1),
        number(produce.and_then(|times| times.send_ms), 1),
        number(produce.map(|times| times.total_ms), 1),
        megabytes(broker.bytes_in_per_s),
        megabytes(broker.bytes_out_per_s),
        broker.under_replicated_partitions.map_or("-".to_owned(), |count| count.to_string()),
    )
}

/// The time of day here.
fn time_of_day(at_ms: i64) -> String {
    let zone = jiff::tz::TimeZone::system();
    jiff::Timestamp::from_millisecond(at_ms)
        .map(|at| at.to_zoned(zone).strftime("%H:%M:%S").to_string())
        .unwrap_or_else(|_| at_ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::RequestTimes;

    #[test]
    fn rows_stand_under_their_heading() {
        let busy = BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(70.2),
            cpu_system_percent: Some(16.1),
            cpu_throttled_percent: Some(66.0),
            memory_used_bytes: Some(950),
            memory_total_bytes: Some(1000),
            heap_after_gc_percent: Some(41.0),
            produce: Some(RequestTimes {
                per_s: Some(160.0),
                queue_ms: Some(3.1),
                local_ms: Some(1.8),
                remote_ms: Some(25.04),
                send_ms: Some(0.2),
                throttle_ms: None,
                total_ms: 31.0,
            }),
            bytes_in_per_s: Some(512_000.0),
            bytes_out_per_s: Some(1_024_000.0),
            under_replicated_partitions: Some(0),
            ..BrokerSample::default()
        };
        let rows = [HEADING.to_owned(), row("12:00:01", 1, &busy), row("12:00:01", 2, &BrokerSample::default())];
        insta::assert_snapshot!(rows.join("\n"));
    }
}
