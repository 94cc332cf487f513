//! The plain produce calls of librdkafka: values that it need not copy, delivery reports by the batch.
//!
//! The crate's own producers copy each value and build a list of arguments for each record, which costs more than all
//! the rest of sending. Nearly all unsafe code of kgen is here. What must hold: a value that was handed over is neither moved,
//! changed nor freed before its delivery report came or the client is gone.

use std::{
    ffi::{CStr, CString},
    io::{self, PipeReader, PipeWriter, Read as _},
    os::fd::{AsFd as _, AsRawFd as _},
    time::Duration,
};

use rdkafka::{
    ClientContext as _,
    bindings::{
        self as ffi, RD_KAFKA_EVENT_DR, RD_KAFKA_EVENT_ERROR, RD_KAFKA_EVENT_LOG,
        RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH, rd_kafka_vtype_t as vtype,
    },
    client::Client,
    config::RDKafkaLogLevel,
    error::KafkaError,
    types::{RDKafkaErrorCode, RDKafkaRespErr, RDKafkaType},
};

use crate::{
    kafka::{Connection, Context, Notes, Signing},
    load::{keys::KEY_LEN, payload},
};

/// Reports taken from an event at a time.
const BATCH: usize = 256;

/// The most records that are handed over at a time.
pub const HANDED_OVER: usize = 64;

/// A producer of some topics.
pub struct Native {
    topics: Vec<*mut ffi::rd_kafka_topic_t>,
    /// What every record has besides its stamp.
    headers: Vec<(CString, Vec<u8>)>,
    stamp_header: CString,
    /// Records that wait for [`Native::hand_over`], and their keys; empty where each is produced by itself.
    batch: Vec<ffi::rd_kafka_message_t>,
    keys: Box<[[u8; KEY_LEN]]>,
    queue: *mut ffi::rd_kafka_queue_t,
    /// Has something to read when the queue had something to serve; librdkafka writes to the other end.
    wake: PipeReader,
    _waker: PipeWriter,
    /// The next IAM token, on its way.
    signing: Option<Signing>,
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

/// A record on its way to [`Native::produce`].
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Which of the topics.
    pub topic: usize,
    pub value: *const u8,
    pub len: usize,
    pub key: Option<&'a [u8]>,
    /// The stamp, where the value has none.
    pub stamp: Option<&'a [u8]>,
    /// Its delivery carries this.
    pub number: usize,
}

/// A transaction did not continue.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    pub code: ErrorCode,
    /// The same call may yet succeed.
    pub is_retriable: bool,
    /// This producer can do nothing more.
    pub is_fatal: bool,
}

impl Native {
    pub fn new(
        connection: &Connection,
        defaults: &[(&str, &str)],
        topics: &[String],
        headers: &[(String, String)],
        notes: Notes,
    ) -> Result<Self, crate::kafka::ConnectError> {
        let config = connection.config(defaults);
        let native = config.create_native_config()?;
        let unusable = |reason: String| KafkaError::ClientCreation(reason);
        let text = |name: &str, of: &str| {
            CString::new(name).map_err(|_| unusable(format!("`{}` is not a valid {of} name", name.escape_debug())))
        };
        let names = topics.iter().map(|topic| text(topic, "topic")).collect::<Result<Vec<_>, _>>()?;
        let headers = headers
            .iter()
            .map(|(name, value)| Ok((text(name, "header")?, value.as_bytes().to_vec())))
            .collect::<Result<Vec<_>, KafkaError>>()?;
        let stamp_header = text(payload::HEADER, "header")?;
        let (wake, waker) = wake_up().map_err(|error| unusable(format!("cannot create a pipe: {error}")))?;
        // SAFETY: the configuration is alive and not yet given to a client.
        unsafe {
            ffi::rd_kafka_conf_set_events(
                native.ptr(),
                RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH,
            );
        }
        let context = Context::of(connection, notes);
        let client = Client::new(&config, native, RDKafkaType::RD_KAFKA_PRODUCER, context)?;
        client.context().authorize(&client)?;
        // SAFETY: the client is alive; the queue is given back before it is.
        let queue = unsafe {
            let queue = ffi::rd_kafka_queue_get_main(client.native_ptr());
            // librdkafka copies the byte.
            ffi::rd_kafka_queue_io_event_enable(queue, waker.as_raw_fd(), [1u8].as_ptr().cast(), 1);
            queue
        };
        let (batch, keys) = (Vec::with_capacity(HANDED_OVER), vec![[0; KEY_LEN]; HANDED_OVER].into());
        let mut made = Native {
            topics: Vec::new(),
            headers,
            stamp_header,
            batch,
            keys,
            queue,
            wake,
            _waker: waker,
            signing: None,
            client,
        };
        for name in &names {
            // SAFETY: the client is alive; what was made is given back by `Drop`, also after an error.
            unsafe {
                let topic = ffi::rd_kafka_topic_new(made.client.native_ptr(), name.as_ptr(), std::ptr::null_mut());
                if topic.is_null() {
                    return Err(unusable(format!("the topic handle: {:?}", ffi::rd_kafka_last_error())).into());
                }
                made.topics.push(topic);
            }
        }
        Ok(made)
    }

