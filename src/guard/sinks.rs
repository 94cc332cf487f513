//! Who is told: a sink a file. Each takes one message at a time, within [`TIMEOUT`].

mod account;
mod alertmanager;
mod event_bridge;
mod http;
mod plain;
mod size;
mod slack;
mod sns;
mod webhook;

use std::time::Duration;

use jiff::Timestamp;
use tokio::time;

use super::config::{SinkConfig, SinkKind};
use crate::alert::Message;
use http::Client;

/// How long a receiver may take for one message.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// What takes messages. Not `Debug`: some URLs are secrets.
#[derive(Clone)]
pub struct Sink {
    /// What it is called in messages and in the state.
    pub name: String,
    to: To,
}

#[derive(Clone)]
enum To {
    /// The command prints them.
    Stdout,
    Alertmanager(alertmanager::Alertmanager),
    EventBridge(event_bridge::EventBridge),
    Slack(slack::Slack),
    Sns(sns::Sns),
    Webhook(webhook::Webhook),
}

/// A request to a receiver.
#[derive(Debug, Clone, PartialEq)]
struct Post {
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Sink {
    /// The sink that `config` describes, with its secrets read. `region` is that of a sink on AWS that names none.
    ///
    /// # Errors
    /// A secret is missing.
    pub fn open(config: &SinkConfig, variable: &dyn Fn(&str) -> Option<String>, region: &str) -> anyhow::Result<Sink> {
        let account = || account::Account { region: config.region(region), identity: config.identity() };
        let to = match config.kind {
            SinkKind::Stdout => To::Stdout,
            SinkKind::Alertmanager => To::Alertmanager(alertmanager::Alertmanager::at(&config.url(variable)?)),
            SinkKind::EventBridge => To::EventBridge(event_bridge::EventBridge::at(config.bus().to_owned(), account())),
            SinkKind::Sns => To::Sns(sns::Sns::at(config.topic_arn.clone().unwrap_or_default(), account())),
            SinkKind::Slack => To::Slack(slack::Slack::at(config.url(variable)?)),
            SinkKind::Webhook => To::Webhook(webhook::Webhook::at(config.url(variable)?, config.secret(variable)?)),
        };
        Ok(Sink { name: config.name().to_owned(), to })
    }

    /// Whether the command prints what this sink takes.
    pub fn is_stdout(&self) -> bool {
        matches!(self.to, To::Stdout)
    }

    /// What repeats that these alerts fire, where the receiver forgets them otherwise.
    fn repeat(&self, firing: &[Message], now: Timestamp, lasting: Duration) -> Option<Post> {
        match &self.to {
            To::Alertmanager(alertmanager) if !firing.is_empty() => Some(alertmanager.post(firing, now, lasting)),
            _ => None,
        }
    }

    /// What a sink that is reached by HTTP gets.
    fn post(&self, message: &Message, now: Timestamp, lasting: Duration) -> Option<Post> {
        match &self.to {
            To::Stdout | To::EventBridge(_) | To::Sns(_) => None,
            To::Alertmanager(alertmanager) => Some(alertmanager.post(std::slice::from_ref(message), now, lasting)),
            To::Slack(slack) => Some(slack.post(message)),
            To::Webhook(webhook) => Some(webhook.post(message, now)),
        }
    }
}

/// Sends to sinks.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    /// How long a receiver that forgets may take an alert to fire after it was last told so.
    lasting: Duration,
    /// A message as it may leave kgen.
    leaving: fn(Message) -> Message,
}

impl Sender {
    /// `lasting` is longer than the time between two rounds; `leaving` makes of a message what may be sent.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new(lasting: Duration, leaving: fn(Message) -> Message) -> anyhow::Result<Sender> {
        Ok(Sender { client: Client::new()?, lasting, leaving })
    }

    /// Sends one message.
    ///
    /// # Errors
    /// Why it may not have arrived, without the URL, which may be a secret.
    pub async fn send(&self, sink: &Sink, message: &Message) -> Result<(), String> {
        let message = (self.leaving)(message.clone());
        let sending = async {
            match &sink.to {
                To::EventBridge(bus) => bus.send(&message).await,
                To::Sns(topic) => topic.send(&message).await,
                _ => match sink.post(&message, Timestamp::now(), self.lasting) {
                    Some(post) => self.client.send(post).await,
                    None => Ok(()),
                },
            }
        };
        let late = |_| Err(format!("no answer within {} s", TIMEOUT.as_secs()));
        time::timeout(TIMEOUT, sending).await.unwrap_or_else(late)
    }

    /// Repeats what fires, for receivers that forget.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn repeat(&self, sink: &Sink, firing: &[Message]) -> Result<(), String> {
        let firing: Vec<Message> = firing.iter().cloned().map(self.leaving).collect();
        match sink.repeat(&firing, Timestamp::now(), self.lasting) {
            Some(post) => self.client.send(post).await,
            None => Ok(()),
        }
    }
}

/// The fix in lines to be shown as code: commands, then the change of the HCL.
fn fix_lines(message: &Message) -> Vec<String> {
    let Some(fix) = &message.content.fix else { return Vec::new() };
    let commands = fix.aws_cli.iter().chain(&fix.kafka_tools).cloned();
    commands.chain(fix.hcl_diff.iter().flat_map(|diff| diff.lines().map(str::to_owned))).collect()
}
