//! What CloudWatch and the MSK API of the lab say: of real brokers with short minutes, and of a fleet that has none.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{awaited::await_some, lab::Lab};

/// Seconds of a short minute.
const PERIOD: u64 = 5;

/// Datapoints in which a cause must be named, and in which its end must show.
const WITHIN_DATAPOINTS: usize = 3;

/// Creates the stack's cluster at a monitoring level; returns when it is ACTIVE.
fn create(lab: &Lab, level: &str) {
    lab.create_cluster("kafka.t3.small");
    let cluster = lab.cluster();
    let (arn, version) = (cluster["arn"].as_str().unwrap(), cluster["current_version"].as_str().unwrap());
    lab.sh(&format!(
        "aws kafka update-monitoring --cluster-arn {arn} --current-version {version} --enhanced-monitoring {level}"
    ));
    lab.await_output(crate::lab::STATE, "ACTIVE", 60);
    lab.sh("kgen topic create --partitions 6 --replication-factor 3");
}

fn listed(lab: &Lab) -> Vec<Value> {
    lab.json("aws cloudwatch list-metrics --namespace AWS/Kafka --output json")["Metrics"].as_array().unwrap().clone()
}

fn name(metric: &Value) -> &str {
    metric["MetricName"].as_str().unwrap()
}

