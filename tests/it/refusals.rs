//! Every mistake a user can make before anything is touched: object, cause and next step, and exit code 2.

use std::{fs, process::Command};

use crate::{
    lab::{NOBODY, free_port},
    project::kgen,
};

/// Runs kgen in a folder of its own with these files and variables; stdout must stay empty and no file may change.
#[track_caller]
fn check(args: &[&str], files: &[(&str, &str)], env: &[(&str, &str)], code: i32, words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), text).unwrap();
    }
    let mut command: Command = kgen(dir.path());
    command.args(args).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_PROFILE").env_remove("KGEN_BOOTSTRAP_SERVERS");
    let output = command.envs(env.iter().copied()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?} does not say {word:?}:\n{stderr}");
    }
    // What happened, to which object, and what to try: three lines at most, and nothing of Rust's.
    let error: Vec<&str> = stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert!((1..=3).contains(&error.len()), "{args:?} says this much:\n{stderr}");
    for word in ["panicked", "unwrap", "Err(", "Some(", "Error {", "kind:", "(os error", "invalid digit"] {
        assert!(!stderr.contains(word), "{args:?} says {word:?}:\n{stderr}");
    }
    assert!(output.stdout.is_empty(), "{args:?} prints a result");
    for (name, text) in files {
        assert_eq!(&fs::read_to_string(dir.path().join(name)).unwrap(), text, "{args:?} changed {name}");
    }
    let is_given = files.iter().any(|(name, _)| *name == "terraform/network.tf");
    assert!(is_given || !dir.path().join("terraform/network.tf").exists(), "{args:?} rendered something");
}

#[test]
fn too_few_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let check = |limit: &str, code: i32, words: &str| {
        let script = format!("{limit}; exec {} runs", env!("CARGO_BIN_EXE_kgen"));
        let output = Command::new("sh").args(["-c", &script]).current_dir(dir.path()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && stderr.contains(words), "{limit}: {}{stderr}", output.status);
    };
    check("ulimit -n 40", 2, "needs 64 open files, but only 40 are allowed: raise the limit (`ulimit -n 1024`)");
    // The hard limit leaves room.
    check("ulimit -S -n 40", 0, "");
}

#[test]
fn broker_types() {
    check(&["resize", "kafka.nope.huge", "--yes"], &[], &[], 2, &["kafka.nope.huge", "not an MSK broker type"]);
    check(&["capacity", "--against", "m5.large", "--yes"], &[], &[], 2, &["did you mean kafka.m5.large?"]);
    check(&["resize", "m5.large", "--yes"], &[], &[], 2, &["did you mean kafka.m5.large?"]);
    let rendered = render();
    let rendered: Vec<(&str, &str)> = rendered.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let m5 = "[cluster]\nbroker_type = \"kafka.m5.large\"\n";
    check(
        &["resize", "kafka.t3.small", "--yes"],
        &[("kgen.toml", m5)],
        &[],
        2,
        &["cannot change brokers back to kafka.t3.small"],
    );
    check(&["resize", "kafka.m5.large", "--yes"], &[], &[], 2, &["no Terraform", "kgen render"]);
    check(&["resize", "kafka.t3.small", "--yes"], &rendered, &[], 2, &["the brokers already are kafka.t3.small"]);
}

#[test]
fn what_was_probably_meant() {
    check(&["resiz", "kafka.m5.large"], &[], &[], 2, &["resiz", "'resize'", "see `kgen --help`"]);
    check(&["topic", "creat", "t"], &[], &[], 2, &["creat", "'create'", "see `kgen topic --help`"]);
    check(&["resize", "kafka.m5.large", "--dirr", "x"], &[], &[], 2, &["'--dir'", "see `kgen resize --help`"]);
    check(&["explain", "broker.undersize"], &[], &[], 2, &["did you mean broker.undersized?", "`kgen explain`"]);
    check(&["explain", "zzz"], &[], &[], 2, &["there is no finding zzz"]);
    check(&["diagnose", "--replay", "nope"], &[], &[], 2, &["reading nope", "kgen watch --json", "No such file"]);
}

