//! The committed cut of the AWS provider's schema, against the provider.

use std::{fs, path::Path, process::Command};

use serde_json::{Map, Value, json};

/// The newest that `versions.tf` allows.
const PROVIDER_VERSION: &str = "5.100.0";

const KEPT: &str = "tests/schema/aws.json";

#[test]
#[ignore = "runs terraform with the AWS provider"]
fn the_schema_is_that_of_the_provider() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let types = fs::read_to_string(root.join("tests/schema/types.txt")).unwrap();
    let rebuilt = printed(&cut(provider_schema(), &types));
    let kept = root.join(KEPT);
    if std::env::var_os("KGEN_WRITE_SCHEMA").is_some() {
        fs::write(&kept, &rebuilt).unwrap();
    }
    let kept = fs::read_to_string(&kept).unwrap();
    let differs = kept.lines().zip(rebuilt.lines()).find(|(kept, rebuilt)| kept != rebuilt);
    assert!(
        kept == rebuilt,
        "{KEPT} is not what the provider and tests/schema/types.txt give (run `scripts/schema`); first difference: {:?}",
        differs.map(|(kept, _)| kept.split('"').nth(1).unwrap_or_default())
    );
}

/// All that `terraform providers schema -json` says of the AWS provider.
fn provider_schema() -> Value {
    let dir = tempfile::tempdir().unwrap();
    let wanted = json!({"aws": {"source": "hashicorp/aws", "version": PROVIDER_VERSION}});
    let main = json!({"terraform": {"required_providers": wanted}});
    fs::write(dir.path().join("main.tf.json"), main.to_string()).unwrap();
    let terraform = |args: &[&str]| {
        let output = Command::new("terraform").args(args).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    terraform(&["init", "-input=false", "-no-color"]);
    let mut schema: Value = serde_json::from_slice(&terraform(&["providers", "schema", "-json"])).unwrap();
    let providers = schema["provider_schemas"].as_object_mut().unwrap();
    assert_eq!(providers.len(), 1);
    providers.values_mut().next().unwrap().take()
}

/// The types that `types` names, and the provider's own settings without its endpoints; no descriptions.
fn cut(mut provider: Value, types: &str) -> Value {
    let mut cut = json!({"provider_version": PROVIDER_VERSION, "provider": provider["provider"].take()});
    cut["provider"]["block"]["block_types"].as_object_mut().unwrap().remove("endpoints");
    slim(&mut cut["provider"]);
    for line in types.lines().filter(|line| !line.starts_with('#')) {
        let (mode, name) = line.split_once(' ').expect("a line is `resource TYPE`, `data TYPE` or `ephemeral TYPE`");
        let section = match mode {
            "resource" => "resource_schemas",
            "data" => "data_source_schemas",
            "ephemeral" => "ephemeral_resource_schemas",
            other => panic!("{other}: neither resource nor data nor ephemeral"),
        };
        let mut schema = provider[section][name].take();
        assert!(schema.is_object(), "the provider has no {mode} {name}, or it is named twice");
        slim(&mut schema);
        cut[section][name] = schema;
    }
    cut
}

/// Takes the descriptions out of a schema. An attribute may itself be called `description`, and stays.
fn slim(schema: &mut Value) {
    schema.as_object_mut().unwrap().retain(|key, _| key == "block");
    slim_block(&mut schema["block"]);
}

fn slim_block(block: &mut Value) {
    let block = block.as_object_mut().unwrap();
    describe_no_more(block);
    for (_, attribute) in block.get_mut("attributes").and_then(Value::as_object_mut).into_iter().flatten() {
        describe_no_more(attribute.as_object_mut().unwrap());
    }
    for (_, nested) in block.get_mut("block_types").and_then(Value::as_object_mut).into_iter().flatten() {
        slim_block(&mut nested["block"]);
    }
}

fn describe_no_more(object: &mut Map<String, Value>) {
    object.retain(|key, _| !["description", "description_kind"].contains(&key.as_str()));
}

/// A type a line, so that a change can be read.
fn printed(cut: &Value) -> String {
    let section = |name: &str| {
        let types = cut[name].as_object().unwrap().iter();
        types.map(|(name, schema)| format!("\"{name}\": {schema}")).collect::<Vec<_>>().join(",\n")
    };
    format!(
        "{{\n\"provider_version\": {},\n\"provider\": {},\n\"data_source_schemas\": {{\n{}\n}},\n\"ephemeral_resource_schemas\": {{\n{}\n}},\n\"resource_schemas\": {{\n{}\n}}\n}}\n",
        cut["provider_version"],
        cut["provider"],
        section("data_source_schemas"),
        section("ephemeral_resource_schemas"),
        section("resource_schemas")
    )
}
