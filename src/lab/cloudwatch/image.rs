//! GetMetricWidgetImage: a plain line chart of what the widget names, as PNG. It has no text: the lab has no font.

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};
use serde_json::Value;

use super::{SeriesId, Statistic, Store, wire::Fault};
use crate::catalogue::Metric;

/// Pixels of a side (CloudWatch API Reference: 1 to 2000 wide, 1 to 2000 high; 600 by 400 unless said).
const SIDE_MAX: i64 = 2000;
/// Room around the chart, pixels.
const MARGIN: i64 = 20;
/// Series of one chart at most (CloudWatch's own limit for a graph).
const SERIES_MAX: usize = 500;
/// Periods of one chart at most.
const POINTS_MAX: i64 = 10_000;

const WHITE: [u8; 3] = [255, 255, 255];
const GRID: [u8; 3] = [225, 225, 225];
const FRAME: [u8; 3] = [120, 120, 120];
/// The first colours of CloudWatch's charts.
const COLOURS: [[u8; 3]; 6] =
    [[31, 119, 180], [255, 127, 14], [44, 160, 44], [214, 39, 40], [148, 103, 189], [140, 86, 75]];

/// What a widget asks for.
#[derive(Debug, PartialEq)]
struct Widget {
    width: i64,
    height: i64,
    from_ms: i64,
    to_ms: i64,
    lines: Vec<Line>,
}

#[derive(Debug, PartialEq)]
struct Line {
    id: SeriesId,
    statistic: Statistic,
    period_ms: i64,
}

/// The chart of `widget` (JSON, as CloudWatch's "Metric widget structure" has it) from what is known before `known_ms`.
///
/// # Errors
/// The widget is not JSON, names another namespace, or asks for more than is drawn.
pub fn png(store: &Store, widget: &str, now_ms: i64, known_ms: i64) -> Result<Vec<u8>, Fault> {
    let widget = Widget::read(widget, now_ms)?;
    let lines: Vec<Vec<(i64, f64)>> = widget
        .lines
        .iter()
        .map(|line| {
            store.statistics(&line.id, line.statistic, (widget.from_ms, widget.to_ms.min(known_ms)), line.period_ms)
        })
        .collect();
    let values = || lines.iter().flatten().map(|(_, value)| *value);
    let (low, high) = (values().fold(0.0, f64::min), values().fold(f64::MIN_POSITIVE, f64::max));
    let mut canvas = Canvas::new(widget.width, widget.height);
    for quarter in 0..=4 {
        let y = MARGIN + (widget.height - 2 * MARGIN) * quarter / 4;
        canvas.line((MARGIN, y), (widget.width - MARGIN, y), if quarter == 4 { FRAME } else { GRID });
    }
    canvas.line((MARGIN, MARGIN), (MARGIN, widget.height - MARGIN), FRAME);
    for (number, points) in lines.iter().enumerate() {
        let place = |(at, value): &(i64, f64)| {
            let x = (at - widget.from_ms) as f64 / (widget.to_ms - widget.from_ms) as f64;
            let y = (high - value) / (high - low);
            let inside = |share: f64, side: i64| MARGIN + (share.clamp(0.0, 1.0) * (side - 2 * MARGIN) as f64) as i64;
            (inside(x, widget.width), inside(y, widget.height))
        };
        let colour = COLOURS[number % COLOURS.len()];
        let places: Vec<(i64, i64)> = points.iter().map(place).collect();
        places.windows(2).for_each(|two| canvas.line(two[0], two[1], colour));
        places.iter().for_each(|(x, y)| canvas.line((*x, y - 1), (*x, y + 1), colour));
    }
    canvas.png().map_err(|error| Fault::new("InternalServiceFault", format!("the image cannot be written: {error}")))
}

