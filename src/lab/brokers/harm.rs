//! What faults do to brokers. Each is undone by another of these, or by the broker's next start.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use rustix::process::Signal;

use super::{Broker, Fleet, Machine, Properties, STOP_GRACE, local};
use crate::{catalogue::BrokerType, lab::limits::DiskLimit, process::Server, sample::BrokerId};

/// A limit by duty cycle sees within this that it is lifted, and sends no more signals.
const DUTY_ENDS_WITHIN: Duration = Duration::from_millis(50);

impl Fleet {
    pub fn ids(&self) -> Vec<BrokerId> {
        self.brokers.keys().copied().collect()
    }

    pub fn machine(&self) -> &Machine {
        &self.config.machine
    }

    pub fn broker_type(&self) -> BrokerType {
        self.config.broker_type
    }

    /// The plaintext listener of a broker of this fleet.
    pub fn address(&self, id: BrokerId) -> SocketAddr {
        local(self.identity.ports.get(&id).map_or(0, |ports| ports.plaintext))
    }

    /// `host:port,host:port` of every broker, whether it runs or not.
    pub fn bootstrap(&self) -> String {
        self.bootstrap_servers().join(",")
    }

    /// `None` when it does not run.
    pub fn pid(&self, id: BrokerId) -> Option<u32> {
        self.brokers.get(&id)?.server.as_ref().map(Server::pid)
    }

    pub fn data_dir(&self, id: BrokerId) -> PathBuf {
        self.layout.data_dir(id)
    }

    /// A fault on the network of the broker has held back or dropped so many packets.
    pub fn shaped(&self, id: BrokerId, packets: u64) {
        if let Some(broker) = self.brokers.get(&id) {
            broker.watched.shaped(packets);
        }
    }

    /// The broker is `share` of its size, and its CPU is counted by that.
    ///
    /// # Errors
    /// What the kernel says to the quota.
    pub fn shrink(&self, id: BrokerId, share: f64) -> anyhow::Result<()> {
        let broker = self.broker(id)?;
        broker.watched.shrink(&broker.size, share).with_context(|| format!("limiting the CPU of broker {id}"))
    }

    /// The broker may use `share` of what it has.
    ///
    /// # Errors
    /// What the kernel says to the quota.
    pub fn hold_back(&self, id: BrokerId, share: f64) -> anyhow::Result<()> {
        self.broker(id)?.watched.hold_back(share).with_context(|| format!("limiting the CPU of broker {id}"))
    }

    /// The broker has the CPU of its size again.
    ///
    /// # Errors
    /// What the kernel says to the quota.
    pub fn own_cpu(&self, id: BrokerId) -> anyhow::Result<()> {
        self.shrink(id, 1.0)
    }

    /// # Errors
    /// The brokers have no credits.
    pub fn spend_credits(&self) -> anyhow::Result<()> {
        let spent = self.brokers.values().filter(|broker| broker.watched.spend_credits()).count();
        anyhow::ensure!(
            spent == self.brokers.len(),
            "{} has no CPU credits here: only T3 types have them, in a lab started with `kgen lab up --t3 credits`",
            self.config.broker_type
        );
        Ok(())
    }

    /// Stops the broker in its tracks.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&mut self, id: BrokerId) -> anyhow::Result<()> {
        let broker = self.broker_mut(id)?;
        let server = broker.server.as_mut().with_context(|| format!("broker {id} is not running"))?;
        // Else a limit by duty cycle would let it continue.
        broker.watched.release();
        std::thread::sleep(DUTY_ENDS_WITHIN);
        server.signal(Signal::STOP);
        Ok(())
    }

    /// Lets a paused broker continue.
    ///
    /// # Errors
    /// What the kernel says to its quota.
    pub fn resume(&mut self, id: BrokerId) -> anyhow::Result<()> {
        let broker = self.broker_mut(id)?;
        if let Some(server) = &mut broker.server {
            server.signal(Signal::CONT);
            broker.watched.settle().with_context(|| format!("limiting the CPU of broker {id}"))?;
        }
        Ok(())
    }

    /// The broker is not started again when it ends, until [`Fleet::start_again`] or a change of the cluster does it.
    pub fn keep_down(&mut self, id: BrokerId) {
        self.down.insert(id);
    }

    /// # Errors
    /// There is no such broker.
    pub fn kill(&mut self, id: BrokerId) -> anyhow::Result<()> {
        let broker = self.broker_mut(id)?;
        // Dropping kills it.
        drop(broker.server.take());
        broker.watched.ended();
        Ok(())
    }

    /// Ends the broker in order, if it runs.
    ///
    /// # Errors
    /// There is no such broker.
    pub fn stop_one(&mut self, id: BrokerId) -> anyhow::Result<()> {
        let broker = self.broker_mut(id)?;
        broker.watched.release();
        if let Some(server) = broker.server.take() {
            server.stop(STOP_GRACE);
        }
        broker.watched.ended();
        Ok(())
    }

    /// Starts the broker, unless it runs, and waits until it serves.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn start_again(&mut self, id: BrokerId) -> anyhow::Result<()> {
        self.down.remove(&id);
        let runs = |broker: &mut Broker| broker.server.as_mut().is_some_and(|server| server.ended().is_none());
        if runs(self.broker_mut(id)?) {
            return Ok(());
        }
        let user = Properties::parse(&self.config.server_properties)?;
        self.start_brokers(vec![id], &user).with_context(|| format!("starting broker {id}"))
    }

    /// Starts the broker again with another heap, or with that of its size, unless it has that already.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn restart_with_heap(&mut self, id: BrokerId, mib: Option<u64>) -> anyhow::Result<()> {
        let before = match mib {
            Some(mib) => self.heaps.insert(id, mib),
            None => self.heaps.remove(&id),
        };
        if before == mib {
            return Ok(());
        }
        self.stop_one(id)?;
        self.start_again(id)
    }

    /// Holds the broker's writes to its disk back, or no more.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn limit_disk(&self, id: BrokerId, limit: Option<DiskLimit>) -> anyhow::Result<()> {
        let data = self.data_dir(id);
        self.broker(id)?.watched.limit_disk(&data, limit).with_context(|| format!("limiting the disk of broker {id}"))
    }

    /// Starts the controller again with these properties over its own; the brokers continue meanwhile.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn restart_controller(&mut self, settings: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut user = Properties::parse(&self.config.server_properties)?;
        settings.iter().for_each(|(name, value)| user.set(name, value));
        self.controller_again(&user)
    }

    fn broker(&self, id: BrokerId) -> anyhow::Result<&Broker> {
        self.brokers.get(&id).with_context(|| format!("there is no broker {id}"))
    }

    fn broker_mut(&mut self, id: BrokerId) -> anyhow::Result<&mut Broker> {
        self.brokers.get_mut(&id).with_context(|| format!("there is no broker {id}"))
    }
}
