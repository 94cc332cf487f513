use std::collections::BTreeMap;

use super::*;
use crate::sample::{BrokerSample, BrokerState, PartitionSample, Source, TopicSample};

const MINUTE_MS: i64 = 60_000;
const MB: f64 = 1e6;

/// What a broker truly costs in these tests, in vCPUs: idle, a byte in, a byte out, a byte replicated, a record.
const TRUTH: [f64; 5] = [0.08, 1.0 / 15e6, 1.0 / 70e6, 1.0 / 14e6, 4e-6];

struct Cluster {
    current: Current,
    /// Bytes in, bytes out and records a second over the cluster, minute by minute.
    load: Vec<(f64, f64, f64)>,
    disk_percent: f64,
    partitions: u64,
}

impl Cluster {
    fn of(broker_type: &str, brokers: u32, load: Vec<(f64, f64, f64)>) -> Cluster {
        let broker_type: BrokerType = broker_type.parse().unwrap();
        let current = Current {
            broker_type,
            brokers,
            zones: 3,
            zones_assumed: false,
            uses_iam: false,
            volume_gib: Some(1000),
            volume_mib_per_s: None,
            vcpus: f64::from(broker_type.vcpus),
            since_ms: None,
        };
        Cluster { current, load, disk_percent: 20.0, partitions: 90 }
    }

    fn samples(&self) -> Vec<Sample> {
        self.load.iter().enumerate().map(|(n, load)| self.sample(n, *load)).collect()
    }

    fn sample(&self, n: usize, (bytes_in, bytes_out, messages): (f64, f64, f64)) -> Sample {
        let brokers = f64::from(self.current.brokers);
        let terms = [1.0, bytes_in / brokers, bytes_out / brokers, bytes_in * 2.0 / brokers, messages / brokers];
        let vcpus: f64 = terms.iter().zip(TRUTH).map(|(term, weight)| term * weight).sum();
        // A wave of ±3 %, so that there are residuals.
        let cpu = vcpus / self.current.vcpus * 100.0 * (1.0 + 0.03 * (n as f64 * 1.7).sin());
        let broker = BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(cpu),
            cpu_system_percent: Some(0.0),
            bytes_in_per_s: Some(bytes_in / brokers),
            bytes_out_per_s: Some(bytes_out / brokers),
            messages_in_per_s: Some(messages / brokers),
            partition_count: Some(self.partitions / u64::from(self.current.brokers)),
            disk_used_percent: Some(self.disk_percent),
            ..BrokerSample::default()
        };
        let replicas = PartitionSample { replicas: vec![1, 2, 3], ..PartitionSample::default() };
        let topic = TopicSample { partitions: vec![replicas], ..TopicSample::default() };
        Sample {
            at_ms: n as i64 * MINUTE_MS,
            source: Source::CloudWatch,
            brokers: (1..=self.current.brokers as i32).map(|id| (id, broker.clone())).collect(),
            topics: BTreeMap::from([("orders".to_owned(), topic)]),
            ..Sample::default()
        }
    }
}

/// A day: low at night, `peak` bytes/s in the middle.
fn day(peak: f64) -> Vec<(f64, f64, f64)> {
    let load = |n: usize| {
        let share = 0.2 + 0.8 * (n as f64 / 1440.0 * std::f64::consts::PI).sin();
        // Consumers read now once, now twice; records are of changing size.
        let fan_out = if n % 60 < 30 { 1.0 } else { 2.0 };
        let record = if n % 240 < 120 { 500.0 } else { 2000.0 };
        (peak * share, peak * share * fan_out, peak * share / record)
    };
    (0..1440).map(load).collect()
}

fn question() -> Question {
    Question { growth: Growth::Percent(0.0), survive: Survive::Broker, target_cpu: 60.0, exclude: Vec::new() }
}

fn judged<'a>(sizing: &'a Sizing, broker_type: &str) -> &'a Judged {
    sizing.shapes.iter().find(|judged| judged.shape.broker_type.as_str() == broker_type).unwrap()
}

