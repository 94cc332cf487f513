//! A script with everything that it starts, which ends together: in a process namespace of its own where the machine allows,
//! otherwise in a process group.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::server::die_with_parent;

/// Starts a program in namespaces of its own: a process namespace, whose processes the kernel kills when the first of them
/// or `unshare` itself ends, and a mount namespace with its own /proc (util-linux, unshare(1)).
const NAMESPACES: [&str; 6] = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount", "--mount-proc"];

/// Beside them for whoever is not root.
const AS_USER: [&str; 2] = ["--user", "--map-root-user"];

/// How the processes of a script are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containment {
    /// None of them sees processes outside, and none outlives the script.
    ProcessNamespace,
    /// Ended together, except what leaves the group by itself (setsid).
    ProcessGroup,
}

impl Containment {
    /// What this machine allows; tried once.
    pub fn here() -> Containment {
        static HERE: OnceLock<Containment> = OnceLock::new();
        *HERE.get_or_init(|| {
            let words = namespaces();
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            match command.status().is_ok_and(|status| status.success()) {
                true => Containment::ProcessNamespace,
                false => Containment::ProcessGroup,
            }
        })
    }

    /// As `kgen lab status` says it.
    pub fn describe(self) -> &'static str {
        match self {
            Containment::ProcessNamespace => "a process namespace and a folder each",
            Containment::ProcessGroup => "a process group and a folder each",
        }
    }
}

fn namespaces() -> Vec<&'static str> {
    let is_root = rustix::process::geteuid().is_root();
    NAMESPACES.into_iter().chain(AS_USER.into_iter().filter(|_| !is_root)).collect()
}

/// What a program finds around it.
#[derive(Debug)]
pub struct Around<'a> {
    /// Its working directory.
    pub dir: &'a Path,
    /// All of its environment.
    pub env: &'a [(OsString, OsString)],
    /// Commands that change its namespaces, such as `mount`, run there before it. They need [`Containment::ProcessNamespace`].
    pub before: Option<&'a str>,
    /// It has no network, not even the loopback interface. Needs [`Containment::ProcessNamespace`], too.
    pub without_network: bool,
}

/// A POSIX shell script to run.
#[derive(Debug)]
pub struct Script<'a> {
    pub path: &'a Path,
    pub stdout: File,
    pub stderr: File,
    pub around: Around<'a>,
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Contained {
    child: Child,
    /// It is in a process group of its own.
    has_group: bool,
    ended: Option<ExitStatus>,
}

impl Around<'_> {
    /// `words` as a program of these namespaces.
    fn command(&self, words: &[&OsStr]) -> io::Result<Command> {
        let needs_namespaces = self.before.is_some() || self.without_network;
        let mut first: Vec<&OsStr> = match Containment::here() {
            Containment::ProcessNamespace => namespaces().into_iter().map(OsStr::new).collect(),
            Containment::ProcessGroup if needs_namespaces => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "this machine allows no namespaces (unshare)"));
            }
            Containment::ProcessGroup => Vec::new(),
        };
        first.extend(self.without_network.then_some(OsStr::new("--net")));
        let before = self.before.map(|before| format!("{before}\nexec \"$@\""));
        if let Some(before) = &before {
            first.extend(["sh", "-c", before, "sh"].map(OsStr::new));
        }
        first.extend(words);
        let (program, arguments) = first.split_first().ok_or_else(|| io::Error::other("there is no program"))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.dir).env_clear();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        die_with_parent(&mut command);
        Ok(command)
    }
}

impl Contained {
    /// Runs `script`. It dies with the thread that starts it.
    ///
    /// # Errors
    /// No shell can be started, or this machine cannot give the script the namespaces that it asks for.
    pub fn start(script: Script<'_>) -> io::Result<Contained> {
        let mut command = script.around.command(&["sh".as_ref(), script.path.as_os_str()])?;
        command.stdin(Stdio::null()).stdout(script.stdout).stderr(script.stderr).process_group(0);
        Ok(Contained { child: command.spawn()?, has_group: true, ended: None })
    }

