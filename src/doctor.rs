//! The prerequisites of kgen on a machine: from what was found to what is missing, why it matters, and how to fix it.
//!
//! Decides only; [`Found`] is filled in by `commands`. A check is an entry of [`CHECKS`].

mod checks;
mod platform;

use std::{collections::BTreeSet, path::PathBuf};

use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Serialize;

pub use checks::CHECKS;
pub use platform::{Package, Platform};

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The operating system, as [`std::env::consts::OS`] names it.
    pub os: String,
    pub platform: Platform,
    pub terraform: Option<Program>,
    pub provider: Provider,
    pub credentials: Credentials,
    pub aws_cli: Option<PathBuf>,
    pub session_manager_plugin: Option<PathBuf>,
    /// Java 17 or later, or why there is none.
    pub java: Result<PathBuf, String>,
    /// The Maven repository that Kafka's jars would come from.
    pub repository: String,
    /// Where the jars of the lab's Kafka are; an error for a `KAFKA_HOME` that does not fit.
    pub kafka: Result<Option<PathBuf>, String>,
    pub python: Option<PathBuf>,
    /// The emulator; an error for a `KGEN_MOTO_SERVER` that names nothing.
    pub moto: Result<Option<PathBuf>, String>,
    pub cpu_limits: CpuLimits,
    pub lab: Lab,
    pub memory_available_mib: u64,
    pub cores: usize,
    /// Room on the file system of the project folder.
    pub disk_free_mib: u64,
    /// The newest C library that this executable asks for, or why that is not known.
    pub binary: Result<Binary, String>,
}

/// A program and what it says it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    pub path: PathBuf,
    /// Such as `1.12.2`; nothing when it did not tell.
    pub version: Option<String>,
}

/// Where Terraform would take the AWS provider from.
#[derive(Debug, Clone, PartialEq)]
pub enum Provider {
    /// It is in the working directory already.
    Initialised,
    /// A folder that the CLI configuration names has it.
    Mirror(PathBuf),
    /// The CLI configuration names a mirror on the network, which was not asked.
    NetworkMirror(String),
    /// The CLI configuration names a folder that does not have it, and no other source.
    MirrorWithout(PathBuf),
    /// `TF_CLI_CONFIG_FILE` names a file that is not there.
    NoConfiguration(PathBuf),
    /// The public registry answers.
    Registry,
    /// It does not.
    Unreachable(String),
}

/// What AWS calls would be signed with.
#[derive(Debug, Clone, PartialEq)]
pub enum Credentials {
    /// `AWS_ENDPOINT_URL` points at a lab that answers.
    Lab(String),
    /// It points at something that does not answer.
    NoLab(String),
    Aws,
    Missing(String),
}

/// How brokers of the lab would be held to their size.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuLimits {
    /// As `kgen lab status` names it.
    pub means: String,
    pub by_cgroup: bool,
    pub memory_too: bool,
}

/// The port that the lab would listen on.
#[derive(Debug, Clone, PartialEq)]
pub enum Lab {
    Free(u16),
    /// The lab of this project runs, at this endpoint.
    Running(String),
    Taken {
        port: u16,
        another: Option<u16>,
    },
}

/// What an executable needs of the system that it runs on.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    pub architecture: String,
    /// The newest version of glibc whose symbols it uses; nothing when it is linked statically.
    pub glibc: Option<(u32, u32)>,
    /// Names of shared libraries in it.
    pub libraries: Vec<String>,
}

/// glibc of Amazon Linux 2023, which the client instance runs (Amazon Linux 2023 User Guide, core packages).
const CLIENT_GLIBC: (u32, u32) = (2, 34);

/// Shared libraries of its image that an executable may need (the same, packages glibc, libgcc, openssl-libs and zlib).
const CLIENT_LIBRARIES: [&str; 12] = [
    "libc.so.6",
    "libcrypto.so.3",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libssl.so.3",
    "libutil.so.1",
    "libz.so",
    "libz.so.1",
];

