//! Configurations: server properties in numbered revisions.

use serde::{Deserialize, Serialize};

use crate::catalogue::KafkaVersion;

use super::{Call, ConfigurationInfo, ControlPlane, Kind, Moment, Refusal, arn, update::REPEAT_WINDOW_SECONDS};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    pub arn: String,
    pub name: String,
    pub region: String,
    pub created: Moment,
    pub description: String,
    pub kafka_versions: Vec<KafkaVersion>,
    /// Revision 1 first; never empty.
    pub revisions: Vec<Revision>,
    /// Kept for a moment, so that a repeated deletion gets the answer of the first.
    deleted: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    pub number: u64,
    pub created: Moment,
    pub description: Option<String>,
    pub server_properties: String,
}

/// What CreateConfiguration asks for.
#[derive(Debug, Clone, Default)]
pub struct NewConfiguration {
    pub name: String,
    pub description: Option<String>,
    pub kafka_versions: Vec<KafkaVersion>,
    pub server_properties: Vec<u8>,
}

impl Configuration {
    pub fn latest(&self) -> &Revision {
        self.revisions.last().expect("a configuration is made with its first revision")
    }
}

impl ControlPlane {
    pub fn configurations<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a Configuration> {
        self.configurations.iter().filter(move |known| known.region == region && known.deleted.is_none())
    }

    /// # Errors
    /// 400, also for one that is not there: that is how MSK answers, and terraform waits for these words.
    pub fn configuration(&self, arn: &str) -> Result<&Configuration, Refusal> {
        arn::check(arn, "configuration", "arn")?;
        self.configurations
            .iter()
            .find(|known| known.arn == arn && known.deleted.is_none())
            .ok_or_else(|| Refusal::parameter("arn", "Configuration ARN does not exist."))
    }

    /// # Errors
    /// 400 when the configuration or the revision is not there.
    pub fn revision(&self, arn: &str, number: u64) -> Result<&Revision, Refusal> {
        let revisions = &self.configuration(arn)?.revisions;
        revisions
            .iter()
            .find(|revision| revision.number == number)
            .ok_or_else(|| Refusal::parameter("revision", format!("Configuration revision {number} does not exist.")))
    }

    /// The server properties that `wanted` names.
    pub fn server_properties(&self, wanted: &ConfigurationInfo) -> Result<String, Refusal> {
        Ok(self.revision(&wanted.arn, wanted.revision)?.server_properties.clone())
    }

    /// # Errors
    /// 409 when the name is taken, 400 for a name or properties that MSK does not accept.
    pub fn create_configuration(&mut self, new: NewConfiguration, call: &Call) -> Result<&Configuration, Refusal> {
        let name = new.name;
        check_name(&name)?;
        let server_properties = parse_properties(new.server_properties)?;
        if self.configurations(&call.region).any(|known| known.name == name) {
            return Err(Refusal::new(Kind::Conflict, format!("a configuration named {name} already exists")));
        }
        self.configurations.retain(|known| known.deleted.is_none());
        self.configurations.push(Configuration {
            arn: arn::resource("configuration", &call.region, &name, &call.id),
            name,
            region: call.region.clone(),
            created: call.at,
            description: new.description.clone().unwrap_or_default(),
            kafka_versions: new.kafka_versions,
            revisions: vec![Revision { number: 1, created: call.at, description: new.description, server_properties }],
            deleted: None,
        });
        Ok(self.configurations.last().expect("it was pushed above"))
    }

    /// Adds a revision. The same content again, right after the last, is the same request sent twice.
    ///
    /// # Errors
    /// 400 as for creation, or when the configuration is not there.
    pub fn revise_configuration(
        &mut self,
        arn: &str,
        server_properties: Vec<u8>,
        description: Option<String>,
        call: &Call,
    ) -> Result<&Configuration, Refusal> {
        self.configuration(arn)?;
        let server_properties = parse_properties(server_properties)?;
        let known = self.configurations.iter_mut().find(|known| known.arn == arn).expect("it was found above");
        let latest = known.latest();
        let repeated = latest.number > 1
            && latest.server_properties == server_properties
            && latest.description == description
            && within_repeat_window(latest.created, call.at);
        if !repeated {
            let number = latest.number + 1;
            known.revisions.push(Revision { number, created: call.at, description, server_properties });
        }
        Ok(known)
    }

