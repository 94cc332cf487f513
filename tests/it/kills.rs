//! Any command, killed at any moment: the terminal is sane, files and state are whole, the record is readable, nothing runs on,
//! and the next command goes on or says clearly what there is to do.
//!
//! `scripts/kills ROUNDS SEED` runs it for longer than a test does.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, PtyPair, PtySize, native_pty_system};

use crate::{
    awaited::await_some,
    lab::{Chance, Lab, ensure_clean},
    project::{Project, kgen, with_demo},
};

/// Marks every process of a round, its children too.
const MARK: &str = "KGEN_TEST_ROUND";

/// How long whatever a killed command leaves at work may take to end: terraform, which goes on with a rolling update.
const LEFT_WITHIN: Duration = Duration::from_secs(240);
/// How long an interrupted command may take to end.
const ENDED_WITHIN: Duration = Duration::from_secs(120);

/// A command, how long it takes without being killed, and what comes after it.
struct Victim {
    args: &'static str,
    seconds: f64,
    next: Next,
}

enum Next {
    /// The same again comes to its end.
    Again,
    /// `kgen resume` comes to the end of it, or has nothing to go on with.
    Resume,
    /// As the one before, for as long as it takes to begin.
    ResumeForAWhile,
    /// Nothing: it only reads.
    None,
}

const VICTIMS: [Victim; 16] = [
    Victim { args: "render --force", seconds: 0.1, next: Next::Again },
    Victim { args: "plan", seconds: 14.0, next: Next::Again },
    Victim { args: "apply --yes", seconds: 16.0, next: Next::Again },
    Victim { args: "produce --rate 200 --duration 12", seconds: 13.0, next: Next::None },
    Victim { args: "consume --duration 8 --group kills", seconds: 9.0, next: Next::Again },
    Victim { args: "watch --duration 10s", seconds: 11.0, next: Next::None },
    Victim { args: "diagnose --window 8s", seconds: 10.0, next: Next::None },
    Victim { args: "resize TYPE --yes --measure 5s", seconds: 75.0, next: Next::Resume },
    Victim { args: "resize TYPE --yes --measure 5s", seconds: 30.0, next: Next::Resume },
    Victim { args: "scale-out 6 --yes --measure 5s --throttle 1", seconds: 75.0, next: Next::Resume },
    Victim { args: "fix --yes --window 16s", seconds: 18.0, next: Next::Again },
    Victim { args: "demo", seconds: 60.0, next: Next::ResumeForAWhile },
    Victim { args: "report", seconds: 0.3, next: Next::None },
    Victim { args: "replay demo-20261125 --speed 50", seconds: 4.0, next: Next::None },
    Victim { args: "runs", seconds: 0.1, next: Next::Again },
    Victim { args: "topic describe", seconds: 1.0, next: Next::Again },
];

/// Two are sent shortly after each other.
const SIGNALS: [&str; 5] = ["KILL", "INT", "TERM", "HUP", "INT INT"];

/// Between two signals.
const SHORTLY: Duration = Duration::from_millis(150);

/// The types that `resize` goes round.
const TYPES: [&str; 3] = ["kafka.m5.large", "kafka.m5.xlarge", "kafka.m7g.large"];

/// How a killed command ended.
struct Ended {
    code: u32,
    screen: String,
    seconds: f64,
    was_over: bool,
}

