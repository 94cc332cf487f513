//! What is known beside the samples, for whoever shows them while they are read.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::price::Requests;
use crate::sample::{BrokerId, Unavailable};

/// Notes that are kept until somebody takes them.
const MOST_NOTES: usize = 100;

/// Shared with the source that fills it; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    requests: Requests,
    unavailable: Vec<Unavailable>,
    broker_ids: Vec<BrokerId>,
    notes: Vec<String>,
    last_note: String,
}

impl Status {
    /// Requests made so far.
    pub fn requests(&self) -> Requests {
        self.inner().requests
    }

    /// What the view cannot give of this cluster now, and why.
    pub fn unavailable(&self) -> Vec<Unavailable> {
        self.inner().unavailable.clone()
    }

    /// The brokers by ListNodes.
    pub fn broker_ids(&self) -> Vec<BrokerId> {
        self.inner().broker_ids.clone()
    }

    /// What went wrong and may pass, since this was last called; the same trouble once.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().notes)
    }

    pub(super) fn add(&self, requests: Requests) {
        self.inner().requests += requests;
    }

    pub(super) fn set(&self, broker_ids: Vec<BrokerId>, unavailable: Vec<Unavailable>) {
        let mut inner = self.inner();
        (inner.broker_ids, inner.unavailable) = (broker_ids, unavailable);
    }

    pub(in crate::metrics) fn note(&self, text: String) {
        let mut inner = self.inner();
        if inner.last_note != text && inner.notes.len() < MOST_NOTES {
            inner.notes.push(text.clone());
        }
        inner.last_note = text;
    }

    /// All is well again: the same trouble would be news.
    pub(in crate::metrics) fn recovered(&self) {
        self.inner().last_note.clear();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}
