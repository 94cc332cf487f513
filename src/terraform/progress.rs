//! Terraform's machine-readable output (`-json`, UI version 1) as events.
//!
//! Reads only: unknown kinds of message are passed over, and a line that is not JSON stays text.

use std::{fmt, time::Duration};

use serde::Deserialize;

use super::plan::Action;
use crate::visible::line;

/// One line of terraform's output.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Planned, with the reason where terraform names one, such as `tainted`.
    Planned {
        address: String,
        action: Action,
        reason: Option<String>,
    },
    /// Found to be other than the state says.
    Drifted {
        address: String,
        action: Action,
    },
    Refreshing {
        address: String,
    },
    Refreshed {
        address: String,
    },
    Started {
        address: String,
        action: Action,
    },
    /// Sent every ten seconds while a resource is worked on.
    StillRunning {
        address: String,
        action: Action,
        elapsed: Duration,
    },
    Done {
        address: String,
        action: Action,
        elapsed: Duration,
        id: Option<String>,
    },
    Errored {
        address: String,
        action: Action,
        elapsed: Duration,
    },
    /// A line that a provisioner printed.
    Provisioner {
        address: String,
        text: String,
    },
    Summary(Summary),
    /// What `init` is doing.
    Message(String),
    Diagnostic(Box<Diagnostic>),
    /// Not JSON: a crash, or a warning that terraform prints before it knows of `-json`.
    Text(String),
}

/// How many resources a plan or an apply is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Summary {
    pub operation: String,
    pub add: u64,
    pub change: u64,
    pub remove: u64,
    #[serde(default)]
    pub import: u64,
}

/// An error or a warning, with the place it is about. Displayed whole.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub summary: String,
    #[serde(default)]
    pub detail: String,
    pub address: Option<String>,
    pub range: Option<Range>,
    pub snippet: Option<Snippet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Range {
    pub filename: String,
    pub start: Position,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Position {
    pub line: u64,
}

/// The lines of HCL that a diagnostic is about.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Snippet {
    pub context: Option<String>,
    pub code: String,
    pub start_line: u64,
    #[serde(default)]
    pub values: Vec<SnippetValue>,
}

/// What an expression in the snippet stands for, such as `var.x` and `is "a"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SnippetValue {
    pub traversal: String,
    pub statement: String,
}

impl Event {
    /// Reads one line. Returns nothing for an empty one and for messages that say nothing a person waits for.
    pub fn parse(line: &str) -> Option<Event> {
        let text = line.trim_end();
        if text.is_empty() {
            return None;
        }
        let Ok(message) = serde_json::from_str::<Message>(text) else { return Some(Event::Text(text.to_owned())) };
        message.event()
    }
}

/// The fields that the messages have between them.
#[derive(Deserialize)]
struct Message {
    r#type: Option<String>,
    #[serde(rename = "@message", default)]
    message: String,
    hook: Option<Hook>,
    change: Option<Change>,
    changes: Option<Summary>,
    diagnostic: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Hook {
    resource: Resource,
    action: Option<Action>,
    #[serde(default)]
    elapsed_seconds: f64,
    id_value: Option<String>,
    output: Option<String>,
}

#[derive(Deserialize)]
struct Change {
    resource: Resource,
    action: Action,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Resource {
    addr: String,
}

impl Message {
    fn event(self) -> Option<Event> {
        match self.r#type.as_deref()? {
            "planned_change" => {
                let Change { resource, action, reason } = self.change?;
                Some(Event::Planned { address: resource.addr, action, reason })
            }
            "resource_drift" => {
                let Change { resource, action, .. } = self.change?;
                Some(Event::Drifted { address: resource.addr, action })
            }
            "change_summary" => self.changes.map(Event::Summary),
            "diagnostic" => self.diagnostic.map(|diagnostic| Event::Diagnostic(Box::new(diagnostic))),
            "init_output" => (!self.message.is_empty()).then_some(Event::Message(self.message)),
            kind => self.hook?.event(kind),
        }
    }
}

impl Hook {
    fn event(self, kind: &str) -> Option<Event> {
        let address = self.resource.addr;
        let action = self.action.unwrap_or(Action::Unknown);
        let elapsed = Duration::try_from_secs_f64(self.elapsed_seconds).unwrap_or_default();
        match kind {
            "refresh_start" => Some(Event::Refreshing { address }),
            "refresh_complete" => Some(Event::Refreshed { address }),
            "apply_start" => Some(Event::Started { address, action }),
            "apply_progress" => Some(Event::StillRunning { address, action, elapsed }),
            "apply_complete" => Some(Event::Done { address, action, elapsed, id: self.id_value }),
            "apply_errored" => Some(Event::Errored { address, action, elapsed }),
            "provision_progress" => Some(Event::Provisioner { address, text: self.output? }),
            _ => None,
        }
    }
}

impl Diagnostic {
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Whether `terraform init` is what is missing.
    pub fn wants_init(&self) -> bool {
        const SUMMARIES: [&str; 6] = [
            "Inconsistent dependency lock file",
            "Required plugins are not installed",
            "Module not installed",
            "Module source has changed",
            "Missing required provider",
            "initialization required",
        ];
        SUMMARIES.iter().any(|summary| self.summary.contains(summary))
    }

