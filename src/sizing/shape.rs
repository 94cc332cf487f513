//! A shape judged: what each of its brokers would use of each limit at the peak, with nothing away and with what it has to
//! survive away.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    Current, Question, Survive,
    history::{DAY_MS, History, Minute, Point},
    model::Model,
};
use crate::catalogue::{BrokerType, Family};

/// CPU work of one vCPU of a family over that of m5. M7g: the least of the ratios of AWS's own guideline for the same size (10 over
/// 9 MB/s of ingress for large; sample-health-check-tool-for-msk, rules 2026.09), which claims less than "up to 29 %".
const M7G_FACTOR: f64 = 10.0 / 9.0;

/// Share of a volume that may be used (MSK best practices: alarm at 85 %).
const DISK_PERCENT: f64 = 85.0;

/// Heap in use after a collection, percent (MSK best practices: alarm at 60 %).
const HEAP_PERCENT: f64 = 60.0;

/// Connections of IAM clients to one broker (MSK Developer Guide, "Amazon MSK quota").
const IAM_CONNECTIONS: f64 = 3000.0;

/// Throughput of a gp2 volume, MiB/s: 0.75 a GiB, at least 128 and at most 250 (EBS User Guide; MSK uses gp2).
fn gp2_mib_per_s(gib: u32) -> f64 {
    (0.75 * f64::from(gib)).clamp(128.0, 250.0)
}

/// Broker type and count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Shape {
    #[schemars(with = "String")]
    pub broker_type: BrokerType,
    pub brokers: u32,
}

/// Text that is no shape.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0:?} is not a shape: use the number of brokers and their type, such as 3xkafka.m5.large")]
pub struct UnknownShape(String);

/// Reads `3xkafka.m5.large`.
impl FromStr for Shape {
    type Err = UnknownShape;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (brokers, broker_type) = text.split_once('x')?;
            Some(Shape { broker_type: broker_type.parse().ok()?, brokers: brokers.parse().ok().filter(|n| *n > 0)? })
        };
        read().ok_or_else(|| UnknownShape(text.to_owned()))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.brokers, self.broker_type)
    }
}

/// Something that a broker can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Cpu,
    /// Baseline bandwidth, whichever direction is fuller.
    Network,
    /// Bytes written to the data volume.
    Volume,
    /// Replicas on a broker.
    Partitions,
    Disk,
    /// Express: what clients may write and read.
    Quota,
    /// CPU of the busiest day of a T3 broker, over what it earns credits for.
    Credits,
    /// After a collection; only of types with as much memory as the present one, since a heap that is large is not collected to
    /// what is needed.
    Heap,
    /// Only where clients authenticate by IAM: MSK limits no others.
    Connections,
}

impl Resource {
    /// In the order of the table.
    pub const ALL: [Resource; 9] = [
        Resource::Cpu,
        Resource::Credits,
        Resource::Network,
        Resource::Volume,
        Resource::Quota,
        Resource::Partitions,
        Resource::Connections,
        Resource::Heap,
        Resource::Disk,
    ];
}

impl Resource {
    pub fn name(self) -> &'static str {
        match self {
            Resource::Cpu => "CPU",
            Resource::Network => "network",
            Resource::Volume => "volume",
            Resource::Partitions => "partitions",
            Resource::Disk => "disk",
            Resource::Quota => "quota",
            Resource::Credits => "credits",
            Resource::Heap => "heap",
            Resource::Connections => "connections",
        }
    }

    /// What grows with the load, however long it lasts.
    pub fn follows_load(self) -> bool {
        matches!(self, Resource::Cpu | Resource::Credits | Resource::Network | Resource::Volume | Resource::Quota)
    }

    /// What does not move to the others while a broker is away.
    fn stays(self) -> bool {
        matches!(self, Resource::Partitions | Resource::Disk | Resource::Heap | Resource::Credits)
    }
}

