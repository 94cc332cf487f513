use std::{sync::atomic::Ordering, time::Duration};

use super::{SIX, large};
use crate::{
    change::{
        ChangeEnd, Step,
        testing::{Seen, World},
    },
    lab::cluster::Update,
    outcome::Refused,
};

/// Resuming the run that was left changes the cluster to its end.
#[track_caller]
fn is_resumed(world: &World) -> Seen {
    let mut seen = Seen::default();
    let ended = world.resume(false, &mut seen).unwrap_or_else(|error| panic!("{error:#} {:?}", seen.events));
    assert!(matches!(ended, ChangeEnd::Concluded(_)), "{ended:?} {:?}", seen.events);
    assert_eq!(world.step(), Step::Proven);
    // The same run continues.
    world.recorded();
    seen
}

#[track_caller]
fn is_refused(world: &World, undo: bool, reason: &str) {
    let mut seen = Seen::default();
    let error = world.resume(undo, &mut seen).unwrap_err();
    assert!(error.is::<Refused>() && format!("{error:#}").contains(reason), "{error:#}");
    assert!(seen.questions.is_empty());
}

#[test]
fn a_run_that_had_changed_nothing_begins_anew() {
    let world = World::new();
    world.left_at(large(), Step::Measuring);
    let seen = is_resumed(&world);
    assert!(seen.has("NothingChanged") && seen.has("Proposed") && world.is_written(large()));
    assert_eq!(world.broker_type(), "kafka.m5.large");
}

#[test]
fn a_run_that_has_put_its_files_back_begins_anew() {
    let world = World::new();
    world.left_at(large(), Step::PutBack);
    let seen = is_resumed(&world);
    assert!(seen.has("NothingChanged") && world.is_written(large()));
    assert_eq!(world.broker_type(), "kafka.m5.large");
}

#[test]
fn a_run_that_failed_is_resumed_once_the_reason_is_gone() {
    let world = World::new();
    let apply = world.read("stub/apply.sh");
    world.terraform_applies("exit 1");
    world.run(large(), &mut Seen::default()).unwrap_err();
    world.terraform_applies(&apply);
    is_resumed(&world);
    assert!(world.is_written(large()));
}

#[test]
fn a_run_that_was_killed_while_it_wrote_plans_and_applies() {
    let world = World::new();
    let edits = world.left_at(large(), Step::Writing);
    // It came as far as the first file.
    edits[1..].iter().for_each(|edit| world.write(edit.path.to_str().unwrap(), edit.before.as_ref().unwrap()));
    let seen = is_resumed(&world);
    assert!(seen.has("LeftAt") && !seen.has("Measuring { time: 20ms, warm_up: None"), "{:?}", seen.events);
    assert!(world.is_written(large()));
    assert_eq!(world.broker_type(), "kafka.m5.large");
}

#[test]
fn a_run_that_was_killed_while_terraform_applied_applies_what_is_left() {
    let world = World::new();
    world.left_at(large(), Step::Applying);
    is_resumed(&world);
    assert_eq!(world.calls(), ["plan", "show", "apply"]);
}

#[test]
fn a_run_whose_cluster_was_changed_is_not_applied_again() {
    let world = World::new();
    world.left_at(large(), Step::Applying);
    world.updated(Update::BrokerType("kafka.m5.large".parse().unwrap()));
    world.write("stub/applied", "");
    is_resumed(&world);
    assert_eq!(world.calls(), ["plan", "show"]);
}

#[test]
fn an_operation_that_still_runs_is_waited_for() {
    let world = World::new();
    world.left_at(large(), Step::Applying);
    world.is_held.store(true, Ordering::SeqCst);
    world.update(Update::BrokerType("kafka.m5.large".parse().unwrap()));
    world.write("stub/applied", "");
    let is_held = world.is_held.clone();
    let mut seen = Seen::default().doing("Began(AwaitingOperation)", move || is_held.store(false, Ordering::SeqCst));
    assert!(matches!(world.resume(false, &mut seen).unwrap(), ChangeEnd::Concluded(_)));
    assert_eq!(seen.events.iter().filter(|event| event.starts_with("Began(AwaitingOperation)")).count(), 1);
}

#[test]
fn an_operation_that_does_not_end_is_not_waited_for_for_ever() {
    let mut world = World::new();
    world.left_at(large(), Step::Applying);
    world.is_held.store(true, Ordering::SeqCst);
    world.update(Update::BrokerType("kafka.m5.large".parse().unwrap()));
    world.timing.operation_within = Duration::ZERO;
    let mut seen = Seen::default();
    let error = world.resume(false, &mut seen).unwrap_err();
    assert!(format!("{error:#}").contains("is still UPDATING after 0 h"), "{error:#}");
    assert!(seen.has("FilesStay") && world.is_written(large()) && world.calls().is_empty());
}

