//! `kgen replay`: a recorded run in the screen, or as lines.

use std::{
    io::{self, Write as _},
    path::Path,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, anyhow};

use super::{out, watching::line};
use crate::{
    cli::{Outcome, Replay, refused},
    project::Project,
    run::{Entry, Event, Run, find},
    screen::{self, Lines, Player, Quit},
};

/// Speed in the screen unless one is given: a demo of four minutes in half a minute.
const SPEED: f64 = 8.0;

pub fn run(args: &Replay, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let path = find(&project.runs_dir(), args.run.as_deref(), |_| true).map_err(|error| refused(anyhow!("{error}")))?;
    let mut run = Run::read(&path).map_err(refused)?;
    run.entries = run.entries.into_iter().map(out::redacted_entry).collect();
    if args.json {
        match print_samples(&run, args.speed) {
            // The reader of the pipe has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            printed => printed?,
        }
        return Ok(Outcome::Done);
    }
    if args.plain || !screen::is_usable() {
        print(&run, args.speed);
        return Ok(Outcome::Done);
    }
    let quit = screen::replay(&run, args.speed.unwrap_or(SPEED), out::palette(true)).context("drawing the run")?;
    Ok(if quit == Some(Quit::Interrupted) { Outcome::Interrupted } else { Outcome::Done })
}

fn print(run: &Run, speed: Option<f64>) {
    let mut lines = Lines::new(&run.head, out::lines_palette());
    let show = &mut |entry: &Entry| {
        lines.of(entry).iter().for_each(|line| println!("{line}"));
        Ok(())
    };
    // Printing as above does not fail.
    let _ = played(run, speed, show);
    lines.summary().iter().for_each(|line| println!("{line}"));
}

fn print_samples(run: &Run, speed: Option<f64>) -> io::Result<()> {
    let mut out = out::stdout();
    played(run, speed, &mut |entry| match &entry.event {
        Event::Sample(observed) => {
            writeln!(out, "{}", serde_json::to_string(&line(observed))?)?;
            out.flush()
        }
        _ => Ok(()),
    })
}

/// Shows entry after entry: at once, or in their own time where there is a speed.
fn played(run: &Run, speed: Option<f64>, show: &mut dyn FnMut(&Entry) -> io::Result<()>) -> io::Result<()> {
    let mut player = Player::new(run, speed.unwrap_or(1.0));
    while let Some(wait) = player.until_next() {
        if speed.is_some() {
            sleep(wait);
        }
        // A little more, so that the next one is reached in spite of rounding.
        player.advance(wait + Duration::from_micros(1)).iter().try_for_each(&mut *show)?;
    }
    Ok(())
}
