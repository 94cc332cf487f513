//! A search for the highest rate: its answer for each broker type, and every trial as a point, rate against p99 and CPU.

use serde::{Deserialize, Serialize};

use super::{
    chart::{Chart, Point, Shape},
    charts::Panel,
    scale::Axis,
};
use crate::{
    capacity::{Answer, Found, Held, Trial},
    diagnose::Context,
    run::Run,
};

/// The result of the run that is read here (kgen.capacity/1).
const RESULT: &str = "capacity";

/// Size of a drawing: about what it has on the page.
const SIZE: (f64, f64) = (420.0, 170.0);

/// How the points are to be read.
const WHAT: &str = "Each point is a trial of one rate. A disc: the rate held. A cross: it failed. A ring: the load generator was \
                    late, so the trial says nothing of the cluster. The dashed line is the answer.";

/// What the report shows of the search.
#[derive(Debug, Serialize)]
pub struct Capacity {
    pub headline: String,
    pub what: &'static str,
    /// That of the cluster as it was, then one for each type of `--against`.
    pub searches: Vec<Search>,
}

#[derive(Debug, Serialize)]
pub struct Search {
    pub broker_type: String,
    /// Records/s, MB/s, p99, CPU, USD a month; a dash where there is none.
    pub figures: [String; 5],
    pub limit: String,
    pub panels: Vec<Panel>,
    pub trials: Vec<Row>,
    /// What could not be drawn.
    pub missing: Vec<String>,
}

/// A trial in words.
#[derive(Debug, Serialize)]
pub struct Row {
    pub rate: String,
    pub p99: String,
    pub cpu: String,
    pub held: String,
}

/// One search as the run recorded it.
#[derive(Debug, Deserialize)]
struct Searched {
    cluster: Option<Context>,
    #[serde(flatten)]
    found: Found,
    trials: Vec<Trial>,
    usd_per_month: Option<f64>,
    #[serde(default)]
    against: Vec<Searched>,
}

/// The axes of all charts, so that types can be held against each other.
struct Axes {
    rate: Axis,
    p99: Axis,
    cpu: Axis,
}

/// `None` for a run that did not search, or whose result cannot be read.
pub fn of(run: &Run) -> Option<Capacity> {
    let first: Searched = serde_json::from_value(run.result(RESULT)?.clone()).ok()?;
    let all: Vec<&Searched> = std::iter::once(&first).chain(&first.against).collect();
    let axes = Axes::of(&all);
    let searches = all.iter().enumerate().map(|(number, searched)| searched.search(number, &axes)).collect();
    Some(Capacity { headline: headline(&first), what: WHAT, searches })
}

fn headline(first: &Searched) -> String {
    let cluster = first.cluster.as_ref().map_or("a cluster", |cluster| cluster.cluster.as_str());
    let and_others = match first.against.len() {
        0 => String::new(),
        1 => "; another broker type was searched too".to_owned(),
        others => format!("; {others} other broker types were searched too"),
    };
    match &first.found {
        Found::Capacity(answer) => {
            format!("{cluster} sustains {:.0} records/s{and_others}", answer.carried.acknowledged_per_s)
        }
        _ => format!("The capacity of {cluster} was not found{and_others}"),
    }
}

impl Axes {
    fn of(searches: &[&Searched]) -> Axes {
        let trials = || searches.iter().flat_map(|searched| &searched.trials);
        let highest = |of: fn(&Trial) -> Option<f64>| trials().filter_map(of).fold(0.0, f64::max);
        let p99 = || trials().filter_map(p99);
        Axes {
            rate: Axis::from_zero(highest(|trial| Some(trial.asked_per_s))),
            p99: Axis::logarithmic(p99().fold(f64::INFINITY, f64::min), p99().fold(0.0, f64::max)),
            cpu: Axis::percent(highest(|trial| trial.cpu_percent)),
        }
    }
}

impl Searched {
    fn answer(&self) -> Option<&Answer> {
        match &self.found {
            Found::Capacity(answer) => Some(answer),
            _ => None,
        }
    }

