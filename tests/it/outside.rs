//! `kgen clusters` and `kgen diagnose --cluster` from outside, in an empty folder, against a control plane and a CloudWatch
//! without brokers.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::project::Ran;

/// A cluster as the stub serves it.
#[derive(Clone)]
pub struct Fake {
    name: String,
    region: String,
    /// `None` for a serverless one.
    broker_type: Option<&'static str>,
    ids: Vec<i32>,
    level: &'static str,
    /// CPU of every broker in every minute, percent; `None` publishes nothing.
    pub cpu: Option<f64>,
    /// ListNodes is refused.
    is_denied: bool,
}

impl Fake {
    pub fn new(name: &str, broker_type: &'static str, brokers: i32) -> Fake {
        Fake {
            name: name.to_owned(),
            region: "us-west-2".to_owned(),
            broker_type: Some(broker_type),
            ids: (1..=brokers).collect(),
            level: "DEFAULT",
            cpu: Some(20.0),
            is_denied: false,
        }
    }

    fn arn(&self) -> String {
        format!("arn:aws:kafka:{}:123456789012:cluster/{}/1b2c-5", self.region, self.name)
    }

    fn described(&self) -> Value {
        let mut cluster = json!({
            "clusterArn": self.arn(), "clusterName": self.name, "state": "ACTIVE", "currentVersion": "K1",
            "clusterType": if self.broker_type.is_some() { "PROVISIONED" } else { "SERVERLESS" },
        });
        match self.broker_type {
            None => cluster["serverless"] = json!({ "vpcConfigs": [] }),
            Some(broker_type) => {
                let storage = json!({ "ebsStorageInfo": { "volumeSize": 100 } });
                let mut group = json!({ "clientSubnets": ["a", "b", "c"], "instanceType": broker_type });
                if !broker_type.starts_with("express") {
                    group["storageInfo"] = storage;
                }
                cluster["provisioned"] = json!({
                    "brokerNodeGroupInfo": group,
                    "currentBrokerSoftwareInfo": { "kafkaVersion": "3.9.x" },
                    "enhancedMonitoring": self.level,
                    "numberOfBrokerNodes": self.ids.len(),
                });
            }
        }
        cluster
    }

    fn nodes(&self) -> Value {
        let node = |id: &i32| {
            json!({
                "instanceType": self.broker_type,
                "brokerNodeInfo": { "brokerId": id, "endpoints": [format!("b-{id}.{}.example", self.name)] },
            })
        };
        json!({ "nodeInfoList": self.ids.iter().map(node).collect::<Vec<_>>() })
    }

    /// What a metric is in every minute.
    fn value(&self, metric: &str, dimensions: &BTreeMap<String, String>) -> Option<f64> {
        let cpu = self.cpu?;
        let id: i32 = dimensions.get("Broker ID").and_then(|id| id.parse().ok()).unwrap_or_default();
        if dimensions.contains_key("Broker ID") && !self.ids.contains(&id) {
            return None;
        }
        let is_busy = cpu > 80.0;
        Some(match metric {
            "CpuUser" => cpu * 0.9,
            "CpuSystem" => cpu * 0.1,
            "CpuIdle" => 100.0 - cpu,
            "HeapMemoryAfterGC" => 30.0,
            "KafkaDataLogsDiskUsed" => 20.0,
            "MemoryUsed" | "MemoryFree" => 1e9,
            "ProduceTotalTimeMsMean" => {
                if is_busy {
                    900.0
                } else {
                    3.0
                }
            }
            "ProduceRequestQueueTimeMsMean" => {
                if is_busy {
                    800.0
                } else {
                    0.5
                }
            }
            "BytesInPerSec" => 500_000.0,
            "BytesOutPerSec" => 500_000.0,
            "MessagesInPerSec" => 500.0,
            "RequestBytesMean" => 10_000.0,
            "PartitionCount" => 30.0,
            "LeaderCount" => 10.0,
            "ConnectionCount" | "ClientConnectionCount" => 20.0,
            "ActiveControllerCount" => f64::from(u8::from(id == self.ids[0])),
            "CPUCreditBalance" => 500.0,
            "UnderReplicatedPartitions" | "UnderMinIsrPartitionCount" | "OfflinePartitionsCount" | "CpuIoWait" => 0.0,
            _ => return None,
        })
    }
}

