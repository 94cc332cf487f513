//! A run as a page for people: HTML in one file, or Markdown for a pull request. Pure: a run in, text out.
//!
//! The content of a report is a [`view::View`]; [`page`] and [`markdown`] lay it out. Everything from a run is plain
//! text in it, because names of topics and clusters are untrusted.

mod capacity;
mod chart;
mod charts;
mod markdown;
mod page;
mod scale;
mod size;
mod story;
mod stretches;
mod times;
mod view;

pub use size::RESULT as SIZE;
pub use stretches::{RESULT as STRETCHES, Span, Stretches};

use crate::run::Run;

/// The name of the response times' file in a load's folder.
pub const TIMES: &str = "latency.hlog";

/// A run, ready to be laid out.
pub struct Page<'a> {
    run: &'a Run,
    view: view::View,
}

impl<'a> Page<'a> {
    /// `times` is what the load wrote as [`TIMES`]; empty when there is none.
    pub fn of(run: &'a Run, times: &[u8]) -> Page<'a> {
        Page { run, view: view::View::of(run, &times::parse(times)) }
    }

    /// One self-contained page.
    ///
    /// # Errors
    /// None that the content of a run could cause.
    pub fn html(&self) -> anyhow::Result<String> {
        page::html(self.run, &self.view)
    }

    pub fn markdown(&self) -> String {
        markdown::markdown(&self.view)
    }
}

#[cfg(test)]
mod tests;
