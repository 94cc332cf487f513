//! The record of a command's run, and the messages about it.

use crate::{
    edge,
    project::Project,
    run::{Environment, Event},
    screen::{self, Live},
    watch::Tell,
};

pub use crate::record::{Record, environment};

/// As [`Record::begin_if_possible`]. That a run is not recorded is said.
pub fn begin_if_possible(project: &Project, command: &str, id: Option<String>, environment: Environment) -> Record {
    let (record, why_not) = Record::begin_if_possible(project, command, id, environment);
    if let Some(why) = why_not {
        edge::message(format_args!("note: this run is not recorded: {why}\n"));
    }
    record
}

/// Draws the run from now on, if there is a terminal to draw on and it is wanted.
pub fn show(record: &Record, is_unwanted: bool) {
    if is_unwanted || !screen::is_usable() {
        return;
    }
    match Live::open(record.head(), edge::palette(true), edge::release) {
        Ok(screen) => record.draw_on(screen),
        Err(error) => edge::message(format_args!("note: nothing is drawn: {error}\n")),
    }
}

/// Records what happens to a cluster that is watched. A note is also for whoever reads the messages; the screen shows it once, from the record.
pub fn telling(record: Record) -> Tell {
    Box::new(move |at, event, _| {
        if let Event::Note { text } = &event {
            edge::aside(format_args!("note: {text}\n"));
        }
        record.tell_at(at, event)
    })
}
