//! Nothing that a stranger wrote controls the terminal, reorders what is read on it, or begins a line of its own.

use std::{
    fs,
    io::{Read as _, Write as _},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rand::{Rng as _, rngs::StdRng};
use regex::Regex;
use serde_json::json;

use super::{
    Case,
    edge::{self, Poison, RUN, words},
};
use crate::project::{Project, Ran};

/// What terminals and readers obey. `N` becomes a number of the case, so that every case has texts of its own.
const HOSTILE: [&str; 24] = [
    "\u{1b}]0;pwnN\u{7}",
    "\u{1b}]2;pwnN\u{1b}\\",
    "\u{1b}]52;c;cHdu\u{7}N",
    "\u{1b}[2J\u{1b}[HN",
    "\u{1b}[N;1H",
    "\u{1b}[32mpwnN\u{1b}[0m",
    "\u{1b}[38;5;9mN",
    "\u{1b}[?1049hN",
    "\u{1b}[6nN",
    "\u{1b}cN",
    "\u{1b}PqN\u{1b}\\",
    "\u{1b}]8;;http://evil.example/N\u{1b}\\x\u{1b}]8;;\u{1b}\\",
    "\u{9b}2JN",
    "\u{9d}0;pwnN\u{9c}",
    "\u{90}N\u{9c}",
    "\u{7f}\u{8}\u{8}N",
    "\u{7}N",
    "ok\rforgedN",
    "\u{202e}Ngnp\u{202c}",
    "\u{2066}N\u{2069}\u{2067}x",
    "\u{200f}N\u{200e}\u{61c}",
    "N\u{2028}x\u{2029}y",
    "\u{0}N\u{b}\u{c}",
    "\u{85}N\u{8d}",
];

/// Begins a line, if anything of it does.
const FORGED: &str = "\nFORGED: it is healthy";

/// As in src/visible.rs, and said again here, where the attack decides.
fn is_hidden(c: char) -> bool {
    let code = u32::from(c);
    matches!(code, 0..=0x1f | 0x7f..=0x9f | 0x61c | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069)
}

/// What of an output may not be there. `is_coloured`: kgen's own colours may.
fn fault(output: &str, is_coloured: bool, is_error: bool) -> Option<String> {
    let own = Regex::new("^\u{1b}\\[38;5;(10|9|11|13|1|2|3|5)m([^\u{1b}\n]*)\u{1b}\\[39m$").unwrap();
    for line in output.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let text = match own.captures(line).filter(|_| is_coloured) {
            Some(found) => found[2].to_owned(),
            None => line.to_owned(),
        };
        if let Some(c) = text.chars().find(|c| is_hidden(*c) && *c != '\t') {
            return Some(format!("{c:?} is left in {text:?}"));
        }
        // A line of an error that goes on is indented by two.
        if text.trim_start().starts_with("FORGED") && !(is_error && text.starts_with("  FORGED")) {
            return Some(format!("a line is forged: {text:?}"));
        }
    }
    None
}

fn fault_of(ran: &Ran, is_coloured: bool) -> Result<(), String> {
    if ran.code.is_none_or(|code| code == 101) {
        return Err(format!("ended with {:?}: {}", ran.code, ran.stderr));
    }
    let faults = [("stdout", fault(&ran.stdout, is_coloured, false)), ("stderr", fault(&ran.stderr, false, true))];
    faults.into_iter().find_map(|(place, fault)| fault.map(|fault| Err(format!("{place}: {fault}")))).unwrap_or(Ok(()))
}

fn poison(hostile: &str) -> Poison {
    Poison {
        text: hostile.to_owned(),
        line: format!("{hostile}{FORGED}"),
        cluster: format!("c{hostile}{FORGED}"),
        arn: None,
        servers: None,
        group: format!("g{hostile}{FORGED}"),
    }
}

/// How a project is made hostile.
type Prepare = fn(&Project, &str);

fn nothing(_: &Project, _: &str) {}

/// A text of TOML, in which controls are escaped: TOML takes them in no other form.
fn toml(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    format!("\"{}\"", text.replace('\\', "\\\\").chars().map(escaped).collect::<String>())
}

/// A key of kgen.toml, and another in a table whose keys are free.
fn key(project: &Project, hostile: &str) {
    project.write("kgen.toml", &format!("[cluster]\n{} = 1\n", toml(&format!("{hostile}{FORGED}"))));
}

fn property(project: &Project, hostile: &str) {
    project
        .write("kgen.toml", &format!("[cluster.server_properties]\n{} = \"x\"\n", toml(&format!("{hostile}{FORGED}"))));
}

fn name_of_the_cluster(project: &Project, hostile: &str) {
    project.write("kgen.toml", &format!("[cluster]\nname = {}\n", toml(&format!("{hostile}{FORGED}"))));
}

fn value(project: &Project, hostile: &str) {
    project.write("kgen.toml", &format!("[cluster]\nbroker_type = {}\n", toml(&format!("{hostile}{FORGED}"))));
}

