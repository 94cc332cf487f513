//! The brokers of a cluster in the lab, changed from one type to another through the MSK API.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail, ensure};

use super::types::Types;
use crate::{
    aws::{Aws, AwsError, MskCluster},
    catalogue::BrokerType,
    kafka::{Connection, REACHABLE_WITHIN, admin::Admin},
    outcome::refused,
    process::{await_until, shell_word},
    watch::runtime,
};

/// Longest wait for a change of type: the lab restarts one broker after the other.
const CHANGED_WITHIN: Duration = Duration::from_secs(600);

/// Longest wait after it for every replica to be in sync.
const IN_SYNC_WITHIN: Duration = Duration::from_secs(180);

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A cluster in the lab whose brokers are changed.
#[derive(Debug, Clone)]
pub struct LabBrokers {
    /// As it was found.
    cluster: MskCluster,
    region: String,
    endpoint: String,
    connection: Connection,
}

impl LabBrokers {
    /// The cluster, if it is in a lab.
    ///
    /// # Errors
    /// Refused: the endpoint of the environment is not a lab, or has no such cluster.
    pub fn find(name: &str, region: &str, connection: &Connection) -> anyhow::Result<LabBrokers> {
        let (cluster, endpoint) = runtime()?
            .block_on(async {
                let aws = Aws::connect(region).await;
                if aws.lab().await.is_none() {
                    bail!(
                        "--against changes the type of the brokers, which this command does in the lab only {NO_LAB}"
                    );
                }
                let cluster = aws.cluster(name).await?;
                anyhow::Ok((cluster, aws.endpoint().unwrap_or_default().to_owned()))
            })
            .map_err(refused)?;
        Ok(LabBrokers { cluster, region: region.to_owned(), endpoint, connection: connection.clone() })
    }

    /// The types to search with.
    ///
    /// # Errors
    /// Refused: MSK would not make one of the changes; the brokers cannot be reached, or have replicas that are out of sync.
    pub fn types(&self, others: &[BrokerType]) -> anyhow::Result<Types> {
        // What needs no broker first.
        Types::of(&self.cluster, others, None).map_err(refused)?;
        let replication = Admin::connect(&self.connection)?.replication(REACHABLE_WITHIN).map_err(refused)?;
        if !replication.is_whole(self.cluster.broker_count as usize) {
            return Err(refused(anyhow!(
                "{} partitions are under-replicated and {} are offline: restarting brokers now would take more replicas \
                 offline; wait until all are in sync (`kgen diagnose`)",
                replication.under_replicated,
                replication.offline
            )));
        }
        let partitions = replication.brokers.values().map(|broker| broker.replicas).max().unwrap_or(0);
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
        Types::of(&self.cluster, others, Some(partitions)).map_err(refused)
    }

    /// Changes the brokers to `to`, unless they are that, and waits until they serve and every replica is in sync. An operation
    /// that runs already is waited for.
    ///
    /// # Errors
    /// `stop` was set; the API refuses or fails, or the waiting takes too long.
    pub fn change(&self, to: BrokerType, stop: Option<&AtomicBool>) -> anyhow::Result<()> {
        let changing = || format!("changing the brokers of {} to {to}", self.cluster.name);
        self.changed(to, stop).with_context(changing)?;
        self.await_sync(stop).with_context(changing)
    }

    /// The commands that change the brokers to `to` without kgen.
    pub fn by_hand(&self, to: BrokerType) -> String {
        let arn = shell_word(&self.cluster.arn);
        let place = format!("--region {} --endpoint-url {}", shell_word(&self.region), shell_word(&self.endpoint));
        format!(
            "aws kafka update-broker-type --cluster-arn {arn} --current-version \"$(aws kafka describe-cluster-v2 \
             --cluster-arn {arn} --query ClusterInfo.CurrentVersion --output text {place})\" --target-instance-type {to} \
             {place}"
        )
    }