impl Widget {
    fn read(text: &str, now_ms: i64) -> Result<Widget, Fault> {
        let widget: Value =
            serde_json::from_str(text).map_err(|error| Fault::invalid(format!("MetricWidget is not JSON: {error}")))?;
        if !widget.is_object() {
            return Err(Fault::invalid("MetricWidget is not an object"));
        }
        let side = |name: &str, usual: i64| {
            let side = widget[name].as_i64().unwrap_or(usual);
            let fits = (4 * MARGIN..=SIDE_MAX).contains(&side);
            fits.then_some(side).ok_or_else(|| Fault::invalid(format!("{name} is {} to {SIDE_MAX}", 4 * MARGIN)))
        };
        let time = |name: &str, usual: i64| match widget[name].as_str() {
            None => Ok(now_ms - usual),
            Some(text) => moment(text, now_ms).ok_or_else(|| Fault::invalid(format!("{name} is not a time: {text:?}"))),
        };
        let (from_ms, to_ms) = (time("start", 3 * 3_600_000)?, time("end", 0)?);
        let rows = widget["metrics"].as_array().map_or(&[][..], Vec::as_slice);
        let mut lines = Vec::new();
        let mut before: Vec<String> = Vec::new();
        for row in rows.iter().take(SERIES_MAX) {
            let row = row.as_array().ok_or_else(|| Fault::invalid("each of metrics is a list"))?;
            // Expressions are objects alone.
            if let Some(line) = Line::read(row, &mut before, &widget)? {
                if from_ms >= to_ms || (to_ms - from_ms) / line.period_ms > POINTS_MAX {
                    return Err(Fault::invalid("the widget's time range is empty, or has too many periods"));
                }
                lines.push(line);
            }
        }
        Ok(Widget { width: side("width", 600)?, height: side("height", 400)?, from_ms, to_ms, lines })
    }
}

impl Line {
    /// `["AWS/Kafka", "CpuUser", "Cluster Name", "demo", {…}]`, where `.` repeats a word of the row before and `...` several.
    fn read(row: &[Value], before: &mut Vec<String>, widget: &Value) -> Result<Option<Line>, Fault> {
        let words: Vec<&str> = row.iter().map_while(Value::as_str).collect();
        if words.is_empty() {
            return Ok(None);
        }
        let repeated = (before.len() + 1).saturating_sub(words.len());
        let mut resolved: Vec<String> = Vec::new();
        for word in words {
            match word {
                "." => resolved.extend(before.get(resolved.len()).cloned()),
                "..." => {
                    resolved.extend(before.iter().skip(resolved.len()).take(repeated).cloned().collect::<Vec<_>>())
                }
                word => resolved.push(word.to_owned()),
            }
        }
        let [namespace, metric, dimensions @ ..] = &resolved[..] else {
            return Err(Fault::invalid("a metric has a namespace and a name"));
        };
        if namespace != Metric::NAMESPACE {
            return Err(Fault::invalid(format!("the lab draws only {}, not {namespace}", Metric::NAMESPACE)));
        }
        let pairs = dimensions.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].clone()));
        let id = SeriesId::new(metric, pairs);
        let own = row.last().filter(|last| last.is_object()).unwrap_or(&Value::Null);
        let setting = |name: &str| if own[name].is_null() { &widget[name] } else { &own[name] };
        let statistic = Statistic::parse(setting("stat").as_str().unwrap_or("Average"));
        let statistic = statistic.map_err(|error| Fault::invalid(error.to_string()))?;
        let period_ms = setting("period").as_i64().unwrap_or(300).clamp(1, 86_400) * 1000;
        *before = resolved;
        Ok(Some(Line { id, statistic, period_ms }))
    }
}

/// `2026-12-01T00:00:00Z`, the same without a zone, which is UTC as well, or how long ago: `-PT3H`, `-P1D`.
fn moment(text: &str, now_ms: i64) -> Option<i64> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_millisecond());
    }
    if let Ok(moment) = text.parse::<jiff::civil::DateTime>() {
        return moment.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|moment| moment.timestamp().as_millisecond());
    }
    let span: jiff::Span = text.parse().ok()?;
    let hours = jiff::SpanRelativeTo::days_are_24_hours();
    let ms = span.total((jiff::Unit::Millisecond, hours)).ok()?;
    Some(now_ms + ms as i64)
}

