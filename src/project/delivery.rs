//! The kgen that `kgen plan` and `kgen apply` deliver to the client: an executable under `.kgen/client`, and its checksum in
//! `terraform/kgen.auto.tfvars.json`.
//!
//! Both are of this machine. What kgen renders has only a variable, so that it is the same on every machine.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Project;
use crate::{
    doctor::binary_needs,
    files::{self, bounded, own},
    outcome::refused,
    stack::delivery::{APPLYING_DIR, SUM_VARIABLE},
};

/// Values of variables, which Terraform reads from every file of such a name.
const VALUES: &str = "kgen.auto.tfvars.json";

/// Bytes of that file at most: one checksum.
const VALUES_MAX: u64 = 4096;

/// Bytes of an executable that is delivered: a packaged kgen has less than half of it, a debug build three times as much.
const DELIVERED_MAX: u64 = 100_000_000;

/// The executable of this process, even if another one has taken its place.
const OWN: &str = "/proc/self/exe";

/// Who decides what the client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientGets {
    /// kgen.toml, or Terraform that is not rendered from it.
    WhatIsNamed,
    /// The kgen that was delivered before. It stays: another one replaces the instance.
    WhatItHas,
    /// Nothing yet.
    Nothing,
}

impl Project {
    /// What the client gets as things are.
    ///
    /// # Errors
    /// The file with the checksum cannot be read, or is not what kgen writes.
    fn client_gets(&self) -> anyhow::Result<ClientGets> {
        let rendered = files::text(&self.terraform_dir().join("delivery.tf"))?.unwrap_or_default();
        if !self.stack().client().gets_applying_kgen() || !rendered.contains(&format!("variable \"{SUM_VARIABLE}\"")) {
            return Ok(ClientGets::WhatIsNamed);
        }
        let sum = self.delivered_sum()?;
        Ok(match sum.is_some_and(|sum| self.delivered(&sum).is_file()) {
            true => ClientGets::WhatItHas,
            false => ClientGets::Nothing,
        })
    }

    /// Sees to it that the client of a project that is locked gets this kgen, where kgen.toml leaves that to kgen. Returns why it
    /// gets none.
    ///
    /// # Errors
    /// Refused: the project cannot be read. The executable cannot be copied.
    pub fn deliver_own(&self) -> anyhow::Result<Option<String>> {
        if self.client_gets().map_err(refused)? != ClientGets::Nothing {
            return Ok(None);
        }
        let architecture = self.stack().client().architecture().of_rust();
        Ok(match executable(architecture) {
            Ok(executable) => {
                self.deliver(&executable).context("delivering kgen to the client")?;
                None
            }
            Err(reason) => Some(format!(
                "the client gets no kgen: {reason}. Use a packaged kgen, or set client.kgen_file, or client.kgen to \"none\""
            )),
        })
    }

    /// Puts `executable` where Terraform finds it, and returns its SHA-256. Only for a project whose client gets
    /// [`ClientGets::Nothing`], while it is locked.
    ///
    /// # Errors
    /// A file cannot be written.
    fn deliver(&self, executable: &[u8]) -> anyhow::Result<String> {
        let sum: String = Sha256::digest(executable).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.delivered(&sum);
        let writing = |path: &Path| format!("writing {}", path.display());
        let dir = self.dir().join(APPLYING_DIR);
        own::make_folder(&dir, 0o777).with_context(|| writing(&dir))?;
        own::replace(&path, executable).with_context(|| writing(&path))?;
        let values = self.values();
        let text = format!("{:#}\n", json!({ SUM_VARIABLE: sum }));
        files::replace_file(&values, text.as_bytes()).with_context(|| writing(&values))?;
        Ok(sum)
    }

    fn values(&self) -> PathBuf {
        self.terraform_dir().join(VALUES)
    }

    fn delivered(&self, sum: &str) -> PathBuf {
        self.dir().join(APPLYING_DIR).join(sum)
    }

