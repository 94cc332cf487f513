//! Prometheus's text form, and what a broker's two endpoints hold in it. Pure.

use std::{collections::HashMap, io};

use prometheus_parse::{Labels, Scrape, Value};

/// The single values of one scrape, by metric name.
pub struct Exposition(HashMap<String, Vec<(Labels, f64)>>);

impl Exposition {
    /// Lines that are no metric are passed over, as Prometheus's own format asks of a reader.
    pub fn parse(text: &str) -> Exposition {
        let mut values: HashMap<String, Vec<(Labels, f64)>> = HashMap::new();
        // Reading from memory does not fail; a scrape without samples says the same as no text.
        let samples =
            Scrape::parse(text.lines().map(|line| io::Result::Ok(line.to_owned()))).map(|scrape| scrape.samples);
        for sample in samples.unwrap_or_default() {
            if let Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) = sample.value
                && value.is_finite()
            {
                values.entry(sample.metric).or_default().push((sample.labels, value));
            }
        }
        Exposition(values)
    }

    /// The value of `name` whose labels include `labels`.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |found: &Labels| labels.iter().all(|(label, value)| found.get(label) == Some(*value));
        self.all(name).find(|(found, _)| has(found)).map(|(_, value)| value)
    }

    /// The value of the whole broker: MSK gives the same name once more for each topic.
    pub fn without_topic(&self, name: &str, metric: &str) -> Option<f64> {
        self.all(name)
            .find(|(labels, _)| {
                labels.get("name") == Some(metric) && labels.get("topic").is_none_or(|topic| topic.is_empty())
            })
            .map(|(_, value)| value)
    }

    /// Every value of `name`.
    pub fn all(&self, name: &str) -> impl Iterator<Item = (&Labels, f64)> {
        self.0.get(name).into_iter().flatten().map(|(labels, value)| (labels, *value))
    }

    /// Names that begin with `prefix` and end with `suffix`.
    pub fn names<'a>(&'a self, prefix: &'a str, suffix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str).filter(move |name| name.starts_with(prefix) && name.ends_with(suffix))
    }
}
