use ::hcl::{Attribute, Identifier, Traversal, expr::*};
use proptest::{prelude::*, strategy::ValueTree};

use super::*;
use crate::hcl::{self, Text, array, attr_of, call, object};

mod literals;

fn check(block: hcl::Block, expected: &str) {
    assert_eq!(Document::new().block(block).print(), expected);
}

#[test]
fn the_equals_signs_of_a_run_stand_in_one_column() {
    check(
        hcl::Block::labelled("output", "a").set("a", 1).set("long_name", true).set("mid", "x"),
        "output \"a\" {\n  a         = 1\n  long_name = true\n  mid       = \"x\"\n}\n",
    );
}

#[test]
fn a_value_over_several_lines_ends_the_run() {
    check(
        hcl::Block::new("a")
            .set("b", 1)
            .set("tags", object([("Name", "x"), ("a b", "y")]))
            .set("ccc", 2)
            .set("dddd", 3),
        "a {\n  b = 1\n\n  tags = {\n    Name  = \"x\"\n    \"a b\" = \"y\"\n  }\n\n  ccc  = 2\n  dddd = 3\n}\n",
    );
}

#[test]
fn a_block_stands_between_blank_lines() {
    check(
        hcl::Block::new("a").set("b", 1).nest(hcl::Block::new("c")).nest(hcl::Block::new("d").set("e", 1)).set("ff", 2),
        "a {\n  b = 1\n\n  c {}\n\n  d {\n    e = 1\n  }\n\n  ff = 2\n}\n",
    );
}

#[test]
fn a_heredoc_is_aligned_and_does_not_end_the_run() {
    check(
        hcl::Block::new("a").set("bb", 1).set("c", hcl::heredoc(["x", "", "  EOT", "${y}"])).set("dddd", 2),
        "a {\n  bb   = 1\n  c    = <<-EOT_\n    x\n\n      EOT\n    $${y}\n  EOT_\n  dddd = 2\n}\n",
    );
}

#[test]
fn a_heredoc_in_a_list_is_a_quoted_text() {
    check(
        hcl::Block::new("a").set("b", array([hcl::heredoc(["x \"", "${y}"])])),
        "a {\n  b = [\"x \\\"\\n$${y}\\n\"]\n}\n",
    );
}

#[test]
fn a_list_has_a_line_an_item_only_if_it_must() {
    let long = "x".repeat(60);
    check(
        hcl::Block::new("a").set("b", array(["1", "2"])).set("c", array([long.as_str(), long.as_str()])),
        &format!("a {{\n  b = [\"1\", \"2\"]\n\n  c = [\n    \"{long}\",\n    \"{long}\",\n  ]\n}}\n"),
    );
    check(
        hcl::Block::new("a").set("p", call("jsonencode", [object([("S", array([object([("E", 1), ("Fg", 2)])]))])])),
        "a {\n  p = jsonencode({\n    S = [\n      {\n        E  = 1\n        Fg = 2\n      },\n    ]\n  })\n}\n",
    );
}

#[test]
fn a_reference_in_a_text_keeps_its_quotes() {
    let (_, subnet) = hcl::Block::resource("aws_subnet", "broker");
    check(
        hcl::Block::new("a").set("b", Text::new().literal("${x} \"").value(subnet.at("k").attr("id")).literal("\"")),
        "a {\n  b = \"$${x} \\\"${aws_subnet.broker[\"k\"].id}\\\"\"\n}\n",
    );
}

/// Strings that people and attackers write.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,8}",
        Just("${var.x}".to_owned()),
        Just("%{ if true }".to_owned()),
        Just("\"\n\r\t\\ EOT\nEOT\n".to_owned()),
        Just("\u{7}\u{1b}".to_owned()),
    ]
}

fn name() -> impl Strategy<Value = Identifier> {
    "[a-z][a-z0-9_]{0,9}"
        .prop_filter("words of the language", |name| {
            !["for", "in", "if", "else", "endif", "endfor", "null", "true", "false"].contains(&name.as_str())
        })
        .prop_map(|name| Identifier::new(name).unwrap())
}

fn key() -> impl Strategy<Value = ObjectKey> {
    prop_oneof![
        name().prop_map(ObjectKey::Identifier),
        text().prop_map(|text| ObjectKey::Expression(Expression::String(text)))
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        Just(Expression::Null),
        any::<bool>().prop_map(Expression::from),
        any::<i64>().prop_map(Expression::from),
        (-1000i32..1000).prop_map(|n| Expression::from(f64::from(n) / 8.0)),
        text().prop_map(Expression::from),
        (name(), name()).prop_map(|(root, field)| {
            let root = Expression::Variable(Variable::unchecked(root.to_string()));
            Traversal::new(root, [TraversalOperator::GetAttr(field), TraversalOperator::Index("k\"".into())]).into()
        }),
        (text(), text()).prop_map(|(a, b)| Text::new()
            .literal(a + ".")
            .value(attr_of("each", "key"))
            .literal(b)
            .into()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Expression::Array),
            prop::collection::vec((key(), inner.clone()), 0..4)
                .prop_map(|items| Expression::Object(items.into_iter().collect())),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|arguments| call("jsonencode", arguments)),
            inner.clone().prop_map(|e| {
                let sum = BinaryOp::new(Expression::Parenthesis(Box::new(e)), BinaryOperator::Plus, 1);
                Expression::Operation(Box::new(Operation::Binary(sum)))
            }),
        ]
    })
}

