//! The file of `kgen load`: each table is the arguments of `kgen produce` or `kgen consume`, by their names.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, Command as Definition};
use toml::{Table, Value};

use super::load::{Consume, Produce};
use crate::load::pacer;

/// Producers and groups of one load, together.
const MOST: usize = 64;
/// Members of a group on one machine.
const MOST_MEMBERS: i64 = 64;
/// How long groups go on after the last producer.
const DRAIN: Duration = Duration::from_secs(10);
/// What the command line of `kgen load` says for all of them, or what one load cannot have.
const NOT_HERE: [&str; 17] = [
    "bootstrap-servers",
    "client-tag",
    "cluster",
    "hosts",
    "json",
    "json-stream",
    "max",
    "on",
    "part",
    "plain",
    "region",
    "results-bucket",
    "run-id",
    "security",
    "start-at",
    "start-in",
    "verify",
];

/// A mix as its file describes it.
#[derive(Debug)]
pub struct Mix {
    pub drain: Duration,
    pub producers: Vec<Producer>,
    pub groups: Vec<Group>,
}

#[derive(Debug)]
pub struct Producer {
    pub name: String,
    pub after: Duration,
    pub args: Produce,
}

#[derive(Debug)]
pub struct Group {
    pub name: String,
    pub after: Duration,
    pub members: u16,
    pub args: Consume,
}

/// The file with what it leaves out of `producer` and of `consumer` tables, by the names of options.
///
/// # Errors
/// It is not TOML.
pub fn completed(text: &str, producer: &[(&str, String)], consumer: &[(&str, String)]) -> anyhow::Result<String> {
    let mut file: Table = text.parse().map_err(|error| anyhow!("{error}"))?;
    for (kind, defaults) in [("producer", producer), ("consumer", consumer)] {
        let tables = file.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten();
        for table in tables.filter_map(Value::as_table_mut) {
            // Lines have their own sizes.
            let has_lines = table.get("payload").and_then(Value::as_str).is_some_and(|text| text.starts_with("lines:"));
            for (name, value) in defaults.iter().filter(|(name, _)| !(has_lines && *name == "record-size")) {
                if !table.keys().any(|key| option(key) == *name) {
                    table.insert((*name).to_owned(), Value::String(value.clone()));
                }
            }
        }
    }
    toml::to_string(&file).context("completing the load")
}

/// The file of a load that is one group.
pub fn of_one_group(args: &Consume) -> String {
    let seconds = |time: Duration| format!("{}s", time.as_secs_f64());
    let mut table = Table::new();
    let mut put = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
    put("group", args.group.clone().into());
    put("from", args.from.clone().into());
    put("delay", seconds(args.delay).into());
    if !args.topic.is_empty() {
        put("topic", args.topic.clone().into());
    }
    if let Some(duration) = args.duration {
        put("duration", seconds(duration).into());
    }
    if let Some(rate) = args.rate {
        put("rate", rate.into());
    }
    if let Some(slo) = &args.slo {
        put("slo", slo.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",").into());
    }
    let stalls = args.stalls.iter().map(|stall| format!("{}@{}", seconds(stall.length), seconds(stall.from)));
    put("stall", stalls.collect::<Vec<_>>().into());
    let mut file = Table::new();
    file.insert("consumer".to_owned(), Value::Array(vec![table.into()]));
    file.to_string()
}

