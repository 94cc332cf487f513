//! Which replicas go to which broker, so that each has its share.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::Move;

/// The brokers of a cluster, each with its zone where that is known.
pub type Brokers = BTreeMap<i32, Option<String>>;

/// The moves after which every broker of a zone holds as many replicas as the others of it, give or take one.
///
/// `placed` are all partitions with their present replicas. A replica moves only within its zone, so a partition stays spread
/// over as many zones as it is now; where zones are not known, it moves anywhere. No more replicas move than that takes. Of
/// those that could move, the ones of topics that lie most unevenly go first. A partition that moves is led by that one of
/// its brokers which leads least of its topic.
pub fn spread(brokers: &Brokers, placed: &[Move]) -> Vec<Move> {
    let mut now: Vec<Move> = placed.to_vec();
    let mut zones: BTreeMap<&Option<String>, Vec<i32>> = BTreeMap::new();
    for (id, zone) in brokers {
        zones.entry(zone).or_default().push(*id);
    }
    for ids in zones.values() {
        // Each turn makes the two that differ most more alike, so this ends; the bound is for the reader.
        for _ in 0..placed.iter().map(|partition| partition.replicas.len()).sum() {
            if !moved_one(&mut now, ids) {
                break;
            }
        }
    }
    spread_leaders(&mut now, placed);
    now.into_iter().zip(placed).filter(|(now, was)| now.replicas != was.replicas).map(|(now, _)| now).collect()
}

/// Lets those partitions that move begin with the broker that leads least of their topic.
fn spread_leaders(now: &mut [Move], placed: &[Move]) {
    let mut led: BTreeMap<(String, i32), usize> = BTreeMap::new();
    for (now, was) in now.iter().zip(placed).filter(|(now, was)| now.replicas == was.replicas) {
        if let Some(first) = was.replicas.first() {
            *led.entry((now.topic.clone(), *first)).or_default() += 1;
        }
    }
    for (now, _) in now.iter_mut().zip(placed).filter(|(now, was)| now.replicas != was.replicas) {
        let count = |id: &i32| led.get(&(now.topic.clone(), *id)).copied().unwrap_or_default();
        let Some(first) = now.replicas.iter().copied().min_by_key(count) else { continue };
        now.replicas.sort_by_key(|id| *id != first);
        *led.entry((now.topic.clone(), first)).or_default() += 1;
    }
}

/// Moves one replica from the fullest broker of `ids` that can give one to the emptiest. Whether there was one.
fn moved_one(now: &mut [Move], ids: &[i32]) -> bool {
    let held = |id: i32| now.iter().filter(|partition| partition.replicas.contains(&id)).count();
    let mut by_held: Vec<(usize, i32)> = ids.iter().map(|id| (held(*id), *id)).collect();
    by_held.sort_unstable();
    let Some(&(least, to)) = by_held.first() else { return false };
    for &(most, from) in by_held.iter().rev() {
        if most <= least + 1 {
            return false;
        }
        let Some(chosen) = best(now, from, to) else { continue };
        if let Some(replica) = now[chosen].replicas.iter_mut().find(|id| **id == from) {
            *replica = to;
            return true;
        }
    }
    false
}

/// The partition to move from one broker to another: of the topic that is most unevenly between them, and one that the
/// broker leads exactly where it leads more of that topic than the other.
fn best(now: &[Move], from: i32, to: i32) -> Option<usize> {
    // By topic: how many replicas, and how many first ones, one has more than the other.
    let mut differences: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for partition in now {
        let (held, led) = differences.entry(&partition.topic).or_default();
        let holds = |id| i64::from(partition.replicas.contains(&id));
        let leads = |id| i64::from(partition.replicas.first() == Some(&id));
        *held += holds(from) - holds(to);
        *led += leads(from) - leads(to);
    }
    let candidates = now.iter().enumerate().filter(|(_, p)| p.replicas.contains(&from) && !p.replicas.contains(&to));
    let key = |(i, partition): &(usize, &Move)| {
        let (held, led) = differences[partition.topic.as_str()];
        // Of equals the first, so that the same cluster gives the same moves.
        (held, (partition.replicas.first() == Some(&from)) == (led > 1), Reverse(*i))
    };
    candidates.max_by_key(key).map(|(i, _)| i)
}

