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

use anyhow::{anyhow, bail};

use super::{
    Commit, Native, ProducerConfig,
    in_flight::{Delivered, Envelope, InFlight, Places, Slot, Times as RecordTimes},
    native::{ErrorCode, HANDED_OVER},
};
use crate::load::{
    keys::{KeySource, key},
    latency::Times,
    ledger::LedgerWriter,
    pacer::{Next, Pacer, Rate},
    payload::{Form, Stamp},
};

/// A record that leaves later than this after it was due was held up by the generator itself.
pub const LATE: u64 = 100_000_000;
/// Records sent between two looks at the deliveries.
const BURST: usize = HANDED_OVER;
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
    /// Sent late because the generator itself was late.
    pub late_self: u64,
    /// At the end of the interval: due or sent, and not answered.
    pub outstanding: u64,
}

/// An interval on its way to the caller.
#[derive(Debug)]
pub struct ClientInterval {
    pub client: u16,
    pub interval: Interval,
}

/// How a client ended.
#[derive(Debug)]
pub struct ClientEnd {
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

/// What is written down of the answers.
struct Books {
    ledger: LedgerWriter,
    interval: Interval,
    /// ns after the start.
    last_answer: u64,
}

impl Books {
    /// Notes what became of the record in `slot`.
    fn settle(&mut self, slot: &Slot, now: u64, error: Option<ErrorCode>) {
        self.last_answer = now;
        match error {
            None => {
                self.interval.acknowledged += 1;
                self.interval.bytes += slot.size();
                self.interval.response.record_ns(now - slot.times.due);
                self.interval.service.record_ns(now - slot.times.sent);
                self.ledger.acknowledged(slot.times.sequence);
            }
            Some(code) => self.fail(slot.times.sequence, code),
        }
    }

    fn fail(&mut self, sequence: u64, code: ErrorCode) {
        *self.interval.failed.entry(code.name()).or_default() += 1;
        self.ledger.failed(sequence, code.name());
    }
}

/// The transaction of a transactional producer.
struct Transaction {
    commit: Commit,
    is_open: bool,
    /// ns after the start.
    opened: u64,
    records: u64,
    /// Nothing more is sent until it has ended.
    is_ending: bool,
    /// A record of it failed: it cannot be committed.
    failed: Option<ErrorCode>,
    /// Delivered, and acknowledged only with the commit.
    delivered: Vec<Delivered>,
}

pub struct Worker {
    flight: InFlight,
    books: Books,
    transaction: Option<Transaction>,
    closed_loop: bool,
    /// ns after the start at which the schedule is over.
    end: u64,
    topics: u64,
    client: u16,
    /// Its number among the clients of all machines.
    producer: u16,
    run: u64,
    pacer: Pacer,
    keys: KeySource,
    started: Instant,
    started_ms: u64,
    sequence: u64,
    offered_before: u64,
    flush_within: u64,
    /// There was no room, and what was due then has not been sent yet.
    was_blocked: bool,
}

impl Worker {
    pub fn new(
        config: &ProducerConfig,
        client: u16,
        native: Native,
        ledger: LedgerWriter,
        places: Places,
        (started, started_at): (Instant, SystemTime),
    ) -> Self {
        let load = &config.load;
        let producer = config.part.producer(client);
        let (number, of) = (u64::from(producer), u64::from(config.part.producers(config.clients)));
        let limit = load.max_records / of + u64::from(number < load.max_records % of);
        let pacer = Pacer::new(load.rate.clone(), load.duration, number, of, limit, load.seed);
        let since_epoch = started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // With less room than there are places, the library's answer to each record counts.
        let has_own_room = config.connection.settings.keys().any(|name| name.starts_with("queue.buffering.max."));
        Worker {
            flight: InFlight::new(native, places, !has_own_room),
            books: Books { ledger, interval: Interval::default(), last_answer: 0 },
            transaction: config.transactions.map(|commit| Transaction {
                commit,
                is_open: false,
                opened: 0,
                records: 0,
                is_ending: false,
                failed: None,
                delivered: Vec::new(),
            }),
            closed_loop: load.rate == Rate::Max,
            end: pacer.end(),
            topics: load.topics.len() as u64,
            keys: KeySource::new(load.keys, load.seed.wrapping_add(number)),
            client,
            producer,
            run: config.run,
            pacer,
            started,
            started_ms: since_epoch.as_millis() as u64,
            sequence: 0,
            offered_before: 0,
            flush_within: config.flush_within.as_nanos() as u64,
            was_blocked: false,
        }
    }

