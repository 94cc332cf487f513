//! The load that the arguments name, with what the stack says where they say nothing.

use std::time::Duration;

use anyhow::Context as _;

use super::place::{Found, Reached, reached};
use crate::{
    cli::{
        Capacity,
        load::{Consume, Produce},
        mix::{Mix, completed},
        refused,
    },
    edge,
    kafka::{ClusterMetadata, Connection, REACHABLE_WITHIN},
    load::{
        consumer::ConsumerConfig,
        mix::{Group, Sending},
        pacer::Rate,
        part::Part,
        payload::Payload,
        producer::{Load, ProducerConfig, new_run},
    },
    project::Project,
    stack::Stack,
};

/// How long a trial waits for outstanding answers.
const FLUSH_WITHIN: Duration = Duration::from_secs(10);

/// What is sent where, and the cluster if it was looked up.
pub fn producer_config(args: &Produce, project: &Project) -> anyhow::Result<(ProducerConfig, Option<Found>)> {
    ensure_sizes_apply(args)?;
    let Reached { connection, cluster } = reached(&args.brokers, project)?;
    Ok((producer_config_at(args, connection, project)?, cluster))
}

/// What is sent to brokers that are known.
///
/// # Errors
/// Refused: options that do not go together.
pub fn producer_config_at(args: &Produce, connection: Connection, project: &Project) -> anyhow::Result<ProducerConfig> {
    ensure_sizes_apply(args)?;
    let default = Load::of_stack(project.stack());
    let rate = args.rate.clone().unwrap_or(default.rate);
    Ok(ProducerConfig {
        run: args.run_id.unwrap_or_else(new_run),
        load: Load {
            topics: if args.topic.is_empty() { default.topics } else { args.topic.clone() },
            duration: args.duration.or(rate.length()).unwrap_or(default.duration),
            rate,
            max_records: args.records.unwrap_or(u64::MAX),
            record_size: args.record_size.unwrap_or(default.record_size),
            keys: args.keys.unwrap_or(default.keys),
            payload: args.payload.clone(),
            headers: args.headers.clone(),
            seed: args.seed,
        },
        connection,
        acks: args.acks,
        idempotent: args.idempotent,
        transactions: args.transactions,
        compression: args.compression.clone(),
        clients: args.clients,
        part: args.part.unwrap_or(Part::WHOLE),
        start_at: args.start_at,
        runs: project.runs_dir(),
        flush_within: args.flush_within,
    })
}

/// What is read where.
pub fn consumer_config(args: &Consume, connection: Connection, stack: &Stack) -> ConsumerConfig {
    ConsumerConfig {
        connection,
        topics: if args.topic.is_empty() { vec![stack.topic().name.clone()] } else { args.topic.clone() },
        group: args.group.clone(),
        from_beginning: args.from == "beginning",
        max_records: args.max.unwrap_or(u64::MAX),
        duration: args.duration.unwrap_or(std::time::Duration::MAX),
        delay: args.delay,
        rate: args.rate,
        stalls: args.stalls.clone(),
    }
}

/// The load of the trials, but for its rate and duration.
///
/// # Errors
/// Refused: settings that do not go together.
pub fn trial_config(args: &Capacity, project: &Project, connection: Connection) -> anyhow::Result<ProducerConfig> {
    let default = Load::of_stack(project.stack());
    let load = Load {
        topics: args.topic.clone().map_or(default.topics.clone(), |topic| vec![topic]),
        rate: Rate::Constant(1.0),
        record_size: args.record_size.unwrap_or(default.record_size),
        keys: args.keys.unwrap_or(default.keys),
        payload: args.payload.clone(),
        ..default
    };
    let producer = ProducerConfig {
        run: new_run(),
        load,
        connection,
        acks: args.acks,
        idempotent: false,
        transactions: None,
        compression: args.compression.clone(),
        clients: args.clients,
        part: Part::WHOLE,
        start_at: None,
        runs: project.runs_dir(),
        flush_within: FLUSH_WITHIN,
    };
    producer.validate().map_err(refused)?;
    Ok(producer)
}

/// The text of a mix, completed with what the stack says where it says nothing, and what it means.
///
/// # Errors
/// As [`Mix::read`].
pub fn read_mix(text: &str, stack: &Stack) -> anyhow::Result<(String, Mix)> {
    let stacks = Load::of_stack(stack);
    let topic = ("topic", stack.topic().name.clone());
    let producer = [
        topic.clone(),
        ("rate", stacks.rate.to_string()),
        ("record-size", stacks.record_size.to_string()),
        ("keys", stacks.keys.to_string()),
    ];
    let text = completed(text, &producer, &[topic])?;
    let mut mix = Mix::read(&text)?;
    for producer in &mut mix.producers {
        let args = &mut producer.args;
        args.duration = args.duration.or(args.rate.as_ref().and_then(|rate| rate.length())).or(Some(stacks.duration));
    }
    Ok((text, mix))
}

/// The producers and groups of `mix` with the brokers of the command line.
///
/// # Errors
/// Refused: options that do not go together.
pub fn plan_mix(
    mix: &Mix,
    run: u64,
    part: Part,
    connection: &Connection,
    project: &Project,
) -> anyhow::Result<(Vec<Sending>, Vec<Group>)> {
    let mut senders = Vec::new();
    for (number, producer) in (0..).zip(&mix.producers) {
        let mut config = producer_config_at(&producer.args, connection.clone(), project)?;
        config.run = run.wrapping_add(number);
        config.part = part;
        let name = || format!("producer {}", producer.name);
        config.validate().with_context(name).map_err(refused)?;
        senders.push(Sending { name: producer.name.clone(), after: producer.after, config });
    }
    let groups = mix.groups.iter().map(|group| Group {
        name: group.name.clone(),
        after: group.after,
        members: group.members,
        config: consumer_config(&group.args, connection.clone(), project.stack()),
    });
    Ok((senders, groups.collect()))
}

/// Checks that the topics exist.
///
/// # Errors
/// Refused: one of them is not there.
pub fn ensure_topics(topics: &[String], cluster: &ClusterMetadata) -> anyhow::Result<()> {
    match topics.iter().find(|topic| !cluster.topics.contains_key(*topic)) {
        Some(topic) => {
            Err(refused(anyhow::anyhow!("there is no topic `{topic}` (`kgen topic create {topic}` creates it)")))
        }
        None => Ok(()),
    }
}

/// Checks that the topics exist, where the brokers answer from here.
///
/// # Errors
/// Refused: one does not.
pub fn ensure_topics_from_here(topics: &[String], connection: &Connection) -> anyhow::Result<()> {
    // Brokers of a VPC may be within reach of the machines alone; they say so themselves.
    match connection.ensure_reachable(REACHABLE_WITHIN) {
        Ok(cluster) => ensure_topics(topics, &cluster)?,
        Err(error) => edge::message(format_args!("note: from here, {error:#}; the machines may reach them\n")),
    }
    Ok(())
}

fn ensure_sizes_apply(args: &Produce) -> anyhow::Result<()> {
    if matches!(args.payload, Payload::Lines(_)) && args.record_size.is_some() {
        return Err(refused(anyhow::anyhow!(
            "--record-size applies only to --payload json and random: lines have their own sizes"
        )));
    }
    Ok(())
}
