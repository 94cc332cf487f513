//! One period of a cluster as it was read: what the rows of the [table](super::table) are computed from.

use crate::lab::{jmx::Jmx, limits::Io, readings::Host};

/// Kinds of authentication, with a value for each network thread.
pub type ByAuthentication = Vec<(&'static str, Vec<f64>)>;

/// One broker in one period.
#[derive(Debug)]
pub struct BrokerWindow<'a> {
    /// The last reading before the period, if its process is the same.
    pub before: Option<&'a Host>,
    /// The readings of the period, oldest first; empty when no process ran.
    pub hosts: &'a [Host],
    /// The newest scrape before the period, and the newest in it; nothing when the broker did not answer or is starting.
    pub scrapes: Option<(&'a Jmx, &'a Jmx)>,
    /// The newest scrape in the period.
    pub scrape: Option<&'a Jmx>,
    /// Partitions of users' topics on the broker, as the cluster's metadata has it.
    pub user_partitions: Option<usize>,
}

impl BrokerWindow<'_> {
    /// Mean over the readings that have it.
    pub fn mean(&self, of: fn(&Host) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.hosts.iter().filter_map(of).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// At the end of the period.
    pub fn last(&self, of: fn(&Host) -> Option<f64>) -> Option<f64> {
        of(self.hosts.last()?)
    }

    /// How much a counter of the machine has grown; nothing where it starts again.
    pub fn growth(&self, of: impl Fn(&Host) -> Option<f64>) -> Option<f64> {
        let first = self.before.or(self.hosts.first().filter(|_| self.hosts.len() > 1))?;
        let (then, now) = (of(first)?, of(self.hosts.last()?)?);
        (now >= then).then_some(now - then)
    }

    pub fn io(&self, of: fn(&Io) -> Option<u64>) -> Option<f64> {
        self.growth(|host| of(&host.io).map(|value| value as f64))
    }

    /// Seconds between the two scrapes.
    fn seconds(&self) -> Option<f64> {
        let (then, now) = self.scrapes?;
        let seconds = (now.at_ms - then.at_ms) as f64 / 1000.0;
        (seconds > 0.0).then_some(seconds)
    }

    /// How much a counter of the broker has grown between the scrapes.
    pub fn increase(&self, of: impl Fn(&Jmx) -> Option<f64>) -> Option<f64> {
        let (then, now) = self.scrapes?;
        // A counter appears with its first event.
        let (then, now) = (of(then).unwrap_or(0.0), of(now)?);
        (now >= then).then_some(now - then)
    }

    /// Growth of a counter a second.
    pub fn rate(&self, of: impl Fn(&Jmx) -> Option<f64>) -> Option<f64> {
        Some(self.increase(of)? / self.seconds()?)
    }

    /// Number and sum, between the scrapes, of a part of some kinds of requests.
    fn requests(&self, kinds: &[&str], part: &str) -> Option<(f64, f64)> {
        let (then, now) = self.scrapes?;
        let mut all = (0.0, 0.0);
        for kind in kinds {
            let (count, sum) = now.request(kind, part)?;
            let (count_then, sum_then) = then.request(kind, part).unwrap_or_default();
            if count < count_then {
                return None;
            }
            all = (all.0 + count - count_then, all.1 + sum - sum_then);
        }
        Some(all)
    }

    /// Mean, between the scrapes, of a part of some kinds of requests; nothing when there were none.
    pub fn request_mean(&self, kinds: &[&str], part: &str) -> Option<f64> {
        let (count, sum) = self.requests(kinds, part)?;
        // Kafka's mean is since its start: sums of means that were rounded may differ by a little.
        (count > 0.0).then(|| (sum / count).max(0.0))
    }

    /// An attribute of each network thread, at the last scrape.
    pub fn processors(&self, attribute: &str) -> Vec<f64> {
        self.scrape.into_iter().flat_map(|scrape| scrape.processors(attribute).map(|(_, value)| value)).collect()
    }

    /// Growth of a counter of each network thread a second.
    pub fn processor_rates(&self, attribute: &str) -> Vec<f64> {
        let (Some((then, now)), Some(seconds)) = (self.scrapes, self.seconds()) else { return Vec::new() };
        let before: std::collections::BTreeMap<_, _> = then.processors(attribute).collect();
        let growth = now.processors(attribute).filter_map(|(processor, value)| {
            let grown = value - before.get(&processor).copied().unwrap_or(0.0);
            (grown >= 0.0).then_some(grown / seconds)
        });
        growth.collect()
    }

    /// Connections of clients by the kind of their authentication, one value a network thread.
    pub fn client_connections(&self) -> ByAuthentication {
        let Some(scrape) = self.scrape else { return Vec::new() };
        let Some(mut of_brokers) = self.last(|host| host.peer_connections.map(|count| count as f64)) else {
            return Vec::new();
        };
        let kinds = [("PLAINTEXT", "UNAUTHENTICATED"), ("SSL", "TLS"), ("SCRAM", "SASL_SCRAM")];
        let of_kind = |(listener, kind): (&str, &'static str)| {
            let of_listener = scrape.processors("connection_count").filter(|((of, _), _)| *of == listener);
            let values = of_listener.map(|(_, count)| {
                // Brokers use the first listener; which of its threads has their connections is not known.
                let taken = if listener == "PLAINTEXT" { of_brokers.min(count) } else { 0.0 };
                of_brokers -= taken;
                count - taken
            });
            (kind, values.collect::<Vec<f64>>())
        };
        kinds.into_iter().map(of_kind).filter(|(_, values)| !values.is_empty()).collect()
    }

    /// Requests of clients that wait because a quota was exceeded.
    pub fn queue(&self, quota: &str) -> Option<f64> {
        self.scrape?.value(&format!("kafka_server_{quota}_queue_size"), "")
    }

    /// Bytes a second of the clients that a quota holds back.
    pub fn throttled_bytes(&self, quota: &str) -> Option<f64> {
        let of = |name: &str, attributes: &std::collections::HashMap<String, f64>| {
            attributes.get(name).copied().unwrap_or(0.0)
        };
        let clients = self.scrape?.clients(quota).filter(|attributes| of("throttle_time", attributes) > 0.0);
        Some(clients.map(|attributes| of("byte_rate", attributes)).sum())
    }
}

/// A cluster in one period, as its own metadata has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ClusterWindow {
    pub controllers: Option<f64>,
    pub topics: Option<f64>,
    pub partitions: Option<f64>,
    pub offline_partitions: Option<f64>,
    /// Bytes of all partitions, without their replicas.
    pub stored_bytes: Option<f64>,
}

/// How far one group is with one partition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lag {
    pub offsets: f64,
    /// Offsets that the group commits a second: since the last look, and over the last looks.
    pub per_s: Option<f64>,
    pub rolling_per_s: Option<f64>,
}

impl Lag {
    /// Seconds until the lag is gone at this pace; nothing for a group that does not get on.
    pub fn seconds(self, per_s: Option<f64>) -> Option<f64> {
        match per_s {
            _ if self.offsets <= 0.0 => Some(0.0),
            Some(per_s) if per_s > 0.0 => Some(self.offsets / per_s),
            _ => None,
        }
    }
}

/// The greatest of what there is.
pub fn greatest(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    values.flatten().reduce(f64::max)
}