#[test]
fn cpu_of_another_shape_follows_from_the_clusters_own_minutes() {
    let cluster = Cluster::of("kafka.m5.large", 3, day(12.0 * MB));
    let sizing = size(&cluster.current, &cluster.samples(), &question()).unwrap();
    assert_eq!(sizing.certainty.basis, Basis::Measured);
    // By the truth: the worst minute on six brokers of m5.xlarge.
    let worst = cluster.load.iter().map(|(bytes_in, bytes_out, messages)| {
        let terms = [1.0, bytes_in / 6.0, bytes_out / 6.0, bytes_in * 2.0 / 6.0, messages / 6.0];
        terms.iter().zip(TRUTH).map(|(term, weight)| term * weight).sum::<f64>() / 4.0 * 100.0
    });
    let truth = worst.fold(0.0, f64::max);
    let question = question();
    let history = History::new(&cluster.current, &cluster.samples(), &[]).unwrap();
    let model = Model::fit(&cluster.current, &history);
    let judge = shape::Judge::new(&cluster.current, &history, &model, &question, 0.0);
    let predicted = judge.judge(Shape { broker_type: "kafka.m5.xlarge".parse().unwrap(), brokers: 6 }).cpu_percent;
    assert!((predicted / truth - 1.0).abs() < 0.05, "{predicted} for {truth}");
}

/// A day, with CPU that grows with a power of the load.
fn bent(elasticity: f64, apart_ms: i64) -> (Cluster, Vec<Sample>) {
    let cluster = Cluster::of("kafka.m5.large", 3, day(12.0 * MB));
    let mut samples = cluster.samples();
    for sample in &mut samples {
        sample.at_ms = sample.at_ms / MINUTE_MS * apart_ms;
        for broker in sample.brokers.values_mut() {
            broker.cpu_user_percent = broker.cpu_user_percent.map(|cpu| 30.0 * (cpu / 30.0).powf(elasticity));
        }
    }
    (cluster, samples)
}

/// CPU with twice as many brokers, over what it is now.
fn with_twice_the_brokers((cluster, samples): (Cluster, Vec<Sample>)) -> f64 {
    let question = question();
    let history = History::new(&cluster.current, &samples, &[]).unwrap();
    let model = Model::fit(&cluster.current, &history);
    let judge = shape::Judge::new(&cluster.current, &history, &model, &question, 0.0);
    let of = |brokers| judge.judge(Shape { broker_type: cluster.current.broker_type, brokers }).cpu_percent;
    of(6) / of(3)
}

#[test]
fn a_long_history_tells_how_cpu_grows_with_load_and_a_short_one_does_not() {
    let linear = with_twice_the_brokers(bent(1.0, MINUTE_MS));
    let expected = linear.powf(0.7);
    let found = with_twice_the_brokers(bent(0.7, MINUTE_MS));
    assert!((found / expected - 1.0).abs() < 0.05, "{found} for {expected}");
    // The same within two seconds: what is known of other brokers counts for more than 1440 readings that are one.
    let short = with_twice_the_brokers(bent(1.0, 1));
    assert!((short / 0.5_f64.powf(0.74) - 1.0).abs() < 0.1, "{short}, and {linear} of a day");
}

#[test]
fn an_idle_cluster_of_large_brokers_is_told_what_it_saves() {
    let cluster = Cluster::of("kafka.m5.4xlarge", 6, day(2.0 * MB));
    let sizing = size(&cluster.current, &cluster.samples(), &question()).unwrap();
    let Advice::Change { shape, saving_usd_per_month } = &sizing.advice else { panic!("{:?}", sizing.advice) };
    assert_eq!(shape.brokers, 3, "three zones bind the count");
    assert!(["kafka.m5.large", "kafka.m7g.large"].contains(&shape.broker_type.as_str()), "{shape}");
    assert!(*saving_usd_per_month > 5000.0, "{saving_usd_per_month}");
    // MSK has no way back to T3.
    assert!(judged(&sizing, "kafka.t3.small").reason.as_deref().is_some_and(|reason| reason.contains("T3")));
    assert!(judged(&sizing, "express.m7g.large").reason.as_deref().is_some_and(|reason| reason.contains("Express")));
}

