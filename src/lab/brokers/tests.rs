//! The fleet on real Kafka.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};

use super::*;
use crate::{
    kafka::{ConnectError, Connection},
    lab::hardware::T3Mode,
};

#[derive(Default, Clone)]
struct Deliveries {
    acknowledged: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = if result.is_ok() { &self.acknowledged } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn config(dir: PathBuf, scale: Option<f64>) -> FleetConfig {
    let hardware = scale.map(|scale| Hardware { scale, t3: T3Mode::Sustained });
    let say = |line: &str| eprintln!("{line}");
    let mut machine = Machine::prepare(hardware, &say).unwrap();
    machine.speed_up(&say);
    FleetConfig {
        cluster_name: "test".to_owned(),
        dir,
        broker_type: BrokerType::T3_SMALL,
        zones: ["a", "b", "c"].map(|zone| format!("us-west-2{zone}")).to_vec(),
        broker_count: 3,
        volume_gib: 100,
        server_properties: "log.retention.hours=1\n".to_owned(),
        certificates: None,
        machine: Arc::new(machine),
    }
}

fn bootstrap(fleet: &Fleet) -> String {
    fleet.endpoints().iter().map(|broker| broker.plaintext.to_string()).collect::<Vec<_>>().join(",")
}

fn create_topic(bootstrap: &str) {
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let topic = NewTopic::new("stress-demo", 6, TopicReplication::Fixed(2));
    let created = futures::executor::block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    created[0].as_ref().unwrap();
}

/// Sends 500 records/s of 250 bytes until `end`.
fn produce(bootstrap: String, end: Arc<AtomicBool>, deliveries: Deliveries) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let producer: BaseProducer<Deliveries> = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .create_with_context(deliveries)
            .unwrap();
        let (started, payload, mut sent) = (Instant::now(), [b'x'; 250], 0_u64);
        while !end.load(Ordering::Relaxed) {
            while sent < (started.elapsed().as_secs_f64() * 500.0) as u64 {
                let key = sent.to_be_bytes();
                let record = BaseRecord::to("stress-demo").key(&key).payload(&payload);
                if producer.send(record).is_err() {
                    break;
                }
                sent += 1;
            }
            producer.poll(Duration::from_millis(2));
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    })
}

fn records_there(bootstrap: &str) -> u64 {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let range = |partition| consumer.fetch_watermarks("stress-demo", partition, Duration::from_secs(10)).unwrap();
    (0..6).map(range).map(|(low, high)| (high - low) as u64).sum()
}

