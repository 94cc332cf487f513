use serde_json::{Value, json};

use super::large;
use crate::{
    change::{
        ChangeEnd, Request, Step,
        testing::{Seen, World},
    },
    lab::cluster::{ClusterState, Update},
    outcome::Refused,
};

/// A resize is refused with this reason, and nothing has been asked, run or recorded.
#[track_caller]
fn is_refused(world: &World, reason: &str) {
    let mut seen = Seen::default();
    let error = world.run(large(), &mut seen).unwrap_err();
    assert!(error.is::<Refused>() && format!("{error:#}").contains(reason), "{error:#}");
    assert_eq!((seen.questions.len(), world.calls().len(), world.has_record()), (0, 0, false));
}

/// A resize fails with this reason, and the files and the cluster are as they were before.
#[track_caller]
fn is_rolled_back(world: &World, reason: &str) {
    let mut seen = Seen::default();
    let error = world.run(large(), &mut seen).unwrap_err();
    assert!(format!("{error:#}").contains(reason), "{error:#}");
    assert!(world.is_as_before() && seen.has("FilesPutBack"), "{:?}", seen.events);
    assert_eq!((world.step(), world.end().as_str()), (Step::PutBack, "failed"));
    assert_eq!(world.broker_type(), "kafka.t3.small");
    assert!(seen.has("Left { run: \"resize-"), "{:?}", seen.events);
}

#[test]
fn a_resize_changes_the_files_and_the_cluster_and_is_measured() {
    let world = World::new();
    let mut seen = Seen::default();
    let ChangeEnd::Concluded(concluded) = world.run(large(), &mut seen).unwrap() else { panic!("{:?}", seen.events) };
    assert!(world.is_written(large()));
    assert_eq!(world.broker_type(), "kafka.m5.large");
    assert_eq!(concluded.was.broker_type.as_deref(), Some("kafka.t3.small"));
    assert_eq!(concluded.is.broker_type.as_deref(), Some("kafka.m5.large"));
    assert_eq!((world.step(), world.calls()), (Step::Proven, ["plan", "show", "apply"].map(str::to_owned).to_vec()));
    assert_eq!(seen.questions.len(), 1);
    // What is recorded before anything is touched is enough to continue.
    let names: Vec<String> = world.recorded().entries.iter().map(|entry| format!("{:?}", entry.event)).collect();
    let at =
        |text: &str| names.iter().position(|name| name.contains(text)).unwrap_or_else(|| panic!("{text}: {names:#?}"));
    assert!(at("intent") < at("measuring") && at("edits") < at("writing") && at("writing") < at("applying"));
    assert!(at("applying") < at("settled") && at("settled") < at("conclusion"));
}

#[test]
fn a_dry_run_proposes_and_touches_nothing() {
    let world = World::new();
    let mut seen = Seen::default();
    let request = Request { dry_run: true, ..world.request(large()) };
    let ended = crate::change::run(&request, &world.site(), &mut seen).unwrap();
    let ChangeEnd::Proposed(proposal) = ended else { panic!("{ended:?}") };
    let files: Vec<String> = proposal.files.iter().map(|file| file.diff.clone()).collect();
    assert!(files.iter().any(|diff| diff.contains("+broker_type = \"kafka.m5.large\"")), "{files:?}");
    assert!(proposal.remedy.summary.contains("kafka.m5.large"), "{}", proposal.remedy.summary);
    assert!(world.is_as_before() && !world.has_record() && world.calls().is_empty() && seen.questions.is_empty());
}

#[test]
fn what_is_not_approved_is_not_begun() {
    let world = World::new();
    let mut seen = Seen::declining();
    assert!(matches!(world.run(large(), &mut seen).unwrap(), ChangeEnd::Declined));
    // It was shown before it was asked.
    assert!(seen.has("Proposed") && seen.questions.len() == 1);
    assert!(world.is_as_before() && !world.has_record() && world.calls().is_empty());
}

#[test]
fn a_plan_that_fails_puts_the_files_back() {
    let world = World::new();
    let error =
        json!({"type": "diagnostic", "diagnostic": {"severity": "error", "summary": "no such module", "detail": ""}});
    world.write("stub/plan.sh", &format!("echo '{error}'; exit 1"));
    is_rolled_back(&world, "no such module");
}

#[test]
fn a_plan_that_would_replace_the_cluster_is_not_applied() {
    let world = World::new();
    let mut replaced = world.planned("kafka.m5.large", 3);
    replaced["change"]["actions"] = json!(["delete", "create"]);
    world.terraform_plans(&[replaced]);
    is_rolled_back(&world, "would not update aws_msk_cluster.main in place");
    assert_eq!(world.calls(), ["plan", "show"]);
}

