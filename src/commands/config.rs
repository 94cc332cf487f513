//! `kgen config`: each setting, its value, and where it comes from.

use std::path::Path;

use anyhow::Context as _;
use clap::{CommandFactory as _, parser::ValueSource};

use super::{
    documents::{self, Other, Settings},
    out,
};
use crate::{
    aws::{PolicyScope, read_only_policy},
    cli::{Cli, Config, Outcome, refused},
    project::Project,
    text,
};

/// Variables that commands read by themselves, and what they are for.
const READ_ELSEWHERE: [(&str, &str); 13] = [
    ("terraform-bin", "KGEN_TERRAFORM_BIN"),
    ("bootstrap-servers", "KGEN_BOOTSTRAP_SERVERS"),
    ("security", "KGEN_SECURITY"),
    ("sasl-username", "KGEN_SASL_USERNAME"),
    ("moto-server", "KGEN_MOTO_SERVER"),
    ("maven-repository", "KGEN_MAVEN_REPOSITORY"),
    ("allow-real-credentials", "KGEN_ALLOW_REAL_CREDENTIALS"),
    ("kafka-home", "KAFKA_HOME"),
    ("java-home", "JAVA_HOME"),
    ("aws-endpoint-url", "AWS_ENDPOINT_URL"),
    ("aws-profile", "AWS_PROFILE"),
    ("aws-region", "AWS_REGION"),
    ("aws-default-region", "AWS_DEFAULT_REGION"),
];

pub fn run(args: &Config, dir: &Path) -> anyhow::Result<Outcome> {
    if args.iam_policy {
        out::document(&read_only_policy(PolicyScope::default())).context("writing the policy")?;
        return Ok(Outcome::Done);
    }
    let project = Project::open(dir).map_err(refused)?;
    let (settings, others) = (project.settings()?, others(dir));
    if args.json {
        documents::print(Settings { settings, others })?;
    } else {
        println!("{}", text::settings::table(&settings, &others));
    }
    Ok(Outcome::Done)
}

fn others(dir: &Path) -> Vec<Other> {
    // Clap alone knows whether the folder was typed or came from the environment.
    let matches = Cli::command().try_get_matches_from(std::env::args_os()).ok();
    let origin = |id: &str| match matches.as_ref().and_then(|matches| matches.value_source(id)) {
        Some(ValueSource::CommandLine) => "flag",
        Some(ValueSource::EnvVariable) => "environment",
        _ => "default",
    };
    let redact = matches.as_ref().is_some_and(|matches| matches.get_flag("redact"));
    let own = [
        ("project", Some(dir.display().to_string()), "KGEN_PROJECT"),
        ("redact", Some(redact.to_string()), "KGEN_REDACT"),
    ];
    let own = own.map(|(name, value, variable)| Other { name: name.to_owned(), value, origin: origin(name), variable });
    let elsewhere = READ_ELSEWHERE.iter().map(|(name, variable)| {
        let value = std::env::var_os(variable).filter(|value| !value.is_empty());
        let origin = if value.is_some() { "environment" } else { "default" };
        Other { name: (*name).to_owned(), value: value.map(|value| value.display().to_string()), origin, variable }
    });
    own.into_iter().chain(elsewhere).collect()
}
