//! The real Kafka brokers of one cluster.

use std::{net::SocketAddr, path::PathBuf};

use crate::{catalogue::BrokerType, sample::BrokerId};

/// What a fleet of brokers is started from.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    pub cluster_name: String,
    /// Data, configuration and logs of the brokers; reused when it holds a fleet already.
    pub dir: PathBuf,
    pub broker_type: BrokerType,
    /// Availability zones, one a client subnet; broker i is in zone (i - 1) mod len.
    pub zones: Vec<String>,
    pub broker_count: u32,
    pub volume_gib: u32,
    /// server.properties of the MSK configuration, as the user wrote them; may be empty.
    pub server_properties: String,
}

/// Where one broker is reached; the same for the broker's whole life.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerEndpoints {
    pub id: BrokerId,
    pub zone: String,
    pub plaintext: SocketAddr,
    /// Prometheus endpoint of the JMX exporter, as MSK's port 11001.
    pub jmx: SocketAddr,
    /// Prometheus endpoint of the node metrics, as MSK's port 11002.
    pub node: SocketAddr,
}

/// Running brokers. All calls block; the thread that calls [`Fleet::start`] must live as long as the fleet.
pub struct Fleet {}

impl Fleet {
    /// Starts the controller and every broker, and returns when all of them serve.
    pub fn start(_config: FleetConfig) -> anyhow::Result<Fleet> {
        todo!()
    }

    pub fn endpoints(&self) -> Vec<BrokerEndpoints> {
        todo!()
    }

    /// Restarts each broker as `to`, one at a time; the next when no partition is under-replicated.
    /// `step` is told each broker as it begins and as it is done.
    pub fn change_type(&mut self, _to: BrokerType, _step: &mut dyn FnMut(BrokerId, bool)) -> anyhow::Result<()> {
        todo!()
    }

    /// Adds brokers until there are `count`.
    pub fn add_brokers(&mut self, _count: u32) -> anyhow::Result<()> {
        todo!()
    }

    /// Applies new server properties by a rolling restart.
    pub fn configure(&mut self, _server_properties: &str, _step: &mut dyn FnMut(BrokerId, bool)) -> anyhow::Result<()> {
        todo!()
    }

    /// Restarts the named brokers, one at a time.
    pub fn reboot(&mut self, _ids: &[BrokerId], _step: &mut dyn FnMut(BrokerId, bool)) -> anyhow::Result<()> {
        todo!()
    }

    /// Largest number of partitions (leaders and followers) on one broker.
    pub fn max_partitions_per_broker(&self) -> anyhow::Result<u32> {
        todo!()
    }

    /// Stops every broker, then the controller.
    pub fn stop(self) {
        todo!()
    }
}
