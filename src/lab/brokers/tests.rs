//! The fleet on real Kafka.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::*;
use crate::kafka::{ConnectError, Connection};

/// Of one broker.
fn config(dir: PathBuf) -> FleetConfig {
    let say = |line: &str| eprintln!("{line}");
    let mut machine = Machine::prepare(None, &say).unwrap();
    machine.speed_up(&say);
    FleetConfig {
        cluster_name: "test".to_owned(),
        dir,
        broker_type: BrokerType::T3_SMALL,
        zones: ["a", "b", "c"].map(|zone| format!("us-west-2{zone}")).to_vec(),
        broker_count: 1,
        ids: Vec::new(),
        volume_gib: 100,
        server_properties: "log.retention.hours=1\n".to_owned(),
        certificates: None,
        machine: Arc::new(machine),
    }
}

fn bootstrap(fleet: &Fleet) -> String {
    fleet.endpoints().iter().map(|broker| broker.plaintext.to_string()).collect::<Vec<_>>().join(",")
}

/// Makes a topic with so many records in it.
fn fill_topic(client: &ClientConfig, records: u64) {
    let admin: AdminClient<_> = client.create().unwrap();
    let topic = NewTopic::new("stress-demo", 6, TopicReplication::Fixed(1));
    let created = futures::executor::block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    created[0].as_ref().unwrap();
    let producer: BaseProducer = client.create().unwrap();
    for number in 0..records {
        producer.send(BaseRecord::to("stress-demo").key(&number.to_be_bytes()).payload(&[b'x'; 250])).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn records_there(bootstrap: &str) -> u64 {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let range = |partition| consumer.fetch_watermarks("stress-demo", partition, Duration::from_secs(10)).unwrap();
    (0..6).map(range).map(|(low, high)| (high - low) as u64).sum()
}

// What a change of type does under load is in tests/it.
#[test]
#[ignore = "starts a Kafka broker"]
fn the_same_folder_is_the_same_fleet_again_and_bad_properties_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path().join("fleet"));
    let fleet = Fleet::start(config.clone()).unwrap();
    let bootstrap = bootstrap(&fleet);
    fill_topic(ClientConfig::new().set("bootstrap.servers", &bootstrap), 1000);
    assert_eq!((fleet.max_partitions_per_broker().unwrap(), records_there(&bootstrap)), (6, 1000));

    let endpoint = &fleet.endpoints()[0];
    let get = |address: SocketAddr| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            client.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap()
        })
    };
    for (address, part) in [
        (endpoint.jmx, "kafka_network_RequestMetrics_Mean{name=\"LocalTimeMs\",request=\"Produce\""),
        (endpoint.node, "node_cpu_seconds_total{cpu=\"1\",mode=\"user\"}"),
    ] {
        // It takes two readings.
        let began = Instant::now();
        while !get(address).contains(part) {
            assert!(began.elapsed() < Duration::from_secs(20), "no {part} in {}", get(address));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    let pid = fleet.status()[0].pid.unwrap();
    fleet.stop();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} still runs");

    // The same folder again: the same ports, and every record is there.
    let mut fleet = Fleet::start(config).unwrap();
    assert_eq!(super::tests::bootstrap(&fleet), bootstrap);
    fleet.wait_until_settled("the fleet", &Properties::default()).unwrap();
    assert_eq!(records_there(&bootstrap), 1000);

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
    let config = FleetConfig { certificates: Some(ours.clone()), ..config(dir.path().join("fleet")) };
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

    fill_topic(&connection(tls.to_string(), &ours).config(&[("acks", "all")]), 100);
    // Counted on the other listener.
    assert_eq!(records_there(&bootstrap(&fleet)), 100);
    fleet.stop();
}
