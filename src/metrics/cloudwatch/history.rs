//! A history of weeks, for sizing: few metrics, the highest values, in minutes where CloudWatch keeps them and in five minutes
//! before that.

use super::{
    CloudWatch, Discovered, MetricsError, Requests,
    minutes::{self, Frame, Key, Series},
    now_ms,
    read::{self, Span},
    table::Scope,
    wanted,
};
use crate::sample::Sample;

const DAY_MS: i64 = 86_400_000;

/// CloudWatch keeps minutes for 15 days, and takes no period below five minutes of a call that begins earlier (CloudWatch API
/// Reference, "GetMetricData"); ten minutes less, so that the call comes in time.
const MINUTES_KEPT_MS: i64 = 15 * DAY_MS - 600_000;

/// Five minutes are kept for 63 days (as above).
const MOST_DAYS: u32 = 63;

const FIVE_MINUTES_MS: i64 = 300_000;

const HOUR_MS: i64 = 3_600_000;

/// How closely a history is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Minutes where they are kept, and five minutes before.
    Finest,
    /// Hours: a sixtieth of the datapoints, for a look at every cluster of a fleet.
    Hours,
}

/// What sizing needs of each broker.
const METRICS: [&str; 11] = [
    "CpuUser",
    "CpuSystem",
    "CPUCreditBalance",
    "HeapMemoryAfterGC",
    "BytesInPerSec",
    "BytesOutPerSec",
    "MessagesInPerSec",
    "ReplicationBytesInPerSec",
    "PartitionCount",
    "ConnectionCount",
    "KafkaDataLogsDiskUsed",
];

impl CloudWatch {
    /// What reading the last `days` takes. Makes no call.
    pub fn requests_of_days(&self, days: u32, resolution: Resolution) -> Requests {
        let count = self.keys_of_history().len();
        self.spans(days, resolution, now_ms())
            .into_iter()
            .map(|span| span.requests(count))
            .fold(Requests::default(), |a, b| a + b)
    }

    /// The last `days`, oldest first: the highest value of each period. The newest sample has the topics, if they can be read.
    ///
    /// # Errors
    /// Why CloudWatch gave no answer; [`MetricsError::Price`].
    pub async fn days(&mut self, days: u32, resolution: Resolution) -> Result<Vec<Sample>, MetricsError> {
        self.ensure_affordable(self.requests_of_days(days, resolution))?;
        let (now, keys) = (now_ms(), self.keys_of_history());
        let mut samples = Vec::new();
        for span in self.spans(days, resolution, now) {
            let mut series = Series::default();
            let (made, read) = read::read(&self.aws, &self.shape.name, &keys, span, &mut series).await;
            self.status.add(made);
            read?;
            samples.extend(self.samples_of(span, &series));
        }
        if let Some(info) = self.info.clone().filter(|_| self.options.topics) {
            let looked = self.topics.look(&self.aws, &info, now).await;
            if let (Some(look), Some(last)) = (looked.look, samples.last_mut()) {
                (last.topics, last.protocol_at_ms) = (look.topics, Some(look.at_ms));
            }
        }
        Ok(samples)
    }

    fn keys_of_history(&self) -> Vec<Key> {
        let is_needed = |key: &Key| key.metric().scope == Scope::Broker && METRICS.contains(&key.metric().name);
        wanted::series(&self.shape, &Discovered::default()).into_iter().filter(is_needed).collect()
    }

    /// The older part, if there is one, and the part of which minutes are kept.
    fn spans(&self, days: u32, resolution: Resolution, now: i64) -> Vec<Span> {
        let period_ms = match resolution {
            Resolution::Finest => self.period_ms(),
            Resolution::Hours => HOUR_MS.max(self.period_ms()),
        };
        let to_ms = self.judged_to(now).div_euclid(period_ms) * period_ms;
        let coarse_ms = FIVE_MINUTES_MS.max(period_ms);
        let from_ms = now - i64::from(days.clamp(1, MOST_DAYS)) * DAY_MS;
        let fine_from_ms = from_ms.max(now - MINUTES_KEPT_MS).div_euclid(coarse_ms) * coarse_ms + coarse_ms;
        let fine = Span { from_ms: fine_from_ms, to_ms, period_ms, highest: true };
        let from_ms = from_ms.div_euclid(coarse_ms) * coarse_ms + coarse_ms;
        let coarse = Span { from_ms, to_ms: fine_from_ms, period_ms: coarse_ms, highest: true };
        [coarse, fine].into_iter().filter(|span| span.to_ms > span.from_ms).collect()
    }

    fn samples_of(&self, span: Span, series: &Series) -> Vec<Sample> {
        let frame =
            Frame { brokers: self.shape.brokers.iter().map(|id| (*id, None)).collect(), period_ms: span.period_ms };
        let mut samples = minutes::samples(&frame, series, (span.from_ms, span.to_ms));
        // Connections are summed over a broker's network threads, and so over the minutes of a period too.
        let minutes = (span.period_ms / self.period_ms()).max(1) as u64;
        for broker in samples.iter_mut().flat_map(|sample| sample.brokers.values_mut()) {
            broker.connection_count = broker.connection_count.map(|count| count.div_ceil(minutes));
        }
        samples
    }
}
