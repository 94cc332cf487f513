//! The plain produce calls of librdkafka: values that it need not copy, delivery reports by the batch.
//!
//! The crate's own producers copy each value and build a list of arguments for each record, which costs more than all
//! the rest of sending. All unsafe code of kgen is here. What must hold: a value that was handed over is neither moved,
//! changed nor freed before its delivery report came or the client is gone.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    time::Duration,
};

use rdkafka::{
    ClientContext as _,
    bindings::{self as ffi, RD_KAFKA_EVENT_DR, RD_KAFKA_EVENT_ERROR, RD_KAFKA_EVENT_LOG},
    client::Client,
    config::RDKafkaLogLevel,
    error::KafkaError,
    types::{RDKafkaErrorCode, RDKafkaRespErr, RDKafkaType},
};

use crate::kafka::{Connection, Context, Notes};

/// Reports taken from an event at a time.
const BATCH: usize = 256;

/// A producer of one topic.
pub struct Native {
    topic: *mut ffi::rd_kafka_topic_t,
    queue: *mut ffi::rd_kafka_queue_t,
    wake: OwnedFd,
    // Last: it is dropped after `Drop::drop` has given back what belongs to it.
    client: Client<Context>,
}

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl Send for Native {}

/// What became of one record.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// The number that it was sent with.
    pub number: usize,
    /// `None` when it was acknowledged.
    pub error: Option<ErrorCode>,
}

/// An error of Kafka or of librdkafka; those of librdkafka have a name that starts with `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(RDKafkaRespErr);

impl ErrorCode {
    /// Kafka's name for it, such as `NOT_ENOUGH_REPLICAS` or `_MSG_TIMED_OUT`.
    pub fn name(self) -> &'static str {
        // SAFETY: the names are constants of the library.
        unsafe { CStr::from_ptr(ffi::rd_kafka_err2name(self.0)) }.to_str().unwrap_or("UNKNOWN")
    }

    /// The client's own queue has no room.
    pub fn is_queue_full(self) -> bool {
        self.0 == RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL
    }
}

impl Native {
    pub fn new(
        connection: &Connection,
        defaults: &[(&str, &str)],
        topic: &str,
        notes: Notes,
    ) -> Result<Self, crate::kafka::ConnectError> {
        let config = connection.config(defaults);
        let native = config.create_native_config()?;
        let unusable = |reason: String| KafkaError::ClientCreation(reason);
        let name = CString::new(topic).map_err(|_| unusable(format!("`{topic}` is no name for a topic")))?;
        let wake =
            rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK | rustix::event::EventfdFlags::CLOEXEC)
                .map_err(|error| unusable(format!("no eventfd: {error}")))?;
        // SAFETY: the configuration is alive and not yet given to a client.
        unsafe { ffi::rd_kafka_conf_set_events(native.ptr(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR) };
        let client = Client::new(&config, native, RDKafkaType::RD_KAFKA_PRODUCER, Context::new(notes))?;
        // SAFETY: the client is alive; topic and queue are given back before it is.
        unsafe {
            let topic = ffi::rd_kafka_topic_new(client.native_ptr(), name.as_ptr(), std::ptr::null_mut());
            if topic.is_null() {
                return Err(unusable(format!("the topic handle: {:?}", ffi::rd_kafka_last_error())).into());
            }
            let queue = ffi::rd_kafka_queue_get_main(client.native_ptr());
            // An eventfd takes eight bytes; librdkafka copies them.
            let one = 1u64.to_ne_bytes();
            ffi::rd_kafka_queue_io_event_enable(queue, wake.as_raw_fd(), one.as_ptr().cast(), one.len());
            Ok(Native { topic, queue, wake, client })
        }
    }

