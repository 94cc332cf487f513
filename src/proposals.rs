//! The fixes of a round of the guard, proposed as branches of somebody's Terraform. Nothing is applied.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, anyhow, ensure};

use crate::{
    change::{
        Event, Observer, Question, Site,
        foreign::{
            Planned, Request,
            branch::{Branch, Proposal, propose},
            plan,
        },
    },
    edge,
    guard::{
        RoundReport,
        format::{branch, proposal},
        report::Standing,
    },
    visible::line,
};

/// Proposes what can be proposed of `report` in the Terraform of `terraform`; `note` is told what
/// becomes of each finding, and `say` a line of the result.
///
/// # Errors
/// There was something to propose, and none of it could be.
pub fn propose_all(
    report: &RoundReport,
    project: &Path,
    terraform: &Path,
    note: &dyn Fn(&str),
    say: &dyn Fn(&str),
) -> anyhow::Result<()> {
    let fixable = report.unsilenced().filter_map(|finding| Some((finding, finding.content.broker_type.as_deref()?)));
    let (mut made, mut refused) = (0, 0);
    for (finding, broker_type) in fixable {
        match proposed(report, finding, broker_type, project, terraform) {
            Ok(branch) => {
                made += 1;
                let is = if branch.is_known { "is already" } else { "is" };
                let name = line(&finding.subject.name);
                note(&format!("the fix of {} for {name} {is} on the branch {}", finding.cause, branch.name));
                say(&branch.publish);
            }
            Err(error) => {
                refused += 1;
                note(&format!("no proposal for {}: {error:#}", line(&finding.subject.name)));
            }
        }
    }
    if made + refused == 0 {
        note("nothing to propose: no finding has another broker type as its fix");
    }
    ensure!(made > 0 || refused == 0, "nothing could be proposed; the reasons are above");
    Ok(())
}

fn proposed(
    report: &RoundReport,
    finding: &Standing,
    broker_type: &str,
    project: &Path,
    terraform: &Path,
) -> anyhow::Result<Branch> {
    let request = Request {
        dir: terraform.to_owned(),
        cluster: Some(finding.subject.name.clone()),
        var_files: Vec::new(),
        variables: Vec::new(),
        all: false,
        apply: false,
        dry_run: true,
        to: broker_type.parse().map_err(|_| anyhow!("{broker_type} is not in the catalogue"))?,
        measure: Duration::ZERO,
    };
    let planned = plan(&request, &Site::new(project, None), &mut Silent)?;
    ensure_same(report, finding, &planned)?;
    let (title, body) = proposal(report, finding, &planned.edited.notes);
    let (title, body) = (edge::redacted(&title), edge::redacted(&body));
    let name = branch(&finding.subject.region, &edge::redacted(&finding.subject.name), broker_type);
    propose(terraform, &planned, &Proposal { branch: &name, title: &title, body: &body }).context("proposing the edit")
}

/// Checks that the Terraform is that of the finding's cluster, as it is now.
fn ensure_same(report: &RoundReport, finding: &Standing, planned: &Planned) -> anyhow::Result<()> {
    let located = &planned.located;
    if let Some(region) = &located.region {
        let (dir, is) = (located.edit.file.display(), &finding.subject.region);
        ensure!(region == is, "{dir} is for region {region}, and the cluster is in {is}");
    }
    let row = report.clusters.iter().map(|seen| &seen.row).find(|row| row.arn == finding.subject.id);
    if let Some(broker_type) = row.and_then(|row| row.broker_type.as_deref()) {
        let (file, old) = (located.edit.file.display(), &located.edit.old);
        ensure!(old == broker_type, "{file} has {old}, and the brokers are {broker_type}: apply or correct that first");
    }
    Ok(())
}

/// Hears nothing: what matters of an edit is in its proposal.
struct Silent;

impl Observer for Silent {
    fn see(&mut self, _: &Event<'_>) {}

    fn approve(&mut self, _: &Question<'_>) -> anyhow::Result<bool> {
        Ok(false)
    }
}
