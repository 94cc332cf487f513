//! Two periods of samples side by side, as text.

use comfy_table::Table;

use crate::{proof::Proof, statistics::Verdict};

/// Before and after, a row a figure with the 95 % interval of its change, and what it comes to.
pub fn table((from, to): (&str, &str), proof: &Proof) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["", "before", "after", "change", "95 % interval", ""]);
    table.add_row(["broker type", from, to]);
    for figure in &proof.figures {
        let digits = figure.digits;
        let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let name = [figure.name, figure.unit].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>();
        let change = figure.change.map_or("-".to_owned(), |change| format!("{:+.digits$}", change.value));
        let interval = figure.change.map_or("-".to_owned(), |c| format!("{:+.digits$} to {:+.digits$}", c.low, c.high));
        let verdict = figure.verdict.map_or("", Verdict::word);
        let row = [name.join(", "), shown(figure.before), shown(figure.after), change, interval, verdict.to_owned()];
        table.add_row(row);
    }
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n\n{}: {}", lines.join("\n"), proof.conclusion.word(), proof.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        proof::{Measured, proof},
        sample::{BrokerSample, Sample},
    };

    fn sample(at_ms: i64, cpus: [f64; 2]) -> Sample {
        let broker = |cpu| BrokerSample {
            cpu_user_percent: Some(cpu),
            cpu_system_percent: Some(1.0),
            messages_in_per_s: Some(100.0),
            ..BrokerSample::default()
        };
        let brokers = (1..).zip(cpus.map(broker)).collect();
        Sample { at_ms, brokers, ..Sample::default() }
    }

    #[test]
    fn figures_that_nobody_has_are_left_out() {
        let side = |cpus| (0..12).map(|i| sample(i * 2000, cpus)).collect::<Vec<_>>();
        let (before, after) = (side([80.0, 90.0]), side([20.0, 30.0]));
        let measured = |samples| Measured { context: None, samples, load: &[] };
        let change = proof(&measured(&before), &measured(&after));
        insta::assert_snapshot!(table(("kafka.t3.small", "kafka.m5.large"), &change), @r"
                                                 before          after           change  95 % interval
         broker type                             kafka.t3.small  kafka.m5.large
         CPU of its capacity, busiest broker, %  91              31              -60     -60 to -60     improved
         messages into the cluster, records/s    200.0           200.0           +0.0    +0.0 to +0.0

        improved: CPU of its capacity, busiest broker: 91 % before, 31 % after; change -60 % (95 % interval -60 to -60)
        ");
    }
}
