//! What is asked for each page, and how it is answered: all that is not pure.
//!
//! The rule: a page asks the store what it needs and nothing else, on the few connections and
//! in the room of the API.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{OriginalUri, Path, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use maud::Markup;
use sha2::{Digest, Sha256};

use super::frame::{Frame, Here};
use super::guard::{self, Guest};
use super::sign_in::SignIn;
use super::trouble::{self, Trouble};
use super::{attention as needs, calendar as days, overview as glance, tenant as one, tenants as list};
use crate::answers::attempts::Attempt;
use crate::answers::attention::Attention;
use crate::answers::calendar::Calendar;
use crate::answers::explanation::Explanation;
use crate::answers::overview::Overview;
use crate::answers::tenants::time_to_ready;
use crate::api::{Api, Room};
use crate::domain::filter::Filter;
use crate::domain::ids::TenantId;
use crate::domain::text::plain;
use crate::http::{Door, Refusal};
use crate::ports::Clock;
use crate::postgres::parked::RetryAll;
use crate::postgres::{Store, StoreError};

/// Tenants of a page.
const PAGE: u32 = 50;
/// Attempts of a tenant that are told, folded.
const ATTEMPTS: u32 = 500;
/// Largest form.
const MOST_BYTES: usize = 8 * 1024;
/// Longest reason of an act.
const MOST_CHARACTERS: usize = 500;
/// Who acts where the token has no name.
const NAMELESS: &str = "whoever has http.act_token_file";

/// What the pages are made from.
#[derive(Clone)]
pub struct Page(Arc<Parts>);

/// What [`Page`] is put together from.
pub struct Parts {
    /// Its store, its door, and room for answers.
    pub api: Api,
    /// For the age of sessions.
    pub clock: Box<dyn Clock>,
    /// The age at which secrets are renewed by themselves.
    pub rotate_every: Option<Duration>,
}

impl Page {
    /// Takes its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(super) fn door(&self) -> &Door {
        &self.0.api.parts().door
    }

    pub(super) fn room(&self) -> Room {
        self.0.api.room()
    }

    /// Since 1970.
    pub(super) fn seconds(&self) -> i64 {
        self.0.clock.now().timestamp()
    }

    async fn store(&self) -> Result<&Store, StoreError> {
        self.0.api.store().await
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page(..)")
    }
}

/// The page, or why there is none.
type Answered = Result<Response, Trouble>;

fn html(page: &Markup) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(CONTENT_TYPE, kind)], page.0.clone()).into_response()
}

fn shown(
    title: &str,
    here: Here,
    guest: &Guest,
    read_at: Option<DateTime<Utc>>,
    content: &Markup,
) -> Response {
    html(&Frame { title, here, guest, is_inside: true, read_at }.around(content))
}

pub(super) async fn overview(State(page): State<Page>, Extension(guest): Extension<Guest>) -> Answered {
    let asked = async { Overview::of(&page.0.api.parts().bounds, page.store().await?).await };
    let overview = asked.await.map_err(|error| Trouble::from(error).told_to(&guest))?;
    let content = glance::content(&overview, overview.read_at);
    Ok(shown("Overview", Here::Overview, &guest, Some(overview.read_at), &content))
}

pub(super) async fn attention(
    State(page): State<Page>,
    Extension(guest): Extension<Guest>,
    uri: Uri,
) -> Answered {
    let asked = async { Attention::of(page.store().await?).await };
    let attention = asked.await.map_err(|error| Trouble::from(error).told_to(&guest))?;
    let retried = parameter(uri.query(), "retried").and_then(|number| number.parse::<u32>().ok());
    let content = needs::content(&attention, retried.map(i64::from), &guest, attention.read_at);
    Ok(shown("Needs attention", Here::Attention, &guest, Some(attention.read_at), &content))
}

