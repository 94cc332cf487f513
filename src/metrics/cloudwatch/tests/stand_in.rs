//! MSK and CloudWatch on this machine, as far as a view from outside asks them. Counts what it is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    extract::State,
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::aws::Aws;

pub const REGION: &str = "us-west-2";
pub const ARN: &str = "arn:aws:kafka:us-west-2:123456789012:cluster/orders/0a1b-2";

/// The value of a metric with these dimensions at a time (s since the epoch); `None` where nothing was published.
pub type Datapoint = fn(&str, &BTreeMap<String, String>, i64) -> Option<f64>;

/// What the stand-in answers, and what it was asked.
pub struct Behaviour {
    pub cluster: Value,
    pub broker_ids: Vec<i32>,
    pub datapoint: Datapoint,
    /// Series of ListMetrics: name and dimensions.
    pub listed: Vec<(String, BTreeMap<String, String>)>,
    /// Topics, each with one partition.
    pub topics: Vec<String>,
    /// Calls that are answered with a refusal.
    pub denied: BTreeSet<&'static str>,
    /// Calls of GetMetricData that are answered with a throttle before one is answered.
    pub throttled: usize,
    /// How often each call came, by its name.
    pub calls: BTreeMap<String, u64>,
    /// Metrics that GetMetricData was asked for.
    pub metrics: u64,
}

#[derive(Clone)]
pub struct StandIn(Arc<Mutex<Behaviour>>);

/// A provisioned cluster as DescribeClusterV2 has it.
pub fn provisioned(instance_type: &str, level: &str, brokers: usize) -> Value {
    json!({
        "clusterArn": ARN, "clusterName": "orders", "clusterType": "PROVISIONED", "state": "ACTIVE",
        "currentVersion": "K1", "tags": { "team": "billing" }, "creationTime": "2020-01-01T00:00:00Z",
        "provisioned": {
            "brokerNodeGroupInfo": {
                "instanceType": instance_type, "clientSubnets": ["subnet-a", "subnet-b"],
                "storageInfo": { "ebsStorageInfo": { "volumeSize": 100 } }
            },
            "numberOfBrokerNodes": brokers, "enhancedMonitoring": level,
            "clientAuthentication": { "sasl": { "iam": { "enabled": true } }, "unauthenticated": { "enabled": false } },
            "openMonitoring": { "prometheus": { "jmxExporter": { "enabledInBroker": true } } },
            "currentBrokerSoftwareInfo": {
                "kafkaVersion": "3.9.x.kraft",
                "configurationArn": "arn:aws:kafka:us-west-2:123456789012:configuration/c/1-1", "configurationRevision": 3
            }
        }
    })
}

pub fn serverless() -> Value {
    json!({
        "clusterArn": ARN, "clusterName": "orders", "clusterType": "SERVERLESS", "state": "ACTIVE",
        "serverless": {
            "vpcConfigs": [{ "subnetIds": ["subnet-a"] }], "clientAuthentication": { "sasl": { "iam": { "enabled": true } } }
        }
    })
}

