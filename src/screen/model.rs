//! What is known of a run so far: the state behind every frame. Pure; time comes with the entries.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::series::{Point, Series};
use crate::{
    diagnose::{Context, Verdict},
    finding_id,
    run::{Covered, End, Entry, Event, Found, Head, LoadSecond, Mark},
    sample::{BrokerId, BrokerSample, BrokerState, LoadSample},
    visible,
};

/// Notes and findings that are kept.
const NOTES: usize = 400;
const FINDINGS: usize = 100;

/// Time between two samples up to which the first also holds until the second, s; see [`steady`].
const SOON: f64 = 1.5;

/// A run as far as its entries were taken.
#[derive(Debug, Clone)]
pub struct Model {
    pub command: String,
    pub id: String,
    started: Timestamp,
    /// Seconds since the run began, of the latest entry or [`Model::at`].
    pub now: f64,
    pub lab_scale: Option<f64>,
    name: Option<String>,
    pub cluster: Option<Context>,
    pub verdict: Option<Verdict>,
    /// Which causes the samples can show, where that was said.
    pub coverage: Option<Covered>,
    /// Brokers of the latest sample; see [`steady`].
    pub brokers: BTreeMap<BrokerId, BrokerSample>,
    /// The latest sample as it came, and when.
    latest: (f64, BTreeMap<BrokerId, BrokerSample>),
    /// Partitions that the Kafka protocol showed with less than all replicas in sync, and all that it showed.
    pub out_of_sync: Option<(usize, usize)>,
    pub host_cpu_pressure_percent: Option<f64>,
    series: BTreeMap<BrokerId, Series>,
    all: Series,
    pub load: Option<LoadSample>,
    pub latest_load: Option<LoadSecond>,
    loads: Series,
    pub marks: Vec<Marked>,
    pub findings: Vec<Shown>,
    /// Seconds since the run began, and what was said.
    pub notes: Vec<(f64, String)>,
    /// The fix that is or was carried out.
    pub fix: Option<String>,
    pub end: Option<End>,
    pub samples: usize,
}

/// A mark on the time axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Marked {
    pub at: f64,
    pub mark: Mark,
    pub text: String,
}

/// A finding as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub at: f64,
    pub id: String,
    pub title: String,
    pub subject: String,
    /// To be pasted: the fix, or what shows more.
    pub command: String,
    /// What the command does, if it fixes something.
    pub summary: Option<String>,
}

impl Model {
    pub fn new(head: &Head) -> Model {
        Model {
            command: plain(&head.command),
            id: plain(&head.id),
            started: head.started,
            now: 0.0,
            lab_scale: head.environment.lab_scale,
            name: head.environment.cluster.as_deref().map(plain),
            cluster: None,
            verdict: None,
            coverage: None,
            brokers: BTreeMap::new(),
            latest: Default::default(),
            out_of_sync: None,
            host_cpu_pressure_percent: None,
            series: BTreeMap::new(),
            all: Series::default(),
            load: None,
            latest_load: None,
            loads: Series::default(),
            marks: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            fix: None,
            end: None,
            samples: 0,
        }
    }

    /// Seconds from the run's beginning to `at`.
    pub fn seconds(&self, at: Timestamp) -> f64 {
        (at.as_millisecond() - self.started.as_millisecond()) as f64 / 1000.0
    }

    /// It is `at` now, though nothing may have happened.
    pub fn at(&mut self, at: Timestamp) {
        self.now = self.now.max(self.seconds(at));
    }

    /// The cluster's name, as far as it is known.
    pub fn name(&self) -> Option<&str> {
        self.cluster.as_ref().map(|cluster| cluster.cluster.as_str()).or(self.name.as_deref())
    }

    /// Over time: one broker, or all of them as one.
    pub fn series(&self, broker: Option<BrokerId>) -> &Series {
        broker.and_then(|broker| self.series.get(&broker)).unwrap_or(&self.all)
    }

    pub fn loads(&self) -> &Series {
        &self.loads
    }

    /// When the first thing was measured, seconds since the run began.
    pub fn first_measured(&self) -> Option<f64> {
        let first = |series: &Series| series.points().first().map(|point| point.at);
        first(&self.all).into_iter().chain(first(&self.loads)).min_by(f64::total_cmp)
    }

