//! The jars of Kafka and of its JMX exporter, fetched by their Maven coordinates and held against the sums that kgen knows.
//!
//! Neither Maven nor a Kafka archive is needed: `lab/jars.sha256` has each jar's place in a repository.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use super::{
    AGENT_JAR, JAR_BYTES, KAFKA_VERSION,
    repository::{self, Settings},
    sum,
};
use crate::{
    fetch::{Fetcher, without_login},
    files::{self, bounded},
};

/// What Maven would resolve; the cache holds a copy, which says what the jars beside it are.
pub const POM: &str = include_str!("../../../lab/pom.xml");
/// Sum and place in a Maven repository of every jar, as `sha256sum` writes them.
const JARS: &str = include_str!("../../../lab/jars.sha256");

/// Names another repository than Maven's settings do.
pub const REPOSITORY_VARIABLE: &str = "KGEN_MAVEN_REPOSITORY";

/// How many jars are on their way at once.
const AT_ONCE: usize = 6;
/// How often one is asked for.
const TRIES: u32 = 3;
/// How long one may take: the largest, 40 MiB, at 140 KiB/s.
const ONE_WITHIN: Duration = Duration::from_secs(300);

/// One jar.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Jar {
    /// Below the root of a repository.
    place: &'static str,
    sum: &'static str,
}

impl Jar {
    fn name(self) -> &'static str {
        self.place.rsplit('/').next().unwrap_or(self.place)
    }

    fn ensure_is(self, content: &[u8]) -> anyhow::Result<()> {
        let (found, known, name) = (sum(content), self.sum, self.name());
        ensure!(
            found == known,
            "{name} has the SHA-256 {found}, not {known}: it is not taken (a mirror that changes files?)"
        );
        Ok(())
    }
}

fn all() -> impl Iterator<Item = Jar> {
    JARS.lines().filter_map(|line| line.split_once("  ")).map(|(sum, place)| Jar { place, sum })
}

/// Where jars come from: what Maven has on this machine, else a repository.
#[derive(Debug)]
struct Source {
    local: Option<PathBuf>,
    url: String,
}

impl Source {
    /// As `KGEN_MAVEN_REPOSITORY` and Maven's settings.xml say.
    fn of_this_machine() -> Source {
        let maven = env::home_dir().map(|home| home.join(".m2"));
        let file = maven.as_ref().map(|maven| maven.join("settings.xml"));
        let xml = file.and_then(|file| bounded::text(&file, bounded::TEXT_BYTES).ok()).unwrap_or_default();
        let settings = Settings::parse(&xml);
        let told = env::var(REPOSITORY_VARIABLE).ok();
        let url = repository::url(told.as_deref(), &settings);
        let local = settings.local.map(PathBuf::from).or(maven.map(|maven| maven.join("repository")));
        Source { local, url }
    }

    fn jar(&self, jar: Jar, fetcher: &Fetcher) -> anyhow::Result<Vec<u8>> {
        if let Some(folder) = &self.local
            && let Ok(content) = bounded::read(&folder.join(jar.place), JAR_BYTES)
            && jar.ensure_is(&content).is_ok()
        {
            return Ok(content);
        }
        let url = format!("{}/{}", self.url, jar.place);
        let mut tries = 1;
        let content = loop {
            match fetcher.get(&url, JAR_BYTES, ONE_WITHIN) {
                Ok(content) => break content,
                Err(error) if error.is_passing() && tries < TRIES => {
                    thread::sleep(Duration::from_secs(tries.into()));
                    tries += 1;
                }
                Err(error) => return Err(error).with_context(|| format!("fetching {}", jar.name())),
            }
        };
        jar.ensure_is(&content)?;
        Ok(content)
    }
}

/// The repository that would be asked, as it may be shown.
pub fn repository() -> String {
    without_login(&Source::of_this_machine().url)
}

/// Whether `dir` has the jars meant here: a cache made from another pom does not.
pub fn are_in(dir: &Path) -> bool {
    bounded::text(&dir.join("pom.xml"), bounded::TEXT_BYTES).is_ok_and(|pom| pom == POM)
}

/// The folder of the jars in `cache`, which are fetched when they are not there.
///
/// # Errors
/// A jar cannot be had, or is not the one that is known.
pub fn libs(cache: &Path, say: &dyn Fn(&str)) -> anyhow::Result<PathBuf> {
    let dir = cache.join(format!("kafka-{KAFKA_VERSION}"));
    if !are_in(&dir) {
        fetch_libs(&Source::of_this_machine(), cache, &dir, say)?;
    }
    Ok(dir.join("libs"))
}

fn fetch_libs(source: &Source, cache: &Path, dir: &Path, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    let jars: Vec<Jar> = all().collect();
    say(&format!(
        "fetching Kafka {KAFKA_VERSION} ({} jars, 60 MB) from {} into {}",
        jars.len(),
        without_login(&source.url),
        dir.display()
    ));
    fs::create_dir_all(cache).with_context(|| format!("making {}", cache.display()))?;
    let new = tempfile::Builder::new().prefix(".kafka-").tempdir_in(cache).context("making a folder in the cache")?;
    let libs = new.path().join("libs");
    fs::create_dir(&libs).with_context(|| format!("making {}", libs.display()))?;
    fetch(source, &jars, &libs)?;
    fs::write(new.path().join("pom.xml"), POM).context("writing the pom")?;
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    fs::rename(new.path(), dir).with_context(|| format!("moving the jars to {}", dir.display()))?;
    // A temporary folder is its owner's alone; the cache is like any other folder.
    fs::set_permissions(dir, files::permitted(0o755))?;
    Ok(())
}

