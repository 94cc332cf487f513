//! What is to be built: kgen.toml as a typed value, valid by construction, and the Terraform that it renders to.
//!
//! Rendering is a pure function, and a file here renders one concern. Only `msk.tf` may depend on the broker type: kgen
//! resizes by a plan that changes the cluster's `instance_type` and nothing else.

mod alarms;
mod client;
mod config;
mod error;
mod iam;
mod logs;
mod msk;
mod network;
mod outputs;
mod rendered;
mod rules;
mod security;
mod tune;
mod values;
mod versions;

use std::path::Path;

pub use config::{Alarms, Client, Cluster, Load, Network, Topic};
pub use error::{ResizeError, StackError};
pub use rendered::{Provenance, Rendered, provenance};
pub use rules::check;
pub use tune::with_broker_type;

use crate::catalogue::BrokerType;
use config::Config;

/// A cluster, its network, its client and its alarms, as kgen.toml describes them. Every field defaults to the seed's scenario.
///
/// Made by [`Stack::load`] or [`Stack::parse`] only, which refuse what MSK would.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stack(Config);

impl Stack {
    /// Reads `path`; a file that is not there is a file that says nothing.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`Stack::parse`].
    pub fn load(path: &Path) -> Result<Stack, StackError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Stack::default()),
            Err(error) => return Err(StackError::Unreadable { path: path.to_owned(), error }),
        };
        Stack::parse(&text).map_err(|error| error.in_file(path))
    }

    /// Reads the text of a kgen.toml.
    ///
    /// # Errors
    /// For a key that is not known, a value that its key cannot have, and values that do not go together.
    pub fn parse(text: &str) -> Result<Stack, StackError> {
        config::parse(text).map(Stack)
    }

    /// AWS region, such as `us-west-2`.
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// Availability zones, one subnet each.
    pub fn zones(&self) -> &[String] {
        &self.0.zones
    }

    pub fn network(&self) -> &Network {
        &self.0.network
    }

    pub fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    pub fn client(&self) -> &Client {
        &self.0.client
    }

    pub fn alarms(&self) -> &Alarms {
        &self.0.alarms
    }

    pub fn topic(&self) -> &Topic {
        &self.0.topic
    }

    pub fn load_settings(&self) -> &Load {
        &self.0.load
    }

    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.tags.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn broker_type(&self) -> BrokerType {
        self.0.cluster.broker_type
    }

    /// Ids of the brokers, as MSK gives them: from 1.
    pub fn broker_ids(&self) -> impl Iterator<Item = u32> {
        1..=self.0.cluster.broker_count
    }

    /// This stack with brokers of another type.
    ///
    /// # Errors
    /// If MSK would not make the change in place, or does not sell `broker_type` with the stack's Kafka version.
    pub fn resized(&self, broker_type: BrokerType) -> Result<Stack, ResizeError> {
        self.broker_type().check_change_to(broker_type, None)?;
        self.0.cluster.kafka_version.check_sold_with(broker_type)?;
        let mut resized = self.clone();
        resized.0.cluster.broker_type = broker_type;
        Ok(resized)
    }

    /// The Terraform of this stack: names of files and their text.
    pub fn render(&self) -> Rendered {
        let network = network::render(self);
        let security = security::render(self, &network);
        let logs = logs::render(self);
        let msk = msk::render(self, &network, &security, &logs);
        let iam = iam::render(self, &msk);
        let client = client::render(self, &network, &security, &iam);
        Rendered::new([
            ("versions.tf", versions::render(self).print()),
            ("network.tf", network.document.print()),
            ("security.tf", security.document.print()),
            ("logs.tf", logs.document.print()),
            ("msk.tf", msk.document.print()),
            ("iam.tf", iam.document.print()),
            ("client.tf", client.document.print()),
            ("alarms.tf", alarms::render(self, &msk).print()),
            ("outputs.tf", outputs::render(self, &network, &logs, &msk, &client).print()),
            (client::USER_DATA_FILE, client::user_data(self)),
        ])
    }
}

#[cfg(test)]
mod tests;
