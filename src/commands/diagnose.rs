//! `kgen diagnose`: watch for a while, name the cause, print the fix.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use jiff::Timestamp;

use super::{
    look::{INSIDE_INTERVAL, Opened, collected, naming, open, open_named, recorded, refresh, runtime},
    out,
    place::Place,
};
use crate::{
    aws::Aws,
    cli::{Diagnose, Look, Outcome, refused},
    diagnose::{Context, Diagnosis, Finding, Verdict, diagnose},
    documents::{Diagnosed, DiagnosisDocument},
    metrics::{CloudWatch, Source},
    project::Project,
    remedy::Rendered,
    sample::Sample,
    text::{self, headline},
    watch::{self, Naming, Seen},
};

/// How long the brokers are watched from inside.
const INSIDE_WINDOW: Duration = Duration::from_secs(30);

/// Time between two samples where another command diagnoses.
const OWN_INTERVAL: Duration = Duration::from_secs(2);

/// What was seen of a cluster, and how.
struct Looked {
    context: Context,
    samples: Vec<Sample>,
    seen: Seen,
    naming: Naming,
    /// What a longer history says of the price.
    saving: Option<Finding>,
}

pub fn run(args: &Diagnose, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let looked = match &args.replay {
        Some(file) => {
            let (context, samples) = recorded(file)?;
            let naming = naming(&project, &context.cluster, &context.region);
            Looked { context, samples, seen: Seen::Recorded, naming, saving: None }
        }
        None => runtime()?.block_on(looked(args, &project))?,
    };
    let mut diagnosis = diagnose(&looked.context, &looked.samples);
    diagnosis.add_saving(looked.saving.clone());
    let fixes = watch::fixes(&looked.context, &diagnosis, &looked.naming);
    let Looked { context, samples, seen, naming, .. } = &looked;
    let of = Diagnosed { context, samples, seen: *seen, naming };
    if args.json {
        out::document(&DiagnosisDocument::of(of, &diagnosis, &fixes)).context("writing the diagnosis as JSON")?;
    } else {
        print!("{}", text::diagnosis::diagnosis(of, &diagnosis, &fixes));
    }
    Ok(outcome(diagnosis.verdict))
}

/// How a command ends that says what a diagnosis says.
pub fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Healthy => Outcome::Done,
        Verdict::CauseFound => Outcome::Unhealthy,
        Verdict::Inconclusive => Outcome::Inconclusive,
    }
}

/// Samples of the window, and the cluster as it is at its end.
async fn looked(args: &Diagnose, project: &Project) -> anyhow::Result<Looked> {
    let (opened, naming) = open_named(&args.look, project).await?;
    let Opened { aws, mut context, source, seen, .. } = opened;
    let mut saving = None;
    let samples = match source {
        Source::CloudWatch(mut source) => {
            let period = source.timing().period;
            let datapoints = args.window.map_or(watch::DATAPOINTS, |window| watch::periods(window, period));
            let requests = source.requests_of(datapoints);
            eprintln!(
                "reading the last {datapoints} datapoints of {} s of {} from CloudWatch ({} metrics, USD {:.2})",
                period.as_secs_f64(),
                headline(&context),
                requests.metrics,
                requests.usd(),
            );
            let samples = source.history(datapoints).await?;
            let status = source.status();
            (context.unavailable, context.broker_ids) = (status.unavailable(), status.broker_ids());
            status.take_notes().iter().for_each(|note| eprintln!("note: {note}"));
            if samples.is_empty() {
                eprintln!("note: CloudWatch has no datapoints for {}: {}", context.cluster, source.silence());
            }
            if diagnose(&context, &samples).verdict == Verdict::Healthy {
                saving = saving_of(&aws, &context, &mut source).await;
            }
            samples
        }
        source => inside(&context, source, args.window, args.look.interval).await?,
    };
    // MSK changes the version with every update, so what is printed is read last.
    refresh(&aws, &mut context).await.context("reading the cluster's current version")?;
    Ok(Looked { context, samples, seen, naming, saving })
}

/// Whether a healthy cluster is paid for twice over, by its history. What cannot be read is a note: it is not what was asked.
async fn saving_of(aws: &Aws, context: &Context, source: &mut CloudWatch) -> Option<Finding> {
    let requests = watch::requests_for_saving(source, context);
    if requests.metrics == 0 {
        return None;
    }
    eprintln!("reading its history for what it could save ({} metrics, USD {:.3})", requests.metrics, requests.usd());
    let saving = watch::saving(aws, context, source, Timestamp::now().as_millisecond()).await;
    saving.unwrap_or_else(|error| {
        eprintln!("note: whether it is oversized is not known: {error}");
        None
    })
}

async fn inside(
    context: &Context,
    source: Source,
    window: Option<Duration>,
    interval: Option<Duration>,
) -> anyhow::Result<Vec<Sample>> {
    let window = window.unwrap_or(INSIDE_WINDOW);
    eprintln!("watching {} for {} s", headline(context), window.as_secs_f64());
    collected(source, window, interval.unwrap_or(INSIDE_INTERVAL)).await
}

/// Samples of the stack's cluster over `window`, and the cluster as it is at its end.
pub async fn watched(window: Duration, project: &Project) -> anyhow::Result<(Context, Vec<Sample>)> {
    let look = Look { interval: Some(OWN_INTERVAL), ..Look::default() };
    let Opened { aws, mut context, source, .. } = open(&look, project.stack(), &Place::Environment).await?;
    let samples = inside(&context, source, Some(window), look.interval).await?;
    refresh(&aws, &mut context).await.context("reading the cluster's current version")?;
    Ok((context, samples))
}

/// The remedy of each finding for the project's cluster; the HCL change is against what is in `terraform_dir`.
pub fn fixes(context: &Context, diagnosis: &Diagnosis, terraform_dir: &Path) -> Vec<Option<Rendered>> {
    watch::fixes(context, diagnosis, &Naming::of_project(terraform_dir))
}
