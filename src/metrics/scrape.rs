//! Reads one endpoint in the background. A late response is used when it arrives, and an endpoint that needs seconds
//! for a response is read less often.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    broker::{Jmx, Node},
    exposition::{Job, Sieve},
};
use crate::sample::BrokerId;

/// Longest wait for one answer. A broker with 10,800 partitions was reported to take 23 s.
pub const LONGEST: Duration = Duration::from_secs(30);

/// How long an endpoint that answered before may be silent until it counts as lost: on a broker without CPU the request waits
/// with all others (measured: up to 3.1 s).
const GRACE: Duration = Duration::from_secs(5);
/// The same as a multiple of its last answer's time.
const GRACE_TIMES: u32 = 3;

/// An answer that takes longer than this takes so much of the broker's CPU, or of a link, that the next is not
/// requested at once: the endpoint is busy for at most one part in `PARTS_OF_TIME`.
const QUICK: Duration = Duration::from_secs(1);
const PARTS_OF_TIME: u32 = 2;

/// The most that one endpoint may show: a broker with thousands of partitions shows some MiB. Only wanted lines are kept.
pub const MOST_BYTES: usize = 64 << 20;

/// An endpoint, and how its scrapes went.
#[derive(Debug)]
pub struct Endpoint {
    pub target: String,
    /// Since when one runs.
    begun: Option<Instant>,
    /// How long the last took; nothing if it failed, or none has ended yet.
    took: Option<Duration>,
    /// When the next may begin.
    due: Instant,
    /// It has shown what such an endpoint shows.
    pub is_known: bool,
}

/// What came of a scrape.
#[derive(Debug)]
pub struct Answer {
    pub broker: BrokerId,
    pub job: Job,
    pub target: String,
    pub begun: Instant,
    pub took: Duration,
    pub page: Page,
}

/// What an endpoint showed.
#[derive(Debug, PartialEq)]
pub enum Page {
    Jmx(Box<Jmx>),
    Node(Node),
    /// Not what MSK's exporter shows, and why.
    Foreign(String),
    /// No answer, an error, or more than there is room for.
    Nothing,
}

impl Endpoint {
    pub fn new(target: String, now: Instant) -> Endpoint {
        Endpoint { target, begun: None, took: None, due: now, is_known: false }
    }

    /// Whether a scrape should begin now; then it has.
    pub fn begin(&mut self, now: Instant) -> bool {
        let begins = self.begun.is_none() && now >= self.due;
        if begins {
            self.begun = Some(now);
        }
        begins
    }

    /// Notes how a scrape ended.
    pub fn end(&mut self, answer: &Answer, now: Instant) {
        self.begun = None;
        self.took = match answer.page {
            Page::Jmx(_) | Page::Node(_) => Some(answer.took),
            Page::Foreign(_) | Page::Nothing => None,
        };
        self.is_known |= self.took.is_some();
        // One that failed may be back at any moment.
        let took = self.took.filter(|took| *took > QUICK);
        self.due = took.map_or(now, |took| answer.begun + took * PARTS_OF_TIME);
    }

    /// Whether the next answer is merely not due, or a little late.
    pub fn is_awaited(&self, now: Instant) -> bool {
        let Some(took) = self.took else { return false };
        self.begun.is_none_or(|begun| now.duration_since(begun) <= GRACE.max(took * GRACE_TIMES))
    }
}

/// Asks `target` once, for `LONGEST` at most.
pub async fn scrape(http: reqwest::Client, broker: BrokerId, job: Job, target: String) -> Answer {
    let begun = Instant::now();
    let page = page(&http, job, &target).await.unwrap_or(Page::Nothing);
    Answer { broker, job, target, begun, took: begun.elapsed(), page }
}

async fn page(http: &reqwest::Client, job: Job, target: &str) -> Option<Page> {
    let answer = http.get(format!("http://{target}/metrics")).timeout(LONGEST).send().await.ok()?;
    if answer.status().is_client_error() {
        return Some(Page::Foreign(format!("it responds to GET /metrics with {}", answer.status())));
    }
    let mut answer = answer.error_for_status().ok()?;
    let (mut sieve, mut bytes) = (Sieve::default(), 0);
    while let Some(part) = answer.chunk().await.ok()? {
        bytes += part.len();
        if bytes > MOST_BYTES || !sieve.take(&part) {
            return None;
        }
    }
    let (kept, seen) = sieve.end();
    Some(match (seen.foreign(job), job) {
        (Some(reason), _) => Page::Foreign(reason),
        (None, Job::Jmx) => Page::Jmx(Box::new(Jmx::parse(&kept))),
        (None, Job::Node) => Page::Node(Node::parse(&kept)),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    fn answer(begun: Instant, took_ms: u64, page: Page) -> Answer {
        let (target, took) = (String::new(), Duration::from_millis(took_ms));
        Answer { broker: 1, job: Job::Jmx, target, begun, took, page }
    }

    #[test]
    fn a_slow_endpoint_is_asked_less_often_and_is_not_lost_at_once() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut endpoint = Endpoint::new("h:1".to_owned(), start);
        assert!(!endpoint.is_awaited(at(0)), "nothing is known of it");
        assert!(endpoint.begin(at(0)) && !endpoint.begin(at(1000)), "one at a time");
        endpoint.end(&answer(at(0), 4000, Page::Jmx(Box::default())), at(4000));
        assert!(!endpoint.begin(at(5000)) && endpoint.is_awaited(at(5000)));
        assert!(endpoint.begin(at(8000)));
        assert!(endpoint.is_awaited(at(19_900)) && !endpoint.is_awaited(at(20_100)), "three times what it took before");
        endpoint.end(&answer(at(8000), 30_000, Page::Nothing), at(38_000));
        assert!(!endpoint.is_awaited(at(38_000)) && endpoint.begin(at(38_000)));
    }

    #[test]
    fn an_endpoint_without_end_is_left_at_its_bound() {
        let endless = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = endless.local_addr().expect("bound");
        let writer = thread::spawn(move || {
            let (mut stream, _) = endless.accept().expect("a reader");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let line = "kafka_server_x{name=\"x\"} 1\n".repeat(10_000);
            let mut sent = 0;
            while sent < 1 << 30 && stream.write_all(line.as_bytes()).is_ok() {
                sent += line.len();
            }
            sent
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answer = runtime.block_on(scrape(reqwest::Client::new(), 1, Job::Jmx, at.to_string()));
        drop(runtime);
        assert_eq!(answer.page, Page::Nothing);
        let sent = writer.join().expect("the writer ends");
        assert!(sent < MOST_BYTES * 4, "{sent} bytes were taken");
    }
}
