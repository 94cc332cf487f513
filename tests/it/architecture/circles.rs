//! Files that use each other in a circle. A file may always use the ones above it (`super`), as a rule uses what
//! `diagnose.rs` offers, and those it declares; that is no circle. Every other circle is in the list, and the list only shrinks.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, is_for_tests, sources};

/// Files that may use each other, and what would part them.
const ALLOWED_CIRCLES: &[(&str, &[&str])] = &[
    ("values and scopes are evaluated lazily, each by the other", &["locate/scope.rs", "locate/value.rs"]),
    (
        "likewise: inputs are evaluated when they are asked for",
        &[
            "locate/eval.rs",
            "locate/eval/files.rs",
            "locate/eval/functions.rs",
            "locate/inputs.rs",
            "locate/terragrunt.rs",
            "locate/terragrunt/arguments.rs",
            "locate/terragrunt/functions.rs",
        ],
    ),
    (
        "a policy names the resources that it is for, and they name it",
        &["stack/delivery.rs", "stack/iam.rs", "stack/kms.rs", "stack/logs.rs", "stack/msk.rs", "stack/scram.rs"],
    ),
    ("two groups of security rules name each other", &["stack/endpoints.rs", "stack/security.rs"]),
    (
        "an update changes the configuration, whose rules ask what is updated",
        &["lab/cluster/configuration.rs", "lab/cluster/update.rs"],
    ),
    (
        "what a broker shows includes its faults, whose volumes are measured",
        &["lab/exporter.rs", "lab/fault.rs", "lab/fault/volume.rs", "lab/readings.rs"],
    ),
    (
        "limits are checked for producers and consumers, whose summaries show them",
        &["load/consumer.rs", "load/merge.rs", "load/producer.rs", "load/producer/summary.rs", "load/slo.rs"],
    ),
    (
        "a window has a coverage, which is made of what its samples hold",
        &["diagnose/coverage.rs", "diagnose/seen.rs", "diagnose/window.rs"],
    ),
];

type Module = Vec<String>;

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every path that begins at the start of `text`, segment by segment; a list in braces gives one for each of its items.
fn paths(text: &str) -> Vec<Module> {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        return items(list).iter().flat_map(|item| paths(item)).collect();
    }
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => {
            paths(rest).into_iter().map(|path| [vec![name.to_owned()], path].concat()).collect()
        }
        _ => vec![vec![name.to_owned()]],
    }
}

/// The items of a list up to its closing brace.
fn items(list: &str) -> Vec<String> {
    let (mut depth, mut items) = (0, vec![String::new()]);
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        items.last_mut().unwrap().push(c);
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

/// The files that `source`, which is `own`, uses, without those above it.
fn used(own: &Module, source: &str, files: &BTreeSet<Module>) -> BTreeSet<Module> {
    let code = code(source);
    let mut used = BTreeSet::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| is_word(c) || c == ':' || c == '$') {
                continue;
            }
            used.extend(paths(&code[at..]).iter().filter_map(|path| file_of(own, path, files)));
        }
    }
    // Files that it declares are used by name.
    let children = files.iter().filter(|file| file.len() == own.len() + 1 && file.starts_with(own));
    used.extend(children.filter(|child| names(&code, child.last().unwrap())).cloned());
    used.retain(|file| !own.starts_with(file));
    used
}

fn names(code: &str, module: &str) -> bool {
    let path = format!("{module}::");
    code.match_indices(&path).any(|(at, _)| !code[..at].ends_with(|c: char| is_word(c) || c == ':'))
}

/// The file that a path leads to.
fn file_of(own: &Module, path: &Module, files: &BTreeSet<Module>) -> Option<Module> {
    let mut at = own.clone();
    let mut rest = path.iter().peekable();
    match rest.next()?.as_str() {
        "crate" => at.clear(),
        "super" => {
            at.pop();
            while rest.next_if(|segment| *segment == "super").is_some() {
                at.pop();
            }
        }
        _ => {}
    }
    for segment in rest {
        let next = [at.clone(), vec![segment.clone()]].concat();
        if !files.contains(&next) {
            break;
        }
        at = next;
    }
    (!at.is_empty()).then_some(at)
}

