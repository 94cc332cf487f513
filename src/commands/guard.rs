//! `kgen guard`: a fleet, watched.

use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::{clusters::ensure_read, documents, look, out, stopping::Stopping};
use crate::{
    alert::Message,
    cli::{Guard, GuardFormat, Outcome, Which, refused},
    diagnose::Verdict,
    files,
    guard::{
        self, Config, Event, Line, Place, RoundReport,
        config::{SinkConfig, SinkKind},
        format,
    },
    open_monitoring,
    project::Project,
    proposals::propose_all,
    watch::runtime,
};

/// The configuration where none is named.
const GUARD_TOML: &str = "guard.toml";

pub fn run(args: &Guard, dir: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(dir).map_err(refused)?;
    if args.rules || args.dashboard {
        let broker_type = args.broker_type.unwrap_or(project.stack().broker_type());
        match args.rules {
            true => print!("{}", open_monitoring::rules(broker_type)),
            false => out::document(&open_monitoring::dashboard(broker_type))?,
        }
        return Ok(Outcome::Done);
    }
    let config = config(args, dir).map_err(refused)?;
    let (ended, report) = runtime()?.block_on(async {
        let region = look::target(&Which::default(), &project, false).await?.region.name;
        let variable = |name: &str| std::env::var(name).ok();
        let place = Place { dir, region: &region, variable: &variable, leaving };
        if args.test_sinks {
            return Ok((tried(&guard::test_sinks(&config, &place).await?)?, None));
        }
        if args.once {
            let report = guard::once(&config, &place, &mut |event| show(event, true)).await?;
            return Ok((Outcome::Done, Some(report)));
        }
        let stopping = Stopping::begin(|| ())?;
        guard::watch(&config, &place, stopping.flag(), &mut |event| show(event, false)).await?;
        anyhow::Ok((Outcome::Done, None))
    })?;
    report.map_or(Ok(ended), |report| once(report, args, dir))
}

/// The configuration that is named, or that of the project, or none.
fn config(args: &Guard, dir: &Path) -> anyhow::Result<Config> {
    let path = args.config.clone().unwrap_or_else(|| dir.join(GUARD_TOML));
    let text = match files::text(&path)? {
        None if args.config.is_some() => anyhow::bail!("there is no {}", path.display()),
        text => text.unwrap_or_default(),
    };
    let mut config = Config::parse(&text).with_context(|| format!("reading {}", path.display()))?;
    // Somebody has to be told.
    if config.sink.is_empty() && !args.once {
        config.sink.push(SinkConfig::of(SinkKind::Stdout));
    }
    Ok(config)
}

/// A message as it may be sent: with `--redact`, nothing in it tells whose cluster it is.
fn leaving(message: Message) -> Message {
    out::learn_cluster(&message.subject.name);
    out::redacted_message(message)
}

fn show(event: Event, is_once: bool) {
    match event {
        Event::Note(text) => eprintln!("note: {text}"),
        Event::Round(report) => {
            report.clusters.iter().for_each(|seen| out::learn_cluster(&seen.row.name));
            if !is_once {
                eprintln!("{}", report.summary());
            }
        }
        Event::Message(message) => {
            out::learn_cluster(&message.subject.name);
            // What went wrong is kept at the edge.
            let _ = out::json_line(&Line::of(message));
        }
    }
}

/// Prints what came of each test message, and how the command ends.
fn tried(sinks: &[(String, Result<(), String>)]) -> anyhow::Result<Outcome> {
    for (name, sent) in sinks {
        println!("{name}: {}", sent.as_ref().err().map_or("delivered", String::as_str));
    }
    let failed = sinks.iter().filter(|(_, sent)| sent.is_err()).count();
    if failed > 0 {
        return Err(anyhow!("{failed} of {} sinks did not take the test message", sinks.len()));
    }
    Ok(Outcome::Done)
}

/// Prints a round, and how the command ends.
fn once(report: RoundReport, args: &Guard, dir: &Path) -> anyhow::Result<Outcome> {
    let outcome = outcome(&report);
    let undelivered: usize = report.undelivered.values().sum();
    match args.format {
        GuardFormat::Json => documents::print(report.clone())?,
        GuardFormat::Text => print!("{}", format::text(&report)),
        GuardFormat::Markdown => print!("{}", format::markdown(&report)),
        GuardFormat::Github => print!("{}", format::github(&report)),
        GuardFormat::Junit => print!("{}", format::junit(&report)),
    }
    if let Some(terraform) = &args.propose {
        // Every other form is a document, which is alone on standard output.
        let is_text = args.format == GuardFormat::Text;
        let note = |text: &str| eprintln!("note: {text}");
        let say = |line: &str| if is_text { println!("{line}") } else { eprintln!("{line}") };
        propose_all(&report, dir, terraform, &note, &say)?;
    }
    if undelivered > 0 {
        return Err(anyhow!("{undelivered} messages were not delivered; they are kept, and sent with the next run"));
    }
    match outcome {
        Ok(_) if args.exit_zero => Ok(Outcome::Done),
        outcome => outcome,
    }
}

/// What could not be read counts most, then causes, then what is not known.
fn outcome(report: &RoundReport) -> anyhow::Result<Outcome> {
    ensure_read(report.failures.len(), report.unread())?;
    Ok(match (report.unsilenced().next(), report.count(Verdict::Inconclusive)) {
        (Some(_), _) => Outcome::Unhealthy,
        (None, 1..) => Outcome::Inconclusive,
        (None, 0) => Outcome::Done,
    })
}
