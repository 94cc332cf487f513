//! From a cluster to the edit that changes its broker type, if nothing counts against it.

use std::collections::BTreeSet;

use super::{
    Edit, Located, Refusal, Which, at,
    clusters::{LocatedCluster, is_broker_type},
    eval::Choice,
    explore::View,
    inputs::{BY_ARGUMENT, BY_ENVIRONMENT},
    refusal::{Finding, Setting, quoted_path},
    surroundings::{self, Calls},
    syntax::{Place, Syntax},
    tree::Tree,
    value::{Cause, Origin, Stop, Text},
};

/// The clusters that are meant.
pub fn chosen<'v>(view: &View<'v>, which: Which) -> Result<Vec<&'v LocatedCluster>, Refusal> {
    let all = &view.clusters.found;
    let question = view.question;
    let matching: Vec<&LocatedCluster> = match question.cluster {
        None => all.iter().collect(),
        Some(name) => {
            let exact: Vec<&LocatedCluster> = all.iter().filter(|cluster| cluster.address == name).collect();
            let is_named = |cluster: &&LocatedCluster| {
                let resource = cluster.address.rsplit('.').next().unwrap_or_default();
                cluster.name.as_deref() == Some(name)
                    || cluster.address.ends_with(&format!(".{name}"))
                    || resource.split('[').next() == Some(name)
            };
            if exact.is_empty() { all.iter().filter(is_named).collect() } else { exact }
        }
    };
    match (&matching[..], which) {
        ([], _) => Err(Refusal::no_cluster(view.tree, view.clusters, question)),
        ([_], _) | (_, Which::All) => Ok(matching),
        _ => Err(Refusal::several(view.tree, &matching, question)),
    }
}

/// The edit for `cluster`, if nothing counts against it.
pub fn judged(view: &View<'_>, cluster: &LocatedCluster, which: Which) -> Result<Located, Refusal> {
    let tree = view.tree;
    let text = cluster.broker_type.as_ref().map_err(|stop| untold(view, cluster, stop))?;
    let (place, notes) = allowed(view, cluster, text, which)?;
    let choices = cluster.met.choices.iter().map(|choice| {
        let finding = Finding::at(tree, &choice.place, choice_words(tree, choice));
        (finding, choice.deciders.iter().any(|decider| decider.is_default))
    });
    let shown = |other: &LocatedCluster| match &other.broker_type {
        Ok(text) => text.text.clone(),
        Err(stop) => stop.why.clone(),
    };
    let others = view.clusters.found.iter().filter(|other| !std::ptr::eq(*other, cluster));
    let mut trail = vec![format!("{} {}", at(tree, &cluster.place), cluster.address)];
    trail.extend(cluster.met.trail.iter().map(|(place, what)| format!("{} {what}", at(tree, place))));
    let conditions = cluster.conditions.iter();
    let unmet = conditions.clone().find(|condition| condition.is_met == Some(false));
    let undecided = conditions.filter(|condition| condition.is_met.is_none()).map(|condition| {
        let words = tree.files[condition.place.file].short(&condition.place, 60);
        format!("not checked: whether `{words}` ({}) allows {}", at(tree, &condition.place), view.question.to)
    });
    Ok(Located {
        edit: Edit::new(&tree.files[place.file], place, &text.text, view.question.to),
        address: cluster.address.clone(),
        cluster_name: cluster.name.clone(),
        kafka_version: cluster.kafka_version.clone(),
        region: view.region.clone(),
        trail,
        notes,
        is_terragrunt: view.is_terragrunt,
        is_tofu: view.is_tofu,
        others: others.map(|other| (other.address.clone(), shown(other))).collect(),
        choices: choices.collect(),
        unmet: unmet.map(|unmet| Refusal::not_allowed(tree, cluster, unmet, view.question.to)),
        undecided: undecided.collect(),
    })
}

