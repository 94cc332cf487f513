//! From the brokers' readings to CloudWatch: one publisher a cluster, one round of alarms a region.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_cloudwatch::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use tokio::{runtime::Handle, sync::watch};

use super::{
    alarms::evaluate_forever,
    cloudwatch::{Series, publish},
    readings::FleetReading,
    service::Say,
};
use crate::catalogue::MonitoringLevel;

/// Where readings go. Its tasks run for as long as the runtime does.
pub struct Monitoring {
    runtime: Handle,
    emulator: SocketAddr,
    /// Takes what goes wrong, for the lab's log.
    say: Say,
    regions: Mutex<HashMap<String, Watched>>,
}

/// CloudWatch of one region, and what has been read for it.
type Watched = (Client, Arc<Mutex<Series>>);

impl Monitoring {
    /// Publishes to the CloudWatch of `emulator`, with tasks on `runtime`.
    pub fn new(runtime: Handle, emulator: SocketAddr, say: Say) -> Monitoring {
        Monitoring { runtime, emulator, say, regions: Mutex::default() }
    }

    /// Publishes what is read of a cluster, until its brokers are gone, and works the alarms of its region.
    pub fn watch(
        &self,
        region: &str,
        readings: watch::Receiver<Arc<FleetReading>>,
        level: watch::Receiver<MonitoringLevel>,
    ) {
        let (client, series) = self.region(region);
        let say = Arc::clone(&self.say);
        self.runtime.spawn(publish(client, readings, level, series, move |problem| say(&problem)));
    }

    fn region(&self, region: &str) -> Watched {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let made = regions.entry(region.to_owned()).or_insert_with(|| {
            let (client, series) = (self.client(region), Arc::default());
            let say = Arc::clone(&self.say);
            let alarms = evaluate_forever(client.clone(), Arc::clone(&series), move |problem| say(&problem));
            self.runtime.spawn(alarms);
            (client, series)
        });
        made.clone()
    }

    fn client(&self, region: &str) -> Client {
        let config = aws_sdk_cloudwatch::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(format!("http://{}", self.emulator))
            // The emulator checks none.
            .credentials_provider(Credentials::new("lab", "lab", None, None, "lab"))
            .build();
        Client::from_conf(config)
    }
}
