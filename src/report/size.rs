//! A right-sizing: what to do, the history with its peak, and every shape with what it would use of each limit.

use serde::{Deserialize, Serialize};

use super::{
    chart::{Chart, Line, Point, Shape},
    charts::Panel,
    scale::Axis,
};
use crate::{
    diagnose::Context,
    run::Run,
    sizing::{Advice, DAY_MS, Judged, Resource, Seen, Sizing},
};

/// The result of the run that is read here (kgen.size/1).
pub const RESULT: &str = "size";

/// Size of a drawing: about what it has on the page.
const CHART: (f64, f64) = (420.0, 150.0);

/// What the report shows of a right-sizing.
#[derive(Debug, Serialize)]
pub struct Size {
    pub headline: String,
    /// Why, and how certain it is.
    pub said: Vec<String>,
    pub next: Vec<String>,
    pub panels: Vec<Panel>,
    /// Limits, in the order of the cells.
    pub columns: Vec<&'static str>,
    /// The present shape first, then those that fit, the cheapest first, then the others.
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
}

/// A shape.
#[derive(Debug, Serialize)]
pub struct Row {
    pub shape: String,
    /// `now`, `recommended`, `fits` or why it does not.
    pub verdict: String,
    /// Percent of each limit while what it has to survive is away; `!` marks the nearest.
    pub uses: Vec<String>,
    /// Brokers, a month.
    pub usd: String,
}

/// As the run recorded it.
#[derive(Debug, Deserialize)]
struct Sized {
    cluster: Context,
    #[serde(flatten)]
    sizing: Sizing,
    #[serde(default)]
    next: Vec<String>,
}

/// `None` for a run that sized nothing, or whose result cannot be read.
pub fn of(run: &Run) -> Option<Size> {
    let Sized { cluster, sizing, next } = serde_json::from_value(run.result(RESULT)?.clone()).ok()?;
    let mut others: Vec<&Judged> = sizing.shapes.iter().filter(|judged| judged.shape != sizing.current.shape).collect();
    others.sort_by(|a, b| (!a.fits).cmp(&!b.fits).then(a.usd_per_month.total_cmp(&b.usd_per_month)));
    let judged = || std::iter::once(&sizing.current).chain(others.iter().copied());
    let is_used = |resource: &Resource| judged().any(|judged| judged.used(*resource).is_some());
    let columns: Vec<Resource> = Resource::ALL.into_iter().filter(is_used).collect();
    Some(Size {
        headline: headline(&cluster, &sizing),
        said: said(&sizing),
        panels: panels(&sizing),
        rows: judged().map(|judged| row(&sizing, judged, &columns)).collect(),
        columns: columns.into_iter().map(Resource::name).collect(),
        notes: sizing.certainty.notes.clone(),
        next,
    })
}

fn headline(cluster: &Context, sizing: &Sizing) -> String {
    let (name, now) = (&cluster.cluster, sizing.current.shape);
    match &sizing.advice {
        Advice::Keep => format!("{name}: {now} is the right size"),
        Advice::Change { shape, .. } => format!("{name}: change {now} to {shape}"),
        Advice::Nothing { .. } => format!("{name}: no shape is recommended"),
    }
}

fn said(sizing: &Sizing) -> Vec<String> {
    let certainty = &sizing.certainty;
    let what = match &sizing.advice {
        Advice::Keep => "It fits, and no other shape is cheaper by 10 %.".to_owned(),
        Advice::Nothing { reason } => format!("{reason}."),
        Advice::Change { saving_usd_per_month: saving, .. } if *saving >= 0.0 => {
            format!("It saves USD {saving:.0} a month ({:.0} %).", saving / sizing.current.usd_per_month * 100.0)
        }
        Advice::Change { saving_usd_per_month: more, .. } => format!("It costs USD {:.0} more a month.", -more),
    };
    let why = sizing.current.reason.as_ref().map(|reason| format!("The present shape: {reason}."));
    let bound = format!("Why not fewer brokers: {}.", sizing.count_bound);
    let certain = format!(
        "Predicted CPU is right within ±{:.0} % in 9 of 10 cases ({} minutes of {:.1} days).",
        certainty.interval_percent, certainty.minutes, certainty.days
    );
    [Some(what), why, Some(bound), Some(certain)].into_iter().flatten().collect()
}

