//! Profiles: which defaults a kgen.toml starts from.

use serde::{Deserialize, Serialize};

use super::Config;

/// What a key has that kgen.toml does not set.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The seed's scenario: quick to build and to look at, plaintext allowed.
    #[default]
    Demo,
    /// Encrypted with a key of the stack's own, IAM for clients, no way in from and none out to the internet.
    Hardened,
}

/// A kgen.toml of what differs from the demo.
const HARDENED: &str = include_str!("hardened.toml");

impl Profile {
    /// The keys that are written, over the defaults of this profile.
    ///
    /// # Errors
    /// If a key has a value that it cannot have.
    pub(super) fn under(self, written: &toml::Table) -> Result<Config, toml::de::Error> {
        let mut table = match self {
            Profile::Demo => toml::Table::new(),
            Profile::Hardened => HARDENED.parse().expect("the embedded profile is well formed (tested)"),
        };
        lay_over(&mut table, written);
        table.try_into()
    }
}

/// Puts the values of `upper` over those of `lower`, table by table.
fn lay_over(lower: &mut toml::Table, upper: &toml::Table) {
    for (key, value) in upper {
        match (lower.get_mut(key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            _ => {
                lower.insert(key.clone(), value.clone());
            }
        }
    }
}
