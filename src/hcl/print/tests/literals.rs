//! Whatever a string holds, it is read back as that string: by hcl-edit's parser, and by Terraform itself.

use hcl_edit::{
    expr::{Expression as Read, ObjectKey as ReadKey, TraversalOperator as ReadOperator},
    structure::Body as ReadBody,
    template::{Element, Template},
};
use proptest::{prelude::*, strategy::ValueTree};

use super::{super::Document, terraform_outputs};
use crate::hcl::{Block, Expression, Text, array, attr_of, call, heredoc, object};

/// What `local.v` is.
const VALUE: &str = "V";

/// Strings of what means something to Terraform, in any order.
fn marked() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "$",
        "%",
        "{",
        "}",
        "${",
        "%{",
        "$${",
        "%%{",
        "$$",
        "%%",
        "~",
        "${v}",
        "%{ if true }y%{ endif }",
        "%${v}",
        "$%{ endif }",
        "$${\"a\"}",
        "\"",
        "\\",
        "\\u0024{v}",
        "\n",
        "\r",
        "\r\n",
        "\t",
        "\0",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{202e}",
        "\u{feff}",
        "\u{e0041}",
        "EOT",
        "\nEOT\n",
        "\n  EOT_\n",
        " ",
        "\u{a0}",
        "#",
        "//",
        "/*",
        "<<-EOT\n",
        "a",
        "é",
        "😀",
    ]);
    prop::collection::vec(parts, 0..10).prop_map(|parts| parts.concat())
}

/// Every place in which kgen prints a string: the name of an attribute, its value, and what the value comes to.
fn places(a: &str, b: &str) -> Vec<(&'static str, Expression, String)> {
    let v = || attr_of("local", "v");
    let lines = || heredoc(a.split('\n'));
    let with_end = format!("{a}\n");
    let text = Text::new().literal(a).value(v()).literal(b).literal(a).value(v()).value(v()).literal("").literal(b);
    let inside = Text::new().literal(b).value(call("format", ["%s".into(), a.into()])).literal(a);
    vec![
        ("quoted", a.into(), a.to_owned()),
        ("heredoc", lines(), with_end.clone()),
        ("item_heredoc", object([("k", lines())]), with_end.clone()),
        ("list", array([Expression::from(b), a.into()]), a.to_owned()),
        ("list_heredoc", array([Expression::from(b), lines()]), with_end.clone()),
        ("call", call("format", ["%s".into(), a.into()]), a.to_owned()),
        ("item", object([("k", a)]), a.to_owned()),
        ("text", text.into(), format!("{a}{VALUE}{b}{a}{VALUE}{VALUE}{b}")),
        ("text_inside", inside.into(), format!("{b}{a}{a}")),
        ("literals", Text::new().literal(b).literal(a).into(), format!("{b}{a}")),
    ]
}

/// What a string comes to, read the way of HCL's specification.
fn text_of(read: &Read) -> String {
    match read {
        Read::String(text) => text.to_string(),
        Read::StringTemplate(template) => elements(template.iter()),
        Read::HeredocTemplate(heredoc) => dedented(&heredoc.template),
        // The last of a list, the one value of an object, the second argument of `format("%s", …)`.
        Read::Array(items) => text_of(items.iter().last().unwrap()),
        Read::Object(items) => text_of(items.iter().next().unwrap().1.expr()),
        Read::FuncCall(call) => text_of(call.args.iter().last().unwrap()),
        Read::Traversal(_) => VALUE.to_owned(),
        other => panic!("{other:?} is no text"),
    }
}

fn elements<'a>(elements: impl Iterator<Item = &'a Element>) -> String {
    let element = |element: &Element| match element {
        Element::Literal(text) => text.to_string(),
        Element::Interpolation(inner) => text_of(&inner.expr),
        Element::Directive(directive) => panic!("a value has become {directive:?}"),
    };
    elements.map(element).collect()
}

/// Without the white space that all lines begin with; empty lines do not count.
fn dedented(template: &Template) -> String {
    let text = elements(template.iter());
    let margin = |line: &str| line.len() - line.trim_start().len();
    let lines = || text.split_inclusive('\n');
    let least = lines().filter(|line| !line.trim().is_empty()).map(margin).min().unwrap_or(0);
    lines().map(|line| if line.trim().is_empty() { line } else { &line[least..] }).collect()
}

