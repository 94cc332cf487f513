//! `kgen resize --dir`: another broker type in Terraform that kgen did not write. Edits one value, and applies it only when
//! asked to and when the plan is that change alone ([`work`]).

mod all;
mod work;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use tokio::time::timeout;

pub use self::work::Elsewhere;
use self::work::Work;
use super::{
    change::{Change, ensure_active, ensure_changeable, replication},
    documents::{self, Prepared, PreparedFile},
    look::runtime,
    out,
    place::{self, Place},
    working_dir::ensure_confirmable,
};
use crate::{
    aws::{Aws, Cluster},
    catalogue::{BrokerType, KafkaVersion},
    cli::{Outcome, Resize, refused},
    files,
    kafka::admin::{BrokerPartitions, Replication},
    locate::{Environment, Folder as _, Located, Question, clean, is_assignments, locate},
    metrics::CloudWatch,
    process::{absolute, shell_quoted},
    project::{Disk, Lock, Project, replace_unchanged, unified_diff},
    stack::{Provenance, provenance},
    terraform::Terraform,
    visible,
};

/// Longest wait for the control plane, which may not be reached from here at all.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// `project` is the folder whose `.kgen` the run is recorded in.
pub fn run(project: &Path, dir: &Path, args: &Resize) -> anyhow::Result<Outcome> {
    if args.apply && !args.dry_run {
        ensure_confirmable(args.yes, "resize --apply")?;
    }
    let dir = clean(dir);
    // Held from the first look to the end of an apply: the plan that is applied is of these files.
    let whole = fs::canonicalize(&dir).ok().filter(|_| !args.dry_run);
    let alone = whole.as_deref().filter(|dir| dir.is_dir()).map(Lock::folder).transpose().map_err(refused)?;
    let environment = environment(&dir, args).map_err(refused)?;
    let var_files = var_files(&dir, &args.var_file).map_err(refused)?;
    let to = args.broker_type;
    let cluster = args.cluster.as_deref();
    let question = Question { dir: &dir, cluster, var_files: &var_files, environment: &environment, to: to.as_str() };
    if args.all {
        return all::run(&question, args);
    }
    let mut located = locate(&Disk, &question).map_err(refused)?;
    located.notes.extend(leads_outside(&dir, &located)?);
    located.cluster_name.iter().for_each(|name| out::learn_cluster(name));
    let edit = &located.edit;
    if provenance(&edit.before) != Provenance::Foreign {
        return Err(refused(anyhow!(
            "{} is rendered by kgen: leave out --dir, and name the folder with kgen.toml by -C",
            edit.file.display()
        )));
    }
    let mut unchecked = checked(&located, to).map_err(refused)?;
    unchecked.extend(asked(&located, to)?);
    if args.apply && located.is_terragrunt {
        return Err(refused(anyhow!("{} is run by Terragrunt: leave out --apply, and apply it there", dir.display())));
    }
    let name = visible::line(&edit.file.display().to_string()).into_owned();
    let after = edit.after();
    for step in &located.trail {
        eprintln!("{}", visible::line(step));
    }
    let next = next(&question, &located);
    let diff = unified_diff((&name, &edit.before), (&name, &after));
    // A document is alone on standard output.
    if args.json {
        eprint!("{diff}")
    } else {
        print!("{diff}")
    }
    for note in located.notes.iter().chain(&unchecked) {
        eprintln!("note: {}", visible::line(note));
    }
    let prepared = |written| Prepared {
        cluster: located.cluster_name.clone(),
        written,
        files: vec![PreparedFile { file: edit.file.clone(), diff: diff.clone() }],
        remedy: None,
        moves: None,
        notes: located.notes.iter().chain(&unchecked).cloned().collect(),
        next: next.clone(),
    };
    if args.dry_run {
        if args.json {
            documents::print(prepared(false))?;
        }
        return Ok(Outcome::Done);
    }
    let real = fs::canonicalize(&edit.file).with_context(|| format!("finding {name}"))?;
    // A module may lie elsewhere, and be called from there too.
    let beside = real.parent().filter(|parent| Some(*parent) != whole.as_deref());
    let _beside = beside.map(Lock::folder).transpose().map_err(refused)?;
    if args.apply {
        // Looked for before the edit, which would otherwise be for nothing.
        let terraform = terraform(&question, &located, args)?;
        let project = Project::open(project).map_err(refused)?;
        let alone = alone.as_ref().with_context(|| format!("{} cannot be locked", dir.display())).map_err(refused)?;
        let terraform = &terraform;
        return Work { project, args, terraform, alone, located: &located, after, diff, plan: next }.carry_out();
    }
    replace_unchanged(&edit.file, edit.before.as_bytes(), after.as_bytes()).map_err(refused)?;
    eprintln!("{name}:{}: {} is now {to}", edit.line, visible::line(&edit.old));
    eprintln!(
        "next, and look whether the plan updates {} in place and changes nothing else:",
        visible::line(&located.address)
    );
    if args.json {
        documents::print(prepared(true))?;
    } else {
        println!("{next}");
    }
    Ok(Outcome::Done)
}

