//! The remedies of a diagnosis, with the values of the cluster filled in, and what to type next.

use std::path::{Path, PathBuf};

use crate::{
    diagnose::{Context, Diagnosis, Finding},
    files,
    process::shell_word,
    remedy::{Rendered, Target},
};

/// How the cluster was named, so that printed commands are about the same one.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// As `--cluster` was given.
    pub cluster: Option<String>,
    /// As `--region` was given, or where it was found otherwise than from kgen.toml.
    pub region: Option<String>,
    /// The other options of how it is seen, as they were given: pairs of name and value, such as `source`, `cloudwatch`.
    pub look: Vec<(&'static str, String)>,
    /// It was seen from outside, where a window of a minute is a single datapoint.
    pub is_outside: bool,
    /// Where the project's Terraform is; `None` for a cluster that the project does not describe.
    pub terraform_dir: Option<PathBuf>,
}

impl Naming {
    /// The cluster of the project whose Terraform is in `dir`.
    pub fn of_project(dir: &Path) -> Naming {
        Naming { terraform_dir: Some(dir.to_owned()), ..Naming::default() }
    }

    fn is_foreign(&self) -> bool {
        self.terraform_dir.is_none()
    }

    /// What a command needs to be about the same cluster, with a space in front.
    fn options(&self) -> String {
        let option = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!(" --{name} {}", shell_word(value))).unwrap_or_default()
        };
        let look = self.look.iter().map(|(name, value)| format!(" --{name} {}", shell_word(value)));
        option("cluster", &self.cluster) + &option("region", &self.region) + &look.collect::<String>()
    }

    /// Returns what to type next for `finding`, ready to be pasted.
    pub fn next(&self, finding: &Finding) -> String {
        let command = finding.next_command();
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["kgen", "diagnose", ..] if self.is_outside => "kgen diagnose".to_owned() + &self.options(),
            ["kgen", "diagnose" | "size", ..] => command + &self.options(),
            // Its Terraform is somewhere else, and may not exist.
            ["kgen", "resize" | "scale-out" | "fix", ..] if self.is_foreign() => format!("kgen explain {}", finding.id),
            _ => command,
        }
    }

    /// `rendered` without what only works for a cluster of the project.
    fn fitted(&self, mut rendered: Rendered, cluster: &str) -> Rendered {
        if !self.is_foreign() {
            return rendered;
        }
        rendered.kgen = None;
        if rendered.hcl_diff.take().is_some() {
            rendered.notes.push(format!(
                "kgen has no Terraform of {cluster}: change it where it is defined as well, or the next apply changes it \
                 back (for a broker type: `kgen resize TYPE --dir DIR`)"
            ));
        }
        rendered
    }
}

/// Returns the remedy of each finding; the HCL change is against the msk.tf of the project.
pub fn fixes(context: &Context, diagnosis: &Diagnosis, naming: &Naming) -> Vec<Option<Rendered>> {
    let msk_tf = naming.terraform_dir.as_ref().and_then(|dir| files::text(&dir.join("msk.tf")).ok().flatten());
    let target = Target {
        arn: context.arn.as_deref(),
        current_version: context.current_version.as_deref(),
        region: &context.region,
        bootstrap_servers: context.bootstrap_servers.as_deref(),
        msk_tf: msk_tf.as_deref(),
    };
    let rendered = |finding: &Finding| {
        finding.remedy.as_ref().map(|remedy| naming.fitted(remedy.rendered(&target), &context.cluster))
    };
    diagnosis.findings.iter().map(rendered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::Verdict,
        remedy::{Remedy, Resize},
    };

    fn resize() -> Finding {
        let remedy = Resize {
            from: "kafka.t3.small".parse().unwrap(),
            to: "kafka.m5.large".parse().unwrap(),
            brokers: 3,
            reason: "CPU".to_owned(),
            vcpus_used: None,
            demand_is_higher: false,
        };
        Finding { id: "broker.undersized", remedy: Some(Remedy::Resize(remedy)), ..Finding::default() }
    }

    fn wait() -> Finding {
        let remedy = Some(Remedy::Wait { until: "the update has ended".to_owned() });
        Finding { id: "cluster.maintenance", remedy, ..Finding::default() }
    }

    #[test]
    fn next_is_about_the_cluster_that_was_named() {
        let project = Naming::of_project(Path::new("terraform"));
        assert_eq!(project.next(&wait()), "kgen diagnose --window 1m");
        assert_eq!(project.next(&resize()), "kgen resize kafka.m5.large");
        let (cluster, region) = (Some("my orders".to_owned()), Some("eu-west-1".to_owned()));
        let foreign = Naming { cluster, region, ..Naming::default() };
        assert_eq!(foreign.next(&wait()), "kgen diagnose --window 1m --cluster 'my orders' --region eu-west-1");
        assert_eq!(foreign.next(&resize()), "kgen explain broker.undersized");
        let look = vec![("source", "cloudwatch".to_owned()), ("delay", "180s".to_owned())];
        let outside = Naming { look, is_outside: true, ..foreign };
        let options = "--cluster 'my orders' --region eu-west-1 --source cloudwatch --delay 180s";
        assert_eq!(outside.next(&wait()), format!("kgen diagnose {options}"));
    }

    #[test]
    fn a_cluster_that_the_project_does_not_describe_gets_no_hcl_and_no_command_of_the_project() {
        let context = Context {
            cluster: "orders".to_owned(),
            arn: Some("arn".to_owned()),
            current_version: Some("K1".to_owned()),
            ..Context::default()
        };
        let diagnosis =
            Diagnosis { verdict: Verdict::CauseFound, findings: vec![resize()], coverage: Default::default() };
        let own = fixes(&context, &diagnosis, &Naming::of_project(Path::new("/nowhere"))).remove(0).unwrap();
        assert!(own.hcl_diff.is_some() && own.kgen.is_some());
        let foreign = fixes(&context, &diagnosis, &Naming::default()).remove(0).unwrap();
        assert_eq!((foreign.hcl_diff, foreign.kgen), (None, None));
        assert!(foreign.aws_cli.is_some() && foreign.notes.iter().any(|note| note.contains("no Terraform of orders")));
    }
}
