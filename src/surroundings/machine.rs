//! Looks at this machine. Installs nothing, changes nothing, asks the network at most for the provider's registry.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    aws,
    doctor::{Binary, CpuLimits, Credentials, Found, Lab, Platform, Program, Provider, binary_needs, provider_sources},
    fetch::Fetcher,
    files,
    lab::{hardware::machine_cores, install, limits::Means},
    project::Project,
    sandbox::lab::folder,
    terraform::Terraform,
    watch::runtime,
};

/// The port that `kgen lab up` takes unless told otherwise.
const LAB_PORT: u16 = 4566;

/// Terraform's public registry, by its discovery document.
const REGISTRY: &str = "https://registry.terraform.io/.well-known/terraform.json";

/// How long an endpoint may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// What `kgen doctor` judges.
///
/// # Errors
/// The system does not answer: no runtime, no figures of the disk.
pub fn look(project: &Project, terraform_bin: Option<&Path>) -> anyhow::Result<Found> {
    let terraform = Terraform::find(terraform_bin).ok();
    let means = Means::detect();
    let on_path = |name: &str| which::which(name).ok();
    let text = |result: anyhow::Result<Option<PathBuf>>| result.map_err(|error| format!("{error:#}"));
    Ok(Found {
        os: env::consts::OS.to_owned(),
        platform: Platform::of(&fs::read_to_string("/etc/os-release").unwrap_or_default()),
        terraform: terraform.map(|path| Program { version: Terraform::version(&path), path }),
        provider: provider(project)?,
        credentials: credentials(project)?,
        aws_cli: on_path("aws"),
        session_manager_plugin: on_path("session-manager-plugin"),
        java: install::find_java().map_err(|error| format!("{error:#}")),
        repository: install::repository(),
        kafka: text(install::installed_kafka()),
        python: on_path("python3"),
        moto: text(install::installed_moto()),
        cpu_limits: CpuLimits {
            by_cgroup: !matches!(means, Means::DutyCycle),
            memory_too: means.limits_memory(),
            means: means.to_string(),
        },
        lab: lab(project),
        memory_available_mib: memory_available_mib(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        cores: machine_cores(),
        disk_free_mib: disk_free_mib(project.dir())?,
        binary: binary(),
    })
}

fn provider(project: &Project) -> anyhow::Result<Provider> {
    let providers = project.terraform_dir().join(".terraform/providers");
    if has_aws(&providers) {
        return Ok(Provider::Initialised);
    }
    let named = env::var_os("TF_CLI_CONFIG_FILE").filter(|file| !file.is_empty()).map(PathBuf::from);
    let at_home = |name: &str| env::home_dir().map(|home| home.join(name)).filter(|file| file.is_file());
    let file = match named {
        Some(file) if !file.is_file() => return Ok(Provider::NoConfiguration(file)),
        Some(file) => Some(file),
        None => at_home(".terraformrc").or_else(|| at_home(".tofurc")),
    };
    let configuration = file.and_then(|file| files::text(&file).ok().flatten()).unwrap_or_default();
    let (folders, urls, direct) = provider_sources(&configuration);
    if let Some(folder) = folders.iter().find(|folder| has_aws(folder)) {
        return Ok(Provider::Mirror(folder.clone()));
    }
    if let Some(url) = urls.first() {
        return Ok(Provider::NetworkMirror(url.clone()));
    }
    match folders.into_iter().next() {
        Some(folder) if !direct => Ok(Provider::MirrorWithout(folder)),
        _ => Ok(match Fetcher::new().and_then(|fetcher| fetcher.answers(REGISTRY, ANSWER_WITHIN)) {
            Ok(()) => Provider::Registry,
            Err(error) => Provider::Unreachable(error.to_string()),
        }),
    }
}

/// Whether a folder laid out by host and namespace has the AWS provider.
fn has_aws(folder: &Path) -> bool {
    let hosts = fs::read_dir(folder).into_iter().flatten().flatten();
    hosts.map(|host| host.path().join("hashicorp/aws")).any(|aws| aws.is_dir())
}

fn credentials(project: &Project) -> anyhow::Result<Credentials> {
    let runtime = runtime()?;
    if let Ok(endpoint) = env::var("AWS_ENDPOINT_URL") {
        let answers = runtime.block_on(aws::endpoint_answers(&endpoint, ANSWER_WITHIN)).is_ok();
        return Ok(if answers { Credentials::Lab(endpoint) } else { Credentials::NoLab(endpoint) });
    }
    Ok(match runtime.block_on(aws::credentials(project.stack().region())) {
        Ok(()) => Credentials::Aws,
        Err(reason) => Credentials::Missing(reason),
    })
}

fn lab(project: &Project) -> Lab {
    // One that cannot be distinguished from another process shows as a port that is taken.
    if let Ok(Some(running)) = folder(project).running() {
        return Lab::Running(running.endpoint);
    }
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    if free(LAB_PORT) {
        return Lab::Free(LAB_PORT);
    }
    Lab::Taken { port: LAB_PORT, another: (LAB_PORT + 1..LAB_PORT + 100).find(|port| free(*port)) }
}

/// `MemAvailable` of proc_meminfo(5).
fn memory_available_mib(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn disk_free_mib(dir: &Path) -> anyhow::Result<u64> {
    let room = rustix::fs::statvfs(dir).with_context(|| format!("asking for the room in {}", dir.display()))?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize) >> 20)
}

fn binary() -> Result<Binary, String> {
    let elf = fs::read("/proc/self/exe").map_err(|error| error.to_string())?;
    binary_needs(&elf, env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       24576000 kB\nMemFree:  1 kB\nMemAvailable:   20480000 kB\n";
        assert_eq!(memory_available_mib(text), 20_000);
        assert_eq!(memory_available_mib("MemTotal: 1 kB\n"), 0);
    }

    #[test]
    fn a_mirror_is_recognised_by_its_layout() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!has_aws(dir.path()));
        fs::create_dir_all(dir.path().join("registry.terraform.io/hashicorp/aws/6.0.0")).unwrap();
        assert!(has_aws(dir.path()));
        assert!(!has_aws(&dir.path().join("none")));
    }

    #[test]
    fn this_very_executable_is_read() {
        let binary = binary().unwrap();
        assert_eq!(binary.architecture, env::consts::ARCH);
    }
}
