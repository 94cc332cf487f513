//! `kgen lab`: the local MSK, up and down.

pub mod fault;

use std::{
    net::TcpListener,
    path::Path,
    process::Child,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use comfy_table::Table;
use serde_json::{Value, json};

use super::{
    documents,
    look::runtime,
    out,
    working_dir::{confirmed, ensure_confirmable},
};
use crate::{
    aws::{Aws, names_endpoint},
    cli::{
        Outcome,
        lab::{LabCommand, LabDown, LabStatus, LabUp, T3Mode},
        refused,
    },
    files::own,
    lab::{
        brokers::Machine,
        cloudwatch::Timing,
        control,
        fault::connections,
        hardware::{self, Hardware},
        install::moto_server,
        service::{self, Folder, Running, Unproven},
    },
    process::{absolute, shell_quoted, start_detached},
    project::Project,
    visible,
};

/// How long the lab may take to answer, and to end.
const UP_TIMEOUT: Duration = Duration::from_secs(90);
const DOWN_TIMEOUT: Duration = Duration::from_secs(120);

/// Variables that would lead AWS clients away from the lab, beside those that name an endpoint of one service.
const UNSET: [&str; 3] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"];

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

pub fn folder(project: &Project) -> Folder {
    Folder::new(project.kgen_dir().join("lab"))
}

/// The variables that point AWS clients at a running lab.
fn env(folder: &Folder, running: &Running, region: &str) -> Vec<(String, String)> {
    let (log, ca) = (absolute(&folder.log()), absolute(&folder.ca()));
    [
        ("AWS_ENDPOINT_URL", running.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "lab"),
        ("AWS_SECRET_ACCESS_KEY", "lab"),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        // A profile may say otherwise.
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false"),
        ("KGEN_LAB_LOG", &log.to_string_lossy()),
        ("KGEN_LAB_CA", &ca.to_string_lossy()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The variables that must not be set beside [`env`].
fn unset() -> Vec<String> {
    let of_a_service = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let of_a_service = of_a_service.filter(|name| names_endpoint(name) && name != "AWS_ENDPOINT_URL");
    let mut unset: Vec<String> = UNSET.map(str::to_owned).into_iter().chain(of_a_service).collect();
    // Made for a shell to evaluate.
    unset.retain(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    unset
}

/// The same for a program that kgen starts: a variable that must not be set is empty, which AWS clients take for the same.
pub fn env_of_programs(folder: &Folder, running: &Running, region: &str) -> Vec<(String, String)> {
    let emptied = unset().into_iter().map(|name| (name, String::new()));
    emptied.chain(env(folder, running, region)).collect()
}

/// Starts the lab and waits until it answers; one that runs already is left as it is.
///
/// # Errors
/// Refused: the port is taken, or Java, Kafka or the emulator is missing and cannot be fetched.
pub fn up(project: &Project, args: &LabUp) -> anyhow::Result<Running> {
    let folder = folder(project);
    if let Some(running) = folder.running().map_err(refused)? {
        eprintln!("the lab runs already (process {})", running.pid);
        return Ok(running);
    }
    folder.check().map_err(refused)?;
    control::saved(folder.path()).map_err(refused)?;
    let taken = |error| anyhow!("port {} on 127.0.0.1 is taken ({error}): choose another with --port", args.port);
    drop(TcpListener::bind(("127.0.0.1", args.port)).map_err(taken).map_err(refused)?);
    // Fetched here, where a person sees how long it takes and what is wrong.
    let say = |text: &str| eprintln!("{text}");
    let mut machine = Machine::prepare(Some(hardware(args)), &say).map_err(refused)?;
    moto_server(&say).map_err(refused)?;
    machine.speed_up(&say);

    own::make_folder(folder.path(), 0o777).with_context(|| format!("making {}", folder.path().display()))?;
    let program = std::env::current_exe().context("finding kgen itself")?;
    let dir = absolute(project.dir());
    let mut command = vec!["-C".into(), dir.clone().into_os_string(), "lab".into(), "serve".into()];
    command.extend(["--port".into(), args.port.to_string().into()]);
    command.extend(["--t3".into(), if args.t3 == T3Mode::Credits { "credits" } else { "sustained" }.into()]);
    command.extend(["--metrics-period".into(), format!("{}s", args.metrics_period).into()]);
    command.extend(args.without_brokers.then(|| "--without-brokers".into()));
    command.extend(args.deny.iter().flat_map(|action| ["--deny".into(), action.into()]));
    command.extend(args.scale.iter().flat_map(|scale| ["--scale".into(), scale.to_string().into()]));
    let mut child = start_detached(&program, command, &dir, &folder.log())
        .with_context(|| format!("starting {}", program.display()))?;
    let running = await_up(&folder, &mut child)?;
    eprintln!("the lab is up: scale {}, CPU limited by {}", machine.hardware, machine.means);
    if args.without_brokers {
        eprintln!("note: clusters have no brokers, and their metrics are synthetic");
    }
    if args.metrics_period != 60 {
        eprintln!("note: datapoints of CloudWatch cover {} s, not the 60 s of MSK", args.metrics_period);
    }
    Ok(running)
}

fn await_up(folder: &Folder, child: &mut Child) -> anyhow::Result<Running> {
    let started = Instant::now();
    loop {
        // Until it has written who it is, it only holds the lock.
        if let Ok(Some(running)) = folder.running()
            && running.pid == child.id()
        {
            return Ok(running);
        }
        let log = folder.log();
        if let Some(status) = child.try_wait().context("waiting for the lab")? {
            let said = own::read(&log).unwrap_or_default();
            bail!("the lab ended while starting, with {status}:\n{}", String::from_utf8_lossy(&said).trim_end());
        }
        if started.elapsed() > UP_TIMEOUT {
            // Ours, and not yet of use to anybody.
            let _ = child.kill();
            bail!("the lab did not answer within {} s (its log is {})", UP_TIMEOUT.as_secs(), log.display());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
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
    let running = found(folder).map_err(refused)?;
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

/// The process of the lab that runs in `folder`: the one that `lab.json` names, or, where that says nothing or something
/// else, the lab that holds the lock.
///
/// # Errors
/// What holds the lock is not a lab.
pub fn found(folder: &Folder) -> anyhow::Result<Option<u32>> {
    let error = match folder.running() {
        Ok(running) => return Ok(running.map(|running| running.pid)),
        Err(error) => error,
    };
    match error.downcast_ref::<Unproven>().and_then(Unproven::lab) {
        Some(pid) => {
            eprintln!("note: {error:#}");
            Ok(Some(pid))
        }
        None => Err(error),
    }
}

/// Asks the lab to end, and waits until its brokers have.
///
/// # Errors
/// The process is not the lab of this folder, or it is still there after two minutes.
pub fn stop(folder: &Folder, pid: u32) -> anyhow::Result<()> {
    if !folder.terminate(pid).with_context(|| format!("asking process {pid} to end"))? {
        if folder.is_held_by(pid) {
            bail!("process {pid} holds the lab's lock but is not the lab, so it was not asked to end");
        }
        // It ended by itself a moment ago.
        return Ok(());
    }
    let started = Instant::now();
    while folder.is_held_by(pid) {
        if started.elapsed() > DOWN_TIMEOUT {
            bail!("the lab (process {pid}) has not ended after {} s", DOWN_TIMEOUT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
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
    let rest = status.rest;
    let clusters = rest.get("clusters").and_then(Value::as_array).into_iter().flatten();
    clusters.filter_map(|cluster| cluster["name"].as_str()).for_each(out::learn_cluster);
    if args.json {
        let said = serde_json::from_value(Value::Object(rest.into_iter().collect()));
        let said: documents::LabStatus = said.context("reading what the lab says of itself")?;
        let (endpoint, scale) = (Some(running.endpoint), status.scale);
        documents::print(documents::LabStatus { running: true, endpoint, scale, ..said })?;
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
        fact("metrics_period_s"),
        if rest.get("metrics_period_s") == Some(&json!(60)) { " as on MSK" } else { " instead of the 60 s of MSK" },
        fact("metrics_delay_s")
    );
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

pub fn hardware(args: &LabUp) -> Hardware {
    let mut hardware = Hardware::for_machine(hardware::machine_cores());
    if let Some(scale) = args.scale {
        hardware.scale = f64::from(scale);
    }
    if args.t3 == T3Mode::Credits {
        hardware.t3 = hardware::T3Mode::Credits;
    }
    hardware
}
