//! `kgen guard` against a control plane and a CloudWatch without brokers, and against receivers of every kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::to_bytes, extract::Request, http::StatusCode};
use serde_json::Value;
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    awaited::await_some,
    lab::Chance,
    outside::{Fake, Stub},
    project::Ran,
};

/// How a receiver takes messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Manner {
    Takes,
    Slow,
    Fails,
    /// Has the message, and never answers.
    Hangs,
}

/// Path, id and document of each message.
type Taken = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A receiver of webhooks. Ends with the test.
pub struct Receiver {
    pub url: String,
    manner: Arc<Mutex<Manner>>,
    /// What was answered with 200: path, id, document.
    taken: Taken,
    /// Every request.
    asked: Arc<Mutex<usize>>,
    _runtime: Runtime,
}

impl Receiver {
    pub fn new(manner: Manner) -> Receiver {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (manner, taken, asked) = (Arc::new(Mutex::new(manner)), Taken::default(), Arc::new(Mutex::new(0)));
        let state = (Arc::clone(&manner), Arc::clone(&taken), Arc::clone(&asked));
        let app = Router::new().fallback(move |request: Request| {
            let (manner, taken, asked) = state.clone();
            async move {
                let path = request.uri().path().to_owned();
                let id = request.headers().get("idempotency-key").and_then(|id| id.to_str().ok()).unwrap_or_default();
                let id = id.to_owned();
                let body = to_bytes(request.into_body(), 1 << 24).await.unwrap_or_default();
                *asked.lock().unwrap() += 1;
                let manner = *manner.lock().unwrap();
                match manner {
                    Manner::Fails => return StatusCode::INTERNAL_SERVER_ERROR,
                    Manner::Hangs => std::future::pending().await,
                    Manner::Slow => tokio::time::sleep(Duration::from_millis(60)).await,
                    Manner::Takes => {}
                }
                let document = serde_json::from_slice(&body).unwrap_or(Value::Null);
                taken.lock().unwrap().push((path, id, document));
                StatusCode::OK
            }
        });
        runtime.spawn(async move { axum::serve(listener, app).await });
        Receiver { url, manner, taken, asked, _runtime: runtime }
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub fn documents(&self) -> Vec<Value> {
        self.taken.lock().unwrap().iter().map(|(.., document)| document.clone()).collect()
    }

    /// How often each message was taken, by its id.
    fn ids(&self) -> BTreeMap<String, usize> {
        let mut ids = BTreeMap::new();
        self.taken.lock().unwrap().iter().for_each(|(_, id, _)| *ids.entry(id.clone()).or_default() += 1);
        ids
    }
}

/// Clusters whose brokers all use so much CPU, percent.
fn with_cpu(names: &[String], cpu: f64) -> Vec<Fake> {
    let cluster = |name: &String| {
        let mut cluster = Fake::new(name, "kafka.t3.small", 3);
        cluster.cpu = Some(cpu);
        cluster
    };
    names.iter().map(cluster).collect()
}

pub fn hot(names: &[String]) -> Stub {
    Stub::serving(with_cpu(names, 97.0))
}

/// Nothing is wrong with them.
pub fn calm(names: &[String]) -> Stub {
    Stub::serving(with_cpu(names, 20.0))
}

pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("orders-{number}")).collect()
}

/// `guard.toml` in `dir`, which judges what is older than `minutes`: a run with a smaller number has news.
pub fn configure(dir: &Path, minutes: u32, rest: &str) {
    let groups = if rest.contains("groups =") { "" } else { "groups = false\n" };
    let text = format!("delay = \"{minutes}m\"\n{groups}{rest}");
    fs::write(dir.join("guard.toml"), text).unwrap();
}

pub fn once(stub: &Stub, dir: &Path, options: &[&str]) -> Ran {
    let mut command = stub.command(&["-C", dir.to_str().unwrap(), "guard", "--once"]);
    command.args(options).env("AWS_REGION", "us-west-2").output().unwrap().into()
}

