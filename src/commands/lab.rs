//! `kgen lab`: the local MSK, up and down.

pub mod fault;

use std::{ffi::OsString, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use comfy_table::Table;
use serde_json::{Value, json};

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
/// Refused when there is none, or when it cannot be told which process it is.
pub fn running(folder: &Folder) -> anyhow::Result<Running> {
    folder
        .running()
        .map_err(refused)?
        .ok_or_else(|| refused(anyhow!("no lab runs in {} (`kgen lab up` starts it)", folder.path().display())))
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
        None => eprintln!("no lab runs in {}", folder.path().display()),
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
            documents::print(documents::LabStatus::default())?;
        }
        return Err(refused(anyhow!("no lab runs in {} (`kgen lab up` starts it)", folder.path().display())));
    };
    let status = runtime()?.block_on(async {
        let aws = Aws::connect_to(project.stack().region(), &running.endpoint).await;
        aws.lab().await.with_context(|| format!("the lab at {} does not answer", running.endpoint))
    })?;
    let period_s = status.metrics_period_s.map(|seconds| seconds as u64);
    let rest = status.rest;
    let clusters = rest.get("clusters").and_then(Value::as_array).into_iter().flatten();
    clusters.filter_map(|cluster| cluster["name"].as_str()).for_each(out::learn_cluster);
    if args.json {
        let said = serde_json::from_value(Value::Object(rest.into_iter().collect()));
        let said: documents::LabStatus = said.context("reading what the lab says of itself")?;
        let (endpoint, scale) = (Some(running.endpoint), status.scale);
        documents::print(documents::LabStatus { running: true, endpoint, scale, metrics_period_s: period_s, ..said })?;
        return Ok(Outcome::Done);
    }
    let text =
        |value: &Value| value.as_str().map_or_else(|| value.to_string(), |text| visible::line(text).into_owned());
    let fact = |name: &str| rest.get(name).map(text).unwrap_or_default();
    println!("lab at {} (process {}), scale {}", running.endpoint, running.pid, fact("hardware"));
    println!(
        "CPU limited by {}{}; Kafka {}, whatever version a cluster was asked for; {}",
        fact("cpu_limit"),
        if rest.get("memory_limit") == Some(&json!(true)) { ", memory too" } else { ", memory not limited" },
        fact("kafka_version"),
        fact("emulator")
    );
    println!(
        "datapoints of CloudWatch cover {} s{}, and are there {} s later",
        period_s.unwrap_or_default(),
        if period_s == Some(60) { " as on MSK" } else { " instead of the 60 s of MSK" },
        fact("metrics_delay_s")
    );
    println!("commands sent to client instances run in {}", fact("client_instances"));
    if rest.get("without_brokers") == Some(&json!(true)) {
        println!("clusters have no brokers, and their metrics are SYNTHETIC");
    }
    let denied: Vec<String> = rest.get("denied").and_then(Value::as_array).into_iter().flatten().map(text).collect();
    if !denied.is_empty() {
        println!("denied: {}", denied.join(", "));
    }
    println!("TLS listeners are to be trusted by {}", fact("ca"));
    for cluster in rest.get("clusters").and_then(Value::as_array).into_iter().flatten() {
        println!("\n{} {} ({})", text(&cluster["name"]), text(&cluster["state"]), text(&cluster["arn"]));
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
        for broker in cluster["brokers"].as_array().into_iter().flatten() {
            let of = |name: &str| text(&broker[name]);
            let at = |name: &str| text(&broker["endpoints"][name]);
            table.add_row([
                of("id"),
                of("type"),
                of("pid"),
                of("cores"),
                of("heap_mib"),
                of("memory_mib"),
                at("plaintext"),
                at("tls"),
                at("jmx"),
                at("node"),
                of("zone"),
            ]);
        }
        println!("{table}");
        for fault in cluster["faults"].as_array().into_iter().flatten() {
            let broker = fault["broker"].as_i64().map(|broker| format!(", broker {broker}")).unwrap_or_default();
            println!("fault {}{broker}: {}, since {}", text(&fault["id"]), text(&fault["does"]), text(&fault["since"]));
        }
    }
    Ok(Outcome::Done)
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
