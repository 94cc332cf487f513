//! One client: sends what is due, takes deliveries, keeps its ledger. One thread, no allocation for a record.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant, SystemTime},
};

use anyhow::{anyhow, bail};

use super::{
    Commit, Native, ProducerConfig,
    native::{ErrorCode, HANDED_OVER, Outgoing},
};
use crate::load::{
    keys::{KeySource, key},
    latency::Times,
    ledger::LedgerWriter,
    pacer::{Next, Pacer, Rate},
    payload::{Bodies, Form, Stamp},
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
    value: Vec<u8>,
    /// Which of the bodies is in it.
    body: u32,
    /// The next free place with the same body, if this one is free.
    next_free: u32,
    due: u64,
    sent: u64,
    sequence: u64,
}

/// No place.
const NONE: u32 = u32::MAX;

/// The places for records that are due or on their way.
///
/// A record's body follows from its sequence alone, so that the same seed gives the same load. Free places are kept by
/// the body that is in them; only when there can be no more places, one gets another body.
pub struct Places {
    bodies: Arc<Bodies>,
    slots: Vec<Slot>,
    /// The first free place of each body. The last one given back comes first, so that a slow run touches little memory.
    free: Vec<u32>,
    free_count: usize,
    most: usize,
    /// Where a place was taken from another body last.
    taken_from: usize,
}

impl Places {
    /// Those of one client. With a schedule all are made now: what a stall needs is there before it, and memory stays as it
    /// is however long the run is.
    pub fn of(config: &ProducerConfig, bodies: &Arc<Bodies>) -> Self {
        let mut places = Places::none(Arc::clone(bodies), config.in_flight(bodies));
        if config.load.rate != Rate::Max {
            while places.slots.len() < places.most {
                let body = places.slots.len() % bodies.all.len();
                let number = places.make(body);
                places.give_back(number);
            }
        }
        places
    }

    /// Each place is made when it is needed first.
    fn none(bodies: Arc<Bodies>, most: usize) -> Self {
        let free = vec![NONE; bodies.all.len()];
        Places { bodies, slots: Vec::with_capacity(most), free, free_count: 0, most, taken_from: 0 }
    }

    fn make(&mut self, body: usize) -> usize {
        let value = self.bodies.all[body].bytes.to_vec();
        self.slots.push(Slot { value, body: body as u32, next_free: NONE, due: 0, sent: 0, sequence: 0 });
        self.slots.len() - 1
    }

    /// A place with this body in it; `None` when all are in use.
    fn take(&mut self, body: usize) -> Option<usize> {
        if let Some(number) = self.pop(body) {
            return Some(number);
        }
        if self.slots.len() < self.most {
            return Some(self.make(body));
        }
        if self.free_count == 0 {
            return None;
        }
        while self.free[self.taken_from] == NONE {
            self.taken_from = (self.taken_from + 1) % self.free.len();
        }
        let number = self.pop(self.taken_from)?;
        let slot = &mut self.slots[number];
        slot.value.clear();
        slot.value.extend_from_slice(&self.bodies.all[body].bytes);
        slot.body = body as u32;
        Some(number)
    }

    fn pop(&mut self, body: usize) -> Option<usize> {
        let number = self.free[body];
        if number == NONE {
            return None;
        }
        self.free[body] = self.slots[number as usize].next_free;
        self.free_count -= 1;
        Some(number as usize)
    }

    fn give_back(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        slot.next_free = std::mem::replace(&mut self.free[slot.body as usize], number as u32);
        self.free_count += 1;
    }

    fn in_use(&self) -> u64 {
        (self.slots.len() - self.free_count) as u64
    }
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
                self.interval.bytes += slot.value.len() as u64;
                self.interval.response.record_ns(now - slot.due);
                self.interval.service.record_ns(now - slot.sent);
                self.ledger.acknowledged(slot.sequence);
            }
            Some(code) => self.fail(slot.sequence, code),
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
    delivered: Vec<usize>,
}

pub struct Worker {
    // Before the places: it is dropped first, and reads from them until then.
    native: Native,
    places: Places,
    books: Books,
    transaction: Option<Transaction>,
    closed_loop: bool,
    /// Records are handed over together.
    batches: bool,
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
        let batches = native.takes_batches() && places.bodies.form != Form::Header;
        Worker {
            native,
            places,
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
            // With less room than there are places, the library's answer to each record counts.
            batches: batches && !config.connection.settings.keys().any(|name| name.starts_with("queue.buffering.max.")),
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

    pub fn run(mut self, stop: &AtomicBool, reports: &mpsc::Sender<Report>) -> anyhow::Result<Ended> {
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
            self.books.ledger.close(self.sequence)?
        } else {
            // Not closed: what is not told is unknown.
            self.books.ledger.write(self.sequence)?;
            PathBuf::new()
        };
        Ok(Ended { ledger, unsent, lost_track, schedule_end, last_answer: self.books.last_answer })
    }

