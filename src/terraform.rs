//! Terraform or OpenTofu: one method for each of its commands.
//!
//! If terraform is killed during an apply, it loses track of what it created. So it runs in its own process group,
//! writes to a file instead of a pipe, gets at most one SIGINT, and is never killed; it even outlives kgen. What a
//! person sees of it is drawn by the caller, from [`Seen`].

mod difference;
mod guard;
mod listing;
mod obstacles;
pub mod plan;
mod price;
pub mod progress;
mod saved;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    process::{Interrupts, Logged, LoggedError, PROBE, Running, Tool, ToolError, absolute},
    visible::line,
};
pub use guard::NotInPlace;
pub use listing::Listing;
use plan::{Changes, Plan};
pub use price::price;
use progress::{Diagnostic, Event};
pub use saved::Checksum;
use saved::PlanFile;

/// How often the log and the state of a running terraform are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long a locked state is waited for unless another time is given: longer than a plan of someone else takes to
/// begin.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long terraform may take to print a plan or the outputs, which it may have to fetch from a state that is kept elsewhere.
const READ_WITHIN: Duration = Duration::from_secs(600);

/// A terraform program and the working directory that it is used on.
#[derive(Debug, Clone)]
pub struct Terraform {
    tool: Tool,
    /// Where plans and the log are kept; apart from the working directory, which belongs in version control.
    state_dir: PathBuf,
    /// How long it waits for a state that another run has locked.
    lock_timeout: Duration,
    /// What plans are given with `-var-file`, in this order.
    var_files: Vec<PathBuf>,
    /// What plans are given with `-var` after that, as `NAME=VALUE`.
    variables: Vec<String>,
}

/// A lock under which terraform is planned and applied: while it lives, no other kgen does so in the same folder.
pub trait Exclusive: fmt::Debug {}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// What the configuration says.
    Apply,
    /// Nothing left.
    Destroy,
}

/// What there is to show while terraform works.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Event(Event),
    /// This process was interrupted before terraform heeds that. It is passed on as soon as it does.
    StoppingSoon,
    /// This process was interrupted, and passed that on: terraform stops when it safely can.
    Stopping,
    /// It was interrupted again, and that was not passed on.
    StillStopping,
    /// Nothing new: sent at each look, so that whoever watches can show what else is in progress.
    Looked,
}

/// Takes what is seen, as it is seen.
pub type Watch<'a> = &'a mut dyn FnMut(&Seen);

/// One output of the configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Output {
    pub value: Value,
    #[serde(default)]
    pub sensitive: bool,
}

/// Why a terraform command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    #[error(
        "neither terraform nor tofu is on the PATH (install one of them, or set --terraform-bin or KGEN_TERRAFORM_BIN)"
    )]
    NotFound,
    #[error("there is no program {} (set by --terraform-bin or KGEN_TERRAFORM_BIN)", .0.display())]
    NoSuchProgram(PathBuf),
    #[error("{}", busy(.0))]
    Busy(Running),
    #[error("`{}` ended with {}", .0.command_line, .0.how())]
    Failed(Box<EndedCommand>),
    /// It stopped because kgen was interrupted. What it had made is in the state, unless a diagnostic said otherwise.
    #[error("`{command_line}` was interrupted and has stopped")]
    Interrupted { command_line: String },
    #[error("reading the output of `{command_line}`: {source}")]
    Unreadable { command_line: String, source: serde_json::Error },
    #[error("there is no output {0} (`kgen output` lists them; before the first `kgen apply` there are none)")]
    NoOutput(String),
    #[error("{}: {source}", path.display())]
    PlanFile { path: PathBuf, source: std::io::Error },
    #[error(
        "{} is not the plan that was shown: it {how}. Nothing was applied; run the command again to create a new plan",
        path.display()
    )]
    OtherPlan { path: PathBuf, how: String },
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: std::io::Error },
    #[error(transparent)]
    Log(LoggedError),
}

fn busy(running: &Running) -> String {
    if running.known_pid().is_none() {
        return format!("{} is still writing to terraform's log: wait until it has ended", running.command_line);
    }
    format!(
        "`{}` (process {}), started earlier, is still running: wait until it has ended. To stop it, send it only one \
         interrupt (`kill -INT {}`); if it is killed, it loses track of what it created",
        running.command_line, running.pid, running.pid
    )
}