#[test]
fn a_cluster_that_is_too_small_gets_the_cheapest_shape_that_carries_its_peak() {
    let cluster = Cluster::of("kafka.m5.large", 3, day(30.0 * MB));
    let sizing = size(&cluster.current, &cluster.samples(), &question()).unwrap();
    assert!(!sizing.current.fits);
    assert!(sizing.current.reason.as_deref().is_some_and(|reason| reason.contains("CPU")), "{:?}", sizing.current);
    let Advice::Change { shape, .. } = sizing.advice else { panic!("{:?}", sizing.advice) };
    let chosen = sizing.shapes.iter().find(|judged| judged.shape == shape).unwrap();
    // None is cheaper by what makes a change worth its while.
    let least = chosen.usd_per_month / (1.0 + LEAST_SAVING);
    assert!(chosen.fits && sizing.shapes.iter().filter(|other| other.fits).all(|other| other.usd_per_month >= least));
    for rejected in sizing.shapes.iter().filter(|judged| !judged.fits) {
        assert!(rejected.reason.is_some(), "{}", rejected.shape);
    }
}

#[test]
fn a_shape_that_fits_and_saves_little_is_kept() {
    // m7g.large costs 3 % less than m5.large.
    let cluster = Cluster::of("kafka.m5.large", 3, day(3.0 * MB));
    let sizing = size(&cluster.current, &cluster.samples(), &question()).unwrap();
    assert_eq!(sizing.advice, Advice::Keep, "{:?}", sizing.shapes);
}

#[test]
fn growth_survival_and_target_ask_for_more() {
    let cluster = Cluster::of("kafka.m5.large", 3, day(8.0 * MB));
    let price = |question: &Question| match size(&cluster.current, &cluster.samples(), question).unwrap() {
        Sizing { advice: Advice::Change { shape, .. }, shapes, .. } => {
            shapes.iter().find(|judged| judged.shape == shape).unwrap().usd_per_month
        }
        sizing => sizing.current.usd_per_month,
    };
    let usual = price(&question());
    assert!(price(&Question { growth: Growth::Percent(400.0), ..question() }) > usual);
    assert!(price(&Question { survive: Survive::Zone, target_cpu: 15.0, ..question() }) > usual);
    assert!(price(&Question { survive: Survive::None, ..question() }) <= usual);
}

#[test]
fn gaps_do_not_count_and_a_load_test_can_be_left_out() {
    let mut cluster = Cluster::of("kafka.m5.large", 3, day(4.0 * MB));
    cluster.load[700] = (200.0 * MB, 200.0 * MB, 1e5);
    let mut samples = cluster.samples();
    // A minute that one broker did not publish.
    samples[10].brokers.get_mut(&2).unwrap().bytes_in_per_s = None;
    let with = size(&cluster.current, &samples, &question()).unwrap();
    let exclude = vec![Exclude { from_ms: 700 * MINUTE_MS, until_ms: 701 * MINUTE_MS }];
    let without = size(&cluster.current, &samples, &Question { exclude, ..question() }).unwrap();
    assert!(with.peak.bytes_in_per_s > 199.0 * MB && without.peak.bytes_in_per_s < 5.0 * MB);
    assert_eq!((with.certainty.minutes, without.certainty.minutes), (1439, 1438));
    let all = vec![Exclude { from_ms: 0, until_ms: i64::MAX }];
    let none = size(&cluster.current, &samples, &Question { exclude: all, ..question() });
    assert_eq!(none, Err(SizingError::AllExcluded));
    assert_eq!(size(&cluster.current, &[], &question()), Err(SizingError::NoHistory));
}

