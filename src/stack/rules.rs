//! Rules that no schema has: which values MSK, CloudWatch and EC2 take, and which go together.
//!
//! With the schema of the provider they check a configuration whole. Used by tests and benchmarks only, as
//! [`schema`](crate::hcl::schema) is. A value that is not written out, such as a reference, is passed over.

use ::hcl::{
    Block, BlockLabel, Body, Expression,
    expr::{FuncCall, ObjectKey, Traversal, TraversalOperator},
};

use super::{Rendered, values::VALUES};
use crate::{
    catalogue::{BrokerType, KafkaVersion, Metric},
    hcl::schema::{self, Fault, Mistake, Schema},
};

/// What is wrong with the Terraform files of `rendered`: by the provider's schema, then by the rules here.
///
/// # Errors
/// A file is not HCL.
pub fn check(rendered: &Rendered, schema: &Schema) -> Result<Vec<Fault>, ::hcl::Error> {
    let mut structures = Vec::new();
    for (_, text) in rendered.files().filter(|(name, _)| name.ends_with(".tf")) {
        structures.extend(::hcl::parse(text)?.into_inner());
    }
    let body = Body::from(structures);
    let mut faults = schema::check(schema, &body);
    for block in body.blocks().filter(|block| block.identifier.as_str() == "resource") {
        let [kind, name] = &block.labels[..] else { continue };
        let resource = Resource::new(kind.as_str(), &block.body);
        let mut wrong = resource.values();
        match kind.as_str() {
            "aws_msk_cluster" => wrong.extend(resource.cluster(&body)),
            "aws_cloudwatch_metric_alarm" => wrong.extend(resource.alarm()),
            "aws_cloudwatch_dashboard" => wrong.extend(resource.dashboard()),
            _ => {}
        }
        faults.extend(wrong.into_iter().map(|(path, problem)| Fault {
            at: format!("{}.{}.{path}", kind.as_str(), name.as_str()),
            mistake: Mistake::WrongValue(problem),
        }));
    }
    Ok(faults)
}

/// Where, in the block, and what is wrong there.
type Wrong = (String, String);

/// A resource with its nested blocks laid flat.
struct Resource<'b> {
    kind: &'b str,
    for_each: Option<&'b Expression>,
    /// Path, such as `broker_node_group_info.instance_type`, and value.
    arguments: Vec<(String, &'b Expression)>,
}

