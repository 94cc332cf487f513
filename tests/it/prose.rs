//! Plain English: what can be checked of the words that a person reads. The rest is for a second reader.
//!
//! Texts are the help of every command, the documents, and the string literals and comments of the sources. A phrase is
//! banned because it was written here and reads like a translation; `PHRASES` says what to write instead.

use std::{fs, path::Path};

use crate::project::kgen;

/// Where a phrase is not allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    /// Everywhere that is checked.
    All,
    /// Messages, help and documents, but not comments.
    Messages,
}

/// Phrases, in lower case, and what to write instead. They match whole words, across line breaks.
const PHRASES: &[(In, &str, &str)] = &[
    // The table of the style guide.
    (In::All, "tell a run as", "write a report of"),
    (In::All, "tell what this machine", "check this machine"),
    (In::All, "mend", "fix"),
    (In::All, "mends", "fixes"),
    (In::All, "mended", "fixed"),
    (In::All, "mending", "fixing"),
    (In::All, "go on with", "resume, continue"),
    (In::All, "goes on with", "resumes, continues"),
    (In::All, "gone on with", "resumed, continued"),
    (In::All, "make what", "apply, create"),
    (In::All, "carry out the remedy", "apply the remedy"),
    (In::All, "where that is safe", "when it is safe"),
    (In::All, "look until", "check that"),
    (In::All, "looks until", "checks that"),
    (In::All, "unless named", "[default: …]"),
    (In::All, "what it may use", "its capacity"),
    (In::Messages, "may use of its", "gets"),
    (In::All, "stop before terraform", "add --apply to run it"),
    (In::All, "would tell", "to confirm"),
    (In::Messages, "evidence against it", "evidence against"),
    (In::Messages, "not seen:", "not observed:"),
    (In::Messages, "was not seen", "was not observed"),
    (In::All, "not a fix", "do not"),
    (In::Messages, "serves and has room", "all brokers are serving and have headroom"),
    (In::Messages, "has room", "has headroom"),
    (In::Messages, "have room", "have headroom"),
    (In::All, "keeps no other from", "does not block the others"),
    (In::All, "the hardened profile too", "supports the hardened profile"),
    (In::All, "two reservations", "two exceptions"),
    // Inversions and old words.
    (In::All, "to be had", "available"),
    (In::All, "nothing but", "only"),
    (In::All, "anew", "again"),
    (In::All, "begin anew", "start again"),
    (In::All, "whereof", "of which"),
    (In::All, "wherein", "in which"),
    (In::All, "therein", "in it"),
    (In::All, "thereof", "of it"),
    (In::All, "thereby", "so"),
    (In::All, "hitherto", "until now"),
    (In::All, "in vain", "without success"),
    (In::Messages, "goes on", "continues"),
    (In::Messages, "go on", "continue"),
    (In::All, "cannot be told", "is unknown"),
    (In::All, "can be told from", "differs from"),
    (In::All, "speaks for", "is evidence for"),
    (In::All, "speaks against", "is evidence against"),
    (In::Messages, "stands in", "is in"),
    (In::Messages, "stands still", "has stalled"),
    (In::Messages, "put back", "restored, undone"),
    (In::Messages, "puts back", "restores, undoes"),
    (In::Messages, "given back", "restored, returned"),
    (In::Messages, "taken back", "undone"),
    (In::Messages, "takes back", "undoes"),
    (In::Messages, "taken off", "removed"),
    (In::Messages, "takes off", "removes"),
    (In::Messages, "somebody else", "someone else, others"),
    (In::All, "is no file", "is not a file"),
    (In::All, "is no number", "is not a number"),
    (In::Messages, "is no string", "is not a string"),
    (In::Messages, "is no list", "is not a list"),
    (In::Messages, "is no map", "is not a map"),
    (In::Messages, "is no link", "is not a link"),
    (In::Messages, "is no folder", "is not a folder"),
    // A program does not talk.
    (In::Messages, "tells", "shows, reports"),
    (In::Messages, "told", "reported, shown (people tell things apart)"),
    (In::Messages, "answers with", "returns"),
    (In::Messages, "does not answer", "does not respond"),
    (In::Messages, "is asked", "is queried, is checked"),
];

/// Phrases with a banned word that are plain English.
const ALLOWED: &[&str] = &["told apart", "tell it apart", "there is no file"];

/// Files whose text is not ours, or quotes others: their phrases are not looked at.
const SKIPPED: &[&str] = &["redact/names.rs"];

/// Columns of a help text; the help is as wide as the terminal, and this wide without one.
const HELP_WIDTH: usize = 100;

