//! Where the lab's programs come from: Java, the jars of Kafka, moto.
//!
//! Missing programs are downloaded from a Maven repository and with pip into the user's cache, completely or not at all, after a
//! message.

mod jars;
mod repository;

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

pub use jars::repository;

use crate::{
    files::{self, bounded, own},
    process::{PROBE, Tool, shell_quoted},
};

/// The version of the lab's brokers.
pub const KAFKA_VERSION: &str = "4.3.1";
/// The version of the emulator behind the lab's endpoint.
pub const MOTO_VERSION: &str = "5.2.1";

const AGENT_JAR: &str = "jmx_prometheus_javaagent-1.0.1.jar";
const JAVA_VERSION_MIN: u32 = 17;
const REQUIREMENTS: &str = include_str!("../../lab/requirements.txt");

/// The largest jar that is taken; Kafka's largest has 40 MiB.
const JAR_BYTES: u64 = 256 << 20;

/// Kafka, ready to be run.
#[derive(Debug, Clone)]
pub struct Kafka {
    pub java: PathBuf,
    /// Jars, as `-cp` takes them.
    pub classpath: OsString,
    /// The JMX exporter's jar.
    pub agent: PathBuf,
    pub classes: Classes,
}

/// What a Java process does about an archive of Kafka's classes (Java's class data sharing).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Classes {
    /// Reads them from the jars.
    #[default]
    Jars,
    /// Takes them from this archive, those that are in it.
    Shared(PathBuf),
    /// Reads them from the jars and writes this archive as it ends.
    Archive(PathBuf),
}

