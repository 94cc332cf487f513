//! What happens in a run: one line each.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use crate::{
    diagnose::{self, Context, Coverage, Diagnosis, Evidence, Verdict},
    remedy::Rendered,
    sample::{BrokerId, LoadSample, Sample},
};

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// RFC 3339, to the millisecond. A mark may be dated back to the moment that it speaks of.
    pub at: Timestamp,
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. A kind that this kgen does not know is [`Event::Unknown`], and the rest of the run is still read.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Sample(Box<Observed>),
    Load(LoadSecond),
    Finding(Box<Found>),
    Coverage(Covered),
    Mark(Marked),
    Remedy(Box<Fix>),
    Note { text: String },
    Result(Named),
    End(End),
    Unknown,
}

/// The cluster and its brokers, as in `kgen.sample/1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Observed {
    pub cluster: Context,
    pub sample: Sample,
    /// The verdict of the samples so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Ids of the findings that hold now.
    #[serde(default)]
    pub findings: Vec<String>,
}

impl Observed {
    /// A sample with what the diagnosis makes of it and of those before it.
    pub fn new(cluster: Context, sample: Sample, diagnosis: &Diagnosis) -> Observed {
        let findings = diagnosis.findings.iter().map(|finding| finding.id.to_owned()).collect();
        Observed { cluster, sample, verdict: Some(diagnosis.verdict), findings }
    }
}

/// About one second of a load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSecond {
    /// Seconds since the load began.
    pub at_s: f64,
    #[serde(flatten)]
    pub sample: LoadSample,
    /// The longest time from due to acknowledged in this second, ms.
    #[serde(default)]
    pub max_ms: Option<f64>,
    /// From sent to acknowledged, ms.
    #[serde(default)]
    pub service_p99_ms: Option<f64>,
    /// Since the load began, records.
    pub offered: u64,
    pub acknowledged: u64,
    pub failed: u64,
}

/// A finding that has appeared, with its fix ready to be pasted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Such as `broker.undersized`.
    pub id: String,
    pub title: String,
    /// What it is about: brokers or the cluster.
    pub subject: String,
    pub brokers: Vec<BrokerId>,
    pub cause: String,
    /// 0 to 1.
    pub confidence: f64,
    /// The verdict of the diagnosis that the finding is part of. The reader fills it in for records without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    pub evidence_for: Vec<Evidence>,
    pub evidence_against: Vec<Evidence>,
    pub missing: Vec<String>,
    pub check: Option<String>,
    pub remedy: Option<Rendered>,
    pub anti_recommendations: Vec<String>,
}

/// Which causes the samples can show now. Comes when it changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Covered {
    /// Causes that were assessed, of those that this kind of cluster can have.
    pub assessed: usize,
    pub of: usize,
    /// What was not seen, which causes that leaves open, why, and what would enable it; a sentence each.
    #[serde(default)]
    pub lacking: Vec<String>,
}

/// A point on the time axis of every chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marked {
    pub mark: Mark,
    /// What was seen, in a sentence.
    #[serde(default)]
    pub text: String,
}

/// The points of a cluster's trouble, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The load that is too much began.
    Onset,
    /// A broker is over the threshold of its alarm.
    Seen,
    /// The cause is known.
    Named,
    /// The change is carried out, every partition in sync.
    Fixed,
    /// The cluster is healthy, or the records are proven to be there.
    Verified,
}

impl Mark {
    pub fn name(self) -> &'static str {
        match self {
            Mark::Onset => "onset",
            Mark::Seen => "seen",
            Mark::Named => "named",
            Mark::Fixed => "fixed",
            Mark::Verified => "verified",
        }
    }
}

/// A fix that is carried out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fix {
    /// The kgen command that does it.
    pub command: String,
    #[serde(flatten)]
    pub rendered: Rendered,
}

/// A figure or a document of the outcome, such as `before`, `after`, `load`, `verification`, `conclusion`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    pub name: String,
    pub value: Value,
}

/// How it ended. A run without an end still runs, or was killed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub exit_code: u8,
    /// `done`, `failed`, `refused`, `unhealthy`, `inconclusive`, `records_lost`, `interrupted`, ….
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Event {
    pub fn note(text: impl Into<String>) -> Event {
        Event::Note { text: text.into() }
    }

    pub fn mark(mark: Mark, text: impl Into<String>) -> Event {
        Event::Mark(Marked { mark, text: text.into() })
    }

    /// # Errors
    /// `value` has no form in JSON.
    pub fn result(name: &str, value: &impl Serialize) -> serde_json::Result<Event> {
        Ok(Event::Result(Named { name: name.to_owned(), value: serde_json::to_value(value)? }))
    }
}

impl Covered {
    pub fn new(coverage: &Coverage) -> Covered {
        let lacking = coverage.lines().into_iter().skip(1).collect();
        Covered { assessed: coverage.assessed.len(), of: coverage.of(), lacking }
    }