impl Binary {
    /// Why it does not start on a client instance with this processor; nothing if it does.
    pub fn refused_by_client(&self, architecture: &str) -> Option<String> {
        if self.architecture != architecture {
            return Some(format!(
                "this executable is for {}, the client instance for {architecture}",
                self.architecture
            ));
        }
        let (major, minor) = CLIENT_GLIBC;
        match (self.glibc, self.libraries.iter().find(|name| !CLIENT_LIBRARIES.contains(&name.as_str()))) {
            (Some(needed), _) if needed > CLIENT_GLIBC => Some(format!(
                "this executable needs glibc {}.{}, and the client instance has {major}.{minor} (Amazon Linux 2023)",
                needed.0, needed.1
            )),
            (Some(_), Some(library)) => {
                Some(format!("this executable needs {library}, which the client instance does not have"))
            }
            _ => None,
        }
    }
}

/// How good a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// Something works worse or more slowly without it.
    Warning,
    /// The listed commands do not work without it.
    Missing,
}

/// Which half of kgen needs a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Lab,
    Aws,
    Both,
}

/// One thing that is looked at.
pub struct Check {
    /// Stable; such as `terraform`.
    pub id: &'static str,
    pub side: Side,
    /// The commands that need it.
    pub commands: &'static [&'static str],
    /// Why they do.
    pub why: &'static str,
    judge: fn(&Found) -> Judged,
}

/// The result of a check of the machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Answer {
    /// Stable; such as `terraform`.
    pub id: &'static str,
    pub state: State,
    /// What was found, or not.
    pub found: String,
    /// Why it matters.
    pub why: &'static str,
    /// The kgen commands that need it.
    pub commands: &'static [&'static str],
    /// The command that fixes it.
    pub mend: Option<String>,
    /// What `kgen doctor --fix` does about it, if that is an installation.
    #[serde(skip)]
    #[schemars(skip)]
    pub fix: Option<Fix>,
}

/// What `kgen doctor --fix` can do.
#[derive(Debug, Clone, PartialEq)]
pub enum Fix {
    /// Run a command of a shell, which installs a package.
    Command(String),
    /// Fetch Kafka's jars into the cache.
    Jars,
    /// Install the emulator into the cache.
    Moto,
}

/// What `judge` returns: a state, what was found, what fixes it, and whether kgen can do that.
struct Judged {
    state: State,
    found: String,
    mend: Option<String>,
    fix: Option<Fix>,
}

impl Judged {
    fn ok(found: impl Into<String>) -> Judged {
        Judged { state: State::Ok, found: found.into(), mend: None, fix: None }
    }

    fn warning(found: impl Into<String>, mend: impl Into<String>) -> Judged {
        Judged { state: State::Warning, found: found.into(), mend: Some(mend.into()), fix: None }
    }

    fn missing(found: impl Into<String>, mend: impl Into<String>) -> Judged {
        Judged { state: State::Missing, ..Judged::warning(found, mend) }
    }

    /// With what `package` is installed by on `platform`.
    fn for_lack_of(package: Package, platform: Platform, state: State, found: impl Into<String>) -> Judged {
        let mend = platform.install(package);
        let fix = platform.can_install(package).then(|| Fix::Command(mend.clone()));
        Judged { state, found: found.into(), mend: Some(mend), fix }
    }

    fn fixed_by(self, fix: Fix) -> Judged {
        Judged { fix: Some(fix), ..self }
    }
}

/// What the checks of `side` (all of them for [`Side::Both`]) say of a machine, in the order of [`CHECKS`].
pub fn examine(found: &Found, side: Side) -> Vec<Answer> {
    let asked = |check: &&Check| side == Side::Both || check.side == Side::Both || check.side == side;
    let answer = |check: &Check| {
        let Judged { state, found, mend, fix } = (check.judge)(found);
        Answer { id: check.id, state, found, why: check.why, commands: check.commands, mend, fix }
    };
    CHECKS.iter().filter(asked).map(answer).collect()
}

