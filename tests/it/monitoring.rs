//! The guard among real Prometheus, Alertmanager and systemd, and as messages on an emulated SNS and EventBridge.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    awaited::await_some,
    guard::{Manner, Receiver, Running, calm, configure, fired, names, once},
    lab::Lab,
};

/// Figures of one broker while a case of the rules is played; rates are per second.
#[derive(Debug, Clone)]
struct Broker {
    cpu_percent: f64,
    io_wait_percent: f64,
    disk_percent: f64,
    /// Points an hour.
    disk_rises: f64,
    heap_percent: f64,
    bytes_in: f64,
    bytes_out: f64,
    records: f64,
    requests: f64,
    total_ms: f64,
    local_ms: f64,
    remote_ms: f64,
    throttle_ms: f64,
    connections: f64,
    created: f64,
    partitions: u32,
    leaders: u32,
    under_replicated: u32,
    under_min_isr: u32,
    /// Minute from which on it publishes nothing.
    gone_after: Option<usize>,
}

/// A case: what differs from three brokers without trouble, and the alerts that fire.
struct Case {
    name: &'static str,
    broker_type: &'static str,
    change: fn(&mut Cluster),
    alerts: &'static [&'static str],
}

struct Cluster {
    brokers: Vec<Broker>,
    /// Partitions that their first replica does not lead.
    not_preferred: u32,
    /// Growth of a group's lag, and its share of the topic that others do not account for.
    lag_per_s: f64,
}

const MINUTES: usize = 30;

/// A broker that has nothing to complain about, for any rule.
const WELL: Broker = Broker {
    cpu_percent: 35.0,
    io_wait_percent: 2.0,
    disk_percent: 40.0,
    disk_rises: 0.0,
    heap_percent: 45.0,
    bytes_in: 1_000_000.0,
    bytes_out: 2_000_000.0,
    records: 1000.0,
    requests: 100.0,
    total_ms: 4.0,
    local_ms: 1.0,
    remote_ms: 3.0,
    throttle_ms: 0.0,
    connections: 50.0,
    created: 0.5,
    partitions: 100,
    leaders: 33,
    under_replicated: 0,
    under_min_isr: 0,
    gone_after: None,
};

fn all(cluster: &mut Cluster, change: impl Fn(&mut Broker)) {
    cluster.brokers.iter_mut().for_each(change);
}

const LARGE: &str = "kafka.m5.large";

