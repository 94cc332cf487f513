//! Folders, records and states of others are data: nothing in them runs, or names a path.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use super::Case;
use crate::project::kgen;

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let kinds = [
        recorded_programs(random),
        recorded_edits(random),
        recorded_numbers(random),
        ids(random),
        links_to_runs(),
        links_in_kgen(),
        links_in_lab(),
        states_of_labs(random),
        records_of_labs(random),
    ];
    kinds.into_iter().flatten().collect()
}

type Checked = Result<(), String>;

/// How long a command may take, which in all cases is to refuse something.
const WITHIN: Duration = Duration::from_secs(30);

/// A project of somebody else, and what it must not reach.
struct Scene {
    dir: tempfile::TempDir,
    outside: BTreeMap<PathBuf, Vec<u8>>,
}

/// How a command ended.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Scene {
    fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        for name in ["project", "outside/dir", "empty"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(dir.path().join("outside").join(name), text).unwrap();
        write("file", "SECRET of the victim\n");
        write("dir/inner", "SECRET in a folder\n");
        write("evil", &format!("#!/bin/sh\ntouch '{}/outside/ran'\n", dir.path().display()));
        fs::set_permissions(dir.path().join("outside/evil"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut scene = Scene { dir, outside: BTreeMap::new() };
        scene.outside = scene.seen_outside();
        scene
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join("outside").join(name)
    }

    fn project(&self, name: &str) -> PathBuf {
        self.dir.path().join("project").join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.project(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Everything in the victim's folder.
    fn seen_outside(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = walkdir::WalkDir::new(self.outside("")).into_iter().map(Result::unwrap);
        let read = |path: &Path| if path.is_file() { fs::read(path).unwrap() } else { Vec::new() };
        entries.map(|entry| (entry.path().to_owned(), read(entry.path()))).collect()
    }

    /// Runs kgen on the project, with no program on the PATH and no AWS.
    fn run(&self, args: &[&str]) -> Result<Said, String> {
        let path = |name: &str| self.dir.path().join(name);
        let file = |name: &str| File::create(path(name)).unwrap();
        let mut command = kgen(&self.project(""));
        command.args(args).env("PATH", path("empty")).env("HOME", path("empty")).env_remove("JAVA_HOME");
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_ACCESS_KEY_ID", "lab");
        command.env("AWS_SECRET_ACCESS_KEY", "lab").env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN");
        command.stdout(file("stdout")).stderr(file("stderr"));
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if started.elapsed() > WITHIN => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    return Err(format!("{args:?} had not ended after {} s", WITHIN.as_secs()));
                }
                None => sleep(Duration::from_millis(5)),
            }
        };
        let read = |name: &str| String::from_utf8_lossy(&fs::read(path(name)).unwrap()).into_owned();
        Ok(Said { code: status.code(), out: read("stdout"), err: read("stderr") })
    }

    /// Runs kgen and checks that it has neither panicked nor touched or told anything outside.
    fn harmless(&self, args: &[&str]) -> Result<Said, String> {
        let said = self.run(args)?;
        let Said { code, out, err } = &said;
        ensure(code.is_some_and(|code| code != 101), || format!("{args:?} ended with {code:?}: {err}"))?;
        ensure(!err.contains("panicked"), || format!("{args:?} panicked: {err}"))?;
        ensure(!out.contains("SECRET") && !err.contains("SECRET"), || {
            format!("{args:?} tells a file outside: {out}{err}")
        })?;
        ensure(self.seen_outside() == self.outside, || {
            format!("{args:?} changed what is outside of the project: {err}")
        })?;
        Ok(said)
    }

    /// Runs kgen, which must refuse with these words.
    fn refused(&self, args: &[&str], words: &[&str]) -> Checked {
        let said = self.harmless(args)?;
        ensure(said.code == Some(2), || format!("{args:?} ended with {:?}: {}", said.code, said.err))?;
        let missing = words.iter().find(|word| !said.err.contains(**word));
        missing.map_or(Ok(()), |word| Err(format!("{args:?} does not say {word:?}: {}", said.err)))
    }

    /// Makes the record of a run, with these lines after its head.
    fn record(&self, folder: &str, head: &Value, lines: &[Value]) {
        let lines: Vec<String> = std::iter::once(head).chain(lines).map(Value::to_string).collect();
        self.write(&format!(".kgen/runs/{folder}/run.jsonl"), lines.join("\n") + "\n");
    }
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(why()) }
}

