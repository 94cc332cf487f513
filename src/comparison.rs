//! Two runs side by side: the change of each per-second figure, with an interval, and the conclusion. Pure.

use std::io::{self, BufRead};

use serde::Serialize;
use serde_json::Value;

use crate::files::bounded::{Lines, Unbounded};
use crate::statistics::{Better, Change, FEWEST, Verdict, change};

/// A figure of a run's seconds.
struct Metric {
    /// Its name in the lines.
    key: &'static str,
    name: &'static str,
    unit: &'static str,
    better: Better,
    /// The conclusion rests on it. The others are shown: of many intervals, some miss the truth by chance.
    decides: bool,
}

const fn metric(key: &'static str, name: &'static str, unit: &'static str, better: Better, decides: bool) -> Metric {
    Metric { key, name, unit, better, decides }
}

/// What a producer's seconds have, then what a consumer's have.
const METRICS: [Metric; 12] = [
    metric("acknowledged_per_s", "acknowledged", "records/s", Better::Higher, true),
    metric("failed_per_s", "failed", "records/s", Better::Lower, true),
    metric("p50_ms", "p50 from due", "ms", Better::Lower, false),
    metric("p99_ms", "p99 from due", "ms", Better::Lower, true),
    metric("max_ms", "max from due", "ms", Better::Lower, false),
    metric("service_p50_ms", "p50 from the send", "ms", Better::Lower, false),
    metric("service_p99_ms", "p99 from the send", "ms", Better::Lower, false),
    metric("read_per_s", "read", "records/s", Better::Higher, true),
    metric("lag", "lag", "records", Better::Lower, true),
    metric("end_to_end_p50_ms", "p50 end to end", "ms", Better::Lower, false),
    metric("end_to_end_p99_ms", "p99 end to end", "ms", Better::Lower, true),
    metric("end_to_end_max_ms", "max end to end", "ms", Better::Lower, false),
];

/// A run as far as it can be compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// One object a second, in order.
    seconds: Vec<Value>,
    /// The last line of a stream, or the result of a recorded run.
    summary: Option<Value>,
}

/// The result of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    Improved,
    /// No difference is shown, which does not prove that there is none.
    Unchanged,
    Worse,
    /// Some figures are better and some worse.
    Mixed,
    /// A run shows nothing about the cluster, or too little was observed.
    Void,
}

/// The longest record, and the longest line of it.
const MOST_BYTES: u64 = 272 << 20;
const MOST_LINE_BYTES: u64 = 8 << 20;
/// Of the seconds of load in it, which stay in memory: three days have a quarter of it.
const MOST_SECONDS_BYTES: u64 = 64 << 20;

/// One figure, before and after.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Compared {
    pub key: &'static str,
    pub name: &'static str,
    pub unit: &'static str,
    pub better: Better,
    /// The conclusion rests on it.
    pub decides: bool,
    /// Means over the seconds of the runs.
    #[serde(flatten)]
    pub change: Change,
}

/// Two runs, compared.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Comparison {
    /// Seconds of each run that were compared.
    pub seconds: (usize, usize),
    pub figures: Vec<Compared>,
    /// Reasons why the difference may not come from the cluster.
    pub notes: Vec<String>,
    pub conclusion: Conclusion,
}