fn attribute<'a>(body: &'a ReadBody, name: &str) -> &'a Read {
    &body.blocks().next().unwrap().body.get_attribute(name).unwrap().value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_string_is_read_back_as_it_was(a in marked(), b in marked()) {
        let places = places(&a, &b);
        let block = places.iter().fold(Block::new("b"), |block, (name, value, _)| block.set(name, value.clone()));
        let text = Document::new().commented(&a, block).print();
        let read: ReadBody = text.parse().map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(read.len(), 1, "{}", text);
        for (name, _, expected) in &places {
            prop_assert_eq!(&text_of(attribute(&read, name)), expected, "{}: {}", name, text);
        }
    }

    #[test]
    fn a_key_is_read_back_as_it_was(a in marked(), word in "[a-z]{1,3}(_[a-z]{1,2})?|for|if|null|true") {
        for key in [a.as_str(), word.as_str()] {
            let (_, one) = Block::resource("aws_subnet", "main");
            let block = Block::new("b").set("object", object([(key, 1)])).set("index", one.at(key).attr("id"));
            let text = Document::new().block(block).print();
            let read: ReadBody = text.parse().map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            let Read::Object(items) = attribute(&read, "object") else { panic!("{text}") };
            let read_key = match items.iter().next().unwrap().0 {
                ReadKey::Ident(bare) => bare.to_string(),
                ReadKey::Expression(quoted) => text_of(quoted),
            };
            prop_assert_eq!(&read_key, key, "{}", text);
            let Read::Traversal(traversal) = attribute(&read, "index") else { panic!("{text}") };
            let indexes = traversal.operators.iter().filter_map(|operator| match operator.value() {
                ReadOperator::Index(index) => Some(text_of(index)),
                _ => None,
            });
            prop_assert_eq!(indexes.collect::<Vec<_>>(), [key], "{}", text);
        }
    }
}

#[test]
fn what_was_evaluated_once_is_a_literal() {
    // In server_properties and client.kgen_file these were not escaped, because a sign stands before the marker.
    let rows = [
        ("a=%${x}", r#"a=%$${x}"#),
        ("b=%${file(\"/etc/hostname\")}", r#"b=%$${file("/etc/hostname")}"#),
        ("c=$%{ if true }", "c=$%%{ if true }"),
        ("d=$${\"a\"}", r#"d=$$${"a"}"#),
    ];
    for (line, expected) in rows {
        let text = Document::new().block(Block::new("a").set("b", heredoc([line]))).print();
        assert_eq!(text, format!("a {{\n  b = <<-EOT\n    {expected}\n  EOT\n}}\n"));
    }
    let file = Text::new().value(attr_of("path", "module")).literal("/../$%{x}%${path.module}");
    let text = Document::new().block(Block::new("a").set("b", file)).print();
    assert_eq!(text, "a {\n  b = \"${path.module}/../$%%{x}%$${path.module}\"\n}\n");
}

#[test]
#[ignore = "needs terraform"]
fn terraform_reads_every_string_as_it_was() {
    let mut strings: Vec<String> = vec![String::new()];
    for at in 0.. {
        // All strings of up to four of these.
        let Some(shorter) = strings.get(at).filter(|text| text.chars().count() < 4).cloned() else { break };
        strings.extend(["$", "%", "{", "a"].map(|sign| format!("{shorter}{sign}")));
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    strings.extend(std::iter::repeat_with(|| marked().new_tree(&mut runner).unwrap().current()).take(300));

    let second = |at: usize| strings[(at * 7 + 3) % strings.len()].as_str();
    let all: Vec<_> = strings.iter().enumerate().map(|(at, text)| places(text, second(at))).collect();
    let outputs = all.iter().map(|places| object(places.iter().map(|(name, value, _)| (*name, value.clone()))));
    let document = Document::new()
        .block(Block::new("locals").set("v", VALUE).set("keys", object(strings.iter().map(|text| (text.clone(), 1)))))
        .block(Block::labelled("output", "keys").set("value", attr_of("local", "keys")))
        .block(Block::labelled("output", "all").set("value", array(outputs)));
    let outputs = terraform_outputs(&document.print());

    let keys: std::collections::BTreeSet<_> = strings.iter().collect();
    assert_eq!(outputs["keys"].as_object().unwrap().keys().collect::<std::collections::BTreeSet<_>>(), keys);
    for (places, read) in all.iter().zip(outputs["all"].as_array().unwrap()) {
        for (name, _, expected) in places {
            let read = &read[name];
            let read = read.get(1).or_else(|| read.get("k")).unwrap_or(read);
            assert_eq!(read.as_str(), Some(expected.as_str()), "{name}");
        }
    }
}
