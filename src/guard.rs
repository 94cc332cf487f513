//! Watches a fleet: rounds over clusters in many accounts and regions, alerts that are told once and resolved once, sinks.
//!
//! Never changes a cluster and never prints: what a person should read comes back as an [`Event`]. The order keeps every
//! message through any end of the process: alerts and undelivered messages are saved together before anything is sent, and
//! each delivery is saved before the next. A guard that is killed between a delivery and that write sends this one message
//! again, with the same id.

mod budget;
pub mod config;
mod courier;
pub mod format;
mod metrics;
pub mod report;
mod round;
mod sinks;
mod state;
#[cfg(test)]
mod testing;
mod trial;

use std::{
    future::Future,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::anyhow;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

pub use config::Config;
pub use report::{Line, RoundReport};
pub use trial::test_sinks;

use crate::{
    alert::{Book, Message},
    outcome::refused,
};
use budget::Decision;
use courier::{Courier, Delivery, waiting};
use metrics::{Health, Page};
use round::{Outcome, Round, Unpaid};
use sinks::{Sender, Sink};
use state::{State, Store};

/// Time between two looks whether the guard should end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a guard waits that cannot pay even for a round an hour, before it looks again whether it still is so.
const UNPAID: Duration = Duration::from_secs(3600);

/// Failures of a sink after which a single round leaves the rest to the next one.
const MOST_FAILURES: u32 = 3;

/// Part of the interval by which the time to the next round differs from it, at random: a fleet of guards spreads its calls.
const JITTER: f64 = 0.1;

/// What a person should read.
pub enum Event<'a> {
    Note(String),
    /// A round has ended.
    Round(&'a RoundReport),
    /// A message for standard output.
    Message(&'a Message),
}

/// Where a guard works.
pub struct Place<'a> {
    /// The project's folder: the state is relative to it.
    pub dir: &'a Path,
    /// The region where neither the configuration nor a profile names one.
    pub region: &'a str,
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// A message as it may be sent to a sink.
    pub leaving: fn(Message) -> Message,
}

type Tell<'a> = &'a mut dyn FnMut(Event<'_>);

/// Reads the fleet once, and tells the sinks.
///
/// # Errors
/// Refused: it costs more than it may, another guard uses the state, a secret is missing.
pub async fn once(config: &Config, place: &Place<'_>, tell: Tell<'_>) -> anyhow::Result<RoundReport> {
    let mut guard = Guard::open(config, place)?;
    let began = Instant::now();
    let outcome = round::read(config, place.region, &guard.state.spent).await;
    let (round, _) = match outcome {
        Outcome::Read(round, decision) => (round, decision),
        Outcome::Unread(unpaid) => {
            guard.spend(&unpaid)?;
            return Err(refused(anyhow!(said(&unpaid, config))));
        }
    };
    guard.take(*round, began, tell)?;
    loop {
        guard.courier.start(&guard.state);
        if guard.courier.is_idle(&guard.state, MOST_FAILURES) {
            break;
        }
        let delivery = guard.courier.next(&mut guard.state).await;
        guard.delivered(delivery, tell)?;
    }
    let report = guard.report.take().ok_or_else(|| anyhow!("the round has no report"))?;
    Ok(RoundReport { undelivered: waiting(&guard.state), ..report })
}

/// Watches the fleet until `stop` is set.
///
/// # Errors
/// As [`once`]; the state cannot be written.
pub async fn watch(config: &Config, place: &Place<'_>, stop: &AtomicBool, tell: Tell<'_>) -> anyhow::Result<()> {
    let mut guard = Guard::open(config, place)?;
    if let Some(address) = config.metrics {
        let (address, _) = guard.page.serve(address).await.map_err(refused)?;
        tell(Event::Note(format!("metrics at http://{address}/metrics")));
    }
    let mut is_first = true;
    loop {
        let (began, spent) = (Instant::now(), guard.state.spent.clone());
        let reading = round::read(config, place.region, &spent);
        let Some(outcome) = guard.attend(reading, stop, tell).await? else { break };
        let pause = match outcome {
            Outcome::Read(round, decision) => {
                guard.take(*round, began, tell)?;
                guard.pause(decision, tell)
            }
            Outcome::Unread(unpaid) => {
                guard.spend(&unpaid)?;
                if is_first && matches!(unpaid.decision, Decision::TooDear { .. }) {
                    return Err(refused(anyhow!(said(&unpaid, config))));
                }
                guard.health.rounds_unpaid += 1;
                guard.show();
                tell(Event::Note(said(&unpaid, config)));
                guard.pause(unpaid.decision, tell)
            }
        };
        is_first = false;
        if guard.attend(sleep_until(began + pause), stop, tell).await?.is_none() {
            break;
        }
    }
    guard.courier.finish(&mut guard.state).await;
    guard.store.save(&guard.state)
}

/// Why a round is not read.
fn said(unpaid: &Unpaid, config: &Config) -> String {
    let (most, usd) = (config.max_usd_per_day, unpaid.usd);
    match unpaid.decision {
        Decision::TooDear { usd_per_day } => format!(
            "a round costs USD {usd:.4}: even one an hour would be USD {usd_per_day:.2} a day, more than max_usd_per_day \
             ({most}): raise it, or watch less (clusters.names, groups = false)"
        ),
        Decision::Wait { until } => format!(
            "no round before {until}: the next one costs USD {usd:.4}, and max_usd_per_day ({most}) is spent for today"
        ),
        Decision::Read { .. } => String::new(),
    }
}

struct Guard<'a> {
    config: &'a Config,
    store: Store,
    state: State,
    courier: Courier,
    page: Page,
    health: Health,
    report: Option<RoundReport>,
    /// The interval that was last said.
    said: Duration,
}

impl<'a> Guard<'a> {
    fn open(config: &'a Config, place: &Place<'_>) -> anyhow::Result<Guard<'a>> {
        let sinks: Result<Vec<Sink>, _> =
            config.sink.iter().map(|sink| Sink::open(sink, place.variable, place.region)).collect();
        let (store, mut state) = Store::open(&place.dir.join(&config.state)).map_err(refused)?;
        // A receiver that forgets must not forget between two rounds, nor when one is missed.
        let sender =
            Sender::new((config.interval + config.deadline).saturating_mul(4), place.leaving).map_err(refused)?;
        let courier = Courier::new(sinks.map_err(refused)?, sender);
        state.set_sinks(&courier.names());
        store.save(&state)?;
        let guard = Guard {
            config,
            store,
            state,
            courier,
            page: Page::default(),
            health: Health::default(),
            report: None,
            said: config.interval,
        };
        guard.show();
        Ok(guard)
    }

    /// Waits for `work` while messages are carried; nothing if the guard should end.
    async fn attend<T>(
        &mut self,
        work: impl Future<Output = T>,
        stop: &AtomicBool,
        tell: Tell<'_>,
    ) -> anyhow::Result<Option<T>> {
        tokio::pin!(work);
        loop {
            if stop.load(Ordering::SeqCst) {
                return Ok(None);
            }
            self.courier.start(&self.state);
            tokio::select! {
                done = &mut work => return Ok(Some(done)),
                delivery = self.courier.next(&mut self.state) => self.delivered(delivery, tell)?,
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Counts what a round cost that was not read.
    fn spend(&mut self, unpaid: &Unpaid) -> anyhow::Result<()> {
        if unpaid.spent_usd > 0.0 {
            self.state.spent.add(Timestamp::now(), unpaid.spent_usd);
            self.store.save(&self.state)?;
        }
        Ok(())
    }

    /// Takes in a round: alerts and messages are saved before any is sent.
    fn take(&mut self, mut round: Round, began: Instant, tell: Tell<'_>) -> anyhow::Result<()> {
        let (now, policy) = (Timestamp::now(), self.config.policy());
        round.settle(&self.state.book);
        let observations = round.observations(&self.state.book);
        let messages = self.state.book.round(now.as_millisecond(), observations.clone(), &policy);
        let standings = round::standings(&observations, &self.state.book, &policy, now.as_millisecond());
        self.state.spent.add(now, round.usd());
        let lost = self.state.queue(&messages);
        self.store.save(&self.state)?;
        self.health.rounds += 1;
        self.health.round_s = began.elapsed().as_secs_f64();
        self.health.given_up += lost as u64;
        if lost > 0 {
            tell(Event::Note(format!("{lost} messages were given up: more than {} wait for a sink", state::MOST_KEPT)));
        }
        let printed = self.courier.printed(&mut self.state);
        if !printed.is_empty() {
            printed.iter().for_each(|message| tell(Event::Message(message)));
            self.store.save(&self.state)?;
        }
        let firing = self.state.book.firing().into_iter().filter(|(_, alert)| alert.is_told);
        let firing: Vec<Message> = firing.map(|(id, alert)| Book::message(id, alert)).collect();
        self.courier.repeat(firing);
        let report = round.report(now, standings, self.state.spent.today(now));
        let disabled = &report.disabled_regions;
        let is_news = self.report.as_ref().is_none_or(|before| before.disabled_regions != *disabled);
        if is_news && !disabled.is_empty() {
            tell(Event::Note(format!("regions that an account has not enabled: {}", disabled.join(", "))));
        }
        tell(Event::Round(&report));
        self.report = Some(report);
        self.show();
        Ok(())
    }

    /// The time to the next round after `decision`.
    fn pause(&mut self, decision: Decision, tell: Tell<'_>) -> Duration {
        let next = match decision {
            Decision::Read { next } => next,
            Decision::TooDear { .. } => UNPAID,
            Decision::Wait { until } => Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or(UNPAID),
        };
        let is_slower = matches!(decision, Decision::Read { next } if next > self.config.interval);
        if is_slower && next != self.said {
            tell(Event::Note(format!(
                "a round every {} s instead of {} s, so that a day costs no more than USD {}",
                next.as_secs(),
                self.config.interval.as_secs(),
                self.config.max_usd_per_day
            )));
            self.said = next;
        }
        self.health.interval_s = next.as_secs_f64();
        next.mul_f64(1.0 + JITTER * (rand::random::<f64>() * 2.0 - 1.0))
    }

    fn delivered(&mut self, delivery: Delivery, tell: Tell<'_>) -> anyhow::Result<()> {
        match delivery {
            Delivery::Delivered => {
                self.store.save(&self.state)?;
                self.health.delivered += 1;
            }
            Delivery::Failing { sink, error, is_first } => {
                self.health.failed += 1;
                if is_first {
                    tell(Event::Note(format!("sink {sink}: {error}; its messages are kept and sent again")));
                }
            }
            Delivery::Silent => return Ok(()),
        }
        self.show();
        Ok(())
    }

    fn show(&self) {
        let report = self.report.clone().map(|report| RoundReport { undelivered: waiting(&self.state), ..report });
        self.page.set(report.as_ref(), self.health);
    }
}
