//! Faults while kgen produces: every record that was acknowledged is there, once, and every failure is reported as what it is.
//!
//! `scripts/chaos ROUNDS SEED` runs all faults; as a test only the quickest do.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    awaited::await_until,
    lab::{Broker, Chance, Lab, Running, ensure_clean, signal, text},
};

/// How long brokers may take to be there again, with every replica in sync.
const HEALED_WITHIN: Duration = Duration::from_secs(240);
/// How long a rolling change of three brokers may take.
const ROLLED_WITHIN: Duration = Duration::from_secs(400);
/// How long kgen may take to end: it waits 30 s for outstanding answers.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// The types that a resize goes round.
const TYPES: [&str; 3] = ["kafka.m5.large", "kafka.m5.xlarge", "kafka.m7g.large"];

struct Case {
    fault: &'static str,
    /// Runs as a test, too.
    is_quick: bool,
    run: fn(&Lab, &mut Chance) -> Tried,
}

/// What came of a fault, or why it cannot be tried on this machine.
type Tried = Result<Figures, String>;

const CASES: &[Case] = &[
    Case { fault: "kill -9 of one broker", is_quick: false, run: one_broker_killed },
    Case { fault: "kill -9 of each broker in turn", is_quick: false, run: each_broker_killed },
    Case { fault: "kill -9 of all brokers at once", is_quick: false, run: all_brokers_killed },
    Case { fault: "kill -9 of all brokers and the controller", is_quick: true, run: all_nodes_killed },
    Case { fault: "kill -9 of two brokers, one of which cannot start", is_quick: false, run: one_cannot_start },
    Case { fault: "one broker stopped for 20 s", is_quick: false, run: one_broker_stopped },
    Case { fault: "rolling resize", is_quick: false, run: rolling_resize },
    Case { fault: "kill -9 of one broker in a rolling resize", is_quick: false, run: killed_in_a_resize },
    Case { fault: "rolling reboot", is_quick: false, run: rolling_reboot },
    Case { fault: "one broker's disk full", is_quick: false, run: disk_full },
    Case { fault: "one broker's bandwidth limited", is_quick: false, run: bandwidth_limited },
    Case { fault: "kill -9 of the lab, started again", is_quick: true, run: lab_killed },
    Case { fault: "RF 2, min ISR 1, acks=1: kill -9 of one broker", is_quick: false, run: seed_topic_killed },
    Case { fault: "RF 2, min ISR 1, acks=1: one broker stopped for 20 s", is_quick: false, run: seed_topic_stopped },
    Case { fault: "kgen: disk of `.kgen/runs` full", is_quick: true, run: runs_folder_full },
    Case { fault: "kgen: folder read-only", is_quick: true, run: folder_read_only },
    Case { fault: "kgen: no descriptors left while a broker dies", is_quick: false, run: descriptors_run_out },
    Case { fault: "kgen: started with 4 to 128 descriptors", is_quick: true, run: few_descriptors },
];