fn head(id: &str, command: &str, args: &[String]) -> Value {
    json!({
        "schema": "kgen.run/1", "id": id, "command": command, "args": args,
        "started": "2026-11-25T01:00:00Z", "environment": {},
    })
}

fn result(name: &str, value: Value) -> Value {
    json!({ "at": "2026-11-25T01:00:01Z", "event": "result", "name": name, "value": value })
}

/// Options of a recorded demo that name a program, a folder or a port.
fn recorded_programs(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for number in 0..8 {
        let options: Vec<&str> = [
            "--terraform-bin=EVIL",
            "--terraform-bin EVIL",
            "-C OUTSIDE",
            "--project=OUTSIDE",
            "--port 1",
            "--t3 credits",
        ]
        .into_iter()
        .filter(|option| option.starts_with("--terraform-bin=") || random.random_bool(0.4))
        .filter(|option| *option != "--terraform-bin EVIL")
        .collect();
        let is_before = number % 2 == 0;
        let name = format!("a recorded demo with {options:?}, {}", if is_before { "first" } else { "last" });
        cases.push(Case::new(name, move || {
            let scene = Scene::new();
            let evil = scene.outside("evil").display().to_string();
            let outside = scene.outside("dir").display().to_string();
            let words = options.iter().flat_map(|option| option.split(' '));
            let words = words.map(|word| word.replace("EVIL", &evil).replace("OUTSIDE", &outside));
            // `--port` and `--t3` are options of the demo and stand behind it.
            let (globals, own): (Vec<String>, Vec<String>) =
                words.partition(|word| is_before && word.starts_with("--project"));
            let args: Vec<String> = globals.into_iter().chain(["demo".to_owned()]).chain(own).collect();
            scene.record("demo-1", &head("demo-1", "demo", &args), &[]);
            scene.refused(&["resume"], &["no terminal to ask on", "--yes"])?;
            let nowhere = scene.project("no-such-terraform").display().to_string();
            let named = ["resume", "demo-1", "--yes", "--terraform-bin", &nowhere];
            scene.refused(&named, &["there is no program", "no-such-terraform"])?;
            // Without one of its own there is none on the PATH, whatever the record names.
            scene.refused(&["resume", "--yes"], &["neither terraform nor tofu is on the PATH"])
        }));
    }
    for command in ["watch", "produce", "bench; touch x", "demo\u{1b}[2J", "lab"] {
        cases.push(Case::new(format!("a record of {command:?} is not run"), move || {
            let scene = Scene::new();
            let args = [command.to_owned(), "$(touch x)".to_owned()];
            scene.record("it", &head("it", command, &args), &[]);
            scene.refused(&["resume", "it", "--yes"], &["cannot be resumed", "'$(touch x)'"])
        }));
    }
    cases
}

/// Paths that a recorded edit must not name.
const PATHS: [&str; 16] = [
    "OUTSIDE/file",
    "OUTSIDE/new",
    "../outside/file",
    "../outside/new",
    "terraform/../../outside/file",
    "./kgen.toml",
    "terraform//msk.tf",
    "terraform/evil.tf",
    "terraform/sub/msk.tf",
    "terraform",
    ".kgen/lock",
    ".kgen/runs/it/run.jsonl",
    ".git/hooks/pre-commit",
    ".envrc",
    "",
    "kgen.toml/../.envrc",
];

