//! `kgen size`: the cheapest broker type and count that carry a cluster's load.

use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::{
    console::{confirmed, ensure_confirmable},
    documents::{self, Sized},
    look::{open_named, runtime},
    out, record,
};
use crate::{
    cli::{Look, Outcome, Size, SourceChoice, refused},
    diagnose::Context,
    metrics::{Resolution, Source},
    project::Project,
    report,
    run::Environment,
    sample::Sample,
    sizing::{Advice, Current, Exclude, Question, size},
    text::{self, headline},
    visible, watch,
};

/// A read that costs more is only made after asking, USD.
const ASK_ABOVE_USD: f64 = 1.0;

pub fn run(args: &Size, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let Read { context, current, samples, excluded } = match &args.from {
        Some(file) => recorded(file)?,
        None => runtime()?.block_on(history(args, &project))?,
    };
    let question = Question {
        growth: args.growth,
        survive: args.survive,
        target_cpu: f64::from(args.target_cpu),
        exclude: args.exclude.iter().copied().chain(excluded).collect(),
    };
    let sizing = match size(&current, &samples, &question) {
        Ok(sizing) => sizing,
        Err(error) => {
            eprintln!("error: {}: {error}", headline(&context));
            return Ok(Outcome::Inconclusive);
        }
    };
    let is_own = args.from.is_none() && args.which.cluster.is_none()
        || project.kgen_toml().exists() && context.cluster == project.stack().cluster().name;
    let next = watch::carry_out(&sizing, &context, args.dir.as_deref(), is_own);
    let outcome = match sizing.advice {
        Advice::Keep => Outcome::Done,
        Advice::Change { .. } => Outcome::Unhealthy,
        Advice::Nothing { .. } => Outcome::Inconclusive,
    };
    let record = record::begin_if_possible(&project, "size", None, Environment::with(&context));
    let sized = Sized { cluster: context, sizing, next, run: record.id().to_owned() };
    record.result(report::SIZE, &sized)?;
    record.end(&Ok(outcome), false)?;
    if args.json {
        documents::print(sized)?;
    } else {
        print!("{}", text::sizing::answer(&sized, &question));
    }
    Ok(outcome)
}

/// What the answer is made from.
struct Read {
    context: Context,
    current: Current,
    samples: Vec<Sample>,
    /// Time that does not count, beside what the user excludes.
    excluded: Option<Exclude>,
}

fn recorded(file: &Path) -> anyhow::Result<Read> {
    let recorded = watch::recorded(file, &mut out::learn_context).map_err(refused)?;
    let current = recorded.context.current().ok_or_else(|| unknown_type(&recorded.context))?;
    let current = Current { since_ms: recorded.since_ms, ..current };
    Ok(Read { context: recorded.context, current, samples: recorded.samples, excluded: None })
}

/// The last days, from CloudWatch.
async fn history(args: &Size, project: &Project) -> anyhow::Result<Read> {
    let look = Look {
        cluster: args.which.cluster.clone(),
        region: args.which.region.clone(),
        source: SourceChoice::Cloudwatch,
        ..Look::default()
    };
    let (opened, _) = open_named(&look, project).await?;
    let Source::CloudWatch(mut source) = opened.source else {
        return Err(anyhow!("CloudWatch was asked for, and another source was opened"));
    };
    let context = opened.context;
    let background = watch::background(&opened.aws, &context).await.ok_or_else(|| unknown_type(&context))?;
    background.notes.iter().for_each(|note| eprintln!("note: {}", visible::line(note)));
    let requests = source.requests_of_days(args.days, Resolution::Finest);
    eprintln!(
        "reading {} days of {} from CloudWatch: {} metrics, USD {:.4}",
        args.days,
        headline(&context),
        requests.metrics,
        requests.usd()
    );
    if requests.usd() > ASK_ABOVE_USD {
        ensure_confirmable(args.yes, "size")?;
        if !args.yes && !confirmed(&format!("Read CloudWatch for USD {:.2}?", requests.usd()))? {
            return Err(refused(anyhow!("nothing was read")));
        }
    }
    // Never more than what was shown.
    source.set_limit_usd(Some(requests.usd()));
    let samples = source.days(args.days, Resolution::Finest).await.context("reading CloudWatch")?;
    Ok(Read { context, current: background.current, samples, excluded: background.exclude })
}

/// Refused: the catalogue has no figures of the brokers.
fn unknown_type(context: &Context) -> anyhow::Error {
    let (cluster, known) = (visible::line(&context.cluster), context.broker_type.as_deref().unwrap_or("unknown"));
    refused(anyhow!("the brokers of {cluster} are {}, a type that the catalogue does not have", visible::line(known)))
}
