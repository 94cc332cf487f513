//! `kgen resize --dir`: the program on Terraform that kgen did not write.

mod corpus;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    frontdoor::validate,
    project::{Project, Ran},
};

const CLUSTER: &str = "resource \"aws_msk_cluster\" \"this\" {\r\n  kafka_version = \"3.9.x\"\r\n  broker_node_group_info {\r\n    \
                       instance_type = var.type # why\r\n  }\r\n}\r\nvariable \"type\" {}\r\n";
const VALUES: &str = "\u{feff}# ours\r\ntype   = \"kafka.m5.large\" // as agreed\r\n";

/// What came of `kgen resize kafka.m5.xlarge --dir infra` in `dir` with `args`: exit code, stdout, stderr.
fn resized(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kgen"));
    command.current_dir(dir).args(["resize", "kafka.m5.xlarge", "--dir", "infra"]).args(args);
    command.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn infra() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("infra")).unwrap();
    fs::write(dir.path().join("infra/main.tf"), CLUSTER).unwrap();
    fs::write(dir.path().join("infra/terraform.tfvars"), VALUES).unwrap();
    dir
}

#[test]
fn the_value_is_edited_where_it_is_set_and_nothing_else() {
    let dir = infra();
    let values = dir.path().join("infra/terraform.tfvars");
    let (code, diff, _) = resized(dir.path(), &["--dry-run"]);
    assert_eq!((code, fs::read_to_string(&values).unwrap().as_str()), (Some(0), VALUES));
    assert!(diff.contains("-type   = \"kafka.m5.large\" // as agreed"), "{diff}");

    let (code, out, _) = resized(dir.path(), &["--dry-run", "--json"]);
    validate("resize --dry-run --json", &out);
    let prepared: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &prepared["written"]), (Some(0), &false.into()));
    assert!(prepared["files"][0]["diff"].as_str().is_some_and(|text| text == diff), "{prepared:#}");
    assert_eq!(prepared["next"], "terraform -chdir='infra' plan");
    assert_eq!(fs::read_to_string(&values).unwrap(), VALUES);

    let (code, out, err) = resized(dir.path(), &[]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(fs::read_to_string(&values).unwrap(), VALUES.replace("kafka.m5.large", "kafka.m5.xlarge"));
    assert_eq!(fs::read_to_string(dir.path().join("infra/main.tf")).unwrap(), CLUSTER);
    assert!(out.ends_with("terraform -chdir='infra' plan\n") && err.contains("not checked"), "{out}{err}");

    let (code, _, err) = resized(dir.path(), &[]);
    assert!(code == Some(2) && err.contains("already is kafka.m5.xlarge"), "{err}");
}

#[test]
fn links_and_permissions_stay() {
    let dir = infra();
    let (link, shared) = (dir.path().join("infra/terraform.tfvars"), dir.path().join("shared.tfvars"));
    fs::rename(&link, &shared).unwrap();
    std::os::unix::fs::symlink("../shared.tfvars", &link).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o640)).unwrap();
    let (code, _, err) = resized(dir.path(), &[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&shared).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&shared).unwrap().contains("kafka.m5.xlarge"));
}

#[test]
fn what_cannot_be_decided_changes_nothing() {
    let dir = infra();
    let main = dir.path().join("infra/main.tf");
    let rows = [
        (
            "two clusters",
            format!("{CLUSTER}{}", CLUSTER.replace("this", "other").replace("variable \"type\" {}", "")),
            "2 clusters",
        ),
        ("a data source", CLUSTER.replace("var.type", "data.aws_ssm_parameter.type.value"), "main.tf:4"),
        ("no Terraform", "resource \"aws_msk_cluster {".to_owned(), "main.tf"),
    ];
    for (what, text, expected) in rows {
        fs::write(&main, &text).unwrap();
        let (code, out, err) = resized(dir.path(), &[]);
        assert!(code == Some(2) && out.is_empty() && err.contains(expected), "{what}: {err}");
        assert_eq!(fs::read_to_string(&main).unwrap(), text, "{what}");
        assert_eq!(fs::read_to_string(dir.path().join("infra/terraform.tfvars")).unwrap(), VALUES, "{what}");
    }
}

