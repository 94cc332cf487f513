//! What kgen reads and did not write is bounded in time and memory.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use tempfile::TempDir;

use super::Case;
use crate::project::kgen;

/// No command here may take longer, seconds, or more memory, MiB. Both are far above what honest input takes.
const WITHIN_S: u64 = 60;
const MEMORY_MIB: u64 = 1600;

/// How kgen ended that was held to its bounds.
#[derive(Debug)]
pub struct Ended {
    /// Nothing when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command`; an error when it takes too long or too much, or is ended by a signal.
pub fn bounded(command: &mut Command) -> Result<Ended, String> {
    bounded_by(command, WITHIN_S)
}

fn bounded_by(command: &mut Command, within_s: u64) -> Result<Ended, String> {
    let (stdout, stderr) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let to = |file: &tempfile::NamedTempFile| file.reopen().unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(to(&stdout)).stderr(to(&stderr)).spawn().unwrap();
    let (status, begun) = (format!("/proc/{}/status", child.id()), Instant::now());
    let text = |file: &tempfile::NamedTempFile| {
        let mut text = Vec::new();
        file.reopen().unwrap().take(1 << 20).read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let peak = fs::read_to_string(&status).unwrap_or_default();
        let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        let peak_mib = peak.unwrap_or(0u64) >> 10;
        if peak_mib > MEMORY_MIB || begun.elapsed() > Duration::from_secs(within_s) {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(format!("it took {:?} and {peak_mib} MiB: {}", begun.elapsed(), text(&stderr)));
        }
        thread::sleep(Duration::from_millis(3));
    };
    let found = Ended { code: ended.code(), stdout: text(&stdout), stderr: text(&stderr) };
    match ended.signal() {
        Some(signal) => Err(format!("signal {signal} ended it: {}", found.stderr)),
        None if found.stderr.contains("panicked") => Err(format!("it panicked: {}", found.stderr)),
        None => Ok(found),
    }
}

/// What the answer to hostile input must be.
#[derive(Debug, Clone, Copy)]
enum Right {
    /// A refusal, with these words in it.
    Refused(&'static str),
    /// A failure or a refusal, with these words in it.
    Failed(&'static str),
    /// An end within the bounds, whatever it is.
    Ends,
    /// The rest is served all the same.
    Done,
}

impl Right {
    fn holds(self, ended: &Ended) -> Result<(), String> {
        let holds = match self {
            Right::Refused(words) => ended.code == Some(2) && ended.stderr.contains(words),
            Right::Failed(words) => {
                matches!(ended.code, Some(1 | 2 | 4)) && format!("{}{}", ended.stdout, ended.stderr).contains(words)
            }
            Right::Ends => ended.code.is_some(),
            Right::Done => ended.code == Some(0),
        };
        if holds { Ok(()) } else { Err(format!("not {self:?}: {ended:?}")) }
    }
}

/// What lies where a file should be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Odd {
    Pipe,
    Zero,
    Random,
    Folder,
    Socket,
    Loop,
    /// A file without bytes on the disk and with a TiB to read.
    Sparse,
}

const ODD: [Odd; 7] = [Odd::Pipe, Odd::Zero, Odd::Random, Odd::Folder, Odd::Socket, Odd::Loop, Odd::Sparse];

impl Odd {
    fn put(self, path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match self {
            Odd::Pipe => rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap(),
            Odd::Zero => symlink("/dev/zero", path).unwrap(),
            Odd::Random => symlink("/dev/urandom", path).unwrap(),
            Odd::Folder => fs::create_dir(path).unwrap(),
            Odd::Socket => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
            Odd::Loop => symlink(path.file_name().unwrap(), path).unwrap(),
            Odd::Sparse => fs::File::create(path).unwrap().set_len(1 << 40).unwrap(),
        }
    }
}

const CLUSTER: &str = "resource \"aws_msk_cluster\" \"this\" {\n  broker_node_group_info {\n    instance_type = \
                       \"kafka.m5.large\"\n  }\n}\nmodule \"inner\" {\n  source = \"./inner\"\n}\n";

/// A project with Terraform of somebody else, a run, and nothing that answers for AWS.
fn project() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("infra/main.tf", CLUSTER);
    write("infra/inner/main.tf", "variable \"x\" {\n  default = 1\n}\n");
    write("infra/.terraform/keep", "");
    write(".kgen/runs/watch-2/run.jsonl", &format!("{HEAD}\n{SAMPLE}\n{END}\n"));
    dir
}

const HEAD: &str = r#"{"schema":"kgen.run/1","id":"watch-2","command":"watch","args":["watch"],"started":"2026-11-25T01:00:00Z","environment":{"kgen":"0.1.0","lab_scale":4.0}}"#;
const SAMPLE: &str = r#"{"at":"2026-11-25T01:00:02Z","event":"sample","cluster":{"cluster":"c","region":"r","arn":null,"current_version":null,"broker_type":"kafka.m5.large","broker_count":1,"kafka_version":null,"state":null,"active_operation":null,"lab_scale":4.0},"sample":{"at_ms":1700000000000,"source":"prometheus","brokers":{"1":{"state":"serving"}}}}"#;
const END: &str = r#"{"at":"2026-11-25T01:00:09Z","event":"end","exit_code":0,"outcome":"done"}"#;

fn command(dir: &Path, args: &[String]) -> Command {
    let mut command = kgen(dir);
    command.current_dir(dir).args(args);
    command
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b");
    command.env("AWS_MAX_ATTEMPTS", "1").env("NO_COLOR", "1");
    command
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// `line` is run where `prepare` has put something hostile.
fn case(name: String, line: String, right: Right, prepare: impl Fn(&Path) + 'static) -> Case {
    Case::new(name, move || {
        let dir = project();
        prepare(dir.path());
        right.holds(&bounded(&mut command(dir.path(), &words(&line)))?)
    })
}

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let mut cases = odd_files(random);
    cases.extend(long_files(random));
    cases.extend(packed(random));
    cases.extend(nested(random));
    cases.extend(ledgers(random));
    cases.extend(endpoints(random));
    cases.extend(programs());
    cases
}

/// Each place that is read, by each command that reads it: a pipe, a device, a folder, a socket, a loop, a TiB.
fn odd_files(random: &mut StdRng) -> Vec<Case> {
    let resize = "resize kafka.m5.xlarge --dir infra --dry-run";
    let places = [
        ("kgen.toml", "render"),
        ("kgen.toml", "config"),
        ("kgen.toml", "runs"),
        ("kgen.toml", "report watch-2"),
        ("kgen.toml", "plan"),
        ("kgen.toml", "resize kafka.m5.large --dry-run"),
        ("terraform/msk.tf", "render"),
        ("terraform/msk.tf", "render --check"),
        ("terraform/other.tf", "render --check"),
        ("infra/override.tf", resize),
        ("infra/more.tf.json", resize),
        ("infra/terraform.tfvars", resize),
        ("infra/x.auto.tfvars", resize),
        ("infra/terragrunt.hcl", resize),
        ("infra/.terraform/environment", resize),
        ("infra/.terraform/modules/modules.json", resize),
        ("infra/inner/more.tf", resize),
        ("infra/stages/prod.tfvars", resize),
        ("named.tfvars", "resize kafka.m5.xlarge --dir infra --dry-run --var-file named.tfvars"),
        (".kgen/runs/a/run.jsonl", "report .kgen/runs/a"),
        (".kgen/runs/a/run.jsonl", "replay .kgen/runs/a --json"),
        (".kgen/runs/a/run.jsonl", "resume .kgen/runs/a"),
        ("samples.jsonl", "diagnose --replay samples.jsonl"),
        ("samples.jsonl.gz", "diagnose --replay samples.jsonl.gz"),
        ("samples.jsonl", "report samples.jsonl"),
        ("before.jsonl", "compare before.jsonl before.jsonl"),
        ("ledger-0", "consume --bootstrap-servers 127.0.0.1:1 --verify ledger-0"),
        ("targets.json", "watch --targets targets.json --duration 1s --plain"),
    ];
    let mut cases = Vec::new();
    for (place, line) in places {
        // Terraform passes over a folder with the name of a file, and so does kgen; so do they where a folder is no input.
        let is_passed_over = |odd: &Odd| *odd == Odd::Folder && (place.ends_with(".tf") || place.contains(".tf"));
        let odd: Vec<Odd> = ODD.into_iter().filter(|odd| !is_passed_over(odd)).collect();
        for odd in odd.choose_multiple(random, 4).copied() {
            let right = if line.starts_with("watch") { Right::Failed("targets.json") } else { Right::Refused("") };
            cases.push(case(format!("{odd:?} as {place}, {line}"), line.to_owned(), right, move |dir| {
                let path = dir.join(place);
                let _ = fs::remove_file(&path);
                odd.put(&path);
            }));
        }
    }
    // The shared AWS files, which the SDK reads.
    for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        for odd in [Odd::Pipe, Odd::Zero, Odd::Random, Odd::Socket, Odd::Sparse] {
            cases.push(Case::new(format!("{odd:?} as {variable}"), move || {
                let dir = project();
                odd.put(&dir.path().join("settings"));
                let mut command = command(dir.path(), &words("watch --plain --duration 1s"));
                command.env(variable, dir.path().join("settings")).env_remove("AWS_ACCESS_KEY_ID");
                Right::Refused("settings").holds(&bounded(&mut command)?)
            }));
            cases.push(Case::new(format!("{odd:?} as {variable} of terraform"), move || {
                let dir = project();
                bounded(&mut command(dir.path(), &words("render")))?;
                odd.put(&dir.path().join("settings"));
                let mut command = command(dir.path(), &words("plan --terraform-bin true"));
                command.env(variable, dir.path().join("settings")).env_remove("AWS_ACCESS_KEY_ID");
                Right::Refused("settings").holds(&bounded(&mut command)?)
            }));
        }
    }
    // What is one of many does not hide the rest.
    for odd in ODD {
        cases.push(case(format!("{odd:?} among runs"), "runs".to_owned(), Right::Done, move |dir| {
            odd.put(&dir.join(".kgen/runs/a/run.jsonl"));
        }));
        cases.push(case(format!("{odd:?} as latency.hlog"), "report watch-2".to_owned(), Right::Done, move |dir| {
            odd.put(&dir.join(".kgen/runs/watch-2/latency.hlog"));
        }));
        let line = "produce --bootstrap-servers 127.0.0.1:1 --duration 1 --payload lines:lines".to_owned();
        cases.push(case(format!("{odd:?} as lines of a payload"), line, Right::Failed(""), move |dir| {
            odd.put(&dir.join("lines"));
        }));
    }
    cases
}