/// AWS's APIs on this machine, as far as kgen reads them. Ends with the test.
pub struct Stub {
    url: String,
    clusters: Clusters,
    calls: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
    empty: tempfile::TempDir,
}

impl Stub {
    pub fn serving(clusters: Vec<Fake>) -> Stub {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let clusters = Arc::new(Mutex::new(Arc::new(clusters)));
        let state = (Arc::clone(&clusters), Arc::clone(&calls));
        let app = Router::new().fallback(move |request: Request| answered(state.clone(), request));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Stub { url, clusters, calls, _runtime: runtime, empty: tempfile::tempdir().unwrap() }
    }

    /// From now on there are these clusters, and no others.
    pub fn set(&self, clusters: Vec<Fake>) {
        *self.clusters.lock().unwrap() = Arc::new(clusters);
    }

    /// Runs kgen in an empty folder with nothing but `AWS_ENDPOINT_URL` and a region.
    pub fn kgen(&self, args: &[&str]) -> Ran {
        self.kgen_with(&[("AWS_REGION", "us-west-2")], args)
    }

    fn kgen_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Ran {
        self.command(args).envs(variables.iter().copied()).output().unwrap().into()
    }

    /// kgen in an empty folder with nothing but `AWS_ENDPOINT_URL`.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kgen"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("AWS_") || name.starts_with("KGEN_") {
                command.env_remove(name);
            }
        }
        command.args(args).current_dir(self.dir()).env("AWS_ENDPOINT_URL", &self.url);
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", self.dir());
        command
    }

    fn dir(&self) -> &Path {
        self.empty.path()
    }

    pub fn count(&self, call: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|made| *made == call).count()
    }
}

type Clusters = Arc<Mutex<Arc<Vec<Fake>>>>;

type State = (Clusters, Arc<Mutex<Vec<String>>>);

async fn answered((clusters, calls): State, request: Request) -> Response {
    let clusters = Arc::clone(&clusters.lock().unwrap());
    let scope = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let region = scope.split('/').nth(2).unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    let body = to_bytes(request.into_body(), 1 << 24).await.unwrap_or_default();
    if path == "/" {
        return cloudwatch(&clusters, &calls, &String::from_utf8_lossy(&body));
    }
    let path = percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned();
    let here = || clusters.iter().filter(|cluster| cluster.region == region);
    let of = |prefix: &str, suffix: &str| {
        let arn = path.strip_prefix(prefix)?.strip_suffix(suffix)?;
        here().find(|cluster| cluster.arn() == arn).cloned()
    };
    let note = |call: &str| calls.lock().unwrap().push(call.to_owned());
    if path == "/api/v2/clusters" {
        note("ListClustersV2");
        if region == "eu-north-1" {
            return json_answer(403, &json!({ "__type": "AccessDeniedException", "message": "no" }));
        }
        return json_answer(200, &json!({ "clusterInfoList": here().map(Fake::described).collect::<Vec<_>>() }));
    }
    if let Some(cluster) = of("/v1/clusters/", "/nodes") {
        note("ListNodes");
        let denied = json!({ "message": "not authorized to perform: kafka:ListNodes" });
        return if cluster.is_denied {
            json_error(403, "AccessDeniedException", &denied)
        } else {
            json_answer(200, &cluster.nodes())
        };
    }
    if of("/v1/clusters/", "/bootstrap-brokers").is_some() {
        return json_answer(200, &json!({}));
    }
    if let Some(cluster) = of("/api/v2/clusters/", "") {
        note("DescribeClusterV2");
        return json_answer(200, &json!({ "clusterInfo": cluster.described() }));
    }
    let missing = json!({ "message": format!("nothing at {path}") });
    json_error(if path.contains("/topics") { 403 } else { 404 }, "AccessDeniedException", &missing)
}

