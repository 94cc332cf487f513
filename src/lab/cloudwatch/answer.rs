//! ListMetrics, GetMetricData and GetMetricStatistics for `AWS/Kafka`, from the lab's own series.
//!
//! Periods below a minute are answered as well, since the lab's datapoints may be shorter than MSK's.

use std::collections::BTreeMap;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{
    SeriesId, Statistic, Store, Timing, image,
    query::Query,
    wire::{Call, Fault},
};
use crate::catalogue::Metric;

/// Queries of one GetMetricData, datapoints of one page of it, metrics of one page of ListMetrics, datapoints of one
/// GetMetricStatistics (CloudWatch API Reference).
const QUERIES_MAX: usize = 500;
const DATAPOINTS_MAX: usize = 100_800;
const METRICS_A_PAGE: usize = 500;
const STATISTICS_MAX: usize = 1440;

/// `RecentlyActive=PT3H`.
const RECENT_MS: i64 = 3 * 3_600_000;

/// Who answers a call.
#[derive(Debug, PartialEq)]
pub enum Reply {
    Here(Result<Value, Fault>),
    /// It is not about `AWS/Kafka`: the emulator of the rest of AWS.
    Elsewhere,
}

/// Answers `call` from `store` as of `now_ms`.
pub fn reply(store: &Store, timing: Timing, call: &Call, now_ms: i64) -> Reply {
    let reader = Reader { store, timing, now_ms };
    let input = &call.input;
    let is_ours = |value: &Value| value["Namespace"] == Metric::NAMESPACE;
    match call.operation.as_str() {
        "ListMetrics" if input["Namespace"].is_null() || is_ours(input) => Reply::Here(reader.list(input)),
        "GetMetricStatistics" if is_ours(input) => Reply::Here(reader.statistics(input)),
        "GetMetricData" => {
            let queries = input["MetricDataQueries"].as_array().map_or(&[][..], Vec::as_slice);
            let metrics =
                || queries.iter().map(|query| &query["MetricStat"]["Metric"]).filter(|metric| metric.is_object());
            match (metrics().any(is_ours), metrics().all(is_ours)) {
                (true, true) => Reply::Here(reader.data(queries, input)),
                (true, false) => Reply::Here(Err(Fault::invalid(
                    "the lab cannot combine queries on AWS/Kafka with queries on other namespaces: use two calls",
                ))),
                _ => Reply::Elsewhere,
            }
        }
        "PutMetricData" if input["Namespace"].as_str().is_some_and(|name| name.starts_with("AWS/")) => {
            Reply::Here(Err(Fault::invalid("The value AWS/ for parameter Namespace is invalid.")))
        }
        "GetMetricWidgetImage" => Reply::Here(reader.image(input)),
        _ => Reply::Elsewhere,
    }
}

struct Reader<'a> {
    store: &'a Store,
    timing: Timing,
    now_ms: i64,
}

