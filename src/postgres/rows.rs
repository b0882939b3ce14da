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

/// An instant of a row. What lies beyond every calendar, as `infinity`, which only a hand
/// writes, is the calendar's end, where the driver's own type would panic: then it is this
/// row's commit alone that the database refuses.
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
        <i64 as Decode<Postgres>>::decode(value).map(Self::since_2000)
    }
}

impl Instant {
    fn since_2000(microseconds: i64) -> Self {
        let end = if microseconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
        let since_1970 = microseconds.checked_add(POSTGRES_EPOCH);
        Self(since_1970.and_then(DateTime::from_timestamp_micros).unwrap_or(end))
    }
}

/// The same out of JSON, in which Postgres writes what every calendar has as RFC 3339 does.
pub(super) fn json_instant(text: &str) -> DateTime<Utc> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(instant) => instant.to_utc(),
        Err(_) if text.starts_with('-') => DateTime::<Utc>::MIN_UTC,
        Err(_) => DateTime::<Utc>::MAX_UTC,
    }
}

/// A secret's row.
#[derive(Debug, serde::Deserialize)]
pub(super) struct SecretRow {
    id: i64,
    hint: Option<String>,
    standing: String,
    version: Option<i32>,
    proven_at: Option<String>,
    retire_at: Option<String>,
}

impl SecretRow {
    pub(super) fn stored(self, tenant: TenantId) -> Result<StoredSecret, StoreError> {
        let unreadable = |what: String| inconsistent("tenantd.secrets", tenant, what);
        let instant = |text: Option<String>| match text.as_deref() {
            // Never, in the words of a hand.
            None | Some("infinity") => Ok(None),
            Some(text) => match DateTime::parse_from_rfc3339(text) {
                Ok(instant) => Ok(Some(When::At(instant.to_utc()))),
                Err(_) => Err(unreadable(format!("the instant {text:?}"))),
            },
        };
        let standing = Standing::parse(&self.standing)
            .ok_or_else(|| unreadable(format!("standing {:?} is not of this version", self.standing)))?;
        Ok(StoredSecret {
            id: Some(self.id),
            version: self.version,
            proven: instant(self.proven_at)?,
            retires: instant(self.retire_at)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_instant_leaves_the_calendar() {
        assert_eq!(Instant::since_2000(0).0.to_rfc3339(), "2000-01-01T00:00:00+00:00");
        assert_eq!(Instant::since_2000(-1).0.to_rfc3339(), "1999-12-31T23:59:59.999999+00:00");
        assert_eq!(Instant::since_2000(i64::MAX).0, DateTime::<Utc>::MAX_UTC);
        assert_eq!(Instant::since_2000(i64::MIN).0, DateTime::<Utc>::MIN_UTC);
        assert_eq!(json_instant("2000-01-01T01:00:00.5+01:00").to_rfc3339(), "2000-01-01T00:00:00.500+00:00");
        assert_eq!(json_instant("infinity"), DateTime::<Utc>::MAX_UTC);
        assert_eq!(json_instant("-infinity"), DateTime::<Utc>::MIN_UTC);
    }
}
