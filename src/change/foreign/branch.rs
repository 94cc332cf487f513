//! An edit as a commit on a new local branch of the git repository that its file is in.
//!
//! The commit is made from objects alone: the working tree, the index and the branch that is checked out stay as they are, and
//! no hook runs. What is committed has to be what was read, so files with changes that are not committed are refused.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail, ensure};

use super::Planned;
use crate::{
    locate::is_of_interest,
    outcome::refused,
    process::{Tool, ToolError, shell_word},
    visible,
};

/// How long git may take to answer a question.
const ASK_WITHIN: Duration = Duration::from_secs(60);

/// Variables that would lead git to another repository, or to another index, than the folder says.
const MISLEADING: [&str; 4] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"];

/// Files with changes that are named in a refusal.
const MOST_NAMED: usize = 5;

/// A commit that is proposed.
#[derive(Debug, Clone)]
pub struct Proposal<'a> {
    /// Name of the branch, without `refs/heads/`.
    pub branch: &'a str,
    /// First line of the commit message.
    pub title: &'a str,
    /// The rest of it.
    pub body: &'a str,
}

/// A branch with the proposal.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Root of the repository.
    pub repository: PathBuf,
    pub name: String,
    /// It was there before, with the same edit.
    pub is_known: bool,
    /// Commands that would push it and open the pull request, for pasting.
    pub publish: String,
}

/// Commits `planned`, an edit in the Terraform of `dir`, on a new branch.
///
/// # Errors
/// Refused: the file is in no repository, is not committed or has changes; the branch exists with something else. Or git fails.
pub fn propose(dir: &Path, planned: &Planned, proposal: &Proposal<'_>) -> anyhow::Result<Branch> {
    if let Some(name) = MISLEADING.iter().find(|name| std::env::var_os(name).is_some()) {
        return Err(refused(anyhow!("{name} is set, so git would not work on the repository of {}", shown(dir))));
    }
    let edit = &planned.located.edit;
    let repository = Repository::of(&edit.file).map_err(refused)?;
    repository.ensure_branch_name(proposal.branch).map_err(refused)?;
    let base = repository.head().map_err(refused)?;
    let entry = repository.entry(&base).map_err(refused)?;
    repository.ensure_unchanged(dir).map_err(refused)?;
    let blob = repository.blob(&edit.after())?;
    if let Some(there) = repository.on_branch(proposal.branch)? {
        if there == blob {
            return Ok(repository.branch(proposal, true));
        }
        return Err(refused(anyhow!(
            "the branch {} exists in {}, with something else in {}: delete or rename it (`git branch -D {}`)",
            proposal.branch,
            shown(&repository.root),
            repository.file,
            proposal.branch
        )));
    }
    let tree = repository.tree(&base, &entry, &blob)?;
    let commit = repository.commit(&tree, &base, proposal)?;
    repository.create(proposal.branch, &commit)?;
    Ok(repository.branch(proposal, false))
}

/// The repository of a file.
struct Repository {
    root: PathBuf,
    /// The file, relative to the root, with slashes.
    file: String,
    git: Tool,
}

impl Repository {
    fn of(file: &Path) -> anyhow::Result<Repository> {
        let real = fs::canonicalize(file).with_context(|| format!("finding {}", shown(file)))?;
        let folder = real.parent().unwrap_or(Path::new("/"));
        let asked = git(folder).within(ASK_WITHIN).run(["rev-parse", "--show-toplevel"])?;
        ensure!(
            asked.code == Some(0),
            "{} is in no git repository that can be used, and a proposal is a branch of one: {}",
            shown(folder),
            visible::line(asked.stderr.trim())
        );
        let root =
            fs::canonicalize(asked.stdout.trim_end_matches('\n')).context("finding the root of the repository")?;
        let below = real.strip_prefix(&root).ok().and_then(Path::to_str);
        let file = below.with_context(|| format!("{} is not below {}", shown(&real), shown(&root)))?.to_owned();
        Ok(Repository { git: git(&root), root, file })
    }

    /// What git prints in answer to a question.
    fn ask<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Result<String, ToolError> {
        self.git.clone().within(ASK_WITHIN).stdout(args)
    }

    fn ensure_branch_name(&self, name: &str) -> anyhow::Result<()> {
        self.ask(["check-ref-format", "--branch", name]).map(drop).context("naming the branch")
    }