#[test]
fn a_plan_that_would_destroy_the_cluster_is_not_applied() {
    let world = World::new();
    let mut destroyed = world.planned("kafka.m5.large", 3);
    destroyed["change"]["actions"] = json!(["delete"]);
    destroyed["change"]["after"] = Value::Null;
    world.terraform_plans(&[destroyed]);
    is_rolled_back(&world, "would not update");
    assert_eq!(world.calls(), ["plan", "show"]);
}

#[test]
fn a_plan_that_changes_something_else_as_well_is_not_applied() {
    let world = World::new();
    let other =
        json!({"address": "aws_vpc.main", "mode": "managed", "type": "aws_vpc", "change": {"actions": ["update"]}});
    world.terraform_plans(&[world.planned("kafka.m5.large", 3), other]);
    is_rolled_back(&world, "would also change aws_vpc.main");
    assert_eq!(world.calls(), ["plan", "show"]);
}

#[test]
fn a_plan_to_another_type_than_approved_is_not_applied() {
    let world = World::new();
    world.terraform_plans(&[world.planned("kafka.m5.24xlarge", 3)]);
    is_rolled_back(&world, "what was approved is kafka.m5.large");
    assert_eq!(world.calls(), ["plan", "show"]);
}

#[test]
fn a_plan_for_another_cluster_is_not_applied() {
    let world = World::new();
    let mut other = world.planned("kafka.m5.large", 3);
    for side in ["before", "after"] {
        other["change"][side]["arn"] = "arn:aws:kafka:us-west-2:1:cluster/other/2".into();
    }
    world.terraform_plans(&[other]);
    is_rolled_back(&world, "the plan updates arn:aws:kafka:us-west-2:1:cluster/other/2");
    assert_eq!(world.calls(), ["plan", "show"]);
}

#[test]
fn a_plan_that_leaves_the_cluster_as_it_is_is_not_applied() {
    let world = World::new();
    world.terraform_plans(&[]);
    is_rolled_back(&world, "there is nothing to update");
    assert_eq!(world.calls(), ["plan", "show"]);
}

#[test]
fn an_apply_that_fails_before_the_cluster_changes_puts_the_files_back() {
    let world = World::new();
    let error =
        json!({"type": "diagnostic", "diagnostic": {"severity": "error", "summary": "AccessDenied", "detail": ""}});
    world.terraform_applies(&format!("echo '{error}'; exit 1"));
    is_rolled_back(&world, "AccessDenied");
    assert_eq!(world.calls(), ["plan", "show", "apply"]);
}

#[test]
fn a_version_that_has_changed_since_the_plan_puts_the_files_back() {
    let world = World::new();
    // Terraform has read the version before someone reboots a broker.
    world.updated(Update::Reboot(vec![1]));
    is_rolled_back(&world, "BadRequestException");
}

#[test]
fn an_apply_that_fails_after_the_cluster_has_begun_to_change_leaves_the_files() {
    let world = World::new();
    world.is_held.store(true, std::sync::atomic::Ordering::SeqCst);
    let change = world.call("type", &json!({"targetInstanceType": "kafka.m5.large"}));
    world.terraform_applies(&format!("{change}\nexit 1"));
    let mut seen = Seen::default();
    let error = world.run(large(), &mut seen).unwrap_err();
    assert!(format!("{error:#}").contains("applying the resize"), "{error:#}");
    assert!(world.is_written(large()) && seen.has("FilesStay"), "{:?}", seen.events);
    assert_eq!((world.step(), world.cluster().state), (Step::Applying, ClusterState::Updating));
}

#[test]
fn a_file_that_somebody_changes_meanwhile_is_not_put_back() {
    let world = World::new();
    world.terraform_applies("echo '# mine' >> ../kgen.toml; exit 1");
    let mut seen = Seen::default();
    let error = world.run(large(), &mut seen).unwrap_err();
    assert!(format!("{error:#}").contains("kgen.toml: it was changed by something else"), "{error:#}");
    assert!(world.read("kgen.toml").ends_with("# mine\n"));
    // All others are.
    assert!(world.read("terraform/msk.tf").contains("kafka.t3.small"));
}

