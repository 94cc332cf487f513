//! `kgen topic`: what kafka-topics does.

use std::path::Path;

use super::{
    console::{answer_to, ensure_confirmable},
    documents::{self, TopicChange, TopicOutcome},
    place::connection,
};
use crate::{
    cli::{
        Outcome,
        load::{Topic, TopicAction},
        refused,
    },
    kafka::{
        REACHABLE_WITHIN,
        admin::{Admin, TopicError, TopicSpec},
    },
    project::Project,
    text,
};

pub fn run(args: Topic, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let stack = project.stack();
    let connection = connection(args.brokers(), &project)?;
    let cluster = connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    let admin = Admin::connect(&connection)?;
    match args.action {
        TopicAction::Create {
            topic, partitions, replication_factor, configs, if_not_exists, dry_run, json, ..
        } => {
            let configs = configs.into_iter().collect();
            let topic = topic.unwrap_or_else(|| stack.topic().name.clone());
            let partitions = partitions.unwrap_or(stack.topic().partitions as i32);
            let replication_factor = replication_factor.unwrap_or(stack.topic().replication_factor as i32);
            let spec = TopicSpec { name: topic.clone(), partitions, replication_factor, configs };
            let created = if dry_run { spec.check(&cluster) } else { admin.create(&spec) };
            let outcome = match created {
                Ok(()) if dry_run => TopicOutcome::WouldCreate,
                Ok(()) => TopicOutcome::Created,
                Err(TopicError::Exists(_)) if if_not_exists => TopicOutcome::Exists,
                Err(error @ (TopicError::Exists(_) | TopicError::TooFewBrokers { .. })) => return Err(refused(error)),
                Err(error) => return Err(error.into()),
            };
            let (partitions, replication_factor) = match (outcome, cluster.topics.get(&topic)) {
                (TopicOutcome::Exists, Some(there)) => (*there, None),
                _ => (partitions as usize, Some(replication_factor)),
            };
            show(TopicChange { topic, partitions, replication_factor, outcome }, json)?;
        }
        TopicAction::Describe { topic, json, .. } => {
            let topic = topic.unwrap_or_else(|| stack.topic().name.clone());
            let topic = admin.describe(&topic).map_err(|error| match error {
                TopicError::Missing(_) => refused(error),
                error => error.into(),
            })?;
            if json {
                documents::print(topic)?;
                return Ok(Outcome::Done);
            }
            println!("{}", text::topic::described(&topic));
        }
        TopicAction::Delete { topic, dry_run, yes, json, .. } => {
            let partitions = *cluster.topics.get(&topic).ok_or_else(|| refused(TopicError::Missing(topic.clone())))?;
            if !dry_run && !yes && !confirmed(&topic, partitions)? {
                return Err(refused(anyhow::anyhow!("topic `{topic}` was not deleted: it was not confirmed")));
            }
            let outcome = if dry_run { TopicOutcome::WouldDelete } else { TopicOutcome::Deleted };
            if !dry_run {
                admin.delete(&topic).map_err(|error| match error {
                    TopicError::Missing(_) => refused(error),
                    error => error.into(),
                })?;
            }
            show(TopicChange { topic, partitions, replication_factor: None, outcome }, json)?;
        }
    }
    Ok(Outcome::Done)
}

fn show(change: TopicChange, json: bool) -> anyhow::Result<()> {
    if json {
        return documents::print(change);
    }
    println!("{}", text::topic::change(&change));
    Ok(())
}

fn confirmed(topic: &str, partitions: usize) -> anyhow::Result<bool> {
    ensure_confirmable(false, "topic delete")?;
    let question = format!("Delete topic {topic}, {partitions} partitions and every record in them? Type its name: ");
    Ok(answer_to(&question)? == topic)
}
