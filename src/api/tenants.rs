//! The pages of tenants: a page of the list, and one tenant with all that is known of it.
//!
//! The rule: a list is in the order of the keys, and a page begins behind the last key of
//! the page before. So no tenant is told twice or passed by, whoever comes or goes meanwhile.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::problem::{Answered, Details, Problem};
use super::query::Query;
use super::reply::json;
use super::state::Api;
use crate::answers::attempts::Attempt;
use crate::answers::explanation::Explanation;
use crate::answers::tenants::Shown;
use crate::domain::ids::TenantId;
use crate::postgres::operator::tenants::Status;

/// Tenants of a page where nobody says how many.
const PAGE: u32 = 100;
/// Most tenants of a page.
const LARGEST_PAGE: u32 = 500;
/// About how many bytes a page has at most: it is held until its reader has it.
const PAGE_BYTES: usize = 1024 * 1024;
/// Attempts of a tenant where nobody says how many.
const ATTEMPTS: u32 = 20;
/// Most attempts of a tenant.
const MOST_ATTEMPTS: u32 = 1000;

/// A page of tenants, in the order of `external_id`.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    /// The tenants.
    tenants: Vec<Status>,
    /// What to give as `cursor` for the next page; none on the last one.
    next_cursor: Option<String>,
}

/// A tenant with all that is known of it.
#[derive(Serialize, ToSchema)]
pub(super) struct Known {
    #[serde(flatten)]
    shown: Shown,
    /// What is next, and what keeps it: `tenantd tenant explain`.
    explanation: Explanation,
}

/// Which tenants a page has.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read one by one, so that each fault is told by name")]
pub(super) struct ListQuery {
    /// Only tenants that match this filter: `phase:creating -label.team:a since:15m`. `docs/api.md` has the language.
    #[param(required = false, max_length = 1000, example = "phase:creating,created since:15m")]
    filter: String,
    /// Most tenants of the page.
    #[param(required = false, minimum = 1, maximum = 500)]
    limit: u32,
    /// Where the page begins: `next_cursor` of the page before.
    #[param(required = false, min_length = 1, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: String,
}

/// A page of tenants, in the order of their `external_id`.
#[utoipa::path(get, path = "/tenants", tag = "tenants", params(ListQuery), responses(
    (status = 200, body = Page),
    (status = "default", body = Details, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(api): State<Api>, uri: Uri) -> Answered {
    let mut query = Query::of(&uri);
    let filter = query.filter()?;
    let after = query.text("cursor")?.map(|cursor| place(&cursor)).transpose()?.unwrap_or_default();
    let limit = query.number("limit", LARGEST_PAGE)?.unwrap_or(PAGE);
    query.end()?;
    // One more than is shown tells whether there are more.
    let mut tenants = api.store().await?.list(&filter, &after, limit + 1).await?;
    let fit = fitting(&tenants).min(usize::try_from(limit).unwrap_or(usize::MAX));
    let is_cut = tenants.len() > fit;
    tenants.truncate(fit);
    let last = tenants.last().filter(|_| is_cut);
    let next_cursor = last.map(|last| cursor(&last.external_id));
    Ok(json(&Page { tenants, next_cursor }))
}

/// How many of them a page has room for: one at least.
fn fitting(tenants: &[Status]) -> usize {
    let bytes = |tenant: &Status| serde_json::to_vec(tenant).map_or(0, |written| written.len());
    let sizes = tenants.iter().map(bytes).scan(0, |sum, size| {
        *sum += size;
        Some(*sum)
    });
    sizes.take_while(|sum| *sum <= PAGE_BYTES).count().max(1)
}

/// A key as the place behind which a page begins.
pub(super) fn cursor(external_id: &str) -> String {
    URL_SAFE_NO_PAD.encode(external_id)
}

/// The key behind which a page begins.
pub(super) fn place(cursor: &str) -> Result<String, Problem> {
    let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.filter(|key| !key.is_empty() && !key.contains('\0')).ok_or_else(|| {
        Problem::bad("cursor", "is none of ours", "the next_cursor of another page, as it was given")
    })
}

/// One tenant: where it stands, what is next, what keeps it, and what was tried.
#[utoipa::path(get, path = "/tenants/{external_id}", tag = "tenants", params(
    ("external_id" = String, Path, description = "The pipeline's key, percent-encoded.", example = "customer-1"),
    ("attempts" = Option<u32>, Query, description = "Most attempts to tell, the last ones.", minimum = 1, maximum = 1000),
), responses(
    (status = 200, body = Known),
    (status = "default", body = Details, content_type = "application/problem+json"),
))]
pub(super) async fn one(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answered {
    let external_id = key(path)?;
    let mut query = Query::of(&uri);
    let attempts = query.number("attempts", MOST_ATTEMPTS)?.unwrap_or(ATTEMPTS);
    query.end()?;
    let store = api.store().await?;
    let unknown = || Problem::unknown_tenant(&external_id);
    let status = store.status(&external_id).await?.ok_or_else(unknown)?;
    // Its row may be deleted meanwhile.
    let given = api.0.given();
    let explained = Explanation::of(&status, &given.terms, &given.bounds, store).await?;
    let explanation = explained.ok_or_else(unknown)?;
    let past = store.history(TenantId(status.tenant_id), attempts).await?;
    let attempts = past.into_iter().map(Attempt::from).collect();
    let spent = store.spent(TenantId(status.tenant_id)).await?;
    Ok(json(&Known { shown: Shown::new(status, &spent, attempts), explanation }))
}

/// The key in a path.
fn key(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    match path {
        Ok(Path(key)) => storable_key(key),
        Err(_) => Err(Problem::bad("external_id", "is no text", "UTF-8, percent-encoded")),
    }
}

/// What no row can hold, no row has.
pub(super) fn storable_key(key: String) -> Result<String, Problem> {
    if key.contains('\0') { Err(Problem::unknown_tenant(&key)) } else { Ok(key) }
}
