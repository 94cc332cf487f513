//! A value in kgen.toml is never evaluated as HCL.
//!
//! Each hostile value is rendered, and so is a harmless one in its place. What is rendered must be the same but for that
//! value: the same blocks and expressions, read by hcl-edit, and the same words of the client's script, read by bash.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use hcl_edit::{
    expr::{Expression, ObjectKey, TraversalOperator},
    structure::{Body, Structure},
    template::Element,
};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::Case;
use crate::project::kgen;

/// In every value, so that it is found again.
const MARK: &str = "zq";

/// What a value is, to all that is compared.
const VALUE: &str = "<VALUE>";

/// A key of kgen.toml.
struct Field {
    name: &'static str,
    /// The file, with `VALUE` for the quoted value and `MORE` for the same without its quotes.
    toml: &'static str,
    /// The variable that sets the same key.
    variable: Option<&'static str>,
    /// What surrounds the value in the key.
    around: (&'static str, &'static str),
}

const SUM: &str = "kgen_sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n";

const fn field(name: &'static str, toml: &'static str) -> Field {
    Field { name, toml, variable: None, around: ("", "") }
}

const FIELDS: &[Field] = &[
    field("tags.Owner", "[tags]\nOwner = VALUE\n"),
    field("tags.KEY", "[tags]\nVALUE = 'x'\n"),
    field("cluster.server_properties.x", "[cluster.server_properties]\n'a.b' = '%${x}'\n'message.format' = VALUE\n"),
    field("cluster.server_properties.KEY", "[cluster.server_properties]\nVALUE = 'x'\n"),
    Field {
        variable: Some("KGEN_LOGS_S3_PREFIX"),
        ..field("logs.s3_prefix", "[logs]\ns3_bucket = 'logs.example'\ns3_prefix = VALUE\n")
    },
    Field {
        variable: Some("KGEN_CLIENT_KGEN_URL"),
        around: ("https://example.com/", ""),
        ..field("client.kgen_url", "[client]\nkgen_url = VALUE\nSUM")
    },
    Field {
        variable: Some("KGEN_CLIENT_KGEN_FILE"),
        around: ("./", ""),
        ..field("client.kgen_file", "[client]\nkgen_file = VALUE\nSUM")
    },
    Field { around: ("/opt/", ""), ..field("client.kgen_file, absolute", "[client]\nkgen_file = VALUE\nSUM") },
    Field { around: ("", "@example.com"), ..field("alarms.emails", "[alarms]\nsns_topic = 'own'\nemails = [VALUE]\n") },
    Field {
        around: ("arn:aws:sns:us-west-2:123456789012:", ""),
        ..field("alarms.sns_topic", "[alarms]\nsns_topic = VALUE\n")
    },
    Field {
        around: ("arn:aws:kms:us-west-2:123456789012:key/", ""),
        ..field("cluster.kms_key", "[cluster]\nkms_key = VALUE\n")
    },
    Field { variable: Some("KGEN_CLUSTER_NAME"), ..field("cluster.name", "[cluster]\nname = VALUE\n") },
    Field { variable: Some("KGEN_TOPIC_NAME"), ..field("topic.name", "[topic]\nname = VALUE\n") },
    Field { variable: Some("KGEN_REGION"), around: ("", "-1"), ..field("region", "region = VALUE\n") },
    field("zones", "zones = ['us-west-2a', 'us-west-2b', VALUE]\n"),
    Field { around: ("t3.", ""), ..field("client.instance_type", "[client]\ninstance_type = VALUE\n") },
    field("client.kafka_tools_version", "[client]\nkafka_tools_version = VALUE\n"),
    field("client.bucket", "[client]\nkgen_file = 'kgen'\nbucket = VALUE\nSUM"),
    field("logs.s3_bucket", "[logs]\ns3_bucket = VALUE\n"),
    field("logs.firehose_stream", "[logs]\nfirehose_stream = VALUE\n"),
    field(
        "cluster.scram_users",
        "[cluster]\nkms_key = 'own'\nauthentication = ['none', 'scram']\nscram_users = [VALUE]\n",
    ),
    Field {
        around: ("arn:aws:secretsmanager:us-west-2:123456789012:secret:AmazonMSK_", ""),
        ..field(
            "cluster.scram_secret_arns",
            "[cluster]\nauthentication = ['none', 'scram']\nscram_secret_arns = [VALUE]\n",
        )
    },
    Field {
        around: ("arn:aws:acm-pca:us-west-2:123456789012:certificate-authority/", ""),
        ..field(
            "cluster.certificate_authority_arns",
            "[cluster]\nauthentication = ['none', 'tls']\ncertificate_authority_arns = [VALUE]\n",
        )
    },
];