/// One case that fires and one that stays quiet for every rule; the quiet one is near its threshold.
const CASES: &[Case] = &[
    Case { name: "healthy", broker_type: LARGE, change: |_| {}, alerts: &[] },
    Case { name: "full", broker_type: LARGE, change: |c| c.brokers[0].disk_percent = 98.0, alerts: &["KgenDiskFull"] },
    Case {
        name: "nearly full and level",
        broker_type: LARGE,
        change: |c| c.brokers[0].disk_percent = 96.0,
        alerts: &[],
    },
    Case {
        name: "filling",
        broker_type: LARGE,
        change: |c| (c.brokers[0].disk_percent, c.brokers[0].disk_rises) = (70.0, 6.0),
        alerts: &["KgenDiskFilling"],
    },
    Case {
        name: "filling slowly",
        broker_type: LARGE,
        change: |c| (c.brokers[0].disk_percent, c.brokers[0].disk_rises) = (55.0, 1.5),
        alerts: &[],
    },
    Case {
        name: "down",
        broker_type: LARGE,
        change: |c| {
            c.brokers[0].gone_after = Some(15);
            c.brokers[1].under_replicated = 40;
        },
        alerts: &["KgenBrokerDown"],
    },
    Case { name: "removed", broker_type: LARGE, change: |c| c.brokers[0].gone_after = Some(15), alerts: &[] },
    Case {
        name: "below min.insync.replicas",
        broker_type: LARGE,
        change: |c| c.brokers[1].under_min_isr = 3,
        alerts: &["KgenReplicationMinIsrBlocked"],
    },
    Case {
        name: "under-replicated with a margin",
        broker_type: LARGE,
        change: |c| c.brokers[1].under_replicated = 3,
        alerts: &[],
    },
    Case {
        name: "slow disk",
        broker_type: LARGE,
        change: |c| (c.brokers[2].local_ms, c.brokers[2].total_ms) = (80.0, 85.0),
        alerts: &["KgenDiskSlow"],
    },
    Case { name: "equally slow disks", broker_type: LARGE, change: |c| all(c, |b| b.local_ms = 22.0), alerts: &[] },
    Case {
        name: "slow network",
        broker_type: LARGE,
        change: |c| all(c, |b| (b.remote_ms, b.total_ms) = (80.0, 85.0)),
        alerts: &["KgenNetworkConstrained"],
    },
    Case { name: "far zones", broker_type: LARGE, change: |c| all(c, |b| b.remote_ms = 50.0), alerts: &[] },
    Case {
        name: "leadership not returned",
        broker_type: LARGE,
        change: |c| {
            c.not_preferred = 33;
            c.brokers.iter_mut().zip([0, 50, 50]).for_each(|(broker, leaders)| broker.leaders = leaders);
        },
        alerts: &["KgenLeadersNotPreferred"],
    },
    Case { name: "a few leaders elsewhere", broker_type: LARGE, change: |c| c.not_preferred = 5, alerts: &[] },
    Case {
        name: "leaders on one broker",
        broker_type: LARGE,
        change: |c| {
            c.brokers.iter_mut().zip([80, 10, 10]).for_each(|(broker, leaders)| {
                broker.leaders = leaders;
                broker.bytes_in = f64::from(leaders) * 30_000.0;
            });
        },
        alerts: &["KgenLeadersPlacementSkew"],
    },
    Case {
        name: "leaders of idle topics on one broker",
        broker_type: LARGE,
        change: |c| c.brokers.iter_mut().zip([80, 10, 10]).for_each(|(broker, leaders)| broker.leaders = leaders),
        alerts: &[],
    },
    Case {
        name: "a weak broker",
        broker_type: LARGE,
        change: |c| c.brokers[1].cpu_percent = 85.0,
        alerts: &["KgenBrokerDegraded"],
    },
    Case {
        name: "a broker with more traffic",
        broker_type: LARGE,
        change: |c| (c.brokers[1].cpu_percent, c.brokers[1].bytes_in) = (85.0, 2_000_000.0),
        alerts: &[],
    },
    Case {
        name: "one record a request",
        broker_type: LARGE,
        change: |c| all(c, |b| (b.requests, b.cpu_percent) = (1000.0, 50.0)),
        alerts: &["KgenClientTinyBatches"],
    },
    Case {
        name: "two records a request",
        broker_type: LARGE,
        change: |c| all(c, |b| (b.requests, b.cpu_percent) = (500.0, 50.0)),
        alerts: &[],
    },
    Case {
        name: "connections opened",
        broker_type: LARGE,
        change: |c| c.brokers[0].created = 40.0,
        alerts: &["KgenClientConnectionStorm"],
    },
    Case { name: "some connections opened", broker_type: LARGE, change: |c| c.brokers[0].created = 8.0, alerts: &[] },
    Case {
        name: "many partitions",
        broker_type: LARGE,
        change: |c| all(c, |b| b.partitions = 1200),
        alerts: &["KgenClusterTooManyPartitions"],
    },
    Case {
        name: "as many as recommended",
        broker_type: LARGE,
        change: |c| all(c, |b| b.partitions = 1000),
        alerts: &[],
    },
    Case {
        name: "a full heap",
        broker_type: LARGE,
        change: |c| c.brokers[0].heap_percent = 90.0,
        alerts: &["KgenBrokerHeapPressure"],
    },
    Case { name: "a used heap", broker_type: LARGE, change: |c| c.brokers[0].heap_percent = 75.0, alerts: &[] },
    Case {
        name: "many readers",
        broker_type: LARGE,
        change: |c| all(c, |b| b.bytes_out = 4_000_000.0),
        alerts: &["KgenNetworkEgressFanout"],
    },
    Case {
        name: "many readers of little",
        broker_type: LARGE,
        change: |c| all(c, |b| (b.bytes_in, b.bytes_out) = (20_000.0, 90_000.0)),
        alerts: &[],
    },
    Case {
        name: "credits used up",
        broker_type: "kafka.t3.small",
        change: |c| all(c, |b| (b.cpu_percent, b.total_ms) = (20.0, 60.0)),
        alerts: &["KgenBrokerCpuCreditsExhausted"],
    },
    Case {
        name: "little to do",
        broker_type: "kafka.t3.small",
        change: |c| all(c, |b| b.cpu_percent = 20.0),
        alerts: &[],
    },
    Case {
        name: "too small",
        broker_type: LARGE,
        change: |c| all(c, |b| b.cpu_percent = 85.0),
        alerts: &["KgenBrokerUndersized"],
    },
    Case { name: "busy", broker_type: LARGE, change: |c| all(c, |b| b.cpu_percent = 58.0), alerts: &[] },
    Case {
        name: "a quota",
        broker_type: LARGE,
        change: |c| all(c, |b| (b.throttle_ms, b.total_ms) = (200.0, 204.0)),
        alerts: &["KgenClientQuotaThrottled"],
    },
    Case { name: "hardly a quota", broker_type: LARGE, change: |c| all(c, |b| b.throttle_ms = 3.0), alerts: &[] },
    // The other group keeps up; two readers' worth of bytes leave the brokers.
    Case {
        name: "a stalled group",
        broker_type: LARGE,
        change: |c| c.lag_per_s = 2950.0,
        alerts: &["KgenConsumerStalled"],
    },
    Case {
        name: "a group that has left",
        broker_type: LARGE,
        change: |c| {
            c.lag_per_s = 2950.0;
            all(c, |b| b.bytes_out = b.bytes_in);
        },
        alerts: &[],
    },
    Case { name: "a slow group", broker_type: LARGE, change: |c| c.lag_per_s = 900.0, alerts: &["KgenConsumerSlow"] },
    Case { name: "a group that keeps up", broker_type: LARGE, change: |c| c.lag_per_s = 90.0, alerts: &[] },
];

