//! The script of the GitHub Action, with stubs of kgen and gh.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

/// A folder with stubs on the PATH: `kgen` ends with the code in the file of its command, `gh` notes its words and the body,
/// and knows the comments that the file `comments` has.
fn stubs() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    write(
        "kgen",
        "#!/bin/sh\necho \"$@\" >> \"$(dirname \"$0\")/kgen-calls\"\nenv | grep -q '^KGEN_' && exit 2\n\
         echo \"printed by $3\"\nexit \"$(cat \"$(dirname \"$0\")/code-$3\" 2>/dev/null || echo 0)\"\n",
    );
    write(
        "gh",
        "#!/bin/bash\ndir=$(dirname \"$0\")\nif [ \"$2\" = --paginate ]; then cat \"$dir/comments\"; exit; fi\n\
         echo \"$2 $3 $4\" >> \"$dir/gh-calls\"\ncp \"${6#body=@}\" \"$dir/body\"\n",
    );
    write("comments", "");
    write("event.json", "{\"pull_request\": {\"number\": 7}}");
    dir
}

fn run(dir: &Path, variables: &[(&str, &str)]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/action/run");
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(script);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KGEN_") {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).env("PATH", path).env("GITHUB_REPOSITORY", "a/b");
    command.env("GITHUB_EVENT_PATH", dir.join("event.json")).env("GITHUB_STEP_SUMMARY", dir.join("summary"));
    command.envs(variables.iter().copied()).output().unwrap()
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_default()
}

#[test]
fn one_comment_is_written_and_then_updated() {
    let dir = stubs();
    let first = run(dir.path(), &[("KGEN_ACTION_CLUSTER", "orders"), ("KGEN_ACTION_REGION", "us-west-2")]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    fs::write(dir.path().join("comments"), "42\n43\n").unwrap();
    assert_eq!(run(dir.path(), &[]).status.code(), Some(0));
    let calls = read(dir.path(), "gh-calls");
    assert_eq!(calls, "--method POST repos/a/b/issues/7/comments\n--method PATCH repos/a/b/issues/comments/42\n");
    let kgen = read(dir.path(), "kgen-calls");
    assert!(kgen.contains("--project . diagnose --source cloudwatch --cluster orders --region us-west-2\n"), "{kgen}");
    let body = read(dir.path(), "body");
    assert!(body.starts_with("<!-- kgen-action -->\n"), "{body}");
    for part in ["printed by render", "printed by size", "printed by diagnose"] {
        assert!(body.contains(part) && read(dir.path(), "summary").contains(part), "{part}: {body}");
    }
}

#[test]
fn what_was_found_is_its_exit_code_unless_that_is_switched_off() {
    for (command, code, expected) in
        [("render", 1, 1), ("size", 3, 0), ("size", 2, 1), ("diagnose", 3, 1), ("diagnose", 4, 0), ("diagnose", 1, 1)]
    {
        let dir = stubs();
        fs::write(dir.path().join(format!("code-{command}")), code.to_string()).unwrap();
        assert_eq!(run(dir.path(), &[]).status.code(), Some(expected), "{command} {code}");
        let comment = read(dir.path(), "body");
        assert!(comment.contains(&format!("Exit code {code}")), "{comment}");
        assert_eq!(run(dir.path(), &[("KGEN_ACTION_FAIL", "false")]).status.code(), Some(0), "{command} {code}");
    }
}

#[test]
fn without_a_pull_request_there_is_no_comment() {
    let dir = stubs();
    fs::write(dir.path().join("event.json"), "{}").unwrap();
    assert_eq!(run(dir.path(), &[]).status.code(), Some(0));
    assert_eq!(read(dir.path(), "gh-calls"), "");
    assert!(read(dir.path(), "summary").contains("## kgen"));
}
