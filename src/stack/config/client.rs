//! `[client]`: the EC2 instances inside the VPC from which load is sent, and how they get kgen.

use serde::{Deserialize, Serialize};

use super::Config;
use crate::stack::error::Fault;

/// The instances from which load is sent.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    pub instance_type: String,
    pub count: u32,
    /// That of the instance type, unless it is set; a type that kgen misjudges can be put right by it.
    pub architecture: Option<Architecture>,
    pub volume_gib: u32,
    /// A data point a minute from EC2.
    pub detailed_monitoring: bool,
    pub ebs_optimized: bool,
    /// Whether to install the Kafka command-line tools, and Java for them, under /opt/kafka.
    pub kafka_tools: bool,
    pub kafka_tools_version: String,
    /// Which kgen an instance gets without `kgen_url` and `kgen_file`.
    pub kgen: ClientKgen,
    /// Where an instance fetches kgen from when it first starts: an https URL of an executable for Linux.
    pub kgen_url: Option<String>,
    /// An executable for Linux on this machine, seen from terraform/; Terraform uploads it to `bucket`.
    pub kgen_file: Option<String>,
    /// SHA-256 of that executable, in hexadecimal.
    pub kgen_sha256: Option<String>,
    /// Bucket for `kgen_file`, or for the kgen that applies.
    pub bucket: Bucket,
    /// When Terraform makes what a load from the clients needs of Systems Manager.
    pub run_command: RunCommand,
}

/// When there is a document, a bucket and policies for load from the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunCommand {
    /// Where there are several clients.
    Several,
    Always,
    Never,
}

/// Which kgen a client gets when kgen.toml names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKgen {
    /// The executable that runs `kgen apply`, through S3, if it runs on the instance.
    #[serde(rename = "self")]
    Applying,
    None,
}

/// Processors that EC2 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    #[serde(rename = "x86_64")]
    X86_64,
    Arm64,
}

/// An S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Bucket {
    /// Made for it, and destroyed with the stack.
    Own,
    Named(String),
}

impl Default for Client {
    fn default() -> Client {
        Client {
            instance_type: "t3.small".to_owned(),
            count: 1,
            architecture: None,
            volume_gib: 20,
            detailed_monitoring: false,
            ebs_optimized: false,
            kafka_tools: true,
            kafka_tools_version: "3.9.1".to_owned(),
            kgen: ClientKgen::Applying,
            kgen_url: None,
            kgen_file: None,
            kgen_sha256: None,
            bucket: Bucket::Own,
            run_command: RunCommand::Several,
        }
    }
}

impl Client {
    pub fn architecture(&self) -> Architecture {
        self.architecture.unwrap_or_else(|| Architecture::of(&self.instance_type))
    }

    /// Whether load is sent from the clients through Run Command.
    pub fn has_run_command(&self) -> bool {
        match self.run_command {
            RunCommand::Several => self.count > 1,
            RunCommand::Always => true,
            RunCommand::Never => false,
        }
    }

    /// Whether the instances get the kgen that runs `kgen apply`.
    pub fn gets_applying_kgen(&self) -> bool {
        self.kgen == ClientKgen::Applying && self.kgen_url.is_none() && self.kgen_file.is_none()
    }
}

impl Architecture {
    /// EC2 marks its own processors with a g after the generation: m7g.large, c7gn.xlarge, but not g5.xlarge; a1 came before.
    fn of(instance_type: &str) -> Architecture {
        let family = instance_type.split('.').next().unwrap_or_default();
        let after_the_letters = family.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let after_the_generation = after_the_letters.trim_start_matches(|c: char| c.is_ascii_digit());
        match family == "a1" || after_the_generation.contains('g') {
            true => Architecture::Arm64,
            false => Architecture::X86_64,
        }
    }

    /// As Rust names it.
    pub fn of_rust(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "aarch64",
        }
    }

    /// As Amazon Linux and Linux name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "arm64",
        }
    }
}

impl TryFrom<String> for Bucket {
    type Error = String;

