//! A filter as conditions of a statement: who matches, a page of them, and how many.
//!
//! The rules: nothing of a filter is pasted into SQL, **its values travel as parameters**; what a
//! filter means is written once (`matching`), for lists, counts and verbs. Each statement is
//! planned for its own values, so that conditions that are not asked for cost nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::tenants::{Status, Wanting};
use crate::domain::choices::{REMOVED, is_of_parked_alone};
use crate::domain::filter::{About, Filter, Since, Wanted};
use crate::domain::phase::Phase;
use crate::postgres::{Store, StoreError, interval};

/// Longest number that a label is compared with; `numeric` holds far more.
const MOST_FIGURES: usize = 310;

/// Of one column: which values may be, where some are asked for, and which may not.
#[derive(Debug, Default)]
struct Choice {
    any_of: Option<Vec<String>>,
    none_of: Vec<String>,
}

/// Words of which each must stand at the beginning of a key or a host: those of the first term,
/// those of the others with the number of their term, and those that must not.
#[derive(Debug, Default)]
struct Words {
    first: Option<Vec<String>>,
    others: (Vec<i32>, Vec<String>),
    none_of: Vec<String>,
}

/// What must hold of a tenant, in values of SQL.
#[derive(Debug, Default)]
struct Conditions {
    phase: Choice,
    reason: Choice,
    region: Choice,
    host: Choice,
    profile: Choice,
    ready: Option<bool>,
    parked: Option<bool>,
    paused: Option<bool>,
    /// At least so long, and since then at the latest; and not.
    longer: (Option<Duration>, Option<DateTime<Utc>>),
    shorter: (Option<Duration>, Option<DateTime<Utc>>),
    labels: Labels,
    words: Words,
    /// Two terms contradict each other.
    is_nobody: bool,
}

/// Conditions on labels as paths of SQL/JSON: of all that must hold, and of any that must not.
#[derive(Debug, Default)]
struct Labels {
    all_of: Option<String>,
    none_of: Option<String>,
}

impl Choice {
    fn take(&mut self, is_negated: bool, values: impl IntoIterator<Item = impl Into<String>>) {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        if is_negated {
            self.none_of.append(&mut values);
        } else {
            match &mut self.any_of {
                Some(known) => known.retain(|value| values.contains(value)),
                None => self.any_of = Some(values),
            }
        }
    }

    /// Whether a value may be at all.
    fn allows(&self, value: &str) -> bool {
        let is_among = |all: &Vec<String>| all.iter().any(|one| one == value);
        self.any_of.as_ref().is_none_or(is_among) && !is_among(&self.none_of)
    }

    /// Whether no value but this may be.
    fn is_only(&self, value: &str) -> bool {
        self.any_of.as_ref().is_some_and(|all| all.iter().all(|one| one == value))
    }
}

impl Words {
    fn take(&mut self, is_negated: bool, words: &[String]) {
        if is_negated {
            self.none_of.extend_from_slice(words);
        } else if self.first.is_none() {
            self.first = Some(words.to_vec());
        } else {
            let number = self.others.0.last().map_or(1, |last| last + 1);
            self.others.0.extend(words.iter().map(|_| number));
            self.others.1.extend_from_slice(words);
        }
    }
}

impl Labels {
    fn take(&mut self, is_negated: bool, key: &str, wanted: &[Wanted]) {
        let path = path(key, wanted);
        let (all, between) = if is_negated { (&mut self.none_of, "||") } else { (&mut self.all_of, "&&") };
        *all = Some(match all.take() {
            Some(before) => format!("{before} {between} {path}"),
            None => path,
        });
    }
}

/// That a label is one of these. A value that is no text is meant by what JSON writes for it.
fn path(key: &str, wanted: &[Wanted]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let key = quoted(key);
    let mut alternatives = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        match wanted {
            Wanted::Any => return format!("(exists($.{key}))"),
            Wanted::Text(text) => {
                alternatives.push(format!("@ == {}", quoted(text)));
                alternatives.extend(scalar(text).map(|scalar| format!("@ == {scalar}")));
            }
        }
    }
    // A filter expression is true or false, and never unknown.
    format!("(exists($.{key} ? ({})))", alternatives.join(" || "))
}

