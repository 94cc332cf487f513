//! Machines reached by the system's ssh.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::{
    script::Script,
    task::{EndedBy, Progress, Ran, Task, now_ms},
};
use crate::{
    load::producer::TICK_SCHEMA,
    process::{Printed, Streamed, append_error, shell_quoted},
};

/// How often the programs are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long machines may take to end by themselves after they were asked to.
const END_WITHIN: Duration = Duration::from_secs(45);
/// What ssh itself ends with when there is no connection (ssh(1), "EXIT STATUS").
const NO_CONNECTION: i32 = 255;

/// ssh that asks nothing and notices a connection that is gone within 15 s.
const OPTIONS: [&str; 8] =
    ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"];

/// Hosts, as ssh takes them.
#[derive(Debug)]
pub struct Hosts {
    ssh: PathBuf,
    hosts: Vec<String>,
}

/// Names the form of a second of `kgen load --part`, a line of JSON.
pub const SECOND_SCHEMA: &str = "kgen.load-second/1";

/// A second of one machine, as far as it is shown.
#[derive(Debug, Clone, Deserialize)]
struct Second {
    schema: String,
    at_s: f64,
    offered_per_s: f64,
    acknowledged_per_s: f64,
}

/// A machine under way.
struct Under {
    program: Streamed,
    ran: Ran,
    newest: Option<Second>,
    has_ended: bool,
}

impl Hosts {
    /// Reads one host a line; `#` begins a comment.
    ///
    /// # Errors
    /// A host looks like an option, or is named twice.
    pub fn read(ssh: PathBuf, text: &str) -> anyhow::Result<Hosts> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let hosts: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
        for (number, host) in hosts.iter().enumerate() {
            if host.starts_with('-') || host.contains(char::is_whitespace) {
                bail!("{host:?} is no host: one a line, as ssh takes it");
            }
            if hosts[..number].contains(host) {
                bail!("the host {host} is named twice");
            }
        }
        Ok(Hosts { ssh, hosts })
    }

    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// As `Engine::run`.
    pub fn run(
        &self,
        tasks: &[Task],
        script: &Script,
        within: Duration,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Progress),
    ) -> anyhow::Result<Vec<Ran>> {
        let mut all = tasks.iter().map(|task| self.begin(task, script)).collect::<anyhow::Result<Vec<Under>>>()?;
        let (begun, mut told) = (Instant::now(), Instant::now());
        let mut asked_to_end: Option<Instant> = None;
        let mut ended_by = None;
        while all.iter().any(|under| !under.has_ended) {
            all.iter_mut().filter(|under| !under.has_ended).for_each(Under::look);
            if ended_by.is_none() {
                let time_out = (begun.elapsed() > within).then_some(EndedBy::TimeOut);
                ended_by = stop.load(Ordering::Relaxed).then_some(EndedBy::Interrupt).or(time_out);
            }
            if asked_to_end.is_none() && ended_by.is_some() {
                all.iter_mut().for_each(|under| under.program.close());
                asked_to_end = Some(Instant::now());
            }
            if asked_to_end.is_some_and(|at| at.elapsed() > END_WITHIN) {
                all.iter_mut().filter(|under| !under.has_ended).for_each(Under::give_up);
            }
            if told.elapsed() >= Duration::from_secs(1) {
                told = Instant::now();
                summed(&all).into_iter().for_each(&mut *tell);
            }
            sleep(LOOK);
        }
        Ok(all.into_iter().map(|under| Ran { ended_by, ..under.ran }).collect())
    }

    fn begin(&self, task: &Task, script: &Script) -> anyhow::Result<Under> {
        let command = format!("sh -c {}", shell_quoted(&script.for_host(task)));
        let words = OPTIONS.into_iter().chain([task.machine.as_str(), command.as_str()]).map(OsString::from);
        let program = Streamed::start(&self.ssh, words);
        let program = program.with_context(|| format!("starting {} (is ssh installed?)", self.ssh.display()))?;
        let ran = Ran {
            machine: task.machine.clone(),
            code: None,
            stdout: String::new(),
            stderr: String::new(),
            lost: None,
            ended_by: None,
            asked_ms: now_ms(),
            answered_ms: 0.0,
        };
        Ok(Under { program, ran, newest: None, has_ended: false })
    }
}

impl Under {
    fn look(&mut self) {
        while let Some(printed) = self.program.printed() {
            match printed {
                Printed::Line(line) => self.take(line),
                Printed::Error(line) => append_error(&mut self.ran.stderr, &line),
            }
        }
        let Some(code) = self.program.ended() else { return };
        self.has_ended = true;
        self.ran.code = code;
        if self.ran.answered_ms == 0.0 {
            self.ran.answered_ms = now_ms();
        }
        if code == Some(NO_CONNECTION) {
            let last = self.ran.stderr.trim_end().lines().next_back().unwrap_or("ssh has no connection");
            self.ran.lost = Some(last.to_owned());
        }
    }

    fn take(&mut self, line: String) {
        // The clock of the machine is read last, and its line arrives at once.
        self.ran.answered_ms = now_ms();
        let is_second = |second: &Second| [TICK_SCHEMA, SECOND_SCHEMA].contains(&second.schema.as_str());
        match serde_json::from_str::<Second>(&line).ok().filter(is_second) {
            Some(second) => self.newest = Some(second),
            None => {
                self.ran.stdout.push_str(&line);
                self.ran.stdout.push('\n');
            }
        }
    }

    fn give_up(&mut self) {
        self.program.kill();
        self.has_ended = true;
        self.ran.answered_ms = now_ms();
        self.ran.lost = Some("it did not end when it was asked to; its process may still run there".to_owned());
    }
}

fn summed(all: &[Under]) -> Option<Progress> {
    let newest: Vec<&Second> = all.iter().filter_map(|under| under.newest.as_ref()).collect();
    let sum = |of: fn(&Second) -> f64| newest.iter().map(|second| of(second)).sum();
    (!newest.is_empty()).then(|| Progress::Second {
        machines: newest.len(),
        at_s: newest.iter().map(|second| second.at_s).fold(0.0, f64::max),
        offered_per_s: sum(|second| second.offered_per_s),
        acknowledged_per_s: sum(|second| second.acknowledged_per_s),
    })
}
