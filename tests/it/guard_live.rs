//! `kgen guard` over labs: accounts whose calls are refused, and clusters that really are broken among many that are not.
//!
//! `scripts/fleet` runs the second, which takes some ten minutes; `scripts/test` leaves it out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    awaited::{await_some, await_until},
    guard::{Manner, Receiver, webhook},
    lab::{Lab, Running},
};

/// Longest wait for what should come within a few rounds.
const SOON: Duration = Duration::from_secs(120);

/// Rounds without a message after which none is expected any more.
const QUIET_ROUNDS: usize = 4;

/// Clusters without brokers beside the broken ones; `KGEN_FLEET` sets another number.
const BESIDE: usize = 12;

/// Creates clusters of three brokers in `region` of a lab without brokers.
fn create(lab: &Lab, region: &str, names: &[String]) {
    let names = names.join(" ");
    lab.sh(&format!(
        r#"for name in {names}; do
            curl -sf "$AWS_ENDPOINT_URL/v1/clusters" -o /dev/null -d "{{\"clusterName\": \"$name\", \"kafkaVersion\": \"3.9.x\",
                \"numberOfBrokerNodes\": 3, \"brokerNodeGroupInfo\": {{\"instanceType\": \"kafka.m5.large\",
                \"clientSubnets\": [\"subnet-1\", \"subnet-2\", \"subnet-3\"]}}}}" -H "content-type: application/json" \
                -H "authorization: AWS4-HMAC-SHA256 Credential=lab/20261201/{region}/kafka/aws4_request, Signature=0"
        done"#
    ));
}

/// Regions of the accounts of a fleet, one each.
const REGIONS: [&str; 10] = [
    "us-west-2",
    "us-west-1",
    "us-east-1",
    "us-east-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "eu-central-1",
    "ap-south-1",
];

/// Creates so many clusters of three brokers in ten accounts; returns name and region of each account.
pub fn create_fleet(lab: &Lab, clusters: usize, prefix: &str) -> Vec<(String, &'static str)> {
    for (at, region) in REGIONS.iter().enumerate() {
        let of_region = (at..clusters).step_by(REGIONS.len());
        create(lab, region, &of_region.map(|number| format!("{prefix}-{number}")).collect::<Vec<_>>());
    }
    REGIONS.iter().enumerate().map(|(at, region)| (format!("account-{at}"), *region)).collect()
}

/// What the lab at hand was asked by readers of CloudWatch: metrics, and calls of ListMetrics.
fn answered(lab: &Lab) -> (u64, u64) {
    let answered = lab.json("curl -sf \"$AWS_ENDPOINT_URL/_lab/status\"")["answered"].clone();
    (answered["metrics"].as_u64().unwrap(), answered["list_metrics_calls"].as_u64().unwrap())
}

/// The shared AWS files with a profile for each account: its region, its access key, and the lab that it is in.
pub fn write_profiles(lab: &Lab, accounts: &[(&str, &str, &str, &str)]) {
    let config = accounts
        .iter()
        .map(|(name, region, _, endpoint)| format!("[profile {name}]\nregion = {region}\nendpoint_url = {endpoint}\n"));
    fs::write(lab.path().join("config"), config.collect::<String>()).unwrap();
    let keys = accounts.iter().map(|(name, _, key, _)| {
        format!("[{name}]\naws_access_key_id = {key}\naws_secret_access_key = not-a-secret\n")
    });
    fs::write(lab.path().join("credentials"), keys.collect::<String>()).unwrap();
}

/// `kgen guard` in the folder `watch` of the lab, with nothing but the profiles.
pub fn guard(options: &str) -> String {
    let unset = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"];
    let unset: String = unset.iter().map(|name| format!("-u {name} ")).collect();
    format!(
        "env {unset} AWS_REGION=us-west-2 AWS_CONFIG_FILE=$PWD/config AWS_SHARED_CREDENTIALS_FILE=$PWD/credentials \
         KGEN_ALLOW_REAL_CREDENTIALS=1 kgen -C watch guard {options}"
    )
}

pub fn configure(lab: &Lab, text: &str) {
    fs::create_dir_all(lab.path().join("watch")).unwrap();
    fs::write(lab.path().join("watch/guard.toml"), text).unwrap();
}