/// Kafka's own command-line tools that are offered beside the lab, with the classes they are.
const TOOLS: [(&str, &str); 10] = [
    ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-producer-perf-test.sh", "org.apache.kafka.tools.ProducerPerformance"),
    ("kafka-consumer-perf-test.sh", "org.apache.kafka.tools.ConsumerPerformance"),
    ("kafka-console-producer.sh", "org.apache.kafka.tools.ConsoleProducer"),
    ("kafka-console-consumer.sh", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
    ("kafka-consumer-groups.sh", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    ("kafka-configs.sh", "kafka.admin.ConfigCommand"),
    ("kafka-reassign-partitions.sh", "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"),
    ("kafka-leader-election.sh", "org.apache.kafka.tools.LeaderElectionCommand"),
    ("kafka-get-offsets.sh", "org.apache.kafka.tools.GetOffsetShell"),
];

impl Kafka {
    /// Finds Java and the jars, downloading the jars when they are nowhere. `say` is called with what is about to be
    /// installed.
    ///
    /// # Errors
    /// No Java of version 17 or later; a `KAFKA_HOME` of another version; jars that cannot be had.
    pub fn find_or_fetch(say: &dyn Fn(&str)) -> anyhow::Result<Kafka> {
        let java = find_java()?;
        let cache = cache_dir()?;
        let libs = match env::var_os("KAFKA_HOME").filter(|home| !home.is_empty()) {
            Some(home) => checked_libs(Path::new(&home))?,
            None => jars::libs(&cache, say)?,
        };
        let agent = match libs.join(AGENT_JAR) {
            jar if jar.exists() => jar,
            _ => jars::agent(&cache, say)?,
        };
        let mut jars = jars_of(&libs)?;
        jars.retain(|jar| !jar.ends_with(AGENT_JAR));
        Ok(Kafka { java, classpath: env::join_paths(jars)?, agent, classes: Classes::Jars })
    }

    /// Where the cache has, or would have, the archive of these jars' classes as this Java reads them.
    ///
    /// `None` when Java or a jar cannot be looked at.
    pub fn archive(&self) -> Option<PathBuf> {
        let java = Tool::new(&self.java, ".").within(PROBE).run(["-version"]).ok()?.stderr;
        let jars = env::split_paths(&self.classpath).map(|jar| {
            let file = fs::metadata(&jar)?;
            Ok((jar, file.len(), file.modified()?))
        });
        let jars = jars.collect::<io::Result<Vec<_>>>().ok()?;
        let made_of = format!("{:?} {java} {jars:?}", self.java.canonicalize().ok()?);
        let key = &sum(made_of)[..16];
        Some(cache_dir().ok()?.join(format!("kafka-{KAFKA_VERSION}-classes-{key}.jsa")))
    }

    /// Writes a script for each of Kafka's own tools into `bin`.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write_tools(&self, bin: &Path) -> anyhow::Result<()> {
        // The folder comes first on the PATH of those who use the lab, so nothing else may be in it.
        own::remove_folder(bin).with_context(|| format!("clearing {}", bin.display()))?;
        own::make_folder(bin, 0o777).with_context(|| format!("making {}", bin.display()))?;
        for (name, class) in TOOLS {
            let script = format!(
                "#!/bin/sh\n# Kafka {KAFKA_VERSION}'s own {name}; written by kgen lab.\nexec {java} -Xmx256m -XX:TieredStopAtLevel=1 -Dlog4j2.level=ERROR -cp {classpath} {class} \"$@\"\n",
                java = shell_quoted(&self.java.to_string_lossy()),
                classpath = shell_quoted(&self.classpath.to_string_lossy()),
            );
            let path = bin.join(name);
            let written = own::create(&path, 0o755).and_then(|mut file| {
                file.write_all(script.as_bytes())?;
                file.set_permissions(files::permitted(0o755))
            });
            written.with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

/// The folder of Kafka's jars in the cache, which are fetched when they are not there.
///
/// # Errors
/// A jar cannot be had.
pub fn jars(say: &dyn Fn(&str)) -> anyhow::Result<PathBuf> {
    jars::libs(&cache_dir()?, say)
}

/// The `moto_server` program: `KGEN_MOTO_SERVER`, the PATH if the version fits, else a virtual environment in the cache.
///
/// # Errors
/// `KGEN_MOTO_SERVER` names nothing; no Python 3; pip fails.
pub fn moto_server(say: &dyn Fn(&str)) -> anyhow::Result<PathBuf> {
    if let Some(named) = named_moto()? {
        return Ok(named);
    }
    let on_path = which::which("moto_server").ok();
    if let Some(found) = on_path.filter(|found| is_wanted_moto(found)) {
        return Ok(found);
    }
    let dir = cache_dir()?.join(format!("moto-{MOTO_VERSION}"));
    let server = dir.join("bin/moto_server");
    if server.is_file() && is_wanted_moto(&server) {
        return Ok(server);
    }
    let python = which::which("python3").context(
        "cannot find python3, which the lab's emulator needs (apt install python3-venv, brew install python)",
    )?;
    say(&format!("installing moto {MOTO_VERSION} from PyPI into {}", dir.display()));
    // A virtual environment cannot be moved, so it is made in place; one that was left half made is recreated.
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let requirements = dir.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).with_context(|| format!("writing {}", requirements.display()))?;
    Tool::new(python, &dir)
        .stdout([OsString::from("-m"), "venv".into(), dir.clone().into()])
        .context("creating a Python environment (apt install python3-venv)")?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]
        .map(OsString::from);
    Tool::new(dir.join("bin/python"), &dir)
        .stdout(pip.into_iter().chain([requirements.into()]))
        .context("installing moto")?;
    ensure!(server.is_file(), "pip installed moto, but {} is not there", server.display());
    Ok(server)
}

/// The emulator that a lab would be started with now, without installing anything.
///
/// # Errors
/// `KGEN_MOTO_SERVER` names nothing.
pub fn installed_moto() -> anyhow::Result<Option<PathBuf>> {
    if let Some(named) = named_moto()? {
        return Ok(Some(named));
    }
    let in_cache = cache_dir().ok().map(|cache| cache.join(format!("moto-{MOTO_VERSION}/bin/moto_server")));
    let places = which::which("moto_server").ok().into_iter().chain(in_cache.filter(|server| server.is_file()));
    Ok(places.into_iter().find(|server| is_wanted_moto(server)))
}

fn named_moto() -> anyhow::Result<Option<PathBuf>> {
    let Some(named) = env::var_os("KGEN_MOTO_SERVER").filter(|named| !named.is_empty()) else { return Ok(None) };
    let named = PathBuf::from(named);
    ensure!(named.is_file(), "KGEN_MOTO_SERVER is {}, which is not a file", named.display());
    Ok(Some(named))
}

/// The jars of Kafka that a lab would be started with now, without fetching anything.
///
/// # Errors
/// `KAFKA_HOME` names a folder without them, or with those of another version.
pub fn installed_kafka() -> anyhow::Result<Option<PathBuf>> {
    if let Some(home) = env::var_os("KAFKA_HOME").filter(|home| !home.is_empty()) {
        return checked_libs(Path::new(&home)).map(Some);
    }
    let dir = cache_dir()?.join(format!("kafka-{KAFKA_VERSION}"));
    Ok(jars::are_in(&dir).then(|| dir.join("libs")))
}

/// Asks the Python that runs `server` (its first line names it, except a pyenv shim's), which has no `--version`.
fn is_wanted_moto(server: &Path) -> bool {
    let first = bounded::read(server, bounded::TEXT_BYTES).unwrap_or_default();
    let first = String::from_utf8_lossy(first.split(|byte| *byte == b'\n').next().unwrap_or_default()).into_owned();
    let python = match first.strip_prefix("#!") {
        Some(python) if python.contains("/python") && !python.contains(' ') => PathBuf::from(python),
        _ => match which::which("python3") {
            Ok(python) => python,
            Err(_) => return false,
        },
    };
    Tool::new(python, ".")
        .within(PROBE)
        .stdout(["-c", "from importlib.metadata import version; print(version('moto'))"])
        .is_ok_and(|version| version.trim() == MOTO_VERSION)
}

/// kgen's folder in the user's cache.
fn cache_dir() -> anyhow::Result<PathBuf> {
    let cache = match env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute()) {
        Some(dir) => dir,
        None => env::home_dir().context("the home folder is unknown: set HOME or XDG_CACHE_HOME")?.join(".cache"),
    };
    let cache = cache.join("kgen");
    ensure_own(&cache)?;
    Ok(cache)
}

/// Checks that only this user, or root, can have put programs into the cache.
///
/// # Errors
/// Another user owns the folder, or everybody may write in it.
fn ensure_own(cache: &Path) -> anyhow::Result<()> {
    let metadata = match fs::metadata(cache) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("looking at {}", cache.display())),
    };
    let (user, owner) = (rustix::process::geteuid().as_raw(), metadata.uid());
    // Root may use the cache of the user whom it stands in for.
    let is_own = owner == user || owner == 0 || user == 0;
    let is_open = metadata.mode() & 0o002 != 0;
    ensure!(
        is_own && !is_open,
        "the programs in {} cannot be trusted: {} (set XDG_CACHE_HOME to a folder of your own, or {})",
        cache.display(),
        if is_own { "anyone can write there" } else { "it belongs to another user" },
        if is_own { "check its contents, then `chmod o-w` it" } else { "remove it" }
    );
    Ok(())
}