impl Reader<'_> {
    fn list(&self, input: &Value) -> Result<Value, Fault> {
        let known = self.timing.hidden_from_ms(self.now_ms);
        let recent = match input["RecentlyActive"].as_str() {
            None => i64::MIN,
            Some("PT3H") => self.now_ms - RECENT_MS,
            Some(other) => return Err(Fault::invalid(format!("RecentlyActive is PT3H or absent, not {other:?}"))),
        };
        let filters = input["Dimensions"].as_array().map_or(&[][..], Vec::as_slice);
        let fits = |id: &SeriesId| {
            let fits = |filter: &Value| {
                let value = id.dimensions.get(filter["Name"].as_str().unwrap_or_default());
                value.is_some_and(|value| filter["Value"].as_str().is_none_or(|wanted| wanted == value))
            };
            input["MetricName"].as_str().is_none_or(|name| name == id.metric) && filters.iter().all(fits)
        };
        let found = self.store.list(known, self.timing).filter(|(id, newest)| *newest >= recent && fits(id));
        let start = begin_of_page(input)?;
        let mut rest = found.skip(start).map(|(id, _)| metric(id));
        let metrics: Vec<Value> = rest.by_ref().take(METRICS_A_PAGE).collect();
        let next = start + metrics.len();
        let mut answer = json!({ "Metrics": metrics });
        if rest.next().is_some() {
            answer["NextToken"] = token(next).into();
        }
        Ok(answer)
    }

    fn statistics(&self, input: &Value) -> Result<Value, Fault> {
        let id = series(input)?;
        let (from, to) = self.span(input)?;
        let period = self.period(&input["Period"])?;
        if (to - from) / period > STATISTICS_MAX as i64 {
            return Err(Fault::new(
                "InvalidParameterCombination",
                format!(
                    "the request is for more than {STATISTICS_MAX} datapoints: use a longer period or a shorter time \
                     range"
                ),
            ));
        }
        let of = |member: &str| {
            let names = input[member].as_array().cloned().unwrap_or_default();
            names.into_iter().filter_map(|name| name.as_str().map(str::to_owned)).collect::<Vec<String>>()
        };
        let (plain, extended) = (of("Statistics"), of("ExtendedStatistics"));
        if plain.is_empty() && extended.is_empty() {
            return Err(Fault::new("MissingParameter", "the request names no statistic"));
        }
        let unit = self.store.unit(&id).unwrap_or("None");
        let mut points: BTreeMap<i64, Value> = BTreeMap::new();
        for (name, is_plain) in plain.iter().map(|name| (name, true)).chain(extended.iter().map(|name| (name, false))) {
            for (at, value) in self.store.statistics(&id, statistic(name)?, (from, to), period) {
                let point = points.entry(at).or_insert_with(|| json!({ "Timestamp": seconds(at), "Unit": unit }));
                let place = if is_plain { &mut point[name] } else { &mut point["ExtendedStatistics"][name] };
                *place = value.into();
            }
        }
        Ok(json!({ "Label": id.metric, "Datapoints": points.into_values().collect::<Vec<_>>() }))
    }

    fn data(&self, queries: &[Value], input: &Value) -> Result<Value, Fault> {
        if queries.len() > QUERIES_MAX {
            return Err(Fault::new("ValidationError", format!("a request has at most {QUERIES_MAX} queries")));
        }
        let (from, to) = self.span(input)?;
        let parts = Parts::read(self, queries)?;
        let descending = input["ScanBy"].as_str() != Some("TimestampAscending");
        let most =
            whole(&input["MaxDatapoints"]).map_or(DATAPOINTS_MAX, |most| (most.max(1) as usize).min(DATAPOINTS_MAX));
        let start = begin_of_page(input)?;
        // Pages go through the results one after another.
        let (mut passed, mut taken, mut is_more) = (0, 0, false);
        let mut results = Vec::new();
        for query in queries.iter().filter(|query| is_true(&query["ReturnData"]).unwrap_or(true)) {
            let id = query["Id"].as_str().unwrap_or_default();
            let mut points = parts.values(self.store, id, (from, to))?;
            if descending {
                points.reverse();
            }
            let skipped = start.saturating_sub(passed).min(points.len());
            passed += points.len();
            let page: Vec<_> = points[skipped..].iter().take(most - taken).collect();
            is_more |= page.len() < points.len() - skipped;
            taken += page.len();
            let status = if page.len() < points.len() - skipped { "PartialData" } else { "Complete" };
            let name = query["MetricStat"]["Metric"]["MetricName"].as_str().unwrap_or(id);
            results.push(json!({
                "Id": id,
                "Label": query["Label"].as_str().unwrap_or(name),
                "Timestamps": page.iter().map(|(at, _)| seconds(*at)).collect::<Vec<_>>(),
                "Values": page.iter().map(|(_, value)| *value).collect::<Vec<f64>>(),
                "StatusCode": status,
            }));
        }
        let mut answer = json!({ "MetricDataResults": results, "Messages": [] });
        if is_more {
            answer["NextToken"] = token(start + taken).into();
        }
        Ok(answer)
    }

    fn image(&self, input: &Value) -> Result<Value, Fault> {
        let widget = input["MetricWidget"].as_str();
        let widget = widget.ok_or_else(|| Fault::new("MissingParameter", "the request has no MetricWidget"))?;
        let png = image::png(self.store, widget, self.now_ms, self.timing.hidden_from_ms(self.now_ms))?;
        Ok(json!({ "MetricWidgetImage": BASE64_STANDARD.encode(png) }))
    }

    /// From when to before when, ms: what is not there for clients yet is left out.
    fn span(&self, input: &Value) -> Result<(i64, i64), Fault> {
        let of = |member: &str| {
            let wrong = || Fault::new("ValidationError", format!("{member} is missing, or is not a time"));
            time_ms(&input[member]).ok_or_else(wrong)
        };
        let (from, to) = (of("StartTime")?, of("EndTime")?);
        if from >= to {
            return Err(Fault::new("ValidationError", "StartTime must be before EndTime"));
        }
        Ok((from, to.min(self.timing.hidden_from_ms(self.now_ms))))
    }

    /// A period that CloudWatch takes, or one of the lab's own, ms.
    fn period(&self, value: &Value) -> Result<i64, Fault> {
        let own = self.timing.period.as_secs() as i64;
        let valid = |seconds: &i64| {
            *seconds > 0 && ([1, 5, 10, 20, 30].contains(seconds) || seconds % 60 == 0 || seconds % own == 0)
        };
        let refused = || {
            let others = if own < 60 { format!(", or a multiple of this lab's {own} s") } else { String::new() };
            Fault::new("ValidationError", format!("Period is 1, 5, 10, 20, 30 or a multiple of 60 s{others}"))
        };
        // A century is enough.
        whole(value)
            .filter(valid)
            .filter(|seconds| *seconds < 3_155_760_000)
            .map(|seconds| seconds * 1000)
            .ok_or_else(refused)
    }
}

