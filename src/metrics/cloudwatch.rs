//! A cluster from outside: CloudWatch's namespace `AWS/Kafka` and the MSK API, with no network path to a broker.
//!
//! A datapoint covers a period (a minute). The newest periods are still arriving and are not judged; those before are read
//! again for a while, so that what comes late is filled in. What is not published is missing, never zero.

mod history;
mod minutes;
mod price;
mod read;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod topics;
mod wanted;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime},
};

pub use history::Resolution;
pub use price::Requests;
pub use status::Status;

use super::MetricsError;
use crate::{
    aws::{Aws, AwsError, ClusterInfo, ClusterState, PastOperation, TypeName},
    catalogue::{ClusterKind, MonitoringLevel},
    sample::{BrokerId, Field, Sample, Unavailable},
};
use minutes::{Frame, HELD_PERIODS, Key, Series};
use read::{Listing, Span};
use topics::{Look, Topics};
use wanted::{Discovered, Shape};

/// Periods in which values may still arrive after the delay: datapoints five minutes late were reported
/// (prometheus-community/yet-another-cloudwatch-exporter issue 1796).
const LATE_PERIODS: i64 = 5;

/// Periods that the first reading gives.
const FIRST_PERIODS: i64 = 10;

/// Periods after which brokers, groups and topics are listed again.
const LIST_EVERY_PERIODS: i64 = 10;

/// A cluster this young may have no datapoint yet.
const YOUNG: Duration = Duration::from_secs(20 * 60);

/// Looks at the topics that are kept.
const MOST_LOOKS: usize = 30;

/// When a datapoint is taken for whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// What one datapoint covers: a minute, or less in a lab with short minutes.
    pub period: Duration,
    /// After the end of a period: what is younger is not judged, since its values are missing or too low.
    pub delay: Duration,
}

impl Timing {
    /// Periods of that length, and a delay of two of them.
    pub fn of_period(period: Duration) -> Timing {
        let period = period.max(Duration::from_secs(1));
        Timing { period, delay: period * 2 }
    }
}

impl Default for Timing {
    /// Minutes, and two of them as delay.
    fn default() -> Timing {
        Timing::of_period(Duration::from_secs(60))
    }
}

/// How a cluster is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub timing: Timing,
    /// Memory of a broker, where it is known from the type: MSK publishes none. A broker of another type, as there are while
    /// a resize goes on, has that of its own type, by the same measure.
    pub memory_total_bytes: Option<u64>,
    /// Whether consumer groups, topics and kinds of authentication are looked for with ListMetrics, and read.
    pub parts: bool,
    /// Whether the topics API is read.
    pub topics: bool,
    /// A reading that costs more, USD, is refused with [`MetricsError::Price`].
    pub limit_usd: Option<f64>,
}

impl Default for Options {
    fn default() -> Options {
        Options { timing: Timing::default(), memory_total_bytes: None, parts: true, topics: true, limit_usd: None }
    }
}

/// Reads one cluster from outside.
#[derive(Debug)]
pub struct CloudWatch {
    aws: Aws,
    /// As the control plane has it, if it was asked.
    info: Option<ClusterInfo>,
    shape: Shape,
    /// Types of the brokers that ListNodes knows.
    types: BTreeMap<BrokerId, TypeName>,
    /// Bytes that a broker has of each byte of its type: less than one in the lab.
    memory_share: f64,
    options: Options,
    discovered: Discovered,
    /// They were listed, and no consumer group is among them.
    has_no_groups: bool,
    listed_at_ms: i64,
    series: Series,
    topics: Topics,
    looks: VecDeque<Look>,
    looked_at_ms: i64,
    /// The newest periods as they were given.
    told: BTreeMap<i64, Sample>,
    lacks: Lacks,
    status: Status,
}

/// What cannot be given, by where that was found out.
#[derive(Debug, Default)]
struct Lacks {
    by_listing: Vec<Unavailable>,
    by_topics: Vec<Unavailable>,
    by_reading: Vec<Unavailable>,
}

impl CloudWatch {
    /// Prepares to read `cluster`: lists its brokers and, with [`Options::parts`], its groups and topics. Reads no metric.
    ///
    /// A call that is not allowed becomes something that [`Status::unavailable`] names.
    ///
    /// # Errors
    /// Why the brokers cannot be listed in any way.
    pub async fn open(aws: Aws, cluster: &ClusterInfo, options: Options) -> Result<CloudWatch, MetricsError> {
        let shape = Shape {
            name: cluster.name.clone(),
            kind: cluster.kind,
            level: cluster.monitoring_level.unwrap_or(MonitoringLevel::Default),
            brokers: Vec::new(),
            is_burstable: cluster.broker_type.as_ref().is_some_and(|name| name.is_burstable()),
            knows_memory: options.memory_total_bytes.is_some(),
        };
        let mut source = CloudWatch::of(aws, Some(cluster.clone()), shape, options);
        source.list(now_ms()).await?;
        Ok(source)
    }

