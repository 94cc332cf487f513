//! `kgen clusters`: every cluster of regions and accounts, a row each.

use std::path::Path;

use super::{
    console::{confirmed, ensure_confirmable},
    documents::{self, Listed},
    look, out,
};
use crate::{
    cli::{Clusters, Outcome, Which, refused},
    diagnose::Verdict,
    project::Project,
    text,
    visible::line,
    watch::{
        fleet::{self, Accounts, Failure, Fleet, Read, RegionsAsked, Sweep},
        runtime,
    },
};
use anyhow::anyhow;

/// Above this reading is asked for first, USD.
const ASK_ABOVE_USD: f64 = 1.0;

pub fn run(args: &Clusters, dir: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(dir).map_err(refused)?;
    runtime()?.block_on(async {
        let own = look::target(&Which::default(), &project, false).await?.region.name;
        let places = accounts(args).places(&own).await;
        let count = places.len();
        let sweep = Sweep {
            window: args.window,
            delay: args.delay,
            parts: !args.brokers_only,
            topics: false,
            savings: true,
            deadline: fleet::DEADLINE,
        };
        let mut fleet = fleet::prepare(places, sweep, |_| true).await;
        if let Some(failure) = fleet.failures.first().filter(|_| fleet.failures.len() == count) {
            return Err(refused(anyhow!("no cluster could be listed: {}", described(failure))));
        }
        if !is_wanted(args.yes, &fleet)? {
            eprintln!("nothing was read");
            return Ok(Outcome::Done);
        }
        let failures = std::mem::take(&mut fleet.failures);
        let disabled_regions = fleet::regions(&std::mem::take(&mut fleet.disabled));
        let Read { clusters, requests } = fleet.read().await;
        let clusters = clusters.into_iter().map(|reading| reading.row).collect();
        let listed = Listed { clusters, failures, disabled_regions, requests: requests.into() };
        let outcome = outcome(&listed);
        show(listed, args.json)?;
        outcome
    })
}

/// The accounts and regions that are asked for.
fn accounts(args: &Clusters) -> Accounts {
    Accounts {
        profiles: args.profiles.clone(),
        roles: args.roles.clone(),
        external_id: args.external_id.clone(),
        regions: match (args.all_regions, &args.regions[..]) {
            (true, _) => RegionsAsked::All,
            (false, []) => RegionsAsked::Own,
            (false, named) => RegionsAsked::Named(named.to_vec()),
        },
        inside: None,
    }
}

/// Says what reading takes, and asks if it costs much.
///
/// # Errors
/// Refused: there is nobody to ask.
fn is_wanted(yes: bool, fleet: &Fleet) -> anyhow::Result<bool> {
    let requests = fleet.requests();
    let what = format!(
        "reading {} from CloudWatch: {} metrics, USD {:.2}",
        counted(fleet.len(), "cluster"),
        requests.metrics,
        requests.usd()
    );
    eprintln!("{what}");
    if yes || requests.usd() <= ASK_ABOVE_USD {
        return Ok(true);
    }
    if ensure_confirmable(yes, "clusters").is_err() {
        return Err(refused(anyhow!(
            "that is more than USD {ASK_ABOVE_USD}, and there is no terminal to ask on: add --yes, or read less with \
             --region or --brokers-only"
        )));
    }
    confirmed("Read them?")
}

fn show(listed: Listed, json: bool) -> anyhow::Result<()> {
    listed.clusters.iter().for_each(|row| out::learn_cluster(&row.name));
    if json {
        return documents::print(listed);
    }
    let shown = |text: &str| line(&out::redacted(text)).into_owned();
    for text in text::clusters::lines(&listed.clusters, text::clusters::width(), &shown) {
        println!("{text}");
    }
    for failure in &listed.failures {
        eprintln!("note: {}", described(failure));
    }
    if !listed.disabled_regions.is_empty() {
        eprintln!("note: not enabled for the account: {}", listed.disabled_regions.join(", "));
    }
    if listed.clusters.is_empty() {
        eprintln!(
            "there is no cluster (other regions: --region or --all-regions; other accounts: --profile or --role-arn)"
        );
    }
    eprintln!("{} metrics were read, USD {:.2}", listed.requests.metrics, listed.requests.usd);
    Ok(())
}

