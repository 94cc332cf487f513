//! What `kgen --version` says beside the version: the target, and the commit where it is known.
//!
//! scripts/release and scripts/demo name the commit in `KGEN_COMMIT`. Other release builds ask git; debug builds do not, so that
//! a commit compiles nothing again.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=KGEN_COMMIT");
    let target = env::var("TARGET").unwrap_or_default();
    let named = env::var("KGEN_COMMIT").ok().filter(|commit| !commit.is_empty());
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = named.or_else(|| is_release.then(commit_of_git).flatten());
    let about = commit.map_or(target.clone(), |commit| format!("{commit}, {target}"));
    println!("cargo:rustc-env=KGEN_ABOUT={about}");
}

/// The commit that is checked out, marked when a file of the build differs from it. Nothing outside of a clone.
fn commit_of_git() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    // A package that lies inside of another repository has no commit of its own.
    let top = git(&["rev-parse", "--show-prefix"])?;
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| top.is_empty())?;
    const SOURCES: [&str; 7] = ["src", "data", "lab", "templates", "build.rs", "Cargo.toml", "Cargo.lock"];
    for path in SOURCES {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    let changes = git(&[&["status", "--porcelain", "--"][..], &SOURCES].concat())?;
    Some(commit + if changes.is_empty() { "" } else { "+changes" })
}