/// Checks that the lab runs on a system that [`std::env::consts::OS`] names like this.
///
/// # Errors
/// It is not Linux: the limits of the brokers, and what is observed of them, are cgroups and /proc.
pub fn ensure_system(os: &str) -> anyhow::Result<()> {
    ensure!(
        os == "linux",
        "the lab needs Linux, which limits and observes its brokers (cgroups, /proc); this is {os}: start it in a virtual \
         machine or a container with Linux"
    );
    Ok(())
}

/// Java 17 or later: that of `JAVA_HOME`, else of the PATH.
///
/// # Errors
/// There is none, or it is older.
pub fn find_java() -> anyhow::Result<PathBuf> {
    const HINT: &str = "install a JDK or JRE 17 or later (apt install openjdk-17-jre-headless, brew install openjdk)";
    let java = match env::var_os("JAVA_HOME").filter(|home| !home.is_empty()) {
        Some(home) => {
            let java = Path::new(&home).join("bin/java");
            ensure!(java.is_file(), "JAVA_HOME is {}, but there is no bin/java in it: {HINT}", home.display());
            java
        }
        None => which::which("java").map_err(|_| anyhow::anyhow!("cannot find java on the PATH: {HINT}"))?,
    };
    let asked = Tool::new(&java, ".").within(PROBE).run(["-version"])?;
    match java_version(&asked.stderr) {
        Some(version) if version >= JAVA_VERSION_MIN => Ok(java),
        Some(version) => bail!("{} is Java {version}, and Kafka {KAFKA_VERSION} needs 17: {HINT}", java.display()),
        None => bail!("{} does not report its version, but {:?}: {HINT}", java.display(), asked.stderr.trim()),
    }
}