    fn search(&self, number: usize, axes: &Axes) -> Search {
        let broker_type = self.cluster.as_ref().and_then(|cluster| cluster.broker_type.clone());
        let carried = self.answer().map(|answer| answer.carried);
        let (mut panels, mut missing) = (Vec::new(), Vec::new());
        for (name, chart) in [("p99", self.p99(number, axes)), ("CPU", self.cpu(number, axes))] {
            match chart {
                Some(chart) => panels.push(Panel { title: chart.title.clone(), svg: chart.svg() }),
                None => missing.push(format!("{name}: not observed in any trial")),
            }
        }
        Search {
            broker_type: broker_type.unwrap_or_else(|| "brokers of unknown type".to_owned()),
            figures: [
                shown(carried.map(|round| round.acknowledged_per_s), 0),
                shown(carried.map(|round| round.bytes_per_s / 1e6), 2),
                shown(carried.and_then(|round| round.p99_ms), 1),
                shown(carried.and_then(|round| round.cpu_percent), 1),
                shown(self.usd_per_month, 0),
            ],
            limit: self.limit(),
            panels,
            trials: self.trials.iter().map(row).collect(),
            missing,
        }
    }

    fn limit(&self) -> String {
        match &self.found {
            Found::Capacity(Answer { limit: Some(limit), .. }) => limit.to_string(),
            Found::Capacity(_) => "none was reached in the time".to_owned(),
            Found::GeneratorBound { .. } => "the load generator".to_owned(),
            Found::Nothing { reason } => reason.clone(),
        }
    }

    fn p99(&self, number: usize, axes: &Axes) -> Option<Chart> {
        self.chart(format!("capacity-p99-{number}"), "p99 (logarithmic)", (&axes.rate, &axes.p99), "ms", p99)
    }

    fn cpu(&self, number: usize, axes: &Axes) -> Option<Chart> {
        let of = |trial: &Trial| trial.cpu_percent;
        let id = format!("capacity-cpu-{number}");
        let chart = self.chart(id, "CPU of the busiest broker", (&axes.rate, &axes.cpu), "%", of)?;
        let allowed = self.trials.iter().map(|trial| trial.cpu_allowed_percent).find(|allowed| *allowed > 0.0);
        Some(Chart { limit: allowed.map(|allowed| (allowed, "limit")), ..chart })
    }

    /// A point for each trial that has a value; `None` where none has one.
    fn chart(
        &self,
        id: String,
        title: &str,
        (x, y): (&Axis, &Axis),
        unit: &str,
        value: impl Fn(&Trial) -> Option<f64>,
    ) -> Option<Chart> {
        let point = |trial: &Trial| {
            let y = value(trial)?;
            let title = format!("{:.0} records/s: {y:.1} {unit}, {}", trial.asked_per_s, held(trial));
            Some(Point { x: trial.asked_per_s, y, shape: shape(trial), title })
        };
        let points: Vec<Point> = self.trials.iter().filter_map(point).collect();
        let answer = self.answer().map(|answer| answer.carried.acknowledged_per_s);
        let in_words: Vec<&str> = points.iter().map(|point| point.title.as_str()).collect();
        let found = answer.map_or("No answer".to_owned(), |rate| format!("The answer is {rate:.0} records/s"));
        let description = format!("{found}. Trials: {}.", in_words.join("; "));
        (!points.is_empty()).then(|| Chart {
            id,
            title: title.to_owned(),
            description,
            width: SIZE.0,
            height: SIZE.1,
            x: x.clone(),
            x_unit: "records/s",
            y: y.clone(),
            y_unit: unit.to_owned(),
            lines: Vec::new(),
            limit: None,
            marks: Vec::new(),
            stretches: Vec::new(),
            away: Vec::new(),
            points,
            answer: answer.map(|rate| (rate, "answer")),
        })
    }
}

/// A trial in which nothing was acknowledged has none.
fn p99(trial: &Trial) -> Option<f64> {
    trial.p99_ms.filter(|ms| *ms > 0.0)
}

fn shape(trial: &Trial) -> Shape {
    match trial.held() {
        Held::Yes => Shape::Disc,
        Held::No { .. } => Shape::Cross,
        Held::GeneratorBound => Shape::Ring,
    }
}

fn held(trial: &Trial) -> String {
    match trial.held() {
        Held::Yes => "held".to_owned(),
        Held::No { limit, .. } => format!("failed ({limit})"),
        Held::GeneratorBound => "the load generator was late".to_owned(),
    }
}

