//! The JSON schemas of what `--json` prints, made from the types.

use std::path::Path;

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::Value;

use super::*;
use crate::{
    benchmark, guard, kafka,
    lab_api::LabStatus,
    load::{consumer, merge, mix, producer},
    prediction,
    watch::Line,
};

pub type Published = (&'static str, fn() -> Schema);

/// Every published schema: its name, and how it is made. docs/schemas has a file for each.
pub const PUBLISHED: &[Published] = &[
    (Applied::SCHEMA, of::<Named<Applied>>),
    (benchmark::Scores::SCHEMA, of::<Named<benchmark::Scores>>),
    (prediction::PredictionScores::SCHEMA, of::<Named<prediction::PredictionScores>>),
    (BootstrapBrokers::SCHEMA, of::<Named<BootstrapBrokers>>),
    (Listed::SCHEMA, of::<Named<Listed>>),
    (guard::Line::SCHEMA, of::<guard::Line<'static>>),
    (guard::RoundReport::SCHEMA, of::<Named<guard::RoundReport>>),
    (Settings::SCHEMA, of::<Named<Settings>>),
    (ComparedRuns::SCHEMA, of::<Named<ComparedRuns<'static>>>),
    (consumer::SCHEMA, of::<consumer::Consumed>),
    (consumer::TICK_SCHEMA, of::<consumer::ReadTick>),
    (Played::SCHEMA, of::<Named<Played<'static>>>),
    (Destroyed::SCHEMA, of::<Named<Destroyed>>),
    (DiagnosisDocument::SCHEMA, of::<DiagnosisDocument<'static>>),
    (Readiness::SCHEMA, of::<Readiness>),
    (Explanations::SCHEMA, of::<Named<Explanations>>),
    (Fixed::SCHEMA, of::<Named<Fixed>>),
    (LabStatus::SCHEMA, of::<Named<LabStatus>>),
    (LabDown::SCHEMA, of::<Named<LabDown>>),
    (LabEnv::SCHEMA, of::<Named<LabEnv>>),
    (ListedFaults::SCHEMA, of::<Named<ListedFaults>>),
    (Outputs::SCHEMA, of::<Named<Outputs>>),
    (Planned::SCHEMA, of::<Named<Planned>>),
    (Prepared::SCHEMA, of::<Named<Prepared>>),
    (Pruned::SCHEMA, of::<Named<Pruned>>),
    (producer::SCHEMA, of::<producer::Summary>),
    (merge::SCHEMA, of::<merge::Merged>),
    (merge::REPORT_SCHEMA, of::<merge::PartReport>),
    (mix::SCHEMA, of::<mix::Mixed>),
    (mix::REPORT_SCHEMA, of::<mix::MixReport>),
    (producer::TICK_SCHEMA, of::<producer::Tick>),
    (Recorded::SCHEMA, of::<Named<Recorded>>),
    (RenderedFiles::SCHEMA, of::<Named<RenderedFiles<'static>>>),
    (WrittenReport::SCHEMA, of::<Named<WrittenReport>>),
    (Resized::SCHEMA, of::<Named<Resized>>),
    (ScaledOut::SCHEMA, of::<Named<ScaledOut>>),
    (Sized::SCHEMA, of::<Named<Sized>>),
    (Measured::SCHEMA, of::<Named<Measured>>),
    (Line::SCHEMA, of::<Line<'static>>),
    (kafka::admin::Topic::SCHEMA, of::<Named<kafka::admin::Topic>>),
    (TopicChange::SCHEMA, of::<Named<TopicChange>>),
    (Verified::SCHEMA, of::<Verified<'static>>),
];

/// The schema of a row of [`PUBLISHED`].
pub fn schema((name, make): &Published) -> Value {
    named(name, make()).to_value()
}

/// `sample-1.json` for `kgen.sample/1`.
pub fn file_name(name: &str) -> impl AsRef<Path> {
    format!("{}.json", name.trim_start_matches("kgen.").replace('/', "-"))
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// `schema` as that of the documents whose field `schema` says `name`.
fn named(name: &str, mut schema: Schema) -> Schema {
    schema.insert("title".to_owned(), name.into());
    if let Some(field) = schema.get_mut("properties").and_then(|properties| properties.get_mut("schema")) {
        *field = serde_json::json!({ "const": name });
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_names_its_documents() {
        for published @ (name, _) in PUBLISHED {
            let schema = schema(published);
            assert_eq!(schema["properties"]["schema"]["const"], *name);
            let required = schema["required"].as_array().unwrap();
            assert!(required.contains(&"schema".into()), "{name}: {required:?}");
            assert!(jsonschema::validator_for(&schema).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_published_files_are_current() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
        for published @ (name, _) in PUBLISHED {
            let there = std::fs::read_to_string(dir.join(file_name(name))).unwrap_or_default();
            let current = format!("{:#}\n", schema(published));
            assert!(there == current, "docs/schemas is stale for {name}: run scripts/generate");
        }
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), PUBLISHED.len(), "docs/schemas has a file too many");
    }
}
