//! Users and passwords of brokers with SASL/SCRAM, which librdkafka's crate has no call for.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA512, derive};
use bytes::Bytes;
use kafka_protocol::{
    ResponseError,
    messages::{
        AlterUserScramCredentialsRequest,
        alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion},
    },
};

use super::wire::{self, RequestError, settled};

/// SCRAM-SHA-512, the only one that MSK knows (Kafka protocol, AlterUserScramCredentials).
const SHA_512: i8 = 2;
/// The fewest that Kafka takes, and its own tools' default.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
/// Bytes of a salt and of what SHA-512 makes.
const SALT: usize = 24;
const SALTED: usize = 64;

/// What becomes of a user.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The user is there with this password.
    Set {
        user: String,
        password: String,
    },
    Removed {
        user: String,
    },
}

/// No password in a log.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credential::Set { user, .. } => write!(f, "Set {{ user: {user:?} }}"),
            Credential::Removed { user } => write!(f, "Removed {{ user: {user:?} }}"),
        }
    }
}

/// Has the brokers at `addresses` (plaintext) take over the users. One who is to be removed and is not there is fine.
///
/// # Errors
/// No broker answers, or one refuses a user; the others may be there.
pub fn alter(addresses: &[String], credentials: &[Credential]) -> Result<(), RequestError> {
    let mut request = AlterUserScramCredentialsRequest::default();
    for credential in credentials {
        match credential {
            Credential::Set { user, password } => request.upsertions.push(upsertion(user, password)),
            Credential::Removed { user } => request
                .deletions
                .push(ScramCredentialDeletion::default().with_name(user.clone().into()).with_mechanism(SHA_512)),
        }
    }
    let answer = wire::ask(addresses, 0, &request)?;
    for result in &answer.results {
        if ResponseError::try_from_code(result.error_code) != Some(ResponseError::ResourceNotFound) {
            let what = || format!("change the user {}", result.user.as_str());
            settled(result.error_code, result.error_message.as_ref(), what)?;
        }
    }
    Ok(())
}

fn upsertion(user: &str, password: &str) -> ScramCredentialUpsertion {
    let salt: [u8; SALT] = rand::random();
    ScramCredentialUpsertion::default()
        .with_name(user.to_owned().into())
        .with_mechanism(SHA_512)
        .with_iterations(ITERATIONS.get() as i32)
        .with_salted_password(Bytes::copy_from_slice(&salted(password, &salt)))
        .with_salt(Bytes::copy_from_slice(&salt))
}

/// `Hi(password, salt, iterations)` of RFC 5802: what a broker keeps in place of the password.
fn salted(password: &str, salt: &[u8]) -> [u8; SALTED] {
    let mut salted = [0; SALTED];
    derive(PBKDF2_HMAC_SHA512, ITERATIONS, salt, password.as_bytes(), &mut salted);
    salted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_salted_as_rfc_5802_has_it() {
        // python3 -c 'import hashlib; print(hashlib.pbkdf2_hmac("sha512", b"pencil", b"salt", 4096).hex()[:32])'
        let hex: String = salted("pencil", b"salt")[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "2cfe3a1c151662b1ea49d13f595674a1");
        let [one, other] = [(); 2].map(|()| upsertion("a", "pencil"));
        assert_ne!(one.salt, other.salt);
    }

    #[test]
    fn passwords_are_in_no_debug_text() {
        let set = Credential::Set { user: "a".to_owned(), password: "pencil".to_owned() };
        assert_eq!(format!("{set:?}"), r#"Set { user: "a" }"#);
    }
}