    pub fn run(mut self, stop: &AtomicBool, reports: &mpsc::Sender<ClientInterval>) -> anyhow::Result<ClientEnd> {
        let (mut next_tick, mut next_ledger) = (SECOND, LEDGER_EVERY);
        let mut flush_until: Option<u64> = None;
        let mut purged = false;
        let (mut schedule_end, mut unsent) = (0, 0);
        loop {
            let now = self.now();
            let mut busy = false;
            let mut wake_at = next_tick.min(next_ledger);
            if flush_until.is_none() {
                let over = match self.send(now, &mut busy)? {
                    Some(at) => {
                        wake_at = wake_at.min(at);
                        false
                    }
                    None => !busy,
                };
                // Records that were due and found no room in all this time are not sent at all.
                let stuck = now > self.end.saturating_add(self.flush_within);
                // Looked at last: what was due before a stop is sent, and nothing is left over.
                if over || stuck || stop.load(Ordering::Relaxed) {
                    unsent = self.pacer.backlog(now);
                    schedule_end = now.min(self.end);
                    flush_until = Some(now.saturating_add(self.flush_within));
                }
            }
            busy |= self.take_deliveries();
            busy |= self.end_transaction(now, flush_until.is_some(), &mut wake_at)?;
            if now >= next_ledger || self.books.ledger.is_full() {
                self.books.ledger.write(self.sequence)?;
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
                    self.flight.client().purge();
                    purged = true;
                    flush_until = Some(now + 5 * SECOND);
                }
                wake_at = wake_at.min(until);
            }
            if !busy {
                // Nanoseconds are counted from the start, so the wait ends when the next record is due.
                let wait = wake_at.saturating_sub(self.now()).min(50_000_000);
                if wait > 0 {
                    self.flight.client().wait(Duration::from_nanos(wait));
                }
            }
        }
        let lost_track = self.outstanding();
        self.report(self.now(), unsent, true, reports);
        let ledger = if lost_track == 0 {
            self.books.ledger.close(self.sequence)?
        } else {
            // Not closed: what is not told is unknown.
            self.books.ledger.write(self.sequence)?;
            PathBuf::new()
        };
        Ok(ClientEnd { ledger, unsent, lost_track, schedule_end, last_answer: self.books.last_answer })
    }

    /// Sends what is due. Returns when to come back, `None` when the schedule is over or more is due right now.
    fn send(&mut self, now: u64, busy: &mut bool) -> anyhow::Result<Option<u64>> {
        let next = self.send_due(now, busy);
        let Worker { flight, books, transaction, .. } = self;
        flight.hand_over(|slot, code| {
            books.fail(slot.times.sequence, code);
            if let Some(transaction) = transaction {
                transaction.failed.get_or_insert(code);
            }
        });
        next
    }

    fn send_due(&mut self, mut now: u64, busy: &mut bool) -> anyhow::Result<Option<u64>> {
        if self.transaction.as_ref().is_some_and(|transaction| transaction.is_ending) {
            // What is due meanwhile waits; a delivery ends the wait.
            self.was_blocked = true;
            return Ok(Some(now + 50_000_000));
        }
        for _ in 0..BURST {
            match self.pacer.next(now) {
                Next::Over => return Ok(None),
                Next::At(at) => {
                    self.was_blocked = false;
                    return Ok(Some(at));
                }
                Next::Due(due) => {
                    if !self.send_one(due, now)? {
                        self.was_blocked = true;
                        // Room comes with the next delivery, which ends the wait.
                        return Ok(Some(now + 50_000_000));
                    }
                    *busy = true;
                }
            }
            if !self.closed_loop {
                now = self.now();
            }
        }
        *busy = true;
        Ok(None)
    }

    /// Returns whether there was room.
    fn send_one(&mut self, due: u64, now: u64) -> anyhow::Result<bool> {
        let bodies = self.flight.bodies().all.len() as u64;
        // Clients begin at different bodies.
        let body = ((self.sequence + u64::from(self.client) * 7) % bodies) as usize;
        let Some(place) = self.flight.take(body) else {
            if let Some(transaction) = &mut self.transaction {
                // Room comes with its end only.
                transaction.is_ending = transaction.is_open;
            }
            return Ok(false);
        };
        self.join_transaction(now)?;
        let key = self.keys.draw().map(key);
        let form = self.flight.bodies().form;
        let stamp = Stamp {
            run: self.run,
            producer: self.producer,
            sequence: self.sequence,
            due_ms: self.started_ms + due / 1_000_000,
        };
        let header = (form == Form::Header).then(|| stamp.header(&self.flight.bodies().all[body]));
        let times = RecordTimes { due, sent: now, sequence: self.sequence };
        self.flight.write(&place, times, |value| form.stamp(value, &stamp, key.as_ref()));
        let envelope = Envelope {
            topic: (self.sequence % self.topics) as usize,
            key: key.as_ref().map(|key| key.as_slice()),
            stamp: header.as_ref().map(|stamp| stamp.as_slice()),
        };
        match self.flight.send(place, &envelope) {
            Ok(()) => {}
            Err(code) if code.is_queue_full() => return Ok(false),
            Err(code) => {
                self.books.fail(self.sequence, code);
                if let Some(transaction) = &mut self.transaction {
                    transaction.failed.get_or_insert(code);
                }
            }
        }
        let interval = &mut self.books.interval;
        interval.sent += 1;
        interval.send_error.record_ns(now - due);
        if now - due > LATE {
            *(if self.was_blocked { &mut interval.late_queue } else { &mut interval.late_self }) += 1;
        }
        self.sequence += 1;
        self.pacer.sent();
        Ok(true)
    }

