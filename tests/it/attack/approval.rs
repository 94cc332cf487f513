//! Approval binds to the plan: what was shown is what is applied, whatever another shell does meanwhile.

use std::{fs, os::unix::fs::symlink, path::Path, thread::sleep, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{
    Case,
    shell::{
        Msk, QUESTION, Shell, VALUES, WITHIN, applied, done, ensure, plan_files, project, until, until_or,
        without_terminal,
    },
};
use crate::project::Project;

const RESIZE: &str = "resize kafka.m5.xlarge --dir DIR --apply";

/// Commands that ask, and what the question is about.
const ASKING: [&str; 3] = ["apply", "destroy", RESIZE];

/// Commands that hold the lock, and at what they are held: a question, a plan that takes its time, an apply.
const FIRST: [(&str, &str); 9] = [
    ("apply", "question"),
    ("destroy", "question"),
    (RESIZE, "question"),
    ("plan", "plan"),
    ("apply --dry-run", "plan"),
    ("destroy --dry-run", "plan"),
    ("apply --yes", "apply"),
    ("destroy --yes", "apply"),
    ("resize kafka.m5.xlarge --dir DIR --apply --yes", "apply"),
];

/// Commands that find it held.
const SECOND: [&str; 13] = [
    "plan --lock-timeout 1ms",
    "apply --yes --lock-timeout 1ms",
    "apply --dry-run --lock-timeout 1ms",
    "destroy --yes --lock-timeout 1ms",
    "destroy --dry-run --lock-timeout 1ms",
    "resize kafka.m5.4xlarge --yes",
    "resize kafka.m5.4xlarge --dry-run",
    "scale-out 6 --yes",
    "fix --yes",
    "render --force",
    "resume resize-20261125-003853 --yes",
    "resize kafka.m5.4xlarge --dir DIR --apply --yes",
    "resize kafka.m5.4xlarge --dir DIR",
];

/// What happens to the file of a plan between the question and the answer, and what is said of it.
const SWAPPED: [(&str, &str); 12] = [
    ("another plan", "was changed"),
    ("a byte more", "was changed"),
    ("nothing in it", "was changed"),
    ("half of it", "was changed"),
    ("removed", "no longer exists"),
    ("a link to the same bytes", "was replaced by a link"),
    ("a link to another plan", "was replaced by a link"),
    ("a link to nowhere", "was replaced by a link"),
    ("a folder", "was replaced by something that is not a file"),
    ("a pipe", "was replaced by something that is not a file"),
    ("another folder in the place of its folder", "was changed"),
    ("its folder removed", "no longer exists"),
];

/// What is typed or sent at a question, and the exit code.
const REFUSING: [(&str, u32); 12] = [
    ("no\n", 0),
    ("\n", 0),
    ("y\n", 0),
    ("YES\n", 0),
    ("yes please\n", 0),
    ("yes\u{0}\n", 0),
    ("\u{feff}yes\n", 0),
    ("\u{4}", 0),
    ("\u{3}", 130),
    ("signal INT", 130),
    ("signal TERM", 130),
    ("signal HUP", 130),
];

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for (first, at) in FIRST {
        for second in SECOND {
            // The first locks the folder of the Terraform alone, and these do not work in it.
            if first.contains("--dir") && ["fix", "render"].iter().any(|name| second.starts_with(name)) {
                continue;
            }
            cases.push(Case::new(format!("{second} while {first} is at its {at}"), move || pair(first, at, second)));
        }
    }
    for first in ["resize kafka.m5.large", "resume resize-20261125-003853"] {
        for second in SECOND {
            cases.push(Case::new(format!("{second} while {first} asks"), move || beside_a_change(first, second)));
        }
    }
    for command in ASKING {
        for (what, how) in SWAPPED {
            let name = format!("{command}: {what} between the question and the answer");
            cases.push(Case::new(name, move || swapped(command, what, how)));
        }
        for (answer, code) in REFUSING {
            cases.push(Case::new(format!("{command} answered by {answer:?}"), move || refused(command, answer, code)));
        }
        cases.push(Case::new(format!("{command}: yes typed before the question"), move || typed_ahead(command)));
        cases.push(Case::new(format!("{command} stopped at its question"), move || stopped(command)));
        cases.push(Case::new(format!("{command} killed at its question"), move || killed(command)));
    }
    for (what, file) in [
        ("link", ".kgen/lock"),
        ("hard link", ".kgen/lock"),
        ("folder", ".kgen/lock"),
        ("pipe", ".kgen/lock"),
        ("link", ".kgen/terraform"),
        ("pipe", ".kgen/terraform"),
        ("link", ".kgen/terraform/terraform.jsonl"),
    ] {
        let command = *["plan", "apply --yes", "destroy --yes", "apply --dry-run"].choose(random).unwrap();
        let name = format!("{command} where {file} is a {what}");
        cases.push(Case::new(name, move || in_the_way(command, what, file)));
    }
    cases
}

