//! The controller of a fleet: one Kafka process that keeps the metadata.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{
    layout::{CONTROLLER_ID, Identity, Layout, Properties},
    node,
};
use crate::{
    lab::{install::Kafka, readings::ControllerPid},
    process::Server,
};

/// Its heap; it keeps metadata only.
const HEAP_MIB: u64 = 96;

/// Between two attempts to start it again.
const RETRY: Duration = Duration::from_secs(2);

/// The controller, running or not.
pub struct Controller {
    server: Option<Server>,
    /// Tells those who take the fleet's readings which process it is.
    pid: ControllerPid,
    /// When it was last started, or should have been.
    tried: Instant,
}

impl Controller {
    /// One that does not run yet.
    pub fn new(pid: ControllerPid) -> Controller {
        Controller { server: None, pid, tried: Instant::now() }
    }

    /// Starts it. It is not waited for: brokers that serve show that it does.
    ///
    /// # Errors
    /// Its files cannot be written, or Java cannot be started.
    pub fn start(
        &mut self,
        kafka: &Kafka,
        layout: &Layout,
        identity: &Identity,
        properties: &Properties,
    ) -> anyhow::Result<()> {
        self.tried = Instant::now();
        layout.prepare(CONTROLLER_ID, identity, properties)?;
        let starting = node::start(kafka, layout, CONTROLLER_ID, HEAP_MIB, None)?;
        let server = node::ready(starting, layout, CONTROLLER_ID, || true)?;
        self.pid.store(server.pid(), Ordering::Relaxed);
        self.server = Some(server);
        Ok(())
    }

    pub fn has_ended(&mut self) -> bool {
        self.server.as_mut().is_none_or(|server| server.ended().is_some())
    }

    /// Whether it has ended, and the last attempt to start it was some time ago.
    pub fn is_due(&mut self) -> bool {
        self.has_ended() && self.tried.elapsed() > RETRY
    }

    /// Stops it, or kills it after `grace`.
    pub fn stop(&mut self, grace: Duration) {
        if let Some(server) = self.server.take() {
            server.stop(grace);
        }
    }
}