/// Files from each of which every other is reached, if there are several.
fn circles(uses: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<BTreeSet<String>> {
    let reached = |from: &Module| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = open.pop() {
            for next in uses.get(&at).into_iter().flatten() {
                if reached.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        reached
    };
    let all: BTreeMap<&Module, BTreeSet<Module>> = uses.keys().map(|file| (file, reached(file))).collect();
    let name = |file: &Module| format!("{}.rs", file.join("/"));
    let circle = |(file, reached): (&&Module, &BTreeSet<Module>)| -> BTreeSet<String> {
        let back = reached.iter().filter(|other| all.get(other).is_some_and(|of| of.contains(*file)));
        back.map(name).collect()
    };
    all.iter().map(circle).filter(|circle| circle.len() > 1).collect()
}

fn found() -> BTreeSet<BTreeSet<String>> {
    let sources = sources();
    let program = sources.iter().filter(|(_, file, _)| !is_for_tests(file));
    let texts: BTreeMap<Module, &String> = program
        .map(|(_, file, text)| (file.trim_end_matches(".rs").split('/').map(str::to_owned).collect(), text))
        .collect();
    let files: BTreeSet<Module> = texts.keys().cloned().collect();
    circles(&texts.iter().map(|(own, text)| (own.clone(), used(own, text, &files))).collect())
}

#[test]
fn files_use_each_other_only_in_the_listed_circles() {
    let found = found();
    let is_allowed = |circle: &BTreeSet<String>, allowed: &[&str]| circle.iter().all(|file| allowed.contains(&&**file));
    let new: Vec<_> =
        found.iter().filter(|circle| !ALLOWED_CIRCLES.iter().any(|(_, files)| is_allowed(circle, files))).collect();
    assert!(new.is_empty(), "files that use each other in a circle that is not in the list of this test:\n{new:#?}");
    for (why, files) in ALLOWED_CIRCLES {
        let parted: Vec<_> = files.iter().filter(|file| !found.iter().any(|circle| circle.contains(**file))).collect();
        assert!(parted.is_empty(), "in no circle any more, so to be struck from the list ({why}): {parted:?}");
    }
}

#[test]
fn circles_are_found_and_uses_of_what_is_above_are_none() {
    let module = |name: &str| -> Module { name.split('/').map(str::to_owned).collect() };
    let files: BTreeSet<Module> = ["a", "a/x", "a/y", "b"].iter().map(|name| module(name)).collect();
    let check = |own: &str, source: &str, expected: &[&str]| {
        let used: Vec<String> = used(&module(own), source, &files).iter().map(|file| file.join("/")).collect();
        assert_eq!(used, expected, "{own}: {source}");
    };
    check("a/x", "use super::{Thing, y::{One, Two}};\nuse crate::b;", &["a/y", "b"]);
    check("a/x", "use crate::a::Thing;", &[]);
    check("a", "mod x;\npub const ALL: &[Rule] = &[x::RULE];", &["a/x"]);
    check("b", "use crate::{a::{self, y}, c};\nfn f() { crate::a::x::go() }", &["a", "a/x", "a/y"]);
    let uses = |pairs: &[(&str, &[&str])]| -> BTreeMap<Module, BTreeSet<Module>> {
        pairs.iter().map(|(from, to)| (module(from), to.iter().map(|name| module(name)).collect())).collect()
    };
    assert!(circles(&uses(&[("a", &["b"]), ("b", &["c"])])).is_empty());
    let found = circles(&uses(&[("a", &["b"]), ("b", &["c"]), ("c", &["b", "d"])]));
    assert_eq!(found, [["b.rs".to_owned(), "c.rs".to_owned()].into()].into());
}
