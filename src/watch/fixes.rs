//! The remedies of a diagnosis, with the values of the cluster filled in.

use std::path::Path;

use crate::{
    diagnose::{Context, Diagnosis},
    files,
    remedy::{Rendered, Target},
};

/// Returns the remedy of each finding; the HCL change is against the msk.tf in `terraform_dir`.
pub fn fixes(context: &Context, diagnosis: &Diagnosis, terraform_dir: &Path) -> Vec<Option<Rendered>> {
    let msk_tf = files::text(&terraform_dir.join("msk.tf")).ok().flatten();
    let target = Target {
        arn: context.arn.as_deref(),
        current_version: context.current_version.as_deref(),
        region: &context.region,
        bootstrap_servers: context.bootstrap_servers.as_deref(),
        msk_tf: msk_tf.as_deref(),
    };
    diagnosis.findings.iter().map(|finding| finding.remedy.as_ref().map(|remedy| remedy.rendered(&target))).collect()
}
