//! Whether MSK would make a change now.

use anyhow::anyhow;

use super::Change;
use crate::{
    aws::Cluster,
    catalogue::BrokerType,
    kafka::{
        Connection, REACHABLE_WITHIN,
        admin::{Admin, Replication},
    },
    outcome::refused,
    project::Project,
    watch::{self, Place, runtime},
};

/// The project's cluster and its plaintext bootstrap brokers.
///
/// # Errors
/// Refused: the cluster is not to be found.
pub fn find(project: &Project, place: &Place) -> anyhow::Result<(Cluster, String)> {
    let stack = project.stack();
    let found = runtime()?.block_on(async {
        let aws = place.aws(stack.region()).await;
        watch::cluster(&aws, &stack.cluster().name).await
    });
    found.map_err(refused)
}

/// Checks that MSK would make the change of `cluster`, replicated like this, now.
///
/// # Errors
/// Refused, with the reason.
pub fn ensure_changeable(cluster: &Cluster, replication: &Replication, change: Change) -> anyhow::Result<()> {
    let name = &cluster.name;
    ensure_active(cluster)?;
    let partitions = replication.brokers.values().map(|broker| broker.replicas).max().unwrap_or(0);
    match (change, cluster.broker_type.parse::<BrokerType>()) {
        (Change::BrokerType(to), Ok(now)) if now != to => {
            let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
            now.check_change_to(to, Some(partitions)).map_err(refused)?;
        }
        (Change::BrokerCount(to), _) if cluster.broker_count > to => {
            return Err(refused(anyhow!(
                "{name} has {} brokers already, and none are taken away",
                cluster.broker_count
            )));
        }
        _ => {}
    }
    if !replication.is_whole(cluster.broker_count as usize) {
        let why = match change {
            Change::BrokerType(_) => "restarting brokers now would take more replicas away",
            Change::BrokerCount(_) => "moving partitions now would make it worse",
        };
        return Err(refused(anyhow!(
            "{} partitions of {name} are under-replicated and {} are offline: {why}; wait until all are in sync \
             (`kgen topic describe`, `kgen diagnose`)",
            replication.under_replicated,
            replication.offline
        )));
    }
    Ok(())
}

/// # Errors
/// Refused: MSK changes nothing now.
pub fn ensure_active(cluster: &Cluster) -> anyhow::Result<()> {
    if cluster.is_idle() {
        return Ok(());
    }
    Err(refused(anyhow!(
        "cluster {} is {}: MSK changes the brokers of an ACTIVE cluster with no operation running; wait for it",
        cluster.name,
        cluster.state
    )))
}

/// # Errors
/// Refused: no broker answers.
pub fn replication(bootstrap: &str) -> anyhow::Result<Replication> {
    let connection = Connection::plain(bootstrap);
    connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    Ok(Admin::connect(&connection)?.replication(REACHABLE_WITHIN)?)
}