    /// The checksum in the file of values. Terraform would upload what has it as a name, so it has to be one.
    fn delivered_sum(&self) -> anyhow::Result<Option<String>> {
        let path = self.values();
        let bytes = match bounded::read(&path, VALUES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("reading {}", path.display()))?,
        };
        let is_sum =
            |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let sum = match serde_json::from_slice::<Value>(&bytes).ok().as_ref().and_then(Value::as_object) {
            Some(values) if values.len() == 1 => values.get(SUM_VARIABLE).and_then(Value::as_str).map(str::to_owned),
            _ => None,
        };
        match sum {
            Some(sum) if is_sum(&sum) => Ok(Some(sum)),
            Some(sum) if sum.is_empty() => Ok(None),
            _ => bail!(
                "{}: kgen writes only {SUM_VARIABLE} into this file, and its value must be a SHA-256: remove the file, \
                 and put values of your own into another one",
                path.display()
            ),
        }
    }
}

/// This executable, if it runs on a client instance with this processor.
fn executable(architecture: &str) -> Result<Vec<u8>, String> {
    let unread = |error: std::io::Error| format!("this executable cannot be read ({error})");
    let bytes = fs::metadata(OWN).map_err(unread)?.len();
    if bytes > DELIVERED_MAX {
        let mb = |bytes| bytes / 1_000_000;
        return Err(format!("this executable is a build of {} MB, more than {} MB", mb(bytes), mb(DELIVERED_MAX)));
    }
    let elf = fs::read(OWN).map_err(unread)?;
    match binary_needs(&elf, env::consts::ARCH)?.refused_by_client(architecture) {
        Some(reason) => Err(reason),
        None => Ok(elf),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn rendered(kgen_toml: &str) -> (tempfile::TempDir, Project) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("kgen.toml"), kgen_toml).unwrap();
        let project = Project::open(dir.path()).unwrap();
        fs::create_dir(project.terraform_dir()).unwrap();
        for (name, text) in project.stack().render().files() {
            fs::write(project.terraform_dir().join(name), text).unwrap();
        }
        (dir, project)
    }

    #[test]
    fn what_was_delivered_stays() {
        let (dir, project) = rendered("");
        assert_eq!(project.client_gets().unwrap(), ClientGets::Nothing);
        let sum = project.deliver(b"kgen").unwrap();
        assert_eq!(sum, "76d07ca4dcdb9a087b978f2ddfdf81b051c3bf9f7a0aa19e93070cea041fc126");
        assert_eq!(fs::read(dir.path().join(APPLYING_DIR).join(&sum)).unwrap(), b"kgen");
        assert_eq!(project.client_gets().unwrap(), ClientGets::WhatItHas);
        // What was rendered is as it was.
        project.check_rendered().unwrap();
        // Terraform could not upload what is no longer there.
        fs::remove_file(dir.path().join(APPLYING_DIR).join(&sum)).unwrap();
        assert_eq!(project.client_gets().unwrap(), ClientGets::Nothing);
    }

    #[test]
    fn kgen_toml_may_name_what_the_client_gets() {
        for text in ["[client]\nkgen = 'none'", "[client]\nkgen_url = 'https://a/b'\nkgen_sha256 = 'SUM'"] {
            let (_dir, project) = rendered(&text.replace("SUM", &"0".repeat(64)));
            assert_eq!(project.client_gets().unwrap(), ClientGets::WhatIsNamed, "{text}");
        }
        // Terraform that is older than kgen.toml, or not of kgen, has no such variable.
        let (_dir, project) = rendered("");
        fs::remove_file(project.terraform_dir().join("delivery.tf")).unwrap();
        assert_eq!(project.client_gets().unwrap(), ClientGets::WhatIsNamed);
    }

    #[test]
    fn values_of_others_are_refused() {
        let (_dir, project) = rendered("");
        for text in ["{\"kgen_sha256\": \"../../../etc/shadow\"}", "{\"region\": \"x\"}", "[]", "not JSON"] {
            fs::write(project.values(), text).unwrap();
            let error = project.client_gets().unwrap_err().to_string();
            assert!(error.contains("must be a SHA-256: remove the file"), "{text}: {error}");
        }
        fs::write(project.values(), "{\"kgen_sha256\": \"\"}").unwrap();
        assert_eq!(project.client_gets().unwrap(), ClientGets::Nothing);
    }
}
