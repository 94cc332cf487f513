//! Selects the two periods of a run to compare: as long as possible before the fix, and as long as possible after it.

use serde::{Deserialize, Serialize};

use crate::{
    diagnose::Context,
    proof::{Measured, Proof, proof},
    run::{Event, Mark, Run},
    sample::{LoadSample, Sample},
};

/// How long a stretch is at most when the run does not say what it measured, ms.
const LONGEST_MS: i64 = 30_000;

/// The name of the result in which a run says what it measured: a [`Stretches`].
pub const RESULT: &str = "stretches";

/// Both stretches of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretches {
    pub before: Span,
    pub after: Span,
}

/// Milliseconds since the Unix epoch; what is at the beginning itself is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from_ms: i64,
    pub to_ms: i64,
}

impl Span {
    pub fn holds(self, at_ms: i64) -> bool {
        self.from_ms < at_ms && at_ms <= self.to_ms
    }
}

/// What of the run is in a stretch.
struct Part {
    context: Option<Context>,
    samples: Vec<Sample>,
    load: Vec<LoadSample>,
}

/// The stretches that the run measured, or else the last seconds before the fix began and the last ones under load after
/// it was done. `None` where nothing was fixed.
pub fn stretches(run: &Run) -> Option<Stretches> {
    let said = run.result(RESULT).and_then(|value| serde_json::from_value(value.clone()).ok());
    said.or_else(|| derived(run)).filter(|found: &Stretches| {
        let is_span = |span: Span| span.from_ms < span.to_ms;
        is_span(found.before) && is_span(found.after)
    })
}

fn derived(run: &Run) -> Option<Stretches> {
    let fix = run.entries.iter().find(|entry| matches!(entry.event, Event::Remedy(_)))?.at.as_millisecond();
    let mark = |wanted: Mark| run.marks().find(|(_, mark, _)| *mark == wanted).map(|(at, ..)| at.as_millisecond());
    let fixed = mark(Mark::Fixed).filter(|fixed| *fixed > fix)?;
    let samples = || run.samples().map(|observed| observed.sample.at_ms);
    let first = samples().next()?;
    // Without kgen's own load the samples say how long the cluster was watched.
    let last = run.loads().last().map(|(at, _)| at.as_millisecond()).or_else(|| samples().last())?;
    let begin = mark(Mark::Onset).filter(|onset| *onset < fix).unwrap_or(first);
    Some(Stretches {
        before: Span { from_ms: begin.max(fix - LONGEST_MS), to_ms: fix },
        after: Span { from_ms: fixed.max(last - LONGEST_MS), to_ms: last },
    })
}

/// What the fix of this run changed; `None` where nothing was fixed.
pub fn proven(run: &Run) -> Option<(Stretches, Proof)> {
    let stretches = stretches(run)?;
    let (before, after) = (part(run, stretches.before), part(run, stretches.after));
    Some((stretches, proof(&before.measured(), &after.measured())))
}

fn part(run: &Run, span: Span) -> Part {
    let observed: Vec<_> = run.samples().filter(|observed| span.holds(observed.sample.at_ms)).collect();
    let load = run.loads().filter(|(at, _)| span.holds(at.as_millisecond()));
    Part {
        context: observed.last().map(|observed| observed.cluster.clone()),
        samples: observed.into_iter().map(|observed| observed.sample.clone()).collect(),
        load: load.map(|(_, second)| second.sample).collect(),
    }
}

impl Part {
    fn measured(&self) -> Measured<'_> {
        Measured { context: self.context.as_ref(), samples: &self.samples, load: &self.load }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"schema":"kgen.run/1","id":"r","command":"demo","args":[],"started":"2026-11-25T01:00:00Z","environment":{}}"#;

    fn run(entries: &[(i64, &str)]) -> Run {
        let line = |(s, event): &(i64, &str)| {
            let at = jiff::Timestamp::from_second(1_795_568_400 + s).unwrap();
            format!("{{\"at\":\"{at}\",{event}}}")
        };
        let lines: Vec<String> = entries.iter().map(line).collect();
        let run = Run::parse(&format!("{HEAD}\n{}\n", lines.join("\n"))).unwrap();
        assert!(run.unreadable.is_empty() && !run.is_torn, "{run:?}");
        run
    }

    fn load() -> String {
        r#""event":"load","at_s":1,"offered_per_s":1,"acknowledged_per_s":1,"failed_per_s":0,"outstanding":0,"p50_ms":1,"p99_ms":1,"generator_bound":false,"offered":1,"acknowledged":1,"failed":0"#.to_owned()
    }

    fn sample(s: i64) -> String {
        let at_ms = (1_795_568_400 + s) * 1000;
        format!(
            r#""event":"sample","cluster":{{"cluster":"c","region":"r","arn":null,"current_version":null,"broker_type":null,"broker_count":1,"kafka_version":null,"state":null,"active_operation":null,"lab_scale":4.0}},"sample":{{"at_ms":{at_ms},"source":"prometheus","brokers":{{}}}}"#
        )
    }

    #[test]
    fn the_last_seconds_before_and_after_the_fix_are_compared() {
        let (first, load) = (sample(2), load());
        let mark = |name: &str| format!(r#""event":"mark","mark":"{name}","text":"""#);
        let (onset, fixed) = (mark("onset"), mark("fixed"));
        let remedy = r#""event":"remedy","command":"kgen resize x","summary":"","notes":[]"#;
        let span =
            |from: i64, to: i64| Span { from_ms: (1_795_568_400 + from) * 1000, to_ms: (1_795_568_400 + to) * 1000 };
        let check = |entries: &[(i64, &str)], expected: Option<(Span, Span)>| {
            let found = stretches(&run(entries)).map(|found| (found.before, found.after));
            assert_eq!(found, expected);
        };
        check(
            &[(2, &first), (10, &onset), (60, remedy), (100, &fixed), (180, &load)],
            Some((span(30, 60), span(150, 180))),
        );
        check(
            &[(2, &first), (50, &onset), (60, remedy), (100, &fixed), (110, &load)],
            Some((span(50, 60), span(100, 110))),
        );
        // Nothing was fixed, or nothing was measured afterwards.
        check(&[(2, &first), (60, remedy)], None);
        check(&[(2, &first), (60, remedy), (100, &fixed)], None);
        check(&[(2, &first)], None);
        let said = r#""event":"result","name":"stretches","value":{"before":{"from_ms":1,"to_ms":2},"after":{"from_ms":3,"to_ms":4}}"#;
        let found = Some((Span { from_ms: 1, to_ms: 2 }, Span { from_ms: 3, to_ms: 4 }));
        check(&[(2, &first), (60, remedy), (100, &fixed), (180, &load), (181, said)], found);
    }
}
