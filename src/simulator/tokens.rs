//! `/oauth/token`: who gets a token, for whom, and for how long.
//!
//! The rule: a token belongs to one host and one user and lives six hours (21 600 seconds).
//! Deleting its client does not end it; deleting the token itself does.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::draft::{CLIENT_CREDENTIALS, IMPERSONATION};
use super::endpoint::Endpoint;
use super::problem::Problem;
use super::records::{Plaintext, Token, User};
use super::world::{Moment, RegionClient, State};

mod issued;
#[cfg(test)]
mod tests;

pub use issued::{TokenPage, TokenView};

/// How long an access token lives (qlik.dev, create a tenant).
pub(super) const TOKEN_LIFE: Duration = Duration::from_hours(6);

/// The fixed scopes of a region's client.
const REGION_SCOPES: [&str; 4] =
    ["admin_classic", "tenants:create", "tenants:deactivate", "tenants:reactivate"];

/// A request for a token with a client secret.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct TokenRequest<'a> {
    pub client_id: &'a str,
    pub secret: &'a str,
    pub grant: Grant<'a>,
    /// Space separated; `None` means all that the client may have.
    pub scope: Option<&'a str>,
}

/// For whom a token is wanted.
#[derive(Debug, Clone, Copy)]
pub enum Grant<'a> {
    /// The client itself, as its bot user.
    ClientCredentials,
    /// The user with this subject.
    UserBySubject(&'a str),
    /// The user with this id.
    UserById(&'a str),
}

/// A token in the one answer that shows it.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Granted {
    pub access_token: Plaintext,
    /// `bearer` in some casing.
    pub token_type: &'static str,
    /// Space separated.
    pub scope: String,
    pub expires_at: DateTime<Utc>,
    /// Whether the answer says `expires_in` too.
    pub shows_expires_in: bool,
}

/// What a good credential stands for.
struct Authenticated {
    name: String,
    scopes: Vec<String>,
}

impl Grant<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => CLIENT_CREDENTIALS,
            Self::UserBySubject(_) | Self::UserById(_) => IMPERSONATION,
        }
    }
}

impl Moment<'_> {
    /// Gives a token.
    ///
    /// # Errors
    ///
    /// 401 `OAUTH-5` for a wrong credential, scope or user; 400 `OAUTH-14` for a
    /// grant that the client lacks, consent that is not trusted, or a client that
    /// is disabled (which of the two it then is, no source says).
    pub fn grant_token(&mut self, host: &str, request: &TokenRequest<'_>) -> Result<Granted, Problem> {
        self.tenant(host)?;
        self.pace(host, request.client_id, Endpoint::ClientToken.tier())?;
        let who = self.authenticate(host, request)?;
        let scope = scope_of(&who.scopes, request.scope)?;
        let user_id = match request.grant {
            Grant::ClientCredentials => self.bot_of(host, request.client_id, &who.name)?,
            Grant::UserBySubject(subject) => self.find_user(host, |user| user.subject == subject)?,
            Grant::UserById(id) => self.find_user(host, |user| user.id == id)?,
        };
        self.issue(host, request.client_id, user_id, scope)
    }

    /// Whether this credential would get a token now. Nothing is given, counted or
    /// made, and no fault applies: for tests that ask what is true.
    #[must_use]
    pub fn accepts(&mut self, host: &str, client_id: &str, secret: &str) -> bool {
        let request = TokenRequest { client_id, secret, grant: Grant::ClientCredentials, scope: None };
        self.authenticate(host, &request).is_ok()
    }

    /// Whether these are the id and secret of a region whose hosts include this one.
    pub(super) fn is_region(&self, host: &str, client_id: &str) -> bool {
        self.state.region(host, client_id).is_some()
    }

    fn authenticate(&mut self, host: &str, request: &TokenRequest<'_>) -> Result<Authenticated, Problem> {
        if let Some(region) = self.state.region(host, request.client_id) {
            if !region.secret.is(request.secret) {
                return Err(Problem::bad_credential());
            }
            if request.grant.name() != CLIENT_CREDENTIALS {
                return Err(Problem::not_authorized_client());
            }
            let label = region.suffix.split('.').next().unwrap_or_default().to_uppercase();
            let scopes = REGION_SCOPES.map(str::to_owned).to_vec();
            return Ok(Authenticated { name: format!("{label} OAuth client"), scopes });
        }
        let (now, lag) = (self.now, self.state.behaviour.secret_lag);
        let refuse_untrusted = self.state.behaviour.refuse_untrusted;
        let clients = &self.tenant(host)?.clients;
        let client = clients
            .iter()
            .find(|client| client.id == request.client_id && client.knows(request.secret, now, lag))
            .ok_or_else(Problem::bad_credential)?;
        let is_refused = client.disable_tag.is_some() || refuse_untrusted && !client.is_trusted;
        if is_refused || !client.may(request.grant.name()) {
            return Err(Problem::not_authorized_client());
        }
        Ok(Authenticated {
            name: client.draft.client_name.clone(),
            scopes: client.draft.allowed_scopes.clone(),
        })
    }

    fn find_user(&mut self, host: &str, wanted: impl Fn(&User) -> bool) -> Result<String, Problem> {
        let found = self.tenant(host)?.users.iter().find(|user| wanted(user));
        found.map(|user| user.id.clone()).ok_or_else(Problem::bad_credential)
    }

    fn issue(
        &mut self,
        host: &str,
        client_id: &str,
        user_id: String,
        scope: String,
    ) -> Result<Granted, Problem> {
        let (id, text, now) = (self.new_id(24), format!("eyJ{}", self.new_id(61)), self.now);
        let expires_at = now + TOKEN_LIFE;
        let tenant = self.tenant(host)?;
        tenant.tokens.retain(|token| now < token.expires_at);
        tenant.tokens.push(Token {
            id,
            bearer: Plaintext::new(text.clone()),
            client_id: client_id.to_owned(),
            user_id,
            last_used: now,
            expires_at,
        });
        let state = &mut *self.state;
        Ok(Granted {
            access_token: Plaintext::new(text),
            token_type: state.behaviour.token_type.draw(&mut state.rng),
            scope,
            expires_at,
            shows_expires_in: state.behaviour.expires_in.draw(&mut state.rng),
        })
    }
}

impl State {
    fn region(&self, host: &str, client_id: &str) -> Option<&RegionClient> {
        let parent = host.split_once('.').map_or("", |(_, parent)| parent);
        self.regions.iter().find(|region| region.suffix == parent && region.client_id == client_id)
    }
}

/// The scope of the token: what was asked for, if the client may have it.
fn scope_of(allowed: &[String], asked: Option<&str>) -> Result<String, Problem> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(allowed.join(" ")) };
    if asked.split(' ').all(|scope| allowed.iter().any(|allowed| allowed == scope)) {
        return Ok(asked.to_owned());
    }
    Err(Problem::bad_credential())
}
