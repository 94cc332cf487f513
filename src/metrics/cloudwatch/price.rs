//! What reading costs.

use std::ops::{Add, AddAssign};

/// USD for a metric that GetMetricData returns, whatever the number of its datapoints (Amazon CloudWatch pricing, "APIs":
/// USD 0.01 per 1,000 metrics requested; no free tier).
const USD_PER_METRIC: f64 = 0.01 / 1000.0;

/// USD for a ListMetrics call (Amazon CloudWatch pricing, "APIs": USD 0.01 per 1,000 requests; the first million of a month
/// are free, which is not counted on here).
const USD_PER_LIST_METRICS: f64 = 0.01 / 1000.0;

/// Requests of CloudWatch, made or to be made. Calls of the MSK API cost nothing and are not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// Metrics that GetMetricData is asked for.
    pub metrics: u64,
    pub get_metric_data_calls: u64,
    pub list_metrics_calls: u64,
}

impl Requests {
    /// What they cost, USD.
    pub fn usd(&self) -> f64 {
        self.metrics as f64 * USD_PER_METRIC + self.list_metrics_calls as f64 * USD_PER_LIST_METRICS
    }
}

impl Add for Requests {
    type Output = Requests;

    fn add(self, other: Requests) -> Requests {
        Requests {
            metrics: self.metrics + other.metrics,
            get_metric_data_calls: self.get_metric_data_calls + other.get_metric_data_calls,
            list_metrics_calls: self.list_metrics_calls + other.list_metrics_calls,
        }
    }
}

impl AddAssign for Requests {
    fn add_assign(&mut self, other: Requests) {
        *self = *self + other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_is_that_of_the_public_list() {
        // Three brokers, 21 metrics, each minute of a month of 30 days: USD 27.22.
        let month = Requests { metrics: 3 * 21 * 60 * 24 * 30, get_metric_data_calls: 43_200, list_metrics_calls: 0 };
        assert!((month.usd() - 27.216).abs() < 1e-6, "{}", month.usd());
        let listed = Requests { list_metrics_calls: 1000, ..Requests::default() };
        assert!(((month + listed).usd() - 27.226).abs() < 1e-6);
    }
}
