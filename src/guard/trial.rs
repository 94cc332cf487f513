//! A test message to every sink: whether URLs, secrets and permissions are right, before there is anything to report.

use jiff::Timestamp;

use super::{
    Config, Place,
    config::{SinkConfig, SinkKind},
    sinks::{Sender, Sink},
};
use crate::{
    alert::{Content, Message, Severity, Status, Subject, id},
    outcome::refused,
};

/// What stands for a cause in a test message.
const CAUSE: &str = "guard.test";

/// What came of a test message: the name of the sink, and why it may not have arrived.
pub type Tried = (String, Result<(), String>);

/// Sends a test message to every sink of `config`, one after the other. Reads no cluster and no state.
///
/// # Errors
/// Refused: there is no sink but standard output, or a secret is missing.
pub async fn test_sinks(config: &Config, place: &Place<'_>) -> anyhow::Result<Vec<Tried>> {
    let sent_to = |sink: &&SinkConfig| sink.kind != SinkKind::Stdout;
    let sinks = config.sink.iter().filter(sent_to).map(|sink| Sink::open(sink, place.variable, place.region));
    let sinks: Vec<Sink> = sinks.collect::<anyhow::Result<_>>().map_err(refused)?;
    if sinks.is_empty() {
        return Err(refused(anyhow::anyhow!(
            "the configuration has no sink that messages are sent to: add a [[sink]]"
        )));
    }
    // A receiver that forgets may forget this at once.
    let sender = Sender::new(config.interval, place.leaving).map_err(refused)?;
    let message = message(Timestamp::now(), place.region);
    let mut tried = Vec::new();
    for sink in &sinks {
        tried.push((sink.name.clone(), sender.send(sink, &message).await));
    }
    Ok(tried)
}

fn message(now: Timestamp, region: &str) -> Message {
    let subject =
        Subject { id: CAUSE.to_owned(), name: "no cluster".to_owned(), region: region.to_owned(), caller: None };
    Message {
        id: format!("test-{}", now.as_millisecond()),
        alert: id(&subject.id, CAUSE, ""),
        status: Status::Firing,
        severity: Severity::Info,
        cause: CAUSE.to_owned(),
        object: String::new(),
        subject,
        since: now,
        until: None,
        content: Content {
            title: "a test message".to_owned(),
            why: "kgen guard --test-sinks sent it; nothing is wrong".to_owned(),
            confidence: 1.0,
            ..Content::default()
        },
    }
}
