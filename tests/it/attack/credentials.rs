//! Real credentials are never sent to an endpoint on this machine.
//!
//! A listener on this machine records what reaches it. kgen must refuse before anything does, and before it starts terraform,
//! whatever the credentials come from and however the endpoint is set and written; and name both without a secret.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{rngs::StdRng, seq::IndexedRandom as _};
use tempfile::TempDir;

use super::Case;
use crate::project::kgen;

/// As AWS issues them; those of its documentation.
const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJGMEQCIEXAMPLETOKEN";

/// Where credentials come from.
#[derive(Clone, Copy)]
struct Source {
    name: &'static str,
    env: &'static [(&'static str, &'static str)],
    credentials: &'static str,
    config: &'static str,
    /// The section of the config file that the profile's other keys belong to.
    profile: &'static str,
    /// What a refusal calls them.
    called: &'static str,
}

const NOWHERE: Source = Source { name: "", env: &[], credentials: "", config: "", profile: "default", called: "" };
const MADE_UP: Source = Source { env: &[("AWS_ACCESS_KEY_ID", "lab"), ("AWS_SECRET_ACCESS_KEY", "lab")], ..NOWHERE };

const SOURCES: &[Source] = &[
    Source {
        name: "keys in the environment",
        env: &[("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)],
        called: "AWS_ACCESS_KEY_ID",
        ..NOWHERE
    },
    Source {
        name: "keys in the environment, under the older names",
        env: &[("AWS_ACCESS_KEY", ID), ("AWS_SECRET_KEY", SECRET)],
        called: "AWS_ACCESS_KEY",
        ..NOWHERE
    },
    Source {
        name: "a session in the environment",
        env: &[
            ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_SESSION_TOKEN", TOKEN),
        ],
        called: "AWS_SESSION_TOKEN",
        ..NOWHERE
    },
    Source {
        name: "a real session token beside a made-up key",
        env: &[("AWS_ACCESS_KEY_ID", "lab"), ("AWS_SECRET_ACCESS_KEY", "lab"), ("AWS_SESSION_TOKEN", TOKEN)],
        called: "AWS_SESSION_TOKEN",
        ..NOWHERE
    },
    Source {
        name: "a real secret beside a made-up key",
        env: &[("AWS_ACCESS_KEY_ID", "lab"), ("AWS_SECRET_ACCESS_KEY", SECRET)],
        called: "AWS_ACCESS_KEY_ID",
        ..NOWHERE
    },
    Source {
        name: "the default profile of the credentials file",
        credentials: "[default]\naws_access_key_id = ID\naws_secret_access_key = SECRET\n",
        called: "the keys of profile default",
        ..NOWHERE
    },
    Source {
        name: "another profile of the credentials file",
        env: &[("AWS_PROFILE", "prod")],
        credentials: "[default]\naws_access_key_id = lab\naws_secret_access_key = lab\n[prod]\naws_access_key_id = ID\n\
                      aws_secret_access_key = SECRET\naws_session_token = TOKEN\n",
        profile: "profile prod",
        called: "the keys of profile prod",
        ..NOWHERE
    },
    Source {
        name: "keys in the config file",
        env: &[("AWS_PROFILE", "prod")],
        config: "[profile prod]\naws_access_key_id=ID\naws_secret_access_key=SECRET\n",
        profile: "profile prod",
        called: "the keys of profile prod",
        ..NOWHERE
    },
    Source {
        name: "a credential_process",
        config: "[default]\ncredential_process = printf '{\"Version\":1,\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"SECRET\"}'\n",
        called: "the credential_process of profile default",
        ..NOWHERE
    },
    Source {
        name: "a credential_process that fails",
        config: "[default]\ncredential_process = false\n",
        called: "the credential_process of profile default",
        ..NOWHERE
    },
    Source {
        name: "single sign-on",
        config: "[sso-session s]\nsso_region = us-west-2\nsso_start_url = https://example.com/start\n[default]\n\
                 sso_session = s\nsso_account_id = 123456789012\nsso_role_name = Admin\n",
        called: "the single sign-on of profile default",
        ..NOWHERE
    },
    Source {
        name: "single sign-on, in its older form",
        config: "[default]\nsso_start_url = https://example.com/start\nsso_region = us-west-2\n\
                 sso_account_id = 123456789012\nsso_role_name = Admin\n",
        called: "the single sign-on of profile default",
        ..NOWHERE
    },
    Source {
        name: "a role",
        env: &[("AWS_PROFILE", "prod")],
        credentials: "[base]\naws_access_key_id = ID\naws_secret_access_key = SECRET\n",
        config: "[profile prod]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\n",
        profile: "profile prod",
        called: "the role of profile prod",
    },
    Source {
        name: "a role of the instance",
        config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\ncredential_source = Ec2InstanceMetadata\n",
        called: "the role of profile default",
        ..NOWHERE
    },
    Source {
        name: "a web identity",
        env: &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/dev/null"), ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")],
        called: "AWS_WEB_IDENTITY_TOKEN_FILE",
        ..NOWHERE
    },
    Source {
        name: "a container's role",
        env: &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/credentials")],
        called: "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ..NOWHERE
    },
];

