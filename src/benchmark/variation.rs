//! What differs between the runs of one scenario, from its name and a number.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::sample::BrokerId;

/// One run of a scenario.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Variation {
    /// From 1 on.
    pub number: u32,
    /// Records/s of the load that continues all the time: 350 ± 40 %. Brokers of the lab have half a core, and are well
    /// with that.
    pub rate: f64,
    pub record_size: u32,
    pub partitions: u32,
    /// The broker that is hit, where the fault is about one.
    pub broker: BrokerId,
    /// How bad the fault is: 1 ± 30 %.
    pub strength: f64,
    /// Seconds of calm before it.
    pub calm_s: f64,
}

impl Variation {
    /// The run of this number, the same on every machine. `calm_s` is what there is of calm at least.
    pub fn of(scenario: &str, number: u32, brokers: u32, calm_s: f64) -> Variation {
        let digest = Sha256::digest(format!("{scenario}/{number}"));
        let seed = digest.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        let mut chance = SmallRng::seed_from_u64(seed);
        Variation {
            number,
            rate: (350.0_f64 * chance.random_range(0.6..=1.4)).round(),
            record_size: [1000, 1500, 2000][chance.random_range(0..3)],
            partitions: [6, 9, 12][chance.random_range(0..3)],
            broker: chance.random_range(1..=brokers.max(1)) as BrokerId,
            strength: (chance.random_range(0.7..=1.3_f64) * 100.0).round() / 100.0,
            calm_s: calm_s + chance.random_range(0..=10) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variation_follows_from_scenario_and_number_alone() {
        let of = |scenario: &str, number| Variation::of(scenario, number, 3, 15.0);
        assert_eq!(of("broker.hung", 2), of("broker.hung", 2));
        assert_ne!(of("broker.hung", 2), of("broker.hung", 3));
        assert_ne!(of("broker.hung", 2), of("broker.down", 2));
        for number in 1..=50 {
            let variation = of("disk.full", number);
            assert!((210.0..=490.0).contains(&variation.rate), "{variation:?}");
            assert!((0.7..=1.3).contains(&variation.strength) && (1..=3).contains(&variation.broker), "{variation:?}");
            assert!((15.0..=25.0).contains(&variation.calm_s), "{variation:?}");
        }
    }
}
