//! `kgen guard --once --propose`: fixes as branches of real git repositories.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    guard::{configure, hot, names, once},
    outside::Stub,
    project::Ran,
};

/// Terraform of the cluster `orders-0`, by kgen's own hand in nothing.
const MAIN: &str = "provider \"aws\" {\n  region = \"us-west-2\"\n}\n\nresource \"aws_msk_cluster\" \"orders\" {\n  \
                    cluster_name           = \"orders-0\"\n  kafka_version          = \"3.9.x\"\n  number_of_broker_nodes = 3\n  \
                    broker_node_group_info {\n    instance_type  = \"kafka.t3.small\" # why\n    \
                    client_subnets = [\"a\", \"b\", \"c\"]\n  }\n}\n";

/// A project that is watched, and a git repository with Terraform in its folder `infra`.
struct World {
    dir: tempfile::TempDir,
    stub: Stub,
}

impl World {
    fn new(main: &str) -> World {
        let world = World { dir: tempfile::tempdir().unwrap(), stub: hot(&names(1)) };
        fs::create_dir_all(world.infra()).unwrap();
        fs::create_dir_all(world.watch()).unwrap();
        fs::write(world.infra().join("main.tf"), main).unwrap();
        configure(&world.watch(), 10, "");
        world.git("init --quiet --initial-branch main .");
        world.git("config user.name kgen");
        world.git("config user.email kgen@example.com");
        world.git("add .");
        world.git("commit --quiet --message first");
        world
    }

    fn repository(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    fn infra(&self) -> PathBuf {
        self.repository().join("infra")
    }

    fn watch(&self) -> PathBuf {
        self.dir.path().join("watch")
    }

    #[track_caller]
    fn git(&self, args: &str) -> String {
        git(&self.repository(), args)
    }

    fn propose(&self, options: &[&str]) -> Ran {
        let infra = self.infra();
        once(&self.stub, &self.watch(), &[&["--propose", infra.to_str().unwrap()], options].concat())
    }

    /// The branches beside main.
    fn branches(&self) -> Vec<String> {
        let all = self.git("for-each-ref --format=%(refname:short) refs/heads");
        all.lines().filter(|name| *name != "main").map(str::to_owned).collect()
    }

    /// Proposes, which is refused for this reason and changes nothing.
    #[track_caller]
    fn refuse(&self, reason: &str) {
        let before = (self.git("for-each-ref"), self.git("status --porcelain"));
        let ran = self.propose(&[]);
        assert!(ran.code == Some(1) && ran.stderr.contains(reason), "{:?} {}\n{}", ran.code, ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("nothing could be proposed") && !ran.stdout.contains("git push"), "{}", ran.stdout);
        assert_eq!((self.git("for-each-ref"), self.git("status --porcelain")), before);
    }
}

#[track_caller]
fn git(dir: &Path, args: &str) -> String {
    let output = Command::new("git").current_dir(dir).args(args.split(' ')).output().unwrap();
    assert!(output.status.success(), "git {args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_fix_is_a_commit_on_a_branch_of_its_own_and_nothing_else_changes() {
    let world = World::new(MAIN);
    // Changes elsewhere are nobody's business, and a hook would be noticed.
    fs::write(world.repository().join("notes.txt"), "mine").unwrap();
    let hook = world.repository().join(".git/hooks/post-commit");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\ntouch ran\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let index = fs::read(world.repository().join(".git/index")).unwrap();
    let ran = world.propose(&[]);
    assert_eq!(ran.code, Some(3), "{}\n{}", ran.stdout, ran.stderr);

    let [branch] = &world.branches()[..] else { panic!("{:?}", world.branches()) };
    assert!(branch.starts_with("kgen/us-west-2-orders-0-kafka-"), "{branch}");
    let diff = world.git(&format!("diff --numstat main {branch}"));
    assert_eq!(diff, "1\t1\tinfra/main.tf\n");
    let after = world.git(&format!("show {branch}:infra/main.tf"));
    assert!(after.contains(" # why") && !after.contains("kafka.t3.small"), "{after}");
    assert_eq!(world.git(&format!("rev-list --count main..{branch}")), "1\n");
    let message = world.git(&format!("log -1 --format=%B {branch}"));
    for part in ["orders-0: ", "Cause: `broker.undersized`", "Not assessed: ", "Nothing has been applied."] {
        assert!(message.contains(part), "{part} is not in\n{message}");
    }

    assert_eq!(fs::read_to_string(world.infra().join("main.tf")).unwrap(), MAIN);
    assert_eq!(fs::read(world.repository().join(".git/index")).unwrap(), index);
    assert_eq!(world.git("status --porcelain"), "?? notes.txt\n");
    assert_eq!(world.git("symbolic-ref --short HEAD"), "main\n");
    assert!(!world.repository().join("ran").exists(), "a hook ran");
    let left: Vec<_> = fs::read_dir(world.repository().join(".git")).unwrap().filter_map(Result::ok).collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().contains("kgen")), "{left:?}");

