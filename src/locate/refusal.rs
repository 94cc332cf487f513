//! Why nothing was changed: what was found, where, and what to do next.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::{
    Located, Question,
    clusters::{Clusters, Condition, LocatedCluster, Other, is_broker_type},
    syntax::{Place, SyntaxError},
    tree::Tree,
    value::Stop,
};

/// Findings that are shown of one kind.
const MOST_SHOWN: usize = 12;

/// A refusal. Displayed over several lines: what, each finding with its place, what to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub what: String,
    pub findings: Vec<Finding>,
    /// What to edit by hand, or to say on the command line.
    pub advice: String,
    /// Broker types that are in the files of the folder.
    pub literals: Vec<Finding>,
    /// The next command.
    pub next: Option<String>,
}

/// Something that was found, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub file: Option<PathBuf>,
    /// Counted from 1.
    pub line: usize,
    pub what: String,
}

impl Finding {
    pub fn at(tree: &Tree, place: &Place, what: impl Into<String>) -> Finding {
        let file = &tree.files[place.file];
        Finding { file: Some(file.path.clone()), line: file.line(place.start), what: what.into() }
    }

    /// What stands at the place of the stop, and why it stops there.
    pub fn of_stop(tree: &Tree, stop: &Stop) -> Finding {
        match &stop.place {
            None => Finding { file: None, line: 0, what: stop.why.clone() },
            Some(place) => Finding::at(tree, place, format!("`{}` {}", short(tree, place), stop.why)),
        }
    }
}

/// What a file of variables sets.
#[derive(Debug, Clone)]
pub struct Setting {
    pub file: PathBuf,
    pub line: usize,
    pub variable: String,
}

impl Setting {
    pub fn finding(&self) -> Finding {
        let what = format!("sets {} when this file is named with -var-file", self.variable);
        Finding { file: Some(self.file.clone()), line: self.line, what }
    }
}

impl Refusal {
    pub fn plain(what: &str) -> Refusal {
        Refusal {
            what: what.to_owned(),
            findings: Vec::new(),
            advice: "edit the broker type by hand".to_owned(),
            literals: Vec::new(),
            next: None,
        }
    }

    /// With what is in the folder, for a person to continue with.
    pub fn with_literals(mut self, literals: Vec<Finding>, plan: String) -> Refusal {
        let is_shown = |literal: &Finding| {
            self.findings.iter().any(|shown| shown.file == literal.file && shown.line == literal.line)
        };
        self.literals = literals.iter().filter(|literal| !is_shown(literal)).cloned().collect();
        self.next.get_or_insert(plan);
        self
    }

    /// What was found, without what there is to do.
    pub fn summary(&self) -> String {
        let first = self.findings.first().map(|finding| format!(": {}", finding.what)).unwrap_or_default();
        format!("{}{first}", self.what)
    }

    pub fn next(self, command: String) -> Refusal {
        Refusal { next: Some(command), ..self }
    }

    pub fn unreadable(path: &Path, error: &io::Error) -> Refusal {
        Refusal {
            advice: "choose a readable Terraform folder with --dir".to_owned(),
            ..Refusal::plain(&format!("{} cannot be read: {error}", path.display()))
        }
    }

    /// Of a file or folder that is there and cannot be read.
    pub fn not_read(path: &Path, error: &io::Error) -> Refusal {
        Refusal::unread(path, &format!("cannot be read: {error}"))
    }

    /// `why` continues after the path.
    pub fn unread(path: &Path, why: &str) -> Refusal {
        let advice = "it is unknown what it sets: make it readable, or run kgen as a user who can read it";
        Refusal { advice: advice.to_owned(), ..Refusal::plain(&format!("{} {why}", path.display())) }
    }

    pub fn broken(path: &Path, error: &SyntaxError) -> Refusal {
        if error.is_unreadable() {
            return Refusal::unread(path, &error.message);
        }
        let what = format!("invalid or unsupported at column {}: {}", error.column, error.message);
        Refusal {
            findings: vec![Finding { file: Some(path.to_owned()), line: error.line, what }],
            advice: "correct it, or edit the broker type by hand: kgen cannot determine what that file sets".to_owned(),
            ..Refusal::plain(&format!("{} cannot be read as Terraform", path.display()))
        }
    }

    pub fn unchanged(located: &Located, to: &str) -> Refusal {
        let finding =
            Finding { file: Some(located.edit.file.clone()), line: located.edit.line, what: format!("sets {to}") };
        Refusal {
            findings: vec![finding],
            advice: "there is nothing to change".to_owned(),
            ..Refusal::plain(&format!("the broker type of {} already is {to}", located.address))
        }
    }