/// The values of each metric since `seconds` ago, by the place of the metric in `metrics`.
fn data(lab: &Lab, metrics: &[Value], seconds: u64) -> Vec<Vec<f64>> {
    let query = |(number, metric): (usize, &Value)| json!({ "Id": format!("m{number}"), "MetricStat": { "Metric": metric, "Period": PERIOD, "Stat": "Maximum" } });
    let mut found = Vec::new();
    for chunk in metrics.chunks(500) {
        let queries: Vec<Value> = chunk.iter().enumerate().map(query).collect();
        std::fs::write(lab.path().join("queries.json"), Value::from(queries).to_string()).unwrap();
        let answer = lab.json(&format!(
            "aws cloudwatch get-metric-data --metric-data-queries file://queries.json --output json \
             --start-time $(( $(date +%s) - {seconds} )) --end-time $(( $(date +%s) + 60 ))"
        ));
        let results = answer["MetricDataResults"].as_array().unwrap();
        let of = |result: &Value| result["Values"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        found.extend(results.iter().map(of));
    }
    assert_eq!(found.len(), metrics.len());
    found
}

#[test]
#[ignore = "starts a lab with real brokers"]
fn the_aws_cli_lists_each_series_once_and_reads_every_one() {
    let lab = Lab::with_options(&format!("--metrics-period {PERIOD}s"));
    let status = lab.json("kgen lab status --json");
    assert_eq!((&status["metrics_period_s"], &status["without_brokers"]), (&json!(PERIOD), &json!(false)));
    assert!(lab.sh("kgen lab status").contains("cover 5 s instead of the 60 s of MSK"));
    create(&lab, "PER_TOPIC_PER_PARTITION");
    let load = lab.spawn("kgen produce --rate 50 --duration 120s --json", "load");
    let reader = lab.spawn("kgen consume --group workers --duration 120s", "reader");
    // A group is followed, and has a pace, a few periods after it has begun.
    let has_paces = || listed(&lab).iter().any(|metric| name(metric) == "EstimatedMaxTimeLag").then_some(());
    assert!(await_some(Duration::from_secs(100), has_paces).is_some(), "no lag: {:?}", lab.sh("tail -20 reader.log"));

    let metrics = listed(&lab);
    let once: BTreeSet<String> = metrics.iter().map(Value::to_string).collect();
    assert_eq!(once.len(), metrics.len(), "a series is listed twice");
    let dimensions = |metric: &Value| -> BTreeSet<String> {
        metric["Dimensions"].as_array().unwrap().iter().map(|d| d["Name"].as_str().unwrap().to_owned()).collect()
    };
    let mut kinds: BTreeMap<BTreeSet<String>, BTreeSet<&str>> = BTreeMap::new();
    metrics.iter().for_each(|metric| {
        kinds.entry(dimensions(metric)).or_default().insert(name(metric));
    });
    for (of, wanted) in [
        (&["Cluster Name"][..], &["ActiveControllerCount", "OfflinePartitionsCount", "GlobalTopicCount"][..]),
        (&["Cluster Name", "Broker ID"], &["CpuUser", "ConnectionCreationRate", "VolumeWriteBytes", "TrafficShaping"]),
        (&["Cluster Name", "Broker ID", "Topic"], &["BytesInPerSec", "BytesOutPerSec", "MessagesInPerSec"]),
        (&["Cluster Name", "Broker ID", "Client Authentication"], &["ClientConnectionCount"]),
        (&["Cluster Name", "Consumer Group", "Topic"], &["MaxOffsetLag", "SumOffsetLag", "EstimatedMaxTimeLag"]),
        (&["Consumer Group", "Topic", "Partition"], &["OffsetLag"]),
    ] {
        let of: BTreeSet<String> = of.iter().map(|name| (*name).to_owned()).collect();
        let there = kinds.get(&of).unwrap_or_else(|| panic!("nothing has the dimensions {of:?}"));
        assert!(wanted.iter().all(|name| there.contains(name)), "{of:?}: {there:?}");
    }
    let values = data(&lab, &metrics, 600);
    for (metric, values) in metrics.iter().zip(&values) {
        assert!(!values.is_empty(), "{metric} is listed and has no data");
    }
    // The other protocol of old clients: each statistic on its own.
    let cluster = json!({ "MetricName": "ActiveControllerCount", "Dimensions": [{ "Name": "Cluster Name", "Value": "kgen-demo" }] });
    let controllers = data(&lab, &[with_namespace(cluster)], 60);
    assert!(controllers[0].iter().all(|value| *value == 1.0), "{controllers:?}");
    let statistics = lab.json(
        "aws cloudwatch get-metric-statistics --namespace AWS/Kafka --metric-name CpuUser --period 60 --output json \
         --dimensions Name='Cluster Name',Value=kgen-demo Name='Broker ID',Value=1 --statistics Average SampleCount \
         --start-time $(( $(date +%s) - 600 )) --end-time $(date +%s)",
    );
    let points = statistics["Datapoints"].as_array().unwrap();
    let most = points.iter().filter_map(|point| point["SampleCount"].as_f64()).fold(0.0, f64::max);
    assert!((1.0..=12.0).contains(&most), "{statistics}");
    let widget = r#"{"start":"-PT10M","period":5,"metrics":[["AWS/Kafka","CpuUser","Cluster Name","kgen-demo","Broker ID","1"]]}"#;
    let image = lab.sh(&format!(
        "aws cloudwatch get-metric-widget-image --metric-widget '{widget}' --query MetricWidgetImage --output text | base64 -d | tail -c +2 | head -c 3"
    ));
    assert!(image == "PNG", "{image:?}");
    drop((load, reader));
    lab.down();
}

fn with_namespace(mut metric: Value) -> Value {
    metric["Namespace"] = "AWS/Kafka".into();
    metric
}

/// CPU of the first broker since `seconds` ago, the newest first.
fn cpu(lab: &Lab, seconds: u64) -> Vec<f64> {
    let dimensions = json!([{ "Name": "Cluster Name", "Value": "kgen-demo" }, { "Name": "Broker ID", "Value": "1" }]);
    data(lab, &[with_namespace(json!({ "MetricName": "CpuUser", "Dimensions": dimensions }))], seconds).remove(0)
}

/// Waits until `kgen diagnose` from CloudWatch says `wanted`, and returns how many datapoints there were since `since`.
fn datapoints_until(lab: &Lab, since: jiff::Timestamp, wanted: &dyn Fn(&Value) -> bool) -> usize {
    let mut last = Value::Null;
    let named = await_some(Duration::from_secs(180), || {
        let output = lab.try_sh("kgen diagnose --source cloudwatch --delay 3s --json 2> diagnose.log");
        last = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let age = (jiff::Timestamp::now().as_second() - since.as_second()).max(0) as u64;
        wanted(&last).then(|| cpu(lab, age).len())
    });
    named.unwrap_or_else(|| panic!("not said: {last:#}\n{}", lab.sh("cat diagnose.log")))
}

#[test]
#[ignore = "starts a lab with real brokers"]
fn overload_is_named_from_outside_within_three_datapoints_and_so_is_its_end() {
    let lab = Lab::with_options(&format!("--metrics-period {PERIOD}s"));
    lab.sh("printf '[cluster]\\nbroker_type = \"kafka.t3.small\"\\n' > kgen.toml");
    create(&lab, "PER_BROKER");
    let calm = lab.spawn("kgen produce --rate 10 --duration 900s --json", "calm");
    let began = jiff::Timestamp::now();
    let calm_minutes = || {
        let age = (jiff::Timestamp::now().as_second() - began.as_second()) as u64;
        (cpu(&lab, age.max(1)).len() >= 10).then_some(())
    };
    assert!(await_some(Duration::from_secs(180), calm_minutes).is_some());
    let first = |diagnosis: &Value| diagnosis["findings"][0]["id"].as_str().unwrap_or_default().to_owned();
    // Brokers that have just begun take several times the CPU, and are rightly called too small until they are warm.
    datapoints_until(&lab, began, &|said| said["verdict"].as_str().is_some_and(|verdict| verdict != "cause_found"));
    let before = lab.try_sh("kgen diagnose --source cloudwatch --delay 3s --json");
    let before: Value = serde_json::from_slice(&before.stdout).unwrap();
    assert_ne!(before["verdict"], "cause_found", "{before:#}");

    let overload = jiff::Timestamp::now();
    let load = lab.spawn("kgen produce --rate 500 --record-size 1000 --duration 900s --json", "load");
    let datapoints = datapoints_until(&lab, overload, &|said| first(said) == "broker.undersized");
    // The one that the load began in does not count.
    assert!(datapoints <= WITHIN_DATAPOINTS + 1, "named after {datapoints} datapoints");

    lab.begin("update-broker-type --target-instance-type kafka.m5.xlarge").complete(Duration::from_secs(300));
    let resized = jiff::Timestamp::now();
    let datapoints = datapoints_until(&lab, resized, &|said| said["verdict"] == "healthy");
    assert!(datapoints <= WITHIN_DATAPOINTS + 1, "healthy after {datapoints} datapoints");
    drop((calm, load));
    lab.down();
}

#[test]
#[ignore = "starts a lab without brokers"]
fn a_fleet_without_brokers_says_so_and_has_what_clients_ask_for() {
    let lab = Lab::with_options("--without-brokers --deny kafka:ListTopics");
    assert!(lab.sh("kgen lab status").contains("their metrics are SYNTHETIC"));
    assert_eq!(lab.json("kgen lab status --json")["denied"], json!(["kafka:ListTopics"]));
    lab.sh(
        r#"create() {
            curl -sf "$AWS_ENDPOINT_URL/v1/clusters" -o /dev/null -d "{\"clusterName\": \"$1\", \"kafkaVersion\": \"3.9.x\",
                \"numberOfBrokerNodes\": $2, \"brokerNodeGroupInfo\": {\"instanceType\": \"kafka.m5.large\",
                \"clientSubnets\": [\"subnet-1\", \"subnet-2\"$3]}}" -H "content-type: application/json" \
                -H "authorization: AWS4-HMAC-SHA256 Credential=lab/20261201/us-west-2/kafka/aws4_request, Signature=0"
        }
        for number in $(seq 1 98); do create "calm-$number" 3 ', "subnet-3"'; done
        create hot-1 30 ', "subnet-3"'
        create gap-1 8 """#,
    );
    let active = "aws kafka list-clusters-v2 --query 'length(ClusterInfoList[?State==`ACTIVE`])' --output text";
    lab.await_output(active, "100", 120);

    let arn = |name: &str| {
        let query = format!(
            "aws kafka list-clusters-v2 --cluster-name-filter {name} --query 'ClusterInfoList[0].ClusterArn' --output text"
        );
        lab.sh(&query).trim().to_owned()
    };
    let gap = arn("gap-1");
    let version = lab.sh(&format!(
        "aws kafka describe-cluster-v2 --cluster-arn {gap} --query ClusterInfo.CurrentVersion --output text"
    ));
    lab.begun(&format!(
        "aws kafka update-broker-count --cluster-arn {gap} --current-version {} --target-number-of-broker-nodes 6",
        version.trim()
    ))
    .complete(Duration::from_secs(30));
    let ids = format!(
        "aws kafka list-nodes --cluster-arn {gap} --query 'NodeInfoList[].BrokerNodeInfo.BrokerId' --output json"
    );
    assert_eq!(lab.json(&ids), json!([1.0, 2.0, 3.0, 4.0, 7.0, 8.0]));

    let denied = lab.try_sh(&format!("aws kafka list-topics --cluster-arn {gap}"));
    assert!(String::from_utf8_lossy(&denied.stderr).contains("AccessDeniedException"), "{denied:?}");
    let metric = |broker: u32| {
        let dimensions =
            json!([{ "Name": "Cluster Name", "Value": "hot-1" }, { "Name": "Broker ID", "Value": broker.to_string() }]);
        with_namespace(json!({ "MetricName": "CpuUser", "Dimensions": dimensions }))
    };
    let values = data(&lab, &[metric(1), metric(30)], 1200);
    assert!(values.iter().all(|of| of.len() > 5 && of.iter().all(|value| *value == 76.0)), "{values:?}");
    every_kind_of_cluster_gets_its_answer(&lab);
    lab.down();
}

/// What `kgen diagnose --cluster` says in an empty folder of clusters that the AWS CLI created, and `kgen clusters` of all.
fn every_kind_of_cluster_gets_its_answer(lab: &Lab) {
    lab.sh(r#"create() {
            aws kafka create-cluster --cluster-name $1 --kafka-version $3 --number-of-broker-nodes 3 > /dev/null \
                --broker-node-group-info "InstanceType=$2,ClientSubnets=[subnet-1,subnet-2,subnet-3]"
        }
        create hot-small kafka.t3.small 3.9.x
        create express-1 express.m7g.large 3.9.x.kraft
        create quiet-1 kafka.m5.large 3.9.x
        aws kafka create-cluster-v2 --cluster-name serverless-1 > /dev/null \
            --serverless 'VpcConfigs=[{SubnetIds=[subnet-1,subnet-2]}]'
        mkdir -p empty"#);
    // As text each page would be counted by itself.
    let active = "aws kafka list-clusters-v2 --query 'length(ClusterInfoList[?State==`ACTIVE`])' --output json";
    lab.await_output(active, "104", 60);
    let diagnosed = |name: &str, code: i32| -> Value {
        let ran = lab.try_sh(&format!("cd empty && kgen diagnose --cluster {name} --json"));
        let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert_eq!(ran.status.code(), Some(code), "{name}: {stdout}{stderr}");
        let document: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(document["view"], "outside", "{name}");
        document
    };
    let first = |document: &Value| document["findings"][0]["id"].as_str().unwrap_or_default().to_owned();
    let lacking = |document: &Value, id: &str| -> String {
        let not_assessed = document["coverage"]["not_assessed"].as_array().unwrap();
        not_assessed.iter().filter(|cause| cause["id"] == id).map(|cause| cause["lacking"].to_string()).collect()
    };

    let small = diagnosed("hot-small", 3);
    assert_eq!(first(&small), "broker.undersized", "{small:#}");
    let large = diagnosed("hot-1", 3);
    assert_eq!((first(&large).as_str(), &large["cluster"]["broker_count"]), ("broker.undersized", &json!(30)));
    let gap = diagnosed("gap-1", 0);
    assert_eq!(gap["cluster"]["broker_ids"], json!([1, 2, 3, 4, 7, 8]));
    // At the level DEFAULT, and without the topics API.
    let quota = lacking(&gap, "client.quota-throttled");
    assert!(quota.contains("PER_BROKER") && quota.contains("cloudwatch/pricing"), "{quota}");
    let leaders = lacking(&gap, "leaders.not-preferred");
    assert!(leaders.contains("kafka:ListTopics") && leaders.contains("not allowed"), "{leaders}");
    let express = diagnosed("express-1", 0);
    let not_applicable = express["coverage"]["not_applicable"].to_string();
    assert!(not_applicable.contains("disk.full") && not_applicable.contains("broker.heap-pressure"), "{express:#}");
    let serverless = diagnosed("serverless-1", 0);
    assert!(serverless["coverage"]["assessed"].to_string().contains("consumer.slow"), "{serverless:#}");
    let quiet = diagnosed("quiet-1", 4);
    let next = quiet["findings"][0]["next"].as_str().unwrap();
    assert!(first(&quiet) == "inconclusive.no-data" && next.contains("kgen explain"), "{quiet:#}");

    let listed = lab.try_sh("cd empty && kgen clusters --yes --json");
    assert_eq!(listed.status.code(), Some(3), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let rows = listed["clusters"].as_array().unwrap();
    let verdict = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap()["verdict"].clone();
    assert_eq!(rows.len(), 104);
    for (name, expected) in [
        ("hot-small", "cause_found"),
        ("hot-1", "cause_found"),
        ("gap-1", "healthy"),
        ("express-1", "healthy"),
        ("serverless-1", "healthy"),
        ("quiet-1", "inconclusive"),
    ] {
        assert_eq!(verdict(name), expected, "{name}");
    }
}
