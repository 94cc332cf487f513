//! How this machine installs a package.

/// The family of a Linux distribution, by its package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    Debian,
    Fedora,
    Arch,
    Alpine,
    Other,
}

/// A package by what it is, not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    Java,
    Python,
    AwsCli,
    Terraform,
    SessionManagerPlugin,
}

impl Platform {
    /// From the text of /etc/os-release: its `ID`, else the first of `ID_LIKE` that is known.
    pub fn of(os_release: &str) -> Platform {
        let value = |name: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let (id, like) = (value("ID"), value("ID_LIKE"));
        let known = std::iter::once(id.as_str()).chain(like.split_whitespace()).find_map(|name| match name {
            "debian" | "ubuntu" => Some(Platform::Debian),
            "fedora" | "rhel" | "centos" | "amzn" | "rocky" | "almalinux" => Some(Platform::Fedora),
            "arch" => Some(Platform::Arch),
            "alpine" => Some(Platform::Alpine),
            _ => None,
        });
        known.unwrap_or(Platform::Other)
    }

    /// Whether [`install`](Platform::install) gives a command that installs `package`, not advice or half of it.
    pub fn can_install(self, package: Package) -> bool {
        match package {
            Package::SessionManagerPlugin => matches!(self, Platform::Debian | Platform::Fedora),
            _ => self != Platform::Other,
        }
    }

    /// The command that installs `package` here.
    pub fn install(self, package: Package) -> String {
        use Package::*;
        use Platform::*;
        match (self, package) {
            (Debian, Terraform) => DEBIAN_TERRAFORM.to_owned(),
            (Debian, SessionManagerPlugin) => {
                format!(
                    "curl -O {SESSION_MANAGER}/ubuntu_64bit/session-manager-plugin.deb && sudo dpkg -i session-manager-plugin.deb"
                )
            }
            (Fedora, SessionManagerPlugin) => {
                format!("sudo dnf install -y {SESSION_MANAGER}/linux_64bit/session-manager-plugin.rpm")
            }
            (_, SessionManagerPlugin) => format!("curl -O {SESSION_MANAGER}/ubuntu_64bit/session-manager-plugin.deb"),
            (Fedora, Terraform) => {
                "sudo dnf config-manager --add-repo https://rpm.releases.hashicorp.com/fedora/hashicorp.repo && \
                 sudo dnf install -y terraform"
                    .to_owned()
            }
            (Debian, package) => {
                let name = match package {
                    Java => "openjdk-17-jre-headless",
                    Python => "python3-venv",
                    _ => "awscli",
                };
                format!("sudo apt-get install -y {name}")
            }
            (Fedora, package) => {
                let name = match package {
                    Java => "java-17-openjdk-headless",
                    Python => "python3",
                    _ => "awscli2",
                };
                format!("sudo dnf install -y {name}")
            }
            (Arch, package) => {
                let name = match package {
                    Java => "jre17-openjdk-headless",
                    Python => "python",
                    Terraform => "terraform",
                    _ => "aws-cli-v2",
                };
                format!("sudo pacman -S --noconfirm {name}")
            }
            (Alpine, package) => {
                let name = match package {
                    Java => "openjdk17-jre-headless",
                    Python => "python3",
                    Terraform => "opentofu",
                    _ => "aws-cli",
                };
                format!("sudo apk add {name}")
            }
            (Other, package) => match package {
                Java => "install a Java runtime, version 17 or later (https://adoptium.net)",
                Python => "install Python 3 with its venv module (https://www.python.org)",
                Terraform => "install Terraform (https://developer.hashicorp.com/terraform/install) or OpenTofu",
                AwsCli | SessionManagerPlugin => "python3 -m pip install --user 'awscli>=1.40,<2'",
            }
            .to_owned(),
        }
    }
}

/// Where AWS publishes the plugin (Systems Manager User Guide, "Install the Session Manager plugin").
const SESSION_MANAGER: &str = "https://s3.amazonaws.com/session-manager-downloads/plugin/latest";

/// HashiCorp's own packages for Debian and Ubuntu (developer.hashicorp.com/terraform/install).
const DEBIAN_TERRAFORM: &str = "wget -qO- https://apt.releases.hashicorp.com/gpg | sudo gpg --dearmor -o \
     /usr/share/keyrings/hashicorp-archive-keyring.gpg && echo \"deb \
     [signed-by=/usr/share/keyrings/hashicorp-archive-keyring.gpg] https://apt.releases.hashicorp.com \
     $(. /etc/os-release && echo $VERSION_CODENAME) main\" | sudo tee /etc/apt/sources.list.d/hashicorp.list && \
     sudo apt-get update && sudo apt-get install -y terraform";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_its_family() {
        for (text, expected) in [
            ("ID=debian\n", Platform::Debian),
            ("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", Platform::Debian),
            ("ID=\"amzn\"\nID_LIKE=\"fedora\"\n", Platform::Fedora),
            ("ID=\"pop\"\nID_LIKE=\"ubuntu debian\"\n", Platform::Debian),
            ("ID=arch\n", Platform::Arch),
            ("ID=alpine\n", Platform::Alpine),
            ("ID=nixos\n", Platform::Other),
            ("", Platform::Other),
        ] {
            assert_eq!(Platform::of(text), expected, "{text}");
        }
    }

    #[test]
    fn every_platform_has_a_way_to_every_package() {
        use Package::*;
        for platform in [Platform::Debian, Platform::Fedora, Platform::Arch, Platform::Alpine, Platform::Other] {
            for package in [Java, Python, AwsCli, Terraform, SessionManagerPlugin] {
                assert!(!platform.install(package).is_empty());
            }
        }
        assert_eq!(Platform::Debian.install(Java), "sudo apt-get install -y openjdk-17-jre-headless");
    }
}