/// A project with a resize that a killed run has left, so that there is something to resume.
fn project_with_a_run() -> Project {
    let project = project();
    let run = project.path(".kgen/runs/resize-20261125-003853");
    fs::create_dir_all(&run).unwrap();
    let head = r#"{"schema":"kgen.run/1","id":"resize-20261125-003853","command":"resize","args":["resize","kafka.m5.large"],"started":"2026-11-25T00:38:53.000Z","environment":{}}"#;
    let result = |name: &str, value: &str| {
        format!("{{\"at\":\"2026-11-25T00:38:54Z\",\"event\":\"result\",\"name\":\"{name}\",\"value\":{value}}}\n")
    };
    let intent = r#"{"what":"broker_type","to":"kafka.m5.large","measure_s":1.0,"throttle_bytes_per_s":0}"#;
    let lines = [result("intent", intent), result("step", "\"applying\""), result("edits", "[]")].concat();
    fs::write(run.join("run.jsonl"), format!("{head}\n{lines}")).unwrap();
    project
}

/// Brings `first` to where it holds the lock, has `second` refused, and lets `first` go on.
fn pair(first: &'static str, at: &str, second: &str) -> Result<(), String> {
    let project = project_with_a_run();
    if at != "question" {
        project.write(&format!("stub/slow-{at}"), "");
    }
    let mut one = Shell::open(&project, first);
    match at {
        "question" => one.until(QUESTION)?,
        _ => until(|| project.path(&format!("stub/reached-{at}")).exists() || one.has_ended()),
    }
    ensure_refused(&project, &one, first, second)?;
    project.write("stub/go", "");
    if at == "question" {
        one.type_in("yes\n");
    }
    let code = one.code()?;
    ensure(code == 0, || format!("exit code {code}: {}", one.seen()))?;
    ensure_applied_is_approved(&project, &one, at == "question" || at == "apply")
}

/// A change of the stack's own cluster holds the lock while it asks.
fn beside_a_change(first: &'static str, second: &str) -> Result<(), String> {
    let (project, msk) = (project_with_a_run(), Msk::new());
    let mut one = Shell::open_at(&msk.endpoint, &project, first, Some("xterm"), (24, 80));
    one.until(QUESTION)?;
    ensure_refused(&project, &one, first, second)?;
    one.type_in("no\n");
    let code = one.code()?;
    ensure(code == 0 && done(&project).is_empty(), || format!("exit code {code}: {}", one.seen()))
}

/// Checks that `second` does nothing while `one` is at work, and says who that is and since when.
fn ensure_refused(project: &Project, one: &Shell, first: &str, second: &str) -> Result<(), String> {
    let files = ["stub/log", "terraform/terraform.tfvars", "terraform/main.tf", "kgen.toml"];
    let state = || files.map(|name| project.read(name));
    let before = state();
    let two = without_terminal(project, second, None);
    ensure(two.code == Some(2), || format!("exit code {:?}: {}{}", two.code, two.stdout, two.stderr))?;
    let command = first.split(" --dir").next().unwrap_or(first);
    for part in ["locked by another kgen", &format!(" {command}"), &format!("(process {})", one.pid()), "since 20"] {
        ensure(two.stderr.contains(part), || format!("no {part:?} in {}", two.stderr))?;
    }
    ensure(before == state(), || format!("the second did something: {before:?} {:?}", state()))
}

fn ensure_applied_is_approved(project: &Project, one: &Shell, is_applied: bool) -> Result<(), String> {
    let expected: Vec<_> = one.shown_plan().filter(|_| is_applied).map(|id| (id, one.pid())).into_iter().collect();
    ensure(expected.len() == usize::from(is_applied), || format!("no plan was shown: {}", one.seen()))?;
    ensure(applied(project) == expected, || format!("applied {:?}, approved {expected:?}", applied(project)))?;
    if let [(id, _)] = &expected[..] {
        let shown = ["create", "delete", "update"].iter().any(|goal| one.has_shown_sum_of(id, goal));
        ensure(shown, || format!("no checksum of {id} in {}", one.seen()))?;
    }
    ensure(plan_files(project).is_empty(), || format!("left: {:?}", plan_files(project)))
}

