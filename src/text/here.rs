//! What can be done from here, with the command for each.

use crate::{surroundings::Here, visible};

/// A line for each thing that can be done, the nearest first.
pub fn text(here: &Here) -> String {
    let mut lines =
        vec![format!("kgen {}: diagnose, resize and prove Amazon MSK clusters\n", env!("CARGO_PKG_VERSION"))];
    let mut row = |what: String, command: &str| lines.push(format!("  {command:<28}  {what}"));
    if let Some((name, brokers)) = &here.stack {
        row(format!("the stack of kgen.toml: {}, {brokers}", visible::line(name)), "kgen plan");
    }
    if here.foreign {
        row("change the broker type in the Terraform of this folder".to_owned(), "kgen resize TYPE --dir .");
    }
    if let Some(endpoint) = &here.lab {
        row(format!("the lab of this folder runs at {endpoint}"), "kgen lab status");
    }
    match &here.clusters {
        Some((region, Ok(names))) if names.is_empty() => {
            row(format!("no cluster in {region}; --all-regions looks further"), "kgen clusters");
        }
        Some((region, Ok(names))) => {
            let shown: Vec<String> = names.iter().take(3).map(|name| visible::line(name).into_owned()).collect();
            let more = if names.len() > shown.len() { ", …" } else { "" };
            row(format!("clusters in {region}: {} ({}{more})", names.len(), shown.join(", ")), "kgen clusters");
            row(
                "what is wrong with one of them, and the fix".to_owned(),
                &format!("kgen diagnose --cluster {}", shown[0]),
            );
        }
        Some((region, Err(why))) => {
            row(format!("the clusters in {region} cannot be listed: {}", visible::line(why)), "kgen doctor --for aws");
        }
        None => row("no AWS credentials or region were found".to_owned(), "kgen doctor --for aws"),
    }
    match &here.lacks[..] {
        [] => row("the whole story on this machine, without AWS (4 minutes)".to_owned(), "kgen demo"),
        lacks => {
            row(format!("a demo on this machine needs {} first", lacks.join(" and ")), "kgen doctor --for lab --fix")
        }
    }
    if here.stack.is_none() {
        row("write a kgen.toml, from answers or from a cluster".to_owned(), "kgen init");
    }
    lines.push("\n`kgen --help` lists every command.".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::here::Listed;

    fn clusters(names: &[&str]) -> Option<Listed> {
        Some(("eu-west-1".to_owned(), Ok(names.iter().map(|name| (*name).to_owned()).collect())))
    }

    #[test]
    fn an_empty_folder_without_credentials_has_the_demo() {
        insta::assert_snapshot!(text(&Here::default()).replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r"
        kgen VERSION: diagnose, resize and prove Amazon MSK clusters

          kgen doctor --for aws         no AWS credentials or region were found
          kgen demo                     the whole story on this machine, without AWS (4 minutes)
          kgen init                     write a kgen.toml, from answers or from a cluster

        `kgen --help` lists every command.
        ");
    }

    #[test]
    fn what_is_there_comes_first() {
        let here = Here {
            stack: Some(("orders".to_owned(), "3 × kafka.t3.small".to_owned())),
            foreign: true,
            lab: Some("http://127.0.0.1:4566".to_owned()),
            clusters: clusters(&["a", "b", "c", "d"]),
            lacks: vec!["java"],
        };
        insta::assert_snapshot!(text(&here).replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r"
        kgen VERSION: diagnose, resize and prove Amazon MSK clusters

          kgen plan                     the stack of kgen.toml: orders, 3 × kafka.t3.small
          kgen resize TYPE --dir .      change the broker type in the Terraform of this folder
          kgen lab status               the lab of this folder runs at http://127.0.0.1:4566
          kgen clusters                 clusters in eu-west-1: 4 (a, b, c, …)
          kgen diagnose --cluster a     what is wrong with one of them, and the fix
          kgen doctor --for lab --fix   a demo on this machine needs java first

        `kgen --help` lists every command.
        ");
    }

    #[test]
    fn no_cluster_and_no_answer_are_told_apart() {
        let none = text(&Here { clusters: clusters(&[]), ..Here::default() });
        assert!(none.contains("no cluster in eu-west-1"), "{none}");
        let denied = Some(("eu-west-1".to_owned(), Err("not authorized".to_owned())));
        let denied = text(&Here { clusters: denied, ..Here::default() });
        assert!(denied.contains("cannot be listed: not authorized"), "{denied}");
    }
}
