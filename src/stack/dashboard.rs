//! `dashboard.tf`: a CloudWatch dashboard, a line a broker in each graph.
//!
//! Nothing here depends on the broker type, so that a resize changes no graph.

use super::{Stack, msk::MskFile};
use crate::{
    catalogue::Metric,
    hcl::{Address, Block, Document, Expression, array, call, object},
};

/// One graph of the dashboard.
struct Graph {
    title: &'static str,
    shown: Shown,
    /// A line across the graph, where the alarm is.
    alarm: Option<f64>,
}

/// What a graph shows of each broker.
enum Shown {
    /// A metric and its statistic.
    One(&'static str, &'static str),
    /// Averages, each under its letter, and what is computed from them (CloudWatch metric math).
    Math { averages: &'static [(&'static str, &'static str)], expression: fn(u32) -> String },
}

/// Columns of a dashboard, and size of a graph in them (CloudWatch User Guide, "Dashboard body structure and syntax").
const COLUMNS: usize = 24;
const WIDTH: usize = 8;
const HEIGHT: usize = 6;

/// Every graph; those whose metric is not published are left out.
fn entries(stack: &Stack) -> Vec<Graph> {
    let alarms = stack.alarms();
    let one = |title, metric, statistic| Graph { title, shown: Shown::One(metric, statistic), alarm: None };
    vec![
        Graph {
            title: "CPU user + system, percent",
            shown: Shown::Math {
                averages: &[("u", "CpuUser"), ("s", "CpuSystem")],
                expression: |id| format!("u{id} + s{id}"),
            },
            alarm: Some(alarms.cpu_percent),
        },
        Graph {
            title: "Memory used of used + free, percent",
            shown: Shown::Math {
                averages: &[("m", "MemoryUsed"), ("f", "MemoryFree")],
                expression: |id| format!("100 * m{id} / (m{id} + f{id})"),
            },
            alarm: Some(alarms.memory_percent),
        },
        Graph { alarm: Some(alarms.heap_percent), ..one("Heap after GC, percent", "HeapMemoryAfterGC", "Average") },
        one("CPU credits left (burstable types)", "CPUCreditBalance", "Minimum"),
        one("Messages in per second", "MessagesInPerSec", "Average"),
        one("Total produce time, ms", "ProduceTotalTimeMsMean", "Average"),
        one("Produce time at the leader, ms", "ProduceLocalTimeMsMean", "Average"),
        one("Request handlers idle, share", "RequestHandlerAvgIdlePercent", "Average"),
        one("Network processors idle, share", "NetworkProcessorAvgIdlePercent", "Average"),
        one("Under-replicated partitions", "UnderReplicatedPartitions", "Maximum"),
        Graph { alarm: Some(alarms.disk_percent), ..one("Disk used, percent", "KafkaDataLogsDiskUsed", "Maximum") },
        one("Partitions", "PartitionCount", "Maximum"),
        one("Leaders", "LeaderCount", "Maximum"),
        one("Connections", "ConnectionCount", "Maximum"),
    ]
}

/// Nothing, unless the stack asks for a dashboard.
pub(super) fn render(stack: &Stack, msk: &MskFile) -> Option<Document> {
    if !stack.has_dashboard() {
        return None;
    }
    let is_published = |graph: &Graph| graph.metrics().iter().all(|name| super::is_published(stack, name));
    let graphs = entries(stack).into_iter().filter(is_published);
    let widgets = graphs.enumerate().map(|(at, graph)| graph.widget(at, stack, &msk.cluster));
    let (block, _) = Block::resource("aws_cloudwatch_dashboard", "main");
    let block = block
        .set("dashboard_name", stack.cluster().name.as_str())
        .set("dashboard_body", call("jsonencode", [object([("widgets", array(widgets))])]));
    Some(Document::new().block(block))
}

impl Graph {
    fn metrics(&self) -> Vec<&'static str> {
        match &self.shown {
            Shown::One(metric, _) => vec![metric],
            Shown::Math { averages, .. } => averages.iter().map(|(_, metric)| *metric).collect(),
        }
    }

    fn widget(&self, at: usize, stack: &Stack, cluster: &Address) -> Expression {
        let lines = stack.broker_ids().flat_map(|id| self.lines(id, cluster)).collect::<Vec<_>>();
        let line = self.alarm.map(|value| {
            object([("horizontal", array([object([("label", Expression::from("alarm")), ("value", value.into())])]))])
        });
        let properties = [
            ("title", Expression::from(self.title)),
            ("view", "timeSeries".into()),
            ("region", stack.region().into()),
            ("period", stack.alarms().period_s.into()),
            ("metrics", array(lines)),
        ];
        let per_row = COLUMNS / WIDTH;
        object([
            ("type", Expression::from("metric")),
            ("x", (at % per_row * WIDTH).into()),
            ("y", (at / per_row * HEIGHT).into()),
            ("width", WIDTH.into()),
            ("height", HEIGHT.into()),
            ("properties", object(properties.into_iter().chain(line.map(|line| ("annotations", line))))),
        ])
    }

    /// The rows of one broker in `metrics`.
    fn lines(&self, id: u32, cluster: &Address) -> Vec<Expression> {
        let label = format!("broker {id}");
        match &self.shown {
            Shown::One(metric, statistic) => {
                let options = object([("stat", *statistic), ("label", &label)]);
                vec![series(metric, id, cluster, options)]
            }
            Shown::Math { averages, expression } => {
                let computed = object([("expression", expression(id)), ("label", label)]);
                let hidden = averages.iter().map(|(letter, metric)| {
                    let options = object([
                        ("id", Expression::from(format!("{letter}{id}"))),
                        ("stat", "Average".into()),
                        ("visible", false.into()),
                    ]);
                    series(metric, id, cluster, options)
                });
                std::iter::once(array([computed])).chain(hidden).collect()
            }
        }
    }
}

/// One series of one broker, under exactly the dimensions that MSK publishes it by.
fn series(name: &str, id: u32, cluster: &Address, options: Expression) -> Expression {
    let metric = Metric::per_broker(name).expect("the graphs show metrics of the catalogue (rendered in a test)");
    let dimensions = metric.dimensions().flat_map(|dimension| {
        let value = match dimension {
            "Broker ID" => id.to_string().into(),
            _ => cluster.attr("cluster_name"),
        };
        [Expression::from(dimension), value]
    });
    let name = [Metric::NAMESPACE.into(), metric.name.as_str().into()];
    array(name.into_iter().chain(dimensions).chain([options]))
}
