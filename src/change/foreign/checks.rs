//! Checks whether the change is possible, from files, the control plane and the brokers, and lists what could not be
//! checked.

use std::{env, fs, path::Path, time::Duration};

use anyhow::Context as _;
use tokio::time::timeout;

use crate::{
    aws::{Aws, MskCluster},
    catalogue::{BrokerType, KafkaVersion},
    change::{
        Change,
        guard::{ensure_active, ensure_changeable, ensure_type_changes, replication},
    },
    kafka::admin::{BrokerPartitions, Replication},
    locate::Located,
    metrics::CloudWatch,
    watch::{self, Place, runtime},
};

/// Longest wait for the control plane, which may not be reached from here at all.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// Checks the change by what the files say, and returns what was not checked.
pub fn checked(located: &Located, to: BrokerType) -> anyhow::Result<Vec<String>> {
    let mut unchecked = Vec::new();
    ensure_type_changes(&located.edit.old, to, None)?;
    match located.kafka_version.as_deref().map(str::parse::<KafkaVersion>) {
        Some(Ok(version)) => version.check_sold_with(to)?,
        _ => unchecked.push(format!("not checked: whether {to} is available with the cluster's Kafka version")),
    }
    Ok(unchecked)
}

/// Asks the control plane and the brokers whether MSK would change the cluster now, and returns what could not be asked.
///
/// # Errors
/// Refused: it would not.
pub fn asked(located: &Located, to: BrokerType, place: &Place) -> anyhow::Result<Vec<String>> {
    const PUBLISHED: &str = "partitions were checked with the last minute in CloudWatch, because no broker can be \
                             reached from here";
    const STATE: &str =
        "not checked: that the cluster is ACTIVE with no operation running, and that its partitions fit";
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let region = located.region.clone().or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"));
    let (Some(name), Some(region)) = (&located.cluster_name, region) else {
        return Ok(vec![format!("{STATE}: the files do not contain its name and region")]);
    };
    let runtime = runtime()?;
    let aws = runtime.block_on(place.aws(&region));
    let found = async {
        let cluster = aws.cluster(name).await?;
        let bootstrap = watch::plaintext(&aws, &cluster).await;
        anyhow::Ok((cluster, bootstrap))
    };
    let (cluster, bootstrap) = match runtime.block_on(async { timeout(ASK_WITHIN, found).await }) {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Ok(vec![format!("{STATE}: {error:#}")]),
        Err(_) => return Ok(vec![format!("{STATE}: no response from AWS within {} s", ASK_WITHIN.as_secs())]),
    };
    ensure_active(&cluster)?;
    let error = match bootstrap.and_then(|bootstrap| replication(&bootstrap)) {
        Ok(replication) => {
            return ensure_changeable(&cluster, &replication, Change::BrokerType(to)).map(|()| Vec::new());
        }
        Err(error) => error,
    };
    // From here the brokers may be out of reach, or want credentials; what they publish is not.
    let published = async { timeout(ASK_WITHIN, published(&aws, &cluster)).await };
    match runtime.block_on(published).ok().flatten() {
        Some(replication) => {
            ensure_changeable(&cluster, &replication, Change::BrokerType(to)).map(|()| vec![PUBLISHED.to_owned()])
        }
        None => Ok(vec![format!("not checked: that its partitions fit and are in sync: {error:#}")]),
    }
}

/// Partitions by the last whole minute in CloudWatch, where every broker has published them.
async fn published(aws: &Aws, cluster: &MskCluster) -> Option<Replication> {
    let ids = aws.nodes(&cluster.arn).await.ok()?.into_iter().map(|node| node.id).collect();
    let sample = CloudWatch::new(aws.clone(), &cluster.name, ids, None).sample().await.ok()?;
    let mut found = Replication::default();
    for (id, broker) in &sample.brokers {
        let replicas = broker.partition_count?;
        found.under_replicated += broker.under_replicated_partitions?;
        found.brokers.insert(*id, BrokerPartitions { replicas, ..BrokerPartitions::default() });
    }
    Some(found)
}

/// The note that the file to edit is outside of `dir`, where only a link leads there: by its path it seems to be
/// inside.
pub fn leads_outside(dir: &Path, located: &Located) -> anyhow::Result<Option<String>> {
    let file = &located.edit.file;
    let real = fs::canonicalize(file).with_context(|| format!("finding {}", file.display()))?;
    let whole = fs::canonicalize(dir).with_context(|| format!("finding {}", dir.display()))?;
    let is_noted =
        located.notes.iter().any(|note| note.contains(" is outside of ") || note.contains(" is also used by "));
    let note = || {
        format!(
            "{} leads to {}, outside {}: every other configuration that uses it gets the new type too",
            file.display(),
            real.display(),
            dir.display()
        )
    };
    Ok((!real.starts_with(&whole) && !is_noted).then(note))
}
