//! One Kafka process.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::layout::{CONTROLLER_ID, Layout, Ports};
use crate::{
    files::{bounded, own},
    lab::install::{Classes, Kafka},
    process::{Readiness, Server, StartingServer},
    sample::BrokerId,
};

/// How long a broker may take to serve; on a machine with a core for each it takes 5 s.
pub const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How much of the end of Kafka's log is searched for what it complained of.
const LOG_BYTES: u64 = 1 << 20;

/// Starts a node of the fleet; `heap_mib` is its whole heap from the start.
///
/// # Errors
/// Java cannot be started.
pub fn start(
    kafka: &Kafka,
    layout: &Layout,
    id: BrokerId,
    heap_mib: u64,
    ports: Option<Ports>,
) -> anyhow::Result<StartingServer> {
    let dir = layout.node_dir(id);
    let name = if id == CONTROLLER_ID { "the Kafka controller".to_owned() } else { format!("broker {id}") };
    let log = dir.join("server.log");
    // Logs are of this start alone, so that an error quotes this start. There may be none yet.
    let output = dir.join("output.log");
    let _ = fs::rename(&log, dir.join("server.previous.log"));
    let _ = own::remove_file(&output);
    let mut args = vec![
        format!("-Xms{heap_mib}m"),
        format!("-Xmx{heap_mib}m"),
        // One collecting thread and one compiler: brokers of a fraction of a core start in half the CPU time.
        "-XX:+UseSerialGC".to_owned(),
        "-XX:TieredStopAtLevel=1".to_owned(),
        "-XX:+ExitOnOutOfMemoryError".to_owned(),
        "-Djava.awt.headless=true".to_owned(),
        format!("-Dlog4j2.configurationFile={}", layout.log4j().display()),
        format!("-Dkgen.lab.log={}", log.display()),
    ];
    match &kafka.classes {
        Classes::Jars => {}
        // An archive that does not fit is passed over.
        Classes::Shared(archive) => {
            args.extend(["-Xshare:auto".to_owned(), format!("-XX:SharedArchiveFile={}", archive.display())]);
        }
        Classes::Archive(archive) => args.push(format!("-XX:ArchiveClassesAtExit={}", archive.display())),
    }
    if let Some(ports) = ports {
        // As on MSK, all of the memory is taken at once rather than as the load asks for it.
        args.push("-XX:+AlwaysPreTouch".to_owned());
        args.push(format!("-javaagent:{}=127.0.0.1:{}:{}", kafka.agent.display(), ports.agent, layout.jmx().display()));
    }
    let mut args: Vec<std::ffi::OsString> = args.into_iter().map(Into::into).collect();
    args.extend(["-cp".into(), kafka.classpath.clone(), "kafka.Kafka".into(), dir.join("server.properties").into()]);
    let server = StartingServer::start(&name, &kafka.java, args, &[], &dir, &output)?;
    own::replace(&dir.join("pid"), server.pid().to_string().as_bytes())
        .with_context(|| format!("writing the pid of {name}"))?;
    Ok(server)
}

/// Waits until `check` is content with the node, and quotes Kafka's own log when it ends instead.
///
/// # Errors
/// The node ended, or was not ready in [`START_TIMEOUT`].
pub fn ready(
    server: StartingServer,
    layout: &Layout,
    id: BrokerId,
    mut check: impl FnMut() -> bool,
) -> anyhow::Result<Server> {
    let mut asked = Instant::now() - Duration::from_secs(1);
    let server = server.ready(START_TIMEOUT, || {
        // Each question is a connection to a process that has better to do.
        if asked.elapsed() < Duration::from_millis(200) {
            return Readiness::NotYet;
        }
        asked = Instant::now();
        if check() { Readiness::Ready } else { Readiness::NotYet }
    });
    server.map_err(|error| match last_error(&layout.node_dir(id).join("server.log")) {
        Some(words) => anyhow::anyhow!("{error}\nKafka says: {words}"),
        None => error.into(),
    })
}

/// What Kafka last complained of, in its own words.
fn last_error(log: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&bounded::tail(&own::open(log).ok()?, LOG_BYTES).ok()?).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let (at, line) =
        lines.iter().enumerate().rev().find(|(_, line)| line.contains(" ERROR ") || line.contains(" FATAL "))?;
    let cause = lines[at + 1..].iter().find(|line| line.contains("Exception") || line.contains("Error:"));
    let words = line.split_once("ERROR ").map_or(*line, |(_, words)| words);
    Some(cause.map_or(words.to_owned(), |cause| format!("{words}: {}", cause.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_last_complaint_is_quoted_with_its_cause() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("server.log");
        fs::write(
            &log,
            "d INFO fine\nd ERROR Exiting Kafka (Kafka$)\norg.x.ConfigException: Invalid value -3\n\tat a.b\n",
        )
        .unwrap();
        assert_eq!(last_error(&log).unwrap(), "Exiting Kafka (Kafka$): org.x.ConfigException: Invalid value -3");
        fs::write(&log, "d INFO fine\n").unwrap();
        assert_eq!(last_error(&log), None);
    }
}
