//! The files of a working directory and of the modules that it calls, read and merged as Terraform merges them.

use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use super::syntax::{Attribute, Block, Body, Expr, File, FileId, Kind, SyntaxError};

/// What `terraform init` has fetched, in the working directory.
const MANIFEST: &str = ".terraform/modules/modules.json";

/// Calls within calls, and modules in all, that are followed; nobody's configuration has as many.
const DEEPEST: usize = 16;
const MOST_MODULES: usize = 1000;

/// Bytes of all files together.
pub const MOST_BYTES: usize = 64 << 20;

/// Where files come from: the disk, or a table in a test.
pub trait Folder {
    /// Names of the files in `dir`, without folders.
    ///
    /// # Errors
    /// There is no such folder, or it cannot be read.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// # Errors
    /// There is no such file, or it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Files of variables (`*.tfvars`, `*.tfvars.json`) in `dir` and in the folders below it.
    ///
    /// # Errors
    /// There may be such files where it cannot look.
    fn assignments_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Names of the folders in `dir`.
    ///
    /// # Errors
    /// There is no such folder, or it cannot be read.
    fn folders(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Files of Terraform, Terragrunt and data in `dir` and in the folders below it ([`is_of_interest`]).
    ///
    /// # Errors
    /// There may be such files where it cannot look, or there are too many files.
    fn files_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Such files of the repository that `dir` is in, outside of `dir`. Nothing, where it is in none.
    ///
    /// # Errors
    /// As [`Folder::files_below`].
    fn files_around(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// `path` from the root of the file system, without links: two paths to one file become the same.
    fn absolute(&self, path: &Path) -> PathBuf;
}

/// Whether a file may bear on a configuration, by its name.
pub fn is_of_interest(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let ends = [".tf", ".tofu", ".tf.json", ".tofu.json", ".tfvars", ".tfvars.json", ".hcl", ".yaml", ".yml", ".json"];
    ends.iter().any(|end| name.ends_with(end))
}

#[derive(Debug, Default)]
pub struct Tree {
    pub files: Vec<File>,
    modules: Vec<Module>,
    by_dir: BTreeMap<PathBuf, usize>,
    by_path: BTreeMap<PathBuf, FileId>,
    targets: BTreeMap<String, Target>,
    manifest: Vec<Installed>,
    data: BTreeMap<PathBuf, Data>,
    /// Of all files.
    bytes: usize,
}

/// A file that a function reads.
#[derive(Debug, Clone)]
pub enum Data {
    Absent,
    /// It is there, and cannot be read as YAML or JSON.
    Unread(SyntaxError),
    Read(FileId),
}

/// The files of one folder, merged.
#[derive(Debug, Default)]
pub struct Module {
    pub dir: PathBuf,
    pub variables: BTreeMap<String, Body>,
    pub locals: BTreeMap<String, Expr>,
    pub outputs: BTreeMap<String, Expr>,
    pub resources: Vec<Block>,
    pub data: Vec<Block>,
    pub calls: Vec<Block>,
    pub providers: Vec<Block>,
    pub broken: Vec<Broken>,
    /// Whether its state, and with it the workspace, is kept by HCP Terraform.
    pub is_cloud: bool,
}

/// A file that could not be read as Terraform.
#[derive(Debug, Clone)]
pub struct Broken {
    pub path: PathBuf,
    pub error: SyntaxError,
}

/// What a module call calls.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Index of a module that was read.
    Module(usize),
    /// A module that is not on this machine, by its source.
    Remote(String),
    /// No such folder.
    Missing(PathBuf),
}

/// An entry of `.terraform/modules/modules.json`.
#[derive(Debug, Deserialize)]
struct Installed {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Source")]
    source: String,
    #[serde(rename = "Dir")]
    dir: PathBuf,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(rename = "Modules")]
    modules: Vec<Installed>,
}

