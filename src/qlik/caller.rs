//! Calls as us: with the token of the host that is called.
//!
//! The rule: a token that is refused is renewed once, and no more. What a fresh token
//! cannot do is told as it is.

use std::sync::Arc;

use super::endpoint::Call;
use super::token::Tokens;
use super::transport::{Answer, Transport};
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::region::AllowedHost;

/// Sends calls, and our token with each.
pub(super) struct Caller {
    pub(super) transport: Arc<Transport>,
    pub(super) tokens: Tokens,
}

impl Caller {
    /// Sends a call with our token. A token that is refused is renewed and the
    /// call repeated, once: a 401 proves that nothing was done, so that this is
    /// safe for a create and a mint too.
    pub(super) async fn call(&self, host: &AllowedHost, call: &Call) -> Result<Answer, Failure> {
        let token = self.tokens.get(host).await?;
        match self.transport.send(host.host(), call, Some(token.bearer())).await {
            Err(refused) if refused.kind == FailureKind::CredentialRefused => {}
            done => return done,
        }
        let token = self.tokens.renew(host, &token).await?;
        let result = self.transport.send(host.host(), call, Some(token.bearer())).await;
        if result.as_ref().is_err_and(|refused| refused.kind == FailureKind::CredentialRefused) {
            self.tokens.forget(host, &token);
        }
        result.map_err(Failure::with_fresh_token)
    }

    /// Sends a call that deletes one thing. One that is gone already is deleted.
    pub(super) async fn delete(&self, host: &AllowedHost, call: &Call) -> Result<(), Failure> {
        match self.call(host, call).await {
            Err(failure) if failure.kind != FailureKind::NotFound => Err(failure),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
