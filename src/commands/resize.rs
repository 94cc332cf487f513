//! `kgen resize`: another broker type, in the HCL and in the cluster, measured before and after.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};

use super::{
    documents::{self, Resized},
    figures::{Figures, table},
    look::{Opened, collected, open, runtime},
    place::{self, Place},
    progress::Progress,
    record::Record,
    rolling,
    watching::{Beside, Marks},
    working_dir::{WorkingDir, confirmed, ensure_confirmable},
};
use crate::{
    aws::{Aws, Cluster},
    catalogue::BrokerType,
    cli::{Look, Outcome, Resize, SourceChoice, refused},
    diagnose::{Context, Verdict, diagnose},
    kafka::{
        Connection, REACHABLE_WITHIN,
        admin::{Admin, Replication},
    },
    project::{Project, replace_all, unified_diff},
    proof::{Measured, proof},
    remedy::{self, Remedy, Rendered, Target},
    report::{STRETCHES, Span, Stretches},
    run::{Environment, Event, Fix, Mark},
    sample::Sample,
    stack::Stack,
    terraform::{Goal, TerraformError},
};

/// The one attribute that a resize may change.
pub const RESOURCE: &str = "aws_msk_cluster";
pub const ATTRIBUTE: &str = "broker_node_group_info[0].instance_type";

/// How long MSK may take to be ACTIVE with every replica in sync after terraform has ended; in the lab it is at once.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// What brokers that have just restarted are given before they are measured: compilers and caches are cold.
const WARM_UP: Duration = Duration::from_secs(25);

/// Time between two samples.
pub const INTERVAL: Duration = Duration::from_secs(2);

pub fn run(dir: &Path, args: &Resize) -> anyhow::Result<Outcome> {
    if let Some(dir) = &args.dir {
        return super::foreign::run(dir, args);
    }
    if !args.dry_run {
        ensure_confirmable(args.yes, "resize")?;
    }
    let project = Project::open(dir).map_err(refused)?;
    if let Some(variable) = project.variable_for("cluster.broker_type") {
        return Err(refused(anyhow!("{variable} goes before what a resize writes to kgen.toml (unset {variable})")));
    }
    // Before anything is asked of terraform or AWS: a type that can never be changed to.
    project.stack().resized(args.broker_type).map_err(refused)?;
    let _lock = project.lock().map_err(refused)?;
    let place = Place::Environment;
    let working_dir = WorkingDir::open_rendered(dir, &args.terraform)?;
    let ready = prepare(&project, args.broker_type, &place)?;
    eprint!("{}", ready.summary());
    if args.dry_run {
        return Ok(Outcome::Done);
    }
    if !args.yes && !confirmed(&format!("Change all {} brokers to {}?", ready.cluster.broker_count, args.broker_type))?
    {
        eprintln!("nothing was changed");
        return Ok(Outcome::Done);
    }

    let record = Record::begin_if_possible(&project, "resize", None, environment(&project));
    record.show(args.json || args.plain);
    let beside = Beside::start(&project, &place, &record, Marks::new(project.stack()).without_fixed());
    let ended = change(args, &project, &place, &working_dir, &ready, &record);
    drop(beside);
    let recorded = record.end(&ended, false);
    let outcome = ended?;
    recorded?;
    Ok(outcome)
}

fn environment(project: &Project) -> Environment {
    let stack = project.stack();
    let (region, cluster) = (Some(stack.region().to_owned()), Some(stack.cluster().name.clone()));
    Environment { region, cluster, ..Environment::here() }
}

/// Measures, carries out the change, and measures again.
fn change(
    args: &Resize,
    project: &Project,
    place: &Place,
    working_dir: &WorkingDir,
    ready: &Ready,
    record: &Record,
) -> anyhow::Result<Outcome> {
    eprintln!("measuring for {} s before the change", args.measure.as_secs());
    let (before_context, before) = measured(project, place, args.measure)?;
    let started = Instant::now();
    let mut progress = Progress::new();
    working_dir.await_earlier(&mut progress)?;
    let command = format!("kgen resize {}", args.broker_type);
    record.tell(Event::Remedy(Box::new(Fix { command, rendered: ready.rendered() })))?;
    match ready.carry_out(working_dir, &mut progress)? {
        Outcome::Done => {}
        other => return Ok(other),
    }
    record.tell(Event::mark(Mark::Fixed, format!("every broker is {}, every partition in sync", args.broker_type)))?;
    eprintln!("{} is {} after {} s", ready.cluster.name, args.broker_type, started.elapsed().as_secs());
    eprintln!("measuring for {} s, after {} s of warming up", args.measure.as_secs(), WARM_UP.as_secs());
    std::thread::sleep(WARM_UP);
    let (after_context, after) = measured(project, place, args.measure)?;

    let verdict = diagnose(&after_context, &after).verdict;
    let side = |context, samples| Measured { context: Some(context), samples, load: &[] };
    let change = proof(&side(&before_context, &before), &side(&after_context, &after));
    record.result("conclusion", &change)?;
    let span = |samples: &[Sample]| Span {
        from_ms: samples.first().map_or(0, |sample| sample.at_ms - 1),
        to_ms: samples.last().map_or(0, |sample| sample.at_ms),
    };
    record.result(STRETCHES, &Stretches { before: span(&before), after: span(&after) })?;
    let before = Figures::of(before_context.broker_type.as_deref().unwrap_or("?"), &before);
    let after = Figures::of(after_context.broker_type.as_deref().unwrap_or("?"), &after);
    let conclusion = match (before.has_load() && after.has_load(), verdict) {
        (_, Verdict::CauseFound) => "not recovered: a cause is still found (`kgen diagnose`)",
        (false, _) => "resized; without load before and after, nothing is proven about speed",
        (true, Verdict::Healthy) => "recovered: healthy under load",
        (true, Verdict::Inconclusive) => "resized; the measurement afterwards is inconclusive (`kgen diagnose`)",
    };
    if args.json {
        let conclusion = conclusion.to_owned();
        documents::print(Resized { cluster: after_context, before, after, change, verdict, conclusion })?;
    } else {
        println!("{}\n{conclusion}", table((&before.broker_type, &after.broker_type), &change));
    }
    Ok(if verdict == Verdict::CauseFound { Outcome::Unhealthy } else { Outcome::Done })
}

