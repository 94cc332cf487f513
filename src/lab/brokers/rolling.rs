//! Changes that restart the nodes of a fleet one after the other: another type, other server properties, a reboot.

use std::{ops::ControlFlow, time::Duration};

use anyhow::{Context, bail};

use super::{Fleet, Properties, STOP_GRACE};
use crate::{catalogue::BrokerType, process::await_until, sample::BrokerId};

/// How long replicas may take to be in sync again after a restart.
const SYNC_TIMEOUT: Duration = Duration::from_secs(180);
/// Time between two looks at that.
const SYNC_LOOK_EVERY: Duration = Duration::from_millis(250);

impl Fleet {
    /// Restarts each broker as `to`, one at a time; the next when no partition is under-replicated.
    /// `step` is called with each broker as it begins and as it is done.
    ///
    /// # Errors
    /// A broker did not come back, or replicas were not in sync in time; the brokers after it are as they were.
    pub fn change_type(&mut self, to: BrokerType, step: &mut dyn FnMut(BrokerId, bool)) -> anyhow::Result<()> {
        let user = Properties::parse(&self.config.server_properties)?;
        let ids: Vec<BrokerId> = self.brokers.keys().copied().collect();
        self.config.broker_type = to;
        self.roll(&ids, &user, step)
    }

    /// Applies new server properties by a rolling restart, the controller last.
    ///
    /// # Errors
    /// Also properties that Kafka refuses, in its own words; the broker that tried them runs with the old ones again.
    pub fn configure(&mut self, server_properties: &str, step: &mut dyn FnMut(BrokerId, bool)) -> anyhow::Result<()> {
        let (old, new) = (Properties::parse(&self.config.server_properties)?, Properties::parse(server_properties)?);
        let ids: Vec<BrokerId> = self.brokers.keys().copied().collect();
        for id in &ids {
            if let Err(error) = self.roll(&[*id], &new, step) {
                self.roll(&[*id], &old, &mut |_, _| {}).context("restoring the previous server properties")?;
                return Err(error);
            }
        }
        self.config.server_properties = server_properties.to_owned();
        self.controller_again(&new)
    }

    /// Restarts the named brokers, one at a time.
    ///
    /// # Errors
    /// As [`Fleet::change_type`].
    pub fn reboot(&mut self, ids: &[BrokerId], step: &mut dyn FnMut(BrokerId, bool)) -> anyhow::Result<()> {
        let user = Properties::parse(&self.config.server_properties)?;
        self.roll(ids, &user, step)
    }

    /// Stops the controller and starts it again; the brokers continue meanwhile.
    pub(super) fn controller_again(&mut self, user: &Properties) -> anyhow::Result<()> {
        self.controller.stop(STOP_GRACE);
        self.start_controller(user)?;
        self.wait_until_settled("the controller", user)
    }

    /// Restarts brokers one at a time.
    fn roll(
        &mut self,
        ids: &[BrokerId],
        user: &Properties,
        step: &mut dyn FnMut(BrokerId, bool),
    ) -> anyhow::Result<()> {
        for id in ids {
            let broker = self.brokers.get_mut(id).with_context(|| format!("there is no broker {id}"))?;
            step(*id, false);
            broker.watched.release();
            if let Some(server) = broker.server.take() {
                // Killed after the grace: the replicas elsewhere have what was acknowledged.
                server.stop(STOP_GRACE);
            }
            broker.watched.ended();
            self.start_brokers(vec![*id], user).with_context(|| format!("restarting broker {id}"))?;
            // Catching up is not held back either.
            self.brokers[id].watched.release();
            let settled = self.wait_until_settled(&format!("broker {id}"), user);
            self.brokers[id].watched.settle().with_context(|| format!("limiting the CPU of broker {id}"))?;
            settled?;
            step(*id, true);
        }
        Ok(())
    }

    /// Waits until every broker takes part and every replica is in sync. A broker that ends meanwhile is started again.
    pub(super) fn wait_until_settled(&mut self, after: &str, user: &Properties) -> anyhow::Result<()> {
        let settled = await_until(SYNC_TIMEOUT, SYNC_LOOK_EVERY, || {
            // What cannot be started shows as missing below, and is tried again.
            let _ = self.revive_with(user);
            anyhow::Ok(match self.metadata() {
                None => ControlFlow::Continue("no broker responds".to_owned()),
                Some(metadata) if metadata.brokers.len() < self.brokers.len() => {
                    let joined = format!("brokers {:?} of {} have joined", metadata.brokers, self.brokers.len());
                    ControlFlow::Continue(joined)
                }
                Some(metadata) if !metadata.unsettled.is_empty() => {
                    ControlFlow::Continue(format!("not in sync: {}", metadata.unsettled.join(", ")))
                }
                Some(_) => ControlFlow::Break(()),
            })
        });
        settled?.or_else(|missing| bail!("{after} was restarted, but after {} s {missing}", SYNC_TIMEOUT.as_secs()))
    }
}