pub fn target(profile: &str) -> String {
    format!("[[target]]\nprofiles = [\"{profile}\"]\n")
}

/// Rounds that a guard has ended, by its log.
pub fn rounds(lab: &Lab) -> usize {
    let log = fs::read_to_string(lab.path().join("guard.log")).unwrap_or_default();
    log.lines().filter(|line| line.starts_with("clusters: ")).count()
}

/// Waits for some rounds more.
#[track_caller]
fn await_rounds(lab: &Lab, more: usize) {
    let begun = rounds(lab);
    await_until("rounds go on", SOON * 3, || rounds(lab) >= begun + more);
}

/// Messages that a receiver took, as (cluster or account, cause, status), each with how often it came.
fn told(receiver: &Receiver) -> BTreeMap<(String, String, String), usize> {
    let mut told = BTreeMap::new();
    for document in receiver.documents() {
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = (of(&document["subject"]["name"]), of(&document["cause"]), of(&document["status"]));
        *told.entry(key).or_default() += 1;
    }
    told
}

fn count(receiver: &Receiver, status: &str) -> usize {
    told(receiver).keys().filter(|(.., is)| is == status).count()
}

/// Each of `expected`, once.
fn once(expected: &[(&str, &str, &str)]) -> BTreeMap<(String, String, String), usize> {
    expected.iter().map(|(a, b, c)| (((*a).to_owned(), (*b).to_owned(), (*c).to_owned()), 1)).collect()
}

#[test]
#[ignore = "starts a lab without brokers"]
fn outages_of_accounts_are_told_once_and_end_without_a_restart() {
    let lab = Lab::with_options("--metrics-period 5s --without-brokers");
    let endpoint = lab.sh("printf %s \"$AWS_ENDPOINT_URL\"");
    let accounts = [
        ("expired", "us-west-2", "AKIAOLD"),
        ("denied", "eu-west-1", "AKIADENIED"),
        ("throttled", "eu-central-1", "AKIATHROTTLED"),
        ("disabled", "eu-north-1", "AKIADISABLED"),
        ("well", "us-east-1", "AKIAWELL"),
    ];
    for (name, region, _) in accounts {
        let prefix = if name == "well" { "hot" } else { "calm" };
        create(&lab, region, &[1, 2].map(|number| format!("{prefix}-{name}-{number}")));
    }
    let with_endpoint = |key_of_expired: &'static str| {
        accounts.map(|(name, region, key)| {
            (name, region, if name == "expired" { key_of_expired } else { key }, endpoint.as_str())
        })
    };
    write_profiles(&lab, &with_endpoint("AKIAOLD"));
    let receiver = Receiver::new(Manner::Takes);
    let targets: String = accounts.iter().map(|(name, ..)| target(name)).collect();
    let settings =
        "interval = \"1s\"\ncannot_see_after = \"3s\"\nwindow = \"5m\"\ngroups = false\nmax_usd_per_day = 1000\n";
    configure(&lab, &format!("{settings}{targets}{}", webhook("pager", &receiver.url)));
    let mut running = lab.spawn(&guard(""), "guard");
    let log = || lab.sh("tail -n 30 guard.log");
    let of_well = [("hot-well-1", "broker.undersized", "firing"), ("hot-well-2", "broker.undersized", "firing")];
    assert!(await_some(SOON, || (count(&receiver, "firing") == 2).then_some(())).is_some(), "{}", log());
    await_rounds(&lab, 2);
    assert_eq!(told(&receiver), once(&of_well));

    let outages = json!([
        { "kind": "expired", "key": "AKIAOLD" },
        { "kind": "denied", "key": "AKIADENIED" },
        { "kind": "throttled", "key": "AKIATHROTTLED" },
        { "kind": "unrecognized", "region": "eu-north-1" },
    ]);
    let refuse = |outages: &Value| {
        lab.sh(&format!(
            "curl -sf -X PUT \"$AWS_ENDPOINT_URL/_lab/outages\" -H 'content-type: application/json' -d '{outages}'"
        ));
    };
    refuse(&outages);
    assert!(await_some(SOON, || (count(&receiver, "firing") == 6).then_some(())).is_some(), "{}", log());
    await_rounds(&lab, QUIET_ROUNDS);
    let unseen = ["expired", "denied", "throttled", "disabled"].map(|name| (name, "guard.cannot-see", "firing"));
    assert_eq!(told(&receiver), once(&[&of_well[..], &unseen].concat()));
    let why = |name: &str| {
        let of = |document: &Value| (document["subject"]["name"] == name).then(|| document["why"].to_string());
        receiver.documents().iter().find_map(of).unwrap()
    };
    for (name, word) in [
        ("expired", "ExpiredTokenException"),
        ("denied", "is not allowed"),
        ("throttled", "TooManyRequestsException"),
        ("disabled", "UnrecognizedClientException"),
    ] {
        assert!(why(name).contains(word), "{name}: {}", why(name));
    }

    // New credentials, while the old ones stay expired; the others by themselves.
    write_profiles(&lab, &with_endpoint("AKIANEW"));
    refuse(&json!([outages[0]]));
    assert!(await_some(SOON, || (count(&receiver, "resolved") == 4).then_some(())).is_some(), "{}", log());
    await_rounds(&lab, QUIET_ROUNDS);
    let seen = ["expired", "denied", "throttled", "disabled"].map(|name| (name, "guard.cannot-see", "resolved"));
    assert_eq!(told(&receiver), once(&[&of_well[..], &unseen, &seen].concat()));
    assert_eq!(running.ended(), None, "{}", log());
    assert_eq!(running.interrupt(SOON), 0, "{}", log());

    // What a round says that it cost is what the lab was asked.
    let before = answered(&lab);
    let document: Value =
        serde_json::from_slice(&lab.try_sh(&guard("--once --format json")).stdout).unwrap_or_default();
    let (metrics, listings) = answered(&lab);
    let (metrics, listings) = (metrics - before.0, listings - before.1);
    assert!(metrics > 0, "{document:#}");
    assert_eq!(document["metrics"].as_u64(), Some(metrics));
    let usd = (metrics + listings) as f64 * 0.01 / 1000.0;
    assert!((document["usd"].as_f64().unwrap() - usd).abs() < 1e-9, "{} is not {usd}", document["usd"]);
    lab.down();
}