/// The one plan that there is.
fn plan_file(project: &Project) -> std::path::PathBuf {
    let folders = [".kgen/terraform", "terraform/.terraform/kgen"].map(|name| project.path(name));
    let entries = folders.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten().map(|entry| entry.path());
    let plans: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "tfplan")).collect();
    assert_eq!(plans.len(), 1, "{plans:?}");
    plans.into_iter().next().unwrap()
}

fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn swap(what: &str, plan: &Path, aside: &Path) {
    let (dir, bytes) = (plan.parent().unwrap(), fs::read(plan).unwrap());
    let other = "00000000-0000-4000-8000-000000000000 delete\n";
    let instead = |make: &dyn Fn()| {
        fs::remove_file(plan).unwrap();
        make();
    };
    let link_to = |bytes: &[u8]| {
        fs::write(aside, bytes).unwrap();
        instead(&|| symlink(aside, plan).unwrap());
    };
    match what {
        "another plan" => fs::write(plan, other).unwrap(),
        "a byte more" => fs::write(plan, [&bytes[..], b"\n"].concat()).unwrap(),
        "nothing in it" => fs::write(plan, "").unwrap(),
        "half of it" => fs::write(plan, &bytes[..bytes.len() / 2]).unwrap(),
        "removed" => fs::remove_file(plan).unwrap(),
        "a link to the same bytes" => link_to(&bytes),
        "a link to another plan" => link_to(other.as_bytes()),
        "a link to nowhere" => instead(&|| symlink(aside, plan).unwrap()),
        "a folder" => instead(&|| fs::create_dir(plan).unwrap()),
        "a pipe" => instead(&|| pipe(plan)),
        "another folder in the place of its folder" => {
            fs::rename(dir, aside).unwrap();
            fs::create_dir(dir).unwrap();
            fs::write(plan, other).unwrap();
        }
        "its folder removed" => fs::remove_dir_all(dir).unwrap(),
        other => panic!("{other}"),
    }
}

fn swapped(command: &str, what: &str, how: &str) -> Result<(), String> {
    let project = project();
    let mut shell = Shell::open(&project, command);
    shell.until(QUESTION)?;
    let plan = plan_file(&project);
    swap(what, &plan, &project.path("aside"));
    shell.type_in("yes\n");
    let code = shell.code()?;
    ensure(code == 1 && applied(&project).is_empty(), || format!("exit code {code}, {}", project.read("stub/log")))?;
    for part in ["is not the plan that was shown", how, "Nothing was applied"] {
        shell.until(part)?;
    }
    let values = project.read("terraform/terraform.tfvars");
    ensure(values == VALUES, || format!("the edit stays: {values}"))
}

fn refused(command: &str, answer: &str, expected: u32) -> Result<(), String> {
    let project = project();
    let mut shell = Shell::open(&project, command);
    shell.until(QUESTION)?;
    ensure(plan_files(&project).len() == 1, || "the plan has no file".to_owned())?;
    match answer.strip_prefix("signal ") {
        Some(name) => shell.signal(name),
        None => shell.type_in(answer),
    }
    let code = shell.code()?;
    ensure(code == expected, || format!("exit code {code}: {}", shell.seen()))?;
    ensure(applied(&project).is_empty(), || project.read("stub/log"))?;
    ensure(plan_files(&project).is_empty(), || format!("left: {:?}", plan_files(&project)))?;
    let values = project.read("terraform/terraform.tfvars");
    ensure(values == VALUES, || format!("the edit stays: {values}"))
}

/// An answer to a question that nobody had seen yet is none.
fn typed_ahead(command: &str) -> Result<(), String> {
    let project = project();
    project.write("stub/slow-plan", "");
    let mut shell = Shell::open(&project, command);
    until(|| project.path("stub/reached-plan").exists() || shell.has_ended());
    shell.type_in("yes\n");
    sleep(Duration::from_millis(50));
    project.write("stub/go", "");
    shell.until(QUESTION)?;
    until_or(Duration::from_millis(400), || shell.has_ended());
    ensure(!shell.has_ended() && applied(&project).is_empty(), || "it was taken for an answer".to_owned())?;
    shell.type_in("no\n");
    let code = shell.code()?;
    ensure(code == 0 && applied(&project).is_empty(), || format!("exit code {code}, {}", project.read("stub/log")))
}