    /// Reads these brokers of the Standard cluster `cluster`, and only their metrics.
    pub fn new(aws: Aws, cluster: &str, brokers: Vec<BrokerId>, memory_total_bytes: Option<u64>) -> CloudWatch {
        let options = Options { memory_total_bytes, parts: false, topics: false, ..Options::default() };
        let shape = Shape {
            name: cluster.to_owned(),
            kind: ClusterKind::Standard,
            level: MonitoringLevel::PerBroker,
            brokers,
            is_burstable: true,
            knows_memory: memory_total_bytes.is_some(),
        };
        CloudWatch::of(aws, None, shape, options)
    }

    fn of(aws: Aws, info: Option<ClusterInfo>, shape: Shape, options: Options) -> CloudWatch {
        let of_type = info.as_ref().and_then(|info| info.broker_type.as_ref()).and_then(memory_bytes);
        let memory_share =
            options.memory_total_bytes.zip(of_type).map_or(1.0, |(of_broker, all)| of_broker as f64 / all);
        let source = CloudWatch {
            aws,
            info,
            shape,
            types: BTreeMap::new(),
            memory_share,
            options,
            discovered: Discovered::default(),
            has_no_groups: false,
            listed_at_ms: 0,
            series: Series::default(),
            topics: Topics::default(),
            looks: VecDeque::new(),
            looked_at_ms: 0,
            told: BTreeMap::new(),
            lacks: Lacks::default(),
            status: Status::default(),
        };
        source.publish();
        source
    }

    /// What is known beside the samples; stays up to date while the source is read.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// The time that a datapoint covers, and the delay.
    pub fn timing(&self) -> Timing {
        self.options.timing
    }

    /// What reading the periods between two times (ms since the epoch) takes. Makes no call.
    pub fn requests(&self, from_ms: i64, to_ms: i64) -> Requests {
        self.span(from_ms, to_ms).requests(self.keys().len())
    }

    /// What reading the last `periods` takes. Makes no call.
    pub fn requests_of(&self, periods: u32) -> Requests {
        let to_ms = self.judged_to(now_ms());
        self.requests(to_ms - i64::from(periods.max(1)) * self.period_ms(), to_ms)
    }

    /// What one reading of the newest period takes. Makes no call.
    pub fn requests_a_reading(&self) -> Requests {
        let now = now_ms();
        let span = self.newest_span(now);
        span.requests(self.keys().len())
    }

    /// Replaces the limit of [`Options::limit_usd`].
    pub fn set_limit_usd(&mut self, limit_usd: Option<f64>) {
        self.options.limit_usd = limit_usd;
    }

    /// The newest period that is judged.
    ///
    /// # Errors
    /// [`MetricsError::NoDatapoints`], or why CloudWatch gave no answer.
    pub async fn sample(&mut self) -> Result<Sample, MetricsError> {
        self.update().await?;
        let newest = self.told.values().next_back().cloned();
        newest.ok_or_else(|| self.no_datapoints(now_ms()))
    }

    /// Every period that is new since the last call, or has more in it than when it was last given; oldest first. The first
    /// call gives the last ten.
    ///
    /// # Errors
    /// [`MetricsError::NoDatapoints`] where nothing was published for some time, or why CloudWatch gave no answer.
    pub async fn update(&mut self) -> Result<Vec<Sample>, MetricsError> {
        self.update_at(now_ms()).await
    }

    /// The last `periods` that are judged, oldest first. Empty when nothing was published; see [`CloudWatch::silence`].
    ///
    /// # Errors
    /// Why CloudWatch gave no answer; [`MetricsError::Price`].
    pub async fn history(&mut self, periods: u32) -> Result<Vec<Sample>, MetricsError> {
        let to_ms = self.judged_to(now_ms());
        self.between(to_ms - i64::from(periods.max(1)) * self.period_ms(), to_ms).await
    }

