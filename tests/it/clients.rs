//! A load from the client instances of a lab. The brokers are librdkafka's mock ones, in this process, and keep 5 MB a partition; the
//! lab has none.

use rdkafka::mocking::MockCluster;
use serde_json::Value;

use crate::{awaited::await_until, lab::Lab};

/// Ten instances with a profile, made one by one as Terraform does, and a bucket. Of several in one call, moto gives the profile to
/// the first.
const INSTANCES: &str = r#"
python3 - <<'END'
import boto3, json
iam, ec2, s3 = (boto3.client(service, region_name="us-west-2") for service in ("iam", "ec2", "s3"))
trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
trust = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
iam.create_role(RoleName="client", AssumeRolePolicyDocument=trust)
iam.create_instance_profile(InstanceProfileName="client")
iam.add_role_to_instance_profile(InstanceProfileName="client", RoleName="client")
image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "client"}]}]
for _ in range(10):
    ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "client"}, TagSpecifications=tags
    )
s3.create_bucket(Bucket="results", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
END
"#;

const PRODUCE: &str =
    "kgen produce --on clients --client-tag role=client --results-bucket results --topic t --record-size 200";

/// Processes of the lab's instances that still send.
fn producers() -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let line = |path: std::path::PathBuf| std::fs::read(path.join("cmdline")).unwrap_or_default();
    processes.filter(|process| String::from_utf8_lossy(&line(process.path())).contains("\0--part\0")).count()
}

/// The result of a load, and its exit code.
fn produced(lab: &Lab, brokers: &str, rest: &str) -> (Value, Option<i32>) {
    let output = lab.try_sh(&format!("{PRODUCE} --bootstrap-servers {brokers} {rest} --json"));
    let text = String::from_utf8_lossy(&output.stdout);
    let merged = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (merged, output.status.code())
}

#[test]
#[ignore = "starts a lab without brokers, with moto"]
fn ten_client_instances_send_one_load() {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("t", 6, 2).unwrap();
    let brokers = cluster.bootstrap_servers();
    let lab = Lab::with_options("--without-brokers");
    lab.sh(INSTANCES);

    // The AWS CLI and boto3 as foreign clients.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/ssm.py");
    print!("{}", lab.sh(&format!("python3 {script} $AWS_ENDPOINT_URL")));
    let sent = lab.sh(
        "id=$(aws ssm send-command --document-name AWS-RunShellScript --targets Key=tag:role,Values=client \
         --parameters 'commands=[\"kgen --version\"]' --query Command.CommandId --output text)
         one=$(aws ec2 describe-instances --query 'Reservations[0].Instances[0].InstanceId' --output text)
         for _ in $(seq 100); do
           state=$(aws ssm get-command-invocation --command-id $id --instance-id $one --query Status --output text)
           [ $state = Success ] && break; sleep 0.2
         done
         aws ssm get-command-invocation --command-id $id --instance-id $one --query StandardOutputContent --output text",
    );
    assert!(sent.contains("kgen "), "{sent}");

    let (merged, code) = produced(&lab, &brokers, "--rate 5000 --duration 5 --start-in 8");
    println!("{} {} {}", merged["standing"], merged["start_spread_ms"], merged["rate_offered"]);
    assert_eq!(
        (&merged["offered"], &merged["acknowledged"], &merged["reported"]),
        (&25_000.into(), &25_000.into(), &10.into()),
        "{merged}"
    );
    // A machine that is busy with other tests may be late, and is then named.
    assert_eq!(code, Some(if merged["standing"] == "whole" { 0 } else { 4 }), "{merged}");
    let run = merged["run"].as_str().unwrap();
    let verify = format!("kgen consume --verify {run} --topic t --bootstrap-servers {brokers} --json");
    let found: Value = serde_json::from_str(&lab.sh(&verify)).unwrap();
    assert_eq!(
        (&found["whole"], &found["acknowledged"], &found["read"], &found["ledger_complete"]),
        (&true.into(), &25_000.into(), &25_000.into(), &true.into()),
        "{found}"
    );

    // One instance is terminated under way: it is named, the others count, and nothing stays.
    let instances = lab.sh("aws ec2 describe-instances --query 'Reservations[].Instances[].InstanceId' --output text");
    let gone = instances.split_whitespace().nth(3).unwrap().to_owned();
    let (merged, code) = std::thread::scope(|scope| {
        let running =
            scope.spawn(|| produced(&lab, &brokers, "--rate 1000 --duration 8 --start-in 4 --flush-within 1"));
        await_until("all instances send", std::time::Duration::from_secs(120), || producers() >= 10);
        lab.sh(&format!("aws ec2 terminate-instances --instance-ids {gone}"));
        running.join().unwrap()
    });
    let faulty: Vec<&Value> =
        merged["machines"].as_array().unwrap().iter().filter(|one| one["offered"].is_null()).collect();
    assert_eq!((faulty.len(), &faulty[0]["machine"], code), (1, &gone.as_str().into(), Some(4)), "{merged}");
    assert_eq!((&merged["reported"], &merged["offered"]), (&9.into(), &7_200.into()), "{merged}");
    await_until("nothing is left", std::time::Duration::from_secs(30), || producers() == 0);
}
