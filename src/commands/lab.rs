//! `kgen lab`: the local MSK, up and down.

pub mod fault;

use std::{ffi::OsString, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use comfy_table::Table;

use super::{
    documents,
    look::runtime,
    out,
    working_dir::{confirmed, ensure_confirmable},
};
use crate::{
    aws::Aws,
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
    lab_api::{self, LabBroker, LabCluster, LabEndpoints, LabInstance, UserData},
    process::{absolute, shell_quoted},
    project::Project,
    sandbox::{
        self,
        lab::{Wanted, env, folder, found, stop, unset},
        t3_argument,
    },
    visible,
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
    let mut arguments: Vec<OsString> = t3_argument(args.t3 == T3Mode::Credits);
    arguments.extend(["--metrics-period".into(), format!("{}s", args.metrics_period).into()]);
    arguments.extend(args.without_brokers.then(|| "--without-brokers".into()));
    arguments.extend(args.deny.iter().flat_map(|action| ["--deny".into(), action.into()]));
    arguments.extend(args.scale.iter().flat_map(|scale| ["--scale".into(), scale.to_string().into()]));
    let running = sandbox::lab::up(project, &Wanted { port: args.port, hardware: hardware(args), arguments }, &say)?;
    if args.without_brokers {
        eprintln!("note: clusters have no brokers, and their metrics are synthetic");
    }
    if args.metrics_period != 60 {
        eprintln!("note: datapoints of CloudWatch cover {} s, not the 60 s of MSK", args.metrics_period);
    }
    Ok(running)
}

/// The lab that runs in `folder`.
///
/// # Errors
/// Refused when there is none, or when it is unknown which process it is.
pub fn running(folder: &Folder) -> anyhow::Result<Running> {
    folder
        .running()
        .map_err(refused)?
        .ok_or_else(|| refused(anyhow!("no lab is running in {} (`kgen lab up` starts one)", folder.path().display())))
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
    show_machine(&running, &status);
    status.clusters.iter().for_each(show_cluster);
    for fault in &status.instance_faults {
        let instance = fault.instance.as_deref().unwrap_or_default();
        let text = format!("fault {}, {instance}: {}, since {}", fault.id, fault.does, fault.since);
        println!("{}", visible::line(&text));
    }
    status.instances.iter().for_each(show_instance);
    Ok(Outcome::Done)
}

/// What became of an instance's user data.
fn show_instance(instance: &LabInstance) {
    let UserData { code, why_not, replaced, printed, log } = &instance.user_data;
    let state = match (why_not, code) {
        (Some(why), _) => format!("not applied: {why}"),
        (None, Some(0)) => "applied, as far as it can be offline".to_owned(),
        (None, Some(code)) => format!("failed with exit code {code}"),
        (None, None) => "being applied".to_owned(),
    };
    let line = |text: String| println!("{}", visible::line(&text));
    line(format!("client instance {}: user data {state}", instance.id));
    replaced.iter().for_each(|note| line(format!("  replaced: {note}")));
    printed.iter().for_each(|text| line(format!("  it said: {text}")));
    if let Some(log) = log.as_ref().filter(|_| *code != Some(0)) {
        line(format!("  all of it is in {log}"));
    }
}

/// The status of the lab.
///
/// # Errors
/// It does not respond.
pub fn asked(project: &Project, running: &Running) -> anyhow::Result<lab_api::LabStatus> {
    runtime()?.block_on(async {
        let aws = Aws::connect_to(project.stack().region(), &running.endpoint).await;
        aws.lab().await.with_context(|| format!("the lab at {} does not respond", running.endpoint))
    })
}

fn show_machine(running: &Running, status: &lab_api::LabStatus) {
    let fact = |fact: &Option<String>| fact.as_deref().map(visible::line).unwrap_or_default().into_owned();
    println!("lab at {} (process {}), scale {}", running.endpoint, running.pid, fact(&status.hardware));
    println!(
        "CPU limited by {}{}; Kafka {}, regardless of the version requested for a cluster; {}",
        fact(&status.cpu_limit),
        if status.memory_limit == Some(true) { ", memory too" } else { ", memory not limited" },
        fact(&status.kafka_version),
        fact(&status.emulator)
    );
    let period_s = status.metrics_period_s;
    println!(
        "datapoints of CloudWatch cover {} s{}, and are there {} s later",
        period_s.unwrap_or_default(),
        if period_s == Some(60) { " as on MSK" } else { " instead of the 60 s of MSK" },
        status.metrics_delay_s.unwrap_or_default()
    );
    println!("commands sent to client instances run in {}", status.client_instances);
    if status.without_brokers {
        println!("clusters have no brokers, and their metrics are SYNTHETIC");
    }
    if let Some(problem) = &status.problem {
        println!("problem: {}", visible::line(problem));
    }
    if !status.denied.is_empty() {
        println!("denied: {}", visible::line(&status.denied.join(", ")));
    }
    println!("to trust the TLS listeners, use {}", fact(&status.ca));
}

fn show_cluster(cluster: &LabCluster) {
    let LabCluster { name, state, arn, .. } = cluster;
    println!("\n{}", visible::line(&format!("{name} {state} ({arn})")));
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "broker",
        "type",
        "pid",
        "cores",
        "heap MiB",
        "memory MiB",
        "plaintext",
        "tls",
        "jmx",
        "node",
        "zone",
    ]);
    for broker in &cluster.brokers {
        table.add_row(row(broker).map(|cell| visible::line(&cell).into_owned()));
    }
    println!("{table}");
    for fault in &cluster.faults {
        let broker = fault.broker.map(|broker| format!(", broker {broker}")).unwrap_or_default();
        let text = format!("fault {}{broker}: {}, since {}", fault.id, fault.does, fault.since);
        println!("{}", visible::line(&text));
    }
}

/// The row of a broker. Unknown values are dashes.
fn row(broker: &LabBroker) -> [String; 11] {
    fn or_dash(value: Option<impl ToString>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }
    let LabEndpoints { plaintext, tls, jmx, node, .. } = broker.endpoints.clone();
    [
        broker.id.to_string(),
        broker.broker_type.clone(),
        or_dash(broker.pid),
        or_dash(broker.cores),
        or_dash(broker.heap_mib),
        or_dash(broker.memory_mib),
        or_dash(plaintext),
        or_dash(tls),
        or_dash(jmx),
        or_dash(node),
        broker.zone.clone(),
    ]
}

fn options(args: &LabUp) -> service::Options {
    service::Options {
        // The last readings of a period come up to three seconds after its end.
        timing: Timing { period: Duration::from_secs(args.metrics_period), delay: Duration::from_secs(3) },
        without_brokers: args.without_brokers,
        denied: args.deny.iter().cloned().collect(),
    }
}

fn hardware(args: &LabUp) -> Hardware {
    let mut hardware = sandbox::hardware(args.t3 == T3Mode::Credits);
    if let Some(scale) = args.scale {
        hardware.scale = f64::from(scale);
    }
    hardware
}