/// The value of an attribute, which may be a heredoc.
fn value() -> impl Strategy<Value = Expression> {
    let heredoc = || {
        "[a-z][ -~]{0,9}\n( {0,3}[A-Z]{1,3}\n){0,2}"
            // How hcl-rs keeps an escaped marker is its own affair; `literals` has these.
            .prop_filter("markers", |text| !text.contains("${") && !text.contains("%{"))
            .prop_map(|lines| hcl::heredoc(lines.lines()))
    };
    prop_oneof![
        6 => expression(),
        1 => heredoc(),
        1 => prop::collection::vec((key(), prop_oneof![heredoc(), expression()]), 1..5)
            .prop_map(|items| Expression::Object(items.into_iter().collect())),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    let attributes = |most| {
        prop::collection::btree_map(name().prop_map(|name| name.to_string()), value(), 0..most).prop_map(|attributes| {
            attributes
                .into_iter()
                .map(|(name, e)| Attribute::new(Identifier::unchecked(name), e).into())
                .collect::<Vec<_>>()
        })
    };
    let block = |inner: BoxedStrategy<Vec<Structure>>| {
        (name(), prop::collection::vec("[a-z][a-z0-9_-]{0,9}", 0..3), inner).prop_map(|(identifier, labels, body)| {
            let labels = labels.into_iter().map(BlockLabel::String).collect();
            Structure::Block(Block { identifier, labels, body: Body::from(body) })
        })
    };
    let inner = attributes(5).prop_recursive(2, 12, 3, move |inner| {
        (attributes(4), prop::collection::vec(block(inner.boxed()), 0..3))
            .prop_map(|(attributes, blocks)| attributes.into_iter().chain(blocks).collect::<Vec<_>>())
    });
    inner.prop_map(Body::from)
}

fn structure_as_read(structure: Structure) -> Structure {
    match structure {
        Structure::Attribute(attribute) => Attribute::new(attribute.key, as_read(attribute.expr)).into(),
        Structure::Block(block) => {
            let body = Body::from_iter(block.body.into_iter().map(structure_as_read));
            Structure::Block(Block { body, ..block })
        }
    }
}

/// `expression` with each template in the form in which hcl-rs keeps what it has read: kgen keeps source text.
fn as_read(expression: Expression) -> Expression {
    match expression {
        Expression::TemplateExpr(template) => match *template {
            TemplateExpr::QuotedString(source) => format!("\"{source}\"").parse().unwrap(),
            heredoc => heredoc.into(),
        },
        Expression::Array(items) => Expression::Array(items.into_iter().map(as_read).collect()),
        Expression::Object(items) => {
            Expression::Object(items.into_iter().map(|(key, value)| (key, as_read(value))).collect())
        }
        Expression::FuncCall(mut call) => {
            call.args = call.args.into_iter().map(as_read).collect();
            Expression::FuncCall(call)
        }
        Expression::Parenthesis(inner) => Expression::Parenthesis(Box::new(as_read(*inner))),
        Expression::Operation(operation) => match *operation {
            Operation::Binary(sum) => {
                let sum = BinaryOp::new(as_read(sum.lhs_expr), sum.operator, as_read(sum.rhs_expr));
                Expression::Operation(Box::new(Operation::Binary(sum)))
            }
            unary => Expression::Operation(Box::new(unary)),
        },
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_printed_reads_back_the_same(body in body()) {
        let text = print(&body);
        let read = ::hcl::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(read, Body::from_iter(body.into_iter().map(structure_as_read)), "{}", text);
    }
}

#[test]
#[ignore = "needs terraform"]
fn terraform_fmt_leaves_random_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let bodies = std::iter::repeat_with(|| body().new_tree(&mut runner).unwrap().current());
    // Terraform's tables of what is one character are of another version of Unicode than ours.
    let texts = bodies.map(|body| print(&body)).filter(|text| text.chars().all(|c| c < '\u{300}'));
    for (at, text) in texts.take(500).enumerate() {
        std::fs::write(dir.path().join(format!("{at}.tf")), text).unwrap();
    }
    let fmt = std::process::Command::new("terraform").args(["fmt", "-check", "-diff"]).current_dir(&dir).output();
    let fmt = fmt.expect("terraform is on the PATH");
    let text = [fmt.stdout, fmt.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(fmt.status.success(), "{text}");
}

/// The outputs of a root module of this text and no provider.
fn terraform_outputs(text: &str) -> serde_json::Value {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("main.tf"), text).unwrap();
    let terraform = |args: &[&str]| {
        let ran = std::process::Command::new("terraform").args(args).current_dir(&dir).output();
        let ran = ran.expect("terraform is on the PATH");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    };
    terraform(&["apply", "-auto-approve", "-refresh=false", "-no-color"]);
    let read: serde_json::Value = serde_json::from_slice(&terraform(&["output", "-json"])).unwrap();
    let values = read.as_object().unwrap().iter().map(|(name, output)| (name.clone(), output["value"].clone()));
    serde_json::Value::Object(values.collect())
}
