//! The record of a command's run, and the messages about it.

use crate::{
    edge,
    project::Project,
    run::Environment,
    screen::{self, Live},
};

pub use crate::record::{Record, environment};

/// As [`Record::begin_if_possible`]. That a run is not recorded is said.
pub fn begin_if_possible(project: &Project, command: &str, id: Option<String>, environment: Environment) -> Record {
    let (record, why_not) = Record::begin_if_possible(project, command, id, environment);
    if let Some(why) = why_not {
        eprintln!("note: this run is not recorded: {why}");
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
        Err(error) => eprintln!("note: nothing is drawn: {error}"),
    }
}