#[test]
#[ignore = "starts three Kafka brokers and does them harm"]
fn nothing_acknowledged_is_lost_or_there_twice_whatever_breaks() {
    let chosen = std::env::var("KGEN_TEST_CHAOS").ok();
    let (rounds, seed) = chosen.as_deref().unwrap_or("1 1842").split_once(' ').expect("ROUNDS SEED");
    let (rounds, seed): (u64, u64) = (rounds.parse().unwrap(), seed.parse().unwrap());
    let named = std::env::var("KGEN_TEST_CHAOS_CASES").unwrap_or_default();
    let file = std::env::var_os("KGEN_TEST_CHAOS_TABLE").map(PathBuf::from);
    let is_wanted = |case: &Case| match (named.as_str(), &chosen) {
        ("", None) => case.is_quick,
        (named, _) => named.split('|').any(|part| case.fault.contains(part)),
    };
    println!("{rounds} rounds, seed {seed}");
    let lab = Lab::up();
    lab.create_cluster(TYPES[0]);
    let mut table = Table::new(seed);
    for round in 1..=rounds {
        for (number, case) in CASES.iter().enumerate().filter(|(_, case)| is_wanted(case)) {
            // Of its own, so that a case can be run alone as it ran among the others.
            let mut chance = Chance(seed.wrapping_add(1000 * round).wrapping_add(number as u64));
            let began = Instant::now();
            // Later cases tell more, even if the lab is not well any more.
            let tried = catch_unwind(AssertUnwindSafe(|| (case.run)(&lab, &mut chance))).unwrap_or_else(|_| {
                table.broken.push(format!("{}: the case did not come to its end", case.fault));
                Err("did not come to its end".to_owned())
            });
            let seconds = began.elapsed().as_secs_f64();
            match &tried {
                Ok(figures) => println!("{round:>3}  {:<52} {seconds:>5.1} s  {}", case.fault, figures.line()),
                Err(reason) => println!("{round:>3}  {:<52} none: {reason}", case.fault),
            }
            table.add(case.fault, tried);
            if let Some(file) = &file {
                fs::write(file, table.markdown()).unwrap();
            }
        }
    }
    print!("{}", table.markdown());
    assert!(!table.rows.is_empty(), "no case has a name with {named:?} in it");
    assert_eq!(table.broken, [""; 0]);
    lab.down();
}

/// What a topic and its producer promise.
struct Promise {
    topic: &'static str,
    producer: &'static str,
    /// Nothing that was acknowledged is lost or there twice.
    is_safe: bool,
}

const SAFE: Promise = Promise {
    topic: "--partitions 6 --replication-factor 3 --config min.insync.replicas=2",
    producer: "--acks all --idempotent",
    is_safe: true,
};

/// What the demonstration that kgen replaces creates. A leader acknowledges alone, so what its follower has not fetched
/// dies with it; and what was sent again may be there twice.
const SEED: Promise = Promise {
    topic: "--partitions 6 --replication-factor 2 --config min.insync.replicas=1",
    producer: "--acks 1",
    is_safe: false,
};

#[derive(Debug, Default)]
struct Figures {
    acknowledged: u64,
    lost: u64,
    duplicates: u64,
    failed: u64,
    failed_but_there: u64,
    unknown: u64,
    note: String,
    /// What was promised and not held.
    broken: Vec<String>,
}

impl Figures {
    /// Of a proof, as `kgen consume --verify --json` prints it.
    fn of(proof: &Value, note: String) -> Figures {
        let count = |name: &str| proof[name].as_u64().unwrap_or_else(|| panic!("no {name} in {proof:#}"));
        Figures {
            acknowledged: count("acknowledged"),
            lost: count("lost"),
            duplicates: count("duplicates"),
            failed: count("failed"),
            failed_but_there: count("failed_but_there"),
            unknown: count("unknown"),
            note,
            broken: Vec::new(),
        }
    }

    /// Those of another run to these.
    fn add(&mut self, other: &Figures) {
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.failed += other.failed;
        self.failed_but_there += other.failed_but_there;
        self.unknown += other.unknown;
    }

    fn line(&self) -> String {
        format!(
            "{:>7} acknowledged, {} lost, {} twice, {} failed ({} there), {} unknown; {}",
            self.acknowledged, self.lost, self.duplicates, self.failed, self.failed_but_there, self.unknown, self.note
        )
    }
}

/// The figures of all rounds, a row a fault.
struct Table {
    seed: u64,
    rows: Vec<(&'static str, u64, Result<Figures, String>)>,
    broken: Vec<String>,
}

impl Table {
    fn new(seed: u64) -> Table {
        Table { seed, rows: Vec::new(), broken: Vec::new() }
    }

