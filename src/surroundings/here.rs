//! The stack, the lab, the Terraform and the clusters that kgen could work with from a folder.

use std::{env, fs, path::Path, time::Duration};

use tokio::time::timeout;

use crate::{
    aws::{self, Aws},
    cli::Which,
    files::bounded,
    lab::install,
    project::Project,
    sandbox,
    selection::look,
    terraform::Terraform,
    watch::runtime,
};

/// How long AWS may take to name the clusters.
const CLUSTERS_WITHIN: Duration = Duration::from_secs(8);

/// The most Terraform files of a folder that are looked at.
const MOST_FILES: usize = 200;

/// What was found in a folder, and what its machine and account have for it.
#[derive(Debug, Default)]
pub struct Here {
    /// The cluster that kgen.toml describes, if there is one: name, brokers.
    pub stack: Option<(String, String)>,
    /// Whether Terraform that kgen did not write has an MSK cluster in this folder.
    pub foreign: bool,
    /// Where the lab of this project answers.
    pub lab: Option<String>,
    /// Region, then the names of its clusters or why they are not known.
    pub clusters: Option<Listed>,
    /// What the demo lacks.
    pub lacks: Vec<&'static str>,
}

/// A region and the names of its clusters, or why they could not be listed.
pub type Listed = (String, Result<Vec<String>, String>);

impl Here {
    /// Looks around in `dir`, the folder of `project`.
    ///
    /// # Errors
    /// The system has no resources for asking AWS.
    pub fn look(dir: &Path, project: &Project) -> anyhow::Result<Here> {
        let kgen_toml = project.kgen_toml().exists();
        let cluster = project.stack().cluster();
        let stack =
            kgen_toml.then(|| (cluster.name.clone(), format!("{} × {}", cluster.broker_count, cluster.broker_type)));
        let lab = sandbox::lab::folder(project).running().ok().flatten().map(|running| running.endpoint);
        let clusters = clusters(project)?;
        Ok(Here { stack, foreign: has_foreign_cluster(dir), clusters, lab, lacks: lacks() })
    }
}

/// Whether a Terraform file in `dir` itself defines an MSK cluster.
fn has_foreign_cluster(dir: &Path) -> bool {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == "tf")).take(MOST_FILES);
    files.any(|file| {
        bounded::text(&file, bounded::TEXT_BYTES).is_ok_and(|text| text.contains("resource \"aws_msk_cluster\""))
    })
}

/// The clusters that the credentials can see; nothing where there are no credentials.
fn clusters(project: &Project) -> anyhow::Result<Option<Listed>> {
    runtime()?.block_on(async {
        // No region and no cluster that is meant: nothing to list.
        let Ok(target) = look::target(&Which::default(), project, false).await else { return Ok(None) };
        let region = target.region.name;
        if aws::credentials(&region).await.is_err() {
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
    if install::ensure_system(env::consts::OS).is_err() {
        lacks.push("Linux");
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terraform_of_others_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!has_foreign_cluster(dir.path()));
        fs::write(dir.path().join("main.tf"), "resource \"aws_msk_cluster\" \"this\" {}\n").unwrap();
        assert!(has_foreign_cluster(dir.path()));
        assert!(!has_foreign_cluster(&dir.path().join("none")));
    }
}
