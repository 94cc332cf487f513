//! The user data of a client instance: the part of kgen's own script that can be carried out offline is, once, before the
//! instance's first command. The script is the one that the instance was made with. What needs packages or the internet is
//! replaced by what the lab has, and every replacement is noted.

use std::{
    fs,
    io::{self, ErrorKind, Write as _},
    path::Path,
};

use crate::{
    files::{bounded, own},
    lab::install::KAFKA_VERSION,
    lab_api::{LabInstance, UserData},
    process::shell_quoted,
};

/// Carries out the user data.
const RUN: &str = include_str!("../../../lab/user-data.sh");
/// What stands in for programs that the lab cannot let run.
const STAND_IN: &str = include_str!("../../../lab/stand-in.sh");
/// Which ones.
const REPLACED: [&str; 4] = ["aws", "curl", "dnf", "sha256sum"];
/// What kgen writes at the head of every script that it renders.
const RENDERED: &str = "# kgen:sha256=";
/// Lines of the head.
const HEAD: usize = 5;

/// The file that says why it is not carried out.
const WHY_NOT: &str = "why-not";

/// Lines that are shown of what it printed, and of what was replaced.
const MOST_LINES: usize = 20;
/// Bytes that are read of them.
const MOST_BYTES: u64 = 64 << 10;
/// Folders of instances that are looked at.
const MOST_INSTANCES: usize = 1000;

/// Why the script of an instance is not carried out, if it is not: it must be one that kgen has rendered. Others are made for a
/// machine of their own, and could do anything to this one.
pub fn obstacle(script: Option<&[u8]>) -> Option<&'static str> {
    let Some(script) = script.filter(|script| !script.is_empty()) else { return Some("it has none") };
    let mut head = script.split(|byte| *byte == b'\n').take(HEAD);
    let is_rendered = script.starts_with(b"#!/bin/bash\n") && head.any(|line| line.starts_with(RENDERED.as_bytes()));
    (!is_rendered).then_some("kgen did not render it")
}

/// Puts the script into `folder`, where the instance's first command finds it, with a launcher of `kgen`.
///
/// # Errors
/// The folder cannot be written.
pub fn stage(folder: &Path, kgen: &Path, script: &[u8]) -> io::Result<()> {
    let bin = folder.join("bin");
    own::make_folder(&bin, 0o700)?;
    let write = |path: &Path, text: &[u8], mode: u32| own::create(path, mode)?.write_all(text);
    for program in REPLACED {
        write(&bin.join(program), STAND_IN.as_bytes(), 0o700)?;
    }
    let kgen = shell_quoted(&kgen.to_string_lossy());
    write(&folder.join("kgen"), format!("#!/bin/sh\nexec {kgen} \"$@\"\n").as_bytes(), 0o700)?;
    write(&folder.join("run"), RUN.as_bytes(), 0o600)?;
    own::replace(&folder.join("script"), script)
}

/// Notes why it is not carried out.
///
/// # Errors
/// The folder cannot be written.
pub fn forgo(folder: &Path, why: &str) -> io::Result<()> {
    own::make_folder(folder, 0o700)?;
    own::replace(&folder.join(WHY_NOT), format!("{why}\n").as_bytes())
}

pub fn is_forgone(folder: &Path) -> bool {
    folder.join(WHY_NOT).exists()
}

/// Whether it was staged or forgone before.
pub fn is_decided(folder: &Path) -> bool {
    is_forgone(folder) || folder.join("script").exists()
}

/// What carries it out, unless it has been: a line of a shell. `tools` are the lab's Kafka tools.
pub fn command(folder: &Path, tools: &Path) -> Option<String> {
    if !folder.join("script").exists() {
        return None;
    }
    let word = |path: &Path| shell_quoted(&path.to_string_lossy());
    Some(format!("sh {} {} {} {KAFKA_VERSION}", word(&folder.join("run")), word(folder), word(tools)))
}

/// The instances that have had a command, or a session, with what became of their user data.
pub fn instances(clients: &Path) -> Vec<LabInstance> {
    let Ok(entries) = fs::read_dir(clients) else { return Vec::new() };
    let mut ids: Vec<String> =
        entries.flatten().take(MOST_INSTANCES).filter_map(|entry| entry.file_name().into_string().ok()).collect();
    ids.sort_unstable();
    ids.into_iter()
        .map(|id| {
            let folder = clients.join(&id).join("user-data");
            LabInstance { id, user_data: read(&folder).unwrap_or_default() }
        })
        .collect()
}

fn read(folder: &Path) -> io::Result<UserData> {
    let text = |name: &str| match own::open(&folder.join(name)) {
        Ok(file) => {
            let bytes = bounded::tail(&file, MOST_BYTES)?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let lines = |text: Option<String>| -> Vec<String> {
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(MOST_LINES)..].iter().map(|line| (*line).to_owned()).collect()
    };
    if let Some(why) = text(WHY_NOT)? {
        return Ok(UserData { why_not: Some(why.trim().to_owned()), ..UserData::default() });
    }
    let code = text("code")?.and_then(|code| code.trim().parse().ok());
    Ok(UserData {
        code,
        why_not: None,
        replaced: lines(text("notes")?),
        printed: lines(text("log")?),
        log: Some(folder.join("log").to_string_lossy().into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_script_of_kgens_is_carried_out() {
        let check = |script: Option<&str>, expected: Option<&str>| {
            assert_eq!(obstacle(script.map(str::as_bytes)), expected, "{script:?}");
        };
        check(None, Some("it has none"));
        check(Some(""), Some("it has none"));
        check(Some("#!/bin/bash\n# Rendered by kgen.\n# kgen:sha256=00\n"), None);
        check(Some("#!/bin/bash\nrm -rf /\n"), Some("kgen did not render it"));
        check(Some("#cloud-config\n# kgen:sha256=00\n"), Some("kgen did not render it"));
        check(Some("#!/bin/bash\n\n\n\n\n# kgen:sha256=00\n"), Some("kgen did not render it"));
    }
}
