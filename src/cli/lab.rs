//! Arguments of `kgen lab`.

use std::net::SocketAddr;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Start the lab and wait until it answers
    #[command(after_help = "\
Examples:
  kgen lab up && eval \"$(kgen lab env)\"
  kgen lab up --port 5000 --t3 credits
  kgen lab up --metrics-period 5s")]
    Up(LabUp),
    /// Stop the lab: brokers, control plane and AWS emulator
    #[command(after_help = "Examples:\n  kgen lab down\n  kgen lab down --purge\n  kgen lab down --purge --yes")]
    Down(LabDown),
    /// Show what runs in the lab and how it divides the machine
    #[command(after_help = "Examples:\n  kgen lab status\n  kgen lab status --json")]
    Status(LabStatus),
    /// Print shell commands that point terraform, aws and the Kafka tools at the lab
    #[command(after_help = "Examples:\n  eval \"$(kgen lab env)\"\n  kgen lab env --json")]
    Env(LabEnv),
    /// Start, stop and list faults
    #[command(subcommand)]
    #[command(after_help = "\
Examples:
  kgen lab fault list
  kgen lab fault start broker.hung --broker 2
  kgen lab fault stop")]
    Fault(FaultCommand),
    /// Open connections until stopped (started by the fault client.connection-storm)
    #[command(hide = true)]
    OpenConnections(OpenConnections),
    /// Run the lab's process (started by `lab up`)
    #[command(hide = true)]
    Serve(LabUp),
}

#[derive(Debug, Clone, Args)]
pub struct LabUp {
    /// Port of the AWS endpoint on 127.0.0.1
    #[arg(long, default_value_t = 4566)]
    pub port: u16,
    /// Scale of the brokers compared with AWS, 1:N [default: from this machine's cores]
    #[arg(long, value_name = "N", value_parser = scale)]
    pub scale: Option<f64>,
    /// CPU that T3 brokers get
    #[arg(long, value_enum, default_value_t = T3Mode::Sustained)]
    pub t3: T3Mode,
    /// Length of the minutes of CloudWatch: 60s as on MSK, or less (5s, 10s, 15s, 20s, 30s) for tests
    #[arg(long, value_name = "PERIOD", default_value = "60s", value_parser = metrics_period)]
    pub metrics_period: u64,
    /// Run no brokers: clusters are there at once and have synthetic metrics, for tests of large fleets
    #[arg(long)]
    pub without_brokers: bool,
    /// Deny an action, such as kafka:ListTopics, as IAM would, for tests; may be given several times
    #[arg(long, value_name = "ACTION", value_parser = action)]
    pub deny: Vec<String>,
    /// Print one JSON document, that of `kgen lab status`
    #[arg(long)]
    pub json: bool,
}

fn action(text: &str) -> Result<String, String> {
    let is_action = text.split_once(':').is_some_and(|(service, name)| {
        ["kafka", "cloudwatch"].contains(&service)
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric())
    });
    if is_action { Ok(text.to_owned()) } else { Err("an action is kafka:NAME or cloudwatch:NAME".to_owned()) }
}

/// N of "scale 1:N".
pub fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|scale| (1.0..=100.0).contains(scale));
    scale.ok_or_else(|| "N is a number from 1 to 100".to_owned())
}

/// Seconds, as `5s` or `5`: what divides a minute and is a multiple of the 5 s between two scrapes.
pub fn metrics_period(text: &str) -> Result<u64, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let valid = |seconds: &u64| [5, 10, 15, 20, 30, 60].contains(seconds);
    seconds.filter(valid).ok_or_else(|| "a period is 5s, 10s, 15s, 20s, 30s or 60s".to_owned())
}

/// How the lab treats burstable broker types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum T3Mode {
    /// The baseline, as if the credits were always spent
    Sustained,
    /// Full CPU until the credits are spent, then the baseline
    Credits,
}

#[derive(Debug, Subcommand)]
pub enum FaultCommand {
    /// Start a fault on the stack's cluster; it lasts until you stop it or the lab ends
    #[command(after_help = "\
Examples:
  kgen lab fault start broker.degraded --broker 3
  kgen lab fault start partition.hot-key --topic orders --strength 1.3
  kgen lab fault start instance.killed --instance i-0123456789abcdef0")]
    Start(FaultStart),
    /// Stop a fault, or all of them
    #[command(after_help = "Examples:\n  kgen lab fault stop\n  kgen lab fault stop broker.hung")]
    Stop(FaultStop),
    /// List every fault: what it does, and whether this machine allows it
    #[command(after_help = "Examples:\n  kgen lab fault list\n  kgen lab fault list --json")]
    List(FaultList),
}

#[derive(Debug, Args)]
pub struct FaultStart {
    /// Fault, named after the finding that it should lead to, such as broker.hung
    pub id: String,
    /// Broker to disturb [default: the second]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub broker: Option<i32>,
    /// Client instance to disturb, by its id or its Name tag, for faults of instances
    #[arg(long, value_name = "ID|NAME", conflicts_with_all = ["broker", "topic"])]
    pub instance: Option<String>,
    /// Topic to disturb [default: the stack's]
    #[arg(long)]
    pub topic: Option<String>,
    /// Strength: 1 is normal, 1.3 is worse, 0.7 is milder
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub strength: f64,
    /// Print one JSON document, that of `kgen lab fault list`
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct FaultStop {
    /// Fault to stop [default: all]
    pub id: Option<String>,
    /// Print one JSON document, that of `kgen lab fault list`
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct FaultList {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct OpenConnections {
    /// Brokers, used in turn
    #[arg(value_delimiter = ',', required = true)]
    pub brokers: Vec<SocketAddr>,
    /// New connections a second
    #[arg(long)]
    pub per_second: u32,
    /// Connections that stay open
    #[arg(long)]
    pub held: u32,
}

#[derive(Debug, Args)]
pub struct LabDown {
    /// Also delete the lab's clusters and their records
    #[arg(long)]
    pub purge: bool,
    /// Delete without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document (schema kgen.lab-down/1)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct LabEnv {
    /// Print one JSON document (schema kgen.lab-env/1)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct LabStatus {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}