/// Pieces that mean something to Terraform, a shell, curl, tera or an editor.
const PIECES: &[&str] = &[
    "$",
    "%",
    "{",
    "}",
    "${",
    "%{",
    "$${",
    "%%{",
    "$$${",
    "${path.module}",
    "%${file(\"/etc/hostname\")}",
    "$%{ if true }yes%{ endif }",
    "$${\"a\"}",
    "%%%{",
    "~}",
    "\"",
    "'",
    "\\",
    "\\u0024{x}",
    "`touch pwned`",
    "$(touch pwned)",
    "'; touch pwned; '",
    "\n",
    "\r",
    "\t",
    "\0",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{feff}",
    "EOT",
    "\nEOT\n",
    " EOT",
    "{a,b}",
    "[1-9]",
    "{{ region }}",
    "{% if true %}",
    "BUCKET-TO-COME",
    "#",
    "/*",
    "//",
    ";",
    "&",
    "|",
    " ",
    "..",
    "é",
    "😀",
    "%7B",
    "!",
    "*",
    "?",
];

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for field in FIELDS {
        // Those that stood at the start of it: a sign before a marker.
        let known = ["%${zq}", "$%{ if zq }", "$${\"zq\"}"].map(str::to_owned);
        let some = random.random_range(0..known.len());
        let made = (0..5).map(|_| hostile(random, PIECES));
        for value in known.into_iter().skip(some).take(1).chain(made.collect::<Vec<_>>()) {
            cases.push(of_file(field, value.clone(), false));
        }
        // Values that most keys take: nothing that a control character or a space would have refused.
        let printable: Vec<&str> = PIECES.iter().copied().filter(|p| p.chars().all(|c| c.is_ascii_graphic())).collect();
        cases.push(of_file(field, hostile(random, &printable), false));
        if field.variable.is_some() {
            cases.push(of_file(field, hostile(random, &printable), true));
        }
    }
    for _ in 0..8 {
        let value = hostile(random, PIECES).replace('\0', "");
        cases.push(Case::new(format!("resize {value:?} --dir"), move || no_broker_type(&value)));
    }
    cases
}

fn hostile(random: &mut StdRng, pieces: &[&str]) -> String {
    let mut some = |most: usize| {
        let count = random.random_range(0..=most);
        (0..count).map(|_| *pieces.choose(random).unwrap()).collect::<String>()
    };
    let before = some(3);
    format!("{before}{MARK}{}", some(4))
}

fn of_file(field: &'static Field, value: String, by_variable: bool) -> Case {
    let name = format!("{} = {value:?}{}", field.name, if by_variable { ", in the environment" } else { "" });
    Case::new(name, move || {
        let Some(hostile) = render(field, &value, by_variable)? else { return Ok(()) };
        let harmless = render(field, MARK, by_variable)?.ok_or("not even a harmless value is taken")?;
        same(&hostile, &harmless)
    })
}

/// The rendered files with the value in them replaced, or nothing if kgen refuses the value.
fn render(field: &Field, value: &str, by_variable: bool) -> Result<Option<BTreeMap<String, String>>, String> {
    let dir = tempfile::tempdir().unwrap();
    let whole = format!("{}{value}{}", field.around.0, field.around.1);
    let in_file = if by_variable { format!("{}{MARK}{}", field.around.0, field.around.1) } else { whole.clone() };
    let quoted = serde_json::Value::from(in_file).to_string().replace('\u{7f}', "\\u007f");
    let toml = field.toml.replace("SUM", SUM).replace("VALUE", &quoted);
    fs::write(dir.path().join("kgen.toml"), &toml).unwrap();
    let mut command = kgen(dir.path());
    command.arg("render");
    if by_variable {
        command.env(field.variable.unwrap(), &whole);
    }
    let output = command.output().unwrap();
    let folder = dir.path().join("terraform");
    match output.status.code() {
        Some(0) => {}
        Some(2) if !folder.exists() => return Ok(None),
        _ => return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut read = BTreeMap::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        read.insert(name.clone(), if name.ends_with(".tf") { shape(&text, value)? } else { script(&text, value)? });
    }
    if dir.path().join("pwned").exists() {
        return Err("a command in the value was run".to_owned());
    }
    Ok(Some(read))
}

fn same(hostile: &BTreeMap<String, String>, harmless: &BTreeMap<String, String>) -> Result<(), String> {
    if !hostile.values().any(|text| text.contains(VALUE)) && harmless.values().any(|text| text.contains(VALUE)) {
        return Err("the value is in no rendered file".to_owned());
    }
    for (name, expected) in harmless {
        let found = hostile.get(name).ok_or_else(|| format!("there is no {name}"))?;
        if found != expected {
            let lines = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
            return Err(format!("{name} is another one: {lines:?}"));
        }
    }
    Ok(())
}

/// What a file says, an attribute a line, with `value` replaced in every literal.
fn shape(text: &str, value: &str) -> Result<String, String> {
    let body: Body = text.parse().map_err(|error| format!("not HCL: {error}\n{text}"))?;
    let mut lines = Vec::new();
    structures(&body, "", value, &mut lines);
    Ok(lines.join("\n"))
}

