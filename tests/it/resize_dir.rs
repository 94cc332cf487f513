//! `kgen resize --dir`: the program on Terraform that kgen did not write.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

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
        ("a function", CLUSTER.replace("var.type", "lower(var.type)"), "main.tf:4"),
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

#[test]
fn a_folder_that_another_kgen_works_in_is_left_alone() {
    let dir = infra();
    let held = fs::File::open(dir.path().join("infra")).unwrap();
    assert!(held.try_lock().is_ok());
    let (code, _, err) = resized(dir.path(), &[]);
    assert!(code == Some(2) && err.contains("another kgen"), "{err}");
    assert_eq!(fs::read_to_string(dir.path().join("infra/terraform.tfvars")).unwrap(), VALUES);
}
