//! A filter as conditions of a statement: who matches, a page of them, and how many.
//!
//! The rules: nothing of a filter is pasted into SQL, **its values travel as parameters**; how
//! [`Conditions`] are asked is written once (`matching`), for lists, counts and verbs. Each statement is
//! planned for its own values, so that conditions that are not asked for cost nothing.

use sqlx::PgExecutor;

use super::conditions::Conditions;
use super::tenants::{Status, Wanting};
use crate::domain::filter::Filter;
use crate::postgres::{Store, StoreError, interval};

/// A statement on the tenants `t`, with their lines `s` of the contract's view, who match a
/// filter and are behind a key. The parameters of what stands behind the conditions follow $26.
macro_rules! matching {
    ($query:ident!($($row:ty,)? $head:literal, $tail:literal), $of:expr, $after:expr $(, $more:expr)*) => {{
        let of: &Conditions = $of;
        sqlx::$query!(
            $($row,)?
            $head + r#"
              FROM tenantd.tenants AS t
              JOIN tenantd.status AS s ON s.tenant_id = t.tenant_id
             WHERE ($1::text[] IS NULL OR t.phase = ANY ($1))
               AND (cardinality($2::text[]) = 0 OR t.phase <> ALL ($2))
               AND ($3::text[] IS NULL OR s.reason = ANY ($3))
               AND (cardinality($4::text[]) = 0 OR coalesce(s.reason, '') <> ALL ($4))
               AND ($5::text[] IS NULL OR t.region = ANY ($5))
               AND (cardinality($6::text[]) = 0 OR t.region <> ALL ($6))
               AND ($7::text[] IS NULL OR t.host = ANY ($7))
               AND (cardinality($8::text[]) = 0 OR t.host <> ALL ($8))
               AND ($9::text[] IS NULL OR t.profile = ANY ($9))
               AND (cardinality($10::text[]) = 0 OR t.profile <> ALL ($10))
               AND ($11::boolean IS NULL OR s.ready = $11)
               AND ($12::boolean IS NULL OR (t.parked_reason IS NOT NULL) = $12)
               AND ($13::boolean IS NULL OR s.paused = $13)
               -- What the row alone says of most, before the view is asked of the others.
               AND ($13::boolean IS NOT TRUE OR t.paused_at IS NOT NULL OR EXISTS (SELECT FROM tenantd.pauses))
               AND ($14::interval IS NULL OR t.is_under_way OR t.reason_since <= tenantd.clock() - $14)
               AND ($15::timestamptz IS NULL OR t.is_under_way OR t.reason_since <= $15)
               AND ($16::interval IS NULL OR t.is_under_way OR t.reason_since > tenantd.clock() - $16)
               AND ($17::timestamptz IS NULL OR t.is_under_way OR t.reason_since > $17)
               AND ($14::interval IS NULL OR s.since <= tenantd.clock() - $14)
               AND ($15::timestamptz IS NULL OR s.since <= $15)
               AND ($16::interval IS NULL OR (s.since <= tenantd.clock() - $16) IS NOT TRUE)
               AND ($17::timestamptz IS NULL OR (s.since <= $17) IS NOT TRUE)
               AND ($18::text IS NULL OR t.labels <> '{}' AND t.labels @@ ($18::text)::jsonpath)
               AND ($19::text IS NULL OR (t.labels @@ ($19::text)::jsonpath) IS NOT TRUE)
               AND ($20::text[] IS NULL OR t.external_id ^@ ANY ($20) OR t.host ^@ ANY ($20))
               AND (cardinality($21::text[]) = 0 OR NOT (t.external_id ^@ ANY ($21) OR t.host ^@ ANY ($21)))
               AND (cardinality($22::integer[]) = 0 OR NOT EXISTS (
                    SELECT FROM unnest($22::integer[], $23::text[]) AS w (term, word)
                     GROUP BY w.term HAVING NOT bool_or(t.external_id ^@ w.word OR t.host ^@ w.word)))
               -- Among whom they are, so that an index of these few serves it.
               AND ($24 <> 'under way' OR t.is_under_way)
               AND ($24 <> 'absent' OR t.desired_state = 'absent')
               AND ($24 <> 'not ready' OR t.is_under_way OR t.desired_state = 'absent')
               AND $24 <> 'nobody'
               -- No key is empty, so that everybody is behind that.
               AND t.external_id > $25
            "# + $tail,
            of.phase.any_of.as_deref() as Option<&[String]>,
            &of.phase.none_of,
            of.reason.any_of.as_deref() as Option<&[String]>,
            &of.reason.none_of,
            of.region.any_of.as_deref() as Option<&[String]>,
            &of.region.none_of,
            of.host.any_of.as_deref() as Option<&[String]>,
            &of.host.none_of,
            of.profile.any_of.as_deref() as Option<&[String]>,
            &of.profile.none_of,
            of.ready,
            of.parked,
            of.paused,
            of.longer.0.map(interval) as _,
            of.longer.1,
            of.shorter.0.map(interval) as _,
            of.shorter.1,
            of.labels.all_of,
            of.labels.none_of,
            of.words.first.as_deref() as Option<&[String]>,
            &of.words.none_of,
            &of.words.others.0,
            &of.words.others.1,
            of.among(),
            $after
            $(, $more)*
        )
    }};
}

