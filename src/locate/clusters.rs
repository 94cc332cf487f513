//! Every MSK cluster that a configuration creates, with the value of its broker type.

use std::{collections::BTreeSet, rc::Rc};

use super::{
    eval::{Decider, Eval, Met},
    scope::{Scope, Space},
    syntax::{Block, Body, Expr, Kind, Place, Step},
    terragrunt,
    tree::{Target, Tree, dotted, source},
    value::{Key, Stop, Text, Thunk, Value},
};

/// Public modules that make a cluster: source, the argument for the broker type, the one for the name.
const KNOWN: &[(&str, &str, &str)] = &[
    // The arguments are those of every version up to 3.3.0 (variables.tf of each module).
    ("terraform-aws-modules/msk-kafka-cluster/aws", "broker_node_instance_type", "name"),
    ("terraform-aws-modules/terraform-aws-msk-kafka-cluster", "broker_node_instance_type", "name"),
    // What that module was published as before.
    ("clowdhaus/msk-kafka-cluster/aws", "broker_node_instance_type", "name"),
    ("clowdhaus/terraform-aws-msk-kafka-cluster", "broker_node_instance_type", "name"),
    // Its clusters' names are put together from namespace, stage and name.
    ("cloudposse/msk-apache-kafka-cluster/aws", "broker_instance_type", ""),
    ("cloudposse/terraform-aws-msk-apache-kafka-cluster", "broker_instance_type", ""),
    ("angelabad/msk-cluster/aws", "instance_type", "cluster_name"),
    ("angelabad/terraform-aws-msk-cluster", "instance_type", "cluster_name"),
];

/// Those who publish modules of which only the ones above make a cluster.
const OTHERWISE: &[&str] =
    &["terraform-aws-modules/", "cloudposse/", "terraform-google-modules/", "GoogleCloudPlatform/", "Azure/"];

/// Words in the names of modules that make something else, whoever publishes them.
const SOMETHING_ELSE: &[&str] = &[
    "acm",
    "alb",
    "aurora",
    "bastion",
    "cloudfront",
    "cloudwatch",
    "dynamodb",
    "ec2",
    "ecr",
    "ecs",
    "efs",
    "eks",
    "elasticache",
    "elasticsearch",
    "iam",
    "kms",
    "label",
    "lambda",
    "nlb",
    "opensearch",
    "rds",
    "redis",
    "redshift",
    "route53",
    "s3",
    "secretsmanager",
    "security",
    "sg",
    "sns",
    "sqs",
    "ssm",
    "subnets",
    "tags",
    "vpc",
];

/// Module instances and clusters that are looked at.
const MOST: usize = 1000;

/// One cluster, or what may be one.
pub struct LocatedCluster {
    /// As Terraform writes it; of a module that is not read, the module's.
    pub address: String,
    /// Where it is declared.
    pub place: Place,
    pub name: Option<String>,
    pub kafka_version: Option<String>,
    /// The broker type, or why it is unknown.
    pub broker_type: Result<Text, Stop>,
    pub met: Met,
    /// Why it is unknown how many of it there are.
    pub uncertain: Option<Stop>,
    /// Where Terraform is instructed to take no notice of the broker type.
    pub ignored: Option<Place>,
    /// Conditions that its broker type has to meet: of variables, and of the cluster itself.
    pub conditions: Vec<Condition>,
}

/// A condition that Terraform checks.
#[derive(Debug, Clone)]
pub struct Condition {
    pub place: Place,
    /// Whether it is met; nothing, where kgen cannot know.
    pub is_met: Option<bool>,
    /// What Terraform says where it is not met.
    pub message: String,
}

/// What was found in a configuration.
#[derive(Default)]
pub struct Clusters {
    pub found: Vec<LocatedCluster>,
    /// Blocks that make no cluster with brokers of a type, or none now.
    pub others: Vec<Other>,
}

/// A block that makes no cluster now.
pub struct Other {
    pub place: Place,
    /// Why, in words.
    pub what: String,
    /// What would make it one.
    pub switch: Option<Switch>,
    /// The source of a module that `terraform init` would fetch.
    pub is_remote: bool,
}

