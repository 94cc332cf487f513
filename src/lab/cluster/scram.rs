//! The secrets of a cluster: which of Secrets Manager's its users come from.

use serde::{Deserialize, Serialize};

use super::{ControlPlane, EmulatedCluster, Refusal};

/// Secrets of one call at most (MSK Developer Guide, "Amazon MSK quota": 10 to associate, 10 to disassociate).
pub const SECRETS_MAX: usize = 10;

/// A secret whose user the brokers know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramSecret {
    pub arn: String,
    pub user: String,
}

impl ControlPlane {
    /// The cluster, if its secrets can be changed now.
    ///
    /// # Errors
    /// 404, and 400 when it is not ACTIVE or has no SASL/SCRAM, or for too many secrets.
    pub fn takes_scram_secrets(&self, arn: &str, secrets: usize) -> Result<&EmulatedCluster, Refusal> {
        let cluster = self.cluster(arn)?;
        if !cluster.has_scram() {
            return Err(Refusal::bad(format!("the cluster {} has no SASL/SCRAM authentication", cluster.name)));
        }
        cluster.check_active("its secrets need")?;
        if !(1..=SECRETS_MAX).contains(&secrets) {
            return Err(Refusal::parameter("secretArnList", format!("1 to {SECRETS_MAX} secrets, not {secrets}")));
        }
        Ok(cluster)
    }

    /// Remembers secrets whose users the brokers have.
    ///
    /// # Errors
    /// 404.
    pub fn associate(&mut self, arn: &str, secrets: &[ScramSecret]) -> Result<(), Refusal> {
        let cluster = self.cluster_mut(arn)?;
        cluster.scram_secrets.retain(|known| !secrets.iter().any(|new| new.arn == known.arn));
        cluster.scram_secrets.extend_from_slice(secrets);
        Ok(())
    }

    /// Forgets secrets whose users the brokers no longer have.
    ///
    /// # Errors
    /// 404.
    pub fn disassociate(&mut self, arn: &str, secrets: &[ScramSecret]) -> Result<(), Refusal> {
        self.cluster_mut(arn)?.scram_secrets.retain(|known| !secrets.contains(known));
        Ok(())
    }
}

impl EmulatedCluster {
    /// Clients may authenticate by SASL/SCRAM.
    pub fn has_scram(&self) -> bool {
        let sasl = self.provisioned.client_authentication.as_ref().and_then(|clients| clients.sasl.as_ref());
        sasl.and_then(|sasl| sasl.scram.as_ref()).is_some_and(|scram| scram.enabled == Some(true))
    }
}
