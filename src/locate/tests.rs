//! The table of cases in tests/resize: small trees of files, and the edit or the refusal that is right for each.

use std::path::{Path, PathBuf};

use super::{table::Table, *};

const TO: &str = "kafka.m5.large";

/// A case: how kgen is called, on which files, and what is right.
#[derive(Debug, Default)]
struct Case {
    name: String,
    dir: PathBuf,
    cluster: Option<String>,
    var_files: Vec<PathBuf>,
    environment: Environment,
    files: Table,
    /// Every cluster is meant.
    all: bool,
    /// The files that are to change, and what they become.
    edits: Vec<(PathBuf, String)>,
    /// Words that the refusal must have.
    refusal: Vec<String>,
    /// Words that the notes must have; one that starts with `no ` they must not.
    notes: Vec<String>,
}

/// Reads the cases of a file; its format is in tests/resize/README.md.
fn cases(text: &str) -> Vec<Case> {
    text.split("\n=== ").skip(1).map(case).collect()
}

fn case(text: &str) -> Case {
    let (head, files) = text.split_once("\n--- ").unwrap_or_else(|| panic!("no files in the case {text:?}"));
    let mut lines = head.lines();
    let name = lines.next().unwrap_or_default().to_owned();
    let mut case = Case { name, dir: PathBuf::from("."), ..Case::default() };
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{}: {line:?}", case.name));
        match key {
            "dir" => case.dir = value.into(),
            "cluster" => case.cluster = Some(value.to_owned()),
            "var-file" => case.var_files.push(value.into()),
            "workspace" => case.environment.workspace_selected = Some(value.to_owned()),
            "arguments" => case.environment.hidden_arguments = Some(value.to_owned()),
            "env" => {
                let (name, value) = value.split_once('=').unwrap();
                case.environment.variables.push((name.to_owned(), value.to_owned()));
            }
            "var" => {
                let (name, value) = value.split_once('=').unwrap();
                case.environment.arguments.push((name.to_owned(), value.to_owned()));
            }
            "all" => case.all = true,
            "note" => case.notes = value.split(" | ").map(str::to_owned).collect(),
            "refused" => case.refusal = value.split(" | ").map(str::to_owned).collect(),
            _ => panic!("{}: {key:?} is no key of a case", case.name),
        }
    }
    for file in files.split("\n--- ") {
        let (heading, text) = file.split_once('\n').unwrap_or((file, ""));
        let mut words = heading.split(' ');
        let path = PathBuf::from(words.next().unwrap());
        let mut text = format!("{}\n", text.trim_end_matches('\n'));
        for word in words {
            text = match word {
                "crlf" => text.replace('\n', "\r\n"),
                "bom" => format!("\u{feff}{text}"),
                _ => panic!("{}: {word:?} is no way to write a file", case.name),
            };
        }
        let before = text.replace(['«', '»'], "");
        let mut becomes = text.clone();
        while let (Some(start), Some(end)) = (becomes.find('«'), becomes.find('»')) {
            // In the quotes that are there.
            let written = &becomes[start + '«'.len_utf8()..end];
            let quote = written.chars().next().filter(|c| "'\"".contains(*c)).map(String::from).unwrap_or_default();
            becomes.replace_range(start..end + '»'.len_utf8(), &format!("{quote}{TO}{quote}"));
        }
        if becomes != before {
            case.edits.push((path.clone(), becomes));
        }
        case.files.0.insert(path, before.into_bytes());
    }
    assert!(case.all || case.edits.len() < 2, "{}: several edits", case.name);
    assert_ne!(case.edits.is_empty(), case.refusal.is_empty(), "{}: an edit or a refusal", case.name);
    case
}