/// A `count` or `for_each` that comes to nothing.
pub struct Switch {
    /// Of the argument.
    pub place: Place,
    /// What it depends on that a run may be given otherwise.
    pub deciders: BTreeSet<Decider>,
    /// Whether a cluster is behind it.
    pub makes_cluster: bool,
}

impl Other {
    fn new(place: &Place, what: impl Into<String>) -> Other {
        Other { place: place.clone(), what: what.into(), switch: None, is_remote: false }
    }
}

/// The clusters of the root module `root`.
///
/// # Errors
/// What is missing to look at them.
pub fn clusters(eval: &Eval<'_>, root: usize) -> Result<Clusters, Stop> {
    let mut clusters = Clusters::default();
    clusters.of_module(eval, &Scope::root(root), &Within::default());
    let needs =
        |cluster: &LocatedCluster| cluster.broker_type.as_ref().err().filter(|stop| stop.needs.is_some()).cloned();
    match clusters.found.iter().find_map(needs) {
        Some(stop) => Err(stop),
        None => Ok(clusters),
    }
}

/// The cluster of a Terragrunt unit whose module is not on this machine but known.
pub fn of_unit(eval: &Eval<'_>, remote: &str, place: &Place) -> Option<LocatedCluster> {
    let (argument, name) = known(remote)?;
    eval.met();
    let broker_type = match terragrunt::input(eval, argument) {
        Ok(Some(value)) => text(eval, value, place),
        Ok(None) => Err(Stop::at(place, format!("is a module for which no input {argument} is set"))),
        Err(stop) => Err(stop),
    };
    let met = eval.met();
    let name = terragrunt::input(eval, name).ok().flatten().and_then(|value| value.shown());
    let kafka_version = terragrunt::input(eval, "kafka_version").ok().flatten().and_then(|value| value.shown());
    let address = "the cluster of this unit".to_owned();
    let place = place.clone();
    let (uncertain, ignored) = (None, None);
    let conditions = Vec::new();
    Some(LocatedCluster { address, place, name, kafka_version, broker_type, met, uncertain, ignored, conditions })
}

/// The region of the AWS provider, where the root module says it.
pub fn region(eval: &Eval<'_>, root: usize) -> Option<String> {
    let is_default = |block: &&Block| {
        block.labels.first().is_some_and(|label| label == "aws") && block.body.attribute("alias").is_none()
    };
    let provider = eval.tree.module(root).providers.iter().find(is_default)?;
    eval.aside(|| eval.value(provider.body.attribute("region")?, &Scope::root(root)).ok()?.shown())
}

/// What the calls around a block say of it.
#[derive(Debug, Clone, Default)]
struct Within {
    /// Why it is unknown how many there are.
    uncertain: Option<Stop>,
    /// Variables of the root module that decide which there are.
    variables: BTreeSet<String>,
}

impl Within {
    fn and(&self, unknown: Option<&Stop>, variables: &BTreeSet<String>) -> Within {
        Within {
            uncertain: unknown.or(self.uncertain.as_ref()).cloned(),
            variables: self.variables.union(variables).cloned().collect(),
        }
    }

    /// What was met, with what decides on which there are, where the value is that of one of them.
    fn with(&self, mut met: Met) -> Met {
        if met.is_of_each {
            met.variables.extend(self.variables.iter().cloned());
        }
        met
    }
}