impl Recorded {
    /// Reads a recorded run, or what `--json-stream` printed. What is neither is left out, as is a torn line.
    ///
    /// # Errors
    /// What the source says; `Unbounded` inside when it is no such record by its size.
    pub fn read(source: impl BufRead) -> io::Result<Recorded> {
        let (mut run, mut bytes) = (Recorded::default(), 0);
        let mut lines = Lines::new(source, MOST_LINE_BYTES, MOST_BYTES);
        while let Some((_, line)) = lines.next_line()? {
            let Ok(mut value) = serde_json::from_slice::<Value>(line) else { continue };
            let is = |key: &str, wanted: &str| value.get(key).and_then(Value::as_str) == Some(wanted);
            if is("event", "load") || is("schema", "kgen.produce-second/1") || is("schema", "kgen.consume-second/1") {
                bytes += line.len();
                if bytes as u64 > MOST_SECONDS_BYTES {
                    return Err(Unbounded::TooLarge(MOST_SECONDS_BYTES).into());
                }
                run.seconds.push(value);
            } else if is("schema", "kgen.produce/1") || is("schema", "kgen.consume/1") {
                run.summary = Some(value);
            } else if is("event", "result") && is("name", "load") {
                run.summary = value.get_mut("value").map(Value::take);
            }
        }
        Ok(run)
    }

    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// The seconds from `skip_s` on that are whole and in which something was due.
    fn whole(&self, skip_s: f64) -> Vec<&Value> {
        let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_f64);
        let mut before = 0.0;
        let is_whole = |second: &&Value| {
            let at = number(second, "at_s").unwrap_or(0.0);
            let length = at - std::mem::replace(&mut before, at);
            // Where the schedule has ended only the last answers come.
            at > skip_s && length > 0.5 && number(second, "offered_per_s") != Some(0.0)
        };
        self.seconds.iter().filter(is_whole).collect()
    }

    fn told(&self, key: &str) -> Option<&Value> {
        self.summary.as_ref()?.get(key).filter(|value| !value.is_null())
    }

    /// Bytes of a value on average.
    fn record_bytes(&self) -> Option<f64> {
        let number = |key| self.told(key).and_then(Value::as_f64);
        let bytes = number("acknowledged_bytes").or(number("bytes"))?;
        Some(bytes / number("acknowledged").or(number("read"))?.max(1.0))
    }
}

