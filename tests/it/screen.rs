//! The screen in a terminal of its own: the program draws, follows the size, and gives the terminal back.

use std::{
    fs,
    io::{Read as _, Write},
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex},
    thread::sleep,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};
use rdkafka::mocking::MockCluster;
use serde_json::Value;

use crate::{
    awaited::await_some,
    frontdoor::validate,
    project::{Project, kgen, with_demo},
};

/// How long anything may take to be seen: the machine may be busy.
const WITHIN: Duration = Duration::from_secs(30);

/// Leaves the alternate screen; shows the cursor.
const LEAVE: &str = "\x1b[?1049l";
const CURSOR: &str = "\x1b[?25h";

fn some(size: u16) -> NonZero<u16> {
    NonZero::new(size).unwrap()
}

/// kgen in a terminal.
struct Screen {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    /// Everything that came out, and what it looks like.
    seen: Arc<Mutex<(Vec<u8>, vt100::Parser)>>,
    /// The terminal's settings before anything ran in it.
    before: String,
    /// Keeps the terminal, so that its settings can be read when kgen has gone.
    _slave: Box<dyn SlavePty + Send>,
}

impl Screen {
    /// `kgen ARGS` on `project`, in a terminal of this many rows and columns.
    fn open(project: &Path, args: &[&str], env: &[(&str, &str)], (rows, columns): (u16, u16)) -> Screen {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_kgen"));
        command.arg("-C");
        command.arg(project);
        command.args(args);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "AWS_ENDPOINT_URL"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("TZ", "UTC");
        for (name, value) in env {
            command.env(name, value);
        }
        let before = format!("{:?}", pair.master.get_termios());
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let seen = Arc::new(Mutex::new((Vec::new(), vt100::Parser::new(some(rows), some(columns), 0))));
        let into = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal whose last user has gone ends with an error.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let mut seen = into.lock().unwrap();
                seen.0.extend_from_slice(&bytes[..count]);
                seen.1.process(&bytes[..count]);
            }
        });
        Screen { child, master: pair.master, keys, seen, before, _slave: pair.slave }
    }

    fn text(&self) -> String {
        self.seen.lock().unwrap().1.screen().contents()
    }

    fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().0).into_owned()
    }

    #[track_caller]
    fn await_text(&self, what: &str) {
        self.await_that(what, |text| text.contains(what));
    }

    #[track_caller]
    fn await_that(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let is_seen = await_some(WITHIN, || holds(&self.text()).then_some(()));
        assert!(is_seen.is_some(), "no {what:?} in\n{}", self.text());
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn resize(&self, rows: u16, columns: u16) {
        self.seen.lock().unwrap().1.screen_mut().set_size(some(rows), some(columns));
        self.master.resize(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    fn signal(&self, name: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for the end: the exit code, or 128 for a deadly signal, with the terminal as it was before.
    #[track_caller]
    fn ended(mut self) -> u32 {
        let status = await_some(WITHIN, || self.child.try_wait().unwrap());
        let status = status.unwrap_or_else(|| panic!("does not end:\n{}", self.text()));
        // The last bytes may still be on their way.
        let is_left = || self.raw().contains(LEAVE) && self.raw().contains(CURSOR);
        let is_given_back = await_some(WITHIN, || is_left().then_some(()));
        assert!(is_given_back.is_some(), "the terminal is not given back: {:?}", self.raw());
        let seen = self.seen.lock().unwrap();
        let screen = seen.1.screen();
        assert!(!screen.alternate_screen(), "still the alternate screen");
        assert!(!screen.hide_cursor(), "no cursor");
        assert_eq!(format!("{:?}", self.master.get_termios()), self.before, "the terminal's settings");
        match status.signal() {
            Some(_) => 128,
            None => status.exit_code(),
        }
    }
}

/// A project with the recorded demo as its run, and the run's path.
fn recorded() -> (Project, String) {
    let project = Project::with_terraform("");
    let run = with_demo(&project.path(""));
    (project, run)
}

const LAST: &str = "verified 3:16";

#[test]
fn a_replay_draws_and_follows_the_terminals_size_and_the_keys() {
    let (project, run) = recorded();
    let mut screen = Screen::open(&project.path(""), &["replay", &run, "--speed", "1000"], &[], (24, 80));
    screen.await_text(LAST);
    screen.await_text("ended");
    let text = screen.text();
    for part in
        ["kgen demo kgen-demo: 3 x kafka.m5.large", "lab, scale 1:4", "[+] healthy", "CPU %", "response ms", "q quit"]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    screen.resize(50, 160);
    screen.await_text("under-replicated");
    screen.await_that("40 lines", |text| text.lines().count() > 40);
    screen.resize(5, 20);
    screen.await_text("q quits");
    screen.resize(24, 80);
    screen.await_text("q quit  ?");
    screen.press("\x1b[B");
    screen.await_text(">    1");
    screen.press("?");
    screen.await_text("keys and symbols");
    screen.press("?");
    screen.press(" ");
    screen.press("\x1b[H");
    screen.await_text("waiting for the first sample");
    screen.await_text("paused");
    screen.press("-");
    screen.await_text("replay x500");
    screen.press("\x1b[F");
    screen.await_text(LAST);
    screen.press("q");
    assert_eq!(screen.ended(), 0);
}

#[test]
fn every_way_out_gives_the_terminal_back() {
    let (project, run) = recorded();
    let ways: [(&str, &str, u32); 6] =
        [("q", "", 0), ("\x1b", "", 0), ("\x03", "", 130), ("", "TERM", 128), ("", "HUP", 128), ("", "INT", 128)];
    for (key, signal, code) in ways {
        let mut screen = Screen::open(&project.path(""), &["replay", &run, "--speed", "4"], &[], (24, 80));
        screen.await_text("q quit");
        if key.is_empty() {
            screen.signal(signal);
        } else {
            screen.press(key);
        }
        assert_eq!(screen.ended(), code, "{key:?} {signal}");
    }
}

/// `kgen produce` in a terminal, on brokers that have stopped to answer: an orderly end would wait for them. Sends the signals
/// one after the other; returns the exit code and what the record says last.
#[track_caller]
fn produced_until(signals: &[&str], pause: Duration, answers_come: bool) -> (u32, Value) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 3, 1).unwrap();
    let project = Project::with_terraform("");
    let args = ["produce", "--bootstrap-servers", &cluster.bootstrap_servers(), "--topic", "t", "--rate", "200"];
    let screen = Screen::open(&project.path(""), &[&args[..], &["--duration", "60"]].concat(), &[], (24, 80));
    screen.await_text("O onset");
    if !answers_come {
        cluster.broker_round_trip_time(1, Duration::from_secs(60)).unwrap();
        // Some records are to be under way.
        sleep(Duration::from_millis(500));
    }
    let started = Instant::now();
    for (number, signal) in signals.iter().enumerate() {
        if number > 0 {
            sleep(pause);
        }
        screen.signal(signal);
    }
    let code = screen.ended();
    assert!(started.elapsed() < Duration::from_secs(10), "{signals:?}: {:?}", started.elapsed());
    let runs = fs::read_dir(project.path(".kgen/runs")).unwrap().map(|run| run.unwrap().path().join("run.jsonl"));
    let record = fs::read_to_string(runs.into_iter().find(|path| path.exists()).unwrap()).unwrap();
    let lines: Vec<Value> = record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["event"] == "end").count(), 1, "{signals:?}: {record}");
    (code, lines.last().unwrap().clone())
}

