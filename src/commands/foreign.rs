//! `kgen resize --dir`: another broker type in Terraform that kgen did not write. Edits one value and stops there.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use crate::{
    catalogue::{BrokerType, KafkaVersion},
    cli::{Outcome, Resize, refused},
    locate::{Environment, Located, Question, clean, locate},
    project::{Disk, Lock, replace_unchanged, unified_diff},
    stack::{Provenance, provenance},
};

pub fn run(dir: &Path, args: &Resize) -> anyhow::Result<Outcome> {
    let dir = clean(dir);
    let environment = environment(&dir);
    let var_files: Vec<PathBuf> = args.var_file.iter().map(|path| clean(path)).collect();
    let to = args.broker_type;
    let cluster = args.cluster.as_deref();
    let question = Question { dir: &dir, cluster, var_files: &var_files, environment: &environment, to: to.as_str() };
    let located = locate(&Disk, &question).map_err(refused)?;
    let edit = &located.edit;
    if provenance(&edit.before) != Provenance::Foreign {
        return Err(refused(anyhow!(
            "{} is rendered by kgen: leave out --dir, and name the folder with kgen.toml by -C",
            edit.file.display()
        )));
    }
    let unchecked = checked(&located, to).map_err(refused)?;
    let name = edit.file.display().to_string();
    let after = edit.after();
    for step in &located.trail {
        eprintln!("{step}");
    }
    print!("{}", unified_diff((&name, &edit.before), (&name, &after)));
    for note in located.notes.iter().chain(&unchecked) {
        eprintln!("note: {note}");
    }
    if args.dry_run {
        return Ok(Outcome::Done);
    }
    let real = fs::canonicalize(&edit.file).with_context(|| format!("finding {name}"))?;
    let _lock = Lock::folder(real.parent().unwrap_or(Path::new("/"))).map_err(refused)?;
    replace_unchanged(&edit.file, edit.before.as_bytes(), after.as_bytes()).map_err(refused)?;
    eprintln!("{name}:{}: {} is now {to}", edit.line, edit.old);
    eprintln!("next, and look whether the plan updates {} in place and changes nothing else:", located.address);
    println!("{}", next(&dir, &var_files, located.is_terragrunt));
    Ok(Outcome::Done)
}

/// What of the environment bears on a run of terraform in `dir`.
fn environment(dir: &Path) -> Environment {
    let variables = env::vars_os().filter_map(|(name, value)| {
        Some((name.to_str()?.strip_prefix("TF_VAR_")?.to_owned(), value.to_string_lossy().into_owned()))
    });
    let hidden = env::vars_os().find(|(name, value)| {
        name.to_string_lossy().starts_with("TF_CLI_ARGS") && value.to_string_lossy().contains("-var")
    });
    // Terraform keeps the name of the workspace in its data folder; without a name there, it is the default one.
    let data = env::var_os("TF_DATA_DIR").map_or(dir.join(".terraform"), |data| dir.join(data));
    let selected = match fs::read_to_string(data.join("environment")) {
        Ok(name) => Some(name.trim().to_owned()),
        Err(_) if data.is_dir() => Some("default".to_owned()),
        Err(_) => None,
    };
    Environment {
        variables: variables.collect(),
        hidden_arguments: hidden.map(|(name, _)| name.to_string_lossy().into_owned()),
        workspace_named: env::var("TF_WORKSPACE").ok().filter(|name| !name.is_empty()),
        workspace_selected: selected,
    }
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
    unchecked.push(
        "not checked: that the cluster is ACTIVE with no operation running, and that its partitions fit".to_owned(),
    );
    Ok(unchecked)
}

/// The command that shows what the edit does.
fn next(dir: &Path, var_files: &[PathBuf], is_terragrunt: bool) -> String {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    if is_terragrunt {
        return format!("cd {} && terragrunt plan", quoted(dir));
    }
    // With -chdir, terraform takes other paths from there.
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let files: String = var_files.iter().map(|path| format!(" -var-file={}", quoted(&absolute(path)))).collect();
    format!("terraform -chdir={} plan{files}", quoted(dir))
}
