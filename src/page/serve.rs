//! What is asked for each page, and how it is answered: of the pages that only tell.
//!
//! The rule: a page asks the store what it needs and nothing else, on the few connections and
//! in the room of the API.

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{OriginalUri, Path, State};
use axum::http::Uri;

use super::attention;
use super::calendar as days;
use super::form::parameter;
use super::frame::{Frame, Here};
use super::guest::Guest;
use super::overview as glance;
use super::retries::Told;
use super::state::Page;
use super::tenant as one;
use super::tenants as list;
use super::trouble::{self, Answered, Trouble};
use crate::answers::attempts::Attempt;
use crate::answers::attention::Attention;
use crate::answers::calendar::Calendar;
use crate::answers::explanation::Explanation;
use crate::answers::overview::Overview;
use crate::answers::tenants::time_to_ready;
use crate::domain::filter::Filter;
use crate::domain::ids::TenantId;
use crate::domain::text::plain;
use crate::postgres::{Store, StoreError};

/// Tenants of a page.
const PAGE: u32 = 50;
/// Attempts of a tenant that are told, folded.
const ATTEMPTS: u32 = 500;

pub(super) async fn overview(State(page): State<Page>, Extension(guest): Extension<Guest>) -> Answered {
    let given = page.given();
    let asked = async { Overview::of(&given.bounds, page.store().await?).await };
    let overview = asked.await.map_err(|error| Trouble::from(error).told_to(&guest))?;
    let content = glance::content(&overview, given.reload.as_ref(), overview.read_at);
    Ok(Frame::inside("Overview", Here::Overview, &guest, Some(overview.read_at)).answer(&content))
}

pub(super) async fn attention(
    State(page): State<Page>,
    Extension(guest): Extension<Guest>,
    uri: Uri,
) -> Answered {
    let asked = async { Attention::of(page.store().await?).await };
    let attention = asked.await.map_err(|error| Trouble::from(error).told_to(&guest))?;
    let told = Told::read(&guest, uri.query()).map(|told| (told.retried.into(), told.left.into()));
    let content = attention::content(&attention, told, &guest, attention.read_at);
    Ok(Frame::inside("Needs attention", Here::Attention, &guest, Some(attention.read_at)).answer(&content))
}

pub(super) async fn calendar(State(page): State<Page>, Extension(guest): Extension<Guest>) -> Answered {
    let given = page.given();
    let asked = async { Calendar::of(given.rotate_every, &given.bounds, page.store().await?).await };
    let calendar = asked.await.map_err(|error| Trouble::from(error).told_to(&guest))?;
    let content = days::content(&calendar, calendar.read_at);
    Ok(Frame::inside("Calendar of rotations", Here::Calendar, &guest, Some(calendar.read_at))
        .answer(&content))
}

pub(super) async fn tenants(
    State(page): State<Page>,
    Extension(guest): Extension<Guest>,
    uri: Uri,
) -> Answered {
    let text = parameter(uri.query(), "filter").unwrap_or_default();
    let after = parameter(uri.query(), "after").unwrap_or_default();
    let read = Filter::parse(&text);
    let asked = async {
        let store = page.store().await?;
        let now = store.now().await?;
        // One more than is shown tells whether there are more.
        let tenants = match &read {
            Ok(filter) => store.list(filter, &after, PAGE + 1).await?,
            Err(_) => Vec::new(),
        };
        Ok((now, tenants))
    };
    let (now, mut tenants) = asked.await.map_err(|error: StoreError| Trouble::from(error).told_to(&guest))?;
    let is_cut = tenants.len() > PAGE as usize;
    tenants.truncate(PAGE as usize);
    let fault = read.as_ref().err();
    let listed = list::List { filter: &text, fault, after: &after, tenants: &tenants, is_cut };
    Ok(Frame::inside("Tenants", Here::Tenants, &guest, Some(now)).answer(&listed.content(now)))
}

pub(super) async fn tenant(
    State(page): State<Page>,
    Extension(guest): Extension<Guest>,
    path: Result<Path<String>, PathRejection>,
) -> Answered {
    let unknown = |key: &str| trouble::unknown_tenant(key).told_to(&guest);
    let Ok(Path(external_id)) = path else { return Err(unknown("\u{fffd}")) };
    // What no row can hold, no row has.
    if external_id.contains('\0') {
        return Err(unknown(&external_id));
    }
    let asked = async { known(&page, page.store().await?, &external_id).await };
    let known = asked.await.map_err(|error| Trouble::from(error).told_to(&guest))?;
    let known = known.ok_or_else(|| unknown(&external_id))?;
    let content = known.content(known.read_at);
    Ok(Frame::inside(&plain(&external_id), Here::Tenants, &guest, Some(known.read_at)).answer(&content))
}

/// `None` where there is no such tenant.
async fn known(page: &Page, store: &Store, external_id: &str) -> Result<Option<one::Known>, StoreError> {
    let given = page.given();
    let read_at = store.now().await?;
    let Some(status) = store.status(external_id).await? else { return Ok(None) };
    // Its row may be deleted meanwhile.
    let explained = Explanation::of(&status, &given.terms, &given.bounds, store).await?;
    let Some(explanation) = explained else { return Ok(None) };
    let id = TenantId(status.tenant_id);
    // One more than is told, the oldest, tells whether there are more.
    let past = store.history(id, ATTEMPTS + 1).await?;
    let blame = time_to_ready(&status, &store.spent(id).await?);
    let untold = past.len().saturating_sub(ATTEMPTS as usize);
    let is_cut = untold > 0;
    let attempts = past.into_iter().skip(untold).map(Attempt::from).collect();
    Ok(Some(one::Known { read_at, status, explanation, blame, attempts, is_cut }))
}

pub(super) async fn nowhere(Extension(guest): Extension<Guest>, OriginalUri(uri): OriginalUri) -> Trouble {
    trouble::nowhere(uri.path()).told_to(&guest)
}
