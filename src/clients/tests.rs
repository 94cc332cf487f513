//! Loads over a stand-in for ssh that runs the script on this machine, with a stand-in for kgen.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::atomic::Ordering};

use super::*;
use crate::load::merge::{Fault, Standing};

/// `ssh OPTIONS HOST COMMAND`: the machine is a folder that the host names, with its own programs first on the PATH.
const SSH: &str = r#"#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
root=$(dirname "$0")/$1
[ -d "$root" ] || { echo "ssh: Could not resolve hostname $1" >&2; exit 255; }
mkdir -p "$root/tmp"
PATH=$root:$PATH TMPDIR=$root/tmp exec sh -c "$2"
"#;

/// `kgen --project . produce … --part I/N --start-at MS --run-id RUN`: what the machine does is in the file `does` beside it.
const KGEN: &str = r#"#!/bin/sh
here=$(dirname "$0")
[ "$1" = --version ] && { echo "kgen 0.1.0"; exit; }
while [ "$1" != --part ]; do shift; done
index=${2%/*} of=${2#*/} start=$4 run=$6
. "$here/does"
"#;

/// Prints a tick and the report of this part, which `report` gives late by so many ms.
const REPORT: &str = r#"
report() {
  echo '{"schema":"kgen.produce-second/1","at_s":1.0,"offered_per_s":10.0,"acknowledged_per_s":9.0}'
  sed -e "s/INDEX/$index/g" -e "s/COUNT/$of/g" -e "s/RUN/$run/g" -e "s/LATE/$1/g" "$here/../report.json"
}
"#;

struct Field(tempfile::TempDir);

impl Field {
    /// Hosts, and what each does.
    fn new(hosts: &[(&str, &str)]) -> Field {
        let field = Field(tempfile::tempdir().unwrap());
        field.program("ssh", SSH);
        let log = crate::load::latency_log::head(0.0);
        let none = crate::load::latency_log::encoded(&crate::load::latency::Times::default()).unwrap();
        let report = serde_json::json!({
            "schema": merge::REPORT_SCHEMA, "part": { "index": "INDEX", "of": "COUNT" },
            "start": { "at_ms": 1.0, "late_ms": "LATE" },
            "summary": {
                "schema": "kgen.produce/1", "run": "RUN", "topic": "t", "stopped": false, "duration_s": 1.0,
                "offered": 10, "acknowledged": 0, "failed": {}, "unsent": 0, "lost_track": 0, "rate_asked": 10.0,
                "rate_reached": 0.0, "acknowledged_bytes": 0, "response": null, "service": null, "send_error": null,
                "late_share": 0.0, "late_queue_full": 0, "late_generator": 0, "generator_bound": false, "cpu_s": 0.1,
                "ledgers": [], "latency_log": "",
            },
            "latency_log": log, "service": none, "send_error": none, "ledgers": { "ledger-INDEX": "text of INDEX" },
        });
        let text =
            report.to_string().replace("\"INDEX\"", "INDEX").replace("\"COUNT\"", "COUNT").replace("\"LATE\"", "LATE");
        // Line ends in the log are two characters for sed as well.
        fs::write(field.0.path().join("report.json"), text + "\n").unwrap();
        for (host, does) in hosts {
            fs::create_dir(field.0.path().join(host)).unwrap();
            field.program(&format!("{host}/kgen"), KGEN);
            fs::write(field.0.path().join(host).join("does"), format!("{REPORT}{does}\n")).unwrap();
        }
        field
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn produce(&self, hosts: &str, stop: &AtomicBool) -> anyhow::Result<(Merged, Vec<Event>)> {
        self.produce_with(hosts, stop, Demand::default())
    }

    fn produce_with(&self, hosts: &str, stop: &AtomicBool, demand: Demand) -> anyhow::Result<(Merged, Vec<Event>)> {
        let engine = Engine::Hosts(Hosts::read(self.0.path().join("ssh"), hosts).unwrap());
        let work = Work {
            run: "00000000000000ff".into(),
            arguments: vec!["produce".into()],
            file: None,
            duration: Duration::from_secs(1),
            end_within: Duration::from_secs(2),
            start_in: Duration::ZERO,
            demand,
        };
        let order = Order { work, topic: "t".into(), rate_asked: Some(30.0), folder: self.0.path().join("results") };
        let mut events = Vec::new();
        let merged = produce(&engine, &order, stop, &mut |event| events.push(event))?;
        Ok((merged.expect("it was not stopped before it began"), events))
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.0.path().join(path)).unwrap_or_default()
    }
}

fn faults(merged: &Merged) -> Vec<(&str, &Fault)> {
    merged.machines.iter().flat_map(|one| one.faults.iter().map(|fault| (one.machine.as_str(), fault))).collect()
}

#[test]
fn what_the_machines_report_is_merged_and_kept() {
    let field = Field::new(&[("a", "report 0"), ("b", "report 0"), ("c", "report 1; sleep 2")]);
    let (merged, events) = field.produce("a\nb # the second\n\nc", &AtomicBool::new(false)).unwrap();
    assert_eq!((merged.standing, merged.reported, merged.offered), (Standing::Whole, 3, 30), "{merged:?}");
    assert_eq!(faults(&merged), []);
    assert_eq!(
        (field.text("results/ledger-0"), field.text("results/ledger-2")),
        ("text of 0".into(), "text of 2".into())
    );
    assert!(field.text("results/latency.hlog").starts_with("#["));
    assert!(matches!(events[0], Event::Ready { machines: 3, .. }));
    let whole = Progress::Second { machines: 3, at_s: 1.0, offered_per_s: 30.0, acknowledged_per_s: 27.0 };
    assert!(events.iter().any(|event| matches!(event, Event::Progress(second) if *second == whole)), "{events:?}");
}