impl Store {
    /// The first `limit` tenants that match, behind a key of the pipeline's and in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn list(&self, filter: &Filter, after: &str, limit: u32) -> Result<Vec<Status>, StoreError> {
        Ok(matching!(
            query_as!(
                Status,
                r#"
            -- status.list
            SELECT s.tenant_id AS "tenant_id!", s.external_id AS "external_id!", s.host AS "host!", s.phase AS "phase!",
                   s.ready AS "ready!", s.parked AS "parked!", s.reason, s.message, s.since, s.next_attempt_at,
                   s.failures AS "failures!", s.client_id, s.created_at AS "created_at!", s.ready_at,
                   s.updated_at AS "updated_at!", s.labels AS "labels!",
                   s.version, s.paused AS "paused!", s.drift AS "drift!", s.audited_at"#,
                r"
             ORDER BY t.external_id
             LIMIT $26"
            ),
            &Conditions::of(filter),
            after,
            i64::from(limit)
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// What the owner wants of the first `limit` tenants that match, behind a key and in the
    /// order of the keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn wants(&self, filter: &Filter, after: &str, limit: u32) -> Result<Vec<Wanting>, StoreError> {
        Ok(matching!(
            query_as!(
                Wanting,
                r#"
            -- tenants.wants
            SELECT t.external_id, t.host, t.profile, t.client_name, t.redirect_uris, t.desired_state, t.priority,
                   -- Rows of earlier versions may hold what RFC 3339 cannot write, and what no limit was meant by.
                   CASE WHEN t.not_before >= '0001-01-01 00:00:00+00' THEN t.not_before END AS not_before,
                   t.labels::text AS "labels!""#,
                r"
             ORDER BY t.external_id
             LIMIT $26"
            ),
            &Conditions::of(filter),
            after,
            i64::from(limit)
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// How many tenants match.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        count(&self.connections, filter, "").await
    }

    /// Whether a tenant matches.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn matches(&self, filter: &Filter, external_id: &str) -> Result<bool, StoreError> {
        Ok(!among(&self.connections, filter, &[external_id.to_owned()]).await?.is_empty())
    }

    /// The first `limit` keys of those who match, behind a key and in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn keys(&self, filter: &Filter, after: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        keys(&self.connections, filter, after, limit).await
    }
}

/// How many match behind a key, in a transaction or alone.
pub(super) async fn count<'c>(
    executor: impl PgExecutor<'c>,
    filter: &Filter,
    after: &str,
) -> Result<u64, StoreError> {
    let counted = matching!(
        query_scalar!(
            r#"
            -- status.count
            SELECT count(*) AS "count!""#,
            ""
        ),
        &Conditions::of(filter),
        after
    )
    .fetch_one(executor)
    .await?;
    Ok(u64::try_from(counted).unwrap_or_default())
}

/// Which of these keys match.
pub(super) async fn among<'c>(
    executor: impl PgExecutor<'c>,
    filter: &Filter,
    keys: &[String],
) -> Result<Vec<String>, StoreError> {
    Ok(matching!(
        query_scalar!(
            r"
            -- status.among
            SELECT t.external_id",
            r"
               AND t.external_id = ANY ($26)"
        ),
        &Conditions::of(filter),
        "",
        keys
    )
    .fetch_all(executor)
    .await?)
}

/// [`Store::keys`], in a transaction or alone.
pub(super) async fn keys<'c>(
    executor: impl PgExecutor<'c>,
    filter: &Filter,
    after: &str,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    Ok(matching!(
        query_scalar!(
            r"
            -- status.keys
            SELECT t.external_id",
            r"
             ORDER BY t.external_id
             LIMIT $26"
        ),
        &Conditions::of(filter),
        after,
        i64::from(limit)
    )
    .fetch_all(executor)
    .await?)
}
