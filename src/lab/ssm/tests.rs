//! Commands on instances of a stand-in for the emulator, which knows two.

use axum::{Router, extract::Request, response::IntoResponse};

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
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let emulator = listener.local_addr().unwrap();
    let stored: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let kept = Arc::clone(&stored);
    let answer = move |request: Request| async move {
        if request.method() == "PUT" {
            let path = request.uri().path().to_owned();
            let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
            kept.lock().insert(path, String::from_utf8(body.to_vec()).unwrap());
            return "".into_response();
        }
        INSTANCES.into_response()
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let dir = tempfile::tempdir().unwrap();
    let place = Place {
        folder: dir.path().join("clients"),
        tools: dir.path().join("bin"),
        kgen: "/bin/true".into(),
        endpoint: "http://127.0.0.1:1".into(),
        emulator,
    };
    Running { ssm: Ssm::new(place).unwrap(), stored, _dir: dir }
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
