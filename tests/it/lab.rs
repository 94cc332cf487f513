//! A lab for a test, with a project around it; and chance that a seed repeats.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
    time::Duration,
};

use serde_json::Value;

use crate::awaited::{await_some, await_until};

/// Prints the state of the lab's cluster.
pub const STATE: &str = "kgen lab status --json | jq -r '.clusters[0].state'";

/// How soon nothing of a lab that is killed may run.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// A project folder with a lab running in it; the lab ends with it.
pub struct Lab {
    dir: tempfile::TempDir,
    port: u16,
    /// What `kgen lab env` printed, and the process of the lab then.
    environment: Mutex<Option<(u32, String)>>,
}

/// One broker of the lab's only cluster, as `kgen lab status` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    pub id: i64,
    /// `None` when it does not run.
    pub pid: Option<u32>,
    /// On 127.0.0.1.
    pub port: u16,
}

impl Lab {
    #[track_caller]
    pub fn up() -> Lab {
        Lab::with_options("")
    }

    /// Starts one with options of `kgen lab up`.
    #[track_caller]
    pub fn with_options(options: &str) -> Lab {
        let mut lab = Lab { dir: tempfile::tempdir().unwrap(), port: free_port(), environment: Mutex::default() };
        let mut tries = 3;
        loop {
            let script = format!("{} {options}", lab.up_command());
            let started = lab.try_sh(&script);
            tries -= 1;
            // Somebody else may have it now: a process that is started while it is found free holds it until it is another program.
            if tries == 0 || !text(&started.stderr).contains("Address already in use") {
                succeeded(&script, &started);
                return lab;
            }
            lab.port = free_port();
        }
    }

    /// Starts the lab in its folder, on the port that it has for its life.
    #[track_caller]
    pub fn start(&self) {
        self.sh(&self.up_command());
    }

    pub fn up_command(&self) -> String {
        format!("kgen lab up --port {}", self.port)
    }

    /// Runs a script the way a person types it, in the project folder with the lab's environment. It must succeed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        succeeded(script, &self.try_sh(script))
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn try_sh(&self, script: &str) -> Output {
        self.bash(script).output().unwrap()
    }

    /// Starts a command with its output in `NAME.json` and `NAME.log` of the project folder.
    pub fn spawn(&self, command: &str, name: &str) -> Running {
        let file = |ending: &str| File::create(self.path().join(format!("{name}.{ending}"))).unwrap();
        let mut bash = self.bash(&format!("exec {command}"));
        bash.stdin(Stdio::null()).stdout(file("json")).stderr(file("log"));
        Running(bash.spawn().unwrap())
    }

    fn bash(&self, script: &str) -> Command {
        let kgen = Path::new(env!("CARGO_BIN_EXE_kgen")).parent().unwrap();
        let path = format!("{}:{}", kgen.display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        let script = format!("{}\n{script}", self.environment());
        bash.args(["-euo", "pipefail", "-c", &script]).current_dir(self.path()).env("PATH", path);
        bash
    }

    /// What a person evaluates before anything else, while the lab runs.
    fn environment(&self) -> String {
        let mut known = self.environment.lock().unwrap();
        let Some(pid) = self.running().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()) else {
            return String::new();
        };
        if known.as_ref().is_none_or(|(of, _)| *of != pid) {
            let printed = Command::new(env!("CARGO_BIN_EXE_kgen"))
                .args(["lab", "env"])
                .current_dir(self.path())
                .output()
                .unwrap();
            *known = printed.status.success().then(|| (pid, text(&printed.stdout)));
        }
        known.as_ref().map(|(_, printed)| printed.clone()).unwrap_or_default()
    }

    /// The process that calls itself the lab of this folder, if one does.
    fn running(&self) -> Option<u32> {
        let running = std::fs::read(self.path().join(".kgen/lab/lab.json")).ok()?;
        serde_json::from_slice::<Value>(&running).ok()?["pid"].as_u64().map(|pid| pid as u32)
    }

    #[track_caller]
    pub fn json(&self, script: &str) -> Value {
        serde_json::from_str(&self.sh(script)).unwrap()
    }

    /// The report of a load. Exit code 4 (the generator could not keep its schedule) passes: other tests keep the machine busy,
    /// and a late record is not a lost one.
    #[track_caller]
    pub fn produced(&self, script: &str) -> Value {
        self.json(&format!("{{ {script}; }} || [ $? = 4 ]"))
    }

