//! Arguments of the commands that look at a cluster: `watch`, `diagnose`, `explain`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

/// Which cluster
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// Name or ARN of the cluster [default: the project's, else the only one of the region]
    #[arg(long, value_name = "NAME|ARN")]
    pub cluster: Option<String>,
    /// AWS region [default: AWS_REGION, else the profile's, else the one in kgen.toml]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// The cluster to read, and the source of its metrics
#[derive(Debug, Clone, Default, Args)]
pub struct Look {
    /// Name or ARN of the cluster [default: the project's, else the only one of the region]
    #[arg(long, value_name = "NAME|ARN")]
    pub cluster: Option<String>,
    /// AWS region [default: AWS_REGION, else the profile's, else the one in kgen.toml]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Where metrics are read
    #[arg(long, value_enum, default_value_t)]
    pub source: SourceChoice,
    /// Read the Prometheus endpoints from FILE (file_sd JSON with labels job, cluster, broker_id)
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    pub targets: Option<PathBuf>,
    /// Time between two samples [default: 1s; from CloudWatch 1m, as it has a new one each minute]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub interval: Option<Duration>,
    /// Ignore datapoints of CloudWatch younger than this, as some are still arriving [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub delay: Option<Duration>,
}

impl Look {
    pub fn which(&self) -> Which {
        Which { cluster: self.cluster.clone(), region: self.region.clone() }
    }

    /// The options that say how the cluster is seen, with their values, as they were given.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let source = match self.source {
            SourceChoice::Auto => None,
            SourceChoice::Prometheus => Some("prometheus".to_owned()),
            SourceChoice::Cloudwatch => Some("cloudwatch".to_owned()),
        };
        let targets = self.targets.as_ref().map(|path| path.to_string_lossy().into_owned());
        let delay = self.delay.map(|delay| format!("{}s", delay.as_secs()));
        let options = [("source", source), ("targets", targets), ("delay", delay)];
        options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SourceChoice {
    /// Prometheus if the brokers answer from here, else CloudWatch
    #[default]
    Auto,
    /// The brokers' Prometheus endpoints, and the Kafka protocol
    #[value(alias = "inside")]
    Prometheus,
    /// CloudWatch and the MSK API, from anywhere with read-only credentials
    #[value(alias = "outside")]
    Cloudwatch,
}

/// Watch every broker live: CPU, memory, latency, traffic, replication, findings
#[derive(Debug, Args)]
#[command(after_help = "\
Draws a live screen on a terminal (? shows the keys); otherwise prints lines and a summary. Every watch is recorded: \
`kgen replay` shows it again.

Examples:
  kgen watch
  kgen watch --plain                       # lines, on a terminal too
  kgen watch --duration 1m --interval 2s
  kgen watch --json > samples.jsonl        # for kgen diagnose --replay
  kgen watch --cluster orders --region eu-central-1")]
pub struct Watch {
    #[command(flatten)]
    pub look: Look,
    /// Stop after this time [default: until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Print one JSON object per sample (schema kgen.sample/1)
    #[arg(long)]
    pub json: bool,
    /// Print lines instead of the live screen
    #[arg(long, conflicts_with = "json")]
    pub plain: bool,
}

/// Find the cause of a problem and print the exact fix
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 if the cluster is healthy, 3 if a cause was found, 4 if the diagnosis is inconclusive.

Examples:
  kgen diagnose
  kgen diagnose --window 1m --json
  kgen diagnose --replay samples.jsonl     # written by kgen watch --json
  kgen diagnose --cluster orders --region eu-central-1
  kgen diagnose --source cloudwatch --window 12h")]
pub struct Diagnose {
    #[command(flatten)]
    pub look: Look,
    /// How long to watch the brokers [default: 30s], or how far back to read CloudWatch [default: 3h]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub window: Option<Duration>,
    /// Diagnose recorded samples instead of a cluster
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "targets", "cluster", "region", "window", "interval", "delay"])]
    pub replay: Option<PathBuf>,
    /// Print the diagnosis as JSON (schema kgen.diagnosis/1)
    #[arg(long)]
    pub json: bool,
}

/// Explain a finding, what distinguishes it, and how to reproduce it in the lab
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen explain                             # every id
  kgen explain broker.undersized")]
pub struct Explain {
    /// Id of a finding, such as broker.undersized
    pub id: Option<String>,
    /// Print the explanation as JSON (schema kgen.explanation/1)
    #[arg(long)]
    pub json: bool,
}

/// A time such as `30s`, `500ms` or `1m30s`, longer than nothing; a number alone is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let with_unit = if is_number { format!("{text}s") } else { text.to_owned() };
    let parsed: jiff::SignedDuration =
        with_unit.parse().map_err(|_| "expected a time such as 30s, 500ms or 2m".to_owned())?;
    Duration::try_from(parsed)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "expected a time longer than zero".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    // Kafka's exporter needs tens of milliseconds of the broker's own CPU for one answer.
    let shortest = Duration::from_millis(200);
    duration(text)?.checked_sub(shortest).map(|rest| rest + shortest).ok_or_else(|| "expected 200ms or more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let ms = |n| Ok(Duration::from_millis(n));
        let rows =
            [("30s", ms(30_000)), ("500ms", ms(500)), ("1m30s", ms(90_000)), ("2m", ms(120_000)), ("30", ms(30_000))];
        for (text, expected) in rows {
            assert_eq!(duration(text), expected, "{text}");
        }
        for text in ["", "0", "0s", "-1s", "-1", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!((interval("200ms"), interval("100ms").is_err()), (ms(200), true));
    }
}
