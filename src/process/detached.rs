//! A program that outlives its parent.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::files::own;

/// Starts `program` in a process group of its own, with its output in `log` (recreated) and no standard input.
///
/// The child continues when this process ends; the [`Child`] is for watching it until then.
///
/// # Errors
/// When the log cannot be written or the program cannot be run.
pub fn start_detached<A: Into<OsString>>(
    program: &Path,
    args: impl IntoIterator<Item = A>,
    dir: &Path,
    log: &Path,
) -> io::Result<Child> {
    let log = own::create(log, 0o666)?;
    Command::new(program)
        .args(args.into_iter().map(Into::into))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
}
