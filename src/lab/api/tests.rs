//! The endpoint over HTTP, with a crew that has no brokers and an emulator that shows what it was sent.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::{body::Body, extract::Request, response::Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{
    lab::{
        cloudwatch::{Datapoint, Metrics, SeriesId, Timing, now_ms, wire},
        control::{Lab, LabConfig},
        server::serve,
        simulated::run_without_brokers,
    },
    lab_api::LabStatus,
};

/// A running lab.
struct Running {
    address: SocketAddr,
    client: Client,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
    lab: Arc<Lab>,
    metrics: Arc<Metrics>,
}

/// Answers with method, target, host and body of the request, and says so in headers for HEAD.
async fn echo(request: Request) -> Response {
    let told = format!("{} {} {:?}", request.method(), request.uri(), request.headers().get("host"));
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let length = body.len();
    Response::builder()
        .header("x-told", told)
        .header("x-length", length)
        .header("content-length", length)
        .body(Body::from(body))
        .unwrap()
}

async fn start(dir: &Path) -> Running {
    let emulator = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let emulator_address = emulator.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(emulator, axum::Router::new().fallback(echo)).await });
    start_before(dir, emulator_address).await
}

async fn start_before(dir: &Path, emulator: SocketAddr) -> Running {
    let config = LabConfig {
        state_dir: dir.to_owned(),
        crew: Arc::new(run_without_brokers),
        facts: LabStatus { scale: Some(4.0), ..LabStatus::default() },
    };
    let lab = Lab::open(config).unwrap();
    let metrics = Arc::new(Metrics::new(Timing { period: Duration::from_secs(5), delay: Duration::ZERO }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = async move {
        let _ = stopped.await;
    };
    let served = tokio::spawn(serve(listener, ended, lab.clone(), emulator, metrics.clone(), None));
    Running { address, client: Client::new(), stop, served, lab, metrics }
}

impl Running {
    /// An MSK call signed for us-west-2; status and body.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request =
            self.client.request(method.parse::<Method>().unwrap(), format!("http://{}{path}", self.address)).header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=test/20261124/us-west-2/kafka/aws4_request, Signature=0",
            );
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn create(&self, name: &str) -> String {
        let body = json!({
            "clusterName": name, "kafkaVersion": "3.9.x", "numberOfBrokerNodes": 3,
            "brokerNodeGroupInfo": { "clientSubnets": ["a", "b", "c"], "instanceType": "kafka.t3.small" },
            "encryptionInfo": { "encryptionInTransit": { "clientBroker": "TLS_PLAINTEXT" } },
        });
        let (status, answer) = self.call("POST", "/v1/clusters", Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        utf8_percent_encode(answer["clusterArn"].as_str().unwrap(), NON_ALPHANUMERIC).to_string()
    }

    async fn wait_for(&self, arn: &str, state: &str) -> Value {
        for _ in 0..100 {
            let (_, answer) = self.call("GET", &format!("/v1/clusters/{arn}"), None).await;
            if answer["clusterInfo"]["state"] == state {
                return answer["clusterInfo"].clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the cluster did not become {state}");
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
        self.lab.stop(Duration::from_secs(5)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_lives_through_an_update_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let arn = running.create("slow-demo").await;
    let info = running.wait_for(&arn, "ACTIVE").await;
    assert_eq!(info["brokerNodeGroupInfo"]["instanceType"], "kafka.t3.small");

    let body = json!({ "currentVersion": info["currentVersion"], "targetInstanceType": "kafka.m5.large" });
    let path = format!("/v1/clusters/{arn}/nodes/type");
    let (status, begun) = running.call("PUT", &path, Some(body.clone())).await;
    assert_eq!(status, 200, "{begun}");
    assert_eq!(running.call("PUT", &path, Some(body)).await.1, begun);
    assert_eq!(running.wait_for(&arn, "UPDATING").await["activeOperationArn"], begun["clusterOperationArn"]);
    assert_eq!(running.call("DELETE", &format!("/v1/clusters/{arn}"), None).await.0, 400);
    let after = running.wait_for(&arn, "ACTIVE").await;
    assert_eq!(after["brokerNodeGroupInfo"]["instanceType"], "kafka.m5.large");
    assert_ne!(after["currentVersion"], info["currentVersion"]);
    let (_, brokers) = running.call("GET", &format!("/v1/clusters/{arn}/bootstrap-brokers"), None).await;
    running.end().await;

    let running = start(dir.path()).await;
    assert_eq!(running.wait_for(&arn, "ACTIVE").await["currentVersion"], after["currentVersion"]);
    assert_eq!(running.call("GET", &format!("/v1/clusters/{arn}/bootstrap-brokers"), None).await.1, brokers);
    assert_eq!(std::fs::read_dir(dir.path().join("clusters")).unwrap().count(), 1);
    running.call("DELETE", &format!("/v1/clusters/{arn}"), None).await;
    for _ in 0..100 {
        if running.call("GET", &format!("/api/v2/clusters/{arn}"), None).await.0 == 404 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(running.call("GET", &format!("/api/v2/clusters/{arn}"), None).await.0, 404);
    assert_eq!(std::fs::read_dir(dir.path().join("clusters")).unwrap().count(), 0);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_do_not_start_fail_the_cluster_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let arn = running.create("broken").await;
    let info = running.wait_for(&arn, "FAILED").await;
    assert_eq!(info["stateInfo"], json!({ "code": "BrokersNotStarted", "message": "no broker started" }));
    assert_eq!(running.call("GET", &format!("/v1/clusters/{arn}/bootstrap-brokers"), None).await.0, 200);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_msk_does_not_take_get_its_errors() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    for (method, path, body, status, words) in [
        ("GET", "/v1/clusters/nonsense", None, 400, "not a valid cluster ARN"),
        ("GET", "/v1/clusters/%FF", None, 400, "path"),
        ("GET", "/v1/clusters?maxResults=0", None, 400, "maxResults"),
        ("GET", "/v1/clusters?nextToken=x", None, 400, "nextToken"),
        ("POST", "/v1/clusters", Some(json!({})), 400, "missing field"),
        ("POST", "/v1/clusters", Some(json!([1])), 400, "not valid"),
        ("POST", "/v1/clusters", Some(json!({ "pad": "x".repeat(2_000_000) })), 400, "limit"),
        ("PUT", "/v1/clusters", Some(json!({})), 403, "Missing Authentication Token"),
        ("GET", "/v1/nothing", None, 403, "Missing Authentication Token"),
        ("GET", "/v1/clusters/x/policy", None, 400, "does not imitate"),
        (
            "GET",
            "/v1/configurations/arn%3Aaws%3Akafka%3Aus-west-2%3A1%3Aconfiguration%2Fa%2Fb",
            None,
            400,
            "Configuration ARN does not exist",
        ),
    ] {
        let (got, answer) = running.call(method, path, body).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(words), "{method} {path}: {answer}");
    }
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_goes_to_the_emulator_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let url = format!("http://{}/bucket/a%2Fb%20c?list-type=2&prefix=%2F", running.address);
    let body = "x".repeat(3_000_000);
    let answer = running.client.put(&url).body(body.clone()).send().await.unwrap();
    let told = format!("PUT /bucket/a%2Fb%20c?list-type=2&prefix=%2F Some(\"{}\")", running.address);
    assert_eq!(answer.headers()["x-told"], told.as_str());
    assert_eq!(answer.text().await.unwrap(), body);

    let answer = running.client.head(&url).body("1234567").send().await.unwrap();
    assert_eq!(
        (&answer.headers()["x-length"], &answer.headers()["content-length"]),
        (&"7".parse().unwrap(), &"7".parse().unwrap())
    );

    // The paths of MSK are another service's with another service's signature.
    let signed = "AWS4-HMAC-SHA256 Credential=test/20261124/us-west-2/s3/aws4_request, Signature=0";
    let url = format!("http://{}/v1/clusters", running.address);
    let answer = running.client.get(&url).header("authorization", signed).send().await.unwrap();
    assert!(answer.headers().contains_key("x-told"));
    let unsigned = running.client.get(&url).send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudwatch_answers_in_the_protocol_of_the_client() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let id = SeriesId::new("CpuUser", [("Cluster Name", "demo".to_owned()), ("Broker ID", "1".to_owned())]);
    let at_ms = now_ms() - now_ms() % 5000 - 5000;
    let store = running.metrics.region("us-west-2");
    store.lock().add(vec![Datapoint { id, unit: "Percent", at_ms, values: vec![42.5] }]);

    let signed = "AWS4-HMAC-SHA256 Credential=test/20261124/us-west-2/monitoring/aws4_request, Signature=0";
    let url = format!("http://{}", running.address);
    let post = |path: &str| running.client.post(format!("{url}{path}")).header("authorization", signed);
    let input = json!({ "Namespace": "AWS/Kafka" });
    let target = "GraniteServiceVersion20100801.ListMetrics";
    let json = post("/").header("x-amz-target", target).json(&input).send().await.unwrap();
    assert_eq!(json.json::<Value>().await.unwrap()["Metrics"][0]["MetricName"], "CpuUser");
    let form = "Action=ListMetrics&Version=2010-08-01&Namespace=AWS%2FKafka";
    let xml = post("/").body(form).send().await.unwrap().text().await.unwrap();
    assert!(xml.contains("<MetricName>CpuUser</MetricName>") && xml.contains("</ListMetricsResponse>"), "{xml}");
    let operation = "/service/GraniteServiceVersion20100801/operation";
    let body = wire::cbor_bytes(&input);
    let cbor = post(&format!("{operation}/ListMetrics")).body(body).send().await.unwrap();
    assert_eq!(cbor.headers()["smithy-protocol"], "rpc-v2-cbor");
    assert!(String::from_utf8_lossy(&cbor.bytes().await.unwrap()).contains("CpuUser"));

    // Another region has other series, and other calls go to the emulator; those in CBOR as JSON.
    let elsewhere = signed.replace("us-west-2", "eu-west-1");
    let request = running.client.post(&url).header("authorization", elsewhere).header("x-amz-target", target);
    assert_eq!(request.json(&input).send().await.unwrap().json::<Value>().await.unwrap()["Metrics"], json!([]));
    let alarms = post("/").body("Action=DescribeAlarms&Version=2010-08-01").send().await.unwrap();
    assert_eq!(alarms.text().await.unwrap(), "Action=DescribeAlarms&Version=2010-08-01");
    let alarms = post(&format!("{operation}/DescribeAlarms")).body(wire::cbor_bytes(&json!({ "MaxRecords": 7 })));
    let alarms = alarms.send().await.unwrap();
    assert_eq!(alarms.headers()["content-type"], "application/cbor");
    assert_eq!(alarms.bytes().await.unwrap(), wire::cbor_bytes(&json!({ "MaxRecords": 7 })));
    let refused = post("/").header("x-amz-target", "GraniteServiceVersion20100801.PutMetricData").json(&input);
    assert_eq!(refused.send().await.unwrap().status(), 400);
    running.end().await;
}

/// Secrets are read from the emulator.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_none_is_not_associated() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let body = json!({
        "clusterName": "demo", "kafkaVersion": "3.9.x", "numberOfBrokerNodes": 3,
        "brokerNodeGroupInfo": { "clientSubnets": ["a", "b", "c"], "instanceType": "kafka.t3.small" },
        "clientAuthentication": { "sasl": { "scram": { "enabled": true } } },
    });
    let created = running.call("POST", "/v1/clusters", Some(body)).await.1;
    let arn = utf8_percent_encode(created["clusterArn"].as_str().unwrap(), NON_ALPHANUMERIC).to_string();
    running.wait_for(&arn, "ACTIVE").await;
    let path = format!("/v1/clusters/{arn}/scram-secrets");
    let (status, answer) = running.call("POST", &path, Some(json!({ "secretArnList": ["nonsense"] }))).await;
    assert_eq!(
        (status.as_u16(), &answer["unprocessedScramSecrets"][0]["secretArn"]),
        (200, &json!("nonsense")),
        "{answer}"
    );
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_emulator_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let running = start_before(dir.path(), nobody).await;
    let answer = running.client.get(format!("http://{}/", running.address)).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert!(answer.text().await.unwrap().contains(&nobody.to_string()));
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_loopback_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    for path in ["/_lab/status", "/v1/clusters", "/bucket"] {
        let answer = running
            .client
            .get(format!("http://{}{path}", running.address))
            .header("host", "rebound.example:4566")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 403, "{path}");
        assert!(!answer.headers().contains_key("x-told"), "{path}");
    }
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_do_not_hold_up_others_or_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"POST /v1/clusters HTTP/1.1\r\nhost: 127.0.0.1\r\n").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(running.call("GET", "/v1/clusters", None).await.0, 200);
    tokio::time::timeout(Duration::from_secs(8), running.end()).await.unwrap();
    let mut rest = Vec::new();
    slow[0].read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"", "a request that never arrived has no answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lab_tells_what_to_scrape_and_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let arn = running.create("demo").await;
    running.wait_for(&arn, "ACTIVE").await;
    let (_, targets) = running.call("GET", "/_lab/targets", None).await;
    assert_eq!(targets.as_array().unwrap().len(), 6);
    assert_eq!(
        targets[0],
        json!({ "targets": ["127.0.0.1:19191"], "labels": { "job": "jmx", "cluster": "demo", "broker_id": "1" } })
    );
    let (_, status) = running.call("GET", "/_lab/status", None).await;
    assert_eq!((&status["scale"], &status["clusters"][0]["state"]), (&json!(4.0), &json!("ACTIVE")));
    assert_eq!(status["clusters"][0]["brokers"][0]["pid"], 7);
    running.end().await;
}

/// A call of MSK, or of GetMetricData, signed with `key` for `region`: status, body, and the error that MSK names.
async fn signed(running: &Running, (key, region): (&str, &str), service: &str) -> (u16, String, String) {
    let scope = format!("AWS4-HMAC-SHA256 Credential={key}/20261124/{region}/{service}/aws4_request, Signature=0");
    let url = format!("http://{}", running.address);
    let request = match service {
        "kafka" => running.client.get(format!("{url}/api/v2/clusters")),
        _ => {
            let query = "MetricDataQueries.member.1.";
            let stat = format!("{query}MetricStat.");
            let query = format!(
                "{query}Id=m0&{stat}Metric.Namespace=AWS/Kafka&{stat}Metric.MetricName=CpuUser&{stat}Period=60&{stat}Stat=Average"
            );
            let times = "StartTime=2026-11-24T00:00:00Z&EndTime=2026-11-24T01:00:00Z";
            let request = running.client.post(url).header("content-type", "application/x-www-form-urlencoded");
            request.body(format!("Action=GetMetricData&Version=2010-08-01&{query}&{times}"))
        }
    };
    let answer = request.header("authorization", scope).send().await.unwrap();
    let kind = answer.headers().get("x-amzn-errortype").map_or("", |value| value.to_str().unwrap()).to_owned();
    (answer.status().as_u16(), answer.text().await.unwrap(), kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_refused_as_aws_would_and_the_rest_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let outages = json!([
        { "kind": "expired", "key": "OLD" },
        { "kind": "denied", "key": "NO" },
        { "kind": "throttled", "key": "OFTEN" },
        { "kind": "unrecognized", "region": "me-south-1" },
    ]);
    let (status, answer) = running.call("PUT", "/_lab/outages", Some(outages)).await;
    assert_eq!((status.as_u16(), answer["outages"].as_array().unwrap().len()), (200, 4), "{answer}");
    for (caller, status, kind, code) in [
        (("OLD", "us-west-2"), 403, "ExpiredTokenException", "<Code>ExpiredToken</Code>"),
        (("NO", "us-west-2"), 403, "AccessDeniedException", "<Code>AccessDenied</Code>"),
        (("OFTEN", "us-west-2"), 429, "TooManyRequestsException", "<Code>Throttling</Code>"),
        (("NEW", "me-south-1"), 403, "UnrecognizedClientException", "<Code>InvalidClientTokenId</Code>"),
        (("NEW", "us-west-2"), 200, "", "GetMetricDataResult"),
    ] {
        let of_msk = signed(&running, caller, "kafka").await;
        assert_eq!((of_msk.0, of_msk.2.as_str()), (status, kind), "{caller:?}");
        let (_, body, _) = signed(&running, caller, "monitoring").await;
        assert!(body.contains(code), "{caller:?}: {body}");
    }
    let (_, status) = running.call("GET", "/_lab/status", None).await;
    assert_eq!(status["answered"], json!({ "metrics": 1, "get_metric_data_calls": 1, "list_metrics_calls": 0 }));
    let (status, answer) = running.call("PUT", "/_lab/outages", Some(json!([{ "kind": "gone" }]))).await;
    assert_eq!(status, 400, "{answer}");
    running.call("PUT", "/_lab/outages", Some(json!([]))).await;
    assert_eq!(signed(&running, ("OLD", "us-west-2"), "kafka").await.0, 200);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with boto3"]
async fn every_answer_fits_the_service_model() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/msk.py");
    let run = tokio::process::Command::new("python3")
        .arg(script)
        .arg(format!("http://{}", running.address))
        .output()
        .await
        .unwrap();
    // scripts/reliability counts what it says.
    print!("{}", String::from_utf8_lossy(&run.stdout));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    running.end().await;
}