/// A repository with `files`.
fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(".git")).unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// `kgen` with `args`, started in the folder `at` of `dir`.
fn kgen(dir: &Path, at: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kgen"));
    command.current_dir(dir.join(at)).args(args).env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const BY_DEFAULT: &str = "variable \"broker\" { default = \"kafka.m5.large\" }\nresource \"aws_msk_cluster\" \"events\" {\n  \
                          broker_node_group_info {\n    instance_type = var.broker\n  }\n}\n";

#[test]
fn files_of_variables_are_looked_for_up_to_the_root_of_the_repository() {
    let files = [("infra/tf/main.tf", BY_DEFAULT), ("infra/envs/prod.tfvars", "broker = \"kafka.m5.4xlarge\"\n")];
    let dir = repository(&files);
    let absolute = dir.path().join("infra/tf").display().to_string();
    for (at, named, shown) in [
        (".", "infra/tf", "infra/envs/prod.tfvars:1: sets broker"),
        ("infra", "tf", "envs/prod.tfvars:1: sets broker"),
        ("infra/tf", ".", "../envs/prod.tfvars:1: sets broker"),
        ("infra/envs", "../tf", "prod.tfvars:1: sets broker"),
        ("infra/envs", absolute.as_str(), "infra/envs/prod.tfvars:1: sets broker"),
    ] {
        let (code, _, err) = kgen(dir.path(), at, &["resize", "kafka.m5.xlarge", "--dir", named]);
        assert!(code == Some(2) && err.contains(shown), "{at}, {named}: {err}");
        let next = err
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("next: kgen "))
            .unwrap_or_else(|| panic!("{err}"));
        let again: Vec<&str> = next.split(' ').collect();
        let (code, out, err) = kgen(dir.path(), at, &[&again[..], &["--dry-run"]].concat());
        assert!(code == Some(0) && out.contains("+broker = \"kafka.m5.xlarge\""), "{at}, {named}: {out}{err}");
    }
    assert_eq!(fs::read_to_string(dir.path().join("infra/tf/main.tf")).unwrap(), BY_DEFAULT);
}

#[test]
fn without_a_repository_the_folder_above_is_looked_at_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["tf", "envs"] {
        fs::create_dir(dir.path().join(path)).unwrap();
    }
    fs::write(dir.path().join("tf/main.tf"), BY_DEFAULT).unwrap();
    fs::write(dir.path().join("envs/prod.tfvars"), "broker = \"kafka.m5.4xlarge\"\n").unwrap();
    for (at, named) in [(".", "tf"), ("tf", ".")] {
        let (code, _, err) = kgen(dir.path(), at, &["resize", "kafka.m5.xlarge", "--dir", named]);
        assert!(code == Some(2) && err.contains("envs/prod.tfvars:1"), "{at}, {named}: {err}");
    }
}

#[test]
fn a_file_of_variables_is_taken_from_the_folder_where_it_is_not_here() {
    let dir = infra();
    fs::rename(dir.path().join("infra/terraform.tfvars"), dir.path().join("infra/prod.tfvars")).unwrap();
    let (code, out, err) = resized(dir.path(), &["--var-file", "prod.tfvars", "--dry-run"]);
    assert!(code == Some(0) && err.contains("prod.tfvars is taken from infra"), "{out}{err}");
    assert!(out.contains("+type   = \"kafka.m5.xlarge\" // as agreed"), "{out}");
    let (code, _, err) = resized(dir.path(), &["--var-file", "gone.tfvars"]);
    assert!(code == Some(2) && err.contains("which has no file gone.tfvars"), "{err}");
    assert!(err.contains("variable files here: infra/prod.tfvars"), "{err}");
}

