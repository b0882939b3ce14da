//! What cannot be shown, and why.
//!
//! The rule: a page says in one sentence what is so, and in another what to do; its status says
//! the same to programs.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::frame::{Frame, Here};
use super::guest::Guest;
use super::pieces::text;
use crate::api::Begun;
use crate::http::Refusal;
use crate::postgres::StoreError;

/// The page, or why there is none.
pub(super) type Answered = Result<Response, Trouble>;

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Trouble {
    status: StatusCode,
    title: &'static str,
    said: String,
    /// Something was asked for, and may be done all the same.
    may_be_done: bool,
    guest: Guest,
}

impl Trouble {
    fn new(status: StatusCode, title: &'static str, said: impl Into<String>) -> Self {
        Self { status, title, said: said.into(), may_be_done: false, guest: Guest::default() }
    }

    /// With who it is, so that the frame says so too.
    pub(super) fn told_to(mut self, guest: &Guest) -> Self {
        self.guest = guest.clone();
        self
    }

    /// Of what was to be done, when nobody knows how it ended.
    pub(super) fn may_be_done(mut self) -> Self {
        self.may_be_done = true;
        self
    }

    fn content(&self) -> Markup {
        html! {
            section .trouble {
                h1 { (self.title) }
                p { (text(&self.said)) }
                @if self.may_be_done {
                    p { "What you asked for may still be done. Send the same form again: it is done once, and the answer says how it ended." }
                }
                @if self.status == StatusCode::SERVICE_UNAVAILABLE {
                    p .quiet {
                        "Consumers keep the credentials they have meanwhile. "
                        a href="/readyz" { "/readyz" } " says more."
                    }
                }
                p { a href="/status" { "Overview" } }
            }
        }
    }
}

pub(super) fn nowhere(path: &str) -> Trouble {
    Trouble::new(StatusCode::NOT_FOUND, "There is no such page", format!("Nothing is at {path}."))
}

pub(super) fn unknown_tenant(external_id: &str) -> Trouble {
    let said = format!("No tenant has the external_id {external_id:?}. It may have been deleted meanwhile.");
    Trouble::new(StatusCode::NOT_FOUND, "There is no such tenant", said)
}

pub(super) fn bad_request(said: &str) -> Trouble {
    Trouble::new(StatusCode::BAD_REQUEST, "This cannot be asked", said)
}

pub(super) fn method_not_allowed() -> Trouble {
    let said = "This address takes another method.";
    Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "The page does not take this method", said)
}

/// The form is none of ours, or of a session that is over.
pub(super) fn forged() -> Trouble {
    let said = "The form was not sent by a page of this session: nothing was done. Open the page anew and send it again.";
    Trouble::new(StatusCode::FORBIDDEN, "This form is not taken", said)
}

pub(super) fn may_only_look() -> Trouble {
    let said = "Whoever acts signs in with the token of http.act_token_file: nothing was done.";
    Trouble::new(StatusCode::FORBIDDEN, "You may only look", said)
}

/// Another site's name may lead here.
pub(super) fn wrong_host() -> Trouble {
    let said = Refusal::WrongHost.sentence();
    Trouble::new(Refusal::WrongHost.status(), "This is asked under a name that is not ours", said)
}

pub(super) fn unreadable() -> Trouble {
    let said = "The file of a token cannot be read; the daemon's log says why.";
    Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "Nobody can be let in at present", said)
}

/// No answer came in time.
pub(super) fn late(seconds: u64, _: Begun) -> Response {
    too_late(seconds).into_response()
}

/// No answer came in time to whoever asked for something to be done.
pub(super) fn late_to_act(seconds: u64, begun: Begun) -> Response {
    match begun {
        Begun::Something => too_late(seconds).may_be_done().into_response(),
        Begun::Nothing => {
            let said = format!(
                "The form did not arrive within {seconds} s, or there was no room for it: nothing was done. Send it again."
            );
            Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "It took too long", said).into_response()
        }
    }
}

fn too_late(seconds: u64) -> Trouble {
    let said = format!(
        "There was no answer within {seconds} s. Too much is asked at once, or the database is slow."
    );
    Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "It took too long", said)
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        if error.is_outage() || error.is_contended() {
            tracing::debug!(%error, "the status page could not ask the database: {error}");
            let said =
                "So nothing can be told of tenants. The daemon goes on by itself when the database is back.";
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The database cannot be asked at present",
                said,
            );
        }
        tracing::warn!(%error, "the status page could not be made: {error}");
        let said = "The database refused what was asked; the daemon's log says why.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "It failed", said)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let frame = Frame::inside(self.title, Here::Elsewhere, &self.guest, None);
        let mut response = (self.status, frame.answer(&self.content())).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
