//! `kgen replay`: a recorded run in the screen, or as lines.

use std::{io, path::Path, thread::sleep, time::Duration};

use anyhow::{Context as _, anyhow};

use super::out;
use crate::{
    cli::{Outcome, Replay, refused},
    project::Project,
    run::{Entry, Event, Run, find},
    screen::{self, Lines, Player, Quit},
    watch::Line,
};

/// Speed in the screen unless one is given: a demo of four minutes in half a minute.
const SPEED: f64 = 8.0;

pub fn run(args: &Replay, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let path = find(&project.runs_dir(), args.run.as_deref(), |_| true).map_err(|error| refused(anyhow!("{error}")))?;
    let run = out::redacted_run(Run::read(&path).map_err(refused)?);
    if args.json {
        return printed(print_samples(&run, args.speed));
    }
    if args.plain || !screen::is_usable() {
        return printed(print(&run, args.speed));
    }
    let quit = screen::replay(&run, args.speed.unwrap_or(SPEED), out::palette(true)).context("drawing the run")?;
    Ok(if quit == Some(Quit::Interrupted) { Outcome::Interrupted } else { Outcome::Done })
}

/// The end of a command that prints line by line.
fn printed(printed: io::Result<()>) -> anyhow::Result<Outcome> {
    match printed {
        // The reader of the pipe has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done),
        printed => printed.map(|()| Outcome::Done).context("printing the run"),
    }
}

fn print(run: &Run, speed: Option<f64>) -> io::Result<()> {
    let mut lines = Lines::new(&run.head, out::lines_palette());
    played(run, speed, &mut |entry: &Entry| lines.of(entry).iter().try_for_each(out::line))?;
    lines.summary().iter().try_for_each(out::line)
}

fn print_samples(run: &Run, speed: Option<f64>) -> io::Result<()> {
    played(run, speed, &mut |entry| match &entry.event {
        Event::Sample(observed) => out::json_line(&Line::of(observed)),
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
