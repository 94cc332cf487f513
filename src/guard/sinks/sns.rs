//! A topic of Amazon SNS: JSON for queues and functions, text for mail, one line for phones.

use serde_json::json;

use super::{account::Account, plain, size::fitted};
use crate::{alert::Message, guard::report::Line};

/// Bytes of one message: SNS takes 256 KiB with its attributes (SNS Developer Guide, "Message data protection and limits").
const MOST_BYTES: usize = 250_000;

/// Characters of a subject, in ASCII, at most (SNS API Reference, `Publish`: less than 100).
const SUBJECT: usize = 99;

#[derive(Clone)]
pub struct Sns {
    topic_arn: String,
    account: Account,
}

impl Sns {
    pub fn at(topic_arn: String, account: Account) -> Sns {
        Sns { topic_arn, account }
    }

    /// Publishes a message.
    ///
    /// # Errors
    /// Why it may not have arrived.
    pub async fn send(&self, message: &Message) -> Result<(), String> {
        let parameters = self.parameters(message);
        let pairs: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.account.connect().await.publish(&pairs).await.map_err(|error| error.to_string())
    }

    fn parameters(&self, message: &Message) -> Vec<(String, String)> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        let mut give = |name: &str, value: &str| parameters.push((name.to_owned(), value.to_owned()));
        give("TopicArn", &self.topic_arn);
        give("Subject", &subject(message));
        give("MessageStructure", "json");
        give("Message", &fitted(message, MOST_BYTES, body));
        // What filter policies of subscriptions can use.
        let attributes = [
            ("cause", message.cause.as_str()),
            ("severity", message.severity.as_str()),
            ("status", message.status.as_str()),
        ];
        for (number, (name, value)) in (1..).zip(attributes) {
            give(&format!("MessageAttributes.entry.{number}.Name"), name);
            give(&format!("MessageAttributes.entry.{number}.Value.DataType"), "String");
            give(&format!("MessageAttributes.entry.{number}.Value.StringValue"), value);
        }
        // A FIFO topic leaves out a message that it has already, for five minutes.
        if self.topic_arn.ends_with(".fifo") {
            give("MessageGroupId", &message.alert);
            give("MessageDeduplicationId", &message.id);
        }
        parameters
    }
}

/// One text for each protocol.
fn body(message: &Message) -> String {
    let default = json!(Line::of(message)).to_string();
    json!({ "default": default, "email": plain::text(message), "sms": message.headline() }).to_string()
}

fn subject(message: &Message) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    format!("kgen: {}", message.headline()).chars().map(plain).take(SUBJECT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::testing::message;

    fn of(topic: &str, name: &str, message: &Message) -> Option<String> {
        let sns = Sns::at(topic.to_owned(), Account::of("us-west-2"));
        sns.parameters(message).into_iter().find(|(parameter, _)| parameter == name).map(|(_, value)| value)
    }

    #[test]
    fn a_message_has_a_text_for_each_protocol_and_attributes_to_filter_by() {
        let (topic, message) = ("arn:aws:sns:us-west-2:123456789012:alerts", message("1"));
        let texts: serde_json::Value = serde_json::from_str(&of(topic, "Message", &message).unwrap()).unwrap();
        let line: serde_json::Value = serde_json::from_str(texts["default"].as_str().unwrap()).unwrap();
        assert_eq!((&line["schema"], &line["cause"]), (&"kgen.alert/1".into(), &"broker.undersized".into()));
        let mail = texts["email"].as_str().unwrap();
        for part in ["- CPU is 97 %", "    aws kafka update-broker-type", "+    instance_type", "Not assessed: client."]
        {
            assert!(mail.contains(part), "{part} is not in {mail}");
        }
        assert_eq!(of(topic, "MessageAttributes.entry.2.Value.StringValue", &message).as_deref(), Some("warning"));
        assert_eq!(of(topic, "MessageGroupId", &message), None);
        assert_eq!(of(&format!("{topic}.fifo"), "MessageDeduplicationId", &message).as_deref(), Some("1"));
    }

    #[test]
    fn a_subject_is_short_and_in_ascii() {
        let mut message = message("1");
        message.content.title = "zu klein für die Last\n".repeat(20);
        let subject = of("arn", "Subject", &message).unwrap();
        assert!(subject.is_ascii() && subject.len() == SUBJECT && !subject.contains('\n'), "{subject}");
    }
}