impl Clusters {
    fn of_module<'t>(&mut self, eval: &Eval<'t>, scope: &Rc<Scope<'t>>, within: &Within) {
        let Space::Module { module, .. } = &scope.space else { return };
        let module = eval.tree.module(*module);
        for block in &module.resources {
            match block.labels.first().map(String::as_str) {
                Some("aws_msk_cluster") => self.of_resource(eval, block, scope, within),
                Some("aws_msk_serverless_cluster") => {
                    self.others.push(Other::new(&block.place, "a serverless cluster, which has no broker type"));
                }
                _ => {}
            }
        }
        for block in &module.data {
            if block.labels.first().is_some_and(|label| label == "aws_msk_cluster") {
                let what = "a data source: another configuration creates that cluster";
                self.others.push(Other::new(&block.place, what));
            }
        }
        for call in &module.calls {
            if self.found.len() > MOST {
                return;
            }
            eval.met();
            let (scopes, deciders) = eval.deciding(|| eval.inner_scopes(call, scope));
            let variables = eval.met().variables;
            match scopes {
                Ok(inner) => {
                    if inner.is_empty() {
                        let name = call.labels.first().map_or("", String::as_str);
                        let makes_cluster = makes_cluster(eval.tree, &dotted(scope.key(), name), 0);
                        let switch = repeating(call).map(|place| Switch { place, deciders, makes_cluster });
                        self.others
                            .push(Other { switch, ..Other::new(&call.place, "a module that is called 0 times") });
                    }
                    for inner in inner {
                        let unknown = inner.calling().and_then(|repetition| repetition.unknown());
                        self.of_module(eval, &inner, &within.and(unknown, &variables));
                    }
                }
                Err(stop) => self.of_remote(eval, call, scope, within, stop),
            }
        }
    }

    fn of_resource<'t>(&mut self, eval: &Eval<'t>, block: &'t Block, scope: &Rc<Scope<'t>>, within: &Within) {
        let label = block.labels.get(1).map_or("", String::as_str);
        eval.met();
        let (repetitions, deciders) = eval.deciding(|| eval.repetitions(block, scope));
        let variables = eval.met().variables;
        if repetitions.is_empty() {
            let switch = repeating(block).map(|place| Switch { place, deciders, makes_cluster: true });
            self.others.push(Other { switch, ..Other::new(&block.place, "a cluster that is created 0 times") });
        }
        for repetition in repetitions {
            let address = scope.address_of(&format!("aws_msk_cluster.{label}{}", repetition.suffix()));
            let within = within.and(repetition.unknown(), &variables);
            let scope = scope.repeated(repetition);
            eval.met();
            eval.validated();
            let broker_type = instance_type(eval, block, &scope);
            let met = within.with(eval.met());
            let conditions = conditions(eval, Some((&block.body, &scope)));
            let shown = |name: &str| eval.value(block.body.attribute(name)?, &scope).ok()?.shown();
            self.found.push(LocatedCluster {
                address,
                place: block.place.clone(),
                name: shown("cluster_name"),
                kafka_version: shown("kafka_version"),
                broker_type,
                met,
                uncertain: within.uncertain,
                ignored: ignored(&block.body),
                conditions,
            });
        }
    }

    /// A call of a module that is not on this machine: of a known one the argument is followed, of others it is only
    /// seen whether they are given a broker type.
    fn of_remote<'t>(&mut self, eval: &Eval<'t>, call: &'t Block, scope: &Rc<Scope<'t>>, within: &Within, stop: Stop) {
        let label = call.labels.first().map_or("", String::as_str);
        let Some((argument, name)) = source(call).and_then(|source| known(&source)) else {
            return self.of_unknown(eval, call, scope, within, stop);
        };
        eval.met();
        let repetitions = eval.aside(|| eval.repetitions(call, scope));
        let variables = eval.met().variables;
        for repetition in repetitions {
            let address = scope.address_of(&format!("module.{label}{}", repetition.suffix()));
            let within = within.and(repetition.unknown(), &variables);
            let scope = scope.repeated(repetition);
            eval.met();
            eval.validated();
            let broker_type = match call.body.attribute(argument) {
                Some(value) => eval.value(value, &scope).and_then(|found| text(eval, found, &value.place)),
                None => Err(Stop::at(&call.place, format!("calls a cluster module without setting its {argument}"))),
            };
            let met = within.with(eval.met());
            let conditions = conditions(eval, None);
            let shown = |name: &str| eval.value(call.body.attribute(name)?, &scope).ok()?.shown();
            self.found.push(LocatedCluster {
                address,
                place: call.place.clone(),
                name: shown(name),
                kafka_version: shown("kafka_version"),
                broker_type,
                met,
                uncertain: within.uncertain,
                ignored: None,
                conditions,
            });
        }
    }

    /// A call of a module that kgen does not know: one that is given a broker type may make a cluster.
    fn of_unknown<'t>(&mut self, eval: &Eval<'t>, call: &'t Block, scope: &Rc<Scope<'t>>, within: &Within, stop: Stop) {
        if makes_none(&source(call).unwrap_or_default()) {
            self.others.push(Other::new(&call.place, "a module that does not create a cluster"));
            return;
        }
        eval.met();
        let attributes = call.body.attributes.iter();
        let given: Vec<Place> = attributes.flat_map(|attribute| types_in(eval, &attribute.value, scope)).collect();
        eval.met();
        let Some(given) = given.first() else {
            self.others.push(Other { is_remote: true, ..Other::new(&call.place, stop.why) });
            return;
        };
        let why = format!(
            "{}; it gets {}, perhaps for its brokers: after `terraform init` kgen can read it",
            stop.why,
            eval.quoted(given)
        );
        self.found.push(LocatedCluster {
            address: scope.address_of(&format!("module.{}", call.labels.first().map_or("", String::as_str))),
            place: call.place.clone(),
            name: None,
            kafka_version: None,
            broker_type: Err(Stop { is_remote: true, ..Stop::at(&call.place, why) }),
            met: Met { strings: [given.clone()].into(), ..Met::default() },
            uncertain: within.uncertain.clone(),
            ignored: None,
            conditions: Vec::new(),
        });
    }
}

