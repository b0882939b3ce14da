//! A retry of all who are parked for one reason: first it is asked, and then it is done once.
//!
//! The rule: **what is done is what was shown**, to as many as were counted, for a reason that
//! somebody gave. Whoever comes here with a form may act, and a page of ours sent it
//! ([`super::guard::acts`]); here its mark is asked for.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::Markup;
use serde_json::Value;

use super::confirm::Confirmation;
use super::form::{form, parameter};
use super::frame::{Frame, Here};
use super::guard;
use super::guest::Guest;
use super::state::Page;
use super::trouble::{self, Answered, Trouble};
use crate::api::{name_of, over_http};
use crate::domain::digest;
use crate::domain::filter::{Filter, Term};
use crate::domain::reason::ParkReason;
use crate::domain::why::{EXPECTED, why};
use crate::http::is_same;
use crate::postgres::StoreError;
use crate::postgres::operator::orders::{Carried, Matching, Order, Whom};
use crate::postgres::operator::pauses::End;
use crate::postgres::operator::verbs::{Task, Verb};

pub(super) async fn confirm_retry(
    State(page): State<Page>,
    Extension(guest): Extension<Guest>,
    OriginalUri(uri): OriginalUri,
    path: Result<Path<String>, PathRejection>,
) -> Answered {
    let Ok(Path(reason)) = path else { return Err(trouble::nowhere(uri.path()).told_to(&guest)) };
    let content = asked_to_confirm(&page, &guest, &reason, &uri, false).await?;
    Ok(Frame::inside("Retry", Here::Attention, &guest, None).answer(&content))
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
    Ok(Confirmation { reason, tenants: counted, counted_at, guest, sign_in: &back, differs }.content())
}

/// Who is parked for this; `None` where nobody can be.
fn parked_for(reason: &str) -> Option<Filter> {
    let known = ParkReason::parse(reason)?;
    Some(Filter::default().and(Term::reason(known.as_str())).and(Term::parked(true)))
}

pub(super) async fn retry(
    State(page): State<Page>,
    Extension(guest): Extension<Guest>,
    OriginalUri(uri): OriginalUri,
    path: Result<Path<String>, PathRejection>,
    body: Body,
) -> Answered {
    let Ok(Path(reason)) = path else { return Err(trouble::nowhere(uri.path()).told_to(&guest)) };
    let form = form(body).await.map_err(|trouble| trouble.told_to(&guest))?;
    let field = |name| parameter(Some(&form), name).unwrap_or_default();
    let mark = field("form");
    if !guard::is_of(&guest, &mark) {
        return Err(trouble::forged().told_to(&guest));
    }
    let bad = |said: &str| trouble::bad_request(said).told_to(&guest);
    let filter = parked_for(&reason).ok_or_else(|| bad("There is no such reason to be parked for."))?;
    let expect = field("expect").parse().map_err(|_| bad("The form does not say how many were counted."))?;
    let because = why(&field("reason"));
    let because = because.ok_or_else(|| bad(&format!("Say why, in {EXPECTED}: nothing was done.")))?;
    let asked = Retry { filter: &filter, expect, why: &because, by: name_of(guest.name.as_deref()) };
    // The same form sent twice is the same request; another one counts anew.
    let key = format!("page-{}", URL_SAFE_NO_PAD.encode(digest::of(&[&mark, &reason, &field("counted_at")])));
    let carried = asked.carry_out(&page, &key).await;
    match carried.map_err(|error| Trouble::from(error).may_be_done().told_to(&guest))? {
        Carried::Out(deeds) => Ok(Redirect::to(&Told::of(&deeds).path(&mark)).into_response()),
        Carried::Differs(_) => {
            let content = asked_to_confirm(&page, &guest, &reason, &uri, true).await?;
            let page = Frame::inside("Retry", Here::Attention, &guest, None).answer(&content);
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
        let by = over_http(self.by);
        let request = digest::of(&[&self.filter.to_string(), &self.expect.to_string(), self.why, self.by]);
        let matching =
            Matching { filter: self.filter, after: "", expect: self.expect, cursor: str::to_owned };
        let task = Task { verb: Verb::Retry, end: End::Open, reason: self.why, by: &by };
        let store = page.store().await?;
        let now = store.now().await?;
        store.carry_out(&Order { key, request, whom: Whom::All(&matching), task, now }).await
    }
}

/// What is told of a retry behind the redirect that it is answered with. Only the session that
/// asked for it is told, so that no link says what was never done.
pub(super) struct Told {
    /// So many were.
    pub(super) retried: u32,
    /// So many were left.
    pub(super) left: u32,
}

impl Told {
    fn of(deeds: &Value) -> Self {
        let number = |name| deeds.get(name).and_then(Value::as_u64).unwrap_or_default();
        let number = |name| u32::try_from(number(name)).unwrap_or(u32::MAX);
        Self { retried: number("done"), left: number("left") }
    }

    /// Where it is told.
    fn path(&self, form: &str) -> String {
        let Self { retried, left } = self;
        format!("/status/attention?retried={retried}&left={left}&told={}", self.mark(form))
    }

    /// What the address says, where this session was sent there.
    pub(super) fn read(guest: &Guest, query: Option<&str>) -> Option<Self> {
        let number = |name| parameter(query, name)?.parse().ok();
        let told = Self { retried: number("retried")?, left: number("left")? };
        let mark = told.mark(guest.form.as_deref()?);
        is_same(&mark, &parameter(query, "told")?).then_some(told)
    }

    fn mark(&self, form: &str) -> String {
        let parts = ["told", form, &self.retried.to_string(), &self.left.to_string()];
        URL_SAFE_NO_PAD.encode(digest::of(&parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_told_to_the_session_that_it_is_of_and_as_it_was() {
        let guest = |form: &str| Guest { form: Some(form.to_owned()), ..Guest::default() };
        let path = Told { retried: 7, left: 2 }.path("mark");
        let read =
            |guest: &Guest, path: &str| Told::read(guest, path.split_once('?').map(|(_, query)| query));

        let told = read(&guest("mark"), &path).unwrap();

        assert_eq!((told.retried, told.left), (7, 2));
        for (guest, path) in [
            (guest("another"), path.as_str()),
            (Guest::default(), &path),
            (guest("mark"), &path.replace("=7", "=8")),
            (guest("mark"), "/status/attention?retried=7&left=2"),
            (guest("mark"), "/status/attention?retried=7&left=2&told="),
        ] {
            assert!(read(&guest, path).is_none(), "{path}");
        }
    }
}
