//! Edits the text of a kgen.toml, preserving its comments and layout.

use toml_edit::{DocumentMut, Item, Table, Value, value};

use super::StackError;
use crate::catalogue::BrokerType;

/// Returns `text` with `cluster.broker_type` set to `broker_type`, and all else as it was written.
///
/// The key, and its table, are added where they are missing; `text` may be empty.
///
/// # Errors
/// If `text` is not TOML, or its `cluster` is no table.
pub fn with_broker_type(text: &str, broker_type: BrokerType) -> Result<String, StackError> {
    with_cluster_value(text, "broker_type", broker_type.as_str().into())
}

/// Likewise with `cluster.broker_count`.
///
/// # Errors
/// As [`with_broker_type`].
pub fn with_broker_count(text: &str, broker_count: u32) -> Result<String, StackError> {
    with_cluster_value(text, "broker_count", i64::from(broker_count).into())
}

/// Likewise with `cluster.volume_gib`.
///
/// # Errors
/// As [`with_broker_type`].
pub fn with_volume_gib(text: &str, volume_gib: u32) -> Result<String, StackError> {
    with_cluster_value(text, "volume_gib", i64::from(volume_gib).into())
}

fn with_cluster_value(text: &str, key: &str, new: Value) -> Result<String, StackError> {
    let not_toml = |error: toml_edit::TomlError| {
        let line = 1 + text[..error.span().map_or(0, |span| span.start)].matches('\n').count();
        StackError::Syntax { path: "kgen.toml".into(), line, column: 1, message: error.message().to_owned() }
    };
    let mut document: DocumentMut = text.parse().map_err(not_toml)?;
    let cluster = document.entry("cluster").or_insert_with(|| Item::Table(Table::new()));
    let Some(cluster) = cluster.as_table_like_mut() else {
        let message = "`cluster` is not a table; write `[cluster]`".to_owned();
        return Err(StackError::Syntax { path: "kgen.toml".into(), line: 1, column: 1, message });
    };
    match cluster.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = new;
            *old.decor_mut() = decor;
        }
        None => {
            cluster.insert(key, value(new));
        }
    }
    let edited = document.to_string();
    // toml_edit writes LF; a file with CRLF keeps its line ends.
    Ok(if text.contains("\r\n") { edited.replace("\r\n", "\n").replace('\n', "\r\n") } else { edited })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volumes_are_written_as_they_grew() {
        let written = with_volume_gib("[cluster]\nvolume_gib = 100 # each\n", 200).unwrap();
        assert_eq!(written, "[cluster]\nvolume_gib = 200 # each\n");
        assert_eq!(with_volume_gib("", 200).unwrap(), "[cluster]\nvolume_gib = 200\n");
    }

    #[test]
    fn only_the_type_changes() {
        for (text, expected) in [
            ("", "[cluster]\nbroker_type = \"kafka.m5.large\"\n"),
            (
                "# mine\nregion = \"eu-west-1\"\n",
                "# mine\nregion = \"eu-west-1\"\n\n[cluster]\nbroker_type = \"kafka.m5.large\"\n",
            ),
            ("[cluster]\nname = 'x' # y\n", "[cluster]\nname = 'x' # y\nbroker_type = \"kafka.m5.large\"\n"),
            (
                "[ cluster ]\n# small\n  broker_type   =   'kafka.t3.small'   # why\n\n[topic]\npartitions=6\n",
                "[ cluster ]\n# small\n  broker_type   =   \"kafka.m5.large\"   # why\n\n[topic]\npartitions=6\n",
            ),
            ("cluster.broker_type = \"kafka.t3.small\"\n", "cluster.broker_type = \"kafka.m5.large\"\n"),
            ("cluster = { broker_count = 6 }\n", "cluster = { broker_count = 6 , broker_type = \"kafka.m5.large\" }\n"),
            ("[cluster]\r\nvolume_gib = 5\r\n", "[cluster]\r\nvolume_gib = 5\r\nbroker_type = \"kafka.m5.large\"\r\n"),
        ] {
            let edited = with_broker_type(text, BrokerType::M5_LARGE).unwrap();
            assert_eq!(edited, expected);
            assert_eq!(super::super::Stack::parse(&edited).unwrap().broker_type(), BrokerType::M5_LARGE);
        }
        assert!(with_broker_type("cluster = 3", BrokerType::M5_LARGE).is_err());
    }

    #[test]
    fn the_count_is_set_and_the_rest_stays() {
        let text = "[cluster] # mine\nbroker_count = 3 # a zone each\n";
        assert_eq!(with_broker_count(text, 6).unwrap(), "[cluster] # mine\nbroker_count = 6 # a zone each\n");
        assert_eq!(with_broker_count("", 6).unwrap(), "[cluster]\nbroker_count = 6\n");
    }
}
