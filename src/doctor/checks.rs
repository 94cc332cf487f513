//! The checks themselves: one entry each.

use super::{Check, Credentials, Fix, Judged, Lab, Package, Provider, Side, State};

/// The oldest Terraform that reads what kgen renders and prints the JSON that kgen reads.
const TERRAFORM_MIN: (u32, u32) = (1, 5);

/// Three brokers of the lab as kafka.t3.small at 1:4 take 0.5 GiB each, as kafka.m5.large 2 GiB each at most, and a
/// reserve is left to the machine (`src/lab/hardware.rs`): below the first they do not start, below the second they are
/// made smaller.
const MEMORY_NEEDED_MIB: u64 = 3 * 1024;
const MEMORY_WANTED_MIB: u64 = 6 * 1024;

/// The AWS provider unpacked is 0.7 GiB, Kafka's jars with their archive 0.2 GiB; a demo writes 0.3 GiB of records.
const DISK_NEEDED_MIB: u64 = 1024;
const DISK_WANTED_MIB: u64 = 4 * 1024;

/// Every check, in the order in which it is shown.
pub const CHECKS: &[Check] = &[
    Check {
        id: "terraform",
        side: Side::Both,
        commands: &["plan", "apply", "destroy", "output", "connect", "resize", "demo"],
        why: "Terraform makes and changes everything",
        judge: |found| {
            let lacking = |what: String| Judged::for_lack_of(Package::Terraform, found.platform, State::Missing, what);
            let Some(program) = &found.terraform else {
                return lacking("neither terraform nor tofu is on the PATH".to_owned());
            };
            let path = program.path.display();
            match program.version.as_deref().map(|version| (version, major_minor(version))) {
                Some((version, Some(found))) if found >= TERRAFORM_MIN => Judged::ok(format!("{version}, {path}")),
                Some((version, Some(_))) => {
                    let (major, minor) = TERRAFORM_MIN;
                    lacking(format!("{version}, {path}: older than {major}.{minor}"))
                }
                _ => Judged::warning(format!("{path} does not tell its version"), format!("{path} version")),
            }
        },
    },
    Check {
        id: "aws-provider",
        side: Side::Both,
        commands: &["plan", "apply", "destroy", "resize", "demo"],
        why: "Terraform's AWS provider is fetched at the first plan of a project",
        judge: |found| match &found.provider {
            Provider::Initialised => Judged::ok("in terraform/.terraform already"),
            Provider::Mirror(folder) => Judged::ok(format!("in the mirror {}", folder.display())),
            Provider::NetworkMirror(url) => Judged::ok(format!("from the mirror {url} (not asked)")),
            Provider::Registry => Judged::ok("the registry answers"),
            Provider::MirrorWithout(folder) => Judged::missing(
                format!("{} holds no hashicorp/aws, and there is no other source", folder.display()),
                format!("terraform -chdir=terraform providers mirror {}", folder.display()),
            ),
            Provider::NoConfiguration(file) => Judged::warning(
                format!("TF_CLI_CONFIG_FILE names {}, which does not exist", file.display()),
                "unset TF_CLI_CONFIG_FILE",
            ),
            Provider::Unreachable(reason) => Judged::missing(
                format!("the registry does not respond: {reason}"),
                "export HTTPS_PROXY=http://PROXY:PORT   # or name a mirror: https://developer.hashicorp.com/terraform/cli/config/config-file",
            ),
        },
    },
    Check {
        id: "aws-credentials",
        side: Side::Aws,
        commands: &["plan", "apply", "destroy", "bootstrap", "watch", "diagnose", "resize", "connect"],
        why: "AWS answers only signed calls; the lab takes any",
        judge: |found| match &found.credentials {
            Credentials::Aws => Judged::ok("found"),
            Credentials::Lab(endpoint) => Judged::ok(format!("this shell points at the lab, {endpoint}")),
            Credentials::NoLab(endpoint) => {
                Judged::warning(format!("AWS_ENDPOINT_URL is {endpoint}, and nothing answers there"), "kgen lab up")
            }
            Credentials::Missing(reason) => Judged::warning(
                format!("none ({reason})"),
                "aws configure sso   # or in the lab: kgen lab up && eval \"$(kgen lab env)\"",
            ),
        },
    },
    Check {
        id: "aws-cli",
        side: Side::Aws,
        commands: &["connect"],
        why: "the AWS CLI opens the session to the client instance; findings print commands for it",
        judge: |found| match &found.aws_cli {
            Some(path) => Judged::ok(path.display().to_string()),
            None => Judged::warning("no aws on the PATH", found.platform.install(Package::AwsCli)),
        },
    },
    Check {
        id: "session-manager-plugin",
        side: Side::Aws,
        commands: &["connect"],
        why: "the AWS CLI needs it to open a session",
        judge: |found| match &found.session_manager_plugin {
            Some(path) => Judged::ok(path.display().to_string()),
            None => {
                Judged::for_lack_of(Package::SessionManagerPlugin, found.platform, State::Warning, "not on the PATH")
            }
        },
    },
    Check {
        id: "client-image",
        side: Side::Aws,
        commands: &["apply", "connect"],
        why: "`kgen apply` delivers this kgen to the client instance (Amazon Linux 2023, x86-64, glibc 2.34)",
        judge: |found| {
            const REBUILD: &str =
                "scripts/client-kgen   # apply with that kgen, or with one of a package, or set client.kgen_file to it";
            match &found.binary {
                Err(reason) => Judged::warning(format!("what this executable needs is not known: {reason}"), REBUILD),
                Ok(binary) => match (binary.refused_by_client("x86_64"), binary.glibc) {
                    (Some(reason), _) => Judged::warning(reason, REBUILD),
                    (None, Some((major, minor))) => Judged::ok(format!("this executable needs glibc {major}.{minor}")),
                    (None, None) => Judged::ok("this executable is linked statically"),
                },
            }
        },
    },
    Check {
        id: "lab-system",
        side: Side::Lab,
        commands: &["lab up", "demo"],
        why: "the lab limits and observes its brokers with what Linux has",
        judge: |found| match found.os.as_str() {
            "linux" => Judged::ok("Linux"),
            other => Judged::missing(other, "start the lab in a virtual machine or a container with Linux"),
        },
    },
    Check {
        id: "java",
        side: Side::Lab,
        commands: &["lab up", "demo"],
        why: "the lab's brokers are Apache Kafka, which runs on Java 17 or later",
        judge: |found| match &found.java {
            Ok(path) => Judged::ok(path.display().to_string()),
            Err(reason) => Judged::for_lack_of(Package::Java, found.platform, State::Missing, reason),
        },
    },
    Check {
        id: "kafka",
        side: Side::Lab,
        commands: &["lab up", "demo"],
        why: "the jars of the lab's brokers, 60 MB; the first lab fetches them",
        judge: |found| match &found.kafka {
            Err(reason) => Judged::missing(reason, "unset KAFKA_HOME"),
            Ok(Some(folder)) => Judged::ok(folder.display().to_string()),
            Ok(None) => Judged::warning(format!("not fetched yet, from {}", found.repository), "kgen doctor --fix")
                .fixed_by(Fix::Jars),
        },
    },
    Check {
        id: "moto",
        side: Side::Lab,
        commands: &["lab up", "demo"],
        why: "moto answers for the rest of AWS; the first lab installs it by pip",
        judge: |found| match (&found.moto, &found.python) {
            (Err(reason), _) => Judged::missing(reason, "unset KGEN_MOTO_SERVER"),
            (Ok(Some(server)), _) => Judged::ok(server.display().to_string()),
            (Ok(None), Some(python)) => {
                Judged::warning(format!("not installed yet; {} will", python.display()), "kgen doctor --fix")
                    .fixed_by(Fix::Moto)
            }
            (Ok(None), None) => Judged::for_lack_of(
                Package::Python,
                found.platform,
                State::Missing,
                "not installed, and there is no python3",
            ),
        },
    },
    Check {
        id: "cpu-limits",
        side: Side::Lab,
        commands: &["lab up", "demo"],
        why: "an undersized broker is one that is held to its share of the CPU",
        judge: |found| {
            let limits = &found.cpu_limits;
            match (limits.by_cgroup, limits.memory_too) {
                (true, true) => Judged::ok(format!("{}, memory too", limits.means)),
                (true, false) => {
                    Judged::warning(format!("{}, memory is not limited", limits.means), AS_A_CGROUP_OF_ITS_OWN)
                }
                (false, _) => {
                    Judged::warning(format!("{}: coarser, memory is not limited", limits.means), AS_A_CGROUP_OF_ITS_OWN)
                }
            }
        },
    },
    Check {
        id: "port",
        side: Side::Lab,
        commands: &["lab up"],
        why: "the lab answers on a port of 127.0.0.1",
        judge: |found| match &found.lab {
            Lab::Free(port) => Judged::ok(format!("{port} is free")),
            Lab::Running(endpoint) => Judged::ok(format!("the lab of this project runs, {endpoint}")),
            Lab::Taken { port, another } => {
                let mend =
                    another.map_or("kgen lab up --port PORT".to_owned(), |free| format!("kgen lab up --port {free}"));
                Judged::warning(format!("{port} is taken by another program"), mend)
            }
        },
    },
    Check {
        id: "cores",
        side: Side::Lab,
        commands: &["lab up", "demo"],
        why: "brokers get their share of the machine's cores; the load generator and the lab need some as well",
        judge: |found| match found.cores {
            0 | 1 => Judged::warning("1 core: figures will be rough", "kgen lab up --scale 8"),
            cores => Judged::ok(cores.to_string()),
        },
    },
    Check {
        id: "memory",
        side: Side::Lab,
        commands: &["lab up", "demo"],
        why: "three brokers as kafka.m5.large at 1:4 take up to 6 GiB",
        judge: |found| {
            let mib = found.memory_available_mib;
            let found = format!("{:.1} GiB available", mib as f64 / 1024.0);
            match mib {
                mib if mib >= MEMORY_WANTED_MIB => Judged::ok(found),
                mib if mib >= MEMORY_NEEDED_MIB => Judged::warning(found, "kgen lab up --scale 8"),
                _ => Judged::missing(found, "ps -eo rss,pid,args --sort=-rss | head   # what to end"),
            }
        },
    },
    Check {
        id: "disk",
        side: Side::Both,
        commands: &["plan", "apply", "lab up", "demo"],
        why: "the AWS provider, Kafka's jars and the records of the lab's brokers need room",
        judge: |found| {
            let mib = found.disk_free_mib;
            let (found, mend) = (
                format!("{:.1} GiB free", mib as f64 / 1024.0),
                "kgen lab down --purge   # or: kgen -C DIR, elsewhere",
            );
            match mib {
                mib if mib >= DISK_WANTED_MIB => Judged::ok(found),
                mib if mib >= DISK_NEEDED_MIB => Judged::warning(found, mend),
                _ => Judged::missing(found, mend),
            }
        },
    },
];