/// The input of a case for `promtool test rules`, a value every 30 s.
fn series(cluster: &Cluster) -> Vec<Value> {
    let mut all = Vec::new();
    let steps = MINUTES * 2;
    for (broker, number) in cluster.brokers.iter().zip(1..) {
        let until = broker.gone_after.map_or(steps, |minute| minute * 2);
        let mut give = |port: u16, name: &str, labels: &str, start: f64, step: f64| {
            let comma = if labels.is_empty() { "" } else { "," };
            let labels = format!("cluster=\"orders\",instance=\"b-{number}.orders:{port}\"{comma}{labels}");
            all.push(json!({ "series": format!("{name}{{{labels}}}"), "values": format!("{start}{step:+}x{until}") }));
        };
        let per_step = |per_s: f64| per_s * 30.0;
        let idle = 100.0 - broker.cpu_percent - broker.io_wait_percent;
        for (mode, percent) in [("user", broker.cpu_percent), ("iowait", broker.io_wait_percent), ("idle", idle)] {
            let labels = format!("cpu=\"0\",mode=\"{mode}\"");
            give(11002, "node_cpu_seconds_total", &labels, 0.0, per_step(percent / 100.0));
        }
        let volume = "device=\"/dev/nvme1n1\",fstype=\"ext4\",mountpoint=\"/kafka/datalogs\"";
        let left = (100.0 - broker.disk_percent) * 1e9;
        give(11002, "node_filesystem_size_bytes", volume, 1e11, 0.0);
        give(11002, "node_filesystem_avail_bytes", volume, left, -broker.disk_rises / 120.0 * 1e9);
        // A root file system that is full is none of Kafka's.
        give(11002, "node_filesystem_size_bytes", "mountpoint=\"/\"", 1e10, 0.0);
        give(11002, "node_filesystem_avail_bytes", "mountpoint=\"/\"", 1e7, 0.0);
        let pool = "type=\"MemoryPool\"";
        give(11001, "java_lang_G1_Old_Gen_CollectionUsage_used", pool, broker.heap_percent * 1e6, 0.0);
        give(11001, "java_lang_G1_Old_Gen_CollectionUsage_max", pool, 1e8, 0.0);
        for (name, rate) in [
            ("BytesInPerSec", broker.bytes_in),
            ("BytesOutPerSec", broker.bytes_out),
            ("MessagesInPerSec", broker.records),
        ] {
            give(11001, "kafka_server_BrokerTopicMetrics_Count", &format!("name=\"{name}\""), 0.0, per_step(rate));
        }
        let topic = "name=\"MessagesInPerSec\",topic=\"t\"";
        give(11001, "kafka_server_BrokerTopicMetrics_Count", topic, 0.0, per_step(broker.records));
        for (name, mean) in [
            ("TotalTimeMs", broker.total_ms),
            ("LocalTimeMs", broker.local_ms),
            ("RemoteTimeMs", broker.remote_ms),
            ("ThrottleTimeMs", broker.throttle_ms),
        ] {
            let labels = format!("name=\"{name}\",request=\"Produce\"");
            give(11001, "kafka_network_RequestMetrics_Count", &labels, 1e6, per_step(broker.requests));
            give(11001, "kafka_network_RequestMetrics_Mean", &labels, mean, 0.0);
        }
        let processor = "listener=\"CLIENT\",networkProcessor=\"1\"";
        give(11001, "kafka_server_socket_server_metrics_connection_count", processor, broker.connections, 0.0);
        give(11001, "kafka_server_socket_server_metrics_connection_creation_rate", processor, broker.created, 0.0);
        for (name, count) in [
            ("PartitionCount", broker.partitions),
            ("LeaderCount", broker.leaders),
            ("UnderReplicatedPartitions", broker.under_replicated),
            ("UnderMinIsrPartitionCount", broker.under_min_isr),
        ] {
            give(11001, "kafka_server_ReplicaManager_Value", &format!("name=\"{name}\""), count.into(), 0.0);
        }
    }
    let mut of_second = |name: &str, labels: &str, start: f64, step: f64| {
        let labels = format!("cluster=\"orders\",instance=\"b-2.orders:11001\",{labels}");
        all.push(json!({ "series": format!("{name}{{{labels}}}"), "values": format!("{start}{step:+}x{steps}") }));
    };
    let controller = "kafka_controller_KafkaController_Value";
    of_second(controller, "name=\"GlobalPartitionCount\"", 100.0, 0.0);
    of_second(controller, "name=\"PreferredReplicaImbalanceCount\"", cluster.not_preferred.into(), 0.0);
    for (group, growth) in [("billing", cluster.lag_per_s), ("search", 0.0)] {
        let labels = format!("groupId=\"{group}\",name=\"SumOffsetLag\",topic=\"t\"");
        of_second("kafka_consumer_group_ConsumerLagMetrics_Value", &labels, 100.0, growth * 30.0);
    }
    all
}

