//! `kgen schema`: the JSON schemas of what `--json` prints.

use anyhow::{Context as _, anyhow};

use super::{
    documents::schemas::{PUBLISHED, file_name, schema},
    out,
};
use crate::{
    cli::{self, Outcome, refused},
    visible,
};

pub fn run(args: &cli::Schema) -> anyhow::Result<Outcome> {
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        for published @ (name, _) in PUBLISHED {
            out::write_file(&dir.join(file_name(name)), &format!("{:#}\n", schema(published)))?;
        }
        return Ok(Outcome::Done);
    }
    let Some(wanted) = &args.name else {
        PUBLISHED.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(Outcome::Done);
    };
    let found = PUBLISHED.iter().find(|(name, _)| name == wanted);
    let published = found
        .ok_or_else(|| refused(anyhow!("there is no schema `{}` (`kgen schema` lists them)", visible::line(wanted))))?;
    out::document(&schema(published))?;
    Ok(Outcome::Done)
}
