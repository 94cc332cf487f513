//! Interrupts and deaths of kgen during an apply of the real terraform: the state is whole, and no lock is left.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{sleep, spawn},
    time::Duration,
};

use portable_pty::{CommandBuilder, PtyPair, PtySize, native_pty_system};

use crate::{
    awaited::await_until,
    project::{Project, Ran},
};

/// A resource that is made at once, and one whose provisioner takes longer than any test waits to interrupt it.
const SLOW: &str = r#"
resource "terraform_data" "quick" {}

resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]

  provisioner "local-exec" {
    command = "touch started; i=0; while [ $i -lt 200 ] && [ ! -e go ]; do sleep 0.1; i=$((i+1)); done"
  }
}
"#;

/// How long terraform, or what stands for it, may take to start.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// The project of [`SLOW`], initialised: its provider is built into terraform, so that there is nothing to fetch.
fn slow() -> Project {
    let project = Project::with_terraform(SLOW);
    fs::create_dir(project.path("terraform/.terraform")).unwrap();
    project.write("terraform/.terraform.lock.hcl", "");
    project
}

/// A test run may itself have been started with these signals ignored.
const ENV: [&str; 3] = ["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_kgen"), "-C"];

fn start(args: &[&str], project: &Project) -> Child {
    Command::new("env")
        .args(ENV)
        .arg(project.path(""))
        .args(args)
        .env_remove("AWS_ENDPOINT_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

fn apply(project: &Project) -> Child {
    let child = start(&["apply", "--yes", "--terraform-bin", "terraform"], project);
    await_until("the provisioner starts", STARTED_WITHIN, || project.path("terraform/started").exists());
    child
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

fn state(dir: &Path) -> Vec<(String, bool)> {
    let state: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.join("terraform.tfstate")).unwrap()).unwrap();
    let resources = state["resources"].as_array().unwrap().iter();
    resources
        .map(|resource| {
            let tainted = resource["instances"][0]["status"] == "tainted";
            (resource["name"].as_str().unwrap().to_owned(), tainted)
        })
        .collect()
}

fn whole(tainted: bool) -> Vec<(String, bool)> {
    vec![("quick".into(), false), ("slow".into(), tainted)]
}

fn ensure_unlocked(project: &Project) {
    assert!(!project.path("terraform/.terraform.tfstate.lock.info").exists(), "the lock is still there");
}

#[track_caller]
fn check(signals: &[&str]) -> Ran {
    let project = slow();
    let child = apply(&project);
    for name in signals {
        signal(&child, name);
        sleep(Duration::from_millis(100));
    }
    let output: Output = child.wait_with_output().unwrap();
    let ran = Ran::from(output);
    ensure_stopped_gracefully(&project, &ran);
    ran
}

/// kgen ended as interrupted, terraform was interrupted once, and its state holds what was made.
#[track_caller]
fn ensure_stopped_gracefully(project: &Project, ran: &Ran) {
    let log = project.read(".kgen/terraform/terraform.jsonl");
    assert_eq!(ran.code, Some(130), "{}\n{log}", ran.stderr);
    assert_eq!(state(&project.path("terraform")), whole(true), "{}", ran.stderr);
    ensure_unlocked(project);
    assert_eq!(log.matches("Interrupt received").count(), 1, "{log}");
    assert!(!log.contains("Two interrupts"), "{log}");
}

/// An apply at a terminal of its own, as its first process: `keys` are typed, then it is closed, or stays open.
#[track_caller]
fn check_at_a_terminal(keys: &[u8], closed: bool) {
    let project = slow();
    let PtyPair { slave, master } = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new("env");
    command.args(ENV);
    command.arg(project.path(""));
    command.args(["apply", "--yes", "--terraform-bin", "terraform"]);
    command.env_remove("AWS_ENDPOINT_URL");
    let mut child = slave.spawn_command(command).unwrap();
    drop(slave);
    let is_closed = Arc::new(AtomicBool::new(false));
    let mut screen = master.try_clone_reader().unwrap();
    let seen = is_closed.clone();
    // The spinners make every read end soon. The last one fails when nobody is left at the other end.
    let reader = spawn(move || {
        let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = screen.read(&mut buffer) {
            shown.extend_from_slice(&buffer[..read]);
            if seen.load(Ordering::SeqCst) {
                break;
            }
        }
        String::from_utf8_lossy(&shown).into_owned()
    });
    await_until("the provisioner starts", STARTED_WITHIN, || project.path("terraform/started").exists());
    let mut keyboard = master.take_writer().unwrap();
    for key in keys {
        keyboard.write_all(&[*key]).unwrap();
        sleep(Duration::from_millis(20));
    }
    is_closed.store(closed, Ordering::SeqCst);
    drop(keyboard);
    // While one copy of its end is open, a terminal is not hung up.
    let open = (!closed).then_some(master);
    let code = child.wait().unwrap().exit_code();
    drop(open);
    let shown = reader.join().unwrap();
    ensure_stopped_gracefully(&project, &Ran { code: i32::try_from(code).ok(), stdout: String::new(), stderr: shown });
}

#[test]
#[ignore = "needs terraform"]
fn one_interrupt_of_any_kind_stops_terraform_gracefully() {
    for name in ["INT", "TERM", "HUP"] {
        let ran = check(&[name]);
        assert!(ran.stderr.contains("terraform is stopping"), "{}", ran.stderr);
    }
}

#[test]
#[ignore = "needs terraform"]
fn five_interrupts_are_one_for_terraform() {
    check(&["INT"; 5]);
    check(&["TERM", "INT", "HUP", "INT", "TERM"]);
}

#[test]
#[ignore = "needs terraform"]
fn control_c_at_a_terminal_is_one_interrupt_for_terraform_however_often() {
    check_at_a_terminal(b"\x03", false);
    check_at_a_terminal(b"\x03\x03\x03\x03\x03", false);
}

#[test]
#[ignore = "needs terraform"]
fn a_terminal_that_is_closed_stops_terraform_gracefully() {
    check_at_a_terminal(b"", true);
    check_at_a_terminal(b"\x03", true);
}

/// A terraform that needs a second to stop after its first interrupt, and counts all that it gets.
#[test]
fn a_terraform_that_is_slow_to_stop_gets_one_interrupt() {
    let project = Project::new();
    project.write(
        "stub/terraform",
        "#!/bin/sh\ncd \"$(dirname \"$0\")\" || exit 99\ntrap 'echo int >> interrupts' INT\necho x > ../terraform/started\n\
         i=0\nwhile [ $i -lt 600 ] && [ ! -e interrupts ]; do sleep 0.05; i=$((i+1)); done\n\
         i=0\nwhile [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done\nexit 1\n",
    );
    let stub = project.path("stub/terraform");
    let child = start(&["plan", "--terraform-bin", stub.to_str().unwrap()], &project);
    await_until("the stub starts", STARTED_WITHIN, || project.path("terraform/started").exists());
    for name in ["INT", "INT", "TERM", "HUP", "INT"] {
        signal(&child, name);
        sleep(Duration::from_millis(120));
    }
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert_eq!(project.read("stub/interrupts"), "int\n");
    assert!(ran.stderr.contains("was not passed on"), "{}", ran.stderr);
}

/// A terraform that is interrupted before its first resource goes on all the same; so the interrupt waits for that.
#[test]
fn an_interrupt_that_comes_too_early_is_passed_on_when_terraform_heeds_it() {
    let project = Project::new();
    project.answer("plan", 2, "");
    project.write(
        "stub/apply",
        "#!/bin/sh\ntrap 'echo int >> order' INT\necho x > ../terraform/started\n\
         i=0\nwhile [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done\necho begun >> order\n\
         echo '{\"type\":\"apply_start\",\"hook\":{\"resource\":{\"addr\":\"a.b\"},\"action\":\"create\"}}'\n\
         i=0\nwhile [ $i -lt 600 ] && ! grep -q int order; do sleep 0.05; i=$((i+1)); done\nexit 1\n",
    );
    let stub = project
        .read("stub/terraform")
        .replace("cat \"$name.out\"", "[ $name != apply ] || exec sh ./apply\ncat \"$name.out\"");
    project.write("stub/terraform", &stub);
    let stub = project.path("stub/terraform");
    let child = start(&["apply", "--yes", "--terraform-bin", stub.to_str().unwrap()], &project);
    await_until("the stub starts", STARTED_WITHIN, || project.path("terraform/started").exists());
    signal(&child, "INT");
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, project.read("stub/order").as_str()), (Some(130), "begun\nint\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("as soon as it has started"), "{}", ran.stderr);
}

/// A second apply that waits for the terraform of the first.
fn waiting(project: &Project) -> (Child, BufReader<ChildStderr>) {
    let mut child = start(&["apply", "--yes", "--terraform-bin", "terraform"], project);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("waiting for it") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it did not wait: {said}");
    }
    (child, stderr)
}

#[test]
#[ignore = "needs terraform"]
fn terraform_ends_its_work_when_kgen_is_killed() {
    let project = slow();
    let mut child = apply(&project);
    child.kill().unwrap();
    child.wait().unwrap();
    // Whoever loses patience while waiting for it leaves it alone.
    let (mut impatient, _) = waiting(&project);
    signal(&impatient, "INT");
    assert!(!impatient.wait().unwrap().success());
    // The next apply finds it at work, waits for it, and has nothing left to do.
    let (mut next, mut stderr) = waiting(&project);
    let mut said = String::new();
    project.write("terraform/go", "");
    stderr.read_to_string(&mut said).unwrap();
    let ran = Ran { code: next.wait().unwrap().code(), stdout: String::new(), stderr: said };
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for part in ["terraform_data.slow: created", "nothing to change"] {
        assert!(ran.stderr.contains(part), "no {part:?} in {}", ran.stderr);
    }
    assert_eq!(state(&project.path("terraform")), whole(false));
    ensure_unlocked(&project);
}