#[test]
fn a_broker_that_was_added_in_the_middle_counts_from_then_on() {
    let (before, after) =
        (Cluster::of("kafka.m5.large", 3, day(9.0 * MB)), Cluster::of("kafka.m5.large", 6, day(9.0 * MB)));
    // ListNodes has all six, so the first day has three that publish nothing.
    let mut samples = before.samples();
    for sample in &mut samples {
        (4..=6).for_each(|id| _ = sample.brokers.insert(id, BrokerSample::default()));
    }
    let later = after.samples().into_iter().map(|sample| Sample { at_ms: sample.at_ms + 1440 * MINUTE_MS, ..sample });
    samples.extend(later);
    let sizing = size(&after.current, &samples, &question()).unwrap();
    assert_eq!(sizing.certainty.minutes, 2880, "{:?}", sizing.certainty);
    assert!(sizing.certainty.notes.iter().any(|note| note.ends_with("4, 5, 6")), "{:?}", sizing.certainty.notes);
    // The same load on twice the brokers: a broker's CPU is measured at both.
    assert_eq!(sizing.certainty.basis, Basis::Measured);
    let alone = size(&after.current, &samples[1440..], &question()).unwrap();
    assert!((sizing.current.cpu_percent / alone.current.cpu_percent - 1.0).abs() < 0.05);
    // One that is silent later on was there: its minutes do not count.
    samples[2000].brokers.insert(5, BrokerSample::default());
    assert_eq!(size(&after.current, &samples, &question()).unwrap().certainty.minutes, 2879);
}

#[test]
fn a_week_without_data_is_said_and_makes_no_trend() {
    let cluster = Cluster::of("kafka.m5.large", 3, day(4.0 * MB));
    let of_day =
        |n: i64| cluster.samples().into_iter().map(move |sample| Sample { at_ms: sample.at_ms + n * DAY_MS, ..sample });
    let samples: Vec<Sample> = of_day(0).chain(of_day(8)).collect();
    let sizing = size(&cluster.current, &samples, &question()).unwrap();
    assert_eq!((sizing.certainty.days.ceil(), sizing.certainty.days_with_data), (9.0, 2));
    assert!(
        sizing.certainty.notes.iter().any(|note| note == "days without data: 7 of 9"),
        "{:?}",
        sizing.certainty.notes
    );
    assert_eq!(sizing.forecast, []);
    assert!(sizing.history.len() <= CHART_POINTS + 1 && sizing.history.is_sorted_by_key(|seen| seen.at_ms));
}

#[test]
fn credits_do_not_hide_that_a_t3_broker_is_too_small() {
    // 0.8 of 2 vCPUs at the peak: a third on credits, twice what the baseline of 0.4 gives.
    let cluster = Cluster::of("kafka.t3.small", 3, day(6.0 * MB));
    let sizing = size(&cluster.current, &cluster.samples(), &question()).unwrap();
    let of = |resource| sizing.current.uses.iter().find(|used| used.resource == resource).unwrap().percent;
    assert!(sizing.peak.cpu_percent.is_some_and(|cpu| cpu < 60.0), "{:?}", sizing.peak);
    assert!(of(Resource::Credits) > 100.0 && of(Resource::Cpu) > 100.0, "{:?}", sizing.current);
    let Advice::Change { shape, .. } = sizing.advice else { panic!("{:?}", sizing.advice) };
    assert_eq!((shape.broker_type.as_str(), shape.brokers), ("kafka.m5.large", 3));
    assert!(sizing.certainty.notes.iter().any(|note| note.contains("credits")));
    // None but T3 has credits.
    assert!(
        sizing.shapes.iter().filter(|judged| judged.uses.iter().any(|u| u.resource == Resource::Credits)).count() <= 1
    );
}

#[test]
fn a_cluster_is_oversized_only_after_a_week_and_for_a_tenth_of_its_price() {
    let days = |cluster: &Cluster, days: i64| -> Vec<Sample> {
        let hours = |sample: &Sample| sample.at_ms % (60 * MINUTE_MS) == 0;
        let day: Vec<Sample> = cluster.samples().into_iter().filter(hours).collect();
        let of = |n: i64| day.iter().map(move |sample| Sample { at_ms: sample.at_ms + n * DAY_MS, ..sample.clone() });
        (0..days).flat_map(of).collect()
    };
    let idle = Cluster::of("kafka.m5.4xlarge", 6, day(2.0 * MB));
    let saving = |cluster: &Cluster, n| size(&cluster.current, &days(cluster, n), &question()).unwrap().saving();
    assert_eq!(saving(&idle, 6), None);
    let found = saving(&idle, 8).unwrap();
    assert!(found.percent > 90.0 && found.shape.brokers == 3, "{found:?}");
    // m7g.large would save 3 %.
    assert_eq!(saving(&Cluster::of("kafka.m5.large", 3, day(3.0 * MB)), 8), None);
    // What is too small saves nothing, whatever it becomes.
    assert_eq!(saving(&Cluster::of("kafka.m5.large", 3, day(30.0 * MB)), 8), None);
}

