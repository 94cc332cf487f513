//! `kgen demo`: the whole story in a lab of its own, told as it happens and summed up at the end.

use std::{cell::RefCell, path::Path};

use super::{
    changing::Words,
    documents::{self, Played as Document},
    out,
    record::{self, Record},
};
use crate::{
    change::Observer as _,
    cli::{Demo, Outcome, lab::T3Mode, refused},
    demo::{self, Audience, DemoEnd, Diagnosed, Played, Request, Scene},
    project::Project,
    record::page,
    sandbox::Stage,
    terraform::Terraform,
    text::{diagnosis::of_project, proof::table},
};

pub fn run(dir: &Path, args: &Demo) -> anyhow::Result<Outcome> {
    let outer = Project::open(dir).map_err(refused)?;
    let terraform = args.terraform.terraform_bin.as_deref();
    Terraform::find(terraform).map_err(refused)?;
    let mut stage = Stage::set(&outer, &demo::sandbox(&outer)?, &say)?;
    let hardware = demo::hardware(args.scale, args.t3 == T3Mode::Credits);
    let record = Record::begin(&outer, "demo", Some(hardware.scale))?;
    record::show(&record, args.json || args.plain);
    let request = Request { outer: &outer, terraform, port: args.port, hardware };
    let played = demo::play(&request, &mut stage, &record, &Told::new());
    // Whatever happened, nothing of it stays.
    let struck = stage.strike(&say);
    let was_interrupted = stage.was_interrupted();
    let shown = played.and_then(|ended| show(&ended, args.json).map(|()| ended.outcome()));
    end(&record, &shown, was_interrupted);
    if was_interrupted {
        eprintln!("interrupted; the lab of the demo is gone");
        return struck.map(|()| Outcome::Interrupted);
    }
    let outcome = shown?;
    struck?;
    Ok(outcome)
}

/// Ends the record, and writes its report.
fn end(record: &Record, played: &anyhow::Result<Outcome>, was_interrupted: bool) {
    match record.end(played, was_interrupted).and_then(|()| page::write(record.dir())) {
        Ok(page) => eprintln!("report: {}", page.display()),
        // What was played is not undone by it.
        Err(error) => {
            eprintln!("note: no report was written: {error:#}");
            out::failed(error);
        }
    }
}

fn say(text: &str) {
    eprintln!("{text}");
}

/// Tells what happens, on standard error.
struct Told(RefCell<Words>);

impl Told {
    fn new() -> Told {
        Told(RefCell::new(Words::new(true, true)))
    }
}

impl Audience for Told {
    fn see(&self, scene: &Scene<'_>) {
        let mut words = self.0.borrow_mut();
        match scene {
            Scene::Note(text) => say(text),
            // The screen shows it as a mark or a note.
            Scene::Told(line) => out::aside(format_args!("{line}\n")),
            Scene::Terraform(seen) => words.progress.show(seen),
            Scene::TerraformOver => words.progress.clear(),
            Scene::Destroying => words.progress.phase("destroying"),
            Scene::Measuring(broker_type, time) => {
                say(&format!("measuring {broker_type} for {} s", time.as_secs()));
            }
            Scene::Named(named) => out::aside(format_args!("\n{}\n", described(named))),
            Scene::Change(event) => words.see(event),
        }
    }
}

fn described(Diagnosed { context, samples, diagnosis, fixes }: &Diagnosed) -> String {
    of_project(context, samples, diagnosis, fixes)
}

/// Shows what came of it.
fn show(ended: &DemoEnd, json: bool) -> anyhow::Result<()> {
    match ended {
        DemoEnd::NotNamed { likeliest, within } => {
            let likeliest = likeliest.as_deref().unwrap_or("nothing was found");
            eprintln!("no cause could be named within {} s: {likeliest}", within.as_secs());
        }
        DemoEnd::NoOtherType { finding } => eprintln!("the remedy of {finding} is no other broker type"),
        DemoEnd::Interrupted => {}
        DemoEnd::NotHealthy { diagnosed, within } => {
            eprintln!("not healthy {} s after the fix:\n{}", within.as_secs(), described(diagnosed));
        }
        DemoEnd::Played(played) if json => documents::print(document(played))?,
        DemoEnd::Played(played) => sum_up(played),
    }
    Ok(())
}

fn document(played: &Played) -> Document<'_> {
    Document {
        lab_scale: played.lab_scale,
        timeline: &played.story,
        cause: played.cause,
        before: &played.before,
        after: &played.after,
        change: &played.change,
        load: &played.load,
        proof: &played.verification,
        samples: &played.samples,
    }
}

fn sum_up(played: &Played) {
    let Played { hardware, story, from, to, load, verification, .. } = played;
    println!("\n{} (lab, scale {hardware}; {})", story.title(*from, *to), played.samples.display());
    print!("{}", story.timeline());
    println!("\n{}", table((from.as_str(), to.as_str()), &played.change));
    println!(
        "\nrecords: {} due, {} acknowledged, {} failed, {} lost, {} duplicated",
        load.offered,
        load.acknowledged,
        load.failed_total() + load.unsent,
        verification.lost,
        verification.duplicates
    );
}