fn diagnostics(project: &Project, hostile: &str) {
    let text = format!("{hostile}{FORGED}");
    let about = json!({
        "severity": "error", "summary": text, "detail": hostile, "address": text,
        "range": { "filename": text, "start": { "line": 1 } },
        "snippet": { "context": text, "code": hostile, "start_line": 1, "values": [{ "traversal": text, "statement": text }] },
    });
    project.answer("plan", 1, &json!({ "type": "diagnostic", "diagnostic": about }).to_string());
}

/// Not JSON: what terraform or a provider prints when it crashes.
fn crash(project: &Project, hostile: &str) {
    project.answer("plan", 1, &format!("panic: {hostile} FORGED\n"));
    project.write("stub/plan.err", &format!("{hostile}\n"));
}

fn changes(project: &Project, hostile: &str) {
    let text = format!("{hostile}{FORGED}");
    let change = json!({
        "actions": ["update"], "after_unknown": {}, "before_sensitive": false, "after_sensitive": false,
        "before": { "tags": { text.as_str(): "a" } }, "after": { "tags": { text.as_str(): text } },
    });
    let resource = json!({
        "address": text, "mode": "managed", "type": "aws_msk_cluster", "name": "x", "deposed": text, "change": change,
    });
    project.answer("plan", 2, "");
    project.answer("show", 0, &json!({ "resource_changes": [resource], "output_changes": {} }).to_string());
}

fn outputs(project: &Project, hostile: &str) {
    let text = format!("{hostile}{FORGED}");
    project.answer("output", 0, &json!({ text.as_str(): { "sensitive": false, "value": text } }).to_string());
}

