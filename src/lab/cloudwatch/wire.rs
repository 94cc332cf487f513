//! The three protocols in which clients speak to CloudWatch, as one: an operation and its input in JSON.
//!
//! Terraform's provider and older SDKs send forms and read XML (Query), the AWS CLI and boto3 JSON 1.0, newer SDKs CBOR
//! (Smithy RPC v2). Timestamps are seconds since the epoch in JSON and CBOR, and text in XML.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Number, Value};

/// The service's name in the JSON and CBOR protocols.
const SERVICE: &str = "GraniteServiceVersion20100801";

/// The one member that is bytes: base64 in the other protocols.
const IMAGE: &str = "MetricWidgetImage";

/// Lists and objects in each other at most.
const DEPTH_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Query,
    Json,
    Cbor,
}

/// A request to CloudWatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub protocol: Protocol,
    pub operation: String,
    pub input: Value,
}

/// What a call is answered with when it fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// As CloudWatch names it, such as `InvalidParameterValue`.
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    pub fn new(code: &'static str, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Fault {
        Fault::new("InvalidParameterValue", message)
    }
}

/// Reads a request; nothing where it is in none of the protocols. `target` is the header `X-Amz-Target`.
///
/// # Errors
/// The protocol is known and the body is not of it.
pub fn read(path: &str, target: Option<&str>, body: &[u8]) -> Option<Result<Call, (Protocol, Fault)>> {
    let broken = |protocol, error: String| Err((protocol, Fault::new("SerializationException", error)));
    let call = |protocol, operation: &str, input| Ok(Call { protocol, operation: operation.to_owned(), input });
    if let Some(operation) =
        path.strip_prefix("/service/").and_then(|rest| rest.strip_prefix(SERVICE)?.strip_prefix("/operation/"))
    {
        let read = ciborium::from_reader::<ciborium::Value, _>(if body.is_empty() { &b"\xa0"[..] } else { body });
        return Some(match read.map_err(|error| error.to_string()).and_then(|value| from_cbor(value, 0)) {
            Ok(input) => call(Protocol::Cbor, operation, input),
            Err(error) => broken(Protocol::Cbor, error),
        });
    }
    if let Some(operation) = target.and_then(|target| target.strip_prefix(SERVICE)?.strip_prefix('.')) {
        return Some(match serde_json::from_slice(if body.is_empty() { b"{}" } else { body }) {
            Ok(input) => call(Protocol::Json, operation, input),
            Err(error) => broken(Protocol::Json, error.to_string()),
        });
    }
    let input = from_form(std::str::from_utf8(body).ok()?);
    let operation = input.get("Action")?.as_str()?.to_owned();
    Some(Ok(Call { protocol: Protocol::Query, operation, input }))
}

/// An answer: its content type, and its body.
pub fn render(protocol: Protocol, operation: &str, output: &Value, request_id: &str) -> (&'static str, Vec<u8>) {
    match protocol {
        Protocol::Json => ("application/x-amz-json-1.0", output.to_string().into_bytes()),
        Protocol::Cbor => (CBOR, cbor_bytes(output)),
        Protocol::Query => {
            let result = xml(output);
            let body = format!(
                "<{operation}Response xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\">\
                 <{operation}Result>{result}</{operation}Result>\
                 <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
            );
            ("text/xml", body.into_bytes())
        }
    }
}

/// An error, as [`render`].
pub fn render_fault(protocol: Protocol, fault: &Fault, request_id: &str) -> (&'static str, Vec<u8>) {
    let body = serde_json::json!({ "__type": fault.code, "message": fault.message });
    match protocol {
        Protocol::Query => {
            let (code, message) = (fault.code, escaped(&fault.message));
            let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
            let namespace = "http://monitoring.amazonaws.com/doc/2010-08-01/";
            let body = format!(
                "<ErrorResponse xmlns=\"{namespace}\">{error}<RequestId>{request_id}</RequestId></ErrorResponse>"
            );
            ("text/xml", body.into_bytes())
        }
        _ => render(protocol, "", &body, request_id),
    }
}

