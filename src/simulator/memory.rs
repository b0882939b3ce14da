//! The door without a network: the Qlik port straight on the world.
//!
//! The same faults as over TLS, told as the failures a client would see. Nothing sleeps.
//! A delay shorter than the request timeout is ignored; with a longer one the request
//! takes effect late, and its answer is lost.
//!
//! The rule: a call yields before and after it is processed, so that a test can
//! drop it at either point, as a crash would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::answer::{answer, seen_reply, status_of};
use super::endpoint::Endpoint;
use super::faults::{Applies, Fault};
use super::problem::Problem;
use super::tenants::Caller;
use super::tokens::{Grant, TokenRequest};
use super::world::{Moment, World};
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::ids::RegionName;
use crate::domain::region::AllowedHost;
use crate::domain::secret::RegionCredential;
use crate::ports::Clock;

mod answer;
mod port;
#[cfg(test)]
mod tests;
mod views;

/// The Qlik port on a simulated world.
pub struct Door {
    world: World,
    clock: Arc<dyn Clock>,
    credentials: HashMap<RegionName, RegionCredential>,
    request_timeout: Duration,
    session: Mutex<Session>,
}

/// What the door remembers between calls.
#[derive(Default)]
struct Session {
    tokens: HashMap<String, HeldToken>,
    /// When a tenant of a region last gave a token, by the clock's `elapsed`.
    granted: HashMap<RegionName, Duration>,
}

#[derive(Clone)]
struct HeldToken {
    text: String,
    expires_at: DateTime<Utc>,
}

impl Door {
    /// A door that acts with these regions' credentials and gives up waiting for
    /// an answer after thirty seconds.
    #[must_use]
    pub fn new<C: Clock>(
        world: World,
        clock: Arc<C>,
        credentials: impl IntoIterator<Item = (RegionName, RegionCredential)>,
    ) -> Self {
        Self {
            world,
            clock,
            credentials: credentials.into_iter().collect(),
            request_timeout: Duration::from_secs(30),
            session: Mutex::default(),
        }
    }

    /// Gives up waiting for an answer after this long instead.
    #[must_use]
    pub fn with_request_timeout(mut self, request_timeout: Duration) -> Self {
        self.request_timeout = request_timeout;
        self
    }

    /// An authenticated call. A cached token that the tenant refuses is replaced
    /// once: a refused request had no effect.
    async fn call<T, A>(&self, host: &AllowedHost, endpoint: Endpoint, act: A) -> Result<T, Failure>
    where
        T: Send + 'static,
        A: Fn(&mut Moment<'_>, Caller<'_>) -> Result<T, Problem> + Clone + Send + 'static,
    {
        let cached = self.cached_token(host);
        let was_cached = cached.is_some();
        let token = match cached {
            Some(token) => token,
            None => self.fetch_token(host).await?,
        };
        let outcome = self.call_with(token, host, endpoint, act.clone()).await;
        match outcome {
            Err(Failure { kind: FailureKind::CredentialRefused, .. }) if was_cached => {
                let token = self.fetch_token(host).await?;
                self.call_with(token, host, endpoint, act).await.map_err(Failure::with_fresh_token)
            }
            Ok(_) | Err(_) => outcome.map_err(Failure::with_fresh_token),
        }
    }

    async fn call_with<T, A>(
        &self,
        token: String,
        host: &AllowedHost,
        endpoint: Endpoint,
        act: A,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        A: Fn(&mut Moment<'_>, Caller<'_>) -> Result<T, Problem> + Send + 'static,
    {
        let name = host.host().to_string();
        self.deliver(host, endpoint, move |moment| act(moment, Caller { host: &name, bearer: Some(&token) }))
            .await
    }

    /// Delivers one request, with whatever goes wrong with it.
    async fn deliver<T, A>(&self, host: &AllowedHost, endpoint: Endpoint, act: A) -> Result<T, Failure>
    where
        T: Send + 'static,
        A: FnOnce(&mut Moment<'_>) -> Result<T, Problem> + Send + 'static,
    {
        tokio::task::yield_now().await;
        let outcome = self.process(host.host().as_str(), endpoint, act);
        tokio::task::yield_now().await;
        outcome
    }

    fn process<T: 'static>(
        &self,
        host: &str,
        endpoint: Endpoint,
        act: impl FnOnce(&mut Moment<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Failure> {
        let mut moment = self.world.at(self.clock.now());
        if moment.is_unreachable(host) {
            return Err(Failure::unanswered(FailureKind::NotConnected));
        }
        let Fault { delay, applies, reply } = moment.arrive(host, endpoint);
        let gives_up = delay >= self.request_timeout;
        let late = match applies {
            Applies::After(after) => Some(after + delay),
            Applies::AtOnce if gives_up => Some(delay),
            Applies::AtOnce | Applies::Never => None,
        };
        let outcome = if let Some(after) = late {
            moment.later(after, move |moment| drop(act(moment)));
            Err(Failure::unanswered(FailureKind::NoAnswer))
        } else if gives_up {
            Err(Failure::unanswered(FailureKind::NoAnswer))
        } else {
            let processed = (applies == Applies::AtOnce).then(|| act(&mut moment));
            let reply = seen_reply(endpoint, reply);
            answer(&mut moment, processed, &reply)
        };
        moment.answered(endpoint, status_of(&outcome, endpoint));
        outcome
    }

    fn cached_token(&self, host: &AllowedHost) -> Option<String> {
        let now = self.clock.now();
        let session = self.session();
        let held = session.tokens.get(host.host().as_str())?;
        (now < held.expires_at).then(|| held.text.clone())
    }

    /// A fresh token for the region's credential.
    async fn fetch_token(&self, host: &AllowedHost) -> Result<String, Failure> {
        let Some(credential) = self.credentials.get(host.region()) else {
            return Err(Failure::unanswered(FailureKind::CredentialRefused));
        };
        let id = credential.client_id().to_owned();
        let secret = credential.expose_to_token_endpoint().to_owned();
        let granted = self
            .deliver(host, Endpoint::RegionToken, token_request(host, id, secret))
            .await
            .map_err(Failure::while_fetching_token)?;
        let mut session = self.session();
        session.tokens.insert(host.host().to_string(), granted.clone());
        session.granted.insert(host.region().clone(), self.clock.elapsed());
        Ok(granted.text)
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        // Nothing panics while it is held.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request for a token by `client_credentials`.
fn token_request(
    host: &AllowedHost,
    client_id: String,
    secret: String,
) -> impl FnOnce(&mut Moment<'_>) -> Result<HeldToken, Problem> + Send + 'static {
    let host = host.host().to_string();
    move |moment| {
        let grant = Grant::ClientCredentials;
        let request = TokenRequest { client_id: &client_id, secret: &secret, grant, scope: None };
        let granted = moment.grant_token(&host, &request)?;
        let text = granted.access_token.reveal().to_owned();
        Ok(HeldToken { text, expires_at: granted.expires_at })
    }
}
