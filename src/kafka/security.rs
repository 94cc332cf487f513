//! Authentication of clients, and the IAM tokens of MSK.

use std::{sync::mpsc, time::Duration};

use aws_config::Region;
use rdkafka::{
    client::{Client, OAuthToken},
    error::KafkaError,
};

use super::{ConnectError, Context};

/// What MSK offers its clients, by one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Security {
    /// Neither encrypted nor authenticated (port 9092)
    Plaintext,
    /// Encrypted (port 9094)
    Tls,
    /// Encrypted, with user and password (port 9096): KGEN_SASL_USERNAME and KGEN_SASL_PASSWORD
    Scram,
    /// Encrypted, with AWS credentials (port 9098)
    Iam,
}

/// Its word on the command line.
impl std::fmt::Display for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        clap::ValueEnum::to_possible_value(self).map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

impl Security {
    /// The client settings of it, by librdkafka's names.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Security::Plaintext => &[("security.protocol", "plaintext")],
            Security::Tls => &[("security.protocol", "ssl")],
            // MSK knows SCRAM with SHA-512 only.
            Security::Scram => &[("security.protocol", "sasl_ssl"), ("sasl.mechanisms", "SCRAM-SHA-512")],
            Security::Iam => &[("security.protocol", "sasl_ssl"), ("sasl.mechanisms", "OAUTHBEARER")],
        }
    }
}

/// The region in the name of an MSK broker: `b-1.demo.abc.c2.kafka.us-east-1.amazonaws.com:9098`.
pub fn region_of(bootstrap_servers: &str) -> Option<&str> {
    let host = bootstrap_servers.split(',').next()?.split(':').next()?;
    let (_, rest) = host.split_once(".kafka.").or_else(|| host.split_once(".kafka-serverless."))?;
    let (region, domain) = rest.split_once('.')?;
    domain.starts_with("amazonaws.com").then_some(region)
}

/// How long credentials may take to be found: on EC2 they come from the instance's own service.
const TOKEN_WITHIN: Duration = Duration::from_secs(15);

/// A token on its way: credentials may have to be requested.
pub struct Signing(mpsc::Receiver<Result<(String, i64), String>>);

impl Signing {
    /// A token for the brokers of `region`, signed with the AWS credentials that the environment gives.
    fn begin(region: &str) -> Signing {
        let region = Region::new(region.to_owned());
        Signing::of(async move {
            aws_msk_iam_sasl_signer::generate_auth_token(region).await.map_err(|error| error.to_string())
        })
    }

    /// Signs on a thread of its own: the caller may already be in a runtime, and may have records to send meanwhile.
    fn of(signing: impl Future<Output = Result<(String, i64), String>> + Send + 'static) -> Signing {
        let (done, signed) = mpsc::channel();
        let failed = done.clone();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = match runtime {
                Ok(runtime) => runtime.block_on(signing),
                Err(error) => Err(error.to_string()),
            };
            // Nobody waits any more only after the time limit.
            let _ = done.send(result);
        };
        if let Err(error) = std::thread::Builder::new().name("iam-token".into()).spawn(work) {
            let _ = failed.send(Err(error.to_string()));
        }
        Signing(signed)
    }

    fn awaited(self) -> Result<OAuthToken, String> {
        let signed = self.0.recv_timeout(TOKEN_WITHIN);
        made(signed.map_err(|_| format!("no response within {} s", TOKEN_WITHIN.as_secs()))?)
    }
}

fn made(signed: Result<(String, i64), String>) -> Result<OAuthToken, String> {
    signed.map(|(token, lifetime_ms)| OAuthToken { token, principal_name: String::new(), lifetime_ms })
}

impl Context {
    /// A token, where this connection needs one.
    pub(super) fn token(&self) -> Option<Result<OAuthToken, String>> {
        self.iam_region.as_deref().map(|region| Signing::begin(region).awaited())
    }

    /// Gives `client` a token before it connects, if this connection needs one. Consumers that are polled then ask for the
    /// next ones by themselves; a token is good for 15 minutes.
    ///
    /// # Errors
    /// There are no AWS credentials, or they cannot be requested.
    pub fn authorize(&self, client: &Client<Context>) -> Result<(), ConnectError> {
        let Some(token) = self.token() else { return Ok(()) };
        set(client, token).map_err(ConnectError::NoToken)
    }

