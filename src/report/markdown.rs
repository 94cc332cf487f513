//! The report as Markdown for a pull request: story, table, findings, fix.

use std::fmt::Write as _;

use super::{
    capacity::Capacity,
    size::Size,
    view::{Distribution, Repair, Told, View},
};
use crate::visible;

pub fn markdown(view: &View) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, view);
    out
}

fn write(out: &mut String, view: &View) -> std::fmt::Result {
    writeln!(out, "## {}\n", text(&view.headline))?;
    if let Some(lab) = &view.lab {
        writeln!(out, "**{}**: these figures are not figures of AWS.\n", text(lab))?;
    }
    if let Some(conclusion) = view.conclusion {
        writeln!(out, "**{} {conclusion}**\n", view.symbol)?;
    }
    writeln!(out, "{}\n", text(&view.story))?;
    if !view.rows.is_empty() {
        figures(out, view)?;
    }
    if let Some(of) = &view.capacity {
        capacity(out, of)?;
    }
    if let Some(of) = &view.size {
        size(out, of)?;
    }
    if let Some(distribution) = &view.distribution {
        response_times(out, distribution)?;
    }
    if !view.marks.is_empty() {
        writeln!(out, "| mark | at | what was observed |\n|---|--:|---|")?;
        for mark in &view.marks {
            writeln!(out, "| {} | {} | {} |", mark.name, mark.at, text(&mark.text))?;
        }
        writeln!(out)?;
    }
    view.findings.iter().try_for_each(|of| finding(out, of))?;
    if view.more_findings > 0 {
        writeln!(out, "{} more findings are in the record.\n", view.more_findings)?;
    }
    if let Some(of) = &view.fix {
        fix(out, of)?;
    }
    if !view.missing.is_empty() {
        writeln!(out, "Not here:\n")?;
        view.missing.iter().try_for_each(|missing| writeln!(out, "- {}", text(missing)))?;
        writeln!(out)?;
    }
    writeln!(out, "Run {}, started {}, by kgen {}.", code(&view.run), view.started, env!("CARGO_PKG_VERSION"))?;
    block(out, "sh", &visible::line(&view.command))
}

/// Before and after, a row a figure.
fn figures(out: &mut String, view: &View) -> std::fmt::Result {
    writeln!(out, "| figure | before | after | change | 95 % interval | verdict |\n|---|--:|--:|--:|--:|---|")?;
    for row in &view.rows {
        let unit = if row.unit.is_empty() { String::new() } else { format!(", {}", row.unit) };
        writeln!(
            out,
            "| {}{unit} | {} | {} | {} | {} | {} |",
            row.name,
            row.before,
            row.after,
            row.change,
            row.interval,
            format!("{} {}", row.symbol, row.verdict).trim()
        )?;
    }
    if let Some(measured) = &view.measured {
        writeln!(out, "\nMeans over {measured}.")?;
    }
    writeln!(out)
}

/// The answer for each broker type, and every trial.
fn capacity(out: &mut String, capacity: &Capacity) -> std::fmt::Result {
    writeln!(
        out,
        "| broker type | records/s | MB/s | p99, ms | CPU, % | USD/month | limit |\n|---|--:|--:|--:|--:|--:|---|"
    )?;
    for search in &capacity.searches {
        let [rate, mb, p99, cpu, usd] = &search.figures;
        let (name, limit) = (text(&search.broker_type), text(&search.limit));
        writeln!(out, "| {name} | {rate} | {mb} | {p99} | {cpu} | {usd} | {limit} |")?;
    }
    for search in &capacity.searches {
        writeln!(out, "\n| {}, records/s | p99, ms | CPU, % | |\n|--:|--:|--:|---|", text(&search.broker_type))?;
        for trial in &search.trials {
            writeln!(out, "| {} | {} | {} | {} |", trial.rate, trial.p99, trial.cpu, text(&trial.held))?;
        }
    }
    writeln!(out)
}

/// What to do, and every shape.
fn size(out: &mut String, size: &Size) -> std::fmt::Result {
    for said in &size.said {
        writeln!(out, "{}\n", text(said))?;
    }
    if !size.next.is_empty() {
        writeln!(
            out,
            "```sh\n{}\n```\n",
            size.next.iter().map(|line| visible::line(line)).collect::<Vec<_>>().join("\n")
        )?;
    }
    writeln!(out, "| shape | | {}, % | USD/month |", size.columns.join(", % | "))?;
    writeln!(out, "|---|---|{}--:|", "--:|".repeat(size.columns.len()))?;
    for row in &size.rows {
        writeln!(out, "| {} | {} | {} | {} |", row.shape, text(&row.verdict), row.uses.join(" | "), row.usd)?;
    }
    for note in &size.notes {
        writeln!(out, "\n{}", text(note))?;
    }
    writeln!(out)
}

