//! The lab process of a project: starts, finds and stops it.

use std::{ffi::OsString, net::TcpListener, ops::ControlFlow, process::Child, time::Duration};

use anyhow::{Context as _, anyhow, bail};

use crate::{
    aws::{Aws, names_endpoint},
    files::own,
    lab::{
        brokers::Machine,
        control,
        hardware::{Hardware, T3Mode},
        install::moto_server,
        service::{Folder, Running, Unproven},
    },
    lab_api::{FaultOrder, LabFault, LabStatus},
    outcome::refused,
    process::{absolute, await_until, start_detached},
    project::Project,
    watch::runtime,
};

/// How long the lab may take to answer, and to end.
const UP_TIMEOUT: Duration = Duration::from_secs(90);
const DOWN_TIMEOUT: Duration = Duration::from_secs(120);
/// Time between two looks at that.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Variables that would lead AWS clients away from the lab, besides those that name an endpoint of one service.
const UNSET: [&str; 3] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"];

/// Takes what a person should know while a lab starts or ends.
pub type Say<'a> = &'a dyn Fn(&str);

/// A lab to start.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub port: u16,
    /// What its brokers get of this machine.
    pub hardware: Hardware,
    /// More arguments of `kgen lab serve`.
    pub arguments: Vec<OsString>,
}

/// What tells `kgen lab serve` what its brokers get.
fn hardware_arguments(hardware: Hardware) -> [OsString; 4] {
    let t3 = match hardware.t3 {
        T3Mode::Sustained => "sustained",
        T3Mode::Credits => "credits",
    };
    ["--scale".into(), hardware.scale.to_string().into(), "--t3".into(), t3.into()]
}

/// The folder of a project's lab.
pub fn folder(project: &Project) -> Folder {
    Folder::new(project.kgen_dir().join("lab"))
}

/// The variables that point AWS clients at a running lab.
pub fn env(folder: &Folder, running: &Running, region: &str) -> Vec<(String, String)> {
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
pub fn unset() -> Vec<String> {
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

/// The status of the lab.
///
/// # Errors
/// It does not respond.
pub fn asked(project: &Project, running: &Running) -> anyhow::Result<LabStatus> {
    runtime()?.block_on(async {
        let aws = Aws::connect_to(project.stack().region(), &running.endpoint).await;
        aws.lab().await.with_context(|| format!("the lab at {} does not respond", running.endpoint))
    })
}

/// The faults that run on the stack's cluster and on client instances.
///
/// # Errors
/// The lab does not answer.
pub fn faults(project: &Project, running: &Running) -> anyhow::Result<Vec<LabFault>> {
    let status = asked(project, running)?;
    let own = status.clusters.into_iter().filter(|cluster| cluster.name == project.stack().cluster().name);
    Ok(own.flat_map(|cluster| cluster.faults).chain(status.instance_faults).collect())
}

/// Starts the lab and waits until it answers; one that runs already is left as it is.
///
/// # Errors
/// Refused: the port is taken, or Java, Kafka or the emulator is missing and cannot be fetched.
pub fn up(project: &Project, wanted: &Wanted, say: Say<'_>) -> anyhow::Result<Running> {
    let folder = folder(project);
    if let Some(running) = folder.running().map_err(refused)? {
        say(&format!("the lab is already running (process {})", running.pid));
        return Ok(running);
    }
    folder.check().map_err(refused)?;
    control::saved(folder.path()).map_err(refused)?;
    let port = wanted.port;
    let taken = |error| anyhow!("port {} on 127.0.0.1 is taken ({error}): choose another with --port", port);
    drop(TcpListener::bind(("127.0.0.1", port)).map_err(taken).map_err(refused)?);
    // Fetched here, where a person sees how long it takes and what is wrong.
    let mut machine = Machine::prepare(Some(wanted.hardware), say).map_err(refused)?;
    moto_server(say).map_err(refused)?;
    machine.speed_up(say);

    own::make_folder(folder.path(), 0o777).with_context(|| format!("making {}", folder.path().display()))?;
    let program = std::env::current_exe().context("finding kgen itself")?;
    let dir = absolute(project.dir());
    let mut command = vec!["-C".into(), dir.clone().into_os_string(), "lab".into(), "serve".into()];
    command.extend(["--port".into(), port.to_string().into()]);
    command.extend(hardware_arguments(wanted.hardware));
    command.extend(wanted.arguments.iter().cloned());
    let mut child = start_detached(&program, command, &dir, &folder.log())
        .with_context(|| format!("starting {}", program.display()))?;
    let running = await_up(&folder, &mut child)?;
    say(&format!("the lab is up: scale {}, CPU limited by {}", machine.hardware, machine.means));
    Ok(running)
}

fn await_up(folder: &Folder, child: &mut Child) -> anyhow::Result<Running> {
    let log = folder.log();
    let awaited = await_until(UP_TIMEOUT, LOOK_EVERY, || {
        // Until it has written who it is, it only holds the lock.
        if let Ok(Some(running)) = folder.running()
            && running.pid == child.id()
        {
            return Ok(ControlFlow::Break(running));
        }
        if let Some(status) = child.try_wait().context("waiting for the lab")? {
            let said = own::read(&log).unwrap_or_default();
            bail!("the lab ended while starting, with {status}:\n{}", String::from_utf8_lossy(&said).trim_end());
        }
        Ok(ControlFlow::Continue(()))
    });
    awaited?.or_else(|()| {
        // Ours, and not yet of use to anyone.
        let _ = child.kill();
        bail!("the lab did not respond within {} s (its log is {})", UP_TIMEOUT.as_secs(), log.display())
    })
}

/// The process of the lab that runs in `folder`: the one that `lab.json` names, or, where that says nothing or something
/// else, the lab that holds the lock.
///
/// # Errors
/// What holds the lock is not a lab.
pub fn found(folder: &Folder, say: Say<'_>) -> anyhow::Result<Option<u32>> {
    let error = match folder.running() {
        Ok(running) => return Ok(running.map(|running| running.pid)),
        Err(error) => error,
    };
    match error.downcast_ref::<Unproven>().and_then(Unproven::lab) {
        Some(pid) => {
            say(&format!("note: {error:#}"));
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
    if !folder.terminate(pid).with_context(|| format!("stopping process {pid}"))? {
        if folder.is_held_by(pid) {
            bail!("process {pid} holds the lab's lock but is not the lab, so it was not stopped");
        }
        // It ended by itself a moment ago.
        return Ok(());
    }
    let ended = await_until(DOWN_TIMEOUT, LOOK_EVERY, || {
        anyhow::Ok(if folder.is_held_by(pid) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    });
    ended?.or_else(|()| bail!("the lab (process {pid}) has not ended after {} s", DOWN_TIMEOUT.as_secs()))
}

/// Has the lab make a fault. Returns the faults that run then.
///
/// # Errors
/// What the lab says.
pub fn start_fault(project: &Project, running: &Running, order: &FaultOrder) -> anyhow::Result<Vec<LabFault>> {
    Ok(runtime()?.block_on(async {
        Aws::connect_to(project.stack().region(), &running.endpoint).await.start_fault(order).await
    })?)
}

/// Has the lab take back the fault of this id, or all of the stack's cluster. Returns those that run then.
///
/// # Errors
/// What the lab says.
pub fn stop_faults(project: &Project, running: &Running, id: Option<&str>) -> anyhow::Result<Vec<LabFault>> {
    let cluster = &project.stack().cluster().name;
    Ok(runtime()?.block_on(async {
        Aws::connect_to(project.stack().region(), &running.endpoint).await.stop_faults(cluster, id).await
    })?)
}