#[test]
fn a_run_whose_cluster_has_settled_is_only_measured() {
    let world = World::new();
    world.left_at(large(), Step::Settled);
    world.updated(Update::BrokerType("kafka.m5.large".parse().unwrap()));
    let seen = is_resumed(&world);
    assert!(world.calls().is_empty() && seen.has("Measuring { time: 20ms, warm_up: Some"));
}

#[test]
fn partitions_that_are_still_moved_are_waited_for_and_the_rest_is_moved() {
    let world = World::new();
    world.left_at(SIX, Step::Moving);
    world.updated(Update::BrokerCount(6));
    {
        let mut kafka = world.brokers.cluster();
        kafka.moving.insert(("orders".to_owned(), 0), vec![4, 2, 3]);
        let throttle = (4, "4".to_owned(), "follower.replication.throttled.rate".to_owned());
        kafka.settings.insert(throttle, "1000".to_owned());
    }
    let seen = is_resumed(&world);
    assert!(seen.has("StillMoving(1)"), "{:?}", seen.events);
    let kafka = world.brokers.cluster();
    assert!((1..=6).all(|id| kafka.partitions.values().filter(|placed| placed.replicas.contains(&id)).count() == 3));
    assert!(kafka.set().is_empty(), "{:?}", kafka.set());
    assert!(world.calls().is_empty());
}

#[test]
fn partitions_that_were_moved_are_not_moved_again() {
    let world = World::new();
    world.left_at(SIX, Step::Moved);
    world.updated(Update::BrokerCount(6));
    let seen = is_resumed(&world);
    assert!(!seen.has("Moving") && !seen.has("Balanced"), "{:?}", seen.events);
}

#[test]
fn what_has_come_to_its_end_is_not_resumed() {
    let world = World::new();
    world.left_at(large(), Step::Proven);
    is_refused(&world, false, "is complete");
}

#[test]
fn where_nothing_was_left_there_is_nothing_to_resume() {
    is_refused(&World::new(), false, "was interrupted or has failed");
}

#[test]
fn what_is_not_approved_stays_as_it_was_left() {
    let world = World::new();
    world.left_at(large(), Step::Writing);
    let mut seen = Seen::declining();
    assert!(matches!(world.resume(false, &mut seen).unwrap(), ChangeEnd::Declined));
    assert!(world.is_written(large()) && world.calls().is_empty());
    assert_eq!(world.step(), Step::Writing);
}

#[test]
fn undo_puts_the_files_back() {
    let world = World::new();
    world.left_at(large(), Step::Writing);
    let mut seen = Seen::default();
    assert!(matches!(world.resume(true, &mut seen).unwrap(), ChangeEnd::PutBack));
    assert!(world.is_as_before() && world.calls().is_empty());
    assert_eq!((world.step(), world.end().as_str()), (Step::PutBack, "done"));
    assert!(seen.questions[0].starts_with("PutBack"), "{:?}", seen.questions);
}

#[test]
fn undo_that_is_not_approved_changes_nothing() {
    let world = World::new();
    world.left_at(large(), Step::Writing);
    assert!(matches!(world.resume(true, &mut Seen::declining()).unwrap(), ChangeEnd::Declined));
    assert!(world.is_written(large()));
}

#[test]
fn undo_is_refused_once_the_cluster_has_begun_to_change() {
    let world = World::new();
    world.left_at(large(), Step::Applying);
    world.is_held.store(true, Ordering::SeqCst);
    world.update(Update::BrokerType("kafka.m5.large".parse().unwrap()));
    is_refused(&world, true, "has begun to change, so the files must match");
    assert!(world.is_written(large()));
}

#[test]
fn undo_is_refused_when_the_cluster_is_changed() {
    let world = World::new();
    world.left_at(large(), Step::Applying);
    world.updated(Update::BrokerType("kafka.m5.large".parse().unwrap()));
    is_refused(&world, true, "has begun to change");
}

#[test]
fn a_file_that_was_changed_since_is_not_overwritten() {
    let world = World::new();
    world.left_at(large(), Step::Writing);
    world.write("terraform/msk.tf", "# mine\n");
    is_refused(&world, false, "msk.tf has been changed since and was left alone");
    is_refused(&world, true, "msk.tf has been changed since and was left alone");
}

#[test]
fn the_project_is_locked_while_a_run_is_resumed() {
    let world = World::new();
    world.left_at(large(), Step::Writing);
    let lock = world.project().lock().unwrap();
    is_refused(&world, false, "another kgen");
    drop(lock);
    is_resumed(&world);
}
