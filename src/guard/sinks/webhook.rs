//! Any receiver of JSON: the message as kgen.alert/1, with its id, and signed if there is a secret.

use std::fmt;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde_json::json;

use super::Post;
use crate::{alert::Message, guard::report::Line};

/// The same for every attempt to send a message.
const ID: &str = "idempotency-key";

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 of `SECONDS.BODY` with the secret. The time is signed too, so that a recorded request
/// cannot be sent again later.
const SIGNATURE: &str = "kgen-signature";

#[derive(Clone)]
pub struct Webhook {
    url: String,
    secret: Option<String>,
}

/// Without secrets.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("is_signed", &self.secret.is_some()).finish_non_exhaustive()
    }
}

impl Webhook {
    pub fn at(url: String, secret: Option<String>) -> Webhook {
        Webhook { url, secret }
    }

    pub fn post(&self, message: &Message, now: Timestamp) -> Post {
        let body = json!(Line::of(message)).to_string().into_bytes();
        let mut headers = vec![(ID, message.id.clone())];
        if let Some(secret) = &self.secret {
            headers.push((SIGNATURE, signature(secret, now.as_second(), &body)));
        }
        Post { url: self.url.clone(), headers, body }
    }
}

fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [format!("{seconds}.").as_bytes(), body].concat();
    let hex: String = hmac::sign(&key, &signed).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::testing::message;

    #[test]
    fn the_signature_is_what_openssl_computes() {
        // printf '1764583200.{}' | openssl dgst -sha256 -hmac secret
        let expected = "t=1764583200,v1=e7820317a66cda18d7ca04cf26a5f97872653804965970d0ee82a28acd7e11a7";
        assert_eq!(signature("secret", 1_764_583_200, b"{}"), expected);
    }

    #[test]
    fn attempts_have_the_same_id_and_no_secret_is_shown() {
        let webhook = Webhook::at("https://example.com/secret-path".to_owned(), Some("s3cret".to_owned()));
        let post = |seconds| webhook.post(&message("1"), Timestamp::from_second(seconds).unwrap());
        let (first, second) = (post(0), post(60));
        assert_eq!((&first.headers[0], &first.body), (&second.headers[0], &second.body));
        assert_ne!(first.headers[1], second.headers[1], "the time is signed");
        let shown = format!("{webhook:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("secret-path"), "{shown}");
        assert_eq!(Webhook::at("https://a".to_owned(), None).post(&message("1"), Timestamp::now()).headers.len(), 1);
    }
}
