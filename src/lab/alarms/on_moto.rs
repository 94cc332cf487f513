//! The alarms against moto, which keeps them.

use std::{net::TcpListener, time::Duration};

use aws_sdk_cloudwatch::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{ComparisonOperator, Dimension, StateValue, Statistic},
};
use parking_lot::Mutex;

use crate::{
    lab::{
        cloudwatch::{Datapoint, SeriesId, Store, now_ms},
        install::moto_server,
    },
    process::{Readiness, StartingServer},
};

#[test]
#[ignore = "starts moto"]
fn moto_gets_the_state_of_the_alarm() {
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
    let id = SeriesId::new("CpuUser", [("Cluster Name", "demo".to_owned()), ("Broker ID", "1".to_owned())]);
    let now = now_ms();
    let point = |back: i64| Datapoint { id: id.clone(), unit: "Percent", at_ms: now - back * 5000, values: vec![90.0] };
    let store = Mutex::new(Store::default());
    store.lock().add((0..6).rev().map(point).collect());
    assert_eq!(super::evaluate_all(&client, &store, Duration::from_secs(60)).await.unwrap(), []);
    let alarms = client.describe_alarms().send().await.unwrap();
    assert_eq!(alarms.metric_alarms()[0].state_value(), Some(&StateValue::Alarm));
}
