//! A crew without brokers, so that the control plane can be tried in milliseconds.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;

use crate::lab::{
    cluster::{Endpoints, Job, Report, Work},
    crew::{Assignment, Task, remove},
};

/// Does every job at once; a cluster named `slow…` takes a second, and one named `broken…` never starts.
pub fn run_without_brokers(assignment: Assignment) {
    let Assignment { dir, tasks, report, show, .. } = assignment;
    let mut brokers: Vec<Endpoints> = Vec::new();
    let mut pace = Duration::ZERO;
    for task in tasks {
        match task {
            Task::Job(Job::Start(config)) => {
                if config.cluster_name.starts_with("broken") {
                    report(Report::Started(Err("no broker came up".to_owned())));
                    continue;
                }
                if config.cluster_name.starts_with("slow") {
                    pace = Duration::from_secs(1);
                }
                std::fs::create_dir_all(&dir).unwrap();
                brokers = (1..=config.broker_count).map(|id| broker(id, &config.zones)).collect();
                show(brokers.iter().map(|broker| (broker.id, json!({ "pid": 7 }))).collect());
                report(Report::Started(Ok(brokers.clone())));
            }
            Task::Job(Job::Operate { operation, work }) => {
                std::thread::sleep(pace);
                if let Work::AddBrokers(count) = work {
                    let zones: Vec<_> = brokers.iter().map(|broker| broker.zone.clone()).collect();
                    brokers.extend((brokers.len() as u32 + 1..=count).map(|id| broker(id, &zones)));
                }
                for id in brokers.iter().map(|broker| broker.id) {
                    report(Report::Step { operation: operation.clone(), broker: id, done: true });
                }
                report(Report::Operated { operation, result: Ok(brokers.clone()) });
            }
            Task::Job(Job::Delete) => report(Report::Deleted(remove(&dir))),
            Task::MaxPartitions(answer) => answer.send(Ok(7)).unwrap_or_default(),
            Task::AlterUsers(_, answer) => answer.send(Ok(())).unwrap_or_default(),
            Task::Fault(_, answer) => answer.send(Ok(json!([]))).unwrap_or_default(),
        }
    }
}

fn broker(id: u32, zones: &[String]) -> Endpoints {
    let at = |base: u32| SocketAddr::from(([127, 0, 0, 1], (base + id) as u16));
    let zone = zones[(id as usize - 1) % zones.len()].clone();
    Endpoints { id: id as i32, zone, plaintext: at(19090), tls: None, scram: None, jmx: at(19190), node: at(19290) }
}