    fn add(&mut self, fault: &'static str, tried: Tried) {
        if let Ok(figures) = &tried {
            self.broken.extend(figures.broken.iter().map(|what| format!("{fault}: {what}")));
        }
        let row = self.rows.iter_mut().find(|(known, ..)| *known == fault);
        match (row, tried) {
            (None, tried) => self.rows.push((fault, u64::from(tried.is_ok()), tried)),
            (Some((_, runs, Ok(sum))), Ok(figures)) => {
                *runs += 1;
                sum.add(&figures);
            }
            (Some((_, runs, row @ Err(_))), Ok(figures)) => (*runs, *row) = (1, Ok(figures)),
            (Some(_), Err(_)) => {}
        }
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "Seed {}.\n\n| fault | runs | acknowledged | lost | there twice | reported failed | of these there | unknown |\n\
             |---|---|---|---|---|---|---|---|\n",
            self.seed
        );
        for (fault, runs, tried) in &self.rows {
            text += &match tried {
                Ok(f) => format!(
                    "| {fault} | {runs} | {} | {} | {} | {} | {} | {} |\n",
                    f.acknowledged, f.lost, f.duplicates, f.failed, f.failed_but_there, f.unknown
                ),
                Err(reason) => format!("| {fault} | none: {reason} | | | | | | |\n"),
            };
        }
        text
    }
}

/// Produces to a new topic, does `strike`, which says what it did, and proves the run when all is well again.
#[track_caller]
fn under_load(
    lab: &Lab,
    chance: &mut Chance,
    promise: &Promise,
    strike: impl FnOnce(&Lab, &mut Chance, &Running) -> String,
) -> Figures {
    let topic = new_topic(lab, chance, promise);
    let rate = 300 + chance.below(1701);
    let command = format!(
        "kgen produce --topic {topic} --rate {rate} --record-size 200 --duration 1h --plain --json {}",
        promise.producer
    );
    let mut producer = lab.spawn(&command, &topic);
    sleep(Duration::from_secs_f64(3.0 + 5.0 * chance.share()));
    let began = Instant::now();
    let told = strike(lab, chance, &producer);
    await_in_sync(lab, &topic);
    let healed = began.elapsed().as_secs_f64();
    ensure_limited(lab);
    sleep(Duration::from_secs(2));
    let log = || fs::read_to_string(lab.path().join(format!("{topic}.log"))).unwrap();
    assert_eq!(producer.ended(), None, "kgen has ended:\n{}", log());
    let code = producer.interrupt(ENDED_WITHIN);
    ensure_clean(&command, &log());
    assert_eq!(code, 130, "{}", log());

    let summary = lab.json(&format!("cat {topic}.json"));
    let proof = proof(lab, summary["run"].as_str().unwrap());
    let note = format!("{rate}/s, {told}, well after {healed:.0} s");
    let mut figures = Figures::of(&proof, note);
    let failed: u64 = summary["failed"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    if failed > 0 {
        figures.note += &format!(", {}", summary["failed"]);
    }
    let mut ensure = |holds: bool, what: &str| {
        if !holds {
            figures.broken.push(format!("{what} ({}): {summary:#} {proof:#}", figures.note));
        }
    };
    let count = |name: &str| summary[name].as_u64().unwrap();
    ensure(count("acknowledged") > 0, "nothing was acknowledged");
    ensure(count("offered") == count("acknowledged") + failed + count("unsent"), "records are not accounted for");
    ensure(count("lost_track") == 0 && proof["unknown"] == 0, "kgen lost track of records");
    ensure(proof["ledger_complete"] == true, "the ledger is not closed");
    ensure(
        proof["acknowledged"] == summary["acknowledged"] && proof["failed"] == failed,
        "summary and ledger tell different things",
    );
    ensure(proof["corrupted"] == 0, "records are damaged");
    if promise.is_safe {
        ensure(proof["whole"] == true, "what was promised does not hold");
    }
    figures
}

#[track_caller]
fn new_topic(lab: &Lab, chance: &mut Chance, promise: &Promise) -> String {
    let topic = format!("chaos-{:016x}", chance.next());
    lab.sh(&format!("kgen topic create {topic} {}", promise.topic));
    topic
}

/// Proves a run by its id or ledger; the answer comes whatever was found.
#[track_caller]
fn proof(lab: &Lab, run: &str) -> Value {
    let output = lab.try_sh(&format!("kgen consume --verify {run} --json"));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no proof of {run}: {}", text(&output.stderr)))
}

/// Waits until every partition of the topic has a leader and all its replicas in sync.
#[track_caller]
fn await_in_sync(lab: &Lab, topic: &str) {
    await_until("every replica is in sync", HEALED_WITHIN, || {
        let output = lab.try_sh(&format!("kgen topic describe {topic} --json"));
        let described: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let count = |partition: &Value, name: &str| partition[name].as_array().map_or(0, Vec::len);
        described["partitions"].as_array().is_some_and(|partitions| {
            partitions.iter().all(|partition| {
                partition["leader"].is_i64() && count(partition, "replicas") == count(partition, "in_sync_replicas")
            })
        })
    });
}

/// Waits until other processes are in place of these.
#[track_caller]
fn await_replaced(lab: &Lab, gone: &[Broker]) {
    await_until("the brokers run again", HEALED_WITHIN, || {
        let brokers = lab.brokers();
        brokers.iter().all(|broker| broker.pid.is_some() && gone.iter().all(|gone| gone.pid != broker.pid))
    });
}

/// A broker that was started again is held to its size as the one before it was.
#[track_caller]
fn ensure_limited(lab: &Lab) {
    let status = lab.json("kgen lab status --json");
    if !status["cpu_limit"].as_str().is_some_and(|means| means.starts_with("cgroup")) {
        return;
    }
    let is_limited = |broker: &Broker| {
        let group = broker.pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).ok());
        group.is_some_and(|group| group.contains("kgen-lab-"))
    };
    await_until("every broker is in a group of its own", HEALED_WITHIN, || lab.brokers().iter().all(is_limited));
}