impl From<LoggedError> for TerraformError {
    fn from(error: LoggedError) -> TerraformError {
        match error {
            LoggedError::Busy(running) => TerraformError::Busy(running),
            LoggedError::Tool(error) => TerraformError::Tool(error),
            error => TerraformError::Log(error),
        }
    }
}

/// How a command ended that was watched.
#[derive(Debug)]
pub struct EndedCommand {
    pub command_line: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub diagnostics: Vec<Diagnostic>,
    /// What it printed that was not JSON.
    text: Vec<String>,
    interrupted: bool,
    log: PathBuf,
}

impl EndedCommand {
    /// Its exit code and, in short, why. The diagnostics themselves were seen by whoever watched.
    fn how(&self) -> String {
        let code = self.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        let errors: Vec<_> =
            self.diagnostics.iter().filter(|found| found.is_error()).map(|error| line(&error.summary)).collect();
        let why = match &errors[..] {
            [] if self.text.is_empty() => String::new(),
            [] => format!(":\n{}\n", self.text[self.text.len().saturating_sub(20)..].join("\n")),
            [only] => format!(": {only}"),
            [first, ..] => format!(": {first} (and {} more)", errors.len() - 1),
        };
        format!("{code}{why} (its complete output is in {})", self.log.display())
    }
}

impl Terraform {
    /// The program to use: the one named, else `terraform`, else `tofu`, from the PATH.
    ///
    /// # Errors
    /// There is none.
    pub fn find(named: Option<&Path>) -> Result<PathBuf, TerraformError> {
        match named {
            Some(program) => which::which(program).map_err(|_| TerraformError::NoSuchProgram(program.to_owned())),
            None => which::which("terraform").or_else(|_| which::which("tofu")).map_err(|_| TerraformError::NotFound),
        }
    }

    /// The version that `program` tells, such as `1.12.2`; `None` when it tells none.
    pub fn version(program: &Path) -> Option<String> {
        let tool = Tool::new(program, ".").env("CHECKPOINT_DISABLE", "1").within(PROBE);
        let told = tool.stdout(["version", "-json"]).ok()?;
        let told: Value = serde_json::from_str(&told).ok()?;
        told["terraform_version"].as_str().map(str::to_owned)
    }

    /// `program`, used on the working directory `dir`; plans and the log are kept in `state_dir`.
    pub fn new(program: &Path, dir: &Path, state_dir: &Path) -> Terraform {
        let tool = Tool::new(program, dir).env("TF_IN_AUTOMATION", "1").env("CHECKPOINT_DISABLE", "1");
        Terraform {
            tool,
            state_dir: absolute(state_dir),
            lock_timeout: LOCK_TIMEOUT,
            var_files: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// This terraform, waiting so long for a state that another run has locked.
    pub fn with_lock_timeout(self, lock_timeout: Duration) -> Terraform {
        Terraform { lock_timeout, ..self }
    }

    /// This terraform, with these files of variables for its plans.
    pub fn with_var_files(self, files: &[PathBuf]) -> Terraform {
        Terraform { var_files: files.iter().map(|file| absolute(file)).collect(), ..self }
    }

    /// This terraform, with these variables for its plans.
    pub fn with_variables(self, variables: &[(String, String)]) -> Terraform {
        Terraform { variables: variables.iter().map(|(name, value)| format!("{name}={value}")).collect(), ..self }
    }

    /// This terraform with more variables in its environment.
    pub fn with_env(mut self, variables: &[(String, String)]) -> Terraform {
        for (name, value) in variables {
            self.tool = self.tool.env(name, value);
        }
        self
    }

    /// The program that is run.
    pub fn program(&self) -> &Path {
        self.tool.program()
    }

    /// Fetches the providers.
    ///
    /// # Errors
    /// See [`TerraformError`].
    pub fn init(&self, watch: Watch<'_>) -> Result<(), TerraformError> {
        let ended = self.watched(&["init", "-json", "-input=false", "-no-color"].map(OsString::from), watch)?;
        match ended.code {
            Some(0) if !ended.interrupted => Ok(()),
            _ => Err(ended.into()),
        }
    }

    /// Saves a plan in a file of its own and reads what it would change. Initialises the working directory when that is
    /// missing. Plans that killed runs have left are removed.
    ///
    /// # Errors
    /// See [`TerraformError`].
    pub fn plan<'lock>(
        &self,
        goal: Goal,
        _alone: &'lock impl Exclusive,
        watch: Watch<'_>,
    ) -> Result<Plan<'lock>, TerraformError> {
        if let Some(running) = self.earlier() {
            return Err(TerraformError::Busy(running));
        }
        let at = |source| TerraformError::PlanFile { path: self.state_dir.clone(), source };
        saved::private_dir(&self.state_dir).map_err(at)?;
        saved::remove_left(&self.state_dir);
        let file = PlanFile::create(&self.state_dir).map_err(at)?;
        let has_changes = self.save(goal, &file, watch)?;
        let (changes, checksum) = self.shown(&file)?;
        Ok(Plan { changes, checksum, has_changes, file, lock: PhantomData })
    }

