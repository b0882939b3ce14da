//! Who is there: a browser with a session, a program with a token, or anybody where none is
//! asked for; and whether a form is one of ours.
//!
//! A browser shows a token once, in a form, and gets a cookie for it ([`crate::http::Entered`]).
//! HTTP Basic would need no form, but a browser sends it with every request from anywhere, keeps
//! one for both rights, and never forgets it.
//!
//! The rule: **a form changes something only if the page that sent it was ours** (the browser
//! says so), **it bears the mark of its own session**, and that session may act.

use axum::Extension;
use axum::extract::{OriginalUri, Request, State};
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::guest::{Guest, Looks};
use super::state::Page;
use super::trouble;
use crate::http::{Refusal, Right, STATUS, is_same, names_this_machine};

/// The cookie of a session.
const SESSION: &str = "tenantd_session";
/// How long a session lasts: a shift.
pub(super) const LASTS: i64 = 12 * 60 * 60;

/// Lets in who may look, and sends others to sign in.
pub(super) async fn looks(State(page): State<Page>, mut request: Request, next: Next) -> Response {
    let path =
        request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().clone(), |uri| uri.0.clone());
    match guest(&page, request.headers()).await {
        Ok(guest) => {
            request.extensions_mut().insert(guest);
            next.run(request).await
        }
        Err(Refusal::Unreadable) => trouble::unreadable().into_response(),
        Err(Refusal::WrongHost) => trouble::wrong_host().into_response(),
        Err(Refusal::Unknown | Refusal::MayOnlyLook | Refusal::NobodyActs) => {
            Redirect::to(&sign_in(&path)).into_response()
        }
    }
}

/// Lets in who may act, with a form that a page of ours sent: before anything of it is read, and
/// before it takes room. Whether the form bears the mark of its session is for whoever reads it.
pub(super) async fn acts(Extension(guest): Extension<Guest>, request: Request, next: Next) -> Response {
    if !is_from_here(request.headers()) {
        return trouble::forged().told_to(&guest).into_response();
    }
    if !guest.may_act {
        return trouble::may_only_look().told_to(&guest).into_response();
    }
    next.run(request).await
}

/// Whoever it is that asks.
pub(super) async fn guest(page: &Page, headers: &HeaderMap) -> Result<Guest, Refusal> {
    let door = page.door();
    let unknown = Guest {
        looks: if door.looks.is_none() { Looks::Anybody } else { Looks::Bearer },
        somebody_acts: door.acts.is_some(),
        ..Guest::default()
    };
    let cookies = sessions(headers);
    if !cookies.is_empty() {
        match door.admit_session(&cookies, page.seconds()).await {
            Ok(entered) => {
                return Ok(Guest {
                    name: entered.name,
                    may_act: entered.right == Right::Act,
                    form: Some(entered.form),
                    ..unknown
                });
            }
            Err(Refusal::Unknown | Refusal::MayOnlyLook | Refusal::NobodyActs | Refusal::WrongHost) => {}
            Err(Refusal::Unreadable) => return Err(Refusal::Unreadable),
        }
    }
    let visitor = door.admit(headers, Right::Look).await?;
    Ok(Guest { name: visitor.0, ..unknown })
}

/// Where one signs in, to come back here.
pub(super) fn sign_in(back: &Uri) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let back = back.path_and_query().map_or(STATUS, |back| back.as_str());
    format!("{STATUS}/sign-in?{}", query.append_pair("next", back).finish())
}

/// A page of ours to go to; anything else is the first.
pub(super) fn ours(next: Option<&str>) -> &str {
    let is_ours = |next: &&str| {
        let rest = next.strip_prefix(STATUS);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_ours).unwrap_or(STATUS)
}

