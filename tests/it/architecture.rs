//! The rules of ARCHITECTURE.md that can be read from the source.

mod circles;
mod documents;
mod pure;

use std::{collections::BTreeSet, fs, path::Path};

/// What each module may use of the others. A module that is not named here may use nothing.
const ALLOWED: &[(&str, &[&str])] = &[
    ("catalogue", &[]),
    ("fetch", &[]),
    ("files", &[]),
    ("outcome", &[]),
    ("finding_id", &[]),
    ("sample", &[]),
    ("statistics", &[]),
    ("hcl", &[]),
    ("process", &[]),
    ("redact", &[]),
    ("visible", &[]),
    ("doctor", &[]),
    ("locate", &["hcl"]),
    ("stack", &["catalogue", "hcl"]),
    ("remedy", &["catalogue", "hcl", "process"]),
    ("diagnose", &["catalogue", "finding_id", "remedy", "sample", "sizing", "statistics"]),
    ("alert", &["diagnose", "finding_id", "remedy"]),
    ("open_monitoring", &["alert", "catalogue", "diagnose", "finding_id"]),
    ("comparison", &["statistics"]),
    ("sizing", &["catalogue", "sample", "statistics"]),
    ("capacity", &["statistics"]),
    (
        "experiment",
        &[
            "aws",
            "capacity",
            "catalogue",
            "diagnose",
            "kafka",
            "load",
            "outcome",
            "process",
            "run",
            "sample",
            "statistics",
            "watch",
        ],
    ),
    ("benchmark", &["catalogue", "diagnose", "finding_id", "run", "sample", "statistics"]),
    ("prediction", &["capacity", "diagnose", "run", "sample", "sizing"]),
    ("proof", &["diagnose", "finding_id", "sample", "statistics"]),
    ("report", &["capacity", "diagnose", "process", "proof", "remedy", "run", "sample", "sizing", "statistics"]),
    ("run", &["sample", "diagnose", "finding_id", "process", "remedy"]),
    ("screen", &["diagnose", "finding_id", "process", "run", "sample"]),
    ("terraform", &["catalogue", "process"]),
    ("project", &["doctor", "locate", "outcome", "process", "stack", "terraform"]),
    ("exposition", &[]),
    ("lab_api", &["sample"]),
    ("aws", &["catalogue", "lab_api", "sample"]),
    ("kafka", &["sample"]),
    ("load", &["kafka", "outcome", "sample", "stack"]),
    ("metrics", &["catalogue", "exposition", "sample", "aws", "kafka"]),
    ("listen", &[]),
    ("lab", &["catalogue", "exposition", "fetch", "finding_id", "lab_api", "listen", "sample", "process", "kafka"]),
    (
        "watch",
        &[
            "aws",
            "catalogue",
            "diagnose",
            "finding_id",
            "kafka",
            "lab",
            "metrics",
            "outcome",
            "process",
            "remedy",
            "run",
            "sample",
            "sizing",
            "stack",
        ],
    ),
    (
        "change",
        &[
            "aws",
            "catalogue",
            "diagnose",
            "edge",
            "finding_id",
            "kafka",
            "load",
            "locate",
            "metrics",
            "outcome",
            "process",
            "project",
            "proof",
            "record",
            "remedy",
            "report",
            "run",
            "sample",
            "stack",
            "statistics",
            "terraform",
            "watch",
        ],
    ),
    (
        "guard",
        &["alert", "aws", "diagnose", "exposition", "finding_id", "listen", "metrics", "outcome", "project", "watch"],
    ),
    ("proposals", &["change", "edge", "guard"]),
    ("clients", &["aws", "catalogue", "load", "outcome", "process"]),
    ("sandbox", &["aws", "lab", "lab_api", "outcome", "process", "project", "watch"]),
    (
        "surroundings",
        &["aws", "cli", "doctor", "fetch", "lab", "project", "sandbox", "selection", "terraform", "watch"],
    ),
    (
        "demo",
        &[
            "aws",
            "catalogue",
            "change",
            "diagnose",
            "edge",
            "kafka",
            "lab",
            "load",
            "outcome",
            "project",
            "proof",
            "record",
            "remedy",
            "report",
            "run",
            "sample",
            "sandbox",
            "stack",
            "terraform",
            "watch",
        ],
    ),
    (
        "benchmark_lab",
        &[
            "aws",
            "benchmark",
            "capacity",
            "change",
            "diagnose",
            "edge",
            "experiment",
            "finding_id",
            "kafka",
            "lab",
            "lab_api",
            "load",
            "metrics",
            "outcome",
            "prediction",
            "process",
            "project",
            "record",
            "run",
            "sample",
            "sandbox",
            "sizing",
            "statistics",
            "watch",
        ],
    ),
    (
        "documents",
        &[
            "benchmark",
            "capacity",
            "change",
            "comparison",
            "console",
            "demo",
            "diagnose",
            "doctor",
            "edge",
            "guard",
            "kafka",
            "lab_api",
            "load",
            "metrics",
            "prediction",
            "project",
            "proof",
            "remedy",
            "run",
            "sample",
            "sizing",
            "stack",
            "terraform",
            "watch",
        ],
    ),
    (
        "selection",
        &[
            "aws",
            "cli",
            "clients",
            "diagnose",
            "edge",
            "kafka",
            "load",
            "project",
            "sample",
            "stack",
            "terraform",
            "watch",
        ],
    ),
    ("reference", &["benchmark", "catalogue", "cli", "diagnose", "lab", "sample"]),
    (
        "text",
        &[
            "capacity",
            "catalogue",
            "change",
            "comparison",
            "diagnose",
            "doctor",
            "documents",
            "finding_id",
            "kafka",
            "lab",
            "lab_api",
            "load",
            "proof",
            "reference",
            "remedy",
            "run",
            "sample",
            "sizing",
            "stack",
            "statistics",
            "surroundings",
            "watch",
        ],
    ),
    ("edge", &["alert", "diagnose", "outcome", "redact", "run", "screen"]),
    ("record", &["edge", "load", "outcome", "project", "report", "run", "screen"]),
    (
        "console",
        &["change", "edge", "outcome", "process", "project", "record", "remedy", "run", "screen", "terraform", "watch"],
    ),
    ("cli", &["catalogue", "kafka", "load", "outcome", "sizing"]),
    ("bench", &["hcl", "stack"]),
    ("fuzzing", &["cli", "diagnose", "lab", "locate", "metrics", "report", "run", "stack", "terraform"]),
    ("lib", &["commands"]),
];

