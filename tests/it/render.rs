//! `kgen render`, and what terraform says to it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// A project with this kgen.toml.
fn project(kgen_toml: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("kgen.toml"), kgen_toml).unwrap();
    dir
}

fn render(project: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let kgen =
        Command::new(env!("CARGO_BIN_EXE_kgen")).arg("-C").arg(project).arg("render").args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&project.display().to_string(), "PROJECT");
    (kgen.status.code(), text(kgen.stdout), text(kgen.stderr))
}

#[test]
fn what_was_rendered_needs_no_change() {
    let project = project("[cluster]\nbroker_count = 6\n");
    let (code, stdout, stderr) = render(project.path(), &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("wrote PROJECT/terraform/alarms.tf\nwrote PROJECT/terraform/client.tf\n"), "{stdout}");
    assert_eq!(render(project.path(), &["--check"]), (Some(0), String::new(), String::new()));
    assert_eq!(render(project.path(), &[]), (Some(0), String::new(), "PROJECT/terraform is up to date\n".to_owned()));
}

#[test]
fn a_check_shows_the_difference_and_writes_nothing() {
    let project = project("");
    render(project.path(), &[]);
    let msk = project.path().join("terraform/msk.tf");
    let before = fs::read_to_string(&msk).unwrap();
    fs::write(project.path().join("kgen.toml"), "[cluster]\nbroker_type = \"kafka.m5.large\"\n").unwrap();
    let (code, stdout, _) = render(project.path(), &["--check"]);
    assert_eq!(code, Some(1));
    let change = "-    instance_type   = \"kafka.t3.small\"\n+    instance_type   = \"kafka.m5.large\"\n";
    assert!(stdout.contains(change), "{stdout}");
    assert_eq!(fs::read_to_string(&msk).unwrap(), before);

    let (code, stdout, _) = render(project.path(), &[]);
    assert_eq!((code, stdout.as_str()), (Some(0), "rewrote PROJECT/terraform/msk.tf\n"));
}

#[test]
fn an_edited_file_is_not_overwritten_unless_forced() {
    let project = project("");
    render(project.path(), &[]);
    let logs = project.path().join("terraform/logs.tf");
    let edited = format!("{}# mine\n", fs::read_to_string(&logs).unwrap());
    fs::write(&logs, &edited).unwrap();
    fs::write(project.path().join("kgen.toml"), "[cluster]\nbroker_count = 6\n").unwrap();
    let msk = fs::read_to_string(project.path().join("terraform/msk.tf")).unwrap();

    let (code, stdout, stderr) = render(project.path(), &[]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("-# mine\n") && stderr.contains("error: PROJECT/terraform/logs.tf: "), "{stderr}");
    assert_eq!(fs::read_to_string(&logs).unwrap(), edited);
    assert_eq!(fs::read_to_string(project.path().join("terraform/msk.tf")).unwrap(), msk, "nothing else is written");

    assert_eq!(render(project.path(), &["--force"]).0, Some(0));
    assert!(!fs::read_to_string(&logs).unwrap().contains("mine"));
}

#[test]
fn a_mistake_in_kgen_toml_is_refused() {
    let project = project("[cluster]\nbroker_type = \"m5.large\"\n");
    let (code, stdout, stderr) = render(project.path(), &[]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert_eq!(
        stderr,
        "error: PROJECT/kgen.toml:2:15: \"m5.large\" is not an MSK broker type; did you mean kafka.m5.large?\n"
    );
    assert!(!project.path().join("terraform").exists());
}

/// Stacks that differ in whatever changes the form of what is rendered.
const STACKS: [&str; 3] = [
    "",
    "[cluster]\nbroker_type = 'kafka.m7g.large'\nkafka_version = '3.9.x.kraft'\nbroker_count = 30\n\
     [cluster.server_properties]\n'a.b' = '${x} %{ if } EOT'\n[tags]\nOwner = '\"${var.x}\" %{ if true }'\n'a key' = 'é'\n",
    "region = 'eu-central-1'\nzones = ['eu-central-1a', 'eu-central-1b']\n[network]\nsubnet_cidrs = ['10.0.0.0/20', \
     '10.0.16.0/20']\n[cluster]\nbroker_count = 2\n[client]\nkgen_url = 'https://example.com/kgen'\nkgen_sha256 = \
     '0000000000000000000000000000000000000000000000000000000000000000'\n",
];

/// The text of every kgen.toml below tests/stacks, and those above: each option at least once.
fn every_stack() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stacks");
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut stacks: Vec<_> = paths
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .chain(STACKS.map(|stack| (stack.to_owned(), stack.to_owned())))
        .collect();
    stacks.sort();
    stacks
}

