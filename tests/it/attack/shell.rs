//! Shells of one project: kgen on terminals, with a stub of terraform whose plans know each other.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    thread::sleep,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::project::{Project, Ran};

/// How long anything may take: the machine may be busy.
pub const WITHIN: Duration = Duration::from_secs(60);

/// What every question of kgen ends with.
pub const QUESTION: &str = "Type yes: ";

const CLUSTER: &str = "resource \"aws_msk_cluster\" \"this\" {\n  kafka_version = \"3.9.x\"\n  broker_node_group_info {\n    \
                       instance_type = var.type\n  }\n}\nvariable \"type\" {}\n";
pub const VALUES: &str = "type = \"kafka.m5.large\"\n";

/// Saves a plan with an id of its own, which it prints when it is asked to show the plan, and notes when it applies it. Waits
/// where a file `slow-plan` or `slow-apply` is, until there is a file `go`.
const STUB: &str = r#"#!/bin/sh
here=$(dirname "$0")
command=$1
goal=create out=
for word; do
  last=$word
  case $word in -out=*) out=${word#-out=} ;; -destroy) goal=delete ;; esac
done
grep -q m5.xlarge terraform.tfvars && [ $goal = create ] && goal=update
halt() {
  [ -e "$here/slow-$1" ] || return 0
  touch "$here/reached-$1"
  tries=0
  until [ -e "$here/go" ] || [ $tries -gt 1000 ]; do sleep 0.05; tries=$((tries+1)); done
}
case $command in
plan)
  halt plan
  read -r id < /proc/sys/kernel/random/uuid
  echo "$id $goal" > "$out"
  echo "plan $id $PPID" >> "$here/log"
  cat "$here/plan.out" 2>/dev/null
  exit "$(cat "$here/plan.code" 2>/dev/null || echo 2)" ;;
show)
  read -r id goal < "$last"
  [ ! -e "$here/many" ] || { sed "s/ID/$id/" "$here/many"; exit 0; }
  cluster='"number_of_broker_nodes":3,"cluster_name":"orders","broker_node_group_info":[{"instance_type"'
  case $goal in
  create) address=terraform_data.t kind=terraform_data before=null after='{}' ;;
  delete) address=terraform_data.t kind=terraform_data before='{}' after=null ;;
  *) address=aws_msk_cluster.this kind=aws_msk_cluster
     before="{$cluster:\"kafka.m5.large\"}]}" after="{$cluster:\"kafka.m5.xlarge\"}]}" ;;
  esac
  printf '{"complete":true,"resource_changes":[{"address":"%s","mode":"managed","type":"%s",' $address $kind
  printf '"change":{"actions":["%s"],"before":%s,"after":%s}}],' "$goal" "$before" "$after"
  printf '"output_changes":{"%s":{"actions":["create"],"before":null,"after":"x"}}}' "$id" ;;
apply)
  read -r id goal < "$last"
  echo "apply $id $PPID" >> "$here/log"
  halt apply
  cat "$here/apply.out" 2>/dev/null
  exit "$(cat "$here/apply.code" 2>/dev/null || echo 0)" ;;
output) echo '{}' ;;
esac
"#;

/// A project with Terraform that kgen did not write, so that every command plans the same folder.
pub fn project() -> Project {
    let project = Project::new();
    project.write("terraform/main.tf", CLUSTER);
    project.write("terraform/terraform.tfvars", VALUES);
    project.write("stub/terraform", STUB);
    fs::set_permissions(project.path("stub/terraform"), fs::Permissions::from_mode(0o755)).unwrap();
    project
}

/// A command that plans, by a short name: as arguments for `project`.
pub fn command(project: &Project, name: &str) -> Vec<String> {
    let dir = project.path("terraform").display().to_string();
    let words = name.replace("DIR", &dir);
    let mut args: Vec<String> = words.split(' ').map(str::to_owned).collect();
    if name.contains("--apply") {
        args.extend(["--measure", "1s", "--plain"].map(str::to_owned));
    }
    args
}

