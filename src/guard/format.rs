//! A round as a text: for people, for a pull request, for the log of GitHub Actions, for CI that reads JUnit. Pure.

mod github;
mod junit;
mod markdown;
mod proposal;
mod text;

pub use github::github;
pub use junit::junit;
pub use markdown::markdown;
pub use proposal::{branch, proposal};
pub use text::text;

use super::report::{RoundReport, Standing};

/// What could not be seen, a line each.
fn unseen(report: &RoundReport) -> Vec<String> {
    let of_place = |failure: &crate::watch::fleet::Failure| {
        let caller = failure.caller.as_ref().map(|caller| format!(" with {caller}")).unwrap_or_default();
        format!("{}{caller}: {}", failure.region, failure.error)
    };
    let clusters = report.clusters.iter().filter_map(|seen| {
        let error = seen.row.error.as_ref()?;
        Some(format!("{} ({}): {error}", seen.row.name, seen.row.region))
    });
    report.failures.iter().map(of_place).chain(clusters).collect()
}

/// The commands of a fix.
fn commands(finding: &Standing) -> Vec<&str> {
    let Some(fix) = &finding.content.fix else { return Vec::new() };
    fix.aws_cli.iter().chain(&fix.kafka_tools).map(String::as_str).collect()
}
