//! What goes wrong while terraform is driven, with the real terraform: what happened, and what to do about it.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use serde_json::Value;

use crate::{
    awaited::await_until,
    lab::{Lab, STATE},
    project::{Project, Ran, kgen},
};

/// A resource that is made when somebody writes the file `go`.
const SLOW: &str = r#"
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "touch started; i=0; while [ $i -lt 300 ] && [ ! -e go ]; do sleep 0.1; i=$((i+1)); done"
  }
}
"#;

/// kgen on `project` with the terraform of this machine.
fn run(project: &Project, args: &[&str]) -> Ran {
    kgen(&project.path("")).args(args).env("KGEN_TERRAFORM_BIN", "terraform").output().unwrap().into()
}

fn terraform(project: &Project, args: &[&str]) -> Command {
    let mut command = Command::new("terraform");
    command.arg(format!("-chdir={}", project.path("terraform").display())).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[track_caller]
fn ensure_says(ran: &Ran, code: i32, parts: &[&str]) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

/// Somebody's own terraform, at work with the state locked until the file `go` is there.
fn somebody(project: &Project) -> Child {
    let child = terraform(project, &["apply", "-auto-approve", "-input=false"]).spawn().unwrap();
    let is_started = || project.path("terraform/started").exists();
    await_until("terraform comes to its provisioner", Duration::from_secs(60), is_started);
    child
}

#[test]
#[ignore = "needs terraform"]
fn a_held_lock_is_waited_for_and_then_explained() {
    let project = Project::with_terraform(SLOW);
    let mut holder = somebody(&project);
    let refused = run(&project, &["plan", "--lock-timeout", "500ms"]);
    let lock = project.read("terraform/.terraform.tfstate.lock.info");
    let id = serde_json::from_str::<Value>(&lock).unwrap()["ID"].as_str().unwrap().to_owned();
    let advice = format!("terraform force-unlock {id}");
    ensure_says(&refused, 1, &["Error acquiring the state lock", "Who:", "wait until it has ended", &advice]);

    let waiting = kgen(&project.path(""))
        .args(["plan", "--lock-timeout", "60s"])
        .env("KGEN_TERRAFORM_BIN", "terraform")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    sleep(Duration::from_millis(500));
    project.write("terraform/go", "");
    assert!(holder.wait().unwrap().success());
    ensure_says(&waiting.wait_with_output().unwrap().into(), 0, &["nothing to change"]);
}

#[test]
#[ignore = "needs terraform"]
fn a_plan_that_went_stale_is_not_applied_and_a_new_one_is() {
    let project = Project::with_terraform("resource \"terraform_data\" \"one\" {}\n");
    // Somebody applies between kgen's plan and its apply.
    project.write(
        "stub/terraform",
        "#!/bin/sh\n[ \"$1\" != apply ] || [ -e ../once ] || { touch ../once; terraform apply -auto-approve -input=false >/dev/null; }\n\
         exec terraform \"$@\"\n",
    );
    fs::set_permissions(project.path("stub/terraform"), fs::Permissions::from_mode(0o755)).unwrap();
    let stale = project.run(&["apply", "--yes"]);
    ensure_says(&stale, 1, &["Saved plan is stale", "nothing was changed: run the command again to create a new plan"]);
    ensure_says(&project.run(&["apply", "--yes"]), 0, &["nothing to change"]);
}

#[test]
#[ignore = "needs terraform"]
fn a_tainted_resource_is_explained_and_kept_by_what_is_advised() {
    let project = Project::with_terraform("resource \"terraform_data\" \"one\" {}\n");
    ensure_says(&run(&project, &["apply", "--yes"]), 0, &["terraform_data.one: created after"]);
    assert!(terraform(&project, &["taint", "terraform_data.one"]).status().unwrap().success());
    let advice = "terraform untaint 'terraform_data.one'";
    ensure_says(&run(&project, &["plan", "--detailed-exitcode"]), 2, &["destroyed and recreated", "tainted", advice]);
    let advised = Command::new("sh").args(["-c", advice]).current_dir(project.path("terraform")).output().unwrap();
    assert!(advised.status.success());
    ensure_says(&run(&project, &["plan", "--detailed-exitcode"]), 0, &["nothing to change"]);
}

/// Runs `kgen apply`, and `act` as soon as it has come to say `when`; `$kgen` is its process. The log of the apply before is not
/// taken for its own.
#[track_caller]
fn apply_until(lab: &Lab, when: &str, act: &str) -> String {
    lab.sh(&format!(
        "rm -f apply.log; touch apply.log\n\
         env --default-signal=HUP,INT,TERM kgen apply --yes --json > apply.json 2> apply.log & kgen=$!\n\
         until grep -q '{when}' apply.log; do kill -0 $kgen || {{ cat apply.log >&2; exit 1; }}; sleep 0.1; done\n\
         {act}\ncode=0; wait $kgen || code=$?; echo code $code"
    ))
}

#[track_caller]
fn ensure_unlocked(lab: &Lab) {
    lab.sh("[ ! -e terraform/.terraform.tfstate.lock.info ]");
}

#[test]
#[ignore = "runs terraform and three Kafka brokers"]
fn interrupts_in_the_lab_lose_nothing() {
    let lab = Lab::up();
    let creating = "aws_msk_cluster.main: creating";
    // An interrupt of the very call that creates the cluster is the provider's to get right; after it, all is in the state.
    let created = "for _ in $(seq 300); do [ \"$(aws kafka list-clusters --query 'length(ClusterInfoList)')\" = 0 ] || break; \
                   sleep 0.1; done; sleep 0.5";

    // Interrupted while the cluster is created: it is in the state, tainted, and what is advised keeps it.
    lab.sh("kgen render");
    for (act, undo) in [
        ("kill -INT $kgen", "kgen destroy --yes"),
        ("for signal in INT TERM INT HUP INT; do kill -$signal $kgen || true; sleep 0.1; done", "true"),
    ] {
        let ended = apply_until(&lab, creating, &format!("{created}; {act}"));
        assert!(ended.contains("code 130"), "{act}: {ended}{}", lab.sh("cat apply.log"));
        ensure_unlocked(&lab);
        let state = lab.sh("terraform -chdir=terraform state list");
        assert!(state.contains("aws_msk_cluster.main\n"), "{act}: {state}");
        lab.sh(undo);
    }
    let plan = lab.sh("kgen plan");
    let advice = "terraform untaint 'aws_msk_cluster.main'";
    assert!(plan.contains("tainted") && plan.contains(advice), "{plan}");
    lab.sh(&format!("cd terraform && {advice}"));
    lab.await_output(STATE, "ACTIVE", 120);
    lab.sh("kgen apply --yes && kgen plan --detailed-exitcode");

    // What others changed is shown.
    lab.sh("aws logs put-retention-policy --log-group-name /aws/msk/kgen-demo --retention-in-days 1");
    let drifted = lab.sh("kgen plan");
    for part in ["aws_cloudwatch_log_group.broker was changed outside of Terraform", "retention_in_days: 7 → 1"] {
        assert!(drifted.contains(part), "{drifted}");
    }
    lab.sh("kgen apply --yes && kgen destroy --yes");
    lab.down();
}

#[test]
#[ignore = "runs terraform and six Kafka brokers"]
fn a_rolling_update_is_shown_broker_by_broker_and_ends_without_kgen() {
    let lab = Lab::up();
    lab.sh("kgen render && kgen apply --yes");
    lab.sh("printf '[cluster]\\nbroker_type = \"kafka.m5.large\"\\n' > kgen.toml && kgen render");
    let resized = lab.json("kgen apply --yes --json 2> apply.log");
    let log = lab.sh("cat apply.log");
    let brokers: Vec<u64> = resized["steps"].as_array().unwrap().iter().filter_map(|s| s["broker"].as_u64()).collect();
    assert_eq!(brokers, [1, 2, 3], "{resized:#}\n{log}");
    for broker in 1..=3 {
        for part in ["updating", "updated after"] {
            let line = format!("aws_msk_cluster.main: broker {broker} of 3: {part}");
            assert!(log.contains(&line), "no {line} in {log}");
        }
    }

    // kgen is killed in the middle of the next one: terraform goes on, and the next kgen waits for it.
    lab.sh("printf '[cluster]\\nbroker_type = \"kafka.m5.xlarge\"\\n' > kgen.toml && kgen render");
    let ended = apply_until(&lab, "broker 1 of 3: updating", "kill -KILL $kgen");
    assert!(ended.contains("code 137"), "{ended}");
    let next = lab.sh("kgen apply --yes 2>&1");
    assert!(next.contains("waiting for it") && next.contains("nothing to change"), "{next}");
    ensure_unlocked(&lab);
    lab.sh("kgen plan --detailed-exitcode");
    let brokers = "aws kafka list-clusters --query 'ClusterInfoList[0].BrokerNodeGroupInfo.InstanceType' --output text";
    assert_eq!(lab.sh(brokers).trim(), "kafka.m5.xlarge");
    ensure_scaled_out_under_load(&lab);
    lab.sh("kgen destroy --yes");
    lab.down();
}

/// Three more brokers get their share of what is led, and no record is lost on the way.
fn ensure_scaled_out_under_load(lab: &Lab) {
    lab.sh("kgen topic create --partitions 12 --replication-factor 3");
    let load = lab.spawn("kgen produce --rate 200 --record-size 500 --idempotent --duration 1h --json", "load");
    let scaled = lab.json("kgen scale-out 6 --yes --measure 20s --throttle 5 --json");
    assert_eq!((&scaled["from"], &scaled["to"]), (&Value::from(3), &Value::from(6)), "{scaled:#}");
    // On a machine that is taken by others nothing can be said of the brokers.
    assert_ne!(scaled["verdict"], "cause_found", "{scaled:#}");
    let described = lab.json("kgen topic describe --json");
    let leaders =
        described["partitions"].as_array().unwrap().iter().filter_map(|partition| partition["leader"].as_i64());
    assert_eq!(leaders.collect::<BTreeSet<_>>(), (1..=6).collect(), "{described:#}");
    lab.sh("kgen plan --detailed-exitcode");
    lab.ensure_nothing_lost(load, "load");
}