    /// The periods from `from_ms` to before `to_ms` (ms since the epoch), as far as they are judged; oldest first.
    ///
    /// # Errors
    /// Why CloudWatch gave no answer; [`MetricsError::Price`].
    pub async fn between(&mut self, from_ms: i64, to_ms: i64) -> Result<Vec<Sample>, MetricsError> {
        let now = now_ms();
        let span = self.span(from_ms, to_ms.min(self.judged_to(now)));
        self.read(span, now).await?;
        self.note_operations(span).await;
        let held_ms = HELD_PERIODS * self.period_ms();
        let samples = self.samples((span.from_ms + held_ms, span.to_ms));
        for sample in &samples {
            self.told.insert(sample.at_ms, sample.clone());
        }
        self.forget(now);
        Ok(samples)
    }

    /// Why there is no datapoint, in a sentence.
    pub fn silence(&self) -> String {
        self.silence_at(now_ms())
    }

    async fn update_at(&mut self, now: i64) -> Result<Vec<Sample>, MetricsError> {
        let period = self.period_ms();
        // Also when the clock was put back.
        let listed_ago = now.abs_diff(self.listed_at_ms);
        if listed_ago >= (LIST_EVERY_PERIODS * period).unsigned_abs() && self.info.is_some() {
            self.refresh_info().await;
            self.list(now).await?;
        }
        let span = self.newest_span(now);
        self.read(span, now).await?;
        let mut news = Vec::new();
        for mut sample in self.samples((span.from_ms + HELD_PERIODS * period, span.to_ms)) {
            if let Some(before) = self.told.get(&sample.at_ms) {
                if before.brokers == sample.brokers && before.groups == sample.groups {
                    continue;
                }
                // What was seen of the topics then was seen then.
                (sample.topics, sample.protocol_at_ms) = (before.topics.clone(), before.protocol_at_ms);
            }
            self.told.insert(sample.at_ms, sample.clone());
            news.push(sample);
        }
        self.forget(now);
        let silent_ms = self.told.keys().next_back().map(|at| span.to_ms - at);
        match silent_ms {
            Some(silent_ms) if silent_ms <= (LATE_PERIODS + 1) * period => Ok(news),
            _ => Err(self.no_datapoints(now)),
        }
    }

    /// Reads the metrics of `span`, and the topics when they are due.
    async fn read(&mut self, span: Span, now: i64) -> Result<(), MetricsError> {
        let keys = self.keys();
        self.ensure_affordable(span.requests(keys.len()))?;
        let is_due = self.options.topics && now.abs_diff(self.looked_at_ms) >= self.period_ms().unsigned_abs();
        if is_due && self.info.as_ref().is_some_and(|info| info.state != ClusterState::Active) {
            self.refresh_info().await;
        }
        let reading = read::read(&self.aws, &self.shape.name, &keys, span, &mut self.series);
        let looked = match (&self.info, is_due) {
            (Some(info), true) => {
                let ((made, read), looked) = tokio::join!(reading, self.topics.look(&self.aws, info, now));
                self.status.add(made);
                read?;
                Some(looked)
            }
            _ => {
                let (made, read) = reading.await;
                self.status.add(made);
                read?;
                None
            }
        };
        if let Some(looked) = looked {
            self.looked_at_ms = now;
            self.lacks.by_topics = looked.unavailable;
            self.looks.extend(looked.look);
            self.looks.drain(..self.looks.len().saturating_sub(MOST_LOOKS));
            looked.note.into_iter().for_each(|note| self.status.note(note));
        }
        self.lacks.by_reading = wanted::empty(&self.shape, &self.series);
        self.publish();
        Ok(())
    }

    /// Notes what changed the cluster while the datapoints of `span` came: brokers restart then.
    async fn note_operations(&self, span: Span) {
        let Some(info) = self.info.as_ref().filter(|_| self.options.topics) else { return };
        match self.aws.operations(&info.arn).await {
            Ok(operations) => {
                let began_before = |of: &&PastOperation| of.started_at_ms.is_some_and(|start| start < span.to_ms);
                let ended_after = |of: &&PastOperation| of.ended_at_ms.is_none_or(|end| end > span.from_ms);
                for operation in operations.iter().filter(began_before).filter(ended_after) {
                    self.status.note(format!("{operation} changed the cluster in the time that was read"));
                }
            }
            Err(error) => self.status.note(error.to_string()),
        }
    }

    /// Lists brokers, groups and topics again.
    async fn list(&mut self, now: i64) -> Result<(), MetricsError> {
        let mut made = Requests::default();
        let listed = self.list_brokers(&mut made).await;
        if listed.is_ok() && self.options.parts {
            self.list_parts(&mut made).await;
        }
        self.status.add(made);
        listed?;
        self.listed_at_ms = now;
        self.publish();
        Ok(())
    }

