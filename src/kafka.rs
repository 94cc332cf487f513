//! Connections to brokers: client settings, reachability, errors of librdkafka.

pub mod admin;
pub mod observe;
pub mod partitions;
pub mod quota;
pub mod scram;
mod security;
#[cfg(test)]
pub mod testing;
mod wire;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    producer::ProducerContext,
};

pub use security::{Security, Signing, region_of};

/// How long kgen waits for the first answer of a cluster.
pub const REACHABLE_WITHIN: Duration = Duration::from_secs(10);

/// Where the brokers are and how to talk to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// `host:port,host:port`.
    pub bootstrap_servers: String,
    /// Settings by librdkafka's names; they win over what kgen sets itself.
    pub settings: BTreeMap<String, String>,
    /// Clients prove who they are with AWS credentials, signed for this region.
    pub iam_region: Option<String>,
}

/// Why there is no cluster to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "`{setting}` cannot be set to `{value}`: {reason} (settings are those of librdkafka, see its \
             CONFIGURATION.md)"
    )]
    Setting { setting: String, value: String, reason: String },
    #[error("the client cannot be created: {0} (check the --set options)")]
    Client(String),
    #[error(
        "the certificate of {bootstrap_servers} is not trusted: {reason} (set its authority with --set \
         ssl.ca.location=FILE; the lab's is $KGEN_LAB_CA from `kgen lab env`)"
    )]
    Untrusted { bootstrap_servers: String, reason: String },
    #[error(
        "the brokers at {bootstrap_servers} refuse this client: {reason} (check user and password, or the AWS \
         credentials and their policy; --security selects the authentication)"
    )]
    Unauthenticated { bootstrap_servers: String, reason: String },
    #[error("no IAM token for the brokers: {0} (check the AWS credentials: `aws sts get-caller-identity`)")]
    NoToken(String),
    #[error(
        "no broker responds at {bootstrap_servers} within {} s: {reason} (check the address and --security, that the \
         cluster is running and that this machine can reach it; for the lab: `kgen lab status`)",
        waited.as_secs()
    )]
    Unreachable { bootstrap_servers: String, waited: Duration, reason: String },
}

impl Connection {
    /// Plain settings only: what the cluster's plaintext listener needs.
    pub fn plain(bootstrap_servers: impl Into<String>) -> Self {
        Connection { bootstrap_servers: bootstrap_servers.into(), settings: BTreeMap::new(), iam_region: None }
    }

    /// `defaults`, then the bootstrap servers, then the user's own settings.
    pub fn config(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "kgen").set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        // The OpenSSL inside a portable kgen does not know where this system keeps its authorities; librdkafka looks for them.
        if cfg!(feature = "portable") && !self.settings.contains_key("ssl.ca.pem") {
            config.set("ssl.ca.location", "probe");
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        config
    }

    /// Asks the cluster for its topics, which proves that a broker answers.
    ///
    /// # Errors
    /// [`ConnectError`], after at most `within`.
    pub fn ensure_reachable(&self, within: Duration) -> Result<ClusterMetadata, ConnectError> {
        let notes = Notes::default();
        let config = self.config(&[]);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::of(self, notes.clone())).map_err(ConnectError::from)?;
        consumer.context().authorize(consumer.client())?;
        let started = Instant::now();
        loop {
            let left = within.saturating_sub(started.elapsed());
            // In short turns, so that what librdkafka logs meanwhile is heard.
            match consumer.fetch_metadata(None, left.min(Duration::from_secs(2)).max(Duration::from_millis(100))) {
                Ok(metadata) => {
                    let mut brokers: Vec<i32> = metadata.brokers().iter().map(|broker| broker.id()).collect();
                    brokers.sort_unstable();
                    let topics = metadata.topics().iter();
                    let topics = topics.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect();
                    return Ok(ClusterMetadata { brokers, topics });
                }
                Err(error) => {
                    // An event is taken from the queue at each poll; the log lines are among them.
                    for _ in 0..20 {
                        let _ = consumer.poll(Duration::from_millis(1));
                    }
                    // Asking again shows the same certificate, and the same credentials.
                    if let Some(error) = notes.cause().and_then(|cause| self.refusal(cause)) {
                        return Err(error);
                    }
                    if started.elapsed() >= within {
                        return Err(ConnectError::Unreachable {
                            bootstrap_servers: self.bootstrap_servers.clone(),
                            waited: within,
                            reason: notes.cause().unwrap_or_else(|| error.to_string()),
                        });
                    }
                }
            }
        }
    }
}

