//! Summary figures for a period of samples.

use serde::Serialize;

use crate::{
    load::latency::{Quantiles, Times},
    proof::{total, worst},
    sample::{BrokerSample, Sample},
    statistics::mean,
};

/// One period: the worst broker of each kind, by its mean over the period.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub struct Figures {
    pub broker_type: String,
    pub seconds: f64,
    /// `CpuUser` + `CpuSystem`, percent of the broker's capacity.
    pub cpu_percent: Option<f64>,
    /// Share of periods in which the CPU limit throttled it, percent. In the lab only.
    pub cpu_throttled_percent: Option<f64>,
    pub memory_percent: Option<f64>,
    pub heap_percent: Option<f64>,
    pub produce_local_ms: Option<f64>,
    pub produce_total_ms: Option<f64>,
    /// Of the whole cluster.
    pub messages_in_per_s: Option<f64>,
    pub under_replicated_partitions: Option<f64>,
    /// Due and acknowledged in the stretch, records/s, where kgen made the load itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_per_s: Option<f64>,
    /// From due to acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Quantiles>,
}

/// What the load generator saw in the same stretch.
#[derive(Debug, Clone, Default)]
pub struct LoadFigures {
    pub seconds: f64,
    pub offered: f64,
    pub acknowledged: f64,
    pub response: Times,
}

impl Figures {
    pub fn of(broker_type: &str, samples: &[Sample]) -> Figures {
        let worst = |value| mean(worst(samples, value));
        let seconds = match samples {
            [first, .., last] => (last.at_ms - first.at_ms) as f64 / 1000.0,
            _ => 0.0,
        };
        Figures {
            broker_type: broker_type.to_owned(),
            seconds,
            cpu_percent: worst(BrokerSample::cpu_percent),
            cpu_throttled_percent: worst(|broker| broker.cpu_throttled_percent),
            memory_percent: worst(BrokerSample::memory_percent),
            heap_percent: worst(|broker| broker.heap_after_gc_percent.or(broker.heap_used_percent)),
            produce_local_ms: worst(|broker| broker.produce?.local_ms),
            produce_total_ms: worst(|broker| Some(broker.produce?.total_ms)),
            messages_in_per_s: mean(total(samples, |broker| broker.messages_in_per_s)),
            under_replicated_partitions: worst(|broker| broker.under_replicated_partitions.map(|count| count as f64)),
            ..Figures::default()
        }
    }

    /// These figures with those of the load.
    pub fn with_load(mut self, load: &LoadFigures) -> Figures {
        let per_s = |count: f64| (load.seconds > 0.0).then(|| count / load.seconds);
        self.offered_per_s = per_s(load.offered);
        self.acknowledged_per_s = per_s(load.acknowledged);
        self.latency = load.response.quantiles();
        self
    }

    /// Whether clients produced anything worth comparing.
    pub fn has_load(&self) -> bool {
        self.messages_in_per_s.is_some_and(|rate| rate >= 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: i64, cpus: [f64; 2]) -> Sample {
        let broker = |cpu| BrokerSample {
            cpu_user_percent: Some(cpu),
            cpu_system_percent: Some(1.0),
            messages_in_per_s: Some(100.0),
            ..BrokerSample::default()
        };
        let brokers = (1..).zip(cpus.map(broker)).collect();
        Sample { at_ms, brokers, ..Sample::default() }
    }

    #[test]
    fn the_busiest_broker_counts_by_its_mean() {
        let figures = Figures::of("kafka.t3.small", &[sample(0, [10.0, 90.0]), sample(2000, [60.0, 20.0])]);
        assert_eq!((figures.cpu_percent, figures.seconds), (Some(56.0), 2.0));
        assert_eq!((figures.messages_in_per_s, figures.memory_percent), (Some(200.0), None));
    }
}