/// Where `count` or `for_each` of a block stands.
fn repeating(block: &Block) -> Option<Place> {
    ["count", "for_each"].iter().find_map(|name| block.body.attribute(name)).map(|value| value.place.clone())
}

/// Whether the call at `key` leads to a module that declares a cluster.
fn makes_cluster(tree: &Tree, key: &str, depth: usize) -> bool {
    let Some(Target::Module(module)) = tree.target(key) else { return false };
    let module = tree.module(*module);
    let declares = |block: &Block| block.labels.first().is_some_and(|label| label == "aws_msk_cluster");
    let calls = || module.calls.iter().filter_map(|call| call.labels.first());
    let inner = |name: &String| makes_cluster(tree, &dotted(key, name), depth + 1);
    module.resources.iter().any(declares)
        || module.calls.iter().any(|call| source(call).is_some_and(|source| known(&source).is_some()))
        || (depth < 16 && calls().any(inner))
}

/// Whether the module at `source` is known to make no cluster.
fn makes_none(source: &str) -> bool {
    let bare = bare(source);
    let is_of_msk = ["msk", "kafka"].iter().any(|word| bare.contains(word));
    let provider = bare.split("//").next().unwrap_or_default().split('/').nth(2).unwrap_or_default();
    let is_of_others = ["google", "azurerm", "kubernetes", "helm"].contains(&provider);
    // `owner/name/provider` in the registry, `owner/terraform-aws-name` in git.
    let parts: Vec<&str> = bare.split("//").next().unwrap_or_default().split('/').collect();
    let name = match parts[..] {
        [_, name, _] if !parts[0].contains('.') => name,
        _ => parts.last().copied().unwrap_or_default().trim_end_matches(".git"),
    };
    let is_named_otherwise = name.split(['-', '_', '.']).any(|word| SOMETHING_ELSE.contains(&word));
    !is_of_msk && (is_of_others || is_named_otherwise || OTHERWISE.iter().any(|start| bare.starts_with(start)))
}

/// The arguments for broker type and name of the module at `source`, in the forms of the registry and of git.
fn known(source: &str) -> Option<(&'static str, &'static str)> {
    let bare = bare(source);
    KNOWN.iter().find(|(name, ..)| *name == bare).map(|(_, argument, name)| (*argument, *name))
}