    /// Waits until `script` prints `wanted`.
    #[track_caller]
    pub fn await_output(&self, script: &str, wanted: &str, seconds: u64) {
        let mut last = String::new();
        let is_wanted = await_some(Duration::from_secs(seconds), || {
            last = self.sh(script).trim().to_owned();
            (last == wanted).then_some(())
        });
        assert!(is_wanted.is_some(), "{script}\nstill prints {last} after {seconds} s, not {wanted}");
    }

    /// The stack's cluster of three brokers by the AWS CLI, without Terraform; returns when it is ACTIVE.
    #[track_caller]
    pub fn create_cluster(&self, broker_type: &str) {
        self.sh(&format!(
            "aws kafka create-cluster --cluster-name kgen-demo --kafka-version 3.9.x --number-of-broker-nodes 3 \
             --encryption-info 'EncryptionInTransit={{ClientBroker=TLS_PLAINTEXT,InCluster=true}}' \
             --broker-node-group-info '{{\"InstanceType\":\"{broker_type}\",\
             \"ClientSubnets\":[\"subnet-1\",\"subnet-2\",\"subnet-3\"],\
             \"SecurityGroups\":[\"sg-1\"],\"StorageInfo\":{{\"EbsStorageInfo\":{{\"VolumeSize\":10}}}}}}'"
        ));
        self.await_output(STATE, "ACTIVE", 120);
    }

    /// A lab with a cluster of this type, without Terraform, and a topic of 6 partitions with three replicas.
    #[track_caller]
    pub fn with_topic(broker_type: &str) -> Lab {
        let lab = Lab::up();
        lab.sh(&format!("printf '[cluster]\\nbroker_type = \"{broker_type}\"\\n' > kgen.toml"));
        lab.create_cluster(broker_type);
        lab.sh("kgen topic create --partitions 6 --replication-factor 3");
        lab
    }

    /// Begins a change of the cluster by the AWS CLI.
    #[track_caller]
    pub fn begin(&self, change: &str) -> Operation<'_> {
        let cluster = self.cluster();
        let (arn, version) = (cluster["arn"].as_str().unwrap(), cluster["current_version"].as_str().unwrap());
        let is_reboot = change.starts_with("reboot-broker");
        let version = if is_reboot { String::new() } else { format!("--current-version {version}") };
        self.begun(&format!("aws kafka {change} --cluster-arn {arn} {version}"))
    }

    /// Begins the change that a whole command of the AWS CLI asks for.
    #[track_caller]
    pub fn begun(&self, command: &str) -> Operation<'_> {
        let arn = self.sh(&format!("{command} --query ClusterOperationArn --output text"));
        Operation { lab: self, arn: arn.trim().to_owned() }
    }

    /// Whether this machine allows a fault.
    #[track_caller]
    pub fn can_make(&self, fault: &str) -> bool {
        let listed = self.json("kgen lab fault list --json");
        listed["faults"].as_array().unwrap().iter().any(|row| row["id"] == fault && row["possible"] == true)
    }

    /// The only cluster, as `kgen lab status --json` shows it.
    #[track_caller]
    pub fn cluster(&self) -> Value {
        self.json("kgen lab status --json")["clusters"][0].clone()
    }

    #[track_caller]
    pub fn brokers(&self) -> Vec<Broker> {
        let cluster = self.cluster();
        let brokers = cluster["brokers"].as_array().unwrap().iter();
        brokers
            .map(|broker| Broker {
                id: broker["id"].as_i64().unwrap(),
                pid: broker["pid"].as_u64().map(|pid| pid as u32),
                port: broker["endpoints"]["plaintext"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap(),
            })
            .collect()
    }

    /// The process of the lab itself.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.running().unwrap()
    }

    /// Kills the lab, and shows that its brokers end with it.
    #[track_caller]
    pub fn kill(&self) {
        signal("KILL", self.pid());
        let left = || processes_of(self.path());
        let are_gone = await_some(GONE_WITHIN, || left().is_empty().then_some(()));
        assert!(are_gone.is_some(), "still running: {:?}", left());
    }

    /// Ends a load that was spawned as `name` with `--json`, and shows that every record is there once.
    #[track_caller]
    pub fn ensure_nothing_lost(&self, mut load: Running, name: &str) {
        assert_eq!(load.ended(), None, "the load has ended: {}", self.sh(&format!("cat {name}.log")));
        load.interrupt(Duration::from_secs(60));
        let produced = self.json(&format!("cat {name}.json"));
        assert!(produced["acknowledged"].as_u64() > Some(1000), "{produced:#}");
        let failed = (&produced["failed"], &produced["lost_track"]);
        assert_eq!(failed, (&serde_json::json!({}), &Value::from(0)), "{produced:#}");
        let proof = self.json(&format!("kgen consume --verify {} --json", produced["run"].as_str().unwrap()));
        let is = (&proof["whole"], &proof["lost"], &proof["duplicates"]);
        assert_eq!(is, (&Value::Bool(true), &Value::from(0), &Value::from(0)), "{proof:#}");
    }

    /// Ends the lab and shows that nothing of it is left.
    #[track_caller]
    pub fn down(self) {
        self.sh("kgen lab down --purge --yes");
        let left = processes_of(self.path());
        assert!(left.is_empty(), "still running: {left:?}");
    }
}