#[test]
#[ignore = "needs terraform and its AWS provider"]
fn terraform_finds_nothing_to_mend() {
    // One folder for all of them: the provider is set up once.
    let project = project("");
    let dir = project.path().join("terraform");
    let terraform = |args: &[&str]| {
        let output = Command::new("terraform").current_dir(&dir).args(args).output().expect("terraform is on the PATH");
        let Output { status, stdout, stderr } = output;
        let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (!status.success()).then(|| format!("terraform {args:?}:\n{text}"))
    };
    let mut found = Vec::new();
    for (at, (name, stack)) in every_stack().iter().enumerate() {
        for old in fs::read_dir(&dir).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if old.extension().is_some_and(|extension| extension == "tf") {
                fs::remove_file(old).unwrap();
            }
        }
        fs::write(project.path().join("kgen.toml"), stack).unwrap();
        let (code, _, stderr) = render(project.path(), &["--force"]);
        assert_eq!(code, Some(0), "{name}: {stderr}");
        // Terraform computes the sum of the client's kgen while it validates.
        for line in stack.lines().filter_map(|line| line.strip_prefix("kgen_file = ")) {
            let file: toml::Table = toml::from_str(&format!("file = {line}")).unwrap();
            let file = project.path().join(file["file"].as_str().unwrap());
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        if at == 0 {
            assert_eq!(terraform(&["init", "-backend=false", "-input=false", "-no-color"]), None);
        }
        let complaints =
            [&["fmt", "-check", "-diff"][..], &["validate", "-no-color"]].into_iter().filter_map(terraform);
        found.extend(complaints.map(|complaint| format!("{name}: {complaint}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_client_script_is_valid_bash() {
    for (name, stack) in every_stack() {
        let project = project(&stack);
        assert_eq!(render(project.path(), &[]).0, Some(0), "{name}");
        let script = project.path().join("terraform/user_data.sh");
        let bash = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        assert!(bash.status.success(), "{name}: {}", String::from_utf8_lossy(&bash.stderr));
        // EC2 takes 16 KiB of user data.
        assert!(fs::metadata(&script).unwrap().len() < 16 * 1024);
    }
}

#[test]
#[ignore = "needs shellcheck"]
fn shellcheck_finds_nothing_in_any_client_script() {
    for (name, stack) in every_stack() {
        let project = project(&stack);
        assert_eq!(render(project.path(), &[]).0, Some(0), "{name}");
        let script = project.path().join("terraform/user_data.sh");
        let check =
            Command::new("shellcheck").arg("--shell=bash").arg(&script).output().expect("shellcheck is on the PATH");
        assert!(check.status.success(), "{name}:\n{}", String::from_utf8_lossy(&check.stdout));
    }
}

#[test]
#[ignore = "needs python3"]
fn the_load_generator_of_the_seed_hands_its_options_to_kgen() {
    let project = project("");
    assert_eq!(render(project.path(), &[]).0, Some(0));
    let script = fs::read_to_string(project.path().join("terraform/user_data.sh")).unwrap();
    let (_, rest) = script.split_once("<<'END_OF_PRODUCER'\n").unwrap();
    let producer = project.path().join("hotspot_producer.py");
    fs::write(&producer, rest.split_once("END_OF_PRODUCER\n").unwrap().0).unwrap();
    let options = ["--bootstrap-servers", "a:1,b:2", "--topic", "t", "--rate", "500", "--duration", "60"];
    let run = || {
        let path = format!("{}:{}", project.path().display(), std::env::var("PATH").unwrap());
        Command::new("python3").arg(&producer).args(options).env("PATH", path).output().unwrap()
    };

    // Where a kgen is installed, the script finds it.
    if which::which("kgen").is_err() {
        let without = run();
        let message = String::from_utf8(without.stderr).unwrap();
        assert!(!without.status.success() && message.contains("client.kgen_url"), "{message}");
    }

    let kgen = project.path().join("kgen");
    fs::write(&kgen, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
    fs::set_permissions(&kgen, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let with = String::from_utf8(run().stdout).unwrap();
    assert_eq!(with.lines().collect::<Vec<_>>(), ["produce"].into_iter().chain(options).collect::<Vec<_>>());
}
