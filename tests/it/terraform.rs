//! The commands that drive terraform, against the stub.

use crate::project::{Project, kgen};

const PLAN: &str = "plan -json -input=false -no-color -lock-timeout=10s -detailed-exitcode";
const OUT: &str = "-out=DIR/.kgen/terraform/plan-ID.tfplan";
const SHOW: &str = "show -json -no-color DIR/.kgen/terraform/plan-ID.tfplan";
const APPLY: &str = "apply -json -input=false -no-color -lock-timeout=10s DIR/.kgen/terraform/plan-ID.tfplan";
const OUTPUT: &str = "output -json -no-color";

const ONE_CREATED: &str = r#"{"resource_changes":[{"address":"aws_msk_cluster.main","mode":"managed","type":"aws_msk_cluster",
  "change":{"actions":["create"],"before":null,"after":{"number_of_broker_nodes":3,
  "broker_node_group_info":[{"instance_type":"kafka.t3.small"}]},"after_unknown":{"arn":true}}}]}"#;

fn hook(kind: &str, rest: &str) -> String {
    format!(r#"{{"type":"{kind}","hook":{{"resource":{{"addr":"aws_msk_cluster.main"}},"action":"create"{rest}}}}}"#)
}

#[test]
fn plan_asks_terraform_for_a_file_and_reads_it() {
    let project = Project::new();
    let plan = project.run(&["plan"]);
    assert_eq!((plan.code, plan.stdout.as_str()), (Some(0), "nothing to change\n"), "{}", plan.stderr);
    assert_eq!(project.calls(), [format!("{PLAN} {OUT}"), SHOW.to_owned()]);
}

#[test]
fn the_exit_code_of_plan_tells_of_changes_when_asked() {
    #[track_caller]
    fn check(args: &[&str], terraform: i32, expected: i32) {
        let project = Project::new();
        project.answer("plan", terraform, "");
        assert_eq!(project.run(args).code, Some(expected), "{args:?} with {terraform}");
    }
    check(&["plan"], 0, 0);
    check(&["plan"], 2, 0);
    check(&["plan"], 1, 1);
    check(&["plan", "--detailed-exitcode"], 0, 0);
    check(&["plan", "--detailed-exitcode"], 2, 2);
    check(&["plan", "--detailed-exitcode"], 1, 1);
}

#[test]
fn plan_prints_json_and_nothing_else() {
    let project = Project::new();
    project.answer("plan", 2, "");
    project.answer("show", 0, ONE_CREATED);
    let plan: serde_json::Value = serde_json::from_str(&project.run(&["plan", "--json"]).stdout).unwrap();
    assert_eq!((&plan["create"], &plan["resources"][0]["action"]), (&1.into(), &"create".into()));
}

#[test]
fn a_folder_that_is_not_initialised_is_initialised_first() {
    let project = Project::new();
    std::fs::remove_file(project.path("terraform/.terraform.lock.hcl")).unwrap();
    project.run(&["plan"]);
    assert_eq!(project.calls(), ["init -json -input=false -no-color".into(), format!("{PLAN} {OUT}"), SHOW.to_owned()]);
}

#[test]
fn a_plan_that_misses_init_is_tried_once_more() {
    let project = Project::new();
    let missing =
        r#"{"type":"diagnostic","diagnostic":{"severity":"error","summary":"Required plugins are not installed"}}"#;
    project.answer("plan", 1, missing);
    let plan = project.run(&["plan"]);
    assert_eq!(plan.code, Some(1));
    let again = format!("{PLAN} {OUT}");
    assert_eq!(project.calls(), [again.clone(), "init -json -input=false -no-color".into(), again]);
}

#[test]
fn apply_applies_the_plan_that_was_shown() {
    let project = Project::new();
    project.answer("plan", 2, "");
    project.answer("show", 0, ONE_CREATED);
    let lines = [
        hook("apply_start", ""),
        hook("apply_progress", r#","elapsed_seconds":10"#),
        "what is this".into(),
        hook("apply_complete", r#","elapsed_seconds":75,"id_value":"arn:x""#),
    ];
    project.answer("apply", 0, &lines.join("\n"));
    project.answer("output", 0, r#"{"a":{"sensitive":false,"value":"b"},"s":{"sensitive":true,"value":"c"}}"#);
    let apply = project.run(&["apply", "--yes", "--json"]);
    assert_eq!(apply.code, Some(0), "{}", apply.stderr);
    assert_eq!(project.calls(), [&format!("{PLAN} {OUT}"), SHOW, APPLY, OUTPUT]);
    insta::assert_snapshot!(project.without_plan_id(&apply.stderr), @r"
    planning
      + aws_msk_cluster.main would be created
    1 to create, 0 to update, 0 to destroy
    plan file: DIR/.kgen/terraform/plan-ID.tfplan (SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855)
    aws_msk_cluster.main: 3 × kafka.t3.small 0.1368 USD an hour (brokers only, list price in us-east-1)
    applying
    aws_msk_cluster.main: creating
    aws_msk_cluster.main: still creating, 10 s
    aws_msk_cluster.main: created after 1 min 15 s (arn:x)
    ");
    let summary: serde_json::Value = serde_json::from_str(&apply.stdout).unwrap();
    assert_eq!((&summary["applied"], &summary["outputs"]), (&true.into(), &serde_json::json!({"a": "b"})));
}

#[test]
fn a_note_says_why_the_client_gets_no_kgen() {
    const NOTE: &str = "note: the client gets no kgen: this executable is a build of ";
    const VALUES: &str = "terraform/kgen.auto.tfvars.json";
    let project = Project::new();
    project.write("kgen.toml", "");
    let rendered = project.run(&["render", "--force"]);
    assert_eq!(rendered.code, Some(0), "{}", rendered.stderr);
    // A debug build is not what anybody would upload.
    for args in [&["plan"][..], &["apply", "--yes"]] {
        let ran = project.run(args);
        assert_eq!((ran.code, ran.stderr.contains(NOTE)), (Some(0), true), "{args:?}\n{}", ran.stderr);
    }
    assert!(!project.path(VALUES).exists());

    // Terraform would upload any file that such a value leads to.
    project.write(VALUES, "{\"kgen_sha256\": \"../../../etc/hostname\"}");
    let calls = project.calls();
    let refused = project.run(&["plan"]);
    assert_eq!((refused.code, project.calls()), (Some(2), calls), "{}", refused.stderr);
    assert!(refused.stderr.contains("must be a SHA-256: remove the file"), "{}", refused.stderr);
    std::fs::remove_file(project.path(VALUES)).unwrap();

    project.write("kgen.toml", "[client]\nkgen = \"none\"\n");
    std::fs::remove_file(project.path("terraform/delivery.tf")).unwrap();
    assert_eq!(project.run(&["render"]).code, Some(0));
    let plan = project.run(&["plan"]);
    assert_eq!((plan.code, plan.stderr.contains("gets no kgen")), (Some(0), false), "{}", plan.stderr);
}

#[test]
fn nothing_is_applied_where_nothing_changes() {
    let project = Project::new();
    assert_eq!(project.run(&["apply", "--yes"]).code, Some(0));
    assert_eq!(project.calls(), [&format!("{PLAN} {OUT}"), SHOW]);
}

#[test]
fn destroy_plans_the_destruction() {
    let project = Project::new();
    project.answer("plan", 2, "");
    assert_eq!(project.run(&["destroy", "--yes"]).code, Some(0));
    assert_eq!(project.calls(), [&format!("{PLAN} -destroy {OUT}"), SHOW, APPLY]);
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_started() {
    for command in ["apply", "destroy"] {
        let project = Project::new();
        let ran = project.run(&[command]);
        assert_eq!((ran.code, ran.stderr.contains("add --yes")), (Some(2), true), "{}", ran.stderr);
        assert_eq!(project.calls(), [""; 0]);
    }
}

#[test]
fn a_diagnostic_is_shown_whole_with_what_to_do() {
    let project = Project::new();
    project.answer("plan", 2, "");
    project.answer(
        "apply",
        1,
        r#"{"type":"diagnostic","diagnostic":{"severity":"error","summary":"Error acquiring the state lock","detail":"Lock Info:\n  ID:        0a-1\n  Who:       me@here","range":{"filename":"main.tf","start":{"line":7,"column":1,"byte":1}},"snippet":{"context":"resource \"a\" \"b\"","code":"resource \"a\" \"b\" {","start_line":7,"values":[]}}}"#,
    );
    let apply = project.run(&["apply", "--yes"]);
    assert_eq!(apply.code, Some(1));
    for part in [
        "Error acquiring the state lock",
        "main.tf:7",
        "7 | resource \"a\" \"b\" {",
        "Who:       me@here",
        "force-unlock 0a-1",
    ] {
        assert!(apply.stderr.contains(part), "no {part:?} in {}", apply.stderr);
    }
}

#[test]
fn a_crash_is_quoted() {
    let project = Project::new();
    project.answer("plan", 11, "panic: oh no\n\ngoroutine 1\n");
    let plan = project.run(&["plan"]);
    assert_eq!(plan.code, Some(1));
    assert!(plan.stderr.contains("ended with exit code 11:\n  panic: oh no\n  goroutine 1\n"), "{}", plan.stderr);
}

#[test]
fn what_is_missing_is_refused_by_name() {
    let project = Project::new();
    let missing = kgen(&project.path("")).args(["plan", "--terraform-bin", "/nowhere/terraform"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/terraform"));
    let no_path = kgen(&project.path("")).arg("plan").env("PATH", project.path("none")).output().unwrap();
    assert_eq!(no_path.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&no_path.stderr).contains("neither terraform nor tofu"));
    std::fs::remove_file(project.path("terraform/main.tf")).unwrap();
    let empty = project.run(&["apply", "--yes"]);
    assert_eq!((empty.code, empty.stderr.contains("kgen render")), (Some(2), true), "{}", empty.stderr);
}

#[test]
fn tofu_serves_where_there_is_no_terraform() {
    let project = Project::new();
    std::fs::rename(project.path("stub/terraform"), project.path("stub/tofu")).unwrap();
    let path = std::env::join_paths([project.path("stub"), "/usr/bin".into(), "/bin".into()]).unwrap();
    let plan = kgen(&project.path("")).arg("plan").env("PATH", path).output().unwrap();
    assert_eq!(plan.status.code(), Some(0), "{}", String::from_utf8_lossy(&plan.stderr));
    assert_eq!(project.calls().len(), 2);
}

const OUTPUTS: &str = r#"{"bootstrap_brokers":{"sensitive":false,"type":"string","value":"b-1:9092,b-2:9092"},
  "bootstrap_brokers_tls":{"sensitive":false,"type":"string","value":"b-1:9094"},
  "client_instance_id":{"value":"i-1"},"msk_cluster_arn":{"value":"arn:aws:kafka:eu-west-1:1:cluster/demo/0-1"},
  "n":{"value":3},"list":{"value":["a"]},"secret":{"sensitive":true,"value":"x"}}"#;

#[test]
fn outputs_are_printed_for_people_for_shells_and_for_programs() {
    #[track_caller]
    fn check(args: &[&str], code: i32, stdout: &str) {
        let project = Project::new();
        project.answer("output", 0, OUTPUTS);
        let ran = project.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), stdout), "{args:?}: {}", ran.stderr);
    }
    check(&["output", "--raw", "client_instance_id"], 0, "i-1\n");
    check(&["output", "--raw", "n"], 0, "3\n");
    check(&["output", "--raw", "list"], 1, "");
    check(&["output", "--raw", "none"], 1, "");
    let project = Project::new();
    project.answer("output", 0, OUTPUTS);
    let all = project.run(&["output"]).stdout;
    assert!(
        all.contains("secret                = (sensitive)\n") && all.contains("list                  = [\"a\"]\n"),
        "{all}"
    );
    let json: serde_json::Value = serde_json::from_str(&project.run(&["output", "--json"]).stdout).unwrap();
    assert_eq!(json["outputs"]["secret"], "x");
}

#[test]
fn connect_starts_a_session_in_the_region_of_the_cluster() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new();
    project.answer("output", 0, OUTPUTS);
    for (name, script) in [("aws", "#!/bin/sh\necho aws \"$@\"\nexit 7\n"), ("session-manager-plugin", "#!/bin/sh\n")] {
        project.write(&format!("stub/{name}"), script);
        std::fs::set_permissions(project.path(&format!("stub/{name}")), std::fs::Permissions::from_mode(0o755))
            .unwrap();
    }
    let path = std::env::join_paths([project.path("stub"), "/usr/bin".into(), "/bin".into()]).unwrap();
    let connect = project.kgen(&["connect"]).env("PATH", &path).output().unwrap();
    let stdout = String::from_utf8_lossy(&connect.stdout);
    assert_eq!(stdout, "aws ssm start-session --target i-1 --region eu-west-1\n");
    assert_eq!(connect.status.code(), Some(7));
    let lab = project
        .kgen(&["connect"])
        .env("PATH", &path)
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
        .output()
        .unwrap();
    assert_eq!(lab.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&lab.stderr).contains("no lab is running in"));
    std::fs::remove_file(project.path("stub/session-manager-plugin")).unwrap();
    let path = std::env::join_paths([project.path("stub"), "/bin".into()]).unwrap();
    let without = project.kgen(&["connect"]).env("PATH", path).output().unwrap();
    assert_eq!(without.status.code(), Some(2), "{}", String::from_utf8_lossy(&without.stderr));
}