#[test]
fn an_interrupt_while_measuring_touches_nothing() {
    let world = World::new();
    let mut seen = Seen::interrupting_at("Measuring");
    assert!(matches!(world.run(large(), &mut seen).unwrap(), ChangeEnd::Interrupted));
    assert!(world.is_as_before() && world.calls().is_empty());
    assert_eq!((world.step(), world.end().as_str()), (Step::Measuring, "interrupted"));
    assert!(seen.has("Left { run: \"resize-") && seen.events.last().unwrap().contains("is_interrupted: true"));
}

#[test]
fn an_interrupt_after_the_apply_leaves_the_change_to_be_resumed() {
    let world = World::new();
    // Terraform comes back before the cluster is done.
    world.is_held.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut seen = Seen::interrupting_at("Began(AwaitingSync)");
    assert!(matches!(world.run(large(), &mut seen).unwrap(), ChangeEnd::Interrupted));
    assert!(world.is_written(large()));
    assert_eq!((world.step(), world.end().as_str()), (Step::Applying, "interrupted"));
}

#[test]
fn a_cluster_that_does_not_become_what_was_applied_is_an_error() {
    let mut world = World::new();
    world.timing.settle_within = std::time::Duration::ZERO;
    world.terraform_applies("touch ../stub/applied");
    let error = world.run(large(), &mut Seen::default()).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("the resize was applied, but after 0 s the cluster is ACTIVE with 3 brokers of kafka.t3.small"),
        "{text}"
    );
    // Terraform says that it was applied, so the files say so too.
    assert!(world.is_written(large()));
    assert_eq!(world.step(), Step::Applying);
}

#[test]
fn a_replica_that_does_not_come_back_is_an_error() {
    let mut world = World::new();
    world.timing.settle_within = std::time::Duration::ZERO;
    let kafka = world.brokers.shared();
    let mut seen = Seen::default().doing("Began(AwaitingSync)", move || kafka.lock().unwrap().fall_behind(2));
    let error = world.run(large(), &mut seen).unwrap_err();
    assert!(format!("{error:#}").contains("the resize was applied, but after 0 s"), "{error:#}");
}

#[test]
fn a_cluster_that_is_not_active_is_not_changed() {
    let world = World::new();
    world.is_held.store(true, std::sync::atomic::Ordering::SeqCst);
    world.update(Update::Reboot(vec![1]));
    is_refused(
        &world,
        "REBOOTING_BROKER: MSK changes brokers only while the cluster is ACTIVE with no operation running",
    );
}

#[test]
fn a_cluster_with_a_replica_out_of_sync_is_not_changed() {
    let world = World::new();
    world.brokers.cluster().fall_behind(2);
    is_refused(&world, "6 partitions of");
}

#[test]
fn a_cluster_with_a_partition_without_a_leader_is_not_changed() {
    let world = World::new();
    world.brokers.cluster().partitions.values_mut().next().unwrap().leader = None;
    is_refused(&world, "1 are offline");
}

#[test]
fn a_cluster_with_too_many_partitions_is_not_changed() {
    let world = World::new();
    let most = "kafka.m5.large".parse::<crate::catalogue::BrokerType>().unwrap().partitions_max_for_updates;
    world.brokers.cluster().create("many", most as i32, &[1, 2, 3]);
    is_refused(&world, "are more than the");
}

#[test]
fn a_type_that_the_brokers_have_already_is_refused() {
    let world = World::new();
    let small = crate::change::Change::BrokerType(crate::catalogue::BrokerType::T3_SMALL);
    let error = world.run(small, &mut Seen::default()).unwrap_err();
    assert!(error.is::<Refused>() && error.to_string().contains("already are kafka.t3.small"), "{error:#}");
}

#[test]
fn terraform_that_is_not_what_kgen_toml_renders_is_refused() {
    let world = World::new();
    world.write("terraform/msk.tf", &world.read("terraform/msk.tf").replace("kafka.t3.small", "kafka.m7g.large"));
    is_refused(&world, "differs from what kgen.toml renders");
}

#[test]
fn a_project_that_another_kgen_works_in_is_refused() {
    let world = World::new();
    let lock = world.project().lock().unwrap();
    is_refused(&world, "another kgen");
    drop(lock);
    world.run(large(), &mut Seen::default()).unwrap();
}

#[test]
fn a_cluster_that_was_changed_by_other_means_is_measured_all_the_same() {
    let world = World::new();
    world.updated(Update::BrokerType("kafka.m5.large".parse().unwrap()));
    world.write("stub/applied", "");
    let mut seen = Seen::default();
    assert!(matches!(world.run(large(), &mut seen).unwrap(), ChangeEnd::Concluded(_)), "{:?}", seen.events);
    assert!(world.is_written(large()));
    assert_eq!(world.calls(), ["plan", "show"]);
}
