//! One thin file per command: parse, decide, show, act. Only these modules print.

/// Prints a result by way of the [`edge`](crate::edge). All commands have this one.
macro_rules! println {
    () => { $crate::edge::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::edge::print(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! print {
    ($($text:tt)*) => { $crate::edge::print(format_args!($($text)*)) };
}

/// Prints a message to standard error, likewise.
macro_rules! eprintln {
    () => { $crate::edge::message(format_args!("\n")) };
    ($($text:tt)*) => { $crate::edge::message(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprint {
    ($($text:tt)*) => { $crate::edge::message(format_args!($($text)*)) };
}

mod apply;
mod bench;
mod bootstrap;
mod capacity;
mod changing;
mod clients;
mod clusters;
mod compare;
mod config;
mod connect;
mod consume;
mod demo;
mod destroy;
mod diagnose;
mod doctor;
mod explain;
mod fix;
mod generate;
mod guard;
mod init;
mod lab;
mod load;
mod output;
mod plan;
mod produce;
mod reference;
mod render;
mod replay;
mod report;
mod resize;
mod resume;
mod runs;
mod scale_out;
mod schemas;
mod size;
mod start;
mod topic;
mod watch;

use std::{ffi::OsString, io::IsTerminal as _};

use clap::{CommandFactory as _, Parser, error::ErrorKind};

use crate::{
    aws::cluster_name,
    cli::{Cli, Color, Command, Outcome, Refused, refused},
    console::{self, progress, record, stopping},
    documents, edge as out,
    process::ensure_descriptors,
    project::Project,
    screen::ColorChoice,
    selection::{look, place, working_dir},
};

/// Runs a command line and returns the exit code. Errors go to standard error.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    if asks_for_redaction(&args) {
        // Before anything can be said about the arguments.
        out::redact_from_now_on();
        out::learn_hosts([rustix::system::uname().nodename().to_string_lossy().into_owned()]);
    }
    let ended = match Cli::try_parse_from(&args) {
        // A person who has just installed it; a script is told that a command is missing.
        Err(_) if args.len() == 1 && std::io::stdout().is_terminal() => start::run().map(Outcome::code),
        Ok(cli) => obey(cli).map(Outcome::code),
        Err(error) => Ok(unparsed(error, &args)),
    };
    // A result that is not whole is none, whatever it says.
    let ended = ended.and_then(|code| out::failure().map_or(Ok(code), Err));
    match ended {
        Ok(code) => code,
        // At a question; whatever else is interrupted says itself what becomes of it.
        Err(error) if error.is::<crate::change::Interrupted>() => {
            eprintln!("interrupted; nothing was changed");
            Outcome::Interrupted.code()
        }
        Err(error) => {
            eprintln!("error: {}", indented(&without_numbers(&format!("{error:#}"))));
            if error.chain().any(|cause| cause.is::<Refused>()) { 2 } else { 1 }
        }
    }
}

/// Carries out a command line that could be read.
fn obey(cli: Cli) -> anyhow::Result<Outcome> {
    if cli.redact {
        out::redact_from_now_on();
        learn_names(&cli);
    }
    out::color_from_now_on(match cli.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    });
    ensure_descriptors().map_err(refused)?;
    dispatch(cli)
}

/// Says what is wrong with a command line, or prints the help that it asks for; returns the exit code.
fn unparsed(error: clap::Error, args: &[OsString]) -> u8 {
    let needs_another = [ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, ErrorKind::MissingSubcommand];
    if needs_another.contains(&error.kind()) {
        let help = Cli::try_parse_from(named(args).split(' ').chain(["--help"]));
        eprint!("{}", help.err().unwrap_or(error).render());
        return 2;
    }
    if error.use_stderr() {
        eprintln!("{}", in_three_lines(&error.render().to_string(), &named(args)));
    } else {
        print!("{}", error.render());
    }
    error.exit_code() as u8
}

/// Whether `--redact` is among the arguments, or its variable is set, also where the arguments cannot be read otherwise.
fn asks_for_redaction(args: &[OsString]) -> bool {
    let is_set = |value: OsString| {
        let value = value.to_string_lossy().to_lowercase();
        !["", "0", "f", "false", "n", "no", "off"].contains(&value.as_str())
    };
    args.iter().skip(1).any(|arg| arg == "--redact") || std::env::var_os("KGEN_REDACT").is_some_and(is_set)
}

/// The command that the arguments name, as far as they name one: `kgen topic create`.
fn named(args: &[OsString]) -> String {
    let (mut command, mut path) = (Cli::command(), "kgen".to_owned());
    for word in args.iter().skip(1).filter_map(|arg| arg.to_str()) {
        if let Some(found) = command.find_subcommand(word).cloned() {
            path = format!("{path} {word}");
            command = found;
        }
    }
    path
}

/// An error of several lines, of which only the first begins at the margin: a name in it that holds a line break looks like
/// no message of its own.
fn indented(error: &str) -> String {
    let mut lines = error.split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + if line.is_empty() || line.starts_with(' ') { "\n" } else { "\n  " } + line)
}

/// What the system says of a failure, without its number: `No such file or directory (os error 2)`.
fn without_numbers(error: &str) -> String {
    let mut parts = error.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.split_once(')') {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => text + rest,
        _ => text + " (os error " + part,
    })
}

/// What clap says of a mistake in the arguments of `command`, without the usage: what is wrong, the first tip, where the help is.
fn in_three_lines(rendered: &str, command: &str) -> String {
    let mut paragraphs = rendered.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let wrong =
        paragraphs.next().unwrap_or_default().replace("invalid digit found in string", "expected a whole number");
    let rest: Vec<String> = paragraphs.filter(|text| !text.is_empty()).collect();
    let tip = rest.iter().find(|text| text.starts_with("tip:") || text.starts_with("[possible values:"));
    let help = format!("see `{command} --help`");
    std::iter::once(&wrong).chain(tip).chain([&help]).cloned().collect::<Vec<_>>().join("\n")
}

/// Takes for names of hosts and clusters in what is redacted those that the user gave, and the stack's.
fn learn_names(cli: &Cli) {
    let which = match &cli.command {
        Command::Produce(args) => args.brokers.which.cluster.as_deref(),
        Command::Consume(args) => args.brokers.which.cluster.as_deref(),
        Command::Topic(args) => args.brokers().which.cluster.as_deref(),
        Command::Bootstrap(args) => args.which.cluster.as_deref(),
        _ => None,
    };
    let servers = match &cli.command {
        Command::Produce(args) => args.brokers.bootstrap_servers.as_deref(),
        Command::Consume(args) => args.brokers.bootstrap_servers.as_deref(),
        Command::Topic(args) => args.brokers().bootstrap_servers.as_deref(),
        _ => None,
    };
    let cluster = match &cli.command {
        Command::Watch(args) => args.look.cluster.as_deref(),
        Command::Diagnose(args) => args.look.cluster.as_deref(),
        Command::Resize(args) => args.cluster.as_deref(),
        Command::Size(args) => args.which.cluster.as_deref(),
        Command::Capacity(args) => args.brokers.which.cluster.as_deref(),
        _ => None,
    };
    servers.into_iter().for_each(out::learn_servers);
    cluster.into_iter().chain(which).map(cluster_name).for_each(out::learn_cluster);
    // What is wrong with kgen.toml the command itself says.
    if let Ok(project) = Project::open(&cli.project) {
        out::learn_cluster(&project.stack().cluster().name);
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<Outcome> {
    let project = cli.project.as_path();
    match cli.command {
        Command::Plan(args) => plan::run(project, &args),
        Command::Apply(args) => apply::run(project, &args),
        Command::Destroy(args) => destroy::run(project, &args),
        Command::Output(args) => output::run(project, &args),
        Command::Connect(args) => connect::run(project, &args),
        Command::Bootstrap(args) => bootstrap::run(project, &args),
        Command::Render(args) => render::run(&args, project),
        Command::Watch(args) => watch::run(&args, project),
        Command::Diagnose(args) => diagnose::run(&args, project),
        Command::Clusters(args) => clusters::run(&args, project),
        Command::Guard(args) => guard::run(&args, project),
        Command::Explain(args) => explain::run(&args),
        Command::Size(args) => size::run(&args, project),
        Command::Capacity(args) => capacity::run(&args, project),
        Command::Resize(args) => resize::run(project, &args),
        Command::ScaleOut(args) => scale_out::run(project, &args),
        Command::Fix(args) => fix::run(project, &args),
        Command::Resume(args) => resume::run(project, &args),
        Command::Demo(args) => demo::run(project, &args),
        Command::Runs(args) => runs::run(&args, project),
        Command::Replay(args) => replay::run(&args, project),
        Command::Report(args) => report::run(&args, project),
        Command::Topic(args) => topic::run(args, project),
        Command::Produce(args) if args.machines.are_named() => clients::run(&args, project),
        Command::Produce(args) => produce::run(args, project),
        Command::Lab(command) => lab::run(project, &command),
        Command::Consume(args) if args.machines.are_named() => load::consume(&args, project),
        Command::Consume(args) => consume::run(args, project),
        Command::Load(args) => load::run(&args, project),
        Command::Compare(args) => compare::run(&args, project),
        Command::Bench(command) => bench::run(project, &command),
        Command::Doctor(args) => doctor::run(&args, project),
        Command::Init(args) => init::run(&args, project),
        Command::Config(args) => config::run(&args, project),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
        Command::Schema(args) => schemas::run(&args),
        Command::Reference { scenarios, from_outside } => reference::run(scenarios, from_outside),
    }
}