/// Runs kgen at a terminal of its own and sends it `signal` after a while.
#[track_caller]
fn killed(dir: &Path, env: &[(String, String)], args: &str, signal: &str, after: Duration, mark: &str) -> Ended {
    let PtyPair { slave, master } =
        native_pty_system().openpty(PtySize { rows: 40, cols: 120, ..PtySize::default() }).unwrap();
    let before = master.get_termios().unwrap();
    let mut command = CommandBuilder::new("env");
    command.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_kgen")]);
    command.args(args.split(' '));
    command.cwd(dir);
    command.env("TERM", "xterm-256color");
    command.env(MARK, mark);
    for (name, value) in env {
        command.env(name, value);
    }
    let mut child = slave.spawn_command(command).unwrap();
    let mut screen = master.try_clone_reader().unwrap();
    let reader = spawn(move || {
        let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = screen.read(&mut buffer) {
            shown.extend_from_slice(&buffer[..read]);
        }
        shown
    });
    let was_over = await_some(after, || child.try_wait().unwrap()).is_some();
    if !was_over {
        let pid = child.process_id().unwrap().to_string();
        for (number, name) in signal.split(' ').enumerate() {
            if number > 0 {
                sleep(SHORTLY);
            }
            // Nobody may be there any more for the second one.
            let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap().success();
            assert!(sent || number > 0, "{args}: SIG{name}");
        }
    }
    let signalled = Instant::now();
    let Some(status) = await_some(ENDED_WITHIN, || child.try_wait().unwrap()) else {
        child.kill().unwrap();
        panic!("{args}: still runs {} s after SIG{signal}", ENDED_WITHIN.as_secs());
    };
    let seconds = signalled.elapsed().as_secs_f64();
    let after = master.get_termios().unwrap();
    // Whatever holds the terminal still, such as a terraform that goes on, would keep the reader.
    drop(slave);
    let shown = await_end(reader);
    // A program that is killed outright has no chance to put its terminal right.
    if signal != "KILL" || was_over {
        assert_eq!(
            (before.local_flags, before.input_flags, before.output_flags),
            (after.local_flags, after.input_flags, after.output_flags),
            "{args}"
        );
        let mut parser =
            vt100::Parser::new(std::num::NonZero::new(40).unwrap(), std::num::NonZero::new(120).unwrap(), 0);
        parser.process(&shown);
        let screen = parser.screen();
        assert!(!screen.hide_cursor(), "{args}: the cursor is hidden after SIG{signal}");
        assert!(!screen.alternate_screen(), "{args}: the alternate screen is left on after SIG{signal}");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "{args}");
    }
    Ended { code: status.exit_code(), screen: String::from_utf8_lossy(&shown).into_owned(), seconds, was_over }
}

/// What was shown; nothing more is waited for than a moment after the end.
fn await_end(reader: std::thread::JoinHandle<Vec<u8>>) -> Vec<u8> {
    let is_over = await_some(LEFT_WITHIN, || reader.is_finished().then_some(()));
    if is_over.is_some() { reader.join().unwrap() } else { Vec::new() }
}

/// Processes that carry the mark of a round, as `pid command`.
fn marked(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|process| {
            let path = process.path();
            let environment = fs::read(path.join("environ")).ok()?;
            environment.split(|byte| *byte == 0).find(|variable| *variable == wanted.as_bytes())?;
            let line = fs::read(path.join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            Some(format!("{} {}", path.file_name()?.to_string_lossy(), line.chars().take(100).collect::<String>()))
        })
        .collect()
}

/// Waits until nothing of a round runs. Terraform alone may take its time: it goes on to the end of what it does.
#[track_caller]
fn ensure_nothing_left(mark: &str, args: &str) {
    let started = Instant::now();
    loop {
        let left = marked(mark);
        if left.is_empty() {
            return;
        }
        let program = |process: &str| process.split(' ').nth(1).unwrap_or_default().to_owned();
        let is_terraform = |process: &String| program(process).contains("terraform");
        let patience = if left.iter().all(is_terraform) { LEFT_WITHIN } else { Duration::from_secs(15) };
        assert!(started.elapsed() < patience, "{args} has left: {left:?}");
        sleep(Duration::from_millis(100));
    }
}