    // The same again is the same branch; and a document stays alone on standard output.
    let refs = world.git("for-each-ref");
    let ran = world.propose(&["--format", "json"]);
    assert!(ran.stderr.contains("is already on the branch kgen/"), "{}", ran.stderr);
    let _: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(world.git("for-each-ref"), refs);
}

#[test]
fn the_printed_command_pushes_the_branch_and_opens_the_pull_request() {
    let world = World::new(MAIN);
    let remote = world.dir.path().join("it's remote.git");
    git(world.dir.path(), "init --quiet --bare remote.git");
    fs::rename(world.dir.path().join("remote.git"), &remote).unwrap();
    let added =
        Command::new("git").current_dir(world.repository()).args(["remote", "add", "upstream"]).arg(&remote).status();
    assert!(added.unwrap().success());
    let gh = world.dir.path().join("gh");
    fs::write(&gh, "#!/bin/sh\nprintf '<%s>\\n' \"$@\" > \"$(dirname \"$0\")/asked\"\n").unwrap();
    fs::set_permissions(&gh, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = world.propose(&[]);
    let command =
        ran.stdout.lines().find(|line| line.contains("gh pr create")).unwrap_or_else(|| panic!("{}", ran.stderr));
    let path = format!("{}:{}", world.dir.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-euc", command]).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    let branch = world.branches().remove(0);
    assert_eq!(git(&remote, &format!("rev-parse {branch}")), world.git(&format!("rev-parse {branch}")));
    let asked = fs::read_to_string(world.dir.path().join("asked")).unwrap();
    assert!(asked.starts_with(&format!("<pr>\n<create>\n<--head>\n<{branch}>\n<--title>\n<orders-0: ")), "{asked}");
    assert!(asked.contains("<--body>\n<Cause: `broker.undersized`"), "{asked}");
}

#[test]
fn what_is_not_committed_is_refused() {
    let world = World::new(MAIN);
    let (main, other) = (world.infra().join("main.tf"), world.infra().join("terraform.tfvars"));
    fs::write(&main, format!("{MAIN}# more\n")).unwrap();
    world.refuse("has changes that are not committed in infra/main.tf");
    fs::write(&main, MAIN).unwrap();
    fs::write(&other, "size = 3\n").unwrap();
    world.refuse("has changes that are not committed in infra/terraform.tfvars");
    fs::remove_file(&other).unwrap();
    world.git("rm --quiet --cached infra/main.tf");
    world.git("commit --quiet --message gone");
    world.refuse("infra/main.tf is not committed");
}

#[test]
fn a_branch_with_something_else_is_left_alone() {
    let world = World::new(MAIN);
    world.propose(&[]);
    let branch = world.branches().remove(0);
    world.git(&format!("branch --force {branch} main"));
    world.refuse(&format!("the branch {branch} exists"));
}

#[test]
fn a_folder_in_no_repository_is_refused() {
    let world = World::new(MAIN);
    let alone = world.dir.path().join("alone");
    fs::create_dir(&alone).unwrap();
    fs::write(alone.join("main.tf"), MAIN).unwrap();
    let ran = once(&world.stub, &world.watch(), &["--propose", alone.to_str().unwrap()]);
    assert!(ran.code == Some(1) && ran.stderr.contains("is in no git repository"), "{:?} {}", ran.code, ran.stderr);
}

#[test]
fn terraform_of_another_cluster_or_of_an_unknown_one_is_refused() {
    for (from, to, reason) in [
        ("\"kafka.t3.small\"", "data.x.y.z", "no proposal for orders-0: "),
        ("orders-0", "invoices", "no proposal for orders-0: "),
        ("us-west-2", "eu-west-1", "is for region eu-west-1, and the cluster is in us-west-2"),
        ("kafka.t3.small", "kafka.m5.24xlarge", "has kafka.m5.24xlarge, and the brokers are kafka.t3.small"),
    ] {
        World::new(&MAIN.replace(from, to)).refuse(reason);
    }
}
