//! `kgen resize --dir`: another broker type in Terraform that kgen did not write.

use std::path::Path;

use crate::commands::{
    changing::{Words, conclude},
    console::ensure_confirmable,
    documents::{self, Prepared, prepared_files},
};
use crate::{
    change::{
        Site,
        foreign::{self, Edited, ForeignEnd, Request},
    },
    cli::{Outcome, Resize},
    visible,
};

/// `project` is the folder whose `.kgen` the run is recorded in.
pub fn run(project: &Path, dir: &Path, args: &Resize) -> anyhow::Result<Outcome> {
    if args.apply && !args.dry_run {
        ensure_confirmable(args.yes, "resize --apply")?;
    }
    let request = Request {
        dir: dir.to_owned(),
        cluster: args.cluster.clone(),
        var_files: args.var_file.clone(),
        variables: args.var.clone(),
        all: args.all,
        apply: args.apply,
        dry_run: args.dry_run,
        to: args.broker_type,
        measure: args.measure,
    };
    let site = Site::new(project, args.terraform.terraform_bin.as_deref());
    let mut words = Words::new(args.yes, args.json).plain(args.plain);
    let ended = foreign::run(&request, &site, &mut words)?;
    let outcome = ended.outcome();
    match ended {
        ForeignEnd::Edited(edited) => show(*edited, args.json)?,
        ForeignEnd::Concluded(concluded) => conclude(*concluded, args.json)?,
        ForeignEnd::Declined | ForeignEnd::Interrupted => {}
    }
    Ok(outcome)
}

/// Says what to do next; the edit itself was shown when it was located.
fn show(edited: Edited, json: bool) -> anyhow::Result<()> {
    let Edited { cluster, written, files, notes, next, address } = edited;
    if written {
        let what = match address {
            Some(address) => format!("{} in place", visible::line(&address)),
            None => "these clusters in place".to_owned(),
        };
        eprintln!("next, check that the plan updates {what} and changes nothing else:");
    }
    if json {
        let files = prepared_files(files);
        return documents::print(Prepared { cluster, written, files, remedy: None, moves: None, notes, next });
    }
    if written {
        println!("{next}");
    }
    Ok(())
}