/// A source without the ways to get at it: `owner/name`, or as the registry has it.
fn bare(source: &str) -> String {
    let (source, _) = source.split_once('?').unwrap_or((source, ""));
    let mut bare = source.trim_start_matches("git::").trim_start_matches("tfr://").trim_start_matches('/');
    for start in ["https://", "ssh://", "git@", "registry.terraform.io/", "registry.opentofu.org/", "www."] {
        bare = bare.trim_start_matches(start);
    }
    let bare = bare.replacen("github.com:", "github.com/", 1);
    let bare = bare.trim_start_matches("github.com/").trim_end_matches('/').trim_end_matches(".git");
    // A git repository with a folder in it that is the whole of it.
    bare.trim_end_matches('/').to_owned()
}

/// The expression of a cluster's broker type, evaluated.
fn instance_type<'t>(eval: &Eval<'t>, block: &'t Block, scope: &Rc<Scope<'t>>) -> Result<Text, Stop> {
    const GROUP: &str = "broker_node_group_info";
    const TYPE: &str = "instance_type";
    let missing = || Stop::at(&block.place, format!("has no {TYPE} in its {GROUP}"));
    let groups: Vec<&'t Block> = block.body.blocks(GROUP).collect();
    let made: Vec<&'t Block> =
        block.body.blocks("dynamic").filter(|block| block.labels.first().is_some_and(|label| label == GROUP)).collect();
    let (expr, scope) = match (&groups[..], &made[..], block.body.attribute(GROUP)) {
        ([group], [], None) => (group.body.attribute(TYPE).ok_or_else(missing)?, scope.clone()),
        ([], [group], None) => dynamic(eval, group, scope, TYPE)?,
        // In JSON a nested block is an object, or a list of one.
        ([], [], Some(value)) => {
            let object = match &value.kind {
                Kind::List(items) if items.len() == 1 => &items[0],
                _ => value,
            };
            (field(object, TYPE).ok_or_else(missing)?, scope.clone())
        }
        ([], [], None) => return Err(missing()),
        _ => return Err(Stop::at(&block.place, format!("has several {GROUP}"))),
    };
    eval.value(expr, &scope).and_then(|value| text(eval, value, &expr.place))
}

/// The conditions of the variables that were requested, and those of a resource, evaluated.
fn conditions<'t>(eval: &Eval<'t>, resource: Option<(&'t Body, &Rc<Scope<'t>>)>) -> Vec<Condition> {
    let mut found = Vec::new();
    for (declared, scope) in eval.validated() {
        checks(declared, "validation").for_each(|check| found.extend(condition(eval, check, &scope)));
    }
    if let Some((body, scope)) = resource {
        for lifecycle in body.blocks("lifecycle") {
            checks(&lifecycle.body, "precondition").for_each(|check| found.extend(condition(eval, check, scope)));
        }
    }
    // What it took to evaluate them is no way to the broker type.
    eval.met();
    eval.validated();
    found
}

/// A condition and its message.
type Check<'t> = (&'t Expr, Option<&'t Expr>);

/// The blocks called `name` of a body; in JSON they are objects.
fn checks<'t>(body: &'t Body, name: &'t str) -> impl Iterator<Item = Check<'t>> {
    let blocks = body
        .blocks(name)
        .filter_map(|block| Some((block.body.attribute("condition")?, block.body.attribute("error_message"))));
    let objects = match body.attribute(name).map(|value| (value, &value.kind)) {
        Some((_, Kind::List(items))) => items.iter().collect(),
        Some((value, _)) => vec![value],
        None => Vec::new(),
    };
    let objects = objects.into_iter();
    blocks.chain(objects.filter_map(|object| Some((field(object, "condition")?, field(object, "error_message")))))
}

fn condition<'t>(eval: &Eval<'t>, (expr, message): Check<'t>, scope: &Rc<Scope<'t>>) -> Option<Condition> {
    let is_met = eval.aside(|| eval.value(expr, scope)).ok().and_then(|value| value.truth());
    let message = message.and_then(|message| eval.aside(|| eval.value(message, scope)).ok()?.shown());
    Some(Condition { place: expr.place.clone(), is_met, message: message.unwrap_or_default() })
}