    /// What to do about it, where the message alone does not say so to someone who uses kgen.
    pub fn advice(&self) -> Option<String> {
        let summary = self.summary.as_str();
        if summary.contains("plan is stale") {
            return Some("nothing was changed: run the command again to create a new plan".into());
        }
        if summary.contains("acquiring the state lock") {
            let id = self.detail.lines().find_map(|line| line.trim().strip_prefix("ID:")).map_or("ID", str::trim);
            return Some(format!(
                "another run is using this state (Who and Created identify it): wait until it has ended. Only if it \
                 crashed, run `terraform force-unlock {id}` in the same folder, then run the command again"
            ));
        }
        if summary.contains("persist state") || summary.contains("save state") || summary.contains("write state") {
            return Some(
                "what was created is recorded in errored.tfstate: fix the cause, then run `terraform state push \
                 errored.tfstate`"
                    .into(),
            );
        }
        if summary.contains("query available provider packages") || summary.contains("install provider") {
            return Some(
                "the provider could not be downloaded: check the network and the proxy settings, or configure a \
                 mirror in terraform's CLI configuration (`provider_installation`, TF_CLI_CONFIG_FILE)"
                    .into(),
            );
        }
        if summary.contains("No valid credential sources") || self.detail.contains("No valid credential sources") {
            return Some(
                "sign in to AWS first (`aws sso login` or AWS_PROFILE), or for the lab: `eval \"$(kgen lab env)\"`"
                    .into(),
            );
        }
        let exists = ["ConflictException", "AlreadyExists", "already exists"];
        if exists.iter().any(|word| summary.contains(word) || self.detail.contains(word)) {
            let address = self.address.as_deref().unwrap_or("ADDRESS");
            return Some(format!(
                "it exists but is not in the state, for example because the call that created it was interrupted. If \
                 it is yours, run `terraform import '{address}' ID` in the same folder (ID: its ARN, or as documented \
                 by the provider); otherwise choose another name"
            ));
        }
        self.wants_init().then(|| "run `terraform init` in the same folder".into())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Other => "note",
        };
        write!(f, "{severity}: {}", line(self.summary.trim_end()))?;
        if let Some(address) = &self.address {
            write!(f, "\n  with {}", line(address))?;
        }
        if let Some(range) = &self.range {
            write!(f, "\n  at {}:{}", line(&range.filename), range.start.line)?;
            if let Some(context) = self.snippet.as_ref().and_then(|snippet| snippet.context.as_ref()) {
                write!(f, ", in {}", line(context))?;
            }
        }
        if let Some(snippet) = &self.snippet {
            for (number, code) in (snippet.start_line..).zip(snippet.code.lines()) {
                write!(f, "\n  {number:>4} | {code}")?;
            }
            for value in &snippet.values {
                write!(f, "\n       {} {}", line(&value.traversal), line(&value.statement))?;
            }
        }
        for detail in self.detail.trim_end().lines() {
            write!(f, "\n  {detail}")?;
        }
        if let Some(advice) = self.advice() {
            write!(f, "\n  what to do: {advice}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(kind: &str, rest: &str) -> String {
        format!(r#"{{"@level":"info","@message":"m","type":"{kind}","hook":{{"resource":{{"addr":"a.b"}}{rest}}}}}"#)
    }

    #[test]
    fn every_line_is_an_event_or_passed_over() {
        let check = |line: &str, expected: Option<Event>| assert_eq!(Event::parse(line), expected, "{line}");
        let (address, action) = ("a.b".to_owned(), Action::Update);
        let elapsed = Duration::from_secs(70);
        check("", None);
        check("panic: oh no", Some(Event::Text("panic: oh no".into())));
        check(r#"{"type":"diagnostic""#, Some(Event::Text(r#"{"type":"diagnostic""#.into())));
        check(r#"{"type":"version","ui":"1.2"}"#, None);
        check(r#"{"type":"of_the_future","hook":{"resource":{"addr":"a.b"}}}"#, None);
        check(r#"{"no":"type"}"#, None);
        check(r#"{"type":"planned_change"}"#, None);
        check(&hook("apply_start", r#","action":"update""#), Some(Event::Started { address: address.clone(), action }));
        check(
            &hook("apply_progress", r#","action":"update","elapsed_seconds":70"#),
            Some(Event::StillRunning { address: address.clone(), action, elapsed }),
        );
        check(
            &hook("apply_complete", r#","action":"update","elapsed_seconds":70,"id_value":"x""#),
            Some(Event::Done { address: address.clone(), action, elapsed, id: Some("x".into()) }),
        );
        check(
            &hook("apply_errored", r#","action":"conjure","elapsed_seconds":-1"#),
            Some(Event::Errored { address: address.clone(), action: Action::Unknown, elapsed: Duration::ZERO }),
        );
        check(
            r#"{"type":"planned_change","change":{"resource":{"addr":"a.b"},"action":"replace","reason":"tainted"}}"#,
            Some(Event::Planned { address: address.clone(), action: Action::Replace, reason: Some("tainted".into()) }),
        );
        check(
            r#"{"type":"change_summary","changes":{"add":1,"change":2,"remove":3,"operation":"plan"}}"#,
            Some(Event::Summary(Summary { operation: "plan".into(), add: 1, change: 2, remove: 3, import: 0 })),
        );
    }

    fn diagnostic(json: &str) -> Diagnostic {
        match Event::parse(&format!(r#"{{"type":"diagnostic","diagnostic":{json}}}"#)) {
            Some(Event::Diagnostic(diagnostic)) => *diagnostic,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_diagnostic_is_shown_whole() {
        let shown = diagnostic(
            r#"{"severity":"error","summary":"Invalid value","detail":"Too\nlong.","address":"a.b",
                "range":{"filename":"m.tf","start":{"line":3,"column":1,"byte":9}},
                "snippet":{"context":"resource \"a\" \"b\"","code":"  x = var.y","start_line":3,
                           "values":[{"traversal":"var.y","statement":"is \"z\""}]}}"#,
        )
        .to_string();
        let expected = "error: Invalid value\n  with a.b\n  at m.tf:3, in resource \"a\" \"b\"\n     3 |   x = var.y\n       \
                        var.y is \"z\"\n  Too\n  long.";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_to_do_is_said() {
        let check = |summary: &str, detail: &str, expected: &str| {
            let json = serde_json::json!({"severity": "error", "summary": summary, "detail": detail});
            let advice = diagnostic(&json.to_string()).advice().unwrap_or_default();
            assert!(advice.contains(expected), "{summary}: {advice}");
        };
        check("Saved plan is stale", "", "create a new plan");
        check("Error acquiring the state lock", "Lock Info:\n  ID:        0a-1\n  Who: me", "force-unlock 0a-1`");
        check("Inconsistent dependency lock file", "", "terraform init");
        check("Backend initialization required, please run \"terraform init\"", "", "terraform init");
        check("Failed to query available provider packages", "", "provider_installation");
        check("creating MSK Cluster (demo): ConflictException: exists", "", "terraform import 'ADDRESS' ID");
        check("Failed to persist state to backend", "", "errored.tfstate");
        assert_eq!(diagnostic(r#"{"severity":"error","summary":"Unsupported argument"}"#).advice(), None);
    }
}