#[test]
fn numbers_of_brokers() {
    let rendered = render();
    let rendered: Vec<(&str, &str)> = rendered.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    check(&["scale-out", "6"], &[], &[], 2, &["no terminal", "--yes"]);
    let whole = ["six", "BROKERS", "expected a whole number", "see `kgen scale-out --help`"];
    check(&["scale-out", "six", "--yes"], &[], &[], 2, &whole);
    check(
        &["scale-out", "3", "--yes"],
        &rendered,
        &[],
        2,
        &["3 brokers are not more than the current 3", "kgen resize"],
    );
    check(&["scale-out", "4", "--yes"], &rendered, &[], 2, &["4 brokers cannot be spread", "a multiple of 3"]);
    check(&["scale-out", "33", "--yes"], &rendered, &[], 2, &["more than the 30 that MSK allows"]);
    check(&["scale-out", "6", "--yes"], &[], &[], 2, &["no Terraform", "kgen render"]);
    check(&["scale-out", "6", "--yes", "--throttle", "0"], &[], &[], 2, &["--throttle"]);
    let set = [("KGEN_CLUSTER_BROKER_COUNT", "3")];
    check(&["scale-out", "6", "--yes"], &[], &set, 2, &["KGEN_CLUSTER_BROKER_COUNT", "unset"]);
}

#[test]
fn runs_that_cannot_be_gone_on_with() {
    let head = |command: &str| {
        format!(
            "{{\"schema\":\"kgen.run/1\",\"id\":\"it\",\"command\":\"{command}\",\"args\":[\"{command}\"],\
             \"started\":\"2026-11-25T01:00:00Z\",\"environment\":{{}}}}\n"
        )
    };
    let said = |name: &str, value: &str| {
        format!("{{\"at\":\"2026-11-25T01:00:01Z\",\"event\":\"result\",\"name\":\"{name}\",\"value\":{value}}}\n")
    };
    let end = "{\"at\":\"2026-11-25T01:00:09Z\",\"event\":\"end\",\"exit_code\":0,\"outcome\":\"done\"}\n";
    let intent = said(
        "intent",
        "{\"what\":\"broker_type\",\"to\":\"kafka.m5.large\",\"measure_s\":5.0,\"throttle_bytes_per_s\":0}",
    );
    let file = ".kgen/runs/it/run.jsonl";
    check(&["resume"], &[], &[], 2, &["interrupted or has failed", "kgen runs"]);
    check(&["resume", "nope"], &[], &[], 2, &["no run nope", "kgen runs"]);
    check(&["resume", "it"], &[(file, &head("watch"))], &[], 2, &["kgen watch", "kgen report it"]);
    check(&["resume", "it"], &[(file, &format!("{}{end}", head("demo")))], &[], 2, &["is complete", "kgen report"]);
    check(&["resume", "it"], &[(file, &head("resize"))], &[], 2, &["nothing was changed", "kgen resize"]);
    let begun = format!("{}{intent}", head("resize"));
    check(&["resume", "it"], &[(file, &begun)], &[], 2, &["no terminal", "--yes"]);
    let proven = format!("{begun}{}", said("step", "\"proven\""));
    check(&["resume", "it", "--yes"], &[(file, &proven)], &[], 2, &["is complete", "kgen report it"]);
    check(&["resume", "it", "--yes"], &[(file, &begun)], &[], 2, &["no Terraform", "kgen render"]);
    check(&["resume", "it"], &[(file, "no record\n")], &[], 2, &["no run it", "kgen runs"]);
}

