//! One client: sends what is due, takes deliveries, keeps its ledger. One thread, no allocation for a record.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant, SystemTime},
};

use super::{Load, Native, ProducerConfig, native::ErrorCode};
use crate::load::{
    keys::{KeySource, key},
    latency::Times,
    ledger::LedgerWriter,
    pacer::{Next, Pacer},
    payload::Stamp,
};

/// A record that leaves later than this after it was due was held up by the generator itself.
pub const LATE: u64 = 100_000_000;
/// Records sent between two looks at the deliveries.
const BURST: usize = 64;
/// How much of the ledger a crash may cost.
const LEDGER_EVERY: u64 = 250_000_000;
const SECOND: u64 = 1_000_000_000;

/// What one client saw between two moments.
#[derive(Debug, Default)]
pub struct Interval {
    /// ns after the start.
    pub from: u64,
    pub to: u64,
    /// Records due by the schedule.
    pub offered: u64,
    /// Records handed to librdkafka.
    pub sent: u64,
    pub acknowledged: u64,
    pub failed: BTreeMap<&'static str, u64>,
    pub bytes: u64,
    /// From due to acknowledged.
    pub response: Times,
    /// From sent to acknowledged.
    pub service: Times,
    /// From due to sent.
    pub send_error: Times,
    /// Sent late because the client had no room for more in flight.
    pub late_queue: u64,
    /// Sent late because the generator was not there in time.
    pub late_self: u64,
    /// At the end of the interval: due or sent, and not answered.
    pub outstanding: u64,
}

/// An interval on its way to the caller.
#[derive(Debug)]
pub struct Report {
    pub client: u16,
    pub interval: Interval,
}

/// How a client ended.
#[derive(Debug)]
pub struct Ended {
    pub ledger: PathBuf,
    /// Due by the schedule and never sent, because the run was stopped or the queue stayed full.
    pub unsent: u64,
    /// Neither acknowledged nor failed after the purge. Zero unless librdkafka lost track.
    pub lost_track: u64,
    /// ns after the start at which the schedule ended or was stopped.
    pub schedule_end: u64,
    /// ns after the start at which the last answer came.
    pub last_answer: u64,
}

/// A place for a record that is on its way.
struct Slot {
    value: Box<[u8]>,
    due: u64,
    sent: u64,
    sequence: u64,
}

pub struct Worker {
    // Before the slots: it is dropped first, and reads from them until then.
    native: Native,
    slots: Vec<Slot>,
    free: Vec<usize>,
    most_slots: usize,
    load: Load,
    client: u16,
    run: u64,
    pacer: Pacer,
    keys: KeySource,
    ledger: LedgerWriter,
    started: Instant,
    started_ms: u64,
    sequence: u64,
    offered_before: u64,
    last_answer: u64,
    flush_within: u64,
    /// There was no room, and what was due then has not been sent yet.
    was_blocked: bool,
    interval: Interval,
}

impl Worker {
    pub fn new(
        config: &ProducerConfig,
        run: u64,
        client: u16,
        native: Native,
        ledger: LedgerWriter,
        (started, started_at): (Instant, SystemTime),
    ) -> Self {
        let load = config.load.clone();
        let clients = u64::from(config.clients);
        let limit = load.max_records / clients + u64::from(u64::from(client) < load.max_records % clients);
        let pacer = Pacer::new(load.rate, load.duration, u64::from(client), clients, limit, load.seed);
        let since_epoch = started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Worker {
            native,
            slots: Vec::new(),
            free: Vec::new(),
            most_slots: config.in_flight(),
            keys: KeySource::new(load.keys, load.seed.wrapping_add(u64::from(client))),
            load,
            client,
            run,
            pacer,
            ledger,
            started,
            started_ms: since_epoch.as_millis() as u64,
            sequence: 0,
            offered_before: 0,
            last_answer: 0,
            flush_within: config.flush_within.as_nanos() as u64,
            was_blocked: false,
            interval: Interval::default(),
        }
    }

    pub fn run(mut self, stop: &AtomicBool, reports: &mpsc::Sender<Report>) -> anyhow::Result<Ended> {
        let (mut next_tick, mut next_ledger) = (SECOND, LEDGER_EVERY);
        let mut flush_until: Option<u64> = None;
        let mut purged = false;
        let (mut schedule_end, mut unsent) = (0, 0);
        loop {
            let now = self.now();
            let mut busy = false;
            let mut wake_at = next_tick.min(next_ledger);
            let end = self.load.duration.as_nanos() as u64;
            if flush_until.is_none() {
                let over = match self.send(now, &mut busy) {
                    Some(at) => {
                        wake_at = wake_at.min(at);
                        false
                    }
                    None => !busy,
                };
                // Records that were due and found no room in all this time are not sent at all.
                let stuck = now > end.saturating_add(self.flush_within);
                if over || stuck || stop.load(Ordering::Relaxed) {
                    unsent = self.pacer.backlog(now);
                    schedule_end = now.min(end);
                    flush_until = Some(now.saturating_add(self.flush_within));
                }
            }
            busy |= self.take_deliveries();
            if now >= next_ledger || self.ledger.is_full() {
                self.ledger.write(self.sequence)?;
                next_ledger = now + LEDGER_EVERY;
            }
            if now >= next_tick {
                self.report(now, unsent, flush_until.is_some(), reports);
                next_tick = (now / SECOND + 1) * SECOND;
            }
            if let Some(until) = flush_until {
                if self.outstanding() == 0 || (purged && now >= until) {
                    break;
                }
                if now >= until {
                    self.native.purge();
                    purged = true;
                    flush_until = Some(now + 5 * SECOND);
                }
                wake_at = wake_at.min(until);
            }
            if !busy {
                // Nanoseconds are counted from the start, so the wait ends when the next record is due.
                let wait = wake_at.saturating_sub(self.now()).min(50_000_000);
                if wait > 0 {
                    self.native.wait(Duration::from_nanos(wait));
                }
            }
        }
        let lost_track = self.outstanding();
        self.report(self.now(), unsent, true, reports);
        let ledger = if lost_track == 0 {
            self.ledger.close(self.sequence)?
        } else {
            // Not closed: what is not told is unknown.
            self.ledger.write(self.sequence)?;
            PathBuf::new()
        };
        Ok(Ended { ledger, unsent, lost_track, schedule_end, last_answer: self.last_answer })
    }