/// Two rounds after which every cluster of `names` fires, and nobody was told.
pub fn fired(names: &[String], dir: &Path) -> Stub {
    let stub = hot(names);
    for minutes in [60, 50] {
        configure(dir, minutes, "");
        let ran = once(&stub, dir, &[]);
        assert_eq!(ran.code, Some(3), "{}\n{}", ran.stdout, ran.stderr);
    }
    stub
}

pub fn webhook(name: &str, url: &str) -> String {
    format!("[[sink]]\nkind = \"webhook\"\nname = \"{name}\"\nurl = \"{url}\"\n")
}

/// A guard in the background; killed with SIGKILL when it is dropped.
pub struct Running(Child);

impl Running {
    pub fn start(stub: &Stub, dir: &Path, log: &str) -> Running {
        Running::start_with(&[], stub, dir, log)
    }

    fn start_with(variables: &[(&str, &Path)], stub: &Stub, dir: &Path, log: &str) -> Running {
        let log = fs::File::options().create(true).append(true).open(dir.join(log)).unwrap();
        let mut command = stub.command(&["-C", dir.to_str().unwrap(), "guard"]);
        command.envs(variables.iter().copied()).env("AWS_REGION", "us-west-2").stdin(Stdio::null());
        Running(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_alert_is_sent_once_when_it_begins_and_once_when_it_ends() {
    let (dir, receiver, names) = (tempfile::tempdir().unwrap(), Receiver::new(Manner::Takes), names(1));
    let (hot, calm) = (hot(&names), calm(&names));
    let sinks = webhook("pager", &receiver.url) + "[[sink]]\nkind = \"slack\"\nurl = \"" + &receiver.url + "/slack\"\n";
    let mut told = Vec::new();
    for (stub, minutes, code) in
        [(&hot, 60, 3), (&hot, 50, 3), (&hot, 40, 3), (&hot, 40, 3), (&calm, 30, 0), (&calm, 20, 0), (&calm, 10, 0)]
    {
        configure(dir.path(), minutes, &sinks);
        let ran = once(stub, dir.path(), &[]);
        assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
        told.push(receiver.documents().len());
    }
    assert_eq!(told, [0, 2, 2, 2, 2, 4, 4], "{:#?}", receiver.documents());
    let of_webhook: Vec<Value> =
        receiver.documents().into_iter().filter(|document| document["schema"] == "kgen.alert/1").collect();
    let of = |at: usize, key: &str| of_webhook[at][key].as_str().unwrap_or_default().to_owned();
    assert_eq!((of(0, "status"), of(1, "status")), ("firing".to_owned(), "resolved".to_owned()));
    assert_eq!((of(0, "cause"), of(0, "alert")), ("broker.undersized".to_owned(), of(1, "alert")));
    let fix = &of_webhook[0]["fix"];
    assert!(fix["aws_cli"].as_str().unwrap().starts_with("aws kafka update-broker-type --cluster-arn arn:aws:kafka:"));
    assert!(fix["hcl_diff"].as_str().unwrap().contains("+    instance_type = "), "{fix}");
    assert!(!of_webhook[0]["not_assessed"].as_array().unwrap().is_empty());
    let slack = receiver.documents().into_iter().find(|document| document["text"].is_string()).unwrap();
    assert!(slack["text"].as_str().unwrap().contains("orders-0 in us-west-2: broker.undersized"), "{slack}");
}

#[test]
fn a_round_is_printed_in_every_form() {
    let (dir, names) = (tempfile::tempdir().unwrap(), names(1));
    let stub = hot(&names);
    configure(dir.path(), 10, "");
    let json = once(&stub, dir.path(), &["--format", "json"]);
    crate::frontdoor::validate("guard", &json.stdout);
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(document["findings"][0]["cause"], "broker.undersized");
    for (format, part) in [
        ("text", "orders-0 (us-west-2): broker.undersized"),
        ("markdown", "<!-- kgen-guard -->\n## MSK clusters"),
        ("github", "::warning title=orders-0"),
        ("junit", "<failure type=\"broker.undersized\""),
    ] {
        let ran = once(&stub, dir.path(), &["--format", format]);
        assert!(ran.stdout.contains(part) && ran.code == Some(3), "{format}: {}\n{}", ran.stdout, ran.stderr);
    }
    let ran = once(&stub, dir.path(), &["--exit-zero"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let hidden = {
        let mut command = stub.command(&["--redact", "-C", dir.path().to_str().unwrap(), "guard", "--once"]);
        Ran::from(command.env("AWS_REGION", "us-west-2").output().unwrap())
    };
    assert!(!hidden.stdout.contains("orders-0") && !hidden.stdout.contains("123456789012"), "{}", hidden.stdout);
}

#[test]
fn a_silenced_finding_is_shown_and_told_to_nobody() {
    let (dir, receiver, names) = (tempfile::tempdir().unwrap(), Receiver::new(Manner::Takes), names(1));
    let stub = hot(&names);
    let silence = "[[silence]]\ncluster = \"orders-*\"\nuntil = \"2999-01-01T00:00:00Z\"\n";
    for minutes in [60, 50, 40] {
        configure(dir.path(), minutes, &(webhook("pager", &receiver.url) + silence));
        let ran = once(&stub, dir.path(), &[]);
        assert!(ran.code == Some(0) && ran.stdout.contains("silenced"), "{}\n{}", ran.stdout, ran.stderr);
    }
    assert!(receiver.documents().is_empty());
}

#[test]
fn receivers_that_fail_or_hang_hold_up_no_round_and_lose_nothing() {
    let (dir, names) = (tempfile::tempdir().unwrap(), names(3));
    let stub = fired(&names, dir.path());
    let manners = [Manner::Takes, Manner::Slow, Manner::Fails, Manner::Hangs];
    let receivers = manners.map(Receiver::new);
    let sinks = receivers.iter().zip(["a", "b", "c", "d"]).map(|(receiver, name)| webhook(name, &receiver.url));
    configure(dir.path(), 40, &format!("interval = \"1s\"\nmax_usd_per_day = 1000\n{}", sinks.collect::<String>()));
    let running = Running::start(&stub, dir.path(), "log");
    let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    let rounds = || log().lines().filter(|line| line.starts_with("clusters: 3")).count();
    // Rounds go on while one receiver hangs and another fails; the others have everything.
    let is_on = || (rounds() >= 5 && receivers[..2].iter().all(|receiver| receiver.ids().len() == 3)).then_some(());
    assert!(await_some(Duration::from_secs(60), is_on).is_some(), "{}", log());
    assert!(receivers[2..].iter().all(|receiver| receiver.ids().is_empty() && *receiver.asked.lock().unwrap() > 0));
    assert!(log().contains("sink c: HTTP status 500; its messages are kept"), "{}", log());
    drop(running);
    // They recover, and a new guard has what the old one could not deliver.
    receivers.iter().for_each(|receiver| receiver.set(Manner::Takes));
    let running = Running::start(&stub, dir.path(), "log");
    let has_all = || receivers.iter().all(|receiver| receiver.ids().len() == 3).then_some(());
    assert!(await_some(Duration::from_secs(60), has_all).is_some(), "{}", log());
    drop(running);
    for (receiver, manner) in receivers.iter().zip(manners) {
        assert!(receiver.ids().values().all(|times| *times == 1), "{manner:?}: {:?}", receiver.ids());
    }
}

#[test]
fn a_killed_guard_loses_no_message_and_repeats_one_only_with_the_same_id() {
    const KILLS: usize = 20;
    let (dir, names) = (tempfile::tempdir().unwrap(), names(12));
    let stub = fired(&names, dir.path());
    let receiver = Receiver::new(Manner::Slow);
    configure(
        dir.path(),
        40,
        &format!("interval = \"1s\"\nmax_usd_per_day = 1000\n{}", webhook("pager", &receiver.url)),
    );
    let mut seed: u64 = 7;
    for _ in 0..KILLS {
        let running = Running::start(&stub, dir.path(), "log");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(20 + (seed >> 33) % 400));
        drop(running);
    }
    let running = Running::start(&stub, dir.path(), "log");
    let has_all = || (receiver.ids().len() == names.len()).then_some(());
    let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    assert!(await_some(Duration::from_secs(120), has_all).is_some(), "{:?}\n{}", receiver.ids(), log());
    drop(running);
    // Each kill may have come between one delivery and its write, and no more than that is sent again.
    let again: usize = receiver.ids().values().map(|times| times - 1).sum();
    assert!(again <= KILLS, "{again} sent again: {:?}", receiver.ids());
    let alerts: BTreeSet<String> =
        receiver.documents().iter().map(|document| document["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!(alerts.len(), names.len());
}

#[test]
fn alerts_that_begin_and_end_while_the_guard_is_killed_are_told_once() {
    const KILLS: usize = 20;
    let (dir, names) = (tempfile::tempdir().unwrap(), names(4));
    let stubs = [(hot(&names), "firing"), (calm(&names), "resolved")];
    let receiver = Receiver::new(Manner::Slow);
    let settings = format!("interval = \"1s\"\nmax_usd_per_day = 1000\n{}", webhook("pager", &receiver.url));
    let mut chance = Chance(seed());
    // A start after the other has new datapoints.
    let mut minutes = (10..120).rev().step_by(2);
    let mut configure = || configure(dir.path(), minutes.next().unwrap(), &settings);
    for (stub, status) in &stubs {
        for _ in 0..KILLS / stubs.len() {
            configure();
            let running = Running::start(stub, dir.path(), "log");
            std::thread::sleep(Duration::from_millis(30 + chance.below(1200) as u64));
            drop(running);
        }
        for _ in 0..3 {
            configure();
            once(stub, dir.path(), &[]);
        }
        let of_status = |document: &&Value| document["status"] == *status;
        let documents = receiver.documents();
        let ids: BTreeSet<String> =
            documents.iter().filter(of_status).map(|document| document["id"].to_string()).collect();
        let alerts: BTreeSet<String> =
            documents.iter().filter(of_status).map(|document| document["alert"].to_string()).collect();
        let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        assert_eq!((alerts.len(), ids.len()), (names.len(), names.len()), "{status}: {documents:#?}\n{log}");
    }
    // No alert is told with another id, and each kill sends at most one message once more, with its own.
    let again: usize = receiver.ids().values().map(|times| times - 1).sum();
    assert!(again <= KILLS && receiver.ids().len() == 2 * names.len(), "{again}: {:?}", receiver.ids());
}

/// `KGEN_SEED`, or what is played without it.
fn seed() -> u64 {
    std::env::var("KGEN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(25)
}

/// A library that adds the seconds in the file `CLOCK_AHEAD` to the clock of a process it is preloaded into.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CLOCK_AHEAD");
    char text[32];
    int result = real(id, now), file;
    if (result || id != CLOCK_REALTIME || !path || (file = open(path, O_RDONLY)) < 0) return result;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    text[length > 0 ? length : 0] = 0;
    now->tv_sec += atol(text);
    return 0;
}
"#;

#[test]
fn a_clock_that_jumps_under_a_running_guard_tells_nothing_twice() {
    const DAY: i64 = 24 * 3600;
    let (dir, names) = (tempfile::tempdir().unwrap(), names(3));
    let path = |name: &str| dir.path().join(name);
    fs::write(path("clock.c"), CLOCK).unwrap();
    let built = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([path("clock.so"), path("clock.c")])
        .arg("-ldl")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let set_ahead = |seconds: i64| {
        fs::write(path("next"), seconds.to_string()).unwrap();
        fs::rename(path("next"), path("ahead")).unwrap();
    };
    set_ahead(0);

    let stub = fired(&names, dir.path());
    let receiver = Receiver::new(Manner::Takes);
    let settings = format!("interval = \"1s\"\nmax_usd_per_day = 1000\n{}", webhook("pager", &receiver.url));
    configure(dir.path(), 40, &settings);
    let variables = [("LD_PRELOAD", path("clock.so")), ("CLOCK_AHEAD", path("ahead"))];
    let variables = variables.each_ref().map(|(name, path)| (*name, path.as_path()));
    let running = Running::start_with(&variables, &stub, dir.path(), "log");
    let log = || fs::read_to_string(path("log")).unwrap_or_default();
    let rounds = || log().lines().filter(|line| line.starts_with("clusters: 3")).count();
    let told = || {
        let of = |status: &str| receiver.documents().iter().filter(|document| document["status"] == status).count();
        (of("firing"), of("resolved"))
    };
    let rounds_pass = |more: usize| {
        let before = rounds();
        await_some(Duration::from_secs(60), || (rounds() >= before + more).then_some(())).is_some()
    };
    let await_rounds = |more: usize| assert!(rounds_pass(more), "{}", log());
    let told_all = await_some(Duration::from_secs(60), || (told() == (3, 0)).then_some(()));
    assert!(told_all.is_some(), "{:?}\n{}", told(), log());
    // Ahead, back behind the first datapoint, and right again: the rounds go on, and there is no news.
    for ahead in [2 * DAY, -DAY, 0, 400 * DAY, 0] {
        set_ahead(ahead);
        await_rounds(3);
        assert_eq!(told(), (3, 0), "{ahead}: {}", log());
        let state = fs::read(path(".kgen/guard/state.json")).unwrap();
        let day = serde_json::from_slice::<Value>(&state).unwrap()["spent"]["day"].as_str().unwrap().to_owned();
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
        assert_eq!(day, now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string(), "the process has the other clock");
    }
    // A request that is under way when the clock jumps ends, too: it jumps all the time.
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for ahead in [400 * DAY, 0].into_iter().cycle().take_while(|_| !is_over.load(Ordering::SeqCst)) {
                set_ahead(ahead);
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        let passed = rounds_pass(5);
        is_over.store(true, Ordering::SeqCst);
        assert!(passed, "{}", log());
    });
    set_ahead(0);
    await_rounds(2);
    assert_eq!(told(), (3, 0), "{}", log());
    // What ends is told once, though each of these rounds is an hour after, or before, the last.
    stub.set(with_cpu(&names, 20.0));
    for ahead in [3600, 7200, 10_800, -3600, 0, DAY, 0] {
        set_ahead(ahead);
        await_rounds(2);
    }
    let told_all = await_some(Duration::from_secs(60), || (told() == (3, 3)).then_some(()));
    assert!(told_all.is_some(), "{:?}\n{}", told(), log());
    assert!(receiver.ids().values().all(|times| *times == 1), "{:?}", receiver.ids());
    drop(running);
}

#[test]
fn two_guards_on_one_state_exclude_each_other() {
    let (dir, names) = (tempfile::tempdir().unwrap(), names(1));
    let stub = calm(&names);
    configure(dir.path(), 10, "");
    let running = Running::start(&stub, dir.path(), "log");
    let is_up = || dir.path().join(".kgen/guard/state.json").exists().then_some(());
    assert!(await_some(Duration::from_secs(30), is_up).is_some());
    let second = once(&stub, dir.path(), &[]);
    assert_eq!(second.code, Some(2), "{}", second.stderr);
    assert!(second.stderr.contains("is locked by another kgen"), "{}", second.stderr);
    drop(running);
    assert_eq!(once(&stub, dir.path(), &[]).code, Some(0));
}

#[test]
fn a_damaged_or_newer_state_is_refused_and_left_alone() {
    let (dir, names) = (tempfile::tempdir().unwrap(), names(1));
    let stub = calm(&names);
    let state = dir.path().join(".kgen/guard/state.json");
    fs::create_dir_all(state.parent().unwrap()).unwrap();
    for (text, expected) in [("{\"schema\": 1, \"boo", "it is damaged"), ("{\"schema\": 9}", "a newer kgen wrote it")] {
        fs::write(&state, text).unwrap();
        let ran = once(&stub, dir.path(), &[]);
        assert!(ran.code == Some(2) && ran.stderr.contains(expected), "{:?} {}", ran.code, ran.stderr);
        assert_eq!(fs::read_to_string(&state).unwrap(), text);
    }
}

#[test]
fn a_round_that_costs_too_much_is_refused_before_it_is_read() {
    let (dir, names) = (tempfile::tempdir().unwrap(), names(10));
    let stub = calm(&names);
    configure(dir.path(), 10, "max_usd_per_day = 0.001\n");
    let ran = once(&stub, dir.path(), &[]);
    assert!(ran.code == Some(2) && ran.stderr.contains("max_usd_per_day (0.001)"), "{:?} {}", ran.code, ran.stderr);
    // What it took to know the price is counted: USD 0.01 for a thousand calls of ListMetrics.
    configure(dir.path(), 10, "max_usd_per_day = 0.001\ngroups = true\n");
    let before = stub.count("ListMetrics");
    assert_eq!(once(&stub, dir.path(), &[]).code, Some(2));
    let calls = stub.count("ListMetrics") - before;
    let state: Value = serde_json::from_slice(&fs::read(dir.path().join(".kgen/guard/state.json")).unwrap()).unwrap();
    let usd = state["spent"]["usd"].as_f64().unwrap();
    assert!(calls > 0 && (usd - calls as f64 / 100_000.0).abs() < 1e-9, "{calls} calls: {state}");
}

#[test]
fn a_configuration_that_is_wrong_or_missing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let stub = calm(&names(1));
    fs::write(dir.path().join("guard.toml"), "intervall = \"5m\"\n").unwrap();
    let ran = once(&stub, dir.path(), &[]);
    assert!(ran.code == Some(2) && ran.stderr.contains("unknown field `intervall`"), "{:?} {}", ran.code, ran.stderr);
    let ran = once(&stub, dir.path(), &["--config", "nowhere.toml"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("there is no nowhere.toml"), "{:?} {}", ran.code, ran.stderr);
}

#[test]
fn an_account_that_cannot_be_read_is_one_failure_and_others_go_on() {
    let (dir, names) = (tempfile::tempdir().unwrap(), names(2));
    let stub = calm(&names);
    configure(dir.path(), 10, "[[target]]\nregions = [\"us-west-2\", \"eu-north-1\"]\n");
    let ran = once(&stub, dir.path(), &["--format", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["failures"].as_array().unwrap().len(), 1);
    let judged = document["clusters"].as_array().unwrap().iter().filter(|row| row["verdict"] == "healthy").count();
    assert_eq!(judged, 2, "{document:#}");
}

/// What a sink has to keep to itself, and the files that must not have it.
#[test]
fn secrets_are_in_no_output_no_log_and_no_state() {
    let (dir, names) = (tempfile::tempdir().unwrap(), names(1));
    let stub = fired(&names, dir.path());
    let receiver = Receiver::new(Manner::Fails);
    fs::write(dir.path().join("key"), "s3cret-key\n").unwrap();
    let sinks = "[[sink]]\nkind = \"slack\"\nurl_env = \"HOOK\"\n\
                 [[sink]]\nkind = \"slack\"\nname = \"gone\"\nurl_env = \"GONE\"\n\
                 [[sink]]\nkind = \"webhook\"\nurl_env = \"PAGER\"\nsecret_file = \"KEY\"\n"
        .replace("KEY", dir.path().join("key").to_str().unwrap());
    configure(dir.path(), 40, &sinks);
    let mut command = stub.command(&["-C", dir.path().to_str().unwrap(), "guard", "--once"]);
    command.env("AWS_REGION", "us-west-2").env("HOOK", format!("{}/s3cret-path", receiver.url));
    // Nothing listens on the port of the discard service.
    command.env("GONE", "http://user:s3cret-word@127.0.0.1:9/s3cret-path");
    command.env("PAGER", format!("{}/s3cret-pager", receiver.url));
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("sink slack: HTTP status 500") && ran.stderr.contains("sink gone:"), "{}", ran.stderr);
    let state = fs::read_to_string(dir.path().join(".kgen/guard/state.json")).unwrap();
    for (what, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr), ("state", &state)] {
        assert!(!text.contains("s3cret"), "{what}: {text}");
    }
}

#[test]
fn what_is_redacted_is_redacted_for_sinks_too() {
    let (dir, receiver, names) = (tempfile::tempdir().unwrap(), Receiver::new(Manner::Takes), names(1));
    let stub = fired(&names, dir.path());
    let slack = format!("[[sink]]\nkind = \"slack\"\nurl = \"{}\"\n", receiver.url);
    let alertmanager = slack.replace("slack", "alertmanager");
    configure(dir.path(), 40, &(webhook("pager", &receiver.url) + &slack + &alertmanager));
    let mut command = stub.command(&["--redact", "-C", dir.path().to_str().unwrap(), "guard", "--once"]);
    let ran = Ran::from(command.env("AWS_REGION", "us-west-2").output().unwrap());
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let documents = receiver.documents();
    assert!(documents.len() >= 3, "{documents:?}");
    for document in &documents {
        let text = document.to_string();
        assert!(text.contains("broker.undersized"), "{text}");
        assert!(!text.contains("orders-0") && !text.contains("123456789012"), "{text}");
    }
    // Who gets it with and without --redact knows that it is the same.
    let line = documents.iter().find(|document| document["schema"] == "kgen.alert/1").unwrap();
    let state = fs::read_to_string(dir.path().join(".kgen/guard/state.json")).unwrap();
    assert!(state.contains(line["alert"].as_str().unwrap()), "{state}");
}

#[test]
fn a_test_message_reaches_every_sink_and_changes_nothing() {
    let (dir, names) = (tempfile::tempdir().unwrap(), names(1));
    let stub = calm(&names);
    let receivers = [Manner::Takes, Manner::Fails].map(Receiver::new);
    let slack = format!("[[sink]]\nkind = \"slack\"\nurl = \"{}\"\n", receivers[0].url);
    configure(dir.path(), 10, &(slack + &webhook("pager", &receivers[1].url)));
    let mut command = stub.command(&["-C", dir.path().to_str().unwrap(), "guard", "--test-sinks"]);
    let ran = Ran::from(command.env("AWS_REGION", "us-west-2").output().unwrap());
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "slack: delivered\npager: HTTP status 500\n");
    let text = receivers[0].documents()[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("a test message") && text.contains("nothing is wrong"), "{text}");
    assert!(!dir.path().join(".kgen/guard").exists(), "no state is touched");
}

/// The commands of "From nothing to a Slack message", as they are written there.
#[test]
fn the_documented_way_ends_in_a_slack_message() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guard.md")).unwrap();
    let (_, rest) = document.split_once("## From nothing to a Slack message").unwrap();
    let (steps, _) = rest.split_once("\n## ").unwrap();
    let blocks = |kind: &str| -> Vec<String> {
        let begin = format!("```{kind}\n");
        let blocks = steps.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap());
        blocks.map(|block| block.lines().map(|line| line.trim_start().to_owned() + "\n").collect()).collect()
    };
    let (dir, receiver, names) = (tempfile::tempdir().unwrap(), Receiver::new(Manner::Takes), names(1));
    // A fleet with a cause that has been there for a while.
    let stub = fired(&names, dir.path());
    fs::remove_file(dir.path().join("guard.toml")).unwrap();
    let mut ran = Vec::new();
    for command in blocks("sh").iter().flat_map(|block| block.lines()).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[0], "kgen", "{command}");
        if command.contains("guard.toml") || command.contains("--test-sinks") {
            let [toml] = &blocks("text")[..] else { panic!("one guard.toml in {steps}") };
            fs::write(dir.path().join("guard.toml"), toml).unwrap();
        }
        let mut kgen = stub.command(&words[1..]);
        kgen.current_dir(dir.path()).env("AWS_REGION", "us-west-2");
        kgen.env("SLACK_WEBHOOK_URL", format!("{}/services/T/B/X", receiver.url));
        if command.contains("--once") || command.contains("--test-sinks") || !command.contains("guard") {
            let done = Ran::from(kgen.output().unwrap());
            assert!(matches!(done.code, Some(0 | 3 | 4)), "{command}: {}\n{}", done.stdout, done.stderr);
        } else {
            let log = fs::File::create(dir.path().join("log")).unwrap();
            let kgen = kgen.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let running = Running(kgen.spawn().unwrap());
            let is_told =
                |document: &Value| document["text"].as_str().unwrap_or_default().contains("broker.undersized");
            let told = || receiver.documents().iter().any(is_told).then_some(());
            let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            assert!(await_some(Duration::from_secs(60), told).is_some(), "{}", log());
            drop(running);
        }
        ran.push(command.to_owned());
    }
    assert!(ran.len() >= 4, "{ran:?}");
}
