//! Changes from their request to what came of them, without brokers and without terraform ([`testing`](super::testing)).

mod foreign;
mod resize;
mod resume;
mod scale_out;

use super::Change;

/// The resize that the tests make.
fn large() -> Change {
    Change::BrokerType("kafka.m5.large".parse().unwrap())
}

/// The scale-out that the tests make.
const SIX: Change = Change::BrokerCount(6);
