//! The report as one HTML file that loads nothing and runs no script.

use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tera::Tera;

use super::{stretches::proven, view::View};
use crate::{
    run::{Entry, Event, Run},
    visible,
};

const TEMPLATE: &str = include_str!("../../templates/report.html");
const STYLE: &str = include_str!("../../templates/report.css");
/// The name decides that Tera escapes what it fills in.
const NAME: &str = "report.html";

/// Names the form of the embedded data.
const SCHEMA: &str = "kgen.report/1";
/// Most bytes of embedded data; beyond them samples and seconds of load are left out evenly.
const DATA_BYTES: usize = 8 << 20;

/// # Errors
/// The template does not fit its values, or a value has no form in JSON: neither depends on what is in a run.
pub fn html(run: &Run, view: &View) -> anyhow::Result<String> {
    let mut tera = Tera::default();
    tera.add_raw_template(NAME, TEMPLATE).context("reading the template of the report")?;
    let (data, note) = data(run, DATA_BYTES)?;
    let mut context = tera::Context::new();
    context.insert("view", view);
    context.insert("style", STYLE);
    // The only style that the page's policy lets in.
    context.insert("style_hash", &base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE)));
    context.insert("version", env!("CARGO_PKG_VERSION"));
    context.insert("data", &data);
    context.insert("data_note", &note);
    tera.render(NAME, &context).context("filling the template of the report")
}

/// The run as JSON that cannot end the element it is in, and a sentence about how whole it is.
fn data(run: &Run, most: usize) -> anyhow::Result<(String, String)> {
    let proof = proven(run).map(|(stretches, proof)| json!({ "stretches": stretches, "proof": proof }));
    let is_series = |entry: &Entry| matches!(entry.event, Event::Sample(_) | Event::Load(_));
    let mut every = 1;
    loop {
        let mut number = 0;
        let kept = run.entries.iter().filter(|entry| {
            number += usize::from(is_series(entry));
            !is_series(entry) || number % every == 0
        });
        let entries = kept.map(serde_json::to_value).collect::<Result<Vec<Value>, _>>().context("writing the data")?;
        let document = json!({ "schema": SCHEMA, "run": run.head, "comparison": proof, "entries": entries });
        let text = escaped(&visible::json(&serde_json::to_string(&document).context("writing the data")?));
        // What is not a sample stays whatever its size.
        if text.len() <= most || every > run.entries.len() {
            let note = match every {
                1 => "This page contains everything that was recorded.".to_owned(),
                every => format!(
                    "The record is too long for one page: it contains one in {every} samples and seconds of load, and \
                     everything else in full."
                ),
            };
            return Ok((text, note));
        }
        every *= 2;
    }
}

/// JSON whose text holds nothing that HTML could take for markup.
fn escaped(json: &str) -> String {
    // Outside of strings JSON has none of these, and inside an escape means the same.
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_end_its_element_and_means_the_same() {
        let value = json!({ "a": "</script><!--&\u{2028}", "b": "\\u003c" });
        let text = escaped(&value.to_string());
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
