//! Opening a cluster through a view and watching it: inside (Prometheus and the Kafka protocol), outside (CloudWatch and the
//! MSK API), or recorded (a run or a file).
//!
//! Takes typed requests and returns values; what a person should read comes back as a note or an
//! [`Event`](crate::run::Event). Nothing is printed here.

mod advice;
mod collect;
mod fixes;
pub mod fleet;
mod history;
mod marks;
mod open;
mod place;
mod recorded;
mod session;
mod target;
mod watcher;

pub use advice::carry_out;
pub use collect::{collected, collected_with, ended};
pub use fixes::{Naming, fixes};
pub use fleet::{DATAPOINTS, periods};
pub use history::{background, requests_for_saving, saving};
pub use marks::Marks;
pub use open::{Opened, Request, Seen, View, found, open, refresh};
pub use place::{Place, cluster, plaintext};
pub use recorded::{Line, recorded};
pub use session::{Following, Session};
pub use target::{Regions, Target, Wanted};
pub use watcher::{Background, Beginning, LatestLoad, News, Tell, Watchable, Watcher};

use anyhow::Context as _;

/// The runtime on which clusters are watched.
///
/// # Errors
/// The system has no resources for it.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the asynchronous runtime")
}
