//! Ports are reserved, files keep what they were, a failed write is a failure.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use tempfile::TempDir;

use super::{
    Case,
    bounds::{Ended, bounded},
};
use crate::project::{kgen, with_demo};

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let mut cases = kept(random);
    cases.extend(refused(random));
    cases.extend(unreadable(random));
    cases.extend(outside());
    cases.extend(umasks(random));
    cases.extend(leftovers(random));
    cases.extend(variables(random));
    cases.extend(configurations(random));
    cases.extend(names_that_are_no_text());
    cases
}

const CLUSTER: &str = "resource \"aws_msk_cluster\" \"this\" {\n  broker_node_group_info {\n    instance_type = \
                       \"kafka.m5.large\"\n  }\n}\n";

/// A command that replaces a file which is there, and that file.
#[derive(Debug, Clone, Copy)]
struct Replacement {
    line: &'static str,
    file: &'static str,
}

const REPLACEMENTS: [Replacement; 5] = [
    Replacement { line: "render", file: "terraform/msk.tf" },
    Replacement { line: "render --out out", file: "out/msk.tf" },
    Replacement { line: "resize kafka.m5.xlarge --dir infra", file: "infra/main.tf" },
    Replacement { line: "report demo-20261125-003853", file: ".kgen/runs/demo-20261125-003853/report.html" },
    Replacement { line: "man --dir man", file: "man/kgen-render.1" },
];

impl Replacement {
    /// A project in which the file is there, and would be replaced.
    fn project(self) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["infra", "man"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        fs::write(dir.path().join("infra/main.tf"), CLUSTER).unwrap();
        if self.line.starts_with("report") {
            with_demo(dir.path());
        }
        if self.line.starts_with("render") {
            assert_eq!(self.run(dir.path()).unwrap().code, Some(0));
            fs::write(dir.path().join("kgen.toml"), "[cluster]\nbroker_count = 6\n").unwrap();
        }
        if !self.path(&dir).exists() {
            fs::write(self.path(&dir), "old").unwrap();
        }
        dir
    }

    fn path(self, dir: &TempDir) -> PathBuf {
        dir.path().join(self.file)
    }

    fn run(self, dir: &Path) -> Result<Ended, String> {
        bounded(&mut command(dir, &self.line.split(' ').map(OsString::from).collect::<Vec<_>>()))
    }
}

fn command(dir: &Path, args: &[OsString]) -> Command {
    let mut command = kgen(dir);
    command.current_dir(dir).args(args).env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
    command
}

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// What of a file must stay.
#[derive(Debug, PartialEq)]
struct Kept {
    owner: (u32, u32),
    mode: u32,
    attributes: BTreeMap<OsString, Vec<u8>>,
}

fn kept_of(path: &Path) -> Kept {
    let metadata = fs::metadata(path).unwrap();
    let names = xattr::list(path).unwrap();
    let attributes = names.map(|name| (name.clone(), xattr::get(path, &name).unwrap().unwrap_or_default())).collect();
    Kept { owner: (metadata.uid(), metadata.gid()), mode: metadata.mode() & 0o7777, attributes }
}

/// Every file below `dir` with its contents, links by their names.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(dir).into_iter().map(|entry| entry.unwrap());
    let entries = entries.filter(|entry| !entry.file_type().is_dir() && !entry.path().ends_with(".kgen/lock"));
    let contents = |path: &Path| match fs::symlink_metadata(path).unwrap() {
        metadata if metadata.is_symlink() => fs::read_link(path).unwrap().into_os_string().into_vec(),
        metadata if metadata.is_file() && metadata.len() < 1 << 24 => fs::read(path).unwrap(),
        _ => Vec::new(),
    };
    entries.map(|entry| (entry.path().to_owned(), contents(entry.path()))).collect()
}

/// `system.posix_acl_access` for one more user (acl(5); the layout is the kernel's, version 2).
fn access_list(user: u32) -> Vec<u8> {
    let entry = |tag: u16, permissions: u16, id: u32| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let nobody = u32::MAX;
    let entries =
        [entry(1, 6, nobody), entry(2, 6, user), entry(4, 4, nobody), entry(16, 6, nobody), entry(32, 0, nobody)];
    [&2u32.to_le_bytes()[..], &entries.concat()].concat()
}