fn recorded_edits(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for path in PATHS {
        let steps = ["writing", "applying", "settled", "moving", "moved"];
        let step = *steps.choose(random).unwrap();
        let before = ["null", "\"SECRET of the victim\\n\"", "\"x\""].choose(random).unwrap().parse::<Value>().unwrap();
        cases.push(Case::new(format!("an edit of {path:?}, left while {step}, from {before}"), move || {
            let scene = Scene::new();
            let path = path.replace("OUTSIDE", scene.outside("").to_str().unwrap().trim_end_matches('/'));
            change(&scene, step, &json!([{ "path": path, "before": before, "after": "planted" }]), 5.0);
            let words = ["was not recorded by kgen in this project", "it edits", "nothing was changed"];
            for args in [&["resume", "--yes"][..], &["resume", "it", "--undo", "--yes"], &["resume"]] {
                scene.refused(args, &words)?;
            }
            ensure(!scene.project(".envrc").exists() && !scene.project(".git").exists(), || "it was written".to_owned())
        }));
    }
    for (name, text) in [
        ("terraform/msk.tf", "data \"external\" \"x\" { program = [\"EVIL\"] }\n"),
        (
            "terraform/network.tf",
            "resource \"null_resource\" \"x\" {\n  provisioner \"local-exec\" { command = \"EVIL\" }\n}\n",
        ),
        ("kgen.toml", "region = \"eu-west-1\"\n"),
        ("kgen.toml", "[cluster]\nname = \"another\"\nbroker_type = \"kafka.m5.large\"\n"),
    ] {
        cases.push(Case::new(format!("a text of {name} that kgen does not write: {text:?}"), move || {
            let scene = Scene::new();
            let text = text.replace("EVIL", scene.outside("evil").to_str().unwrap());
            let mut edits = vec![json!({ "path": name, "before": null, "after": text })];
            if name != "kgen.toml" {
                edits.push(
                    json!({ "path": "kgen.toml", "before": SMALL, "after": SMALL.replace("t3.small", "m5.large") }),
                );
            }
            change(&scene, "writing", &Value::Array(edits), 5.0);
            scene.refused(&["resume", "--yes"], &["was not recorded by kgen in this project", name])?;
            scene.refused(&["resume", "--undo", "--yes"], &["was not recorded by kgen in this project", name])
        }));
    }
    for measure in [-1.0, 1e300, 86_401.0] {
        cases.push(Case::new(format!("a change that measures for {measure} s"), move || {
            let scene = Scene::new();
            change(&scene, "measuring", &json!([]), measure);
            scene.refused(&["resume", "--yes"], &["was not recorded by kgen in this project", "measured for"])
        }));
    }
    cases
}

/// kgen.toml of the project before the change.
const SMALL: &str = "[cluster]\nbroker_type = \"kafka.t3.small\"\n";

/// The record of a resize, left in the middle, in a project with a rendered stack.
fn change(scene: &Scene, step: &str, edits: &Value, measure: f64) {
    scene.write("kgen.toml", SMALL);
    assert_eq!(scene.run(&["render"]).unwrap().code, Some(0));
    let intent =
        json!({ "what": "broker_type", "to": "kafka.m5.large", "measure_s": measure, "throttle_bytes_per_s": 0 });
    let lines = [result("intent", intent), result("edits", edits.clone()), result("step", json!(step))];
    scene.record("it", &head("it", "resize", &["resize".to_owned(), "kafka.m5.large".to_owned()]), &lines);
}

/// Numbers that no cluster has, in the records of runs.
fn recorded_numbers(random: &mut StdRng) -> Vec<Case> {
    let numbers = ["-1", "1e308", "-1e308", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "0"];
    let mut cases = Vec::new();
    for _ in 0..12 {
        let (number, every) = (*numbers.choose(random).unwrap(), random.random_range(2..9usize));
        cases.push(Case::new(format!("every {every}th number of a record is {number}"), move || {
            let scene = Scene::new();
            scene.write(".kgen/runs/demo-1/run.jsonl", with_numbers(number, every));
            let file = scene.project(".kgen/runs/demo-1/run.jsonl").display().to_string();
            for args in [
                &["runs"][..],
                &["replay", "demo-1", "--plain"],
                &["replay", "demo-1", "--json"],
                &["report", "demo-1", "--format", "markdown", "-o", "-"],
                &["report", "demo-1"],
                &["compare", "demo-1", "demo-1"],
                &["diagnose", "--replay", &file],
                &["resume", "demo-1"],
            ] {
                scene.harmless(args)?;
            }
            Ok(())
        }));
    }
    cases
}

/// The beginning of the recorded demo, with some numbers replaced.
fn with_numbers(number: &str, every: usize) -> String {
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runs/demo.jsonl.gz")).unwrap();
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(file)).unwrap();
    let (mut seen, mut lines) = (0usize, Vec::new());
    for line in text.lines().step_by(7).take(60) {
        // Numbers in the values of the record, as its text has them.
        let mut parts = line.split(':');
        let mut replaced = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.find(|c: char| !c.is_ascii_digit() && !".-".contains(c)).unwrap_or(part.len());
            let is_number = digits > 0 && part[digits..].starts_with([',', '}', ']']);
            seen += usize::from(is_number);
            let value = if is_number && seen.is_multiple_of(every) { number } else { &part[..digits] };
            replaced += &format!(":{value}{}", &part[digits..]);
        }
        lines.push(replaced);
    }
    lines.join("\n") + "\n"
}

