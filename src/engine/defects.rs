//! A tenant that meets a defect waits alone, parked and counted; the others go on.
//!
//! The rule: it is parked by a statement that touches nothing which may be the cause; what
//! cannot even be parked is left to its lease, and said.

use super::Engine;
use crate::domain::ids::TenantId;
use crate::domain::reason::ParkReason;
use crate::ports::QlikApi;
use crate::postgres::StoreError;
use crate::postgres::work::claim::{ClaimTerms, Claims};
use crate::telemetry;

/// Whether a refusal is this row's: values always are; anything else only where others are
/// served meanwhile. A trigger that refuses all must not park the fleet.
pub(super) fn is_of_the_row(error: &StoreError, are_others_served: bool) -> bool {
    error.is_final() || error.may_be_one_rows() && are_others_served
}

impl<Q: QlikApi> Engine<Q> {
    /// Claims due rows; where the statement fails because of one of them, one by one.
    ///
    /// # Errors
    ///
    /// [`StoreError`], but not for what a single row is to blame for.
    pub(super) async fn claim(&self, terms: &ClaimTerms, limit: usize) -> Result<Claims, StoreError> {
        match self.store.claim(terms, limit).await {
            Err(error) if error.may_be_one_rows() => {
                tracing::warn!(error = %error, "a row keeps the others from being claimed; each is claimed alone: {error}");
                self.claim_singly(terms, limit).await
            }
            other => other,
        }
    }

    /// What refuses every row is no row's fault: then none is parked, and the refusal is told.
    async fn claim_singly(&self, terms: &ClaimTerms, limit: usize) -> Result<Claims, StoreError> {
        let (mut all, mut refused) = (Claims { rows: vec![], touched: 0 }, vec![]);
        for tenant in self.store.due_ids(terms, limit).await? {
            match self.store.claim_one(terms, tenant).await {
                Ok(Claims { rows, touched }) => {
                    all.rows.extend(rows);
                    all.touched += touched;
                }
                Err(error) if error.may_be_one_rows() => refused.push((tenant, error)),
                Err(error) => return Err(error),
            }
        }
        let mut of_all = None;
        for (tenant, error) in refused {
            if is_of_the_row(&error, all.touched > 0) {
                self.park_defect(tenant, None, &error.to_string()).await;
            } else {
                of_all = Some(error);
            }
        }
        of_all.map_or(Ok(all), Err)
    }

    /// Parks a tenant as a defect, and counts it.
    pub(super) async fn park_defect(&self, tenant: TenantId, epoch: Option<i64>, what: &str) {
        metrics::counter!(telemetry::DEFECTS_TOTAL).increment(1);
        let message = format!("{what}; {}", ParkReason::Defect.remedy());
        match self.store.park_defect(tenant, epoch, self.terms.policy.settle, &message).await {
            Ok(true) => tracing::error!(
                tenant.id = %tenant, reason = %ParkReason::Defect,
                "tenant {tenant} is parked, {}: {message}", ParkReason::Defect
            ),
            // Somebody else has it by now, and meets the same.
            Ok(false) => tracing::warn!(tenant.id = %tenant, "tenant {tenant}: {what}"),
            Err(error) => tracing::error!(
                tenant.id = %tenant, error = %error,
                "tenant {tenant} is left to its lease: {what}; it could not be parked: {error}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_all_is_no_rows_fault_but_a_rows_own_values_are() {
        let defect = || StoreError::Driver(sqlx::Error::RowNotFound);
        let away = || StoreError::Driver(sqlx::Error::PoolTimedOut);
        let unreadable =
            StoreError::Inconsistent { table: "t", tenant: TenantId(uuid::Uuid::nil()), what: "x".into() };

        assert!(is_of_the_row(&defect(), true) && !is_of_the_row(&defect(), false));
        assert!(!is_of_the_row(&away(), true) && !is_of_the_row(&away(), false));
        assert!(is_of_the_row(&unreadable, false));
    }
}