fn kgen_guard(args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = crate::project::kgen(dir.path()).arg("guard").args(args).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn ensure_runs(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}");
    said
}

#[test]
fn rules_and_dashboard_are_the_same_every_time_and_every_alert_has_its_cases() {
    let rules = kgen_guard(&["--rules", "--broker-type", "kafka.t3.small"]);
    assert_eq!(rules, kgen_guard(&["--rules"]), "the type of kgen.toml, which is t3.small where it says nothing");
    let dashboard: Value = serde_json::from_str(&kgen_guard(&["--dashboard"])).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 15);
    let fired: Vec<&str> = CASES.iter().flat_map(|case| case.alerts).copied().collect();
    let quiet = CASES.iter().filter(|case| case.alerts.is_empty()).count();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    for alert in &alerts {
        assert!(fired.contains(alert), "{alert} has no case that fires");
    }
    assert!(quiet > alerts.len(), "{quiet} quiet cases of {} rules", alerts.len());
}

#[test]
#[ignore = "needs promtool"]
fn the_generated_rules_fire_for_their_cause_and_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut by_type: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for case in CASES {
        let mut cluster = Cluster { brokers: vec![WELL; 3], not_preferred: 0, lag_per_s: 0.0 };
        (case.change)(&mut cluster);
        let fired = |name: &&str| json!({ "labels": format!("{{alertname=\"{name}\"}}"), "value": 1 });
        let fired: Vec<Value> = case.alerts.iter().map(fired).collect();
        by_type.entry(case.broker_type).or_default().push(json!({
            "name": case.name,
            "interval": "30s",
            "input_series": series(&cluster),
            "promql_expr_test": [{
                // Whether it is one broker or three: the alert fires.
                "expr": "count by (alertname) (count by (alertname, cluster) (ALERTS{alertstate=\"firing\"}))",
                "eval_time": format!("{}m", MINUTES - 2),
                "exp_samples": fired,
            }],
        }));
    }
    for (broker_type, tests) in by_type {
        let rules = dir.path().join(format!("{broker_type}.rules.yml"));
        fs::write(&rules, kgen_guard(&["--rules", "--broker-type", broker_type])).unwrap();
        ensure_runs(Command::new("promtool").args(["check", "rules"]).arg(&rules));
        let file = dir.path().join(format!("{broker_type}.test.yml"));
        let cases = json!({ "rule_files": [rules], "evaluation_interval": "30s", "tests": tests });
        fs::write(&file, cases.to_string()).unwrap();
        ensure_runs(Command::new("promtool").args(["test", "rules"]).arg(&file));
    }
}

