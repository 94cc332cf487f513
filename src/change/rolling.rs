//! Applying a plan, with the rolling update of a cluster followed broker by broker.
//!
//! Terraform says only that a cluster is still being updated. The MSK API says which broker is being updated.

use std::{
    collections::HashMap,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;

use super::{Event, Phase, See};
use crate::{
    aws::{Aws, AwsError, Operation, Step},
    project::WorkingDir,
    terraform::{
        Seen, Terraform, TerraformError,
        plan::{Action, Plan},
        progress,
    },
    watch::Place,
};

/// Time between two looks at an operation: a broker takes minutes on AWS and seconds in the lab.
const INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for the last look at an operation, after terraform has called it done.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// A step of an operation that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct EndedStep {
    pub address: String,
    /// Name that the control plane gives it.
    pub step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<u32>,
    pub status: String,
    /// Since its observed start; absent if the start was not observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// News of an operation on a cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A step of it has another status: broker `broker` of `brokers`, or the step that is called `name`.
    Step { name: String, broker: Option<u32>, brokers: usize, status: String, time: Option<Duration> },
    /// The operation has failed.
    Failed { operation: String, error: String },
    /// Nothing more can be asked of it. The update continues all the same, and terraform says how it ends.
    Lost(String),
}

/// Waits for a terraform that a killed kgen has left at work in `working_dir`.
///
/// # Errors
/// Its log cannot be read.
pub fn await_earlier(working_dir: &WorkingDir, see: See<'_>) -> anyhow::Result<()> {
    let terraform = working_dir.terraform();
    let Some(earlier) = terraform.earlier() else { return Ok(()) };
    see(&Event::EarlierTerraform(&earlier));
    see(&Event::Began(Phase::AwaitingTerraform));
    let followed = terraform.follow(&earlier, &mut |seen| see(&Event::Terraform(seen)));
    followed.context("following an earlier terraform")?;
    see(&Event::EarlierTerraformEnded);
    Ok(())
}

/// Applies `plan`; `see` is called with what terraform does, and each step of the operations that it starts on
/// clusters.
///
/// Returns the steps that were seen to end.
///
/// # Errors
/// See [`TerraformError`].
pub fn apply(
    terraform: &Terraform,
    plan: &Plan<'_>,
    place: &Place,
    see: See<'_>,
) -> Result<Vec<EndedStep>, TerraformError> {
    let updated = plan.changes.of_type("aws_msk_cluster").filter(|cluster| cluster.action() == Action::Update);
    let arns: HashMap<String, String> = updated
        .filter_map(|cluster| Some((cluster.address.clone(), cluster.change.before["arn"].as_str()?.to_owned())))
        .collect();
    let mut followed: HashMap<String, Followed> = HashMap::new();
    let mut ended = Vec::new();
    terraform.apply(plan, &mut |seen| {
        match seen {
            Seen::Event(progress::Event::Started { address, .. }) => {
                if let Some(arn) = arns.get(address) {
                    followed.insert(address.clone(), Followed::start(address, arn, place));
                }
            }
            Seen::Event(progress::Event::Done { address, .. } | progress::Event::Errored { address, .. }) => {
                if let Some(mut done) = followed.remove(address) {
                    done.finish(see);
                    ended.append(&mut done.steps.ended);
                }
            }
            _ => followed.values_mut().for_each(|followed| followed.show(see)),
        }
        see(&Event::Terraform(seen));
    })?;
    Ok(ended)
}

/// An operation that a thread asks for while terraform waits for it.
struct Followed {
    steps: Steps,
    found: Receiver<Result<Operation, AwsError>>,
    stop: Option<Sender<()>>,
}

impl Followed {
    fn start(address: &str, arn: &str, place: &Place) -> Followed {
        let (found_to, found) = channel();
        let (stop, stopped) = channel();
        let (arn, place) = (arn.to_owned(), place.clone());
        // It ends by itself when it is instructed to stop or nobody listens; no answer keeps it for longer than the
        // SDK's time limits.
        thread::spawn(move || ask(&arn, &place, &found_to, &stopped));
        Followed { steps: Steps::new(address), found, stop: Some(stop) }
    }

    /// Shows what was found since the last call.
    fn show(&mut self, see: See<'_>) {
        while let Ok(found) = self.found.try_recv() {
            self.steps.show(found, see);
        }
    }

    /// Shows what is found by a last look.
    fn finish(&mut self, see: See<'_>) {
        self.stop = None;
        let started = Instant::now();
        while let Ok(found) = self.found.recv_timeout(LAST_LOOK.saturating_sub(started.elapsed())) {
            self.steps.show(found, see);
        }
    }
}

/// Sends the operation that runs on the cluster `arn`, again and again, until `stopped` is closed; then once more.
fn ask(arn: &str, place: &Place, to: &Sender<Result<Operation, AwsError>>, stopped: &Receiver<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    // arn:PARTITION:kafka:REGION:ACCOUNT:cluster/NAME/ID
    let region = arn.split(':').nth(3).unwrap_or_default();
    let aws = runtime.block_on(place.aws(region));
    let mut operation = None;
    loop {
        let last = !matches!(stopped.recv_timeout(INTERVAL), Err(RecvTimeoutError::Timeout));
        let found = runtime.block_on(look(&aws, arn, &mut operation));
        let failed = found.is_err();
        if let Some(found) = found.transpose()
            && to.send(found).is_err()
        {
            return;
        }
        if last || failed {
            return;
        }
    }
}

