//! CPU credits of a burstable broker type, as EC2 documents them for T3 (standard mode).

use std::time::Duration;

use crate::catalogue::Credits;

/// A broker's balance. One credit is one vCPU at 100 % for one minute of scaled time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CreditAccount {
    terms: Credits,
    vcpus: f64,
    balance: f64,
    /// Seconds of a real broker's life that pass in one second of the lab's.
    time_factor: f64,
}

/// Credits that a young broker starts with (diagnosis rules, R3: "a young cluster with 20 credits").
const LAUNCH_CREDITS: f64 = 20.0;

impl CreditAccount {
    pub fn new(terms: Credits, vcpus: u32, time_factor: f64) -> CreditAccount {
        CreditAccount { terms, vcpus: f64::from(vcpus), balance: LAUNCH_CREDITS.min(terms.max), time_factor }
    }

    /// Credits left.
    pub fn balance(&self) -> f64 {
        self.balance
    }

    /// As if they had been used.
    pub fn spend_all(&mut self) {
        self.balance = 0.0;
    }

    /// vCPUs that may be used now: all of them, or the baseline when the balance is gone.
    pub fn allowed_vcpus(&self) -> f64 {
        if self.balance > 0.0 { self.vcpus } else { self.vcpus * self.terms.baseline_percent / 100.0 }
    }

    /// Earns and spends for `elapsed` in which `used` vCPU-seconds were used, and returns [`Self::allowed_vcpus`].
    pub fn step(&mut self, used_vcpu_seconds: f64, elapsed: Duration) -> f64 {
        let hours = elapsed.as_secs_f64() * self.time_factor / 3600.0;
        let spent = used_vcpu_seconds * self.time_factor / 60.0;
        self.balance = (self.balance + self.terms.earned_per_hour * hours - spent).clamp(0.0, self.terms.max);
        self.allowed_vcpus()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::BrokerType;

    /// Rows of (seconds, vCPUs in use, balance after, vCPUs allowed after), from a balance of 20.
    fn check(time_factor: f64, rows: &[(u64, f64, f64, f64)]) {
        let mut account = CreditAccount::new(BrokerType::T3_SMALL.credits().unwrap(), 2, time_factor);
        for (seconds, vcpus, balance, allowed) in rows {
            let now_allowed = account.step(vcpus * *seconds as f64, Duration::from_secs(*seconds));
            assert!((account.balance() - balance).abs() < 1e-6, "{account:?}, not {balance}");
            assert!((now_allowed - allowed).abs() < 1e-9, "{now_allowed}");
        }
    }

    #[test]
    fn the_baseline_keeps_the_balance() {
        check(1.0, &[(3600, 0.4, 20.0, 2.0)]);
    }

    #[test]
    fn idling_earns_and_a_full_account_earns_no_more() {
        check(1.0, &[(3600, 0.0, 44.0, 2.0), (3600 * 100, 0.0, 576.0, 2.0)]);
    }

    #[test]
    fn a_burst_ends_at_the_baseline_and_rest_allows_the_next() {
        // 1.6 vCPUs spend 96 an hour and earn 24: 20 credits last 1000 s.
        check(1.0, &[(500, 1.6, 10.0, 2.0), (500, 1.6, 0.0, 0.4), (60, 0.4, 0.0, 0.4), (150, 0.0, 1.0, 2.0)]);
    }

    #[test]
    fn scaled_time_runs_faster() {
        check(60.0, &[(10, 2.0, 4.0, 2.0), (10, 2.0, 0.0, 0.4)]);
    }
}