struct Canvas {
    width: i64,
    height: i64,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: i64, height: i64) -> Canvas {
        Canvas { width, height, pixels: WHITE.repeat((width * height) as usize) }
    }

    fn dot(&mut self, x: i64, y: i64, colour: [u8; 3]) {
        if (0..self.width).contains(&x) && (0..self.height).contains(&y) {
            let at = ((y * self.width + x) * 3) as usize;
            self.pixels[at..at + 3].copy_from_slice(&colour);
        }
    }

    fn line(&mut self, from: (i64, i64), to: (i64, i64), colour: [u8; 3]) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).max(1);
        for step in 0..=steps {
            self.dot(from.0 + (to.0 - from.0) * step / steps, from.1 + (to.1 - from.1) * step / steps, colour);
        }
    }

    /// PNG (RFC 2083): 8 bits a colour, no filter.
    fn png(&self) -> std::io::Result<Vec<u8>> {
        let mut rows = Vec::new();
        for row in self.pixels.chunks_exact((self.width * 3) as usize) {
            rows.push(0);
            rows.extend_from_slice(row);
        }
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&rows)?;
        let side = |side: i64| (side as u32).to_be_bytes();
        let header = [&side(self.width)[..], &side(self.height), &[8, 2, 0, 0, 0]].concat();
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, data) in [(b"IHDR", header), (b"IDAT", encoder.finish()?), (b"IEND", Vec::new())] {
            png.extend((data.len() as u32).to_be_bytes());
            let body = [&kind[..], &data].concat();
            png.extend_from_slice(&body);
            png.extend(crc32fast::hash(&body).to_be_bytes());
        }
        Ok(png)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::Datapoint, *};

    #[test]
    fn words_of_the_row_before_are_repeated() {
        let widget = json!({ "period": 60, "start": "-PT1H", "metrics": [
            ["AWS/Kafka", "CpuUser", "Cluster Name", "demo", "Broker ID", "1"],
            ["...", "2", { "stat": "Maximum" }],
            [".", "CpuSystem", ".", ".", ".", "3", { "period": 300 }],
            [{ "expression": "m1 + m2" }],
        ] });
        let read = Widget::read(&widget.to_string(), 7_200_000).unwrap();
        let shown: Vec<String> = read
            .lines
            .iter()
            .map(|line| {
                format!(
                    "{} {} {:?} {}",
                    line.id.metric, line.id.dimensions["Broker ID"], line.statistic, line.period_ms
                )
            })
            .collect();
        assert_eq!(shown, ["CpuUser 1 Average 60000", "CpuUser 2 Maximum 60000", "CpuSystem 3 Average 300000"]);
        assert_eq!((read.from_ms, read.to_ms, read.width), (3_600_000, 7_200_000, 600));
    }

    #[test]
    fn what_is_drawn_is_a_png_with_a_line_in_it() {
        let id = SeriesId::new("CpuUser", [("Cluster Name", "demo".to_owned())]);
        let mut store = Store::default();
        let point = |minute: i64| Datapoint {
            id: id.clone(),
            unit: "Percent",
            at_ms: minute * 60_000,
            values: vec![minute as f64],
        };
        store.add((0..60).map(point).collect());
        let widget = json!({ "width": 200, "height": 100, "period": 60, "start": "-PT1H",
            "metrics": [["AWS/Kafka", "CpuUser", "Cluster Name", "demo"]] });
        let drawn = png(&store, &widget.to_string(), 3_600_000, 3_600_000).unwrap();
        assert!(drawn.starts_with(b"\x89PNG\r\n\x1a\n") && drawn.ends_with(b"IEND\xae\x42\x60\x82"));
        assert_ne!(drawn, png(&Store::default(), &widget.to_string(), 3_600_000, 3_600_000).unwrap());
    }

    #[test]
    fn a_moment_without_a_zone_is_in_utc() {
        for (text, expected) in [
            ("1970-01-01T00:01:00Z", Some(60_000)),
            ("1970-01-01T01:01:00+01:00", Some(60_000)),
            // As Python's isoformat has it.
            ("1970-01-01T00:01:00.703071", Some(60_703)),
            ("-PT1M", Some(3_540_000)),
            ("yesterday", None),
        ] {
            assert_eq!(moment(text, 3_600_000), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for widget in [
            json!("no widget"),
            json!({ "metrics": [["Own", "Hits"]] }),
            json!({ "metrics": ["AWS/Kafka"] }),
            json!({ "metrics": [["AWS/Kafka"]] }),
            json!({ "width": 100_000 }),
            json!({ "start": "yesterday" }),
            json!({ "start": "-P3650D", "period": 1, "metrics": [["AWS/Kafka", "CpuUser"]] }),
        ] {
            assert!(png(&Store::default(), &widget.to_string(), 0, 0).is_err(), "{widget}");
        }
        assert!(png(&Store::default(), "{", 0, 0).is_err());
    }
}
