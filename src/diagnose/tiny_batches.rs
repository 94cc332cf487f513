//! Producers that send each record in its own request.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    undersized::is_saturated,
    window::THROTTLED_PERCENT,
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::{BrokerId, BrokerSample, Field},
    statistics::median,
};

/// Records in a request up to which most of them come one by one. Measured: 1.00 without batches, 9.5 to 10 with; 1.3 where
/// a client without batches is beside one that sends 2.3.
pub const RECORDS_A_REQUEST: f64 = 1.5;

/// Requests a second on one broker from which on their number is a load of its own. Fewer come about at a low rate, when
/// a record finds no other to travel with.
pub const REQUESTS_PER_S: f64 = 200.0;

/// The same on a broker of the lab that is out of CPU and slow, which may have a tenth of a core: requests wait there, and who
/// batches would fill its batches meanwhile. Measured: 40 at a fifth of an m5.large of scale 1:4.
const WAITING_REQUESTS_PER_S: f64 = 25.0;

/// Larger requests are no trouble of batching, bytes.
pub const REQUEST_BYTES: f64 = 8192.0;

/// CPU from which on the requests matter, percent.
pub const CPU_PERCENT: f64 = 40.0;

pub const RULE: Rule = Rule {
    id: finding_id::CLIENT_TINY_BATCHES,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::Traffic, Field::ProduceRate, Field::Cpu], &[Field::Traffic, Field::RequestSize, Field::Cpu]],
        helps: &[Field::CpuThrottling],
        of: Clusters::Provisioned,
    },
    meaning: "Producers send one record per request. A request costs the brokers as much as a batch; each record was \
              measured to use 5.6 times the CPU.",
    told_apart: "Each request has one record, even when requests wait (a producer that batches would then fill its \
                 batches). Record size does not help: it is the same with good and bad batches.",
    in_the_lab: "kgen produce --record-size 100 --set linger.ms=0 --set batch.num.messages=1, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let of = |value: fn(&BrokerSample) -> Option<f64>| -> Vec<f64> {
        window.brokers().into_iter().filter_map(|id| window.median(id, value)).collect()
    };
    let records = median(of(BrokerSample::records_per_request))?;
    let requests = of(BrokerSample::requests_per_s).into_iter().reduce(f64::max)?;
    let bytes = median(of(|broker| Some(broker.bytes_in_per_s? / broker.requests_per_s()?)));
    let cpu = of(BrokerSample::cpu_percent).into_iter().reduce(f64::max).unwrap_or_default();
    let throttled = window.most_throttled().unwrap_or_default();
    let saturated = window.brokers().into_iter().any(|id| is_saturated(window, id));
    let waits = |id: BrokerId| {
        is_saturated(window, id)
            && window.slow_produce(id).is_some()
            && window.median(id, |broker| broker.produce?.per_s).is_some_and(|rate| rate >= WAITING_REQUESTS_PER_S)
    };
    let is_waited = window.is_lab() && window.brokers().into_iter().any(waits);
    let least = if is_waited { WAITING_REQUESTS_PER_S } else { REQUESTS_PER_S };
    if records > RECORDS_A_REQUEST
        || requests < least
        || bytes.is_some_and(|bytes| bytes > REQUEST_BYTES)
        || (cpu < CPU_PERCENT && throttled < THROTTLED_PERCENT)
    {
        return None;
    }
    Some(Finding {
        title: "producers send one record per request".to_owned(),
        cause: format!("{requests:.0} requests/s on a broker for as many records: the requests cause the load"),
        evidence_for: vec![
            Evidence::measured(format!("{records:.2} records per request"), records, RECORDS_A_REQUEST),
            Evidence::measured(format!("{requests:.0} produce requests/s on one broker"), requests, least),
            Evidence::measured(format!("CPU {cpu:.0} % at most"), cpu, CPU_PERCENT),
        ],
        check: Some("check batch-size-avg and record-queue-time-avg of the producers (JMX of the client)".to_owned()),
        confidence: match (window.is_cloudwatch(), saturated) {
            // Of the requests only their mean size is known.
            (true, _) => 0.7,
            (false, true) => 0.85,
            (false, false) => 0.75,
        },
        remedy: Some(Remedy::Advice(Advice::new(
            "configure the producers to batch records",
            &["linger.ms=5 to 25", "batch.size=65536 to 131072", "compression.type=lz4 or zstd"],
        ))),
        anti_recommendations: vec!["do not resize first: it would pay for requests that batching avoids".to_owned()],
        ..Finding::default()
    })
}