    /// Hands over a record. Its delivery carries `number`.
    ///
    /// # Safety
    /// `value` stays where it is, unchanged, until its delivery was seen or this producer is dropped. When an error is
    /// returned it is free at once.
    pub unsafe fn produce(
        &self,
        value: *const u8,
        len: usize,
        key: Option<&[u8]>,
        number: usize,
    ) -> Result<(), ErrorCode> {
        let (key, key_len) = key.map_or((std::ptr::null(), 0), |key| (key.as_ptr(), key.len()));
        // SAFETY: with no flag set the value is neither copied nor freed; librdkafka only reads it.
        let result = unsafe {
            ffi::rd_kafka_produce(
                self.topic,
                -1, // the partitioner decides
                0,
                value.cast_mut().cast(),
                len,
                key.cast(),
                key_len,
                std::ptr::without_provenance_mut(number),
            )
        };
        // SAFETY: reads the error of this thread's last call.
        if result == 0 { Ok(()) } else { Err(ErrorCode(unsafe { ffi::rd_kafka_last_error() })) }
    }

    /// Gives every delivery that is there to `on`, and returns whether anything was there. Does not wait.
    pub fn poll(&self, mut on: impl FnMut(&mut dyn Iterator<Item = Delivery>)) -> bool {
        let mut any = false;
        loop {
            // SAFETY: the queue is alive; the event is destroyed below and not used after.
            let event = unsafe { ffi::rd_kafka_queue_poll(self.queue, 0) };
            if event.is_null() {
                return any;
            }
            any = true;
            match unsafe { ffi::rd_kafka_event_type(event) } {
                RD_KAFKA_EVENT_DR => self.deliveries(event, &mut on),
                RD_KAFKA_EVENT_LOG => self.logged(event),
                RD_KAFKA_EVENT_ERROR => {
                    // SAFETY: an error event has a code and a text.
                    let (code, text) = unsafe {
                        let text = CStr::from_ptr(ffi::rd_kafka_event_error_string(event)).to_string_lossy();
                        (RDKafkaErrorCode::from(ffi::rd_kafka_event_error(event)), text)
                    };
                    self.client.context().error(KafkaError::Global(code), &text);
                }
                _ => {}
            }
            // SAFETY: nothing of the event is used any more.
            unsafe { ffi::rd_kafka_event_destroy(event) };
        }
    }

    fn deliveries(&self, event: *mut ffi::rd_kafka_event_t, on: &mut impl FnMut(&mut dyn Iterator<Item = Delivery>)) {
        let mut batch = [std::ptr::null(); BATCH];
        loop {
            // SAFETY: the array has room for BATCH pointers; the messages live as long as the event.
            let count = unsafe { ffi::rd_kafka_event_message_array(event, batch.as_mut_ptr(), BATCH) };
            if count == 0 {
                return;
            }
            on(&mut batch[..count].iter().map(|message| {
                // SAFETY: as above; `_private` is what `produce` was given.
                let message: &ffi::rd_kafka_message_t = unsafe { &**message };
                let failed = message.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
                Delivery { number: message._private.addr(), error: failed.then_some(ErrorCode(message.err)) }
            }));
        }
    }

    fn logged(&self, event: *mut ffi::rd_kafka_event_t) {
        let (mut facility, mut text, mut level) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: on success both texts are set and live as long as the event.
        unsafe {
            if ffi::rd_kafka_event_log(event, &mut facility, &mut text, &mut level) == 0 && level <= 4 {
                let text = CStr::from_ptr(text).to_string_lossy();
                self.client.context().log(RDKafkaLogLevel::Warning, "", &text);
            }
        }
    }

    /// Waits until something can be polled, at most `timeout`.
    pub fn wait(&self, timeout: Duration) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        let mut fds = [PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        // A signal ends the wait early, which does no harm.
        if poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0) {
            let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
        }
    }

    /// Gives up what is queued or on its way; the deliveries follow with an error.
    pub fn purge(&self) {
        // SAFETY: the client is alive.
        unsafe {
            ffi::rd_kafka_purge(self.client.native_ptr(), ffi::RD_KAFKA_PURGE_F_QUEUE | ffi::RD_KAFKA_PURGE_F_INFLIGHT)
        };
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: both belong to the client, which is still alive, and are not used after this. The wake-up is taken
        // away before its file is closed.
        unsafe {
            ffi::rd_kafka_queue_io_event_enable(self.queue, -1, std::ptr::null(), 0);
            ffi::rd_kafka_queue_destroy(self.queue);
            ffi::rd_kafka_topic_destroy(self.topic);
        }
    }
}