/// The operation that is followed already, else the one that runs on the cluster now.
async fn look(aws: &Aws, cluster: &str, operation: &mut Option<String>) -> Result<Option<Operation>, AwsError> {
    if operation.is_none() {
        *operation = aws.describe(cluster).await?.active_operation;
    }
    match operation {
        Some(arn) => aws.operation(arn).await.map(Some),
        None => Ok(None),
    }
}

/// What is known of the steps of one operation.
struct Steps {
    address: String,
    /// Name, status, and when it was first seen in progress.
    known: Vec<(Step, Option<Instant>)>,
    ended: Vec<EndedStep>,
    /// That the operation has failed was told.
    is_failed: bool,
}

impl Steps {
    fn new(address: &str) -> Steps {
        Steps { address: address.to_owned(), known: Vec::new(), ended: Vec::new(), is_failed: false }
    }

    fn show(&mut self, found: Result<Operation, AwsError>, see: See<'_>) {
        let news = match found {
            Ok(operation) => self.news(&operation, Instant::now()),
            Err(error) => vec![News::Lost(error.to_string())],
        };
        for news in &news {
            see(&Event::Operation { address: &self.address, news });
        }
    }

    /// News of each step that has changed since the last call.
    fn news(&mut self, operation: &Operation, now: Instant) -> Vec<News> {
        let brokers = operation.steps.iter().filter(|step| broker(&step.name).is_some()).count();
        let mut news = Vec::new();
        for step in &operation.steps {
            let at = self.known.iter().position(|(known, _)| known.name == step.name);
            let (before, since) =
                at.map_or((None, None), |at| (Some(self.known[at].0.status.clone()), self.known[at].1));
            if before.as_ref() == Some(&step.status) {
                continue;
            }
            let time = since.map(|since| now.duration_since(since));
            let (name, status, broker) = (step.name.clone(), step.status.clone(), broker(&step.name));
            let is_pending = ["PENDING", ""].contains(&step.status.as_str());
            if !is_pending && step.status != "IN_PROGRESS" {
                let (address, seconds) = (self.address.clone(), time.map(|time| time.as_secs()));
                self.ended.push(EndedStep { address, step: name.clone(), broker, status: status.clone(), seconds });
            }
            if !is_pending {
                news.push(News::Step { name, broker, brokers, status, time });
            }
            let begun = (step.status == "IN_PROGRESS").then_some(now);
            match at {
                Some(at) => self.known[at] = (step.clone(), begun),
                None => self.known.push((step.clone(), begun)),
            }
        }
        if let Some(error) = operation.error.as_ref().filter(|_| !self.is_failed) {
            self.is_failed = true;
            news.push(News::Failed { operation: operation.operation_type.clone(), error: error.clone() });
        }
        news
    }
}

/// The broker that a step is about, by its name: `UPDATE_BROKER_2`.
fn broker(step: &str) -> Option<u32> {
    step.split_once("BROKER_").and_then(|(_, id)| id.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(news: &News) -> String {
        match news {
            News::Step { name, broker, brokers, status, time } => {
                let name = broker.map_or(name.clone(), |id| format!("{id}/{brokers}"));
                format!("{name} {status}{}", time.map(|time| format!(" {time:?}")).unwrap_or_default())
            }
            News::Failed { operation, error } => format!("{operation}: {error}"),
            News::Lost(error) => error.clone(),
        }
    }

    #[test]
    fn each_change_of_a_step_is_told_once() {
        let operation = |statuses: &[(&str, &str)], error: Option<&str>| Operation {
            operation_type: "UPDATE_BROKER_TYPE".to_owned(),
            steps: statuses
                .iter()
                .map(|(name, status)| Step { name: (*name).to_owned(), status: (*status).to_owned() })
                .collect(),
            error: error.map(str::to_owned),
        };
        let mut steps = Steps::new("aws_msk_cluster.main");
        let start = Instant::now();
        let (one, two, first) = ("UPDATE_BROKER_1", "UPDATE_BROKER_2", "INITIALIZE_UPDATE");
        for (at, statuses, error, expected) in [
            (
                0,
                vec![(first, "IN_PROGRESS"), (one, "PENDING"), (two, "PENDING")],
                None,
                vec!["INITIALIZE_UPDATE IN_PROGRESS"],
            ),
            (5, vec![(first, "IN_PROGRESS"), (one, "PENDING"), (two, "PENDING")], None, vec![]),
            (
                20,
                vec![(first, "COMPLETED"), (one, "IN_PROGRESS"), (two, "PENDING")],
                None,
                vec!["INITIALIZE_UPDATE COMPLETED 20s", "1/2 IN_PROGRESS"],
            ),
            (
                120,
                vec![(first, "COMPLETED"), (one, "COMPLETED"), (two, "FAILED")],
                Some("no capacity"),
                vec!["1/2 COMPLETED 100s", "2/2 FAILED", "UPDATE_BROKER_TYPE: no capacity"],
            ),
            (121, vec![(two, "FAILED")], Some("no capacity"), vec![]),
        ] {
            let news = steps.news(&operation(&statuses, error), start + Duration::from_secs(at));
            assert_eq!(news.iter().map(short).collect::<Vec<_>>(), expected, "at {at} s");
        }
        let ended: Vec<_> = steps.ended.iter().map(|step| (step.broker, step.status.as_str(), step.seconds)).collect();
        assert_eq!(
            ended,
            [(None, "COMPLETED", Some(20)), (Some(1), "COMPLETED", Some(100)), (Some(2), "FAILED", None)]
        );
    }
}
