//! Documents of Systems Manager that run a shell script: what their parameters make of it.

use anyhow::Context as _;
use regex::Regex;
use serde_json::{Value, json};

use super::{emulator::Emulator, fault::Fault};

/// The document that is there without anybody having made it.
pub const BUILT_IN: &str = "AWS-RunShellScript";

/// The one step of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub name: String,
    pub script: String,
    pub working_dir: Option<String>,
    /// Seconds that the script may run, as it is written.
    pub timeout: Option<Value>,
}

/// What AWS-RunShellScript is.
fn built_in() -> Value {
    json!({
        "schemaVersion": "2.2",
        "parameters": {
            "commands": { "type": "StringList" },
            "workingDirectory": { "type": "String", "default": "" },
            "executionTimeout": { "type": "String", "default": "3600" },
        },
        "mainSteps": [{
            "action": "aws:runShellScript",
            "name": "0.awsrunShellScript",
            "inputs": {
                "runCommand": ["{{ commands }}"],
                "workingDirectory": "{{ workingDirectory }}",
                "timeoutSeconds": "{{ executionTimeout }}",
            },
        }],
    })
}

/// The content of the document of this name.
///
/// # Errors
/// As SSM refuses it: there is none.
pub async fn content(emulator: Emulator<'_>, name: &str) -> Result<Value, Fault> {
    // A document is also named by its ARN.
    if name.rsplit('/').next() == Some(BUILT_IN) {
        return Ok(built_in());
    }
    let failed = |error: anyhow::Error| Fault::new("InternalServerError", format!("{error:#}"));
    let found = asked(emulator, name).await.map_err(failed)?;
    let text = found.as_ref().and_then(|found| found["Content"].as_str());
    let missing = || Fault::new("InvalidDocument", format!("there is no document {name:?}"));
    serde_json::from_str(text.ok_or_else(missing)?)
        .map_err(|error| Fault::new("InvalidDocument", format!("the lab reads documents in JSON: {error}")))
}

/// What the emulator says of a document; nothing when it knows none of this name.
async fn asked(emulator: Emulator<'_>, name: &str) -> anyhow::Result<Option<Value>> {
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AmazonSSM.GetDocument")];
    let (status, bytes) = emulator
        .post("ssm", &headers, json!({ "Name": name }).to_string())
        .await
        .context("asking the emulator for the document")?;
    if !status.is_success() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&bytes).context("reading the document")?))
}

/// The step of a document with these parameters.
///
/// # Errors
/// As SSM refuses it: a parameter that it does not have, or with a value that it does not allow; and what the lab does not run.
pub fn step(content: &Value, parameters: &Value) -> Result<Step, Fault> {
    let empty = serde_json::Map::new();
    let known = content["parameters"].as_object().unwrap_or(&empty);
    let given = parameters.as_object().unwrap_or(&empty);
    let refused = |message: String| Fault::new("InvalidParameters", message);
    if let Some(name) = given.keys().find(|name| !known.contains_key(*name)) {
        return Err(refused(format!("the document has no parameter {name}")));
    }
    let mut values = Vec::new();
    for (name, parameter) in known {
        let lines = match given.get(name) {
            Some(value) => texts(value),
            None => texts(&parameter["default"]),
        };
        let value = lines.ok_or_else(|| refused(format!("the document needs the parameter {name}")))?;
        if let Some(pattern) = parameter["allowedPattern"].as_str()
            && !Regex::new(pattern).is_ok_and(|pattern| value.iter().all(|line| pattern.is_match(line)))
        {
            return Err(refused(format!("the parameter {name} does not match {pattern}")));
        }
        values.push((name.as_str(), value.join("\n")));
    }
    let one = content["mainSteps"].as_array().map(Vec::as_slice);
    let Some([step]) = one.filter(|steps| steps.iter().all(|step| step["action"] == "aws:runShellScript")) else {
        return Err(Fault::new("InvalidDocument", "the lab runs documents of one step, aws:runShellScript"));
    };
    let filled = |text: &str| filled(text, &values);
    let inputs = &step["inputs"];
    let lines = texts(&inputs["runCommand"]).unwrap_or_default();
    let working_dir = inputs["workingDirectory"].as_str().map(filled).filter(|dir| !dir.is_empty());
    let timeout = match &inputs["timeoutSeconds"] {
        Value::Null => None,
        Value::String(text) => Some(Value::String(filled(text))),
        other => Some(other.clone()),
    };
    Ok(Step {
        name: step["name"].as_str().unwrap_or_default().to_owned(),
        script: lines.iter().map(|line| filled(line) + "\n").collect(),
        working_dir,
        timeout,
    })
}

/// A text or a list of texts.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        _ => None,
    }
}

/// `text` with each `{{ name }}` as its value. What a value holds is left as it is.
fn filled(text: &str, values: &[(&str, String)]) -> String {
    let (mut rest, mut filled) = (text, String::new());
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let value = after.split_once("}}").and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name.trim())?;
            Some((value, after))
        });
        match value {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_make_the_script() {
        let content = json!({
            "parameters": {
                "script": { "type": "String" },
                "seconds": { "type": "String", "default": "60", "allowedPattern": "^[0-9]+$" },
            },
            "mainSteps": [{
                "action": "aws:runShellScript",
                "name": "s",
                "inputs": { "timeoutSeconds": "{{ seconds }}", "runCommand": ["sh -s <<'E'", "{{script}}", "E"] },
            }],
        });
        let found = step(&content, &json!({ "script": ["echo {{ seconds }} {{ other }}"] })).unwrap();
        assert_eq!(found.script, "sh -s <<'E'\necho {{ seconds }} {{ other }}\nE\n");
        assert_eq!((found.name.as_str(), found.timeout), ("s", Some(json!("60"))));
        for (parameters, words) in [
            (json!({}), "needs the parameter script"),
            (json!({ "script": ["x"], "seconds": ["many"] }), "seconds does not match"),
            (json!({ "script": ["x"], "more": ["y"] }), "no parameter more"),
        ] {
            let fault = step(&content, &parameters).unwrap_err();
            assert!(fault.code == "InvalidParameters" && fault.message.contains(words), "{fault:?}");
        }
        let two = json!({ "mainSteps": [{ "action": "aws:runShellScript" }, { "action": "aws:runShellScript" }] });
        assert_eq!(step(&two, &json!({})).unwrap_err().code, "InvalidDocument");
        let lines = step(&built_in(), &json!({ "commands": ["a", "b"] })).unwrap();
        assert_eq!((lines.script.as_str(), lines.working_dir, lines.timeout), ("a\nb\n", None, Some(json!("3600"))));
    }
}
