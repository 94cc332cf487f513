//! What the machines are given to run: POSIX shell.

use std::time::{Duration, SystemTime};

use super::task::Task;
use crate::process::{shell_quoted, shell_word};

/// A script for every machine; each finds its part in `$part`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What comes before the program.
    before: String,
    /// The one program, as a shell takes it.
    program: String,
    /// Below which prefix of a bucket its output goes.
    pub prefix: String,
}

/// Where kgen is put by the rendered user data, beside where shells look.
const PATH: &str = "PATH=$PATH:/usr/local/bin; export PATH\n";

impl Script {
    /// Asks for what has to be the same, or enough, on all of them. A line each; the clock last, so that it is fresh.
    pub fn preflight() -> Script {
        let program = "\
kgen=$(command -v kgen) || { echo 'kgen is not on the PATH' >&2; exit 127; }
echo \"version $(kgen --version)\"
echo \"sha256 $(sha256sum \"$kgen\" | cut -d ' ' -f 1)\"
echo \"free_kib $(df -Pk \"${TMPDIR:-/var/tmp}\" | awk 'NR == 2 { print $4 }')\"
echo \"descriptors $(ulimit -n)\"
echo \"clock_ns $(date +%s%N)\"";
        Script { before: PATH.to_owned(), program: format!("{{\n{program}\n}}"), prefix: "kgen/preflight".to_owned() }
    }

    /// Sends a part of run `run` from `start` on. Folders of runs that are a day old are removed.
    pub fn load(run: &str, arguments: &[String], of: usize, start: SystemTime) -> Script {
        let since_epoch = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let before = format!(
            "{PATH}dir=${{TMPDIR:-/var/tmp}}/kgen-load-{run}-$part\n\
             find \"${{TMPDIR:-/var/tmp}}\" -maxdepth 1 -name 'kgen-load-*' -mtime +0 -exec rm -rf {{}} + 2>/dev/null\n\
             mkdir -p \"$dir\" && cd \"$dir\" || exit 73\n"
        );
        let words: Vec<String> = arguments.iter().map(|word| shell_word(word)).collect();
        let program = format!(
            "kgen --project . {} --part \"$part/{of}\" --start-at {} --run-id {run}",
            words.join(" "),
            since_epoch.as_millis()
        );
        Script { before, program, prefix: format!("kgen/{run}") }
    }

    /// One script for all machines of Systems Manager, whose agent names the instance.
    pub fn for_instances(&self, tasks: &[Task]) -> String {
        let cases: String =
            tasks.iter().map(|task| format!("{}) part={};;\n", shell_quoted(&task.machine), task.part)).collect();
        format!(
            "case \"${{AWS_SSM_INSTANCE_ID:-}}\" in\n{cases}\
             *) echo \"no part is meant for ${{AWS_SSM_INSTANCE_ID:-an instance without AWS_SSM_INSTANCE_ID}}\" >&2; exit 64;;\n\
             esac\n{}{}\n",
            self.before, self.program
        )
    }

    /// The script for one host, which asks the program to end when standard input ends: the connection is gone then, or the
    /// driver wants no more.
    pub fn for_host(&self, task: &Task) -> String {
        // A program in the background has no standard input of its own; the descriptor 3 keeps it for the watch.
        format!(
            "part={}\n{}exec 3<&0\n{} </dev/null 3<&- &\nload=$!\n\
             {{ cat <&3 >/dev/null; kill -TERM $load; }} >/dev/null 2>&1 &\nwatch=$!\nexec 3<&-\n\
             wait $load; code=$?\nkill $watch 2>/dev/null\nexit $code\n",
            task.part, self.before, self.program
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_machine_finds_its_part() {
        let tasks: Vec<Task> = (0..2).map(|part| Task { machine: format!("i-{part}"), part }).collect();
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1234);
        let arguments = ["produce", "--header", "a=it's"].map(str::to_owned);
        let script = Script::load("00ff", &arguments, 2, start);
        let text = script.for_instances(&tasks);
        assert!(text.contains("'i-0') part=0;;\n'i-1') part=1;;\n"), "{text}");
        let program = r#"kgen --project . produce --header 'a=it'\''s' --part "$part/2" --start-at 1234 --run-id 00ff"#;
        assert!(text.ends_with(&format!("{program}\n")), "{text}");
        let host = script.for_host(&tasks[1]);
        assert!(host.starts_with("part=1\n") && host.contains(&format!("{program} </dev/null")), "{host}");
    }
}
