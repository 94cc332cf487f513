//! What the machines are given to run: POSIX shell.

use std::time::{Duration, SystemTime};

use super::{Work, task::Task};
use crate::process::{shell_quoted, shell_word};

/// A script for every machine; each finds its part in `$part`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What comes before the program.
    before: String,
    /// The one program, as a shell takes it.
    program: String,
    /// Asks the program to end in order, where it can.
    pub stop: Option<Box<Script>>,
    /// Below which prefix of a bucket its output goes.
    pub prefix: String,
}

/// Where kgen is put by the rendered user data, beside where shells look.
const PATH: &str = "PATH=$PATH:/usr/local/bin; export PATH\n";

impl Script {
    /// Asks for what has to be the same, or enough, on all of them. A line each; the clock last, so that it is fresh. On an EC2
    /// instance, the product's name is the instance type.
    pub fn preflight() -> Script {
        let program = "\
kgen=$(command -v kgen) || { echo 'kgen is not on the PATH' >&2; exit 127; }
echo \"version $(kgen --version)\"
echo \"sha256 $(sha256sum \"$kgen\" | cut -d ' ' -f 1)\"
echo \"free_kib $(df -Pk \"${TMPDIR:-/var/tmp}\" | awk 'NR == 2 { print $4 }')\"
echo \"descriptors $(ulimit -n)\"
echo \"type $(cat /sys/devices/virtual/dmi/id/product_name 2>/dev/null)\"
echo \"clock_ns $(date +%s%N)\"";
        let program = format!("{{\n{program}\n}}");
        Script { before: PATH.to_owned(), program, stop: None, prefix: "kgen/preflight".to_owned() }
    }

    /// Does a part of `work` from `start` on. Folders of runs that are a day old are removed.
    pub fn load(work: &Work, of: usize, start: SystemTime) -> Script {
        let Work { run, arguments, file, .. } = work;
        let since_epoch = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let folder = format!("dir=${{TMPDIR:-/var/tmp}}/kgen-load-{run}-$part\n");
        let before = format!(
            "{PATH}{folder}\
             find \"${{TMPDIR:-/var/tmp}}\" -maxdepth 1 -name 'kgen-load-*' -mtime +0 -exec rm -rf {{}} + 2>/dev/null\n\
             mkdir -p \"$dir\" && cd \"$dir\" || exit 73\n{}",
            file.as_ref().map(|(name, text)| here(name, text, run)).unwrap_or_default()
        );
        let words: Vec<String> = arguments.iter().map(|word| shell_word(word)).collect();
        let program = format!(
            "kgen --project . {} --part \"$part/{of}\" --start-at {} --run-id {run}",
            words.join(" "),
            since_epoch.as_millis()
        );
        let stop = Script {
            before: folder,
            program: "mkdir -p \"$dir\" && : >\"$dir/stop\"".to_owned(),
            stop: None,
            prefix: "kgen/stop".to_owned(),
        };
        Script { before, program, stop: Some(Box::new(stop)), prefix: format!("kgen/{run}") }
    }

    /// One script for all machines of Systems Manager, whose agent names the instance. A program that can be asked to end is,
    /// when the file `stop` appears in its folder: cancelling the command would kill it before it could report.
    pub fn for_instances(&self, tasks: &[Task]) -> String {
        let cases: String =
            tasks.iter().map(|task| format!("{}) part={};;\n", shell_quoted(&task.machine), task.part)).collect();
        let program = match self.stop {
            None => format!("{}\n", self.program),
            Some(_) => format!(
                "[ ! -e stop ] || {{ echo 'stopped before it began' >&2; exit 130; }}\n{}",
                self.watched("while [ ! -e stop ]; do sleep 0.5; done", "", "")
            ),
        };
        format!(
            "case \"${{AWS_SSM_INSTANCE_ID:-}}\" in\n{cases}\
             *) echo \"no part is meant for ${{AWS_SSM_INSTANCE_ID:-an instance without AWS_SSM_INSTANCE_ID}}\" >&2; exit 64;;\n\
             esac\n{}{program}",
            self.before
        )
    }

    /// The script for one host, which asks the program to end when standard input ends: the connection is gone then, or the
    /// driver wants no more.
    pub fn for_host(&self, task: &Task) -> String {
        // A program in the background has no standard input of its own; the descriptor 3 keeps it for the watch.
        let program = self.watched("cat <&3 >/dev/null", " 3<&-", "exec 3<&-\n");
        format!("part={}\n{}exec 3<&0\n{program}", task.part, self.before)
    }

    /// The program in the background, which is asked to end when the commands of `watch` have ended.
    fn watched(&self, watch: &str, redirected: &str, then: &str) -> String {
        format!(
            "{} </dev/null{redirected} &\nload=$!\n{{ {watch}; kill -TERM $load; }} >/dev/null 2>&1 &\nwatch=$!\n{then}\
             wait $load; code=$?\nkill $watch 2>/dev/null\nexit $code\n",
            self.program
        )
    }
}

/// Writes `text` to the file `name`.
fn here(name: &str, text: &str, run: &str) -> String {
    format!("cat >{} <<'END_OF_{run}' || exit 73\n{}\nEND_OF_{run}\n", shell_word(name), text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_machine_finds_its_part() {
        let tasks: Vec<Task> = (0..2).map(|part| Task { machine: format!("i-{part}"), part }).collect();
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1234);
        let arguments = ["produce", "--header", "a=it's"].map(str::to_owned);
        let work = Work {
            run: "00ff".into(),
            arguments: arguments.to_vec(),
            file: Some(("mix.toml".into(), "drain = \"1s\"\n".into())),
            duration: Duration::ZERO,
            end_within: Duration::ZERO,
            start_in: Duration::ZERO,
            demand: Default::default(),
        };
        let script = Script::load(&work, 2, start);
        let text = script.for_instances(&tasks);
        assert!(text.contains("\ncat >mix.toml <<'END_OF_00ff' || exit 73\ndrain = \"1s\"\nEND_OF_00ff\n"), "{text}");
        assert!(text.contains("'i-0') part=0;;\n'i-1') part=1;;\n"), "{text}");
        let program = r#"kgen --project . produce --header 'a=it'\''s' --part "$part/2" --start-at 1234 --run-id 00ff"#;
        assert!(text.contains(&format!("\n{program} </dev/null &\n")), "{text}");
        let stop = script.stop.as_ref().unwrap().for_instances(&tasks);
        assert!(stop.contains("/kgen-load-00ff-$part\n") && stop.ends_with(": >\"$dir/stop\"\n"), "{stop}");
        let host = script.for_host(&tasks[1]);
        assert!(host.starts_with("part=1\n") && host.contains(&format!("{program} </dev/null")), "{host}");
    }
}
