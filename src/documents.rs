//! The documents that `--json` prints, if no other module has a type for them. Each has its name in `schema`.

mod diagnosis;
pub mod schemas;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use diagnosis::{Diagnosed, DiagnosisDocument};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    benchmark,
    capacity::{Found, Trial},
    change::{Figures, FileDiff, Moves, Proposal, moving, rolling},
    comparison::Comparison,
    console::progress,
    demo::Story,
    diagnose::{Context, Verdict},
    doctor::Answer,
    edge, guard, kafka,
    lab_api::LabStatus,
    load::{producer::Summary, verify::Verification},
    metrics::Requests,
    prediction,
    project::FileState,
    proof::Proof,
    remedy::Rendered,
    run,
    sizing::Sizing,
    stack::settings::Setting,
    terraform::Listing,
    watch::fleet::{Failure, Row},
};

/// A document with its name.
#[derive(Serialize, JsonSchema)]
pub struct Named<T> {
    schema: &'static str,
    #[serde(flatten)]
    document: T,
}

/// A document that is printed under a name.
pub trait Document: Serialize + JsonSchema {
    /// Raised with every change that an older reader could not read.
    const SCHEMA: &'static str;
}

/// Prints a document with its name.
///
/// # Errors
/// It cannot be written as JSON, which only a map with keys that are no text would bring about.
pub fn print<T: Document>(document: T) -> anyhow::Result<()> {
    edge::document(&Named { schema: T::SCHEMA, document })
}

/// A path as text. One that is not UTF-8 is shown with replacement characters: after the work is done, a document that
/// cannot be printed would be worse.
fn lossy<S: serde::Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.as_ref().to_string_lossy())
}

macro_rules! documents {
    ($($name:literal $document:ty),+ $(,)?) => { $(impl Document for $document { const SCHEMA: &'static str = $name; })+ };
}

documents! {
    "kgen.plan/1" Planned,
    "kgen.apply/1" Applied,
    "kgen.destroy/1" Destroyed,
    "kgen.output/1" Outputs,
    "kgen.render/1" RenderedFiles<'_>,
    "kgen.topic/1" kafka::admin::Topic,
    "kgen.bootstrap/1" BootstrapBrokers,
    "kgen.explanation/1" Explanations,
    "kgen.resize/1" Resized,
    "kgen.scale-out/1" ScaledOut,
    "kgen.fix/1" Fixed,
    "kgen.demo/1" Played<'_>,
    "kgen.lab/1" LabStatus,
    "kgen.lab-faults/1" ListedFaults,
    "kgen.lab-down/1" LabDown,
    "kgen.lab-env/1" LabEnv,
    "kgen.prepared/1" Prepared,
    "kgen.report/1" WrittenReport,
    "kgen.runs-prune/1" Pruned,
    "kgen.topic-change/1" TopicChange,
    "kgen.clusters/1" Listed,
    "kgen.guard/1" guard::RoundReport,
    "kgen.config/1" Settings,
    "kgen.runs/1" Recorded,
    "kgen.benchmark/1" benchmark::Scores,
    "kgen.benchmark-size/1" prediction::PredictionScores,
    "kgen.compare/1" ComparedRuns<'_>,
    "kgen.capacity/1" Measured,
    "kgen.size/1" Sized,
}

/// `kgen plan --json`.
#[derive(Serialize, JsonSchema)]
pub struct Planned {
    #[serde(flatten)]
    pub changes: Listing,
}

/// `kgen apply --json`.
#[derive(Serialize, JsonSchema)]
pub struct Applied {
    pub applied: bool,
    pub changes: Listing,
    /// In the order in which they were applied.
    pub resources: Vec<progress::EndedResource>,
    /// Steps of the control plane's operations, such as a broker's restart.
    pub steps: Vec<rolling::EndedStep>,
    /// Those that are not sensitive.
    pub outputs: BTreeMap<String, Value>,
}

/// `kgen destroy --json`.
#[derive(Serialize, JsonSchema)]
pub struct Destroyed {
    pub destroyed: bool,
    pub changes: Listing,
    /// In the order in which they were applied.
    pub resources: Vec<progress::EndedResource>,
}

/// `kgen output --json`.
#[derive(Serialize, JsonSchema)]
pub struct Outputs {
    /// Sensitive ones too.
    pub outputs: BTreeMap<String, Value>,
}

/// `kgen render --json`.
#[derive(Serialize, JsonSchema)]
pub struct RenderedFiles<'a> {
    pub files: Vec<RenderedFile<'a>>,
}

#[derive(Serialize, JsonSchema)]
pub struct RenderedFile<'a> {
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "PathBuf")]
    pub file: &'a Path,
    pub state: FileState,
    /// A unified diff; empty where nothing differs.
    pub diff: String,
}

