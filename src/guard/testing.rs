//! Messages and reports that tests begin with.

use jiff::Timestamp;

use super::report::{RoundReport, Seen, Stage, Standing};
use crate::{
    alert::{Content, Message, Severity, Status, Subject, id},
    diagnose::{Evidence, Verdict},
    finding_id::{BROKER_UNDERSIZED, CLIENT_QUOTA_THROTTLED},
    remedy::Rendered,
    watch::fleet::{Failure, Row, testing},
};

pub fn subject() -> Subject {
    Subject {
        id: "arn:aws:kafka:us-west-2:123456789012:cluster/orders/1b2c-5".to_owned(),
        name: "orders".to_owned(),
        region: "us-west-2".to_owned(),
        caller: None,
    }
}

fn content() -> Content {
    Content {
        title: "the brokers are too small".to_owned(),
        why: "CPU is used up".to_owned(),
        evidence: vec![Evidence { text: "CPU is 97 % at most".to_owned(), value: Some(97.0), threshold: Some(60.0) }],
        confidence: 0.9,
        fix: Some(Rendered {
            summary: "3 brokers from kafka.t3.small to kafka.m5.large".to_owned(),
            aws_cli: Some("aws kafka update-broker-type --target-instance-type kafka.m5.large".to_owned()),
            hcl_diff: Some(
                "-    instance_type = \"kafka.t3.small\"\n+    instance_type = \"kafka.m5.large\"\n".to_owned(),
            ),
            ..Rendered::default()
        }),
        broker_type: Some("kafka.m5.large".to_owned()),
        not_assessed: vec![CLIENT_QUOTA_THROTTLED.to_owned()],
        ..Content::default()
    }
}

/// A message that an alert fires, with this id.
pub fn message(id: &str) -> Message {
    let subject = subject();
    Message {
        id: id.to_owned(),
        alert: crate::alert::id(&subject.id, BROKER_UNDERSIZED, ""),
        status: Status::Firing,
        severity: Severity::Warning,
        cause: BROKER_UNDERSIZED.to_owned(),
        object: String::new(),
        subject,
        since: Timestamp::UNIX_EPOCH,
        until: None,
        content: content(),
    }
}

/// A cluster with this verdict; one without could not be read.
pub fn row(name: &str, verdict: Option<Verdict>) -> Row {
    Row {
        arn: format!("arn:aws:kafka:us-west-2:123456789012:cluster/{name}/1b2c-5"),
        broker_type: Some("kafka.t3.small".to_owned()),
        monitoring_level: None,
        verdict,
        causes_assessed: verdict.map(|_| 20),
        causes: verdict.map(|_| 24),
        datapoints: 180,
        cpu_p95_percent: verdict.map(|_| 97.0),
        usd_per_month: Some(99.9),
        error: verdict.is_none().then(|| "no answer within 60 s".to_owned()),
        ..testing::row(name)
    }
}

/// A round over three clusters: one with a cause, one healthy, one that could not be read; and a region that could not be listed.
pub fn report() -> RoundReport {
    let seen = |row| Seen { row, newest: None };
    let subject = subject();
    RoundReport {
        at: Timestamp::UNIX_EPOCH,
        clusters: vec![
            seen(row("orders", Some(Verdict::CauseFound))),
            seen(row("far", None)),
            seen(row("calm", Some(Verdict::Healthy))),
        ],
        findings: vec![Standing {
            alert: id(&subject.id, BROKER_UNDERSIZED, ""),
            stage: Stage::Firing,
            severity: Severity::Warning,
            cause: BROKER_UNDERSIZED.to_owned(),
            object: String::new(),
            subject,
            content: content(),
        }],
        failures: vec![Failure { region: "eu-north-1".to_owned(), caller: None, error: "denied".to_owned() }],
        disabled_regions: Vec::new(),
        metrics: 75,
        usd: 0.00075,
        usd_today: 0.00075,
        undelivered: Default::default(),
    }
}
