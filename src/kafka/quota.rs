//! The quota of producers, which librdkafka has no call for.

use kafka_protocol::{
    messages::{
        AlterClientQuotasRequest,
        alter_client_quotas_request::{EntityData, EntryData, OpData},
    },
    protocol::StrBytes,
};

use super::{
    partitions::Partitions,
    wire::{self, RequestError, settled},
};

/// Sets what each broker takes from any one client id, bytes/s; `None` takes the limit away. Quotas of named clients stay.
///
/// # Errors
/// No broker answers, or the controller refuses.
pub fn limit_producers(partitions: &Partitions, bytes_per_s: Option<f64>) -> Result<(), RequestError> {
    let every_client =
        EntityData::default().with_entity_type(StrBytes::from_static_str("client-id")).with_entity_name(None);
    let rate = OpData::default()
        .with_key(StrBytes::from_static_str("producer_byte_rate"))
        .with_value(bytes_per_s.unwrap_or_default())
        .with_remove(bytes_per_s.is_none());
    let entry = EntryData::default().with_entity(vec![every_client]).with_ops(vec![rate]);
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    let answer = wire::call(&partitions.placement()?.controller, 0, &request)?;
    for entry in &answer.entries {
        settled(entry.error_code, entry.error_message.as_ref(), || "change the quota of producers".to_owned())?;
    }
    Ok(())
}