/// What is wrong with the answer to a case; nothing if it is right.
fn judged(case: &Case) -> Result<(), String> {
    let question = Question {
        dir: &case.dir,
        cluster: case.cluster.as_deref(),
        var_files: &case.var_files,
        environment: &case.environment,
        to: TO,
    };
    let found = match case.all {
        true => locate_all(&case.files, &question),
        false => locate(&case.files, &question).map(|only| vec![only]),
    };
    let shown = |found: &[Located]| {
        let one =
            |located: &Located| format!("{}:{} {:?}", located.edit.file.display(), located.edit.line, located.edit.old);
        format!("edits {}", found.iter().map(one).collect::<Vec<_>>().join(", "))
    };
    match (found, case.refusal.is_empty()) {
        (Ok(found), true) => {
            let edits: Vec<&Edit> = found.iter().map(|located| &located.edit).collect();
            let mut files: Vec<(PathBuf, String)> =
                applied(&edits).into_iter().map(|(file, _, after)| (file, after)).collect();
            files.sort();
            let mut expected = case.edits.clone();
            expected.sort();
            if files != expected {
                return Err(shown(&found));
            }
            let notes = found.iter().flat_map(|located| located.notes.clone()).collect::<Vec<_>>().join("\n");
            let is_wrong = |word: &&String| match word.strip_prefix("no ") {
                Some(word) => notes.contains(word),
                None => !notes.contains(word.as_str()),
            };
            match case.notes.iter().find(is_wrong) {
                Some(word) => Err(format!("notes against {word:?}: {notes}")),
                None => Ok(()),
            }
        }
        (Ok(found), false) => Err(format!("{}, instead of refusing", shown(&found))),
        (Err(refusal), true) => Err(format!("refuses instead of editing: {refusal}")),
        (Err(refusal), false) => {
            let text = refusal.to_string();
            match case.refusal.iter().find(|word| !text.contains(*word)) {
                Some(word) => Err(format!("does not say {word:?}: {text}")),
                None => Ok(()),
            }
        }
    }
}

fn all_cases() -> Vec<Case> {
    let texts = [
        include_str!("../../tests/resize/places.txt"),
        include_str!("../../tests/resize/precedence.txt"),
        include_str!("../../tests/resize/modules.txt"),
        include_str!("../../tests/resize/several.txt"),
        include_str!("../../tests/resize/refusals.txt"),
        include_str!("../../tests/resize/terragrunt.txt"),
        include_str!("../../tests/resize/writing.txt"),
        include_str!("../../tests/resize/functions.txt"),
        include_str!("../../tests/resize/data.txt"),
        include_str!("../../tests/resize/repository.txt"),
        include_str!("../../tests/resize/messages.txt"),
    ];
    texts.into_iter().flat_map(cases).collect()
}

#[test]
fn every_case_gets_the_right_edit_or_refusal() {
    let cases = all_cases();
    let wrong: Vec<String> =
        cases.iter().filter_map(|case| Some(format!("{}: {}", case.name, judged(case).err()?))).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let edits = cases.iter().filter(|case| case.refusal.is_empty()).count();
    assert!(edits >= 100 && cases.len() - edits >= 80, "{edits} edits, {} refusals", cases.len() - edits);
}

