//! What the attacks on kgen's output share: a recorded run with a hostile text in every field, and a project around it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, LazyLock},
};

use serde_json::{Map, Value, json};

use crate::project::{Project, Ran};

/// The run that every project of these attacks has.
pub const RUN: &str = "demo-20261125-003853";

/// Some entries of the recorded demo: every kind of them.
static DEMO: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let file = fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runs/demo.jsonl.gz")).unwrap();
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    let all: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let (mut samples, mut loads) = (0u32, 0u32);
    let next = |count: &mut u32| std::mem::replace(count, *count + 1);
    let is_kept = |entry: &Value| match entry["event"].as_str() {
        Some("sample") => next(&mut samples).is_multiple_of(8),
        Some("load") => next(&mut loads).is_multiple_of(4),
        _ => true,
    };
    all.into_iter().filter(is_kept).collect()
});

/// What is put into the fields of a record.
#[derive(Clone, Default)]
pub struct Poison {
    /// Behind every text.
    pub text: String,
    /// In the place of texts that are known to be of one line: titles, names, commands.
    pub line: String,
    pub cluster: String,
    pub arn: Option<String>,
    pub servers: Option<String>,
    pub group: String,
}

/// Fields whose texts kgen reads as something else than a text.
const STRUCTURE: [&str; 13] = [
    "started",
    "at",
    "event",
    "schema",
    "id",
    "mark",
    "source",
    "state",
    "verdict",
    "name",
    "current_version",
    "broker_type",
    "kafka_version",
];

/// Fields that have one line.
const LINES: [&str; 8] = ["title", "subject", "cause", "check", "summary", "error", "outcome", "command"];

/// The record of the demo with `poison` in every field that holds a text.
pub fn record(poison: &Poison) -> String {
    let mut text = String::new();
    for entry in DEMO.iter() {
        let mut entry = entry.clone();
        poisoned(&mut entry, "", poison);
        if entry.get("environment").is_some() {
            entry["command"] = "demo".into();
            entry["environment"]["cluster"] = poison.cluster.as_str().into();
        }
        if entry["event"] == "sample" {
            let cluster = &mut entry["cluster"];
            cluster["cluster"] = poison.cluster.as_str().into();
            cluster["bootstrap_servers"] = poison.servers.clone().into();
            if let Some(arn) = &poison.arn {
                cluster["arn"] = arn.as_str().into();
            }
            let at = entry["sample"]["at_ms"].as_i64().unwrap() / 1000;
            stalled(&mut entry["sample"], &poison.group, at);
        }
        text += &format!("{entry}\n");
    }
    text
}

fn poisoned(value: &mut Value, key: &str, poison: &Poison) {
    match value {
        Value::String(text) if LINES.contains(&key) => *text += &format!("{} {}", poison.line, poison.text),
        Value::String(text) if !STRUCTURE.contains(&key) => *text += &format!(" {}", poison.text),
        Value::Array(items) => items.iter_mut().for_each(|item| poisoned(item, key, poison)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| poisoned(value, &key.clone(), poison)),
        _ => {}
    }
}

/// A consumer group that commits nothing while records come in: its name stands in the diagnosis.
fn stalled(sample: &mut Value, group: &str, at_s: i64) {
    let partition = json!({ "leader": 1, "replicas": [1, 2, 3], "in_sync": [1, 2, 3], "records_per_s": 100.0 });
    let progress = json!({ "0": { "lag": (at_s % 1_000_000) * 100, "committed_per_s": 0.0 } });
    sample["protocol_at_ms"] = (at_s * 1000).into();
    sample["topics"] = json!({ "t": { "partitions": [partition] } });
    sample["groups"] = Map::from_iter([(group.to_owned(), json!({ "topics": { "t": progress } }))]).into();
}

/// A project with a stub as its terraform, and `record` as its run.
pub fn project(record: &str) -> Project {
    let project = Project::new();
    fs::create_dir_all(project.path(&format!(".kgen/runs/{RUN}"))).unwrap();
    project.write(&format!(".kgen/runs/{RUN}/run.jsonl"), record);
    project
}

/// Runs kgen on `project`; nothing of this machine's AWS settings is seen.
pub fn run(project: &Project, args: &[String], env: &[(&str, &str)]) -> Ran {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command: Command = project.kgen(&args);
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "AWS_PROFILE", "KGEN_REDACT"] {
        command.env_remove(name);
    }
    command.current_dir(project.path("")).envs(env.iter().copied());
    command.output().unwrap().into()
}

pub fn words(args: &str) -> Vec<String> {
    args.split_whitespace().map(str::to_owned).collect()
}

/// Every file below `dir`, sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(dir)
        .into_iter()
        .filter_map(|entry| entry.ok().filter(|entry| entry.file_type().is_file()))
        .map(|entry| entry.into_path())
        .collect();
    found.sort();
    found
}

/// An API of AWS that answers each call with this error; returns where it listens. It ends with the test program.
pub fn refusing_api(message: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let body = Arc::new(json!({ "message": message, "Message": message }).to_string());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), body) = (stream, Arc::clone(&body)) else { return };
            let _ = stream.set_read_timeout(Some(std::time::Duration::from_secs(2)));
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = write!(
                stream,
                "HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: ForbiddenException\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    endpoint
}

/// What a call to `endpoint` is made with: keys that are none.
pub fn made_up_keys(endpoint: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_ACCESS_KEY_ID", "lab".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "lab".to_owned()),
        ("AWS_REGION", "us-west-2".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_MAX_ATTEMPTS", "1".to_owned()),
    ]
}