    /// Saves a plan in `file`, and returns whether it has anything to do.
    fn save(&self, goal: Goal, file: &PlanFile, watch: Watch<'_>) -> Result<bool, TerraformError> {
        let initialised = [".terraform", ".terraform.lock.hcl"].iter().all(|name| self.tool.dir().join(name).exists());
        if !initialised {
            self.init(watch)?;
        }
        let mut ended = self.planned(goal, file, watch)?;
        if ended.code == Some(1) && initialised && ended.diagnostics.iter().any(Diagnostic::wants_init) {
            self.init(watch)?;
            ended = self.planned(goal, file, watch)?;
        }
        match ended.code {
            // A plan that was interrupted late enough is complete, but whoever interrupted it does not want it.
            Some(0) if !ended.interrupted => Ok(false),
            Some(2) if !ended.interrupted => Ok(true),
            _ => Err(ended.into()),
        }
    }

    /// What the plan in `file` would change, and the checksum of the bytes that say so.
    fn shown(&self, file: &PlanFile) -> Result<(Changes, Checksum), TerraformError> {
        let other = |how| TerraformError::OtherPlan { path: file.path().to_owned(), how };
        let checksum = file.checksum().map_err(other)?;
        let changes = self.show(file.path())?;
        // Terraform has read it in between.
        file.ensure_is(&checksum).map_err(other)?;
        Ok((changes, checksum))
    }

    fn planned(&self, goal: Goal, file: &PlanFile, watch: Watch<'_>) -> Result<EndedCommand, TerraformError> {
        let mut args = ["plan", "-json", "-input=false", "-no-color"].map(OsString::from).to_vec();
        args.extend([self.lock_timeout_argument(), "-detailed-exitcode".into()]);
        args.extend((goal == Goal::Destroy).then(|| "-destroy".into()));
        args.extend(self.var_files.iter().map(|file| {
            let mut arg = OsString::from("-var-file=");
            arg.push(file);
            arg
        }));
        args.extend(self.variables.iter().map(|variable| format!("-var={variable}").into()));
        let mut out = OsString::from("-out=");
        out.push(file.path());
        args.push(out);
        self.watched(&args, watch)
    }

    /// What a saved plan would change.
    ///
    /// # Errors
    /// See [`TerraformError`].
    pub fn show(&self, plan: &Path) -> Result<Changes, TerraformError> {
        self.read(&["show".into(), "-json".into(), "-no-color".into(), plan.into()])
    }

    /// Applies exactly what was planned: the file has to be the one that was shown.
    ///
    /// # Errors
    /// See [`TerraformError`]. What was made before the failure is in the state.
    pub fn apply(&self, plan: &Plan<'_>, watch: Watch<'_>) -> Result<(), TerraformError> {
        let other = |how| TerraformError::OtherPlan { path: plan.file().to_owned(), how };
        plan.file.ensure_is(&plan.checksum).map_err(other)?;
        let mut args = ["apply", "-json", "-input=false", "-no-color"].map(OsString::from).to_vec();
        args.extend([self.lock_timeout_argument(), plan.file().into()]);
        let ended = self.watched(&args, watch)?;
        match ended.code {
            Some(0) => Ok(()),
            _ => Err(ended.into()),
        }
    }

    /// The outputs in the state, sensitive ones too.
    ///
    /// # Errors
    /// See [`TerraformError`].
    pub fn output(&self) -> Result<BTreeMap<String, Output>, TerraformError> {
        self.read(&["output".into(), "-json".into(), "-no-color".into()])
    }

