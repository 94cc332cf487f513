//! `kgen` without a command, on a terminal: what can be done here, and the command for each.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::timeout;

use super::{look, out};
use crate::{
    aws::Aws,
    cli::{Outcome, Which, refused},
    files::bounded,
    lab::install,
    project::Project,
    sandbox,
    terraform::Terraform,
    visible,
    watch::runtime,
};

/// How long AWS may take to name the clusters.
const CLUSTERS_WITHIN: Duration = Duration::from_secs(8);

/// The most Terraform files of a folder that are looked at.
const MOST_FILES: usize = 200;

/// What was found.
#[derive(Debug, Default)]
struct Here {
    /// The cluster that kgen.toml describes, if there is one: name, brokers.
    stack: Option<(String, String)>,
    /// Whether Terraform that kgen did not write has an MSK cluster in this folder.
    foreign: bool,
    /// Where the lab of this project answers.
    lab: Option<String>,
    /// Region, then the names of its clusters or why they are not known.
    clusters: Option<Listed>,
    /// What the demo lacks.
    lacks: Vec<&'static str>,
}

pub fn run() -> anyhow::Result<Outcome> {
    let dir = env::var_os("KGEN_PROJECT").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let project = Project::open(&dir).map_err(refused)?;
    let kgen_toml = project.kgen_toml().exists();
    let cluster = project.stack().cluster();
    let stack =
        kgen_toml.then(|| (cluster.name.clone(), format!("{} × {}", cluster.broker_count, cluster.broker_type)));
    let lab = sandbox::lab::folder(&project).running().ok().flatten().map(|running| running.endpoint);
    let here = Here { stack, foreign: has_foreign_cluster(&dir), clusters: clusters(&project)?, lab, lacks: lacks() };
    let names = here.clusters.iter().filter_map(|(_, listed)| listed.as_ref().ok()).flatten();
    names.chain(here.stack.iter().map(|(name, _)| name)).for_each(|name| out::learn_cluster(name));
    println!("{}", text(&here));
    Ok(Outcome::Done)
}

/// Whether a Terraform file in `dir` itself defines an MSK cluster.
fn has_foreign_cluster(dir: &Path) -> bool {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == "tf")).take(MOST_FILES);
    files.any(|file| {
        bounded::text(&file, bounded::TEXT_BYTES).is_ok_and(|text| text.contains("resource \"aws_msk_cluster\""))
    })
}

/// A region and the names of its clusters, or why they could not be listed.
type Listed = (String, Result<Vec<String>, String>);

/// The clusters that the credentials can see; nothing where there are no credentials.
fn clusters(project: &Project) -> anyhow::Result<Option<Listed>> {
    runtime()?.block_on(async {
        // No region and no cluster that is meant: nothing to list.
        let Ok(target) = look::target(&Which::default(), project, false).await else { return Ok(None) };
        let region = target.region.name;
        if crate::aws::credentials(&region).await.is_err() {
            return Ok(None);
        }
        let aws = Aws::connect(&region).await;
        let listed = match timeout(CLUSTERS_WITHIN, aws.clusters()).await {
            Ok(Ok(found)) => Ok(found.into_iter().map(|cluster| cluster.name).collect()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", CLUSTERS_WITHIN.as_secs())),
        };
        Ok(Some((region, listed)))
    })
}

/// What a demo needs and cannot fetch by itself.
fn lacks() -> Vec<&'static str> {
    let mut lacks = Vec::new();
    if Terraform::find(None).is_err() {
        lacks.push("terraform");
    }
    if install::find_java().is_err() {
        lacks.push("java");
    }
    if !matches!(install::installed_moto(), Ok(Some(_))) && which::which("python3").is_err() {
        lacks.push("python3");
    }
    lacks
}