/// How the command ends: what could not be read counts most, then causes, then what is not known.
fn outcome(listed: &Listed) -> anyhow::Result<Outcome> {
    ensure_read(listed.failures.len(), listed.clusters.iter().filter(|row| row.error.is_some()).count())?;
    let has = |verdict| listed.clusters.iter().any(|row| row.verdict == Some(verdict));
    Ok(match (has(Verdict::CauseFound), has(Verdict::Inconclusive)) {
        (true, _) => Outcome::Unhealthy,
        (false, true) => Outcome::Inconclusive,
        (false, false) => Outcome::Done,
    })
}

/// Checks that nothing is left that could not be read.
///
/// # Errors
/// How many regions and clusters could not.
pub(super) fn ensure_read(regions: usize, clusters: usize) -> anyhow::Result<()> {
    if regions + clusters == 0 {
        return Ok(());
    }
    Err(anyhow!("{} and {} could not be read", counted(regions, "region"), counted(clusters, "cluster")))
}

fn described(failure: &Failure) -> String {
    let caller = failure.caller.as_ref().map(|caller| format!(" with {}", line(caller))).unwrap_or_default();
    format!("{}{caller}: {}", line(&failure.region), failure.error)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        cli::{Cli, Command},
        metrics::Requests,
        watch::fleet::Row,
    };

    fn parsed(words: &[&str]) -> Clusters {
        match Cli::try_parse_from(["kgen", "clusters"].iter().chain(words)).unwrap().command {
            Command::Clusters(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_regions_are_those_named_or_all() {
        assert_eq!(accounts(&parsed(&[])).regions, RegionsAsked::Own);
        let named = ["--region", "us-west-2", "--region", "eu-west-1,us-west-2"];
        let words = ["us-west-2", "eu-west-1", "us-west-2"].map(str::to_owned);
        assert_eq!(accounts(&parsed(&named)).regions, RegionsAsked::Named(words.to_vec()));
        assert_eq!(accounts(&parsed(&["--all-regions"])).regions, RegionsAsked::All);
        assert!(Cli::try_parse_from(["kgen", "clusters", "--all-regions", "--region", "us-west-2"]).is_err());
        assert!(Cli::try_parse_from(["kgen", "clusters", "--external-id", "x"]).is_err());
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let of = |verdicts: &[Option<Verdict>], failures: usize| {
            let row = |verdict: &Option<Verdict>| {
                let error = verdict.is_none().then(|| "denied".to_owned());
                Row { verdict: *verdict, error, ..text::clusters::tests::row("a") }
            };
            let failure = Failure { region: "r".into(), caller: None, error: "e".into() };
            let listed = Listed {
                clusters: verdicts.iter().map(row).collect(),
                failures: vec![failure; failures],
                disabled_regions: Vec::new(),
                requests: Requests::default().into(),
            };
            outcome(&listed).map_or_else(|error| error.to_string(), |outcome| outcome.code().to_string())
        };
        let (healthy, cause, unclear) =
            (Some(Verdict::Healthy), Some(Verdict::CauseFound), Some(Verdict::Inconclusive));
        assert_eq!(of(&[], 0), "0");
        assert_eq!(of(&[healthy, healthy], 0), "0");
        assert_eq!(of(&[healthy, unclear], 0), "4");
        assert_eq!(of(&[healthy, unclear, cause], 0), "3");
        assert_eq!(of(&[cause, None], 0), "0 regions and 1 cluster could not be read");
        assert_eq!(of(&[cause], 2), "2 regions and 0 clusters could not be read");
    }
}