fn json_answer(status: u16, body: &Value) -> Response {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(Body::from(body.to_string())).unwrap()
}

fn json_error(status: u16, code: &str, body: &Value) -> Response {
    let answer = Response::builder().status(status).header("x-amzn-errortype", code);
    answer.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
}

/// The query protocol: a form in, XML out.
fn cloudwatch(clusters: &[Fake], calls: &Mutex<Vec<String>>, body: &str) -> Response {
    let form: BTreeMap<String, String> = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let action = form.get("Action").cloned().unwrap_or_default();
    calls.lock().unwrap().push(action.clone());
    let result = if action == "GetMetricData" { metric_data(clusters, calls, &form) } else { "<Metrics/>".to_owned() };
    let text = format!(
        "<{action}Response xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>x</RequestId></ResponseMetadata></{action}Response>"
    );
    Response::builder().status(200).header("content-type", "text/xml").body(Body::from(text)).unwrap()
}

fn metric_data(clusters: &[Fake], calls: &Mutex<Vec<String>>, form: &BTreeMap<String, String>) -> String {
    let time = |name: &str| form[name].parse::<jiff::Timestamp>().unwrap().as_second();
    let (from, to) = (time("StartTime"), time("EndTime"));
    let mut results = String::new();
    for number in 1.. {
        let query = format!("MetricDataQueries.member.{number}.");
        let Some(id) = form.get(&format!("{query}Id")) else { break };
        calls.lock().unwrap().push("metric".to_owned());
        let metric = &form[&format!("{query}MetricStat.Metric.MetricName")];
        let dimension = |at: usize, what: &str| {
            form.get(&format!("{query}MetricStat.Metric.Dimensions.member.{at}.{what}")).cloned()
        };
        let dimensions: BTreeMap<String, String> =
            (1..=4).filter_map(|at| Some((dimension(at, "Name")?, dimension(at, "Value")?))).collect();
        let cluster = clusters.iter().find(|cluster| Some(&cluster.name) == dimensions.get("Cluster Name"));
        let value = cluster.and_then(|cluster| cluster.value(metric, &dimensions));
        let period: i64 = form[&format!("{query}MetricStat.Period")].parse().unwrap();
        let minutes: Vec<i64> = (from / period..to / period).map(|at| at * period).collect();
        let (mut times, mut values) = (String::new(), String::new());
        if let Some(value) = value {
            for at in minutes {
                times += &format!("<member>{}</member>", jiff::Timestamp::from_second(at).unwrap());
                values += &format!("<member>{value}</member>");
            }
        }
        results += &format!(
            "<member><Id>{id}</Id><Label>{metric}</Label><StatusCode>Complete</StatusCode><Timestamps>{times}</Timestamps>\
             <Values>{values}</Values></member>"
        );
    }
    format!("<MetricDataResults>{results}</MetricDataResults>")
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}\n{}", ran.stdout, ran.stderr))
}

fn row<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["clusters"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap()
}

/// The clusters of the acceptance: small, with a gap in its ids, large, Express, serverless, without data, without rights.
fn fleet() -> Vec<Fake> {
    vec![
        Fake { cpu: Some(97.0), ..Fake::new("small", "kafka.t3.small", 3) },
        Fake { ids: vec![1, 2, 3, 4, 6, 7], level: "PER_BROKER", ..Fake::new("gap", "kafka.m5.large", 6) },
        Fake::new("large", "kafka.m5.2xlarge", 30),
        Fake::new("express", "express.m7g.large", 3),
        Fake { broker_type: None, ids: Vec::new(), cpu: None, ..Fake::new("serverless", "", 0) },
        Fake { cpu: None, ..Fake::new("new", "kafka.m5.large", 3) },
    ]
}

