//! Publication and alarms against a real moto.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_cloudwatch::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{ComparisonOperator, Dimension, StateValue, Statistic},
};
use tokio::sync::watch;

use crate::{
    catalogue::{BrokerType, MonitoringLevel},
    lab::{
        cloudwatch::{Series, now_ms, publish},
        install::moto_server,
        readings::{FleetReading, Reading},
    },
    process::{Readiness, StartingServer},
    sample::BrokerSample,
};

#[test]
#[ignore = "starts moto"]
fn moto_gets_the_metrics_and_the_state_of_the_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let moto = moto_server(&|line| eprintln!("{line}")).unwrap();
    let args = ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
    let server = StartingServer::start("moto", &moto, args, &[], dir.path(), &dir.path().join("log")).unwrap();
    let check = || match std::net::TcpStream::connect(("127.0.0.1", port)) {
        Ok(_) => Readiness::Ready,
        Err(_) => Readiness::NotYet,
    };
    let _moto = server.ready(Duration::from_secs(60), check).unwrap();
    let config = aws_sdk_cloudwatch::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-west-2"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .build();
    let client = Client::from_conf(config);
    tokio::runtime::Runtime::new().unwrap().block_on(story(client));
}

async fn story(client: Client) {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let put = client
        .put_metric_alarm()
        .alarm_name("cpu")
        .namespace("AWS/Kafka")
        .metric_name("CpuUser")
        .dimensions(dimension("Cluster Name", "demo"))
        .dimensions(dimension("Broker ID", "1"))
        .statistic(Statistic::Average)
        .period(10)
        .evaluation_periods(1)
        .threshold(60.0)
        .comparison_operator(ComparisonOperator::GreaterThanThreshold);
    put.send().await.unwrap();
    let series = Arc::new(Mutex::new(Series::default()));
    let (sender, readings) = watch::channel(Arc::default());
    let (_level, level) = watch::channel(MonitoringLevel::PerBroker);
    let task = tokio::spawn(publish(client.clone(), readings, level, series.clone(), |line| panic!("{line}")));
    for _ in 0..23 {
        let sample = BrokerSample { cpu_user_percent: Some(90.0), ..BrokerSample::default() };
        let reading = Reading {
            broker_type: BrokerType::T3_SMALL,
            sample,
            cpu_idle_percent: Some(10.0),
            request_handler_idle: None,
            network_idle: None,
            connections: None,
        };
        let reading = FleetReading { cluster_name: "demo".into(), at_ms: now_ms(), brokers: [(1, reading)].into() };
        sender.send(Arc::new(reading)).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(super::evaluate_all(&client, &series).await.unwrap(), []);
    let alarms = client.describe_alarms().send().await.unwrap();
    assert_eq!(alarms.metric_alarms()[0].state_value(), Some(&StateValue::Alarm));
    drop(sender);
    task.await.unwrap();
    let metrics = client.list_metrics().namespace("AWS/Kafka").send().await.unwrap();
    let names: Vec<_> = metrics.metrics().iter().filter_map(|metric| metric.metric_name()).collect();
    assert!(names.contains(&"CpuUser") && names.contains(&"CpuIdle"), "{names:?}");
}