/// Where the type is to be replaced, and what there is to know of it, if nothing counts against it.
fn allowed<'c>(
    view: &View<'_>,
    cluster: &'c LocatedCluster,
    text: &'c Text,
    which: Which,
) -> Result<(&'c Place, Vec<String>), Refusal> {
    let tree = view.tree;
    let refuse = |what: &str, stop: &Stop| Refusal::of_cluster(tree, cluster, what, stop);
    let mut notes = Vec::new();
    if let Some(stop) = &cluster.uncertain {
        if stop.cause != Cause::Runtime {
            return Err(refuse("it is unknown how many of it there are", stop));
        }
        let place = stop.place.as_ref().map(|place| format!(" ({})", at(tree, place))).unwrap_or_default();
        let address = &cluster.address;
        notes.push(format!(
            "the number of {address} is only known when terraform runs{place}: all of them get the new type"
        ));
    }
    if let Some(place) = &cluster.ignored {
        let stop = Stop::at(place, "makes terraform ignore the broker type");
        return Err(refuse("a changed broker type would not be applied", &stop));
    }
    let place = place_of(view, cluster, text)?;
    if which == Which::One {
        refuse_shared(view, cluster, place)?;
    }
    let settings = match unnamed_settings(view, cluster, place) {
        // Files that are named leave no question which count.
        Err(refusal) if !view.question.var_files.is_empty() => {
            notes.push(format!("not checked: the variable files that were not given: {}", refusal.what));
            Vec::new()
        }
        settings => settings?,
    };
    if view.question.var_files.is_empty() && !settings.is_empty() {
        return Err(Refusal::unnamed_files(cluster, &settings, view.question));
    }
    notes.extend(settings.iter().filter(|_| !view.inputs.is_named(place.file, tree, view.question)).map(not_there));
    if tree.module(view.root).is_cloud && !cluster.met.variables.is_empty() {
        let names = cluster.met.variables.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        notes.push(format!("a value for {names} in the HCP Terraform workspace would override this one"));
    }
    if view.is_tofu {
        notes.push("this folder is OpenTofu's: terraform does not read its .tofu files".to_owned());
    }
    notes.extend(cluster.met.choices.iter().map(|choice| choice_note(tree, choice)));
    Ok((place, notes))
}

/// Why the type is unknown, and the variable files that would set it.
fn untold(view: &View<'_>, cluster: &LocatedCluster, stop: &Stop) -> Refusal {
    let mut refusal = Refusal::of_cluster(view.tree, cluster, "its broker type is unknown", stop);
    if stop.is_remote {
        refusal.advice =
            "run terraform init, so that kgen can read the module; or edit its argument by hand".to_owned();
        return refusal.next(view.question.terraform("init"));
    }
    match settings(view, cluster, |_| false) {
        Ok(settings) if settings.is_empty() => match what_is_missing(view, cluster, stop) {
            Some((advice, next)) => Refusal { advice, ..refusal }.next(next),
            None => refusal,
        },
        Ok(settings) => {
            refusal.findings.extend(settings.iter().map(Setting::finding));
            refusal.advice = "give the variable file, as for terraform: --var-file FILE".to_owned();
            let file = settings.first().map(|setting| quoted_path(&setting.file)).unwrap_or_default();
            refusal.next(view.question.command(&format!(" --var-file {file}")))
        }
        Err(refusal) => refusal,
    }
}

/// What to say on the command line where something is not told, and the command.
fn what_is_missing(view: &View<'_>, cluster: &LocatedCluster, stop: &Stop) -> Option<(String, String)> {
    let question = view.question;
    if stop.why.contains("TF_WORKSPACE") {
        let command = format!("TF_WORKSPACE=NAME {}", question.command(""));
        return Some(("set the workspace, as for terraform, with TF_WORKSPACE".to_owned(), command));
    }
    let text = view.tree.files[stop.place.as_ref()?.file].text_at(stop.place.as_ref()?);
    let name = text.strip_prefix("var.").filter(|_| stop.why.contains("a variable without a value"))?;
    let name = name.split(['.', '[']).next()?;
    let dir = &view.tree.module(view.root).dir;
    let caller = Calls::read(view.folder, dir).ok()?.of(dir).into_iter().next();
    if let Some(caller) = caller.filter(|_| !view.is_terragrunt) {
        let advice = format!(
            "{}:{} calls this folder as a module and decides: choose that configuration with --dir",
            caller.file.display(),
            caller.line
        );
        return Some((advice, format!("kgen resize {} --dir {}", question.to, quoted_path(&caller.dir))));
    }
    // One that only decides between types may be given; one that is the type is in no file, so there is nothing to
    // edit.
    let is_deciding = cluster.met.strings.iter().any(|place| is_broker_type(view.tree, place));
    Some(match is_deciding {
        true => (
            format!("set the variable that decides, as for terraform: --var {name}=VALUE"),
            question.command(&format!(" --var {name}=VALUE")),
        ),
        false => (
            format!("set {name} in terraform.tfvars, or with -var for terraform: no file sets it yet"),
            question.terraform(&format!("plan -var {name}={}", question.to)),
        ),
    })
}