/// The note that the file to edit lies outside of `dir`, where only a link leads there: by its path it seems to be inside.
fn leads_outside(dir: &Path, located: &Located) -> anyhow::Result<Option<String>> {
    let file = &located.edit.file;
    let real = fs::canonicalize(file).with_context(|| format!("finding {}", file.display()))?;
    let whole = fs::canonicalize(dir).with_context(|| format!("finding {}", dir.display()))?;
    let is_noted =
        located.notes.iter().any(|note| note.contains(" is outside of ") || note.contains(" is also used by "));
    let note = || {
        format!(
            "{} leads to {}, outside of {}: every other configuration that uses it gets the new type too",
            file.display(),
            real.display(),
            dir.display()
        )
    };
    Ok((!real.starts_with(&whole) && !is_noted).then(note))
}

/// What of the environment bears on a run of terraform in `dir`.
///
/// # Errors
/// The selected workspace cannot be read.
fn environment(dir: &Path, args: &Resize) -> anyhow::Result<Environment> {
    let variables = env::vars_os().filter_map(|(name, value)| {
        Some((name.to_str()?.strip_prefix("TF_VAR_")?.to_owned(), value.to_string_lossy().into_owned()))
    });
    let hidden = env::vars_os().find(|(name, value)| {
        name.to_string_lossy().starts_with("TF_CLI_ARGS") && value.to_string_lossy().contains("-var")
    });
    // Terraform keeps the name of the workspace in its data folder; without a name there, it is the default one.
    let data = env::var_os("TF_DATA_DIR").map_or(dir.join(".terraform"), |data| dir.join(data));
    let selected = match files::text(&data.join("environment"))? {
        Some(name) => Some(name.trim().to_owned()),
        None if data.is_dir() => Some("default".to_owned()),
        None => None,
    };
    Ok(Environment {
        variables: variables.collect(),
        arguments: args.var.clone(),
        hidden_arguments: hidden.map(|(name, _)| name.to_string_lossy().into_owned()),
        workspace_named: env::var("TF_WORKSPACE").ok().filter(|name| !name.is_empty()),
        workspace_selected: selected,
    })
}

/// Checks the change by what the files say, and returns what was not checked.
fn checked(located: &Located, to: BrokerType) -> anyhow::Result<Vec<String>> {
    let mut unchecked = Vec::new();
    match located.edit.old.parse::<BrokerType>() {
        Ok(from) => from.check_change_to(to, None)?,
        Err(_) => unchecked.push(format!("not checked: whether MSK changes {:?} to {to}", located.edit.old)),
    }
    match located.kafka_version.as_deref().map(str::parse::<KafkaVersion>) {
        Some(Ok(version)) => version.check_sold_with(to)?,
        _ => unchecked.push(format!("not checked: whether {to} is sold with the cluster's Kafka version")),
    }
    Ok(unchecked)
}

/// Asks the control plane and the brokers whether MSK would change the cluster now, and returns what could not be asked.
///
/// # Errors
/// Refused: it would not.
fn asked(located: &Located, to: BrokerType) -> anyhow::Result<Vec<String>> {
    const PUBLISHED: &str = "partitions were checked by the last minute in CloudWatch: no broker answers from here";
    const STATE: &str =
        "not checked: that the cluster is ACTIVE with no operation running, and that its partitions fit";
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let region = located.region.clone().or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"));
    let (Some(name), Some(region)) = (&located.cluster_name, region) else {
        return Ok(vec![format!("{STATE}: files do not tell its name and region")]);
    };
    let runtime = runtime()?;
    let aws = runtime.block_on(Place::Environment.aws(&region));
    let found = async {
        let cluster = aws.cluster(name).await?;
        let bootstrap = place::plaintext(&aws, &cluster).await;
        anyhow::Ok((cluster, bootstrap))
    };
    let (cluster, bootstrap) = match runtime.block_on(async { timeout(ASK_WITHIN, found).await }) {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Ok(vec![format!("{STATE}: {error:#}")]),
        Err(_) => return Ok(vec![format!("{STATE}: no answer from AWS within {} s", ASK_WITHIN.as_secs())]),
    };
    ensure_active(&cluster)?;
    let error = match bootstrap.and_then(|bootstrap| replication(&bootstrap)) {
        Ok(replication) => {
            return ensure_changeable(&cluster, &replication, Change::BrokerType(to)).map(|()| Vec::new());
        }
        Err(error) => error,
    };
    // From here the brokers may be out of reach, or want credentials; what they publish is not.
    let published = async { timeout(ASK_WITHIN, published(&aws, &cluster)).await };
    match runtime.block_on(published).ok().flatten() {
        Some(replication) => {
            ensure_changeable(&cluster, &replication, Change::BrokerType(to)).map(|()| vec![PUBLISHED.to_owned()])
        }
        None => Ok(vec![format!("not checked: that its partitions fit and are in sync: {error:#}")]),
    }
}