/// A stopped kgen keeps its lock, and goes on with its own plan.
fn stopped(command: &str) -> Result<(), String> {
    let project = project();
    let mut one = Shell::open(&project, command);
    one.until(QUESTION)?;
    one.signal("STOP");
    let two = without_terminal(&project, "destroy --yes --lock-timeout 200ms", None);
    let process = format!("(process {})", one.pid());
    ensure(two.code == Some(2) && two.stderr.contains(&process), || format!("{:?}: {}", two.code, two.stderr))?;
    ensure(two.stderr.contains("waiting at most 200ms: "), || two.stderr.clone())?;
    one.signal("CONT");
    one.type_in("yes\n");
    let code = one.code()?;
    ensure(code == 0, || format!("exit code {code}: {}", one.seen()))?;
    ensure_applied_is_approved(&project, &one, true)
}

/// The plan of a killed kgen is removed by the next one, which has its own.
fn killed(command: &str) -> Result<(), String> {
    let project = project();
    let mut one = Shell::open(&project, command);
    one.until(QUESTION)?;
    one.signal("KILL");
    one.code()?;
    ensure(plan_files(&project).len() == 1, || "it left no plan".to_owned())?;
    project.write("terraform/terraform.tfvars", VALUES);
    let mut two = Shell::open(&project, command);
    two.until(QUESTION)?;
    ensure(plan_files(&project).len() == 1, || format!("left: {:?}", plan_files(&project)))?;
    two.type_in("yes\n");
    let code = two.code()?;
    ensure(code == 0, || format!("exit code {code}: {}", two.seen()))?;
    ensure_applied_is_approved(&project, &two, true)
}

/// What is not kgen's own file is refused, and not touched.
fn in_the_way(command: &str, what: &str, name: &str) -> Result<(), String> {
    let project = project();
    let (place, precious) = (project.path(name), project.path("precious"));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    match (what, name.ends_with("terraform")) {
        ("link", true) => {
            fs::create_dir(&precious).unwrap();
            fs::write(precious.join("plan.tfplan"), "precious").unwrap();
            symlink(&precious, &place).unwrap();
        }
        ("folder", _) => fs::create_dir(&place).unwrap(),
        ("pipe", _) => pipe(&place),
        ("link", _) => {
            fs::write(&precious, "precious").unwrap();
            symlink(&precious, &place).unwrap();
        }
        _ => {
            fs::write(&precious, "precious").unwrap();
            fs::hard_link(&precious, &place).unwrap();
        }
    }
    let ran = without_terminal(&project, command, None);
    let is_refused = ran.code == Some(2) || (name.ends_with("jsonl") && ran.code == Some(1));
    ensure(is_refused && done(&project).is_empty(), || format!("{:?}: {}", ran.code, ran.stderr))?;
    ensure(ran.stderr.contains(name), || format!("no {name:?} in {}", ran.stderr))?;
    let text = if precious.is_dir() { fs::read(precious.join("plan.tfplan")) } else { fs::read(&precious) };
    let others = fs::read_dir(&precious).map_or(1, Iterator::count);
    ensure(text.map_or(true, |text| text == b"precious") && others == 1, || "it was touched".to_owned())
}

/// What each of two shells does in one interleaving.
struct Part {
    command: &'static str,
    /// Milliseconds from the question to the answer.
    after: u64,
    answer: &'static str,
    shell: Option<Shell>,
    is_answered: bool,
}

impl Part {
    fn of(random: &mut StdRng) -> Part {
        const COMMANDS: [&str; 9] = [
            "plan --lock-timeout 60s",
            "plan --lock-timeout 50ms",
            "apply --lock-timeout 60s",
            "apply --lock-timeout 50ms",
            "destroy --lock-timeout 60s",
            "destroy --lock-timeout 50ms",
            "destroy --dry-run --lock-timeout 60s",
            RESIZE,
            "apply --yes --lock-timeout 60s",
        ];
        Part {
            command: COMMANDS.choose(random).unwrap(),
            after: random.random_range(0..120),
            answer: ["yes\n", "yes\n", "yes\n", "no\n", "\u{3}"].choose(random).unwrap(),
            shell: None,
            is_answered: false,
        }
    }

    /// Answers as soon as it is asked. Returns whether it has ended.
    fn advance(&mut self) -> bool {
        let Some(shell) = &mut self.shell else { return false };
        if !self.is_answered && shell.seen().contains(QUESTION) {
            sleep(Duration::from_millis(self.after));
            shell.type_in(self.answer);
            self.is_answered = true;
        }
        shell.has_ended()
    }

    /// Whether this shell said yes to what it showed.
    fn approved(&self) -> bool {
        self.command.contains("--yes") || (self.is_answered && self.answer == "yes\n")
    }
}

