//! The quick start of the original demo in its five steps: apply, connect, find the brokers, create a topic, send load. The last
//! three are typed on the lab's client instance.

use crate::lab::Lab;

/// Step 3, with the name of the stack's cluster.
const BROKERS: &str = "\
export BOOTSTRAP=$(aws kafka get-bootstrap-brokers \\
  --cluster-arn $(aws kafka list-clusters --query 'ClusterInfoList[?ClusterName==`kgen-demo`].ClusterArn' --output text) \\
  --query 'BootstrapBrokerString' --output text)

echo \"Bootstrap servers: $BOOTSTRAP\"
";

/// Steps 3 to 5. The load is shorter than the ten minutes of the demo, and may be late on a busy machine (exit code 4).
fn steps(topic: &str) -> String {
    format!(
        "{BROKERS}
/opt/kafka/bin/kafka-topics.sh --create \\
  --topic {topic} \\
  --partitions 6 \\
  --replication-factor 2 \\
  --bootstrap-server $BOOTSTRAP

python3 /home/ec2-user/scripts/hotspot_producer.py \\
  --bootstrap-servers $BOOTSTRAP \\
  --topic {topic} \\
  --rate 500 \\
  --duration 3 || [ $? = 4 ]
"
    )
}

#[track_caller]
fn ensure_done(printed: &str, brokers: &str, topic: &str) {
    assert!(printed.contains(&format!("Bootstrap servers: {brokers}\n")), "{printed}");
    assert!(printed.contains(&format!("Created topic {topic}.")), "{printed}");
    let row = |name: &str| printed.lines().find_map(|line| Some(line.trim().strip_prefix(name)?.trim().to_owned()));
    assert_eq!((row("acknowledged").as_deref(), row("failed").as_deref()), (Some("1500"), Some("0")), "{printed}");
}

/// Types the steps in a shell that `kgen connect` opens, and sends them through Run Command; the topics are `by_shell` and
/// `by_command`. The stack is applied.
#[track_caller]
pub fn works_on_the_client(lab: &Lab, brokers: &str, by_shell: &str, by_command: &str) {
    let of_this_machine = ["/opt/kafka", "/home/ec2-user/scripts"].map(|path| std::path::Path::new(path).exists());
    std::fs::write(lab.path().join("steps.sh"), steps(by_shell)).unwrap();
    ensure_done(&lab.sh("kgen connect <steps.sh"), brokers, by_shell);
    // The exit code is the shell's.
    assert_eq!(lab.try_sh("kgen connect <<<'exit 7'").status.code(), Some(7));

    let parameters = serde_json::json!({ "commands": steps(by_command).lines().collect::<Vec<_>>() });
    std::fs::write(lab.path().join("steps.json"), parameters.to_string()).unwrap();
    let printed = lab.sh("CLIENT_ID=$(terraform -chdir=terraform output -raw client_instance_id)
         id=$(aws ssm send-command --document-name AWS-RunShellScript --instance-ids $CLIENT_ID \
           --parameters file://steps.json --query Command.CommandId --output text)
         for _ in $(seq 100); do
           state=$(aws ssm get-command-invocation --command-id $id --instance-id $CLIENT_ID --query Status --output text)
           case $state in Pending | InProgress) sleep 0.5 ;; *) break ;; esac
         done
         echo \"state: $state\"
         aws ssm get-command-invocation --command-id $id --instance-id $CLIENT_ID \
           --query '[StandardOutputContent, StandardErrorContent]' --output text");
    assert!(printed.starts_with("state: Success\n"), "{printed}");
    ensure_done(&printed, brokers, by_command);

    let status = lab.json("kgen lab status --json");
    let client = &status["instances"][0]["user_data"];
    assert_eq!(client["code"], 0, "{status:#}");
    let notes: Vec<&str> = client["replaced"].as_array().unwrap().iter().filter_map(|note| note.as_str()).collect();
    assert!(notes.iter().any(|note| note.starts_with("packages are not installed: java-17")), "{notes:?}");
    assert_eq!(
        ["/opt/kafka", "/home/ec2-user/scripts"].map(|path| std::path::Path::new(path).exists()),
        of_this_machine,
        "the instance's files are on this machine"
    );
}