    /// Sends what is due. Returns when to come back, `None` when the schedule is over or more is due right now.
    fn send(&mut self, mut now: u64, busy: &mut bool) -> Option<u64> {
        for _ in 0..BURST {
            match self.pacer.next(now) {
                Next::Over => return None,
                Next::At(at) => {
                    self.was_blocked = false;
                    return Some(at);
                }
                Next::Due(due) => {
                    if !self.send_one(due, now) {
                        self.was_blocked = true;
                        // Room comes with the next delivery, which ends the wait.
                        return Some(now + 50_000_000);
                    }
                    *busy = true;
                }
            }
            if self.load.rate != crate::load::pacer::Rate::Max {
                now = self.now();
            }
        }
        *busy = true;
        None
    }

    /// Returns whether there was room.
    fn send_one(&mut self, due: u64, now: u64) -> bool {
        let Some(number) = self.slot() else { return false };
        let key = self.keys.draw().map(key);
        let slot = &mut self.slots[number];
        (slot.due, slot.sent, slot.sequence) = (due, now, self.sequence);
        let stamp = Stamp {
            run: self.run,
            producer: self.client,
            sequence: self.sequence,
            due_ms: self.started_ms + due / 1_000_000,
        };
        self.load.payload.stamp(&mut slot.value, &stamp, key.as_ref());
        let key = key.as_ref().map(|key| key.as_slice());
        // SAFETY: the slot is not touched again before its delivery, and `native` is dropped before the slots are.
        match unsafe { self.native.produce(slot.value.as_ptr(), slot.value.len(), key, number) } {
            Ok(()) => {}
            Err(code) if code.is_queue_full() => {
                self.free.push(number);
                return false;
            }
            Err(code) => {
                self.fail(self.sequence, code);
                self.free.push(number);
            }
        }
        self.interval.sent += 1;
        self.interval.send_error.record_ns(now - due);
        if now - due > LATE {
            *(if self.was_blocked { &mut self.interval.late_queue } else { &mut self.interval.late_self }) += 1;
        }
        self.sequence += 1;
        self.pacer.sent();
        true
    }

    /// A place for one more record, made if there is none free and few enough.
    fn slot(&mut self) -> Option<usize> {
        // The last one given back comes first, so that a slow run touches little memory.
        self.free.pop().or_else(|| {
            let number = self.slots.len();
            (number < self.most_slots).then(|| {
                let seed = self.load.seed ^ (number as u64) << 20;
                let value = self.load.payload.prepared(self.load.record_size, seed);
                self.slots.push(Slot { value, due: 0, sent: 0, sequence: 0 });
                number
            })
        })
    }

    fn take_deliveries(&mut self) -> bool {
        let Worker { native, slots, free, ledger, interval, started, last_answer, load, .. } = self;
        native.poll(|deliveries| {
            let now = started.elapsed().as_nanos() as u64;
            *last_answer = now;
            for delivery in deliveries {
                let slot = &slots[delivery.number];
                match delivery.error {
                    None => {
                        interval.acknowledged += 1;
                        interval.bytes += load.record_size as u64;
                        interval.response.record_ns(now - slot.due);
                        interval.service.record_ns(now - slot.sent);
                        ledger.acknowledged(slot.sequence);
                    }
                    Some(code) => {
                        *interval.failed.entry(code.name()).or_default() += 1;
                        ledger.failed(slot.sequence, code.name());
                    }
                }
                free.push(delivery.number);
            }
        })
    }

    fn fail(&mut self, sequence: u64, code: ErrorCode) {
        *self.interval.failed.entry(code.name()).or_default() += 1;
        self.ledger.failed(sequence, code.name());
    }

    fn report(&mut self, now: u64, unsent: u64, over: bool, reports: &mpsc::Sender<Report>) {
        let backlog = if over { unsent } else { self.pacer.backlog(now) };
        let offered = self.sequence + backlog;
        let mut interval = std::mem::replace(&mut self.interval, Interval { from: now, ..Interval::default() });
        interval.to = now;
        interval.offered = offered.saturating_sub(self.offered_before);
        self.offered_before = self.offered_before.max(offered);
        interval.outstanding = self.outstanding() + if over { 0 } else { backlog };
        // Nobody listens any more only when the run is given up.
        let _ = reports.send(Report { client: self.client, interval });
    }

    fn outstanding(&self) -> u64 {
        (self.slots.len() - self.free.len()) as u64
    }

    /// ns since the start.
    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}