/// How the endpoint is set: a variable, or lines of the config file with `URL` in them.
#[derive(Clone, Copy)]
enum Setting {
    Variable(&'static str),
    Profile(&'static str),
}

use Setting::{Profile, Variable};

/// Those that kgen's own calls obey, and terraform's as well.
const OF_KGEN: &[Setting] = &[
    Variable("AWS_ENDPOINT_URL"),
    Variable("AWS_ENDPOINT_URL_KAFKA"),
    Variable("AWS_ENDPOINT_URL_CLOUDWATCH"),
    Variable("AWS_ENDPOINT_URL_STS"),
    Profile("endpoint_url = URL\n"),
    Profile("services = local\n[services local]\nkafka =\n  endpoint_url = URL\n"),
    Profile(
        "services = local\n[services local]\nec2 =\n  endpoint_url = https://example.com\ncloudwatch = \n  endpoint_url=URL\n",
    ),
];

/// Those that only terraform's calls obey.
const OF_TERRAFORM: &[Setting] = &[
    Variable("AWS_ENDPOINT_URL_EC2"),
    Variable("AWS_ENDPOINT_URL_S3"),
    Variable("AWS_STS_ENDPOINT"),
    Variable("TF_AWS_IAM_ENDPOINT"),
    Profile("services = local\n[services local]\niam =\n  endpoint_url = URL\n"),
];

/// Ways to write this machine, and where to listen for them. `PORT` is the listener's.
const ADDRESSES: &[(&str, &str)] = &[
    ("http://127.0.0.1:PORT", "127.0.0.1"),
    ("http://localhost:PORT", "127.0.0.1"),
    ("http://LOCALHOST.:PORT", "127.0.0.1"),
    ("http://msk.localhost:PORT", "127.0.0.1"),
    ("http://[::1]:PORT", "[::1]"),
    ("http://[::ffff:127.0.0.1]:PORT", "127.0.0.1"),
    ("http://[::ffff:7f00:1]:PORT", "127.0.0.1"),
    ("http://0.0.0.0:PORT", "127.0.0.1"),
    ("http://[::]:PORT", "[::1]"),
    ("http://0:PORT", "127.0.0.1"),
    ("http://127.1:PORT", "127.0.0.1"),
    ("http://2130706433:PORT", "127.0.0.1"),
    ("http://0x7f000001:PORT", "127.0.0.1"),
    ("http://0177.0.0.1:PORT", "127.0.0.1"),
    ("http://127.9.8.7:PORT", "127.9.8.7"),
    ("http://user@127.0.0.1:PORT/path", "127.0.0.1"),
];

const KGEN: &[&[&str]] = &[
    &["diagnose"],
    &["watch", "--duration", "1"],
    &["bootstrap"],
    &["topic", "describe"],
    &["produce", "--duration", "1"],
    &["consume", "--duration", "1"],
];

const TERRAFORM: &[&[&str]] = &[
    &["plan"],
    &["apply", "--yes"],
    &["destroy", "--yes"],
    &["output"],
    &["resize", "kafka.m5.large", "--yes", "--apply", "--dir", "terraform"],
];

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut refused =
        |source: Source, setting: Setting, address: (&'static str, &'static str), args: &'static [&'static str]| {
            let set = match setting {
                Variable(name) => name.to_owned(),
                Profile(lines) => format!("{lines:?} in the config file"),
            };
            let name = format!("{}, {set} is {}, kgen {}", source.name, address.0, args.join(" "));
            cases.push(Case::new(name, move || is_refused(source, setting, address, args)));
        };
    for source in SOURCES {
        for _ in 0..2 {
            let (setting, address) = (OF_KGEN.choose(random).unwrap(), ADDRESSES.choose(random).unwrap());
            refused(*source, *setting, *address, KGEN.choose(random).unwrap());
            refused(*source, *setting, *address, TERRAFORM.choose(random).unwrap());
        }
    }
    for address in ADDRESSES {
        refused(*SOURCES.choose(random).unwrap(), OF_KGEN[0], *address, KGEN.choose(random).unwrap());
    }
    for setting in OF_KGEN {
        refused(*SOURCES.choose(random).unwrap(), *setting, ADDRESSES[0], KGEN.choose(random).unwrap());
    }
    for setting in OF_TERRAFORM {
        refused(*SOURCES.choose(random).unwrap(), *setting, ADDRESSES[0], TERRAFORM.choose(random).unwrap());
    }
    cases.extend(others());
    cases
}