/// The history, each with its peak.
fn panels(sizing: &Sizing) -> Vec<Panel> {
    let series = |name, value: fn(&Seen) -> Option<f64>| Line {
        name,
        points: sizing.history.iter().map(|seen| (days(sizing, seen.at_ms), value(seen))).collect(),
    };
    let traffic = vec![
        series("in", |seen| Some(seen.bytes_in_per_s / 1e6)),
        series("out", |seen| Some(seen.bytes_out_per_s / 1e6)),
    ];
    let cpu = vec![series("CPU", |seen| seen.cpu_percent)];
    let most = |lines: &[Line]| lines.iter().flat_map(|line| &line.points).filter_map(|(_, y)| *y).fold(0.0, f64::max);
    let axis = Axis::from_zero(most(&traffic));
    let peak = Some(sizing.peak.bytes_in_per_s / 1e6);
    let charts = [
        chart(sizing, "size-traffic", "Traffic of all brokers", (axis, "MB/s"), traffic, peak),
        chart(sizing, "size-cpu", "CPU of the busiest broker", (Axis::percent(most(&cpu)), "%"), cpu, None),
    ];
    charts.into_iter().flatten().map(|chart| Panel { title: chart.title.clone(), svg: chart.svg() }).collect()
}

/// Days since the start of the history.
fn days(sizing: &Sizing, at_ms: i64) -> f64 {
    let start = sizing.history.first().map_or(at_ms, |first| first.at_ms);
    (at_ms - start) as f64 / DAY_MS as f64
}

/// Lines over the days, with the peak as a point; `None` where nothing was seen.
fn chart(
    sizing: &Sizing,
    id: &str,
    title: &str,
    (y, unit): (Axis, &str),
    lines: Vec<Line>,
    peak: Option<f64>,
) -> Option<Chart> {
    let seen = lines.iter().flat_map(|line| &line.points).any(|(_, value)| value.is_some());
    let last = sizing.history.last().map_or(0.0, |last| days(sizing, last.at_ms));
    let at_peak = days(sizing, sizing.peak.at_ms);
    let point = peak.map(|value| {
        let title = format!("the peak: {value:.1} {unit} after {at_peak:.1} days");
        Point { x: at_peak, y: value, shape: Shape::Disc, title }
    });
    let told = point.as_ref().map_or(String::new(), |point| format!("; {}", point.title));
    seen.then(|| Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        description: format!("{title} over {last:.1} days{told}."),
        width: CHART.0,
        height: CHART.1,
        x: Axis::from_zero(last),
        x_unit: "days",
        y,
        y_unit: unit.to_owned(),
        lines,
        limit: None,
        marks: Vec::new(),
        stretches: Vec::new(),
        away: Vec::new(),
        points: point.into_iter().collect(),
        answer: None,
    })
}