/// A text with where it is.
struct Text {
    place: String,
    text: String,
    is_comment: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and the other documents at the top, docs/*.md, without code blocks and code between backquotes.
fn documents() -> Vec<Text> {
    let names = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "kgen.example.toml"];
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|ext| ext == "md"));
    names
        .iter()
        .map(|name| root().join(name))
        .chain(docs)
        .flat_map(|path| {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            paragraphs(&text).into_iter().map(move |(line, text)| Text {
                place: format!("{name}:{line}"),
                text,
                is_comment: false,
            })
        })
        .collect()
}

/// The paragraphs of a document, each with its line; code is left out.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut is_code, mut is_new) = (false, true);
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            is_new = true;
            continue;
        }
        if is_code || line.trim().is_empty() {
            is_new = true;
            continue;
        }
        let prose: Vec<&str> = line.split('`').step_by(2).collect();
        let prose = prose.join("`");
        match found.last_mut() {
            Some((_, paragraph)) if !is_new && !line.starts_with(['|', '-', '#']) => {
                paragraph.push(' ');
                paragraph.push_str(prose.trim());
            }
            _ => found.push((number + 1, prose.trim().to_owned())),
        }
        is_new = false;
    }
    found
}

/// Rust files below a folder, tests among them left out.
fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" && name != "snapshots" {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "testing.rs" {
            found.push(path);
        }
    }
}

/// The string literals and comments of a Rust source, each as one line: comments on lines that follow each other are one
/// text, and so is a literal that is continued with a backslash.
fn texts(source: &str) -> Vec<(usize, String, bool)> {
    let chars: Vec<char> = source.chars().collect();
    let mut found: Vec<(usize, String, bool)> = Vec::new();
    let (mut at, mut line, mut last_comment_line) = (0, 1, 0);
    while at < chars.len() {
        let (text, end, is_comment) = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => {
                let end = (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len());
                let text: String = chars[at..end].iter().collect();
                (text.trim_start_matches(['/', '!']).trim().to_owned(), end, true)
            }
            'r' if is_raw(&chars, at) => {
                let (text, end) = raw(&chars, at);
                (text, end, false)
            }
            '"' => {
                let (text, end) = literal(&chars, at + 1);
                (text, end, false)
            }
            other => {
                line += usize::from(other == '\n');
                at = after_char(&chars, at);
                continue;
            }
        };
        match found.last_mut() {
            Some((_, before, true)) if is_comment && last_comment_line + 1 == line => {
                before.push(' ');
                before.push_str(&text);
            }
            _ => found.push((line, text, is_comment)),
        }
        if is_comment {
            last_comment_line = line;
        }
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    found
}

/// Where the text continues after the character at `at`, which may begin a character literal such as `'"'`.
fn after_char(chars: &[char], at: usize) -> usize {
    let quote = |i: usize| chars.get(i) == Some(&'\'');
    match chars[at] {
        '\'' if chars.get(at + 1) == Some(&'\\') => {
            (at + 3..chars.len()).find(|i| quote(*i)).map_or(chars.len(), |end| end + 1)
        }
        '\'' if quote(at + 2) => at + 3,
        _ => at + 1,
    }
}

/// The text of the raw string that begins at `at`, and where it ends.
fn raw(chars: &[char], at: usize) -> (String, usize) {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let start = at + 2 + hashes;
    let is_end = |i: &usize| chars[*i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    let end = (start..chars.len()).find(is_end).expect("a raw string ends");
    (chars[start..end].iter().collect(), end + 1 + hashes)
}

/// Whether a raw string begins at `at`.
fn is_raw(chars: &[char], at: usize) -> bool {
    let is_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b';
    !is_word && chars[at + 1..].iter().find(|c| **c != '#') == Some(&'"')
}

/// A string literal from after its quote, and where its text ends.
fn literal(chars: &[char], start: usize) -> (String, usize) {
    let (mut text, mut at) = (String::new(), start);
    while chars[at] != '"' {
        if chars[at] != '\\' {
            text.push(chars[at]);
            at += 1;
            continue;
        }
        match chars[at + 1] {
            '\n' => {
                at += 2;
                while chars[at].is_whitespace() {
                    at += 1;
                }
            }
            'n' | 't' => {
                text.push(' ');
                at += 2;
            }
            other => {
                text.push(other);
                at += 2;
            }
        }
    }
    (text, at + 1)
}

/// What the program says and what its comments say. A test module at the end of a file is left out.
fn source_texts() -> Vec<Text> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 200, "{} files", files.len());
    files
        .iter()
        .filter(|path| !SKIPPED.iter().any(|skipped| path.ends_with(skipped)))
        .flat_map(|path| {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            let source = fs::read_to_string(path).unwrap();
            let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            texts(code).into_iter().map(move |(line, text, is_comment)| Text {
                place: format!("{name}:{line}"),
                text,
                is_comment,
            })
        })
        .collect()
}

/// `text` in lower case with single spaces between its words, and one at both ends.
fn plain(text: &str) -> String {
    format!(" {} ", text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether `phrase` is in `text` (see [`plain`]) as whole words.
fn has(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + phrase.len()..].chars().next();
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || ['_', '-'].contains(&c));
        !is_word(before) && !is_word(after)
    })
}

/// `text` without what is between braces: names of variables in a format string are no prose.
fn without_placeholders(text: &str) -> String {
    let parts = text.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after));
    parts.collect::<Vec<_>>().join("…")
}

/// The phrases of `text` that are banned where it is.
fn offences(text: &Text) -> Vec<String> {
    let mut words = plain(&without_placeholders(&text.text));
    for allowed in ALLOWED {
        words = words.replace(allowed, "");
    }
    PHRASES
        .iter()
        .filter(|(place, phrase, _)| (*place == In::All || !text.is_comment) && has(&words, phrase))
        .map(|(_, phrase, instead)| format!("{}: \"{phrase}\" (write: {instead}): {}", text.place, text.text.trim()))
        .collect()
}

#[test]
fn no_phrase_that_the_style_guide_replaces() {
    let found: Vec<String> = documents().iter().chain(&source_texts()).flat_map(offences).collect();
    assert!(found.is_empty(), "{} phrases:\n{}", found.len(), found.join("\n"));
}

#[test]
fn phrases_are_found_in_comments_literals_and_documents() {
    let source = "//! Goes\n//! on with it.\nconst A: &str = \"it \\\n    mends\"; let c = '\"'; let r = r#\"a \"told\" b\"#; // anew\n";
    let found = texts(source);
    let found: Vec<(usize, &str, bool)> =
        found.iter().map(|(line, text, is_comment)| (*line, text.as_str(), *is_comment)).collect();
    assert_eq!(
        found,
        [(1, "Goes on with it.", true), (3, "it mends", false), (4, "a \"told\" b", false), (4, "anew", true)]
    );
    let count =
        |text: &str, is_comment| offences(&Text { place: String::new(), text: text.to_owned(), is_comment }).len();
    assert_eq!(count("it  mends\nit", false), 1);
    assert_eq!(count("it recommends, mend-free, amended", false), 0);
    assert_eq!(count("how to tell it apart; they are told apart", false), 0);
    assert_eq!(count("it is told", false), 1);
    assert_eq!(count("it is told", true), 0);
    assert_eq!(paragraphs("a\nb `mend`\n\n```sh\nmend\n```\n| c |\n| d |\n").len(), 3);
}

/// The commands of the reference, such as `lab up`; the empty one is kgen itself.
fn commands() -> Vec<String> {
    let reference = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let headings = reference.lines().filter(|line| line.starts_with("##"));
    let names = headings.filter_map(|line| line.trim_start_matches('#').trim().strip_prefix("kgen"));
    let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    assert!(names.len() > 40 && names.contains(&"lab up".to_owned()), "{names:?}");
    names
}

#[test]
fn help_texts_are_no_wider_than_a_page_and_plain() {
    let dir = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for command in commands() {
        let output = kgen(dir.path()).args(command.split_whitespace()).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && help.contains("Usage:"), "kgen {command} --help: {help}");
        // A command line and a word cannot be broken.
        let wide =
            help.lines().filter(|line| line.chars().count() > HELP_WIDTH && !line.trim_start().starts_with("kgen "));
        found.extend(wide.map(|line| format!("kgen {command}: {} columns: {line}", line.chars().count())));
        found.extend(offences(&Text { place: format!("kgen {command} --help"), text: help, is_comment: false }));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The targets of the links of a document: `](TARGET)`.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        let parts = line.split("](").skip(1).filter(|_| !is_code);
        found.extend(parts.filter_map(|part| part.split(')').next()).map(str::to_owned));
    }
    found
}

/// The name under which a heading can be linked, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c)).collect::<String>().replace(' ', "-")
}

#[test]
fn links_between_documents_lead_somewhere() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let (mut seen, mut dead) = (0, Vec::new());
    for path in docs.chain(top).filter(|path| path.extension().is_some_and(|ext| ext == "md")) {
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            seen += 1;
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let has_heading = || {
                let text = fs::read_to_string(&target).unwrap();
                text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)
            };
            if !target.exists() || (!heading.is_empty() && !has_heading()) {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(seen > 60, "{seen} links");
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    assert_eq!(anchor("## Credentials and the lab"), "credentials-and-the-lab");
}

#[test]
fn the_readme_shows_who_it_is_for_then_how_to_start() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(text.lines().count() < 200, "{} lines", text.lines().count());
    let first: Vec<&str> = text.lines().take(40).collect();
    let at = |what: &str| {
        first.iter().position(|line| line.contains(what)).unwrap_or_else(|| panic!("the first screen has no {what}"))
    };
    let order = [at("is for people who"), at("docs/images/"), at("scripts/demo"), at("| question | command |")];
    assert!(order.is_sorted(), "{order:?}");
}
