//! Files from the web, whole and bounded: by http or https, through the proxy that the environment names for https.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode, Uri, body::Incoming, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::{
        legacy::{
            Client,
            connect::{HttpConnector, proxy::Tunnel},
        },
        proxy::matcher::Matcher,
    },
    rt::TokioExecutor,
};
use tokio::{runtime::Runtime, time::timeout};

/// How many redirections are followed.
const REDIRECTIONS: usize = 5;

/// How long a server may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0:?} is no http or https URL")]
    Url(String),
    #[error("{host} does not respond: {reason}")]
    Unreachable { host: String, reason: String },
    #[error("{host} did not send it within {} s", within.as_secs())]
    TimedOut { host: String, within: Duration },
    #[error("{host} answers {status}")]
    Status { host: String, status: StatusCode },
    #[error("what {host} sends did not arrive whole, or is larger than {most} bytes: {reason}")]
    Cut { host: String, most: u64, reason: String },
    #[error("{host} redirects in a circle")]
    Redirected { host: String },
    #[error("making an https client: {0}")]
    Client(#[from] io::Error),
}

impl FetchError {
    /// Whether the next try may succeed.
    pub fn is_passing(&self) -> bool {
        match self {
            FetchError::Unreachable { .. } | FetchError::TimedOut { .. } | FetchError::Cut { .. } => true,
            FetchError::Status { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            FetchError::Url(_) | FetchError::Redirected { .. } | FetchError::Client(_) => false,
        }
    }
}

/// A client that keeps its connections, for one thread. It blocks, and must not be used in an async task.
#[derive(Debug)]
pub struct Fetcher {
    runtime: Runtime,
    direct: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl Fetcher {
    /// # Errors
    /// This system trusts no certificate authority, or threads are short.
    pub fn new() -> Result<Fetcher, FetchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let direct = Client::builder(TokioExecutor::new()).build(tls()?.wrap_connector(tcp()));
        Ok(Fetcher { runtime, direct })
    }

    /// What is at `url`: at most `most` bytes of it, within `within`.
    ///
    /// A user and a password in the URL are sent as such (basic authentication), to that host alone.
    ///
    /// # Errors
    /// [`FetchError`]. No message has the user, the password or the path.
    pub fn get(&self, url: &str, most: u64, within: Duration) -> Result<Vec<u8>, FetchError> {
        let whole = async {
            let mut at = Target::of(url)?;
            for _ in 0..=REDIRECTIONS {
                let answer = self.ask(&at).await?;
                match answer.status() {
                    status if status.is_redirection() => at = at.redirected(&answer)?,
                    StatusCode::OK => return body(answer, &at, most).await,
                    status => return Err(FetchError::Status { host: at.host(), status }),
                }
            }
            Err(FetchError::Redirected { host: at.host() })
        };
        let host = Target::of(url).map_or_else(|_| url.to_owned(), |target| target.host());
        let in_time = self.runtime.block_on(async { timeout(within, whole).await });
        in_time.unwrap_or(Err(FetchError::TimedOut { host, within }))
    }

    /// Whether a server answers at `url`, whatever it says.
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn answers(&self, url: &str, within: Duration) -> Result<(), FetchError> {
        let at = Target::of(url)?;
        let in_time = self.runtime.block_on(async { timeout(within, self.ask(&at)).await });
        in_time.unwrap_or(Err(FetchError::TimedOut { host: at.host(), within })).map(drop)
    }

    async fn ask(&self, at: &Target) -> Result<hyper::Response<Incoming>, FetchError> {
        let mut request =
            Request::get(at.uri.clone()).header(header::USER_AGENT, concat!("kgen/", env!("CARGO_PKG_VERSION")));
        if let Some(login) = &at.login {
            request = request.header(header::AUTHORIZATION, login);
        }
        let request = request.body(Empty::new()).map_err(|_| FetchError::Url(at.host()))?;
        let proxy = Matcher::from_env().intercept(&at.uri).filter(|_| at.uri.scheme_str() == Some("https"));
        let answer = match proxy {
            None => self.direct.request(request).await,
            Some(proxy) => {
                let tunnel = Tunnel::new(proxy.uri().clone(), tcp());
                let tunnel = match proxy.basic_auth() {
                    Some(login) => tunnel.with_auth(login.clone()),
                    None => tunnel,
                };
                Client::builder(TokioExecutor::new()).build(tls()?.wrap_connector(tunnel)).request(request).await
            }
        };
        answer.map_err(|error| FetchError::Unreachable { host: at.host(), reason: root(&error) })
    }
}

/// Where a request goes.
#[derive(Debug)]
struct Target {
    uri: Uri,
    /// The header that proves who asks.
    login: Option<String>,
}

impl Target {
    fn of(url: &str) -> Result<Target, FetchError> {
        let wrong = || FetchError::Url(without_login(url));
        let mut url = reqwest::Url::parse(url).map_err(|_| wrong())?;
        if !["http", "https"].contains(&url.scheme()) || url.host().is_none() {
            return Err(wrong());
        }
        let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = (!url.username().is_empty()).then(|| {
            use base64::Engine as _;
            let pair = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        });
        // Neither can fail: the URL has a host.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        let uri = url.as_str().parse().map_err(|_| wrong())?;
        Ok(Target { uri, login })
    }

    fn host(&self) -> String {
        self.uri.authority().map(ToString::to_string).unwrap_or_default()
    }

