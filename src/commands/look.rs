//! Opening a cluster as the arguments say, for `watch`, `diagnose` and the commands that change a cluster.

use std::path::Path;

use super::out;
use crate::{
    change::INTERVAL,
    cli::{Look, SourceChoice, refused},
    diagnose::Context,
    sample::Sample,
    stack::Stack,
    visible,
    watch::{self, Place, Request, View},
};

pub use crate::watch::{Line, Opened, collected, refresh, runtime};

/// Finds the cluster and a source of its metrics, and shows the notes. Changes nothing.
pub async fn open(look: &Look, stack: &Stack, place: &Place) -> anyhow::Result<Opened> {
    let request = request(look, stack);
    out::learn_cluster(&request.cluster);
    let opened = watch::open(&request, place).await.map_err(refused)?;
    out::learn_context(&opened.context);
    opened.notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(opened)
}

fn request(look: &Look, stack: &Stack) -> Request {
    Request {
        cluster: look.cluster.clone().unwrap_or_else(|| stack.cluster().name.clone()),
        region: look.region.clone().unwrap_or_else(|| stack.region().to_owned()),
        view: match look.source {
            SourceChoice::Auto => View::Best,
            SourceChoice::Prometheus => View::Inside,
            SourceChoice::Cloudwatch => View::Outside,
        },
        targets: look.targets.clone(),
        interval: look.interval,
    }
}

/// The look of kgen's own measurements.
pub fn own_look() -> Look {
    Look { cluster: None, region: None, source: SourceChoice::Auto, targets: None, interval: INTERVAL }
}

/// Samples of a run's record, or that `kgen watch --json` wrote, and the cluster as it was at the last of them.
pub fn recorded(path: &Path) -> anyhow::Result<(Context, Vec<Sample>)> {
    let recorded = watch::recorded(path, &mut out::learn_context).map_err(refused)?;
    Ok((recorded.context, recorded.samples))
}

/// The cluster in one line.
pub fn headline(context: &Context) -> String {
    let brokers = match &context.broker_type {
        Some(broker_type) => format!(": {} x {broker_type}", context.broker_count),
        None => String::new(),
    };
    let version = context.kafka_version.as_ref().map(|version| format!(", Kafka {version}")).unwrap_or_default();
    let place = match context.lab_scale {
        Some(scale) => format!("; lab, scale 1:{scale}"),
        None => String::new(),
    };
    visible::line(&format!("cluster {} in {}{brokers}{version}{place}", context.cluster, context.region)).into_owned()
}
