//! Commands on instances of a stand-in for the emulator, which knows two.

use axum::{Router, extract::Request, response::IntoResponse};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::*;

const INSTANCES: &str = "<DescribeInstancesResponse><reservationSet><item><instancesSet>\
    <item><instanceId>i-a</instanceId><instanceState><name>running</name></instanceState>\
    <iamInstanceProfile><arn>p</arn></iamInstanceProfile><tagSet><item><key>role</key><value>client</value></item></tagSet></item>\
    <item><instanceId>i-b</instanceId><instanceState><name>running</name></instanceState>\
    <iamInstanceProfile><arn>p</arn></iamInstanceProfile><tagSet><item><key>role</key><value>client</value></item></tagSet></item>\
    </instancesSet></item></reservationSet></DescribeInstancesResponse>";

struct Running {
    ssm: Arc<Ssm>,
    /// What was stored, by its path.
    stored: Arc<Mutex<BTreeMap<String, String>>>,
    _dir: tempfile::TempDir,
}

async fn start() -> Running {
    start_with("").await
}

/// All instances were made with `user_data`.
async fn start_with(user_data: &str) -> Running {
    let user_data = format!(
        "<DescribeInstanceAttributeResponse><userData><value>{}</value></userData></DescribeInstanceAttributeResponse>",
        BASE64_STANDARD.encode(user_data)
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let emulator = listener.local_addr().unwrap();
    let stored: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let kept = Arc::clone(&stored);
    let answer = move |request: Request| async move {
        let (is_put, path) = (request.method() == "PUT", request.uri().path().to_owned());
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        match body.contains("Attribute=userData") {
            _ if is_put => {
                kept.lock().insert(path, body);
                "".into_response()
            }
            true => user_data.into_response(),
            false => INSTANCES.into_response(),
        }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let dir = tempfile::tempdir().unwrap();
    let place = Place::without_lab(dir.path());
    Running { ssm: Ssm::new(place, emulator).unwrap(), stored, _dir: dir }
}

impl Running {
    async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        self.ssm.answer(operation, "us-west-2", &input).await
    }

    /// Sends `script` to both instances. Returns the command's id.
    async fn send(&self, script: &str, more: Value) -> String {
        let mut input = json!({
            "DocumentName": "AWS-RunShellScript",
            "Parameters": { "commands": [script] },
            "Targets": [{ "Key": "tag:role", "Values": ["client"] }],
        });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let sent = self.call("SendCommand", input).await.unwrap();
        sent["Command"]["CommandId"].as_str().unwrap().to_owned()
    }

    async fn states(&self, id: &str) -> Vec<String> {
        let list = self.call("ListCommandInvocations", json!({ "CommandId": id })).await.unwrap();
        let state = |one: &Value| one["StatusDetails"].as_str().unwrap().to_owned();
        list["CommandInvocations"].as_array().unwrap().iter().map(state).collect()
    }

    async fn wait_for(&self, id: &str, states: [&str; 2]) {
        for _ in 0..3000 {
            if self.states(id).await == states {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{states:?} did not come: {:?}", self.states(id).await);
    }

    async fn result(&self, id: &str, instance: &str) -> Value {
        self.call("GetCommandInvocation", json!({ "CommandId": id, "InstanceId": instance })).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_on_every_instance_and_its_output_comes_back() {
    let running = start().await;
    let found = running.call("DescribeInstanceInformation", json!({})).await.unwrap();
    assert_eq!(found["InstanceInformationList"].as_array().unwrap().len(), 2);
    let script = "echo $AWS_SSM_INSTANCE_ID; pwd | sed 's|.*/||'; command -v kgen | sed 's|.*/i|i|'; echo oh >&2";
    let bucket = json!({ "OutputS3BucketName": "b", "OutputS3KeyPrefix": "p/" });
    let id = running.send(script, bucket).await;
    running.wait_for(&id, ["Success", "Success"]).await;
    for instance in ["i-a", "i-b"] {
        let result = running.result(&id, instance).await;
        let text = format!("{instance}\n{instance}\n{instance}/bin/kgen\n");
        assert_eq!((&result["StandardOutputContent"], &result["ResponseCode"]), (&json!(text), &json!(0)));
        assert_eq!(result["StandardErrorContent"], "oh\n");
        let key = format!("/b/p/{id}/{instance}/awsrunShellScript/0.awsrunShellScript/stdout");
        assert_eq!(running.stored.lock()[&key], text);
        assert!(result["StandardOutputUrl"].as_str().unwrap().ends_with(&key));
    }
    let listed = running.call("ListCommands", json!({ "CommandId": id })).await.unwrap();
    assert_eq!(
        (&listed["Commands"][0]["Status"], &listed["Commands"][0]["CompletedCount"]),
        (&json!("Success"), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_ends_with_the_first_error_and_a_limit_does_not() {
    let running = start().await;
    let id = running.send("exit 3", json!({ "MaxConcurrency": "1" })).await;
    running.wait_for(&id, ["Failed", "Terminated"]).await;
    assert_eq!(running.result(&id, "i-a").await["ResponseCode"], 3);
    let id = running.send("exit 3", json!({ "MaxConcurrency": "1", "MaxErrors": "100%" })).await;
    running.wait_for(&id, ["Failed", "Failed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_cancelled_with_all_that_it_started_or_times_out() {
    let running = start().await;
    let id = running.send("echo begun; sleep 600 & sleep 600", json!({})).await;
    running.wait_for(&id, ["InProgress", "InProgress"]).await;
    let cancel = json!({ "CommandId": id, "InstanceIds": ["i-b"] });
    running.call("CancelCommand", cancel).await.unwrap();
    running.wait_for(&id, ["InProgress", "Cancelled"]).await;
    running.call("CancelCommand", json!({ "CommandId": id })).await.unwrap();
    running.wait_for(&id, ["Cancelled", "Cancelled"]).await;
    let script = json!({ "commands": ["sleep 600"], "executionTimeout": ["1"] });
    let id = running.send("", json!({ "Parameters": script })).await;
    running.wait_for(&id, ["ExecutionTimedOut", "ExecutionTimedOut"]).await;
    let unknown = running.call("CancelCommand", json!({ "CommandId": "x" })).await.unwrap_err();
    assert_eq!(unknown.code, "InvalidCommandId");
    // Another region has other commands.
    let named = json!({ "CommandId": id, "InstanceId": "i-a" });
    let elsewhere = running.ssm.answer("GetCommandInvocation", "eu-west-1", &named);
    assert_eq!(elsewhere.await.unwrap_err().code, "InvalidCommandId");
}

/// As Terraform gives it to the default stack's client, with and without a kgen.
const USER_DATA: &str = include_str!("../../../terraform/user_data.sh");

#[tokio::test(flavor = "multi_thread")]
async fn the_user_data_of_an_instance_is_carried_out_before_its_first_command() {
    let user_data = USER_DATA.replace("SHA256-TO-COME", &"0".repeat(64));
    let running = start_with(&user_data).await;
    let tools = running._dir.path().join("bin");
    std::fs::create_dir(&tools).unwrap();
    std::fs::write(tools.join("kafka-topics.sh"), "echo of the lab\n").unwrap();
    let made = ["/opt/kafka", "/home/ec2-user/scripts", "/usr/local/bin/kgen", "/etc/profile.d/kafka.sh"];
    let before = made.map(|path| Path::new(path).exists());

    let script = "sh /opt/kafka/bin/kafka-topics.sh && stat -c '%A %n' /home/ec2-user/scripts/hotspot_producer.py && \
                  /usr/local/bin/kgen && tail -n 1 /usr/local/bin/kgen && cat /etc/profile.d/kafka.sh && ls /home | wc -l && \
                  stat -c %U ~ec2-user";
    let id = running.send(script, json!({})).await;
    if Containment::here() == Containment::ProcessGroup {
        running.wait_for(&id, ["Failed", "Terminated"]).await;
        let why = running.ssm.seen()[0].user_data.why_not.clone().unwrap();
        assert!(why.contains("unshare"), "{why}");
        return;
    }
    for _ in 0..1000 {
        if running.states(&id).await.iter().all(|state| ["Success", "Failed", "Terminated"].contains(&state.as_str())) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let result = running.result(&id, "i-a").await;
    let output = result["StandardOutputContent"].as_str().unwrap();
    assert_eq!(result["Status"], "Success", "{result} {:?}", running.ssm.seen());
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "of the lab");
    assert_eq!(lines[1], "-rwxr-xr-x /home/ec2-user/scripts/hotspot_producer.py");
    assert_eq!(lines[2], "exec '/bin/true' \"$@\"");
    assert_eq!(lines[3], "PATH=$PATH:/opt/kafka/bin:/usr/local/bin");
    let homes = std::fs::read_dir("/home").unwrap().count() + usize::from(!Path::new("/home/ec2-user").exists());
    assert_eq!(lines[4..], [homes.to_string().as_str(), "root"]);
    // This machine has no more than it had.
    assert_eq!(made.map(|path| Path::new(path).exists()), before);

    let seen = running.ssm.seen();
    assert_eq!(seen.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["i-a", "i-b"]);
    let told = &seen[0].user_data;
    assert_eq!((told.code, &told.why_not), (Some(0), &None), "{told:?}");
    let replaced = |of: &str| told.replaced.iter().any(|note| note.contains(of));
    assert!(replaced("packages are not installed: java-17-amazon-corretto-headless tar gzip"), "{told:?}");
    assert!(replaced("kgen is the lab's own, not s3://"), "{told:?}");
    assert!(replaced("the SHA-256 of kgen is not checked"), "{told:?}");
    assert!(replaced("/opt/kafka has the lab's tools"), "{told:?}");
    assert!(replaced("https://archive.apache.org/ is not waited for"), "{told:?}");

    // What a command writes there is there for the next one, of this instance alone.
    let id = running.send("echo $AWS_SSM_INSTANCE_ID >/opt/kafka/mark", json!({})).await;
    running.wait_for(&id, ["Success", "Success"]).await;
    let id = running.send("cat /opt/kafka/mark", json!({})).await;
    running.wait_for(&id, ["Success", "Success"]).await;
    for instance in ["i-a", "i-b"] {
        assert_eq!(running.result(&id, instance).await["StandardOutputContent"], format!("{instance}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_that_kgen_did_not_render_is_left_alone() {
    let running = start_with("#!/bin/bash\ntouch /opt/stranger\n").await;
    let id = running.send("ls -d /opt/stranger", json!({ "MaxErrors": "100%" })).await;
    running.wait_for(&id, ["Failed", "Failed"]).await;
    let why: Vec<_> = running.ssm.seen().into_iter().map(|one| one.user_data.why_not.unwrap()).collect();
    if Containment::here() == Containment::ProcessNamespace {
        assert_eq!(why, ["kgen did not render it", "kgen did not render it"]);
    }
}
