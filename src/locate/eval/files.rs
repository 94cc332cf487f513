//! Functions that name and read files. Paths are compared by their target, not by their spelling.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    super::{
        syntax::{File, Syntax},
        tree::{Data, clean},
        value::{Needed, ROOTED, is_path},
    },
    Answer, Eval, Origin, Place, Scope, Space, Stop, Text, Thunk, Value,
    functions::Call,
};

/// A path as a value.
pub fn rooted<'t>(path: &Path, place: &Place) -> Value<'t> {
    Value::made(format!("{ROOTED}{}", clean(path).display()), "is a path", Some(place.clone()))
}

/// Where a path that is a value leads, if it is one that a function gave.
pub fn led_to(text: &str) -> Option<PathBuf> {
    text.strip_prefix(ROOTED).map(|path| clean(Path::new(path)))
}

impl<'t> Eval<'t> {
    pub(super) fn read(&self, call: &Call<'t, '_>) -> Option<Answer<'t>> {
        Some(match (call.name, &call.arguments[..]) {
            ("file", [path]) => self.content(path, call),
            ("fileexists", [path]) => self.path(path, call).and_then(|path| match self.tree.data(&path) {
                None => Err(needs(path, call)),
                Some(data) => Ok(Value::Bool(!matches!(data, Data::Absent))),
            }),
            ("yamldecode", [text]) => self.decoded(text, call, false),
            ("jsondecode", [text]) => self.decoded(text, call, true),
            ("abspath" | "pathexpand", [path]) => self.path(path, call).map(|path| rooted(&path, call.place)),
            ("dirname", [path]) => self.dirname(path, call),
            ("basename", [path]) => self.basename(path, call),
            _ => return None,
        })
    }

    /// Where a path leads: one that is not told by a function is relative to where terraform runs.
    fn path(&self, path: &Thunk<'t>, call: &Call<'t, '_>) -> Result<PathBuf, Stop> {
        let Some(text) = self.force(path)?.shown() else { return Err(call.stop("gets a path that is not a string")) };
        if let Some(path) = led_to(&text) {
            return Ok(path);
        }
        if text.starts_with('~') {
            return Err(call.stop("names a path in a home folder"));
        }
        Ok(clean(&self.base(call.scope, call.place)?.join(text)))
    }

    fn base(&self, scope: &Rc<Scope<'t>>, place: &Place) -> Result<PathBuf, Stop> {
        match &scope.space {
            Space::Module { .. } => Ok(self.inputs.root.clone()),
            Space::Terragrunt { file, dir } => {
                let above = self.tree.files[*file].path.parent().map(clean).unwrap_or_default();
                match above == clean(dir) {
                    true => Ok(dir.clone()),
                    false => Err(Stop::at(place, "names a path that is relative to another folder")),
                }
            }
        }
    }

    fn content(&self, path: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        let (path, deciders) = self.deciding(|| self.path(path, call));
        let path = path?;
        match self.tree.data(&path) {
            None => Err(needs(path, call)),
            Some(Data::Absent) => {
                Err(Stop::fails(call.place, format!("reads {}, which does not exist", path.display())))
            }
            Some(Data::Unread(error)) => {
                Err(call.stop(format!("reads {}, which is neither YAML nor JSON: {error}", path.display())))
            }
            Some(Data::Read(file)) => {
                self.chosen(call.place, deciders, || "with another value another file would be read".to_owned());
                let text = self.tree.files[*file].text.clone();
                Ok(Value::Text(Text { text, origin: Origin::Content(*file, call.place.clone()) }))
            }
        }
    }

    fn decoded(&self, text: &Thunk<'t>, call: &Call<'t, '_>, as_json: bool) -> Answer<'t> {
        let file = match self.force(text)? {
            Value::Text(Text { origin: Origin::Content(file, _), .. }) => file,
            _ => return Err(call.stop("decodes something that is not a file, which kgen does not follow")),
        };
        let file: &'t File = &self.tree.files[file];
        if as_json && file.syntax != Syntax::Json && serde_json::from_str::<serde_json::Value>(&file.text).is_err() {
            return Err(Stop::fails(call.place, format!("decodes {}, which is not JSON", file.path.display())));
        }
        let Some(document) = file.document() else { return Err(call.stop("decodes an empty file")) };
        self.follow(call.place, format!("file {}", file.path.display()));
        self.value(document, call.scope)
    }

    fn dirname(&self, path: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        let text = self.force(path)?.shown().ok_or_else(|| call.stop("gets a path that is not a string"))?;
        match led_to(&text) {
            Some(path) => Ok(rooted(&path.join(".."), call.place)),
            None => {
                let above = Path::new(&text).parent().unwrap_or(Path::new("")).to_path_buf();
                let above = if above.as_os_str().is_empty() { ".".to_owned() } else { above.display().to_string() };
                Ok(Value::made(above, "is a path", Some(call.place.clone())))
            }
        }
    }

    fn basename(&self, path: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        let text = self.force(path)?.shown().ok_or_else(|| call.stop("gets a path that is not a string"))?;
        let full = match is_path(&text) {
            true => clean(&self.inputs.here.join(led_to(&text).unwrap_or_default())),
            false => PathBuf::from(&text),
        };
        match full.file_name() {
            Some(name) => {
                Ok(Value::made(name.to_string_lossy().into_owned(), "is part of a path", Some(call.place.clone())))
            }
            None => Err(call.stop("has no last part")),
        }
    }
}

fn needs(path: PathBuf, call: &Call<'_, '_>) -> Stop {
    let why = format!("reads {}, which cannot be read", path.display());
    Stop { needs: Some(Needed::Data(path)), ..call.stop(why) }
}
