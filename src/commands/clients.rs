//! `kgen produce --on clients` and `--hosts FILE`: a load from many machines, with one result.

use std::{path::Path, time::Duration};

use super::{
    out,
    record::{self, environment},
    stopping::Stopping,
};
use crate::{
    cli::{Outcome, load::Produce, onward::arguments, refused},
    clients::{self, Event, Order, Progress, Work},
    load::{ending, merge::Merged, mix::Sending},
    project::Project,
    selection::{
        load::{ensure_topics_from_here, producer_config},
        machines::{demand, engine},
    },
    text,
};

/// Between two lines of progress, s.
const LINE_EVERY: f64 = 10.0;

pub fn run(args: &Produce, project: &Path) -> anyhow::Result<Outcome> {
    let project = &Project::open(project).map_err(refused)?;
    let (config, _) = producer_config(args, project)?;
    config.validate().map_err(refused)?;
    let arguments = arguments(args, &config).map_err(refused)?;
    ensure_topics_from_here(&config.load.topics, &config.connection)?;
    let engine = engine(&args.machines, &args.brokers.which, project)?;
    let run = format!("{:016x}", config.run);
    let work = Work {
        run: run.clone(),
        arguments,
        file: None,
        duration: config.load.duration,
        end_within: config.flush_within * 2,
        start_in: args.machines.start_in,
        demand: demand(
            &args.machines,
            vec![Sending { name: String::new(), after: Duration::ZERO, config: config.clone() }],
            Vec::new(),
            project,
        ),
    };
    let order = Order {
        work,
        topic: config.load.topics.join(","),
        rate_asked: config.load.rate.mean(config.load.duration),
        folder: project.runs_dir().join(format!("{:016x}", config.run)),
    };
    let record = record::begin_if_possible(project, "produce", Some(run), environment(project));
    let stopping = Stopping::begin(|| eprintln!("ended at once: what runs on the machines may run on"))?;
    let mut shown = Shown::default();
    let merged = clients::produce(&engine, &order, stopping.flag(), &mut |event| shown.show(&event));
    let finished = merged.and_then(|merged| {
        let Some(mut merged) = merged else {
            eprintln!("nothing was sent");
            return Ok(Outcome::Interrupted);
        };
        merged.stopped |= stopping.was_asked();
        merged.slo = args.slo.as_ref().map(|slo| slo.judge_merged(&merged)).unwrap_or_default();
        record.result("load", &merged)?;
        show(args, &merged)?;
        Ok(ending::of_merged(&merged, args.slo.as_ref()))
    });
    record.end(&finished, stopping.was_asked())?;
    finished
}

fn show(args: &Produce, merged: &Merged) -> anyhow::Result<()> {
    if args.json {
        out::document(merged)?;
    } else if args.json_stream {
        let _ = out::json_line(merged);
    } else {
        println!("{}", text::load::merged(merged));
    }
    Ok(())
}

/// What was shown of a load last.
#[derive(Default)]
pub struct Shown {
    last_line_s: f64,
    ended: usize,
}

impl Shown {
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Ready { machines, version, start_in } => {
                eprintln!("{machines} machines are ready with {version}; the load starts in {} s", start_in.as_secs());
            }
            Event::Note(note) => eprintln!("note: {note}"),
            Event::Progress(Progress::States { running, ended, of }) if *ended != self.ended => {
                eprintln!("{ended} of {of} machines have ended, {running} are under way");
                self.ended = *ended;
            }
            Event::Progress(Progress::States { .. }) => {}
            Event::Progress(Progress::Second { machines, at_s, offered_per_s, acknowledged_per_s }) => {
                if at_s - self.last_line_s >= LINE_EVERY - 0.5 {
                    eprintln!(
                        "{at_s:.0} s: {offered_per_s:.0} records/s due, {acknowledged_per_s:.0} acknowledged, on {machines} machines"
                    );
                    self.last_line_s = *at_s;
                }
            }
        }
    }
}
