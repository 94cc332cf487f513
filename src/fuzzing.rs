//! What `fuzz/` feeds with anything, a function for each kind of input from outside. No interface for anyone else.
//!
//! A target panics when the input is read wrongly; that it may be refused goes without saying.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Parser as _;
use parking_lot::Mutex;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

use crate::{
    cli::Cli,
    diagnose::diagnose,
    lab::{
        control::{Lab, LabConfig},
        server::serve,
        simulated::run_without_brokers,
    },
    locate::{Environment, Question, locate, table::Table},
    metrics::broker::{Jmx, Node, Reading, Scraped, between},
    report::Page,
    run::Run,
    stack::Stack,
    terraform::{plan::Changes, progress::Event},
};

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// Each target by the name of its file in `fuzz/fuzz_targets` and its folder in `fuzz/seeds`.
pub const TARGETS: [(&str, Target); 7] = [
    ("arguments", arguments),
    ("kgen_toml", kgen_toml),
    ("terraform_files", terraform_files),
    ("terraform_output", terraform_output),
    ("exposition", exposition),
    ("run_record", run_record),
    ("lab_request", lab_request),
];

/// Calls to a lab before it is replaced by a new one, so that what it holds is bounded.
const CALLS_A_LAB: u32 = 500;

/// How long the lab may take for an answer: with whole requests, nothing is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Arguments of the command line, one a line.
pub fn arguments(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _ = Cli::try_parse_from(std::iter::once("kgen").chain(text.lines()));
}

/// A kgen.toml. What is accepted renders to HCL that can be read, and to the same again.
pub fn kgen_toml(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(stack) = Stack::parse(text) else { return };
    let rendered = stack.render();
    for (name, text) in rendered.files().filter(|(name, _)| name.ends_with(".tf")) {
        if let Err(error) = ::hcl::parse(text) {
            panic!("{name} is no HCL: {error}\n{text}");
        }
    }
    assert!(stack.render().files().eq(rendered.files()), "rendered twice, it is not the same");
}

/// A folder with Terraform: the first line names the file, the rest is in it. An edit changes the bytes of one value.
pub fn terraform_files(input: &[u8]) {
    let (name, text) = halves(input);
    let name = match String::from_utf8_lossy(name).trim() {
        "main.tf.json" => "main.tf.json",
        "terragrunt.hcl" => "terragrunt.hcl",
        "terraform.tfvars" => "terraform.tfvars",
        _ => "main.tf",
    };
    let mut table = Table([(PathBuf::from(name), text.to_vec())].into());
    if name == "terraform.tfvars" {
        let main = "variable \"t\" {}\nresource \"aws_msk_cluster\" \"m\" {\n  broker_node_group_info {\n    \
                    instance_type = var.t\n  }\n}\n";
        table.0.insert("main.tf".into(), main.into());
    }
    let environment = Environment::default();
    let to = "kafka.m5.24xlarge";
    let question = Question { dir: Path::new("."), cluster: None, var_files: &[], environment: &environment, to };
    let Ok(located) = locate(&table, &question) else { return };
    let (before, after) = (located.edit.before.clone(), located.edit.after());
    let at = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let tail = before.bytes().rev().zip(after.bytes().rev()).take_while(|(a, b)| a == b).count();
    let changed = before.len().saturating_sub(at + tail);
    assert!(changed <= located.edit.old.len() * 6 + 2, "{changed} bytes were replaced for {:?}", located.edit.old);
    table.0.insert(located.edit.file.clone(), after.into_bytes());
    let again = locate(&table, &question);
    assert!(again.is_err_and(|refusal| refusal.to_string().contains(to)), "what was edited has not that type");
}

/// What terraform prints with `-json`: events, a line each, or a plan.
pub fn terraform_output(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for event in text.lines().filter_map(Event::parse) {
        if let Event::Diagnostic(diagnostic) = event {
            let _ = (diagnostic.to_string(), diagnostic.advice());
        }
    }
    if let Ok(changes) = serde_json::from_str::<Changes>(&text) {
        let _ = (changes.to_string(), changes.totals(), changes.ensure_updates_in_place("aws_msk_cluster", "x"));
    }
}

