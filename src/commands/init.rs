//! `kgen init`: writes a commented kgen.toml, from an existing cluster, from options or from answers.

use std::{io::IsTerminal as _, path::Path};

use anyhow::{Context as _, anyhow};

use super::{console::answer_to, look};
use crate::{
    aws::ClusterInfo,
    cli::{Init, Outcome, Which, refused},
    files,
    project::Project,
    stack::Choice,
    watch::runtime,
};

pub fn run(args: &Init, dir: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(dir).map_err(refused)?;
    let file = project.kgen_toml();
    if file.exists() {
        return Err(refused(anyhow!(
            "{} is there already: edit it (`kgen config` shows every setting), or move it away first",
            file.display()
        )));
    }
    let has_options = [&args.name, &args.region].iter().any(|given| given.is_some())
        || args.broker_type.is_some()
        || args.broker_count.is_some()
        || args.kafka_version.is_some();
    let choice = match &args.from_cluster {
        Some(cluster) => of_cluster(cluster, args, &project)?,
        None if args.yes || has_options => given(args),
        None if std::io::stdin().is_terminal() => asked(&project)?,
        None => {
            return Err(refused(anyhow!(
                "there is no terminal to ask on: add --from-cluster NAME, options such as --name, or --yes for the defaults"
            )));
        }
    };
    let text = choice.kgen_toml().context("a key of kgen.toml is missing in its example")?;
    // Nothing is written that the next command would refuse.
    project.stack_of(&text).map_err(refused)?;
    files::replace_file(&file, text.as_bytes()).with_context(|| format!("writing {}", file.display()))?;
    eprintln!("wrote {}", file.display());
    match args.from_cluster {
        Some(_) => eprintln!(
            "next: `kgen diagnose`, `kgen size`. `kgen apply` would make a second cluster like it; it does not take over the first"
        ),
        None => eprintln!("next: `kgen render`, then `kgen plan`; or `kgen lab up` and `kgen apply` to try it here"),
    }
    Ok(Outcome::Done)
}

/// What the options say.
fn given(args: &Init) -> Choice {
    Choice {
        region: args.region.clone(),
        zones: None,
        name: args.name.clone(),
        broker_type: args.broker_type.map(|broker_type| broker_type.to_string()),
        broker_count: args.broker_count,
        kafka_version: args.kafka_version.clone(),
        volume_gib: None,
    }
}

/// A stack like the cluster that is there; options go before what it has.
fn of_cluster(cluster: &str, args: &Init, project: &Project) -> anyhow::Result<Choice> {
    let which = Which { cluster: Some(cluster.to_owned()), region: args.region.clone() };
    let (region, info) = runtime()?.block_on(async {
        let (target, _, info) = look::found(&which, project).await?;
        anyhow::Ok((target.region.name, info))
    })?;
    Ok(given(args).over(like(region, info)?))
}

fn like(region: String, info: ClusterInfo) -> anyhow::Result<Choice> {
    let zones = info.subnets.len();
    let cluster = info.provisioned().map_err(refused)?;
    Ok(Choice {
        region: Some(region),
        zones: (zones > 0).then_some(zones),
        name: Some(cluster.name),
        broker_type: Some(cluster.broker_type),
        broker_count: Some(cluster.broker_count),
        kafka_version: Some(cluster.kafka_version),
        volume_gib: cluster.volume_gib,
    })
}

/// Asks for each setting; an empty answer takes the default.
fn asked(project: &Project) -> anyhow::Result<Choice> {
    let stack = project.stack();
    let cluster = stack.cluster();
    let ask = |what: &str, default: &str| -> anyhow::Result<Option<String>> {
        let answer = answer_to(&format!("{what} [{default}]: "))?;
        Ok(Some(answer).filter(|answer| !answer.is_empty() && answer != default))
    };
    eprintln!("Press Enter to keep a default; everything else can be changed in the file.");
    let name = ask("Cluster name", &cluster.name)?;
    let region = ask("AWS region", stack.region())?;
    let broker_type = ask("Broker type (`kgen size` helps to choose)", cluster.broker_type.as_str())?;
    let count = ask("Brokers, a multiple of the zones", &cluster.broker_count.to_string())?;
    let count = count.map(|count| count.parse().map_err(|_| refused(anyhow!("{count:?} is not a number of brokers"))));
    let kafka_version = ask("Kafka version", cluster.kafka_version.as_str())?;
    Ok(Choice { region, name, broker_type, broker_count: count.transpose()?, kafka_version, ..Choice::default() })
}