#[track_caller]
fn kill(broker: &Broker) {
    signal("KILL", broker.pid.unwrap());
}

fn any(lab: &Lab, chance: &mut Chance) -> Broker {
    lab.brokers().swap_remove(chance.below(3))
}

/// The brokers in an order of chance.
fn shuffled(lab: &Lab, chance: &mut Chance) -> Vec<Broker> {
    let (mut brokers, mut shuffled) = (lab.brokers(), Vec::new());
    while !brokers.is_empty() {
        shuffled.push(brokers.swap_remove(chance.below(brokers.len())));
    }
    shuffled
}

fn strike_one(lab: &Lab, chance: &mut Chance, _: &Running) -> String {
    let broker = any(lab, chance);
    kill(&broker);
    await_replaced(lab, std::slice::from_ref(&broker));
    format!("broker {}", broker.id)
}

fn stop_one(lab: &Lab, chance: &mut Chance, _: &Running) -> String {
    let broker = any(lab, chance);
    signal("STOP", broker.pid.unwrap());
    sleep(Duration::from_secs(20));
    signal("CONT", broker.pid.unwrap());
    format!("broker {}", broker.id)
}

fn one_broker_killed(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, strike_one))
}

fn each_broker_killed(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, |lab, chance, _| {
        let brokers = shuffled(lab, chance);
        for broker in &brokers {
            kill(broker);
            await_replaced(lab, std::slice::from_ref(broker));
            // Sometimes the next one dies before this one has caught up.
            sleep(Duration::from_secs_f64(10.0 * chance.share()));
        }
        format!("brokers {:?}", brokers.iter().map(|broker| broker.id).collect::<Vec<_>>())
    }))
}

fn all_brokers_killed(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, |lab, chance, _| {
        let brokers = shuffled(lab, chance);
        brokers.iter().for_each(kill);
        await_replaced(lab, &brokers);
        format!("brokers {:?}", brokers.iter().map(|broker| broker.id).collect::<Vec<_>>())
    }))
}