/// The script of a shell that runs `commands` in their order until one fails; root needs no `sudo`.
pub fn script(commands: &[&str], is_root: bool) -> String {
    let lines = commands.iter().map(|command| match is_root {
        true => command.replace("sudo ", ""),
        false => (*command).to_owned(),
    });
    lines.fold("set -e".to_owned(), |script, line| format!("{script}\n{line}"))
}

/// What an ELF file for `architecture` asks for: the newest version of glibc whose symbols it uses, and libraries.
///
/// The names of both (`GLIBC_2.34`, `libssl.so.3`) are text in the file's dynamic string table.
///
/// # Errors
/// It is no ELF file.
pub fn binary_needs(elf: &[u8], architecture: &str) -> Result<Binary, String> {
    if !elf.starts_with(b"\x7fELF") {
        return Err("it is no ELF file".to_owned());
    }
    // The end of a version in the table is a zero or the next dot: GLIBC_2.2.5.
    let minors = named(r"(?-u)GLIBC_2\.([0-9]+)[\x00.]", elf).filter_map(|(minor, _)| minor.parse::<u32>().ok());
    let glibc = minors.max().map(|minor| (2, minor));
    // The zero that ends a library's name may be the one before the next name, so it is not a part of what is found.
    let libraries = named(r"(?-u)\x00(lib[A-Za-z0-9_+.-]*?\.so[0-9.]*)", elf)
        .filter(|(name, next)| name.len() < NAME_MAX && *next == Some(0))
        .map(|(name, _)| name.to_owned());
    let libraries: BTreeSet<String> = libraries.collect();
    Ok(Binary { architecture: architecture.to_owned(), glibc, libraries: libraries.into_iter().collect() })
}

/// Bytes of a file's name, and of the zero at its end.
const NAME_MAX: usize = 255;

/// The first group of each match of `pattern` in `elf`, which is in ASCII, with the byte behind it.
fn named<'e>(pattern: &str, elf: &'e [u8]) -> impl Iterator<Item = (&'e str, Option<u8>)> {
    let pattern = Regex::new(pattern).expect("a constant");
    let found: Vec<_> = pattern.captures_iter(elf).filter_map(|found| found.get(1)).collect();
    found.into_iter().filter_map(|name| Some((str::from_utf8(name.as_bytes()).ok()?, elf.get(name.end()).copied())))
}

/// The folders and URLs of a Terraform CLI configuration from which it would install providers: (folders, URLs, direct).
///
/// Reads only what matters here, and takes a file that is no HCL for one that says nothing.
pub fn provider_sources(cli_configuration: &str) -> (Vec<PathBuf>, Vec<String>, bool) {
    let (mut folders, mut urls, mut direct, mut any) = (Vec::new(), Vec::new(), false, false);
    let Ok(body) = hcl::parse(cli_configuration) else { return (folders, urls, true) };
    for installation in body.blocks().filter(|block| block.identifier() == "provider_installation") {
        any = true;
        for method in installation.body().blocks() {
            let text = |name: &str| {
                let found = method.body().attributes().find(|attribute| attribute.key() == name)?;
                match found.expr() {
                    hcl::Expression::String(text) => Some(text.clone()),
                    _ => None,
                }
            };
            match method.identifier() {
                "filesystem_mirror" => folders.extend(text("path").map(PathBuf::from)),
                "network_mirror" => urls.extend(text("url")),
                "direct" => direct |= !excludes_aws(method.body()),
                _ => {}
            }
        }
    }
    (folders, urls, direct || !any)
}