fn response_times(out: &mut String, distribution: &Distribution) -> std::fmt::Result {
    let (head, rule) = if distribution.compared { ("before | after", "--:|--:") } else { ("all", "--:") };
    writeln!(out, "| response time, ms | {head} |\n|---|{rule}|")?;
    for (name, before, after) in &distribution.rows {
        let after = if distribution.compared { format!(" {after} |") } else { String::new() };
        writeln!(out, "| {name} | {before} |{after}")?;
    }
    writeln!(out)
}

fn finding(out: &mut String, finding: &Told) -> std::fmt::Result {
    writeln!(out, "### {}\n", text(&finding.title))?;
    writeln!(
        out,
        "{}, {}, first seen at {}, confidence {}\n",
        code(&finding.id),
        text(&finding.subject),
        finding.at,
        finding.confidence
    )?;
    writeln!(out, "Cause: {}.\n", text(&finding.cause))?;
    let check: Vec<String> = finding.check.iter().cloned().collect();
    for (name, items) in [
        ("Evidence", &finding.evidence_for),
        ("Evidence against", &finding.evidence_against),
        ("Not observed", &finding.missing),
        ("To confirm", &check),
        ("Do not", &finding.not_a_fix),
    ] {
        if items.is_empty() {
            continue;
        }
        writeln!(out, "{name}:\n")?;
        items.iter().try_for_each(|item| writeln!(out, "- {}", text(item)))?;
        writeln!(out)?;
    }
    Ok(())
}

fn fix(out: &mut String, fix: &Repair) -> std::fmt::Result {
    let title = if fix.done { "The fix, as applied" } else { "The recommended fix, not applied in this run" };
    writeln!(out, "### {title}\n\n{}\n", text(&fix.summary))?;
    fix.notes.iter().try_for_each(|note| writeln!(out, "- {}", text(note)))?;
    if !fix.notes.is_empty() {
        writeln!(out)?;
    }
    if let Some(command) = &fix.kgen {
        block(out, "sh", &visible::line(command))?;
    }
    if let Some(diff) = &fix.diff {
        let lines: Vec<&str> = diff.iter().map(|(_, line)| line.as_str()).collect();
        block(out, "diff", &lines.join("\n"))?;
    }
    if let Some(command) = &fix.aws_cli {
        block(out, "sh", &visible::line(command))?;
    }
    Ok(())
}

/// Text on one line that Markdown and HTML take for nothing else, in a table too.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A name in front of which stands an @ would call someone; # would point to an issue.
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c if visible::is_hidden(c) => out.push(' '),
            c => out.push(c),
        }
    }
    // At the beginning of a line these would make a list, a heading or a rule.
    if out.starts_with(['-', '+', '=']) { format!("\\{out}") } else { out }
}

/// Code within a line.
fn code(content: &str) -> String {
    let content: String = content.chars().map(|c| if visible::is_hidden(c) || c == '|' { ' ' } else { c }).collect();
    let fence = "`".repeat(longest_run(&content) + 1);
    let pad = if content.starts_with('`') || content.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{content}{pad}{fence}")
}

/// A block of code whose fence is longer than any in it.
fn block(out: &mut String, language: &str, content: &str) -> std::fmt::Result {
    let fence = "`".repeat((longest_run(content) + 1).max(3));
    let content: String = content.chars().filter(|c| !visible::is_hidden(*c) || *c == '\n' || *c == '\t').collect();
    writeln!(out, "{fence}{language}\n{}\n{fence}\n", content.trim_end())
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let check = |from: &str, expected: &str| assert_eq!(text(from), expected);
        check("<script>|`*_[x](y)`", r"&lt;script&gt;\|\`\*\_\[x\](y)\`");
        check("@someone #12\nnext", "&#64;someone &#35;12 next");
        check("- a", r"\- a");
        check("kafka.t3.small is too small", "kafka.t3.small is too small");
    }

    #[test]
    fn a_fence_is_longer_than_what_is_in_it() {
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
        let mut out = String::new();
        block(&mut out, "sh", "a\n````\nb").unwrap();
        assert_eq!(out, "`````sh\na\n````\nb\n`````\n\n");
    }
}
