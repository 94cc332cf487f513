//! ARCHITECTURE.md against the code.

use std::{collections::BTreeSet, fs, path::Path};

use super::{ALLOWED, MAY_USE_ALL, sources};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of the table below `heading`, cells without blanks around them.
fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let below = document.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
    let section = below.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_module_has_its_row_and_may_use_what_the_row_says() {
    let document = read("ARCHITECTURE.md");
    let rows = rows(&document, "Modules");
    let mut wrong = Vec::new();
    let named: Vec<&str> = rows.iter().filter_map(|row| quoted(&row[0]).first().copied()).collect();
    let modules: BTreeSet<String> = sources().into_iter().map(|(module, ..)| module).collect();
    for module in modules.iter().filter(|module| !["main", "testing"].contains(&module.as_str())) {
        match named.iter().filter(|name| *name == module).count() {
            1 => {}
            count => wrong.push(format!("{module} has {count} rows")),
        }
    }
    for row in &rows {
        let [name, purpose, may_use] = &row[..] else { panic!("not three cells: {row:?}") };
        let name = quoted(name)[0];
        let is_known = ALLOWED.iter().find(|(module, _)| *module == name);
        let expected: BTreeSet<&str> =
            is_known.map_or(BTreeSet::new(), |(_, allowed)| allowed.iter().copied().collect());
        let written: BTreeSet<&str> = quoted(may_use).into_iter().collect();
        if !modules.contains(name) {
            wrong.push(format!("there is no module {name}"));
        }
        if purpose.is_empty() {
            wrong.push(format!("{name}: no word on what it is for"));
        }
        let is_right = match (name == MAY_USE_ALL, expected.is_empty()) {
            (true, _) => may_use == "every module",
            (false, true) => written.is_empty() && may_use.starts_with("nothing"),
            (false, false) => written == expected,
        };
        if !is_right {
            wrong.push(format!("{name}: the row has {may_use:?}, the table of the test {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "ARCHITECTURE.md, Modules:\n{}", wrong.join("\n"));
}

/// Folders whose paths are checked.
const FOLDERS: &[&str] = &["benches/", "data/", "docs/", "fuzz/", "lab/", "scripts/", "src/", "templates/", "tests/"];

#[test]
fn every_place_where_the_next_one_goes_exists() {
    let document = read("ARCHITECTURE.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    let rows = rows(&document, "Where the next one goes");
    assert!(rows.len() >= 20, "{} rows", rows.len());
    for row in &rows {
        for cell in &row[1..] {
            let words = quoted(cell).into_iter().flat_map(str::split_whitespace);
            let paths = words.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)));
            wrong.extend(
                paths
                    .filter(|path| !root.join(path.trim_end_matches('/')).exists())
                    .map(|path| format!("{}: there is no {path}", row[0])),
            );
            // `NAME` in `path`: the file has the name.
            let quotes = quoted(cell);
            for pair in quotes.windows(2) {
                let [name, path] = pair else { continue };
                let is_of = [" in ", " of "].iter().any(|word| cell.contains(&format!("`{name}`{word}`{path}`")));
                if is_of && root.join(path).is_file() && !read(path).contains(name.rsplit("::").next().unwrap_or(name))
                {
                    wrong.push(format!("{}: {path} has no {name}", row[0]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "ARCHITECTURE.md, Where the next one goes:\n{}", wrong.join("\n"));
}

#[test]
fn no_schema_is_listed_twice() {
    let document = read("ARCHITECTURE.md");
    let (mut seen, mut twice, mut family) = (BTreeSet::new(), Vec::new(), String::new());
    for row in rows(&document, "Data formats") {
        for name in quoted(&row[0]) {
            // `kgen.plan/1`, `apply/1`: the first word goes for all.
            let name = match name.split_once('.') {
                Some((first, _)) if name.contains('/') => {
                    family = first.to_owned();
                    name.to_owned()
                }
                _ => format!("{family}.{name}"),
            };
            if !seen.insert(name.clone()) {
                twice.push(name);
            }
        }
    }
    assert!(twice.is_empty(), "ARCHITECTURE.md, Data formats: {twice:?}");
}