fn excludes_aws(body: &hcl::Body) -> bool {
    let excluded = body.attributes().filter(|attribute| attribute.key() == "exclude");
    excluded.flat_map(|attribute| match attribute.expr() {
        hcl::Expression::Array(items) => items.clone(),
        _ => Vec::new(),
    })
    .any(|item| matches!(&item, hcl::Expression::String(text) if text.ends_with("hashicorp/aws") || text.ends_with("*/*")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_read_from_the_version_names() {
        type Row = (&'static [u8], Result<Option<(u32, u32)>, ()>);
        let rows: [Row; 5] = [
            (b"\x7fELF..GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.17\0", Ok(Some((2, 34)))),
            (b"\x7fELF..GLIBC_2.2.5\0", Ok(Some((2, 2)))),
            (b"\x7fELF..nothing of it", Ok(None)),
            // Text of its own that speaks of a version is no version.
            (b"\x7fELF..needs GLIBC_2.99 at least\0GLIBC_2.17\0", Ok(Some((2, 17)))),
            (b"#!/bin/sh", Err(())),
        ];
        for (elf, expected) in rows {
            let found = binary_needs(elf, "x86_64");
            assert_eq!(found.map(|binary| binary.glibc).map_err(drop), expected, "{}", elf.escape_ascii());
        }
    }

    #[test]
    fn libraries_are_read_from_their_names() {
        let elf = b"\x7fELF\0libssl.so.3\0libc.so.6\0lib of text.so\0liberty\0libc.so.6\0libx.so.1 is missing\0";
        assert_eq!(binary_needs(elf, "x86_64").unwrap().libraries, ["libc.so.6", "libssl.so.3"]);
    }

    #[test]
    fn the_client_takes_what_would_start_there() {
        #[track_caller]
        fn check(glibc: Option<(u32, u32)>, libraries: &[&str], architecture: &str, expected: &str) {
            let libraries = libraries.iter().map(|name| (*name).to_owned()).collect();
            let binary = Binary { architecture: "x86_64".to_owned(), glibc, libraries };
            let refused = binary.refused_by_client(architecture).unwrap_or_default();
            assert!(refused.contains(expected) && refused.is_empty() == expected.is_empty(), "{refused}");
        }
        check(Some((2, 28)), &["libc.so.6", "libm.so.6"], "x86_64", "");
        check(Some((2, 34)), &["libc.so.6", "libssl.so.3", "libz.so.1"], "x86_64", "");
        check(Some((2, 36)), &["libc.so.6"], "x86_64", "needs glibc 2.36, and the client instance has 2.34");
        check(Some((2, 28)), &["libssl.so.1.1"], "x86_64", "needs libssl.so.1.1");
        check(Some((2, 28)), &[], "aarch64", "is for x86_64, the client instance for aarch64");
        // Linked statically.
        check(None, &[], "x86_64", "");
    }

    #[test]
    fn root_installs_without_sudo() {
        let commands = ["sudo apt-get install -y a", "wget -qO- u | sudo gpg"];
        assert_eq!(script(&commands, false), "set -e\nsudo apt-get install -y a\nwget -qO- u | sudo gpg");
        assert_eq!(script(&commands, true), "set -e\napt-get install -y a\nwget -qO- u | gpg");
    }

    #[test]
    fn the_sources_of_providers_are_read() {
        let mirror = "provider_installation {\n  filesystem_mirror {\n    path = \"/srv/mirror\"\n  }\n  direct {\n    \
                      exclude = [\"registry.terraform.io/hashicorp/aws\"]\n  }\n}\n";
        let network = "provider_installation {\n  network_mirror {\n    url = \"https://mirror.example/\"\n  }\n}\n";
        let (folder, url) = (vec![PathBuf::from("/srv/mirror")], vec!["https://mirror.example/".to_owned()]);
        for (text, expected) in [
            ("", (Vec::new(), Vec::new(), true)),
            ("plugin_cache_dir = \"/x\"\n", (Vec::new(), Vec::new(), true)),
            (mirror, (folder.clone(), Vec::new(), false)),
            (network, (Vec::new(), url, false)),
            (&mirror.replace("hashicorp/aws", "hashicorp/local"), (folder, Vec::new(), true)),
            ("{{{", (Vec::new(), Vec::new(), true)),
        ] {
            assert_eq!(provider_sources(text), expected, "{text}");
        }
    }
}