const ENV: [(&str, &str); 3] =
    [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
const UNSET: [&str; 4] = ["AWS_REGION", "AWS_DEFAULT_REGION", "NO_COLOR", "CLICOLOR_FORCE"];

/// kgen without a terminal.
pub fn without_terminal(project: &Project, name: &str, term: Option<&str>) -> Ran {
    let args = command(project, name);
    let mut kgen = project.kgen(&args.iter().map(String::as_str).collect::<Vec<_>>());
    for name in UNSET {
        kgen.env_remove(name);
    }
    match term {
        Some(term) => kgen.env("TERM", term),
        None => kgen.env_remove("TERM"),
    };
    kgen.envs(ENV).output().unwrap().into()
}

/// kgen in a terminal of its own.
pub struct Shell {
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Vec<u8>>>,
    keyboard: Box<dyn Write + Send>,
    pub master: Box<dyn MasterPty + Send>,
}

impl Shell {
    pub fn open(project: &Project, name: &str) -> Shell {
        Shell::with(project, name, Some("xterm"), (24, 80))
    }

    pub fn with(project: &Project, name: &str, term: Option<&str>, size: (u16, u16)) -> Shell {
        Shell::open_at(ENV[0].1, project, name, term, size)
    }

    /// As [`Shell::with`], with the MSK API at `endpoint`.
    pub fn open_at(
        endpoint: &str,
        project: &Project,
        name: &str,
        term: Option<&str>,
        (rows, cols): (u16, u16),
    ) -> Shell {
        let pair = native_pty_system().openpty(PtySize { rows, cols, ..PtySize::default() }).unwrap();
        // A test run may itself have been started with these signals ignored.
        let mut kgen = CommandBuilder::new("env");
        kgen.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_kgen"), "-C"]);
        kgen.arg(project.path(""));
        kgen.args(command(project, name));
        kgen.env("KGEN_TERRAFORM_BIN", project.path("stub/terraform"));
        UNSET.iter().for_each(|name| kgen.env_remove(name));
        ENV.iter().for_each(|(name, value)| kgen.env(name, value));
        kgen.env(ENV[0].0, endpoint);
        match term {
            Some(term) => kgen.env("TERM", term),
            None => kgen.env_remove("TERM"),
        }
        let child = pair.slave.spawn_command(kgen).unwrap();
        drop(pair.slave);
        let (mut reader, seen) = (pair.master.try_clone_reader().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let into = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal whose last user has gone ends with an error.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                into.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Shell { child, seen, keyboard: pair.master.take_writer().unwrap(), master: pair.master }
    }

    /// Everything that was shown, without what moves the cursor.
    pub fn seen(&self) -> String {
        let text = String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned();
        regex::Regex::new("\x1b\\[[0-9;?]*[A-Za-z]").unwrap().replace_all(&text, "").into_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Types as soon as there is a question.
    pub fn answer(&mut self, text: &str) -> Result<(), String> {
        self.until(QUESTION)?;
        self.type_in(text);
        Ok(())
    }

    pub fn until(&mut self, text: &str) -> Result<(), String> {
        let seen = Arc::clone(&self.seen);
        let shows = move || String::from_utf8_lossy(&seen.lock().unwrap()).contains(text);
        until(|| shows() || !matches!(self.child.try_wait(), Ok(None)));
        // What a process has written last may come after its end.
        until_or(Duration::from_secs(1), || self.seen().contains(text));
        if self.seen().contains(text) { Ok(()) } else { Err(format!("no {text:?} in {:?}", self.seen())) }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The exit code, once it has ended; one that does not end is a fault.
    pub fn code(&mut self) -> Result<u32, String> {
        let started = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    sleep(Duration::from_millis(20));
                    return Ok(status.exit_code());
                }
                Ok(None) if started.elapsed() < WITHIN => sleep(Duration::from_millis(10)),
                _ => return Err(format!("it does not end: {:?}", self.seen())),
            }
        }
    }

    /// The id of the plan that was shown last.
    pub fn shown_plan(&self) -> Option<String> {
        let id = regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
        id.find_iter(&self.seen()).last().map(|found| found.as_str().to_owned())
    }

    /// Whether the checksum of the plan with this id was shown.
    pub fn has_shown_sum_of(&self, id: &str, goal: &str) -> bool {
        let sum = Sha256::digest(format!("{id} {goal}\n"));
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        self.seen().replace(['\r', '\n'], "").contains(&sum)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The MSK API and the brokers of the cluster of kgen.toml's defaults, as far as kgen looks before it asks.
pub struct Msk {
    pub endpoint: String,
    _brokers: MockCluster<'static, DefaultProducerContext>,
}

impl Msk {
    pub fn new() -> Msk {
        let brokers = MockCluster::new(3).unwrap();
        let arn = "arn:aws:kafka:us-west-2:111122223333:cluster/kgen-demo/0-1";
        let group = json!({"clientSubnets": ["subnet-1"], "instanceType": "kafka.t3.small"});
        let provisioned = json!({"brokerNodeGroupInfo": group, "numberOfBrokerNodes": 3,
            "currentBrokerSoftwareInfo": {"kafkaVersion": "3.9.x"}});
        let cluster = json!({"clusterArn": arn, "clusterName": "kgen-demo", "clusterType": "PROVISIONED",
            "state": "ACTIVE", "currentVersion": "K1", "provisioned": provisioned});
        let answers = [
            ("bootstrap-brokers", json!({"bootstrapBrokerString": brokers.bootstrap_servers()})),
            ("/api/v2/clusters/", json!({"clusterInfo": cluster})),
            ("/api/v2/clusters", json!({"clusterInfoList": [cluster]})),
        ];
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        // A case asks a few times, and the tests' end ends it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take(100) {
                let mut stream = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|count| count > 0) {}
                let path = head.split(' ').nth(1).unwrap_or_default();
                let answer = answers.iter().find(|(part, _)| path.contains(part)).map(|(_, answer)| answer.to_string());
                let (status, body) = answer.map_or((404, "{}".to_owned()), |answer| (200, answer));
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{body}"
                );
                let _ = stream.get_mut().write_all(text.as_bytes());
            }
        });
        Msk { endpoint, _brokers: brokers }
    }
}

/// What terraform did on `project`: each a command, the id of its plan, and the process of kgen that had it done.
pub fn done(project: &Project) -> Vec<(String, String, u32)> {
    let log = project.read("stub/log");
    let lines = log.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.map(|words| (words[0].to_owned(), words[1].to_owned(), words[2].parse().unwrap())).collect()
}

/// The plans that were applied, likewise.
pub fn applied(project: &Project) -> Vec<(String, u32)> {
    done(project).into_iter().filter(|(what, ..)| what == "apply").map(|(_, id, by)| (id, by)).collect()
}

/// The files of plans that are there.
pub fn plan_files(project: &Project) -> Vec<String> {
    let folders = [".kgen/terraform", "terraform/.terraform/kgen"].map(|name| fs::read_dir(project.path(name)));
    let names = folders.into_iter().flatten().flatten().flatten();
    names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".tfplan"))
        .collect()
}

pub fn until(holds: impl FnMut() -> bool) {
    until_or(WITHIN, holds);
}

pub fn until_or(within: Duration, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() && started.elapsed() < within {
        sleep(Duration::from_millis(5));
    }
}

pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