    /// Hands over a record.
    ///
    /// # Safety
    /// The value stays where it is, unchanged, until its delivery was seen or this producer is dropped. When an error is
    /// returned it is free at once.
    pub unsafe fn produce(&self, record: &Outgoing<'_>) -> Result<(), ErrorCode> {
        if record.stamp.is_some() || !self.headers.is_empty() {
            // SAFETY: the same is requested.
            return unsafe { self.produce_with_headers(record) };
        }
        let (key, key_len) = record.key.map_or((std::ptr::null(), 0), |key| (key.as_ptr(), key.len()));
        // SAFETY: with no flag set the value is neither copied nor freed; librdkafka only reads it.
        let result = unsafe {
            ffi::rd_kafka_produce(
                self.topics[record.topic],
                -1, // the partitioner decides
                0,
                record.value.cast_mut().cast(),
                record.len,
                key.cast(),
                key_len,
                std::ptr::without_provenance_mut(record.number),
            )
        };
        // SAFETY: reads the error of this thread's last call.
        if result == 0 { Ok(()) } else { Err(ErrorCode(unsafe { ffi::rd_kafka_last_error() })) }
    }

    /// Whether records can be put together by [`Native::push`]: they are of one topic and have no headers.
    pub fn takes_batches(&self) -> bool {
        self.topics.len() == 1 && self.headers.is_empty()
    }

    /// Puts a record, without a stamp of its own, to those that [`Native::hand_over`] takes: at most [`HANDED_OVER`].
    ///
    /// # Safety
    /// As for [`Native::produce`].
    pub unsafe fn push(&mut self, record: &Outgoing<'_>) {
        let place = &mut self.keys[self.batch.len()];
        let (key, key_len) = match record.key {
            Some(key) => {
                place.copy_from_slice(key);
                (place.as_mut_ptr(), key.len())
            }
            None => (std::ptr::null_mut(), 0),
        };
        self.batch.push(ffi::rd_kafka_message_t {
            err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: std::ptr::null_mut(),
            partition: -1,
            payload: record.value.cast_mut().cast(),
            len: record.len,
            key: key.cast(),
            key_len,
            offset: 0,
            _private: std::ptr::without_provenance_mut(record.number),
        });
    }

    /// Hands over what was pushed. `refused` is given those that were not taken, by their number; they are free at once.
    ///
    /// One call for many records: librdkafka takes one lock and reads two clocks for all, in place of each.
    pub fn hand_over(&mut self, mut refused: impl FnMut(usize, ErrorCode)) {
        if self.batch.is_empty() {
            return;
        }
        let count = self.batch.len() as i32;
        // SAFETY: values are good by what `push` asks for, and neither copied nor freed, as no flag is set; keys are
        // copied. The partitioner decides.
        let taken = unsafe { ffi::rd_kafka_produce_batch(self.topics[0], -1, 0, self.batch.as_mut_ptr(), count) };
        if taken < count {
            let failed = |message: &&ffi::rd_kafka_message_t| message.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
            for message in self.batch.iter().filter(failed) {
                refused(message._private.addr(), ErrorCode(message.err));
            }
        }
        self.batch.clear();
    }

