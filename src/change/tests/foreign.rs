use serde_json::{Value, json};

use crate::{
    change::{
        Site, Step,
        foreign::{self, ForeignEnd, Request},
        testing::{Seen, World},
    },
    outcome::Refused,
    run::Run,
};

/// Terraform that kgen did not write, of the cluster in `world`.
fn world(broker_type: &str) -> World {
    let world = World::new();
    let (name, region) = {
        let project = world.project();
        (project.stack().cluster().name.clone(), project.stack().region().to_owned())
    };
    std::fs::create_dir_all(world.dir().join("infra/.terraform")).unwrap();
    world.write("infra/.terraform.lock.hcl", "");
    world.write(
        "infra/main.tf",
        &format!(
            "provider \"aws\" {{\n  region = \"{region}\"\n}}\n\nresource \"aws_msk_cluster\" \"main\" {{\n  \
             cluster_name           = \"{name}\"\n  kafka_version          = \"3.9.x\"\n  number_of_broker_nodes = 3\n  \
             broker_node_group_info {{\n    instance_type = \"{broker_type}\"\n    client_subnets = [\"a\", \"b\", \"c\"]\n  }}\n}}\n"
        ),
    );
    let mut planned = world.planned("kafka.m5.large", 3);
    for side in ["before", "after"] {
        planned["change"][side]["cluster_name"] = name.clone().into();
    }
    world.terraform_plans(&[planned]);
    world
}

fn request(world: &World, apply: bool) -> Request {
    Request {
        dir: world.dir().join("infra"),
        cluster: None,
        var_files: Vec::new(),
        variables: Vec::new(),
        all: false,
        apply,
        dry_run: false,
        to: "kafka.m5.large".parse().unwrap(),
        measure: std::time::Duration::from_millis(20),
    }
}

fn run(world: &World, request: &Request, seen: &mut Seen) -> anyhow::Result<ForeignEnd> {
    let site: Site = world.site();
    foreign::run(request, &site, seen)
}

fn has(world: &World, broker_type: &str) -> bool {
    world.read("infra/main.tf").contains(&format!("instance_type = \"{broker_type}\""))
}

#[test]
fn an_edit_without_apply_stops_before_terraform() {
    let world = world("kafka.t3.small");
    let mut seen = Seen::default();
    let ForeignEnd::Edited(edited) = run(&world, &request(&world, false), &mut seen).unwrap() else { panic!() };
    assert!(edited.written && has(&world, "kafka.m5.large") && world.calls().is_empty());
    assert!(edited.next.contains("terraform -chdir="), "{}", edited.next);
    assert!(seen.has("Located") && seen.has("Edited") && seen.questions.is_empty());
}

#[test]
fn an_apply_is_planned_guarded_applied_and_measured() {
    let world = world("kafka.t3.small");
    let mut seen = Seen::default();
    let ended = run(&world, &request(&world, true), &mut seen);
    let ended = ended.unwrap_or_else(|error| panic!("{error:#} {:?}", seen.events));
    let ForeignEnd::Concluded(concluded) = ended else { panic!("{ended:?}") };
    assert_eq!(concluded.was.broker_type.as_deref(), Some("kafka.t3.small"));
    assert_eq!((world.broker_type().as_str(), world.calls().len()), ("kafka.m5.large", 3));
    assert!(has(&world, "kafka.m5.large"));
    let run: Run = world.recorded();
    let steps: Vec<&Value> = run
        .entries
        .iter()
        .filter_map(|entry| match &entry.event {
            crate::run::Event::Result(named) if named.name == "step" => Some(&named.value),
            _ => None,
        })
        .collect();
    let expected = [Step::Applying, Step::Settled, Step::Proven].map(|step| serde_json::to_value(step).unwrap());
    assert_eq!(steps, expected.iter().collect::<Vec<_>>());
}

#[test]
fn an_apply_that_is_not_approved_undoes_the_edit() {
    let world = world("kafka.t3.small");
    let mut seen = Seen::declining();
    assert!(matches!(run(&world, &request(&world, true), &mut seen).unwrap(), ForeignEnd::Declined));
    assert!(has(&world, "kafka.t3.small") && seen.has("Undone"), "{:?}", seen.events);
    assert_eq!(world.calls(), ["plan", "show"]);
}

#[test]
fn a_plan_that_would_do_more_undoes_the_edit() {
    let world = world("kafka.t3.small");
    let other =
        json!({"address": "aws_vpc.main", "mode": "managed", "type": "aws_vpc", "change": {"actions": ["delete"]}});
    world.terraform_plans(&[world.planned("kafka.m5.large", 3), other]);
    let error = run(&world, &request(&world, true), &mut Seen::default()).unwrap_err();
    assert!(format!("{error:#}").contains("would also change aws_vpc.main"), "{error:#}");
    assert!(has(&world, "kafka.t3.small"));
    assert_eq!(world.broker_type(), "kafka.t3.small");
}

#[test]
fn an_apply_that_fails_leaves_the_edit() {
    let world = world("kafka.t3.small");
    world.terraform_applies("exit 1");
    let error = run(&world, &request(&world, true), &mut Seen::default()).unwrap_err();
    assert!(format!("{error:#}").contains("exit code 1"), "{error:#}");
    assert!(has(&world, "kafka.m5.large"));
}

#[test]
fn a_type_that_cannot_be_judged_is_not_edited() {
    let world = world("kafka.m9.large");
    let mut seen = Seen::default();
    let error = run(&world, &request(&world, false), &mut seen).unwrap_err();
    let is_named = error.to_string().contains("\"kafka.m9.large\", which this version of kgen does not support");
    assert!(error.is::<Refused>() && is_named, "{error:#}");
    assert!(has(&world, "kafka.m9.large") && world.calls().is_empty() && !seen.has("Edited"));
}
