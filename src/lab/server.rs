//! The lab's one endpoint.

use std::{future::Future, net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;

use crate::{
    lab::{
        api::{self, monitoring::Door},
        cloudwatch::Metrics,
        control::Lab,
        proxy::Proxy,
        ssm::Ssm,
    },
    listen,
};

/// Serves the MSK API, `AWS/Kafka` of CloudWatch from `metrics`, Run Command from `ssm`, and
/// AWS's other services from `emulator`, until `shutdown` resolves.
///
/// The brokers continue; [`Lab::stop`] ends them.
///
/// # Errors
/// When `listener` is not on a loopback address.
pub async fn serve(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
    lab: Arc<Lab>,
    emulator: SocketAddr,
    metrics: Arc<Metrics>,
    ssm: Option<Arc<Ssm>>,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    anyhow::ensure!(address.ip().is_loopback(), "the lab listens only on the loopback interface, not on {address}");
    let router = api::router(lab.clone(), Door { proxy: Proxy::new(emulator), metrics, lab, ssm });
    listen::serve(listener, router, shutdown).await;
    Ok(())
}