#[test]
fn the_answer_says_what_binds_the_count() {
    let idle = Cluster::of("kafka.m5.4xlarge", 6, day(2.0 * MB));
    let bound = |cluster: &Cluster| size(&cluster.current, &cluster.samples(), &question()).unwrap().count_bound;
    assert_eq!(bound(&idle), "3 zones need a broker each");
    let mut many = Cluster::of("kafka.m5.large", 6, day(MB));
    many.partitions = 6 * 900;
    assert!(bound(&many).starts_with("with 3 brokers, partitions: 180 %"), "{}", bound(&many));
    let mut two = Cluster::of("kafka.m5.4xlarge", 4, day(2.0 * MB));
    (two.current.zones, two.current.zones_assumed) = (2, true);
    assert_eq!(bound(&two), "replication factor 3");
}

#[test]
fn a_zone_that_is_away_takes_its_brokers_with_it() {
    let cluster = Cluster::of("kafka.m5.large", 6, day(12.0 * MB));
    let cpu = |survive| {
        let sizing = size(&cluster.current, &cluster.samples(), &Question { survive, ..question() }).unwrap();
        sizing.current.uses.iter().find(|used| used.resource == Resource::Cpu).copied().unwrap()
    };
    let (broker, zone) = (cpu(Survive::Broker), cpu(Survive::Zone));
    assert_eq!(broker.percent, zone.percent);
    // Five and four of six are left; what a broker uses when idle does not move.
    let of = |used: shape::Use| used.percent_after_loss / used.percent;
    assert!(of(broker) > 1.1 && of(broker) < 1.2 + 1e-9, "{broker:?}");
    assert!(of(zone) > 1.3 && of(zone) < 1.5 + 1e-9, "{zone:?}");
}

#[test]
fn connections_bind_only_where_clients_use_iam_and_heap_only_where_memory_does_not_shrink() {
    let mut cluster = Cluster::of("kafka.m5.xlarge", 3, day(3.0 * MB));
    let mut samples = cluster.samples();
    for sample in &mut samples {
        for broker in sample.brokers.values_mut() {
            (broker.connection_count, broker.heap_after_gc_percent) = (Some(2500), Some(30.0));
        }
    }
    let use_of = |cluster: &Cluster, resource| {
        let sizing = size(&cluster.current, &samples, &question()).unwrap();
        sizing.current.uses.iter().find(|used| used.resource == resource).copied()
    };
    assert_eq!(use_of(&cluster, Resource::Connections), None);
    cluster.current.uses_iam = true;
    // 7500 to two brokers.
    assert!((use_of(&cluster, Resource::Connections).unwrap().percent_after_loss - 125.0).abs() < 0.1);
    assert!((use_of(&cluster, Resource::Heap).unwrap().percent - 50.0).abs() < 0.1);
    let sizing = size(&cluster.current, &samples, &question()).unwrap();
    assert!(judged(&sizing, "kafka.m5.large").uses.iter().all(|used| used.resource != Resource::Heap));
}

