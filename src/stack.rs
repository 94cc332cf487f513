//! The stack to build: kgen.toml as a typed value, valid by construction, and its rendered Terraform.
//!
//! Rendering is a pure function, and a file here renders one concern. Only `msk.tf` may depend on the broker type: kgen
//! resizes by a plan that changes the cluster's `instance_type` and nothing else.

mod alarms;
mod autoscaling;
mod choice;
mod client;
mod commented;
mod config;
mod dashboard;
pub mod delivery;
mod endpoints;
mod error;
mod iam;
mod kms;
mod logs;
mod msk;
mod network;
mod outputs;
mod rendered;
#[cfg(any(test, feature = "bench"))]
mod rules;
pub mod run_command;
mod scram;
mod security;
pub mod settings;
mod tune;
#[cfg(any(test, feature = "bench"))]
mod values;
mod versions;

use std::path::Path;

pub use choice::Choice;
pub use config::{Alarms, Client, ClusterTable, Load, Logs, Network, Topic};
pub use error::{ResizeError, ScaleOutError, StackError};
pub use rendered::{Provenance, Rendered, provenance};
#[cfg(feature = "bench")]
pub use rules::check;
pub use tune::{with_broker_count, with_broker_type, with_volume_gib};

use crate::{
    catalogue::{
        BrokerType, Metric,
        migration::{Present, express_refusal},
    },
    files,
};
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
        let text = match files::bounded::text(path, files::bounded::KGEN_TOML_BYTES) {
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

    pub fn cluster(&self) -> &ClusterTable {
        &self.0.cluster
    }

    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Where the brokers' logs go.
    pub fn logs(&self) -> &Logs {
        &self.0.logs
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
        if broker_type.is_express() && !self.broker_type().is_express() {
            return Err(ResizeError::ToExpress(self.express_refusal(broker_type)));
        }
        self.broker_type().check_change_to(broker_type, None)?;
        self.0.cluster.kafka_version.check_sold_with(broker_type)?;
        let mut resized = self.clone();
        resized.0.cluster.broker_type = broker_type;
        match resized.0.fault() {
            None => Ok(resized),
            Some(fault) => Err(ResizeError::Rule { broker_type, fault }),
        }
    }

    fn express_refusal(&self, to: BrokerType) -> String {
        let from = self.broker_type();
        let present = Present {
            broker_type: from.as_str(),
            kafka_version: Some(self.0.cluster.kafka_version.as_str()),
            zones: Some(self.0.zones.len()),
            replication_factor: Some(self.0.topic.replication_factor),
        };
        express_refusal(from.as_str(), to.as_str(), &present.conditions_of_express())
    }

    /// This stack with more brokers.
    ///
    /// # Errors
    /// If MSK would not add them: it takes a multiple of the zones, up to its quota, and never fewer than there are.
    pub fn scaled_out(&self, broker_count: u32) -> Result<Stack, ScaleOutError> {
        let now = self.0.cluster.broker_count;
        if broker_count <= now {
            return Err(ScaleOutError::NotMore { now, asked: broker_count });
        }
        let mut scaled = self.clone();
        scaled.0.cluster.broker_count = broker_count;
        match scaled.0.fault() {
            None => Ok(scaled),
            Some(fault) => Err(ScaleOutError::Rule(fault)),
        }
    }

    /// Whether volumes of `gib` are larger than those of this stack and its Terraform would make them smaller, which MSK
    /// refuses. With storage autoscaling, Terraform leaves the size to MSK.
    pub fn is_outgrown_by(&self, gib: u32) -> bool {
        let cluster = &self.0.cluster;
        !cluster.broker_type.is_express() && cluster.autoscaling_max_gib.is_none() && gib > cluster.volume_gib
    }

    /// This stack with volumes of `gib`, as they are.
    pub fn with_volumes(&self, gib: u32) -> Stack {
        let mut grown = self.clone();
        grown.0.cluster.volume_gib = gib;
        grown
    }

    /// Why `cluster.volume_gib` changes nothing of volumes that have `now_gib`; nothing where it needs to change nothing, or does.
    pub fn volume_without_effect(&self, now_gib: u64) -> Option<String> {
        let wanted = u64::from(self.0.cluster.volume_gib);
        self.0.cluster.autoscaling_max_gib.filter(|_| wanted > now_gib)?;
        Some(format!(
            "cluster.volume_gib = {wanted} has no effect on volumes of {now_gib} GiB: with \
             cluster.autoscaling_max_gib, msk.tf has `ignore_changes` for volume_size, so that Terraform does not \
             undo the growth; enlarge them with `aws kafka update-broker-storage`, or remove \
             cluster.autoscaling_max_gib"
        ))
    }

    /// Whether there is a CloudWatch dashboard.
    pub fn has_dashboard(&self) -> bool {
        self.0.dashboard
    }

    /// SHA-256 of the client's kgen, as `sha256sum` prints it.
    fn kgen_sha256(&self) -> Option<String> {
        self.0.client.kgen_sha256.as_deref().map(str::to_ascii_lowercase)
    }

    /// The Terraform of this stack: names of files and their text.
    pub fn render(&self) -> Rendered {
        let kms = kms::render(self);
        let kms = kms.as_ref();
        let network = network::render(self);
        let endpoints = endpoints::render(self, &network);
        let security = security::render(self, &network, endpoints.as_ref());
        let logs = logs::render(self, &network, kms);
        let msk = msk::render(self, &msk::Around { network: &network, security: &security, logs: &logs, kms });
        let scram = scram::render(self, &msk, kms);
        let delivery = delivery::render(self, kms);
        let granted = iam::Granted { msk: &msk, kms, scram: scram.as_ref(), delivery: delivery.as_ref() };
        let iam = iam::render(self, &granted);
        let around = client::Around {
            network: &network,
            security: &security,
            endpoints: endpoints.as_ref(),
            iam: &iam,
            kms,
            delivery: delivery.as_ref(),
        };
        let client = client::render(self, &around);
        let run_command = run_command::render(self, &client, &iam, kms);
        let autoscaling = autoscaling::render(self, &msk);
        let dashboard = dashboard::render(self, &msk);
        let always = [
            ("versions.tf", versions::render(self)),
            ("msk.tf", msk.document.clone()),
            ("alarms.tf", alarms::render(self, &msk, kms)),
            (
                "outputs.tf",
                outputs::render(
                    self,
                    &outputs::Of {
                        network: &network,
                        logs: &logs,
                        msk: &msk,
                        client: &client,
                        run_command: run_command.as_ref(),
                    },
                ),
            ),
            ("network.tf", network.document),
            ("security.tf", security.document),
            ("logs.tf", logs.document),
            ("iam.tf", iam.document),
            ("client.tf", client.document),
        ];
        let where_asked = [
            ("kms.tf", kms.map(|kms| kms.document.clone())),
            ("endpoints.tf", endpoints.map(|endpoints| endpoints.document)),
            ("scram.tf", scram.map(|scram| scram.document)),
            ("autoscaling.tf", autoscaling),
            ("dashboard.tf", dashboard),
            ("delivery.tf", delivery.map(|delivery| delivery.document)),
            ("run_command.tf", run_command.map(|run_command| run_command.document)),
        ];
        let asked = where_asked.into_iter().filter_map(|(name, document)| Some((name, document?)));
        let documents = always.into_iter().chain(asked).filter(|(_, document)| !document.is_empty());
        let script = (client::USER_DATA_FILE, client::user_data(self));
        Rendered::new(documents.map(|(name, document)| (name, document.print())).chain([script]))
    }
}

/// Whether MSK publishes the metric for each broker of this stack: by its monitoring level, and for its class of brokers.
/// What only burstable types send counts as published for every Standard type, for a resize must change no alarm.
fn is_published(stack: &Stack, name: &str) -> bool {
    /// MSK Developer Guide, "Metrics for monitoring Express brokers", which has none of these.
    const STANDARD_ONLY: [&str; 4] =
        ["CPUCreditBalance", "HeapMemoryAfterGC", "KafkaDataLogsDiskUsed", "UnderReplicatedPartitions"];
    let level = Metric::per_broker(name).map(|metric| metric.level);
    level.is_some_and(|level| level <= stack.cluster().monitoring)
        && !(stack.broker_type().is_express() && STANDARD_ONLY.contains(&name))
}

#[cfg(test)]
mod tests;