/// The JMX exporter's jar in `cache`, for a Kafka that has none.
///
/// # Errors
/// As [`libs`].
pub fn agent(cache: &Path, say: &dyn Fn(&str)) -> anyhow::Result<PathBuf> {
    let jar = cache.join(AGENT_JAR);
    if jar.is_file() {
        return Ok(jar);
    }
    let source = Source::of_this_machine();
    say(&format!("fetching {AGENT_JAR} from {} into {}", without_login(&source.url), cache.display()));
    fs::create_dir_all(cache).with_context(|| format!("making {}", cache.display()))?;
    let new = tempfile::Builder::new().prefix(".agent-").tempdir_in(cache).context("making a folder in the cache")?;
    let wanted: Vec<Jar> = all().filter(|jar| jar.name() == AGENT_JAR).collect();
    fetch(&source, &wanted, new.path())?;
    fs::rename(new.path().join(AGENT_JAR), &jar).context("moving the JMX exporter into the cache")?;
    Ok(jar)
}

/// Fetches `jars` into `folder`, several at once; the first that cannot be had ends it.
fn fetch(source: &Source, jars: &[Jar], folder: &Path) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let work = || -> anyhow::Result<()> {
        let fetcher = Fetcher::new()?;
        while let Some(jar) = jars.get(next.fetch_add(1, Ordering::Relaxed)) {
            let content = source.jar(*jar, &fetcher)?;
            let file = folder.join(jar.name());
            fs::write(&file, content).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(jars.len()) {
            scope.spawn(|| {
                if let Err(error) = work() {
                    // The others stop after the jar that they are at.
                    next.store(jars.len(), Ordering::Relaxed);
                    let mut first = failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    first.get_or_insert(error);
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        let why = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        bail!(
            "{why} (asked: {}). The lab needs Kafka's jars once: name another Maven repository in {REPOSITORY_VARIABLE}, \
             copy ~/.cache/kgen from a machine that has them, or set KAFKA_HOME to a Kafka {KAFKA_VERSION}",
            without_login(&source.url)
        );
    }
    for jar in jars {
        ensure!(folder.join(jar.name()).is_file(), "{} was not fetched", jar.name());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn every_jar_has_a_place_of_its_own_and_a_sum() {
        let jars: Vec<Jar> = all().collect();
        assert_eq!(jars.len(), JARS.lines().count());
        let names: BTreeSet<&str> = jars.iter().map(|jar| jar.name()).collect();
        assert_eq!(names.len(), jars.len());
        for jar in &jars {
            assert!(jar.sum.len() == 64 && jar.sum.chars().all(|digit| digit.is_ascii_hexdigit()), "{jar:?}");
            assert!(jar.place.matches('/').count() >= 3 && jar.place.ends_with(".jar"), "{jar:?}");
            assert!(!jar.place.contains("..") && !jar.place.starts_with('/'), "{jar:?}");
        }
        assert!(names.contains(AGENT_JAR));
        assert!(names.contains(format!("kafka_2.13-{KAFKA_VERSION}.jar").as_str()));
    }

    const ONE: Jar =
        Jar { place: "a/b/1/b-1.jar", sum: "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" };

    /// A repository that sends `body` for every jar, and notes what it was asked for.
    fn repository_of(body: &'static str) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/maven2", listener.local_addr().unwrap());
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..count]).lines().next().unwrap_or_default().to_owned()
        };
        (url, thread::spawn(serve))
    }

    #[test]
    fn a_jar_comes_from_its_place_in_the_repository() {
        let dir = tempfile::tempdir().unwrap();
        let (url, served) = repository_of("three");
        let known = Jar { sum: "8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f", ..ONE };
        fetch(&Source { local: None, url }, &[known], dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("b-1.jar")).unwrap(), b"three");
        assert_eq!(served.join().unwrap(), "GET /maven2/a/b/1/b-1.jar HTTP/1.1");
    }

    #[test]
    fn another_jar_than_the_known_one_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (url, served) = repository_of("changed");
        let error = fetch(&Source { local: None, url }, &[ONE], dir.path()).unwrap_err().to_string();
        served.join().unwrap();
        assert!(error.contains("it is not taken") && error.contains(REPOSITORY_VARIABLE), "{error}");
        assert!(!dir.path().join("b-1.jar").exists());
    }

    #[test]
    fn what_maven_has_already_is_not_fetched_again() {
        let dir = tempfile::tempdir().unwrap();
        let local = dir.path().join("m2");
        fs::create_dir_all(local.join("a/b/1")).unwrap();
        fs::write(local.join(ONE.place), "one").unwrap();
        // Nothing listens there.
        let source = Source { local: Some(local), url: "http://127.0.0.1:9".to_owned() };
        fetch(&source, &[ONE], dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("b-1.jar")).unwrap(), b"one");
    }

    #[test]
    fn without_a_repository_the_message_says_what_to_do_and_no_login() {
        let dir = tempfile::tempdir().unwrap();
        // Nothing is fetched from such a URL, so there is nothing to wait for.
        let source = Source { local: None, url: "ftp://me:secret@host/maven2".to_owned() };
        let cache = dir.path().join("cache");
        let error = fetch_libs(&source, &cache, &cache.join("kafka"), &|_| {}).unwrap_err().to_string();
        assert!(error.contains("copy ~/.cache/kgen") && error.contains("KAFKA_HOME"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(!are_in(&cache.join("kafka")));
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0, "a half-filled folder is left behind");
    }
}