/// Ids that lead elsewhere, in records and on the command line.
fn ids(random: &mut StdRng) -> Vec<Case> {
    let hostile =
        ["../../outside", "/OUTSIDE", "it; touch x", "$(touch x)", "-rf", "..", "a/b", "", "\u{1b}[2J", "a\nb"];
    let mut cases = Vec::new();
    for id in hostile {
        let command = *["demo", "resize", "scale-out"].choose(random).unwrap();
        cases.push(Case::new(format!("a record of {command} with the id {id:?}"), move || {
            let scene = Scene::new();
            let id = id.replace("/OUTSIDE", scene.outside("dir").to_str().unwrap());
            scene.record("it", &head(&id, command, &[command.to_owned()]), &[]);
            for args in [
                &["runs"][..],
                &["runs", "--json"],
                &["replay", "--plain"],
                &["report"],
                &["report", "--format", "markdown", "-o", "-"],
                &["runs", "prune", "--keep", "9", "--yes"],
            ] {
                let said = scene.harmless(args)?;
                ensure(said.code == Some(0), || format!("{args:?} ended with {:?}: {}", said.code, said.err))?;
            }
            scene.refused(&["resume", "--yes"], &["was not recorded by kgen", "nothing was changed"])?;
            // In its own folder, wherever its id leads.
            ensure(scene.project(".kgen/runs/it/report.html").is_file(), || "the report is elsewhere".to_owned())?;
            scene.harmless(&["runs", "prune", "--keep", "0", "--yes"])?;
            ensure(!scene.project(".kgen/runs/it").exists(), || "the run is still there".to_owned())
        }));
    }
    for name in ["../../outside/dir", "../outside", "OUTSIDE", ".kgen/runs/it", "./it"] {
        cases.push(Case::new(format!("resume is told to go on with {name:?}"), move || {
            let scene = Scene::new();
            let intent =
                json!({ "what": "broker_type", "to": "kafka.m5.large", "measure_s": 5, "throttle_bytes_per_s": 0 });
            scene.record("it", &head("it", "resize", &[]), &[result("intent", intent)]);
            let name = name.replace("OUTSIDE", scene.outside("dir").to_str().unwrap());
            scene.refused(&["resume", &name, "--yes"], &["there is no run", "kgen runs"])
        }));
    }
    cases
}

/// Commands that read recorded runs.
const READERS: [&[&str]; 7] = [
    &["runs"],
    &["replay", "it", "--plain"],
    &["report", "it"],
    &["report", "it", "--format", "markdown", "-o", "-"],
    &["compare", "it", "it"],
    &["resume", "it", "--yes"],
    &["runs", "prune", "--keep", "0", "--yes"],
];