/// Prints the mean of what was read of each broker for `time`.
fn report(fleet: &Fleet, what: &str, time: Duration) {
    let mut readings = fleet.readings();
    let (started, mut seen) = (Instant::now(), Vec::new());
    while started.elapsed() < time {
        std::thread::sleep(Duration::from_millis(200));
        if readings.has_changed().unwrap() {
            seen.push(readings.borrow_and_update().clone());
        }
    }
    for id in [1, 2, 3] {
        let samples: Vec<_> = seen.iter().filter_map(|reading| reading.brokers.get(&id)).map(|r| &r.sample).collect();
        let mean = |of: &dyn Fn(&crate::sample::BrokerSample) -> Option<f64>| {
            let values: Vec<f64> = samples.iter().filter_map(|sample| of(sample)).collect();
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        eprintln!(
            "{what}: broker {id}: cpu {:.1} % throttled {:.0} % memory {:.1} % heap after gc {:.0} % produce {:.1}/s total {:.1} ms local {:.1} remote {:.1}, in {:.0} B/s, {} readings, {:?}",
            mean(&|s| s.cpu_percent()),
            mean(&|s| s.cpu_throttled_percent),
            mean(&|s| s.memory_percent()),
            mean(&|s| s.heap_after_gc_percent),
            mean(&|s| s.produce.and_then(|p| p.per_s)),
            mean(&|s| s.produce.map(|p| p.total_ms)),
            mean(&|s| s.produce?.local_ms),
            mean(&|s| s.produce?.remote_ms),
            mean(&|s| s.bytes_in_per_s),
            samples.len(),
            samples.last().map(|s| s.state),
        );
    }
    eprintln!("   host pressure {:?}", exporter::host_cpu_pressure_percent());
}

#[test]
#[ignore = "starts three Kafka brokers"]
fn a_change_of_type_under_load_loses_nothing() {
    let scale = std::env::var("KGEN_TEST_SCALE").ok().and_then(|scale| scale.parse().ok());
    let watch = Duration::from_secs(std::env::var("KGEN_TEST_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(6));
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path().join("fleet"), scale);
    let began = Instant::now();
    let mut fleet = Fleet::start(config.clone()).unwrap();
    eprintln!("started in {:.1} s by {}, {:?}", began.elapsed().as_secs_f64(), config.machine.means, fleet.status()[0]);
    let bootstrap = bootstrap(&fleet);
    create_topic(&bootstrap);
    report(&fleet, "t3.small idle", watch);
    let (end, deliveries) = (Arc::new(AtomicBool::new(false)), Deliveries::default());
    let producer = produce(bootstrap.clone(), end.clone(), deliveries.clone());
    std::thread::sleep(watch);
    report(&fleet, "t3.small at 500/s", watch);

    let (began, mut steps) = (Instant::now(), Vec::new());
    fleet.change_type(BrokerType::M5_LARGE, &mut |id, done| steps.push((id, done))).unwrap();
    eprintln!("changed the type in {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(steps, [(1, false), (1, true), (2, false), (2, true), (3, false), (3, true)]);
    assert!(fleet.metadata().unwrap().unsettled.is_empty());
    std::thread::sleep(watch);
    report(&fleet, "m5.large at 500/s", watch);
    end.store(true, Ordering::Relaxed);
    producer.join().unwrap();
    let (acknowledged, failed) =
        (deliveries.acknowledged.load(Ordering::Relaxed), deliveries.failed.load(Ordering::Relaxed));
    let there = records_there(&bootstrap);
    eprintln!("acknowledged {acknowledged}, failed {failed}, there {there}");
    assert!(acknowledged > 1000 && failed == 0);
    assert_eq!(there, acknowledged);
    // Twelve replicas on three brokers; more on one where another was fenced for a moment as they were placed.
    assert!((4..=6).contains(&fleet.max_partitions_per_broker().unwrap()));

    let endpoint = &fleet.endpoints()[0];
    let get = |address: SocketAddr| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            client.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap()
        })
    };
    assert!(get(endpoint.jmx).contains("kafka_network_RequestMetrics_Mean{name=\"LocalTimeMs\",request=\"Produce\""));
    assert!(get(endpoint.node).contains("node_cpu_seconds_total{cpu=\"1\",mode=\"user\"}"));

    let pids: Vec<u32> = fleet.status().iter().filter_map(|broker| broker.pid).collect();
    assert_eq!(pids.len(), 3);
    let began = Instant::now();
    fleet.stop();
    eprintln!("stopped in {:.1} s", began.elapsed().as_secs_f64());
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} still runs");
    }

    // The same folder again: the same ports, and every record is there.
    let mut fleet = Fleet::start(config).unwrap();
    assert_eq!(super::tests::bootstrap(&fleet), bootstrap);
    fleet.wait_until_settled("the fleet", &Properties::default()).unwrap();
    assert_eq!(records_there(&bootstrap), acknowledged);

    // Properties that Kafka refuses are refused in its words, and the broker is back.
    let error = fleet.configure("num.io.threads=-3", &mut |_, _| {}).unwrap_err();
    assert!(format!("{error:#}").contains("num.io.threads"), "{error:#}");
    fleet.wait_until_settled("the fleet", &Properties::default()).unwrap();
    fleet.configure("log.retention.hours=2", &mut |_, _| {}).unwrap();
}

#[test]
#[ignore = "starts a Kafka broker"]
fn tls_clients_check_who_they_talk_to() {
    let dir = tempfile::tempdir().unwrap();
    let today = jiff::Zoned::now().date();
    let ours = Certificates::open(&dir.path().join("tls"), today).unwrap();
    let others = Certificates::open(&dir.path().join("others"), today).unwrap();
    let config =
        FleetConfig { broker_count: 1, certificates: Some(ours.clone()), ..config(dir.path().join("fleet"), None) };
    let fleet = Fleet::start(config).unwrap();
    let tls = fleet.endpoints()[0].tls.unwrap();
    let connection = |bootstrap: String, ca: &Certificates| {
        let settings = [("security.protocol", "ssl".to_owned()), ("ssl.ca.location", ca.ca.display().to_string())];
        let settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
        Connection { bootstrap_servers: bootstrap, settings, iam_region: None }
    };
    let within = Duration::from_secs(20);
    // Both names of the certificate, a name that is not in it, and an authority that has not signed it.
    for (bootstrap, ca, trusted) in [
        (tls.to_string(), &ours, true),
        (format!("localhost:{}", tls.port()), &ours, true),
        (format!("127.1:{}", tls.port()), &ours, false),
        (tls.to_string(), &others, false),
    ] {
        match connection(bootstrap.clone(), ca).ensure_reachable(within) {
            Ok(_) => assert!(trusted, "{bootstrap} was trusted"),
            Err(error @ ConnectError::Untrusted { .. }) => assert!(!trusted, "{error}"),
            Err(error) => panic!("{bootstrap}: {error}"),
        }
    }

    let client = connection(tls.to_string(), &ours).config(&[("acks", "all")]);
    let admin: AdminClient<_> = client.create().unwrap();
    let topic = NewTopic::new("stress-demo", 6, TopicReplication::Fixed(1));
    let created = futures::executor::block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    created[0].as_ref().unwrap();
    let deliveries = Deliveries::default();
    let producer: BaseProducer<Deliveries> = client.create_with_context(deliveries.clone()).unwrap();
    for record in 0..100_u32 {
        let key = record.to_be_bytes();
        producer.send(BaseRecord::to("stress-demo").key(&key).payload("x")).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(deliveries.acknowledged.load(Ordering::Relaxed), 100);
    // Counted on the other listener.
    assert_eq!(records_there(&bootstrap(&fleet)), 100);
    fleet.stop();
}
