//! The report for a reader, as Markdown.

use std::fmt::Write as _;

use super::{
    SCENARIOS, Scores,
    score::{OutsideScore, Share, Times},
};

/// The report as Markdown, without a heading of its own.
pub fn markdown(report: &Scores) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write!(
        text,
        "{} runs of {} scenarios count; {} are void. An answer is the first cause that is named after the fault was made.\n\n",
        report.runs,
        report.scenarios,
        report.void.len()
    );
    let hours = report.calm_s / 3600.0;
    let alarms = report.false_alarms.len();
    let per_hour = if hours > 0.0 { format!("{:.1}", alarms as f64 / hours) } else { "-".to_owned() };
    let brier = report.brier.map_or("-".to_owned(), |brier| format!("{brier:.3}"));
    if let Some(outside) = &report.outside {
        text += &how_seen(report);
        text += &from_outside(outside);
    }
    let rows = [
        ("right cause, held-out variations", share(report.held_out)),
        ("right cause, tuning variations", share(report.tuning)),
        ("right broker, partition or group, of those", share(report.names)),
        ("right remedy, of those", share(report.remedies)),
        (
            "false alarms",
            format!("{alarms} in {:.1} minutes without a fault ({per_hour} an hour)", report.calm_s / 60.0),
        ),
        ("time to name, p50 and p95", times(report.time_to_name)),
        ("the same, of hard faults", times(report.time_to_name_hard)),
        ("Brier score of the confidence", brier),
        ("samples of faults without an answer", share(report.inconclusive)),
    ];
    text += "| | |\n|---|---|\n";
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text += &confusion(report);
    text += &baselines(report);
    if !report.false_alarms.is_empty() {
        text += "\n## False alarms\n\n";
        for alarm in &report.false_alarms {
            let _ = writeln!(text, "- {} in {}, variation {}", alarm.id, alarm.scenario, alarm.variation);
        }
    }
    if !report.void.is_empty() {
        text += "\n## Void\n\n";
        for void in &report.void {
            let _ = writeln!(text, "- {}, variation {}: {}", void.scenario, void.variation, void.why);
        }
    }
    if report.outside.is_some() {
        text += &not_right(report);
        return text;
    }
    text + &every_run(report)
}

/// How often each answer was the first, scenario by scenario.
fn confusion(report: &Scores) -> String {
    let mut text = "\n## Confusion\n\nHow often each answer was the first; `-` is none.\n\n| scenario | runs | answers |\n|---|---|---|\n".to_owned();
    for scenario in SCENARIOS {
        let Some(answers) = report.confusion.get(scenario.name) else { continue };
        let runs: usize = answers.values().sum();
        let is_right = |id: &str| if scenario.truth.is_empty() { id == "-" } else { scenario.may_come_first(id) };
        let mut told: Vec<(&String, &usize)> = answers.iter().collect();
        told.sort_by_key(|(id, count)| (!is_right(id), std::cmp::Reverse(**count)));
        let told = told.iter().map(|(id, count)| match is_right(id) {
            true => format!("**{id}** {count}"),
            false => format!("{id} {count}"),
        });
        let _ = writeln!(text, "| {} | {runs} | {} |", scenario.name, told.collect::<Vec<_>>().join(", "));
    }
    text
}

/// What simpler rules make of the same runs.
fn baselines(report: &Scores) -> String {
    let mut text =
        "\n## Beside it, on the same runs\n\n| rules | held-out | tuning | false alarms |\n|---|---|---|---|\n"
            .to_owned();
    let _ = writeln!(
        text,
        "| kgen | {} | {} | {} |",
        share(report.held_out),
        share(report.tuning),
        report.false_alarms.len()
    );
    for baseline in &report.baselines {
        let (held_out, tuning) = (share(baseline.held_out), share(baseline.tuning));
        let _ = writeln!(text, "| {} | {held_out} | {tuning} | {} |", baseline.name, baseline.false_alarms);
    }
    text += "\nSources: ";
    let sources: Vec<String> =
        report.baselines.iter().map(|baseline| format!("{}: {}", baseline.name, baseline.source)).collect();
    let _ = writeln!(text, "{}.", sources.join("; "));
    text
}

/// A row for each run.
fn every_run(report: &Scores) -> String {
    let mut text = "\n## Every run\n\n| scenario | variation | answer | right | names | remedy | named after |\n|---|---|---|---|---|---|---|\n".to_owned();
    let word = |value: Option<bool>| value.map_or("", |value| if value { "yes" } else { "no" });
    for row in &report.each {
        let held_out = if row.held_out { " (held out)" } else { "" };
        let after = row.named_after_s.map_or(String::new(), |seconds| format!("{seconds:.0} s"));
        let _ = writeln!(
            text,
            "| {} | {}{held_out} | {} | {} | {} | {} | {after} |",
            row.scenario,
            row.variation,
            row.answer.as_deref().unwrap_or("-"),
            word(Some(row.right)),
            word(row.names_rightly),
            word(row.remedy_is_right),
        );
    }
    text
}

/// Where the minutes come from.
fn how_seen(report: &Scores) -> String {
    if report.live == 0 {
        return "From outside: two complete datapoints into the fault, with eight calm ones before them.\n\n"
            .to_owned();
    }
    let of = if report.live == report.runs { "All".to_owned() } else { format!("{} of them", report.live) };
    let mut text = format!(
        "{of} were recorded from outside and are judged as the datapoints came in, up to two complete ones of the fault."
    );
    if report.busy > 0 {
        let _ = write!(text, " {} were recorded on a machine that was busy with other work.", report.busy);
    }
    text + "\n\n"
}

fn from_outside(score: &OutsideScore) -> String {
    let rows = [
        ("right cause, of scenarios that show outside, held-out variations", score.separable_held_out),
        ("the same, tuning variations", score.separable_tuning),
        ("wrong cause, of the same, held-out variations", score.wrong_held_out),
        ("the same, tuning variations", score.wrong_tuning),
        ("faults that were called healthy, all variations", score.called_healthy),
        ("right answers that name the cause as one of two that look the same", score.either),
    ];
    let mut text = "| | |\n|---|---|\n".to_owned();
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {} |", share(value));
    }
    text.push_str("\nOver all scenarios, those that do not show outside among them:\n\n");
    text
}

/// The runs that were not answered rightly.
fn not_right(report: &Scores) -> String {
    let mut text = "\n## Not right\n\n| scenario | variation | answer |\n|---|---|---|\n".to_owned();
    for row in report.each.iter().filter(|row| !row.right) {
        let held_out = if row.held_out { " (held out)" } else { "" };
        let answer = row.answer.as_deref().unwrap_or(if row.called_healthy { "healthy" } else { "inconclusive" });
        let _ = writeln!(text, "| {} | {}{held_out} | {answer} |", row.scenario, row.variation);
    }
    text
}

fn share(share: Share) -> String {
    match share.percent() {
        Some(percent) => format!("{percent:.0} % ({} of {})", share.right, share.of),
        None => "-".to_owned(),
    }
}

fn times(times: Times) -> String {
    let one = |seconds: Option<f64>| seconds.map_or("never".to_owned(), |seconds| format!("{seconds:.0} s"));
    format!("{}, {}", one(times.p50_s), one(times.p95_s))
}