/// What a broker uses of one limit at the peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Use {
    pub resource: Resource,
    /// Of the limit, percent: the target for CPU, the baseline for network and volume, what is recommended for partitions.
    pub percent: f64,
    /// The same while what the shape has to survive is away.
    pub percent_after_loss: f64,
}

/// A shape with the reasons for and against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Judged {
    #[serde(flatten)]
    pub shape: Shape,
    pub fits: bool,
    /// Why it does not fit, or why the cluster cannot become it.
    pub reason: Option<String>,
    /// The limit that it exceeds most; `None` where it fits, or where the cluster cannot become it.
    pub over: Option<Resource>,
    pub uses: Vec<Use>,
    /// The limit that is nearest.
    pub binding: Option<Resource>,
    /// CPU of the busiest broker at the peak with all brokers there, percent of its vCPUs.
    pub cpu_percent: f64,
    /// Brokers only, us-east-1 list price.
    pub usd_per_month: f64,
}

impl Judged {
    /// Percent of a limit while what the shape has to survive is away; `None` where it was not computed.
    pub fn used(&self, resource: Resource) -> Option<f64> {
        self.uses.iter().find(|of| of.resource == resource).map(|of| of.percent_after_loss)
    }

    /// The same for a table: the limit that binds has a mark.
    pub fn cell(&self, resource: Resource) -> String {
        match self.used(resource) {
            Some(percent) if self.binding == Some(resource) => format!("{percent:.0}!"),
            Some(percent) => format!("{percent:.0}"),
            None => "-".to_owned(),
        }
    }
}

pub struct Judge<'a> {
    current: &'a Current,
    history: &'a History,
    model: &'a Model,
    question: &'a Question,
    /// Load to plan for, percent above the peak.
    growth_percent: f64,
    /// Sums over the brokers, of the minutes that no other exceeds in every respect: the worst of any limit is among them.
    worst: Vec<Point>,
    /// Sums over the brokers, the mean of each day.
    days: Vec<Point>,
}