pub const CBOR: &str = "application/cbor";

/// Bytes of `value` in CBOR, with timestamps as such.
pub fn cbor_bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail.
    let _ = ciborium::into_writer(&to_cbor(value, false), &mut bytes);
    bytes
}

/// Whether a member holds a moment, or several.
fn is_time(name: &str) -> bool {
    name.ends_with("Timestamp") || name.ends_with("Timestamps") || name == "LastModified" || name.ends_with("Time")
}

fn to_cbor(value: &Value, is_moment: bool) -> ciborium::Value {
    use ciborium::Value as Cbor;
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(bool) => Cbor::Bool(*bool),
        Value::Number(number) if is_moment => Cbor::Tag(1, Box::new(Cbor::Float(number.as_f64().unwrap_or(0.0)))),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cbor::Integer(whole.into()),
            None => Cbor::Float(number.as_f64().unwrap_or(0.0)),
        },
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(|item| to_cbor(item, is_moment)).collect()),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let bytes = value.as_str().filter(|_| name == IMAGE).and_then(|text| BASE64_STANDARD.decode(text).ok());
                let value = bytes.map_or_else(|| to_cbor(value, is_time(name)), Cbor::Bytes);
                (Cbor::Text(name.clone()), value)
            };
            Cbor::Map(members.iter().map(member).collect())
        }
    }
}

fn from_cbor(value: ciborium::Value, depth: usize) -> Result<Value, String> {
    use ciborium::Value as Cbor;
    if depth > DEPTH_MAX {
        return Err("the request is nested too deeply".to_owned());
    }
    let number = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    Ok(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(bool) => bool.into(),
        Cbor::Integer(whole) => i64::try_from(whole).map_err(|_| "a number is too large")?.into(),
        Cbor::Float(float) => number(float),
        Cbor::Text(text) => text.into(),
        Cbor::Tag(_, inner) => from_cbor(*inner, depth + 1)?,
        Cbor::Array(items) => items.into_iter().map(|item| from_cbor(item, depth + 1)).collect::<Result<_, _>>()?,
        Cbor::Map(members) => {
            let member = |(name, value): (Cbor, Cbor)| {
                let name = name.into_text().map_err(|_| "the name of a member is not text".to_owned())?;
                Ok((name, from_cbor(value, depth + 1)?))
            };
            members.into_iter().map(member).collect::<Result<Map<_, _>, String>>()?.into()
        }
        _ => return Err("the request contains something that no CloudWatch call accepts".to_owned()),
    })
}

/// A form, whose names are paths: `Dimensions.member.1.Name=…`.
#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    inner: BTreeMap<String, Node>,
}

fn from_form(body: &str) -> Value {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut root = Node::default();
    for pair in body.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name);
        if name.split('.').count() > 2 * DEPTH_MAX {
            continue;
        }
        let node = name.split('.').fold(&mut root, |node, part| node.inner.entry(part.to_owned()).or_default());
        node.text = Some(decoded(value));
    }
    root.into_value()
}

impl Node {
    fn into_value(mut self) -> Value {
        if let (1, Some(members)) = (self.inner.len(), self.inner.remove("member")) {
            let mut numbered: Vec<(usize, Node)> =
                members.inner.into_iter().filter_map(|(number, node)| Some((number.parse().ok()?, node))).collect();
            numbered.sort_by_key(|(number, _)| *number);
            return numbered.into_iter().map(|(_, node)| node.into_value()).collect();
        }
        match self.text {
            Some(text) if self.inner.is_empty() => text.into(),
            _ => self.inner.into_iter().map(|(name, node)| (name, node.into_value())).collect::<Map<_, _>>().into(),
        }
    }
}

fn xml(value: &Value) -> String {
    xml_of(value, "", false)
}

