//! The whole thing with nothing replaced: terraform, the AWS provider, the AWS CLI, Kafka's own tools, three Kafka brokers.
//!
//! Each test has a project and a lab of its own in a temporary folder, and leaves no process.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// A project folder with a lab running in it; the lab ends with it.
struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    fn up(options: &str) -> Lab {
        let lab = Lab { dir: tempfile::tempdir().unwrap() };
        lab.sh(&format!("kgen lab up --port {} {options}", free_port()));
        lab
    }

    /// Runs a script the way a person types it: in the project folder, with the lab's environment; it must succeed.
    fn sh(&self, script: &str) -> String {
        let output = self.try_sh(script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{}\n{script}\nstdout:\n{}\nstderr:\n{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    fn try_sh(&self, script: &str) -> Output {
        let kgen = Path::new(env!("CARGO_BIN_EXE_kgen")).parent().unwrap();
        let path = format!("{}:{}", kgen.display(), std::env::var("PATH").unwrap());
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &format!("[ ! -e .kgen/lab/lab.json ] || eval \"$(kgen lab env)\"\n{script}")])
            .current_dir(self.dir.path())
            .env("PATH", path)
            .output()
            .unwrap()
    }

    fn json(&self, script: &str) -> Value {
        serde_json::from_str(&self.sh(script)).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let down = self.try_sh("kgen lab down --purge");
        if !down.status.success() {
            eprintln!("kgen lab down: {}", String::from_utf8_lossy(&down.stderr));
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Processes whose command line names `dir`.
fn processes_in(dir: &Path) -> Vec<String> {
    let ps = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let dir = dir.to_string_lossy().into_owned();
    String::from_utf8_lossy(&ps.stdout).lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect()
}
