//! What a change has brought.

use super::proof::table;
use crate::{
    change::{Change, Concluded},
    diagnose::Verdict,
};

/// Before and after, figure by figure, and the conclusion.
pub fn concluded(concluded: &Concluded) -> String {
    let Concluded { change, was, is, before, after, proof, .. } = concluded;
    let kind = |brokers: u32, broker_type: &str| match change {
        Change::BrokerType(_) => broker_type.to_owned(),
        Change::BrokerCount(_) => format!("{brokers} × {broker_type}"),
    };
    let (from, to) = (kind(was.broker_count, &before.broker_type), kind(is.broker_count, &after.broker_type));
    format!("{}\n{}", table((&from, &to), proof), conclusion(concluded))
}

/// The conclusion, in a sentence.
pub fn conclusion(concluded: &Concluded) -> String {
    let name = match concluded.change {
        Change::BrokerType(_) => "resized",
        Change::BrokerCount(_) => "scaled out",
    };
    match (concluded.has_load(), concluded.verdict) {
        (_, Verdict::CauseFound) => "not recovered: there is still a cause (`kgen diagnose`)".to_owned(),
        (false, _) => format!("{name}; without load before and after, nothing is proven about speed"),
        (true, Verdict::Healthy) if concluded.is_worse() => {
            format!("{name}: healthy under load, but not measurably better")
        }
        (true, Verdict::Healthy) => "recovered: healthy under load".to_owned(),
        (true, Verdict::Inconclusive) => {
            format!("{name}; the measurement afterwards is inconclusive (`kgen diagnose`)")
        }
    }
}