/// What a lab looks like from inside: the machine, its state, its log, and what its brokers complained of.
const EVIDENCE: &str =
    "cat /proc/loadavg /proc/pressure/* || true; kgen lab status || true; tail -n 20 .kgen/lab/lab.log || true
    for log in $(find .kgen/lab/clusters -name server.log); do
        echo \"== $log\"; grep -E 'WARN|ERROR|FATAL|fenc|(Shrink|Expand)ing ISR' \"$log\" | tail -n 12 || true; tail -n 3 \"$log\"
    done";

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let evidence = self.try_sh(&format!("{{ {EVIDENCE}; }} 2>&1 | cut -c 1-300"));
            println!("the lab of the failed test:\n{}", text(&evidence.stdout));
        }
        self.try_sh("kgen lab down --purge --yes");
    }
}

/// A change of the cluster that is under way.
pub struct Operation<'a> {
    lab: &'a Lab,
    arn: String,
}

impl Operation<'_> {
    /// Waits until it has ended well.
    #[track_caller]
    pub fn complete(self, within: Duration) {
        // Cheaper than a call by the AWS CLI, which takes a second of CPU.
        await_until("the operation has ended", within, || self.lab.cluster()["state"] == "ACTIVE");
        let asked = format!("aws kafka describe-cluster-operation --cluster-operation-arn {} --output json", self.arn);
        let ended = self.lab.json(&asked);
        assert_eq!(ended["ClusterOperationInfo"]["OperationState"], "UPDATE_COMPLETE", "{ended:#}");
    }
}

/// A command that goes on; killed when it is dropped.
pub struct Running(Child);

impl Running {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<i32> {
        self.0.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    /// Interrupts it, and returns its exit code.
    #[track_caller]
    pub fn interrupt(mut self, within: Duration) -> i32 {
        if self.ended().is_none() {
            signal("INT", self.pid());
        }
        self.await_end(within)
    }

    #[track_caller]
    fn await_end(&mut self, within: Duration) -> i32 {
        let code = await_some(within, || self.ended());
        code.unwrap_or_else(|| panic!("process {} still runs after {} s", self.pid(), within.as_secs()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

#[track_caller]
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(sent.success(), "process {pid} took no SIG{name}");
}

/// An error as kgen says it: no text of Rust's.
#[track_caller]
pub fn ensure_clean(args: &str, said: &str) {
    for word in ["panicked", "RUST_BACKTRACE", "unwrap", "Err(", "Some("] {
        assert!(!said.contains(word), "{args} says {word}:\n{said}");
    }
}

/// What a script that has to succeed printed.
#[track_caller]
fn succeeded(script: &str, output: &Output) -> String {
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{script}\n{printed}{said}", output.status);
    printed
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where no server is (the port of the discard protocol). A port that was free a moment ago may be that of another test's server.
pub const NOBODY: &str = "127.0.0.1:9";

/// None of those that Linux gives to connections, nor of those that the lab gives to brokers: a lab that starts again finds it free.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(12_000..20_000)).take(1_000).find(is_free).expect("a free port")
}

/// Command lines of processes that name `dir`.
pub fn processes_of(dir: &Path) -> Vec<String> {
    let ps = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let dir = dir.to_string_lossy().into_owned();
    text(&ps.stdout).lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect()
}

/// SplitMix64: the same seed gives the same choices.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