/// What a list of moves copies: for each broker that gets replicas, how many.
pub fn received(placed: &[Move], moves: &[Move]) -> BTreeMap<i32, usize> {
    let mut found = BTreeMap::new();
    for to in moves {
        let was: BTreeSet<i32> = placed
            .iter()
            .find(|partition| (&partition.topic, partition.partition) == (&to.topic, to.partition))
            .map(|partition| partition.replicas.iter().copied().collect())
            .unwrap_or_default();
        for id in to.replicas.iter().filter(|id| !was.contains(id)) {
            *found.entry(*id).or_default() += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(count: i32, zones: i32) -> Brokers {
        (1..=count).map(|id| (id, (zones > 0).then(|| format!("z{}", (id - 1) % zones.max(1))))).collect()
    }

    /// Partitions as Kafka places them on the first `brokers`, each `replicas` times.
    fn placed(topic: &str, partitions: i32, brokers: i32, replicas: i32) -> Vec<Move> {
        let list = |n: i32| (0..replicas).map(|r| (n + r) % brokers + 1).collect();
        (0..partitions).map(|n| Move { topic: topic.to_owned(), partition: n, replicas: list(n) }).collect()
    }

    fn after(placed: &[Move], moves: &[Move]) -> Vec<Move> {
        let moved = |was: &Move| moves.iter().find(|to| (&to.topic, to.partition) == (&was.topic, was.partition));
        placed.iter().map(|was| moved(was).unwrap_or(was).clone()).collect()
    }

    fn counts(placed: &[Move], brokers: &Brokers, of: impl Fn(&Move, i32) -> bool) -> Vec<usize> {
        brokers.keys().map(|id| placed.iter().filter(|partition| of(partition, *id)).count()).collect()
    }

    #[track_caller]
    fn check(brokers: &Brokers, before: &[Move]) -> Vec<Move> {
        let moves = spread(brokers, before);
        let now = after(before, &moves);
        let zone = |id: &i32| brokers[id].clone();
        for (was, is) in before.iter().zip(&now) {
            assert_eq!(is.replicas.iter().collect::<BTreeSet<_>>().len(), was.replicas.len(), "twice on one: {is:?}");
            let zones = |of: &Move| of.replicas.iter().map(zone).collect::<BTreeSet<_>>();
            if was.replicas.iter().all(|id| brokers.contains_key(id)) {
                assert_eq!(zones(was), zones(is), "{was:?} {is:?}");
            }
        }
        let held = counts(&now, brokers, |partition, id| partition.replicas.contains(&id));
        for zone in brokers.values().collect::<BTreeSet<_>>() {
            let of_zone = || brokers.values().zip(&held).filter(|(of, _)| *of == zone).map(|(_, held)| *held);
            assert!(of_zone().max().unwrap() - of_zone().min().unwrap() <= 1, "{held:?}");
        }
        assert_eq!(spread(brokers, &now), [], "moved again when all is even");
        moves
    }

    #[test]
    fn new_brokers_get_their_share_and_zones_stay() {
        let six = brokers(6, 3);
        let before = placed("orders", 12, 3, 3);
        let moves = check(&six, &before);
        assert_eq!(received(&before, &moves), [(4, 6), (5, 6), (6, 6)].into());
        let now = after(&before, &moves);
        assert_eq!(counts(&now, &six, |partition, id| partition.replicas[0] == id), [2; 6]);

        // Two topics are each even, not only both together.
        let both = [placed("a", 6, 3, 2), placed("b", 6, 3, 2)].concat();
        let now = after(&both, &check(&six, &both));
        for topic in ["a", "b"] {
            let held = counts(&now, &six, |partition, id| partition.topic == topic && partition.replicas.contains(&id));
            assert_eq!(held, [2; 6], "{topic}");
            let led = counts(&now, &six, |partition, id| partition.topic == topic && partition.replicas[0] == id);
            assert_eq!(led, [1; 6], "{topic}");
        }
        // Without zones, with one replica, with all brokers in every list.
        check(&brokers(6, 0), &placed("t", 7, 3, 3));
        check(&six, &placed("t", 20, 3, 1));
        assert_eq!(check(&brokers(3, 3), &placed("t", 9, 3, 3)), []);
        assert_eq!(check(&six, &[]), []);
    }

    proptest::proptest! {
        /// Whatever lies there: brokers come out even, no replica is twice on a broker, zones stay.
        #[test]
        fn any_placement_comes_out_even(
            lists in proptest::collection::vec((0usize..3, proptest::sample::subsequence(vec![1, 2, 3, 4, 5, 6], 1..=3)), 0..40),
        ) {
            let number = |(n, (topic, replicas)): (usize, (usize, Vec<i32>))| Move {
                topic: format!("t{topic}"), partition: n as i32, replicas,
            };
            let before: Vec<Move> = lists.into_iter().enumerate().map(number).collect();
            let nine = brokers(9, 0);
            let moves = spread(&nine, &before);
            let now = after(&before, &moves);
            let held = counts(&now, &nine, |partition, id| partition.replicas.contains(&id));
            proptest::prop_assert!(held.iter().max().unwrap() - held.iter().min().unwrap() <= 1, "{:?}", held);
        }
    }
}
