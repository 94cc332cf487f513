//! `kgen lab fault`: faults in the lab, which its own process causes.

use anyhow::anyhow;
use comfy_table::Table;

use crate::{
    cli::{
        Outcome,
        lab::{FaultCommand, FaultStart},
        refused,
    },
    commands::documents::{self, ListedFault, ListedFaults},
    lab::{
        fault::{Abilities, FAULTS, find},
        limits::Means,
        ssm::harm,
    },
    lab_api::FaultOrder,
    project::Project,
    sandbox::lab::{faults, folder, running, start_fault, stop_faults},
};

pub fn run(project: &Project, command: &FaultCommand) -> anyhow::Result<Outcome> {
    match command {
        FaultCommand::Start(args) => {
            let order = order(project, args)?;
            start_fault(project, &running(&folder(project))?, &order)?;
            if args.json {
                return list(project, true).map(|()| Outcome::Done);
            }
            println!("{} started; `kgen lab fault stop {}` undoes it", order.id, order.id);
        }
        FaultCommand::Stop(args) => {
            stop_faults(project, &running(&folder(project))?, args.id.as_deref())?;
            if args.json {
                return list(project, true).map(|()| Outcome::Done);
            }
            println!("{} undone", args.id.as_deref().map_or("every fault is".to_owned(), |id| format!("{id} is")));
        }
        FaultCommand::List(args) => list(project, args.json)?,
    }
    Ok(Outcome::Done)
}

/// What the arguments ask for, with the stack's cluster and topic.
///
/// # Errors
/// Refused: there is no such fault.
fn order(project: &Project, args: &FaultStart) -> anyhow::Result<FaultOrder> {
    if harm::find(&args.id).is_some() {
        let why = || refused(anyhow!("{} affects a client instance: name it with --instance", args.id));
        return Ok(FaultOrder {
            id: args.id.clone(),
            cluster: None,
            broker: None,
            instance: Some(args.instance.clone().ok_or_else(why)?),
            region: Some(project.stack().region().to_owned()),
            topic: None,
            strength: args.strength,
        });
    }
    let unknown = || {
        let of_instances = harm::FAULTS.iter().map(|fault| fault.id);
        let known: Vec<&str> = FAULTS.iter().map(|fault| fault.id).chain(of_instances).collect();
        refused(anyhow!("there is no fault {}; available: {}", args.id, known.join(", ")))
    };
    let fault = find(&args.id).ok_or_else(unknown)?;
    if args.instance.is_some() {
        return Err(refused(anyhow!("{} does not affect a client instance: omit --instance", args.id)));
    }
    let topic = args.topic.clone().unwrap_or_else(|| project.stack().topic().name.clone());
    Ok(FaultOrder {
        id: args.id.clone(),
        cluster: Some(project.stack().cluster().name.clone()),
        broker: args.broker,
        instance: None,
        region: None,
        topic: fault.needs_topic().then_some(topic),
        strength: args.strength,
    })
}

fn list(project: &Project, json: bool) -> anyhow::Result<()> {
    let folder = folder(project);
    let abilities = Abilities::detect(&Means::detect(), folder.path());
    let runs: Vec<String> = match folder.running().map_err(refused)? {
        Some(running) => faults(project, &running)?.into_iter().map(|fault| fault.id).collect(),
        None => Vec::new(),
    };
    let of_clusters = FAULTS.iter().map(|fault| (fault.id, fault.does, fault.obstacle(&abilities)));
    let of_instances = harm::FAULTS.iter().map(|fault| (fault.id, fault.does, fault.obstacle()));
    let listed = of_clusters.chain(of_instances).map(|(id, does, obstacle)| ListedFault {
        id: id.to_owned(),
        does: does.to_owned(),
        possible: obstacle.is_none(),
        obstacle,
        runs: runs.iter().any(|running| running == id),
    });
    let faults: Vec<ListedFault> = listed.collect();
    if json {
        return documents::print(ListedFaults { faults });
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["fault", "here", "what is done"]);
    for fault in &faults {
        let here = match (&fault.obstacle, fault.runs) {
            (_, true) => "runs".to_owned(),
            (None, false) => "yes".to_owned(),
            (Some(why), false) => format!("no: {why}"),
        };
        table.add_row([fault.id.clone(), here, fault.does.clone()]);
    }
    println!("{table}");
    Ok(())
}