/// A line for each thing that can be done, the nearest first.
fn text(here: &Here) -> String {
    let mut lines =
        vec![format!("kgen {}: diagnose, resize and prove Amazon MSK clusters\n", env!("CARGO_PKG_VERSION"))];
    let mut row = |what: String, command: &str| lines.push(format!("  {command:<28}  {what}"));
    if let Some((name, brokers)) = &here.stack {
        row(format!("the stack of kgen.toml: {}, {brokers}", visible::line(name)), "kgen plan");
    }
    if here.foreign {
        row("change the broker type in the Terraform of this folder".to_owned(), "kgen resize TYPE --dir .");
    }
    if let Some(endpoint) = &here.lab {
        row(format!("the lab of this folder runs at {endpoint}"), "kgen lab status");
    }
    match &here.clusters {
        Some((region, Ok(names))) if names.is_empty() => {
            row(format!("no cluster in {region}; --all-regions looks further"), "kgen clusters");
        }
        Some((region, Ok(names))) => {
            let shown: Vec<String> = names.iter().take(3).map(|name| visible::line(name).into_owned()).collect();
            let more = if names.len() > shown.len() { ", …" } else { "" };
            row(format!("clusters in {region}: {} ({}{more})", names.len(), shown.join(", ")), "kgen clusters");
            row(
                "what is wrong with one of them, and the fix".to_owned(),
                &format!("kgen diagnose --cluster {}", shown[0]),
            );
        }
        Some((region, Err(why))) => {
            row(format!("the clusters in {region} cannot be listed: {}", visible::line(why)), "kgen doctor --for aws");
        }
        None => row("no AWS credentials or region were found".to_owned(), "kgen doctor --for aws"),
    }
    match &here.lacks[..] {
        [] => row("the whole story on this machine, without AWS (4 minutes)".to_owned(), "kgen demo"),
        lacks => {
            row(format!("a demo on this machine needs {} first", lacks.join(" and ")), "kgen doctor --for lab --fix")
        }
    }
    if here.stack.is_none() {
        row("write a kgen.toml, from answers or from a cluster".to_owned(), "kgen init");
    }
    lines.push("\n`kgen --help` lists every command.".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(names: &[&str]) -> Option<Listed> {
        Some(("eu-west-1".to_owned(), Ok(names.iter().map(|name| (*name).to_owned()).collect())))
    }

    #[test]
    fn an_empty_folder_without_credentials_has_the_demo() {
        insta::assert_snapshot!(text(&Here::default()).replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r"
        kgen VERSION: diagnose, resize and prove Amazon MSK clusters

          kgen doctor --for aws         no AWS credentials or region were found
          kgen demo                     the whole story on this machine, without AWS (4 minutes)
          kgen init                     write a kgen.toml, from answers or from a cluster

        `kgen --help` lists every command.
        ");
    }

    #[test]
    fn what_is_there_comes_first() {
        let here = Here {
            stack: Some(("orders".to_owned(), "3 × kafka.t3.small".to_owned())),
            foreign: true,
            lab: Some("http://127.0.0.1:4566".to_owned()),
            clusters: clusters(&["a", "b", "c", "d"]),
            lacks: vec!["java"],
        };
        insta::assert_snapshot!(text(&here).replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r"
        kgen VERSION: diagnose, resize and prove Amazon MSK clusters

          kgen plan                     the stack of kgen.toml: orders, 3 × kafka.t3.small
          kgen resize TYPE --dir .      change the broker type in the Terraform of this folder
          kgen lab status               the lab of this folder runs at http://127.0.0.1:4566
          kgen clusters                 clusters in eu-west-1: 4 (a, b, c, …)
          kgen diagnose --cluster a     what is wrong with one of them, and the fix
          kgen doctor --for lab --fix   a demo on this machine needs java first

        `kgen --help` lists every command.
        ");
    }

    #[test]
    fn no_cluster_and_no_answer_are_told_apart() {
        let none = text(&Here { clusters: clusters(&[]), ..Here::default() });
        assert!(none.contains("no cluster in eu-west-1"), "{none}");
        let denied = Some(("eu-west-1".to_owned(), Err("not authorized".to_owned())));
        let denied = text(&Here { clusters: denied, ..Here::default() });
        assert!(denied.contains("cannot be listed: not authorized"), "{denied}");
    }

    #[test]
    fn terraform_of_others_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!has_foreign_cluster(dir.path()));
        fs::write(dir.path().join("main.tf"), "resource \"aws_msk_cluster\" \"this\" {}\n").unwrap();
        assert!(has_foreign_cluster(dir.path()));
        assert!(!has_foreign_cluster(&dir.path().join("none")));
    }
}
