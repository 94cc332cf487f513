//! What a rate costs.

use crate::{capacity::Answer, diagnose::Context};

/// The price of the brokers for each MB/s of values that they sustain, a month (us-east-1 list price, USD). `None` for a type
/// that is not in the catalogue, and for no rate.
pub fn usd_per_mb_s_month(context: &Context, answer: &Answer) -> Option<f64> {
    let month = usd_per_month(context)?;
    let mb = answer.carried.bytes_per_s / 1e6;
    (mb > 0.0).then(|| month / mb)
}

/// The price of the brokers a month (us-east-1 list price, USD). `None` for a type that is not in the catalogue.
pub fn usd_per_month(context: &Context) -> Option<f64> {
    Some(context.known_type()?.usd_per_month(context.broker_count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::Round;

    #[test]
    fn the_price_is_that_of_the_brokers_over_what_they_sustain() {
        let cluster = Context { broker_type: Some("kafka.m5.large".to_owned()), broker_count: 3, ..Context::default() };
        let carried =
            Round { acknowledged_per_s: 2000.0, bytes_per_s: 2_000_000.0, cpu_percent: Some(58.0), p99_ms: Some(12.0) };
        let answer = Answer { carried, rounds: vec![carried], spread_percent: 0.0, limit: None, fails_at_per_s: None };
        // 3 x 0.21 x 730 over 2 MB/s.
        assert!((usd_per_mb_s_month(&cluster, &answer).unwrap() - 229.95).abs() < 0.01);
        let silent = Answer { carried: Round { bytes_per_s: 0.0, ..carried }, ..answer };
        assert_eq!(usd_per_mb_s_month(&cluster, &silent), None);
    }
}