    /// Such as `19 of 22 causes assessed`.
    pub fn summary(&self) -> String {
        format!("{} of {} causes assessed", self.assessed, self.of)
    }
}

impl Found {
    /// `finding` of a diagnosis with this verdict.
    pub fn new(cluster: &str, verdict: Verdict, finding: &diagnose::Finding, remedy: Option<Rendered>) -> Found {
        let subject = match finding.brokers[..] {
            [] => format!("cluster {cluster}"),
            [one] => format!("broker {one}"),
            ref many => format!("brokers {}", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        Found {
            id: finding.id.to_owned(),
            title: finding.title.clone(),
            subject,
            brokers: finding.brokers.clone(),
            cause: finding.cause.clone(),
            confidence: finding.confidence,
            verdict: Some(verdict),
            evidence_for: finding.evidence_for.clone(),
            evidence_against: finding.evidence_against.clone(),
            missing: finding.missing.clone(),
            check: finding.check.clone(),
            remedy,
            anti_recommendations: finding.anti_recommendations.clone(),
        }
    }
}

// By way of a `Value`: serde buffers what is flattened or tagged, and then can no longer read a map whose keys are
// numbers, which `Sample::brokers` is.
impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entry, D::Error> {
        let value = Value::deserialize(deserializer)?;
        entry(value).map_err(D::Error::custom)
    }
}

fn entry(mut value: Value) -> serde_json::Result<Entry> {
    let take = |value: &mut Value, key: &str| match value {
        Value::Object(object) => Ok(object.shift_remove(key).unwrap_or(Value::Null)),
        _ => Err(serde_json::Error::custom("not an object")),
    };
    let at = serde_json::from_value(take(&mut value, "at")?)?;
    let kind: String = serde_json::from_value(take(&mut value, "event")?)?;
    let event = match kind.as_str() {
        "sample" => Event::Sample(serde_json::from_value(value)?),
        "load" => Event::Load(serde_json::from_value(value)?),
        "finding" => Event::Finding(serde_json::from_value(value)?),
        "coverage" => Event::Coverage(serde_json::from_value(value)?),
        "mark" => Event::Mark(serde_json::from_value(value)?),
        "remedy" => Event::Remedy(serde_json::from_value(value)?),
        "note" => Event::Note { text: serde_json::from_value(take(&mut value, "text")?)? },
        "result" => Event::Result(serde_json::from_value(value)?),
        "end" => Event::End(serde_json::from_value(value)?),
        _ => Event::Unknown,
    };
    Ok(Entry { at, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::BrokerSample;

    #[test]
    fn what_is_written_is_read_again() {
        let at = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let cluster = Context {
            cluster: "demo".into(),
            region: "us-west-2".into(),
            broker_type: Some("kafka.t3.small".into()),
            broker_count: 3,
            lab_scale: Some(4.0),
            ..Context::default()
        };
        let broker = BrokerSample { cpu_user_percent: Some(70.5), ..BrokerSample::default() };
        let sample = Sample { at_ms: 1, brokers: [(1, broker.clone()), (2, broker)].into(), ..Sample::default() };
        let evidence = Evidence { text: "CPU 86 %".into(), value: Some(86.0), threshold: Some(60.0) };
        let rendered = Rendered { summary: "larger".into(), kgen: Some("kgen resize x".into()), ..Rendered::default() };
        let found = Found { id: "broker.undersized".into(), evidence_for: vec![evidence], ..Found::default() };
        let load = LoadSample { offered_per_s: 500.0, p99_ms: Some(3.0), ..LoadSample::default() };
        let events = [
            Event::Sample(Box::new(Observed { cluster, sample, verdict: None, findings: vec!["a.b".into()] })),
            Event::Load(LoadSecond {
                at_s: 1.0,
                sample: load,
                max_ms: Some(9.0),
                offered: 500,
                ..LoadSecond::default()
            }),
            Event::Finding(Box::new(Found { remedy: Some(rendered.clone()), ..found })),
            Event::Coverage(Covered { assessed: 19, of: 22, lacking: vec!["not seen: x".into()] }),
            Event::mark(Mark::Seen, "CPU of broker 1"),
            Event::Remedy(Box::new(Fix { command: "kgen resize x".into(), rendered })),
            Event::note("n"),
            Event::result("before", &[1, 2]).unwrap(),
            Event::End(End { exit_code: 130, outcome: "interrupted".into(), error: None }),
        ];
        for event in events {
            let entry = Entry { at, event };
            let json = serde_json::to_string(&entry).unwrap();
            assert!(json.starts_with(r#"{"at":"2023-11-14T22:13:20.123Z","event":""#), "{json}");
            assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry, "{json}");
        }
        let of_the_future = r#"{"at":"2023-11-14T22:13:20Z","event":"thought","x":1}"#;
        assert_eq!(serde_json::from_str::<Entry>(of_the_future).unwrap().event, Event::Unknown);
        assert!(serde_json::from_str::<Entry>("[]").is_err());
    }
}
