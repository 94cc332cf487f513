//! The account and the region that a sink on AWS is in.

use crate::aws::{Aws, Identity};

/// Who calls, and where.
#[derive(Clone)]
pub struct Account {
    pub region: String,
    pub identity: Identity,
}

impl Account {
    #[cfg(test)]
    pub fn of(region: &str) -> Account {
        Account { region: region.to_owned(), identity: Identity::Environment }
    }

    /// Clients with the credentials as they are now: those that expire are renewed without a restart. Makes no call.
    pub async fn connect(&self) -> Aws {
        Aws::connect_as(&self.region, &self.identity).await
    }
}