fn all_nodes_killed(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, |lab, chance, _| {
        let brokers = shuffled(lab, chance);
        let controller = fs::read_to_string(node_dir(lab, "controller").join("pid")).unwrap();
        brokers.iter().for_each(kill);
        // The lab starts brokers again by now, which wait for a controller.
        sleep(Duration::from_secs(2));
        signal("KILL", controller.trim().parse().unwrap());
        await_replaced(lab, &brokers);
        "four processes".to_owned()
    }))
}

/// One of two that were killed has another node's identity on its disk for a while.
fn one_cannot_start(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, |lab, chance, _| {
        let brokers = shuffled(lab, chance);
        let [broken, other, _] = &brokers[..] else { panic!("{brokers:?}") };
        let meta = node_dir(lab, &format!("broker-{}", broken.id)).join("data/meta.properties");
        let right = fs::read_to_string(&meta).unwrap();
        fs::write(&meta, right.replace("cluster.id=", "cluster.id=not-")).unwrap();
        kill(broken);
        kill(other);
        let pid_of = |id: i64| lab.brokers().into_iter().find(|broker| broker.id == id).unwrap().pid;
        await_until("the other broker runs", HEALED_WITHIN, || {
            pid_of(other.id).is_some_and(|pid| Some(pid) != other.pid)
        });
        sleep(Duration::from_secs_f64(10.0 * chance.share()));
        assert_eq!(pid_of(broken.id), None, "a broker runs that cannot start");
        fs::write(&meta, right).unwrap();
        await_replaced(lab, &[broken.clone(), other.clone()]);
        format!("brokers {} and {}", broken.id, other.id)
    }))
}

fn one_broker_stopped(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, stop_one))
}

fn next_type(lab: &Lab) -> &'static str {
    let now = lab.cluster()["type"].as_str().unwrap().to_owned();
    TYPES[(TYPES.iter().position(|name| *name == now).unwrap_or(0) + 1) % TYPES.len()]
}

fn rolling_resize(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, |lab, _, _| {
        let to = next_type(lab);
        lab.begin(&format!("update-broker-type --target-instance-type {to}")).complete(ROLLED_WITHIN);
        format!("to {to}")
    }))
}

fn killed_in_a_resize(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, |lab, chance, _| {
        let (to, broker) = (next_type(lab), any(lab, chance));
        let resize = lab.begin(&format!("update-broker-type --target-instance-type {to}"));
        sleep(Duration::from_secs_f64(20.0 * chance.share()));
        // The resize may be restarting it at this moment.
        let running = lab.brokers().into_iter().find(|now| now.id == broker.id).and_then(|now| now.pid);
        let killed = running.is_some_and(|pid| {
            let sent = Command::new("kill").args(["-KILL", &pid.to_string()]).output().unwrap();
            sent.status.success()
        });
        resize.complete(ROLLED_WITHIN);
        format!("to {to}, broker {}{}", broker.id, if killed { "" } else { " (was down)" })
    }))
}

fn rolling_reboot(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, |lab, _, _| {
        lab.begin("reboot-broker --broker-ids 1 2 3").complete(ROLLED_WITHIN);
        "all three".to_owned()
    }))
}