fn row(sizing: &Sizing, judged: &Judged, columns: &[Resource]) -> Row {
    let verdict = match (&judged.reason, judged) {
        (_, judged) if judged.shape == sizing.current.shape => "now".to_owned(),
        (_, judged) if sizing.is_chosen(judged) => "recommended".to_owned(),
        // Of a change that MSK does not make, what it is: one explanation is the same for many types.
        (Some(reason), Judged { over: None, .. }) => reason.split(": ").next().unwrap_or_default().to_owned(),
        (Some(reason), _) => reason.clone(),
        (None, _) => "fits".to_owned(),
    };
    Row {
        shape: judged.shape.to_string(),
        verdict,
        uses: columns.iter().map(|column| judged.cell(*column)).collect(),
        usd: format!("{:.0}", judged.usd_per_month),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::report::Page;

    fn judged(broker_type: &str, cpu: f64, usd: f64) -> Value {
        let over = cpu > 100.0;
        json!({
            "broker_type": broker_type, "brokers": 3, "fits": !over,
            "reason": over.then_some("CPU 130 % <of> the target"), "over": over.then_some("cpu"),
            "uses": [{ "resource": "cpu", "percent": cpu * 0.7, "percent_after_loss": cpu },
                     { "resource": "disk", "percent": 20.0, "percent_after_loss": 20.0 }],
            "binding": "cpu", "cpu_percent": cpu * 0.4, "usd_per_month": usd,
        })
    }

    fn result() -> Value {
        let seen = |day: i64, cpu: Option<f64>| json!({ "at_ms": day * DAY_MS, "bytes_in_per_s": 1e6 * day as f64, "bytes_out_per_s": 5e5, "cpu_percent": cpu });
        json!({
            "cluster": Context { cluster: "orders<b>".to_owned(), ..Context::default() },
            "current": judged("kafka.m5.large", 130.0, 459.9),
            "advice": { "do": "change", "shape": { "broker_type": "kafka.m5.xlarge", "brokers": 3 },
                        "saving_usd_per_month": -459.9 },
            "shapes": [judged("kafka.m5.large", 130.0, 459.9), judged("kafka.m5.2xlarge", 40.0, 1839.6),
                       judged("kafka.m5.xlarge", 70.0, 919.8)],
            "peak": { "at_ms": 9 * DAY_MS, "bytes_in_per_s": 9e6, "bytes_out_per_s": 5e5, "messages_per_s": 900.0,
                      "cpu_percent": 52.0, "disk_percent": null, "partitions": null, "connections": null },
            "certainty": { "basis": "measured", "minutes": 20160, "days": 14.0, "days_with_data": 14,
                           "interval_percent": 8.0, "extrapolation": 1.1, "notes": ["a note"] },
            "growth_percent": 0.0, "forecast": [], "count_bound": "the zones",
            "history": [seen(0, None), seen(9, Some(52.0)), seen(14, Some(30.0))],
            "next": ["kgen resize kafka.m5.xlarge"],
        })
    }

    fn run(result: &Value) -> Run {
        let head = json!({ "schema": "kgen.run/1", "id": "r", "command": "size", "args": ["size"],
                           "started": "2026-11-25T01:00:00Z", "environment": {} });
        let entry = json!({ "at": "2026-11-25T01:09:00Z", "event": "result", "name": "size", "value": result });
        let run = Run::parse(&format!("{head}\n{entry}\n")).unwrap();
        assert!(run.unreadable.is_empty(), "{run:?}");
        run
    }

    #[test]
    fn the_page_has_the_advice_the_history_with_its_peak_and_every_shape() {
        let run = run(&result());
        let size = of(&run).unwrap();
        assert_eq!(size.headline, "orders<b>: change 3 x kafka.m5.large to 3 x kafka.m5.xlarge");
        let told: Vec<(&str, &str)> = size.rows.iter().map(|row| (row.shape.as_str(), row.verdict.as_str())).collect();
        assert_eq!(
            told,
            [("3 x kafka.m5.large", "now"), ("3 x kafka.m5.xlarge", "recommended"), ("3 x kafka.m5.2xlarge", "fits")]
        );
        assert_eq!((size.columns, &size.rows[1].uses), (vec!["CPU", "disk"], &vec!["70!".to_owned(), "20".to_owned()]));
        assert_eq!(size.panels.len(), 2);
        let html = Page::of(&run, &[]).html().unwrap();
        assert!(html.contains("the peak: 9.0 MB/s after 9.0 days") && html.contains("costs USD 460 more"), "{html}");
        assert!(html.contains("kgen resize kafka.m5.xlarge") && !html.contains("<b>") && !html.contains("<of>"));
        let markdown = Page::of(&run, &[]).markdown();
        assert!(markdown.contains("| 3 x kafka.m5.xlarge | recommended | 70! | 20 | 920 |"), "{markdown}");
    }

    #[test]
    fn what_was_not_observed_is_not_drawn() {
        let mut blind = result();
        blind["history"] = json!([]);
        assert!(of(&run(&blind)).unwrap().panels.is_empty());
        assert!(of(&run(&json!("something else"))).is_none());
        let mut keep = result();
        keep["advice"] = json!({ "do": "keep" });
        assert_eq!(of(&run(&keep)).unwrap().headline, "orders<b>: 3 x kafka.m5.large is the right size");
    }
}