impl Connection {
    /// What a reason that librdkafka gives says for good.
    fn refusal(&self, reason: String) -> Option<ConnectError> {
        let bootstrap_servers = self.bootstrap_servers.clone();
        if reason.contains("certificate verify failed") {
            Some(ConnectError::Untrusted { bootstrap_servers, reason })
        } else if reason.contains("SASL authentication error") || reason.contains("SASL authentication failure") {
            Some(ConnectError::Unauthenticated { bootstrap_servers, reason })
        } else {
            None
        }
    }
}

impl From<KafkaError> for ConnectError {
    fn from(error: KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, reason, setting, value) => ConnectError::Setting { setting, value, reason },
            other => ConnectError::Client(other.to_string()),
        }
    }
}

/// What a cluster answered first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterMetadata {
    pub brokers: Vec<i32>,
    /// Topics and how many partitions each has.
    pub topics: BTreeMap<String, usize>,
}

/// What librdkafka reported, for whoever shows it: each text once, at most [`Notes::MOST`] unread.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<NotesState>>);

#[derive(Debug, Default)]
struct NotesState {
    unread: Vec<String>,
    seen: BTreeMap<String, Instant>,
    cause: Option<String>,
}

impl Notes {
    const MOST: usize = 20;
    /// How long the same text is not repeated.
    const REPEAT_AFTER: Duration = Duration::from_secs(60);

    /// What came since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state().unread)
    }

    /// The newest reason why a connection failed.
    pub fn cause(&self) -> Option<String> {
        self.state().cause.clone()
    }

    fn add(&self, text: &str) {
        let mut state = self.state();
        // `[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/bootstrap: Connect to … failed` begins with its thread.
        let text = text.split_once("]: ").map_or(text, |(_, rest)| rest);
        // Times differ from one report to the next.
        let key = text.split(" (after ").next().unwrap_or(text).to_owned();
        state.cause = Some(key.clone());
        let now = Instant::now();
        let fresh = state.seen.get(&key).is_none_or(|at| now.duration_since(*at) > Self::REPEAT_AFTER);
        if fresh && state.unread.len() < Self::MOST && state.seen.len() < 1000 {
            state.seen.insert(key, now);
            state.unread.push(text.to_owned());
        }
    }

    fn state(&self) -> parking_lot::MutexGuard<'_, NotesState> {
        self.0.lock()
    }
}

/// Sends what librdkafka logs to [`Notes`], and nothing to the terminal.
#[derive(Debug, Clone, Default)]
pub struct Context {
    notes: Notes,
    iam_region: Option<String>,
}

impl Context {
    /// For a client of `connection`.
    pub fn of(connection: &Connection, notes: Notes) -> Self {
        Context { notes, iam_region: connection.iam_region.clone() }
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let token = self.token().unwrap_or_else(|| Err("only --security iam uses tokens".to_owned()));
        token.map_err(|reason| {
            self.notes.add(&format!("no IAM token: {reason}"));
            reason.into()
        })
    }

    fn log(&self, level: RDKafkaLogLevel, _facility: &str, text: &str) {
        if level as i32 <= RDKafkaLogLevel::Warning as i32 {
            self.notes.add(text);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Only says that the others said something.
        if !matches!(error, KafkaError::Global(rdkafka::types::RDKafkaErrorCode::AllBrokersDown)) {
            self.notes.add(reason);
        }
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::producer::DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named() {
        let mut connection = Connection::plain("127.0.0.1:1");
        connection.settings.insert("linger.msec".into(), "5".into());
        let error = connection.ensure_reachable(Duration::from_millis(100)).unwrap_err();
        assert!(matches!(&error, ConnectError::Setting { setting, .. } if setting == "linger.msec"), "{error}");
    }

    #[test]
    fn nobody_there_is_said_with_the_cause() {
        // Port 1 is never handed out for listening by chance.
        let error = Connection::plain("127.0.0.1:1").ensure_reachable(Duration::from_secs(1)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("127.0.0.1:1 within 1 s") && text.contains("refused"), "{text}");
    }
}