#[test]
fn a_refusal_says_what_where_and_what_to_do() {
    let text = "\n=== x\nrefused: -\n--- main.tf\nlocals {\n  type = templatestring(var.types, \"prod\", \"kafka.t3.small\")\n}\n\
                resource \"aws_msk_cluster\" \"main\" {\n  broker_node_group_info {\n    instance_type = local.type\n  }\n}\n";
    let case = &cases(text)[0];
    let environment = Environment::default();
    let question = Question { dir: &case.dir, cluster: None, var_files: &[], environment: &environment, to: TO };
    let refusal = locate(&case.files, &question).unwrap_err();
    insta::assert_snapshot!(refusal, @r#"
    aws_msk_cluster.main (main.tf:4): its broker type is unknown
      main.tf:2: local type
      main.tf:2: `templatestring(var.types, "prod", "kafka.t3.small")` is a call of templatestring(), which kgen does not evaluate
      main.tf:2: "kafka.t3.small" may be the one that applies
    nothing was changed: edit the one that applies by hand
    next: terraform -chdir=. plan
    "#);
}

mod random {
    use proptest::prelude::*;

    use super::*;

    /// What may stand between attributes: comments, blank lines, heredocs, other attributes.
    fn filling() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            "[ -~]{0,30}".prop_map(|text| format!("  # {text}\n")),
            Just("\n".to_owned()),
            "[a-z]{3,8}".prop_map(|name| format!("  x_{name}   =   [1,2 , 3] // \"kafka.t3.small\"\n")),
            "[a-z ü€\t]{0,20}".prop_map(|text| format!("  /* {text}\n */\n")),
            "[a-z \t]{0,20}"
                .prop_map(|text| format!("  h_{} = <<-EOT\n\t{text}\n  instance_type = \"no\"\n  EOT\n", text.len())),
        ];
        proptest::collection::vec(line, 0..5).prop_map(|lines| {
            // An attribute may be set once only.
            let mut names = std::collections::BTreeSet::new();
            let fresh = |line: &String| {
                !line.contains(" = ") || names.insert(line.split('=').next().unwrap_or_default().to_owned())
            };
            lines.into_iter().filter(fresh).collect()
        })
    }

    proptest! {
        #[test]
        fn the_rest_of_the_file_is_byte_for_byte_the_same(
            above in filling(), before in filling(),
            old in "[ -~ü€]{1,20}", new in "[ -~ü€]{1,20}", spaces in "[ \t]{0,4}", crlf: bool, bom: bool,
        ) {
            // What is empty sets no type.
            prop_assume!(old != new && !old.trim().is_empty() && !new.trim().is_empty());
            let quoted = format!("\"{}\"", crate::hcl::escape(&old));
            let mut head = format!("{above}\nresource \"aws_msk_cluster\" \"main\" {{\n  broker_node_group_info {{\n{before}    instance_type{spaces}={spaces}");
            let mut tail = format!("{spaces}# {quoted}\n  }}\n}}\n");
            if crlf {
                head = head.replace('\n', "\r\n");
                tail = tail.replace('\n', "\r\n");
            }
            if bom {
                head = format!("\u{feff}{head}");
            }
            // What hcl-edit does not take is refused, and not what is looked at here.
            let text = format!("{head}{quoted}{tail}");
            let table = Table([(PathBuf::from("main.tf"), text.clone().into_bytes())].into());
            let environment = Environment::default();
            let question = Question { dir: Path::new("."), cluster: None, var_files: &[], environment: &environment, to: &new };
            let located = locate(&table, &question).map_err(|refusal| TestCaseError::fail(format!("{refusal}\n{text}")))?;
            let becomes = format!("{head}\"{}\"{tail}", crate::hcl::escape(&new));
            prop_assert_eq!(located.edit.after(), becomes);
            prop_assert_eq!(located.edit.old, old);
        }

        #[test]
        fn any_string_of_any_json_file_can_be_replaced(old in "\\PC{0,20}", new in "\\PC{1,20}", key in "[a-zü]{1,8}", spaces in "[ \n\t]{0,4}") {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            let whole = |value: &str| format!("{{{spaces}\"{key}\"{spaces}:{spaces}[{}, {value}{spaces}]{spaces}}}", quoted("ü€"));
            let text = whole(&quoted(&old));
            let file = File::parse(0, Path::new("x.tfvars.json"), text.as_bytes()).unwrap();
            let strings = file.strings();
            let (_, last) = strings.last().unwrap();
            let edit = Edit::new(&file, &last.place, &old, &new);
            prop_assert_eq!(edit.after(), whole(&quoted(&new)));
        }

        #[test]
        fn any_scalar_of_any_yaml_file_can_be_replaced(
            old in "[a-z][a-z0-9.]{0,20}", new in "\\PC{1,20}", style in 0..3, comment in "[ -~ü€]{0,10}", spaces in "[ ]{1,4}",
            flow: bool, crlf: bool, bom: bool,
        ) {
            let written = match style {
                0 => old.clone(),
                1 => format!("'{old}'"),
                _ => format!("\"{old}\""),
            };
            let (mut head, mut tail) = match flow {
                true => (format!("# ü€ {comment}\na: {{b: 'x',{spaces}key:{spaces}"), format!("{spaces}}} # {comment}\nz: [1, €]\n")),
                false => (format!("ü: €\nlist:\n  - a\n  - key:{spaces}"), format!("{spaces}# {comment}\n    other: |\n      {old}\n")),
            };
            if crlf {
                head = head.replace('\n', "\r\n");
                tail = tail.replace('\n', "\r\n");
            }
            if bom {
                head = format!("\u{feff}{head}");
            }
            let text = format!("{head}{written}{tail}");
            let file = File::data(0, Path::new("x.yaml"), text.as_bytes()).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            let is_key = |name: &str| name == "key";
            let found = file.strings().into_iter().find(|(name, _)| is_key(name)).map(|(_, expr)| expr.place.clone());
            // A word that stands for something else than itself is none to replace.
            prop_assume!(found.is_some());
            let place = found.unwrap();
            prop_assert_eq!(file.text_at(&place), &written, "{}", text);
            let edit = Edit::new(&file, &place, &old, &new);
            let after = edit.after();
            prop_assert!(after.starts_with(&head) && after.ends_with(&tail), "{}", after);
            let again = File::data(0, Path::new("x.yaml"), after.as_bytes()).map_err(|error| TestCaseError::fail(format!("{error}\n{after}")))?;
            let strings = again.strings();
            let is_new = |expr: &&syntax::Expr| matches!(&expr.kind, syntax::Kind::String(text) if *text == new);
            prop_assert!(strings.iter().any(|(name, expr)| is_key(name) && is_new(expr)), "{}", after);
            prop_assert_eq!(strings.len(), file.strings().len());
        }

        #[test]
        fn no_input_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[a-z{}\"=$\\[\\]().?: \n<-]{0,200}") {
            for bytes in [bytes, text.into_bytes()] {
                for name in ["main.tf", "main.tf.json", "main.tofu", "terragrunt.hcl", "terraform.tfvars"] {
                    let table = Table([(PathBuf::from(name), bytes.clone())].into());
                    let environment = Environment::default();
                    let question = Question { dir: Path::new("."), cluster: None, var_files: &[], environment: &environment, to: TO };
                    prop_assert!(locate(&table, &question).is_err());
                }
                // A key that no text of the alphabet above can be: `a: (` is a broker type.
                let main = "resource \"aws_msk_cluster\" \"m\" {\n  broker_node_group_info {\n    instance_type = yamldecode(file(\"x.yaml\")).broker_type\n  }\n}\n";
                let table = Table([("main.tf".into(), main.into()), ("x.yaml".into(), bytes.clone())].into());
                let environment = Environment::default();
                let question = Question { dir: Path::new("."), cluster: None, var_files: &[], environment: &environment, to: TO };
                prop_assert!(locate(&table, &question).is_err());
            }
        }
    }
}

