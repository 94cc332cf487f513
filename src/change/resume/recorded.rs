//! Checks that a record contains only its change, in files that kgen itself would write, with the content that it would
//! write. Everything else in it is untrusted text.

use std::{collections::BTreeSet, path::Path};

use anyhow::{bail, ensure};

use crate::{
    change::{Edit, journal::Reached},
    files::own,
    process::shell_word,
    project::Project,
    run::Head,
    stack::{Rendered, with_volume_gib},
};

/// Words of a recorded command line that are read, and characters of each.
const ARGS_MAX: usize = 64;
const ARG_MAX: usize = 4096;

/// How long a recorded change may have been measured, s.
const MEASURE_MAX_S: f64 = 24.0 * 3600.0;

/// kgen's own words of a recorded command line, as a shell takes them.
pub fn command_line(head: &Head) -> String {
    let words = head.args.iter().take(ARGS_MAX).map(|word| word.chars().take(ARG_MAX).collect::<String>());
    let words: Vec<String> = words.map(|word| shell_word(&word)).collect();
    words.join(" ")
}

/// Checks that `reached` is what kgen would have recorded of a change of `project`: only kgen.toml and rendered files are
/// edited, each once, from and to what kgen writes there.
///
/// # Errors
/// Names the file, or the value.
pub fn check(project: &Project, reached: &Reached) -> anyhow::Result<()> {
    let measure = reached.intent.measure_s;
    ensure!((0.0..=MEASURE_MAX_S).contains(&measure), "it measured for {measure} s, which no kgen command does");
    let mut seen = BTreeSet::new();
    for edit in &reached.edits {
        ensure!(seen.insert(&edit.path), "it edits {} twice", quoted(&edit.path));
    }
    let kgen_toml = reached.edits.iter().find(|edit| edit.path == Path::new(KGEN_TOML));
    let now = project.kgen_toml_text()?;
    let (before, after) = match kgen_toml {
        Some(edit) => (edit.before.clone().unwrap_or_default(), edit.after.clone()),
        None => (now.clone(), now),
    };
    // Names first: whoever reads this learns which file it was about.
    let rendered = Texts::of(project, &before, &after);
    reached.edits.iter().try_for_each(|edit| check_path(project, edit, rendered.as_ref().ok()))?;
    if reached.edits.is_empty() {
        return Ok(());
    }
    let wanted = reached.intent.change.written_to(&before)?;
    let is_wanted = wanted == after || with_grown_volumes(project, &before, &after, &wanted).as_ref() == Some(&after);
    ensure!(is_wanted, "{KGEN_TOML} is not what `{}` would write", reached.intent.change.command());
    let rendered = rendered?;
    reached.edits.iter().filter(|edit| edit.path != Path::new(KGEN_TOML)).try_for_each(|edit| rendered.check(edit))
}

/// `wanted` with the larger volumes of `after`: a change adopts the size that volumes grew to outside of Terraform. What the plan
/// may change is guarded all the same.
fn with_grown_volumes(project: &Project, before: &str, after: &str, wanted: &str) -> Option<String> {
    let gib = project.stack_of(after).ok()?.cluster().volume_gib;
    let is_larger = project.stack_of(before).ok()?.is_outgrown_by(gib);
    is_larger.then(|| with_volume_gib(wanted, gib).ok()).flatten()
}

const KGEN_TOML: &str = "kgen.toml";
const TERRAFORM: &str = "terraform";

/// The rendered files before and after the change.
struct Texts {
    before: Rendered,
    after: Rendered,
}

impl Texts {
    fn of(project: &Project, before: &str, after: &str) -> anyhow::Result<Texts> {
        let render = |text: &str| Ok::<_, anyhow::Error>(project.stack_of(text)?.render());
        Ok(Texts { before: render(before)?, after: render(after)? })
    }

    fn has(&self, name: &str) -> bool {
        self.before.get(name).is_some() || self.after.get(name).is_some()
    }

    fn check(&self, edit: &Edit) -> anyhow::Result<()> {
        let name = edit.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let path = quoted(&edit.path);
        let advice = "set the same KGEN_ variables as before, or use the version of kgen that started it";
        if self.after.get(name) != Some(edit.after.as_str()) {
            bail!("{path} would not become what kgen.toml renders ({advice})");
        }
        match &edit.before {
            Some(before) if self.before.get(name) != Some(before.as_str()) => {
                bail!("{path} was not what kgen.toml rendered ({advice})")
            }
            _ => Ok(()),
        }
    }
}

/// Checks that the edit is of one of kgen's files, by its exact name, and that no link leads there from the project folder.
fn check_path(project: &Project, edit: &Edit, rendered: Option<&Texts>) -> anyhow::Result<()> {
    let is_of = |name: &str| rendered.is_none_or(|rendered| rendered.has(name));
    let mut parts = edit.path.components().map(|part| part.as_os_str().to_str().unwrap_or_default());
    let is_written = match (parts.next(), parts.next(), parts.next()) {
        (Some(KGEN_TOML), None, None) => true,
        (Some(TERRAFORM), Some(name), None) => !name.is_empty() && name != ".." && is_of(name),
        _ => false,
    };
    // Components leave out what is not needed, such as `./`, and only one spelling is ever recorded.
    let name = edit.path.file_name().unwrap_or_default();
    let spelled = if edit.path == Path::new(KGEN_TOML) { KGEN_TOML.into() } else { Path::new(TERRAFORM).join(name) };
    ensure!(
        is_written && edit.path.as_os_str() == spelled.as_os_str(),
        "it edits {}, which is neither kgen.toml nor a file that kgen renders",
        quoted(&edit.path)
    );
    let path = project.dir().join(&edit.path);
    let leads_away = edit.path != Path::new(KGEN_TOML) && own::check(&path).is_err();
    ensure!(!leads_away, "{} is a symbolic link, and kgen does not follow links in a record", path.display());
    Ok(())
}

fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let shown: String = text.chars().take(200).collect();
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        change::{
            Change,
            journal::{Intent, Step},
        },
        run,
    };

    /// A project before the change, and the record of one that kgen would make of it.
    fn changed(dir: &Path) -> (Project, Reached) {
        let change = Change::BrokerType("kafka.m5.large".parse().unwrap());
        let before = "[cluster]\nbroker_type = \"kafka.t3.small\"\n";
        std::fs::write(dir.join(KGEN_TOML), before).unwrap();
        std::fs::create_dir_all(dir.join(TERRAFORM)).unwrap();
        let project = Project::open(dir).unwrap();
        let after = change.written_to(before).unwrap();
        let (old, new) = (project.stack().render(), project.stack_of(&after).unwrap().render());
        let mut edits = vec![Edit { path: KGEN_TOML.into(), before: Some(before.to_owned()), after }];
        edits.extend(new.files().filter(|(name, text)| old.get(name) != Some(text)).map(|(name, text)| Edit {
            path: Path::new(TERRAFORM).join(name),
            before: old.get(name).map(str::to_owned),
            after: text.to_owned(),
        }));
        let intent = Intent { change, measure_s: 5.0, throttle_bytes_per_s: 0 };
        (project, Reached { intent, step: Step::Writing, edits, before: None })
    }

    #[test]
    fn a_recorded_command_line_is_quoted_for_a_shell() {
        let head = Head {
            schema: run::SCHEMA.to_owned(),
            id: "watch-1".to_owned(),
            command: "watch".to_owned(),
            args: vec!["watch".to_owned(), "; rm -rf ~".to_owned()],
            started: run::now(),
            environment: Default::default(),
        };
        assert_eq!(command_line(&head), "watch '; rm -rf ~'");
    }

    #[test]
    fn what_kgen_records_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let (project, reached) = changed(dir.path());
        assert!(reached.edits.len() > 1);
        check(&project, &reached).unwrap();
        let nothing = Reached { edits: Vec::new(), ..reached };
        check(&project, &nothing).unwrap();
    }

    #[test]
    fn edits_of_anything_else_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let (project, reached) = changed(dir.path());
        for path in [
            "/etc/passwd",
            "../file",
            "terraform/../../file",
            "./kgen.toml",
            "terraform/./msk.tf",
            "terraform//msk.tf",
            "terraform/msk.tf/",
            ".kgen/lock",
            "terraform/evil.tf",
            "terraform",
            "terraform/sub/msk.tf",
            "",
            ".bashrc",
            "KGEN.TOML",
            "terraform/..",
        ] {
            let mut hostile = reached.clone();
            hostile.edits.push(Edit { path: path.into(), before: None, after: "x".to_owned() });
            let error = check(&project, &hostile).unwrap_err().to_string();
            assert!(error.contains(&format!("it edits {path:?}")), "{path}: {error}");
        }
        let mut twice = reached.clone();
        twice.edits.extend_from_within(..1);
        assert!(check(&project, &twice).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn texts_that_kgen_would_not_write_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (project, reached) = changed(dir.path());
        let hostile = |edit: &dyn Fn(&mut Reached)| {
            let mut hostile = reached.clone();
            edit(&mut hostile);
            check(&project, &hostile).unwrap_err().to_string()
        };
        let evil = "data \"external\" \"x\" { program = [\"/x/evil\"] }\n";
        assert!(hostile(&|r| r.edits[1].after = evil.to_owned()).contains("would not become what"));
        assert!(hostile(&|r| r.edits[1].before = Some(evil.to_owned())).contains("was not what"));
        assert!(hostile(&|r| r.edits[0].after.push_str("[tags]\na = \"b\"\n")).contains("is not what `kgen resize"));
        for measure_s in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(hostile(&|r| r.intent.measure_s = measure_s).contains("which no kgen command does"));
        }
    }

    #[test]
    fn volumes_that_grew_outside_of_terraform_may_be_adopted_and_never_made_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let (project, mut reached) = changed(dir.path());
        let sized = |gib| {
            let after = with_volume_gib(&reached.edits[0].after, gib).unwrap();
            let rendered = project.stack_of(&after).unwrap().render();
            let of = |edit: &Edit| {
                let name = edit.path.file_name().and_then(|name| name.to_str()).unwrap();
                Edit { after: rendered.get(name).unwrap_or(&after).to_owned(), ..edit.clone() }
            };
            Reached { edits: reached.edits.iter().map(of).collect(), ..reached.clone() }
        };
        let (grown, smaller) = (sized(200), sized(50));
        check(&project, &grown).unwrap();
        assert!(check(&project, &smaller).unwrap_err().to_string().contains("is not what `kgen resize"));
        reached.edits[0].after.push_str("[client]\nvolume_gib = 200\n");
        assert!(check(&project, &reached).is_err());
    }

    #[test]
    fn a_rendered_file_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (project, reached) = changed(dir.path());
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(&reached.edits[1].path)).unwrap();
        assert!(check(&project, &reached).unwrap_err().to_string().contains("is a symbolic link"));
    }
}
