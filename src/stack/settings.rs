//! Where each value of a stack comes from: the environment, kgen.toml, or its default.

use serde::Serialize;
use toml::{Table, Value};

use super::{
    Stack, StackError,
    config::{self, Config},
    error::line_of,
};

/// A value of the environment in place of one of kgen.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Including the table: `load.rate`.
    pub key: String,
    pub text: String,
}

/// One key of kgen.toml, with the value in force.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Setting {
    /// Including the table: `load.rate`.
    pub key: String,
    /// As TOML writes it; nothing for a key that is not set and has no default.
    pub value: Option<String>,
    pub origin: Origin,
    /// The environment variable that overrides the key; absent for keys without one.
    pub variable: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Origin {
    Default,
    KgenToml { line: Option<usize> },
    Environment,
}

/// Keys without a default that may be set, and whether their value is a number.
const OPTIONAL: [(&str, bool); 11] = [
    ("alarms.sns_topic", false),
    ("client.architecture", false),
    ("client.kgen_file", false),
    ("client.kgen_sha256", false),
    ("client.kgen_url", false),
    ("cluster.autoscaling_max_gib", true),
    ("cluster.provisioned_throughput_mib_per_s", true),
    ("logs.firehose_stream", false),
    ("logs.s3_bucket", false),
    ("logs.s3_prefix", false),
    ("network.vpc_id", false),
];

/// Tables whose keys are the user's own; no variable could be named after them.
const OPEN: [&str; 2] = ["cluster.server_properties.", "tags."];

/// Variables of kgen that set no key.
const OTHERS: [&str; 15] = [
    "KGEN_ALLOW_REAL_CREDENTIALS",
    "KGEN_BOOTSTRAP_SERVERS",
    "KGEN_CORPUS",
    "KGEN_LAB_CA",
    "KGEN_LAB_LOG",
    "KGEN_MAVEN_REPOSITORY",
    "KGEN_MOTO_SERVER",
    "KGEN_PICTURE",
    "KGEN_PROJECT",
    "KGEN_REDACT",
    "KGEN_SASL_PASSWORD",
    "KGEN_SASL_USERNAME",
    "KGEN_SECURITY",
    "KGEN_TERRAFORM_BIN",
    "KGEN_WRITE_SCHEMA",
];

/// Fronts of variables that kgen's own tests read.
const OF_TESTS: [&str; 2] = ["KGEN_TEST_", "KGEN_ATTACK_"];

/// How much of two names must be the same for one to be taken for the other, of 1.
const LIKENESS: f32 = 0.8;