    /// One output that is text.
    ///
    /// # Errors
    /// [`TerraformError::NoOutput`] when there is none of that name, or it is not text.
    pub fn text_output(&self, name: &str) -> Result<String, TerraformError> {
        match self.output()?.remove(name).map(|output| output.value) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(TerraformError::NoOutput(name.to_owned())),
        }
    }

    /// A terraform that an earlier kgen started here and that is still at work.
    pub fn earlier(&self) -> Option<Running> {
        Running::on(&self.log())
    }

    /// Shows what `earlier` prints until it has ended. An interrupt ends kgen, not the terraform that is watched.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub fn follow(&self, earlier: &Running, watch: Watch<'_>) -> Result<(), TerraformError> {
        let mut output = earlier.output().map_err(|source| TerraformError::Io { what: "reading its log", source })?;
        loop {
            let ended = earlier.ended();
            output
                .lines(ended)
                .iter()
                .filter_map(|line| Event::parse(line))
                .for_each(|event| watch(&Seen::Event(event)));
            if ended {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Everything that terraform printed, for a person to look up.
    pub fn log(&self) -> PathBuf {
        self.state_dir.join("terraform.jsonl")
    }

    fn lock_timeout_argument(&self) -> OsString {
        // Rust prints a time as Go reads it: `10s`, `500ms`, `1.5s`.
        format!("-lock-timeout={:?}", self.lock_timeout).into()
    }

    /// Runs a command that is short and changes nothing, and reads the document it prints.
    fn read<T: serde::de::DeserializeOwned>(&self, args: &[OsString]) -> Result<T, TerraformError> {
        let json = self.tool.clone().within(READ_WITHIN).stdout(args)?;
        serde_json::from_str(&json)
            .map_err(|source| TerraformError::Unreadable { command_line: self.tool.command_line(args), source })
    }

    /// Runs a command to its end, however long that takes, with its output in the log.
    fn watched(&self, args: &[OsString], watch: Watch<'_>) -> Result<EndedCommand, TerraformError> {
        let interrupts =
            Interrupts::hold().map_err(|source| TerraformError::Io { what: "taking interrupts", source })?;
        let mut run = Logged::start(&self.tool, args, &self.log())?;
        let (mut diagnostics, mut text, mut interrupted) = (Vec::new(), Vec::new(), 0);
        // An apply that is interrupted before it comes to its first resource says that it stops, and then makes everything
        // (seen with terraform 1.11.4). Another interrupt could cost its state, so the one is kept until it counts.
        let mut heeds = !args.iter().any(|arg| arg == "apply");
        let mut passed_on = false;
        let code = loop {
            let ended = run.ended().map_err(|source| TerraformError::Io { what: "waiting for terraform", source })?;
            for event in run.lines().iter().filter_map(|line| Event::parse(line)) {
                match &event {
                    Event::Diagnostic(diagnostic) => diagnostics.push((**diagnostic).clone()),
                    Event::Text(line) => text.push(line.clone()),
                    Event::Started { .. } => heeds = true,
                    _ => {}
                }
                watch(&Seen::Event(event));
            }
            if let Some(code) = ended {
                break code;
            }
            let count = interrupts.count();
            if count > 0 && heeds && !passed_on {
                run.interrupt();
                passed_on = true;
                watch(&Seen::Stopping);
            } else if count > 0 && interrupted == 0 && !heeds {
                watch(&Seen::StoppingSoon);
            }
            if count > interrupted.max(1) {
                watch(&Seen::StillStopping);
            }
            interrupted = count;
            watch(&Seen::Looked);
            std::thread::sleep(LOOK);
        };
        let command_line = run.running().command_line.clone();
        let interrupted = interrupts.count() > 0;
        if interrupted {
            // Who presses Ctrl-C five times may press the last ones now. kgen is about to end, with an exit code of its own.
            std::mem::forget(interrupts);
        }
        Ok(EndedCommand { command_line, code, diagnostics, text, interrupted, log: self.log() })
    }
}

impl From<EndedCommand> for TerraformError {
    fn from(ended: EndedCommand) -> TerraformError {
        match ended.interrupted {
            true => TerraformError::Interrupted { command_line: ended.command_line },
            false => TerraformError::Failed(Box::new(ended)),
        }
    }
}