    /// What is known stays when the control plane gives no answer.
    async fn refresh_info(&mut self) {
        let Some(arn) = self.info.as_ref().map(|info| info.arn.clone()) else { return };
        let Ok(info) = self.aws.info(&arn).await else { return };
        self.shape.level = info.monitoring_level.unwrap_or(MonitoringLevel::Default);
        self.info = Some(info);
    }

    async fn list_brokers(&mut self, made: &mut Requests) -> Result<(), AwsError> {
        let Some(info) = self.info.as_ref().filter(|info| info.kind != ClusterKind::Serverless) else { return Ok(()) };
        match self.aws.nodes(&info.arn).await {
            Ok(nodes) => {
                self.shape.brokers = nodes.iter().map(|node| node.id).collect();
                self.types = nodes.into_iter().filter_map(|node| Some((node.id, node.broker_type?))).collect();
            }
            // Those that were listed before are still read.
            Err(error) if !self.shape.brokers.is_empty() => self.status.note(error.to_string()),
            Err(error) if error.is_denied() => {
                match read::publishing_brokers(&self.aws, &self.shape.name, made).await {
                    Ok(ids) if !ids.is_empty() => {
                        self.status.note(format!("{error}; the brokers are those that publish to CloudWatch"));
                        self.shape.brokers = ids;
                    }
                    _ => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
        let types = || self.info.iter().filter_map(|info| info.broker_type.as_ref()).chain(self.types.values());
        let is_burstable = types().any(|name| name.is_burstable());
        let knows_memory = types().all(|name| name.known().is_some());
        (self.shape.is_burstable, self.shape.knows_memory) = (is_burstable, knows_memory);
        Ok(())
    }

    async fn list_parts(&mut self, made: &mut Requests) {
        let mut discovered = Discovered::default();
        let mut lacks = Vec::new();
        for listing in Listing::ALL {
            match read::discover(&self.aws, &self.shape.name, listing, &mut discovered, made).await {
                Ok(false) => {}
                Ok(true) => self.status.note(format!(
                    "{} has more than {} series of {}: the others are not read",
                    self.shape.name,
                    read::MOST_LISTED,
                    listing.metric().0
                )),
                Err(error @ AwsError::Denied { .. }) => {
                    lacks = denied_listing(&error);
                    break;
                }
                Err(error) => {
                    // What was found before still holds.
                    self.status.note(error.to_string());
                    return;
                }
            }
        }
        self.has_no_groups = discovered.groups.is_empty() && lacks.is_empty();
        self.discovered = discovered;
        self.lacks.by_listing = lacks;
    }

    fn ensure_affordable(&self, requests: Requests) -> Result<(), MetricsError> {
        match self.options.limit_usd {
            Some(limit_usd) if requests.usd() > limit_usd => {
                Err(MetricsError::Price { usd: requests.usd(), limit_usd, metrics: requests.metrics })
            }
            _ => Ok(()),
        }
    }

    fn keys(&self) -> Vec<Key> {
        wanted::series(&self.shape, &self.discovered)
    }

    fn period_ms(&self) -> i64 {
        i64::try_from(self.options.timing.period.as_millis()).unwrap_or(60_000).max(1000)
    }

    /// The end of the periods that are judged at `now`.
    fn judged_to(&self, now: i64) -> i64 {
        let delay_ms = i64::try_from(self.options.timing.delay.as_millis()).unwrap_or(i64::MAX);
        let period = self.period_ms();
        now.saturating_sub(delay_ms).max(0) / period * period
    }

    /// The whole periods between two times, and before them those from which a value may hold.
    fn span(&self, from_ms: i64, to_ms: i64) -> Span {
        let period_ms = self.period_ms();
        let to_ms = to_ms.max(0) / period_ms * period_ms;
        let from_ms = (from_ms.max(0) / period_ms * period_ms).min(to_ms - period_ms);
        Span { from_ms: from_ms - HELD_PERIODS * period_ms, to_ms, period_ms, highest: false }
    }

    /// What has to be read to have the newest periods, and what came late of those before.
    fn newest_span(&self, now: i64) -> Span {
        let (to_ms, period) = (self.judged_to(now), self.period_ms());
        let since = match self.told.keys().next_back() {
            Some(last) => (last - LATE_PERIODS * period).min(to_ms - period),
            None => to_ms - FIRST_PERIODS * period,
        };
        self.span(since, to_ms)
    }

    fn samples(&self, span: (i64, i64)) -> Vec<Sample> {
        let memory = |id: &BrokerId| match self.types.get(id).map(memory_bytes) {
            Some(of_type) => of_type.map(|bytes| (bytes * self.memory_share) as u64),
            None => self.options.memory_total_bytes,
        };
        let brokers = self.shape.brokers.iter().map(|id| (*id, memory(id)));
        let frame = Frame { brokers: brokers.collect(), period_ms: self.period_ms() };
        let mut samples = minutes::samples(&frame, &self.series, span);
        for sample in &mut samples {
            if let Some(look) = self.look_at(sample.at_ms) {
                sample.topics = look.topics.clone();
                sample.protocol_at_ms = Some(look.at_ms);
            }
        }
        samples
    }

    /// The look at the topics that was made when the period became judged; the nearest, if one is near.
    fn look_at(&self, at_ms: i64) -> Option<&Look> {
        let period = self.period_ms();
        let delay_ms = i64::try_from(self.options.timing.delay.as_millis()).unwrap_or(i64::MAX / 2);
        let judged_at = at_ms.saturating_add(period).saturating_add(delay_ms);
        let distance = |look: &&Look| look.at_ms.abs_diff(judged_at);
        let nearest = self.looks.iter().min_by_key(distance)?;
        (distance(&nearest) <= 2 * period as u64).then_some(nearest)
    }

    /// Drops what no later reading needs.
    fn forget(&mut self, now: i64) {
        let kept = (FIRST_PERIODS + LATE_PERIODS + HELD_PERIODS) * self.period_ms();
        let oldest = self.judged_to(now) - kept;
        self.series.forget(oldest);
        self.told = self.told.split_off(&oldest);
    }

    fn no_datapoints(&self, now: i64) -> MetricsError {
        MetricsError::NoDatapoints { cluster: self.shape.name.clone(), reason: self.silence_at(now) }
    }

    fn silence_at(&self, now: i64) -> String {
        let age_ms = self.info.as_ref().and_then(|info| info.created_at_ms).map(|created| now - created);
        let state = self.info.as_ref().map(|info| &info.state);
        if let Some(last) = self.told.keys().next_back() {
            return format!("the last was {} min ago: monitoring stopped, or no broker runs", (now - last) / 60_000);
        }
        if state == Some(&ClusterState::Creating) {
            return "it is being created".to_owned();
        }
        match age_ms {
            Some(age_ms) if age_ms < YOUNG.as_millis() as i64 => {
                let minutes = (age_ms / 60_000).max(0);
                format!("it was created {minutes} min ago, and the first datapoints take some minutes")
            }
            _ if self.options.parts && self.discovered.is_empty() && self.lacks.by_listing.is_empty() => format!(
                "CloudWatch in {} lists no metric of it either: see that CloudWatch's endpoint, account and region are those \
                 of the cluster",
                self.aws.region()
            ),
            _ => format!("see that {} is its name and {} its region", self.shape.name, self.aws.region()),
        }
    }

    /// Tells what is known now.
    fn publish(&self) {
        let mut unavailable = wanted::unavailable(&self.shape);
        if !self.options.topics {
            let of = |field| Unavailable { field, reason: "the topics API was not asked".to_owned(), enable: None };
            unavailable.extend([Field::Topics, Field::TopicConfigs].map(of));
        }
        if !self.options.parts {
            let reason = "consumer groups and topics were left out of this reading";
            let of = |field| Unavailable { field, reason: reason.to_owned(), enable: None };
            unavailable.extend([Field::GroupLag, Field::TrafficByTopic].map(of));
        }
        if self.has_no_groups {
            unavailable.push(Unavailable {
                field: Field::GroupLag,
                reason: "no consumer group of this cluster publishes its lag: groups that commit no offsets to Kafka publish none"
                    .to_owned(),
                enable: None,
            });
        }
        let lacks = [&self.lacks.by_listing, &self.lacks.by_topics, &self.lacks.by_reading];
        unavailable.extend(lacks.into_iter().flatten().cloned());
        unavailable.sort_by_key(|lack| lack.field);
        unavailable.dedup_by_key(|lack| lack.field);
        self.status.set(self.shape.brokers.clone(), unavailable);
    }
}

/// Memory of a broker of this type.
fn memory_bytes(name: &TypeName) -> Option<f64> {
    name.known().map(|known| known.memory_mib as f64 * 1024.0 * 1024.0)
}

fn denied_listing(error: &AwsError) -> Vec<Unavailable> {
    let AwsError::Denied { action, allow, .. } = error else { return Vec::new() };
    let of = |field| Unavailable { field, reason: format!("{action} is not allowed"), enable: Some(allow.clone()) };
    [Field::GroupLag, Field::TrafficByTopic].map(of).to_vec()
}

/// Milliseconds since the epoch.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
