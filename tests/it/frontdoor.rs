//! The command line as a whole: how it ends when nobody reads, what it generates, and that its errors help.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    lab::NOBODY,
    project::{Project, kgen},
};

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["explain"][..], &["completions", "bash"], &["config", "--json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = kgen(dir.path()).args(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = kgen(dir.path()).arg("explain").stdout(full).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: printing the result: "), "{stderr}");
}

/// What each kind of document is validated against: the published file of its `schema`.
#[track_caller]
pub fn validate(what: &str, json: &str) {
    let document: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{what}: {error}\n{json}"));
    let name = document["schema"].as_str().unwrap_or_else(|| panic!("{what} has no schema")).to_owned();
    let file = format!("docs/schemas/{}.json", name.trim_start_matches("kgen.").replace('/', "-"));
    let schema =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap_or_else(|_| panic!("{file}"));
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{what}: {errors:?}\n{json}");
}

#[test]
fn what_is_printed_is_what_the_schemas_say() {
    let project = Project::new();
    project.answer("plan", 2, "");
    project.answer("output", 0, r#"{"a":{"sensitive":false,"value":["b"]}}"#);
    for args in [
        &["plan", "--json"][..],
        &["apply", "--yes", "--json"],
        &["apply", "--dry-run", "--json"],
        &["destroy", "--yes", "--json"],
        &["output", "--json"],
        &["render", "--check", "--json"],
        &["config", "--json"],
        &["explain", "--json"],
        &["explain", "broker.undersized", "--json"],
        &["lab", "status", "--json"],
    ] {
        let ran = project.run(args);
        validate(&args.join(" "), &ran.stdout);
    }
    assert!(!project.calls().iter().any(|call| call.starts_with("apply") && call.contains("dry")));
}

#[test]
fn a_dry_run_applies_nothing() {
    let project = Project::new();
    project.answer("plan", 2, "");
    for command in ["apply", "destroy"] {
        assert_eq!(project.run(&[command, "--dry-run"]).code, Some(0));
    }
    assert!(!project.calls().iter().any(|call| call.starts_with("apply")), "{:?}", project.calls());
}

#[test]
fn nothing_that_tells_whose_it_is_passes_a_redacted_output() {
    let project = Project::new();
    let arn = "arn:aws:kafka:us-west-2:123456789012:cluster/orders/0-1";
    project.answer("output", 0, &format!(r#"{{"arn":{{"value":"{arn}"}},"at":{{"value":"10.1.2.3:9092"}}}}"#));
    for args in
        [&["--redact", "output", "--json"][..], &["output", "--redact"], &["output", "--redact", "--raw", "arn"]]
    {
        let ran = project.run(args);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!["123456789012", "orders", "10.1.2.3"].iter().any(|told| ran.stdout.contains(told)), "{}", ran.stdout);
        assert!(ran.stdout.contains("arn:aws:kafka:us-west-2:999999990001:redacted-1"), "{}", ran.stdout);
    }
}

#[test]
fn completions_are_scripts_of_their_shell() {
    let dir = tempfile::tempdir().unwrap();
    for (shell, check) in [
        ("bash", Some(&["bash", "-n"][..])),
        ("zsh", Some(&["zsh", "-n"])),
        ("fish", Some(&["fish", "--no-execute"])),
        ("elvish", None),
        ("powershell", None),
    ] {
        let output = kgen(dir.path()).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("diagnose") && script.contains("redact"), "{shell}");
        let Some([program, option]) = check else { continue };
        // Only the shells that are here can judge; bash always is.
        if *program != "bash" && Command::new(program).arg("--version").output().is_err() {
            continue;
        }
        let file = dir.path().join(shell);
        fs::File::create(&file).unwrap().write_all(script.as_bytes()).unwrap();
        let checked = Command::new(program).arg(option).arg(&file).output().unwrap();
        assert!(checked.status.success(), "{shell}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn every_command_has_a_man_page() {
    let dir = tempfile::tempdir().unwrap();
    assert!(kgen(dir.path()).arg("man").arg("--dir").arg(dir.path().join("man")).status().unwrap().success());
    let names: Vec<String> = fs::read_dir(dir.path().join("man"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in ["kgen.1", "kgen-resize.1", "kgen-lab-up.1", "kgen-topic-create.1"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    for name in names {
        let text = fs::read_to_string(dir.path().join("man").join(&name)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains("Examples:"), "{name}");
    }
}

/// Mistakes of every kind: at most three lines, what is wrong, and what to do; never the text of a Rust value.
#[test]
fn every_error_says_what_is_wrong_and_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port().to_string();
    let broken = "{\"schema\": \"kgen.sample/9\"";
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);
    let rows: &[Row] = &[
        (&["prodcue"], &[], &["prodcue", "--help"]),
        (&["produce", "--topik", "x"], &[], &["--topik", "--topic"]),
        (&["produce", "--rate", "fast"], &[], &["fast", "--help"]),
        (&["resize"], &[], &["TYPE", "--help"]),
        (&["resize", "m5.large"], &[], &["did you mean kafka.m5.large?"]),
        (&["lab", "up", "--scale", "0"], &[], &["0", "from 1 to 100"]),
        (&["render"], &[("kgen.toml", "[cluster")], &["kgen.toml:1"]),
        (&["render"], &[("kgen.toml", "[cluster]\nbroker_typ = 1\n")], &["kgen.toml:2", "broker_type"]),
        (&["explain", "broker.tired"], &[], &["broker.tired", "did you mean broker.degraded?"]),
        (&["schema", "kgen.nothing/1"], &[], &["kgen.nothing/1", "kgen schema"]),
        (&["man", "labb"], &[], &["labb", "--help"]),
        (&["diagnose", "--replay", "none.jsonl"], &[], &["none.jsonl"]),
        (&["diagnose", "--replay", "s.jsonl"], &[("s.jsonl", broken)], &["s.jsonl, line 1"]),
        (&["diagnose", "--replay", "s.jsonl"], &[("s.jsonl", "")], &["no sample", "kgen watch --json"]),
        (&["apply"], &[("terraform/main.tf", "")], &["no terminal", "--yes"]),
        (&["destroy"], &[("terraform/main.tf", "")], &["no terminal", "--yes"]),
        (&["plan"], &[], &["kgen render"]),
        (&["lab", "env"], &[], &["kgen lab up"]),
        (&["lab", "up", "--port", &taken], &[], &[&taken, "--port"]),
        (&["consume", "--verify", "nothing", "--bootstrap-servers", NOBODY], &[], &["nothing"]),
        (&["produce", "--bootstrap-servers", NOBODY], &[], &[NOBODY]),
        (&["-C", "no/such/folder", "render"], &[], &["no/such/folder", "-C"]),
    ];
    for (args, files, words) in rows {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in *files {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_kgen"));
        command.args(*args).current_dir(dir.path()).stdin(Stdio::null()).env_remove("AWS_ENDPOINT_URL");
        let output = command.env_remove("KGEN_TERRAFORM_BIN").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?} prints a result");
        assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
        assert!(stderr.lines().count() <= 3, "{args:?} takes more than three lines:\n{stderr}");
        for word in *words {
            assert!(stderr.contains(word), "{args:?} does not say {word:?}:\n{stderr}");
        }
        for rust in ["Error {", "Os {", "Some(", "None)", "Err(", "panicked", "unwrap", "::"] {
            assert!(!stderr.contains(rust), "{args:?} speaks Rust ({rust}):\n{stderr}");
        }
    }
}

#[test]
fn a_command_that_needs_another_shows_its_whole_help() {
    let dir = tempfile::tempdir().unwrap();
    for (args, parts) in [
        (&[][..], ["Start here:", "Examples:", "kgen doctor"]),
        (&["topic"], ["Commands:", "Examples:", "describe"]),
        (&["lab"], ["Commands:", "Examples:", "kgen lab status"]),
    ] {
        let shown = kgen(dir.path()).args(args).output().unwrap();
        let help = String::from_utf8(shown.stderr).unwrap();
        assert!(shown.status.code() == Some(2) && shown.stdout.is_empty(), "{args:?}");
        parts.iter().for_each(|part| assert!(help.contains(part), "{args:?}: no {part} in {help}"));
    }
}

#[test]
fn init_writes_a_kgen_toml_once_and_only_a_valid_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kgen.toml");
    let init = |more: &[&str]| kgen(dir.path()).args(["init"]).args(more).output().unwrap();
    let refused = |output: &std::process::Output, words: &str| {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    };
    refused(&init(&[]), "there is no terminal to ask on");
    refused(&init(&["--kafka-version", "2.8.1"]), "is not a Kafka version that MSK offers");
    assert!(!file.exists(), "what is refused is written");
    let written = init(&["--name", "orders", "--broker-type", "kafka.m5.large", "--broker-count", "6"]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\nname = \"orders\" #") && text.contains("\n# volume_gib = 100"), "{text}");
    let config = kgen(dir.path()).args(["config"]).output().unwrap();
    let config = String::from_utf8_lossy(&config.stdout).into_owned();
    assert!(config.contains("kafka.m5.large"), "{config}");
    refused(&init(&["--yes"]), "is there already");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn the_version_names_the_target_and_the_short_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let printed = |arg: &str| String::from_utf8(kgen(dir.path()).arg(arg).output().unwrap().stdout).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(printed("-V"), format!("kgen {version}\n"));
    let long = printed("--version");
    assert!(long.starts_with(&format!("kgen {version} (")) && long.contains("-linux-"), "{long}");
}