#[test]
fn a_machine_that_fails_is_named_and_the_others_count() {
    let field = Field::new(&[
        ("good", "report 0"),
        ("killed", "kill -9 $$"),
        ("full", "echo 'error: writing the ledger: No space left on device (os error 28)' >&2; exit 1"),
        ("away", "echo 'error: no broker of 10.0.0.1:9092 answers' >&2; exit 2"),
        ("garbled", "report 0 | tr a-c x"),
    ]);
    let (merged, _) = field.produce("good\nkilled\nfull\naway\ngarbled", &AtomicBool::new(false)).unwrap();
    assert_eq!((merged.standing, merged.reported, merged.offered), (Standing::Partial, 1, 10), "{merged:?}");
    let found: Vec<(&str, Silence)> = faults(&merged)
        .into_iter()
        .map(|(name, fault)| match fault {
            Fault::Silent { why, .. } => (name, *why),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("killed", Silence::Died),
        ("full", Silence::DiskFull),
        ("away", Silence::Refused),
        ("garbled", Silence::Died),
    ];
    assert_eq!(found, expected);
    assert!(format!("{merged:?}").contains("no broker of 10.0.0.1:9092 answers"));
}

#[test]
fn a_machine_that_starts_late_makes_the_run_void() {
    let field = Field::new(&[("a", "report 0"), ("b", "report 2000")]);
    let (merged, _) = field.produce("a\nb", &AtomicBool::new(false)).unwrap();
    assert_eq!(merged.standing, Standing::Void);
    assert_eq!(faults(&merged), [("b", &Fault::StartedLate { late_ms: 2000.0 })]);
}

#[test]
fn nothing_is_sent_unless_all_machines_are_ready() {
    let sent = "touch \"$here/sent\"; report 0";
    let field = Field::new(&[("a", sent), ("b", sent), ("old", sent), ("hour", sent)]);
    let refusal = |hosts: &str| {
        let error = field.produce(hosts, &AtomicBool::new(false)).unwrap_err();
        assert!(error.is::<crate::outcome::Refused>(), "{error:#}");
        error.to_string()
    };
    let away = refusal("a\nb\nnowhere");
    assert!(away.contains("nowhere does not respond: ssh: Could not resolve hostname nowhere"), "{away}");
    field.program("old/kgen", &KGEN.replace("0.1.0", "0.0.9"));
    let old = refusal("a\nold");
    assert!(old.contains("kgen 0.0.9") && old.contains("on old"), "{old}");
    field.program("hour/date", "#!/bin/sh\nreal=$(/bin/date +%s)\necho \"$((real + 3600))000000000\"\n");
    let hour = refusal("a\nhour");
    assert!(hour.contains("the clock of hour is off by 3") && !hour.contains("of a is"), "{hour}");
    for host in ["a", "b", "old", "hour"] {
        assert!(!field.0.path().join(host).join("sent").exists(), "{host}");
    }
    assert!(Hosts::read("ssh".into(), "-oProxyCommand=x").is_err() && Hosts::read("ssh".into(), "a\na").is_err());
}

#[test]
fn more_than_the_network_carries_is_sent_only_if_that_is_meant() {
    let sent = "touch \"$here/sent\"; report 0";
    let field = Field::new(&[("a", sent), ("b", sent)]);
    let produce = |rate: &str, beyond_baseline: bool| {
        let demand = Demand {
            senders: vec![traffic::tests::sender(rate, 0)],
            groups: Vec::new(),
            instance_type: Some("t3.small".into()),
            beyond_baseline,
        };
        field.produce_with("a\nb", &AtomicBool::new(false), demand)
    };
    let error = produce("50000", false).unwrap_err();
    assert!(error.is::<crate::outcome::Refused>(), "{error:#}");
    let said = error.to_string();
    assert!(said.contains("a, b (t3.small) would send at least 25.0 MB/s each"), "{said}");
    assert!(!field.0.path().join("a/sent").exists());
    let notes = |events: &[Event]| events.iter().filter(|event| matches!(event, Event::Note(_))).count();
    let (merged, events) = produce("50000", true).unwrap();
    assert_eq!((merged.reported, notes(&events)), (2, 1), "{events:?}");
    let (merged, events) = produce("5000", false).unwrap();
    assert_eq!((merged.reported, notes(&events)), (2, 0), "{events:?}");
    assert!(field.0.path().join("a/sent").exists());
}

/// Processes of this machine whose command line holds `mark`.
fn alive(mark: &Path) -> usize {
    let mark = mark.to_string_lossy();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let line = |path: PathBuf| fs::read(path.join("cmdline")).unwrap_or_default();
    processes.filter(|process| String::from_utf8_lossy(&line(process.path())).contains(mark.as_ref())).count()
}

#[test]
fn an_interrupt_ends_all_of_them_and_nothing_stays() {
    // As kgen does: it ends in order when it is asked to, and reports what it has.
    let does = "trap 'report 0; exit 130' TERM; echo begun >\"$here/begun\"; while :; do sleep 0.05; done";
    let field = Field::new(&[("a", does), ("b", does)]);
    let stop = AtomicBool::new(false);
    let (merged, _) = std::thread::scope(|scope| {
        let running = scope.spawn(|| field.produce("a\nb", &stop).unwrap());
        let begun = std::time::Instant::now();
        while field.text("a/begun").is_empty() || field.text("b/begun").is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        running.join().unwrap()
    });
    assert_eq!((merged.reported, merged.offered), (2, 20), "{merged:?}");
    let begun = std::time::Instant::now();
    while alive(field.0.path()) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "processes are left");
        std::thread::sleep(Duration::from_millis(20));
    }
}