/// `kgen bootstrap --json`.
#[derive(Serialize, JsonSchema)]
pub struct BootstrapBrokers {
    /// host:port,host:port
    pub plaintext: Option<String>,
    pub tls: Option<String>,
    pub sasl_scram: Option<String>,
    pub sasl_iam: Option<String>,
}

/// `kgen explain --json`.
#[derive(Serialize, JsonSchema)]
pub struct Explanations {
    pub findings: Vec<Explanation>,
}

#[derive(Serialize, JsonSchema)]
pub struct Explanation {
    pub id: &'static str,
    pub meaning: &'static str,
    pub told_apart: &'static str,
    pub in_the_lab: &'static str,
    /// The command that causes it in the lab, if there is one.
    pub fault: Option<String>,
}

/// `kgen resize --json`.
#[derive(Serialize, JsonSchema)]
pub struct Resized {
    pub cluster: Context,
    /// Completed steps of the rolling update, in order; for a resumed run, only those since then.
    pub steps: Vec<rolling::EndedStep>,
    pub before: Figures,
    pub after: Figures,
    /// The effect of the resize, with its interval.
    pub change: Proof,
    /// Of the samples afterwards.
    pub verdict: Verdict,
    pub conclusion: String,
}

/// `kgen scale-out --json`.
#[derive(Serialize, JsonSchema)]
pub struct ScaledOut {
    pub cluster: Context,
    /// Brokers before and after.
    pub from: u32,
    pub to: u32,
    /// Completed steps of the operation, in order; for a resumed run, only those since then.
    pub steps: Vec<rolling::EndedStep>,
    pub moved: moving::Moved,
    pub before: Figures,
    pub after: Figures,
    /// The effect of the new brokers, with its interval.
    pub change: Proof,
    /// Of the samples afterwards.
    pub verdict: Verdict,
    pub conclusion: String,
}

/// `kgen resize --json` and `kgen scale-out --json` where nothing is applied: with `--dry-run`, with `--dir` alone.
#[derive(Serialize, JsonSchema)]
pub struct Prepared {
    pub cluster: Option<String>,
    /// The files were written; always false with `--dry-run`.
    pub written: bool,
    pub files: Vec<PreparedFile>,
    /// What changes and what it requires, if kgen manages the cluster.
    pub remedy: Option<Rendered>,
    /// The approximate number of replicas that will move, and the total.
    pub moves: Option<PreparedMoves>,
    /// What was not checked, and other notes.
    pub notes: Vec<String>,
    /// The command that resumes it.
    pub next: String,
}

#[derive(Serialize, JsonSchema)]
pub struct PreparedFile {
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "PathBuf")]
    pub file: PathBuf,
    /// A unified diff.
    pub diff: String,
}

#[derive(Serialize, JsonSchema)]
pub struct PreparedMoves {
    pub replicas: u64,
    pub of: u64,
    /// Of each broker, bytes/s.
    pub throttle_bytes_per_s: u64,
}

impl From<Proposal> for Prepared {
    fn from(proposal: Proposal) -> Prepared {
        let moves = proposal.moves.map(|Moves { replicas, of, throttle_bytes_per_s }| PreparedMoves {
            replicas,
            of,
            throttle_bytes_per_s,
        });
        Prepared {
            cluster: Some(proposal.cluster.name),
            written: false,
            files: prepared_files(proposal.files),
            remedy: Some(proposal.remedy),
            moves,
            notes: Vec::new(),
            next: proposal.change.command(),
        }
    }
}

pub fn prepared_files(files: Vec<FileDiff>) -> Vec<PreparedFile> {
    files.into_iter().map(|FileDiff { file, diff }| PreparedFile { file, diff }).collect()
}

