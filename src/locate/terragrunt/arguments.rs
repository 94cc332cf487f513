//! `extra_arguments`: files of variables and variables that Terragrunt adds to terraform's command line.

use std::{path::PathBuf, rc::Rc};

use super::{
    super::{
        eval::{Eval, led_to},
        inputs::Given,
        scope::Scope,
        syntax::{Block, Expr, Kind, Place},
        tree::{Data, clean},
        value::{Needed, Stop, Value},
    },
    Terragrunt, chain, words,
};

const BY_TERRAGRUNT: &str = "is set in extra_arguments, as part of a command line";

/// What the unit and the files that it includes add to the command line of a plan, in order. `dirs` are where a file may
/// lie that is named by no function.
///
/// # Errors
/// It is unknown, or a file is needed that was not read.
pub fn extra(eval: &Eval<'_>, unit: &Terragrunt, dirs: &[PathBuf]) -> Result<Vec<Given>, Stop> {
    let mut blocks: Vec<(&Block, Rc<Scope<'_>>)> = Vec::new();
    for (file, _) in chain(eval, unit)?.into_iter().rev() {
        for terraform in eval.tree.files[file].body.blocks("terraform") {
            for block in terraform.body.blocks("extra_arguments") {
                // Of blocks with one label the unit's own counts.
                blocks.retain(|(known, _)| known.labels != block.labels);
                blocks.push((block, unit.scope(file)));
            }
        }
    }
    let mut given = Vec::new();
    for (block, scope) in blocks {
        Extra { eval, block, scope, dirs }.add_to(&mut given)?;
    }
    Ok(given)
}

struct Extra<'e, 't> {
    eval: &'e Eval<'t>,
    block: &'t Block,
    scope: Rc<Scope<'t>>,
    dirs: &'e [PathBuf],
}

impl<'t> Extra<'_, 't> {
    fn add_to(&self, given: &mut Vec<Given>) -> Result<(), Stop> {
        if !self.is_for_a_plan() {
            return Ok(());
        }
        if let Some(variables) = self.block.body.attribute("env_vars")
            && sets_variables(variables)
        {
            return Err(Stop::at(
                &variables.place,
                "sets variables in terraform's environment, which kgen does not follow",
            ));
        }
        if let Some(arguments) = self.block.body.attribute("arguments") {
            self.arguments(arguments, given)?;
        }
        for (name, is_required) in [("required_var_files", true), ("optional_var_files", false)] {
            let Some(files) = self.block.body.attribute(name) else { continue };
            for path in self.texts(files)? {
                given.extend(self.file(&path, &files.place, is_required)?.map(Given::File));
            }
        }
        Ok(())
    }

    /// Where the commands are unknown, a plan is taken to be among them.
    fn is_for_a_plan(&self) -> bool {
        let Some(commands) = self.block.body.attribute("commands") else { return false };
        match self.texts(commands) {
            Ok(commands) => commands.iter().any(|command| command == "plan" || command == "apply"),
            Err(_) => {
                let written = words(commands);
                written.is_empty() || written.iter().any(|command| command == "plan" || command == "apply")
            }
        }
    }

    fn texts(&self, list: &'t Expr) -> Result<Vec<String>, Stop> {
        let Value::List(items) = self.eval.aside(|| self.eval.value(list, &self.scope))? else {
            return Err(Stop::at(&list.place, "is not a list"));
        };
        let text = |item| {
            self.eval.force(item)?.shown().ok_or_else(|| Stop::at(&list.place, "has items that are not strings"))
        };
        items.iter().map(text).collect()
    }

    fn arguments(&self, list: &'t Expr, given: &mut Vec<Given>) -> Result<(), Stop> {
        let mut words = self.texts(list)?.into_iter();
        while let Some(word) = words.next() {
            let bare = word.trim_start_matches('-').to_owned();
            let (option, value) = match bare.split_once(['=', ' ']) {
                Some((option, value)) => (option.to_owned(), Some(value.trim().to_owned())),
                None => (bare, None),
            };
            match option.as_str() {
                "var-file" => {
                    let path = value.or_else(|| words.next()).unwrap_or_default();
                    given.extend(self.file(&path, &list.place, true)?.map(Given::File));
                }
                "var" => {
                    let pair = value.or_else(|| words.next()).unwrap_or_default();
                    let pair = pair.trim_matches(['\'', '"']);
                    let (name, value) =
                        pair.split_once('=').ok_or_else(|| Stop::at(&list.place, "sets a variable to nothing"))?;
                    let (name, value, place) = (name.trim().to_owned(), value.to_owned(), Some(list.place.clone()));
                    given.push(Given::Argument { name, value, by: BY_TERRAGRUNT, place });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The file of variables at `path`. Nothing, where it need not be there and is not.
    fn file(&self, path: &str, place: &Place, is_required: bool) -> Result<Option<usize>, Stop> {
        // A function may be in the middle of an argument, as in "-var-file=${get_terragrunt_dir()}/x.tfvars".
        let paths: Vec<PathBuf> = match led_to(path) {
            Some(path) => vec![path],
            None => self.dirs.iter().map(|dir| clean(&dir.join(path))).collect(),
        };
        for path in &paths {
            if let Some(file) = self.eval.tree.known(path) {
                return Ok(Some(file));
            }
            if !matches!(self.eval.tree.data(path), Some(Data::Absent)) {
                let why = format!("names {}, which cannot be read", path.display());
                return Err(Stop { needs: Some(Needed::Code(path.clone())), ..Stop::at(place, why) });
            }
        }
        match is_required {
            true => Err(Stop::at(place, format!("names {path:?}, which does not exist"))),
            false => Ok(None),
        }
    }
}

/// Whether an object of environment variables sets variables of terraform.
fn sets_variables(variables: &Expr) -> bool {
    let is_one = |key: &Expr| match &key.kind {
        Kind::Fixed(name) | Kind::String(name) => name.starts_with("TF_VAR_") || name.starts_with("TF_CLI_ARGS"),
        _ => true,
    };
    match &variables.kind {
        Kind::Object(items) => items.iter().any(|(key, _)| is_one(key)),
        _ => true,
    }
}