pub(super) async fn calendar(State(page): State<Page>, Extension(guest): Extension<Guest>) -> Answered {
    let bounds = &page.0.api.parts().bounds;
    let asked = async { Calendar::of(page.0.rotate_every, bounds, page.store().await?).await };
    let calendar = asked.await.map_err(|error| Trouble::from(error).told_to(&guest))?;
    let content = days::content(&calendar, calendar.read_at);
    Ok(shown("Calendar of rotations", Here::Calendar, &guest, Some(calendar.read_at), &content))
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
            Ok(filter) => store.list(&shim(filter, &after), PAGE + 1).await?,
            Err(_) => Vec::new(),
        };
        Ok((now, tenants))
    };
    let (now, mut tenants) = asked.await.map_err(|error: StoreError| Trouble::from(error).told_to(&guest))?;
    let is_cut = tenants.len() > PAGE as usize;
    tenants.truncate(PAGE as usize);
    let fault = read.as_ref().err();
    let listed = list::List { filter: &text, fault, after: &after, tenants: &tenants, is_cut };
    Ok(shown("Tenants", Here::Tenants, &guest, Some(now), &listed.content(now)))
}

fn shim(filter: &Filter, after: &str) -> crate::postgres::tenants::Filter {
    let mut old = crate::postgres::tenants::Filter { after: after.to_owned(), ..Default::default() };
    for term in filter.terms() {
        let said = term.to_string();
        let Some((key, value)) = said.split_once(':') else { continue };
        let value = value.trim_matches('"');
        match key {
            "phase" => old.phase = Some(value.to_owned()),
            "reason" => old.reason = Some(value.to_owned()),
            "region" => old.region = Some(value.to_owned()),
            "ready" => old.ready = Some(value == "yes"),
            "parked" => old.parked = Some(value == "yes"),
            _ => {}
        }
    }
    old
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
    Ok(shown(&plain(&external_id), Here::Tenants, &guest, Some(known.read_at), &content))
}

/// `None` where there is no such tenant.
async fn known(page: &Page, store: &Store, external_id: &str) -> Result<Option<one::Known>, StoreError> {
    let parts = page.0.api.parts();
    let read_at = store.now().await?;
    let Some(status) = store.status(external_id).await? else { return Ok(None) };
    // Its row may be deleted meanwhile.
    let explained = Explanation::of(&status, &parts.terms, &parts.bounds, store).await?;
    let Some(explanation) = explained else { return Ok(None) };
    let id = TenantId(status.tenant_id);
    let past = store.history(id, ATTEMPTS).await?;
    let blame = time_to_ready(&status, &store.spent(id).await?);
    let is_cut = past.len() == ATTEMPTS as usize;
    let attempts = past.into_iter().map(Attempt::from).collect();
    Ok(Some(one::Known { read_at, status, explanation, blame, attempts, is_cut }))
}

pub(super) async fn confirm_retry(
    State(page): State<Page>,
    Extension(guest): Extension<Guest>,
    Path(reason): Path<String>,
    OriginalUri(uri): OriginalUri,
) -> Answered {
    let asked = async { Attention::of(page.store().await?).await };
    let attention = asked.await.map_err(|error| Trouble::from(error).told_to(&guest))?;
    let group = attention.groups.iter().find(|group| group.reason == reason);
    let back = guard::sign_in(&uri);
    let content = needs::confirm(&reason, group, attention.read_at, &guest, &back);
    Ok(shown("Retry", Here::Attention, &guest, None, &content))
}

pub(super) async fn retry(
    State(page): State<Page>,
    Extension(guest): Extension<Guest>,
    Path(reason): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let form = form(body).await.map_err(|trouble| trouble.told_to(&guest))?;
    let field = |name| parameter(Some(&form), name).unwrap_or_default();
    let mark = field("form");
    if !guard::is_from_here(&headers) || !guard::is_of(&guest, &mark) {
        return Err(trouble::forged().told_to(&guest));
    }
    if !guest.may_act {
        return Err(trouble::may_only_look().told_to(&guest));
    }
    let bad = |said| trouble::bad_request(said).told_to(&guest);
    let counted_at =
        field("counted_at").parse().map_err(|_| bad("The form does not say when was counted."))?;
    let why = plain(field("reason").trim());
    if why.is_empty() || why.chars().count() > MOST_CHARACTERS {
        return Err(bad("Say why, in 1 to 500 characters: nothing was done."));
    }
    let by = guest.name.as_deref().unwrap_or(NAMELESS);
    // The same form sent twice is the same request; another one counts anew.
    let key = format!("page-{}", URL_SAFE_NO_PAD.encode(digest(&[&mark, &reason, &field("counted_at")])));
    let request = digest(&[&reason, &field("counted_at"), &why, by]);
    let order = RetryAll { key: &key, request, parked_reason: &reason, counted_at, reason: &why, by };
    let done = async { page.store().await?.retry_all(&order).await };
    let retried = done.await.map_err(|error| Trouble::from(error).told_to(&guest))?;
    let retried =
        retried.ok_or_else(|| bad("This form was sent before with another reason. Open it anew."))?;
    Ok(Redirect::to(&format!("/status/attention?retried={retried}")).into_response())
}

