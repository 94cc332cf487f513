//! The complete content of a report, in order; the page and the Markdown only lay it out.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    capacity::{self, Capacity},
    chart::{Chart, Line},
    charts::{self, Frame, Group},
    scale::{Axis, minutes},
    size::{self, Size},
    story,
    stretches::{Stretches, proven},
    times::{self, Second},
};
use crate::{
    diagnose::{Evidence, diagnose},
    process::shell_word,
    proof::{Figure, Proof},
    run::{Event, Fix, Found, Observed, Run},
    statistics::{Estimate, Verdict},
};

/// Findings that are told with all their evidence; a run that had more says so.
const FINDINGS: usize = 12;
/// Samples that the diagnosis looks back on, as while the run continued.
const LOOK_BACK: usize = 60;
/// Notes of the run that are told.
const NOTES: usize = 100;

#[derive(Debug, Serialize)]
pub struct View {
    pub title: String,
    pub headline: String,
    pub run: String,
    /// Such as `lab, scale 1:4`; nothing on AWS.
    pub lab: Option<String>,
    pub started: String,
    /// `improved`, `unchanged`, `worse`, `void`; nothing where nothing was changed.
    pub conclusion: Option<&'static str>,
    /// The same without words.
    pub symbol: &'static str,
    pub story: String,
    pub rows: Vec<Row>,
    /// Length of the two stretches in words.
    pub measured: Option<String>,
    pub marks: Vec<Mark>,
    /// Of a run that searched for the highest rate.
    pub capacity: Option<Capacity>,
    /// Of a run that looked for the right size.
    pub size: Option<Size>,
    pub load: Option<Group>,
    pub brokers: Vec<Group>,
    /// What there are no charts of, and why.
    pub missing: Vec<String>,
    pub distribution: Option<Distribution>,
    pub findings: Vec<Told>,
    pub more_findings: usize,
    pub fix: Option<Repair>,
    pub events: Vec<Moment>,
    pub environment: Vec<(&'static str, String)>,
    /// How to make this again.
    pub command: String,
}

#[derive(Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    pub before: String,
    pub after: String,
    pub change: String,
    pub interval: String,
    /// `improved`, `unchanged`, `worse`; empty where no direction is better.
    pub verdict: &'static str,
    pub symbol: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Mark {
    pub number: usize,
    pub name: &'static str,
    pub at: String,
    pub text: String,
}

#[derive(Debug, Serialize)]
pub struct Distribution {
    pub svg: String,
    /// Name, before, after, ms.
    pub rows: Vec<(&'static str, String, String)>,
    /// Whether before and after are told apart; else all is in the first column.
    pub compared: bool,
}

/// A finding.
#[derive(Debug, Serialize)]
pub struct Told {
    pub at: String,
    pub id: String,
    pub title: String,
    pub subject: String,
    pub cause: String,
    pub confidence: String,
    pub evidence_for: Vec<String>,
    pub evidence_against: Vec<String>,
    pub missing: Vec<String>,
    pub check: Option<String>,
    pub not_a_fix: Vec<String>,
}

/// A fix that was carried out, or could be.
#[derive(Debug, Serialize)]
pub struct Repair {
    pub done: bool,
    pub summary: String,
    pub notes: Vec<String>,
    pub kgen: Option<String>,
    pub aws_cli: Option<String>,
    /// Lines of a unified diff, each with the class of its kind: `added`, `removed` or none.
    pub diff: Option<Vec<(&'static str, String)>>,
}

#[derive(Debug, Serialize)]
pub struct Moment {
    pub at: String,
    pub text: String,
}

impl View {
    pub fn of(run: &Run, log: &[Second]) -> View {
        let proven = proven(run);
        let (stretches, proof) = match &proven {
            Some((stretches, proof)) => (Some(stretches), Some(proof)),
            None => (None, None),
        };
        let capacity = capacity::of(run);
        let size = size::of(run);
        let found = capacity.as_ref().map(|of| &of.headline).or(size.as_ref().map(|of| &of.headline));
        let headline = found.cloned().unwrap_or_else(|| story::headline(run, proof));
        let lab = story::lab(run);
        let title = match &lab {
            Some(lab) => format!("{headline} ({lab})"),
            None => headline.clone(),
        };
        let mut view = View {
            title,
            headline,
            run: run.head.id.clone(),
            lab,
            started: run.head.started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            conclusion: proof.map(|proof| proof.conclusion.word()),
            symbol: proof.map_or("", |proof| symbol(proof.conclusion.word())),
            story: story::sentences(run, proof).join(" "),
            rows: proof.map(rows).unwrap_or_default(),
            measured: stretches.map(measured),
            marks: charts::marks(run).into_iter().map(mark).collect(),
            capacity,
            size,
            load: None,
            brokers: Vec::new(),
            missing: Vec::new(),
            distribution: distribution(log, stretches),
            findings: Vec::new(),
            more_findings: 0,
            fix: fix(run),
            events: events(run),
            environment: environment(run),
            command: run.head.args.iter().fold("kgen".to_owned(), |line, arg| format!("{line} {}", shell_word(arg))),
        };
        view.tell_findings(run);
        view.tell_coverage(run);
        view.draw(run, stretches);
        if view.distribution.is_none() && run.loads().next().is_some() {
            view.missing
                .push("the distribution of response times: its file (latency.hlog) is missing or empty".to_owned());
        }
        view
    }