/// Its data is on a file system of 1 GiB, in a mount namespace that ends with the lab, for this case.
fn disk_full(lab: &Lab, chance: &mut Chance) -> Tried {
    ensure_root()?;
    let id = any(lab, chance).id;
    let data = node_dir(lab, &format!("broker-{id}")).join("data");
    let data = data.to_str().unwrap();
    lab.sh("kgen lab down");
    let mounted = lab.try_sh(&format!(
        "mkdir -p disk && truncate -s 1G disk.img && mkfs.ext4 -q -F -m 0 disk.img\n\
         unshare -m bash -euc 'mount -o loop disk.img disk; rmdir disk/lost+found; cp -a {data}/. disk/; \
         mount --bind disk {data}; exec {}'",
        lab.up_command()
    ));
    if !mounted.status.success() {
        lab.start();
        await_active(lab);
        return Err(format!("no loop-mounted ext4: {}", text(&mounted.stderr).trim().replace('\n', " ")));
    }
    await_active(lab);
    let figures = under_load(lab, chance, &SAFE, |lab, _, _| {
        let broker = lab.brokers().into_iter().find(|broker| broker.id == id).unwrap();
        let filler = format!("/proc/{}/root{data}/filler", lab.pid());
        // Most of it without writing, and then until nothing more goes in. Never the disk of this machine.
        lab.sh(&format!(
            "[ $(($(stat -f -c '%b * %S' \"$(dirname {filler})\"))) -le $((1 << 30)) ]\n\
             free=$(($(stat -f -c '%a * %S' \"$(dirname {filler})\")))\n\
             fallocate -l $((free - (16 << 20))) {filler}\n\
             if dd if=/dev/zero of={filler} bs=64K oflag=append conv=notrunc 2>/dev/null; then exit 1; fi"
        ));
        let filled = Instant::now();
        await_until("the broker ends", HEALED_WITHIN, || {
            lab.brokers().iter().any(|now| now.id == id && now.pid != broker.pid)
        });
        let ended = filled.elapsed().as_secs_f64();
        sleep(Duration::from_secs(10));
        fs::remove_file(filler).unwrap();
        await_replaced(lab, &[broker]);
        format!("broker {id}, which ended after {ended:.0} s")
    });
    lab.sh("kgen lab down");
    lab.sh(&format!(
        "unshare -m bash -euc 'mount -o loop disk.img disk; find {data} -mindepth 1 -delete; cp -a disk/. {data}/'\n\
         rm disk.img"
    ));
    lab.start();
    await_active(lab);
    Ok(figures)
}

/// Of the loopback device, for the ports of one broker; lifted when it is dropped.
struct Shaped;

impl Shaped {
    fn begin(port: u16, kbit: usize) -> Result<Shaped, String> {
        let tc = |args: &str| {
            let output = Command::new("tc").args(args.split(' ')).output().map_err(|error| format!("tc: {error}"))?;
            if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr).trim().to_owned()) }
        };
        if !tc("qdisc show dev lo")?.contains("noqueue") {
            return Err("the loopback device is shaped already".to_owned());
        }
        tc("qdisc add dev lo root handle 1: htb")?;
        let shaped = Shaped;
        tc(&format!("class add dev lo parent 1: classid 1:10 htb rate {kbit}kbit"))?;
        for side in ["sport", "dport"] {
            let port = format!("match ip {side} {port} 0xffff");
            tc(&format!("filter add dev lo parent 1: protocol ip u32 {port} flowid 1:10"))?;
        }
        Ok(shaped)
    }
}

impl Drop for Shaped {
    fn drop(&mut self) {
        let _ = Command::new("tc").args("qdisc del dev lo root".split(' ')).status();
    }
}

fn bandwidth_limited(lab: &Lab, chance: &mut Chance) -> Tried {
    ensure_root()?;
    let broker = any(lab, chance);
    let kbit = 300 + chance.below(1000);
    // Whether it can be done is known before anything is produced.
    drop(Shaped::begin(broker.port, kbit)?);
    Ok(under_load(lab, chance, &SAFE, |_, _, _| {
        let _shaped = Shaped::begin(broker.port, kbit).unwrap();
        sleep(Duration::from_secs(20));
        format!("broker {} at {kbit} kbit/s for 20 s", broker.id)
    }))
}

fn lab_killed(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SAFE, |lab, chance, _| {
        lab.kill();
        sleep(Duration::from_secs_f64(5.0 * chance.share()));
        lab.start();
        await_active(lab);
        "brokers gone within 2 s".to_owned()
    }))
}

#[track_caller]
fn await_active(lab: &Lab) {
    await_until("the cluster is ACTIVE", HEALED_WITHIN, || lab.cluster()["state"] == "ACTIVE");
}

fn seed_topic_killed(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SEED, strike_one))
}

fn seed_topic_stopped(lab: &Lab, chance: &mut Chance) -> Tried {
    Ok(under_load(lab, chance, &SEED, stop_one))
}