/// What is real and will be broken: name, region, broker type, the cause that is right. The last one is seen from inside: from
/// outside, a group that has stopped may also have left.
const BROKEN: [(&str, &str, &str, &str); 3] = [
    ("small", "us-west-2", "kafka.t3.small", "broker.undersized"),
    ("full", "us-west-2", "kafka.m5.large", "disk.full"),
    ("stalled", "eu-west-1", "kafka.m5.large", "consumer.stalled"),
];

/// Creates a cluster of two real brokers.
fn create_real(lab: &Lab, name: &str, region: &str, broker_type: &str) {
    lab.sh(&format!(
        "aws kafka create-cluster --region {region} --cluster-name {name} --kafka-version 3.9.x --number-of-broker-nodes 2 > /dev/null \
         --enhanced-monitoring PER_BROKER \
         --encryption-info 'EncryptionInTransit={{ClientBroker=TLS_PLAINTEXT,InCluster=true}}' \
         --broker-node-group-info '{{\"InstanceType\":\"{broker_type}\",\"ClientSubnets\":[\"subnet-1\",\"subnet-2\"],\
         \"SecurityGroups\":[\"sg-1\"],\"StorageInfo\":{{\"EbsStorageInfo\":{{\"VolumeSize\":10}}}}}}'"
    ));
}

/// Waits until two rounds in a row with these settings call all of `clusters` healthy: brokers that have just started are busy
/// with themselves.
#[track_caller]
fn await_calm(lab: &Lab, settings: &str, clusters: usize) {
    fs::write(lab.path().join("watch/before.toml"), settings).unwrap();
    let (mut calm, mut last) = (0, Value::Null);
    await_until("every cluster is healthy", SOON * 3, || {
        let ran = lab.try_sh(&guard("--config watch/before.toml --once --format json"));
        last = serde_json::from_slice(&ran.stdout).unwrap_or(Value::Null);
        let rows = last["clusters"].as_array();
        let healthy = rows.into_iter().flatten().filter(|row| row["verdict"] == "healthy").count();
        calm = if healthy == clusters { calm + 1 } else { 0 };
        std::thread::sleep(Duration::from_secs(4));
        calm == 2
    });
}