/// Owner, group, mode, attributes and access lists of the file that is replaced.
fn kept(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for replacement in REPLACEMENTS {
        for _ in 0..5 {
            let mode = *[0o600, 0o640, 0o660, 0o644, 0o755, 0o700, 0o604, 0o4755, 0o2750].choose(random).unwrap();
            let owner = (random.random_range(1..60_000), random.random_range(1..60_000));
            let value: Vec<u8> = (0..random.random_range(0..200)).map(|_| random.random()).collect();
            let name = format!("user.kgen{}", random.random_range(0..1000));
            let user = random.random_bool(0.4).then(|| random.random_range(1..60_000));
            let what = format!("{} over mode {mode:o} of {owner:?}, {name}, access list {user:?}", replacement.line);
            cases.push(Case::new(what, move || {
                let dir = replacement.project();
                let path = replacement.path(&dir);
                if rustix::process::geteuid().is_root() {
                    chown(&path, Some(owner.0), Some(owner.1)).unwrap();
                }
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                // Not every file system has them.
                let _ = xattr::set(&path, &name, &value);
                if let Some(user) = user {
                    let _ = xattr::set(&path, "system.posix_acl_access", &access_list(user));
                }
                let (before, text) = (kept_of(&path), fs::read(&path).unwrap());
                let ended = replacement.run(dir.path())?;
                ensure(ended.code == Some(0), || format!("{ended:?}"))?;
                ensure(fs::read(&path).unwrap() != text, || "it was not replaced".to_owned())?;
                let after = kept_of(&path);
                ensure(after == before, || format!("{before:?} became {after:?}"))
            }));
        }
    }
    cases
}

/// What makes a file one that is not to be replaced.
#[derive(Debug, Clone, Copy)]
enum Unfit {
    ReadOnly(u32),
    HardLinks(usize),
    BrokenLink,
    Loop,
    Pipe,
    Folder,
}

impl Unfit {
    fn apply(self, path: &Path) {
        let beside = |name: &str| path.with_file_name(name);
        if !matches!(self, Unfit::ReadOnly(_) | Unfit::HardLinks(_)) {
            fs::remove_file(path).unwrap();
        }
        match self {
            Unfit::ReadOnly(mode) => fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap(),
            Unfit::HardLinks(count) => {
                (1..count).for_each(|link| fs::hard_link(path, beside(&format!("link{link}.txt"))).unwrap());
            }
            Unfit::BrokenLink => symlink("nowhere", path).unwrap(),
            Unfit::Loop => symlink(path.file_name().unwrap(), path).unwrap(),
            Unfit::Pipe => rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap(),
            Unfit::Folder => fs::create_dir(path).unwrap(),
        }
    }
}

/// A refusal leaves every file as it was, and no temporary one.
fn refused(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for replacement in REPLACEMENTS {
        let read_only = [0o444, 0o400, 0o555, 0o440, 0o111].choose_multiple(random, 2).copied().map(Unfit::ReadOnly);
        let links = Unfit::HardLinks(random.random_range(2..6));
        let unfit = read_only.chain([links, Unfit::BrokenLink, Unfit::Loop, Unfit::Pipe]);
        // Terraform passes over a folder.
        let folder = (!replacement.file.contains("infra")).then_some(Unfit::Folder);
        for unfit in unfit.chain(folder) {
            cases.push(Case::new(format!("{} over {unfit:?}", replacement.line), move || {
                let dir = replacement.project();
                let path = replacement.path(&dir);
                unfit.apply(&path);
                let before = tree(dir.path());
                let ended = replacement.run(dir.path())?;
                // Of the many pages of the manual, some may have been written before.
                let is_manual = replacement.line.starts_with("man");
                let is_refused = ended.code == Some(2) || (is_manual && ended.code == Some(1));
                let name = path.file_name().unwrap().to_str().unwrap();
                ensure(is_refused && ended.stderr.contains(name), || format!("{ended:?}"))?;
                let after = tree(dir.path());
                ensure(is_manual || before == after, || {
                    format!("{:?} became {:?}", before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>())
                })?;
                let left = after.keys().find(|path| path.to_string_lossy().ends_with(".tmp"));
                ensure(left.is_none(), || format!("{left:?} was left"))
            }));
        }
    }
    cases
}