    /// Like [`Native::produce`], by way of a list of arguments, which costs more.
    unsafe fn produce_with_headers(&self, record: &Outgoing<'_>) -> Result<(), ErrorCode> {
        use ffi::{rd_kafka_vu_s__bindgen_ty_1 as Argument, rd_kafka_vu_t};
        const MOST: usize = 5 + 1 + super::MOST_HEADERS;
        let memory = |bytes: &[u8]| Argument {
            mem: ffi::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
                ptr: bytes.as_ptr().cast_mut().cast(),
                size: bytes.len(),
            },
        };
        let header = |name: &CStr, value: &[u8]| rd_kafka_vu_t {
            vtype: vtype::RD_KAFKA_VTYPE_HEADER,
            u: Argument {
                header: ffi::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 {
                    name: name.as_ptr(),
                    val: value.as_ptr().cast(),
                    size: value.len() as isize,
                },
            },
        };
        let mut list = [rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_END, u: Argument { i: 0 } }; MOST];
        let value = Argument {
            mem: ffi::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
                ptr: record.value.cast_mut().cast(),
                size: record.len,
            },
        };
        let opaque = Argument { ptr: std::ptr::without_provenance_mut(record.number) };
        list[0] = rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_RKT, u: Argument { rkt: self.topics[record.topic] } };
        list[1] = rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_VALUE, u: value };
        list[2] = rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_OPAQUE, u: opaque };
        // No flag: neither copied nor freed.
        list[3] = rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_MSGFLAGS, u: Argument { i: 0 } };
        let mut count = 4;
        let mut push = |argument| {
            list[count] = argument;
            count += 1;
        };
        if let Some(key) = record.key {
            push(rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_KEY, u: memory(key) });
        }
        if let Some(stamp) = record.stamp {
            push(header(&self.stamp_header, stamp));
        }
        for (name, value) in &self.headers {
            push(header(name, value));
        }
        // SAFETY: every argument has the type that its tag names; key and headers are copied by the call.
        match unsafe { ffi::rd_kafka_produceva(self.client.native_ptr(), list.as_ptr(), count) } {
            error if error.is_null() => Ok(()),
            error => Err(Self::taken(error).code),
        }
    }

    /// Reads an error and gives it back.
    fn taken(error: *mut ffi::rd_kafka_error_t) -> Refusal {
        // SAFETY: the callers pass an error that is theirs and not null; it is not used after.
        unsafe {
            let refusal = Refusal {
                code: ErrorCode(ffi::rd_kafka_error_code(error)),
                is_retriable: ffi::rd_kafka_error_is_retriable(error) != 0,
                is_fatal: ffi::rd_kafka_error_is_fatal(error) != 0,
            };
            ffi::rd_kafka_error_destroy(error);
            refusal
        }
    }

    fn outcome(error: *mut ffi::rd_kafka_error_t) -> Result<(), Refusal> {
        if error.is_null() { Ok(()) } else { Err(Self::taken(error)) }
    }

    /// Makes the producer a transactional one; waits at most `within`.
    pub fn init_transactions(&self, within: Duration) -> Result<(), Refusal> {
        // SAFETY: the client is alive.
        Self::outcome(unsafe { ffi::rd_kafka_init_transactions(self.client.native_ptr(), millis(within)) })
    }

    /// Begins a transaction: what is produced from here is in it.
    pub fn begin_transaction(&self) -> Result<(), Refusal> {
        // SAFETY: the client is alive.
        Self::outcome(unsafe { ffi::rd_kafka_begin_transaction(self.client.native_ptr()) })
    }

    /// Commits. Every delivery must have been seen; waits at most `within`.
    pub fn commit_transaction(&self, within: Duration) -> Result<(), Refusal> {
        // SAFETY: the client is alive.
        Self::outcome(unsafe { ffi::rd_kafka_commit_transaction(self.client.native_ptr(), millis(within)) })
    }

    /// Gives the transaction up. Every delivery must have been seen; waits at most `within`.
    pub fn abort_transaction(&self, within: Duration) -> Result<(), Refusal> {
        // SAFETY: the client is alive.
        Self::outcome(unsafe { ffi::rd_kafka_abort_transaction(self.client.native_ptr(), millis(within)) })
    }

    /// Gives every delivery that is there to `on`, and returns whether anything was there. Does not wait.
    pub fn poll(&mut self, mut on: impl FnMut(&mut dyn Iterator<Item = Delivery>)) -> bool {
        if let Some(signing) = &self.signing
            && self.client.context().take_token(&self.client, signing)
        {
            self.signing = None;
        }
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
                RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => self.signing = self.client.context().sign(),
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
            let _ = (&self.wake).read(&mut [0; 64]);
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

/// Both ends of a pipe, of which none blocks.
fn wake_up() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK)?;
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: both belong to the client, which is still alive, and are not used after this. The wake-up is taken
        // away before its file is closed.
        unsafe {
            ffi::rd_kafka_queue_io_event_enable(self.queue, -1, std::ptr::null(), 0);
            ffi::rd_kafka_queue_destroy(self.queue);
            for topic in &self.topics {
                ffi::rd_kafka_topic_destroy(*topic);
            }
        }
    }
}
