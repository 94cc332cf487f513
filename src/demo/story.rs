//! The points of the story, as they come.

use std::{fmt::Write as _, time::Instant};

use serde::Serialize;

use crate::{
    catalogue::BrokerType,
    record::Record,
    run::{Event, Mark},
};

/// The points of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    LabUp,
    Applied,
    Calm,
    LoadStarted,
    Seen,
    Named,
    FixStarted,
    Fixed,
    Recovered,
    Verified,
    Destroyed,
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Moment::LabUp => "lab up",
            Moment::Applied => "started",
            Moment::Calm => "calm",
            Moment::LoadStarted => "load",
            Moment::Seen => "constraint seen",
            Moment::Named => "cause named",
            Moment::FixStarted => "fix begun",
            Moment::Fixed => "fixed",
            Moment::Recovered => "recovered",
            Moment::Verified => "records verified",
            Moment::Destroyed => "destroyed",
        }
    }

    /// The point on the time axis of every chart that it is.
    fn mark(self) -> Option<Mark> {
        match self {
            Moment::LoadStarted => Some(Mark::Onset),
            Moment::Seen => Some(Mark::Seen),
            Moment::Named => Some(Mark::Named),
            Moment::Fixed => Some(Mark::Fixed),
            Moment::Recovered => Some(Mark::Verified),
            _ => None,
        }
    }
}

/// The timeline so far.
#[derive(Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Story {
    told: Vec<Told>,
    #[serde(skip)]
    begun: Instant,
    #[serde(skip)]
    record: Record,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Told {
    at_s: f64,
    moment: Moment,
    text: String,
}

impl Story {
    pub fn begin(record: Record) -> Story {
        Story { told: Vec::new(), begun: Instant::now(), record }
    }

    /// Adds a moment and records it. Returns its line.
    pub fn tell(&mut self, moment: Moment, text: String) -> String {
        let told = Told { at_s: self.begun.elapsed().as_secs_f64(), moment, text };
        let line = line_of(&told);
        let event = match moment.mark() {
            Some(mark) => Event::mark(mark, told.text.clone()),
            None => Event::note(format!("{}: {}", moment.name(), told.text)),
        };
        // The story continues. The record keeps the failure for the exit code, and the samples fail as well.
        let _ = self.record.tell(event);
        self.told.push(told);
        line
    }

    pub fn has(&self, moment: Moment) -> bool {
        self.told.iter().any(|told| told.moment == moment)
    }

    pub fn title(&self, from: BrokerType, to: BrokerType) -> String {
        let at = |moment| self.told.iter().find(|told| told.moment == moment).map(|told| told.at_s);
        let named = at(Moment::Named).zip(at(Moment::LoadStarted)).map_or(0.0, |(named, load)| named - load);
        format!("{from} was too small, named {named:.0} s after the load began; as {to} the cluster is healthy")
    }

    pub fn timeline(&self) -> String {
        self.told.iter().fold(String::new(), |mut lines, told| {
            // Writing to a String does not fail.
            let _ = writeln!(lines, "{}", line_of(told));
            lines
        })
    }
}

fn line_of(told: &Told) -> String {
    format!("{:>6.1} s  {:<16}  {}", told.at_s, told.moment.name(), told.text)
}