fn structures(body: &Body, path: &str, value: &str, lines: &mut Vec<String>) {
    for structure in body {
        match structure {
            Structure::Attribute(attribute) => {
                lines.push(format!("{path}{} = {}", attribute.key.as_str(), expression(&attribute.value, value)));
            }
            Structure::Block(block) => {
                let labels: Vec<&str> = block.labels.iter().map(|label| label.as_str()).collect();
                let path = format!("{path}{} {} / ", block.ident.as_str(), labels.join(" "));
                lines.push(path.clone());
                structures(&block.body, &path, value, lines);
            }
        }
    }
}

fn expression(read: &Expression, value: &str) -> String {
    let inner = |read: &Expression| expression(read, value);
    match read {
        Expression::String(text) => literal(text, value),
        Expression::StringTemplate(template) => elements(template.iter(), value),
        // kgen's heredocs are indented, and no line of theirs begins with a space.
        Expression::HeredocTemplate(heredoc) => {
            let text = elements(heredoc.template.iter(), value);
            text.replace("\\n    ", "\\n").replacen("    ", "", 1)
        }
        Expression::Array(items) => format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(", ")),
        Expression::Object(items) => {
            let item = |(key, item): (&ObjectKey, &hcl_edit::expr::ObjectValue)| {
                let key = match key {
                    ObjectKey::Ident(bare) => literal(bare.as_str(), value),
                    ObjectKey::Expression(key) => inner(key),
                };
                format!("{key} = {}", inner(item.expr()))
            };
            format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        Expression::FuncCall(call) => {
            let arguments: Vec<String> = call.args.iter().map(inner).collect();
            format!("{}({})", call.name.name.as_str(), arguments.join(", "))
        }
        Expression::BinaryOp(operation) => {
            let operator = operation.operator.value();
            format!("{} {operator} {}", inner(&operation.lhs_expr), inner(&operation.rhs_expr))
        }
        Expression::Traversal(traversal) => {
            let operators = traversal.operators.iter().map(|operator| match operator.value() {
                TraversalOperator::Index(index) => format!("[{}]", inner(index)),
                TraversalOperator::GetAttr(name) => format!(".{}", name.as_str()),
                TraversalOperator::FullSplat(_) => "[*]".to_owned(),
                TraversalOperator::AttrSplat(_) => ".*".to_owned(),
                TraversalOperator::LegacyIndex(index) => format!(".{}", index.value()),
            });
            format!("{}{}", inner(&traversal.expr), operators.collect::<String>())
        }
        other => other.to_string().trim().to_owned(),
    }
}

fn elements<'a>(elements: impl Iterator<Item = &'a Element>, value: &str) -> String {
    let parts: Vec<String> = elements
        .map(|element| match element {
            Element::Literal(text) => literal(text, value),
            Element::Interpolation(inner) => format!("<<{}>>", expression(&inner.expr, value)),
            Element::Directive(directive) => format!("<<{directive:?}>>"),
        })
        .collect();
    parts.join(" + ")
}

fn literal(text: &str, value: &str) -> String {
    format!("{:?}", text.replace(value, VALUE))
}

/// The client's script, with the word for the value as bash reads it.
fn script(text: &str, value: &str) -> Result<String, String> {
    let without_sum: Vec<&str> = text.lines().filter(|line| !line.starts_with("# kgen:sha256=")).collect();
    let text = without_sum.join("\n");
    let Some(fetch) = text.lines().find(|line| line.starts_with("fetch 'https://")) else {
        return Ok(text.replace(value, VALUE));
    };
    let read = "fetch() { printf '%s' \"$1\"; }; work=w";
    let output = Command::new("bash").args(["-c", &format!("{read}\n{fetch}")]).output().unwrap();
    let word = String::from_utf8_lossy(&output.stdout).into_owned();
    // curl would take brackets and braces for several URLs.
    let plain = [("%7B", "{"), ("%7D", "}"), ("%5B", "["), ("%5D", "]")];
    let undone = |text: &str| plain.iter().fold(text.to_owned(), |text, (code, sign)| text.replace(code, sign));
    if !output.status.success() || word.contains(['{', '}', '[', ']']) {
        return Err(format!("{fetch} is read as {word:?}"));
    }
    Ok(text.replace(fetch, &undone(&word).replace(&undone(value), VALUE)))
}

/// A broker type that is none changes no file.
fn no_broker_type(value: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let text = "resource \"aws_msk_cluster\" \"x\" {\n  broker_node_group_info {\n    instance_type = \"kafka.t3.small\"\n  }\n}\n";
    let main: &Path = &dir.path().join("main.tf");
    fs::write(main, text).unwrap();
    let mut command = kgen(dir.path());
    let output = command.args(["resize", "--yes", "--dir"]).arg(dir.path()).arg("--").arg(value).output().unwrap();
    let after = fs::read_to_string(main).unwrap();
    match output.status.code() == Some(2) && after == text {
        true => Ok(()),
        false => Err(format!("{}, the file is {after:?}", output.status)),
    }
}