    /// The commit that is checked out.
    fn head(&self) -> anyhow::Result<String> {
        let head = self.ask(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        let head =
            head.map_err(|_| anyhow!("{} has no commit yet, so there is nothing to branch from", shown(&self.root)));
        Ok(head?.trim().to_owned())
    }

    /// The mode of the file in `commit`.
    fn entry(&self, commit: &str) -> anyhow::Result<String> {
        let listed = self.ask(["ls-tree", "-z", commit, "--", &literal(&self.file)])?;
        let mode = listed.split_whitespace().next().unwrap_or_default();
        match mode {
            "100644" | "100755" => Ok(mode.to_owned()),
            "" => bail!("{} is not committed in {}", self.file, shown(&self.root)),
            other => bail!("{} is no plain file in {} (mode {other})", self.file, shown(&self.root)),
        }
    }

    /// Checks that what bears on the edit is committed: the file itself, and Terraform's files in `dir`.
    fn ensure_unchanged(&self, dir: &Path) -> anyhow::Result<()> {
        let mut paths = vec![literal(&self.file)];
        let dir = fs::canonicalize(dir).with_context(|| format!("finding {}", shown(dir)))?;
        if let Some(below) = dir.strip_prefix(&self.root).ok().and_then(Path::to_str) {
            paths.push(literal(if below.is_empty() { "." } else { below }));
        }
        let status = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--"];
        let status = self.ask(status.into_iter().map(str::to_owned).chain(paths))?;
        let changed = status.split('\0').filter_map(|line| line.get(3..));
        let mut changed: Vec<&str> =
            changed.filter(|path| *path == self.file || is_of_interest(Path::new(path))).collect();
        changed.sort_unstable();
        changed.dedup();
        let named: Vec<_> = changed.iter().take(MOST_NAMED).map(|path| visible::line(path)).collect();
        ensure!(
            changed.is_empty(),
            "{} has changes that are not committed in {}{}: commit or stash them, as the proposal is made from what is \
             committed",
            shown(&self.root),
            named.join(", "),
            if changed.len() > MOST_NAMED { " and other files" } else { "" }
        );
        Ok(())
    }

    /// Writes the file's new text as an object.
    fn blob(&self, text: &str) -> anyhow::Result<String> {
        let path = format!("--path={}", self.file);
        let written = self.git.clone().input(text).stdout(["hash-object", "-w", "--stdin", &path]);
        Ok(written.context("writing the edit into the repository")?.trim().to_owned())
    }

    /// What the file is on a branch; nothing where there is no such branch or no such file.
    ///
    /// # Errors
    /// Git fails.
    fn on_branch(&self, branch: &str) -> anyhow::Result<Option<String>> {
        let reference = format!("refs/heads/{branch}");
        let exists = self.git.clone().within(ASK_WITHIN).run(["show-ref", "--verify", "--quiet", &reference])?;
        if exists.code != Some(0) {
            return Ok(None);
        }
        let listed = self.ask(["ls-tree", "-z", &reference, "--", &literal(&self.file)])?;
        // Mode, type and object, then the path.
        Ok(Some(listed.split_whitespace().nth(2).unwrap_or_default().to_owned()))
    }

    /// The tree of `base` with the new text.
    fn tree(&self, base: &str, mode: &str, blob: &str) -> anyhow::Result<String> {
        let path = self.ask(["rev-parse", "--git-path", &format!("kgen-proposal-{}.index", std::process::id())])?;
        let index = self.root.join(path.trim_end_matches('\n'));
        let git = self.git.clone().env("GIT_INDEX_FILE", index.as_os_str());
        let written = || -> Result<String, ToolError> {
            git.stdout(["read-tree", base])?;
            git.stdout(["update-index", "--cacheinfo", &format!("{mode},{blob},{}", self.file)])?;
            git.stdout(["write-tree"])
        };
        let written = written();
        // It is git's scratch file, of no use to anyone.
        let _ = fs::remove_file(&index);
        Ok(written.context("writing the edit into the repository")?.trim().to_owned())
    }

    fn commit(&self, tree: &str, base: &str, proposal: &Proposal<'_>) -> anyhow::Result<String> {
        let message = format!("{}\n\n{}\n", proposal.title, proposal.body.trim_end());
        let made = self.git.clone().input(message).stdout(["commit-tree", tree, "-p", base, "-F", "-"]);
        Ok(made.context("committing the edit")?.trim().to_owned())
    }

    /// Creates the branch; one that has come meanwhile is left alone.
    fn create(&self, branch: &str, commit: &str) -> anyhow::Result<()> {
        let reference = format!("refs/heads/{branch}");
        // An empty old value: it must not exist.
        let created = self.git.stdout(["update-ref", "-m", "kgen: proposal", &reference, commit, ""]);
        created.map(drop).with_context(|| format!("creating the branch {branch}"))
    }

    fn branch(&self, proposal: &Proposal<'_>, is_known: bool) -> Branch {
        let name = shell_word(proposal.branch);
        let remotes = self.ask(["remote"]).unwrap_or_default();
        let remote = remotes.lines().find(|name| *name == "origin").or(remotes.lines().next()).unwrap_or("origin");
        let publish = format!(
            "cd {} && git push {} {name} && gh pr create --head {name} --title {} --body \"$(git log -1 --format=%b {name})\"",
            shell_word(&self.root.to_string_lossy()),
            shell_word(remote),
            shell_word(proposal.title),
        );
        Branch { repository: self.root.clone(), name: proposal.branch.to_owned(), is_known, publish }
    }
}

/// Git in `dir`, which asks nobody, says what it says in English, and does not refresh the index on the way.
fn git(dir: &Path) -> Tool {
    Tool::new("git", dir).env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0")
}

/// A path that stands for itself, whatever signs are in it.
fn literal(path: &str) -> String {
    format!(":(top,literal){path}")
}

fn shown(path: &Path) -> String {
    visible::line(&path.display().to_string()).into_owned()
}
