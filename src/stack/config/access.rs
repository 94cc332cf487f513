//! Who may connect to the brokers, and what is encrypted: keys of `[cluster]`.

use serde::{Deserialize, Serialize};

use super::{Config, is_arn, twice};
use crate::stack::error::Fault;

/// A key of AWS KMS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum KmsKey {
    /// The one that AWS keeps for MSK.
    Aws,
    /// One of the stack's own, which also encrypts logs, alarms, secrets and the client's volume.
    Own,
    /// One that is there, by its ARN.
    Arn(String),
}

/// `client_broker` of MSK's encryption in transit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientBroker {
    Plaintext,
    TlsPlaintext,
    Tls,
}

/// How a client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Authentication {
    /// Not at all.
    None,
    /// By a certificate.
    Tls,
    /// By AWS credentials (SASL/IAM).
    Iam,
    /// By name and password (SASL/SCRAM).
    Scram,
}

impl ClientBroker {
    /// The value of `client_broker`.
    pub fn as_str(self) -> &'static str {
        match self {
            ClientBroker::Plaintext => "PLAINTEXT",
            ClientBroker::TlsPlaintext => "TLS_PLAINTEXT",
            ClientBroker::Tls => "TLS",
        }
    }
}

impl From<KmsKey> for String {
    fn from(key: KmsKey) -> String {
        match key {
            KmsKey::Aws => "aws".to_owned(),
            KmsKey::Own => "own".to_owned(),
            KmsKey::Arn(arn) => arn,
        }
    }
}

impl TryFrom<String> for KmsKey {
    type Error = String;

    fn try_from(text: String) -> Result<KmsKey, String> {
        match text.as_str() {
            "aws" => Ok(KmsKey::Aws),
            "own" => Ok(KmsKey::Own),
            _ if is_arn(&text, "kms") && text.contains(":key/") => Ok(KmsKey::Arn(text)),
            _ => Err(format!("{text:?} is not \"aws\", \"own\" or the ARN of a KMS key")),
        }
    }
}

/// MSK quota: 1000 SCRAM users a cluster.
const USERS_MOST: usize = 1000;

impl Config {
    /// Rules between encryption and authentication.
    pub(super) fn access(&self) -> Option<Fault> {
        use Authentication::{Iam, None as Nobody, Scram, Tls};
        let cluster = &self.cluster;
        let by = |by| cluster.authenticates(by);
        let methods: Vec<String> = cluster.authentication.iter().map(|by| format!("{by:?}").to_lowercase()).collect();
        if cluster.authentication.is_empty() {
            return Fault::some("cluster.authentication", "needs at least one of none, tls, iam and scram");
        }
        if let Some(method) = twice(&methods) {
            return Fault::some("cluster.authentication", format!("{method} is given twice"));
        }
        if cluster.client_broker == ClientBroker::Plaintext && (by(Tls) || by(Iam) || by(Scram)) {
            return Fault::some(
                "cluster.authentication",
                "tls, iam and scram need encryption: cluster.client_broker must be TLS or TLS_PLAINTEXT",
            );
        }
        if cluster.has_plaintext() && !by(Nobody) {
            let reason = format!(
                "{} allows clients without authentication, but cluster.authentication does not contain none (choose \
                 TLS, or add it)",
                cluster.client_broker.as_str()
            );
            return Fault::some("cluster.client_broker", reason);
        }
        let cas = &cluster.certificate_authority_arns;
        if by(Tls) == cas.is_empty() {
            let reason = "belong to the authentication tls: set both or neither";
            return Fault::some("cluster.certificate_authority_arns", reason);
        }
        if let Some(arn) = twice(cas) {
            return Fault::some("cluster.certificate_authority_arns", format!("{arn} is given twice"));
        }
        if let Some(other) = cas.iter().find(|arn| !is_arn(arn, "acm-pca")) {
            return Fault::some(
                "cluster.certificate_authority_arns",
                format!("{other:?} is not the ARN of an AWS Private CA (arn:aws:acm-pca:…)"),
            );
        }
        self.users()
    }

    fn users(&self) -> Option<Fault> {
        let cluster = &self.cluster;
        let (users, secrets) = (&cluster.scram_users, &cluster.scram_secret_arns);
        if cluster.authenticates(Authentication::Scram) == (users.is_empty() && secrets.is_empty()) {
            let reason =
                "or cluster.scram_secret_arns are required for the authentication scram: set users, or remove scram";
            return Fault::some("cluster.scram_users", reason);
        }
        let is_user = |name: &String| {
            (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if users.len() + secrets.len() > USERS_MOST {
            let reason = format!("{} users are more than the {USERS_MOST} that MSK takes", users.len() + secrets.len());
            return Fault::some("cluster.scram_users", reason);
        }
        if let Some(name) = users.iter().find(|name| !is_user(name)) {
            return Fault::some(
                "cluster.scram_users",
                format!("{name:?} is not 1 to 64 letters, digits, dots, underscores and hyphens"),
            );
        }
        if let Some(name) = twice(users) {
            return Fault::some("cluster.scram_users", format!("{name} is given twice"));
        }
        // MSK reads only secrets under a customer's key (MSK Developer Guide, "Sign-in credentials authentication").
        if !users.is_empty() && cluster.kms_key == KmsKey::Aws {
            return Fault::some(
                "cluster.scram_users",
                "MSK does not accept secrets encrypted with AWS's own key: set cluster.kms_key to \"own\" or to the \
                 ARN of a key",
            );
        }
        let foreign = secrets.iter().find(|arn| !is_arn(arn, "secretsmanager") || !arn.contains(":secret:AmazonMSK_"));
        foreign.and_then(|arn| {
            Fault::some(
                "cluster.scram_secret_arns",
                format!("{arn:?} is not the ARN of a secret whose name starts with AmazonMSK_, as MSK requires"),
            )
        })
    }
}