/// Files that are too long for what they are, in lines and without.
fn long_files(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, line: &str, right: Right, path: &'static str, unit: String, times: usize| {
        let name = format!("{name} of {} bytes, {line}", unit.len() * times);
        cases.push(case(name, line.to_owned(), right, move |dir| {
            let file = fs::File::create(dir.join(path)).unwrap();
            let mut file = std::io::BufWriter::with_capacity(1 << 20, file);
            for _ in 0..times {
                file.write_all(unit.as_bytes()).unwrap();
            }
        }));
    };
    let mib = random.random_range(2..20) << 20;
    add("comments", "render", Right::Refused("larger than 1 MiB"), "kgen.toml", "# x\n".to_owned(), mib / 4);
    add("tags", "render", Right::Refused("larger than 1 MiB"), "kgen.toml", "[tags]\n".to_owned(), mib / 4);
    let resize = "resize kafka.m5.xlarge --dir infra --dry-run";
    for path in ["infra/a.tf", "infra/terraform.tfvars", "infra/terragrunt.hcl", "infra/a.tf.json"] {
        add(path, resize, Right::Refused("larger than 8 MiB"), path, "# comment\n".to_owned(), (8 << 20) / 10 + mib);
    }
    let clusters = random.random_range(15_000..25_000);
    let cluster = CLUSTER.split("module").next().unwrap().replace("\"this\"", "\"other\"");
    add("clusters", resize, Right::Refused("clusters"), "infra/more.tf", cluster, clusters);
    add("targets", "watch --targets t --duration 1s --plain", Right::Failed("larger than 1 MiB"), "t", "[".into(), mib);
    let group = r#"{"targets":["127.0.0.1:1"],"labels":{"job":"jmx"}},"#;
    let groups = format!("[{}{}]", group.repeat(2000), group.trim_end_matches(','));
    add("targets", "watch --targets t --duration 1s --plain", Right::Failed("as many"), "t", groups, 1);
    cases
}

