//! The machines of a load that the arguments and the stack name.

use anyhow::Context as _;

use super::look;
use crate::{
    aws::Aws,
    cli::{Which, load::Machines, refused},
    clients::{Chosen, Demand, Engine, Hosts, Ssm},
    files::bounded,
    load::mix::{Group, Sending},
    project::Project,
    stack::run_command,
    watch::{Place, runtime},
};

/// What carries a load to the machines that are named.
///
/// # Errors
/// Refused: the hosts cannot be read, or it is not clear where the instances are.
pub fn engine(machines: &Machines, which: &Which, project: &Project) -> anyhow::Result<Engine> {
    if let Some(path) = &machines.hosts {
        let reading = || format!("reading the hosts of {}", path.display());
        let text = bounded::text(path, bounded::TEXT_BYTES).with_context(reading).map_err(refused)?;
        return Ok(Engine::Hosts(Hosts::read("ssh".into(), &text).with_context(reading).map_err(refused)?));
    }
    let runtime = runtime()?;
    let aws: Aws = runtime.block_on(async {
        let target = look::target(which, project, false).await?;
        anyhow::Ok(Place::Environment.aws(&target.region.name).await)
    })?;
    let bucket = machines.results_bucket.clone();
    if let Some(tag) = &machines.client_tag {
        let chosen = Chosen::read(tag).map_err(refused)?;
        return Ok(Engine::Ssm(Box::new(Ssm::new(runtime, aws, chosen, bucket))));
    }
    let document = run_command::document_name(&project.stack().cluster().name);
    let ssm = Ssm::new(runtime, aws, of_the_stack(project), bucket);
    let ssm = ssm.with_document(&document, run_command::BUCKET_PARAMETER).map_err(refused)?;
    Ok(Engine::Ssm(Box::new(ssm)))
}

/// What a load means for the network of these machines.
pub fn demand(machines: &Machines, senders: Vec<Sending>, groups: Vec<Group>, project: &Project) -> Demand {
    let is_of_the_stack = machines.on.is_some() && machines.client_tag.is_none();
    let instance_type = is_of_the_stack.then(|| project.stack().client().instance_type.clone());
    Demand { senders, groups, instance_type, beyond_baseline: machines.beyond_baseline }
}

/// The names that the stack gives its client instances.
fn of_the_stack(project: &Project) -> Chosen {
    let stack = project.stack();
    let name = format!("{}-client", stack.cluster().name);
    let values = match stack.client().count {
        1 => vec![name],
        count => (0..count).map(|number| format!("{name}-{number}")).collect(),
    };
    let count = Some(values.len());
    Chosen { tag: "Name".to_owned(), values, count }
}
