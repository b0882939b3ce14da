//! What is asked for each page, and how it is answered: all that is not pure.
//!
//! The rule: a page asks the store what it needs and nothing else, on the few connections and
//! in the room of the API.

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

use super::attention as needs;
use super::calendar as days;
use super::frame::{Frame, Here};
use super::guard;
use super::guest::Guest;
use super::overview as glance;
use super::sign_in::SignIn;
use super::state::Page;
use super::tenant as one;
use super::tenants as list;
use super::trouble::{self, Trouble};
use crate::answers::attempts::Attempt;
use crate::answers::attention::Attention;
use crate::answers::calendar::Calendar;
use crate::answers::explanation::Explanation;
use crate::answers::overview::Overview;
use crate::answers::tenants::time_to_ready;
use crate::domain::filter::{Filter, Term};
use crate::domain::ids::TenantId;
use crate::domain::reason::ParkReason;
use crate::domain::text::plain;
use crate::http::Refusal;
use crate::postgres::operator::orders::{Carried, Matching, Order, Whom};
use crate::postgres::operator::pauses::End;
use crate::postgres::operator::verbs::{Task, Verb};
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
    let asked = async { Overview::of(&page.parts().bounds, page.store().await?).await };
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
    let number = |name| parameter(uri.query(), name).and_then(|number| number.parse::<u32>().ok());
    let told = number("retried").map(|retried| (retried.into(), number("left").unwrap_or_default().into()));
    let content = needs::content(&attention, told, &guest, attention.read_at);
    Ok(shown("Needs attention", Here::Attention, &guest, Some(attention.read_at), &content))
}

pub(super) async fn calendar(State(page): State<Page>, Extension(guest): Extension<Guest>) -> Answered {
    let bounds = &page.parts().bounds;
    let asked = async { Calendar::of(page.rotate_every(), bounds, page.store().await?).await };
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
    Ok(shown("Tenants", Here::Tenants, &guest, Some(now), &listed.content(now)))
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
    let parts = page.parts();
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
    let content = asked_to_confirm(&page, &guest, &reason, &uri, false).await?;
    Ok(shown("Retry", Here::Attention, &guest, None, &content))
}

async fn asked_to_confirm(
    page: &Page,
    guest: &Guest,
    reason: &str,
    uri: &Uri,
    differs: bool,
) -> Result<Markup, Trouble> {
    let asked = async {
        let store = page.store().await?;
        let counted = match parked_for(reason) {
            Some(filter) => store.count(&filter).await?,
            None => 0,
        };
        Ok((store.now().await?, counted))
    };
    let (counted_at, counted) =
        asked.await.map_err(|error: StoreError| Trouble::from(error).told_to(guest))?;
    let back = guard::sign_in(uri);
    Ok(needs::Retry { reason, tenants: counted, counted_at, guest, sign_in: &back, differs }.content())
}

/// Who is parked for this; `None` where nobody can be.
fn parked_for(reason: &str) -> Option<Filter> {
    let known = ParkReason::ALL.into_iter().find(|known| known.as_str() == reason)?;
    Some(Filter::default().and(Term::reason(known.as_str())).and(Term::parked(true)))
}

pub(super) async fn retry(
    State(page): State<Page>,
    Extension(guest): Extension<Guest>,
    Path(reason): Path<String>,
    OriginalUri(uri): OriginalUri,
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
    let filter = parked_for(&reason).ok_or_else(|| bad("There is no such reason to be parked for."))?;
    let expect = field("expect").parse().map_err(|_| bad("The form does not say how many were counted."))?;
    let why = plain(field("reason").trim());
    if why.is_empty() || why.chars().count() > MOST_CHARACTERS {
        return Err(bad("Say why, in 1 to 500 characters: nothing was done."));
    }
    let asked = Retry { filter: &filter, expect, why: &why, by: guest.name.as_deref().unwrap_or(NAMELESS) };
    // The same form sent twice is the same request; another one counts anew.
    let key = format!("page-{}", URL_SAFE_NO_PAD.encode(digest(&[&mark, &reason, &field("counted_at")])));
    match asked.carry_out(&page, &key).await.map_err(|error| Trouble::from(error).told_to(&guest))? {
        Carried::Out(told) => {
            let number = |name: &str| told.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
            let to = format!("/status/attention?retried={}&left={}", number("done"), number("left"));
            Ok(Redirect::to(&to).into_response())
        }
        Carried::Differs(_) => {
            let content = asked_to_confirm(&page, &guest, &reason, &uri, true).await?;
            let page = shown("Retry", Here::Attention, &guest, None, &content);
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Carried::OtherRequest => Err(bad("This form was sent before with other words. Open it anew.")),
        Carried::UnknownTenant | Carried::Past | Carried::Impossible(_) => {
            Err(bad("It cannot be done: nothing was."))
        }
    }
}

/// A retry of all who match.
struct Retry<'a> {
    filter: &'a Filter,
    /// So many were counted.
    expect: u64,
    why: &'a str,
    by: &'a str,
}

impl Retry<'_> {
    async fn carry_out(&self, page: &Page, key: &str) -> Result<Carried, StoreError> {
        let by = format!("{} over HTTP", self.by);
        let request = digest(&[&self.filter.to_string(), &self.expect.to_string(), self.why, self.by]);
        let matching =
            Matching { filter: self.filter, after: "", expect: self.expect, cursor: str::to_owned };
        let task = Task { verb: Verb::Retry, end: End::Open, reason: self.why, by: &by };
        let store = page.store().await?;
        let now = store.now().await?;
        store.carry_out(&Order { key, request, whom: Whom::All(&matching), task, now }).await
    }
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
        Err(Refusal::WrongHost) => Err(trouble::wrong_host()),
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
