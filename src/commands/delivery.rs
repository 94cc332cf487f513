//! The kgen that the client of a stack gets from `kgen plan` and `kgen apply`: this one.

use std::{env, fs, path::Path};

use anyhow::Context as _;

use crate::{
    cli::refused,
    doctor::binary_needs,
    project::{ClientGets, DELIVERED_MAX, Project},
};

/// The executable of this process, even if another one has taken its place.
const OWN: &str = "/proc/self/exe";

/// Sees to it that the client of `project`, which is locked, gets a kgen where kgen.toml leaves that to kgen. Returns why it gets none.
///
/// # Errors
/// Refused: the project cannot be read. The executable cannot be copied.
pub fn prepare(project: &Path) -> anyhow::Result<Option<String>> {
    let project = Project::open(project).map_err(refused)?;
    if project.client_gets().map_err(refused)? != ClientGets::Nothing {
        return Ok(None);
    }
    let architecture = project.stack().client().architecture().of_rust();
    Ok(match executable(architecture) {
        Ok(executable) => {
            project.deliver(&executable).context("delivering kgen to the client")?;
            None
        }
        Err(reason) => Some(format!(
            "the client gets no kgen: {reason}. Use a packaged kgen, or set client.kgen_file, or client.kgen to \"none\""
        )),
    })
}

/// This executable, if it runs on a client instance with this processor.
fn executable(architecture: &str) -> Result<Vec<u8>, String> {
    let unread = |error: std::io::Error| format!("this executable cannot be read ({error})");
    let bytes = fs::metadata(OWN).map_err(unread)?.len();
    if bytes > DELIVERED_MAX {
        let mb = |bytes| bytes / 1_000_000;
        return Err(format!("this executable is a build of {} MB, more than {} MB", mb(bytes), mb(DELIVERED_MAX)));
    }
    let elf = fs::read(OWN).map_err(unread)?;
    match binary_needs(&elf, env::consts::ARCH)?.refused_by_client(architecture) {
        Some(reason) => Err(reason),
        None => Ok(elf),
    }
}