    /// Where `answer` sends its reader; not from https to http.
    fn redirected(&self, answer: &hyper::Response<Incoming>) -> Result<Target, FetchError> {
        let wrong = || FetchError::Redirected { host: self.host() };
        let place = answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()).ok_or_else(wrong)?;
        let next = reqwest::Url::parse(&self.uri.to_string()).and_then(|base| base.join(place)).map_err(|_| wrong())?;
        let mut next = Target::of(next.as_str())?;
        if self.uri.scheme_str() == Some("https") && next.uri.scheme_str() != Some("https") {
            return Err(wrong());
        }
        if next.uri.authority() == self.uri.authority() && next.uri.scheme() == self.uri.scheme() {
            next.login = self.login.clone();
        }
        Ok(next)
    }
}

/// A URL as it may be shown.
pub fn without_login(url: &str) -> String {
    match (url.split_once("://"), url.rfind('@')) {
        (Some((scheme, _)), Some(at)) if at > scheme.len() => format!("{scheme}://{}", &url[at + 1..]),
        _ => url.to_owned(),
    }
}

async fn body(answer: hyper::Response<Incoming>, at: &Target, most: u64) -> Result<Vec<u8>, FetchError> {
    let whole = Limited::new(answer.into_body(), usize::try_from(most).unwrap_or(usize::MAX)).collect().await;
    match whole {
        Ok(whole) => Ok(whole.to_bytes().to_vec()),
        Err(error) => Err(FetchError::Cut { host: at.host(), most, reason: error.to_string() }),
    }
}

/// TLS with the authorities that this system trusts (`SSL_CERT_FILE` names others).
fn tls() -> io::Result<HttpsConnectorBuilder<hyper_rustls::builderstates::WantsProtocols2>> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Ok(HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)?.https_or_http().enable_http1())
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_WITHIN));
    tcp
}

/// The innermost cause, which says what went wrong.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread::{self, JoinHandle},
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Answers each connection with the next of `answers`; returns its address, then what it was sent.
    fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let serve = move || {
            let answer = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let count = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..count]).into_owned()
            };
            answers.into_iter().map(answer).collect()
        };
        (at, thread::spawn(serve))
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    #[test]
    fn a_file_arrives_whole_and_a_login_is_sent() {
        let (at, served) = server(vec![ok("a jar")]);
        let got = Fetcher::new().unwrap().get(&format!("http://me:p%40ss@{at}/a/b.jar"), 100, SOON).unwrap();
        assert_eq!(got, b"a jar");
        let asked = served.join().unwrap().remove(0).to_lowercase();
        assert!(asked.starts_with("get /a/b.jar "), "{asked}");
        assert!(asked.contains("authorization: basic bwu6cebzcw=="), "{asked}");
    }

    #[test]
    fn what_is_too_large_or_cut_or_refused_is_an_error_without_the_login() {
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\nconnection: close\r\n\r\nshort".to_owned();
        let rows = [
            (ok("more than ten bytes"), "larger than 10 bytes", true),
            (cut, "whole", true),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(), "404", false),
            ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_owned(), "503", true),
        ];
        for (answer, expected, is_passing) in rows {
            let (at, served) = server(vec![answer]);
            let url = format!("http://me:secret@{at}/x");
            let error = Fetcher::new().unwrap().get(&url, 10, SOON).unwrap_err();
            served.join().unwrap();
            let text = error.to_string();
            assert!(text.contains(expected) && !text.contains("secret"), "{text}");
            assert_eq!(error.is_passing(), is_passing, "{text}");
        }
    }

    #[test]
    fn redirections_are_followed_and_the_login_stays_with_its_host() {
        let (second, served_second) = server(vec![ok("found")]);
        let moved = |place: String| {
            format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        };
        let (first, served_first) = server(vec![moved("/other".to_owned()), moved(format!("http://{second}/file"))]);
        let got = Fetcher::new().unwrap().get(&format!("http://me:secret@{first}/x"), 100, SOON).unwrap();
        assert_eq!(got, b"found");
        let asked = served_first.join().unwrap();
        assert!(asked[1].starts_with("GET /other ") && asked[1].contains("authorization"), "{asked:?}");
        assert!(!served_second.join().unwrap()[0].contains("authorization"));
    }

    #[test]
    fn a_circle_of_redirections_ends() {
        let moved = "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let (at, served) = server(vec![moved.to_owned(); REDIRECTIONS + 1]);
        let error = Fetcher::new().unwrap().get(&format!("http://{at}/"), 100, SOON).unwrap_err();
        served.join().unwrap();
        assert!(matches!(error, FetchError::Redirected { .. }), "{error}");
    }

    #[test]
    fn nothing_but_http_is_fetched() {
        for url in ["file:///etc/passwd", "no url", "ftp://host/x", "https://"] {
            assert!(matches!(Fetcher::new().unwrap().get(url, 1, SOON), Err(FetchError::Url(_))), "{url}");
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Fetcher::new().unwrap().get(&format!("http://{free}/"), 1, SOON).unwrap_err();
        assert!(matches!(error, FetchError::Unreachable { .. }) && error.is_passing(), "{error}");
    }

    #[test]
    fn a_login_is_not_shown() {
        for (url, shown) in [
            ("https://me:secret@host/path", "https://host/path"),
            ("https://me:se@cret@host", "https://host"),
            ("https://host/path", "https://host/path"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(without_login(url), shown);
        }
    }
}