    /// How much of the causes the last samples could show; what they lacked is not here.
    fn tell_coverage(&mut self, run: &Run) {
        let samples: Vec<&Observed> = run.samples().collect();
        let (Some(last), Some(_)) = (samples.last(), run.verdict()) else { return };
        let newest = samples.iter().rev().take(LOOK_BACK).rev().map(|observed| observed.sample.clone());
        let coverage = diagnose(&last.cluster, &newest.collect::<Vec<_>>()).coverage;
        let mut lines = coverage.lines().into_iter();
        if let Some(summary) = lines.next() {
            let _ = write!(self.story, " At the end: {summary}.");
        }
        self.missing.extend(lines);
    }

    fn draw(&mut self, run: &Run, stretches: Option<&Stretches>) {
        let Some(frame) = Frame::of(run, stretches) else {
            self.missing.push("charts: no broker samples and no load were recorded".to_owned());
            return;
        };
        let load = charts::load(run, &frame);
        if load.panels.is_empty() {
            self.missing.extend(load.missing);
        } else {
            self.load = Some(load);
        }
        let (groups, left) = charts::brokers(run, &frame);
        if groups.is_empty() {
            self.missing.push("broker charts: no sample was recorded".to_owned());
        }
        for group in groups {
            if group.panels.is_empty() {
                self.missing.extend(group.missing);
            } else {
                self.brokers.push(group);
            }
        }
        if !left.is_empty() {
            let ids: Vec<String> = left.iter().map(ToString::to_string).collect();
            self.missing.push(format!(
                "charts of {} brokers whose CPU was never among the {} highest: {}",
                left.len(),
                charts::BROKERS,
                ids.join(", ")
            ));
        }
    }

