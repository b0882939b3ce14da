//! The bearer tokens of those who may look and of those who may act (RFC 6750, section 2.1).
//!
//! The rules: a token is asked for anew at every request, so that one that was replaced is
//! heard at once. Compared by digest and in constant time, so that the time it takes tells
//! nothing about how much of a guess was right. **Where no token is set anybody may look, and
//! nobody may act.**

use std::cell::OnceCell;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::session::{self, Claimed, Entered};
use super::token::{Right, Token, digest};

/// Where a token stands, asked at every request.
#[derive(Clone)]
pub struct TokenSource(Arc<Source>);

struct Source {
    read: Box<dyn Fn() -> Result<Token, String> + Send + Sync>,
    /// It was said that it cannot be read.
    is_told: AtomicBool,
}

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub struct Door {
    /// The token of those who look; `None`: anybody may.
    pub looks: Option<TokenSource>,
    /// The token of those who act, who may look too; `None`: nobody may act.
    pub acts: Option<TokenSource>,
}

/// Who came in, by the name of the token; `None` where it has none, or none was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor(pub Option<String>);

/// Why somebody stays outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No token was presented, or one that is not known.
    Unknown,
    /// The token is of those who look.
    MayOnlyLook,
    /// Nobody may act.
    NobodyActs,
    /// The file of the token cannot be read.
    Unreadable,
    /// No token is asked for, and the name that was asked is none of this machine's own.
    WrongHost,
}

impl TokenSource {
    /// Asks by calling `read`, which may block for as long as it takes to read a small file.
    /// Its error is a sentence for the log.
    pub fn new(read: impl Fn() -> Result<Token, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Source { read: Box::new(read), is_told: AtomicBool::new(false) }))
    }

    fn token(&self) -> Result<Token, Refusal> {
        let read = (self.0.read)();
        let was_told = self.0.is_told.swap(read.is_err(), Ordering::Relaxed);
        read.map_err(|error| {
            if !was_told {
                tracing::warn!("nobody is let in with a token: {error}");
            }
            Refusal::Unreadable
        })
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(..)")
    }
}

impl Door {
    /// Lets in who may do this.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn admit(&self, headers: &HeaderMap, right: Right) -> Result<Visitor, Refusal> {
        match (right, &self.looks, &self.acts) {
            (Right::Look, None, _) if names_this_machine(headers) => return Ok(Visitor(None)),
            (Right::Look, None, _) => return Err(Refusal::WrongHost),
            (Right::Act, _, None) => return Err(Refusal::NobodyActs),
            (Right::Look, Some(_), _) | (Right::Act, _, Some(_)) => {}
        }
        let Some(presented) = presented(headers).map(digest) else { return Err(Refusal::Unknown) };
        let door = self.clone();
        in_time(move || door.judge(&presented, right)).await
    }

    /// Opens a session for as much as the token allows, until then (in seconds since 1970).
    /// Returns its cookie.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn open_session(&self, token: &str, until: i64) -> Result<String, Refusal> {
        let (door, presented) = (self.clone(), digest(token));
        in_time(move || {
            let opened = |right, source: &Option<TokenSource>| {
                let known = source.as_ref().map(TokenSource::token).transpose()?;
                let known = known.filter(|token| token.is(&presented));
                Ok(known.map(|token| session::cookie(&token, right, until)))
            };
            let (acts, looks) = (opened(Right::Act, &door.acts), opened(Right::Look, &door.looks));
            match (acts, looks) {
                (Ok(Some(cookie)), _) | (_, Ok(Some(cookie))) => Ok(cookie),
                (Ok(None), Ok(None)) => Err(Refusal::Unknown),
                (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
            }
        })
        .await
    }

    /// Lets in whoever has the cookie of a session that is not over now (in seconds since 1970):
    /// of these that which may act, else the first. However many they are, each token is read once.
    /// A host beside ours may have set one too, which must not take the right that another gives.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn admit_session(&self, cookies: &[&str], now: i64) -> Result<Entered, Refusal> {
        let cookies: Vec<String> = cookies.iter().map(|cookie| (*cookie).to_owned()).collect();
        let door = self.clone();
        in_time(move || {
            let (looks, acts) = (OnceCell::new(), OnceCell::new());
            let known = |source: &Option<TokenSource>| source.as_ref().map(TokenSource::token).transpose();
            let (mut refusal, mut looking) = (Refusal::Unknown, None);
            for claimed in cookies.iter().filter_map(|cookie| Claimed::of(cookie)) {
                let token = match claimed.right {
                    Right::Look => looks.get_or_init(|| known(&door.looks)),
                    Right::Act => acts.get_or_init(|| known(&door.acts)),
                };
                match token {
                    Ok(Some(token)) if claimed.is_of(token, now) => match claimed.right {
                        Right::Act => return Ok(claimed.enter(token)),
                        Right::Look if looking.is_none() => looking = Some(claimed.enter(token)),
                        Right::Look => {}
                    },
                    Ok(_) => {}
                    Err(unreadable) => refusal = *unreadable,
                }
            }
            looking.ok_or(refusal)
        })
        .await
    }

    fn judge(&self, presented: &[u8; 32], right: Right) -> Result<Visitor, Refusal> {
        let ask = |source: &Option<TokenSource>| source.as_ref().map(TokenSource::token).transpose();
        let (looks, acts) = (ask(&self.looks), ask(&self.acts));
        let whose = |token: &Result<Option<Token>, Refusal>| match token {
            Ok(Some(token)) if token.is(presented) => Some(Visitor(token.name.clone())),
            Ok(_) | Err(_) => None,
        };
        match (right, whose(&looks), whose(&acts)) {
            (_, _, Some(who)) | (Right::Look, Some(who), None) => Ok(who),
            (Right::Act, Some(_), None) => Err(Refusal::MayOnlyLook),
            (_, None, None) => Err(looks.and(acts).err().unwrap_or(Refusal::Unknown)),
        }
    }
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::MayOnlyLook | Self::NobodyActs => StatusCode::FORBIDDEN,
            Self::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
            Self::WrongHost => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    /// What is asked for, in words.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "this page needs `Authorization: Bearer <the token in http.token_file>`",
            Self::MayOnlyLook => "this token may only look: whoever acts needs that of http.act_token_file",
            Self::NobodyActs => "nobody acts over HTTP: http.act_token_file is not set",
            Self::Unreadable => "the file of a token cannot be read; the daemon's log says why",
            Self::WrongHost => {
                "without http.token_file this is answered as localhost, 127.0.0.1 or [::1] alone, so that no page of another site reads it: ask it so, or set a token"
            }
        }
    }
}

/// Files may be on a network.
async fn in_time<T: Send + 'static>(
    judge: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(judge).await.unwrap_or(Err(Refusal::Unreadable))
}

/// The scheme's name is case-insensitive (RFC 9110, section 11.1).
fn presented(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a request was made to a name that means this machine to everybody. A site whose name
/// was turned into our address (DNS rebinding) sends its own.
pub(crate) fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    // The port is whatever stands before it.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || inner.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Lets a request through that may look.
pub(super) async fn require(State(door): State<Door>, request: Request, next: Next) -> Response {
    match door.admit(request.headers(), Right::Look).await {
        Ok(_) => next.run(request).await,
        Err(refusal) => {
            let words = refusal.sentence().to_owned() + "\n";
            let mut response = (refusal.status(), words).into_response();
            if refusal.status() == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}