/// A resize that was found to be allowed, and has changed nothing yet.
pub struct Ready<'a> {
    project: &'a Project,
    place: &'a Place,
    resized: Stack,
    pub cluster: Cluster,
    bootstrap: String,
    /// kgen.toml as it will be.
    kgen_toml: String,
}

/// Checks that the project's cluster can be changed to `to`.
///
/// # Errors
/// Refused, with the reason: the type, the cluster's state, too many partitions, replicas that are not in sync.
pub fn prepare<'a>(project: &'a Project, to: BrokerType, place: &'a Place) -> anyhow::Result<Ready<'a>> {
    let stack = project.stack();
    let resized = stack.resized(to).map_err(refused)?;
    let name = &stack.cluster().name;
    let found = runtime()?.block_on(async {
        let aws = place.aws(stack.region()).await;
        place::cluster(&aws, name).await
    });
    let (cluster, bootstrap) = found.map_err(refused)?;
    ensure_changeable(&cluster, &replication(&bootstrap)?, to)?;
    let kgen_toml = crate::stack::with_broker_type(&project.kgen_toml_text()?, to)?;
    Ok(Ready { project, place, resized, cluster, bootstrap, kgen_toml })
}

/// Checks that MSK would change `cluster`, replicated like this, to `to` now.
///
/// # Errors
/// Refused, with the reason.
pub fn ensure_changeable(cluster: &Cluster, replication: &Replication, to: BrokerType) -> anyhow::Result<()> {
    let name = &cluster.name;
    ensure_active(cluster)?;
    let partitions = replication.brokers.values().map(|broker| broker.replicas).max().unwrap_or(0);
    if let Ok(now) = cluster.broker_type.parse::<BrokerType>()
        && now != to
    {
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
        now.check_change_to(to, Some(partitions)).map_err(refused)?;
    }
    if !replication.is_whole(cluster.broker_count as usize) {
        return Err(refused(anyhow!(
            "{} partitions of {name} are under-replicated and {} are offline: restarting brokers now would take more \
             replicas away; wait until all are in sync (`kgen topic describe`)",
            replication.under_replicated,
            replication.offline
        )));
    }
    Ok(())
}

/// # Errors
/// Refused: MSK changes nothing now.
pub fn ensure_active(cluster: &Cluster) -> anyhow::Result<()> {
    if cluster.state == "ACTIVE" && cluster.active_operation.is_none() {
        return Ok(());
    }
    Err(refused(anyhow!(
        "cluster {} is {}: MSK changes the broker type of an ACTIVE cluster with no operation running; wait for it",
        cluster.name,
        cluster.state
    )))
}