/// Every string of every file of Terraform below the folders in `KGEN_CORPUS` (separated by colons; this repository
/// unless set) is replaced, one at a time: the rest has to stay byte for byte, and to mean the same. `scripts/corpus`
/// shows the figures.
#[test]
#[ignore = "reads whole trees; scripts/corpus runs it"]
fn every_string_of_a_corpus_can_be_replaced() {
    const NEW: &str = "kafka.corpus.large";
    let folders = std::env::var("KGEN_CORPUS").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let (mut files, mut unread, mut strings) = (0, Vec::new(), 0);
    let mut wrong = Vec::new();
    for entry in folders.split(':').flat_map(|folder| walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok))
    {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy();
        let is_meant = [".tf", ".tfvars", ".tf.json", ".tfvars.json"].iter().any(|end| name.ends_with(end))
            || name == "terragrunt.hcl";
        if !is_meant || !entry.file_type().is_file() || path.components().any(|part| part.as_os_str() == "target") {
            continue;
        }
        let bytes = std::fs::read(path).unwrap();
        files += 1;
        let file = match File::parse(0, path, &bytes) {
            Ok(file) => file,
            Err(error) => {
                unread.push(format!("{}:{}: {}", path.display(), error.line, error.message));
                continue;
            }
        };
        let found = file.strings();
        let all: Vec<String> =
            found.iter().map(|(name, expr)| format!("{name} = {}", file.text_at(&expr.place))).collect();
        for (at, (name, expr)) in found.iter().enumerate() {
            strings += 1;
            let after = Edit::new(&file, &expr.place, "", NEW).after();
            let (head, tail) = (&file.text[..expr.place.start], &file.text[expr.place.end..]);
            let stays = after.starts_with(head)
                && after.ends_with(tail)
                && after.len() == head.len() + tail.len() + NEW.len() + 2;
            let again = File::parse(0, path, after.as_bytes()).map(|again| {
                let now: Vec<String> = again
                    .strings()
                    .iter()
                    .map(|(name, expr)| format!("{name} = {}", again.text_at(&expr.place)))
                    .collect();
                let mut expected = all.clone();
                expected[at] = format!("{name} = \"{NEW}\"");
                now == expected
            });
            if !stays || !again.unwrap_or(false) {
                wrong.push(format!("{}:{}: {name}", path.display(), file.line(expr.place.start)));
            }
        }
    }
    println!(
        "{files} files, {} not read as Terraform, {strings} strings replaced, {} wrong",
        unread.len(),
        wrong.len()
    );
    unread.iter().for_each(|file| println!("not read: {file}"));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(strings > 100, "{strings} strings in {folders}");
}
