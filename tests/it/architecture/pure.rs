//! Modules that are values in, values out: no clock, no file, no environment.

use super::{code, is_for_tests, sources};

const PURE: &[&str] = &[
    "alert",
    "benchmark",
    "capacity",
    "catalogue",
    "comparison",
    "diagnose",
    "doctor",
    "exposition",
    "finding_id",
    "hcl",
    "lab_api",
    "locate",
    "open_monitoring",
    "prediction",
    "proof",
    "redact",
    "remedy",
    "sample",
    "sizing",
    "stack",
    "statistics",
];

/// What reaches outside, by what it reaches.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("clock", &["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "run::now"]),
    (
        "file",
        &[
            "fs::",
            "File::open",
            "File::create",
            "File::options",
            "OpenOptions::",
            "files::text",
            "files::replace",
            "bounded::text",
            "bounded::read",
            "bounded::open",
        ],
    ),
    ("environment", &["env::"]),
];

/// Files that do it all the same, and why.
const EXCEPT: &[(&str, &str, &str)] =
    &[("stack.rs", "file", "`Stack::load` reads kgen.toml, so that an error can name the file and the line")];

/// What of `source` reaches outside.
fn outside(source: &str) -> Vec<(&'static str, &'static str)> {
    let code = code(source);
    // The tail of another word, such as `StackFile::open`, is something else.
    let has = |word: &str| {
        code.match_indices(word).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            || word.strip_suffix("::").is_some_and(|name| imports_std(&code, name))
    };
    let words = OUTSIDE.iter().flat_map(|(kind, words)| words.iter().map(move |word| (*kind, *word)));
    words.filter(|(_, word)| has(word)).collect()
}

/// Whether a `use std::…;` names the module `name`.
fn imports_std(code: &str, name: &str) -> bool {
    let uses = code.split("use std::").skip(1).filter_map(|rest| rest.split(';').next());
    uses.flat_map(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|word| word == name)
}

#[test]
fn pure_modules_have_no_clock_no_file_and_no_environment() {
    let (mut found, mut excused) = (Vec::new(), Vec::new());
    let sources = sources();
    for module in PURE {
        assert!(sources.iter().any(|(of, ..)| of == module), "there is no module {module}");
    }
    for (_, file, text) in sources.iter().filter(|(of, file, _)| PURE.contains(&of.as_str()) && !is_for_tests(file)) {
        for (kind, word) in outside(text) {
            match EXCEPT.iter().find(|(name, what, _)| name == file && *what == kind) {
                Some(excuse) => excused.push(excuse),
                None => found.push(format!("src/{file} has {word:?}: the {kind} comes in from outside")),
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    for excuse in EXCEPT {
        assert!(excused.contains(&excuse), "{} needs no exception: {}", excuse.0, excuse.2);
    }
}

#[test]
fn what_reaches_outside_is_found_in_every_form() {
    let check = |source: &str, expected: &[&str]| {
        let found: Vec<&str> = outside(source).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, expected, "{source}");
    };
    check("use std::{collections::BTreeMap, fs};", &["file"]);
    check("let text = std::fs::read(path);", &["file"]);
    check("let file = File::open(path);", &["file"]);
    check("let at = jiff::Timestamp::now();", &["clock"]);
    check("let at = Instant::now() - SystemTime::now();", &["clock", "clock"]);
    check("use std::env;", &["environment"]);
    check("if std::env::var(\"X\").is_ok() {}", &["environment"]);
    check("let dir = env!(\"CARGO_MANIFEST_DIR\");", &[]);
    check("// std::fs::read\nlet offset = refs::of(file);", &[]);
    check("fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}", &[]);
}