#[test]
fn a_variable_that_is_given_decides_and_is_handed_to_terraform() {
    let dir = infra();
    let main = CLUSTER.replace("{\r\n  kafka", "{\r\n  count = var.on ? 1 : 0\r\n  kafka");
    fs::write(dir.path().join("infra/main.tf"), format!("{main}variable \"on\" {{\n  default = false\n}}\n")).unwrap();
    let (code, _, err) = resized(dir.path(), &[]);
    assert_eq!(code, Some(2), "{err}");
    for part in [
        "switched off",
        "infra/main.tf:2: `var.on ? 1 : 0`",
        "TF_VAR_on=true",
        "infra/terraform.tfvars:2: kafka.m5.large",
    ] {
        assert!(err.contains(part), "no {part} in {err}");
    }
    assert!(err.ends_with("next: kgen resize kafka.m5.xlarge --dir infra --var on=true\n"), "{err}");
    let (code, out, err) = resized(dir.path(), &["--var", "on=true"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.ends_with("terraform -chdir='infra' plan -var='on=true'\n"), "{out}");
    let (code, _, err) = resized(dir.path(), &["--var", "on"]);
    assert!(code == Some(2) && err.contains("NAME=VALUE"), "{err}");
}

#[test]
fn every_cluster_is_changed_with_all_or_none() {
    let dir = infra();
    let (main, values) = (dir.path().join("infra/main.tf"), dir.path().join("infra/terraform.tfvars"));
    let other =
        CLUSTER.replace("this", "other").replace("variable \"type\" {}", "").replace("var.type", "\"kafka.t3.small\"");
    let text = format!("{CLUSTER}{other}");
    fs::write(&main, &text).unwrap();
    let (code, out, err) = resized(dir.path(), &["--all", "--dry-run", "--json"]);
    assert_eq!(code, Some(0), "{err}");
    validate("resize --all --dry-run --json", &out);
    assert_eq!(fs::read_to_string(&main).unwrap(), text);
    let (code, out, err) = resized(dir.path(), &["--all"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.ends_with("terraform -chdir='infra' plan\n"), "{out}");
    assert_eq!(fs::read_to_string(&main).unwrap(), text.replace("kafka.t3.small", "kafka.m5.xlarge"));
    assert_eq!(fs::read_to_string(&values).unwrap(), VALUES.replace("kafka.m5.large", "kafka.m5.xlarge"));
    let (code, _, err) = resized(dir.path(), &["--all"]);
    assert!(code == Some(2) && err.contains("already is kafka.m5.xlarge"), "{err}");
    let (code, _, err) = resized(dir.path(), &["--all", "--cluster", "this"]);
    assert!(code == Some(2) && err.contains("cannot be used with"), "{err}");
}

#[test]
fn yaml_and_opentofu_on_the_disk() {
    let dir = repository(&[
        (
            "infra/main.tofu",
            "locals { env = yamldecode(file(\"${path.module}/../env.yaml\")) }\nresource \"aws_msk_cluster\" \"events\" {\n  \
         broker_node_group_info {\n    instance_type = local.env.kafka.type\n  }\n}\n",
        ),
        ("infra/main.tf", "resource \"x"),
        ("env.yaml", "# sizes\r\nkafka:\r\n  type: kafka.m5.large # as agreed\r\n"),
    ]);
    let (code, out, err) = resized(dir.path(), &[]);
    assert_eq!(code, Some(0), "{err}");
    let text = fs::read_to_string(dir.path().join("env.yaml")).unwrap();
    assert_eq!(text, "# sizes\r\nkafka:\r\n  type: kafka.m5.xlarge # as agreed\r\n");
    assert!(out.ends_with("tofu -chdir='infra' plan\n") && err.contains("env.yaml is outside infra"), "{out}{err}");
    let (code, _, err) = resized(dir.path(), &["--apply", "--yes", "--terraform-bin", "/bin/true"]);
    assert!(code == Some(2) && err.contains("already is"), "{err}");
}

#[test]
fn a_folder_that_another_kgen_works_in_is_left_alone() {
    let dir = infra();
    let held = fs::File::open(dir.path().join("infra")).unwrap();
    assert!(held.try_lock().is_ok());
    let (code, _, err) = resized(dir.path(), &[]);
    assert!(code == Some(2) && err.contains("another kgen"), "{err}");
    assert_eq!(fs::read_to_string(dir.path().join("infra/terraform.tfvars")).unwrap(), VALUES);
}

#[test]
fn a_file_beside_that_cannot_be_read_is_named() {
    let dir = repository(&[("infra/main.tf", BY_DEFAULT), ("envs/prod.tfvars", "other = 1\n"), ("other/a.tf", "")]);
    std::os::unix::fs::symlink("nowhere", dir.path().join("other/b.tf")).unwrap();
    let (code, _, err) = resized(dir.path(), &["--dry-run"]);
    assert!(code == Some(0) && err.contains("whether other/b.tf uses the type"), "{err}");
    std::os::unix::fs::symlink("nowhere", dir.path().join("envs/stage.tfvars")).unwrap();
    let (code, _, err) = resized(dir.path(), &[]);
    assert!(code == Some(2) && err.contains("envs/stage.tfvars cannot be read"), "{err}");
    assert_eq!(fs::read_to_string(dir.path().join("infra/main.tf")).unwrap(), BY_DEFAULT);
    // Files that are named leave no question which count.
    let (code, _, err) = resized(dir.path(), &["--var-file", "envs/prod.tfvars", "--dry-run"]);
    assert!(code == Some(0) && err.contains("not checked: the variable files that were not given"), "{err}");
    // What a stranger's name holds does not reach the terminal.
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::write(dir.path().join("data/\u{1b}[31m.tfvars"), "broker = \"kafka.m5.large\"\n").unwrap();
    let (_, _, err) = resized(dir.path(), &["--var-file", "envs/prod.tfvars", "--dry-run"]);
    assert!(!err.contains('\u{1b}'), "{err}");
}

#[test]
fn a_link_out_of_the_folder_is_noted_with_all_too() {
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("elsewhere/shared.tf");
    fs::create_dir(dir.path().join("infra")).unwrap();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    fs::write(&shared, BY_DEFAULT).unwrap();
    std::os::unix::fs::symlink("../elsewhere/shared.tf", dir.path().join("infra/main.tf")).unwrap();
    for args in [&["--dry-run"][..], &["--all", "--dry-run"], &["--all"]] {
        let (code, _, err) = resized(dir.path(), args);
        assert!(code == Some(0) && err.contains("infra/main.tf leads to "), "{args:?}: {err}");
    }
    assert!(fs::read_to_string(&shared).unwrap().contains("kafka.m5.xlarge"));
    assert!(fs::symlink_metadata(dir.path().join("infra/main.tf")).unwrap().is_symlink());
    fs::write(&shared, BY_DEFAULT).unwrap();
    let held = fs::File::open(dir.path().join("elsewhere")).unwrap();
    assert!(held.try_lock().is_ok());
    let (code, _, err) = resized(dir.path(), &["--all"]);
    assert!(code == Some(2) && err.contains("another kgen"), "{err}");
}

/// Foreign Terraform beside a stub of terraform that plans `after` for the cluster.
fn planned(after: &str, apply: i32) -> Project {
    let project = Project::new();
    fs::create_dir_all(project.path("infra/.terraform")).unwrap();
    project.write("infra/.terraform.lock.hcl", "");
    project.write("infra/main.tf", CLUSTER);
    project.write("infra/terraform.tfvars", VALUES);
    let values = |broker_type: &str| {
        json!({"arn": "arn:aws:kafka:us-west-2:111122223333:cluster/orders/0-1", "cluster_name": "orders",
               "number_of_broker_nodes": 3, "broker_node_group_info": [{"instance_type": broker_type}]})
    };
    let change = json!({"actions": ["update"], "before": values("kafka.m5.large"), "after": values(after)});
    let cluster =
        json!({"address": "aws_msk_cluster.this", "mode": "managed", "type": "aws_msk_cluster", "change": change});
    project.answer("plan", 2, "");
    project.answer("show", 0, &json!({"resource_changes": [cluster], "complete": true}).to_string());
    project.answer("apply", apply, "");
    project
}

/// kgen on it; no AWS is there to be asked.
fn run(project: &Project, args: &[&str]) -> Ran {
    let mut command = project.kgen(args);
    command
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b");
    command.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION").output().unwrap().into()
}

#[track_caller]
fn applied(project: &Project, args: &[&str]) -> Ran {
    let dir = project.path("infra");
    let resize = ["resize", "kafka.m5.xlarge", "--dir", dir.to_str().unwrap(), "--apply", "--yes", "--measure", "1s"];
    run(project, &[&resize[..], args].concat())
}

/// The one run that is recorded: id and outcome.
#[track_caller]
fn recorded(project: &Project) -> (String, String) {
    let runs: Value = serde_json::from_str(&run(project, &["runs", "--json"]).stdout).unwrap();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs:#}");
    let one = &runs["runs"][0];
    assert_eq!(one["command"], "resize");
    let text = |key: &str| one[key].as_str().unwrap().to_owned();
    (text("id"), text("outcome"))
}

#[test]
fn an_apply_is_a_run_that_is_listed_replayed_and_reported() {
    let project = planned("kafka.m5.xlarge", 0);
    let ran = applied(&project, &["--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let resized: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&resized["schema"], &resized["cluster"]["cluster"]), (&"kgen.resize/1".into(), &"orders".into()));
    let types = (&resized["before"]["broker_type"], &resized["after"]["broker_type"]);
    assert_eq!(types, (&"kafka.m5.large".into(), &"kafka.m5.xlarge".into()), "{resized:#}");
    assert!(ran.stderr.contains("the brokers are not measured"), "{}", ran.stderr);
    let (id, outcome) = recorded(&project);
    assert_eq!(outcome, "done");
    let lines = run(&project, &["replay", "--plain"]).stdout;
    assert!(lines.contains("mark fixed: every broker is kafka.m5.xlarge"), "{lines}");
    let report = run(&project, &["report", "--format", "markdown"]);
    let edit = "+type   = \"kafka.m5.xlarge\" // as agreed";
    assert!(report.stdout.contains(edit), "{}{}", report.stdout, report.stderr);
    let over = run(&project, &["resume", &id, "--yes"]);
    assert!(over.code == Some(2) && over.stderr.contains("is complete"), "{}", over.stderr);
}

#[test]
fn variables_that_are_given_are_given_to_the_plan() {
    let project = planned("kafka.m5.xlarge", 0);
    let ran = applied(&project, &["--var", "name=a b"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let calls = project.calls();
    assert!(calls.iter().any(|call| call.starts_with("plan") && call.contains("-var=name=a b")), "{calls:#?}");
}

#[test]
fn an_apply_that_did_not_end_is_left_to_terraform_by_resume() {
    let project = planned("kafka.m5.xlarge", 1);
    assert_eq!(applied(&project, &[]).code, Some(1));
    assert!(project.read("infra/terraform.tfvars").contains("kafka.m5.xlarge"), "the cluster may have begun to change");
    let (id, outcome) = recorded(&project);
    assert_eq!(outcome, "failed");
    let refused = run(&project, &["resume", "--yes"]);
    let plan = format!("`terraform -chdir='{}' plan`", project.path("infra").display());
    for part in [&id, "terraform.tfvars:2 was changed from kafka.m5.large to kafka.m5.xlarge", &plan] {
        assert!(refused.stderr.contains(part), "no {part} in {}", refused.stderr);
    }
    assert!(refused.code == Some(2) && refused.stderr.lines().count() <= 3, "{}", refused.stderr);
}

#[test]
fn an_apply_whose_plan_is_another_is_undone_and_resume_says_so() {
    let project = planned("kafka.m5.4xlarge", 0);
    let infra = project.path("infra").display().to_string();
    let other = r#"{"complete": true, "resource_changes": [{"address": "aws_vpc.this", "mode": "managed", "type": "aws_vpc",
        "change": {"actions": ["create"], "before": null, "after": {}}}]}"#;
    project.answer("show", 0, other);
    let ran = applied(&project, &[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("was restored"), "{}", ran.stderr);
    assert_eq!(project.read("infra/terraform.tfvars"), VALUES);
    assert_eq!(recorded(&project).1, "failed");
    let refused = run(&project, &["resume", "--yes"]);
    let again = format!("resize kafka.m5.xlarge --dir {infra} --apply --yes --measure 1s` once more");
    assert!(refused.code == Some(2) && refused.stderr.contains("says kafka.m5.large again"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&again), "no {again} in {}", refused.stderr);
}