/// The attribute `name` of the one block that a `dynamic` one makes.
fn dynamic<'t>(
    eval: &Eval<'t>,
    block: &'t Block,
    scope: &Rc<Scope<'t>>,
    name: &str,
) -> Result<(&'t Expr, Rc<Scope<'t>>), Stop> {
    let made = |why: &str| Stop::at(&block.place, why.to_owned());
    let each = block.body.attribute("for_each").ok_or_else(|| made("has no for_each"))?;
    let entry: (Value<'t>, Thunk<'t>) = match eval.aside(|| eval.value(each, scope))? {
        Value::List(items) if items.len() == 1 => (Value::Number(0.0), items[0].clone()),
        Value::Object(entries) if entries.len() == 1 => {
            let (Key { name, place }, value) = entries[0].clone();
            (Value::made(name, "is a key of for_each", place), value)
        }
        _ => return Err(made("creates no block, or several")),
    };
    let iterator = match block.body.attribute("iterator").map(|value| &value.kind) {
        Some(Kind::Reference { root, .. }) => root.clone(),
        _ => block.labels.first().cloned().unwrap_or_default(),
    };
    let key = |name: &str| Key { name: name.to_owned(), place: None };
    let bound = Value::Object(vec![(key("key"), Thunk::Now(entry.0)), (key("value"), entry.1)]);
    let content = block.body.blocks("content").next().ok_or_else(|| made("has no content"))?;
    let expr = content.body.attribute(name).ok_or_else(|| made("sets no instance_type"))?;
    Ok((expr, Rc::new(scope.with_name(&iterator, bound))))
}

fn field<'t>(object: &'t Expr, name: &str) -> Option<&'t Expr> {
    let Kind::Object(fields) = &object.kind else { return None };
    fields.iter().find(|(key, _)| matches!(&key.kind, Kind::Fixed(key) if key == name)).map(|(_, value)| value)
}

fn text(eval: &Eval<'_>, value: Value<'_>, place: &Place) -> Result<Text, Stop> {
    match value {
        Value::Text(text) if text.text.trim().is_empty() => {
            Err(Stop::at(place, "is an empty string, which does not set a broker type"))
        }
        Value::Text(text) => Ok(text),
        Value::Partial(_, stop) => Err(stop),
        Value::Null => Err(Stop::at(place, "is null")),
        _ => Err(Stop::at(place, format!("is not a string (referenced as {})", eval.quoted(place)))),
    }
}

/// Strings in a value that look like broker types, as MSK names them.
fn types_in<'t>(eval: &Eval<'t>, expr: &'t Expr, scope: &Rc<Scope<'t>>) -> Vec<Place> {
    eval.met();
    if let Ok(value) = eval.value(expr, scope) {
        eval.look_into(&value, 0);
    }
    eval.met().strings.into_iter().filter(|place| is_broker_type(eval.tree, place)).collect()
}

/// Whether the string at `place` looks like a broker type.
pub fn is_broker_type(tree: &Tree, place: &Place) -> bool {
    let text = tree.files[place.file].text_at(place).trim_matches('"');
    ["kafka.", "express."].iter().any(|start| text.starts_with(start)) && text.matches('.').count() == 2
}

/// Where `ignore_changes` covers the broker type.
fn ignored(body: &Body) -> Option<Place> {
    let lifecycle = body.blocks("lifecycle").find_map(|block| block.body.attribute("ignore_changes"));
    let ignore = lifecycle.or_else(|| {
        let object = body.attribute("lifecycle")?;
        field(object, "ignore_changes")
    })?;
    let covers = |expr: &Expr| match &expr.kind {
        Kind::Reference { root, .. } if root == "all" => true,
        Kind::Reference { root, steps } if root == "broker_node_group_info" => {
            let named = steps.iter().find_map(|step| match step {
                Step::Name(name) => Some(name.as_str()),
                _ => None,
            });
            named.is_none_or(|name| name == "instance_type")
        }
        Kind::String(text) | Kind::Fixed(text) => {
            text == "all" || text == "broker_node_group_info" || text.ends_with("instance_type")
        }
        _ => false,
    };
    let covering = match &ignore.kind {
        Kind::List(items) => items.iter().find(|item| covers(item)),
        _ => Some(ignore).filter(|all| covers(all)),
    };
    covering.map(|expr| expr.place.clone())
}