    fn try_from(text: String) -> Result<Bucket, String> {
        match text.as_str() {
            "own" => Ok(Bucket::Own),
            _ if is_bucket_name(&text) => Ok(Bucket::Named(text)),
            _ => Err(format!("{text:?} is neither \"own\" nor the name of an S3 bucket")),
        }
    }
}

impl From<Bucket> for String {
    fn from(bucket: Bucket) -> String {
        match bucket {
            Bucket::Own => "own".to_owned(),
            Bucket::Named(name) => name,
        }
    }
}

/// Amazon S3 User Guide, "General purpose bucket naming rules".
pub(super) fn is_bucket_name(text: &str) -> bool {
    (3..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

impl Config {
    /// The first rule of the client that is broken.
    pub(super) fn clients(&self) -> Option<Fault> {
        let client = &self.client;
        let is_word = |text: &str, extra: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        if !is_word(&client.instance_type, ".-") || !client.instance_type.contains('.') {
            return Fault::some(
                "client.instance_type",
                format!("{:?} is not an EC2 instance type", client.instance_type),
            );
        }
        if !(1..=20).contains(&client.count) {
            return Fault::some("client.count", "must be 1 to 20");
        }
        if !(8..=1024).contains(&client.volume_gib) {
            return Fault::some("client.volume_gib", "the client needs 8 to 1024 GiB");
        }
        if !is_word(&client.kafka_tools_version, ".") {
            return Fault::some("client.kafka_tools_version", "is not a version of Apache Kafka, such as 3.9.1");
        }
        if client.kafka_tools && !self.network.public && self.network.own_subnets() {
            return Fault::some(
                "client.kafka_tools",
                "Kafka's archive is on the internet, which a client without a public address cannot reach: set it to false",
            );
        }
        self.kgen_of_the_client()
    }

    fn kgen_of_the_client(&self) -> Option<Fault> {
        let client = &self.client;
        if client.kgen_url.is_some() && client.kgen_file.is_some() {
            return Fault::some("client.kgen_file", "conflicts with client.kgen_url: set only one of the two");
        }
        if client.kgen_file.is_none() && !client.gets_applying_kgen() && client.bucket != Bucket::Own {
            return Fault::some("client.bucket", "also needs client.kgen_file or client.kgen = \"self\"");
        }
        match &client.kgen_url {
            Some(url) if !url.starts_with("https://") || !url.chars().all(|c| c.is_ascii_graphic()) => {
                return Fault::some("client.kgen_url", "must be an https:// URL");
            }
            Some(_) if !self.network.public && self.network.own_subnets() => {
                return Fault::some(
                    "client.kgen_url",
                    "cannot be reached by a client without a public address: use client.kgen_file, which is delivered \
                     through S3",
                );
            }
            _ => {}
        }
        if let Some(file) = &client.kgen_file
            && (file.is_empty() || file.chars().any(char::is_control))
        {
            return Fault::some("client.kgen_file", "must be the path of a file");
        }
        let (place, key) = match (&client.kgen_url, &client.kgen_file) {
            (None, None) => (false, "client.kgen_url"),
            (Some(_), _) => (true, "client.kgen_url"),
            (None, Some(_)) => (true, "client.kgen_file"),
        };
        match &client.kgen_sha256 {
            Some(_) if !place => Fault::some("client.kgen_sha256", "also needs client.kgen_url or client.kgen_file"),
            Some(sum) if sum.len() != 64 || !sum.chars().all(|c| c.is_ascii_hexdigit()) => {
                Fault::some("client.kgen_sha256", "is not 64 hexadecimal digits")
            }
            None if place => Fault::some(key, "also needs client.kgen_sha256 (`sha256sum kgen`)"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graviton_types_are_arm64() {
        for (instance_type, expected) in [
            ("t3.small", "x86_64"),
            ("c6i.large", "x86_64"),
            ("g5.xlarge", "x86_64"),
            ("m7g.large", "arm64"),
            ("c7gn.xlarge", "arm64"),
            ("t4g.small", "arm64"),
            ("a1.medium", "arm64"),
            ("x2gd.large", "arm64"),
            ("u-6tb1.metal", "x86_64"),
        ] {
            assert_eq!(Architecture::of(instance_type).as_str(), expected, "{instance_type}");
        }
    }
}