impl Mix {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not TOML, or a table has a key that its command does not know, or a value that it does not take.
    pub fn read(text: &str) -> anyhow::Result<Mix> {
        let mut file: Table = text.parse().map_err(|error| anyhow!("{error}"))?;
        let drain = time(&mut file, "drain")?.unwrap_or(DRAIN);
        let mut tables = |kind: &str| match file.remove(kind) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => list
                .into_iter()
                .map(|value| match value {
                    Value::Table(table) => Ok(table),
                    _ => Err(anyhow!("{kind} is not a list of tables: write [[{kind}]]")),
                })
                .collect(),
            Some(_) => Err(anyhow!("{kind} is not a list of tables: write [[{kind}]]")),
        };
        let (producers, groups) = (tables("producer")?, tables("consumer")?);
        if let Some(key) = file.keys().next() {
            bail!("there is no {key} in a load: it has drain, [[producer]] and [[consumer]]");
        }
        let producers = (1..).zip(producers).map(|(number, table)| producer(number, table));
        let groups = (1..).zip(groups).map(|(number, table)| group(number, table));
        let mix = Mix {
            drain,
            producers: producers.collect::<anyhow::Result<_>>()?,
            groups: groups.collect::<anyhow::Result<_>>()?,
        };
        mix.check()?;
        Ok(mix)
    }

    fn check(&self) -> anyhow::Result<()> {
        let names = || self.producers.iter().map(|one| &one.name).chain(self.groups.iter().map(|one| &one.name));
        let count = names().count();
        ensure!((1..=MOST).contains(&count), "a load has 1 to {MOST} producers and consumers, this has {count}");
        ensure!(names().collect::<BTreeSet<_>>().len() == count, "two producers or consumers have the same name");
        let plain =
            |name: &&String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if let Some(name) = names().find(|name| !plain(name)) {
            bail!("{name:?} is no name: use letters, digits, -, _ and .");
        }
        if let Some(group) = self.groups.iter().find(|one| self.producers.is_empty() && one.args.duration.is_none()) {
            bail!("consumer {} needs a duration: no producer ends before it", group.name);
        }
        Ok(())
    }
}

fn producer(number: usize, mut table: Table) -> anyhow::Result<Producer> {
    let name = text(&mut table, "name")?.unwrap_or_else(|| format!("producer-{number}"));
    let what = || format!("producer {name}");
    let after = time(&mut table, "after").with_context(what)?.unwrap_or_default();
    let args = parsed::<Produce>("produce", table).with_context(what)?;
    Ok(Producer { name, after, args })
}

fn group(number: usize, mut table: Table) -> anyhow::Result<Group> {
    let name = text(&mut table, "name")?.unwrap_or_else(|| match table.get("group") {
        Some(Value::String(group)) => group.clone(),
        _ => format!("consumer-{number}"),
    });
    let what = || format!("consumer {name}");
    let after = time(&mut table, "after").with_context(what)?.unwrap_or_default();
    let members = match table.remove("members") {
        None => 1,
        Some(Value::Integer(members)) if (1..=MOST_MEMBERS).contains(&members) => members as u16,
        Some(other) => bail!("consumer {name}: members is {other}, not 1 to {MOST_MEMBERS}"),
    };
    let args = parsed::<Consume>("consume", table).with_context(what)?;
    Ok(Group { name, after, members, args })
}

fn text(table: &mut Table, key: &str) -> anyhow::Result<Option<String>> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => bail!("{key} is {other}, not a text"),
    }
}

fn time(table: &mut Table, key: &str) -> anyhow::Result<Option<Duration>> {
    let text = match table.remove(key) {
        None => return Ok(None),
        Some(Value::String(text)) => text,
        Some(Value::Integer(seconds)) => seconds.to_string(),
        Some(other) => bail!("{key} is {other}, not a time such as \"30s\""),
    };
    pacer::duration(&text).map(Some).map_err(|error| anyhow!("{key}: {error}"))
}

/// The option of a key.
fn option(key: &str) -> String {
    key.replace('_', "-")
}