/// The queries of one GetMetricData by their ids, with the period of each metric, ms.
struct Parts {
    queries: BTreeMap<String, Query>,
    periods: BTreeMap<String, i64>,
}

impl Parts {
    fn read(reader: &Reader, queries: &[Value]) -> Result<Parts, Fault> {
        let mut parts = Parts { queries: BTreeMap::new(), periods: BTreeMap::new() };
        for query in queries {
            let wrong = |text: &str| Fault::new("ValidationError", text.to_owned());
            let id = query["Id"].as_str().filter(|id| is_query_id(id));
            let id =
                id.ok_or_else(|| wrong("a query Id starts with a lower-case letter and has letters, digits and _"))?;
            let stat = &query["MetricStat"];
            let read = match (stat.is_object(), query["Expression"].as_str()) {
                (true, None) => {
                    parts.periods.insert(id.to_owned(), reader.period(&stat["Period"])?);
                    Query::Metric(series(&stat["Metric"])?, statistic(stat["Stat"].as_str().unwrap_or_default())?)
                }
                (false, Some(text)) => {
                    Query::expression(text).map_err(|error| wrong(&format!("the query {id}: {error:#}")))?
                }
                _ => return Err(wrong(&format!("the query {id} is neither a metric nor an expression, or both"))),
            };
            if parts.queries.insert(id.to_owned(), read).is_some() {
                return Err(wrong(&format!("two queries have the Id {id}")));
            }
        }
        Ok(parts)
    }

    fn values(&self, store: &Store, id: &str, (from, to): (i64, i64)) -> Result<Vec<(i64, f64)>, Fault> {
        let query = Query::named(id, &self.queries, 0);
        let query = query.map_err(|error| Fault::new("ValidationError", format!("the query {id}: {error:#}")))?;
        if let Query::Metric(series, statistic) = &query {
            let period = self.periods.get(id).copied().unwrap_or(60_000);
            return Ok(store.statistics(series, *statistic, (from - from.rem_euclid(period), to), period));
        }
        // An expression has the periods of the longest of its metrics.
        let period = query.names().iter().filter_map(|name| self.periods.get(*name).copied()).max().unwrap_or(60_000);
        let begin = from - from.rem_euclid(period);
        if (to - begin) / period > DATAPOINTS_MAX as i64 {
            return Err(Fault::new("ValidationError", "the time range has too many periods"));
        }
        let periods = std::iter::successors(Some(begin), |at| Some(at + period)).take_while(|at| *at < to);
        Ok(periods.filter_map(|at| Some((at, query.value(store, at, period.min(to - at))?))).collect())
    }
}