/// Records of runs that are small on the disk and large when they are read.
fn packed(random: &mut StdRng) -> Vec<Case> {
    let at = r#"{"at":"2026-11-25T01:00:01Z","event":"#;
    let large = |what: &str| format!("{at}\"result\",\"name\":\"x\",\"value\":[{what}0]}}\n");
    let items = random.random_range(500_000..900_000);
    let brokers: String = (2..30_000).map(|id| format!("\"{id}\":{{\"state\":\"serving\"}},")).collect();
    let broker = SAMPLE.replace(r#""brokers":{"#, &format!("\"brokers\":{{{brokers}"));
    let args = format!("[{}\"\"]", "\"--x\",".repeat(500_000));
    let bombs: [(&str, String, String, usize); 8] = [
        ("zeros", format!("{HEAD}\n"), "\0".repeat(1 << 20), 12),
        ("line breaks", format!("{HEAD}\n"), "\n".repeat(1 << 20), 4),
        ("broken lines", format!("{HEAD}\n"), "x\n".repeat(1 << 19), 6),
        ("lists", format!("{HEAD}\n"), large(&"0,".repeat(items)), 16),
        ("lists of lists", format!("{HEAD}\n"), large(&"[[]],".repeat(items)), 6),
        ("objects", format!("{HEAD}\n"), large(&r#"{"a":0},"#.repeat(items / 2)), 6),
        ("brokers", format!("{HEAD}\n"), format!("{broker}\n"), 60),
        ("args", HEAD.replace(r#"["watch"]"#, &args), "\n".to_owned(), 1),
    ];
    let mut cases = Vec::new();
    for (name, head, unit, times) in bombs {
        let (path, packed) = if name == "args" { ("bomb.jsonl", false) } else { ("bomb.jsonl.gz", true) };
        for verb in ["report", "replay --json", "diagnose --replay"].choose_multiple(random, 2) {
            let line = match *verb {
                "diagnose --replay" => format!("diagnose --replay {path}"),
                "report" => format!("report {path}"),
                _ => format!("replay {path} --json"),
            };
            let (head, unit) = (head.clone(), unit.clone());
            cases.push(case(format!("{name} unpacked, {line}"), line, Right::Refused("larger than"), move |dir| {
                let file = fs::File::create(dir.join(path)).unwrap();
                let level = if packed { flate2::Compression::fast() } else { flate2::Compression::none() };
                let mut plain = std::io::BufWriter::new(file.try_clone().unwrap());
                let mut small = flate2::write::GzEncoder::new(file, level);
                let into: &mut dyn std::io::Write = if packed { &mut small } else { &mut plain };
                into.write_all(head.as_bytes()).unwrap();
                for _ in 0..times {
                    into.write_all(unit.as_bytes()).unwrap();
                }
                into.flush().unwrap();
                if packed {
                    small.finish().unwrap();
                }
            }));
        }
    }
    cases
}

/// Nesting that a parser which calls itself would not survive.
fn nested(random: &mut StdRng) -> Vec<Case> {
    let resize = "resize kafka.m5.xlarge --dir infra --dry-run";
    let places = [
        ("kgen.toml", "render", "a = "),
        ("infra/more.tf", resize, "locals {\n  x = "),
        ("infra/more.tf.json", resize, "{\"locals\": {\"x\": "),
        ("infra/terraform.tfvars", resize, "x = "),
        ("infra/terraform.tfvars.json", resize, "{\"x\": "),
        ("infra/terragrunt.hcl", resize, "inputs = "),
        ("infra/.terraform/modules/modules.json", resize, ""),
        ("t.json", "watch --targets t.json --duration 1s --plain", ""),
        ("run.jsonl", "report run.jsonl", "{\"schema\": "),
        ("run.jsonl", "compare run.jsonl run.jsonl", "{\"schema\": "),
    ];
    let mut cases = Vec::new();
    for (path, line, front) in places {
        for open in ["[", "{\"a\":", "(", "${", "!", "-"].choose_multiple(random, 3) {
            let depth = 10_usize.pow(random.random_range(2..=5));
            let text = format!("{front}{}", open.repeat(depth));
            cases.push(case(
                format!("{open} {depth} deep in {path}, {line}"),
                line.to_owned(),
                Right::Ends,
                move |dir| {
                    let path = dir.join(path);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, &text).unwrap();
                },
            ));
        }
    }
    cases
}

/// Ledgers whose sequences would fill the memory.
fn ledgers(random: &mut StdRng) -> Vec<Case> {
    let far = random.random_range(1u64 << 34..u64::MAX);
    let scattered: String = (0..140_000u64).map(|at| format!(" {}", at << 16)).collect();
    let blocks = [
        ("a range without end", format!("+ ack 0-{}\n", u64::MAX)),
        ("a range far away", format!("+ ack {far}\n")),
        ("failures without end", format!("+ fail X 7-{far}\n")),
        ("scattered sequences", format!("+ ack{scattered}\n")),
        ("many failures", (0..3).map(|code| format!("+ fail E{code} 0-8000000000\n")).collect()),
    ];
    let line = "consume --bootstrap-servers 127.0.0.1:1 --verify ledger-0";
    let ledger = |block: String| {
        let sum = crc32fast::hash(block.as_bytes());
        format!("kgen-ledger/1 1f 0 topic\n{block}= {sum:08x}\n")
    };
    let mut cases = Vec::new();
    for (name, block) in blocks {
        let text = ledger(block);
        cases.push(case(format!("ledger with {name}"), line.to_owned(), Right::Refused("verify"), move |dir| {
            fs::write(dir.join("ledger-0"), &text).unwrap();
        }));
    }
    cases
}

/// What an endpoint may do to whoever asks it.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    /// Accepts and says nothing.
    Silent,
    /// Says a byte now and then.
    Trickle,
    /// A body without end.
    Body,
    /// A head without end.
    Head,
    /// Redirects to itself.
    Redirect,
    /// Page after page, each with another token.
    Pages,
    /// The same token again and again.
    SameToken,
    /// More brokers than there are.
    Brokers,
    /// One page with very many clusters.
    Clusters,
}

/// Starts it on a port of its own. It ends with the test's process.
fn endpoint(kind: Endpoint) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (count, stream) in listener.incoming().flatten().enumerate().take(10_000) {
            thread::spawn(move || serve(kind, stream, count));
        }
    });
    port
}