    /// # Errors
    /// 400 when it is not there, or when a cluster runs with it.
    pub fn delete_configuration(&mut self, arn: &str, call: &Call) -> Result<(), Refusal> {
        let repeated = |known: &&Configuration| {
            known.arn == arn && known.deleted.is_some_and(|deleted| within_repeat_window(deleted, call.at))
        };
        if self.configurations.iter().find(repeated).is_some() {
            return Ok(());
        }
        self.configuration(arn)?;
        let user = self.clusters.iter().find(|cluster| cluster.configuration().is_some_and(|used| used.arn == arn));
        if let Some(user) = user {
            return Err(Refusal::parameter("arn", format!("the configuration is in use by the cluster {}", user.name)));
        }
        let known = self.configurations.iter_mut().find(|known| known.arn == arn).expect("it was found above");
        known.deleted = Some(call.at);
        Ok(())
    }
}

/// Checks the name of a configuration.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > 255 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Refusal::parameter("name", "a configuration's name is letters, digits and hyphens"));
    }
    Ok(())
}

pub(super) fn within_repeat_window(first: Moment, again: Moment) -> bool {
    again.0.duration_since(first.0).as_secs() < REPEAT_WINDOW_SECONDS
}

/// Server properties as MSK takes them: known names only, so that nothing of the lab's own set-up can be overridden.
pub(super) fn parse_properties(bytes: Vec<u8>) -> Result<String, Refusal> {
    let refuse = |message: String| Refusal::parameter("serverProperties", message);
    let text = String::from_utf8(bytes).map_err(|_| refuse("serverProperties is not UTF-8".to_owned()))?;
    // Java ends a line, a comment's too, at a lone carriage return.
    if text.replace("\r\n", "\n").chars().any(|c| c.is_control() && !"\n\t".contains(c)) {
        return Err(refuse("serverProperties holds control characters".to_owned()));
    }
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once('=').ok_or_else(|| refuse(format!("{line:?} is not name=value")))?;
        if !PROPERTIES.contains(&name.trim_end()) {
            return Err(refuse(format!("{:?} is not a property that an MSK configuration can set", name.trim_end())));
        }
        // A backslash would join the next line to this one.
        if value.ends_with('\\') {
            return Err(refuse(format!("the value of {name:?} may not end in a backslash")));
        }
    }
    Ok(text)
}

/// MSK Developer Guide, "Custom Amazon MSK configurations".
const PROPERTIES: [&str; 59] = [
    "allow.everyone.if.no.acl.found",
    "auto.create.topics.enable",
    "compression.type",
    "connections.max.idle.ms",
    "default.replication.factor",
    "delete.topic.enable",
    "group.consumer.heartbeat.interval.ms",
    "group.consumer.session.timeout.ms",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.min.session.timeout.ms",
    "leader.imbalance.check.interval.seconds",
    "leader.imbalance.per.broker.percentage",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleanup.policy",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.local.retention.bytes",
    "log.local.retention.ms",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.difference.max.ms",
    "log.message.timestamp.type",
    "log.retention.bytes",
    "log.retention.hours",
    "log.retention.minutes",
    "log.retention.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "max.incremental.fetch.session.cache.slots",
    "message.max.bytes",
    "min.insync.replicas",
    "num.io.threads",
    "num.network.threads",
    "num.partitions",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "offsets.retention.minutes",
    "offsets.topic.replication.factor",
    "queued.max.requests",
    "remote.log.msk.disable.policy",
    "replica.fetch.max.bytes",
    "replica.fetch.response.max.bytes",
    "replica.lag.time.max.ms",
    "replica.selector.class",
    "replica.socket.receive.buffer.bytes",
    "replica.socket.timeout.ms",
    "socket.receive.buffer.bytes",
    "socket.request.max.bytes",
    "socket.send.buffer.bytes",
    "transaction.max.timeout.ms",
    "transaction.state.log.min.isr",
    "transaction.state.log.replication.factor",
    "transactional.id.expiration.ms",
    "unclean.leader.election.enable",
    "zookeeper.session.timeout.ms",
    "log.index.interval.bytes",
    "log.preallocate",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_properties_of_msk_are_taken() {
        for (text, taken) in [
            ("", true),
            ("# a note\n\nauto.create.topics.enable = true\nnum.partitions=3\n", true),
            ("listeners=PLAINTEXT://0.0.0.0:9092", false),
            ("node.id=7", false),
            ("num.partitions", false),
            ("num.partitions=3\\\nlisteners=x", false),
            ("num.partitions=3\r\nnum.io.threads=2\r\n", true),
            ("# a note\rlisteners=x", false),
            ("num.partitions=3\rlisteners=x", false),
            ("listeners:x\nnum.partitions=3", false),
            ("l\\u0069steners=x", false),
            ("compression.type=\u{7}", false),
        ] {
            assert_eq!(parse_properties(text.as_bytes().to_vec()).is_ok(), taken, "{text:?}");
        }
        assert!(parse_properties(vec![0xff]).is_err());
    }
}
