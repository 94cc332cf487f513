//! The progress of terraform, as lines on standard error, with spinners on a terminal.

use std::{collections::HashMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{
    change::human,
    edge,
    outcome::{Outcome, refused},
    terraform::{
        Seen, TerraformError,
        plan::{Action, Plan},
        progress::{Event, Severity, Summary},
    },
};

/// Draws while it lives; what it has printed stays.
pub struct Progress {
    spinners: Option<MultiProgress>,
    phase: Option<ProgressBar>,
    resources: HashMap<String, ProgressBar>,
    ended: Vec<EndedResource>,
}

/// A resource that terraform has ended with.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct EndedResource {
    pub address: String,
    pub action: Action,
    pub done: bool,
    pub seconds: u64,
}

impl Progress {
    /// Shows a plan and, where it would be applied, the file that it would be applied from.
    pub fn plan(&mut self, plan: &Plan, is_applied: bool) {
        self.clear();
        self.line(&plan.changes.to_string());
        if is_applied && plan.has_changes() {
            let here = std::env::current_dir().unwrap_or_default();
            let file = plan.file().strip_prefix(here).unwrap_or(plan.file());
            self.line(&format!("plan file: {} (SHA-256 {})", file.display(), plan.checksum()));
        }
    }

    pub fn new() -> Progress {
        let spinners = (!edge::is_holding()).then(MultiProgress::new);
        // Without a terminal, or on one that cannot move its cursor (TERM), spinners are not drawn, and neither is what is
        // printed above them.
        let spinners = spinners.filter(|spinners| !spinners.is_hidden());
        Progress { spinners, phase: None, resources: HashMap::new(), ended: Vec::new() }
    }

    /// Names what is in progress from now on, such as `planning`.
    pub fn phase(&mut self, name: &'static str) {
        match &self.spinners {
            Some(spinners) => {
                let spinner = self.phase.get_or_insert_with(|| spinner(spinners));
                spinner.set_message(name);
                spinner.reset_elapsed();
            }
            None => self.line(name),
        }
    }

    /// Prints a line, above the spinners where some are drawn.
    pub fn line(&self, text: &str) {
        let is_drawing = self.phase.is_some() || !self.resources.is_empty();
        match self.spinners.as_ref().filter(|_| is_drawing) {
            // The terminal may be gone, and terraform must be waited for all the same.
            Some(spinners) => drop(spinners.println(edge::leaving(text))),
            None => edge::message(format_args!("{text}\n")),
        }
    }

    /// Shows diagnostics and nothing else.
    pub fn show_diagnostics(&mut self, seen: &Seen) {
        if let Seen::Event(Event::Diagnostic(_)) = seen {
            self.show(seen);
        }
    }

    /// Prints what happens inside a resource that is worked on, and keeps it beside its spinner.
    pub fn detail(&self, address: &str, text: &str) {
        self.line(&format!("{address}: {text}"));
        if let Some(spinner) = self.resources.get(address) {
            spinner.set_message(edge::leaving(&format!("{address}: {text}")));
        }
    }

    /// The resources that terraform has ended with, as it ended with them.
    pub fn ended(&self) -> &[EndedResource] {
        &self.ended
    }

    /// Ends all spinners.
    pub fn clear(&mut self) {
        self.resources.drain().for_each(|(_, spinner)| spinner.finish_and_clear());
        if let Some(spinner) = self.phase.take() {
            spinner.finish_and_clear();
        }
    }

    pub fn show(&mut self, seen: &Seen) {
        match seen {
            Seen::StoppingSoon => {
                self.line("interrupted: terraform will be stopped as soon as it has started. Please wait")
            }
            Seen::Stopping => self.line("interrupted: terraform is stopping, which may take a while. Please wait"),
            Seen::StillStopping => {
                self.line(
                    "terraform is still stopping; a second interrupt could lose its state, so it was not passed on",
                );
            }
            Seen::Event(event) => self.event(event),
            Seen::Looked => {}
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { address, action } => {
                self.line(&format!("{address}: {}", doing(*action)));
                if let Some(spinners) = &self.spinners {
                    let spinner = spinner(spinners);
                    spinner.set_message(edge::leaving(&format!("{address}: {}", doing(*action))));
                    self.resources.insert(address.clone(), spinner);
                }
            }
            // On a terminal the spinner shows it. Elsewhere once a minute is enough after the first.
            Event::StillRunning { address, action, elapsed }
                if self.spinners.is_none() && (elapsed.as_secs() < 60 || elapsed.as_secs() % 60 < 10) =>
            {
                self.line(&format!("{address}: still {}, {}", doing(*action), human(*elapsed)));
            }
            Event::Done { address, action, elapsed, id } => {
                self.end(address, *action, *elapsed, true);
                let id = id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
                self.line(&format!("{address}: {} after {}{id}", done(*action), human(*elapsed)));
            }
            Event::Errored { address, action, elapsed } => {
                self.end(address, *action, *elapsed, false);
                self.line(&format!("{address}: failed {} after {}", doing(*action), human(*elapsed)));
            }
            Event::Provisioner { address, text } => self.line(&format!("{address}: {text}")),
            Event::Diagnostic(diagnostic) if diagnostic.severity != Severity::Other => {
                self.line(&diagnostic.to_string())
            }
            Event::Message(text) if self.spinners.is_none() => self.line(text),
            Event::Summary(Summary { operation, add, change, remove, .. }) if operation != "plan" => {
                self.line(&format!("{operation} complete: {add} created, {change} updated, {remove} destroyed"));
            }
            _ => {}
        }
    }

    /// What a failed terraform command means for how kgen ends.
    pub fn failed(&mut self, error: TerraformError) -> anyhow::Result<Outcome> {
        self.clear();
        match error {
            TerraformError::Interrupted { .. } => {
                self.line(&format!("{error}; run the same kgen command again to continue"));
                Ok(Outcome::Interrupted)
            }
            // Where plans are kept, something is in the way: terraform was not started.
            error @ TerraformError::PlanFile { .. } => Err(refused(error)),
            error => Err(error.into()),
        }
    }

    fn end(&mut self, address: &str, action: Action, elapsed: Duration, done: bool) {
        self.ended.push(EndedResource { address: address.to_owned(), action, done, seconds: elapsed.as_secs() });
        if let Some(spinner) = self.resources.remove(address) {
            spinner.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn spinner(spinners: &MultiProgress) -> ProgressBar {
    let spinner = spinners.add(ProgressBar::new_spinner());
    spinner.set_style(
        ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

fn doing(action: Action) -> &'static str {
    match action {
        Action::Create => "creating",
        Action::Update => "updating",
        Action::Delete => "destroying",
        Action::Replace => "replacing",
        Action::Read => "reading",
        _ => "working",
    }
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Delete => "destroyed",
        Action::Replace => "replaced",
        Action::Read => "read",
        _ => "done",
    }
}
