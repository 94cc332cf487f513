//! Nothing that identifies an account or a person leaves kgen under `--redact`.
//!
//! Each case puts identifiers of every kind, chosen by the seed and in one of many surroundings, into all that a command
//! reads, and looks for each of them in all that it prints and in every file that it writes. It tries the same without
//! `--redact` first, where they must be seen: a case that could not fail would say nothing.

use std::{collections::BTreeMap, fs, path::PathBuf};

use rand::{Rng as _, rngs::StdRng};
use serde_json::json;

use super::{
    Case,
    edge::{self, Poison, RUN, words},
};
use crate::project::{Project, Ran};

/// What identifies somebody, and the words of it that must not be seen.
#[derive(Clone)]
struct Identity {
    cluster: String,
    arn: String,
    servers: String,
    /// As they stand in a text, each with what must not be left of it.
    told: Vec<(String, String)>,
}

fn pick(random: &mut StdRng, letters: &str, count: usize) -> String {
    let letters: Vec<char> = letters.chars().collect();
    (0..count).map(|_| letters[random.random_range(0..letters.len())]).collect()
}

const SMALL: &str = "bcdfghjklmnpqrstvwxz";
const CAPITALS: &str = "BCDFGHJKLMNPQRSTVWXZ234567";

fn identity(random: &mut StdRng) -> Identity {
    let mut name = |count| pick(random, SMALL, count);
    let (cluster, host, domain, user, person) = (format!("{}-prod", name(7)), name(6), name(8), name(7), name(6));
    let account = format!("{}{}", random.random_range(1..9), pick(random, "0123456789", 11));
    let uuid = format!("{}-1111-4222-8333-{}-5", pick(random, "abcdef123", 8), pick(random, "abcdef123", 12));
    let arn = format!("arn:aws:kafka:us-west-2:{account}:cluster/{cluster}/{uuid}");
    let address =
        format!("10.{}.{}.{}", random.random_range(1..255), random.random_range(1..255), random.random_range(2..255));
    let public =
        format!("{}.{}.{}.9", random.random_range(20..90), random.random_range(1..255), random.random_range(1..255));
    let v6 = format!("2600:1f14:{}::{}", pick(random, "123456789", 4), random.random_range(2..9999));
    let broker = format!("b-1.{domain}.{}.c2.kafka.us-west-2.amazonaws.com", pick(random, SMALL, 6));
    let (key, session) = (pick(random, CAPITALS, 16), pick(random, CAPITALS, 16));
    let secret = format!("{}aB3xY7Zq1WfK", pick(random, "abcdeFGHIJ12345/+", 28));
    let password = pick(random, SMALL, 10);
    let encoded = arn.replace(':', "%3A").replace('/', "%2F");
    let same = |text: &str| (text.to_owned(), text.to_owned());
    let told = vec![
        (arn.clone(), uuid.clone()),
        (arn.to_uppercase(), uuid.to_uppercase()),
        (encoded.clone(), uuid.clone()),
        (encoded.replace('%', "%25"), uuid.clone()),
        (format!("https://console.aws/x?arn={encoded}&v=1"), uuid),
        same(&account),
        (format!("logs-{account}-us-west-2"), account.clone()),
        (format!("{account}.dkr.ecr.us-west-2.amazonaws.com"), account),
        same(&address),
        (format!("{address}:9092"), address.clone()),
        (format!("ip-{}", address.replace('.', "-")), address.replace('.', "-")),
        same(&public),
        same(&v6),
        same(&broker),
        (format!("{broker}:443"), broker.clone()),
        (format!("{host}.{domain}.com"), format!("{host}.{domain}")),
        (format!("{host}.{domain}.internal:443"), format!("{host}.{domain}")),
        (format!("{host}1:9092"), format!("{host}1")),
        (format!("SASL_SSL://{host}.{domain}.org:9098"), format!("{host}.{domain}")),
        (format!("{person}.lee@{domain}.com"), format!("{person}.lee")),
        (format!("{person}%40{domain}.com"), person.clone()),
        (format!("/home/{user}/kgen"), user.clone()),
        (format!("/Users/{user}"), user),
        (format!("AKIA{key}"), key),
        (format!("ASIA{session}"), session),
        same(&secret),
        (format!("sasl.password={password}"), password.clone()),
        (format!("\"client_secret\": \"{password}\""), password),
        same(&cluster),
        (format!("the-{cluster}_logs"), cluster.clone()),
    ];
    Identity { servers: format!("{broker}:9092,{host}2.{domain}.net:9092"), cluster, arn, told }
}