    pub fn not_proven(located: &Located, why: &str) -> Refusal {
        let edit = &located.edit;
        let what = format!("sets {:?}; replacing it here had this result: {why}", edit.old);
        Refusal {
            findings: vec![Finding { file: Some(edit.file.clone()), line: edit.line, what }],
            advice: "edit it by hand".to_owned(),
            ..Refusal::plain(&format!("the broker type of {} cannot be changed in one place", located.address))
        }
    }

    /// A condition that the new type does not meet.
    pub fn not_allowed(tree: &Tree, cluster: &LocatedCluster, condition: &Condition, to: &str) -> Refusal {
        let message = match condition.message.is_empty() {
            true => String::new(),
            false => format!(": {}", condition.message),
        };
        let what = format!("`{}` is then false{message}", short(tree, &condition.place));
        Refusal {
            findings: vec![Finding::at(tree, &condition.place, what)],
            advice: format!("allow {to} there, or choose another type"),
            ..Refusal::plain(&format!("{to} is not allowed for {}", cluster.address))
        }
    }

    pub fn no_cluster(tree: &Tree, clusters: &Clusters, question: &Question<'_>) -> Refusal {
        let dir = question.dir.display();
        let mut findings: Vec<Finding> = clusters.found.iter().map(|cluster| cluster_finding(tree, cluster)).collect();
        findings.extend(clusters.others.iter().flat_map(|other| other_findings(tree, other)));
        let switch =
            clusters.others.iter().find_map(|other| other.switch.as_ref().filter(|switch| switch.makes_cluster));
        let (what, advice) = match (question.cluster, switch) {
            (Some(name), _) if !clusters.found.is_empty() => (
                format!("no cluster {name} in {dir}"),
                "choose one of these with --cluster (its address or its cluster_name)",
            ),
            (_, Some(_)) => (
                format!("no cluster in {dir}: the only one is switched off"),
                "set the variable that switches it on, with --var or TF_VAR_…, as for terraform",
            ),
            _ => (
                format!("no aws_msk_cluster in {dir} or in the modules that it calls"),
                "choose another folder with --dir; if one of these modules creates the cluster, edit its argument by \
                 hand, or run terraform init, so that kgen can read it",
            ),
        };
        let refusal = Refusal { findings, advice: advice.to_owned(), ..Refusal::plain(&what) };
        let on = switch
            .and_then(|switch| switch.deciders.iter().find_map(|decider| Some((decider.variable.clone()?, decider))));
        match (clusters.found.first(), on) {
            (Some(found), _) if question.cluster.is_some() => {
                refusal.next(question.command(&format!(" --cluster {}", quoted(&found.address))))
            }
            (_, Some((name, decider))) => {
                refusal.next(question.command(&format!(" --var {name}={}", opposite(&decider.value))))
            }
            _ if clusters.others.iter().any(|other| other.is_remote) => refusal.next(question.terraform("init")),
            _ => refusal,
        }
    }

    pub fn several(tree: &Tree, clusters: &[&LocatedCluster], question: &Question<'_>) -> Refusal {
        let refusal = Refusal {
            findings: clusters.iter().map(|cluster| cluster_finding(tree, cluster)).collect(),
            advice: "choose one with --cluster (its address or its cluster_name), or change all of them with --all"
                .to_owned(),
            ..Refusal::plain(&format!("there are {} clusters", clusters.len()))
        };
        match clusters.first() {
            Some(first) => refusal.next(question.command(&format!(" --cluster {}", quoted(&first.address)))),
            None => refusal,
        }
    }

    pub fn of_cluster(tree: &Tree, cluster: &LocatedCluster, what: &str, stop: &Stop) -> Refusal {
        let mut findings: Vec<Finding> =
            cluster.met.trail.iter().map(|(place, what)| Finding::at(tree, place, what.clone())).collect();
        // In a circle the way is long; its beginning tells enough.
        findings.truncate(MOST_SHOWN / 2);
        findings.push(Finding::of_stop(tree, stop));
        let mut candidates = cluster.met.strings.iter().filter(|place| is_broker_type(tree, place)).peekable();
        let advice = match candidates.peek() {
            None => format!("edit the broker type of {} by hand", cluster.address),
            Some(_) => "edit the one that applies by hand".to_owned(),
        };
        findings.extend(
            candidates
                .map(|place| Finding::at(tree, place, format!("{} may be the one that applies", short(tree, place)))),
        );
        findings.dedup();
        let what = format!("{} ({}): {what}", cluster.address, super::at(tree, &cluster.place));
        Refusal { findings, advice, ..Refusal::plain(&what) }
    }