/// A number or a truth value that is written so, as a path writes it.
fn scalar(text: &str) -> Option<String> {
    match serde_json::from_str(text).ok()? {
        serde_json::Value::Bool(is) => Some(is.to_string()),
        // As it is typed, and not what it was rounded to. JSONB knows no exponents.
        serde_json::Value::Number(_) if text.len() <= MOST_FIGURES && !text.contains(['e', 'E']) => {
            Some(format!("({text})"))
        }
        serde_json::Value::Number(_)
        | serde_json::Value::Null
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    }
}

impl Conditions {
    fn of(filter: &Filter) -> Self {
        let mut conditions = Self::default();
        for term in filter.terms() {
            conditions.take(term.is_negated(), term.about());
        }
        let is_of_parked = |reasons: &Vec<String>| reasons.iter().all(|reason| is_of_parked_alone(reason));
        if conditions.reason.any_of.as_ref().is_some_and(is_of_parked) {
            // Which their index answers.
            conditions.is_nobody |= is_both(&mut conditions.parked, true);
        }
        conditions
    }

    fn take(&mut self, is_negated: bool, about: &About) {
        match about {
            About::Word(words) => self.words.take(is_negated, words),
            About::Phase(phases) => self.phase.take(is_negated, phases.iter().map(|phase| phase.as_str())),
            About::Reason(reasons) => self.reason.take(is_negated, reasons.iter().copied()),
            About::Region(regions) => self.region.take(is_negated, regions),
            About::Host(hosts) => self.host.take(is_negated, hosts),
            About::Profile(profiles) => self.profile.take(is_negated, profiles),
            About::Label(key, wanted) => self.labels.take(is_negated, key, wanted),
            About::Ready(is) => self.is_nobody |= is_both(&mut self.ready, *is),
            About::Parked(is) => self.is_nobody |= is_both(&mut self.parked, *is),
            About::Paused(is) => self.is_nobody |= is_both(&mut self.paused, *is),
            About::Since(since) => self.since(is_negated, *since),
        }
    }

    fn since(&mut self, is_negated: bool, since: Since) {
        match (is_negated, since) {
            (false, Since::For(of)) => self.longer.0 = self.longer.0.max(Some(of)),
            (false, Since::At(at)) => self.longer.1 = Some(self.longer.1.map_or(at, |known| known.min(at))),
            (true, Since::For(of)) => self.shorter.0 = Some(self.shorter.0.map_or(of, |known| known.min(of))),
            (true, Since::At(at)) => self.shorter.1 = self.shorter.1.max(Some(at)),
        }
    }

    /// Who can match at all: of those at rest, the ready have no reason and the removed only
    /// one of their own.
    fn among(&self) -> &'static str {
        if self.is_nobody {
            return "nobody";
        }
        let (ready, removed) = (Phase::Ready.as_str(), Phase::Removed.as_str());
        // Their index is in the order of the keys.
        if self.parked == Some(true) {
            return "all";
        }
        let may_be_ready =
            self.ready != Some(false) && self.reason.any_of.is_none() && self.phase.allows(ready);
        let may_be_removed =
            self.ready != Some(true) && self.phase.allows(removed) && self.reason.allows(REMOVED);
        match (may_be_ready, may_be_removed) {
            (true, _) => "all",
            (false, true) if self.phase.is_only(removed) || self.reason.is_only(REMOVED) => "absent",
            (false, true) => "not ready",
            (false, false) => "under way",
        }
    }
}

/// Whether both is asked for.
fn is_both(known: &mut Option<bool>, is: bool) -> bool {
    known.replace(is).is_some_and(|before| before != is)
}

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
        self.count_behind(filter, "").await
    }

    /// How many tenants match behind a key of the pipeline's.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn count_behind(&self, filter: &Filter, after: &str) -> Result<u64, StoreError> {
        count(&self.connections, filter, after).await
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
