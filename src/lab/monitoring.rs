//! From the brokers' readings to CloudWatch: one publisher a cluster, one round of alarms a region.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use aws_sdk_cloudwatch::{
    Client,
    config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, timeout::TimeoutConfig},
};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch};

use super::{
    Say,
    alarms::evaluate_forever,
    brokers::Fleet,
    cloudwatch::{Looker, Metrics, publish},
};
use crate::catalogue::MonitoringLevel;

/// Longest wait for one attempt of a call to the emulator.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Where readings go. Its tasks run for as long as the runtime does.
pub struct Monitoring {
    runtime: Handle,
    /// Keeps the alarms.
    emulator: SocketAddr,
    pub metrics: Arc<Metrics>,
    /// Takes what goes wrong, for the lab's log.
    say: Say,
    /// Regions whose alarms are evaluated.
    regions: Mutex<BTreeSet<String>>,
}

impl Monitoring {
    /// Publishes to `metrics`, and evaluates the alarms that `emulator` keeps, with tasks on `runtime`.
    pub fn new(runtime: Handle, emulator: SocketAddr, metrics: Arc<Metrics>, say: Say) -> Monitoring {
        Monitoring { runtime, emulator, metrics, say, regions: Mutex::default() }
    }

    /// Publishes what is read of a cluster, until its brokers are gone, and evaluates the alarms of its region.
    pub fn watch(&self, region: &str, cluster: &str, fleet: &Fleet, level: watch::Receiver<MonitoringLevel>) {
        self.evaluate_alarms(region);
        let (timing, store, say) = (self.metrics.timing, self.metrics.region(region), Arc::clone(&self.say));
        let looker = Looker::start(&fleet.bootstrap_servers(), timing.period);
        let report = move |problem: String| say(&problem);
        self.runtime.spawn(publish(cluster.to_owned(), timing, fleet.readings(), level, looker, store, report));
    }

    fn evaluate_alarms(&self, region: &str) {
        let mut regions = self.regions.lock();
        if regions.insert(region.to_owned()) {
            let say = Arc::clone(&self.say);
            let (series, minute) = (self.metrics.region(region), self.metrics.timing.period);
            self.runtime.spawn(evaluate_forever(self.client(region), series, minute, move |problem| say(&problem)));
        }
    }

    fn client(&self, region: &str) -> Client {
        let config = aws_sdk_cloudwatch::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(format!("http://{}", self.emulator))
            // The emulator checks none.
            .credentials_provider(Credentials::new("lab", "lab", None, None, "lab"))
            // As for kgen's own calls, see `aws`: a computer that wakes up finds its clock hours ahead.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
            .build();
        Client::from_conf(config)
    }
}