/// How a file of Terraform is there and cannot be read.
#[derive(Debug, Clone, Copy)]
enum Unreadable {
    BrokenLink,
    Loop,
    Pipe,
    Socket,
    Device,
    LinkToFolder,
    /// Not by this user; kgen is then run as another user than root.
    Permissions,
}

const UNREADABLE: [Unreadable; 7] = [
    Unreadable::BrokenLink,
    Unreadable::Loop,
    Unreadable::Pipe,
    Unreadable::Socket,
    Unreadable::Device,
    Unreadable::LinkToFolder,
    Unreadable::Permissions,
];

impl Unreadable {
    fn put(self, path: &Path) {
        match self {
            Unreadable::BrokenLink => symlink("nowhere", path).unwrap(),
            Unreadable::Loop => symlink(path.file_name().unwrap(), path).unwrap(),
            Unreadable::Pipe => rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap(),
            Unreadable::Socket => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
            Unreadable::Device => symlink("/dev/zero", path).unwrap(),
            Unreadable::LinkToFolder => symlink(".", path).unwrap(),
            Unreadable::Permissions => {
                fs::write(path, "variable \"other\" {}\n").unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
            }
        }
    }
}

/// Runs it as a user who is bound by permissions, where this one is not, with everything in `dir` that user's.
fn as_somebody(command: &mut Command, dir: &Path) {
    const SOMEBODY: u32 = 65_534;
    if rustix::process::geteuid().is_root() {
        for entry in walkdir::WalkDir::new(dir) {
            lchown(entry.unwrap().path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        }
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
}

fn unreadable(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    let places = [
        "infra/override.tf",
        "infra/main_override.tf.json",
        "infra/zz.tf",
        "infra/terraform.tfvars",
        "infra/x.auto.tfvars.json",
        "infra/stages/prod.tfvars",
        "infra/inner/main.tf",
        "infra/terragrunt.hcl",
    ];
    for place in places {
        for how in UNREADABLE.choose_multiple(random, 4).copied().chain([Unreadable::Permissions]) {
            cases.push(Case::new(format!("{how:?} as {place}, resize --dir"), move || {
                let dir = tempfile::tempdir().unwrap();
                for folder in ["infra/inner", "infra/stages"] {
                    fs::create_dir_all(dir.path().join(folder)).unwrap();
                }
                let main = dir.path().join("infra/main.tf");
                fs::write(&main, format!("{CLUSTER}module \"inner\" {{\n  source = \"./inner\"\n}}\n")).unwrap();
                how.put(&dir.path().join(place));
                let mut command = command(dir.path(), &words("resize kafka.m5.xlarge --dir infra"));
                if matches!(how, Unreadable::Permissions) {
                    as_somebody(&mut command, dir.path());
                }
                let before = fs::read(&main).unwrap();
                let ended = bounded(&mut command)?;
                let name = place.rsplit('/').next().unwrap();
                ensure(ended.code == Some(2) && ended.stderr.contains(name), || format!("{ended:?}"))?;
                ensure(fs::read(&main).unwrap() == before, || "it was edited in vain".to_owned())
            }));
        }
    }
    // Folders, and what terraform/ has beside the rendered files.
    for place in ["infra/inner", "infra/stages"] {
        cases.push(Case::new(format!("a folder {place} that may not be read, resize --dir"), move || {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join(place)).unwrap();
            let main = format!("{CLUSTER}module \"inner\" {{\n  source = \"./inner\"\n}}\n");
            fs::write(dir.path().join("infra/main.tf"), main).unwrap();
            fs::set_permissions(dir.path().join(place), fs::Permissions::from_mode(0o000)).unwrap();
            let mut command = command(dir.path(), &words("resize kafka.m5.xlarge --dir infra"));
            as_somebody(&mut command, dir.path());
            let ended = bounded(&mut command)?;
            ensure(ended.code == Some(2) && ended.stderr.contains(place), || format!("{ended:?}"))
        }));
    }
    for how in UNREADABLE {
        cases.push(Case::new(format!("{how:?} in terraform/, render --check"), move || {
            let replacement = REPLACEMENTS[0];
            let dir = replacement.project();
            how.put(&dir.path().join("terraform/extra.tf"));
            let mut command = command(dir.path(), &words("render --check"));
            if matches!(how, Unreadable::Permissions) {
                as_somebody(&mut command, dir.path());
            }
            let ended = bounded(&mut command)?;
            ensure(ended.code == Some(2) && ended.stderr.contains("extra.tf"), || format!("{ended:?}"))
        }));
    }
    cases
}

/// Makes a folder what a case needs it to be.
type Prepare = fn(&Path);

/// A file that a link inside of the folder leads out of it is edited with a note only.
fn outside() -> Vec<Case> {
    let prepare: [(&str, Prepare); 4] = [
        ("a link to a file", |dir| {
            fs::create_dir_all(dir.join("infra")).unwrap();
            fs::write(dir.join("shared.tf"), CLUSTER).unwrap();
            symlink("../shared.tf", dir.join("infra/main.tf")).unwrap();
        }),
        ("a link to a file through another", |dir| {
            fs::create_dir_all(dir.join("infra")).unwrap();
            fs::write(dir.join("shared.tf"), CLUSTER).unwrap();
            symlink("shared.tf", dir.join("second")).unwrap();
            symlink("../second", dir.join("infra/main.tf")).unwrap();
        }),
        ("a link to variables", |dir| {
            fs::create_dir_all(dir.join("infra")).unwrap();
            let main = CLUSTER.replace("\"kafka.m5.large\"", "var.type") + "variable \"type\" {}\n";
            fs::write(dir.join("infra/main.tf"), main).unwrap();
            fs::write(dir.join("shared.tfvars"), "type = \"kafka.m5.large\"\n").unwrap();
            symlink("../shared.tfvars", dir.join("infra/terraform.tfvars")).unwrap();
        }),
        ("a link to the folder of a module", |dir| {
            fs::create_dir_all(dir.join("infra")).unwrap();
            fs::create_dir_all(dir.join("modules/msk")).unwrap();
            fs::write(dir.join("modules/msk/main.tf"), CLUSTER).unwrap();
            symlink("../modules/msk", dir.join("infra/msk")).unwrap();
            fs::write(dir.join("infra/main.tf"), "module \"msk\" {\n  source = \"./msk\"\n}\n").unwrap();
        }),
    ];
    let mut cases = Vec::new();
    for (name, prepare) in prepare {
        for line in ["resize kafka.m5.xlarge --dir infra", "resize kafka.m5.xlarge --dir infra --dry-run --json"] {
            cases.push(Case::new(format!("{name} outside, {line}"), move || {
                let dir = tempfile::tempdir().unwrap();
                prepare(dir.path());
                let ended = bounded(&mut command(dir.path(), &words(line)))?;
                let note = "every other configuration that uses it gets the new type too";
                let is_noted = ended.stderr.contains(note) && (!line.contains("--json") || ended.stdout.contains(note));
                ensure(ended.code == Some(0) && is_noted, || format!("{ended:?}"))
            }));
        }
    }
    cases
}

/// New files have the permissions that the umask leaves, and no more than they need.
fn umasks(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    let made = [
        ("render", "terraform/msk.tf"),
        ("report demo-20261125-003853", ".kgen/runs/demo-20261125-003853/report.html"),
        ("report demo-20261125-003853 --output page.html", "page.html"),
        ("man --dir man", "man/kgen.1"),
        ("schema --dir schemas", "schemas/plan-1.json"),
    ];
    for (line, file) in made {
        for umask in [0o000, 0o002, 0o007, 0o022, 0o027, 0o077].choose_multiple(random, 4).copied() {
            cases.push(Case::new(format!("{line} under umask {umask:03o}"), move || {
                let dir = tempfile::tempdir().unwrap();
                fs::create_dir(dir.path().join("man")).unwrap();
                if line.starts_with("report") {
                    with_demo(dir.path());
                }
                let mut shell = Command::new("sh");
                let script = format!("umask {umask:03o}; exec \"$0\" {line}");
                shell.current_dir(dir.path()).args(["-c", &script, env!("CARGO_BIN_EXE_kgen")]);
                let ended = bounded(&mut shell)?;
                ensure(ended.code == Some(0), || format!("{ended:?}"))?;
                let mode = fs::metadata(dir.path().join(file)).unwrap().mode() & 0o777;
                ensure(mode == 0o666 & !umask, || format!("{file} has the mode {mode:03o}"))
            }));
        }
    }
    cases
}

/// What killed runs left is removed by the next that writes there, and nothing that is not surely kgen's.
fn leftovers(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for replacement in REPLACEMENTS {
        let random_part: String = (0..6).map(|_| random.random_range('a'..='z')).collect();
        cases.push(Case::new(format!("{} beside leftovers {random_part}", replacement.line), move || {
            let dir = replacement.project();
            let beside = |name: String| replacement.path(&dir).with_file_name(name);
            let mut child = Command::new("true").spawn().unwrap();
            child.wait().unwrap();
            let (gone, living) = (child.id(), std::process::id());
            let left = beside(format!(".kgen-{gone}-{random_part}.tmp"));
            let others = [
                beside(format!(".kgen-{living}-{random_part}.tmp")),
                beside(format!(".kgen-{gone}-{random_part}.tf.txt")),
                beside(format!("kgen-{gone}-{random_part}.tmp")),
                beside(format!(".kgen-{gone}x-{random_part}.tmp")),
                beside(format!(".kgen-{gone}-..tmp")),
            ];
            others.iter().chain([&left]).for_each(|path| fs::write(path, "x").unwrap());
            let link = beside(format!(".kgen-{gone}-link.tmp"));
            symlink("/etc/hostname", &link).unwrap();
            let ended = replacement.run(dir.path())?;
            ensure(ended.code == Some(0), || format!("{ended:?}"))?;
            ensure(!left.exists(), || "the leftover is still there".to_owned())?;
            let missing = others.iter().chain([&link]).find(|path| fs::symlink_metadata(path).is_err());
            ensure(missing.is_none(), || format!("{missing:?} was removed"))
        }));
    }
    cases
}

/// Variables that are nearly those of kgen.
fn variables(random: &mut StdRng) -> Vec<Case> {
    const KNOWN: [&str; 12] = [
        "KGEN_CLUSTER_BROKER_TYPE",
        "KGEN_CLUSTER_BROKER_COUNT",
        "KGEN_CLUSTER_VOLUME_GIB",
        "KGEN_CLUSTER_KAFKA_VERSION",
        "KGEN_LOAD_DURATION_S",
        "KGEN_LOAD_RECORD_BYTES",
        "KGEN_TOPIC_PARTITIONS",
        "KGEN_TOPIC_REPLICATION_FACTOR",
        "KGEN_NETWORK_VPC_CIDR",
        "KGEN_ALARMS_DISK_PERCENT",
        "KGEN_CLIENT_INSTANCE_TYPE",
        "KGEN_TERRAFORM_BIN",
    ];
    let mut cases = Vec::new();
    for known in KNOWN {
        let at = random.random_range("KGEN_".len() + 1..known.len() - 1);
        let wrong = match random.random_range(0..4) {
            0 => format!("{}{}", &known[..at], &known[at + 1..]),
            1 => format!("{}X{}", &known[..at], &known[at..]),
            2 => format!("{}{}", &known[..5], known[5..].to_lowercase()),
            _ => known[..known.len() - 1].to_owned(),
        };
        cases.push(Case::new(format!("the variable {wrong}"), move || {
            let dir = tempfile::tempdir().unwrap();
            let ended = bounded(command(dir.path(), &words("render")).env(&wrong, "1"))?;
            let is_named = ended.stderr.contains(&wrong) && ended.stderr.contains(known);
            ensure(ended.code == Some(2) && is_named, || format!("{ended:?}"))?;
            ensure(!dir.path().join("terraform").exists(), || "it rendered all the same".to_owned())
        }));
    }
    let rows: [(&str, &[u8], Option<i32>); 6] = [
        ("KGEN_TAGS_OWNER", b"me", Some(2)),
        ("KGEN_CLUSTER_SERVER_PROPERTIES_A", b"1", Some(2)),
        ("KGEN_CLUSTER_BROKER_TYPE", b"kafka.m5.large\xff", Some(2)),
        ("KGEN_CLUSTER_BROKER_TYPE", b"kafka.m5.large", Some(0)),
        ("KGEN_SOMETHING_OF_MINE", b"1", Some(0)),
        ("KGEN_TEST_X", b"1", Some(0)),
    ];
    for (name, value, code) in rows {
        cases.push(Case::new(format!("{name}={:?}", OsStr::from_bytes(value)), move || {
            let dir = tempfile::tempdir().unwrap();
            let ended = bounded(command(dir.path(), &words("render")).env(name, OsStr::from_bytes(value)))?;
            ensure(ended.code == code && (code == Some(0) || ended.stderr.contains(name)), || format!("{ended:?}"))
        }));
    }
    cases
}

/// Hostile values of kgen.toml.
fn configurations(random: &mut StdRng) -> Vec<Case> {
    let mut rows: Vec<(String, &'static str)> = Vec::new();
    for table in ["network", "cluster", "client", "logs", "alarms", "topic", "load", "tags"] {
        let values = ["[1, 2]", "[\"a\"]", "[]", "1", "2.5", "true", "\"x\"", "2026-11-30", "[[1], [2]]"];
        for value in values.choose_multiple(random, 3) {
            rows.push((format!("{table} = {value}\n"), table));
        }
    }
    rows.push(("[cluster]\nserver_properties = [1, 2]\n".to_owned(), "cluster.server_properties"));
    rows.push(("[[load]]\nrate = 1\n".to_owned(), "load"));
    let tags = |count: usize| format!("[tags]\n{}", (0..count).map(|n| format!("k{n} = \"v\"\n")).collect::<String>());
    let tag = |key: &str, value: &str| format!("[tags]\n\"{key}\" = \"{value}\"\n");
    rows.push((tags(random.random_range(48..60)), "tags"));
    rows.push((tags(10_000), "tags"));
    rows.push((tag(&"k".repeat(129), "v"), "tags"));
    rows.push((tag("k", &"ü".repeat(257)), "tags"));
    rows.push((tag("AWS:x", "v"), "tags"));
    rows.push((tag("aWs:x", "v"), "tags"));
    rows.push(("[load]\nduration_s = 9223372036854775807\n".to_owned(), "load.duration_s"));
    rows.push(("[load]\nrate = 1e300\n".to_owned(), "load.rate"));
    rows.push(("[load]\nrate = inf\n".to_owned(), "load.rate"));
    let mut cases = Vec::new();
    for (text, key) in rows {
        let shown: String = text.chars().take(60).collect();
        cases.push(Case::new(format!("kgen.toml {shown:?}"), move || {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("kgen.toml"), &text).unwrap();
            let ended = bounded(&mut command(dir.path(), &words("render")))?;
            ensure(ended.code == Some(2) && ended.stderr.contains(key), || format!("{ended:?}"))?;
            ensure(!dir.path().join("terraform").exists(), || "it rendered all the same".to_owned())
        }));
    }
    // What AWS takes is taken: lengths are those of characters, not of bytes.
    for text in [tags(47), tag(&"ü".repeat(128), &"€".repeat(256))] {
        let shown: String = text.chars().take(60).collect();
        cases.push(Case::new(format!("kgen.toml {shown:?} is taken"), move || {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("kgen.toml"), &text).unwrap();
            let ended = bounded(&mut command(dir.path(), &words("render")))?;
            ensure(ended.code == Some(0), || format!("{ended:?}"))
        }));
    }
    cases
}