fn is_query_id(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_lowercase()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn metric(id: &SeriesId) -> Value {
    let dimensions = id.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value }));
    let dimensions: Vec<Value> = dimensions.collect();
    json!({ "Namespace": Metric::NAMESPACE, "MetricName": id.metric, "Dimensions": dimensions })
}

/// The series that `MetricName` and `Dimensions` name.
fn series(value: &Value) -> Result<SeriesId, Fault> {
    let name =
        value["MetricName"].as_str().ok_or_else(|| Fault::new("MissingParameter", "the request names no metric"))?;
    let dimensions = value["Dimensions"].as_array().map_or(&[][..], Vec::as_slice);
    let of =
        |dimension: &Value| Some((dimension["Name"].as_str()?.to_owned(), dimension["Value"].as_str()?.to_owned()));
    Ok(SeriesId { metric: name.to_owned(), dimensions: dimensions.iter().filter_map(of).collect() })
}

fn statistic(name: &str) -> Result<Statistic, Fault> {
    Statistic::parse(name).map_err(|error| Fault::invalid(error.to_string()))
}

/// A number, also as text.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|value| value as i64)).or_else(|| value.as_str()?.parse().ok())
}

fn is_true(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

/// A moment as each protocol writes it: seconds, or text.
fn time_ms(value: &Value) -> Option<i64> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let moment = || value.as_str()?.parse::<jiff::Timestamp>().ok();
    let ms = seconds.map(|seconds| seconds * 1000.0).filter(|ms| ms.abs() < 1e15).map(|ms| ms as i64);
    ms.or_else(|| moment().map(|moment| moment.as_millisecond()))
}

fn seconds(ms: i64) -> Value {
    if ms % 1000 == 0 { (ms / 1000).into() } else { (ms as f64 / 1000.0).into() }
}

fn token(next: usize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("from:{next}"))
}