    fn changed(&self, to: BrokerType, stop: Option<&AtomicBool>) -> anyhow::Result<()> {
        let runtime = runtime()?;
        let aws = runtime.block_on(Aws::connect(&self.region));
        let idle = || self.await_idle(|| runtime.block_on(aws.describe(&self.cluster.arn)), stop);
        let cluster = idle()?;
        if cluster.broker_type == to.as_str() {
            return Ok(());
        }
        runtime.block_on(aws.update_lab_broker_type(&cluster, to.as_str()))?;
        let now = idle()?.broker_type;
        ensure!(now == to.as_str(), "the operation has ended, and the brokers are {now} (`kgen lab status`)");
        Ok(())
    }

    /// The cluster once it is ACTIVE and no operation runs.
    fn await_idle(
        &self,
        describe: impl Fn() -> Result<MskCluster, AwsError>,
        stop: Option<&AtomicBool>,
    ) -> anyhow::Result<MskCluster> {
        let awaited = await_until(CHANGED_WITHIN, LOOK_EVERY, || {
            ensure_not_stopped(stop)?;
            match describe() {
                Ok(cluster) if cluster.is_idle() => Ok(ControlFlow::Break(cluster)),
                Ok(cluster) => Ok(ControlFlow::Continue(cluster.state)),
                Err(error) if error.is_transient() => Ok(ControlFlow::Continue(error.to_string())),
                Err(error) => Err(anyhow!(error)),
            }
        })?;
        awaited.map_err(|state| anyhow!("the cluster is not ACTIVE after {} s: {state}", CHANGED_WITHIN.as_secs()))
    }

    fn await_sync(&self, stop: Option<&AtomicBool>) -> anyhow::Result<()> {
        let admin = Admin::connect(&self.connection)?;
        let brokers = self.cluster.broker_count as usize;
        let awaited = await_until(IN_SYNC_WITHIN, LOOK_EVERY, || {
            ensure_not_stopped(stop)?;
            let is_whole = admin.replication(REACHABLE_WITHIN).is_ok_and(|seen| seen.is_whole(brokers));
            anyhow::Ok(if is_whole { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        awaited.map_err(|()| anyhow!("not every replica is in sync after {} s", IN_SYNC_WITHIN.as_secs()))
    }
}

/// What to do where there is no lab.
const NO_LAB: &str = "(`kgen lab up`, then `eval \"$(kgen lab env)\"`)";

fn ensure_not_stopped(stop: Option<&AtomicBool>) -> anyhow::Result<()> {
    ensure!(!stop.is_some_and(|stop| stop.load(Ordering::Relaxed)), "interrupted");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_by_hand_reads_the_version_itself() {
        let cluster = MskCluster {
            arn: "arn:aws:kafka:us-west-2:1:cluster/orders/u-1".to_owned(),
            name: "orders".to_owned(),
            state: "ACTIVE".to_owned(),
            current_version: "K1".to_owned(),
            broker_type: "kafka.m5.large".to_owned(),
            broker_count: 3,
            kafka_version: "3.9.x".to_owned(),
            volume_gib: None,
            active_operation: None,
        };
        let brokers = LabBrokers {
            cluster,
            region: "us-west-2".to_owned(),
            endpoint: "http://127.0.0.1:4000".to_owned(),
            connection: Connection::plain("127.0.0.1:9092"),
        };
        assert_eq!(
            brokers.by_hand(BrokerType::M5_LARGE),
            "aws kafka update-broker-type --cluster-arn arn:aws:kafka:us-west-2:1:cluster/orders/u-1 --current-version \
             \"$(aws kafka describe-cluster-v2 --cluster-arn arn:aws:kafka:us-west-2:1:cluster/orders/u-1 --query \
             ClusterInfo.CurrentVersion --output text --region us-west-2 --endpoint-url http://127.0.0.1:4000)\" \
             --target-instance-type kafka.m5.large --region us-west-2 --endpoint-url http://127.0.0.1:4000"
        );
    }
}
