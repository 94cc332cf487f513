//! The run in a paragraph.

use serde_json::Value;

use super::scale::minutes;
use crate::{
    diagnose::{Context, Verdict},
    proof::{Conclusion, Proof},
    run::{Event, Found, Mark, Run},
};

/// A heading for the whole: what was wrong and what became of it.
pub fn headline(run: &Run, proof: Option<&Proof>) -> String {
    let is_named = |found: &Found| found.verdict == Some(Verdict::CauseFound);
    let named = run.findings().find(|(_, found)| is_named(found)).map(|(_, found)| found.title.as_str());
    let cluster = run.cluster().map_or("a cluster", |cluster| cluster.cluster.as_str());
    match (named, proof.map(|proof| proof.conclusion)) {
        (Some(named), Some(Conclusion::Improved)) => format!("{named}; it is better after the fix"),
        (Some(named), Some(conclusion)) => format!("{named}; after the fix: {}", conclusion.word()),
        (None, Some(conclusion)) => format!("{cluster} was changed: {}", conclusion.word()),
        (Some(named), None) => named.to_owned(),
        (None, None) => match run.verdict() {
            Some(Verdict::Healthy) => format!("{cluster} is healthy"),
            Some(Verdict::CauseFound) => format!("{cluster}: a cause was found"),
            Some(Verdict::Inconclusive) => format!("{cluster}: inconclusive"),
            None => format!("kgen {} of {}", run.head.command, cluster),
        },
    }
}

/// Its sentences.
pub fn sentences(run: &Run, proof: Option<&Proof>) -> Vec<String> {
    let mut told = vec![opening(run)];
    told.extend(marked(run));
    told.extend(fixed(run));
    if let Some(proof) = proof {
        told.push(match proof.conclusion {
            Conclusion::Void => format!("The comparison of before and after is void: {}.", proof.reason),
            conclusion => {
                format!("Under the same load the result is {}. {}.", conclusion.word(), capital(&proof.reason))
            }
        });
    } else if let Some(verdict) = run.verdict() {
        told.push(format!("At the end the diagnosis was: {}.", verdict_word(verdict)));
    }
    told.extend(records(run));
    told.extend(ending(run));
    told
}

/// Such as `3 × kafka.t3.small`.
pub fn brokers(cluster: &Context) -> String {
    match &cluster.broker_type {
        Some(broker_type) => format!("{} × {broker_type}", cluster.broker_count),
        None => "brokers of unknown type".to_owned(),
    }
}

/// Such as `lab, scale 1:4`; `None` on AWS.
pub fn lab(run: &Run) -> Option<String> {
    let of_samples = || run.cluster().and_then(|cluster| cluster.lab_scale);
    let scale = run.head.environment.lab_scale.or_else(of_samples)?;
    Some(format!("lab, scale 1:{scale}"))
}

pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::CauseFound => "a cause was found",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// Seconds in words, such as `4 min 11 s`.
pub fn length(seconds: f64) -> String {
    let s = seconds.round().max(0.0) as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

fn opening(run: &Run) -> String {
    let place = match lab(run) {
        Some(lab) => format!(" in the {lab}"),
        None => String::new(),
    };
    let cluster = match run.samples().next().map(|observed| &observed.cluster) {
        Some(cluster) => {
            let version =
                cluster.kafka_version.as_ref().map(|version| format!(", Kafka {version}")).unwrap_or_default();
            format!(" on cluster {} ({}{version}, {})", cluster.cluster, brokers(cluster), cluster.region)
        }
        None => match &run.head.environment.cluster {
            Some(cluster) => format!(" on cluster {cluster}"),
            None => String::new(),
        },
    };
    format!("kgen {} ran for {}{cluster}{place}.", run.head.command, length(run.duration().as_secs_f64()))
}

fn marked(run: &Run) -> Vec<String> {
    let at = |wanted: Mark| {
        let found = run.marks().find(|(_, mark, _)| *mark == wanted);
        found.map(|(at, _, text)| (run.seconds_at(at.as_millisecond()), text))
    };
    let mut told = Vec::new();
    let onset = at(Mark::Onset);
    if let Some((onset, text)) = onset {
        let text = if text.is_empty() { "the load began" } else { text };
        told.push(format!("At {}: {text}.", minutes(onset)));
    }
    for (mark, what) in [(Mark::Seen, "the constraint became visible"), (Mark::Named, "the cause was named")] {
        let Some((at, text)) = at(mark) else { continue };
        let when = match onset {
            Some((onset, _)) if at >= onset => format!("After {}", length(at - onset)),
            _ => format!("At {}", minutes(at)),
        };
        told.push(match text {
            "" => format!("{when} {what}."),
            text => format!("{when} {what}: {text}."),
        });
    }
    told
}

fn fixed(run: &Run) -> Option<String> {
    let (begun, fix) = run.entries.iter().find_map(|entry| match &entry.event {
        Event::Remedy(fix) => Some((entry.at, fix)),
        _ => None,
    })?;
    let done = run.marks().find(|(at, mark, _)| *mark == Mark::Fixed && *at >= begun).map(|(at, ..)| at);
    let Some(done) = done else {
        return Some(format!("The fix ({}) was started, but its end was not recorded.", fix.command));
    };
    let took = (done.as_millisecond() - begun.as_millisecond()) as f64 / 1000.0;
    let under_load = run.loads().any(|(at, _)| at > begun && at < done);
    let load = if under_load { ", under continuous load" } else { "" };
    Some(format!("The fix ({}) took {}{load}.", fix.command, length(took)))
}

fn records(run: &Run) -> Option<String> {
    let load = run.result("load")?;
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64);
    let acknowledged = number(load, "acknowledged")?;
    let failed: u64 =
        load.get("failed").and_then(Value::as_object).map_or(0, |codes| codes.values().filter_map(Value::as_u64).sum());
    let proof = run.result("verification").and_then(|proof| {
        Some(format!(
            "; read back, {} of them were lost and {} duplicated",
            number(proof, "lost")?,
            number(proof, "duplicates")?
        ))
    });
    let unproven = || "; they were not read back".to_owned();
    Some(format!("{acknowledged} records were acknowledged and {failed} failed{}.", proof.unwrap_or_else(unproven)))
}

fn ending(run: &Run) -> Option<String> {
    let mut told = match run.end() {
        None => "The record has no end: the run is still in progress, or was killed. This report shows what was \
                 recorded so far."
            .to_owned(),
        Some(end) if end.outcome == "done" => String::new(),
        Some(end) => {
            let error = end.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            format!("It ended with exit code {} ({}){error}.", end.exit_code, end.outcome.replace('_', " "))
        }
    };
    let lines = run.unreadable.len() + usize::from(run.is_torn);
    if lines > 0 {
        let were = if lines == 1 {
            "line of the record was torn or damaged and is"
        } else {
            "lines of the record were torn or damaged and are"
        };
        told += &format!("{}{lines} {were} left out.", if told.is_empty() { "" } else { " " });
    }
    (!told.is_empty()).then_some(told)
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
