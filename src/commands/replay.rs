//! `kgen replay`: a recorded run in the screen, or as lines.

use std::{path::Path, thread::sleep, time::Duration};

use anyhow::{Context as _, anyhow};

use super::out;
use crate::{
    cli::{Outcome, Replay, refused},
    project::Project,
    run::{Run, find},
    screen::{self, Lines, Player, Quit},
};

/// Speed in the screen unless one is given: a demo of four minutes in half a minute.
const SPEED: f64 = 8.0;

pub fn run(args: &Replay, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let path = find(&project.runs_dir(), args.run.as_deref(), |_| true).map_err(|error| refused(anyhow!("{error}")))?;
    let mut run = Run::read(&path).map_err(refused)?;
    run.entries = run.entries.into_iter().map(out::redacted_entry).collect();
    if args.plain || !screen::is_usable() {
        print(&run, args.speed);
        return Ok(Outcome::Done);
    }
    let quit = screen::replay(&run, args.speed.unwrap_or(SPEED), out::palette(true)).context("drawing the run")?;
    Ok(if quit == Some(Quit::Interrupted) { Outcome::Interrupted } else { Outcome::Done })
}

fn print(run: &Run, speed: Option<f64>) {
    let mut lines = Lines::new(&run.head, out::lines_palette());
    let mut player = Player::new(run, speed.unwrap_or(1.0));
    while let Some(wait) = player.until_next() {
        if speed.is_some() {
            sleep(wait);
        }
        // A little more, so that the next one is reached in spite of rounding.
        for entry in player.advance(wait + Duration::from_micros(1)) {
            lines.of(entry).iter().for_each(|line| println!("{line}"));
        }
    }
    lines.summary().iter().for_each(|line| println!("{line}"));
}