/// What must go on working, and calls that must not stray from the lab to AWS.
fn others() -> Vec<Case> {
    let own = |name: &str, source: Source, more: &'static [(&'static str, &'static str)], key: &'static str| {
        Case::new(format!("{name}: kgen's calls arrive, signed by {key}"), move || arrives(source, more, key))
    };
    let real = SOURCES[0];
    vec![
        own("made-up keys", MADE_UP, &[], "lab"),
        own("no keys", NOWHERE, &[], "lab"),
        own("no keys and a profile that is not there", NOWHERE, &[("AWS_PROFILE", "none")], "lab"),
        own(
            "keys of moto's documentation",
            Source {
                env: &[
                    ("AWS_ACCESS_KEY_ID", "testing"),
                    ("AWS_SECRET_ACCESS_KEY", "testing"),
                    ("AWS_SESSION_TOKEN", "testing"),
                ],
                ..NOWHERE
            },
            &[],
            "testing",
        ),
        own(
            "made-up keys in a profile",
            Source { credentials: "[default]\naws_access_key_id=test\naws_secret_access_key=test\n", ..NOWHERE },
            &[],
            "test",
        ),
        own("real keys that are permitted", real, &[("KGEN_ALLOW_REAL_CREDENTIALS", "1")], ID),
        Case::new("no keys, terraform gets made-up ones", || {
            let (code, env, _) = terraform(NOWHERE, &[("AWS_ENDPOINT_URL", "http://127.0.0.1:9")]);
            let supplied =
                ["AWS_ACCESS_KEY_ID=lab\n", "AWS_SECRET_ACCESS_KEY=lab\n", "AWS_EC2_METADATA_DISABLED=true\n"];
            match code == Some(0) && supplied.iter().all(|line| env.contains(line)) {
                true => Ok(()),
                false => Err(format!("{code:?}: {env}")),
            }
        }),
        Case::new("endpoints that are ignored, terraform gets the real keys", move || {
            let set = [("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
            let (code, env, _) = terraform(real, &set);
            match code == Some(0) && env.contains(&format!("AWS_ACCESS_KEY_ID={ID}\n")) {
                true => Ok(()),
                false => Err(format!("{code:?}: {env}")),
            }
        }),
        Case::new("no keys, the endpoint of one service, terraform would ask the instance", || {
            let (code, env, stderr) = terraform(NOWHERE, &[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")]);
            match code == Some(2) && env.is_empty() && stderr.contains("instance metadata") {
                true => Ok(()),
                false => Err(format!("{code:?}: {stderr}")),
            }
        }),
        Case::new("MSK is on this machine, CloudWatch is not", || strays("AWS_ENDPOINT_URL_KAFKA", "CloudWatch")),
        Case::new("CloudWatch is on this machine, MSK is not", || strays("AWS_ENDPOINT_URL_CLOUDWATCH", "Kafka")),
        Case::new("a token for brokers on this machine", move || {
            let home = home(real, None);
            let mut command = command(home.path(), real);
            command.args(["topic", "describe", "--security", "iam", "--bootstrap-servers", "127.0.0.1:9"]);
            expect_refused(&mut command, real, "127.0.0.1:9")
        }),
    ]
}

/// Requests that have reached this machine.
struct Recorder {
    port: u16,
    seen: Arc<Mutex<String>>,
}

impl Recorder {
    fn new(address: &str) -> Recorder {
        let listener = TcpListener::bind(format!("{address}:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(String::new()));
        let recorded = Arc::clone(&seen);
        // Ends with the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take(100) {
                let mut stream = stream;
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let mut buffer = [0; 16 * 1024];
                let read = stream.read(&mut buffer).unwrap_or(0);
                let text = format!("connected\n{}\n", String::from_utf8_lossy(&buffer[..read]));
                recorded.lock().unwrap().push_str(&text);
                let body = "{\"__type\":\"ForbiddenException\",\"message\":\"recorded\"}";
                let answer = format!(
                    "HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: ForbiddenException\r\ncontent-type: application/json\r\n\
                     connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Recorder { port, seen }
    }

    fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }
}

/// A home with the AWS files of `source`, `lines` in its profile, a project and a stub terraform.
fn home(source: Source, lines: Option<&str>) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let real = |text: &str| text.replace("ID\n", &format!("{ID}\n")).replace("\"ID\"", &format!("\"{ID}\""));
    let real = |text: &str| real(text).replace("SECRET\n", &format!("{SECRET}\n"));
    let real = |text: &str| {
        real(text).replace("\"SECRET\"", &format!("\"{SECRET}\"")).replace("TOKEN\n", &format!("{TOKEN}\n"))
    };
    fs::create_dir(home.path().join(".aws")).unwrap();
    fs::write(home.path().join(".aws/credentials"), real(source.credentials)).unwrap();
    // The keys of the profile go below its header, before other sections that the lines begin.
    let header = format!("[{}]\n", source.profile);
    let config = match (source.config.split_once(&header), lines) {
        (Some((before, after)), Some(lines)) => format!("{before}{header}{after}{lines}"),
        (None, Some(lines)) => format!("{}{header}{lines}", source.config),
        (_, None) => source.config.to_owned(),
    };
    fs::write(home.path().join(".aws/config"), real(&config)).unwrap();

    fs::create_dir_all(home.path().join("terraform/.terraform")).unwrap();
    let cluster = "provider \"aws\" {\n  region = \"us-west-2\"\n}\nresource \"aws_msk_cluster\" \"x\" {\n  cluster_name = \"x\"\n  \
                   broker_node_group_info {\n    instance_type = \"kafka.t3.small\"\n  }\n}\n";
    fs::write(home.path().join("terraform/main.tf"), cluster).unwrap();
    let stub = home.path().join("stub");
    fs::write(&stub, "#!/bin/sh\nenv >\"$HOME/started\"\n[ \"$1\" = output ] && echo '{}'\nexit 0\n").unwrap();
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

/// kgen in `home`, with nothing of this machine's settings for AWS.
fn command(home: &Path, source: Source) -> Command {
    let mut command = kgen(home);
    let inherited = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in
        inherited.filter(|name| name.starts_with("AWS_") || name.starts_with("TF_") || name.starts_with("KGEN_"))
    {
        command.env_remove(name);
    }
    command
        .current_dir(home)
        .env("HOME", home)
        .env("KGEN_TERRAFORM_BIN", home.join("stub"))
        .envs(source.env.iter().copied());
    command
}

fn is_refused(source: Source, setting: Setting, address: (&str, &str), args: &[&str]) -> Result<(), String> {
    let recorder = Recorder::new(address.1);
    let url = address.0.replace("PORT", &recorder.port.to_string());
    let lines = match setting {
        Variable(_) => None,
        Profile(lines) => Some(lines.replace("URL", &url)),
    };
    let home = home(source, lines.as_deref());
    let mut command = command(home.path(), source);
    if let Variable(name) = setting {
        command.env(name, &url);
    }
    let is_dir = args.contains(&"--dir");
    command.args(args);
    // A user name is not shown.
    let ended = expect_refused(&mut command, source, &url.replace("user@", ""));
    let seen = recorder.seen();
    if !seen.is_empty() {
        return Err(format!("reached the listener:\n{seen}"));
    }
    if home.path().join("started").exists() {
        return Err("terraform was started".to_owned());
    }
    let edited = fs::read_to_string(home.path().join("terraform/main.tf")).unwrap().contains("m5");
    if is_dir && edited {
        return Err("the file was edited before the refusal".to_owned());
    }
    ended
}

fn expect_refused(command: &mut Command, source: Source, endpoint: &str) -> Result<(), String> {
    let output = command.output().unwrap();
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    if text.contains(SECRET) || text.contains(TOKEN) {
        return Err(format!("a secret is printed: {text}"));
    }
    let named = [source.called, endpoint, "KGEN_ALLOW_REAL_CREDENTIALS", "kgen lab env"];
    match output.status.code() == Some(2) && named.iter().all(|word| text.contains(word)) {
        true => Ok(()),
        false => Err(format!("{}, expected {named:?}: {text}", output.status)),
    }
}

/// kgen's own call reaches the listener, signed by the access key `key`.
fn arrives(source: Source, more: &[(&str, &str)], key: &str) -> Result<(), String> {
    let recorder = Recorder::new("127.0.0.1");
    let home = home(source, None);
    let mut command = command(home.path(), source);
    command.envs(more.iter().copied()).env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", recorder.port));
    let output = command.arg("bootstrap").output().unwrap();
    let seen = recorder.seen();
    match seen.contains(&format!("Credential={key}/")) {
        true => Ok(()),
        false => Err(format!("{}: {}; seen: {seen}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}

/// How `kgen output` ends, the environment that terraform was given, and what was said.
fn terraform(source: Source, set: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let home = home(source, None);
    let output = command(home.path(), source).envs(set.iter().copied()).arg("output").output().unwrap();
    let env = fs::read_to_string(home.path().join("started")).unwrap_or_default();
    (output.status.code(), env, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// With made-up keys and one endpoint on this machine, calls to the other service must not go to AWS.
fn strays(variable: &str, other: &str) -> Result<(), String> {
    let recorder = Recorder::new("127.0.0.1");
    let home = home(MADE_UP, None);
    let mut command = command(home.path(), MADE_UP);
    let output =
        command.env(variable, format!("http://127.0.0.1:{}", recorder.port)).arg("bootstrap").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let is_said = stderr.contains(other) && stderr.contains(variable);
    match output.status.code() == Some(2) && is_said && recorder.seen().is_empty() {
        true => Ok(()),
        false => Err(format!("{}: {stderr}", output.status)),
    }
}
