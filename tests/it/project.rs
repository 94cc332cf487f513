//! A project folder in a temporary place, with a stub terraform that notes its arguments and replays lines.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

pub struct Project {
    dir: TempDir,
}

/// How a run of kgen ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    /// An initialised project with one Terraform file and a stub that succeeds at everything.
    pub fn new() -> Project {
        let project = Project::with_terraform("# nothing\n");
        fs::create_dir(project.path("terraform/.terraform")).unwrap();
        project.write("terraform/.terraform.lock.hcl", "");
        project.write(
            "stub/terraform",
            "#!/bin/sh\ncd \"$(dirname \"$0\")\" || exit 99\nprintf '%s' \"$1\" >> calls\nname=$1\nshift\n\
             printf ' %s' \"$@\" >> calls\necho >> calls\ncat \"$name.out\" 2>/dev/null\ncat \"$name.err\" >&2 2>/dev/null\n\
             exit \"$(cat \"$name.code\" 2>/dev/null || echo 0)\"\n",
        );
        fs::set_permissions(project.path("stub/terraform"), fs::Permissions::from_mode(0o755)).unwrap();
        project.answer("show", 0, r#"{"resource_changes":[]}"#);
        project.answer("output", 0, "{}");
        project
    }

    /// A project with this Terraform and no stub.
    pub fn with_terraform(hcl: &str) -> Project {
        let project = Project { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(project.path("stub")).unwrap();
        fs::create_dir(project.path("terraform")).unwrap();
        project.write("terraform/main.tf", hcl);
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Has the stub print `out` and exit with `code` when it is called as `command`.
    pub fn answer(&self, command: &str, code: i32, out: &str) {
        self.write(&format!("stub/{command}.out"), out);
        self.write(&format!("stub/{command}.code"), &code.to_string());
    }

    /// The calls of the stub, a line each, with the project's path and the plan's own name replaced.
    pub fn calls(&self) -> Vec<String> {
        self.without_plan_id(&self.read("stub/calls")).lines().map(str::to_owned).collect()
    }

    /// `text` with `DIR` for the project's path, and `ID` for what the name of a plan has of its own.
    pub fn without_plan_id(&self, text: &str) -> String {
        let dir = fs::canonicalize(self.dir.path()).unwrap();
        let text = text.replace(self.dir.path().to_str().unwrap(), "DIR").replace(dir.to_str().unwrap(), "DIR");
        regex::Regex::new(r"plan-[0-9a-f]{16}\.tfplan").unwrap().replace_all(&text, "plan-ID.tfplan").into_owned()
    }

    /// kgen on this project, with the stub as its terraform and no AWS settings.
    pub fn kgen(&self, args: &[&str]) -> Command {
        let mut command = kgen(self.dir.path());
        command.args(args).env("KGEN_TERRAFORM_BIN", self.path("stub/terraform"));
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.kgen(args).output().unwrap().into()
    }
}

/// Makes the recorded demo a run of the project in `dir`; returns the run's id.
pub fn with_demo(dir: &Path) -> String {
    let file = fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runs/demo.jsonl.gz")).unwrap();
    let run = dir.join(".kgen/runs/demo-20261125-003853");
    fs::create_dir_all(&run).unwrap();
    let mut record = fs::File::create(run.join("run.jsonl")).unwrap();
    std::io::copy(&mut flate2::read::GzDecoder::new(file), &mut record).unwrap();
    "demo-20261125-003853".to_owned()
}

/// kgen on the project in `dir`.
pub fn kgen(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kgen"));
    command.arg("-C").arg(dir).stdin(Stdio::null()).env_remove("AWS_ENDPOINT_URL").env_remove("KGEN_TERRAFORM_BIN");
    command
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
