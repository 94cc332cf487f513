//! Functions that only Terragrunt has: those that name folders and read its files.

use std::{path::Path, rc::Rc};

use super::{
    super::{
        eval::{Eval, led_to, rooted},
        scope::{Scope, Space},
        syntax::{Expr, Place},
        tree::clean,
        value::{Cause, Stop, Thunk, Value},
    },
    FILE, Terragrunt, exposed, file_at, includes,
};

/// Commands to which variables are given.
const WITH_VARIABLES: &[&str] = &["apply", "console", "destroy", "import", "plan", "push", "refresh"];

/// What a function of Terragrunt that is followed comes to; nothing for any other.
pub fn call<'t>(
    eval: &Eval<'t>,
    name: &str,
    arguments: &'t [Expr],
    place: &Place,
    scope: &Rc<Scope<'t>>,
) -> Option<Result<Value<'t>, Stop>> {
    let Space::Terragrunt { dir, file } = &scope.space else { return None };
    let unit = eval.inputs.terragrunt.as_ref()?;
    Some(match (name, arguments) {
        ("get_terragrunt_dir", []) | ("get_original_terragrunt_dir", []) => {
            Ok(rooted(if name.contains("original") { &unit.dir } else { dir }, place))
        }
        ("get_repo_root", []) => Ok(rooted(&unit.repository, place)),
        ("get_parent_terragrunt_dir", [] | [_]) => {
            included_dir(eval, unit, arguments.first(), place, scope).map(|above| rooted(&above, place))
        }
        ("path_relative_to_include", [] | [_]) => included_dir(eval, unit, arguments.first(), place, scope)
            .and_then(|above| relative(eval, &above, &unit.dir, place)),
        ("get_path_from_repo_root", []) => relative(eval, &unit.repository, &unit.dir, place),
        ("find_in_parent_folders", [] | [_] | [_, _]) => parent_file(eval, unit, arguments, dir, place, scope),
        ("read_terragrunt_config", [path, rest @ ..]) => match file_at(eval, path, scope, dir) {
            Ok(file) => {
                let above = eval.tree.files[file].path.parent().unwrap_or(Path::new(".")).to_owned();
                Ok(exposed(eval, file, &above))
            }
            Err(stop) if stop.cause == Cause::Fails => match rest.first() {
                Some(default) => eval.value(default, scope),
                None => Err(stop),
            },
            Err(stop) => Err(stop),
        },
        ("get_terraform_commands_that_need_vars", []) => {
            let word = |word: &&str| Thunk::Now(Value::made(*word, "is a command", Some(place.clone())));
            Ok(Value::List(WITH_VARIABLES.iter().map(word).collect()))
        }
        ("get_env", _) => Err(Stop::at(place, "is an environment variable, which kgen does not read")),
        ("get_terragrunt_source_cli_flag", []) => Ok(Value::made("", "is a flag", None)),
        ("mark_as_read" | "mark_glob_as_read", [path]) => eval.value(path, scope),
        _ if name.starts_with("get_") || name == "run_cmd" || name == "sops_decrypt_file" => {
            let path = eval.tree.files[*file].path.display().to_string();
            Err(Stop::runtime(place, format!("is known when terragrunt runs, in {path}")))
        }
        _ => return None,
    })
}

/// The folder of the file that a unit includes, by its name or the first.
fn included_dir<'t>(
    eval: &Eval<'t>,
    unit: &Terragrunt,
    name: Option<&'t Expr>,
    place: &Place,
    scope: &Rc<Scope<'t>>,
) -> Result<std::path::PathBuf, Stop> {
    let name = match name {
        Some(name) => eval.aside(|| eval.value(name, scope))?.shown(),
        None => None,
    };
    let found =
        includes(eval, unit)?.into_iter().find(|include| name.as_ref().is_none_or(|name| include.name == *name));
    let found = found.ok_or_else(|| Stop::at(place, "is in a unit without includes"))?;
    Ok(eval.tree.files[found.file].path.parent().map(clean).unwrap_or_default())
}

/// `inner` as it is seen from `outer`, which is above it.
fn relative<'t>(eval: &Eval<'t>, outer: &Path, inner: &Path, place: &Place) -> Result<Value<'t>, Stop> {
    let full = |path: &Path| clean(&eval.inputs.here.join(path));
    match full(inner).strip_prefix(full(outer)) {
        Ok(rest) => Ok(Value::made(rest.display().to_string(), "is part of a path", Some(place.clone()))),
        Err(_) => Err(Stop::at(place, "is a path from a folder that is not above this one")),
    }
}

fn parent_file<'t>(
    eval: &Eval<'t>,
    unit: &Terragrunt,
    arguments: &'t [Expr],
    dir: &Path,
    place: &Place,
    scope: &Rc<Scope<'t>>,
) -> Result<Value<'t>, Stop> {
    let wanted = match arguments.first() {
        Some(name) => match eval.value(name, scope)?.shown() {
            Some(text) => text,
            None => return Err(Stop::at(place, "is not a file name")),
        },
        None => FILE.to_owned(),
    };
    let above = unit.parents.iter().skip_while(|(known, _)| known != dir).skip(1);
    for (parent, names) in above {
        if names.contains(&wanted) {
            return Ok(rooted(&parent.join(&wanted), place));
        }
    }
    if let Some(unread) = &unit.unread {
        return Err(Stop::at(place, format!("looks for {wanted} in {} too, which cannot be read", unread.display())));
    }
    match arguments.get(1) {
        Some(default) => match eval.value(default, scope)?.shown() {
            Some(text) => Ok(rooted(&led_to(&text).unwrap_or_else(|| clean(&dir.join(&text))), place)),
            None => Err(Stop::at(place, "is not a file name")),
        },
        None => Err(Stop::fails(place, format!("looks for {wanted} in the parent folders, but there is none"))),
    }
}