/// May be used by every module; `testing` is there for tests alone.
const FOR_ALL: &[&str] = &["files", "testing", "visible"];

/// May use every module.
const MAY_USE_ALL: &str = "commands";

/// The modules of this crate that `source` uses, by name.
fn used(source: &str) -> BTreeSet<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        // `$crate::` and the tail of another word are not ours.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(first_names(list)),
            None => names.extend(name(rest)),
        }
    }
    names
}

/// The first segment of each path in a list, up to its closing brace.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut item, mut names) = (0, String::new(), Vec::new());
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.extend(name(&std::mem::take(&mut item))),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    names.extend(name(&item));
    names
}

/// The module at the start of a path. Macros, types and functions at the root of the crate are none.
fn name(path: &str) -> Option<String> {
    let name: String = path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    name.starts_with(|c: char| c.is_lowercase()).then_some(name)
}

/// Every source file as (module, path, text).
fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let module = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
                sources.push((module, name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

fn violations(module: &str, used: &BTreeSet<String>) -> Vec<String> {
    let allowed = ALLOWED.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, allowed)| allowed);
    let fine = |name: &str| name == module || FOR_ALL.contains(&name) || allowed.contains(&name);
    if module == MAY_USE_ALL { Vec::new() } else { used.iter().filter(|name| !fine(name)).cloned().collect() }
}

#[test]
fn a_module_uses_only_what_it_may() {
    let sources = sources();
    // Tests may set up what their module never sees, such as the lab's control plane.
    let program = sources.iter().filter(|(_, file, _)| !is_for_tests(file));
    let found: Vec<String> = program
        .flat_map(|(module, file, text)| {
            violations(module, &used(text)).into_iter().map(move |name| format!("src/{file} uses crate::{name}"))
        })
        .collect();
    assert!(found.is_empty(), "not allowed by the table of this test:\n{}", found.join("\n"));
}

/// What the files of `module` use between them.
fn used_by(module: &str, sources: &[(String, String, String)]) -> BTreeSet<String> {
    let texts = sources.iter().filter(|(of, ..)| of == module).map(|(.., text)| text);
    // The root of the crate names its modules without `crate::`.
    if module == "lib" {
        texts.flat_map(|text| used(&text.replace(" commands::", " crate::commands::"))).collect()
    } else {
        texts.flat_map(|text| used(text)).collect()
    }
}