impl<'b> Resource<'b> {
    fn new(kind: &'b str, body: &'b Body) -> Resource<'b> {
        let mut resource = Resource { kind, for_each: argument(body, "for_each"), arguments: Vec::new() };
        resource.flatten("", body);
        resource
    }

    fn flatten(&mut self, path: &str, body: &'b Body) {
        for attribute in body.attributes() {
            self.arguments.push((format!("{path}{}", attribute.key), &attribute.expr));
        }
        for block in body.blocks() {
            self.flatten(&format!("{path}{}.", block.identifier), &block.body);
        }
    }

    fn get(&self, path: &str) -> Option<&'b Expression> {
        self.arguments.iter().find(|(at, _)| at == path).map(|(_, value)| *value)
    }

    /// The text of an argument that is written out.
    fn text(&self, path: &str) -> Option<String> {
        self.get(path).and_then(text)
    }

    /// Arguments whose values are known to be limited.
    fn values(&self) -> Vec<Wrong> {
        let limited = VALUES.iter().filter(|(kind, ..)| *kind == self.kind);
        let pairs = limited.flat_map(|(_, path, allowed)| {
            self.arguments.iter().filter(move |(at, _)| at == path).map(move |(at, value)| (at, value, allowed))
        });
        let written = pairs.flat_map(|(at, value, allowed)| {
            self.written(value).into_iter().map(move |text| (at.clone(), text, allowed))
        });
        written
            .filter(|(_, text, allowed)| !allowed.contain(text))
            .map(|(at, text, allowed)| (at, format!("{text:?} is not {allowed}")))
            .collect()
    }

    /// Every text that `value` is seen to take.
    fn written(&self, value: &Expression) -> Vec<String> {
        match value {
            Expression::Conditional(conditional) => [&conditional.true_expr, &conditional.false_expr]
                .into_iter()
                .flat_map(|one| self.written(one))
                .collect(),
            Expression::Parenthesis(inner) => self.written(inner),
            Expression::Array(items) => items.iter().flat_map(|item| self.written(item)).collect(),
            Expression::Traversal(traversal) if is_each(traversal, "value") => match self.for_each {
                Some(Expression::Object(items)) => items.values().filter_map(text).collect(),
                Some(Expression::FuncCall(call)) => elements(call).filter_map(text).collect(),
                _ => Vec::new(),
            },
            other => text(other).into_iter().collect(),
        }
    }

    /// Broker type, Kafka version, number of brokers.
    fn cluster(&self, body: &Body) -> Vec<Wrong> {
        const TYPE: &str = "broker_node_group_info.instance_type";
        let mut wrong = Vec::new();
        let version = self.text("kafka_version").map(|text| text.parse::<KafkaVersion>());
        let broker_type = self.text(TYPE).map(|text| text.parse::<BrokerType>());
        if let Some(Err(error)) = &version {
            wrong.push(("kafka_version".to_owned(), error.to_string()));
        }
        if let Some(Err(error)) = &broker_type {
            wrong.push((TYPE.to_owned(), error.to_string()));
        }
        if let (Some(Ok(version)), Some(Ok(broker_type))) = (&version, &broker_type)
            && let Err(error) = version.check_sold_with(*broker_type)
        {
            wrong.push(("kafka_version".to_owned(), error.to_string()));
        }
        let count = self.text("number_of_broker_nodes").and_then(|text| text.parse::<usize>().ok());
        let subnets = self.get("broker_node_group_info.client_subnets").and_then(|subnets| size(subnets, body));
        if let (Some(count), Some(subnets)) = (count, subnets)
            && (count == 0 || !count.is_multiple_of(subnets))
        {
            let problem = format!("{count} brokers are not a multiple of the {subnets} subnets");
            wrong.push(("number_of_broker_nodes".to_owned(), problem));
        }
        wrong
    }

    /// Metrics and their dimensions, as MSK publishes them.
    fn alarm(&self) -> Vec<Wrong> {
        let places = self.arguments.iter().filter_map(|(path, _)| path.strip_suffix("metric_name"));
        let mut wrong = Vec::new();
        // Blocks of one kind have one path: their arguments come in the order of the blocks.
        let all = |path: String| self.arguments.iter().filter(move |(at, _)| *at == path).map(|(_, value)| *value);
        for place in places.collect::<std::collections::BTreeSet<_>>() {
            let metrics = all(format!("{place}metric_name"));
            let namespaces = all(format!("{place}namespace"));
            let dimensions = all(format!("{place}dimensions"));
            for ((metric, namespace), dimensions) in metrics.zip(namespaces).zip(dimensions) {
                let (Some(metric), Some(namespace)) = (text(metric), text(namespace)) else { continue };
                let Expression::Object(dimensions) = dimensions else { continue };
                let names: Vec<String> = dimensions.keys().map(key).collect();
                if namespace != Metric::NAMESPACE {
                    let problem = format!("{namespace:?} is not {:?}", Metric::NAMESPACE);
                    wrong.push((format!("{place}namespace"), problem));
                } else if let Err(problem) = published(&metric, &names) {
                    wrong.push((format!("{place}metric_name"), problem));
                }
            }
        }
        wrong
    }

    /// The same in the widgets of a dashboard.
    fn dashboard(&self) -> Vec<Wrong> {
        let Some(body) = self.get("dashboard_body") else { return Vec::new() };
        let mut problems = Vec::new();
        widgets(body, &mut Vec::new(), &mut problems);
        problems.into_iter().map(|problem| ("dashboard_body".to_owned(), problem)).collect()
    }
}

/// Whether MSK publishes `metric` with exactly these dimensions, in whatever order.
fn published(metric: &str, dimensions: &[String]) -> Result<(), String> {
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let given = sorted(dimensions.to_vec());
    let mut of_name = Metric::all().iter().filter(|known| known.name == metric).peekable();
    if of_name.peek().is_none() {
        return Err(format!("MSK has no metric {metric}"));
    }
    match of_name.any(|known| sorted(known.dimensions().map(str::to_owned).collect()) == given) {
        true => Ok(()),
        false => Err(format!("MSK does not publish {metric} by {}", given.join(", "))),
    }
}

/// Goes through all lists in a dashboard: `["AWS/Kafka", METRIC, DIMENSION, VALUE, …]`, where `.` repeats what stands
/// at that place in the row above and `...` all but the last value (CloudWatch, "Dashboard body structure").
fn widgets(expression: &Expression, above: &mut Vec<Option<String>>, problems: &mut Vec<String>) {
    match expression {
        Expression::Array(items) if is_series(items) => series(items, above, problems),
        Expression::Array(items) => {
            let mut above = Vec::new();
            items.iter().for_each(|item| widgets(item, &mut above, problems));
        }
        Expression::Object(items) => items.values().for_each(|value| widgets(value, &mut Vec::new(), problems)),
        Expression::FuncCall(call) => {
            // `concat([…], […])` is one list for this.
            call.args.iter().for_each(|argument| widgets(argument, above, problems));
        }
        Expression::ForExpr(each) => widgets(&each.value_expr, above, problems),
        Expression::Parenthesis(inner) => widgets(inner, above, problems),
        Expression::Conditional(conditional) => {
            widgets(&conditional.true_expr, above, problems);
            widgets(&conditional.false_expr, above, problems);
        }
        Expression::String(text) => problems.extend(search(text).err()),
        Expression::TemplateExpr(template) => problems.extend(search(&template.to_string()).err()),
        _ => {}
    }
}

