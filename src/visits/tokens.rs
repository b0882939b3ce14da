//! Tokens that are out: a client's revoked page by page, and what an operator asks for.
//!
//! The rule: never more than one page of tokens is held to revoke some of them.

use std::time::Duration;

use super::inspect::{Inspector, NotDone, of_qlik};
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::ids::{PageCursor, TenantId, TokenId, UserId};
use crate::domain::region::AllowedHost;
use crate::domain::token::{SeenToken, TokenPage, Walk, Walked};
use crate::engine::acts::{TokenHolder, revoke_page};
use crate::ports::QlikApi;
use crate::postgres::operator::inspect::Inspected;

/// Longest wait for a turn that a command sits out: what Qlik asks for, and our own pacing.
const MAX_TURN: Duration = Duration::from_mins(5);

fn past(host: &AllowedHost, walk: Walk, next: Option<PageCursor>) -> Result<Option<Walk>, NotDone> {
    match walk.past(next) {
        Walked::On(walk) => Ok(Some(walk)),
        Walked::Ended => Ok(None),
        Walked::Circle => Err(of_qlik(host)(Failure::unanswered(FailureKind::Unreadable))),
    }
}

/// How long to wait before the same is asked again, where that is all that is wrong.
fn turn(failure: Failure) -> Result<Duration, Failure> {
    match failure.kind {
        FailureKind::Throttled { wait } if wait <= MAX_TURN => Ok(wait),
        FailureKind::Throttled { .. }
        | FailureKind::NotConnected
        | FailureKind::NoToken
        | FailureKind::NoAnswer
        | FailureKind::ServerError
        | FailureKind::Unreadable
        | FailureKind::IllegibleClient { .. }
        | FailureKind::CredentialRefused
        | FailureKind::TokenRefused
        | FailureKind::TenantUnavailable
        | FailureKind::Forbidden
        | FailureKind::NotFound
        | FailureKind::Conflict
        | FailureKind::Rejected => Err(failure),
    }
}

/// Which tokens to revoke.
#[derive(Debug, Clone)]
pub enum Revoke {
    /// These.
    Tokens(Vec<TokenId>),
    /// All that the tenant's client holds.
    OfClient,
}

impl<Q: QlikApi> Inspector<Q> {
    /// The tokens issued on a tenant, of one user or of all.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn tokens(&self, tenant: TenantId, user: Option<&UserId>) -> Result<Vec<SeenToken>, NotDone> {
        let fence = self.take(tenant).await?;
        let list = async {
            let host = self.allowed(&self.row(tenant).await?.host)?;
            let (mut tokens, mut walk) = (Vec::new(), Walk::default());
            loop {
                let page = self.page_in_turn(&host, user, &walk).await?;
                tokens.extend(page.tokens);
                let Some(next) = past(&host, walk, page.next)? else { return Ok(tokens) };
                walk = next;
            }
        };
        self.under(tenant, fence, list).await
    }

    /// Revokes tokens and returns which. One that is gone already counts.
    ///
    /// # Errors
    ///
    /// [`NotDone`]; what was revoked before stays revoked.
    pub async fn revoke_tokens(
        &self,
        tenant: TenantId,
        which: &Revoke,
        by: &str,
    ) -> Result<Vec<TokenId>, NotDone> {
        let fence = self.take(tenant).await?;
        self.under(tenant, fence, self.revoke_held(tenant, which, by)).await
    }

    async fn page_in_turn(
        &self,
        host: &AllowedHost,
        user: Option<&UserId>,
        walk: &Walk,
    ) -> Result<TokenPage, NotDone> {
        loop {
            match self.api.page_of_tokens(host, user, walk.at()).await {
                Ok(page) => return Ok(page),
                Err(failure) => tokio::time::sleep(turn(failure).map_err(of_qlik(host))?).await,
            }
        }
    }

    /// Whether a client holds any token.
    pub(super) async fn has_tokens(
        &self,
        host: &AllowedHost,
        holder: &TokenHolder<'_>,
    ) -> Result<bool, NotDone> {
        let mut walk = Walk::default();
        loop {
            let page = self.page_in_turn(host, None, &walk).await?;
            if !walk.to_revoke(&page, holder.client, holder.bots).is_empty() {
                return Ok(true);
            }
            let Some(next) = past(host, walk, page.next)? else { return Ok(false) };
            walk = next;
        }
    }

    async fn revoke_held(&self, tenant: TenantId, which: &Revoke, by: &str) -> Result<Vec<TokenId>, NotDone> {
        match which {
            // Which those are, the database says.
            Revoke::OfClient => self.may_delete().await?,
            Revoke::Tokens(_) => self.may_change().await?,
        }
        let row = self.row(tenant).await?;
        let host = self.allowed(&row.host)?;
        let tokens = match which {
            Revoke::Tokens(tokens) => self.revoke_each(&host, tokens).await?,
            Revoke::OfClient => self.revoke_of_client(&row, &host).await?,
        };
        if !tokens.is_empty() {
            let message = format!("{} tokens were revoked by {by}", tokens.len());
            self.store.record(tenant, "revoke", &message).await?;
        }
        Ok(tokens)
    }

    async fn revoke_each(&self, host: &AllowedHost, tokens: &[TokenId]) -> Result<Vec<TokenId>, NotDone> {
        for token in tokens {
            // Each time: the database may be failed over meanwhile.
            self.may_change().await?;
            while let Err(failure) = self.api.delete_token(host, token).await {
                tokio::time::sleep(turn(failure).map_err(of_qlik(host))?).await;
            }
        }
        Ok(tokens.to_vec())
    }

    async fn revoke_of_client(&self, row: &Inspected, host: &AllowedHost) -> Result<Vec<TokenId>, NotDone> {
        let Some(client) = &row.client else {
            return Err(NotDone::Refused(format!("the tenant has no client (phase {})", row.phase)));
        };
        let bots = self.api.bots_of(host, client).await.map_err(of_qlik(host))?;
        self.revoke_all(host, &TokenHolder { client, bots: &bots }).await
    }

    /// Revokes all tokens of a client, however many there are, and waits for its turns.
    pub(super) async fn revoke_all(
        &self,
        host: &AllowedHost,
        holder: &TokenHolder<'_>,
    ) -> Result<Vec<TokenId>, NotDone> {
        let (mut revoked, mut walk) = (Vec::new(), Walk::default());
        loop {
            // Each time: the database may be failed over meanwhile.
            self.may_delete().await?;
            match revoke_page(&self.api, host, holder, walk.clone(), || true).await {
                Ok((next, tokens)) => {
                    revoked.extend(tokens);
                    let Some(next) = next else { return Ok(revoked) };
                    walk = next;
                }
                Err(failure) => {
                    tokio::time::sleep(turn(failure).map_err(of_qlik(host))?).await;
                    walk = walk.interrupted();
                }
            }
        }
    }
}