    pub fn shared(tree: &Tree, cluster: &LocatedCluster, place: &Place, sharing: &[&LocatedCluster]) -> Refusal {
        let mut findings =
            vec![Finding::at(tree, place, format!("{} sets the type of all of them", short(tree, place)))];
        findings.extend(sharing.iter().map(|other| cluster_finding(tree, other)));
        Refusal {
            findings,
            advice: "change all clusters with --all; or first give this cluster its own value".to_owned(),
            ..Refusal::plain(&format!("other clusters share the broker type of {}", cluster.address))
        }
    }

    pub fn unnamed_files(cluster: &LocatedCluster, settings: &[Setting], question: &Question<'_>) -> Refusal {
        let what = format!("the broker type of {} depends on the variable file that terraform gets", cluster.address);
        let refusal = Refusal {
            findings: settings.iter().map(Setting::finding).collect(),
            advice: "give the file, as for terraform: --var-file FILE".to_owned(),
            ..Refusal::plain(&what)
        };
        match settings.first() {
            Some(setting) => refusal.next(question.command(&format!(" --var-file {}", quoted_path(&setting.file)))),
            None => refusal,
        }
    }

    /// The folder is a module, and who calls it decides.
    pub fn no_root(address: &str, question: &Question<'_>, mut findings: Vec<Finding>, caller: &Path) -> Refusal {
        findings.dedup();
        let dir = question.dir.display();
        let refusal = Refusal {
            findings,
            advice: "choose the configuration that calls it with --dir".to_owned(),
            ..Refusal::plain(&format!(
                "the configurations that call {dir} as a module decide the broker type of \
                                       {address}"
            ))
        };
        refusal.next(format!("kgen resize {} --dir {}", question.to, quoted_path(caller)))
    }
}

/// What a block is that makes no cluster, and what would switch it on.
fn other_findings(tree: &Tree, other: &Other) -> Vec<Finding> {
    let mut found = vec![Finding::at(tree, &other.place, format!("`{}`: {}", heading(tree, &other.place), other.what))];
    let Some(switch) = &other.switch else { return found };
    let what = format!("`{}` decides how many there are", short(tree, &switch.place));
    found.push(Finding::at(tree, &switch.place, what));
    for decider in &switch.deciders {
        let how = match &decider.variable {
            Some(name) => {
                format!("; switch it on with --var {name}={0} or TF_VAR_{name}={0}", opposite(&decider.value))
            }
            None => String::new(),
        };
        found.push(Finding::at(tree, &switch.place, format!("it depends on {}{how}", decider.what)));
    }
    found
}

/// What a switch is to be given instead.
fn opposite(value: &str) -> &str {
    match value.trim_matches('"') {
        "false" => "true",
        "true" => "false",
        "0" => "1",
        "1" => "0",
        _ => "VALUE",
    }
}

/// For a shell, where that is needed.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "./_-=:,@".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

pub fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn cluster_finding(tree: &Tree, cluster: &LocatedCluster) -> Finding {
    let name = cluster.name.as_ref().map(|name| format!(" named {name}")).unwrap_or_default();
    let what = match &cluster.broker_type {
        Ok(text) => format!("of type {}", text.text),
        Err(stop) => match &stop.place {
            Some(place) if *place != cluster.place => {
                format!("whose type is unknown: `{}` {}", short(tree, place), stop.why)
            }
            _ => format!("whose type is unknown: it {}", stop.why),
        },
    };
    Finding::at(tree, &cluster.place, format!("{}{name}, {what}", cluster.address))
}

/// What stands at a place, on one line, cut.
fn short(tree: &Tree, place: &Place) -> String {
    tree.files[place.file].short(place, 70)
}

/// The first line of a block.
fn heading(tree: &Tree, place: &Place) -> String {
    let text = tree.files[place.file].text_at(place);
    text.lines().next().unwrap_or_default().trim_end_matches('{').trim().chars().take(70).collect()
}

fn list(f: &mut fmt::Formatter<'_>, findings: &[Finding]) -> fmt::Result {
    for finding in findings.iter().take(MOST_SHOWN) {
        write!(f, "\n  ")?;
        if let Some(file) = &finding.file {
            write!(f, "{}:{}: ", file.display(), finding.line)?;
        }
        write!(f, "{}", finding.what)?;
    }
    match findings.len() > MOST_SHOWN {
        true => write!(f, "\n  and {} more", findings.len() - MOST_SHOWN),
        false => Ok(()),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        list(f, &self.findings)?;
        if !self.literals.is_empty() {
            write!(f, "\nbroker types in these files:")?;
            list(f, &self.literals)?;
        }
        write!(f, "\nnothing was changed: {}", self.advice)?;
        match &self.next {
            Some(next) => write!(f, "\nnext: {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