impl<'a> Judge<'a> {
    pub fn new(
        current: &'a Current,
        history: &'a History,
        model: &'a Model,
        question: &'a Question,
        growth_percent: f64,
    ) -> Judge<'a> {
        let totals: Vec<(i64, Point)> = history.minutes.iter().map(|minute| (minute.at_ms, total(minute))).collect();
        let worst = skyline(totals.iter().map(|(_, point)| *point).collect());
        Judge { current, history, model, question, growth_percent, worst, days: daily(&totals) }
    }

    /// The cheapest count of a type that fits; the largest that was tried, with its reason, if none does.
    pub fn best_of(&self, broker_type: BrokerType) -> Judged {
        let (zones, least) = (self.current.zones.max(1), self.least_brokers());
        let most = match broker_type.family {
            // More brokers of a type for development and test are no answer (MSK Developer Guide, "Broker types").
            Family::T3 => self.current.brokers.max(least),
            _ => (self.current.brokers * 2).max(zones * 4),
        };
        let counts = (least..=most).step_by(zones as usize);
        let mut tried = counts.map(|brokers| self.judge(Shape { broker_type, brokers }));
        let first = tried.next();
        match first {
            Some(first) if first.fits || self.change_error(first.shape).is_some() => first,
            Some(first) => tried.find(|judged| judged.fits).unwrap_or(first),
            None => self.judge(Shape { broker_type, brokers: least }),
        }
    }

    pub fn judge(&self, shape: Shape) -> Judged {
        let away = match self.question.survive {
            Survive::None => 0,
            Survive::Broker => 1,
            Survive::Zone => shape.brokers / self.current.zones.max(1),
        };
        let left = shape.brokers.saturating_sub(away);
        let of = |resource: Resource| {
            let percent = self.percent(resource, shape, shape.brokers)?;
            let percent_after_loss = if resource.stays() { percent } else { self.percent(resource, shape, left)? };
            Some(Use { resource, percent, percent_after_loss })
        };
        let uses: Vec<Use> = Resource::ALL.into_iter().filter_map(of).collect();
        let binding = uses.iter().max_by(|a, b| a.percent_after_loss.total_cmp(&b.percent_after_loss)).copied();
        let full = binding.filter(|binding| left == 0 || binding.percent_after_loss > 100.0);
        let change_error = self.change_error(shape);
        let over = full.filter(|_| change_error.is_none()).map(|full| full.resource);
        let reason = change_error.or(full.map(|full| self.full(full, shape)));
        Judged {
            shape,
            fits: reason.is_none(),
            over,
            reason,
            binding: binding.map(|binding| binding.resource),
            cpu_percent: self.cpu(shape, shape.brokers) / vcpus(shape.broker_type) * 100.0,
            usd_per_month: shape.broker_type.usd_per_month(shape.brokers),
            uses,
        }
    }

    /// The smallest count: as many in each zone, and one for each replica.
    fn least_brokers(&self) -> u32 {
        let zones = self.current.zones.max(1);
        zones.max((self.history.replication_factor.ceil() as u32).div_ceil(zones) * zones)
    }

    /// What keeps `shape` from having fewer brokers.
    pub fn count_bound(&self, shape: Shape) -> String {
        let zones = self.current.zones.max(1);
        let least = self.least_brokers();
        if shape.brokers <= zones {
            let assumed = if self.current.zones_assumed { " (assumed from the number of brokers)" } else { "" };
            return format!("{zones} zones{assumed} need a broker each");
        }
        if shape.brokers <= least {
            return format!("replication factor {:.0}", self.history.replication_factor);
        }
        let fewer = self.judge(Shape { brokers: shape.brokers - zones, ..shape });
        match fewer.uses.iter().filter(|used| used.percent_after_loss > 100.0).count() {
            0 => "nothing that was seen".to_owned(),
            _ => format!("with {} brokers, {}", fewer.shape.brokers, self.over(&fewer)),
        }
    }

    /// The limit that `judged` exceeds most.
    fn over(&self, judged: &Judged) -> String {
        let most = judged.uses.iter().max_by(|a, b| a.percent_after_loss.total_cmp(&b.percent_after_loss));
        most.map(|most| self.full(*most, judged.shape)).unwrap_or_default()
    }

    /// What to know of the recommended shape.
    pub fn notes(&self, chosen: &Judged) -> Vec<String> {
        let has_heap = self.history.minutes.iter().any(|minute| minute.heap_percent.is_some());
        let is_smaller = chosen.shape.broker_type.memory_mib < self.current.broker_type.memory_mib;
        let heap = (has_heap && is_smaller).then(|| {
            "heap is not predicted for types with less memory: watch HeapMemoryAfterGC after the change".to_owned()
        });
        let credits = self.current.broker_type.credits().map(|_| {
            "T3 brokers are judged by the CPU that they earn credits for, not by what saved credits allow".to_owned()
        });
        heap.into_iter().chain(credits).collect()
    }

    /// Load of a broker of `shape` over the highest that was seen of one.
    pub fn extrapolation(&self, shape: Shape) -> f64 {
        let load = |point: &Point| point.bytes_in + point.bytes_out + point.replication_in;
        let seen = self.history.minutes.iter().flat_map(|minute| &minute.brokers).map(load).fold(0.0, f64::max);
        let then = self.worst.iter().map(|total| load(&self.share(total, shape.brokers))).fold(0.0, f64::max);
        if seen > 0.0 { then / seen } else { 1.0 }
    }

    /// Why the cluster cannot become `shape`.
    fn change_error(&self, shape: Shape) -> Option<String> {
        if shape.broker_type == self.current.broker_type {
            return None;
        }
        let partitions = self.history.peak().partitions.map(|all| all.div_ceil(u64::from(shape.brokers.max(1))));
        let partitions = partitions.and_then(|partitions| u32::try_from(partitions).ok());
        self.current.broker_type.check_change_to(shape.broker_type, partitions).err().map(|error| error.to_string())
    }

    fn full(&self, full: Use, shape: Shape) -> String {
        let name = full.resource.name();
        let limit = match full.resource {
            Resource::Cpu => format!("of the target ({} % CPU)", self.question.target_cpu),
            Resource::Network => "of the baseline bandwidth".to_owned(),
            Resource::Volume => "of the volume's throughput".to_owned(),
            Resource::Partitions => {
                format!("of the {} recommended on a broker", shape.broker_type.partitions_recommended)
            }
            Resource::Disk => format!("of {DISK_PERCENT} % of the volume"),
            Resource::Quota => "of the sustained throughput of Express".to_owned(),
            Resource::Credits => "of the CPU that it earns credits for, on the busiest day".to_owned(),
            Resource::Heap => format!("of {HEAP_PERCENT} % of the heap"),
            Resource::Connections => format!("of the {IAM_CONNECTIONS} that IAM clients may have to a broker"),
        };
        let away = match self.question.survive {
            _ if full.percent > 100.0 || full.resource.stays() => "",
            Survive::Broker => " with one broker away",
            Survive::Zone => " with one zone away",
            Survive::None => "",
        };
        format!("{name}: {:.0} % {limit}{away}", full.percent_after_loss)
    }

    /// Use of a limit at the worst minute, percent, with `brokers` of the shape there.
    fn percent(&self, resource: Resource, shape: Shape, brokers: u32) -> Option<f64> {
        let kind = shape.broker_type;
        let worst = |of: &dyn Fn(&Point) -> f64| {
            self.worst.iter().map(|total| of(&self.share(total, brokers))).fold(0.0, f64::max)
        };
        let highest = |of: fn(&Minute) -> Option<f64>| self.history.minutes.iter().filter_map(of).reduce(f64::max);
        let factor = self.history.replication_factor;
        match resource {
            Resource::Cpu => Some(self.cpu(shape, brokers) / vcpus(kind) * 100.0 / self.question.target_cpu * 100.0),
            Resource::Network => {
                let bytes = kind.network_baseline_gbit_per_s? * 1e9 / 8.0;
                // What comes in from clients goes out again to the followers of the leaders here.
                let out = move |point: &Point| point.bytes_out + point.bytes_in * (factor - 1.0).max(0.0);
                let fuller = move |point: &Point| (point.bytes_in + point.replication_in).max(out(point));
                Some(worst(&fuller) / bytes * 100.0)
            }
            Resource::Volume => {
                let most = kind.ebs_baseline_mb_per_s? * 1e6;
                let mib = self.current.volume_mib_per_s.or(self.current.volume_gib.map(gp2_mib_per_s))?;
                let bytes = (mib * f64::from(1u32 << 20)).min(most);
                Some(worst(&|point| point.bytes_in + point.replication_in) / bytes * 100.0)
            }
            Resource::Partitions => {
                let all = self.history.peak().partitions?;
                Some(all as f64 / f64::from(shape.brokers) / f64::from(kind.partitions_recommended) * 100.0)
            }
            Resource::Disk => {
                let volume = f64::from(self.current.volume_gib.filter(|_| !kind.is_express())?) * f64::from(1u32 << 30);
                let used = highest(|minute| minute.disk_bytes)?;
                Some(used * self.grown() / f64::from(shape.brokers) / volume * 100.0 / DISK_PERCENT * 100.0)
            }
            Resource::Quota => {
                let (ingress, egress) = (kind.express_ingress_mb_per_s? * 1e6, kind.express_egress_mb_per_s? * 1e6);
                Some(worst(&|point| (point.bytes_in / ingress).max(point.bytes_out / egress)) * 100.0)
            }
            Resource::Credits => {
                kind.credits()?;
                let vcpus = self.days.iter().map(|day| self.model.vcpus(&self.share(day, brokers))).fold(0.0, f64::max);
                Some(vcpus * self.family_share(shape) / kind.sustained_vcpus() * 100.0)
            }
            Resource::Heap => {
                let memory = self.current.broker_type.memory_mib as f64 / kind.memory_mib as f64;
                // What a broker holds grows with its partitions, and an idle one holds something too.
                let each = (f64::from(self.current.brokers) / f64::from(shape.brokers)).max(1.0);
                let heap = highest(|minute| minute.heap_percent).filter(|_| memory <= 1.0)?;
                Some(heap * memory * each / HEAP_PERCENT * 100.0)
            }
            Resource::Connections => {
                let all = self.history.peak().connections.filter(|_| self.current.uses_iam)?;
                Some(all as f64 / f64::from(brokers.max(1)) / IAM_CONNECTIONS * 100.0)
            }
        }
    }

    /// vCPUs that the busiest broker of `shape` uses at the worst minute.
    fn cpu(&self, shape: Shape, brokers: u32) -> f64 {
        let vcpus = self.worst.iter().map(|total| self.model.vcpus(&self.share(total, brokers))).fold(0.0, f64::max);
        vcpus * self.family_share(shape)
    }

    /// vCPUs of the shape's family that do the work of one of the present family.
    fn family_share(&self, shape: Shape) -> f64 {
        family_factor(self.current.broker_type) / family_factor(shape.broker_type)
    }

    fn grown(&self) -> f64 {
        1.0 + self.growth_percent / 100.0
    }

    /// The load of the busiest of `brokers` when all of them carry `total`, with the growth that is asked for.
    fn share(&self, total: &Point, brokers: u32) -> Point {
        let share = self.grown() * self.history.skew / f64::from(brokers.max(1));
        Point {
            vcpus: None,
            bytes_in: total.bytes_in * share,
            bytes_out: total.bytes_out * share,
            replication_in: total.replication_in * share,
            messages: total.messages * share,
        }
    }
}