#[test]
fn every_permission_is_used() {
    let sources = sources();
    let unused: Vec<String> = ALLOWED
        .iter()
        .flat_map(|(module, allowed)| {
            let used = used_by(module, &sources);
            allowed
                .iter()
                .filter(move |name| !used.contains(**name))
                .map(move |name| format!("{module} uses no {name}"))
        })
        .collect();
    assert!(unused.is_empty(), "permissions in the table of this test that no file needs:\n{}", unused.join("\n"));
}

/// The order of layers: what a module may use never leads back to it.
#[test]
fn no_permission_leads_back() {
    fn reaches(from: &str, to: &str, seen: &mut BTreeSet<String>) -> bool {
        let allowed = ALLOWED.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, allowed)| allowed);
        allowed.iter().any(|next| *next == to || (seen.insert((*next).to_owned()) && reaches(next, to, seen)))
    }
    let back: Vec<&str> =
        ALLOWED.iter().map(|(name, _)| *name).filter(|name| reaches(name, name, &mut BTreeSet::new())).collect();
    assert!(back.is_empty(), "modules that may use themselves by way of others: {back:?}");
}

/// Code of a file: what stands above its tests, without whole lines of comments.
fn code(text: &str) -> String {
    let above = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    above.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether a file is compiled for tests only.
fn is_for_tests(file: &str) -> bool {
    ["/tests.rs", "testing.rs", "/on_moto.rs", "diagnose/scenarios.rs", "benchmark/without.rs"]
        .iter()
        .any(|name| file.ends_with(name))
        || file.contains("/tests/")
}

#[test]
fn a_finding_id_is_written_once() {
    let sources = sources();
    let (.., ids) = sources.iter().find(|(_, file, _)| file == "finding_id.rs").unwrap();
    let ids: Vec<&str> = ids.lines().filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1)).collect();
    assert!(ids.len() > 30, "{ids:?}");
    let program = sources.iter().filter(|(_, file, _)| file != "finding_id.rs" && !is_for_tests(file));
    let found: Vec<String> = program
        .flat_map(|(_, file, text)| {
            let code = code(text);
            // The word is also a verdict.
            let ids = ids.iter().filter(|id| **id != "healthy").filter(move |id| code.contains(&format!("\"{id}\"")));
            ids.map(move |id| format!("src/{file} has {id:?}: use the constant of finding_id"))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn uses_are_found_in_every_form() {
    let check = |source: &str, expected: &[&str]| {
        assert_eq!(used(source).iter().map(String::as_str).collect::<Vec<_>>(), expected, "{source}");
    };
    check("use crate::stack::Stack;", &["stack"]);
    check("use crate::{\n    aws::{Aws, Cluster},\n    kafka,\n};", &["aws", "kafka"]);
    check("fn f() { crate::lab::up() }", &["lab"]);
    check("pub(crate) use crate::load;", &["load"]);
    check("/// [`crate::aws`]\n// use crate::aws;\nuse super::x;", &[]);
    check("use crate::Error;", &[]);
    check("use other_crate::aws;", &[]);
    let used = used("use crate::{process::Tool, files, lab};");
    assert_eq!(violations("terraform", &used), ["lab"]);
    assert_eq!(violations("of_the_future", &used), ["lab", "process"]);
    assert_eq!(violations("commands", &used), [""; 0]);
}

/// What stands for starting a program or printing, and the module that may do so. The edge prints what commands hand to it.
const HOMES: &[(&str, &[&str])] = &[
    ("Command::new(", &["process"]),
    ("duct::", &["process"]),
    ("println!(", &["commands"]),
    ("print!(", &["commands"]),
    ("edge::print(", &["commands"]),
    ("edge::message(", &["commands", "console", "selection"]),
    ("edge::document(", &["commands", "documents"]),
    ("edge::json_line(", &["commands"]),
    ("edge::line(", &["commands"]),
    ("edge::aside(", &["commands", "console"]),
];

/// What a module's code has that belongs in another module.
fn strays(module: &str, code: &str) -> Vec<&'static str> {
    HOMES
        .iter()
        .filter(|(word, homes)| !homes.contains(&module) && code.contains(word))
        .map(|(word, _)| *word)
        .collect()
}

#[test]
fn only_process_starts_programs_and_only_commands_prints() {
    let is_program = |file: &str| !["/tests.rs", "/testing.rs", "/on_moto.rs"].iter().any(|name| file.ends_with(name));
    let sources = sources();
    let program = sources.iter().filter(|(_, file, _)| is_program(file) && !file.contains("/tests/"));
    let found: Vec<String> = program
        .flat_map(|(module, file, text)| {
            // What stands below the tests of a file is not the program's.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            strays(module, code).into_iter().map(move |word| format!("src/{file} has {word:?}"))
        })
        .collect();
    assert!(found.is_empty(), "belongs in another module:\n{}", found.join("\n"));
    assert_eq!(strays("change", "eprint!(\"x\"); edge::print(format_args!(\"y\"))"), ["print!(", "edge::print("]);
    assert!(strays("commands", "println!(\"x\")").is_empty());
}

/// Who writes, and why that does not pass the edge (`edge.rs`): files that are no report of kgen's.
const WRITERS: &[(&str, &str)] = &[
    ("edge.rs", "the edge"),
    ("screen/terminal.rs", "what the screen draws: a model of entries that have passed the edge, in cells"),
    ("console/ask.rs", "flushes a question that the edge has written"),
    ("files.rs", "replaces a file for all others"),
    ("files/own.rs", "opens kgen's own files for all others"),
    ("run/writer.rs", "the record: its head and its entries have passed the edge"),
    ("demo/seen.rs", "samples, each as a line of the edge"),
    ("benchmark_lab/runs.rs", "compressed runs, which were read through the edge"),
    ("change/own.rs", "configuration, put back as it was"),
    ("commands/init.rs", "configuration: a kgen.toml, which commands read"),
    ("project/replace.rs", "configuration: kgen.toml and Terraform's files"),
    ("project/delivery.rs", "a checksum of kgen, which terraform reads"),
    ("project/lock.rs", "who holds a lock"),
    ("load/ledger.rs", "sequences, which `kgen consume --verify` reads again"),
    ("load/producer/summary.rs", "response times, no texts"),
    ("process/logged.rs", "what terraform prints, which another kgen follows"),
    ("terraform/saved.rs", "the file of a plan, which terraform writes"),
    ("process/detached.rs", "what the lab prints, through the edge of its own"),
    ("process/server.rs", "what brokers print"),
];

/// Whether a file below this folder of `src` is of the lab, whose folder is a machine of its own.
const LAB: &str = "lab/";

#[test]
fn whatever_leaves_passes_the_edge() {
    // Bounded reads open files with options too, and a plan file has a type of its own.
    const READS: [&str; 2] = ["File::options().read(true).custom_flags(", "PlanFile::create("];
    const WRITES: [&str; 15] = [
        "io::stdout()",
        "io::stderr()",
        "stdio::stdout()",
        "replace_file(",
        "Staged::new(",
        "File::create(",
        "File::create_new(",
        "File::options(",
        "OpenOptions::new(",
        "fs::write(",
        "fs::copy(",
        "dbg!(",
        "own::create(",
        "own::create_new(",
        "own::append(",
    ];
    let is_test = |file: &str| ["tests", "testing.rs", "/on_moto.rs"].iter().any(|name| file.contains(name));
    let (mut found, mut writers) = (Vec::new(), BTreeSet::new());
    for (_, file, text) in sources().into_iter().filter(|(_, file, _)| !is_test(file) && !file.starts_with(LAB)) {
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let code = code.replace("io::stdout().is_terminal()", "").replace("io::stderr().is_terminal()", "");
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let lines = lines.filter(|line| !READS.iter().any(|read| line.contains(read)));
        for (line, word) in lines.flat_map(|line| WRITES.iter().map(move |word| (line, word))) {
            if line.contains(word) {
                writers.insert(file.clone());
                if !WRITERS.iter().any(|(writer, _)| *writer == file) {
                    found.push(format!("src/{file} writes by itself: {}", line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "print with println!, write with edge::write_file:\n{}", found.join("\n"));
    let idle: Vec<_> = WRITERS.iter().filter(|(writer, _)| !writers.contains(*writer)).collect();
    assert!(idle.is_empty(), "these write nothing any more: {idle:?}");
}
