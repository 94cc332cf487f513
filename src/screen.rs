//! A run in the terminal: drawn while it happens or replayed, and as lines where there is no terminal.
//!
//! A [`Model`] is fed with the run's entries, the same that the record gets; [`draw`] makes a frame of it, [`Lines`] makes
//! lines. Both are pure. [`Live`] draws on a thread of its own, and restores the terminal however the program ends.

mod chart;
mod draw;
mod findings;
mod lines;
mod live;
mod model;
mod palette;
mod player;
mod plots;
mod series;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

pub use lines::{Lines, TextLine};
pub use live::{Live, replay};
pub use palette::{ColorChoice, Palette};
pub use player::Player;
pub use terminal::is_usable;
pub use view::Quit;