#[test]
fn what_is_named_is_not_there() {
    let nobody =
        [("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_ACCESS_KEY_ID", "lab"), ("AWS_SECRET_ACCESS_KEY", "lab")];
    check(&["explain", "nope"], &[], &[], 2, &["nope", "kgen explain"]);
    check(&["schema", "nope"], &[], &[], 2, &["nope", "kgen schema"]);
    check(&["man", "nope"], &[], &[], 2, &["kgen nope", "kgen --help"]);
    check(&["completions", "nope"], &[], &[], 2, &["nope", "bash"]);
    check(&["report"], &[], &[], 2, &["no run is recorded", "kgen demo"]);
    check(&["report", "nope"], &[], &[], 2, &["no run nope", "kgen runs"]);
    check(&["runs", "prune", "--keep", "x"], &[], &[], 2, &["'x'", "--keep"]);
    check(&["diagnose", "--replay", "nope"], &[], &[], 2, &["nope", "No such file"]);
    check(&["resize", "kafka.m5.large", "--dir", "nope", "--dry-run"], &[], &[], 2, &["nope", "--dir"]);
    check(&["output"], &[], &[], 2, &["no Terraform", "kgen render"]);
    check(&["plan"], &[], &[], 2, &["no Terraform", "kgen render"]);
    check(&["destroy"], &[], &[], 2, &["no terminal", "--yes"]);
    check(&["fix"], &[], &[], 2, &["no terminal", "--yes"]);
    check(&["fix", "--yes"], &[], &nobody, 2, &["127.0.0.1:9", "kgen lab up"]);
    check(&["connect"], &[], &nobody, 2, &["127.0.0.1:9", "kgen lab up"]);
    check(&["topic", "delete", "x"], &[], &nobody, 2, &["127.0.0.1:9", "--bootstrap-servers"]);
    check(&["consume", "--verify", "nope"], &[], &nobody, 2, &["127.0.0.1:9", "--bootstrap-servers"]);
    check(&["consume", "--set", "x"], &[], &[], 2, &["--set", "NAME=VALUE"]);
    check(&["produce", "--rate", "x"], &[], &[], 2, &["--rate", "poisson"]);
    check(&["demo", "--port", "x"], &[], &[], 2, &["--port", "'x'"]);
    check(&["nope"], &[], &[], 2, &["nope", "--help"]);
}

/// The default stack as rendered.
fn render() -> Vec<(String, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/terraform");
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let sources = entries.filter(|path| path.extension().is_some_and(|ext| ext == "tf" || ext == "sh"));
    sources
        .map(|path| {
            let name = format!("terraform/{}", path.file_name().unwrap().to_string_lossy());
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn kgen_toml() {
    check(&["render"], &[("kgen.toml", "[cluster]\nbroker_typ = \"x\"\n")], &[], 2, &["kgen.toml:2", "broker_typ"]);
    check(&["render"], &[("kgen.toml", "[cluster\n")], &[], 2, &["kgen.toml:1"]);
    let t3_kraft = "[cluster]\nkafka_version = \"3.9.x.kraft\"\n";
    check(&["render"], &[("kgen.toml", t3_kraft)], &[], 2, &["kafka.t3.small", "ZooKeeper"]);
}

#[test]
fn programs_that_are_missing() {
    let main_tf = ("terraform/main.tf", "# mine\n");
    check(&["apply", "--yes"], &[main_tf], &[("PATH", "/nowhere")], 2, &["terraform", "install"]);
    let gone = [("KGEN_TERRAFORM_BIN", "/no/terraform")];
    check(&["apply", "--yes"], &[main_tf], &gone, 2, &["/no/terraform"]);
    check(&["demo"], &[], &[("PATH", "/nowhere")], 2, &["terraform", "install"]);
    let no_java = [("PATH", "/nowhere"), ("JAVA_HOME", "")];
    let port = free_port().to_string();
    check(&["lab", "up", "--port", &port], &[], &no_java, 2, &["java", "17", "install"]);
}

#[test]
fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check(&["lab", "up", "--port", &port], &[], &[], 2, &["port", &port, "--port"]);
}

#[test]
fn servers_that_do_not_answer() {
    check(&["produce", "--bootstrap-servers", NOBODY, "--duration", "1"], &[], &[], 2, &[NOBODY]);
    check(&["topic", "create", "--bootstrap-servers", NOBODY], &[], &[], 2, &[NOBODY]);
    let endpoint = format!("http://{NOBODY}");
    let lab = [("AWS_ENDPOINT_URL", endpoint.as_str())];
    check(&["watch"], &[], &lab, 2, &[NOBODY, "kgen lab up"]);
    check(&["diagnose"], &[], &lab, 2, &[NOBODY, "kgen lab up"]);
    check(&["bootstrap"], &[], &lab, 2, &[NOBODY, "kgen lab up"]);
}

#[test]
fn real_credentials_do_not_go_to_the_lab() {
    let lab = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ];
    check(&["diagnose"], &[], &lab, 2, &["KGEN_ALLOW_REAL_CREDENTIALS"]);
}

#[test]
fn a_lab_that_does_not_run() {
    check(&["lab", "env"], &[], &[], 2, &["no lab is running", "kgen lab up"]);
    check(&["lab", "status"], &[], &[], 2, &["no lab is running", "kgen lab up"]);
}