/// A path that is no text: the work is done, and the document is printed.
fn names_that_are_no_text() -> Vec<Case> {
    let mut cases = Vec::new();
    for front in
        ["resize kafka.m5.xlarge --json --dir", "render --json --out", "report demo-20261125-003853 --json --output"]
    {
        for name in [&b"inf\xff"[..], b"\xc3\x28", b"\xf0\x28\x8c\x28"] {
            cases.push(Case::new(format!("{front} {:?}", OsStr::from_bytes(name)), move || {
                let dir = tempfile::tempdir().unwrap();
                let place = dir.path().join(OsStr::from_bytes(name));
                if front.starts_with("resize") {
                    fs::create_dir(&place).unwrap();
                    fs::write(place.join("main.tf"), CLUSTER).unwrap();
                } else if front.starts_with("report") {
                    with_demo(dir.path());
                }
                let mut args = words(front);
                args.push(OsStr::from_bytes(name).to_owned());
                let ended = bounded(&mut command(dir.path(), &args))?;
                ensure(ended.code == Some(0), || format!("{ended:?}"))?;
                let document: Result<serde_json::Value, _> = serde_json::from_str(&ended.stdout);
                ensure(document.is_ok_and(|document| document["schema"].is_string()), || format!("{ended:?}"))?;
                ensure(place.exists(), || "nothing was written".to_owned())
            }));
        }
    }
    cases
}