    /// Begins to make the next token, for a thread that cannot wait.
    pub fn sign(&self) -> Option<Signing> {
        self.iam_region.as_deref().map(Signing::begin)
    }

    /// Gives `client` the token if it is there. Returns whether it was, or was not available.
    pub fn take_token(&self, client: &Client<Context>, signing: &Signing) -> bool {
        let signed = match signing.0.try_recv() {
            Err(mpsc::TryRecvError::Empty) => return false,
            Err(mpsc::TryRecvError::Disconnected) => Err("signing returned no token".to_owned()),
            Ok(signed) => signed,
        };
        if let Err(reason) = set(client, made(signed)) {
            refuse(client, &reason);
            self.notes.add(&format!("no IAM token: {reason}"));
        }
        true
    }
}

/// Notifies the client that there is no token now; it asks again after ten seconds.
fn refuse(client: &Client<Context>, reason: &str) {
    let reason = std::ffi::CString::new(reason.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the client is alive; the text ends with a zero and is copied.
    unsafe {
        rdkafka::bindings::rd_kafka_oauthbearer_set_token_failure(client.native_ptr(), reason.as_ptr());
    }
}

fn set(client: &Client<Context>, token: Result<OAuthToken, String>) -> Result<(), String> {
    use rdkafka::{bindings as ffi, types::RDKafkaRespErr};
    let token = token?;
    let text = |text: String| std::ffi::CString::new(text).map_err(|_| "the token contains a null byte".to_owned());
    let (value, principal) = (text(token.token)?, text(token.principal_name)?);
    let mut reason = [0u8; 512];
    // SAFETY: the client is alive, both texts end with a zero and are copied, `reason` has the length that is said.
    let code = unsafe {
        ffi::rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            std::ptr::null_mut(),
            0,
            reason.as_mut_ptr().cast(),
            reason.len(),
        )
    };
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    let reason = std::ffi::CStr::from_bytes_until_nul(&reason).unwrap_or_default().to_string_lossy();
    Err(format!("{}: {reason}", KafkaError::Global(code.into())))
}

#[cfg(test)]
mod tests {
    use aws_sdk_kafka::config::{Credentials, SharedCredentialsProvider};
    use base64::Engine as _;

    use super::*;

    #[test]
    fn a_token_is_a_signed_url() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("session".into()), None, "test");
        let signing = Signing::of(async move {
            let provider = SharedCredentialsProvider::new(credentials);
            let region = Region::new("eu-west-1");
            aws_msk_iam_sasl_signer::generate_auth_token_from_credentials_provider(region, provider)
                .await
                .map_err(|error| error.to_string())
        });
        let token = signing.awaited().unwrap();
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&token.token).unwrap();
        let url = String::from_utf8(url).unwrap();
        for part in [
            "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect",
            "X-Amz-Credential=AKIDEXAMPLE",
            "eu-west-1%2Fkafka-cluster%2Faws4_request",
            "X-Amz-Security-Token=session",
            "X-Amz-Expires=900",
            "X-Amz-Signature=",
        ] {
            assert!(url.contains(part), "{part} is not in {url}");
        }
        let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let left_s = token.lifetime_ms / 1000 - now.as_secs() as i64;
        assert!((800..=900).contains(&left_s), "{left_s}");
    }

    #[test]
    fn regions_are_in_the_names_of_brokers() {
        let check = |servers: &str, region: Option<&str>| assert_eq!(region_of(servers), region, "{servers}");
        check("b-1.demo.x1y2z3.c2.kafka.us-east-1.amazonaws.com:9098,b-2:9098", Some("us-east-1"));
        check("boot-abc.c1.kafka-serverless.eu-west-1.amazonaws.com:9098", Some("eu-west-1"));
        check("b-1.demo.x.c2.kafka.cn-north-1.amazonaws.com.cn:9098", Some("cn-north-1"));
        check("127.0.0.1:9098", None);
        check("my.kafka.example.com:9098", None);
    }
}