/// kgen cannot write its ledger any more: it ends, says why, and what it wrote until then is proven.
fn runs_folder_full(lab: &Lab, chance: &mut Chance) -> Tried {
    let namespace = namespace()?;
    let topic = new_topic(lab, chance, &SAFE);
    let seconds = 2.0 + 3.0 * chance.share();
    // The folder is in a mount namespace of its own, which ends with the script.
    let script = format!(
        "mkdir -p .kgen/runs full && {namespace} bash -euc 'mount -t tmpfs -o size=256k none .kgen/runs\n\
         timeout 120 kgen produce --topic {topic} --rate 500 --record-size 200 --duration 60 --plain --json \
         --acks all --idempotent > {topic}.json 2> {topic}.log & kgen=$!\n\
         sleep {seconds:.1}; head -c 1M /dev/zero > .kgen/runs/filler 2>/dev/null || true\n\
         code=0; wait $kgen || code=$?; echo $code\n\
         rm .kgen/runs/filler; rm -rf full; cp -r .kgen/runs full'"
    );
    let code = lab.sh(&script);
    let log = fs::read_to_string(lab.path().join(format!("{topic}.log"))).unwrap();
    ensure_clean("kgen produce", &log);
    assert!(code.trim() == "1" && log.contains("No space left on device"), "ends with {code}{log}");
    let run = fs::read_dir(lab.path().join("full")).unwrap().next().unwrap().unwrap().path();
    let proof = proof(lab, run.to_str().unwrap());
    let mut figures = Figures::of(&proof, format!("full after {seconds:.0} s"));
    if proof["whole"] != true || figures.acknowledged == 0 {
        figures.broken.push(format!("{proof:#}"));
    }
    Ok(figures)
}

/// What needs to write is refused with the reason, and nothing is sent.
fn folder_read_only(lab: &Lab, chance: &mut Chance) -> Tried {
    let namespace = namespace()?;
    let topic = new_topic(lab, chance, &SAFE);
    let commands = [
        format!("produce --topic {topic} --records 100 --json"),
        "render --force".to_owned(),
        "plan".to_owned(),
        "watch --duration 3s --plain".to_owned(),
        "runs".to_owned(),
        format!("topic describe {topic}"),
    ];
    let tried = commands.iter().map(|command| {
        format!("code=0; timeout 60 kgen {command} </dev/null 2>&1 || code=$?; echo \"== $code kgen {command}\"\n")
    });
    let script = format!(
        "{namespace} bash -uc 'mount --bind . . && mount -o remount,bind,ro . && cd \"$PWD\" || exit 9\n{}'",
        tried.collect::<String>()
    );
    let said = lab.sh(&script);
    ensure_clean("a command in a read-only folder", &said);
    for command in &commands {
        let ended = said.lines().find_map(|line| line.strip_prefix("== ")?.strip_suffix(&format!(" kgen {command}")));
        let needs_to_write = ["produce", "render", "plan"].iter().any(|name| command.starts_with(name));
        let fine: &[&str] = if needs_to_write { &["1", "2"] } else { &["0"] };
        assert!(ended.is_some_and(|code| fine.contains(&code)), "{command} ends with {ended:?}:\n{said}");
    }
    assert!(said.contains("Read-only file system"), "{said}");
    let described = lab.json(&format!("kgen topic describe {topic} --json"));
    let partitions = described["partitions"].as_array().unwrap();
    assert!(partitions.iter().all(|partition| partition["offsets"][1] == 0), "{described:#}");
    Ok(Figures { note: format!("{} commands", commands.len()), ..Figures::default() })
}

