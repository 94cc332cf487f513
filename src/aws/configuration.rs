//! A revision of an MSK configuration: the brokers' `server.properties`.

use std::collections::BTreeMap;

use super::{Action, Aws, AwsError};

impl Aws {
    /// The properties of revision `revision` of the configuration `arn`.
    ///
    /// # Errors
    /// Why the API gave no answer.
    pub async fn configuration(&self, arn: &str, revision: i64) -> Result<BTreeMap<String, String>, AwsError> {
        let asked = self.kafka()?.describe_configuration_revision().arn(arn).revision(revision).send().await;
        let answer = asked.map_err(|error| self.failed(Action::DescribeConfigurationRevision, error))?;
        let text = answer.server_properties.map(|blob| String::from_utf8_lossy(blob.as_ref()).into_owned());
        Ok(properties(&text.unwrap_or_default()))
    }
}

/// `key=value` lines; what is empty or a comment is left out.
pub(super) fn properties(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    let pairs = lines.filter_map(|line| line.split_once(['=', ':']));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_line_by_line() {
        let found = properties("# comment\n\nmin.insync.replicas = 2\nthrottled=*\r\n");
        assert_eq!(found.get("min.insync.replicas").map(String::as_str), Some("2"));
        assert_eq!((found.len(), found["throttled"].as_str()), (2, "*"));
    }
}