/// What stands around an identifier.
const AROUND: [(&str, &str); 12] = [
    ("at ", " and"),
    ("(", ")"),
    ("'", "'"),
    ("\"", "\","),
    ("broker: ", "."),
    ("a\n", "\nb"),
    ("[", "]; "),
    ("\t", "\t"),
    ("<", ">"),
    ("x=", " "),
    ("\u{1b}[31m", "\u{1b}[0m"),
    ("«", "»"),
];

impl Identity {
    fn text(&self, around: usize) -> String {
        let (before, after) = AROUND[around % AROUND.len()];
        self.told.iter().map(|(text, _)| format!("{before}{text}{after} ")).collect()
    }

    fn poison(&self, around: usize) -> Poison {
        Poison {
            text: self.text(around),
            line: String::new(),
            cluster: self.cluster.clone(),
            arn: Some(self.arn.clone()),
            servers: Some(self.servers.clone()),
            group: self.text(around),
        }
    }

    /// The first that is left in `text`.
    fn left_in(&self, text: &str) -> Option<&str> {
        let of_servers = self.servers.split(',').map(|server| server.trim_end_matches(":9092"));
        let told = self.told.iter().map(|(_, told)| told.as_str()).chain(of_servers);
        told.into_iter().find(|told| text.to_lowercase().contains(&told.to_lowercase()))
    }
}

/// A command, and what is made ready for it.
struct Tried {
    args: Vec<String>,
    prepare: fn(&Project, &Identity, &str),
    /// Whether the identifiers are seen without `--redact`; else they are only looked for.
    tells: bool,
}

fn nothing(_: &Project, _: &Identity, _: &str) {}

fn tried(args: &str) -> Tried {
    Tried { args: words(args), prepare: nothing, tells: true }
}

/// All that stands in kgen.toml; each identifier as a value of its own kind.
fn with_settings(project: &Project, identity: &Identity, text: &str) {
    project.write(
        "kgen.toml",
        &format!(
            "[cluster]\nname = \"{}\"\n[tags]\nnote = {}\n",
            identity.cluster,
            json!(text.replace(['\n', '\t', '\u{1b}'], " ").chars().take(200).collect::<String>())
        ),
    );
}

fn with_broken_settings(project: &Project, _: &Identity, text: &str) {
    project.write("kgen.toml", &format!("[cluster]\n{} = 1\n", json!(text).to_string().replace("\\/", "/")));
}

fn with_outputs(project: &Project, _: &Identity, text: &str) {
    project.answer("output", 0, &json!({ "told": { "sensitive": false, "value": text } }).to_string());
}

fn with_plan(project: &Project, identity: &Identity, text: &str) {
    let change = json!({
        "actions": ["update"], "after_unknown": {}, "before_sensitive": false, "after_sensitive": false,
        "before": { "arn": identity.arn, "note": "a" }, "after": { "arn": identity.arn, "note": text },
    });
    let resource = json!({
        "address": "aws_msk_cluster.main", "mode": "managed", "type": "aws_msk_cluster", "name": "main", "change": change,
    });
    project.answer("plan", 2, &diagnostic("warning", text));
    project.answer("show", 0, &json!({ "resource_changes": [resource] }).to_string());
    project.answer("apply", 0, &diagnostic("warning", text));
}

fn with_failing_plan(project: &Project, _: &Identity, text: &str) {
    project.answer("plan", 1, &diagnostic("error", text));
}

fn diagnostic(severity: &str, text: &str) -> String {
    let about = json!({ "severity": severity, "summary": text, "detail": text, "address": text });
    json!({ "type": "diagnostic", "diagnostic": about }).to_string() + "\n"
}