/// kgen may open nothing more, and the broker that it writes to is replaced by another process.
fn descriptors_run_out(lab: &Lab, chance: &mut Chance) -> Tried {
    let limit = |pid: u32, most: &str| {
        let output = Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--nofile={most}")]).output();
        output.map_err(|error| format!("prlimit: {error}"))
    };
    limit(std::process::id(), "")?;
    Ok(under_load(lab, chance, &SAFE, |lab, chance, kgen| {
        let open = fs::read_dir(format!("/proc/{}/fd", kgen.pid())).unwrap().count();
        assert!(limit(kgen.pid(), &format!("{open}:")).unwrap().status.success());
        let told = strike_one(lab, chance, kgen);
        sleep(Duration::from_secs_f64(5.0 * chance.share()));
        assert!(limit(kgen.pid(), "1024:").unwrap().status.success());
        format!("{told}, {open} descriptors")
    }))
}

/// Too few for what a command opens: it works or ends with a reason.
fn few_descriptors(lab: &Lab, chance: &mut Chance) -> Tried {
    let topic = new_topic(lab, chance, &SAFE);
    let (mut sum, mut worked) = (Figures::default(), 0);
    let limits = [4, 8, 16, 32, 63, 64, 72, 96, 128];
    for most in limits {
        let name = format!("{topic}-{most}");
        let code = lab.sh(&format!(
            "code=0; (ulimit -n {most}; exec timeout 60 kgen produce --topic {topic} --records 200 --rate 1000 \
             --record-size 200 --acks all --idempotent --plain --json) > {name}.json 2> {name}.log </dev/null || code=$?\n\
             echo $code"
        ));
        let log = fs::read_to_string(lab.path().join(format!("{name}.log"))).unwrap();
        ensure_clean(&format!("kgen produce with {most} descriptors"), &log);
        match code.trim() {
            "0" | "4" => {
                let run = lab.json(&format!("cat {name}.json"))["run"].as_str().unwrap().to_owned();
                let proof = proof(lab, &run);
                let figures = Figures::of(&proof, String::new());
                if proof["whole"] != true {
                    sum.broken.push(format!("with {most} descriptors: {proof:#}"));
                }
                sum.add(&figures);
                worked += 1;
            }
            // The C library cannot even load what the program is linked to.
            "127" => assert!(log.contains("shared libraries"), "with {most} descriptors: {log}"),
            "1" | "2" | "5" => assert!(log.contains("error: ") || code.trim() == "5", "with {most} descriptors: {log}"),
            code => panic!("with {most} descriptors kgen ends with {code}:\n{log}"),
        }
    }
    assert!(worked > 0, "no limit is enough");
    sum.note = format!("{worked} of {} limits are enough", limits.len());
    Ok(sum)
}

fn node_dir(lab: &Lab, node: &str) -> PathBuf {
    let clusters = lab.path().join(".kgen/lab/clusters");
    let cluster = fs::read_dir(clusters).unwrap().next().unwrap().unwrap().path();
    cluster.join(node)
}

fn ensure_root() -> Result<(), String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1));
    if uid == Some("0") { Ok(()) } else { Err("needs root".to_owned()) }
}

/// The command in front of one that may mount what it likes, for itself alone.
fn namespace() -> Result<&'static str, String> {
    let namespace = if ensure_root().is_ok() { "unshare -m" } else { "unshare -rm" };
    let words: Vec<&str> = namespace.split(' ').collect();
    let output =
        Command::new(words[0]).args([words[1], "true"]).output().map_err(|error| format!("unshare: {error}"))?;
    if output.status.success() {
        Ok(namespace)
    } else {
        Err(format!("no mount namespace: {}", text(&output.stderr).trim()))
    }
}

#[test]
fn rounds_add_up_and_a_fault_that_was_not_tried_says_why() {
    let mut table = Table::new(7);
    let figures =
        |lost| Figures { acknowledged: 10, lost, broken: vec!["gone".to_owned(); lost as usize], ..Figures::default() };
    table.add("a", Ok(figures(0)));
    table.add("b", Err("needs root".to_owned()));
    table.add("a", Ok(figures(1)));
    let text = table.markdown();
    assert!(text.contains("| a | 2 | 20 | 1 | 0 | 0 | 0 | 0 |\n| b | none: needs root |"), "{text}");
    assert_eq!(table.broken, ["a: gone"]);
}
