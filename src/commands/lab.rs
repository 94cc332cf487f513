//! `kgen lab`: the local MSK, up and down.

mod clients;
pub mod fault;

use std::{ffi::OsString, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};

use super::{
    console::{confirmed, ensure_confirmable},
    documents, out,
};
use crate::{
    cli::{
        Outcome,
        lab::{LabCommand, LabDown, LabStatus, LabUp, T3Mode},
        refused,
    },
    files::own,
    lab::{
        cloudwatch::Timing,
        fault::connections,
        hardware::Hardware,
        service::{self, Folder, Running},
    },
    lab_api,
    process::{absolute, shell_quoted},
    project::Project,
    sandbox::{
        self,
        lab::{Wanted, asked, env, folder, found, running, stop, unset},
    },
    text,
};

pub fn run(project: &Path, command: &LabCommand) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let folder = folder(&project);
    match command {
        LabCommand::Up(args) => {
            let running = up(&project, args)?;
            if args.json {
                return status(&project, &LabStatus { json: true });
            }
            println!("lab at {}; point this shell at it: eval \"$(kgen lab env)\"", running.endpoint);
        }
        LabCommand::Down(args) => return down(&folder, args),
        LabCommand::Status(args) => return status(&project, args),
        LabCommand::Env(args) => {
            let set = env(&folder, &running(&folder)?, project.stack().region());
            let path = absolute(&folder.tools());
            if args.json {
                documents::print(documents::LabEnv { set: set.into_iter().collect(), unset: unset(), path })?;
                return Ok(Outcome::Done);
            }
            for (name, value) in set {
                println!("export {name}={}", shell_quoted(&value));
            }
            println!("unset {}", unset().join(" "));
            println!("export PATH={}:\"$PATH\"", shell_quoted(&path.to_string_lossy()));
        }
        LabCommand::Fault(command) => return fault::run(&project, command),
        LabCommand::OpenConnections(args) => connections::open(&args.brokers, args.per_second, args.held as usize),
        LabCommand::Serve(args) => {
            service::run(&folder, args.port, hardware(args), options(args), Arc::new(|line| eprintln!("{line}")))?
        }
    }
    Ok(Outcome::Done)
}

fn say(text: &str) {
    eprintln!("{text}");
}

/// Starts the lab and waits until it answers; one that runs already is left as it is.
///
/// # Errors
/// Refused: the port is taken, or Java, Kafka or the emulator is missing and cannot be fetched.
fn up(project: &Project, args: &LabUp) -> anyhow::Result<Running> {
    let mut arguments: Vec<OsString> = vec!["--metrics-period".into(), format!("{}s", args.metrics_period).into()];
    arguments.extend(args.without_brokers.then(|| "--without-brokers".into()));
    arguments.extend(args.deny.iter().flat_map(|action| ["--deny".into(), action.into()]));
    let running = sandbox::lab::up(project, &Wanted { port: args.port, hardware: hardware(args), arguments }, &say)?;
    if args.without_brokers {
        eprintln!("note: clusters have no brokers, and their metrics are synthetic");
    }
    if args.metrics_period != 60 {
        eprintln!("note: datapoints of CloudWatch cover {} s, not the 60 s of MSK", args.metrics_period);
    }
    Ok(running)
}

fn down(folder: &Folder, args: &LabDown) -> anyhow::Result<Outcome> {
    let purge = args.purge && folder.path().exists();
    if purge {
        ensure_confirmable(args.yes, "lab down --purge")?;
        let question = format!("Delete every cluster of the lab in {} and its records?", folder.path().display());
        if !args.yes && !confirmed(&question)? {
            eprintln!("nothing was stopped or deleted");
            return Ok(Outcome::Done);
        }
    }
    let running = found(folder, &say).map_err(refused)?;
    match running {
        Some(pid) => stop(folder, pid)?,
        None => eprintln!("no lab is running in {}", folder.path().display()),
    }
    if purge {
        own::remove_folder(folder.path()).with_context(|| format!("removing {}", folder.path().display()))?;
    }
    if args.json {
        documents::print(documents::LabDown { stopped: running.is_some(), purged: purge })?;
    }
    Ok(Outcome::Done)
}

fn status(project: &Project, args: &LabStatus) -> anyhow::Result<Outcome> {
    let folder = folder(project);
    let Some(running) = folder.running().map_err(refused)? else {
        if args.json {
            documents::print(lab_api::LabStatus::default())?;
        }
        return Err(refused(anyhow!("no lab is running in {} (`kgen lab up` starts one)", folder.path().display())));
    };
    let status = asked(project, &running)?;
    status.clusters.iter().for_each(|cluster| out::learn_cluster(&cluster.name));
    if args.json {
        documents::print(lab_api::LabStatus { running: true, endpoint: Some(running.endpoint), ..status })?;
        return Ok(Outcome::Done);
    }
    println!("{}", text::lab::status(&running, &status));
    Ok(Outcome::Done)
}

fn options(args: &LabUp) -> service::Options {
    service::Options {
        // The last readings of a period come up to three seconds after its end.
        timing: Timing { period: Duration::from_secs(args.metrics_period), delay: Duration::from_secs(3) },
        without_brokers: args.without_brokers,
        denied: args.deny.iter().cloned().collect(),
        client_programs: Arc::new(clients::programs),
    }
}

fn hardware(args: &LabUp) -> Hardware {
    let mut hardware = sandbox::hardware(args.t3 == T3Mode::Credits);
    if let Some(scale) = args.scale {
        hardware.scale = scale;
    }
    hardware
}