/// Dimensions from pairs, with the cluster's name.
pub fn dimensions(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = [("Cluster Name", "orders")];
    own.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl StandIn {
    /// Listens on a free port.
    pub async fn start(cluster: Value, broker_ids: &[i32], datapoint: Datapoint) -> (StandIn, Aws) {
        let stand_in = StandIn(Arc::new(Mutex::new(Behaviour {
            cluster,
            broker_ids: broker_ids.to_vec(),
            datapoint,
            listed: Vec::new(),
            topics: Vec::new(),
            denied: BTreeSet::new(),
            throttled: 0,
            calls: BTreeMap::new(),
            metrics: 0,
        })));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(stand_in.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (stand_in, Aws::connect_to(REGION, &endpoint).await)
    }

    pub fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.0.lock().unwrap()
    }

    pub fn calls(&self, name: &str) -> u64 {
        self.behaviour().calls.get(name).copied().unwrap_or_default()
    }
}

async fn answer(State(stand_in): State<StandIn>, request: Request<axum::body::Body>) -> Response {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
    let bytes = axum::body::to_bytes(request.into_body(), 16 << 20).await.unwrap();
    let form = form(&String::from_utf8_lossy(&bytes));
    let mut behaviour = stand_in.behaviour();
    let name = form.get("Action").cloned().unwrap_or_else(|| msk_call(&path).to_owned());
    *behaviour.calls.entry(name.clone()).or_default() += 1;
    let is_query = form.contains_key("Action");
    if behaviour.denied.contains(name.as_str()) {
        return denied(&name, is_query);
    }
    match name.as_str() {
        "GetMetricData" if behaviour.throttled > 0 => {
            behaviour.throttled -= 1;
            query_error(StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded")
        }
        "GetMetricData" => {
            let (answer, metrics) = metric_data(&behaviour, &form);
            behaviour.metrics += metrics;
            xml(StatusCode::OK, answer)
        }
        "ListMetrics" => xml(StatusCode::OK, list_metrics(&behaviour, &form)),
        _ => msk(&behaviour, &name),
    }
}

/// The call that a path of MSK's REST API stands for; empty for one that kgen is not known to make.
fn msk_call(path: &str) -> &'static str {
    let rest = path.strip_prefix(&format!("/v1/clusters/{ARN}"));
    match (path, rest) {
        ("/api/v2/clusters", _) => "ListClustersV2",
        (path, _) if path == format!("/api/v2/clusters/{ARN}") => "DescribeClusterV2",
        (path, _) if path == format!("/api/v2/clusters/{ARN}/operations") => "ListClusterOperationsV2",
        (path, _) if path.starts_with("/api/v2/clusters/") => "NoSuchCluster",
        (path, _) if path.starts_with("/v1/configurations/") => "DescribeConfigurationRevision",
        (path, _) if path.starts_with("/v1/operations/") => "DescribeClusterOperation",
        (_, Some("/nodes")) => "ListNodes",
        (_, Some("/bootstrap-brokers")) => "GetBootstrapBrokers",
        (_, Some("/topics")) => "ListTopics",
        (_, Some(topic)) if topic.ends_with("/partitions") => "DescribeTopicPartitions",
        (_, Some(topic)) if topic.starts_with("/topics/") => "DescribeTopic",
        _ => "",
    }
}

fn msk(behaviour: &Behaviour, name: &str) -> Response {
    let body = match name {
        "ListClustersV2" => json!({ "clusterInfoList": [behaviour.cluster] }),
        "DescribeClusterV2" => json!({ "clusterInfo": behaviour.cluster }),
        "NoSuchCluster" => {
            let headers = [("x-amzn-errortype", "NotFoundException"), ("content-type", "application/json")];
            return (StatusCode::NOT_FOUND, headers, json!({ "message": "no such cluster" }).to_string())
                .into_response();
        }
        "ListNodes" => {
            let node = |id: &i32| {
                json!({ "nodeType": "BROKER", "instanceType": "m5.large", "brokerNodeInfo": {
                    "brokerId": id, "clientSubnet": "subnet-a", "endpoints": [format!("b-{id}.orders")] } })
            };
            json!({ "nodeInfoList": behaviour.broker_ids.iter().map(node).collect::<Vec<_>>() })
        }
        "ListTopics" => {
            let topic = |name: &String| json!({ "topicName": name, "partitionCount": 1, "replicationFactor": 3 });
            json!({ "topics": behaviour.topics.iter().map(topic).collect::<Vec<_>>() })
        }
        "DescribeTopicPartitions" => {
            json!({ "partitions": [{ "partition": 0, "leader": 4, "replicas": [4, 6, 7], "isr": [4, 6] }] })
        }
        // follower.replication.throttled.replicas=*
        "DescribeTopic" => json!({ "configs": "Zm9sbG93ZXIucmVwbGljYXRpb24udGhyb3R0bGVkLnJlcGxpY2FzPSo=" }),
        // min.insync.replicas=2
        "DescribeConfigurationRevision" => json!({ "serverProperties": "bWluLmluc3luYy5yZXBsaWNhcz0y" }),
        "ListClusterOperationsV2" => json!({ "clusterOperationInfoList": [
            { "operationArn": "arn:2", "operationType": "UPDATE_BROKER_TYPE", "operationState": "UPDATE_IN_PROGRESS",
              "startTime": "2026-11-30T10:00:00Z" },
            { "operationArn": "arn:1", "operationType": "UPDATE_BROKER_COUNT", "operationState": "UPDATE_COMPLETE",
              "startTime": "2026-11-29T10:00:00Z", "endTime": "2026-11-29T11:00:00Z" },
        ] }),
        "DescribeClusterOperation" => json!({ "clusterOperationInfo": { "operationType": "UPDATE_BROKER_TYPE" } }),
        "GetBootstrapBrokers" => json!({ "bootstrapBrokerStringSaslIam": "b-1:9098,b-2:9098,b-3:9098" }),
        _ => return (StatusCode::NOT_FOUND, "no such call").into_response(),
    };
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn denied(name: &str, is_query: bool) -> Response {
    if is_query {
        let message = format!("User is not authorized to perform: cloudwatch:{name}");
        return query_error(StatusCode::FORBIDDEN, "AccessDenied", &message);
    }
    let body = json!({ "message": format!("User is not authorized to perform: kafka:{name}") }).to_string();
    let headers = [("x-amzn-errortype", "AccessDeniedException"), ("content-type", "application/json")];
    (StatusCode::FORBIDDEN, headers, body).into_response()
}

fn query_error(status: StatusCode, code: &str, message: &str) -> Response {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    xml(status, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"))
}

fn xml(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
}

fn form(body: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    body.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (decoded(key), decoded(value))).collect()
}

fn seconds(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap().as_second()
}

/// The dimensions below `prefix`.
fn read_dimensions(form: &BTreeMap<String, String>, prefix: &str) -> BTreeMap<String, String> {
    let named = (1..).map_while(|n| {
        let part = |part: &str| form.get(&format!("{prefix}.Dimensions.member.{n}.{part}")).cloned();
        Some((part("Name")?, part("Value")?))
    });
    named.collect()
}

fn metric_data(behaviour: &Behaviour, form: &BTreeMap<String, String>) -> (String, u64) {
    let (start, end) = (seconds(&form["StartTime"]), seconds(&form["EndTime"]));
    let mut results = String::new();
    let mut asked = 0;
    for n in 1.. {
        let query = format!("MetricDataQueries.member.{n}");
        let Some(id) = form.get(&format!("{query}.Id")) else { break };
        asked += 1;
        let metric = format!("{query}.MetricStat.Metric");
        let name = &form[&format!("{metric}.MetricName")];
        let period: i64 = form[&format!("{query}.MetricStat.Period")].parse().unwrap();
        assert!(form.contains_key(&format!("{query}.MetricStat.Stat")));
        let dimensions = read_dimensions(form, &metric);
        let times = (start..end).step_by(period as usize);
        let points: Vec<(i64, f64)> =
            times.filter_map(|at| Some((at, (behaviour.datapoint)(name, &dimensions, at)?))).collect();
        let member = |text: String| format!("<member>{text}</member>");
        let at = |(at, _): &(i64, f64)| member(jiff::Timestamp::from_second(*at).unwrap().to_string());
        let timestamps: String = points.iter().map(at).collect();
        let values: String = points.iter().map(|(_, value)| member(value.to_string())).collect();
        results += &member(format!(
            "<Id>{id}</Id><StatusCode>Complete</StatusCode><Timestamps>{timestamps}</Timestamps><Values>{values}</Values>"
        ));
    }
    assert!(asked <= 500, "{asked} metrics in one call");
    let result = format!("<GetMetricDataResult><MetricDataResults>{results}</MetricDataResults></GetMetricDataResult>");
    (format!("<GetMetricDataResponse>{result}</GetMetricDataResponse>"), asked)
}

/// Every series twice, as moto has it.
fn list_metrics(behaviour: &Behaviour, form: &BTreeMap<String, String>) -> String {
    let wanted = form.get("MetricName");
    assert_eq!(read_dimensions(form, "X").len(), 0);
    let of_name = behaviour.listed.iter().filter(|(name, _)| Some(name) == wanted);
    let member = |(name, dimensions): &(String, BTreeMap<String, String>)| {
        let of =
            |(name, value): (&String, &String)| format!("<member><Name>{name}</Name><Value>{value}</Value></member>");
        let dimensions: String = dimensions.iter().map(of).collect();
        format!("<member><MetricName>{name}</MetricName><Dimensions>{dimensions}</Dimensions></member>").repeat(2)
    };
    let metrics: String = of_name.map(member).collect();
    format!(
        "<ListMetricsResponse><ListMetricsResult><Metrics>{metrics}</Metrics></ListMetricsResult></ListMetricsResponse>"
    )
}
