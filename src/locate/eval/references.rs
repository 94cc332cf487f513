//! Variables, locals, outputs of modules, `each`, `count`: where a name leads.

use std::rc::Rc;

use super::{
    super::{
        inputs::{Assigned, BY_ENVIRONMENT, argument_path},
        tree::{Module, Target, dotted},
    },
    Answer, Body, Decider, Eval, Expr, Kind, Place, Repetition, Scope, Space, Step, Stop, Value,
    files::rooted,
    terragrunt,
};

impl<'t> Eval<'t> {
    pub(super) fn reference(&self, root: &str, steps: &'t [Step], place: &Place, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        if let Some(value) = scope.name(root) {
            return self.walk(value.clone(), steps, place, scope);
        }
        if let Space::Terragrunt { .. } = scope.space {
            let (value, rest) = terragrunt::reference(self, root, steps, place, scope)?;
            return self.walk(value, rest, place, scope);
        }
        let first = match steps.first() {
            Some(Step::Name(name)) => name.as_str(),
            _ => "",
        };
        let rest = steps.get(1..).unwrap_or_default();
        if root == "each" || root == "count" {
            self.repeated.set(true);
        }
        let value = match (root, first) {
            ("var", name) => self.variable(name, place, scope)?,
            ("local", name) => self.local(name, place, scope)?,
            ("module", name) => {
                let (index, rest) = match rest.split_first() {
                    Some((Step::Index(index), rest)) => (Some(index), rest),
                    _ => (None, rest),
                };
                let Some((Step::Name(output), rest)) = rest.split_first() else {
                    return Err(Stop::at(
                        place,
                        "takes an output from several calls at once, which kgen does not follow",
                    ));
                };
                let value = self.output(name, index, output, place, scope)?;
                return self.walk(value, rest, place, scope);
            }
            ("each", "key") => match &scope.repetition {
                Repetition::Each(key, _) => Value::made(key.name.clone(), "is a key of for_each", key.place.clone()),
                other => return Err(self.unknown(other, place, "each.key")),
            },
            ("each", "value") => match &scope.repetition {
                Repetition::Each(_, value) => self.force(value)?,
                other => return Err(self.unknown(other, place, "each.value")),
            },
            ("count", "index") => match &scope.repetition {
                Repetition::Count(index) => Value::Number(*index as f64),
                other => return Err(self.unknown(other, place, "count.index")),
            },
            ("terraform", "workspace") => match &self.inputs.workspace {
                Some(name) => {
                    let what = format!("workspace {name:?}");
                    self.decided_by(Decider { what, value: name.clone(), variable: None, is_default: false });
                    Value::made(name.clone(), "is the name of the workspace", None)
                }
                None => {
                    return Err(Stop::at(
                        place,
                        "is the workspace, and none is known here (set TF_WORKSPACE, or run terraform init and workspace select)",
                    ));
                }
            },
            ("path", "module") => rooted(&self.module_of(scope, place)?.dir, place),
            ("path", "root" | "cwd") => rooted(&self.inputs.root, place),
            ("data", _) => return Err(Stop::runtime(place, "comes from a data source")),
            ("path" | "self" | "terraform", _) => return Err(Stop::at(place, "is not known before terraform runs")),
            _ => return Err(Stop::runtime(place, "is an attribute of a resource, only known to terraform")),
        };
        self.walk(value, rest, place, scope)
    }

    fn module_of(&self, scope: &Scope<'t>, place: &Place) -> Result<&'t Module, Stop> {
        match &scope.space {
            Space::Module { module, .. } => {
                let module = self.tree.module(*module);
                match module.broken.first() {
                    Some(broken) => Err(Stop::at(
                        place,
                        format!(
                            "is in a module with a file that cannot be read: {}, {}",
                            broken.path.display(),
                            broken.error
                        ),
                    )),
                    None => Ok(module),
                }
            }
            Space::Terragrunt { .. } => Err(Stop::at(place, "is not a Terragrunt name")),
        }
    }

    pub fn variable(&self, name: &str, place: &Place, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        let module = self.module_of(scope, place)?;
        let Space::Module { caller, .. } = &scope.space else {
            return Err(Stop::at(place, "is not a Terragrunt name"));
        };
        let Some(declared) = module.variables.get(name) else {
            return Err(Stop::at(place, format!("is a variable that {} does not declare", module.dir.display())));
        };
        let nullable = !matches!(declared.attribute("nullable").map(|value| &value.kind), Some(Kind::Bool(false)));
        if let Some(place) = validation(declared) {
            self.validated.borrow_mut().insert(place, (declared, scope.clone()));
        }
        let assigned = match caller {
            Some((call, caller)) => match call.attribute(name) {
                Some(argument) => {
                    self.follow(&argument.place, format!("argument {name} of module {}", last(scope.key())));
                    Some(self.value(argument, caller)?)
                }
                None => None,
            },
            None => {
                self.asked.borrow_mut().insert(name.to_owned());
                self.assigned(name, declared, place, scope)?
            }
        };
        let is_root = caller.is_none();
        let default = || match declared.attribute("default") {
            Some(default) => {
                self.follow(&default.place, format!("default of variable {name}"));
                if is_root {
                    self.decided_by_default(name, &default.place);
                }
                self.value(default, scope)
            }
            None => {
                let who = match caller {
                    Some(_) => "the module call does not set it",
                    None => "no tfvars file, -var-file or environment variable sets it here",
                };
                Err(Stop::at(place, format!("is a variable without a value: it has no default, and {who}")))
            }
        };
        let value = match assigned {
            Some(Value::Null) if !nullable => default()?,
            Some(value) => value,
            None => default()?,
        };
        match declared.attribute("type") {
            Some(kind) => self.converted(value, kind, scope),
            None => Ok(value),
        }
    }

    fn decided_by_default(&self, name: &str, place: &Place) {
        let file = &self.tree.files[place.file];
        let (value, path, line) = (file.short(place, 40), file.path.display(), file.line(place.start));
        let what = format!("variable {name}, {value} by default ({path}:{line})");
        self.decided_by(Decider { what, value, variable: Some(name.to_owned()), is_default: true });
    }

    /// What sets a variable of the root module, other than its default.
    fn assigned(
        &self,
        name: &str,
        declared: &'t Body,
        place: &Place,
        scope: &Rc<Scope<'t>>,
    ) -> Result<Option<Value<'t>>, Stop> {
        let (value, by, at) = match self.inputs.assigned(name, self.tree) {
            None => return terragrunt::input(self, name),
            Some(Assigned::File(value)) => {
                self.follow(&value.place, format!("variable {name}"));
                return self.value(value, scope).map(Some);
            }
            Some(Assigned::Text { value, by, place }) => (value, by, place),
        };
        if by == BY_ENVIRONMENT {
            let what = format!("variable {name}, which TF_VAR_{name} sets to {value:?}");
            self.decided_by(Decider { what, value: value.clone(), variable: Some(name.to_owned()), is_default: false });
        }
        // A composed value is an expression, and read as a file of its own.
        let by_expression = || {
            let given = self.tree.files.iter().find(|file| file.path == argument_path(name, &value))?;
            Some(self.value(given.body.attribute(name)?, scope))
        };
        match simple(declared.attribute("type")) {
            true => Ok(Some(Value::made(value, by, at))),
            false => match by_expression() {
                Some(value) => value.map(Some),
                None => Err(Stop::at(place, format!("{by}, and its value cannot be read"))),
            },
        }
    }

    fn local(&self, name: &str, place: &Place, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        match self.module_of(scope, place)?.locals.get(name) {
            Some(value) => {
                self.follow(&value.place, format!("local {name}"));
                // A local belongs to the module, not to a repetition in it.
                self.value(
                    value,
                    &Rc::new(Scope { names: Vec::new(), repetition: Repetition::None, ..(**scope).clone() }),
                )
            }
            None => Err(Stop::at(place, "is a local that is not set")),
        }
    }

    fn output(
        &self,
        call: &str,
        index: Option<&'t Expr>,
        output: &str,
        place: &Place,
        scope: &Rc<Scope<'t>>,
    ) -> Answer<'t> {
        let module = self.module_of(scope, place)?;
        let block = module.calls.iter().find(|block| block.labels.first().is_some_and(|name| name == call));
        let Some(block) = block else { return Err(Stop::at(place, "is an output of a module that is not called")) };
        let scopes = self.inner_scopes(block, scope)?;
        let inner = match (index, &scopes[..]) {
            (None, [inner]) => inner,
            (None, _) => {
                return Err(Stop::at(place, "is an output of a module that is called several times or not at all"));
            }
            (Some(index), _) => {
                let Some(wanted) = self.aside(|| self.value(index, scope))?.shown() else {
                    return Err(Stop::at(&index.place, "is neither a key nor an index"));
                };
                let is_wanted = |inner: &&Rc<Scope<'t>>| inner.is_repetition(&wanted);
                let is_unknown =
                    scopes.iter().any(|inner| inner.calling().is_some_and(|made| made.unknown().is_some()));
                match scopes.iter().find(is_wanted) {
                    Some(inner) => inner,
                    None if is_unknown => return Err(Stop::at(place, "is an output of one of several calls")),
                    None => return Err(Stop::fails(place, "is an output of a call that does not exist")),
                }
            }
        };
        match self.module_of(inner, place)?.outputs.get(output) {
            Some(value) => {
                self.follow(&value.place, format!("output {output} of module {call}"));
                self.value(value, inner)
            }
            None => Err(Stop::at(place, "is an output that the module does not have")),
        }
    }

    /// The module instances that a call makes.
    ///
    /// # Errors
    /// The module is not on this machine.
    pub fn inner_scopes(&self, call: &'t super::Block, scope: &Rc<Scope<'t>>) -> Result<Vec<Rc<Scope<'t>>>, Stop> {
        let name = call.labels.first().map_or("", String::as_str);
        let key = dotted(scope.key(), name);
        let module = match self.tree.target(&key) {
            Some(Target::Module(module)) => *module,
            Some(Target::Remote(source)) => {
                return Err(Stop::at(
                    &call.place,
                    format!("calls the module {source:?}, which is not on this machine"),
                ));
            }
            Some(Target::Missing(dir)) => {
                return Err(Stop::at(
                    &call.place,
                    format!("calls a module in {}, which does not contain one", dir.display()),
                ));
            }
            None => return Err(Stop::at(&call.place, "calls modules too deeply")),
        };
        let scopes = self.aside(|| self.repetitions(call, scope)).into_iter().map(|repetition| {
            let address = scope.address_of(&format!("module.{name}{}", repetition.suffix()));
            let caller = Some((&call.body, scope.repeated(repetition)));
            Scope::of(Space::Module { module, key: key.clone(), address, caller })
        });
        Ok(scopes.collect())
    }

    fn unknown(&self, repetition: &Repetition<'_>, place: &Place, name: &str) -> Stop {
        match repetition {
            Repetition::Unknown(stop) => {
                let why = self.because(&format!("depends on {name}, whose instances are unknown"), stop);
                Stop { why, place: Some(place.clone()), ..stop.clone() }
            }
            _ => Stop::at(place, format!("is {name}, which does not exist here")),
        }
    }
}

/// Whether a variable of this type takes an environment variable as it stands.
fn simple(kind: Option<&Expr>) -> bool {
    match kind.map(|kind| &kind.kind) {
        None => true,
        Some(Kind::Reference { root, .. }) => ["string", "number", "bool", "any"].contains(&root.as_str()),
        Some(Kind::String(name)) => ["string", "number", "bool", "any"].contains(&name.as_str()),
        Some(_) => false,
    }
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Where the first validation of a variable stands.
fn validation(declared: &Body) -> Option<Place> {
    let block = declared.blocks("validation").next().map(|block| block.place.clone());
    block.or_else(|| declared.attribute("validation").map(|value| value.place.clone()))
}