fn serve(kind: Endpoint, mut stream: std::net::TcpStream, connection: usize) {
    let mut request = [0; 8192];
    let _ = stream.set_read_timeout(Some(Duration::from_secs(90)));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(90)));
    for count in 0..10_000 {
        let path = match stream.read(&mut request) {
            Ok(read @ 1..) => String::from_utf8_lossy(&request[..read]).into_owned(),
            _ => return,
        };
        let (json, lab) = ("Content-Type: application/json\r\n", path.contains("/_lab/"));
        let answer = |body: &str| format!("HTTP/1.1 200 OK\r\n{json}Content-Length: {}\r\n\r\n{body}", body.len());
        let cluster = r#"{"clusterName":"c","clusterArn":"arn:aws:kafka:us-west-2:111122223333:cluster/c/1-1"}"#;
        let is_list = !path.contains("arn%3Aaws") && !path.contains("arn:aws");
        let endless = |stream: &mut std::net::TcpStream, head: &str, unit: &str| {
            let unit = unit.repeat(1 + (64 << 10) / unit.len());
            let _ = stream.write_all(head.as_bytes());
            let mut left = 4usize << 30;
            while left > 0 && stream.write_all(unit.as_bytes()).is_ok() {
                left = left.saturating_sub(unit.len());
            }
        };
        let text = match kind {
            Endpoint::Silent => {
                thread::sleep(Duration::from_secs(90));
                return;
            }
            Endpoint::Trickle => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                for _ in 0..300 {
                    if stream.write_all(b"x").is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(300));
                }
                return;
            }
            Endpoint::Body => return endless(&mut stream, "HTTP/1.1 200 OK\r\n\r\n", "kafka_x{name=\"y\"} 1\n"),
            Endpoint::Head => return endless(&mut stream, "HTTP/1.1 200 OK\r\n", "X-A: bbbbbbbbbbbbbbb\r\n"),
            Endpoint::Redirect => "HTTP/1.1 302 Found\r\nLocation: /metrics\r\nContent-Length: 0\r\n\r\n".to_owned(),
            Endpoint::Pages | Endpoint::SameToken => {
                let token = if matches!(kind, Endpoint::Pages) { connection * 100_000 + count } else { 7 };
                answer(&format!(r#"{{"clusterInfoList":[],"nodeInfoList":[],"nextToken":"t{token}"}}"#))
            }
            _ if lab => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            Endpoint::Clusters => {
                let other = r#"{"clusterName":"other"},"#.repeat(500_000);
                answer(&format!(r#"{{"clusterInfoList":[{other}{{"clusterName":"z"}}]}}"#))
            }
            Endpoint::Brokers if is_list => answer(&format!(r#"{{"clusterInfoList":[{cluster}]}}"#)),
            Endpoint::Brokers => answer(
                r#"{"clusterInfo":{"clusterName":"c","clusterArn":"arn:aws:kafka:us-west-2:111122223333:cluster/c/1-1","state":"ACTIVE","currentVersion":"K1","provisioned":{"numberOfBrokerNodes":2147483647,"brokerNodeGroupInfo":{"instanceType":"kafka.m5.large","clientSubnets":[]},"currentBrokerSoftwareInfo":{"kafkaVersion":"3.9.x"}}}}"#,
            ),
        };
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn endpoints(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    // Exporters of brokers: kgen goes on without them.
    for kind in [Endpoint::Silent, Endpoint::Trickle, Endpoint::Body, Endpoint::Head, Endpoint::Redirect] {
        for verb in ["watch --plain --duration", "diagnose --window"] {
            let brokers = random.random_range(1..=3);
            let line = format!("{verb} 1s --targets t.json");
            cases.push(Case::new(format!("{kind:?} as exporter of {brokers} brokers, {line}"), move || {
                let dir = project();
                let port = endpoint(kind);
                let target =
                    |id| format!(r#"{{"targets":["127.0.0.1:{port}"],"labels":{{"job":"jmx","broker_id":"{id}"}}}}"#);
                let targets: Vec<String> = (1..=brokers).map(target).collect();
                fs::write(dir.path().join("t.json"), format!("[{}]", targets.join(","))).unwrap();
                let ended = bounded_by(&mut command(dir.path(), &words(&line)), 40)?;
                if ended.code.is_some_and(|code| code != 101) { Ok(()) } else { Err(format!("{ended:?}")) }
            }));
        }
    }
    // The API of AWS.
    for (kind, words_of_it) in [
        (Endpoint::Pages, "does not behave like AWS"),
        (Endpoint::SameToken, "no cluster c"),
        (Endpoint::Brokers, "more than MSK allows"),
        (Endpoint::Clusters, "and 499"),
        (Endpoint::Body, "ListClustersV2"),
        (Endpoint::Head, "ListClustersV2"),
    ] {
        for line in ["watch --plain --duration 1s --cluster c", "diagnose --window 1s --cluster c"] {
            // More than the bounds of a single page are not tried twice.
            if line.starts_with("diagnose") && matches!(kind, Endpoint::Clusters | Endpoint::Head) {
                continue;
            }
            cases.push(Case::new(format!("{kind:?} as API, {line}"), move || {
                let dir = project();
                let mut command = command(dir.path(), &words(line));
                command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", endpoint(kind)));
                let ended = bounded_by(&mut command, 60)?;
                Right::Refused(words_of_it).holds(&ended)
            }));
        }
    }
    cases
}

/// Programs that are asked and do not answer, or do not end.
fn programs() -> Vec<Case> {
    let script = |path: PathBuf, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let mut cases = Vec::new();
    for (name, text) in [("hangs", "exec sleep 300"), ("prints without end", "exec cat /dev/zero >&2")] {
        cases.push(Case::new(format!("java that {name}, doctor"), move || {
            let dir = project();
            script(dir.path().join("jdk/bin/java"), text);
            let mut command = command(dir.path(), &words("doctor"));
            command.env("JAVA_HOME", dir.path().join("jdk")).env("PATH", "/usr/bin:/bin");
            let ended = bounded_by(&mut command, 45)?;
            Right::Failed("java").holds(&ended)
        }));
    }
    for (name, text) in [
        ("prints without end", "case $1 in show) exec cat /dev/zero;; plan) exit 2;; esac"),
        ("prints lines without end", "case $1 in show) exec yes;; plan) exit 2;; esac"),
    ] {
        cases.push(Case::new(format!("terraform show that {name}, plan"), move || {
            let dir = project();
            fs::create_dir_all(dir.path().join("terraform/.terraform")).unwrap();
            fs::write(dir.path().join("terraform/main.tf"), "# nothing\n").unwrap();
            fs::write(dir.path().join("terraform/.terraform.lock.hcl"), "").unwrap();
            script(dir.path().join("terraform.sh"), text);
            let mut command = command(dir.path(), &words("plan"));
            command.env("KGEN_TERRAFORM_BIN", dir.path().join("terraform.sh"));
            Right::Failed("printed more than 256 MiB").holds(&bounded(&mut command)?)
        }));
    }
    // A file whose name is no text, in each of the places where names are listed.
    for place in ["infra", "infra/inner"] {
        let line = "resize kafka.m5.xlarge --dir infra --dry-run".to_owned();
        cases.push(case(
            format!("a name that is not UTF-8 in {place}"),
            line,
            Right::Refused("not UTF-8"),
            move |dir| {
                let name = std::ffi::OsStr::from_bytes(b"\xff\xfe.tf");
                fs::write(dir.join(place).join(name), "").unwrap();
            },
        ));
    }
    cases
}