impl Tree {
    /// Reads the module in `dir` as the root, and all that it calls.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn read_root(&mut self, dir: &Path, folder: &dyn Folder) -> io::Result<usize> {
        let path = dir.join(MANIFEST);
        self.manifest = match folder.read(&path) {
            Ok(bytes) => {
                serde_json::from_slice::<Manifest>(&bytes).map_err(|error| of_file(&path, &error.into()))?.modules
            }
            Err(error) if is_absent(&error) => Vec::new(),
            Err(error) => return Err(of_file(&path, &error)),
        };
        let root = self.module_in(dir, folder)?;
        self.follow(root, "", dir, folder, 0);
        Ok(root)
    }

    /// The first file or folder that cannot be read, of all modules: what it sets is unknown.
    pub fn broken(&self) -> Option<&Broken> {
        self.modules.iter().find_map(|module| module.broken.first())
    }

    /// A file that a function reads, if it was looked for.
    pub fn data(&self, path: &Path) -> Option<&Data> {
        self.data.get(path)
    }

    /// Reads a file for a function.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    pub fn add_data(&mut self, path: &Path, folder: &dyn Folder) -> io::Result<()> {
        let data = match self.bytes_of(path, folder) {
            Ok(bytes) => match File::data(self.files.len(), path, &bytes) {
                Ok(file) => {
                    self.files.push(file);
                    Data::Read(self.files.len() - 1)
                }
                Err(error) => Data::Unread(error),
            },
            Err(error) if is_absent(&error) => Data::Absent,
            Err(error) => return Err(error),
        };
        self.data.insert(path.to_owned(), data);
        Ok(())
    }

    /// Notes that there is no such file.
    pub fn add_absent(&mut self, path: &Path) {
        self.data.insert(path.to_owned(), Data::Absent);
    }

    /// Reads a value that is in no file; `given` takes the place of its path.
    ///
    /// # Errors
    /// It is no expression.
    pub fn add_argument(&mut self, given: &Path, name: &str, text: &str) -> Result<(), SyntaxError> {
        if self.files.iter().all(|file| file.path != given) {
            self.files.push(File::argument(self.files.len(), given, name, text)?);
        }
        Ok(())
    }

    pub fn module(&self, module: usize) -> &Module {
        &self.modules[module]
    }

    /// What the call at `key` (names of calls with dots between) calls.
    pub fn target(&self, key: &str) -> Option<&Target> {
        self.targets.get(key)
    }

    /// A file of the configuration, if it was read.
    pub fn known(&self, path: &Path) -> Option<FileId> {
        self.by_path.get(path).copied()
    }

    /// Reads one more file.
    ///
    /// # Errors
    /// It is no Terraform file, or it cannot be read.
    pub fn add(&mut self, path: &Path, folder: &dyn Folder) -> Result<FileId, SyntaxError> {
        if let Some(known) = self.by_path.get(path) {
            return Ok(*known);
        }
        let bytes = self.bytes_of(path, folder).map_err(|error| SyntaxError::unreadable(&error))?;
        let id = self.files.len();
        self.files.push(File::parse(id, path, &bytes)?);
        self.by_path.insert(path.to_owned(), id);
        Ok(id)
    }

    /// What is in a file, where all together are not too large.
    fn bytes_of(&mut self, path: &Path, folder: &dyn Folder) -> io::Result<Vec<u8>> {
        let bytes = folder.read(path)?;
        self.bytes += bytes.len();
        if self.bytes > MOST_BYTES {
            let most = format!("all files together are larger than {} MiB, the most that kgen reads", MOST_BYTES >> 20);
            return Err(io::Error::other(most));
        }
        Ok(bytes)
    }

    fn module_in(&mut self, dir: &Path, folder: &dyn Folder) -> io::Result<usize> {
        if let Some(known) = self.by_dir.get(dir) {
            return Ok(*known);
        }
        let all: Vec<String> = folder.names(dir)?.into_iter().filter(|name| is_configuration(name)).collect();
        // OpenTofu reads x.tofu instead of x.tf, and x.tofu.json instead of x.tf.json.
        let is_replaced = |name: &String| all.contains(&name.replace(".tf", ".tofu")) && !name.contains(".tofu");
        let mut names: Vec<String> = all.iter().filter(|name| !is_replaced(name)).cloned().collect();
        // Overrides come last, each kind in the order of the names (Terraform, "Override Files").
        names.sort_by_key(|name| (is_override(name), name.clone()));
        let mut module = Module { dir: dir.to_owned(), ..Module::default() };
        for name in names {
            let path = clean(&dir.join(&name));
            match self.add(&path, folder) {
                Ok(file) => module.merge(&self.files[file], is_override(&name)),
                Err(error) => module.broken.push(Broken { path, error }),
            }
        }
        let index = self.modules.len();
        self.modules.push(module);
        self.by_dir.insert(dir.to_owned(), index);
        Ok(index)
    }

    fn follow(&mut self, module: usize, key: &str, root: &Path, folder: &dyn Folder, depth: usize) {
        let calls: Vec<(String, Option<String>)> = self.modules[module]
            .calls
            .iter()
            .filter_map(|call| Some((call.labels.first()?.clone(), source(call))))
            .collect();
        for (name, source) in calls {
            let inner = dotted(key, &name);
            let target = self.targeted(module, &inner, source.as_deref().unwrap_or(""), root, folder);
            self.targets.insert(inner.clone(), target.clone());
            if let Target::Module(module) = target
                && depth < DEEPEST
                && self.targets.len() < MOST_MODULES
            {
                self.follow(module, &inner, root, folder, depth + 1);
            }
        }
    }

    fn targeted(&mut self, caller: usize, key: &str, source: &str, root: &Path, folder: &dyn Folder) -> Target {
        let is_local = ["./", "../"].iter().any(|start| source.starts_with(start)) || [".", ".."].contains(&source);
        let (dir, is_installed) = if is_local {
            (clean(&self.modules[caller].dir.join(source)), false)
        } else {
            // What init has fetched, if it is for this very source.
            let is_it = |entry: &&Installed| entry.key == key && entry.source.ends_with(source) && !source.is_empty();
            match self.manifest.iter().find(is_it) {
                Some(entry) => (clean(&root.join(&entry.dir)), true),
                None => return Target::Remote(source.to_owned()),
            }
        };
        match self.module_in(&dir, folder) {
            Ok(module) => Target::Module(module),
            Err(error) if !is_absent(&error) => {
                let broken = vec![Broken { path: dir.clone(), error: SyntaxError::unreadable(&error) }];
                self.modules.push(Module { dir: dir.clone(), broken, ..Module::default() });
                self.by_dir.insert(dir, self.modules.len() - 1);
                Target::Module(self.modules.len() - 1)
            }
            Err(_) if is_installed => Target::Remote(source.to_owned()),
            Err(_) => Target::Missing(dir),
        }
    }
}

