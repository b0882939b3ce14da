//! Sealing stored secrets anew: what there is to seal, and the exchange of one sealed text for
//! another.
//!
//! The rule: **a text is exchanged for one of the same plaintext, and only while it is still the
//! one that was read**. So a secret that was replaced, retired or shredded meanwhile is left
//! alone, nobody waits for a lock of ours, and whoever reads meets the one text or the other.
//! `sealed` and `key_id` keep one kind of writer: whoever holds the plaintext. The worker that got
//! it from Qlik writes them at first, and what is exchanged here says the same to every reader:
//! no version, no event, no generation changes with it. (A daemon that only seals and waits for
//! another proof of a new secret knows it by its text, and mints another instead.)

use crate::domain::ids::{KeyId, TenantId};
use crate::postgres::{Store, StoreError};

/// A secret that another key sealed.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after its column")]
pub struct Stored {
    pub secret_id: i64,
    pub tenant_id: TenantId,
    pub external_id: String,
    pub host: String,
    pub client_id: String,
    pub sealed: String,
    pub key_id: KeyId,
}

/// Some secrets in the order of their numbers.
#[derive(Debug, Default)]
pub struct Slice {
    /// Those among them that other keys sealed.
    pub others: Vec<Stored>,
    /// The last number; `None` where there were none.
    pub end: Option<i64>,
}

/// One text for another.
#[derive(Debug)]
pub struct Exchange {
    /// Which secret.
    pub secret_id: i64,
    /// The text that was read.
    pub was: String,
    /// The text of the same plaintext.
    pub sealed: String,
}

impl Store {
    /// The next secrets behind this number, of which those not sealed by `key` are told in full.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn slice_of_secrets(&self, behind: i64, key: &KeyId, most: u32) -> Result<Slice, StoreError> {
        let rows = sqlx::query!(
            r#"
            -- secrets.slice
            SELECT z.secret_id AS "secret_id!", z.tenant_id AS "tenant_id!", z.client_id AS "client_id!",
                   z.key_id AS "key_id!", t.external_id AS "external_id!", t.host AS "host!",
                   CASE WHEN z.key_id <> $2 THEN z.sealed END AS sealed
              FROM (SELECT secret_id, tenant_id, client_id, key_id, sealed
                      FROM tenantd.secrets
                     WHERE secret_id > $1
                     ORDER BY secret_id
                     LIMIT $3) AS z
              JOIN tenantd.tenants AS t USING (tenant_id)
             ORDER BY z.secret_id
            "#,
            behind,
            key.as_str(),
            i64::from(most)
        )
        .fetch_all(&self.patient)
        .await?;
        let end = rows.last().map(|row| row.secret_id);
        let others = rows.into_iter().filter_map(|row| {
            Some(Stored {
                secret_id: row.secret_id,
                tenant_id: TenantId(row.tenant_id),
                external_id: row.external_id,
                host: row.host,
                client_id: row.client_id,
                sealed: row.sealed?,
                key_id: KeyId::new(row.key_id),
            })
        });
        Ok(Slice { others: others.collect(), end })
    }

    /// Exchanges texts, in one statement that waits for nobody. Returns the secrets that have the
    /// new one: the others have changed, are gone, or are somebody else's at this moment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`]; then all of them or none have it.
    pub async fn exchange_sealed(&self, key: &KeyId, texts: &[Exchange]) -> Result<Vec<i64>, StoreError> {
        let ids: Vec<i64> = texts.iter().map(|text| text.secret_id).collect();
        let was: Vec<&str> = texts.iter().map(|text| text.was.as_str()).collect();
        let sealed: Vec<&str> = texts.iter().map(|text| text.sealed.as_str()).collect();
        let exchanged = sqlx::query_scalar!(
            r#"
            -- secrets.exchange
            WITH free AS MATERIALIZED (
                SELECT s.secret_id, g.was, g.sealed
                  FROM unnest($1::bigint[], $2::text[], $3::text[]) AS g (secret_id, was, sealed)
                  JOIN tenantd.secrets AS s ON s.secret_id = g.secret_id AND s.sealed = g.was
                 ORDER BY s.secret_id
                   FOR NO KEY UPDATE OF s SKIP LOCKED
            )
            UPDATE tenantd.secrets AS s
               SET sealed = free.sealed, key_id = $4
              FROM free
             WHERE s.secret_id = free.secret_id AND s.sealed = free.was
            RETURNING s.secret_id
            "#,
            &ids,
            &was as &[&str],
            &sealed as &[&str],
            key.as_str()
        )
        .fetch_all(&self.patient);
        Ok(exchanged.await?)
    }
}
