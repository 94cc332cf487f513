//! Opens the cluster that the arguments select, for `watch`, `diagnose` and the commands that change a cluster.

use std::{path::Path, time::Duration};

use anyhow::Context as _;

use crate::{
    aws::{self, Aws, ClusterInfo},
    cli::{Look, SourceChoice, Which, refused},
    diagnose::Context,
    edge,
    project::Project,
    sample::Sample,
    stack::{Stack, settings::Origin},
    watch::{self, Naming, Place, Regions, Request, Target, View, Wanted},
};

pub use crate::watch::{Opened, collected, refresh, runtime};

/// Time between two samples from inside.
pub const INSIDE_INTERVAL: Duration = Duration::from_secs(1);

/// Opens the cluster that a command of the project changes: `look` over the stack. Changes nothing.
pub async fn open(look: &Look, stack: &Stack, place: &Place) -> anyhow::Result<Opened> {
    let name = look.cluster.as_deref().unwrap_or(&stack.cluster().name);
    let target = Target::known(name, look.region.as_deref().unwrap_or(stack.region()));
    opened(look, target, place).await
}

/// Opens the cluster that the arguments, the environment or the project name. Changes nothing.
pub async fn open_named(look: &Look, project: &Project) -> anyhow::Result<(Opened, Naming)> {
    let target = target(&look.which(), project, look.targets.is_some()).await?;
    // Without a project there is no Terraform that could be changed.
    let terraform_dir = (!target.is_foreign).then(|| project.terraform_dir());
    let opened = opened(look, target, &Place::Environment).await?;
    let naming = Naming {
        cluster: look.cluster.clone(),
        region: look.region.clone(),
        look: look.options(),
        is_outside: opened.seen == watch::Seen::Outside,
        terraform_dir,
    };
    if let Some(because) = &opened.because {
        edge::message(format_args!("view: {}, as {because}\n", opened.seen.describe()));
    }
    Ok((opened, naming))
}

async fn opened(look: &Look, target: Target, place: &Place) -> anyhow::Result<Opened> {
    target.name().into_iter().for_each(edge::learn_cluster);
    let opened = watch::open(&request(look, target), place).await.map_err(refused)?;
    edge::learn_context(&opened.context);
    opened.notes.iter().for_each(|note| edge::message(format_args!("note: {note}\n")));
    Ok(opened)
}

fn request(look: &Look, target: Target) -> Request {
    Request {
        target,
        view: match look.source {
            SourceChoice::Auto => View::Best,
            SourceChoice::Prometheus => View::Inside,
            SourceChoice::Cloudwatch => View::Outside,
        },
        targets: look.targets.clone(),
        interval: look.interval.unwrap_or(INSIDE_INTERVAL),
        delay: look.delay,
    }
}

/// Which cluster is meant by the arguments, the environment and the project. `is_stacks` if it can only be the stack's where
/// none is named.
///
/// # Errors
/// Refused: what is named contradicts itself.
pub async fn target(which: &Which, project: &Project, is_stacks: bool) -> anyhow::Result<Target> {
    let stack = project.stack();
    let has_project = is_stacks
        || project.kgen_toml().exists()
        || project.terraform_dir().is_dir()
        || project.variable_for("cluster.name").is_some();
    let wanted = Wanted {
        cluster: which.cluster.clone(),
        regions: regions(which.region.as_deref(), project).await.map_err(refused)?,
        of_project: has_project.then(|| stack.cluster().name.clone()),
        region_of_project: stack.region().to_owned(),
    };
    wanted.target().map_err(refused)
}

/// The cluster that is meant, and the clients of its region.
///
/// # Errors
/// Refused: it is not clear which is meant, or it cannot be found.
pub async fn found(which: &Which, project: &Project) -> anyhow::Result<(Target, Aws, ClusterInfo)> {
    let target = target(which, project, false).await?;
    target.name().into_iter().for_each(edge::learn_cluster);
    let aws = Place::Environment.aws(&target.region.name).await;
    let mut notes = Vec::new();
    let info = watch::found(&target, &aws, &mut notes).await.map_err(refused)?;
    edge::learn_cluster(&info.name);
    notes.iter().for_each(|note| edge::message(format_args!("note: {note}\n")));
    Ok((target, aws, info))
}

/// Every place that names a region.
async fn regions(flag: Option<&str>, project: &Project) -> anyhow::Result<Regions> {
    let set = |name: &'static str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let settings = project.settings().context("reading the settings")?;
    let origin = settings.into_iter().find(|setting| setting.key == "region").map(|setting| setting.origin);
    let region = project.stack().region().to_owned();
    let own = matches!(origin, Some(Origin::Environment)).then(|| ("KGEN_REGION", region.clone()));
    let of_aws = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().filter_map(|name| Some((name, set(name)?)));
    let profile = set("AWS_PROFILE").or_else(|| set("AWS_DEFAULT_PROFILE"));
    let (named, default) = match &profile {
        Some(profile) => (aws::region_of_profile(profile).await, None),
        None => (None, aws::region_of_profile("default").await),
    };
    Ok(Regions {
        flag: flag.map(str::to_owned),
        variables: own.into_iter().chain(of_aws).collect(),
        profile: named,
        kgen_toml: matches!(origin, Some(Origin::KgenToml { .. })).then(|| region.clone()),
        default_profile: default,
        default: region,
    })
}

/// How printed commands name the cluster: without the project's Terraform where it is not the project's.
pub fn naming(project: &Project, cluster: &str, region: &str) -> Naming {
    let stack = project.stack();
    let is_own = cluster == stack.cluster().name && region == stack.region();
    if is_own { Naming::of_project(&project.terraform_dir()) } else { Naming::default() }
}

/// Samples of a run's record, or that `kgen watch --json` wrote, and the cluster as it was at the last of them.
pub fn recorded(path: &Path) -> anyhow::Result<(Context, Vec<Sample>)> {
    let recorded = watch::recorded(path, &mut edge::learn_context).map_err(refused)?;
    Ok((recorded.context, recorded.samples))
}