fn xml_of(value: &Value, name: &str, is_moment: bool) -> String {
    match value {
        Value::Null => String::new(),
        Value::Number(number) if is_moment => moment(number.as_f64().unwrap_or(0.0)),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => escaped(text),
        Value::Array(items) => {
            items.iter().map(|item| format!("<member>{}</member>", xml_of(item, "", is_moment))).collect()
        }
        // The one map among the structures that are answered.
        Value::Object(entries) if name == "ExtendedStatistics" => {
            let entry = |(key, value): (&String, &Value)| {
                format!("<entry><key>{}</key><value>{}</value></entry>", escaped(key), xml_of(value, "", false))
            };
            entries.iter().map(entry).collect()
        }
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| format!("<{name}>{}</{name}>", xml_of(value, name, is_time(name)));
            members.iter().map(member).collect()
        }
    }
}

fn moment(seconds: f64) -> String {
    let moment = jiff::Timestamp::from_millisecond((seconds * 1000.0).round() as i64).unwrap_or_default();
    format!("{moment:.3}")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // What XML 1.0 does not allow.
            c if c.is_control() && !['\t', '\n', '\r'].contains(&c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_call_is_the_same_in_every_protocol() {
        let input = json!({ "Dimensions": [{ "Name": "Broker ID", "Value": "1" }, { "Name": "Topic" }], "Namespace": "AWS/Kafka" });
        let form = "Action=ListMetrics&Version=2010-08-01&Namespace=AWS%2FKafka&Dimensions.member.2.Name=Topic\
                    &Dimensions.member.1.Name=Broker+ID&Dimensions.member.1.Value=1";
        let query = read("/", None, form.as_bytes()).unwrap().unwrap();
        assert_eq!((query.protocol, query.operation.as_str()), (Protocol::Query, "ListMetrics"));
        assert_eq!(
            (&query.input["Dimensions"], &query.input["Namespace"]),
            (&input["Dimensions"], &input["Namespace"])
        );
        let target = Some("GraniteServiceVersion20100801.ListMetrics");
        let json = read("/", target, input.to_string().as_bytes()).unwrap().unwrap();
        let cbor = read("/service/GraniteServiceVersion20100801/operation/ListMetrics", None, &cbor_bytes(&input))
            .unwrap()
            .unwrap();
        assert_eq!((json.protocol, &json.input, &json.operation), (Protocol::Json, &input, &cbor.operation));
        assert_eq!((cbor.protocol, &cbor.input), (Protocol::Cbor, &input));
        assert!(read("/bucket", None, b"<xml/>").is_none());
        assert!(read("/", target, b"{").unwrap().is_err());
        assert!(read("/service/GraniteServiceVersion20100801/operation/X", None, b"\xff").unwrap().is_err());
    }

    #[test]
    fn an_answer_has_its_times_as_each_protocol_wants_them() {
        let output = json!({ "Label": "a<b", "Datapoints": [{ "Timestamp": 60, "Sum": 1.5, "ExtendedStatistics": { "p99": 2.0 } }] });
        let text = String::from_utf8(render(Protocol::Query, "GetMetricStatistics", &output, "r").1).unwrap();
        let inner = "<Label>a&lt;b</Label><Datapoints><member><Timestamp>1970-01-01T00:01:00.000Z</Timestamp><Sum>1.5</Sum>\
                     <ExtendedStatistics><entry><key>p99</key><value>2.0</value></entry></ExtendedStatistics></member></Datapoints>";
        assert!(text.contains(&format!("<GetMetricStatisticsResult>{inner}</GetMetricStatisticsResult>")), "{text}");
        assert_eq!(render(Protocol::Json, "", &output, "r").1, output.to_string().into_bytes());
        let bytes = render(Protocol::Cbor, "", &output, "r").1;
        let cbor: ciborium::Value = ciborium::from_reader(&bytes[..]).unwrap();
        assert!(format!("{cbor:?}").contains("Tag(1, Float(60.0))"), "{cbor:?}");
        assert_eq!(from_cbor(cbor, 0).unwrap()["Datapoints"][0]["Timestamp"], 60.0);
        let fault = Fault::invalid("no <such> thing");
        let text = String::from_utf8(render_fault(Protocol::Query, &fault, "r").1).unwrap();
        assert!(text.contains("<Code>InvalidParameterValue</Code><Message>no &lt;such&gt; thing</Message>"), "{text}");
    }
}