/// A file of Terraform that somebody has named and edited.
fn edited(project: &Project, hostile: &str) {
    let ran = project.run(&["render", "--force"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let network = project.read("terraform/network.tf");
    project.write("terraform/network.tf", &format!("{network}# {}\n", hostile.replace('\0', "")));
    let name = format!("{}{FORGED}", hostile.replace(['\0', '/'], ""));
    // A header as of a file that was rendered once: such a one is named.
    let _ = fs::write(project.path(&format!("terraform/{name}.tf")), &network);
}

fn foreign(project: &Project, hostile: &str) {
    fs::create_dir(project.path("infra")).unwrap();
    let name = format!("{}{FORGED}", hostile.replace(['\0', '/'], ""));
    let text = hostile.replace(['\0', '\r', '\u{b}', '\u{c}'], "");
    let cluster = format!(
        "resource \"aws_msk_cluster\" \"this\" {{\n  cluster_name = \"orders\"\n  # {text}\n  broker_node_group_info {{\n    \
         instance_type = \"kafka.m5.large\" # {text}\n  }}\n}}\n"
    );
    project.write(&format!("infra/{name}.tf"), &cluster);
}

/// A run whose folder, and whose id, somebody has named.
fn named_run(project: &Project, hostile: &str) {
    let id = format!("{}{FORGED}", hostile.replace(['\0', '/'], ""));
    let record = project.read(&format!(".kgen/runs/{RUN}/run.jsonl"));
    let record = record.replacen(&format!("\"id\":\"{RUN}\""), &format!("\"id\":{}", json!(id)), 1);
    let record = record.replacen("\"command\":\"demo\"", &format!("\"command\":{}", json!(id)), 1);
    let dir = project.path(&format!(".kgen/runs/{id}"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("run.jsonl"), record).unwrap();
}

fn commands() -> Vec<(String, Prepare)> {
    let of = |args: &str, prepare: Prepare| (args.to_owned(), prepare);
    vec![
        of("runs", nothing),
        of("runs --json", nothing),
        of("runs", named_run),
        of("runs prune --keep 0 --dry-run", named_run),
        of("replay --plain RUN", nothing),
        of("replay --plain RUN --color always", nothing),
        of("replay --json RUN", nothing),
        of("diagnose --replay .kgen/runs/RUN", nothing),
        of("diagnose --replay .kgen/runs/RUN --json", nothing),
        of("report RUN --format markdown -o -", nothing),
        of("report RUN -o -", nothing),
        of("compare RUN RUN", nothing),
        of("resume RUN", nothing),
        of("render", key),
        of("config", property),
        of("config --json", property),
        of("topic create", key),
        of("render --check", name_of_the_cluster),
        of("config", value),
        of("plan", diagnostics),
        of("apply --yes", diagnostics),
        of("plan", crash),
        of("plan", changes),
        of("plan --json", changes),
        of("destroy --dry-run", changes),
        of("output", outputs),
        of("output --json", outputs),
        of("render --check", edited),
        of("render --check --json", edited),
        of("render", edited),
        of("resize kafka.m5.xlarge --dir infra --dry-run", foreign),
        of("resize kafka.m5.xlarge --dir infra --dry-run --json", foreign),
    ]
}

/// Commands that may say nothing of what is in a record, or that show it without what would begin a line.
const UNTOLD: [&str; 4] = ["compare RUN RUN", "resume RUN", "render --check", "render"];

fn judge(args: &str, prepare: Prepare, hostile: &str) -> Result<(), String> {
    let project = edge::project(&edge::record(&poison(hostile)));
    prepare(&project, hostile);
    let ran = edge::run(&project, &words(&args.replace("RUN", RUN)), &[]);
    // Something of it must be shown, or nothing is tried.
    let is_told = ran.stdout.contains("FORGED") || ran.stderr.contains("FORGED") || UNTOLD.contains(&args);
    is_told.then_some(()).ok_or(format!("shows nothing of it: {}{}", ran.stdout, ran.stderr))?;
    let mut ran = ran;
    if args == "report RUN -o -" {
        // HTML, in which a line break is a space.
        ran.stdout = ran.stdout.replace("\nFORGED", " FORGED");
    }
    fault_of(&ran, args.contains("--color always"))?;
    if args.contains("--json") && ran.stdout.starts_with('{') {
        let documents = serde_json::Deserializer::from_str(&ran.stdout).into_iter::<serde_json::Value>();
        for document in documents {
            document.map_err(|error| format!("no JSON: {error}"))?;
        }
    }
    Ok(())
}

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut hostile = {
        let mut number = 0;
        move |random: &mut StdRng| {
            number += 1;
            let some: Vec<&str> = (0..3).map(|_| HOSTILE[random.random_range(0..HOSTILE.len())]).collect();
            // Each has its turn, two others beside it.
            format!("{}{}", HOSTILE[number % HOSTILE.len()], some.concat()).replace('N', &number.to_string())
        }
    };
    for _ in 0..3 {
        for (args, prepare) in commands() {
            let hostile = hostile(random);
            cases.push(Case::new(format!("kgen {args} with {hostile:?}"), move || judge(&args, prepare, &hostile)));
        }
    }
    for args in [
        "explain TEXT",
        "TEXT",
        "schema TEXT",
        "man TEXT",
        "report --format TEXT",
        "replay TEXT",
        "diagnose --replay TEXT",
        "watch --interval TEXT",
        "-C TEXT runs",
        "resize TEXT",
        "topic create x --partitions TEXT",
        "--TEXT",
    ] {
        let text = hostile(random).replace(['\0', ' '], "_") + FORGED;
        cases.push(Case::new(format!("kgen {args} with {text:?}"), move || {
            let args: Vec<String> = args.split(' ').map(|word| word.replace("TEXT", &text)).collect();
            let project = edge::project(&edge::record(&Poison::default()));
            fault_of(&edge::run(&project, &args, &[]), false)
        }));
    }
    for command in ["watch --plain --duration 1s", "watch --json --duration 1s", "diagnose --window 1s"] {
        for _ in 0..3 {
            let text = hostile(random) + FORGED;
            cases.push(Case::new(format!("an error of AWS to kgen {command}: {text:?}"), move || {
                let endpoint = edge::refusing_api(&text);
                let env = edge::made_up_keys(&endpoint);
                let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let ran = edge::run(&edge::project(&edge::record(&Poison::default())), &words(command), &env);
                let is_told = ran.stderr.contains("FORGED");
                is_told.then_some(()).ok_or(format!("the message is not there: {}", ran.stderr))?;
                fault_of(&ran, false)
            }));
        }
    }
    for _ in 0..4 {
        let hostile = hostile(random);
        cases.push(Case::new(format!("the screen with {hostile:?}"), move || on_the_screen(&hostile)));
    }
    cases
}

/// The recorded run in the screen: of a stranger's texts nothing reaches the terminal.
fn on_the_screen(hostile: &str) -> Result<(), String> {
    const WITHIN: Duration = Duration::from_secs(30);
    let project = edge::project(&edge::record(&poison(&format!("{hostile}\u{1b}]0;marked\u{7}\u{202e}"))));
    let size = PtySize { rows: 40, cols: 160, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).map_err(|error| error.to_string())?;
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_kgen"));
    command.arg("-C");
    command.arg(project.path(""));
    command.args(["replay", RUN, "--speed", "64"]);
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).map_err(|error| error.to_string())?;
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().map_err(|error| error.to_string())?;
    let mut keys = pair.master.take_writer().map_err(|error| error.to_string())?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let reading = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut bytes) {
            into.lock().unwrap().extend_from_slice(&bytes[..count]);
        }
    });
    let text = || String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    let started = Instant::now();
    // A part of a hostile text is on the screen.
    while !text().contains("marked") && started.elapsed() < WITHIN {
        std::thread::sleep(Duration::from_millis(30));
    }
    std::thread::sleep(Duration::from_millis(300));
    let _ = keys.write_all(b"q");
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if started.elapsed() > WITHIN {
            let _ = child.kill();
            return Err(format!("does not end: {:?}", text()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(pair.master);
    let _ = reading.join();
    let text = text();
    if !text.contains("marked") {
        return Err(format!("nothing of the record is drawn: {text:?}"));
    }
    // The screen moves the cursor and colours by itself; titles, clipboards, C1 and bidirectional controls it has none.
    let forbidden = ["\u{1b}]", "\u{1b}P", "\u{7}", "\u{8}", "\u{1b}c", "\u{202e}", "\u{2066}", "\u{9b}", "\u{9d}"];
    match forbidden.iter().find(|control| text.contains(**control)) {
        Some(control) => Err(format!("{control:?} reaches the terminal")),
        None => Ok(()),
    }
}