/// Compares two runs from `skip_s` seconds after the start of each. The same seed gives the same intervals.
pub fn compare(before: &Recorded, after: &Recorded, skip_s: f64, seed: u64) -> Comparison {
    let (first, second) = (before.whole(skip_s), after.whole(skip_s));
    // A second without such a figure, as one in which nothing was acknowledged, is left out.
    let series = |seconds: &[&Value], key: &str| -> Vec<f64> {
        seconds.iter().filter_map(|second| second.get(key)?.as_f64()).collect()
    };
    let figure = |metric: &Metric| {
        let Metric { key, name, unit, better, decides } = *metric;
        let change = change(&series(&first, key), &series(&second, key), better, seed)?;
        Some(Compared { key, name, unit, better, decides, change })
    };
    let figures: Vec<Compared> = METRICS.iter().filter_map(figure).collect();
    let mut notes = Vec::new();
    let is_bound = |run: &Recorded| run.told("generator_bound").and_then(Value::as_bool) == Some(true);
    let bound = [("before", before), ("after", after)].into_iter().filter(|(_, run)| is_bound(run));
    let bound: Vec<&str> = bound.map(|(name, _)| name).collect();
    if !bound.is_empty() {
        notes.push(format!("the run {} was limited by its generator, not by the cluster", bound.join(" and the run ")));
    }
    if figures.is_empty() {
        let seen = format!("{} and {}", first.len(), second.len());
        notes.push(format!(
            "too little data to compare: {FEWEST} seconds of each run are needed, but there are only \
                            {seen}"
        ));
    }
    // Such as the p99 of a run that commits every second second.
    for metric in METRICS.iter().filter(|metric| metric.decides && !figures.is_empty()) {
        let (one, two) = (series(&first, metric.key).len(), series(&second, metric.key).len());
        if one.min(two) < FEWEST && one.max(two) > 0 {
            notes.push(format!(
                "{} is not compared: only {one} and {two} seconds have a value, and {FEWEST} are needed",
                metric.name
            ));
        }
    }
    if before.told("rate_asked") != after.told("rate_asked") {
        let rate =
            |run: &Recorded| run.told("rate_asked").map_or("as fast as possible".to_owned(), ToString::to_string);
        notes.push(format!("the requested rates differ: {} and {} records/s", rate(before), rate(after)));
    }
    if let (Some(one), Some(two)) = (before.record_bytes(), after.record_bytes())
        && (one - two).abs() > one / 100.0
    {
        notes.push(format!("the records differ: {one:.0} and {two:.0} bytes on average"));
    }
    let decided = |verdict| figures.iter().any(|figure| figure.decides && figure.change.verdict == verdict);
    let conclusion = match (decided(Verdict::Improved), decided(Verdict::Worse)) {
        _ if figures.is_empty() || !bound.is_empty() => Conclusion::Void,
        (true, true) => Conclusion::Mixed,
        (true, false) => Conclusion::Improved,
        (false, true) => Conclusion::Worse,
        (false, false) => Conclusion::Unchanged,
    };
    Comparison { seconds: (first.len(), second.len()), figures, notes, conclusion }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A run of `seconds` whose p99 goes up and down around `p99`, as a stream or as a record.
    fn run(seconds: u32, p99: f64, rate: f64, bound: bool, recorded: bool) -> Recorded {
        let mut lines =
            vec![json!({"schema": "kgen.run/1", "id": "x"}), json!({"at": "", "event": "note", "text": "t"})];
        for second in 1..=seconds {
            let wave = f64::from(second % 5) - 2.0;
            let mut line = json!({"at_s": second, "offered_per_s": rate, "acknowledged_per_s": rate, "failed_per_s": 0.0,
                                  "p50_ms": 2.0, "p99_ms": p99 + wave, "service_p99_ms": null});
            line[if recorded { "event" } else { "schema" }] =
                json!(if recorded { "load" } else { "kgen.produce-second/1" });
            lines.push(line);
        }
        // The last answers after the end of the schedule.
        lines.push(json!({"schema": "kgen.produce-second/1", "at_s": f64::from(seconds) + 1.0, "offered_per_s": 0.0,
                          "acknowledged_per_s": 1e6, "p99_ms": 1e6}));
        let summary = json!({"schema": "kgen.produce/1", "generator_bound": bound, "rate_asked": rate,
                             "acknowledged_bytes": 1000, "acknowledged": 10});
        lines.push(if recorded { json!({"event": "result", "name": "load", "value": summary}) } else { summary });
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        Recorded::read((text.join("\n") + "\n{\"torn").as_bytes()).unwrap()
    }

    fn check(before: &Recorded, after: &Recorded, skip_s: f64, expected: Conclusion, notes: &[&str]) {
        let found = compare(before, after, skip_s, 1);
        assert_eq!(found.conclusion, expected, "{found:?}");
        assert_eq!(found.notes.len(), notes.len(), "{:?}", found.notes);
        notes.iter().zip(&found.notes).for_each(|(part, note)| assert!(note.contains(part), "{note}"));
    }

    #[test]
    fn a_change_is_told_from_none() {
        let steady = run(30, 20.0, 500.0, false, false);
        check(&steady, &run(40, 20.0, 500.0, false, true), 0.0, Conclusion::Unchanged, &[]);
        check(&steady, &run(30, 30.0, 500.0, false, true), 0.0, Conclusion::Worse, &[]);
        check(&steady, &run(30, 10.0, 500.0, false, false), 0.0, Conclusion::Improved, &[]);
        check(&steady, &run(30, 30.0, 600.0, false, false), 0.0, Conclusion::Mixed, &["500.0 and 600.0"]);
        check(&steady, &run(30, 30.0, 500.0, true, false), 0.0, Conclusion::Void, &["the run after"]);
        check(&steady, &run(9, 30.0, 500.0, false, false), 0.0, Conclusion::Void, &["30 and 9"]);
        check(&steady, &steady, 25.0, Conclusion::Void, &["5 and 5"]);
        check(&Recorded::default(), &Recorded::default(), 0.0, Conclusion::Void, &["0 and 0"]);
        let mut gaps = steady.clone();
        gaps.seconds.iter_mut().skip(9).for_each(|second| second["p99_ms"] = Value::Null);
        check(&steady, &gaps, 0.0, Conclusion::Unchanged, &["p99 from due is not compared: only 30 and 9"]);
        let p99 = compare(&steady, &run(30, 30.0, 500.0, false, false), 0.0, 1);
        let p99 = p99.figures.iter().find(|figure| figure.key == "p99_ms").unwrap();
        assert_eq!((p99.change.before, p99.change.after, p99.change.verdict), (20.0, 30.0, Verdict::Worse));
    }
}
