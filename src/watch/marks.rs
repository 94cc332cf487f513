//! The points of an incident: over the alarm threshold, cause named, fixed, verified.

use crate::{
    diagnose::{Context, Diagnosis, Verdict},
    run::{Event, Mark},
    sample::Sample,
    stack::Stack,
};

/// Which points of an incident have been marked, until the cluster is healthy again.
#[derive(Debug, Default)]
pub struct Marks {
    /// CPU of a broker above which its alarm fires, percent.
    threshold: f64,
    /// The command that changes the type marks the end of the change itself.
    leaves_fixed: bool,
    broker_type: Option<String>,
    /// Samples in a row with a broker above it.
    above: usize,
    named: bool,
}

/// Samples in a row that are no mere peak.
const LASTING: usize = 3;

impl Marks {
    /// Marks with the alarm threshold of `stack`.
    pub fn new(stack: &Stack) -> Marks {
        Marks { threshold: stack.alarms().cpu_percent, ..Marks::default() }
    }

    /// Leaves [`Mark::Fixed`] to the command that changes the type.
    pub fn without_fixed(self) -> Marks {
        Marks { leaves_fixed: true, ..self }
    }

    /// Returns the marks that this sample adds.
    pub(super) fn of(&mut self, context: &Context, sample: &Sample, diagnosis: &Diagnosis) -> Vec<Event> {
        let mut marks = Vec::new();
        let cpus = sample.brokers.iter().filter_map(|(id, broker)| Some((*id, broker.cpu_percent()?)));
        let busiest = cpus.max_by(|a, b| a.1.total_cmp(&b.1));
        // A sample without any CPU says nothing of it.
        if let Some((_, cpu)) = busiest {
            self.above = if cpu > self.threshold { self.above + 1 } else { 0 };
        }
        if let Some((broker, cpu)) = busiest.filter(|_| self.above == LASTING && !self.named) {
            let text = format!("CPU of broker {broker} is {cpu:.0} % of its capacity (alarm at {} %)", self.threshold);
            marks.push(Event::mark(Mark::Seen, text));
        }
        if let Some(finding) = diagnosis.findings.first().filter(|_| diagnosis.verdict == Verdict::CauseFound)
            && !self.named
        {
            self.named = true;
            marks.push(Event::mark(Mark::Named, format!("{}: {}", finding.id, finding.title)));
        }
        if context.state.as_deref() == Some("ACTIVE") && context.broker_type != self.broker_type {
            let before = std::mem::replace(&mut self.broker_type, context.broker_type.clone());
            if let (Some(before), Some(now), false) = (before, &context.broker_type, self.leaves_fixed) {
                marks.push(Event::mark(Mark::Fixed, format!("every broker is {now}, no longer {before}")));
            }
        }
        if diagnosis.verdict == Verdict::Healthy {
            if self.named {
                marks.push(Event::mark(Mark::Verified, "healthy again"));
            }
            self.named = false;
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnose::Finding, sample::BrokerSample};

    #[test]
    fn a_trouble_is_marked_once_until_it_is_over() {
        let mut marks = Marks { threshold: 60.0, ..Marks::default() };
        let mut step = |cpu: f64, verdict: Verdict, broker_type: &str| {
            let broker =
                BrokerSample { cpu_user_percent: Some(cpu), cpu_system_percent: Some(0.0), ..BrokerSample::default() };
            let sample = Sample { brokers: [(1, broker)].into(), ..Sample::default() };
            let context =
                Context { broker_type: Some(broker_type.into()), state: Some("ACTIVE".into()), ..Context::default() };
            let findings = vec![Finding { id: "broker.undersized", ..Finding::default() }];
            let events = marks.of(&context, &sample, &Diagnosis { verdict, findings, coverage: Default::default() });
            let name = |event: &Event| match event {
                Event::Mark(marked) => marked.mark.name(),
                _ => "?",
            };
            events.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(step(10.0, Verdict::Healthy, "small"), [""; 0]);
        assert_eq!(step(90.0, Verdict::Inconclusive, "small"), [""; 0]);
        assert_eq!(step(90.0, Verdict::Inconclusive, "small"), [""; 0]);
        assert_eq!(step(90.0, Verdict::CauseFound, "small"), ["seen", "named"]);
        assert_eq!(step(95.0, Verdict::CauseFound, "small"), [""; 0]);
        assert_eq!(step(30.0, Verdict::Inconclusive, "large"), ["fixed"]);
        assert_eq!(step(30.0, Verdict::Healthy, "large"), ["verified"]);
        assert_eq!(step(30.0, Verdict::Healthy, "large"), [""; 0]);
        assert_eq!(step(90.0, Verdict::CauseFound, "large"), ["named"]);
    }
}