/// `kgen topic create --json` and `kgen topic delete --json`.
#[derive(Serialize, JsonSchema)]
pub struct TopicChange {
    pub topic: String,
    pub partitions: usize,
    /// For each partition; absent if it was not requested.
    pub replication_factor: Option<i32>,
    pub outcome: TopicOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TopicOutcome {
    Created,
    WouldCreate,
    /// It already existed and was left unchanged.
    Exists,
    Deleted,
    WouldDelete,
}

/// `kgen runs prune --json`.
#[derive(Serialize, JsonSchema)]
pub struct Pruned {
    /// Ids, the oldest first; with `--dry-run` those that would be deleted.
    pub runs: Vec<String>,
    pub deleted: bool,
}

/// `kgen report --json`.
#[derive(Serialize, JsonSchema)]
pub struct WrittenReport {
    pub run: String,
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "PathBuf")]
    pub file: PathBuf,
}

/// `kgen lab down --json`.
#[derive(Serialize, JsonSchema)]
pub struct LabDown {
    /// A lab ran.
    pub stopped: bool,
    /// Its clusters and their records were deleted.
    pub purged: bool,
}

/// `kgen lab env --json`.
#[derive(Serialize, JsonSchema)]
pub struct LabEnv {
    /// To be set.
    pub set: BTreeMap<String, String>,
    /// To be removed.
    pub unset: Vec<String>,
    /// To be put in front of the other folders in PATH.
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "PathBuf")]
    pub path: PathBuf,
}

/// `kgen fix --json`.
#[derive(Serialize, JsonSchema)]
pub struct Fixed {
    /// Id of the finding; nothing when there is none.
    pub finding: Option<String>,
    /// What was done, or would be done with `--dry-run`; absent if kgen does nothing.
    pub action: Option<String>,
    pub carried_out: bool,
    /// The finding is gone.
    pub gone: bool,
    /// From the change to that.
    pub seconds: u64,
}

/// `kgen demo --json`.
#[derive(Serialize, JsonSchema)]
pub struct Played<'a> {
    pub lab_scale: Option<f64>,
    pub timeline: &'a Story,
    /// Id of the finding.
    pub cause: &'a str,
    pub before: &'a Figures,
    pub after: &'a Figures,
    /// The effect of the fix, with its interval.
    pub change: &'a Proof,
    pub load: &'a Summary,
    pub proof: &'a Verification,
    /// The file with all samples, one per line (kgen.sample/1).
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "PathBuf")]
    pub samples: &'a Path,
}

/// `kgen consume --verify RUN --json`.
#[derive(Serialize, schemars::JsonSchema)]
pub struct Verified<'a> {
    pub schema: &'static str,
    pub topic: &'a str,
    /// Nothing is lost, duplicated, reordered or corrupted.
    pub whole: bool,
    #[serde(flatten)]
    pub found: &'a Verification,
}

impl Verified<'_> {
    pub const SCHEMA: &'static str = "kgen.verify/1";
}

/// `kgen compare --json`.
#[derive(Serialize, JsonSchema)]
pub struct ComparedRuns<'a> {
    /// As given.
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "PathBuf")]
    pub before: &'a Path,
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "PathBuf")]
    pub after: &'a Path,
    #[serde(flatten)]
    pub comparison: &'a Comparison,
}

/// `kgen runs --json`.
#[derive(Serialize, JsonSchema)]
pub struct Recorded {
    /// The oldest first.
    pub runs: Vec<RecordedRun>,
}

#[derive(Serialize, JsonSchema)]
pub struct RecordedRun {
    pub id: String,
    pub command: String,
    pub args: Vec<String>,
    /// RFC 3339.
    pub started: String,
    pub duration_s: f64,
    /// Such as `done`, `interrupted`, `running` or `killed`.
    pub outcome: String,
    pub exit_code: Option<u8>,
    pub cluster: Option<String>,
    pub lab_scale: Option<f64>,
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "PathBuf")]
    pub dir: PathBuf,
    pub bytes: u64,
}