    /// Every finding once, as it was told last, in the order of the first time.
    fn tell_findings(&mut self, run: &Run) {
        let mut seen: Vec<(f64, &Found)> = Vec::new();
        for (at, found) in run.findings() {
            match seen.iter_mut().find(|(_, known)| known.id == found.id && known.brokers == found.brokers) {
                Some((_, known)) => *known = found,
                None => seen.push((run.seconds_at(at.as_millisecond()), found)),
            }
        }
        // What can be fixed first; the sort keeps the order of the rest.
        seen.sort_by_key(|(_, found)| found.remedy.is_none());
        self.more_findings = seen.len().saturating_sub(FINDINGS);
        self.findings = seen.into_iter().take(FINDINGS).map(|(at, found)| told(at, found)).collect();
    }
}

fn rows(proof: &Proof) -> Vec<Row> {
    proof.figures.iter().map(row).collect()
}

fn row(figure: &Figure) -> Row {
    let digits = figure.digits;
    let shown = |value: Option<f64>| value.map_or("not seen".to_owned(), |value| plain(value, digits));
    let change = match (figure.change, figure.change_percent) {
        (Some(change), Some(percent)) => format!("{} ({} %)", signed(change.value, digits), signed(percent.value, 0)),
        (Some(change), None) => signed(change.value, digits),
        (None, _) => String::new(),
    };
    let interval = |change: Estimate| format!("{} to {}", signed(change.low, digits), signed(change.high, digits));
    let verdict = figure.verdict.map_or("", Verdict::word);
    Row {
        name: figure.name,
        unit: figure.unit,
        before: shown(figure.before),
        after: shown(figure.after),
        change,
        interval: figure.change.map_or("too few values".to_owned(), interval),
        verdict,
        symbol: symbol(verdict),
    }
}

fn symbol(verdict: &str) -> &'static str {
    match verdict {
        "improved" => "\u{2713}",
        "unchanged" => "=",
        "worse" => "\u{2717}",
        "void" => "\u{2205}",
        _ => "",
    }
}

fn plain(value: f64, digits: usize) -> String {
    // No minus before a zero.
    let text = format!("{value:.digits$}");
    if text.trim_start_matches(['-', '0', '.']).is_empty() { text.trim_start_matches('-').to_owned() } else { text }
}

fn signed(value: f64, digits: usize) -> String {
    let text = plain(value, digits);
    if value > 0.0 && text.contains(|c: char| ('1'..='9').contains(&c)) {
        return format!("+{text}");
    }
    text.replacen('-', "\u{2212}", 1)
}

fn measured(stretches: &Stretches) -> String {
    let seconds = |from: i64, to: i64| story::length((to - from) as f64 / 1000.0);
    format!(
        "{} before and {} after the fix",
        seconds(stretches.before.from_ms, stretches.before.to_ms),
        seconds(stretches.after.from_ms, stretches.after.to_ms)
    )
}

fn mark((at, number, name, text): (f64, usize, &'static str, String)) -> Mark {
    Mark { number, name, at: minutes(at), text }
}

fn distribution(log: &[Second], stretches: Option<&Stretches>) -> Option<Distribution> {
    let all = || times::within(log, i64::MIN, i64::MAX);
    let both = stretches.and_then(|stretches| {
        let within = |span: super::stretches::Span| times::within(log, span.from_ms, span.to_ms);
        Some((within(stretches.before)?, within(stretches.after)?))
    });
    let (first, second) = match both {
        Some((before, after)) => (before, Some(after)),
        None => (all()?, None),
    };
    let mut curves: Vec<(&'static str, &Histogram<u64>)> =
        vec![(if second.is_some() { "before" } else { "all" }, &first)];
    curves.extend(second.as_ref().map(|second| ("after", second)));
    let x = times::axis(curves.iter().map(|(_, times)| *times));
    let lines: Vec<Line> = curves.iter().map(|(name, times)| Line { name, points: times::by_nines(times) }).collect();
    let lowest = lines.iter().filter_map(Line::lowest).fold(f64::INFINITY, f64::min);
    let highest = lines.iter().filter_map(Line::highest).fold(0.0, f64::max);
    let ms = |value: f64| format!("{value:.1}");
    let after = second.as_ref().map(times::quantiles);
    let rows: Vec<_> = times::quantiles(&first)
        .into_iter()
        .enumerate()
        .map(|(i, (name, value))| (name, ms(value), after.as_ref().map_or(String::new(), |after| ms(after[i].1))))
        .collect();
    let in_words: Vec<String> = rows.iter().map(|(name, before, after)| format!("{name} {before} {after}")).collect();
    let chart = Chart {
        id: "distribution".to_owned(),
        title: "Response times by percentile (logarithmic)".to_owned(),
        description: format!(
            "Milliseconds; {}: {}.",
            curves.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" and "),
            in_words.join("; ")
        ),
        width: 420.0,
        height: 170.0,
        x,
        x_unit: "percent of all records",
        y: Axis::logarithmic(lowest, highest),
        y_unit: "ms".to_owned(),
        lines,
        limit: None,
        marks: Vec::new(),
        stretches: Vec::new(),
        away: Vec::new(),
        points: Vec::new(),
        answer: None,
    };
    Some(Distribution { svg: chart.svg(), rows, compared: second.is_some() })
}

fn told(at: f64, found: &Found) -> Told {
    let texts = |evidence: &[Evidence]| evidence.iter().map(|evidence| evidence.text.clone()).collect();
    Told {
        at: minutes(at),
        id: found.id.clone(),
        title: found.title.clone(),
        subject: found.subject.clone(),
        cause: found.cause.clone(),
        confidence: format!("{:.0} %", found.confidence * 100.0),
        evidence_for: texts(&found.evidence_for),
        evidence_against: texts(&found.evidence_against),
        missing: found.missing.clone(),
        check: found.check.clone(),
        not_a_fix: found.anti_recommendations.clone(),
    }
}

/// The fix that was carried out, with what is known of it from its finding; else the one that a finding asks for.
fn fix(run: &Run) -> Option<Repair> {
    let carried_out = run.entries.iter().find_map(|entry| match &entry.event {
        Event::Remedy(fix) => Some(&**fix),
        _ => None,
    });
    let asked = run.findings().filter_map(|(_, found)| found.remedy.as_ref()).last();
    if let Some(Fix { command, rendered }) = carried_out {
        let asked = asked.filter(|asked| asked.kgen.as_deref() == Some(command.as_str()));
        let or_asked = |own: &Option<String>, of: fn(&crate::remedy::Rendered) -> &Option<String>| {
            own.clone().or_else(|| asked.and_then(|asked| of(asked).clone()))
        };
        return Some(Repair {
            done: true,
            summary: rendered.summary.clone(),
            notes: rendered.notes.clone(),
            kgen: Some(command.clone()).filter(|command| !command.is_empty()),
            aws_cli: or_asked(&rendered.aws_cli, |rendered| &rendered.aws_cli),
            diff: or_asked(&rendered.hcl_diff, |rendered| &rendered.hcl_diff).as_deref().map(diff),
        });
    }
    let asked = asked?;
    Some(Repair {
        done: false,
        summary: asked.summary.clone(),
        notes: asked.notes.clone(),
        kgen: asked.kgen.clone(),
        aws_cli: asked.aws_cli.clone(),
        diff: asked.hcl_diff.as_deref().map(diff),
    })
}

fn diff(text: &str) -> Vec<(&'static str, String)> {
    let class = |line: &str| match line {
        line if line.starts_with("+++") || line.starts_with("---") => "",
        line if line.starts_with('+') => "added",
        line if line.starts_with('-') => "removed",
        _ => "",
    };
    text.lines().map(|line| (class(line), line.to_owned())).collect()
}

/// Notes of the run and its end, in order.
fn events(run: &Run) -> Vec<Moment> {
    let text = |event: &Event| match event {
        Event::Note { text } => Some(text.clone()),
        Event::Mark(marked) => Some(format!("{}: {}", marked.mark.name(), marked.text)),
        Event::Remedy(fix) => Some(format!("fix begun: {}", fix.command)),
        Event::End(end) => Some(format!("ended: {} (exit code {})", end.outcome.replace('_', " "), end.exit_code)),
        _ => None,
    };
    let mut all: Vec<_> =
        run.entries.iter().filter_map(|entry| Some((entry.at.as_millisecond(), text(&entry.event)?))).collect();
    all.sort_by_key(|(at, _)| *at);
    let left = all.len().saturating_sub(NOTES);
    let mut events: Vec<Moment> =
        all.into_iter().take(NOTES).map(|(at, text)| Moment { at: minutes(run.seconds_at(at)), text }).collect();
    if left > 0 {
        events.push(Moment { at: String::new(), text: format!("and {left} more in the record") });
    }
    events
}

fn environment(run: &Run) -> Vec<(&'static str, String)> {
    let environment = &run.head.environment;
    let mut rows: Vec<(&'static str, String)> = Vec::new();
    let mut add =
        |name, value: Option<String>| rows.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
    let place = match story::lab(run) {
        Some(lab) => format!(
            "{lab}: the vCPUs and memory of the broker types are divided by that factor; these figures are not \
             figures of AWS"
        ),
        None => "AWS, or brokers given by address".to_owned(),
    };
    add("place", Some(place));
    let cluster = run.cluster();
    add("cluster", environment.cluster.clone().or_else(|| cluster.map(|cluster| cluster.cluster.clone())));
    add("region", environment.region.clone().or_else(|| cluster.map(|cluster| cluster.region.clone())));
    add("brokers at the beginning", run.samples().next().map(|observed| story::brokers(&observed.cluster)));
    add("brokers at the end", cluster.map(story::brokers));
    add("Kafka version", cluster.and_then(|cluster| cluster.kafka_version.clone()));
    add("cluster ARN", cluster.and_then(|cluster| cluster.arn.clone()));
    add("run", Some(run.head.id.clone()));
    add("samples", Some(run.samples().count().to_string()));
    add("seconds of load", Some(run.loads().count().to_string()).filter(|count| count != "0"));
    let kgen = &environment.kgen;
    add("kgen", Some(kgen.clone()));
    add("machine", Some(environment.os.clone()));
    add("CPUs", environment.cpus.map(|cpus| cpus.to_string()));
    add("memory", environment.memory_bytes.map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))));
    rows
}
