//! What outlives a guard: alerts, messages that are not delivered yet, and what was spent. One file, replaced whole, under a
//! lock that one guard at a time holds.

use std::{
    collections::{BTreeMap, VecDeque},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::budget::Spent;
use crate::{
    alert::{Book, Message},
    files::own,
    project::Lock,
};

/// Raised when an older kgen could not read the new form.
const SCHEMA: u64 = 1;

/// The file in the folder of the state.
const FILE: &str = "state.json";

/// Messages that are kept for one sink at most: the oldest go first.
pub const MOST_KEPT: usize = 10_000;

/// What a guard knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub book: Book,
    /// Messages that are not delivered yet, by the name of the sink, the oldest first.
    pub outboxes: BTreeMap<String, VecDeque<Message>>,
    pub spent: Spent,
}

#[derive(Serialize, Deserialize)]
struct Written<T> {
    schema: u64,
    #[serde(flatten)]
    state: T,
}

/// Where the state is. No other guard uses it as long as this lives.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Locks the folder `dir`, which is made if it is missing, and reads the state in it.
    ///
    /// # Errors
    /// Another guard uses it; the state cannot be read, is damaged, or was written by a newer kgen.
    pub fn open(dir: &Path) -> anyhow::Result<(Store, State)> {
        let lock = Lock::take(dir)?;
        let store = Store { path: dir.join(FILE), _lock: lock };
        let state = match own::read(&store.path) {
            Ok(bytes) => parse(&bytes).with_context(|| format!("reading {}", store.path.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", store.path.display())),
        };
        Ok((store, state))
    }

    /// Replaces the state by `state`.
    ///
    /// # Errors
    /// It cannot be written; what was there is untouched.
    pub fn save(&self, state: &State) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec(&Written { schema: SCHEMA, state })?;
        own::replace(&self.path, &bytes).with_context(|| format!("writing {}", self.path.display()))
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<State> {
    const MEND: &str = "move it away to start again; alerts that still fire are then sent once more";
    let value: Value = serde_json::from_slice(bytes).with_context(|| format!("it is damaged ({MEND})"))?;
    match value.get("schema").and_then(Value::as_u64) {
        Some(SCHEMA) => {}
        Some(newer) if newer > SCHEMA => {
            bail!("a newer kgen wrote it (schema {newer}, this one reads {SCHEMA}): use that kgen, or {MEND}")
        }
        _ => bail!("it is not the state of a guard ({MEND})"),
    }
    let written: Written<State> = serde_json::from_value(value).with_context(|| format!("it is damaged ({MEND})"))?;
    Ok(written.state)
}

impl State {
    /// Queues `messages` for every sink; returns how many old ones were given up for want of room.
    pub fn queue(&mut self, messages: &[Message]) -> usize {
        let mut lost = 0;
        for outbox in self.outboxes.values_mut() {
            outbox.extend(messages.iter().cloned());
            while outbox.len() > MOST_KEPT {
                outbox.pop_front();
                lost += 1;
            }
        }
        lost
    }

    /// Makes the outboxes those of `sinks`: a new sink begins with what fires now, one that is gone is dropped.
    pub fn set_sinks(&mut self, sinks: &[&str]) {
        self.outboxes.retain(|name, _| sinks.contains(&name.as_str()));
        let firing = self.book.firing();
        let told = firing.into_iter().filter(|(_, alert)| alert.is_told);
        let messages: VecDeque<Message> = told.map(|(id, alert)| Book::message(id, alert)).collect();
        for sink in sinks {
            self.outboxes.entry((*sink).to_owned()).or_insert_with(|| messages.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::guard::testing::message;

    #[test]
    fn a_state_comes_back_as_it_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut state) = Store::open(dir.path()).unwrap();
        assert_eq!(state, State::default());
        state.set_sinks(&["a", "b"]);
        assert_eq!(state.queue(&[message("1"), message("2")]), 0);
        store.save(&state).unwrap();
        drop(store);
        assert_eq!(Store::open(dir.path()).unwrap().1, state);
    }

    #[test]
    fn one_guard_at_a_time_uses_a_state() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = Store::open(dir.path()).unwrap();
        let error = Store::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is locked by another kgen"), "{error}");
        drop(first);
        assert!(Store::open(dir.path()).is_ok());
    }

    #[test]
    fn a_damaged_or_newer_state_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("{\"schema\": 1, \"book\": {\"al", "it is damaged (move it away"),
            ("{\"schema\": 1, \"book\": 7}", "it is damaged (move it away"),
            ("{\"schema\": 2}", "a newer kgen wrote it (schema 2, this one reads 1)"),
            ("{}", "it is not the state of a guard"),
            ("", "it is damaged"),
        ] {
            fs::write(dir.path().join(FILE), text).unwrap();
            let error = format!("{:#}", Store::open(dir.path()).unwrap_err());
            assert!(error.contains(expected) && error.contains("state.json"), "{text}: {error}");
            assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), text, "it is left as it is");
        }
    }

    #[test]
    fn an_outbox_that_is_full_gives_up_the_oldest() {
        let mut state = State::default();
        state.set_sinks(&["a"]);
        let many: Vec<Message> = (0..MOST_KEPT + 2).map(|n| message(&n.to_string())).collect();
        assert_eq!(state.queue(&many), 2);
        assert_eq!((state.outboxes["a"].len(), state.outboxes["a"][0].id.as_str()), (MOST_KEPT, "2"));
    }
}