/// A program in the background; killed when it is dropped.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command, log: &Path) -> Daemon {
        let log = fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Daemon(command.spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The answer to a GET, if there is one with status 200.
fn asked(runtime: &Runtime, url: &str, query: &[(&str, &str)]) -> Option<Value> {
    runtime.block_on(async {
        let answer = reqwest::Client::new().get(url).query(query).timeout(Duration::from_secs(5)).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    })
}

#[test]
#[ignore = "needs Prometheus and Alertmanager"]
fn prometheus_reads_the_guard_and_alertmanager_tells_of_an_alert_once_and_of_its_end_once() {
    let (dir, runtime, names) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap(), names(1));
    let path = |name: &str| dir.path().join(name);
    let log = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
    let pager = Receiver::new(Manner::Takes);
    let (prometheus, alertmanager, metrics) = (free_address(), free_address(), free_address());
    let receivers = json!({
        "route": { "receiver": "pager", "group_by": ["kgen_alert"], "group_wait": "0s", "group_interval": "1s" },
        "receivers": [{ "name": "pager", "webhook_configs": [{ "url": pager.url, "send_resolved": true }] }],
    });
    fs::write(path("alertmanager.yml"), receivers.to_string()).unwrap();
    let _alertmanager = Daemon::start(
        Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", path("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", path("alertmanager").display()))
            .arg(format!("--web.listen-address={alertmanager}"))
            // No cluster: it would listen beyond this machine.
            .arg("--cluster.listen-address="),
        &path("alertmanager.log"),
    );
    fs::write(path("kgen.rules.yml"), kgen_guard(&["--rules"])).unwrap();
    let scraped = json!({
        "global": { "scrape_interval": "1s" },
        "rule_files": [path("kgen.rules.yml")],
        "scrape_configs": [{ "job_name": "kgen", "static_configs": [{ "targets": [metrics] }] }],
    });
    fs::write(path("prometheus.yml"), scraped.to_string()).unwrap();
    let _prometheus = Daemon::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("prometheus").display()))
            .arg(format!("--web.listen-address={prometheus}")),
        &path("prometheus.log"),
    );
    let alerts_url = format!("http://{alertmanager}/api/v2/alerts");
    let is_up = || asked(&runtime, &alerts_url, &[]);
    assert!(await_some(Duration::from_secs(60), is_up).is_some(), "{}", log("alertmanager.log"));

    // The cluster has been hot for two rounds, and a guard runs.
    let hot = fired(&names, dir.path());
    let sink = format!("[[sink]]\nkind = \"alertmanager\"\nurl = \"http://{alertmanager}\"\n");
    let rest = format!("interval = \"1s\"\nmax_usd_per_day = 1000\nmetrics = \"{metrics}\"\n{sink}");
    configure(dir.path(), 40, &rest);
    let running = Running::start(&hot, dir.path(), "guard.log");
    let query = |expression: &str| {
        let answer = asked(&runtime, &format!("http://{prometheus}/api/v1/query"), &[("query", expression)])?;
        Some(answer["data"]["result"].clone())
    };
    let finding = || query("kgen_finding{stage=\"firing\"}").filter(|found| found[0].is_object());
    let found = await_some(Duration::from_secs(60), finding);
    let found = found.unwrap_or_else(|| panic!("{}\n{}", log("guard.log"), log("prometheus.log")));
    let labels = &found[0]["metric"];
    assert_eq!((&labels["cause"], &labels["cluster"]), (&"broker.undersized".into(), &"orders-0".into()), "{found}");
    assert!(query("kgen_cluster_cpu_p95_percent > 90").unwrap()[0].is_object());
    let alert = || asked(&runtime, &alerts_url, &[]).filter(|alerts| alerts[0].is_object());
    let alert = await_some(Duration::from_secs(30), alert).unwrap_or_else(|| panic!("{}", log("guard.log")));
    assert_eq!(alert.as_array().unwrap().len(), 1, "{alert:#}");
    assert_eq!(alert[0]["labels"]["alertname"], "broker.undersized");
    for (annotation, part) in [
        ("evidence", "CPU"),
        ("fix", "aws kafka update-broker-type"),
        ("fix", "+    instance_type"),
        ("not_assessed", "client."),
    ] {
        let text = alert[0]["annotations"][annotation].as_str().unwrap_or_default();
        assert!(text.contains(part), "{annotation}: {alert:#}");
    }
    let told = |status: &str| pager.documents().iter().filter(|document| document["status"] == status).count();
    assert!(await_some(Duration::from_secs(30), || (told("firing") > 0).then_some(())).is_some());

    // Every graph of the dashboard is a query that Prometheus takes.
    let dashboard: Value = serde_json::from_str(&kgen_guard(&["--dashboard"])).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let expression = panel["targets"][0]["expr"].as_str().unwrap().replace("$cluster", ".*");
        assert!(query(&expression).is_some(), "{expression}");
    }

    // It cools down, and the next rounds end the alert.
    drop(running);
    let calm = calm(&names);
    for minutes in [30, 20] {
        configure(dir.path(), minutes, &sink);
        once(&calm, dir.path(), &[]);
    }
    let is_over = || asked(&runtime, &alerts_url, &[]).filter(|alerts| alerts.as_array().is_some_and(Vec::is_empty));
    assert!(await_some(Duration::from_secs(30), is_over).is_some(), "{:?}", asked(&runtime, &alerts_url, &[]));
    assert!(await_some(Duration::from_secs(30), || (told("resolved") > 0).then_some(())).is_some());
    assert_eq!((told("firing"), told("resolved")), (1, 1), "{:#?}", pager.documents());
}