/// Links at a run's folder, its files, and above.
fn links_to_runs() -> Vec<Case> {
    let mut cases = Vec::new();
    // What leads away, where to, and whether all of kgen's files are then refused.
    for (at, to, is_refused) in [
        (".kgen", "dir", true),
        (".kgen/runs", "dir", true),
        (".kgen/runs", "none", true),
        (".kgen/runs/it", "run", false),
        (".kgen/runs/it", "none", false),
        (".kgen/runs/it/run.jsonl", "file", false),
        (".kgen/runs/it/run.jsonl", "run/run.jsonl", false),
        (".kgen/runs/it/run.jsonl", "none", false),
    ] {
        for args in READERS {
            cases.push(Case::new(format!("{at} is a link to {to}: {args:?}"), move || {
                let mut scene = Scene::new();
                fs::create_dir(scene.outside("run")).unwrap();
                let record = format!("{}\n", head("it", "resize", &["SECRET".to_owned()]));
                fs::write(scene.outside("run/run.jsonl"), record).unwrap();
                scene.outside = scene.seen_outside();
                fs::create_dir_all(scene.project(at).parent().unwrap()).unwrap();
                symlink(scene.outside(to), scene.project(at)).unwrap();
                match is_refused {
                    true => scene.refused(args, &["is a symbolic link"]),
                    false => scene.harmless(args).map(drop),
                }
            }));
        }
    }
    for to in ["file", "new"] {
        cases.push(Case::new(format!("report.html is a link to {to}"), move || {
            let scene = Scene::new();
            scene.record("it", &head("it", "watch", &[]), &[]);
            symlink(scene.outside(to), scene.project(".kgen/runs/it/report.html")).unwrap();
            scene.refused(&["report"], &["report.html is a symbolic link"])
        }));
    }
    cases.push(Case::new("a record is a named pipe", || {
        let scene = Scene::new();
        fs::create_dir_all(scene.project(".kgen/runs/it")).unwrap();
        pipe(&scene.project(".kgen/runs/it/run.jsonl"));
        READERS.iter().try_for_each(|args| scene.harmless(args).map(drop))
    }));
    cases
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// Links directly in `.kgen` and in `.kgen/terraform`.
fn links_in_kgen() -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, args) in [
        (".kgen/lock", &["render"][..]),
        (".kgen/lock", &["resume", "it", "--yes"]),
        (".kgen/lock", &["resize", "kafka.m5.large", "--yes"]),
        (".kgen/terraform", &["plan"]),
        (".kgen/terraform", &["apply", "--yes"]),
        (".kgen/demo", &["demo"]),
        (".kgen/demo.lock", &["demo"]),
        (".kgen/bench", &["bench", "diagnose"]),
        (".kgen/lab", &["lab", "status"]),
        (".kgen/lab", &["lab", "down", "--purge", "--yes"]),
        (".kgen/lab", &["lab", "up"]),
        (".kgen/runs", &["watch"]),
        (".kgen/runs", &["produce"]),
    ] {
        for to in ["file", "dir", "new"] {
            cases.push(Case::new(format!("{at} is a link to {to}: {args:?}"), move || {
                let scene = Scene::new();
                fs::create_dir_all(scene.project(at).parent().unwrap()).unwrap();
                scene.write("terraform/main.tf", "# nothing\n");
                symlink(scene.outside(to), scene.project(at)).unwrap();
                let said = scene.harmless(args)?;
                ensure(said.code != Some(0), || format!("{args:?} went through it: {}{}", said.out, said.err))?;
                ensure(said.err.contains("symbolic link"), || format!("{args:?} does not name it: {}", said.err))
            }));
        }
    }
    for at in ["terraform.jsonl", "terraform.running.json"] {
        for to in ["file", "new"] {
            cases.push(Case::new(format!(".kgen/terraform/{at} is a link to {to}"), move || {
                let scene = Scene::new();
                scene.write("terraform/main.tf", "# nothing\n");
                scene.write("stub", "#!/bin/sh\necho planted\n");
                fs::set_permissions(scene.project("stub"), fs::Permissions::from_mode(0o755)).unwrap();
                fs::create_dir_all(scene.project(".kgen/terraform")).unwrap();
                symlink(scene.outside(to), scene.project(".kgen/terraform").join(at)).unwrap();
                let stub = scene.project("stub").display().to_string();
                let said = scene.harmless(&["plan", "--terraform-bin", &stub])?;
                ensure(said.code != Some(0), || format!("it went through the link: {}", said.err))
            }));
        }
    }
    cases
}

/// Links at each file of the lab.
fn links_in_lab() -> Vec<Case> {
    let names = [
        "lock",
        "lab.json",
        "lab.log",
        "moto.log",
        "control-plane.json",
        "bin",
        "tls",
        "clusters",
        "bin/kafka-topics.sh",
        "tls/ca.pem",
        "tls/broker.pem",
        "clusters/demo-12345678",
    ];
    let mut cases = Vec::new();
    for name in names {
        for to in ["file", "dir", "new"] {
            cases.push(Case::new(format!(".kgen/lab/{name} is a link to {to}"), move || {
                let scene = Scene::new();
                let at = scene.project(".kgen/lab").join(name);
                fs::create_dir_all(at.parent().unwrap()).unwrap();
                symlink(scene.outside(to), &at).unwrap();
                scene.refused(&["lab", "up"], &["is a symbolic link"])?;
                scene.harmless(&["lab", "serve"])?;
                scene.harmless(&["lab", "status"])?;
                scene.harmless(&["lab", "env"])?;
                scene.harmless(&["lab", "down"])?;
                // The links go, and what they point to stays.
                let said = scene.harmless(&["lab", "down", "--purge", "--yes"])?;
                let is_gone = !scene.project(".kgen/lab").exists();
                ensure(is_gone || said.code == Some(2), || format!("the folder stays: {}", said.err))
            }));
        }
    }
    cases
}