/// Two shells at once, each with a command of its own: the plans that are applied are those that were approved, each by its shell.
fn interleaved(seed: u64) -> Result<(), String> {
    let random = &mut StdRng::seed_from_u64(seed);
    let project = project();
    let mut parts = [Part::of(random), Part::of(random)];
    let commands = parts.each_ref().map(|part| part.command);
    parts[0].shell = Some(Shell::open(&project, parts[0].command));
    let (pause, until_asked) = (random.random_range(0..250), random.random_bool(0.5));
    match until_asked {
        true => until_or(Duration::from_secs(10), || {
            parts[0].shell.as_mut().is_some_and(|shell| shell.has_ended() || shell.seen().contains(QUESTION))
        }),
        false => sleep(Duration::from_millis(pause)),
    }
    parts[1].shell = Some(Shell::open(&project, parts[1].command));
    until_or(WITHIN, || parts.each_mut().map(Part::advance) == [true; 2]);
    let mut expected = Vec::new();
    for part in &mut parts {
        let is_approved = part.approved();
        let shell = part.shell.as_mut().unwrap();
        let code = shell.code()?;
        ensure([0, 2, 130].contains(&code), || format!("{commands:?}: exit code {code}: {}", shell.seen()))?;
        if is_approved && code == 0 {
            let id = shell.shown_plan().ok_or_else(|| format!("{commands:?}: no plan in {}", shell.seen()))?;
            expected.push((id, shell.pid()));
        }
    }
    let mut applied = applied(&project);
    applied.sort();
    expected.sort();
    ensure(applied == expected, || format!("{commands:?}: applied {applied:?}, approved {expected:?}"))?;
    ensure(plan_files(&project).is_empty(), || format!("{commands:?}: left: {:?}", plan_files(&project)))
}

/// Some interleavings; all 200 with `KGEN_ATTACK_ALL`.
#[test]
fn two_shells_apply_what_each_has_approved() {
    let rounds = if std::env::var_os("KGEN_ATTACK_ALL").is_some() { 200 } else { 12 };
    let faults: Vec<String> = std::thread::scope(|scope| {
        let share = |of: u64| scope.spawn(move || (of..rounds).step_by(4).filter_map(fault).collect::<Vec<_>>());
        let shares: Vec<_> = (0..4).map(share).collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    });
    println!("| two shells | {rounds} | {} |", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn fault(seed: u64) -> Option<String> {
    interleaved(seed).err().map(|fault| format!("seed {seed}: {fault}"))
}

/// The same with the real terraform: what each shell has done is what its own plan said.
#[test]
#[ignore = "needs terraform"]
fn two_shells_apply_what_each_has_approved_with_the_real_terraform() {
    let project = project();
    project.write("stub/terraform", "#!/bin/sh\nexec terraform \"$@\"\n");
    project.write(
        "terraform/main.tf",
        "variable \"type\" {}\nresource \"terraform_data\" \"t\" {\n  input = var.type\n}\n",
    );
    let random = &mut StdRng::seed_from_u64(7);
    for round in 0..10 {
        project.write("terraform/terraform.tfvars", &format!("type = \"{round}\"\n"));
        let two = ["apply", "destroy", "destroy --dry-run", "plan", "apply --yes"].choose(random).unwrap();
        let (mut one, two) = (Shell::open(&project, "apply"), format!("{two} --lock-timeout 60s"));
        if random.random_bool(0.5) {
            one.until(QUESTION).unwrap();
        }
        let mut two = Shell::open(&project, &two);
        let mut answered = [false; 2];
        until(|| {
            for (shell, answered) in [&mut one, &mut two].into_iter().zip(&mut answered) {
                if !*answered && shell.seen().contains(QUESTION) {
                    sleep(Duration::from_millis(random.random_range(0..300)));
                    shell.type_in("yes\n");
                    *answered = true;
                }
            }
            one.has_ended() && two.has_ended()
        });
        for shell in [&mut one, &mut two] {
            assert_eq!(shell.code().unwrap(), 0, "{}", shell.seen());
            ensure_done_is_planned(&shell.seen());
        }
        assert!(plan_files(&project).is_empty(), "{:?}", plan_files(&project));
    }
}

fn ensure_done_is_planned(seen: &str) {
    let numbers = |pattern: &str| -> Option<[String; 3]> {
        let found = regex::Regex::new(pattern).unwrap().captures(seen)?;
        Some(found.extract::<3>().1.map(str::to_owned))
    };
    if let Some(done) = numbers(r"complete: (\d+) created, (\d+) updated, (\d+) destroyed") {
        assert_eq!(Some(done), numbers(r"(\d+) to create, (\d+) to update, (\d+) to destroy"), "{seen}");
    }
}