/// Why the variable `name` cannot stand: it seems to be meant for kgen and sets nothing. A setting that someone
/// believes to be in force is worse than none. Variables that are like none of kgen's are left alone.
pub fn misspelt(name: &str) -> Option<StackError> {
    if OF_TESTS.iter().any(|front| name.starts_with(front)) {
        return None;
    }
    let rest = name.strip_prefix("KGEN_")?;
    let known: Vec<String> = keys().iter().map(|key| variable(key)).chain(OTHERS.map(str::to_owned)).collect();
    if known.iter().any(|known| known == name) {
        return None;
    }
    let upper = rest.to_ascii_uppercase();
    let likeness = |known: &str| similar::TextDiff::from_chars(upper.as_str(), &known["KGEN_".len()..]).ratio();
    let nearest = known.iter().map(|known| (likeness(known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    let nearest = nearest.filter(|(likeness, _)| *likeness >= LIKENESS).map(|(_, known)| known.clone());
    let open = OPEN.iter().find(|open| upper.starts_with(&variable(open)["KGEN_".len()..]));
    let message = match (nearest, open) {
        (Some(known), _) => {
            format!("is not a kgen variable; did you mean {known}? (`kgen config` lists the variables)")
        }
        (None, Some(open)) => format!("sets nothing: no variable can set this; write {open}… into kgen.toml"),
        (None, None) => return None,
    };
    Some(StackError::Environment { variable: name.to_owned(), message })
}

/// The variable for `key`: `KGEN_LOAD_RATE` for `load.rate`.
pub fn variable(key: &str) -> String {
    format!("KGEN_{}", key.replace('.', "_").to_ascii_uppercase())
}

/// Every key that a variable may set.
pub fn keys() -> Vec<String> {
    let mut keys: Vec<String> = flattened(&Config::default()).into_iter().map(|(key, _)| key).collect();
    keys.extend(OPTIONAL.map(|(key, _)| key.to_owned()));
    keys.retain(|key| !OPEN.iter().any(|open| key.starts_with(open)));
    keys.sort();
    keys
}

/// The stack of `text` with `overrides` in place of what it says.
///
/// # Errors
/// As [`Stack::parse`]; a value from the environment is named by its variable.
pub fn overridden(text: &str, overrides: &[Override]) -> Result<Stack, StackError> {
    let stack = Stack::parse(text)?;
    if overrides.is_empty() {
        return Ok(stack);
    }
    let mut table: Table = toml::from_str(text).map_err(|error| StackError::syntax(text, &error))?;
    let numbers =
        OPTIONAL.iter().filter(|(_, is_number)| *is_number).map(|(key, _)| ((*key).to_owned(), Value::Integer(0)));
    let defaults: Vec<_> = flattened(&Config::default()).into_iter().chain(numbers).collect();
    let mut config = stack.0;
    for Override { key, text } in overrides {
        let like = defaults.iter().find(|(known, _)| known == key).map(|(_, value)| value);
        let wrong = |message: String| StackError::Environment { variable: variable(key), message };
        set(&mut table, key, typed(text, like).map_err(wrong)?);
        config = config::filled(&table).map_err(|error| wrong(error.message().to_owned()))?;
    }
    match config.fault().or_else(|| config.in_vain(&table)) {
        None => Ok(Stack(config)),
        Some(fault) if overrides.iter().any(|set| set.key == fault.key) => {
            Err(StackError::Environment { variable: variable(&fault.key), message: fault.reason })
        }
        Some(fault) => Err(StackError::fault(text, fault)),
    }
}

/// Every key of `stack`, which was read from `text` with `overrides`, in the order of the keys.
pub fn settings(stack: &Stack, text: &str, overrides: &[Override]) -> Vec<Setting> {
    let written: Table = toml::from_str(text).unwrap_or_default();
    let mut values: Vec<(String, Option<Value>)> =
        flattened(&stack.0).into_iter().map(|(key, value)| (key, Some(value))).collect();
    let unset: Vec<_> =
        OPTIONAL.iter().map(|(key, _)| *key).filter(|key| !values.iter().any(|(known, _)| known == key)).collect();
    values.extend(unset.into_iter().map(|key| (key.to_owned(), None)));
    values.sort_by(|a, b| a.0.cmp(&b.0));
    let origin = |key: &str| {
        let mut parts = key.split('.');
        let first = parts.next().and_then(|first| written.get(first));
        if overrides.iter().any(|set| set.key == key) {
            Origin::Environment
        } else if parts.try_fold(first, |at, part| Some(at?.as_table()?.get(part))).flatten().is_some() {
            Origin::KgenToml { line: line_of(text, key) }
        } else {
            Origin::Default
        }
    };
    let has_variable = |key: &str| !OPEN.iter().any(|open| key.starts_with(open));
    values
        .into_iter()
        .map(|(key, value)| Setting {
            origin: origin(&key),
            variable: has_variable(&key).then(|| variable(&key)),
            value: value.map(|value| value.to_string()),
            key,
        })
        .collect()
}

/// The values of a configuration by their keys; a list is one value.
fn flattened(config: &Config) -> Vec<(String, Value)> {
    fn add(front: &str, table: &Table, into: &mut Vec<(String, Value)>) {
        for (name, value) in table {
            let key = if front.is_empty() { name.clone() } else { format!("{front}.{name}") };
            match value {
                Value::Table(table) => add(&key, table, into),
                value => into.push((key, value.clone())),
            }
        }
    }
    let table = Table::try_from(config).expect("a configuration was read from TOML");
    let mut values = Vec::new();
    add("", &table, &mut values);
    values
}

/// `text` as a value of the kind that `like` is; text, if that is not known.
fn typed(text: &str, like: Option<&Value>) -> Result<Value, String> {
    let number = |kind: &str| format!("{text:?} is not {kind}");
    Ok(match like {
        Some(Value::Integer(_)) => Value::Integer(text.trim().parse().map_err(|_| number("a whole number"))?),
        Some(Value::Float(_)) => Value::Float(text.trim().parse().map_err(|_| number("a number"))?),
        Some(Value::Boolean(_)) => Value::Boolean(text.trim().parse().map_err(|_| number("true or false"))?),
        Some(Value::Array(_)) => {
            Value::Array(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    })
}

fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((front, rest)) => {
            let inner = table.entry(front).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_by(pairs: &[(&str, &str)]) -> Vec<Override> {
        pairs.iter().map(|(key, text)| Override { key: (*key).to_owned(), text: (*text).to_owned() }).collect()
    }

    #[test]
    fn the_environment_goes_before_kgen_toml_and_that_before_the_default() {
        let text = "[load]\nrate = 700\nrecord_bytes = 512\n\n[tags]\nOwner = \"me\"\n";
        let overrides = set_by(&[("load.rate", "900"), ("cluster.broker_type", "kafka.m5.large")]);
        let stack = overridden(text, &overrides).unwrap();
        assert_eq!((stack.load_settings().rate, stack.load_settings().record_bytes), (900.0, 512));
        let settings = settings(&stack, text, &overrides);
        let check = |key: &str, value: Option<&str>, origin: Origin, variable: Option<&str>| {
            let found = settings.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("no {key}"));
            assert_eq!((found.value.as_deref(), &found.origin), (value, &origin), "{key}");
            assert_eq!(found.variable.as_deref(), variable);
        };
        check("load.rate", Some("900.0"), Origin::Environment, Some("KGEN_LOAD_RATE"));
        check("cluster.broker_type", Some("\"kafka.m5.large\""), Origin::Environment, Some("KGEN_CLUSTER_BROKER_TYPE"));
        check("load.record_bytes", Some("512"), Origin::KgenToml { line: Some(3) }, Some("KGEN_LOAD_RECORD_BYTES"));
        check("tags.Owner", Some("\"me\""), Origin::KgenToml { line: Some(6) }, None);
        check("load.duration_s", Some("600"), Origin::Default, Some("KGEN_LOAD_DURATION_S"));
        check("client.kgen_url", None, Origin::Default, Some("KGEN_CLIENT_KGEN_URL"));
        assert!(settings.is_sorted_by(|a, b| a.key < b.key));
    }

    #[test]
    fn every_variable_is_one_key() {
        let mut variables: Vec<String> = keys().iter().map(|key| variable(key)).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), keys().len());
        assert!(keys().contains(&"region".to_owned()) && keys().len() > 25, "{:?}", keys());
    }

    #[test]
    fn a_variable_that_is_nearly_one_of_kgens_is_refused() {
        let check = |name: &str, expected: Option<&str>| {
            let found = misspelt(name).map(|error| error.to_string());
            assert_eq!(found.is_some(), expected.is_some(), "{name}: {found:?}");
            assert!(found.is_none_or(|found| found.contains(expected.unwrap_or_default())), "{name}");
        };
        check("KGEN_CLUSTER_BROKER_TYP", Some("did you mean KGEN_CLUSTER_BROKER_TYPE?"));
        check("KGEN_cluster_broker_type", Some("did you mean KGEN_CLUSTER_BROKER_TYPE?"));
        check("KGEN_LOADRATE", Some("did you mean KGEN_LOAD_RATE?"));
        check("KGEN_TERAFORM_BIN", Some("did you mean KGEN_TERRAFORM_BIN?"));
        check("KGEN_TAGS_OWNER", Some("sets nothing: no variable can set this; write tags."));
        check("KGEN_LOAD_RATE", None);
        check("KGEN_TERRAFORM_BIN", None);
        check("KGEN_TEST_CHAOS", None);
        check("KGEN_SOMETHING_ELSE", None);
        check("OTHER", None);
    }

    #[test]
    fn the_zones_follow_the_region_of_the_environment() {
        let stack = overridden("", &set_by(&[("region", "eu-west-1")])).unwrap();
        assert_eq!(stack.zones(), ["eu-west-1a", "eu-west-1b", "eu-west-1c"]);
        let stack = overridden(
            "",
            &set_by(&[
                ("zones", "us-west-2a, us-west-2b"),
                ("network.subnet_cidrs", "10.0.1.0/24,10.0.2.0/24"),
                ("cluster.broker_count", "2"),
            ]),
        )
        .unwrap();
        assert_eq!(stack.zones(), ["us-west-2a", "us-west-2b"]);
    }

    #[test]
    fn a_wrong_value_is_named_by_its_variable() {
        let check = |key: &str, text: &str, expected: &str| {
            let error = overridden("", &set_by(&[(key, text)])).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check("load.rate", "fast", "KGEN_LOAD_RATE: \"fast\" is not a number");
        check("topic.partitions", "1.5", "KGEN_TOPIC_PARTITIONS: \"1.5\" is not a whole number");
        check("load.hot_keys", "yes", "KGEN_LOAD_HOT_KEYS: \"yes\" is not true or false");
        check("cluster.broker_type", "m5.large", "KGEN_CLUSTER_BROKER_TYPE: \"m5.large\" is not an MSK broker type");
        check("cluster.broker_count", "4", "KGEN_CLUSTER_BROKER_COUNT: 4 brokers cannot");
    }
}