/// A state that a lab has written.
fn state() -> Value {
    let arn = "arn:aws:kafka:us-west-2:123456789012:cluster/demo/0b9c2f7e-51aa-4b1c-9d31-3f6f2f9f7d10-7";
    json!({ "schema": 1, "control_plane": { "configurations": [{
        "arn": "arn:aws:kafka:us-west-2:123456789012:configuration/own/7c1f8f1e-3e52-4b1d-8f1a-1d1a4f0c9a11-2",
        "name": "own", "region": "us-west-2", "created": "2026-11-25T01:00:00.000Z", "description": "",
        "kafka_versions": [], "deleted": null, "revisions": [{
            "number": 1, "created": "2026-11-25T01:00:00.000Z", "description": null,
            "server_properties": "num.partitions=3\n",
        }],
    }], "clusters": [{
        "arn": arn, "name": "demo", "region": "us-west-2", "created": "2026-11-25T01:00:00.000Z",
        "version": "K7000000000000", "state": "ACTIVE", "state_info": null, "tags": {},
        "provisioned": {
            "brokerNodeGroupInfo": {
                "brokerAZDistribution": "DEFAULT", "clientSubnets": ["a", "b", "c"], "instanceType": "kafka.t3.small",
                "storageInfo": { "ebsStorageInfo": { "volumeSize": 100 } },
            },
            "currentBrokerSoftwareInfo": { "kafkaVersion": "3.9.x" },
            "encryptionInfo": {}, "enhancedMonitoring": "DEFAULT",
            "openMonitoring": { "prometheus": {} }, "numberOfBrokerNodes": 3, "storageMode": "LOCAL",
        },
        "brokers": [{
            "id": 1, "zone": "us-west-2a", "plaintext": "127.0.0.1:19091", "tls": null, "scram": null,
            "jmx": "127.0.0.1:19092", "node": "127.0.0.1:19093",
        }],
        "operations": [], "scram_secrets": [],
    }] } })
}