impl Ready<'_> {
    fn to(&self) -> BrokerType {
        self.resized.broker_type()
    }

    /// What will change: files, cluster, price, time.
    pub fn summary(&self) -> String {
        let toml_path = self.project.kgen_toml();
        let before = self.project.kgen_toml_text().unwrap_or_default();
        let toml_name = toml_path.display().to_string();
        let toml_diff = unified_diff((&toml_name, &before), (&toml_name, &self.kgen_toml));
        let rendered = self.rendered();
        let notes: String = rendered.notes.iter().map(|note| format!("  {note}\n")).collect();
        format!("{}\n{notes}{toml_diff}{}\n", rendered.summary, rendered.hcl_diff.unwrap_or_default())
    }

    /// The change as a remedy with every value filled in; before it is carried out.
    pub fn rendered(&self) -> Rendered {
        let msk_tf = std::fs::read_to_string(self.project.terraform_dir().join("msk.tf")).ok();
        let resize = Remedy::Resize(remedy::Resize {
            from: self.project.stack().broker_type(),
            to: self.to(),
            brokers: self.cluster.broker_count,
            reason: "asked for".to_owned(),
            vcpus_used: None,
            demand_is_higher: false,
        });
        let target = Target {
            arn: Some(&self.cluster.arn),
            current_version: Some(&self.cluster.current_version),
            region: self.project.stack().region(),
            bootstrap_servers: None,
            msk_tf: msk_tf.as_deref(),
        };
        resize.rendered(&target)
    }

    /// Rewrites the files, applies a plan that changes the type and nothing else, and waits until all is in sync.
    /// When anything goes wrong before the cluster was changed, the files are put back.
    ///
    /// # Errors
    /// The plan would change something else; terraform failed; the cluster did not settle.
    pub fn carry_out(&self, working_dir: &WorkingDir, progress: &mut Progress) -> anyhow::Result<Outcome> {
        let dir = self.project.terraform_dir();
        let mut files = vec![(self.project.kgen_toml(), self.kgen_toml.clone().into_bytes())];
        files.extend(self.resized.render().files().map(|(name, text)| (dir.join(name), text.as_bytes().to_vec())));
        files.retain(|(path, bytes)| std::fs::read(path).ok().as_deref() != Some(bytes));
        let restore = replace_all(&files)?;
        match self.applied(working_dir, progress) {
            Ok(()) => self.settle(progress).map(|()| Outcome::Done),
            Err(error) => {
                progress.clear();
                restore.restore().context("putting the files back")?;
                progress.line("the files are as they were before");
                match error.downcast::<TerraformError>() {
                    Ok(error @ TerraformError::Interrupted { .. }) => {
                        progress.line(&format!("{error}"));
                        Ok(Outcome::Interrupted)
                    }
                    Ok(error) => Err(error).context("applying the resize"),
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn applied(&self, working_dir: &WorkingDir, progress: &mut Progress) -> anyhow::Result<()> {
        let terraform = working_dir.terraform();
        progress.phase("planning");
        let plan = terraform.plan(Goal::Apply, &mut |seen| progress.show(seen))?;
        progress.clear();
        // The type was changed by other means already, and now the HCL says so too.
        if !plan.has_changes() && self.cluster.broker_type == self.to().as_str() {
            return Ok(());
        }
        plan.changes.ensure_updates_in_place(RESOURCE, ATTRIBUTE).context(
            "a resize may change the broker type and nothing else; `kgen plan` shows the rest, apply it first",
        )?;
        progress.phase("applying");
        rolling::apply(terraform, &plan, self.place, progress)?;
        progress.clear();
        Ok(())
    }

    /// Waits until the cluster is ACTIVE with the new type and every replica is in sync.
    fn settle(&self, progress: &mut Progress) -> anyhow::Result<()> {
        progress.phase("waiting until every partition is in sync");
        let runtime = runtime()?;
        let aws = runtime.block_on(self.place.aws(self.project.stack().region()));
        let admin = Admin::connect(&Connection::plain(&self.bootstrap))?;
        let started = Instant::now();
        loop {
            let missing = match self.missing(&runtime, &aws, &admin) {
                None => break,
                Some(missing) => missing,
            };
            if started.elapsed() > SETTLE_TIMEOUT {
                bail!("the resize was applied, but after {} s {missing}", SETTLE_TIMEOUT.as_secs());
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        progress.clear();
        Ok(())
    }

    fn missing(&self, runtime: &tokio::runtime::Runtime, aws: &Aws, admin: &Admin) -> Option<String> {
        let cluster = match runtime.block_on(aws.describe(&self.cluster.arn)) {
            Ok(cluster) => cluster,
            Err(error) => return Some(format!("the cluster cannot be described: {error}")),
        };
        if cluster.state != "ACTIVE" || cluster.broker_type != self.to().as_str() {
            return Some(format!("the cluster is {} with brokers of {}", cluster.state, cluster.broker_type));
        }
        match admin.replication(REACHABLE_WITHIN) {
            Ok(replication) if replication.is_whole(cluster.broker_count as usize) => None,
            Ok(replication) => Some(format!("{} partitions are under-replicated", replication.under_replicated)),
            Err(error) => Some(format!("the brokers do not answer: {error}")),
        }
    }
}

/// # Errors
/// Refused: no broker answers.
pub fn replication(bootstrap: &str) -> anyhow::Result<Replication> {
    let connection = Connection::plain(bootstrap);
    connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    Ok(Admin::connect(&connection)?.replication(REACHABLE_WITHIN)?)
}

/// The look of kgen's own measurements.
pub fn own_look() -> Look {
    Look { cluster: None, region: None, source: SourceChoice::Auto, targets: None, interval: INTERVAL }
}

fn measured(project: &Project, place: &Place, window: Duration) -> anyhow::Result<(Context, Vec<Sample>)> {
    runtime()?.block_on(async {
        let Opened { context, source, .. } = open(&own_look(), project.stack(), place).await?;
        Ok((context, collected(source, window, INTERVAL).await?))
    })
}