/// What `/metrics` of the guard has shown of its rounds.
#[derive(Default)]
struct Watched {
    /// First round in which a cause was seen of a cluster, and first round after that in which it was not.
    seen: BTreeMap<String, (u64, Option<u64>)>,
    round: u64,
}

impl Watched {
    fn look(&mut self, page: &str) {
        let Some(round) = page.lines().find_map(|line| line.strip_prefix("kgen_guard_rounds_total ")?.parse().ok())
        else {
            return;
        };
        self.round = round;
        let label = |line: &str, name: &str| {
            line.split(&format!("{name}=\""))
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .unwrap_or_default()
                .to_owned()
        };
        let found: BTreeSet<String> = page
            .lines()
            .filter(|line| line.starts_with("kgen_finding{"))
            .map(|line| format!("{} {}", label(line, "cluster"), label(line, "cause")))
            .collect();
        for (name, (_, gone)) in &mut self.seen {
            *gone = if found.contains(name) { None } else { gone.or(Some(round)) };
        }
        for name in found {
            self.seen.entry(name).or_insert((round, None));
        }
    }
}

#[test]
#[ignore = "starts two labs, one of them with six real brokers"]
fn three_broken_clusters_among_many_are_each_told_once_and_resolved_once() {
    let count_beside = std::env::var("KGEN_FLEET").ok().and_then(|count| count.parse().ok()).unwrap_or(BESIDE);
    let lab = Lab::with_options("--metrics-period 5s");
    let fleet = Lab::with_options("--metrics-period 5s --without-brokers");
    if !lab.can_make("disk.full") {
        panic!("this machine cannot make the fault disk.full: root and mounts are needed");
    }
    let endpoint = |lab: &Lab| lab.sh("printf %s \"$AWS_ENDPOINT_URL\"");
    BROKEN.iter().for_each(|(name, region, broker_type, _)| create_real(&lab, name, region, broker_type));
    let of_fleet = create_fleet(&fleet, count_beside, "calm");
    let states =
        "curl -sf \"$AWS_ENDPOINT_URL/_lab/status\" | jq '[.clusters[] | select(.state == \"ACTIVE\")] | length'";
    lab.await_output(states, "3", 240);
    for (name, region, ..) in BROKEN {
        lab.sh(&format!(
            "kgen topic create orders --cluster {name} --region {region} --partitions 4 --replication-factor 2 --config min.insync.replicas=1"
        ));
    }
    let produce = |name: &str, rate: u32, size: u32, as_name: &str| {
        let region = if name == "stalled" { "eu-west-1" } else { "us-west-2" };
        lab.spawn(
            &format!(
                "kgen produce --cluster {name} --region {region} --topic orders --rate {rate} --record-size {size} --duration 1h --plain"
            ),
            as_name,
        )
    };
    let consume = |options: &str, as_name: &str| {
        lab.spawn(
            &format!("kgen consume --cluster stalled --region eu-west-1 --topic orders --group workers --duration 1h {options}"),
            as_name,
        )
    };
    let _calm = BROKEN.map(|(name, ..)| produce(name, 30, 500, &format!("calm-{name}")));
    let mut consumer: Option<Running> = Some(consume("", "reader"));

    let receivers = [Receiver::new(Manner::Takes), Receiver::new(Manner::Slow)];
    let endpoints = [endpoint(&lab), endpoint(&fleet)];
    let mut accounts = vec![
        ("real", "us-west-2", "AKIAREAL", endpoints[0].as_str()),
        ("near", "eu-west-1", "AKIANEAR", endpoints[0].as_str()),
    ];
    accounts.extend(of_fleet.iter().map(|(name, region)| (name.as_str(), *region, "AKIAFLEET", endpoints[1].as_str())));
    write_profiles(&lab, &accounts);
    let inside = |name: &str| if name == "near" { "inside = \"20s\"\n" } else { "" };
    let targets: String = accounts.iter().map(|(name, ..)| target(name) + inside(name)).collect();
    let page =
        format!("127.0.0.1:{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let settings = format!("interval = \"5s\"\nwindow = \"10m\"\nmax_usd_per_day = 1000\nmetrics = \"{page}\"\n");
    let sinks = webhook("first", &receivers[0].url) + &webhook("second", &receivers[1].url);
    configure(&lab, &format!("{settings}{targets}{sinks}"));
    await_calm(&lab, &format!("{settings}state = \".kgen/before\"\n{targets}"), count_beside + BROKEN.len());
    let running = lab.spawn(&guard(""), "guard");
    let log = || lab.sh("tail -n 40 guard.log");
    let mut watched = Watched::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let look = |watched: &mut Watched| {
        let text = runtime.block_on(async { reqwest::get(format!("http://{page}/metrics")).await?.text().await });
        text.iter().for_each(|text| watched.look(text));
    };
    await_rounds(&lab, QUIET_ROUNDS / 2);
    assert_eq!(told(&receivers[0]), BTreeMap::new(), "{}", log());

    let overload = produce("small", 400, 1000, "overload");
    drop(consumer.take());
    consumer = Some(consume("--stall 24h@3s", "staller"));
    let fault = |method: &str, rest: &str| {
        lab.sh(&format!("curl -sf -X {method} \"$AWS_ENDPOINT_URL/_lab/faults{rest} > /dev/null"));
    };
    fault(
        "POST",
        "\" -H 'content-type: application/json' -d '{\"id\": \"disk.full\", \"cluster\": \"full\", \"broker\": 2, \"topic\": \"orders\"}'",
    );
    // Fast enough that the volume is full before two rounds have seen it fill.
    let filler = produce("full", 1000, 1000, "filler");
    let mut told_in: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut await_told = |watched: &mut Watched, status: &str| {
        let all = await_some(SOON * 3, || {
            look(watched);
            for (name, _, is) in told(&receivers[0]).into_keys() {
                told_in.entry((name, is)).or_insert(watched.round);
            }
            receivers.iter().all(|receiver| count(receiver, status) >= BROKEN.len()).then_some(())
        });
        assert!(all.is_some(), "{status}: {:#?}\n{}", receivers.each_ref().map(told), log());
    };
    await_told(&mut watched, "firing");
    let firing = BROKEN.map(|(name, _, _, cause)| (name, cause, "firing"));
    assert_eq!(told(&receivers[0]), once(&firing), "{}", log());

    // The fix of the first is the command that its message has.
    let fix = receivers[0].documents().iter().find(|document| document["subject"]["name"] == "small").cloned().unwrap();
    lab.sh(fix["fix"]["aws_cli"].as_str().unwrap());
    drop(consumer.take());
    consumer = Some(consume("", "reader-again"));
    drop(filler);
    fault("DELETE", "?cluster=full\"");
    await_told(&mut watched, "resolved");
    // It was carried; that each of its records is a request of its own is another finding.
    drop(overload);
    await_rounds(&lab, QUIET_ROUNDS / 2);
    look(&mut watched);
    let resolved = BROKEN.map(|(name, _, _, cause)| (name, cause, "resolved"));
    for receiver in &receivers {
        assert_eq!(told(receiver), once(&[firing, resolved].concat()), "{}", log());
    }
    // Within two rounds: the round in which it is seen or gone is the first of them.
    for (name, _, _, cause) in BROKEN {
        let (seen, gone) = watched.seen[&format!("{name} {cause}")];
        let told_in = |status: &str| told_in[&(name.to_owned(), status.to_owned())];
        eprintln!(
            "{name}: seen in round {seen}, told in {}; gone in {gone:?}, told in {}",
            told_in("firing"),
            told_in("resolved")
        );
        assert!(told_in("firing") <= seen + 2, "{name} {:?}", watched.seen);
        assert!(gone.is_some_and(|gone| told_in("resolved") <= gone + 2), "{name} {:?}", watched.seen);
    }
    eprintln!("{}", lab.sh(&format!("grep -E 'VmHWM|VmRSS' /proc/{}/status; tail -n 1 guard.log", running.pid())));
    assert_eq!(running.interrupt(SOON), 0, "{}", log());

    // The views that a round used.
    let ran = lab.try_sh(&guard("--config watch/before.toml --once --format json"));
    let document: Value = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    let rows = document["clusters"].as_array().into_iter().flatten();
    let inside = rows.filter(|row| row["view"] == "inside" && row["verdict"].is_string());
    assert_eq!(inside.map(|row| &row["name"]).collect::<Vec<_>>(), ["stalled"], "{document:#}");
    drop(consumer);
    fleet.down();
    lab.down();
}