    /// Sends what is due. Returns when to come back, `None` when the schedule is over or more is due right now.
    fn send(&mut self, now: u64, busy: &mut bool) -> anyhow::Result<Option<u64>> {
        let next = self.send_due(now, busy);
        let Worker { native, places, books, transaction, .. } = self;
        native.hand_over(|number, code| {
            books.fail(places.slots[number].sequence, code);
            places.give_back(number);
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
        let bodies = self.places.bodies.all.len() as u64;
        // Clients begin at different bodies.
        let body = ((self.sequence + u64::from(self.producer) * 7) % bodies) as usize;
        let Some(number) = self.places.take(body) else {
            if let Some(transaction) = &mut self.transaction {
                // Room comes with its end only.
                transaction.is_ending = transaction.is_open;
            }
            return Ok(false);
        };
        if let Some(transaction) = &mut self.transaction {
            if !transaction.is_open {
                let begun = self.native.begin_transaction();
                begun.map_err(|refusal| anyhow!("beginning a transaction: {}", refusal.code.name()))?;
                (transaction.is_open, transaction.opened, transaction.records) = (true, now, 0);
            }
            transaction.records += 1;
            if matches!(transaction.commit, Commit::Records(most) if transaction.records >= most) {
                transaction.is_ending = true;
            }
        }
        let key = self.keys.draw().map(key);
        let form = self.places.bodies.form;
        let stamp = Stamp {
            run: self.run,
            producer: self.producer,
            sequence: self.sequence,
            due_ms: self.started_ms + due / 1_000_000,
        };
        let header = (form == Form::Header).then(|| stamp.header(&self.places.bodies.all[body]));
        let slot = &mut self.places.slots[number];
        (slot.due, slot.sent, slot.sequence) = (due, now, self.sequence);
        form.stamp(&mut slot.value, &stamp, key.as_ref());
        let record = Outgoing {
            topic: (self.sequence % self.topics) as usize,
            value: slot.value.as_ptr(),
            len: slot.value.len(),
            key: key.as_ref().map(|key| key.as_slice()),
            stamp: header.as_ref().map(|stamp| stamp.as_slice()),
            number,
        };
        // SAFETY: the slot is not touched again before its delivery, and `native` is dropped before the slots are.
        let taken = unsafe {
            if self.batches {
                self.native.push(&record);
                Ok(())
            } else {
                self.native.produce(&record)
            }
        };
        match taken {
            Ok(()) => {}
            Err(code) if code.is_queue_full() => {
                self.places.give_back(number);
                return Ok(false);
            }
            Err(code) => {
                self.books.fail(self.sequence, code);
                self.places.give_back(number);
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

    fn take_deliveries(&mut self) -> bool {
        let Worker { native, places, books, transaction, started, .. } = self;
        native.poll(|deliveries| {
            let now = started.elapsed().as_nanos() as u64;
            for delivery in deliveries {
                match (transaction.as_mut(), delivery.error) {
                    (Some(transaction), None) => {
                        transaction.delivered.push(delivery.number);
                        continue;
                    }
                    (Some(transaction), Some(code)) => {
                        transaction.failed.get_or_insert(code);
                    }
                    (None, _) => {}
                }
                books.settle(&places.slots[delivery.number], now, delivery.error);
                places.give_back(delivery.number);
            }
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
        if !transaction.is_ending || self.places.in_use() > transaction.delivered.len() as u64 {
            return Ok(false);
        }
        let within = Duration::from_nanos(self.flush_within).max(Duration::from_secs(1));
        let mut fatal = None;
        if transaction.failed.is_none() {
            let until = Instant::now() + within;
            loop {
                match self.native.commit_transaction(until.saturating_duration_since(Instant::now())) {
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
            && let Err(refusal) = self.native.abort_transaction(within)
        {
            fatal = Some(refusal.code);
        }
        let now = self.started.elapsed().as_nanos() as u64;
        for number in transaction.delivered.drain(..) {
            self.books.settle(&self.places.slots[number], now, transaction.failed);
            self.places.give_back(number);
        }
        (transaction.is_open, transaction.is_ending, transaction.failed) = (false, false, None);
        match fatal {
            // What was told until here is in the ledger.
            Some(code) => {
                self.books.ledger.write(self.sequence)?;
                bail!("the transactional producer cannot go on: {}", code.name())
            }
            None => Ok(true),
        }
    }

    fn report(&mut self, now: u64, unsent: u64, over: bool, reports: &mpsc::Sender<Report>) {
        let backlog = if over { unsent } else { self.pacer.backlog(now) };
        let offered = self.sequence + backlog;
        let mut interval = std::mem::replace(&mut self.books.interval, Interval { from: now, ..Interval::default() });
        interval.to = now;
        interval.offered = offered.saturating_sub(self.offered_before);
        self.offered_before = self.offered_before.max(offered);
        interval.outstanding = self.outstanding() + if over { 0 } else { backlog };
        // Nobody listens any more only when the run is given up.
        let _ = reports.send(Report { client: self.client, interval });
    }

    fn outstanding(&self) -> u64 {
        self.places.in_use()
    }

    /// ns since the start.
    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}
