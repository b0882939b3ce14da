//! From columns to the core's types.
//!
//! The rule: what the schema's constraints make impossible is still not taken on
//! faith: an unreadable row is an error that names itself, never a panic.

use chrono::{DateTime, Utc};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, Postgres};

use super::StoreError;
use crate::domain::hints::{Standing, StoredSecret};
use crate::domain::ids::{Hint, TenantId};
use crate::domain::when::When;

/// An instant of a row. `infinity`, which only a hand writes, is an error here, where the
/// driver's own type would panic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instant(pub(super) DateTime<Utc>);

/// Microseconds from 1970 to 2000, where Postgres begins to count.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl sqlx::Type<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as sqlx::Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Instant {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let since_2000 = <i64 as Decode<Postgres>>::decode(value)?;
        let since_1970 = since_2000.checked_add(POSTGRES_EPOCH);
        let instant = since_1970.and_then(DateTime::from_timestamp_micros);
        instant.map(Self).ok_or_else(|| "an instant beyond every calendar".into())
    }
}

/// A secret's row.
#[derive(Debug, serde::Deserialize)]
pub(super) struct SecretRow {
    id: i64,
    hint: Option<String>,
    standing: String,
    version: Option<i32>,
    proven_at: Option<DateTime<Utc>>,
    retire_at: Option<DateTime<Utc>>,
}

impl SecretRow {
    pub(super) fn stored(self, tenant: TenantId) -> Result<StoredSecret, StoreError> {
        let standing = Standing::parse(&self.standing).ok_or_else(|| {
            let what = format!("standing {:?} is not of this version", self.standing);
            inconsistent("tenantd.secrets", tenant, what)
        })?;
        Ok(StoredSecret {
            id: Some(self.id),
            version: self.version,
            proven: self.proven_at.map(When::At),
            retires: self.retire_at.map(When::At),
            ..StoredSecret::new(self.hint.map(Hint::new), standing)
        })
    }
}

pub(super) fn inconsistent(table: &'static str, tenant: TenantId, what: String) -> StoreError {
    StoreError::Inconsistent { table, tenant, what }
}

/// A row's secrets, the oldest first.
pub(super) fn stored_secrets(
    tenant: TenantId,
    secrets: Option<Json<Vec<SecretRow>>>,
) -> Result<Vec<StoredSecret>, StoreError> {
    let secrets = secrets.map(|secrets| secrets.0).unwrap_or_default();
    secrets.into_iter().map(|secret| secret.stored(tenant)).collect()
}
