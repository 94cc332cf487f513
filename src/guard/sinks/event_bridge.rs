//! A bus of Amazon EventBridge: an event a message, with the message as its detail.

use serde_json::{Value, json};

use super::{account::Account, size::fitted};
use crate::{alert::Message, guard::report::Line};

/// Bytes of an event's detail: an entry may have 256 KiB (EventBridge User Guide, "Calculating PutEvents entry size").
const MOST_BYTES: usize = 250_000;

/// What rules can match by. Raised with no change of the detail, which has its own version.
const SOURCE: &str = "kgen.guard";

#[derive(Clone)]
pub struct EventBridge {
    /// Name or ARN.
    bus: String,
    account: Account,
}

impl EventBridge {
    pub fn at(bus: String, account: Account) -> EventBridge {
        EventBridge { bus, account }
    }

    /// Puts a message on the bus.
    ///
    /// # Errors
    /// Why it may not be there.
    pub async fn send(&self, message: &Message) -> Result<(), String> {
        self.account.connect().await.put_event(&self.entry(message)).await.map_err(|error| error.to_string())
    }

    fn entry(&self, message: &Message) -> Value {
        let id = &message.subject.id;
        let resources: Vec<&String> = Some(id).filter(|id| id.starts_with("arn:")).into_iter().collect();
        json!({
            "EventBusName": self.bus,
            "Source": SOURCE,
            "DetailType": format!("MSK alert {}", message.status.as_str()),
            "Resources": resources,
            "Detail": fitted(message, MOST_BYTES, |message| json!(Line::of(message)).to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::testing::message;

    #[test]
    fn an_event_names_the_cluster_and_has_the_message_as_its_detail() {
        let entry = EventBridge::at("default".to_owned(), Account::of("us-west-2")).entry(&message("7"));
        assert_eq!(entry["DetailType"], "MSK alert firing");
        assert!(entry["Resources"][0].as_str().unwrap().starts_with("arn:aws:kafka:"));
        let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        assert_eq!((&detail["id"], &detail["cause"]), (&"7".into(), &"broker.undersized".into()));
    }
}
