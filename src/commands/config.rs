//! `kgen config`: each setting, its value, and where it comes from.

use std::path::Path;

use anyhow::Context as _;
use clap::{CommandFactory as _, parser::ValueSource};
use comfy_table::Table;

use super::{
    documents::{self, Other, Settings},
    out,
};
use crate::{
    aws::{PolicyScope, read_only_policy},
    cli::{Cli, Config, Outcome, refused},
    project::Project,
    stack::settings::{Origin, Setting},
    visible,
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
        println!("{}", text(&settings, &others));
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

fn text(settings: &[Setting], others: &[Other]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["key", "value", "from", "variable"]);
    let or_dash = |text: Option<&String>| text.map_or("-".to_owned(), |text| visible::line(text).into_owned());
    for setting in settings {
        let origin = match &setting.origin {
            Origin::Default => "default".to_owned(),
            Origin::KgenToml { line: Some(line) } => format!("kgen.toml:{line}"),
            Origin::KgenToml { line: None } => "kgen.toml".to_owned(),
            Origin::Environment => "environment".to_owned(),
        };
        table.add_row([
            visible::line(&setting.key).into_owned(),
            or_dash(setting.value.as_ref()),
            origin,
            or_dash(setting.variable.as_ref()),
        ]);
    }
    for other in others {
        let option = format!("--{}", other.name);
        let name = if ["project", "redact", "terraform-bin", "bootstrap-servers"].contains(&other.name.as_str()) {
            option
        } else {
            other.name.clone()
        };
        table.add_row([name, or_dash(other.value.as_ref()), other.origin.to_owned(), other.variable.to_owned()]);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