const AS_A_CGROUP_OF_ITS_OWN: &str = "systemd-run --user --scope -p Delegate=yes kgen lab up   # or as root";

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::{Binary, CpuLimits, Found, Platform, Program, State, examine},
        *,
    };

    /// A machine that lacks nothing.
    fn whole() -> Found {
        let at = |path: &str| Some(path.into());
        Found {
            os: "linux".to_owned(),
            platform: Platform::Debian,
            terraform: Some(Program { path: "/bin/terraform".into(), version: Some("1.12.2".to_owned()) }),
            provider: Provider::Registry,
            credentials: Credentials::Aws,
            aws_cli: at("/bin/aws"),
            session_manager_plugin: at("/bin/session-manager-plugin"),
            java: Ok("/bin/java".into()),
            repository: "https://repository".to_owned(),
            kafka: Ok(at("/cache/kafka")),
            python: at("/bin/python3"),
            moto: Ok(at("/cache/moto")),
            cpu_limits: CpuLimits { means: "cgroup v2".to_owned(), by_cgroup: true, memory_too: true },
            lab: Lab::Free(4566),
            memory_available_mib: 16 * 1024,
            cores: 2,
            disk_free_mib: 50 * 1024,
            binary: Ok(Binary { architecture: "x86_64".to_owned(), glibc: Some((2, 34)), libraries: Vec::new() }),
        }
    }

    #[test]
    fn nothing_is_wrong_with_a_whole_machine() {
        let answers = examine(&whole(), Side::Both);
        assert_eq!(answers.len(), CHECKS.len());
        assert!(answers.iter().all(|answer| answer.state == State::Ok && answer.mend.is_none()), "{answers:#?}");
    }

    #[test]
    fn checks_are_told_apart_and_explained() {
        let ids: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), CHECKS.len());
        assert!(CHECKS.iter().all(|check| !check.why.is_empty() && !check.commands.is_empty()));
    }

    #[test]
    fn what_kgen_can_install_is_told_from_advice() {
        let fixes = |change: &dyn Fn(&mut Found)| {
            let mut machine = whole();
            change(&mut machine);
            examine(&machine, Side::Both).into_iter().find_map(|answer| answer.fix)
        };
        let java = Fix::Command("sudo apt-get install -y openjdk-17-jre-headless".to_owned());
        assert_eq!(fixes(&|found| found.java = Err("none".into())), Some(java));
        assert_eq!(fixes(&|found| found.kafka = Ok(None)), Some(Fix::Jars));
        assert_eq!(fixes(&|found| found.moto = Ok(None)), Some(Fix::Moto));
        assert_eq!(fixes(&|found| found.kafka = Err("3.9".into())), None);
        assert_eq!(fixes(&|found| (found.java, found.platform) = (Err("none".into()), Platform::Other)), None);
        assert_eq!(fixes(&|found| found.cores = 1), None);
    }

    #[test]
    fn a_side_leaves_out_the_other() {
        let ids = |side| examine(&whole(), side).iter().map(|answer| answer.id).collect::<BTreeSet<_>>();
        let (lab, aws) = (ids(Side::Lab), ids(Side::Aws));
        assert!(lab.contains("java") && !lab.contains("session-manager-plugin") && lab.contains("terraform"));
        assert!(!aws.contains("java") && aws.contains("session-manager-plugin") && aws.contains("terraform"));
        assert_eq!(lab.union(&aws).count(), CHECKS.len());
    }

    #[test]
    fn what_is_wrong_is_named_with_what_mends_it() {
        use State::{Missing, Ok as Fine, Warning};
        #[track_caller]
        fn check(id: &str, change: impl FnOnce(&mut Found), state: State, found: &str, mend: &str) {
            let mut machine = whole();
            change(&mut machine);
            let answers = examine(&machine, Side::Both);
            let answer = answers.iter().find(|answer| answer.id == id).expect("a check");
            assert_eq!(answer.state, state, "{answer:?}");
            assert!(answer.found.contains(found), "{answer:?} does not say {found:?}");
            assert!(answer.mend.as_deref().unwrap_or_default().contains(mend), "{answer:?} does not say {mend:?}");
            let others = answers.iter().filter(|other| other.id != id);
            assert!(others.into_iter().all(|other| other.state == Fine), "{answers:#?}");
        }
        let version = |version: &str| {
            let version = Some(version.to_owned());
            move |found: &mut Found| found.terraform = Some(Program { path: "/t".into(), version })
        };
        check("terraform", |found| found.terraform = None, Missing, "neither", "apt-get install -y terraform");
        check("terraform", version("1.4.7"), Missing, "older than 1.5", "install");
        check("terraform", version("1.5.0"), Fine, "1.5.0", "");
        check("terraform", version("2.0.0-rc1"), Fine, "2.0.0-rc1", "");
        check("terraform", version("soon"), Warning, "does not tell", "/t version");
        let provider = |provider: Provider| move |found: &mut Found| found.provider = provider;
        check("aws-provider", provider(Provider::Initialised), Fine, ".terraform", "");
        check("aws-provider", provider(Provider::Mirror("/m".into())), Fine, "/m", "");
        check("aws-provider", provider(Provider::NetworkMirror("https://m/".into())), Fine, "not asked", "");
        check("aws-provider", provider(Provider::MirrorWithout("/m".into())), Missing, "/m", "providers mirror /m");
        check("aws-provider", provider(Provider::NoConfiguration("/rc".into())), Warning, "/rc", "unset TF_CLI");
        check("aws-provider", provider(Provider::Unreachable("timed out".into())), Missing, "timed out", "HTTPS_PROXY");
        let credentials = |credentials: Credentials| move |found: &mut Found| found.credentials = credentials;
        check("aws-credentials", credentials(Credentials::Lab("http://l".into())), Fine, "http://l", "");
        check("aws-credentials", credentials(Credentials::NoLab("http://l".into())), Warning, "nothing", "kgen lab up");
        check("aws-credentials", credentials(Credentials::Missing("x".into())), Warning, "none (x)", "aws configure");
        check("aws-cli", |found| found.aws_cli = None, Warning, "no aws", "awscli");
        check(
            "session-manager-plugin",
            |f| f.session_manager_plugin = None,
            Warning,
            "PATH",
            "session-manager-plugin.deb",
        );
        check("lab-system", |found| found.os = "macos".into(), Missing, "macos", "with Linux");
        check("java", |found| found.java = Err("too old".into()), Missing, "too old", "openjdk-17");
        check("kafka", |found| found.kafka = Ok(None), Warning, "from https://repository", "kgen doctor --fix");
        check("kafka", |found| found.kafka = Err("3.9".into()), Missing, "3.9", "unset KAFKA_HOME");
        check("moto", |found| found.moto = Ok(None), Warning, "python3 will", "kgen doctor --fix");
        check("moto", |found| (found.moto, found.python) = (Ok(None), None), Missing, "no python3", "python3-venv");
        check("moto", |found| found.moto = Err("no file".into()), Missing, "no file", "unset KGEN_MOTO_SERVER");
        let limits = |by_cgroup, memory_too| {
            let means = "means".to_owned();
            move |found: &mut Found| found.cpu_limits = CpuLimits { means, by_cgroup, memory_too }
        };
        check("cpu-limits", limits(true, false), Warning, "memory is not limited", "Delegate");
        check("cpu-limits", limits(false, false), Warning, "coarser", "Delegate");
        let taken = |another| move |found: &mut Found| found.lab = Lab::Taken { port: 4566, another };
        check("port", taken(Some(4567)), Warning, "4566 is taken", "--port 4567");
        check("port", taken(None), Warning, "4566 is taken", "--port PORT");
        check("port", |found| found.lab = Lab::Running("http://l".into()), Fine, "http://l", "");
        check("cores", |found| found.cores = 1, Warning, "1 core", "--scale");
        check("memory", |found| found.memory_available_mib = 4096, Warning, "4.0 GiB", "--scale");
        check("memory", |found| found.memory_available_mib = 1024, Missing, "1.0 GiB", "ps ");
        check("disk", |found| found.disk_free_mib = 2048, Warning, "2.0 GiB", "purge");
        check("disk", |found| found.disk_free_mib = 512, Missing, "0.5 GiB", "purge");
        let binary = |architecture: &str, glibc| {
            let binary = Binary { architecture: architecture.to_owned(), glibc, libraries: Vec::new() };
            move |found: &mut Found| found.binary = Ok(binary)
        };
        check("client-image", binary("x86_64", Some((2, 41))), Warning, "glibc 2.41", "scripts/client-kgen");
        check("client-image", binary("x86_64", Some((2, 17))), Fine, "2.17", "");
        check("client-image", binary("x86_64", None), Fine, "statically", "");
        check("client-image", binary("aarch64", Some((2, 17))), Warning, "aarch64", "scripts/client-kgen");
        check("client-image", |found| found.binary = Err("gone".into()), Warning, "gone", "scripts/client-kgen");
    }
}
