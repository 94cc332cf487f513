//! `[logs]`, `[alarms]`: where the brokers' logs go, when alarms fire and who is notified.

use serde::{Deserialize, Serialize};

use super::{Config, client::is_bucket_name, is_arn};
use crate::stack::error::Fault;

/// Where the brokers' logs go.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// To a log group of the stack's own, kept `cluster.log_retention_days`.
    pub cloudwatch: bool,
    /// To a bucket that is there, by its name.
    pub s3_bucket: Option<String>,
    /// What the names of the objects begin with.
    pub s3_prefix: Option<String>,
    /// To a Firehose stream that is there, by its name.
    pub firehose_stream: Option<String>,
}

/// When the alarms of a broker go off, and who hears it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alarms {
    /// CpuUser + CpuSystem (MSK best practices: below 60).
    pub cpu_percent: f64,
    /// MemoryUsed of MemoryUsed + MemoryFree: what the seed watches; no cause by itself.
    pub memory_percent: f64,
    /// HeapMemoryAfterGC (MSK best practices: 60).
    pub heap_percent: f64,
    /// CPUCreditBalance; 576 is full on a kafka.t3.small.
    pub credit_balance: f64,
    /// KafkaDataLogsDiskUsed (MSK best practices: 85).
    pub disk_percent: f64,
    pub period_s: u32,
    pub evaluation_periods: u32,
    /// Told when an alarm rings and when it ends.
    pub sns_topic: Option<SnsTopic>,
    /// Addresses that subscribe to the stack's own topic; AWS asks each to confirm.
    pub emails: Vec<String>,
}

/// A topic of Amazon SNS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum SnsTopic {
    /// Made with the stack.
    Own,
    /// One that is there, by its ARN.
    Arn(String),
}

impl Default for Logs {
    fn default() -> Logs {
        Logs { cloudwatch: true, s3_bucket: None, s3_prefix: None, firehose_stream: None }
    }
}

impl Default for Alarms {
    fn default() -> Alarms {
        Alarms {
            cpu_percent: 60.0,
            memory_percent: 90.0,
            heap_percent: 60.0,
            credit_balance: 100.0,
            disk_percent: 85.0,
            period_s: 60,
            evaluation_periods: 2,
            sns_topic: None,
            emails: Vec::new(),
        }
    }
}

impl From<SnsTopic> for String {
    fn from(topic: SnsTopic) -> String {
        match topic {
            SnsTopic::Own => "own".to_owned(),
            SnsTopic::Arn(arn) => arn,
        }
    }
}

impl TryFrom<String> for SnsTopic {
    type Error = String;

    fn try_from(text: String) -> Result<SnsTopic, String> {
        match text.as_str() {
            "own" => Ok(SnsTopic::Own),
            _ if is_arn(&text, "sns") => Ok(SnsTopic::Arn(text)),
            _ => Err(format!("{text:?} is neither \"own\" nor the ARN of an SNS topic")),
        }
    }
}

impl Config {
    /// The first rule of logs and alarms that is broken.
    pub(super) fn watching(&self) -> Option<Fault> {
        self.log_destinations().or_else(|| self.thresholds()).or_else(|| self.listeners())
    }

    fn log_destinations(&self) -> Option<Fault> {
        let logs = &self.logs;
        if let Some(bucket) = &logs.s3_bucket
            && !is_bucket_name(bucket)
        {
            return Fault::some("logs.s3_bucket", format!("{bucket:?} is not the name of an S3 bucket"));
        }
        match &logs.s3_prefix {
            Some(_) if logs.s3_bucket.is_none() => {
                return Fault::some("logs.s3_prefix", "also needs logs.s3_bucket");
            }
            Some(prefix) if prefix.is_empty() || prefix.len() > 512 || prefix.chars().any(char::is_control) => {
                return Fault::some("logs.s3_prefix", "must be 1 to 512 characters without control characters");
            }
            _ => {}
        }
        let is_stream = |name: &String| {
            (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        match &logs.firehose_stream {
            Some(name) if !is_stream(name) => {
                Fault::some("logs.firehose_stream", format!("{name:?} is not the name of a Firehose stream"))
            }
            _ => None,
        }
    }

    fn thresholds(&self) -> Option<Fault> {
        let alarms = &self.alarms;
        for (key, value, most) in [
            ("alarms.cpu_percent", alarms.cpu_percent, 100.0),
            ("alarms.memory_percent", alarms.memory_percent, 100.0),
            ("alarms.heap_percent", alarms.heap_percent, 100.0),
            ("alarms.disk_percent", alarms.disk_percent, 100.0),
            ("alarms.credit_balance", alarms.credit_balance, 576.0),
        ] {
            if !(value > 0.0 && value <= most) {
                return Fault::some(key, format!("{value} must be above 0 and at most {most}"));
            }
        }
        if alarms.period_s == 0 || !alarms.period_s.is_multiple_of(60) || alarms.period_s > 3600 {
            return Fault::some(
                "alarms.period_s",
                "MSK publishes a datapoint every minute: use 60 to 3600, in steps \
                                                   of 60",
            );
        }
        if !(1..=24).contains(&alarms.evaluation_periods) {
            return Fault::some("alarms.evaluation_periods", "must be 1 to 24");
        }
        None
    }

    fn listeners(&self) -> Option<Fault> {
        let alarms = &self.alarms;
        if !alarms.emails.is_empty() && alarms.sns_topic != Some(SnsTopic::Own) {
            return Fault::some(
                "alarms.emails",
                "can only subscribe to the stack's own topic: set alarms.sns_topic to \
                                                 \"own\"",
            );
        }
        let is_address = |text: &String| {
            text.chars().all(|c| c.is_ascii_graphic())
                && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
        };
        let wrong = alarms.emails.iter().find(|email| !is_address(email));
        wrong.and_then(|email| Fault::some("alarms.emails", format!("{email:?} is not an e-mail address")))
    }
}
