//! `kgen completions` and `kgen man`: generated from the definition of the command line.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use clap::CommandFactory as _;
use clap_mangen::Man;

use super::out;
use crate::{
    cli::{self, Cli, Completions, Outcome, refused},
    visible,
};

pub fn completions(args: &Completions) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kgen", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Ok(Outcome::Done)
}

pub fn man(args: &cli::Man) -> anyhow::Result<Outcome> {
    // A page is the same for every target.
    let mut root = Cli::command().long_version(env!("CARGO_PKG_VERSION"));
    // The full names (`kgen lab up`) and the global options are only there once it is built.
    root.build();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        write_pages(&root, "kgen", dir)?;
        return Ok(Outcome::Done);
    }
    let (mut command, mut name) = (&root, "kgen".to_owned());
    for word in &args.command {
        let found = command.find_subcommand(word).filter(|found| !found.is_hide_set());
        command = found.ok_or_else(|| {
            refused(anyhow!("there is no command `{name} {}` (`{name} --help` lists them)", visible::line(word)))
        })?;
        name = format!("{name}-{}", command.get_name());
    }
    print!("{}", page(command, &name)?);
    Ok(Outcome::Done)
}

fn write_pages(command: &clap::Command, name: &str, dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(format!("{name}.1"));
    out::write_file(&path, &page(command, name)?)?;
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    shown.into_iter().try_for_each(|sub| write_pages(sub, &format!("{name}-{}", sub.get_name()), dir))
}

fn page(command: &clap::Command, name: &str) -> anyhow::Result<String> {
    let mut page = Vec::new();
    let titled = command.clone().display_name(name.to_owned());
    Man::new(titled).title(name.to_uppercase()).render(&mut page).context("writing the man page")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