#[test]
fn minutes_of_another_shape_count_for_the_load_and_not_for_the_model() {
    let before = Cluster::of("kafka.m5.2xlarge", 3, day(20.0 * MB));
    let mut after = Cluster::of("kafka.m5.4xlarge", 6, day(10.0 * MB));
    let mut samples = before.samples();
    let start = samples.len() as i64 * MINUTE_MS;
    samples.extend(after.samples().into_iter().map(|sample| Sample { at_ms: sample.at_ms + start, ..sample }));
    after.current.since_ms = Some(start);
    let sizing = size(&after.current, &samples, &question()).unwrap();
    assert!(sizing.peak.bytes_in_per_s > 19.0 * MB, "the load of yesterday is a load");
    let alone = size(&after.current, &samples[1440..], &question()).unwrap();
    let cpu = |sizing: &Sizing| sizing.current.cpu_percent;
    assert!((cpu(&sizing) / cpu(&alone) - 2.0).abs() < 0.3, "{} and {}", cpu(&sizing), cpu(&alone));
}

#[test]
fn a_steady_load_is_no_measurement_of_what_load_costs() {
    let cluster = Cluster::of("kafka.m5.large", 3, vec![(5.0 * MB, 5.0 * MB, 5000.0); 60]);
    let sizing = size(&cluster.current, &cluster.samples(), &question()).unwrap();
    assert_eq!(sizing.certainty.basis, Basis::Scaled);
    assert!(sizing.certainty.interval_percent >= 25.0);
    assert!(
        sizing.certainty.notes.iter().any(|note| note.contains("published figures")),
        "{:?}",
        sizing.certainty.notes
    );
}

#[test]
fn a_disk_that_grows_has_a_date_and_one_that_does_not_has_none() {
    let mut samples = Vec::new();
    let mut cluster = Cluster::of("kafka.m5.large", 3, vec![(MB, MB, 1000.0); 1]);
    for day in 0..14_i64 {
        // A wave, so that the slopes differ.
        cluster.disk_percent = 30.0 + day as f64 + (day as f64 * 2.0).sin() * 0.2;
        samples.extend(cluster.samples().into_iter().map(|sample| Sample { at_ms: day * 86_400_000, ..sample }));
    }
    let sizing = size(&cluster.current, &samples, &question()).unwrap();
    let disk: Vec<&Forecast> = sizing.forecast.iter().filter(|forecast| forecast.what == Reaches::DiskFull).collect();
    assert_eq!(disk.len(), 1);
    assert!((disk[0].days - 57.0).abs() < 2.0, "{disk:?}");
    let latest = disk[0].latest_at_ms.unwrap();
    assert!(disk[0].earliest_at_ms < disk[0].at_ms && disk[0].at_ms < latest, "{disk:?}");
    assert_eq!((disk[0].at_ms - 13 * DAY_MS) / DAY_MS, disk[0].days as i64, "counted from the last minute");
    for sample in &mut samples {
        sample.brokers.values_mut().for_each(|broker| broker.disk_used_percent = Some(88.0));
    }
    let flat = size(&cluster.current, &samples, &question()).unwrap();
    assert!(flat.forecast.iter().all(|forecast| forecast.what != Reaches::DiskFull), "{:?}", flat.forecast);
}

#[test]
fn partitions_bind_where_they_are_many() {
    let mut cluster = Cluster::of("kafka.m5.4xlarge", 6, day(MB));
    cluster.partitions = 6 * 3500;
    let sizing = size(&cluster.current, &cluster.samples(), &question()).unwrap();
    let small = judged(&sizing, "kafka.m5.large");
    assert!(!small.fits && small.reason.as_deref().is_some_and(|reason| reason.contains("partitions")), "{small:?}");
}

#[test]
fn growth_follows_the_trend_of_the_daily_peaks() {
    let mut samples = Vec::new();
    for day in 0..10_i64 {
        let cluster = Cluster::of("kafka.m5.large", 3, vec![((2.0 + day as f64 * 0.1) * MB, MB, 1000.0); 1]);
        samples.extend(cluster.samples().into_iter().map(|sample| Sample { at_ms: day * 86_400_000, ..sample }));
    }
    let cluster = Cluster::of("kafka.m5.large", 3, Vec::new());
    let auto = Question { growth: Growth::Auto, ..question() };
    let sizing = size(&cluster.current, &samples, &auto).unwrap();
    // 0.1 MB/s a day from 2.9 MB/s: 9 MB/s more in 90 days.
    assert!((sizing.growth_percent - 310.0).abs() < 5.0, "{}", sizing.growth_percent);
    let few = size(&cluster.current, &samples[..3], &auto).unwrap();
    assert_eq!(few.growth_percent, 0.0, "three days are no trend");
}

