use serde_json::json;

use super::SIX;
use crate::{
    change::{
        Change, ChangeEnd, Step,
        testing::{Seen, World},
    },
    outcome::Refused,
};

fn world() -> World {
    let world = World::new();
    world.terraform_adds_brokers();
    world
}

/// A scale-out to six brokers is refused with this reason, and nothing has been asked, run or recorded.
#[track_caller]
fn is_refused(world: &World, change: Change, reason: &str) {
    let mut seen = Seen::default();
    let error = world.run(change, &mut seen).unwrap_err();
    assert!(error.is::<Refused>() && format!("{error:#}").contains(reason), "{error:#}");
    assert_eq!((seen.questions.len(), world.calls().len(), world.has_record()), (0, 0, false));
}

#[test]
fn a_scale_out_adds_brokers_and_gives_them_their_share() {
    let world = world();
    let mut seen = Seen::default();
    let ChangeEnd::Concluded(concluded) = world.run(SIX, &mut seen).unwrap() else { panic!("{:?}", seen.events) };
    assert!(world.is_written(SIX));
    assert_eq!(world.cluster().provisioned.number_of_broker_nodes, 6);
    assert_eq!((concluded.was.broker_count, concluded.is.broker_count), (3, 6));
    let moved = concluded.moved.unwrap();
    assert!(moved.partitions > 0 && moved.batches == 1, "{moved:?}");
    let kafka = world.brokers.cluster();
    for id in 1..=6 {
        let has = kafka.partitions.values().filter(|placed| placed.replicas.contains(&id)).count();
        assert_eq!(has, 3, "broker {id} has its share of 18 replicas: {:?}", kafka.partitions);
        assert!(kafka.partitions.values().any(|placed| placed.leader == Some(id)), "broker {id} leads");
    }
    // It was under a throttle, which is gone.
    assert!(kafka.was_set.contains("follower.replication.throttled.rate"), "{:?}", kafka.was_set);
    assert!(kafka.set().is_empty(), "{:?}", kafka.set());
    drop(kafka);
    assert_eq!(world.step(), Step::Proven);
}

#[test]
fn a_plan_that_makes_more_than_alarms_along_with_the_brokers_is_not_applied() {
    let world = world();
    let other = json!({"address": "aws_instance.new", "mode": "managed", "type": "aws_instance", "change": {"actions": ["create"]}});
    world.terraform_plans(&[world.planned("kafka.t3.small", 6), other]);
    let error = world.run(SIX, &mut Seen::default()).unwrap_err();
    assert!(format!("{error:#}").contains("would also change aws_instance.new"), "{error:#}");
    assert!(world.is_as_before());
    assert_eq!((world.step(), world.calls()), (Step::PutBack, ["plan", "show"].map(str::to_owned).to_vec()));
}

#[test]
fn an_apply_that_is_refused_puts_the_files_back() {
    let world = world();
    world.updated(crate::lab::cluster::Update::Reboot(vec![1]));
    let error = world.run(SIX, &mut Seen::default()).unwrap_err();
    assert!(format!("{error:#}").contains("applying the scale-out"), "{error:#}");
    assert!(world.is_as_before());
    assert_eq!(world.cluster().provisioned.number_of_broker_nodes, 3);
}

#[test]
fn brokers_are_not_taken_away() {
    let world = world();
    world.updated(crate::lab::cluster::Update::BrokerCount(9));
    // kgen.toml still has three, so it is the cluster that says so.
    is_refused(&world, SIX, "already has 9 brokers, and kgen does not remove any");
}

#[test]
fn moves_of_somebody_else_are_in_the_way() {
    let world = world();
    {
        let mut kafka = world.brokers.cluster();
        kafka.never_moves = true;
        kafka.moving.insert(("orders".to_owned(), 0), vec![2, 3, 1]);
    }
    is_refused(&world, SIX, "1 partitions are already being moved (orders-0 is one of them)");
}

#[test]
fn a_throttle_of_somebody_else_is_in_the_way() {
    let world = world();
    let throttle = (4, "2".to_owned(), "leader.replication.throttled.rate".to_owned());
    world.brokers.cluster().settings.insert(throttle, "1000".to_owned());
    is_refused(&world, SIX, "a replication throttle is set (broker 2)");
}

#[test]
fn moves_that_are_interrupted_are_given_up_and_the_throttle_is_gone() {
    let world = world();
    world.brokers.cluster().never_moves = true;
    let mut seen = Seen::interrupting_at("Began(MovingPartitions)");
    assert!(matches!(world.run(SIX, &mut seen).unwrap(), ChangeEnd::Interrupted), "{:?}", seen.events);
    assert!(world.is_written(SIX));
    assert_eq!((world.step(), world.end().as_str()), (Step::Moving, "interrupted"));
    let kafka = world.brokers.cluster();
    assert!(kafka.moving.is_empty() && kafka.set().is_empty(), "{:?} {:?}", kafka.moving, kafka.set());
    assert!(kafka.was_set.contains("leader.replication.throttled.replicas"), "{:?}", kafka.was_set);
}

#[test]
fn partitions_are_not_moved_while_replicas_are_out_of_sync() {
    let mut world = world();
    world.timing.calm_within = std::time::Duration::ZERO;
    let kafka = world.brokers.shared();
    let mut seen = Seen::default().doing("Began(AwaitingCalm)", move || kafka.lock().unwrap().fall_behind(2));
    let error = world.run(SIX, &mut seen).unwrap_err();
    assert!(format!("{error:#}").contains("no partition is moved"), "{error:#}");
    assert_eq!(world.step(), Step::Moving);
    assert!(world.brokers.cluster().set().is_empty());
}