/// Whether a page of ours sent this: a browser says where a form came from, in one way or the other.
pub(super) fn is_from_here(headers: &HeaderMap) -> bool {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = said("sec-fetch-site") {
        return site == "same-origin";
    }
    match (said(ORIGIN.as_str()).and_then(|origin| origin.split_once("://")), said(HOST.as_str())) {
        (Some((_, origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        (Some(_) | None, _) => false,
    }
}

/// Whether a form bears the mark of the session, compared in constant time.
pub(super) fn is_of(guest: &Guest, form: &str) -> bool {
    guest.form.as_deref().is_some_and(|known| is_same(known, form))
}

/// The line that has a browser keep a session, or without one forget it. It travels over TLS
/// only, but where the browser is on this very machine and came without it.
pub(super) fn keep(session: Option<&str>, headers: &HeaderMap) -> String {
    let secure = if travels_in_the_clear(headers) { "" } else { "; Secure" };
    let (value, age) = session.map_or(("", 0), |session| (session, LASTS));
    format!("{SESSION}={value}; Path={STATUS}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}

/// Whether the browser was told to go to this machine itself, and not over TLS: what stands before
/// the port may name it as it likes.
pub(super) fn travels_in_the_clear(headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_over_tls = origin.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https://"));
    names_this_machine(headers) && !is_over_tls
}

/// Every cookie of our name: another path or a host above may have set one too.
fn sessions(headers: &HeaderMap) -> Vec<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == SESSION).map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_from_elsewhere_is_none_of_ours() {
        for (pairs, is_ours) in [
            (&[("sec-fetch-site", "same-origin"), ("origin", "null"), ("host", "a")][..], true),
            (&[("sec-fetch-site", "same-site"), ("origin", "http://a"), ("host", "a")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")], false),
            (&[("sec-fetch-site", "none"), ("host", "a")], false),
            (&[("origin", "http://a:1"), ("host", "a:1")], true),
            (&[("origin", "http://a:2"), ("host", "a:1")], false),
            (&[("origin", "null"), ("host", "a:1")], false),
            (&[("host", "a:1")], false),
        ] {
            assert_eq!(is_from_here(&headers(pairs)), is_ours, "{pairs:?}");
        }
    }

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        for next in ["/status", "/status/tenants?filter=a%20b", "/status?a"] {
            assert_eq!(ours(Some(next)), next);
        }
        for next in
            ["", "//evil", "/\\evil", "https://evil", "/statusx", "/status/\\x", "/status/a\nb", "/api"]
        {
            assert_eq!(ours(Some(next)), STATUS, "{next:?}");
        }
        assert_eq!(ours(None), STATUS);
    }

    #[test]
    fn a_session_travels_in_the_clear_on_this_machine_only() {
        for host in ["127.0.0.1:9464", "localhost", "LocalHost:80", "[::1]:80", "127.1.2.3"] {
            let over_tls =
                keep(Some("x"), &headers(&[("host", host), ("origin", "https://tenantd.example")]));
            assert!(over_tls.ends_with("; Secure"), "{host}: {over_tls}");
            let line = keep(Some("x"), &headers(&[("host", host), ("origin", "http://localhost")]));
            assert!(
                line.ends_with("HttpOnly; SameSite=Strict") && line.contains("=x; Path=/status"),
                "{line}"
            );
        }
        for host in ["tenantd.example", "10.0.0.1:9464", "localhost.example", "127.0.0.1.example:1", ""] {
            let line = keep(Some("x"), &headers(&[("host", host)]));
            assert!(line.ends_with("HttpOnly; SameSite=Strict; Secure"), "{host}: {line}");
        }
        assert!(keep(None, &headers(&[])).starts_with("tenantd_session=; Path=/status; Max-Age=0;"));
    }

    #[test]
    fn a_form_bears_the_mark_of_its_session() {
        let guest = Guest { form: Some("mark".to_owned()), ..Guest::default() };

        assert!(is_of(&guest, "mark"));
        assert!(!is_of(&guest, "mar") && !is_of(&guest, ""));
        assert!(!is_of(&Guest::default(), ""), "without a session there is no form");
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let found = headers(&[("cookie", "a=b; tenantd_session=look.1.x; c=d")]);

        assert_eq!(sessions(&found), ["look.1.x"]);
        assert!(sessions(&headers(&[("cookie", "xtenantd_session=a")])).is_empty());
        let twice = headers(&[("cookie", "tenantd_session=old; tenantd_session=look.1.x")]);
        assert_eq!(sessions(&twice), ["old", "look.1.x"]);
    }
}