#[test]
fn of_shapes_that_cost_the_same_the_one_with_as_many_brokers_is_recommended() {
    let of = |broker_type: &str, brokers, usd_per_month| Judged {
        shape: Shape { broker_type: broker_type.parse().unwrap(), brokers },
        fits: true,
        reason: None,
        over: None,
        uses: Vec::new(),
        binding: None,
        cpu_percent: 40.0,
        usd_per_month,
    };
    let now = Judged { fits: false, reason: Some("CPU".to_owned()), ..of("kafka.m5.large", 6, 920.0) };
    let shapes =
        [of("kafka.m7g.large", 12, 1787.0), of("kafka.m7g.xlarge", 6, 1787.1), of("kafka.m5.2xlarge", 3, 1840.0)];
    let named = |shapes: &[Judged]| match advice(&now, shapes) {
        Advice::Change { shape, .. } => (shape.broker_type.as_str(), shape.brokers),
        other => panic!("{other:?}"),
    };
    assert_eq!(named(&shapes), ("kafka.m7g.xlarge", 6));
    // Within a tenth of the price, the family stays.
    assert_eq!(named(&[of("kafka.m7g.xlarge", 6, 1787.1), of("kafka.m5.xlarge", 6, 1840.0)]), ("kafka.m5.xlarge", 6));
}

#[test]
fn a_burst_of_seconds_is_judged_by_the_mean_of_its_minute() {
    let steady = (6.0 * MB, 6.0 * MB, 6000.0);
    let burst = (24.0 * MB, 24.0 * MB, 24000.0);
    let load = (0..30).map(|n| if n == 17 { burst } else { steady }).collect();
    let cluster = Cluster::of("kafka.m5.large", 3, load);
    let of = |apart_ms: i64| {
        let samples = cluster.samples().into_iter();
        let samples: Vec<Sample> =
            samples.map(|sample| Sample { at_ms: sample.at_ms / MINUTE_MS * apart_ms, ..sample }).collect();
        size(&cluster.current, &samples, &question()).unwrap()
    };
    // A minute each: the burst lasted one. Two seconds each: they are one minute together.
    let (minutes, seconds) = (of(MINUTE_MS), of(2_000));
    assert_eq!((minutes.certainty.minutes, seconds.certainty.minutes), (30, 1));
    assert!((minutes.peak.messages_per_s / 24000.0 - 1.0).abs() < 1e-9, "{:?}", minutes.peak);
    assert!((seconds.peak.messages_per_s / 6600.0 - 1.0).abs() < 1e-9, "{:?}", seconds.peak);
    assert!(seconds.current.cpu_percent < minutes.current.cpu_percent / 1.5);
    // 70 seconds: the ten that are left over are no minute.
    let longer = of(70_000 / 29);
    assert_eq!(longer.certainty.minutes, 1);
}

#[test]
fn a_broker_whose_traffic_is_seen_seconds_later_was_not_added() {
    let cluster = Cluster::of("kafka.m5.large", 3, vec![(6.0 * MB, 6.0 * MB, 6000.0); 10]);
    let mut samples: Vec<Sample> =
        cluster.samples().into_iter().map(|sample| Sample { at_ms: sample.at_ms / 30, ..sample }).collect();
    for sample in &mut samples[..4] {
        for broker in sample.brokers.values_mut().skip(1) {
            (broker.bytes_in_per_s, broker.bytes_out_per_s) = (None, None);
        }
    }
    let sizing = size(&cluster.current, &samples, &question()).unwrap();
    let notes = &sizing.certainty.notes;
    assert!(!notes.iter().any(|note| note.contains("added") || note.contains("times the mean")), "{notes:?}");
    assert!(notes.iter().any(|note| note.ends_with("which do not count: 4")), "{notes:?}");
    assert_eq!(sizing.certainty.minutes, 1);
}