/// The arguments of a command that a table says.
fn parsed<A: Args>(command: &str, table: Table) -> anyhow::Result<A> {
    let mut words = vec![format!("kgen {command}")];
    for (key, value) in table {
        let option = option(&key);
        ensure!(!NOT_HERE.contains(&option.as_str()), "{key} is not a key of a producer or consumer of a load");
        match value {
            Value::Boolean(false) => {}
            Value::Boolean(true) => words.push(format!("--{option}")),
            Value::Array(list) => {
                for value in &list {
                    words.push(format!("--{option}={}", word(&key, value)?));
                }
            }
            Value::Table(pairs) => {
                for (name, value) in &pairs {
                    words.push(format!("--{option}={name}={}", word(&key, value)?));
                }
            }
            value => words.push(format!("--{option}={}", word(&key, &value)?)),
        }
    }
    let command = A::augment_args(Definition::new("kgen").disable_help_flag(true));
    let matches = command.try_get_matches_from(words).map_err(|error| said(&error))?;
    A::from_arg_matches(&matches).map_err(|error| said(&error))
}

/// What clap says first.
fn said(error: &clap::Error) -> anyhow::Error {
    let rendered = error.render().to_string();
    let first = rendered.split("\n\n").next().unwrap_or_default();
    anyhow!("{}", first.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" "))
}

fn word(key: &str, value: &Value) -> anyhow::Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        other => bail!("{key} is {other}, not a text or a number"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIX: &str = r#"
        drain = "3s"
        [[producer]]
        name = "orders"
        topic = ["a", "b"]
        rate = "100..900"
        record_size = 500
        duration = "1m"
        idempotent = true
        header = { source = "mix" }
        [[producer]]
        after = "30s"
        rate = 5.5
        [[consumer]]
        group = "billing"
        members = 2
        delay = "5ms"
        stall = ["1s@2s", "1s@9s"]
    "#;

    #[test]
    fn a_table_is_the_arguments_of_its_command() {
        let mix = Mix::read(MIX).unwrap();
        assert_eq!((mix.drain, mix.producers.len(), mix.groups.len()), (Duration::from_secs(3), 2, 1));
        let orders = &mix.producers[0];
        assert_eq!((orders.name.as_str(), &orders.args.topic[..]), ("orders", &["a".to_owned(), "b".to_owned()][..]));
        assert!(orders.args.idempotent && orders.args.rate.is_some());
        assert_eq!(orders.args.headers, [("source".to_owned(), "mix".to_owned())]);
        assert_eq!((mix.producers[1].name.as_str(), mix.producers[1].after), ("producer-2", Duration::from_secs(30)));
        let billing = &mix.groups[0];
        assert_eq!((billing.name.as_str(), billing.members, billing.args.stalls.len()), ("billing", 2, 2));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_table() {
        for (text, words) in [
            ("", "this has 0"),
            ("x = 1", "there is no x in a load"),
            ("[producer]", "write [[producer]]"),
            ("[[producer]]\nname = 'o'\nspeed = 1", "producer o: unexpected argument '--speed'"),
            ("[[producer]]\nname = 'o'\nrate = 'fast'", "producer o: invalid value 'fast' for '--rate"),
            ("[[producer]]\nname = 'o'\nbootstrap_servers = 'h:1'", "producer o: bootstrap_servers is not a key"),
            ("[[producer]]\nname = 'a b'", "\"a b\" is no name"),
            ("[[producer]]\n[[consumer]]\nname = 'producer-1'", "the same name"),
            ("[[consumer]]\ngroup = 'g'", "consumer g needs a duration"),
            ("[[producer]]\n[[consumer]]\nmembers = 0", "members is 0"),
        ] {
            let error = format!("{:#}", Mix::read(text).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_left_out_is_completed() {
        let text = completed(MIX, &[("rate", "7".into()), ("topic", "t".into())], &[("topic", "t".into())]).unwrap();
        let mix = Mix::read(&text).unwrap();
        assert_eq!(mix.producers[0].args.topic, ["a", "b"]);
        assert_eq!(
            (&mix.producers[1].args.topic[..], &mix.groups[0].args.topic[..]),
            (&["t".to_owned()][..], &["t".to_owned()][..])
        );
        assert_eq!(mix.producers[1].args.rate, Some("5.5".parse().unwrap()));
    }
}
