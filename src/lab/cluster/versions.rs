//! Which Kafka version a cluster may be updated to.

use crate::catalogue::KafkaVersion;

/// The versions that MSK updates a cluster of `from` to in place: later ones of the same metadata mode.
pub fn compatible_versions(from: KafkaVersion) -> impl Iterator<Item = KafkaVersion> {
    // The catalogue lists versions in order; leaving ZooKeeper takes a new cluster.
    KafkaVersion::all()
        .skip_while(move |version| *version != from)
        .skip(1)
        .filter(move |version| version.is_kraft() == from.is_kraft())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_goes_up_and_keeps_its_mode() {
        for (from, to) in [("3.8.x", vec!["3.9.x"]), ("3.9.x", vec![]), ("4.0.x.kraft", vec!["4.1.x.kraft"])] {
            let versions: Vec<_> = compatible_versions(from.parse().unwrap()).map(|version| version.as_str()).collect();
            assert_eq!(versions, to, "{from}");
        }
    }
}