/// Where the string stands that is to be replaced.
fn place_of<'c>(view: &View<'_>, cluster: &LocatedCluster, text: &'c Text) -> Result<&'c Place, Refusal> {
    let tree = view.tree;
    let unwritten = |why: &str, place: Option<Place>| {
        let stop = Stop { why: why.to_owned(), place, needs: None, cause: Cause::Unknown, is_remote: false };
        let shown: String = text.text.chars().take(60).collect();
        let what = format!("its broker type, {shown:?}, is not a single string that could be replaced");
        let refusal = Refusal::of_cluster(tree, cluster, &what, &stop);
        let (question, to) = (view.question, view.question.to);
        match cluster.met.variables.first() {
            Some(name) if why == BY_ENVIRONMENT => {
                refusal.next(format!("TF_VAR_{name}={to} {}", question.terraform("plan")))
            }
            Some(name) if why == BY_ARGUMENT => refusal.next(question.terraform(&format!("plan -var {name}={to}"))),
            _ => refusal,
        }
    };
    let place = match &text.origin {
        Origin::Literal(place) if tree.files[place.file].syntax == Syntax::Argument => {
            return Err(unwritten("is not in any file", None));
        }
        Origin::Literal(place) => place,
        Origin::Made(why, place) => return Err(unwritten(why, place.clone())),
        Origin::Content(_, place) => return Err(unwritten("is the entire content of a file", Some(place.clone()))),
    };
    let is_copy = |part: std::path::Component<'_>| {
        [".terraform", ".terragrunt-cache"].iter().any(|name| part.as_os_str() == *name)
    };
    match tree.files[place.file].path.components().any(is_copy) {
        true => {
            let stop = Stop::at(place, "is in a copy of a module that the next init overwrites");
            let what = "its broker type is set inside a module that is not in this repository";
            Err(Refusal::of_cluster(tree, cluster, what, &stop))
        }
        false => Ok(place),
    }
}

fn refuse_shared(view: &View<'_>, cluster: &LocatedCluster, place: &Place) -> Result<(), Refusal> {
    let others = view.clusters.found.iter().filter(|other| !std::ptr::eq(*other, cluster));
    let sharing: Vec<&LocatedCluster> = others.filter(|other| other.met.strings.contains(place)).collect();
    match sharing.is_empty() {
        true => Ok(()),
        false => Err(Refusal::shared(view.tree, cluster, place, &sharing)),
    }
}

/// A file that was not named sets what is edited, for those who name it.
fn not_there(setting: &Setting) -> String {
    let Setting { file, line, variable } = setting;
    format!("{}:{line} sets {variable}: if that file is used, this edit may have no effect", file.display())
}

/// What the type depends on and a file sets that was not named: it may well be named each time.
fn unnamed_settings(view: &View<'_>, cluster: &LocatedCluster, place: &Place) -> Result<Vec<Setting>, Refusal> {
    let module = view.tree.module(view.root);
    let is_type = |name: &str| {
        let default = module.variables.get(name).and_then(|declared| declared.attribute("default"));
        default.is_some_and(|default| default.place == *place)
    };
    settings(view, cluster, is_type)
}

/// What files of variables that are not named set of what the cluster's type depends on.
fn settings(
    view: &View<'_>,
    cluster: &LocatedCluster,
    is_type: impl Fn(&str) -> bool,
) -> Result<Vec<Setting>, Refusal> {
    let given = |name: &String| view.inputs.is_given(name);
    let asked: BTreeSet<String> = cluster.met.variables.iter().filter(|name| !given(name)).cloned().collect();
    let dir = view.tree.module(view.root).dir.clone();
    let files = surroundings::unnamed(view.folder, &dir, view.tree, view.inputs)?;
    surroundings::settings(view.folder, &dir, &files, &asked, is_type)
}

fn choice_words(tree: &Tree, choice: &Choice) -> String {
    let by: Vec<&str> = choice.deciders.iter().map(|decider| decider.what.as_str()).collect();
    let words = tree.files[choice.place.file].short(&choice.place, 60);
    format!("{} decides `{words}`: {}", by.join(", "), choice.others)
}

fn choice_note(tree: &Tree, choice: &Choice) -> String {
    format!("{}: {}", at(tree, &choice.place), choice_words(tree, choice))
}

/// The addresses that one edit is for.
pub fn addresses(joined: &str) -> impl Iterator<Item = &str> {
    joined.split(", ")
}