    pub fn take(&mut self, entry: &Entry) {
        let at = self.seconds(entry.at);
        self.now = self.now.max(at);
        match &entry.event {
            Event::Sample(observed) => {
                let sample = &observed.sample;
                self.samples += 1;
                self.lab_scale = observed.cluster.lab_scale.or(self.lab_scale);
                self.cluster = Some(plain_context(&observed.cluster));
                if observed.verdict.is_some() {
                    self.verdict = observed.verdict;
                }
                if sample.load.is_some() {
                    self.load = sample.load;
                }
                self.host_cpu_pressure_percent = sample.host_cpu_pressure_percent;
                let partitions = || sample.topics.values().flat_map(|topic| &topic.partitions);
                let behind = partitions().filter(|partition| partition.in_sync.len() < partition.replicas.len());
                self.out_of_sync = (!sample.topics.is_empty()).then(|| (behind.count(), partitions().count()));
                let (before_at, before) = &self.latest;
                let is_soon = at - before_at <= SOON;
                self.brokers = sample.brokers.clone();
                for (id, broker) in &mut self.brokers {
                    if let Some(before) = before.get(id).filter(|_| is_soon) {
                        steady(broker, before);
                    }
                }
                let points: Vec<Point> = self.brokers.values().map(|broker| Point::of_broker(at, broker)).collect();
                for (id, point) in self.brokers.keys().zip(&points) {
                    self.series.entry(*id).or_default().push(*point);
                }
                self.all.push(Point::of_all(at, &points));
                self.latest = (at, sample.brokers.clone());
            }
            Event::Load(second) => {
                self.loads.push(Point::of_load(at, &second.sample));
                self.load = Some(second.sample);
                self.latest_load = Some(*second);
            }
            Event::Finding(found) => {
                self.verdict = found.verdict.or(self.verdict);
                self.findings.push(Shown::of(at, found));
                let surplus = self.findings.len().saturating_sub(FINDINGS);
                self.findings.drain(..surplus);
            }
            Event::Coverage(covered) => {
                let lacking = covered.lacking.iter().map(|line| plain(line)).collect();
                self.coverage = Some(Covered { lacking, ..*covered });
            }
            Event::Mark(marked) => {
                self.marks.push(Marked { at, mark: marked.mark, text: plain(&marked.text) });
                self.note(at, &format!("{}: {}", marked.mark.name(), marked.text));
            }
            Event::Remedy(fix) => {
                self.fix = Some(plain(&fix.command));
                self.note(at, &format!("fix: {} ({})", fix.command, fix.rendered.summary));
            }
            Event::Note { text } => self.note(at, text),
            Event::End(end) => {
                let error = end.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                self.note(at, &format!("end: {}{error}", end.outcome));
                self.end = Some(End { outcome: plain(&end.outcome), error: end.error.as_deref().map(plain), ..*end });
            }
            Event::Result(_) | Event::Unknown => {}
        }
    }

    fn note(&mut self, at: f64, text: &str) {
        for line in text.lines().map(plain).filter(|line| !line.trim().is_empty()) {
            self.notes.push((at, line));
        }
        let surplus = self.notes.len().saturating_sub(NOTES);
        self.notes.drain(..surplus);
    }
}

/// Brokers that are sampled faster than their figures are renewed (every 2 s in the lab) lack every other figure, and their
/// counters stand still every other time: what is lacking is that of the sample before, traffic the mean of both.
fn steady(broker: &mut BrokerSample, before: &BrokerSample) {
    fn kept<T: Copy>(now: &mut Option<T>, before: Option<T>) {
        *now = now.or(before);
    }
    fn mean(now: &mut Option<f64>, before: Option<f64>) {
        *now = now.zip(before).map(|(now, before)| (now + before) / 2.0).or(*now).or(before);
    }
    if broker.state != BrokerState::Serving {
        return;
    }
    kept(&mut broker.cpu_user_percent, before.cpu_user_percent);
    kept(&mut broker.cpu_system_percent, before.cpu_system_percent);
    kept(&mut broker.cpu_throttled_percent, before.cpu_throttled_percent);
    kept(&mut broker.memory_used_bytes, before.memory_used_bytes);
    kept(&mut broker.heap_used_percent, before.heap_used_percent);
    kept(&mut broker.heap_after_gc_percent, before.heap_after_gc_percent);
    kept(&mut broker.produce, before.produce);
    mean(&mut broker.bytes_in_per_s, before.bytes_in_per_s);
    mean(&mut broker.bytes_out_per_s, before.bytes_out_per_s);
}

