//! The sample customers, signed up as a pipeline would: one SQL statement each.

use crate::postgres::Connections;

/// The README's statement.
const INSERT: &str =
    "INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, $2) ON CONFLICT (external_id) DO NOTHING";

/// What the customers' hosts end in, by turns.
pub(super) const SUFFIXES: [&str; 2] = ["us.qlikcloud.com", "eu.qlikcloud.com"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) external_id: String,
    pub(super) host: String,
}

/// `count` customers, each with a tenant of its own.
pub(super) fn customers(count: usize) -> Vec<Sample> {
    let digits = count.to_string().len();
    (1..=count)
        .map(|number| {
            let external_id = format!("customer-{number:0digits$}");
            let suffix = SUFFIXES[(number - 1) % SUFFIXES.len()];
            Sample { host: format!("{external_id}.{suffix}"), external_id }
        })
        .collect()
}

/// A customer whose host was mistyped: no region allows it.
pub(super) fn mistyped() -> Sample {
    Sample { external_id: "customer-typo".to_owned(), host: "customer-typo.us.qlikcluod.com".to_owned() }
}

/// What the mistyped host should have been.
pub(super) const CORRECTED_HOST: &str = "customer-typo.us.qlikcloud.com";

impl Sample {
    /// The statement as somebody would type it.
    pub(super) fn statement(&self) -> String {
        let quoted = |text: &str| format!("'{text}'");
        INSERT.replace("$1", &quoted(&self.external_id)).replace("$2", &quoted(&self.host))
    }
}

/// Inserts them in one transaction.
pub(super) async fn insert(connections: &Connections, samples: &[Sample]) -> Result<(), sqlx::Error> {
    let mut transaction = connections.begin().await?;
    for Sample { external_id, host } in samples {
        sqlx::query(INSERT).bind(external_id).bind(host).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_customer_has_a_name_and_a_host_of_its_own_in_either_region() {
        let customers = customers(10);

        assert_eq!(customers[0].host, "customer-01.us.qlikcloud.com");
        assert_eq!(customers[9].host, "customer-10.eu.qlikcloud.com");
        assert!(customers[0].statement().contains("VALUES ('customer-01', 'customer-01.us.qlikcloud.com')"));
    }
}
