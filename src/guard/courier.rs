//! Carries messages to the sinks: one at a time for each sink and in order, with growing pauses after a failure. A sink that
//! fails or hangs holds up neither a round nor another sink, and what it was not given waits in its outbox.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    sinks::{Sender, Sink},
    state::State,
};
use crate::alert::Message;

/// Pauses after a failure, the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Carries messages.
pub struct Courier {
    sender: Sender,
    sinks: Vec<Sink>,
    tries: Vec<Tries>,
    running: JoinSet<Done>,
}

/// How often a sink has failed since it last took a message.
#[derive(Debug, Clone, Default)]
struct Tries {
    failures: u32,
    /// Not before then.
    not_before: Option<Instant>,
    is_busy: bool,
}

/// A message that was sent, or not.
struct Done {
    sink: usize,
    message: String,
    sent: Result<(), String>,
    is_repeat: bool,
}

/// What came of a try.
#[derive(Debug, PartialEq)]
pub enum Delivery {
    /// The message is in the outbox no more.
    Delivered,
    /// It is tried again; `is_first` since the sink last took a message.
    Failing { sink: String, error: String, is_first: bool },
    /// Nothing that a person should hear of.
    Silent,
}

impl Courier {
    pub fn new(sinks: Vec<Sink>, sender: Sender) -> Courier {
        let tries = vec![Tries::default(); sinks.len()];
        Courier { sender, sinks, tries, running: JoinSet::new() }
    }

    /// The names of the sinks.
    pub fn names(&self) -> Vec<&str> {
        self.sinks.iter().map(|sink| sink.name.as_str()).collect()
    }

    /// Begins to send the first message of every outbox whose sink is free.
    pub fn start(&mut self, state: &State) {
        let now = Instant::now();
        for (at, sink) in self.sinks.iter().enumerate().filter(|(_, sink)| !sink.is_stdout()) {
            let Some(message) = state.outboxes.get(&sink.name).and_then(|outbox| outbox.front()) else { continue };
            let tries = &mut self.tries[at];
            if tries.is_busy || tries.not_before.is_some_and(|then| then > now) {
                continue;
            }
            tries.is_busy = true;
            let (sender, sink, message) = (self.sender.clone(), sink.clone(), message.clone());
            self.running.spawn(async move {
                let sent = sender.send(&sink, &message).await;
                Done { sink: at, message: message.id, sent, is_repeat: false }
            });
        }
    }

    /// Tells the sinks that forget what fires. What has not been delivered yet follows by itself.
    pub fn repeat(&mut self, firing: Vec<Message>) {
        for (at, sink) in self.sinks.iter().enumerate() {
            let (sender, sink, firing) = (self.sender.clone(), sink.clone(), firing.clone());
            self.running.spawn(async move {
                let sent = sender.repeat(&sink, &firing).await;
                Done { sink: at, message: String::new(), sent, is_repeat: true }
            });
        }
    }

    /// Messages for the sinks that the command prints, which have them with this call.
    pub fn printed(&self, state: &mut State) -> Vec<Message> {
        let mut messages = Vec::new();
        for sink in self.sinks.iter().filter(|sink| sink.is_stdout()) {
            messages.extend(state.outboxes.get_mut(&sink.name).map(std::mem::take).unwrap_or_default());
        }
        messages
    }

    /// Waits for the end of a try, or for the time of the next one.
    pub async fn next(&mut self, state: &mut State) -> Delivery {
        let wake = self.tries.iter().filter(|tries| !tries.is_busy).filter_map(|tries| tries.not_before).min();
        let woken = async {
            match wake {
                Some(then) => sleep_until(then).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(done) = self.running.join_next() => match done {
                Ok(done) => self.done(done, state),
                Err(_) => Delivery::Silent,
            },
            () = woken => {
                self.tries.iter_mut().filter(|tries| tries.not_before == wake).for_each(|tries| tries.not_before = None);
                Delivery::Silent
            }
        }
    }

    fn done(&mut self, done: Done, state: &mut State) -> Delivery {
        let (tries, name) = (&mut self.tries[done.sink], &self.sinks[done.sink].name);
        // What is repeated is repeated again with the next round.
        if done.is_repeat {
            return Delivery::Silent;
        }
        tries.is_busy = false;
        match done.sent {
            Ok(()) => {
                *tries = Tries::default();
                if let Some(outbox) = state.outboxes.get_mut(name)
                    && outbox.front().is_some_and(|first| first.id == done.message)
                {
                    outbox.pop_front();
                }
                Delivery::Delivered
            }
            Err(error) => {
                tries.failures = tries.failures.saturating_add(1);
                tries.not_before = Some(Instant::now() + pause(tries.failures));
                Delivery::Failing { sink: name.clone(), error, is_first: tries.failures == 1 }
            }
        }
    }

    /// Whether nothing is left that could be sent now: every outbox is empty, or its sink has failed `most` times.
    pub fn is_idle(&self, state: &State, most: u32) -> bool {
        let has = |sink: &Sink| state.outboxes.get(&sink.name).is_some_and(|outbox| !outbox.is_empty());
        self.running.is_empty()
            && self.sinks.iter().zip(&self.tries).all(|(sink, tries)| !has(sink) || tries.failures >= most)
    }

    /// Lets what is being sent end.
    pub async fn finish(&mut self, state: &mut State) {
        while let Some(done) = self.running.join_next().await {
            if let Ok(done) = done {
                self.done(done, state);
            }
        }
    }
}

/// The pause after so many failures.
fn pause(failures: u32) -> Duration {
    let (first, longest) = PAUSES;
    first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest)
}

/// Messages that wait, by sink.
pub fn waiting(state: &State) -> BTreeMap<String, usize> {
    state
        .outboxes
        .iter()
        .filter(|(_, outbox)| !outbox.is_empty())
        .map(|(name, outbox)| (name.clone(), outbox.len()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let seconds: Vec<u64> = (1..=9).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(u32::MAX), PAUSES.1);
    }
}
