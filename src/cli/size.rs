//! Arguments of `size`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use crate::sizing::{Exclude, Growth, Survive};

/// Find the cheapest broker type and count that carry a cluster's load
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the cluster's history from CloudWatch, or a recording, and prints the price of that first. CPU is predicted by a model fitted \
to the history; all else is computed from the catalogue. The price is that of the brokers alone (us-east-1).
Exits with 0 if the present brokers are right, 3 if a change is recommended, 4 if no recommendation is possible.

Examples:
  kgen size --cluster orders
  kgen size --cluster orders --days 63 --growth auto --survive zone
  kgen size --cluster orders --exclude 2026-11-20T09:00Z/2026-11-20T12:00Z --json
  kgen size --from samples.jsonl           # written by kgen watch --json")]
pub struct Size {
    #[command(flatten)]
    pub which: super::look::Which,
    /// Read a recorded run or a file of samples instead of CloudWatch
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cluster", "region", "days"])]
    pub from: Option<PathBuf>,
    /// Days of history, 1 to 63: minutes for 15 days, five minutes before that
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=63))]
    pub days: u32,
    /// Load to plan for, percent above the peak; auto continues the trend for 90 days
    #[arg(long, value_name = "PERCENT|auto", default_value = "0", value_parser = growth)]
    pub growth: Growth,
    /// What may be away while the other brokers carry the load
    #[arg(long, value_enum, default_value_t)]
    pub survive: Survive,
    /// Highest CPU while that is away, percent
    #[arg(long, value_name = "PERCENT", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub target_cpu: u32,
    /// Ignore a part of the history, such as a load test: FROM/TO, each such as 2026-11-20T09:00Z; may be repeated
    #[arg(long, value_name = "FROM/TO", value_parser = span)]
    pub exclude: Vec<Exclude>,
    /// The folder of the Terraform that defines the cluster, for the next command
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Do not ask before an expensive read
    #[arg(long, short)]
    pub yes: bool,
    /// Print the answer as JSON (schema kgen.size/1)
    #[arg(long)]
    pub json: bool,
}

fn growth(text: &str) -> Result<Growth, String> {
    if text == "auto" {
        return Ok(Growth::Auto);
    }
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (-90.0..=10_000.0).contains(&percent) => Ok(Growth::Percent(percent)),
        _ => Err("expected a percentage such as 30, or auto".to_owned()),
    }
}

fn span(text: &str) -> Result<Exclude, String> {
    let expected = || "expected FROM/TO, such as 2026-11-20T09:00Z/2026-11-20T12:00Z".to_owned();
    let (from, until) = text.split_once('/').ok_or_else(expected)?;
    let at = |text: &str| text.parse::<Timestamp>().map(Timestamp::as_millisecond).map_err(|_| expected());
    let span = Exclude { from_ms: at(from)?, until_ms: at(until)? };
    if span.until_ms > span.from_ms { Ok(span) } else { Err("TO is not after FROM".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_and_spans_are_read() {
        assert_eq!(
            (growth("30"), growth("30%"), growth("auto")),
            (Ok(Growth::Percent(30.0)), Ok(Growth::Percent(30.0)), Ok(Growth::Auto))
        );
        assert!(growth("much").is_err() && growth("NaN").is_err());
        let read = span("2026-11-20T09:00Z/2026-11-20T12:00Z").unwrap();
        assert_eq!(read.until_ms - read.from_ms, 3 * 3_600_000);
        for wrong in ["2026-11-20", "2026-11-20T12:00Z/2026-11-20T09:00Z", "yesterday/today"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