    /// Counts a record of a transactional producer, and begins a transaction where none is open.
    fn join_transaction(&mut self, now: u64) -> anyhow::Result<()> {
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        if !transaction.is_open {
            let begun = self.flight.client().begin_transaction();
            begun.map_err(|refusal| anyhow!("beginning a transaction: {}", refusal.code.name()))?;
            (transaction.is_open, transaction.opened, transaction.records) = (true, now, 0);
        }
        transaction.records += 1;
        if matches!(transaction.commit, Commit::Records(most) if transaction.records >= most) {
            transaction.is_ending = true;
        }
        Ok(())
    }

    fn take_deliveries(&mut self) -> bool {
        let Worker { flight, books, transaction, started, .. } = self;
        let now = || started.elapsed().as_nanos() as u64;
        flight.poll(now, |slot, now, error, delivered| {
            match (transaction.as_mut(), error) {
                (Some(transaction), None) => {
                    transaction.delivered.push(delivered);
                    return None;
                }
                (Some(transaction), Some(code)) => {
                    transaction.failed.get_or_insert(code);
                }
                (None, _) => {}
            }
            books.settle(slot, now, error);
            Some(delivered)
        })
    }

    /// Ends the transaction when its time has come and all of it is delivered. Returns whether it did.
    fn end_transaction(&mut self, now: u64, is_over: bool, wake_at: &mut u64) -> anyhow::Result<bool> {
        let Some(transaction) = self.transaction.as_mut().filter(|transaction| transaction.is_open) else {
            return Ok(false);
        };
        if let Commit::Every(time) = transaction.commit {
            let until = transaction.opened.saturating_add(time.as_nanos() as u64);
            transaction.is_ending |= now >= until;
            *wake_at = (*wake_at).min(until);
        }
        transaction.is_ending |= is_over || transaction.failed.is_some();
        if !transaction.is_ending || self.flight.in_use() > transaction.delivered.len() as u64 {
            return Ok(false);
        }
        let within = Duration::from_nanos(self.flush_within).max(Duration::from_secs(1));
        let mut fatal = None;
        if transaction.failed.is_none() {
            let until = Instant::now() + within;
            loop {
                match self.flight.client().commit_transaction(until.saturating_duration_since(Instant::now())) {
                    Ok(()) => break,
                    Err(refusal) if refusal.is_retriable && Instant::now() < until => {}
                    Err(refusal) => {
                        transaction.failed = Some(refusal.code);
                        fatal = refusal.is_fatal.then_some(refusal.code);
                        break;
                    }
                }
            }
        }
        if transaction.failed.is_some()
            && fatal.is_none()
            && let Err(refusal) = self.flight.client().abort_transaction(within)
        {
            fatal = Some(refusal.code);
        }
        let now = self.started.elapsed().as_nanos() as u64;
        for delivered in transaction.delivered.drain(..) {
            self.flight.settle(delivered, |slot| self.books.settle(slot, now, transaction.failed));
        }
        (transaction.is_open, transaction.is_ending, transaction.failed) = (false, false, None);
        match fatal {
            // What was told until here is in the ledger.
            Some(code) => {
                self.books.ledger.write(self.sequence)?;
                bail!("the transactional producer cannot continue: {}", code.name())
            }
            None => Ok(true),
        }
    }

    fn report(&mut self, now: u64, unsent: u64, over: bool, reports: &mpsc::Sender<ClientInterval>) {
        let backlog = if over { unsent } else { self.pacer.backlog(now) };
        let offered = self.sequence + backlog;
        let mut interval = std::mem::replace(&mut self.books.interval, Interval { from: now, ..Interval::default() });
        interval.to = now;
        interval.offered = offered.saturating_sub(self.offered_before);
        self.offered_before = self.offered_before.max(offered);
        interval.outstanding = self.outstanding() + if over { 0 } else { backlog };
        // Nobody listens any more only when the run is given up.
        let _ = reports.send(ClientInterval { client: self.client, interval });
    }

    fn outstanding(&self) -> u64 {
        self.flight.in_use()
    }

    /// ns since the start.
    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}