/// Terraform's files as text.
fn rendered(dir: &Path) -> BTreeMap<PathBuf, String> {
    let entries = fs::read_dir(dir.join("terraform")).unwrap().map(|entry| entry.unwrap().path());
    let sources = entries.filter(|path| path.extension().is_some_and(|ext| ext == "tf" || ext == "sh"));
    sources.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

fn broker_type(dir: &Path) -> String {
    let msk = fs::read_to_string(dir.join("terraform/msk.tf")).unwrap();
    let line = msk.lines().find(|line| line.trim_start().starts_with("instance_type")).unwrap().to_owned();
    line.split('"').nth(1).unwrap().to_owned()
}

#[test]
#[ignore = "runs terraform and three Kafka brokers, and kills kgen"]
fn any_command_may_be_killed_at_any_moment() {
    let chosen = std::env::var("KGEN_TEST_KILLS").unwrap_or_else(|_| "3 1842".to_owned());
    let (rounds, seed) = chosen.split_once(' ').expect("ROUNDS SEED");
    let (rounds, seed): (usize, u64) = (rounds.parse().unwrap(), seed.parse().unwrap());
    println!("{rounds} rounds, seed {seed}");
    let lab = Lab::up();
    lab.sh("printf '[cluster]\\nbroker_type = \"kafka.m5.large\"\\n' > kgen.toml\n\
            kgen render && kgen apply --yes && kgen topic create");
    lab.produced("kgen produce --rate 100 --duration 5 --json");
    with_demo(lab.path());
    let env: Vec<(String, String)> = lab
        .sh("env | grep ^AWS_")
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut chance = Chance(seed);
    // Every command has its turn before one has two.
    let mut bag: Vec<usize> = Vec::new();
    for round in 1..=rounds {
        if bag.is_empty() {
            bag = (0..VICTIMS.len()).collect();
        }
        let victim = &VICTIMS[bag.swap_remove(chance.below(bag.len()))];
        let signal = SIGNALS[chance.below(SIGNALS.len())];
        let after = Duration::from_secs_f64(victim.seconds * chance.share());
        let now = broker_type(lab.path());
        let other = TYPES[(TYPES.iter().position(|name| *name == now).unwrap_or(0) + 1) % TYPES.len()];
        let args = victim.args.replace("TYPE", other);
        let mark = format!("{}-{round}", std::process::id());
        let ended = killed(lab.path(), &env, &args, signal, after, &mark);
        ensure_clean(&args, &ended.screen);
        ensure_nothing_left(&mark, &args);
        let next = follow_up(&lab, victim, &args, &mark);
        ensure_whole(&lab, &args);
        println!(
            "{round:>3}  {:<45} {:<7} after {:>5.1} s{}  ended in {:>5.1} s with {:<4} then {next}",
            args,
            signal,
            after.as_secs_f64(),
            if ended.was_over { " (was over)" } else { "" },
            ended.seconds,
            ended.code,
        );
    }
    lab.sh("kgen apply --yes && kgen plan --detailed-exitcode && kgen render --check");
    lab.sh("[ -z \"$(kafka-reassign-partitions.sh --bootstrap-server $(kgen bootstrap) --list | grep -i replicas)\" ]");
    lab.sh("kgen destroy --yes");
    lab.down();
}

#[test]
fn a_replay_may_be_killed_at_any_moment() {
    let project = Project::with_terraform("");
    let (dir, mut chance) = (project.path(""), Chance(1842));
    let run = with_demo(&dir);
    let args = format!("replay {run} --speed 50");
    for round in 0..20 {
        let signal = SIGNALS[round % SIGNALS.len()];
        let mark = format!("{}-replay-{round}", std::process::id());
        let ended = killed(&dir, &[], &args, signal, Duration::from_secs_f64(chance.share()), &mark);
        assert!(!ended.was_over, "SIG{signal}: a replay ends when it is left");
        ensure_clean(&args, &ended.screen);
        ensure_nothing_left(&mark, &args);
    }
    assert!(kgen(&dir).args(["replay", &run]).output().unwrap().status.success());
}

/// What a user would do next. Returns what came of it.
#[track_caller]
fn follow_up(lab: &Lab, victim: &Victim, args: &str, mark: &str) -> String {
    let (next, seconds) = match victim.next {
        Next::None => return "-".to_owned(),
        Next::Again => (args.to_owned(), 120),
        Next::Resume => ("resume --yes".to_owned(), 300),
        Next::ResumeForAWhile => ("resume --yes".to_owned(), 25),
    };
    let script = format!("{MARK}={mark}-next timeout --signal=INT {seconds} kgen {next} < /dev/null 2>&1");
    let output = lab.try_sh(&script);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure_clean(&next, &said);
    ensure_nothing_left(&format!("{mark}-next"), &next);
    let code = output.status.code();
    // 2: nothing to go on with. 4: on a machine that is taken by others nothing can be said of the brokers. 124: its time was
    // up, and it ended on the interrupt.
    let fine: &[i32] = match victim.next {
        Next::Again => &[0, 4],
        Next::Resume => &[0, 2, 4],
        _ => &[0, 2, 4, 124],
    };
    assert!(code.is_some_and(|code| fine.contains(&code)), "after {args}, `kgen {next}` ends with {code:?}:\n{said}");
    if code == Some(2) {
        let error = said.lines().rev().take_while(|line| !line.starts_with("error:")).count();
        assert!(said.contains("error: ") && error < 3, "{said}");
    }
    format!("{next}: {}", code.unwrap_or(-1))
}

/// Files, Terraform's state and every record.
#[track_caller]
fn ensure_whole(lab: &Lab, args: &str) {
    assert!(!lab.path().join("terraform/.terraform.tfstate.lock.info").exists(), "{args} leaves the state locked");
    let state = fs::read_to_string(lab.path().join("terraform/terraform.tfstate")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&state).is_ok(), "{args} leaves a broken state");
    let check = lab.try_sh("kgen render --check");
    let files = rendered(lab.path());
    assert!(
        check.status.success(),
        "{args} leaves files that differ:\n{}{files:?}",
        String::from_utf8_lossy(&check.stdout)
    );
    let runs = lab.json("kgen runs --json");
    for run in runs["runs"].as_array().unwrap() {
        let id = run["id"].as_str().unwrap();
        assert_ne!(run["outcome"], "running", "{args}: {id}");
        lab.sh(&format!("kgen report {id} --format markdown > /dev/null"));
    }
}
