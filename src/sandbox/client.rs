//! A shell on a client instance of a project's lab, with the terminal of this process and in the sandbox that the instance's
//! commands have.

use std::{
    ffi::OsStr,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::json;

use super::lab::folder;
use crate::{
    aws::Aws,
    lab::{
        service::{Folder, Running},
        ssm::{harm::Faults, machine::Machine},
    },
    lab_api::SessionOrder,
    outcome::refused,
    process::Contained,
    project::Project,
    watch::runtime,
};

/// Between two looks at the shell.
const LOOK: Duration = Duration::from_millis(20);
/// Between two looks at whether its instance still runs.
const INSTANCE_EVERY: Duration = Duration::from_secs(2);

/// The shells, the first that this machine has. No file of this machine's sets one up.
const SHELLS: [&[&str]; 2] = [&["bash", "--noprofile", "--norc"], &["sh"]];

/// The running lab of a project.
#[derive(Debug)]
pub struct Lab {
    folder: Folder,
    running: Running,
}

/// Runs a shell on an instance to its end. Returns its exit code.
///
/// # Errors
/// Refused: the instance is not online. Otherwise: the instance, or the lab, ended before the shell.
pub fn run(lab: &Lab, instance: &str, region: &str) -> anyhow::Result<i32> {
    let Lab { folder, running } = lab;
    let runtime = runtime()?;
    let aws = runtime.block_on(Aws::connect_to(region, &running.endpoint));
    let order = SessionOrder { instance: instance.to_owned(), region: region.to_owned() };
    let opened = runtime.block_on(aws.open_session(&order)).context("opening a session in the lab").map_err(refused)?;

    let place = folder.place(&running.endpoint)?;
    let machine = Machine { place: &place, id: instance, region };
    let home = machine.home();
    let mut entry = machine.entry(&home, &home, &Faults::of_shown(&opened))?;
    entry.env.push(("PS1".into(), format!("[{instance} \\W]\\$ ").into()));
    // A terminal is this process's own.
    entry.env.extend(std::env::var_os("TERM").map(|term| ("TERM".into(), term)));
    let shell = SHELLS.iter().find(|words| which::which(words[0]).is_ok()).context("this machine has no shell")?;
    let words: Vec<&OsStr> = shell.iter().map(OsStr::new).collect();
    let mut shell = Contained::attach(&words, entry.around()).context("starting a shell")?;
    let mut looked = Instant::now();
    loop {
        if let Some(code) = shell.ended() {
            return Ok(code);
        }
        if looked.elapsed() > INSTANCE_EVERY {
            ensure!(folder.is_held_by(running.pid), "the lab has ended, and the session with it");
            let filter = json!({ "Filters": [{ "Key": "InstanceIds", "Values": [instance] }] });
            // A question that is not answered is no answer; the lab's end is seen above.
            if let Ok(found) = runtime.block_on(aws.ssm("DescribeInstanceInformation", &filter))
                && found["InstanceInformationList"][0]["PingStatus"] != "Online"
            {
                bail!("the instance {instance} is off, and the session has ended with it");
            }
            looked = Instant::now();
        }
        sleep(LOOK);
    }
}

/// The lab of the project, which is the one at `endpoint`. Another's folder is not known here, and what a server at some port
/// says is not enough to run programs.
///
/// # Errors
/// There is none, or it is another one.
pub fn lab(project: &Project, endpoint: &str) -> anyhow::Result<Lab> {
    let folder = folder(project);
    let place = folder.path().display().to_string();
    let running = folder.running()?.ok_or_else(|| {
        anyhow!(
            "AWS_ENDPOINT_URL is {endpoint}, and no lab is running in {place} (`kgen lab up` starts one): run this in the project of \
             the lab, or name the project with -C"
        )
    })?;
    ensure!(
        running.endpoint.trim_end_matches('/') == endpoint.trim_end_matches('/'),
        "AWS_ENDPOINT_URL is {endpoint}, but the lab of {place} is at {}: point this shell at it with `eval \"$(kgen lab env)\"`",
        running.endpoint
    );
    Ok(Lab { folder, running })
}