fn with_edited_terraform(project: &Project, _: &Identity, text: &str) {
    let ran = project.run(&["render", "--force"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let network = project.read("terraform/network.tf");
    project.write("terraform/network.tf", &format!("{network}# {}\n", text.replace('\n', " ")));
}

fn with_foreign_terraform(project: &Project, identity: &Identity, text: &str) {
    fs::create_dir(project.path("infra")).unwrap();
    project.write(
        "infra/main.tf",
        &format!(
            "resource \"aws_msk_cluster\" \"this\" {{\n  cluster_name = \"{}\"\n  # {}\n  broker_node_group_info {{\n    \
             instance_type = \"kafka.m5.large\" # {}\n  }}\n}}\n",
            identity.cluster,
            text.replace('\n', " "),
            text.replace('\n', " ")
        ),
    );
}

fn with_samples(project: &Project, _: &Identity, _: &str) {
    let ran = project.run(&["replay", RUN, "--json"]);
    project.write("samples.jsonl", &ran.stdout);
}

fn commands() -> Vec<Tried> {
    let on = |args: &str, prepare| Tried { prepare, ..tried(args) };
    let untold = |args: &str, prepare| Tried { tells: false, ..on(args, prepare) };
    vec![
        tried(&format!("report {RUN} --format markdown -o -")),
        tried(&format!("report {RUN}")),
        tried(&format!("report {RUN} --format markdown -o told.md")),
        tried(&format!("report {RUN} -o -")),
        tried(&format!("report {RUN} --json")),
        tried(&format!("replay {RUN} --plain")),
        tried(&format!("replay {RUN} --json")),
        tried("runs"),
        tried("runs --json"),
        untold("runs prune --keep 0 --dry-run", nothing),
        tried(&format!("diagnose --replay .kgen/runs/{RUN}")),
        tried(&format!("diagnose --replay .kgen/runs/{RUN}/run.jsonl --json")),
        on("diagnose --replay samples.jsonl --json", with_samples),
        untold(&format!("compare {RUN} {RUN} --json"), nothing),
        untold(&format!("resume {RUN}"), nothing),
        on("config", with_settings),
        on("config --json", with_settings),
        on("config", with_broken_settings),
        on("output", with_outputs),
        on("output --json", with_outputs),
        on("output --raw told", with_outputs),
        on("plan", with_plan),
        on("plan --json", with_plan),
        on("plan", with_failing_plan),
        on("apply --yes", with_plan),
        on("destroy --yes --json", with_plan),
        on("render --check", with_edited_terraform),
        on("render --check --json", with_edited_terraform),
        on("render", with_edited_terraform),
        on("resize kafka.m5.xlarge --dir infra --dry-run", with_foreign_terraform),
        on("resize kafka.m5.xlarge --dir infra --dry-run --json", with_foreign_terraform),
    ]
}

/// A command line that holds the identifiers itself.
fn spoken() -> Vec<Vec<&'static str>> {
    vec![
        vec!["explain", "TEXT"],
        vec!["schema", "TEXT"],
        vec!["man", "TEXT"],
        vec!["replay", "TEXT"],
        vec!["report", "--format", "TEXT"],
        vec!["TEXT"],
        vec!["diagnose", "--replay", "TEXT"],
        vec!["watch", "--interval", "TEXT"],
        vec!["compare", "TEXT", "TEXT"],
    ]
}

/// What `kgen` does on a project of its own: what it prints, and which files it has written.
fn seen(
    record: &str,
    identity: &Identity,
    text: &str,
    tried: &Tried,
    is_redacted: bool,
) -> (Ran, Vec<(PathBuf, String)>) {
    let project = edge::project(record);
    (tried.prepare)(&project, identity, text);
    let before: BTreeMap<PathBuf, Vec<u8>> =
        edge::files(&project.path("")).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let mut args = tried.args.clone();
    if is_redacted {
        args.insert(0, "--redact".to_owned());
    }
    let ran = edge::run(&project, &args, &[]);
    let written = edge::files(&project.path("")).into_iter().filter_map(|path| {
        let bytes = fs::read(&path).unwrap();
        // What terraform says and what it is given are its own, and said not to be redacted.
        let is_terraforms = path.components().any(|part| part.as_os_str() == "terraform" || part.as_os_str() == "stub");
        let is_new = before.get(&path) != Some(&bytes);
        (is_new && !is_terraforms).then(|| (path, String::from_utf8_lossy(&bytes).into_owned()))
    });
    let written = written.collect();
    (ran, written)
}

fn judge(record: &str, identity: &Identity, text: &str, tried: &Tried) -> Result<(), String> {
    if tried.tells {
        let (ran, written) = seen(record, identity, text, tried, false);
        let all =
            format!("{}{}{}", ran.stdout, ran.stderr, written.into_iter().map(|(_, text)| text).collect::<String>());
        identity.left_in(&all).ok_or(format!("says nothing that could be redacted:\n{all}"))?;
    }
    let (ran, written) = seen(record, identity, text, tried, true);
    if ran.code.is_none_or(|code| code == 101) {
        return Err(format!("ended with {:?}: {}", ran.code, ran.stderr));
    }
    let places =
        [("stdout", &ran.stdout), ("stderr", &ran.stderr)].map(|(name, text)| (PathBuf::from(name), text.clone()));
    for (place, text) in places.into_iter().chain(written) {
        if let Some(told) = identity.left_in(&text) {
            let line = text.lines().find(|line| line.to_lowercase().contains(&told.to_lowercase())).unwrap_or_default();
            let at = line.to_lowercase().find(&told.to_lowercase()).unwrap_or(0);
            let line: String = line.chars().skip(at.saturating_sub(80)).take(240).collect();
            return Err(format!("{told} is left in {}: {line}", place.display()));
        }
    }
    if tried.args.iter().any(|arg| arg == "--json") && ran.code == Some(0) {
        for line in [ran.stdout.trim()].iter().filter(|text| text.starts_with('{')) {
            let mut documents = serde_json::Deserializer::from_str(line).into_iter::<serde_json::Value>();
            documents
                .try_for_each(|document| document.map(drop))
                .map_err(|error| format!("no JSON any more: {error}"))?;
        }
    }
    Ok(())
}

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for around in [0, 3, 5, 9] {
        for tried in commands() {
            let identity = identity(random);
            let around = around + random.random_range(0..3);
            let name =
                format!("kgen {} around {:?}, account {}", tried.args.join(" "), AROUND[around % 12], identity.arn);
            cases.push(Case::new(name, move || {
                let text = identity.text(around);
                judge(&edge::record(&identity.poison(around)), &identity, &text, &tried)
            }));
        }
    }
    for words in spoken() {
        let (identity, around) = (identity(random), random.random_range(0..AROUND.len()));
        let text = identity.text(around);
        let args = words.iter().map(|word| word.replace("TEXT", text.trim_start_matches('-'))).collect();
        let tried = Tried { args, prepare: nothing, tells: false };
        cases.push(Case::new(format!("kgen {} around {:?}", words.join(" "), AROUND[around]), move || {
            judge(&edge::record(&Poison::default()), &identity, &text, &tried)
        }));
    }
    for _ in 0..6 {
        let (identity, around) = (identity(random), random.random_range(0..AROUND.len()));
        cases
            .push(Case::new(format!("an error of AWS around {:?}", AROUND[around]), move || of_aws(&identity, around)));
    }
    cases
}

/// AWS refuses a call with a message that names the caller.
fn of_aws(identity: &Identity, around: usize) -> Result<(), String> {
    let endpoint = edge::refusing_api(&identity.text(around));
    let env = edge::made_up_keys(&endpoint);
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let project = edge::project(&edge::record(&Poison::default()));
    let watch = format!("watch --duration 1s --plain --cluster {}", identity.cluster);
    let plain = edge::run(&project, &words(&watch), &env);
    identity.left_in(&plain.stderr).ok_or(format!("says nothing that could be redacted: {}", plain.stderr))?;
    let ran = edge::run(&project, &words(&format!("--redact {watch}")), &env);
    match identity.left_in(&format!("{}{}", ran.stdout, ran.stderr)) {
        Some(told) => Err(format!("{told} is left: {}", ran.stderr)),
        None => Ok(()),
    }
}