/// Whether a list names a metric: the text before the first value decides.
fn is_series(items: &[Expression]) -> bool {
    matches!(items.first().and_then(text).as_deref(), Some(Metric::NAMESPACE | "." | "..."))
}

fn series(items: &[Expression], above: &mut Vec<Option<String>>, problems: &mut Vec<String>) {
    let mut row: Vec<Option<String>> = Vec::new();
    for item in items.iter().filter(|item| !matches!(item, Expression::Object(_))) {
        match text(item).as_deref() {
            Some("...") => row.extend(above.iter().take(above.len().saturating_sub(1)).cloned()),
            Some(".") => row.push(above.get(row.len()).cloned().flatten()),
            other => row.push(other.map(str::to_owned)),
        }
    }
    if let (Some(Some(namespace)), Some(Some(metric))) = (row.first(), row.get(1))
        && namespace == Metric::NAMESPACE
    {
        let names: Option<Vec<String>> = row[2..].iter().step_by(2).cloned().collect();
        problems.extend(names.and_then(|names| published(metric, &names).err()));
    }
    *above = row;
}

/// A `SEARCH('{AWS/Kafka,"Cluster Name","Broker ID"} MetricName="CpuUser"', …)` names a metric too.
fn search(text: &str) -> Result<(), String> {
    let text = text.replace('\\', "");
    for found in text.split(&format!("{{{},", Metric::NAMESPACE)).skip(1) {
        let Some((dimensions, rest)) = found.split_once('}') else { continue };
        let names: Vec<String> = dimensions.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect();
        let metric = rest.split_once("MetricName=").map(|(_, metric)| metric.trim_start_matches('"'));
        let metric = metric.map(|metric| metric.split(['"', ' ', '\'']).next().unwrap_or_default());
        if let Some(metric) = metric {
            published(metric, &names)?;
        }
    }
    Ok(())
}

fn argument<'b>(body: &'b Body, name: &str) -> Option<&'b Expression> {
    body.attributes().find(|attribute| attribute.key.as_str() == name).map(|attribute| &attribute.expr)
}

/// A literal as text; Terraform makes no difference between `3` and `"3"`.
fn text(expression: &Expression) -> Option<String> {
    match expression {
        Expression::String(text) => Some(text.clone()),
        Expression::Number(number) => Some(number.to_string()),
        Expression::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn key(key: &ObjectKey) -> String {
    match key {
        ObjectKey::Expression(Expression::String(text)) => text.clone(),
        other => other.to_string(),
    }
}

/// The items of the list that a call such as `toset([…])` is made of.
fn elements(call: &FuncCall) -> impl Iterator<Item = &Expression> {
    let items = match call.args.first() {
        Some(Expression::Array(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter()
}

fn is_each(traversal: &Traversal, name: &str) -> bool {
    matches!(&traversal.expr, Expression::Variable(root) if root.as_str() == "each")
        && matches!(&traversal.operators[..], [TraversalOperator::GetAttr(of)] if of.as_str() == name)
}

/// How many items a list has, where that is written out: `[a, b]`, `values(TYPE.NAME)[*].id`, `[for s in TYPE.NAME : s.id]`,
/// with the resource's `for_each` in the same configuration.
fn size(expression: &Expression, body: &Body) -> Option<usize> {
    match expression {
        Expression::Array(items) => Some(items.len()),
        Expression::Object(items) => Some(items.len()),
        Expression::Parenthesis(inner) => size(inner, body),
        Expression::FuncCall(call) => size(call.args.first()?, body),
        Expression::ForExpr(each) if each.cond_expr.is_none() => size(&each.collection_expr, body),
        Expression::Traversal(traversal) => match (&traversal.expr, &traversal.operators[..]) {
            (Expression::Variable(kind), [TraversalOperator::GetAttr(name)]) => {
                let labels = [kind.as_str(), name.as_str()];
                let is_it = |block: &&Block| block.labels.iter().map(BlockLabel::as_str).eq(labels);
                size(argument(&body.blocks().find(is_it)?.body, "for_each")?, body)
            }
            (Expression::Variable(_), [of @ TraversalOperator::GetAttr(_), TraversalOperator::FullSplat, ..]) => {
                size(&Traversal::new(traversal.expr.clone(), [of.clone()]).into(), body)
            }
            (inner, [TraversalOperator::FullSplat, ..]) => size(inner, body),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