#[test]
fn clusters_lists_every_kind_with_its_verdict_and_cost() {
    let stub = Stub::serving(fleet());
    let ran = stub.kgen(&["clusters", "--json"]);
    let document = document(&ran);
    assert_eq!(document["schema"], "kgen.clusters/1");
    let rows = document["clusters"].as_array().unwrap();
    assert_eq!(rows.len(), 6, "{}", ran.stdout);
    assert_eq!((rows[0]["name"].as_str(), rows[0]["verdict"].as_str()), (Some("small"), Some("cause_found")));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let cpu = row(&document, "small")["cpu_p95_percent"].as_f64().unwrap();
    assert!((cpu - 97.0).abs() < 0.1, "{cpu}");
    assert_eq!(row(&document, "large")["broker_count"], 30);
    for (name, kind) in [("gap", "standard"), ("express", "express"), ("serverless", "serverless")] {
        assert_eq!(row(&document, name)["kind"], kind);
    }
    // What nothing was published of is not healthy.
    for name in ["new", "serverless"] {
        let row = row(&document, name);
        assert_eq!((&row["verdict"], &row["cpu_p95_percent"]), (&json!("inconclusive"), &Value::Null), "{row}");
    }
    assert!(row(&document, "express")["usd_per_month"].as_f64().unwrap() > 0.0);
    assert_eq!(row(&document, "serverless")["usd_per_month"], Value::Null);
    // The price is that of the metrics that were asked for.
    assert_eq!(document["requests"]["metrics"].as_u64().unwrap() as usize, stub.count("metric"));
    assert_eq!(document["requests"]["list_metrics_calls"].as_u64().unwrap() as usize, stub.count("ListMetrics"));
    crate::frontdoor::validate("clusters", &ran.stdout);
}