/// Two answers of a broker's metrics endpoints, by a line with `---` between them.
pub fn exposition(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (first, second) = text.split_once("\n---\n").unwrap_or((&text, &text));
    fn read<T>(values: T) -> Scraped<T> {
        Scraped { at_s: 0.0, values }
    }
    let reading = |text: &str| Reading { jmx: Some(read(Jmx::parse(text))), node: Some(read(Node::parse(text))) };
    let (first, second) = (reading(first), reading(second));
    let _ = (between(None, &first), between(Some(&first), &second));
}

/// The record of a run: it is laid out whole, and nothing of it gets into the page as markup.
pub fn run_record(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(run) = Run::parse(text) else { return };
    let samples: Vec<_> = run.samples().map(|observed| observed.sample.clone()).collect();
    if let Some(cluster) = run.cluster() {
        diagnose(cluster, &samples);
    }
    let report = Page::of(&run, &[]);
    let page = report.html().unwrap_or_else(|error| panic!("a run that is read is not laid out: {error:#}"));
    // The word is in a seed, where names are; only escaped can it be in the page.
    assert!(!page.contains("<kgen-injected"), "markup got into the page");
    let _ = report.markdown();
}

/// A request to the lab: the first line is method and path, the second the service that it is signed for, the rest its body.
pub fn lab_request(input: &[u8]) {
    static SERVED: Mutex<Option<Served>> = Mutex::new(None);
    let mut served = SERVED.lock();
    if served.as_ref().is_none_or(|served| served.calls >= CALLS_A_LAB) {
        *served = None;
        *served = Some(Served::start());
    }
    let Some(served) = served.as_mut() else { return };
    served.calls += 1;
    let (line, rest) = halves(input);
    let (service, body) = halves(rest);
    let mut request = line.to_vec();
    request.extend_from_slice(b" HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n");
    request.extend_from_slice(b"authorization: AWS4-HMAC-SHA256 Credential=t/20261124/us-west-2/");
    request.extend_from_slice(service);
    request.extend_from_slice(format!("/aws4_request\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    let answer = answered(served.address, &request).unwrap_or_else(|error| panic!("no answer: {error}"));
    assert!(!answer.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answer));
}

fn answered(address: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    // It may be refused before all of it is sent.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(answer),
    }
}

/// The first line and the rest.
fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &[]),
    }
}

/// A lab without brokers, on a port of its own.
struct Served {
    address: SocketAddr,
    calls: u32,
    stop: Option<oneshot::Sender<()>>,
    lab: Arc<Lab>,
    runtime: Option<Runtime>,
    _dir: tempfile::TempDir,
}

impl Served {
    fn start() -> Served {
        let dir = tempfile::tempdir().expect("a folder for the lab");
        let config = LabConfig {
            state_dir: dir.path().to_owned(),
            crew: Arc::new(run_without_brokers),
            facts: Default::default(),
        };
        let runtime = Runtime::new().expect("a runtime for the lab");
        let lab = Lab::open(config).expect("a lab in an empty folder");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port for the lab");
        let address = listener.local_addr().expect("the port of the lab");
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = async move {
            let _ = stopped.await;
        };
        // Nobody is there in place of the emulator.
        runtime.spawn(serve(
            listener,
            ended,
            lab.clone(),
            SocketAddr::from(([127, 0, 0, 1], 1)),
            Arc::new(crate::lab::cloudwatch::Metrics::of_minutes()),
            None,
        ));
        Served { address, calls: 0, stop: Some(stop), lab, runtime: Some(runtime), _dir: dir }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(ANSWER_WITHIN);
        }
        self.lab.stop(ANSWER_WITHIN).expect("the lab's threads end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_taken() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
            let seeds = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            let mut seen = 0;
            for seed in seeds {
                target(&std::fs::read(seed.unwrap().path()).unwrap());
                seen += 1;
            }
            assert!(seen > 0, "{name} has no seeds");
        }
    }
}