    /// Runs a program with the terminal, or with the input and the outputs, of this process. It dies with the thread that starts
    /// it. Without namespaces, what it leaves in the background stays.
    ///
    /// # Errors
    /// As [`Contained::start`].
    pub fn attach(words: &[&OsStr], around: Around<'_>) -> io::Result<Contained> {
        // A group of its own could not read from the terminal.
        Ok(Contained { child: around.command(words)?.spawn()?, has_group: false, ended: None })
    }

    /// Its exit code if it has ended, 128 and the signal if one ended it.
    pub fn ended(&mut self) -> Option<i32> {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            // What it left in the background ends with it. Its group's number is its own as long as members live.
            self.kill_group();
            self.ended = Some(status);
        }
        let code = |status: ExitStatus| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        self.ended.map(code)
    }

    /// Ends it with all that it started.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            self.kill_group();
            // Of a group of its own it is a member.
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }

    fn kill_group(&self) {
        if let Some(group) = Pid::from_raw(self.child.id() as i32).filter(|_| self.has_group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        time::{Duration, Instant},
    };

    use super::*;

    fn start(dir: &Path, script: &str) -> Contained {
        start_in(dir, script, None, false).unwrap()
    }

    fn start_in(dir: &Path, script: &str, before: Option<&str>, without_network: bool) -> io::Result<Contained> {
        fs::write(dir.join("script"), script).unwrap();
        let file = |name: &str| File::create(dir.join(name)).unwrap();
        let env = [("PATH".into(), std::env::var_os("PATH").unwrap()), ("MARK".into(), "m".into())];
        Contained::start(Script {
            path: &dir.join("script"),
            stdout: file("out"),
            stderr: file("err"),
            around: Around { dir, env: &env, before, without_network },
        })
    }

    fn code(contained: &mut Contained) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(code) = contained.ended() {
                return code;
            }
            assert!(begun.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Processes of this machine whose command line holds `mark`.
    fn alive(mark: &str) -> usize {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let line = |path: std::path::PathBuf| fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        processes.filter(|process| line(process.path()).contains(mark)).count()
    }

    #[test]
    fn output_and_code_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let mut contained = start(dir.path(), "echo \"$MARK${HOME:-}\"; echo oh >&2; pwd; exit 7");
        assert_eq!(code(&mut contained), 7);
        let text = |name| fs::read_to_string(dir.path().join(name)).unwrap();
        let dir = dir.path().canonicalize().unwrap();
        assert_eq!((text("out"), text("err").as_str()), (format!("m\n{}\n", dir.display()), "oh\n"));
    }

    #[test]
    fn nothing_that_it_started_stays() {
        for (ends_by_itself, length) in [(true, "98761"), (false, "98762")] {
            let dir = tempfile::tempdir().unwrap();
            let wait = if ends_by_itself { "" } else { "wait" };
            let script = format!("sleep {length} & (sleep {length} & sleep {length}) & echo ready; {wait}");
            let mut contained = start(dir.path(), &script);
            if ends_by_itself {
                assert_eq!(code(&mut contained), 0);
            } else {
                let begun = Instant::now();
                while alive(&format!("sleep\0{length}")) < 3 {
                    assert!(begun.elapsed() < Duration::from_secs(30));
                    std::thread::sleep(Duration::from_millis(10));
                }
                drop(contained);
            }
            let begun = Instant::now();
            while alive(&format!("sleep\0{length}")) > 0 {
                assert!(begun.elapsed() < Duration::from_secs(30), "processes of the script are left");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    #[test]
    fn what_changes_namespaces_changes_those_of_the_script_alone() {
        let dir = tempfile::tempdir().unwrap();
        let before = format!("mount -t tmpfs -o size=64k kgen {}/sub && touch {0}/sub/mark", dir.path().display());
        fs::create_dir(dir.path().join("sub")).unwrap();
        let started = start_in(dir.path(), "ls sub; grep -c : /proc/net/dev", Some(&before), true);
        if Containment::here() == Containment::ProcessGroup {
            assert_eq!(started.unwrap_err().kind(), io::ErrorKind::Unsupported);
            return;
        }
        assert_eq!(code(&mut started.unwrap()), 0, "{}", fs::read_to_string(dir.path().join("err")).unwrap());
        let out = fs::read_to_string(dir.path().join("out")).unwrap();
        // The loopback interface is there, but it is not up.
        assert_eq!(out, "mark\n1\n");
        assert!(!dir.path().join("sub/mark").exists());
    }
}
