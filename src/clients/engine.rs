//! How scripts get to the machines.

use std::{sync::atomic::AtomicBool, time::Duration};

use super::{
    hosts::Hosts,
    script::Script,
    ssm::Ssm,
    task::{Progress, Ran, Task},
};

/// What carries a script to the machines and its output back.
#[derive(Debug)]
pub enum Engine {
    /// Run Command of Systems Manager, on AWS or in the lab.
    Ssm(Box<Ssm>),
    /// The system's ssh.
    Hosts(Hosts),
}

impl Engine {
    /// The machines, in the order of their names.
    ///
    /// # Errors
    /// They cannot be found out.
    pub fn machines(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Engine::Ssm(ssm) => ssm.machines(),
            Engine::Hosts(hosts) => Ok(hosts.hosts().to_vec()),
        }
    }

    /// Whether the machines are the lab's.
    pub fn is_lab(&self) -> bool {
        match self {
            Engine::Ssm(ssm) => ssm.is_lab(),
            Engine::Hosts(_) => false,
        }
    }

    /// Runs `script` on every machine until all have ended, `within` is over or `stop` is set. What a machine does not
    /// answer is in its [`Ran::lost`].
    ///
    /// # Errors
    /// It could not be begun anywhere.
    pub fn run(
        &self,
        tasks: &[Task],
        script: &Script,
        within: Duration,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Progress),
    ) -> anyhow::Result<Vec<Ran>> {
        match self {
            Engine::Ssm(ssm) => ssm.run(tasks, script, within, stop, tell),
            Engine::Hosts(hosts) => hosts.run(tasks, script, within, stop, tell),
        }
    }
}
