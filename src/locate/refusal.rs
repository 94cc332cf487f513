//! Why nothing is changed: what was found, where, and what to edit by hand.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::{
    Located, Question,
    clusters::{Cluster, Clusters, is_broker_type},
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

impl Refusal {
    pub fn plain(what: &str) -> Refusal {
        Refusal { what: what.to_owned(), findings: Vec::new(), advice: "edit the broker type by hand".to_owned() }
    }

    pub fn unreadable(path: &Path, error: &io::Error) -> Refusal {
        Refusal {
            advice: "name a folder with Terraform in it with --dir".to_owned(),
            ..Refusal::plain(&format!("{} cannot be read: {error}", path.display()))
        }
    }

    /// `why` goes on after the path.
    pub fn unread(path: &Path, why: &str) -> Refusal {
        let advice = "what it sets is not known: make it readable, or run kgen as a user who may read it";
        Refusal { advice: advice.to_owned(), ..Refusal::plain(&format!("{} {why}", path.display())) }
    }

    pub fn broken(path: &Path, error: &SyntaxError) -> Refusal {
        if error.is_unreadable() {
            return Refusal::unread(path, &error.message);
        }
        let what = format!("not valid, or not understood, at column {}: {}", error.column, error.message);
        Refusal {
            what: format!("{} cannot be read as Terraform", path.display()),
            findings: vec![Finding { file: Some(path.to_owned()), line: error.line, what }],
            advice:
                "what it sets cannot be told: mend it (`terraform validate` says more), or edit the broker type by hand"
                    .to_owned(),
        }
    }

    pub fn unchanged(located: &Located, to: &str) -> Refusal {
        let finding =
            Finding { file: Some(located.edit.file.clone()), line: located.edit.line, what: format!("sets {to}") };
        Refusal {
            what: format!("the broker type of {} already is {to}", located.address),
            findings: vec![finding],
            advice: "there is nothing to change".to_owned(),
        }
    }

    pub fn not_proven(located: &Located, why: &str) -> Refusal {
        let edit = &located.edit;
        let what = format!("sets {:?}; replaced here, this came out: {why}", edit.old);
        Refusal {
            what: format!("the broker type of {} cannot be changed in one place", located.address),
            findings: vec![Finding { file: Some(edit.file.clone()), line: edit.line, what }],
            advice: "edit it by hand".to_owned(),
        }
    }

    pub fn no_cluster(tree: &Tree, clusters: &Clusters, question: &Question<'_>) -> Refusal {
        let dir = question.dir.display();
        let mut findings: Vec<Finding> = clusters.found.iter().map(|cluster| cluster_finding(tree, cluster)).collect();
        findings.extend(
            clusters
                .others
                .iter()
                .map(|(place, what)| Finding::at(tree, place, format!("`{}`: {what}", heading(tree, place)))),
        );
        let (what, advice) = match question.cluster {
            Some(name) if !clusters.found.is_empty() => (
                format!("no cluster {name} in {dir}"),
                "name one of these with --cluster: its address or its cluster_name",
            ),
            _ => (
                format!("no aws_msk_cluster in {dir} or in the modules that it calls"),
                "name another folder with --dir; if one of these modules makes the cluster, edit its argument by hand, or run terraform init, so that it can be read",
            ),
        };
        Refusal { what, findings, advice: advice.to_owned() }
    }

    pub fn several(tree: &Tree, clusters: &[&Cluster]) -> Refusal {
        Refusal {
            what: format!("there are {} clusters", clusters.len()),
            findings: clusters.iter().map(|cluster| cluster_finding(tree, cluster)).collect(),
            advice: "name one with --cluster: its address or its cluster_name".to_owned(),
        }
    }

    pub fn of_cluster(tree: &Tree, cluster: &Cluster, what: &str, stop: &Stop) -> Refusal {
        let mut findings: Vec<Finding> =
            cluster.met.trail.iter().map(|(place, what)| Finding::at(tree, place, what.clone())).collect();
        // In a circle the way is long; its beginning tells enough.
        findings.truncate(MOST_SHOWN / 2);
        findings.push(Finding::of_stop(tree, stop));
        let mut candidates = cluster.met.strings.iter().filter(|place| is_broker_type(tree, place)).peekable();
        let advice = match candidates.peek() {
            None => format!("edit by hand what {} gets as its broker type", cluster.address),
            Some(_) => "edit by hand the one of these that counts".to_owned(),
        };
        findings.extend(
            candidates.map(|place| Finding::at(tree, place, format!("{} may be what counts", short(tree, place)))),
        );
        findings.dedup();
        Refusal { what: format!("{} ({}): {what}", cluster.address, super::at(tree, &cluster.place)), findings, advice }
    }

    pub fn shared(tree: &Tree, cluster: &Cluster, place: &Place, sharing: &[&Cluster]) -> Refusal {
        let mut findings =
            vec![Finding::at(tree, place, format!("{} sets the type of all of them", short(tree, place)))];
        findings.extend(sharing.iter().map(|other| cluster_finding(tree, other)));
        Refusal {
            what: format!("the broker type of {} is also that of other clusters", cluster.address),
            findings,
            advice: "edit it by hand if all are to change; else give this cluster a value of its own first".to_owned(),
        }
    }

    pub fn unnamed_files(cluster: &Cluster, findings: Vec<Finding>) -> Refusal {
        Refusal {
            what: format!(
                "the broker type of {} depends on which file of variables terraform is given",
                cluster.address
            ),
            findings,
            advice: "name the file, as for terraform: --var-file FILE".to_owned(),
        }
    }
}

fn cluster_finding(tree: &Tree, cluster: &Cluster) -> Finding {
    let name = cluster.name.as_ref().map(|name| format!(" named {name}")).unwrap_or_default();
    let what = match &cluster.broker_type {
        Ok(text) => format!("of type {}", text.text),
        Err(stop) => match &stop.place {
            Some(place) if *place != cluster.place => {
                format!("whose type cannot be told: `{}` {}", short(tree, place), stop.why)
            }
            _ => format!("whose type cannot be told: it {}", stop.why),
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

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        for finding in self.findings.iter().take(MOST_SHOWN) {
            write!(f, "\n  ")?;
            if let Some(file) = &finding.file {
                write!(f, "{}:{}: ", file.display(), finding.line)?;
            }
            write!(f, "{}", finding.what)?;
        }
        if self.findings.len() > MOST_SHOWN {
            write!(f, "\n  and {} more", self.findings.len() - MOST_SHOWN)?;
        }
        write!(f, "\nnothing was changed: {}", self.advice)
    }
}

impl std::error::Error for Refusal {}
