//! Every MSK cluster that a configuration makes, with what its broker type comes to.

use std::rc::Rc;

use super::{
    eval::{Eval, Met},
    scope::{Scope, Space},
    syntax::{Block, Body, Expr, Kind, Place, Step},
    terragrunt,
    tree::{Tree, source},
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

/// Module instances and clusters that are looked at.
const MOST: usize = 1000;

/// One cluster, or what may be one.
pub struct Cluster {
    /// As Terraform writes it; of a module that is not read, the module's.
    pub address: String,
    /// Where it is declared.
    pub place: Place,
    pub name: Option<String>,
    pub kafka_version: Option<String>,
    /// The broker type, or why it cannot be told.
    pub broker_type: Result<Text, Stop>,
    pub met: Met,
    /// Why it cannot be told how many of it there are.
    pub uncertain: Option<Stop>,
    /// Where Terraform is told to take no notice of the broker type.
    pub ignored: Option<Place>,
}

/// What was found in a configuration.
#[derive(Default)]
pub struct Clusters {
    pub found: Vec<Cluster>,
    /// Blocks that make no cluster with brokers of a type, or none now, in words.
    pub others: Vec<(Place, String)>,
}

/// The clusters of the root module `root`.
///
/// # Errors
/// What is missing to look at them.
pub fn clusters(eval: &Eval<'_>, root: usize) -> Result<Clusters, Stop> {
    let mut clusters = Clusters::default();
    clusters.of_module(eval, &Scope::root(root), None);
    let needs = |cluster: &Cluster| cluster.broker_type.as_ref().err().filter(|stop| stop.needs.is_some()).cloned();
    match clusters.found.iter().find_map(needs) {
        Some(stop) => Err(stop),
        None => Ok(clusters),
    }
}

/// The cluster of a Terragrunt unit whose module is not on this machine but known.
pub fn of_unit(eval: &Eval<'_>, remote: &str, place: &Place) -> Option<Cluster> {
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
    Some(Cluster { address, place, name, kafka_version, broker_type, met, uncertain, ignored })
}

/// The region of the AWS provider, where the root module says it.
pub fn region(eval: &Eval<'_>, root: usize) -> Option<String> {
    let is_default = |block: &&Block| {
        block.labels.first().is_some_and(|label| label == "aws") && block.body.attribute("alias").is_none()
    };
    let provider = eval.tree.module(root).providers.iter().find(is_default)?;
    eval.aside(|| eval.value(provider.body.attribute("region")?, &Scope::root(root)).ok()?.shown())
}

impl Clusters {
    fn of_module<'t>(&mut self, eval: &Eval<'t>, scope: &Rc<Scope<'t>>, uncertain: Option<&Stop>) {
        let Space::Module { module, .. } = &scope.space else { return };
        let module = eval.tree.module(*module);
        for block in &module.resources {
            match block.labels.first().map(String::as_str) {
                Some("aws_msk_cluster") => self.of_resource(eval, block, scope, uncertain),
                Some("aws_msk_serverless_cluster") => {
                    self.others
                        .push((block.place.clone(), "a serverless cluster, which has no broker type".to_owned()));
                }
                _ => {}
            }
        }
        for block in &module.data {
            if block.labels.first().is_some_and(|label| label == "aws_msk_cluster") {
                let what = "a data source: that cluster is made by another configuration".to_owned();
                self.others.push((block.place.clone(), what));
            }
        }
        for call in &module.calls {
            if self.found.len() > MOST {
                return;
            }
            match eval.inner_scopes(call, scope) {
                Ok(inner) => {
                    if inner.is_empty() {
                        self.others.push((call.place.clone(), "a module that is called 0 times".to_owned()));
                    }
                    for inner in inner {
                        let unknown = match &inner.space {
                            Space::Module { caller: Some((_, caller)), .. } => caller.repetition.unknown(),
                            _ => None,
                        };
                        self.of_module(eval, &inner, unknown.or(uncertain));
                    }
                }
                Err(stop) => self.of_remote(eval, call, scope, uncertain, stop),
            }
        }
    }

    fn of_resource<'t>(&mut self, eval: &Eval<'t>, block: &'t Block, scope: &Rc<Scope<'t>>, uncertain: Option<&Stop>) {
        let label = block.labels.get(1).map_or("", String::as_str);
        let repetitions = eval.aside(|| eval.repetitions(block, scope));
        if repetitions.is_empty() {
            self.others.push((block.place.clone(), "a cluster that is made 0 times".to_owned()));
        }
        for repetition in repetitions {
            let address = scope.address_of(&format!("aws_msk_cluster.{label}{}", repetition.suffix()));
            let uncertain = repetition.unknown().or(uncertain).cloned();
            let scope = scope.repeated(repetition);
            eval.met();
            let broker_type = instance_type(eval, block, &scope);
            let met = eval.met();
            let shown = |name: &str| eval.value(block.body.attribute(name)?, &scope).ok()?.shown();
            self.found.push(Cluster {
                address,
                place: block.place.clone(),
                name: shown("cluster_name"),
                kafka_version: shown("kafka_version"),
                broker_type,
                met,
                uncertain,
                ignored: ignored(&block.body),
            });
        }
    }

    /// A call of a module that is not on this machine: of a known one the argument is followed, of others it is only
    /// seen whether they are given a broker type.
    fn of_remote<'t>(
        &mut self,
        eval: &Eval<'t>,
        call: &'t Block,
        scope: &Rc<Scope<'t>>,
        uncertain: Option<&Stop>,
        stop: Stop,
    ) {
        let label = call.labels.first().map_or("", String::as_str);
        let Some((argument, name)) = source(call).and_then(|source| known(&source)) else {
            eval.met();
            let given: Vec<Place> =
                call.body.attributes.iter().flat_map(|attribute| types_in(eval, &attribute.value, scope)).collect();
            eval.met();
            match given.first() {
                None => self.others.push((call.place.clone(), stop.why)),
                Some(given) => {
                    let why = format!("{}; it is given {}, perhaps for its brokers", stop.why, eval.quoted(given));
                    self.found.push(Cluster {
                        address: scope.address_of(&format!("module.{label}")),
                        place: call.place.clone(),
                        name: None,
                        kafka_version: None,
                        broker_type: Err(Stop::at(&call.place, why)),
                        met: Met { strings: [given.clone()].into(), ..Met::default() },
                        uncertain: uncertain.cloned(),
                        ignored: None,
                    });
                }
            }
            return;
        };
        for repetition in eval.aside(|| eval.repetitions(call, scope)) {
            let address = scope.address_of(&format!("module.{label}{}", repetition.suffix()));
            let uncertain = repetition.unknown().or(uncertain).cloned();
            let scope = scope.repeated(repetition);
            eval.met();
            let broker_type = match call.body.attribute(argument) {
                Some(value) => eval.value(value, &scope).and_then(|found| text(eval, found, &value.place)),
                None => {
                    Err(Stop::at(&call.place, format!("calls a module for clusters and does not set its {argument}")))
                }
            };
            let met = eval.met();
            let shown = |name: &str| eval.value(call.body.attribute(name)?, &scope).ok()?.shown();
            self.found.push(Cluster {
                address,
                place: call.place.clone(),
                name: shown(name),
                kafka_version: shown("kafka_version"),
                broker_type,
                met,
                uncertain,
                ignored: None,
            });
        }
    }
}

/// The arguments for broker type and name of the module at `source`, in the forms of the registry and of git.
fn known(source: &str) -> Option<(&'static str, &'static str)> {
    let (source, _) = source.split_once('?').unwrap_or((source, ""));
    let mut bare = source.trim_start_matches("git::").trim_start_matches("tfr://").trim_start_matches('/');
    for start in ["https://", "ssh://", "git@", "registry.terraform.io/", "registry.opentofu.org/", "www."] {
        bare = bare.trim_start_matches(start);
    }
    let bare = bare.replacen("github.com:", "github.com/", 1);
    let bare = bare.trim_start_matches("github.com/").trim_end_matches('/').trim_end_matches(".git");
    KNOWN.iter().find(|(name, ..)| *name == bare).map(|(_, argument, name)| (*argument, *name))
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
        _ => return Err(made("makes no or several blocks")),
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
        Value::Text(text) => Ok(text),
        Value::Null => Err(Stop::at(place, "is null")),
        _ => Err(Stop::at(place, format!("is no string (asked for as {})", eval.quoted(place)))),
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