impl From<&run::Listed> for RecordedRun {
    fn from(listed: &run::Listed) -> RecordedRun {
        let run::Head { id, command, args, started, environment, .. } = listed.head.clone();
        RecordedRun {
            id,
            command,
            args,
            started: started.to_string(),
            duration_s: listed.seconds(),
            outcome: listed.outcome().to_owned(),
            exit_code: listed.end.as_ref().map(|end| end.exit_code),
            cluster: environment.cluster,
            lab_scale: environment.lab_scale,
            dir: listed.dir.clone(),
            bytes: listed.bytes,
        }
    }
}

/// `kgen clusters --json`.
#[derive(Serialize, JsonSchema)]
pub struct Listed {
    /// The worst first.
    pub clusters: Vec<Row>,
    /// Regions of accounts that could not be listed.
    pub failures: Vec<Failure>,
    /// Regions that an account has not enabled.
    pub disabled_regions: Vec<String>,
    pub requests: Cost,
}

/// Number of CloudWatch requests. MSK API calls are free.
#[derive(Serialize, JsonSchema)]
pub struct Cost {
    /// Metrics requested with GetMetricData.
    pub metrics: u64,
    pub get_metric_data_calls: u64,
    pub list_metrics_calls: u64,
    /// By CloudWatch's public price list.
    pub usd: f64,
}

impl From<Requests> for Cost {
    fn from(requests: Requests) -> Cost {
        Cost {
            metrics: requests.metrics,
            get_metric_data_calls: requests.get_metric_data_calls,
            list_metrics_calls: requests.list_metrics_calls,
            usd: requests.usd(),
        }
    }
}

/// `kgen doctor --json`.
#[derive(Serialize, JsonSchema)]
pub struct Readiness {
    pub schema: &'static str,
    /// Nothing is missing; there may be warnings.
    pub ready: bool,
    pub checks: Vec<Answer>,
}

impl Readiness {
    pub const SCHEMA: &str = "kgen.doctor/1";
}

/// `kgen config --json`.
#[derive(Serialize, JsonSchema)]
pub struct Settings {
    pub settings: Vec<Setting>,
    pub others: Vec<Other>,
}

/// A setting that is not in kgen.toml.
#[derive(Serialize, JsonSchema)]
pub struct Other {
    /// As the option is called: `project`.
    pub name: String,
    pub value: Option<String>,
    /// `flag`, `environment` or `default`.
    pub origin: &'static str,
    pub variable: &'static str,
}

/// `kgen size --json`.
#[derive(Serialize, JsonSchema)]
pub struct Sized {
    pub cluster: Context,
    #[serde(flatten)]
    pub sizing: Sizing,
    /// Commands that carry out the advice, in order.
    pub next: Vec<String>,
    /// The run, for `report`.
    pub run: String,
}

/// `kgen capacity --json`, and the result `capacity` of its run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Measured {
    #[serde(flatten)]
    pub searched: Searched,
    /// The run, for `replay` and `report`.
    pub run: String,
    /// The same search with each type of `--against`, in order; left out without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<Searched>,
}

/// What one search for a capacity found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Searched {
    /// The cluster as it was seen last.
    pub cluster: Option<Context>,
    #[serde(flatten)]
    pub found: Found,
    /// In the order in which they were made; each is a load of its own.
    pub trials: Vec<Trial>,
    /// Price of the brokers for each MB/s of values that they sustain, a month (us-east-1 list price); `null` without an answer
    /// or for an unknown type. In the lab: the price of the real type over the rate of the scaled one, no figure of AWS.
    pub usd_per_mb_s_month: Option<f64>,
    /// Price of the brokers a month (us-east-1 list price); `null` for an unknown type.
    pub usd_per_month: Option<f64>,
}

impl Measured {
    /// Every search, that of the cluster as it was first.
    pub fn searches(&self) -> impl Iterator<Item = &Searched> {
        std::iter::once(&self.searched).chain(&self.against)
    }
}

/// `kgen lab fault list --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedFaults {
    pub faults: Vec<ListedFault>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedFault {
    /// The scenario, which is the finding that is right; `instance.…` is a fault of a client instance.
    pub id: String,
    pub does: String,
    /// Whether this machine allows it.
    pub possible: bool,
    /// Why not.
    pub obstacle: Option<String>,
    pub runs: bool,
}