impl Shown {
    fn of(at: f64, found: &Found) -> Shown {
        let remedy = found.remedy.as_ref();
        let explain = || format!("kgen explain {}", found.id);
        let command = remedy.and_then(|remedy| {
            let first = || remedy.kafka_tools.first().cloned();
            remedy.kgen.clone().or_else(|| remedy.aws_cli.clone()).or_else(first)
        });
        Shown {
            at,
            id: plain(&found.id),
            title: plain(&found.title),
            subject: plain(&found.subject),
            summary: remedy.map(|remedy| plain(&remedy.summary)).filter(|_| command.is_some()),
            // A command of several lines would not be one that can be read off the screen.
            command: command.filter(|command| !command.contains('\n')).map_or_else(explain, |command| plain(&command)),
        }
    }

    pub fn is_healthy(&self) -> bool {
        self.id == finding_id::HEALTHY
    }
}

/// Without what would move the cursor, change the terminal or reorder what is read.
fn plain(text: &str) -> String {
    visible::line(text).into_owned()
}

/// The cluster as it is drawn: the texts come from a control plane or a record.
fn plain_context(context: &Context) -> Context {
    let all = |text: &Option<String>| text.as_deref().map(plain);
    Context {
        cluster: plain(&context.cluster),
        region: plain(&context.region),
        arn: all(&context.arn),
        current_version: all(&context.current_version),
        broker_type: all(&context.broker_type),
        kafka_version: all(&context.kafka_version),
        bootstrap_servers: all(&context.bootstrap_servers),
        state: all(&context.state),
        active_operation: all(&context.active_operation),
        ..context.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{Diagnosis, Finding},
        run::Observed,
        sample::Sample,
    };

    #[test]
    fn the_verdict_is_that_of_the_diagnosis_though_its_last_finding_is_weak() {
        let at = Timestamp::from_millisecond(1_700_000_000_000).unwrap();
        let head: Head = serde_json::from_str(
            r#"{"schema":"kgen.run/1","id":"demo-1","command":"demo","args":[],"started":"2023-11-14T22:13:20Z","environment":{}}"#,
        )
        .unwrap();
        let finding = |id: &'static str, confidence| Finding { id, confidence, ..Finding::default() };
        let findings = vec![finding("disk.filling", 0.9), finding("broker.undersized", 0.4)];
        let told = Diagnosis { verdict: Verdict::CauseFound, findings, coverage: Default::default() };
        let mut model = Model::new(&head);
        let mut take = |event| {
            model.take(&Entry { at, event });
            model.verdict
        };
        assert_eq!(take(Event::note("begun")), None);
        for finding in &told.findings {
            let found = Found::new("demo", told.verdict, finding, Some(Default::default()));
            assert_eq!(take(Event::Finding(Box::new(found))), Some(Verdict::CauseFound), "{}", finding.id);
        }
        let quiet = Diagnosis {
            verdict: Verdict::Healthy,
            findings: vec![finding("healthy", 0.9)],
            coverage: Default::default(),
        };
        let observed = Observed::new(Context::default(), Sample::default(), &quiet);
        assert_eq!(take(Event::Sample(Box::new(observed))), Some(Verdict::Healthy));
    }

    #[test]
    fn what_a_fast_sample_lacks_is_that_of_the_one_before() {
        let sample = |cpu: Option<f64>, bytes: f64| BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: cpu,
            cpu_system_percent: cpu,
            bytes_in_per_s: Some(bytes),
            ..BrokerSample::default()
        };
        let mut next = sample(None, 300.0);
        steady(&mut next, &sample(Some(20.0), 100.0));
        assert_eq!((next.cpu_percent(), next.bytes_in_per_s), (Some(40.0), Some(200.0)));
        // A broker that does not answer has no figures.
        let mut gone = BrokerSample::default();
        steady(&mut gone, &sample(Some(20.0), 100.0));
        assert_eq!(gone, BrokerSample::default());
    }
}
