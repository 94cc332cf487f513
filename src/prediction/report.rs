//! The report for a reader, as Markdown.

use std::fmt::Write as _;

use super::{
    FORMULAS, PredictionScores,
    scatter::scatter,
    score::{Errors, FormulaErrors},
};

/// The report as Markdown, without a heading of its own.
pub fn markdown(scores: &PredictionScores) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "{} capacities were measured; {} measurements are void. Each is predicted from histories of the same workload on other \
         shapes.\n",
        scores.measured,
        scores.void.len()
    );
    text += "| | predictions | median error | p95 | bias |\n|---|---|---|---|---|\n";
    let held_out: fn(&FormulaErrors) -> &Errors = |formula| &formula.held_out;
    let tuning: fn(&FormulaErrors) -> &Errors = |formula| &formula.tuning;
    for (workloads, own, of) in
        [("held-out workloads", &scores.held_out, held_out), ("the tuning workload", &scores.tuning, tuning)]
    {
        row(&mut text, &format!("kgen size, {workloads}"), own);
        for formula in scores.formulas.iter().filter(|formula| of(formula).predictions > 0) {
            row(&mut text, &format!("{}, {workloads}", formula.name), of(formula));
        }
    }
    let advice = &scores.advice;
    let _ = writeln!(
        text,
        "\nThe cheapest measured shape that is predicted to carry a load carries it in {} of {} cases; the next cheaper one fails in \
         {} of {}.",
        advice.carried, advice.cases, advice.cheaper_fails, advice.with_cheaper
    );
    let drawn = scatter(scores.each.iter().filter(|made| made.held_out && made.is_of_another_shape()));
    if !drawn.is_empty() {
        let _ = write!(
            text,
            "\n## Predicted against measured\n\nHeld-out workloads, records/s. On the line, both are the same; below it, less was \
             predicted.\n\n```text\n{drawn}```\n"
        );
    }
    each(&mut text, scores);
    if !scores.void.is_empty() {
        text += "\n## Void\n\n";
        for void in &scores.void {
            let _ = writeln!(text, "- {} on {}: {}", void.workload, void.shape, void.why);
        }
    }
    text
}

fn row(text: &mut String, name: &str, errors: &Errors) {
    let percent = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1} %"));
    let bias = errors.bias_percent.map_or("-".to_owned(), |value| format!("{value:+.1} %"));
    let _ = writeln!(
        text,
        "| {name} | {} | {} | {} | {bias} |",
        errors.predictions,
        percent(errors.median_percent),
        percent(errors.p95_percent)
    );
}

fn each(text: &mut String, scores: &PredictionScores) {
    let names: Vec<&str> = FORMULAS.iter().map(|formula| formula.name).collect();
    let _ = writeln!(
        text,
        "\n## Every prediction\n\nRecords/s.\n\n| workload | history of | measured on | measured | kgen size | error | {} | limit |",
        names.join(" | ")
    );
    let _ = writeln!(text, "|---|---|---|---|---|---|{}---|", "---|".repeat(names.len()));
    for made in scores.each.iter().filter(|made| made.is_of_another_shape()) {
        let formulas = made.formulas.iter().map(|by| by.map_or("-".to_owned(), |per_s| format!("{per_s:.0}")));
        let limit = made.limit.as_ref().map_or("-".to_owned(), |limit| limit.to_string());
        let _ = writeln!(
            text,
            "| {} | {}, {} | {} | {:.0} | {:.0} | {:+.1} % | {} | {limit} |",
            made.workload,
            made.from,
            made.history + 1,
            made.to,
            made.measured_per_s,
            made.predicted_per_s,
            made.error_percent,
            formulas.collect::<Vec<_>>().join(" | ")
        );
    }
}