pub(super) async fn nowhere(Extension(guest): Extension<Guest>, OriginalUri(uri): OriginalUri) -> Trouble {
    trouble::nowhere(uri.path()).told_to(&guest)
}

pub(super) async fn sign_in(State(page): State<Page>, headers: HeaderMap, uri: Uri) -> Response {
    let next = parameter(uri.query(), "next");
    let guest = guard::guest(&page, &headers).await.unwrap_or_default();
    let is_in = guest.form.is_some() && (guest.may_act || parameter(uri.query(), "act").is_none());
    if is_in {
        return Redirect::to(guard::ours(next.as_deref())).into_response();
    }
    ask_token(&page, &headers, next.as_deref(), StatusCode::OK)
}

fn ask_token(page: &Page, headers: &HeaderMap, next: Option<&str>, status: StatusCode) -> Response {
    let content = SignIn {
        next: guard::ours(next),
        is_refused: status != StatusCode::OK,
        anybody_looks: page.door().looks.is_none(),
        needs_tls: !guard::is_on_this_machine(headers),
    }
    .content();
    let frame = Frame {
        title: "Sign in",
        here: Here::Elsewhere,
        guest: &Guest::default(),
        is_inside: page.door().looks.is_none(),
        read_at: None,
    };
    (status, html(&frame.around(&content))).into_response()
}

pub(super) async fn open_session(State(page): State<Page>, headers: HeaderMap, body: Body) -> Answered {
    let form = form(body).await?;
    if !guard::is_from_here(&headers) {
        return Err(trouble::forged());
    }
    let next = parameter(Some(&form), "next");
    let token = parameter(Some(&form), "token").unwrap_or_default();
    let until = page.seconds().saturating_add(guard::LASTS);
    match page.door().open_session(token.trim(), until).await {
        Ok(session) => Ok(moved(guard::ours(next.as_deref()), &guard::keep(Some(&session), &headers))),
        Err(Refusal::Unreadable) => Err(trouble::unreadable()),
        Err(Refusal::Unknown | Refusal::MayOnlyLook | Refusal::NobodyActs) => {
            Ok(ask_token(&page, &headers, next.as_deref(), StatusCode::FORBIDDEN))
        }
    }
}

pub(super) async fn close_session(State(page): State<Page>, headers: HeaderMap, body: Body) -> Answered {
    let form = form(body).await?;
    let guest = guard::guest(&page, &headers).await.unwrap_or_default();
    let mark = parameter(Some(&form), "form").unwrap_or_default();
    if !guard::is_from_here(&headers) || guest.form.is_some() && !guard::is_of(&guest, &mark) {
        return Err(trouble::forged());
    }
    Ok(moved("/status/sign-in", &guard::keep(None, &headers)))
}

/// Goes on there, with this cookie.
fn moved(to: &str, cookie: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    for (name, value) in [(LOCATION, to), (SET_COOKIE, cookie)] {
        // Both are made of visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The form of a request.
async fn form(body: Body) -> Result<String, Trouble> {
    let bytes =
        to_bytes(body, MOST_BYTES).await.map_err(|_| trouble::bad_request("The form is too large."))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| trouble::bad_request("The form is no text."))
}

/// A parameter of a query or a form. What no row can hold is none.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.replace('\0', ""))
}

/// Parts of any length, told apart.
fn digest(parts: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}
