//! Messages to people and programs: `Publish` of SNS and `PutEvents` of EventBridge.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    Aws, AwsError,
    signed::{Call, EVENT_BRIDGE, SNS},
};

/// Of an answer: an id, or a reason.
const MOST_BYTES: usize = 64 << 10;

impl Aws {
    /// Publishes to a topic of SNS; `parameters` are those of `Publish`, whose version is that of SNS's API Reference.
    ///
    /// # Errors
    /// No credentials, no answer, or a refusal by AWS. Only after a refusal is it certain that nothing was published.
    pub async fn publish(&self, parameters: &[(&str, &str)]) -> Result<(), AwsError> {
        let action = [("Action", "Publish"), ("Version", "2010-03-31")];
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let parameters = action.iter().chain(parameters);
        let pairs: Vec<String> = parameters.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let body = pairs.join("&");
        let headers = vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())];
        let url = format!("{}/", self.service_url(SNS));
        let call = Call { action: "Publish", service: SNS, method: "POST", url, headers, body: body.as_bytes() };
        self.answer(&call, MOST_BYTES).await.map(drop)
    }

    /// Puts one event on a bus of EventBridge; `entry` is one of `PutEvents`.
    ///
    /// # Errors
    /// As [`Aws::publish`]; also when the call succeeded and the entry was refused.
    pub async fn put_event(&self, entry: &Value) -> Result<(), AwsError> {
        const ACTION: &str = "PutEvents";
        let body = json!({ "Entries": [entry] }).to_string();
        let headers = vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("AWSEvents.{ACTION}")),
        ];
        let url = format!("{}/", self.service_url(EVENT_BRIDGE));
        let call = Call { action: ACTION, service: EVENT_BRIDGE, method: "POST", url, headers, body: body.as_bytes() };
        let bytes = self.answer(&call, MOST_BYTES).await?;
        let answer = serde_json::from_slice(&bytes);
        put(&answer.map_err(|_| AwsError::Incomplete { action: ACTION, what: "JSON" })?)
    }
}

/// Whether the answer to `PutEvents` says that the one entry is on the bus: a call can succeed without.
fn put(answer: &Value) -> Result<(), AwsError> {
    let entry = &answer["Entries"][0];
    if answer["FailedEntryCount"].as_u64() == Some(0) && entry["EventId"].is_string() {
        return Ok(());
    }
    let text = |key: &str| entry[key].as_str().unwrap_or("unknown").to_owned();
    Err(AwsError::Api { action: "PutEvents", code: text("ErrorCode"), message: text("ErrorMessage") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_was_refused_is_an_error_though_the_call_succeeded() {
        assert!(put(&json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }] })).is_ok());
        let refused =
            json!({ "FailedEntryCount": 1, "Entries": [{ "ErrorCode": "InternalFailure", "ErrorMessage": "later" }] });
        assert_eq!(put(&refused).unwrap_err().to_string(), "PutEvents was refused: InternalFailure: later");
        assert!(put(&json!({})).is_err());
    }
}