#[test]
fn a_table_names_the_worst_first_and_redacts_names() {
    let stub = Stub::serving(fleet());
    let table = stub.kgen(&["clusters"]).stdout;
    let first = table.lines().nth(1).unwrap();
    assert!(first.starts_with("small ") && first.contains("3 x t3.small") && first.contains("97%"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let hidden = stub.kgen(&["--redact", "clusters", "--json"]).stdout;
    for name in ["\"gap\"", "cluster/gap", "123456789012", "\"large\""] {
        assert!(!hidden.contains(name), "{name} in {hidden}");
    }
}

#[test]
fn what_cannot_be_read_is_a_row_or_a_note_and_an_exit_code() {
    let denied = Fake { is_denied: true, cpu: None, ..Fake::new("denied", "kafka.m5.large", 3) };
    let stub = Stub::serving(vec![Fake::new("fine", "kafka.m5.large", 3), denied]);
    let ran = stub.kgen(&["clusters", "--json", "--region", "us-west-2,eu-north-1"]);
    let document = document(&ran);
    assert_eq!(row(&document, "denied")["verdict"], Value::Null);
    assert!(row(&document, "denied")["error"].as_str().unwrap().contains("ListNodes"), "{}", ran.stdout);
    assert_ne!(row(&document, "fine")["verdict"], Value::Null);
    assert_eq!(document["failures"][0]["region"], "eu-north-1");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: 1 region and 1 cluster could not be read"), "{}", ran.stderr);
    let nowhere = stub.kgen(&["clusters", "--region", "eu-north-1"]);
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("no cluster could be listed: eu-north-1"), "{}", nowhere.stderr);
    assert_eq!(stub.kgen(&["clusters", "--region", "sa-east-1"]).code, Some(0));
}

#[test]
fn a_hundred_clusters_are_read_and_above_a_dollar_it_asks() {
    let many: Vec<Fake> = (0..100).map(|at| Fake::new(&format!("c{at:03}"), "kafka.m5.large", 3)).collect();
    let stub = Stub::serving(many);
    let begun = std::time::Instant::now();
    let ran = stub.kgen(&["clusters", "--json", "--window", "15m"]);
    // The goal is a minute; a busy machine is no failure.
    eprintln!("100 clusters: {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(document(&ran)["clusters"].as_array().unwrap().len(), 100);
    // 20 metrics of each of 9,000 brokers cost more than a dollar.
    let large: Vec<Fake> = (0..10).map(|at| Fake::new(&format!("c{at:03}"), "kafka.m5.large", 900)).collect();
    let stub = Stub::serving(large);
    let ran = stub.kgen(&["clusters"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("add --yes"), "{}", ran.stderr);
    assert_eq!(stub.count("GetMetricData"), 0);
}

#[test]
fn diagnose_finds_a_cluster_by_name_arn_or_because_it_is_the_only_one() {
    let small = Fake { cpu: Some(97.0), ..Fake::new("small", "kafka.t3.small", 3) };
    let stub = Stub::serving(vec![small.clone()]);
    let by_name = ["diagnose", "--json", "--cluster", "small"];
    let by_arn = ["diagnose", "--json", "--cluster", &small.arn()];
    for (args, variables) in [
        (&by_name[..], &[("AWS_REGION", "us-west-2")][..]),
        (&by_name, &[("AWS_DEFAULT_REGION", "us-west-2")]),
        (&by_arn, &[("AWS_REGION", "eu-central-1")]),
        (&["diagnose", "--json"], &[("AWS_REGION", "us-west-2")]),
    ] {
        let ran = stub.kgen_with(variables, args);
        assert_eq!(ran.code, Some(3), "{args:?}\n{}\n{}", ran.stdout, ran.stderr);
        let document = document(&ran);
        assert_eq!((&document["view"], &document["cluster"]["cluster"]), (&json!("outside"), &json!("small")));
        assert!(ran.stderr.contains("view: outside"), "{}", ran.stderr);
        let fix = &document["findings"][0]["fix"];
        assert_eq!((&fix["hcl_diff"], &fix["kgen"]), (&Value::Null, &Value::Null), "{fix}");
    }
    let contradictory = stub.kgen(&[&by_arn[..], &["--region", "eu-central-1"]].concat());
    assert_eq!(contradictory.code, Some(2), "{}", contradictory.stderr);
    let missing = stub.kgen(&["diagnose", "--cluster", "orders"]);
    assert!(missing.stderr.contains("no cluster orders in us-west-2"), "{}", missing.stderr);
    let stub = Stub::serving(fleet());
    let several = stub.kgen(&["diagnose"]);
    assert_eq!(several.code, Some(2), "{}", several.stderr);
    assert!(
        several.stderr.contains("express, gap, large") && several.stderr.contains("--cluster"),
        "{}",
        several.stderr
    );
}

#[test]
fn diagnose_says_what_is_missing() {
    let stub = Stub::serving(fleet());
    let of = |name: &str| stub.kgen(&["diagnose", "--json", "--cluster", name]);
    let gap = document(&of("gap"));
    assert_eq!(gap["cluster"]["broker_ids"], json!([1, 2, 3, 4, 6, 7]));
    assert!(!gap["findings"].to_string().contains("broker.down"), "{gap}");
    let new = of("new");
    assert_eq!(new.code, Some(4), "{}", new.stderr);
    assert!(new.stderr.contains("CloudWatch has no datapoints for new"), "{}", new.stderr);
    assert!(!new.stdout.contains("--source cloudwatch"), "{}", new.stdout);
    let unavailable = &gap["cluster"]["unavailable"];
    assert!(unavailable.to_string().contains("topics"), "{unavailable}");
}

#[test]
fn commands_that_talk_to_brokers_take_a_cluster() {
    let stub = Stub::serving(vec![Fake::new("orders", "kafka.m5.large", 3)]);
    for args in [
        &["bootstrap", "--cluster", "orders"][..],
        &["topic", "describe", "t", "--cluster", "orders"],
        &["produce", "--cluster", "orders", "--topic", "t"],
        &["consume", "--cluster", "orders", "--topic", "t"],
    ] {
        let ran = stub.kgen(args);
        assert!(ran.stderr.contains("listener"), "{args:?}: {}", ran.stderr);
    }
    let both = stub.kgen(&["consume", "--cluster", "orders", "--bootstrap-servers", "127.0.0.1:1"]);
    assert_eq!(both.code, Some(2), "{}", both.stderr);
    assert!(both.stderr.contains("use only one of them"), "{}", both.stderr);
}

#[test]
fn watching_cloudwatch_more_often_than_it_publishes_is_refused_with_the_price() {
    let stub = Stub::serving(vec![Fake::new("orders", "kafka.m5.large", 3)]);
    let ran = stub.kgen(&["watch", "--source", "cloudwatch", "--cluster", "orders", "--interval", "1s", "--json"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("USD") && ran.stderr.contains("an hour"), "{}", ran.stderr);
}

#[test]
fn the_policy_is_printed_as_json() {
    let stub = Stub::serving(Vec::new());
    let policy = document(&stub.kgen(&["config", "--iam-policy"]));
    assert_eq!(policy["Version"], "2012-10-17");
    assert!(policy["Statement"].to_string().contains("cloudwatch:GetMetricData"), "{policy}");
}

/// Acceptance: a nearly idle 6 x m5.4xlarge, by size, diagnose and clusters.
#[test]
fn a_nearly_idle_cluster_is_told_what_it_saves_and_what_binds_the_count() {
    let idle = Fake { cpu: Some(3.0), ..Fake::new("idle", "kafka.m5.4xlarge", 6) };
    let stub = Stub::serving(vec![idle]);
    let ran = stub.kgen(&["size", "--cluster", "idle", "--days", "2", "--json"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("reading 2 days") && ran.stderr.contains("USD 0.00"),
        "the price first: {}",
        ran.stderr
    );
    let sized = document(&ran);
    assert_eq!(sized["advice"]["shape"]["brokers"], 3, "{:#}", sized["advice"]);
    assert_eq!(sized["advice"]["shape"]["broker_type"], "kafka.m5.large");
    assert_eq!(sized["count_bound"], "3 zones need a broker each");
    // 6 x 1.68 USD an hour, and 3 x 0.21.
    let saving = sized["advice"]["saving_usd_per_month"].as_f64().unwrap();
    assert!((saving - (6.0 * 1.68 - 3.0 * 0.21) * 730.0).abs() < 1.0, "{saving}");
    assert!(sized["history"].as_array().unwrap().len() > 100);

    let screen = stub.kgen(&["size", "--cluster", "idle", "--days", "2"]);
    assert!(
        screen.stdout.contains("change 6 x kafka.m5.4xlarge to 3 x kafka.m5.large: saves USD"),
        "{}",
        screen.stdout
    );

    let ran = stub.kgen(&["diagnose", "--cluster", "idle", "--json"]);
    let diagnosis = document(&ran);
    let ids: Vec<&str> = diagnosis["findings"].as_array().unwrap().iter().filter_map(|f| f["id"].as_str()).collect();
    assert_eq!((ran.code, &ids[..]), (Some(0), &["healthy", "cluster.oversized"][..]), "{}", ran.stderr);
    assert_eq!(diagnosis["findings"][1]["next"], "kgen size --cluster idle");

    let ran = stub.kgen(&["clusters", "--json"]);
    let document = document(&ran);
    let row = row(&document, "idle");
    assert_eq!((ran.code, row["verdict"].as_str()), (Some(0), Some("healthy")), "{}", ran.stderr);
    assert_eq!(row["finding"]["id"], "cluster.oversized");
}

/// From one screen an SRE knows what to do, what it costs, what it saves and how certain that is.
#[test]
fn the_answer_of_size_fits_on_a_screen() {
    let busy = Fake { cpu: Some(88.0), ..Fake::new("busy", "kafka.m5.large", 3) };
    let stub = Stub::serving(vec![busy]);
    for (columns, rows) in [("80", 40), ("160", 32)] {
        let ran = stub.kgen_with(
            &[("AWS_REGION", "us-west-2"), ("COLUMNS", columns)],
            &["size", "--cluster", "busy", "--days", "1"],
        );
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert!(lines.len() <= rows, "{} lines at {columns}: {}", lines.len(), ran.stdout);
        let width = columns.parse().unwrap();
        let wide = lines.iter().find(|line| line.chars().count() > width && !line.trim_start().starts_with("aws "));
        assert_eq!(wide, None, "{}", ran.stdout);
        for expected in ["change 3 x kafka.m5.large to ", "more a month", "certainty:", "aws kafka update-broker-type"]
        {
            assert!(lines[..16].join("\n").contains(expected), "no {expected} above: {}", ran.stdout);
        }
    }
}