#[test]
#[ignore = "starts a lab without brokers, with moto"]
fn sns_and_eventbridge_get_an_alert_through_the_labs_endpoint() {
    let lab = Lab::with_options("--without-brokers");
    lab.sh(
        r#"curl -sf "$AWS_ENDPOINT_URL/v1/clusters" -o /dev/null -d '{"clusterName": "hot-1", "kafkaVersion": "3.9.x",
                "numberOfBrokerNodes": 3, "brokerNodeGroupInfo": {"instanceType": "kafka.m5.large",
                "clientSubnets": ["subnet-1", "subnet-2", "subnet-3"]}}' -H "content-type: application/json" \
                -H "authorization: AWS4-HMAC-SHA256 Credential=lab/20261201/us-west-2/kafka/aws4_request, Signature=0""#,
    );
    let active = "aws kafka list-clusters-v2 --query 'length(ClusterInfoList[?State==`ACTIVE`])' --output text";
    lab.await_output(active, "1", 60);
    let arns = lab.sh(
        "for queue in by-sns by-event; do aws sqs --endpoint-url $AWS_ENDPOINT_URL create-queue --queue-name $queue --output text >/dev/null; done
         of=arn:aws:sqs:us-west-2:123456789012
         topic=$(aws sns create-topic --name alerts --output text)
         aws sns subscribe --topic-arn $topic --protocol sqs --notification-endpoint $of:by-sns --output text >/dev/null
         aws events put-rule --name kgen --event-pattern '{\"source\": [\"kgen.guard\"]}' --output text >/dev/null
         aws events put-targets --rule kgen --targets Id=1,Arn=$of:by-event --output text >/dev/null
         echo $topic",
    );
    let topic = arns.trim();
    let sinks = format!("[[sink]]\nkind = \"sns\"\ntopic_arn = \"{topic}\"\n[[sink]]\nkind = \"eventbridge\"\n");
    for minutes in [10, 5] {
        configure(lab.path(), minutes, &sinks);
        let ran = lab.try_sh("kgen guard --once");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(3), "{}\n{said}", String::from_utf8_lossy(&ran.stdout));
    }
    let received = |queue: &str| -> Vec<Value> {
        let messages = lab.sh(&format!(
            "aws sqs --endpoint-url $AWS_ENDPOINT_URL receive-message --max-number-of-messages 10 --queue-url $AWS_ENDPOINT_URL/123456789012/{queue} \
             --query 'Messages[].Body' --output json"
        ));
        let bodies: Option<Vec<String>> = serde_json::from_str(&messages).unwrap();
        bodies.unwrap_or_default().iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    };
    let (by_sns, by_event) = (received("by-sns"), received("by-event"));
    assert_eq!((by_sns.len(), by_event.len()), (1, 1), "{by_sns:#?} {by_event:#?}");
    assert!(by_sns[0]["Subject"].as_str().unwrap().starts_with("kgen: hot-1 in us-west-2: broker.undersized"));
    assert_eq!(
        (&by_event[0]["source"], &by_event[0]["detail-type"]),
        (&"kgen.guard".into(), &"MSK alert firing".into())
    );
    let line: Value = serde_json::from_str(by_sns[0]["Message"].as_str().unwrap()).unwrap();
    assert_eq!(line, by_event[0]["detail"]);
    assert_eq!((&line["schema"], &line["cause"]), (&"kgen.alert/1".into(), &"broker.undersized".into()));
    assert!(line["fix"]["aws_cli"].as_str().unwrap().starts_with("aws kafka update-broker-type"), "{line:#}");
    assert!(line["fix"]["hcl_diff"].as_str().unwrap().contains("+    instance_type"), "{line:#}");
    assert!(!line["evidence"].as_array().unwrap().is_empty() && line["not_assessed"].is_array(), "{line:#}");
    // A topic that is not there is a failure that is named, and the other sink has its message.
    configure(lab.path(), 3, &sinks.replace(":alerts", ":gone"));
    let ran = lab.try_sh("kgen guard --test-sinks");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.contains("sns: Publish was refused: NotFound") && said.contains("eventbridge: delivered"), "{said}");
    lab.down();
}

#[test]
#[ignore = "needs systemd-analyze"]
fn the_unit_is_one_that_systemd_takes_and_it_exposes_little() {
    let dir = tempfile::tempdir().unwrap();
    let unit =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd/kgen-guard.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/kgen "), "{unit}");
    let file = dir.path().join("kgen-guard.service");
    // systemd looks whether the program is there.
    fs::write(&file, unit.replace("/usr/bin/kgen", env!("CARGO_BIN_EXE_kgen"))).unwrap();
    let said = ensure_runs(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file));
    assert_eq!(said, "", "a warning");
    // Tenths: 12 is what it has now, 10.0 would be no hardening.
    ensure_runs(Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20"]).arg(&file));
}
