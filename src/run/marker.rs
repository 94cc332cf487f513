//! Which moments of a cluster's trouble a row of samples shows, each as it comes. Pure.

use super::Mark;
use crate::{
    diagnose::{Context, Diagnosis, Verdict},
    sample::Sample,
};

/// Records/s of the whole cluster that count as a load.
const LOAD_PER_S: f64 = 10.0;

/// How long every broker must stay below the threshold before another crossing is told again, ms.
const CALM_MS: i64 = 60_000;

/// Tells each mark once, and begins anew when the cluster is verified or was calm for a while.
#[derive(Debug, Clone, Default)]
pub struct Marker {
    had_load: Option<bool>,
    reached: Option<Mark>,
    above_at_ms: i64,
    /// The type that was found too small.
    named_type: Option<String>,
}

impl Marker {
    /// The marks that this sample is the first to show. `threshold` is that of the CPU alarm, percent.
    pub fn see(
        &mut self,
        threshold: f64,
        cluster: &Context,
        sample: &Sample,
        diagnosis: &Diagnosis,
    ) -> Vec<(Mark, String)> {
        let mut marks = Vec::new();
        let rates: Vec<f64> = sample.brokers.values().filter_map(|broker| broker.messages_in_per_s).collect();
        let offered = sample.load.map(|load| load.offered_per_s);
        if let Some(rate) = offered.or_else(|| (!rates.is_empty()).then(|| rates.iter().sum())) {
            let has_load = rate >= LOAD_PER_S;
            // A load that was there before the first look has no onset to be seen.
            if has_load && self.had_load == Some(false) && self.reached.is_none() {
                self.reach(&mut marks, Mark::Onset, format!("load began: {rate:.0} records/s"));
            }
            self.had_load = Some(has_load);
        }
        let cpus = sample.brokers.iter().filter_map(|(id, broker)| Some((*id, broker.cpu_percent()?)));
        let busiest = cpus.max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((id, cpu)) = busiest.filter(|(_, cpu)| *cpu > threshold) {
            self.above_at_ms = sample.at_ms;
            if self.reached < Some(Mark::Seen) {
                let text = format!("CPU of broker {id} is {cpu:.0} % of what it may use (alarm at {threshold} %)");
                self.reach(&mut marks, Mark::Seen, text);
            }
        }
        match diagnosis.verdict {
            Verdict::CauseFound if self.reached < Some(Mark::Named) => {
                let finding = diagnosis.findings.first();
                let text = finding.map(|finding| format!("{}: {}", finding.id, finding.title)).unwrap_or_default();
                self.named_type = cluster.broker_type.clone();
                self.reach(&mut marks, Mark::Named, text);
            }
            _ => {}
        }
        let is_settled = cluster.state.as_deref() == Some("ACTIVE") && cluster.active_operation.is_none();
        if self.reached == Some(Mark::Named)
            && is_settled
            && cluster.broker_type != self.named_type
            && let Some(now) = &cluster.broker_type
        {
            self.reach(&mut marks, Mark::Fixed, format!("every broker is {now}"));
        }
        if diagnosis.verdict == Verdict::Healthy && self.reached >= Some(Mark::Named) {
            self.reach(&mut marks, Mark::Verified, "healthy".to_owned());
            self.reached = None;
        } else if self.reached < Some(Mark::Named) && sample.at_ms - self.above_at_ms > CALM_MS {
            self.reached = self.reached.filter(|_| self.above_at_ms == 0);
        }
        marks
    }

    fn reach(&mut self, marks: &mut Vec<(Mark, String)>, mark: Mark, text: String) {
        self.reached = Some(mark);
        marks.push((mark, text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::BrokerSample;

    #[test]
    fn the_story_of_a_cluster_is_marked_once() {
        let cluster = |broker_type: &str, state: &str| Context {
            cluster: "c".into(),
            region: "r".into(),
            broker_type: Some(broker_type.into()),
            broker_count: 1,
            state: Some(state.into()),
            ..Context::default()
        };
        let diagnosis = |verdict| Diagnosis { verdict, findings: Vec::new() };
        use Verdict::{CauseFound, Healthy, Inconclusive};
        // seconds, records/s, CPU %, verdict, type, state, marks
        let rows: &[(i64, f64, f64, Verdict, &str, &str, &[Mark])] = &[
            (0, 0.0, 5.0, Inconclusive, "a", "ACTIVE", &[]),
            (1, 0.0, 5.0, Healthy, "a", "ACTIVE", &[]),
            (2, 500.0, 50.0, Healthy, "a", "ACTIVE", &[Mark::Onset]),
            (3, 500.0, 90.0, Inconclusive, "a", "ACTIVE", &[Mark::Seen]),
            (4, 500.0, 90.0, Inconclusive, "a", "ACTIVE", &[]),
            (5, 500.0, 90.0, CauseFound, "a", "ACTIVE", &[Mark::Named]),
            (6, 500.0, 90.0, CauseFound, "a", "ACTIVE", &[]),
            (7, 500.0, 90.0, Inconclusive, "b", "UPDATING", &[]),
            (8, 500.0, 40.0, Inconclusive, "b", "ACTIVE", &[Mark::Fixed]),
            (9, 500.0, 40.0, Healthy, "b", "ACTIVE", &[Mark::Verified]),
            (10, 500.0, 40.0, Healthy, "b", "ACTIVE", &[]),
            // Another trouble, which goes away by itself, and comes again.
            (100, 500.0, 90.0, Inconclusive, "b", "ACTIVE", &[Mark::Seen]),
            (130, 500.0, 40.0, Healthy, "b", "ACTIVE", &[]),
            (140, 500.0, 90.0, Inconclusive, "b", "ACTIVE", &[]),
            (201, 500.0, 40.0, Healthy, "b", "ACTIVE", &[]),
            (202, 500.0, 90.0, Inconclusive, "b", "ACTIVE", &[Mark::Seen]),
        ];
        let mut marker = Marker::default();
        for (second, rate, cpu, verdict, broker_type, state, expected) in rows {
            let broker = BrokerSample {
                cpu_user_percent: Some(*cpu),
                cpu_system_percent: Some(0.0),
                messages_in_per_s: Some(*rate),
                ..BrokerSample::default()
            };
            let sample = Sample { at_ms: second * 1000 + 1, brokers: [(1, broker)].into(), ..Sample::default() };
            let seen = marker.see(60.0, &cluster(broker_type, state), &sample, &diagnosis(*verdict));
            let marks: Vec<Mark> = seen.into_iter().map(|(mark, _)| mark).collect();
            assert_eq!(&marks, expected, "second {second}");
        }
    }
}