fn states_of_labs(random: &mut StdRng) -> Vec<Case> {
    let mut cases = vec![Case::new("a state that a lab has written is accepted", || {
        let scene = Scene::new();
        scene.write(".kgen/lab/control-plane.json", state().to_string());
        scene.refused(&["lab", "up"], &["cannot find java"])
    })];
    let cluster = "/control_plane/clusters/0";
    let prefix = "arn:aws:kafka:us-west-2:123456789012:cluster/demo";
    let mut values: Vec<(String, Value)> = Vec::new();
    let names =
        ["OUTSIDE", "../../../outside", "..", ".", "", "/", "a/b", "dé", "\u{1b}]0;x\u{7}", "a\nb", "-rf", "a\0b"];
    values.extend(names.map(|name| (format!("{cluster}/name"), json!(name))));
    let arns =
        ["/dir", "/../../dir", "/ääääääää", "/\u{1F980}\u{1F980}\u{1F980}", "", "/", "//", "/0b9c2f7e-51aa", "/..-1"];
    values.extend(arns.map(|end| (format!("{cluster}/arn"), json!(format!("{prefix}{end}")))));
    values.push((format!("{cluster}/arn"), json!(format!("arn:aws:kafka:us-west-2:123456789012:cluster/OUTSIDE/dir"))));
    values.extend(["../x", "", "eu-west-1\n", "EU"].map(|region| (format!("{cluster}/region"), json!(region))));
    values.push((format!("{cluster}/provisioned/brokerNodeGroupInfo/clientSubnets"), json!(vec!["s"; 200])));
    values.push((format!("{cluster}/provisioned/brokerNodeGroupInfo/clientSubnets"), json!([])));
    values.push((format!("{cluster}/provisioned/numberOfBrokerNodes"), json!(u32::MAX)));
    values.push((format!("{cluster}/brokers/0/id"), json!(i32::MIN)));
    values.push((format!("{cluster}/brokers/0/id"), json!(1000)));
    values.push((format!("{cluster}/brokers/0/plaintext"), json!("198.51.100.7:9092")));
    values.push((format!("{cluster}/version"), json!("$(touch x)")));
    let properties = [
        "remote.log.storage.manager.class.path=OUTSIDE/evil.jar",
        "log.dirs=OUTSIDE",
        "authorizer.class.name=Evil",
        "num.partitions=1\rlog.dirs=OUTSIDE",
        "metric.reporters=Evil",
    ];
    let revision = "/control_plane/configurations/0/revisions/0";
    values.extend(properties.map(|text| (format!("{revision}/server_properties"), json!(text))));
    values.push((format!("{revision}/number"), json!(u64::MAX)));
    values.push(("/control_plane/configurations/0/revisions".to_owned(), json!([])));
    values.push(("/control_plane/configurations/0/name".to_owned(), json!("../own")));
    for (field, value) in values {
        let cluster_state = *["ACTIVE", "DELETING", "CREATING", "FAILED", "HEALING"].choose(random).unwrap();
        cases.push(Case::new(format!("a {cluster_state} cluster of the lab with {field} = {value}"), move || {
            let scene = Scene::new();
            let mut hostile = state();
            hostile["control_plane"]["clusters"][0]["state"] = json!(cluster_state);
            let outside = scene.outside("").display().to_string();
            let text = value.to_string().replace("OUTSIDE", outside.trim_end_matches('/'));
            *hostile.pointer_mut(&field).unwrap() = text.parse().unwrap();
            scene.write(".kgen/lab/control-plane.json", hostile.to_string());
            let words = ["control-plane.json was not written by a kgen lab", "move it away", "kgen lab down --purge"];
            scene.refused(&["lab", "up"], &words)?;
            let served = scene.harmless(&["lab", "serve", "--port", "0"])?;
            ensure(served.err.contains(words[0]), || format!("it is served: {}", served.err))?;
            scene.refused(&["lab", "status"], &["no lab is running"])?;
            scene.harmless(&["lab", "down", "--purge", "--yes"]).map(drop)
        }));
    }
    for text in ["", "{", "[]", "null", "\u{0}\u{1}", "{\"schema\":1}", "{\"schema\":2,\"control_plane\":{}}", "1e999"]
    {
        cases.push(Case::new(format!("control-plane.json is {text:?}"), move || {
            let scene = Scene::new();
            scene.write(".kgen/lab/control-plane.json", text);
            scene.refused(&["lab", "up"], &["control-plane.json"])
        }));
    }
    cases.push(Case::new("control-plane.json is a named pipe", || {
        let scene = Scene::new();
        fs::create_dir_all(scene.project(".kgen/lab")).unwrap();
        pipe(&scene.project(".kgen/lab/control-plane.json"));
        scene.refused(&["lab", "up"], &["control-plane.json is not a regular file"])
    }));
    cases
}

/// A process of the test, which ends with it.
struct Bystander(Child);

impl Bystander {
    /// One that has `lock` open, and with it the lock on it; its command line ends with `words`.
    fn holding(lock: Option<File>, words: &[&str]) -> Bystander {
        let script = "trap 'exit 7' TERM; while :; do sleep 0.05; done";
        let mut command = Command::new("sh");
        command.args(["-c", script]).args(words).stdout(Stdio::null()).stderr(Stdio::null());
        Bystander(command.stdin(lock.map_or_else(Stdio::null, Stdio::from)).spawn().unwrap())
    }

