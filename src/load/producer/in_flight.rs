//! Records that are due or on their way, and the client that reads from them: one owner for both.
//!
//! The values are not copied for librdkafka, so one that was handed over must be neither changed nor freed before its delivery
//! has come or the client is gone. That holds by what this module lets others do: a [`Place`] is the right to write a value,
//! handing it over takes the place away, a [`Delivered`] comes with its delivery alone, and the client is dropped first.

use std::{mem::ManuallyDrop, sync::Arc};

use super::{
    ProducerConfig,
    native::{ErrorCode, Native, Outgoing},
};
use crate::load::{
    pacer::Rate,
    payload::{Bodies, Form},
};

/// Records on their way, and their client.
pub struct InFlight {
    /// Reads from the places until it is dropped.
    native: ManuallyDrop<Native>,
    places: Places,
    /// Records are handed over together.
    batches: bool,
}

/// A place whose value may be written. One that is dropped is never used again.
#[must_use]
pub struct Place(usize);

/// A place whose record is answered for.
#[must_use]
pub struct Delivered(usize);

/// What a record has beside its value.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// Which of the topics.
    pub topic: usize,
    pub key: Option<&'a [u8]>,
    /// The stamp, where the value has none.
    pub stamp: Option<&'a [u8]>,
}

/// When a record was due and sent, ns after the start, and its number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    pub due: u64,
    pub sent: u64,
    pub sequence: u64,
}

impl InFlight {
    /// Records are handed over together if `batches`, and if the client takes such records so.
    pub fn new(native: Native, places: Places, batches: bool) -> InFlight {
        let batches = batches && native.takes_batches() && places.bodies.form != Form::Header;
        InFlight { native: ManuallyDrop::new(native), places, batches }
    }

    /// The client, for all but records.
    pub fn client(&self) -> &Native {
        &self.native
    }

    pub fn bodies(&self) -> &Bodies {
        &self.places.bodies
    }

    /// Places that are not free.
    pub fn in_use(&self) -> u64 {
        self.places.in_use()
    }

    /// A place with this body in it; `None` when all are in use.
    pub fn take(&mut self, body: usize) -> Option<Place> {
        self.places.take(body).map(Place)
    }

    /// Writes into the value of a place.
    pub fn write(&mut self, place: &Place, times: Times, write: impl FnOnce(&mut Vec<u8>)) {
        let slot = &mut self.places.slots[place.0];
        slot.times = times;
        write(&mut slot.value);
    }

    /// Gives the record to the client, at once or with the next [`InFlight::hand_over`].
    ///
    /// # Errors
    /// The client does not take it; its place is free again.
    pub fn send(&mut self, place: Place, envelope: &Envelope<'_>) -> Result<(), ErrorCode> {
        let Place(number) = place;
        let value = &self.places.slots[number].value;
        let Envelope { topic, key, stamp } = *envelope;
        let record = Outgoing { topic, value: value.as_ptr(), len: value.len(), key, stamp, number };
        // SAFETY: nobody has the place any more until its delivery comes, so nobody writes to its value. A slot may move, but
        // its bytes stay where they are; they are freed with the places, after the client.
        let taken = unsafe {
            if self.batches {
                self.native.push(&record);
                Ok(())
            } else {
                self.native.produce(&record)
            }
        };
        taken.inspect_err(|_| self.places.give_back(number))
    }

    /// Hands over what was sent. `refused` is given the records that are not taken, whose places are free again.
    pub fn hand_over(&mut self, mut refused: impl FnMut(&Slot, ErrorCode)) {
        let InFlight { native, places, .. } = self;
        native.hand_over(|number, code| {
            refused(&places.slots[number], code);
            places.give_back(number);
        });
    }

    /// Gives `on` every record that was answered for, with the time that `now` says. The place is free again if `on` returns
    /// it; else whoever has it gives it to [`InFlight::settle`]. Returns whether anything was there. Does not wait.
    pub fn poll(
        &mut self,
        now: impl Fn() -> u64,
        mut on: impl FnMut(&Slot, u64, Option<ErrorCode>, Delivered) -> Option<Delivered>,
    ) -> bool {
        let InFlight { native, places, .. } = self;
        native.poll(|deliveries| {
            let now = now();
            for delivery in deliveries {
                let slot = &places.slots[delivery.number];
                if let Some(Delivered(number)) = on(slot, now, delivery.error, Delivered(delivery.number)) {
                    places.give_back(number);
                }
            }
        })
    }

    /// Frees a place that was kept, after a last look at its record.
    pub fn settle(&mut self, delivered: Delivered, look: impl FnOnce(&Slot)) {
        let Delivered(number) = delivered;
        look(&self.places.slots[number]);
        self.places.give_back(number);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // SAFETY: it is not used after this. The places are dropped afterwards.
        unsafe { ManuallyDrop::drop(&mut self.native) };
    }
}

/// A record, or room for one.
pub struct Slot {
    pub times: Times,
    value: Vec<u8>,
    /// Which of the bodies is in it.
    body: u32,
    /// The next free place with the same body, if this one is free.
    next_free: u32,
}

impl Slot {
    /// Bytes of the value.
    pub fn size(&self) -> u64 {
        self.value.len() as u64
    }
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
        self.slots.push(Slot { value, body: body as u32, next_free: NONE, times: Times::default() });
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