fn total(minute: &Minute) -> Point {
    Point {
        vcpus: None,
        bytes_in: minute.total(|point| point.bytes_in),
        bytes_out: minute.total(|point| point.bytes_out),
        replication_in: minute.total(|point| point.replication_in),
        messages: minute.total(|point| point.messages),
    }
}

/// The points that no other exceeds in every respect.
fn skyline(mut points: Vec<Point>) -> Vec<Point> {
    let terms = |point: &Point| [point.bytes_in, point.bytes_out, point.replication_in, point.messages];
    // A point can only be exceeded by one that comes before it.
    let bytes = |point: &Point| point.bytes_in + point.bytes_out + point.replication_in;
    points.sort_by(|a, b| bytes(b).total_cmp(&bytes(a)).then(b.messages.total_cmp(&a.messages)));
    let mut kept: Vec<Point> = Vec::new();
    for point in points {
        let exceeds = |other: &Point| terms(other).iter().zip(terms(&point)).all(|(other, own)| *other >= own);
        if !kept.iter().any(exceeds) {
            kept.push(point);
        }
    }
    kept
}

/// The mean of each day (UTC).
fn daily(totals: &[(i64, Point)]) -> Vec<Point> {
    let day = |(at_ms, _): &(i64, Point)| at_ms.div_euclid(DAY_MS);
    let mean = |minutes: &[(i64, Point)]| {
        let of = |value: fn(&Point) -> f64| {
            minutes.iter().map(|(_, point)| value(point)).sum::<f64>() / minutes.len() as f64
        };
        Point {
            vcpus: None,
            bytes_in: of(|point| point.bytes_in),
            bytes_out: of(|point| point.bytes_out),
            replication_in: of(|point| point.replication_in),
            messages: of(|point| point.messages),
        }
    };
    totals.chunk_by(|a, b| day(a) == day(b)).map(mean).collect()
}

/// vCPUs that a broker of this type has for as long as it likes.
fn vcpus(broker_type: BrokerType) -> f64 {
    broker_type.sustained_vcpus()
}

fn family_factor(broker_type: BrokerType) -> f64 {
    match broker_type.family {
        Family::T3 | Family::M5 => 1.0,
        Family::M7g | Family::ExpressM7g => M7G_FACTOR,
    }
}
