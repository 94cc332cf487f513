//! Checks whether MSK would accept a change now.

use anyhow::anyhow;

use super::Change;
use crate::{
    aws::MskCluster,
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
pub fn find(project: &Project, place: &Place) -> anyhow::Result<(MskCluster, String)> {
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
pub fn ensure_changeable(cluster: &MskCluster, replication: &Replication, change: Change) -> anyhow::Result<()> {
    let name = &cluster.name;
    ensure_active(cluster)?;
    let partitions = replication.brokers.values().map(|broker| broker.replicas).max().unwrap_or(0);
    let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
    match change {
        Change::BrokerType(to) => ensure_type_changes(&cluster.broker_type, to, Some(partitions))?,
        Change::BrokerCount(to) if cluster.broker_count > to => {
            let count = cluster.broker_count;
            return Err(refused(anyhow!("{name} already has {count} brokers, and kgen does not remove any")));
        }
        Change::BrokerCount(_) => {}
    }
    if !replication.is_whole(cluster.broker_count as usize) {
        let why = match change {
            Change::BrokerType(_) => "restarting brokers now would take more replicas offline",
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

/// Checks that MSK changes brokers of the type that is called `now` to `to`. `partitions` is the largest number of partitions on
/// one broker, where it is known.
///
/// # Errors
/// Refused: it does not, or the type is none that kgen knows, so that it is unknown.
pub fn ensure_type_changes(now: &str, to: BrokerType, partitions: Option<u32>) -> anyhow::Result<()> {
    match now.parse::<BrokerType>() {
        // Changed by other means already: it is measured all the same.
        Ok(now) if now == to && partitions.is_some() => Ok(()),
        Ok(now) => now.check_change_to(to, partitions).map_err(refused),
        Err(_) => Err(refused(anyhow!(
            "the brokers are {now:?}, which this version of kgen does not support, so it cannot check whether MSK \
             changes them to {to}: nothing was changed (use a version that supports the type, or `aws kafka \
             update-broker-type` and the same change in the HCL)"
        ))),
    }
}

/// # Errors
/// Refused: MSK changes nothing now.
pub fn ensure_active(cluster: &MskCluster) -> anyhow::Result<()> {
    if cluster.is_idle() {
        return Ok(());
    }
    Err(refused(anyhow!(
        "cluster {} is {}: MSK changes brokers only while the cluster is ACTIVE with no operation running; wait for \
         that",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kafka::admin::BrokerPartitions, outcome::Refused};

    fn cluster(broker_type: &str) -> MskCluster {
        MskCluster {
            arn: "arn".to_owned(),
            name: "orders".to_owned(),
            state: "ACTIVE".to_owned(),
            current_version: "K1".to_owned(),
            broker_type: broker_type.to_owned(),
            broker_count: 3,
            kafka_version: "3.9.x".to_owned(),
            volume_gib: None,
            active_operation: None,
        }
    }

    fn whole() -> Replication {
        let broker = BrokerPartitions { leaders: 2, replicas: 6, in_sync: 6 };
        Replication { partitions: 6, brokers: (1..=3).map(|id| (id, broker)).collect(), ..Replication::default() }
    }

    #[test]
    fn a_change_of_type_that_cannot_be_judged_is_refused() {
        let to = "kafka.m5.large".parse().unwrap();
        let judged = |now: &str| ensure_changeable(&cluster(now), &whole(), Change::BrokerType(to));
        judged("kafka.t3.small").unwrap();
        // It was changed by other means already.
        judged("kafka.m5.large").unwrap();
        for now in ["kafka.m9.large", "m5.large ", ""] {
            let error = judged(now).unwrap_err();
            let names = error.to_string().contains(&format!("{now:?}, which this version of kgen does not support"));
            assert!(error.is::<Refused>() && names, "{error:#}");
        }
        let error = judged("express.m7g.large").unwrap_err();
        assert!(error.to_string().contains("from Express brokers to Standard"), "{error:#}");
    }

    #[test]
    fn brokers_of_a_type_that_is_not_known_may_be_joined_by_more() {
        ensure_changeable(&cluster("kafka.m9.large"), &whole(), Change::BrokerCount(6)).unwrap();
    }

    #[test]
    fn an_operation_that_runs_is_in_the_way_also_of_an_active_cluster() {
        let cluster = MskCluster { active_operation: Some("arn:operation".to_owned()), ..cluster("kafka.t3.small") };
        let error = ensure_changeable(&cluster, &whole(), Change::BrokerCount(6)).unwrap_err();
        assert!(error.is::<Refused>() && error.to_string().contains("no operation running"), "{error:#}");
    }
}