fn of_file(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// `inner` as it is called from outside of `outer`, which is empty for the root.
pub fn dotted(outer: &str, inner: &str) -> String {
    if outer.is_empty() { inner.to_owned() } else { format!("{outer}.{inner}") }
}

/// The source of a module call, where it is written out.
pub fn source(call: &Block) -> Option<String> {
    match &call.body.attribute("source")?.kind {
        Kind::String(source) | Kind::Fixed(source) => Some(source.clone()),
        _ => None,
    }
}

impl Module {
    fn merge(&mut self, file: &File, is_override: bool) {
        for block in &file.body.blocks {
            let first = block.labels.first();
            match (block.keyword.as_str(), first) {
                ("variable", Some(name)) => {
                    merged(self.variables.entry(name.clone()).or_default(), &block.body);
                }
                ("output", Some(name)) => {
                    if let Some(value) = block.body.attribute("value") {
                        self.outputs.insert(name.clone(), value.clone());
                    }
                }
                ("locals", _) => {
                    for Attribute { name, value } in &block.body.attributes {
                        self.locals.insert(name.clone(), value.clone());
                    }
                }
                ("resource", _) => put(&mut self.resources, block, is_override),
                ("data", _) => put(&mut self.data, block, is_override),
                ("module", _) => put(&mut self.calls, block, is_override),
                ("provider", _) => put(&mut self.providers, block, false),
                ("terraform", _) => {
                    let has_workspaces = |backend: &Block| backend.labels.iter().any(|label| label == "remote");
                    self.is_cloud |=
                        block.body.blocks("cloud").next().is_some() || block.body.blocks("backend").any(has_workspaces);
                }
                _ => {}
            }
        }
    }
}

fn put(blocks: &mut Vec<Block>, block: &Block, is_override: bool) {
    // Looked for in overrides only: there are few of them, and there may be many blocks.
    let known = if is_override { blocks.iter_mut().find(|known| known.labels == block.labels) } else { None };
    match known {
        Some(known) => merged(&mut known.body, &block.body),
        None => blocks.push(block.clone()),
    }
}

/// Arguments one by one; nested blocks of a kind all at once (Terraform, "Override Files", merging behaviour).
fn merged(base: &mut Body, over: &Body) {
    for attribute in &over.attributes {
        base.attributes.retain(|known| known.name != attribute.name);
        base.blocks.retain(|known| nested_name(known) != attribute.name);
        base.attributes.push(attribute.clone());
    }
    let replaced: Vec<&str> = over.blocks.iter().map(nested_name).collect();
    base.blocks.retain(|known| !replaced.contains(&nested_name(known)));
    base.attributes.retain(|known| !replaced.contains(&known.name.as_str()));
    base.blocks.extend(over.blocks.iter().cloned());
}

/// The kind of a nested block, also where it is made by a `dynamic` one.
fn nested_name(block: &Block) -> &str {
    match block.labels.first() {
        Some(label) if block.keyword == "dynamic" => label,
        _ => &block.keyword,
    }
}

/// Files that Terraform reads as configuration; not those of editors.
pub fn is_configuration(name: &str) -> bool {
    let is_editors = name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'));
    !is_editors && [".tf", ".tf.json", ".tofu", ".tofu.json"].iter().any(|end| name.ends_with(end))
}

/// Whether OpenTofu alone reads a file.
pub fn is_tofu(name: &str) -> bool {
    is_configuration(name) && (name.ends_with(".tofu") || name.ends_with(".tofu.json"))
}

/// Whether a read failed because there is nothing at that path.
pub fn is_absent(error: &io::Error) -> bool {
    [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind())
}

fn is_override(name: &str) -> bool {
    let stem = name.trim_end_matches(".json").trim_end_matches(".tf").trim_end_matches(".tofu");
    stem == "override" || stem.ends_with("_override")
}

/// `path` without `.` and `..` inside, as Terraform joins paths.
pub fn clean(path: &Path) -> PathBuf {
    let mut parts: Vec<Component> = Vec::new();
    for component in path.components() {
        match (component, parts.last()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(component),
        }
    }
    if parts.is_empty() { PathBuf::from(".") } else { parts.into_iter().collect() }
}
