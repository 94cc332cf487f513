//! Users and passwords: from the stack's secrets, by real terraform, to real brokers that refuse everybody else.

use std::time::Duration;

use serde_json::Value;

use super::lab::Lab;

#[test]
#[ignore = "runs terraform, the AWS CLI and three Kafka brokers"]
fn users_of_the_stack_get_in_and_nobody_else() {
    let lab = Lab::up();
    lab.sh(
        "printf '[cluster]\nbroker_type = \"kafka.m5.large\"\nclient_broker = \"TLS_PLAINTEXT\"\nkms_key = \"own\"\n\
            authentication = [\"none\", \"scram\"]\nscram_users = [\"app\", \"other\"]\n' > kgen.toml",
    );
    lab.sh("kgen render && kgen apply --yes && kgen topic create && kgen plan --detailed-exitcode");
    let arn = lab.sh("kgen output --raw msk_cluster_arn").trim().to_owned();
    let associated = lab.json(&format!("aws kafka list-scram-secrets --cluster-arn {arn} --output json"));
    assert_eq!(associated["SecretArnList"].as_array().map(Vec::len), Some(2), "{associated}");

    // The password is in Secrets Manager alone.
    let password = "aws secretsmanager get-secret-value --secret-id AmazonMSK_kgen-demo_app --query SecretString --output text \
                    | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"password\"])'";
    lab.sh(&format!("! grep -rqF -- \"$({password})\" terraform .kgen kgen.toml"));
    let produce = "kgen produce --security scram --set ssl.ca.location=\"$KGEN_LAB_CA\" --records 2000 --rate 500 --idempotent --json";
    let login =
        format!("export KGEN_SASL_USERNAME=app; KGEN_SASL_PASSWORD=\"$({password})\"; export KGEN_SASL_PASSWORD");
    let produced = lab.produced(&format!("{login}; {produce}"));
    assert_eq!(produced["acknowledged"], 2000, "{produced:#}");
    let run = produced["run"].as_str().unwrap();
    let proof = lab.json(&format!(
        "{login}; kgen consume --security scram --set ssl.ca.location=\"$KGEN_LAB_CA\" --verify {run} --json"
    ));
    assert_eq!((&proof["whole"], &proof["read"]), (&Value::Bool(true), &Value::from(2000)), "{proof:#}");
    lab.sh(&format!("{login}; ! grep -rqF -- \"$KGEN_SASL_PASSWORD\" .kgen"));

    let refused = |script: &str, words: &str| {
        let output = lab.try_sh(script);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{script}\n{told}");
        assert!(told.contains(words), "{script}\n{told}");
    };
    refused(&format!("export KGEN_SASL_USERNAME=app KGEN_SASL_PASSWORD=guessed; {produce}"), "refuse this client");
    // A certificate by another authority: the machine's own do not know the lab's.
    refused(&format!("{login}; kgen produce --security scram --records 1"), "is not trusted");

    // Who is disassociated is out.
    let secret = "aws secretsmanager describe-secret --secret-id AmazonMSK_kgen-demo_app --query ARN --output text";
    let gone = lab.json(&format!(
        "aws kafka batch-disassociate-scram-secret --cluster-arn {arn} --secret-arn-list \"$({secret})\" --output json"
    ));
    assert_eq!(gone["UnprocessedScramSecrets"], serde_json::json!([]));
    refused(&format!("{login}; {produce}"), "refuse this client");

    // The brokers know their users after they were replaced, too.
    lab.sh("kgen apply --yes");
    lab.begin("reboot-broker --broker-ids 1 2 3").complete(Duration::from_secs(240));
    assert_eq!(lab.produced(&format!("{login}; {produce}"))["acknowledged"], 2000);
    lab.sh("kgen destroy --yes");
    lab.down();
}