    fn is_alive(&mut self) -> bool {
        // A signal that was sent has come by then.
        sleep(Duration::from_millis(150));
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lock of the lab, held.
fn locked(scene: &Scene) -> File {
    scene.write(".kgen/lab/lock", "");
    let lock = File::open(scene.project(".kgen/lab/lock")).unwrap();
    lock.lock().unwrap();
    lock
}

fn lab_json(pid: impl std::fmt::Display) -> String {
    format!("{{\"pid\": {pid}, \"endpoint\": \"http://127.0.0.1:9\"}}")
}

fn records_of_labs(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut garbage: Vec<Vec<u8>> = ["", "{", "null", "[]", "{\"pid\": -1}", "{\"pid\": \"1\", \"endpoint\": \"x\"}"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec();
    garbage.extend((0..4).map(|length| (0..length * 50 + 1).map(|_| random.random::<u8>()).collect()));
    garbage.push(br#"{"pid": 4194305, "endpoint": "http://198.51.100.7:80"}"#.to_vec());
    for bytes in garbage {
        let name = format!("garbage in lab.json, the lock held by another: {:?}", String::from_utf8_lossy(&bytes));
        cases.push(Case::new(name, move || {
            let scene = Scene::new();
            let mut holder = Bystander::holding(Some(locked(&scene)), &["bystander"]);
            scene.write(".kgen/lab/lab.json", &bytes);
            let held = format!("is held by process {}", holder.0.id());
            let words = [held.as_str(), "lab.json is unreadable", "not a lab"];
            for args in [&["lab", "status"][..], &["lab", "down"], &["lab", "env"], &["lab", "up"]] {
                scene.refused(args, &words)?;
            }
            scene.refused(&["lab", "down", "--purge", "--yes"], &words)?;
            ensure(holder.is_alive(), || "the holder was ended".to_owned())?;
            ensure(scene.project(".kgen/lab/lab.json").exists(), || "it was purged".to_owned())
        }));
    }
    // Whom lab.json names: somebody who does not hold the lock, who only looks like a lab, or who is nobody.
    for (named, words) in [
        ("another", &["bystander"][..]),
        ("one that looks like a lab", &["lab", "serve"]),
        ("the holder", &[]),
        ("0", &[]),
        ("4194305", &[]),
        ("4294967295", &[]),
    ] {
        cases.push(Case::new(format!("lab.json names {named}, the lock held by one that is not a lab"), move || {
            let scene = Scene::new();
            let mut holder = Bystander::holding(Some(locked(&scene)), &["bystander"]);
            let mut other = Bystander::holding(None, words);
            let pid = match named {
                "the holder" => holder.0.id().to_string(),
                named if named.parse::<u32>().is_ok() => named.to_owned(),
                _ => other.0.id().to_string(),
            };
            scene.write(".kgen/lab/lab.json", lab_json(pid));
            let held = format!("is held by process {}", holder.0.id());
            scene.refused(&["lab", "status"], &[&held])?;
            scene.refused(&["lab", "down"], &[&held, "not a lab"])?;
            ensure(holder.is_alive() && other.is_alive(), || "a process was ended that is not the lab".to_owned())
        }));
        cases.push(Case::new(format!("lab.json names {named}, and nobody holds the lock"), move || {
            let scene = Scene::new();
            drop(locked(&scene));
            let mut other = Bystander::holding(None, words);
            let pid = if named.parse::<u32>().is_ok() { named.to_owned() } else { other.0.id().to_string() };
            scene.write(".kgen/lab/lab.json", lab_json(pid));
            scene.refused(&["lab", "status"], &["no lab is running"])?;
            let down = scene.harmless(&["lab", "down"])?;
            ensure(down.code == Some(0) && down.err.contains("no lab is running"), || down.err.clone())?;
            ensure(other.is_alive(), || "a process was ended that is not the lab".to_owned())
        }));
    }
    for record in [Some("garbage"), Some("{\"pid\": 4194305, \"endpoint\": \"http://127.0.0.1:9\"}"), None] {
        cases.push(Case::new(format!("lab.json is {record:?}, and a lab holds the lock"), move || {
            let scene = Scene::new();
            let mut lab = Bystander::holding(Some(locked(&scene)), &["kgen", "lab", "serve"]);
            if let Some(record) = record {
                scene.write(".kgen/lab/lab.json", record);
            }
            let held = format!("is held by process {}", lab.0.id());
            scene.refused(&["lab", "status"], &[&held, "`kgen lab down` stops it"])?;
            let down = scene.harmless(&["lab", "down"])?;
            ensure(down.code == Some(0) && down.err.contains(&held), || down.err.clone())?;
            ensure(lab.0.wait().unwrap().code() == Some(7), || "the lab was not asked to end".to_owned())
        }));
    }
    cases.push(Case::new("lab.json is a named pipe while the lock is held", || {
        let scene = Scene::new();
        let _holder = Bystander::holding(Some(locked(&scene)), &["bystander"]);
        pipe(&scene.project(".kgen/lab/lab.json"));
        scene.refused(&["lab", "status"], &["lab.json is unreadable", "not a regular file"])
    }));
    cases
}