/// Partitions by the last whole minute in CloudWatch, where every broker has published them.
async fn published(aws: &Aws, cluster: &Cluster) -> Option<Replication> {
    let ids = aws.nodes(&cluster.arn).await.ok()?.into_iter().map(|node| node.id).collect();
    let sample = CloudWatch::new(aws.clone(), &cluster.name, ids, None).sample().await.ok()?;
    let mut found = Replication::default();
    for (id, broker) in &sample.brokers {
        let replicas = broker.partition_count?;
        found.under_replicated += broker.under_replicated_partitions?;
        found.brokers.insert(*id, BrokerPartitions { replicas, ..BrokerPartitions::default() });
    }
    Some(found)
}

/// The files that are named, where they are: relative to the current folder, else to `dir`.
fn var_files(dir: &Path, named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let find = |path: &PathBuf| {
        let inside = clean(&dir.join(path));
        match (path.exists(), inside.exists()) {
            (true, _) => Ok(clean(path)),
            (false, true) => {
                let note = format!("--var-file {} is taken from {}", path.display(), dir.display());
                eprintln!("note: {}", visible::line(&note));
                Ok(inside)
            }
            (false, false) => Err(anyhow!(
                "there is no file {} in the current folder, to which --var-file is relative, and no {} either{}",
                path.display(),
                inside.display(),
                beside(dir)
            )),
        }
    };
    named.iter().map(find).collect()
}

/// The files of variables that there are, in words, where they can be listed.
fn beside(dir: &Path) -> String {
    let (below, around) = (Disk.files_below(dir).unwrap_or_default(), Disk.files_around(dir).unwrap_or_default());
    let files = below.into_iter().chain(around);
    let names: Vec<String> =
        files.filter(|path| is_assignments(path)).take(10).map(|path| path.display().to_string()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; files of variables here: {}", names.join(", ")),
    }
}

/// The terraform for the folder. Plan and log lie in Terraform's own data folder there, which nobody commits.
fn terraform(question: &Question<'_>, located: &Located, args: &Resize) -> anyhow::Result<Terraform> {
    let dir = question.dir;
    let program = Terraform::find(args.terraform.terraform_bin.as_deref()).map_err(refused)?;
    if located.is_tofu && program.file_stem().is_none_or(|name| !name.to_string_lossy().contains("tofu")) {
        return Err(refused(anyhow!(
            "{} has files that OpenTofu alone reads, and {} is not OpenTofu: name it with --terraform-bin tofu",
            dir.display(),
            program.display()
        )));
    }
    let terraform = Terraform::new(&program, dir, &dir.join(".terraform/kgen"))
        .with_var_files(question.var_files)
        .with_variables(&question.environment.arguments)
        .with_env(&Place::Environment.env()?);
    if let Some(earlier) = terraform.earlier() {
        return Err(refused(anyhow!(
            "`{}` (process {}), started earlier, still runs in {}: wait for it to end",
            earlier.command_line,
            earlier.pid,
            dir.display()
        )));
    }
    Ok(terraform)
}

/// The command that shows what the edit does.
fn next(question: &Question<'_>, located: &Located) -> String {
    let quoted = |path: &Path| shell_quoted(&path.to_string_lossy());
    if located.is_terragrunt {
        return format!("cd {} && terragrunt plan", quoted(question.dir));
    }
    let program = if located.is_tofu { "tofu" } else { "terraform" };
    // With -chdir, terraform takes other paths from there.
    let files = question.var_files.iter().map(|path| format!(" -var-file={}", quoted(&absolute(path))));
    let given = question.environment.arguments.iter();
    let given = given.map(|(name, value)| format!(" -var={}", shell_quoted(&format!("{name}={value}"))));
    format!("{program} -chdir={} plan{}", quoted(question.dir), files.chain(given).collect::<String>())
}