fn begin_of_page(input: &Value) -> Result<usize, Fault> {
    let Some(text) = input["NextToken"].as_str().filter(|text| !text.is_empty()) else { return Ok(0) };
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let start = bytes.and_then(|text| text.strip_prefix("from:")?.parse().ok());
    start.ok_or_else(|| Fault::new("InvalidNextToken", "NextToken was not returned by this call"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{Datapoint, wire::Protocol},
        *,
    };

    const NOW: i64 = 1_000_000 * 60_000;

    fn timing(seconds: u64) -> Timing {
        Timing { period: Duration::from_secs(seconds), delay: Duration::from_secs(3) }
    }

    fn id(metric: &str, broker: i64) -> SeriesId {
        SeriesId::new(metric, [("Cluster Name", "demo".to_owned()), ("Broker ID", broker.to_string())])
    }

    /// Ten periods of two brokers before [`NOW`].
    fn store(period_ms: i64) -> Store {
        let mut store = Store::default();
        for (metric, factor) in [("CpuUser", 1.0), ("CpuSystem", 10.0)] {
            for broker in [1, 2] {
                let point = |back: i64| Datapoint {
                    id: id(metric, broker),
                    unit: "Percent",
                    at_ms: NOW - back * period_ms,
                    values: vec![factor * back as f64],
                };
                store.add((1..=10).rev().map(point).collect());
            }
        }
        store
    }

    fn ask(store: &Store, seconds: u64, operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call { protocol: Protocol::Json, operation: operation.to_owned(), input };
        match reply(store, timing(seconds), &call, NOW + 3000) {
            Reply::Here(answer) => answer,
            Reply::Elsewhere => panic!("{operation} is answered elsewhere"),
        }
    }

    fn query(id: &str, metric: &str, period: i64, stat: &str) -> Value {
        let dimensions = json!([{ "Name": "Broker ID", "Value": "1" }, { "Name": "Cluster Name", "Value": "demo" }]);
        let metric = json!({ "Namespace": "AWS/Kafka", "MetricName": metric, "Dimensions": dimensions });
        json!({ "Id": id, "MetricStat": { "Metric": metric, "Period": period, "Stat": stat } })
    }

    #[test]
    fn a_series_is_listed_once_in_pages() {
        let store = store(60_000);
        let listed = ask(&store, 60, "ListMetrics", json!({ "Namespace": "AWS/Kafka" })).unwrap();
        assert_eq!(listed["Metrics"].as_array().unwrap().len(), 4);
        let filter = json!({ "MetricName": "CpuUser", "Dimensions": [{ "Name": "Broker ID", "Value": "2" }] });
        let listed = ask(&store, 60, "ListMetrics", filter).unwrap();
        assert_eq!(listed["Metrics"], json!([metric(&id("CpuUser", 2))]));
        let mut many = Store::default();
        let point =
            |broker| Datapoint { id: id("CpuUser", broker), unit: "Percent", at_ms: NOW - 60_000, values: vec![1.0] };
        many.add((0..1201).map(point).collect());
        let (mut input, mut seen) = (json!({ "Namespace": "AWS/Kafka" }), std::collections::BTreeSet::new());
        for pages in 1.. {
            let page = ask(&many, 60, "ListMetrics", input.clone()).unwrap();
            seen.extend(page["Metrics"].as_array().unwrap().iter().map(Value::to_string));
            if page["NextToken"].is_null() {
                assert_eq!((pages, seen.len()), (3, 1201));
                break;
            }
            input["NextToken"] = page["NextToken"].clone();
        }
    }

    #[test]
    fn data_has_the_period_that_is_asked_for() {
        for own in [5, 60] {
            let store = store(own * 1000);
            let (from, to) = (NOW / 1000 - 4 * own, NOW / 1000);
            let input = json!({
                "StartTime": from, "EndTime": to.to_string(), "ScanBy": "TimestampAscending",
                "MetricDataQueries": [
                    query("user", "CpuUser", own, "Average"),
                    query("both", "CpuUser", 2 * own, "Sum"),
                    query("system", "CpuSystem", own, "Maximum"),
                    query("hidden", "CpuSystem", own, "Maximum"),
                    { "Id": "all", "Expression": "user + system" },
                    query("none", "CpuIdle", own, "Average"),
                ],
            });
            let mut hidden = input.clone();
            hidden["MetricDataQueries"][3]["ReturnData"] = false.into();
            let answer = ask(&store, own as u64, "GetMetricData", hidden).unwrap();
            let values: Vec<(&str, &Value)> = answer["MetricDataResults"]
                .as_array()
                .unwrap()
                .iter()
                .map(|result| (result["Id"].as_str().unwrap(), &result["Values"]))
                .collect();
            let (user, system, all, none) = (
                json!([4.0, 3.0, 2.0, 1.0]),
                json!([40.0, 30.0, 20.0, 10.0]),
                json!([44.0, 33.0, 22.0, 11.0]),
                json!([]),
            );
            assert_eq!(values[0], ("user", &user), "{own}");
            assert_eq!(values[1].1.as_array().unwrap().iter().filter_map(Value::as_f64).sum::<f64>(), 10.0);
            assert_eq!(values[2..], [("system", &system), ("all", &all), ("none", &none)]);
            assert_eq!(answer["MetricDataResults"][0]["Timestamps"][0], from);
        }
    }

    #[test]
    fn pages_of_data_hold_every_datapoint_once() {
        let store = store(60_000);
        let mut input = json!({
            "StartTime": NOW / 1000 - 600, "EndTime": NOW / 1000, "MaxDatapoints": 7,
            "MetricDataQueries": [query("user", "CpuUser", 60, "Average"), query("system", "CpuSystem", 60, "Average")],
        });
        let mut seen = Vec::new();
        for pages in 1.. {
            let page = ask(&store, 60, "GetMetricData", input.clone()).unwrap();
            for result in page["MetricDataResults"].as_array().unwrap() {
                let values = result["Values"].as_array().unwrap();
                seen.extend(values.iter().map(|value| (result["Id"].to_string(), value.as_f64().unwrap() as i64)));
            }
            if page["NextToken"].is_null() {
                assert_eq!((pages, seen.len()), (3, 20));
                break;
            }
            input["NextToken"] = page["NextToken"].clone();
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 20);
    }

    #[test]
    fn statistics_are_those_that_are_named() {
        let store = store(60_000);
        let mut input = json!({
            "Namespace": "AWS/Kafka", "MetricName": "CpuUser", "StartTime": "1970-01-01T00:00:00Z", "Period": "300",
            "EndTime": NOW / 1000, "Dimensions": [{ "Name": "Cluster Name", "Value": "demo" }, { "Name": "Broker ID", "Value": "1" }],
            "Statistics": ["Sum", "SampleCount"], "ExtendedStatistics": ["p50"],
        });
        input["StartTime"] = (NOW / 1000 - 600).into();
        let answer = ask(&store, 60, "GetMetricStatistics", input.clone()).unwrap();
        let points = answer["Datapoints"].as_array().unwrap();
        let sum: f64 = points.iter().map(|point| point["Sum"].as_f64().unwrap()).sum();
        assert_eq!((sum, &points[0]["Unit"]), (55.0, &json!("Percent")));
        assert!(points[0]["ExtendedStatistics"]["p50"].is_f64(), "{answer}");
        input["StartTime"] = "1970-01-01T00:00:00Z".into();
        assert_eq!(ask(&store, 60, "GetMetricStatistics", input).unwrap_err().code, "InvalidParameterCombination");
    }

    #[test]
    fn the_newest_datapoint_is_late() {
        let store = store(60_000);
        let input = json!({ "StartTime": 0, "EndTime": NOW / 1000 + 600, "MetricDataQueries": [query("user", "CpuUser", 60, "Sum")] });
        let call = Call { protocol: Protocol::Json, operation: "GetMetricData".to_owned(), input };
        for (now, points) in [(NOW + 3000, 10), (NOW + 2999, 9), (NOW - 60_000 + 2999, 8)] {
            let Reply::Here(Ok(answer)) = reply(&store, timing(60), &call, now) else { panic!("no answer") };
            assert_eq!(answer["MetricDataResults"][0]["Values"].as_array().unwrap().len(), points);
        }
    }

    #[test]
    fn calls_on_other_namespaces_go_elsewhere_and_wrong_ones_are_refused() {
        let store = store(60_000);
        let mut foreign = query("m", "Hits", 60, "Sum");
        foreign["MetricStat"]["Metric"]["Namespace"] = "Own".into();
        let span = json!({ "StartTime": NOW / 1000 - 60, "EndTime": NOW / 1000 });
        let with = |queries: Value| {
            let mut input = span.clone();
            input["MetricDataQueries"] = queries;
            input
        };
        for (operation, input) in [
            ("ListMetrics", json!({ "Namespace": "Own" })),
            ("GetMetricData", with(json!([foreign]))),
            ("GetMetricStatistics", json!({ "Namespace": "Own" })),
            ("PutMetricAlarm", json!({ "Namespace": "AWS/Kafka" })),
            ("PutMetricData", json!({ "Namespace": "Own" })),
        ] {
            let call = Call { protocol: Protocol::Json, operation: operation.to_owned(), input };
            assert_eq!(reply(&store, timing(60), &call, NOW), Reply::Elsewhere, "{operation}");
        }
        let good = query("m", "CpuUser", 60, "Average");
        for (queries, words) in [
            (json!([foreign, good]), "two calls"),
            (json!([query("m", "CpuUser", 7, "Average")]), "Period"),
            (json!([query("m", "CpuUser", 60, "tm99")]), "tm99"),
            (json!([query("M", "CpuUser", 60, "Sum")]), "lower-case letter"),
            (json!([good, good]), "two queries"),
            (json!([good, { "Id": "e", "Expression": "m + x" }]), "no query x"),
            (json!([good, { "Id": "e", "Expression": "SEARCH('{AWS/Kafka}', 'Sum')" }]), "does not compute"),
        ] {
            let error = ask(&store, 60, "GetMetricData", with(queries)).unwrap_err();
            assert!(error.message.contains(words), "{words}: {error:?}");
        }
        assert!(ask(&store, 60, "PutMetricData", json!({ "Namespace": "AWS/Kafka" })).is_err());
    }
}