/// The feature version in what `java -version` prints: 17 of `"17.0.15"`, 8 of `"1.8.0_392"`.
fn java_version(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u32>().ok());
    match numbers.next()? {
        1 => numbers.next(),
        feature => Some(feature),
    }
}

fn jars_of(libs: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(libs).with_context(|| format!("reading {}", libs.display()))?;
    let mut jars = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    jars.retain(|path| path.extension().is_some_and(|extension| extension == "jar"));
    jars.sort();
    Ok(jars)
}

/// `KAFKA_HOME/libs`, if it is the version that the lab is made for.
fn checked_libs(home: &Path) -> anyhow::Result<PathBuf> {
    let libs = home.join("libs");
    let jars = jars_of(&libs).context("looking for Kafka in KAFKA_HOME (unset it to download Kafka)")?;
    let names = jars.iter().filter_map(|jar| jar.file_name()?.to_str());
    let found: Vec<&str> = names.filter(|name| name.starts_with("kafka_2.13-")).collect();
    ensure!(
        found.contains(&format!("kafka_2.13-{KAFKA_VERSION}.jar").as_str()),
        "the lab needs Kafka {KAFKA_VERSION}, but KAFKA_HOME ({}) has {} (unset KAFKA_HOME to download it)",
        home.display(),
        if found.is_empty() { "no kafka_2.13 jar".to_owned() } else { found.join(", ") }
    );
    Ok(libs)
}

/// SHA-256, as `sha256sum` writes it.
fn sum(of: impl AsRef<[u8]>) -> String {
    Sha256::digest(of).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_lab_is_refused_on_another_system_than_linux() {
        ensure_system("linux").unwrap();
        let refused = ensure_system("macos").unwrap_err().to_string();
        assert!(refused.contains("this is macos: start it in a virtual machine"), "{refused}");
    }

    #[test]
    fn every_javas_version_is_read() {
        for (text, version) in [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK", Some(17)),
            ("java version \"1.8.0_392\"", Some(8)),
            ("openjdk version \"21\" 2023-09-19", Some(21)),
            ("openjdk version \"24-ea\"", Some(24)),
            ("no such thing", None),
        ] {
            assert_eq!(java_version(text), version, "{text}");
        }
    }

    #[test]
    fn an_archive_is_of_one_set_of_jars() {
        let dir = tempfile::tempdir().unwrap();
        let (java, jar) = (dir.path().join("java"), dir.path().join("a.jar"));
        fs::write(&java, "#!/bin/sh\necho 'openjdk version \"17\"' >&2\n").unwrap();
        fs::set_permissions(&java, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&jar, "one").unwrap();
        let kafka = Kafka { java, classpath: jar.clone().into(), agent: PathBuf::new(), classes: Classes::Jars };
        let first = kafka.archive().unwrap();
        assert_eq!(kafka.archive(), Some(first.clone()));
        fs::write(&jar, "another").unwrap();
        let second = kafka.archive().unwrap();
        assert_ne!(second, first);
        fs::remove_file(&jar).unwrap();
        assert_eq!(kafka.archive(), None);
    }

    #[test]
    fn a_cache_that_everybody_may_write_in_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        ensure_own(&dir.path().join("none")).unwrap();
        for (mode, is_used) in [(0o700, true), (0o755, true), (0o775, true), (0o777, false), (0o757, false)] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(ensure_own(dir.path()).is_ok(), is_used, "{mode:o}");
        }
    }

    #[test]
    fn only_tools_of_kafka_are_beside_the_lab() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("ls"), "#!/bin/sh\ntouch planted\n").unwrap();
        let kafka =
            Kafka { java: "/java".into(), classpath: "x.jar".into(), agent: "a.jar".into(), classes: Classes::Jars };
        kafka.write_tools(&bin).unwrap();
        kafka.write_tools(&bin).unwrap();
        assert_eq!(fs::read_dir(&bin).unwrap().count(), TOOLS.len());
        let mode = fs::metadata(bin.join("kafka-topics.sh")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn another_kafka_is_named() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("libs")).unwrap();
        fs::write(home.path().join("libs/kafka_2.13-3.9.0.jar"), "").unwrap();
        let error = checked_libs(home.path()).unwrap_err().to_string();
        assert!(error.contains("has kafka_2.13-3.9.0.jar"), "{error}");
    }
}