fn row(trial: &Trial) -> Row {
    Row {
        rate: format!("{:.0}", trial.asked_per_s),
        p99: shown(trial.p99_ms, 1),
        cpu: shown(trial.cpu_percent, 1),
        held: held(trial),
    }
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::report::Page;

    fn trial(rate: f64, cpu: f64, p99: f64) -> Value {
        let mut trial = serde_json::to_value(Trial {
            asked_per_s: rate,
            acknowledged_per_s: rate,
            bytes_per_s: rate * 1000.0,
            cpu_percent: Some(cpu),
            cpu_allowed_percent: 60.0,
            ..Trial::default()
        })
        .unwrap();
        trial["p99_ms"] = if p99 > 0.0 { p99.into() } else { Value::Null };
        trial
    }

    fn search(broker_type: &str, rate: f64) -> Value {
        let round =
            json!({ "acknowledged_per_s": rate, "bytes_per_s": rate * 1000.0, "cpu_percent": 57.0, "p99_ms": 9.0 });
        let cluster = Context {
            cluster: "orders<b>".to_owned(),
            broker_type: Some(broker_type.to_owned()),
            broker_count: 3,
            lab_scale: Some(10.0),
            ..Context::default()
        };
        let mut late = trial(rate * 1.1, 50.0, 9.0);
        late["generator_bound"] = true.into();
        let mut document = json!({
            "cluster": cluster, "found": "capacity", "rounds": [round], "spread_percent": 0.0,
            "limit": { "by": "cpu", "percent": 70.0, "allowed_percent": 60.0 }, "fails_at_per_s": rate * 1.2,
            "trials": [trial(rate, 57.0, 9.0), trial(rate * 1.2, 70.0, 80.0), late],
            "usd_per_mb_s_month": 230.0, "usd_per_month": 460.0,
        });
        for (name, value) in round.as_object().unwrap() {
            document[name] = value.clone();
        }
        document
    }

    fn run(result: &Value) -> Run {
        let head = json!({ "schema": "kgen.run/1", "id": "r", "command": "capacity", "args": ["capacity"],
                           "started": "2026-11-25T01:00:00Z", "environment": {} });
        let entry = json!({ "at": "2026-11-25T01:09:00Z", "event": "result", "name": "capacity", "value": result });
        let run = Run::parse(&format!("{head}\n{entry}\n")).unwrap();
        assert!(run.unreadable.is_empty(), "{run:?}");
        run
    }

    #[test]
    fn trials_are_points_and_the_answer_is_marked() {
        let html = Page::of(&run(&search("kafka.m5.large", 2000.0)), &[]).html().unwrap();
        assert!(html.contains("<h1>orders&lt;b&gt; sustains 2000 records&#x2F;s</h1>"), "{html}");
        for (class, count) in [("point disc", 2), ("point cross", 2), ("point ring", 2), ("class=\"answer\"", 2)] {
            assert_eq!(html.matches(class).count(), count, "{class}");
        }
        assert!(html.contains("2400 records/s: 80.0 ms, failed (CPU: 70 %"), "a point in words: {html}");
        assert!(!html.contains("<b>"));
        // Both colour schemes have their colours for the points.
        assert!(html.contains(".disc { fill: var(--good)") && html.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn types_have_their_own_charts_on_the_same_axes() {
        let mut both = search("kafka.m5.large", 2000.0);
        both["against"] = json!([search("kafka.m5.xlarge", 4000.0)]);
        let run = run(&both);
        let capacity = of(&run).unwrap();
        assert_eq!(capacity.headline, "orders<b> sustains 2000 records/s; another broker type was searched too");
        let types: Vec<&str> = capacity.searches.iter().map(|search| search.broker_type.as_str()).collect();
        assert_eq!(types, ["kafka.m5.large", "kafka.m5.xlarge"]);
        assert_eq!(capacity.searches[1].figures, ["4000", "4.00", "9.0", "57.0", "460"]);
        // The highest rate of both, 4800, is the end of both axes.
        assert!(capacity.searches.iter().all(|search| search.panels.iter().all(|panel| panel.svg.contains("6000"))));
        let markdown = Page::of(&run, &[]).markdown();
        assert!(markdown.contains("| kafka.m5.xlarge | 4000 | 4.00 |"), "{markdown}");
        assert!(markdown.contains("| 4800 | 80.0 | 70.0 | failed (CPU: 70 %"), "{markdown}");
    }

    #[test]
    fn what_was_not_observed_is_not_drawn() {
        let mut blind = search("kafka.m5.large", 2000.0);
        blind["trials"] = json!([trial(2000.0, 57.0, 0.0)]);
        let capacity = of(&run(&blind)).unwrap();
        assert_eq!(capacity.searches[0].panels.len(), 1);
        assert_eq!(capacity.searches[0].missing, ["p99: not observed in any trial"]);
        let nothing = json!({ "cluster": null, "found": "nothing", "reason": "no trial was ended", "trials": [] });
        let capacity = of(&run(&nothing)).unwrap();
        assert_eq!(capacity.headline, "The capacity of a cluster was not found");
        assert_eq!(
            (capacity.searches[0].limit.as_str(), capacity.searches[0].missing.len()),
            ("no trial was ended", 2)
        );
        assert!(of(&run(&json!("something else"))).is_none());
    }
}
