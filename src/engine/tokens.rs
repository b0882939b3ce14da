//! Tokens that are out: listed and revoked for an operator.

use super::inspect::{Inspector, NotDone, of_qlik};
use crate::domain::ids::{TenantId, TokenId, UserId};
use crate::domain::region::AllowedHost;
use crate::domain::token::{self, SeenToken};
use crate::ports::QlikApi;
use crate::postgres::inspect::Inspected;

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
            self.api.list_tokens(&host, user).await.map_err(of_qlik(&host))
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

    async fn revoke_held(&self, tenant: TenantId, which: &Revoke, by: &str) -> Result<Vec<TokenId>, NotDone> {
        match which {
            // Which those are, the database says.
            Revoke::OfClient => self.may_delete().await?,
            Revoke::Tokens(_) => self.may_change().await?,
        }
        let row = self.row(tenant).await?;
        let host = self.allowed(&row.host)?;
        let tokens = match which {
            Revoke::Tokens(tokens) => tokens.clone(),
            Revoke::OfClient => self.of_client(&row, &host).await?,
        };
        for token in &tokens {
            self.api.delete_token(&host, token).await.map_err(of_qlik(&host))?;
        }
        if !tokens.is_empty() {
            let message = format!("{} tokens were revoked by {by}", tokens.len());
            self.store.record(tenant, "revoke", &message).await?;
        }
        Ok(tokens)
    }

    async fn of_client(&self, row: &Inspected, host: &AllowedHost) -> Result<Vec<TokenId>, NotDone> {
        let Some(client) = &row.client else {
            return Err(NotDone::Refused(format!("the tenant has no client (phase {})", row.phase)));
        };
        let bots = self.api.bots_of(host, client).await.map_err(of_qlik(host))?;
        let tokens = self.api.list_tokens(host, None).await.map_err(of_qlik(host))?;
        Ok(token::of_client(&tokens, client, &bots).map(|token| token.id.clone()).collect())
    }
}
