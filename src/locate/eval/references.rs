//! Variables, locals, outputs of modules, `each`, `count`: where a name leads.

use std::rc::Rc;

use super::{
    super::{
        inputs::Assigned,
        tree::{Module, Target, dotted},
    },
    Answer, Eval, Expr, Kind, Place, Repetition, Scope, Space, Step, Stop, Value, terragrunt,
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
        let value = match (root, first) {
            ("var", name) => self.variable(name, place, scope)?,
            ("local", name) => self.local(name, place, scope)?,
            ("module", name) => {
                let Some((Step::Name(output), rest)) = rest.split_first() else {
                    return Err(Stop::at(
                        place,
                        "takes an output from one of several calls, which kgen does not follow",
                    ));
                };
                let value = self.output(name, output, place, scope)?;
                return self.walk(value, rest, place, scope);
            }
            ("each", "key") => match &scope.repetition {
                Repetition::Each(key, _) => Value::made(key.name.clone(), "is a key of for_each", key.place.clone()),
                other => return Err(unknown(other, place, "each.key")),
            },
            ("each", "value") => match &scope.repetition {
                Repetition::Each(_, value) => self.force(value)?,
                other => return Err(unknown(other, place, "each.value")),
            },
            ("count", "index") => match &scope.repetition {
                Repetition::Count(index) => Value::Number(*index as f64),
                other => return Err(unknown(other, place, "count.index")),
            },
            ("terraform", "workspace") => match &self.inputs.workspace {
                Some(name) => Value::made(name.clone(), "is the name of the workspace", None),
                None => {
                    return Err(Stop::at(
                        place,
                        "is the workspace, and none is known here (set TF_WORKSPACE, or run terraform init and workspace select)",
                    ));
                }
            },
            ("data", _) => return Err(Stop::at(place, "comes from a data source")),
            ("path" | "self" | "terraform", _) => return Err(Stop::at(place, "is not known before terraform runs")),
            _ => return Err(Stop::at(place, "is an attribute of a resource, known to terraform alone")),
        };
        self.walk(value, rest, place, scope)
    }

    fn module_of(&self, scope: &Scope<'t>, place: &Place) -> Result<&'t Module, Stop> {
        match &scope.space {
            Space::Module { module, .. } => {
                let module = self.tree.module(*module);
                match module.broken.iter().find(|broken| broken.may_matter) {
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
            Space::Terragrunt { .. } => Err(Stop::at(place, "is no name of Terragrunt")),
        }
    }

    pub fn variable(&self, name: &str, place: &Place, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        let module = self.module_of(scope, place)?;
        let Space::Module { caller, .. } = &scope.space else {
            return Err(Stop::at(place, "is no name of Terragrunt"));
        };
        let Some(declared) = module.variables.get(name) else {
            return Err(Stop::at(place, format!("is a variable that {} does not declare", module.dir.display())));
        };
        let nullable = !matches!(declared.attribute("nullable").map(|value| &value.kind), Some(Kind::Bool(false)));
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
                match self.inputs.assigned(name, self.tree) {
                    Some(Assigned::File(value)) => {
                        self.follow(&value.place, format!("variable {name}"));
                        Some(self.value(value, scope)?)
                    }
                    Some(Assigned::Environment(text)) => match simple(declared.attribute("type")) {
                        true => Some(Value::made(
                            text,
                            "is set by an environment variable (TF_VAR_…), which kgen cannot edit",
                            None,
                        )),
                        false => {
                            return Err(Stop::at(
                                place,
                                format!("is set by the environment variable TF_VAR_{name}, which kgen cannot edit"),
                            ));
                        }
                    },
                    None => terragrunt::input(self, name)?,
                }
            }
        };
        let default = || match declared.attribute("default") {
            Some(default) => {
                self.follow(&default.place, format!("default of variable {name}"));
                self.value(default, scope)
            }
            None => {
                let who = match caller {
                    Some(_) => "the call of the module does not set it",
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

    fn output(&self, call: &str, output: &str, place: &Place, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        let module = self.module_of(scope, place)?;
        let block = module.calls.iter().find(|block| block.labels.first().is_some_and(|name| name == call));
        let Some(block) = block else { return Err(Stop::at(place, "is an output of a module that is not called")) };
        let scopes = self.inner_scopes(block, scope)?;
        let [inner] = &scopes[..] else {
            return Err(Stop::at(place, "is an output of a module that is called several times or not at all"));
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
                return Err(Stop::at(&call.place, format!("calls a module in {}, where there is none", dir.display())));
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
}

fn unknown(repetition: &Repetition<'_>, place: &Place, name: &str) -> Stop {
    match repetition {
        Repetition::Unknown(stop) => Stop {
            why: format!("depends on {name}, and which there are cannot be told: {}", stop.why),
            place: Some(place.clone()),
            needs: stop.needs.clone(),
        },
        _ => Stop::at(place, format!("is {name} where there is none")),
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
