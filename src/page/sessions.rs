//! How a browser comes in with a token, and goes.
//!
//! The rule: whether a page of ours sent it is asked before anything is read of a form.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};

use super::form::{form, parameter};
use super::frame::{Frame, Here};
use super::guard;
use super::guest::Guest;
use super::sign_in::{Because, SignIn};
use super::state::Page;
use super::trouble::{self, Answered};
use crate::http::Refusal;

pub(super) async fn sign_in(State(page): State<Page>, headers: HeaderMap, uri: Uri) -> Response {
    let next = parameter(uri.query(), "next");
    let wants_to_act = parameter(uri.query(), "act").is_some();
    let guest = guard::guest(&page, &headers).await.unwrap_or_default();
    let is_in = guest.form.is_some() && (guest.may_act || !wants_to_act);
    if is_in {
        return Redirect::to(guard::ours(next.as_deref())).into_response();
    }
    let because = if wants_to_act { Because::ToAct } else { Because::NoSession };
    ask_token(&page, &headers, next.as_deref(), because)
}

fn ask_token(page: &Page, headers: &HeaderMap, next: Option<&str>, because: Because) -> Response {
    let anybody_looks = page.door().looks.is_none();
    let needs_tls = !guard::travels_in_the_clear(headers);
    let content = SignIn { next: guard::ours(next), because, anybody_looks, needs_tls }.content();
    let frame = Frame {
        title: "Sign in",
        here: Here::Elsewhere,
        guest: &Guest::default(),
        is_inside: anybody_looks,
        read_at: None,
    };
    let status = if because == Because::Refused { StatusCode::FORBIDDEN } else { StatusCode::OK };
    (status, frame.answer(&content)).into_response()
}

pub(super) async fn open_session(State(page): State<Page>, headers: HeaderMap, body: Body) -> Answered {
    if !guard::is_from_here(&headers) {
        return Err(trouble::forged());
    }
    let form = form(body).await?;
    let next = parameter(Some(&form), "next");
    let token = parameter(Some(&form), "token").unwrap_or_default();
    let until = page.seconds().saturating_add(guard::LASTS);
    match page.door().open_session(token.trim(), until).await {
        Ok(session) => Ok(moved(guard::ours(next.as_deref()), &guard::keep(Some(&session), &headers))),
        Err(Refusal::Unreadable) => Err(trouble::unreadable()),
        Err(Refusal::WrongHost) => Err(trouble::wrong_host()),
        Err(Refusal::Unknown | Refusal::MayOnlyLook | Refusal::NobodyActs) => {
            Ok(ask_token(&page, &headers, next.as_deref(), Because::Refused))
        }
    }
}

pub(super) async fn close_session(State(page): State<Page>, headers: HeaderMap, body: Body) -> Answered {
    if !guard::is_from_here(&headers) {
        return Err(trouble::forged());
    }
    let form = form(body).await?;
    let guest = guard::guest(&page, &headers).await.unwrap_or_default();
    let mark = parameter(Some(&form), "form").unwrap_or_default();
    if guest.form.is_some() && !guard::is_of(&guest, &mark) {
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