#[test]
fn the_first_interrupt_of_a_produce_ends_it_in_order_and_the_second_at_once() {
    let (at_once, short) = (Duration::ZERO, Duration::from_millis(150));
    for (signals, pause, answers_come, code) in [
        (&["INT"][..], at_once, true, 130),
        (&["HUP"], at_once, true, 130),
        (&["INT", "INT"], short, false, 128),
        (&["INT", "TERM"], at_once, false, 128),
        (&["TERM", "INT", "INT"], short, false, 128),
    ] {
        let (ended, last) = produced_until(signals, pause, answers_come);
        assert_eq!(ended, code, "{signals:?}");
        assert_eq!((&last["event"], &last["outcome"]), (&"end".into(), &"interrupted".into()), "{signals:?}: {last}");
    }
}

#[test]
fn colours_are_those_that_were_asked_for() {
    let (project, run) = recorded();
    let check = |args: &[&str], env: &[(&str, &str)], is_coloured: bool| {
        let args = [&["replay", &run, "--speed", "1000"], args].concat();
        let mut screen = Screen::open(&project.path(""), &args, env, (24, 80));
        screen.await_text(LAST);
        screen.press("q");
        // Crossterm sets colours as 38;5;N.
        assert_eq!(screen.raw().contains("\x1b[38;5;"), is_coloured, "{args:?} {env:?}");
        screen.ended();
    };
    check(&[], &[], true);
    check(&[], &[("NO_COLOR", "1")], false);
    check(&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false);
    check(&["--color", "always"], &[("NO_COLOR", "1")], true);
}

#[test]
fn without_a_terminal_or_with_plain_there_are_lines_and_a_summary() {
    let (project, run) = recorded();
    let plain = kgen(&project.path("")).args(["replay", &run]).output().unwrap();
    let text = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.status.success());
    for part in
        ["mark named: broker.undersized", "fix: kgen resize kafka.m5.large", "summary of kgen-demo: 102 samples", "1:4"]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains('\x1b'), "{text}");
    let forced = kgen(&project.path("")).args(["replay", &run, "--color", "always"]).output().unwrap();
    assert!(String::from_utf8_lossy(&forced.stdout).contains("\x1b["));

    let (project, run) = recorded();
    let screen = Screen::open(&project.path(""), &["replay", &run, "--plain"], &[], (24, 80));
    screen.await_text("summary of kgen-demo");
    assert!(!screen.raw().contains("\x1b[?1049h"));
}

#[test]
fn runs_are_deleted_only_when_that_is_wanted() {
    let (project, run) = recorded();
    let prune = |args: &[&str]| {
        let pruned = kgen(&project.path("")).args(["runs", "prune", "--keep", "0"]).args(args).output().unwrap();
        let said = [pruned.stdout, pruned.stderr].concat();
        (pruned.status.code(), String::from_utf8(said).unwrap(), project.path(".kgen/runs").join(&run).exists())
    };
    assert_eq!(prune(&["--dry-run"]), (Some(0), format!("would delete {run}\n"), true));
    let (code, said, is_there) = prune(&[]);
    assert!(code == Some(2) && said.contains("no terminal") && is_there, "{said}");
    let (_, said, is_there) = prune(&["--dry-run", "--json"]);
    validate("runs prune --json", &said);
    assert!(said.contains(&run) && is_there, "{said}");
    assert_eq!(prune(&["--yes"]), (Some(0), format!("deleted {run}\n"), false));
    assert_eq!(prune(&["--yes"]), (Some(0), "nothing to delete: 0 runs are recorded\n".to_owned(), false));
}

#[test]
fn a_speed_that_is_none_and_a_run_that_is_not_there_are_refused() {
    let (project, _) = recorded();
    for args in [
        ["replay", "demo-2026", "--speed=0"],
        ["replay", "demo-2026", "--speed=fast"],
        ["replay", "watch-1", "--plain"],
    ] {
        let refused = kgen(&project.path("")).args(args).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
    }
}
