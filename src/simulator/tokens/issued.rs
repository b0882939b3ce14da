//! The list of tokens that were given, and their end.
//!
//! The rule: administrators see everybody's tokens, others their own; a token that
//! was deleted opens nothing any more.

use chrono::{DateTime, Utc};

use crate::simulator::endpoint::Endpoint;
use crate::simulator::problem::Problem;
use crate::simulator::query::{Cut, Paging, cut};
use crate::simulator::records::Token;
use crate::simulator::tenants::Caller;
use crate::simulator::world::Moment;

/// A token as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct TokenView {
    /// Its id, which is not the token.
    pub id: String,
    /// The client it was given to, where the list shows it.
    pub client_id: Option<String>,
    pub user_id: String,
    pub last_used: DateTime<Utc>,
}

/// One page of tokens.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct TokenPage {
    pub tenant_id: String,
    pub tokens: Vec<TokenView>,
    /// The cursor of the page after.
    pub next: Option<String>,
}

impl Token {
    fn view(&self, shows_client: bool) -> TokenView {
        TokenView {
            id: self.id.clone(),
            client_id: shows_client.then(|| self.client_id.clone()),
            user_id: self.user_id.clone(),
            last_used: self.last_used,
        }
    }
}

impl Moment<'_> {
    /// One page of live tokens, by user. Administrators see everybody's.
    ///
    /// # Errors
    ///
    /// 400 for a cursor that names nothing.
    pub fn list_tokens(
        &mut self,
        caller: Caller<'_>,
        user_id: Option<&str>,
        paging: &Paging,
    ) -> Result<TokenPage, Problem> {
        let admitted = self.admit(caller, Endpoint::ListTokens)?;
        let (now, state) = (self.now, &mut *self.state);
        let shows_client = state.behaviour.token_client.draw(&mut state.rng);
        let tenant = self.tenant(caller.host)?;
        let mut sorted: Vec<&Token> = tenant.tokens.iter().collect();
        sorted.sort_by(|a, b| a.user_id.cmp(&b.user_id));
        let shown = |token: &Token| {
            now < token.expires_at
                && user_id.is_none_or(|only| token.user_id == only)
                && (admitted.is_admin || token.user_id == admitted.user_id)
        };
        let Cut { items, next, .. } = cut(&sorted, |token| &token.id, shown, paging)?;
        let tokens = items.into_iter().map(|token| token.view(shows_client)).collect();
        Ok(TokenPage { tenant_id: tenant.id.clone(), tokens, next })
    }

    /// Ends a token.
    ///
    /// # Errors
    ///
    /// 404 for one that is not there.
    pub fn delete_token(&mut self, caller: Caller<'_>, id: &str) -> Result<(), Problem> {
        self.admit_admin(caller, Endpoint::DeleteToken)?;
        let tokens = &mut self.tenant(caller.host)?.tokens;
        let at = tokens.iter().position(|token| token.id == id);
        tokens.remove(at.ok_or_else(|| Problem::not_found("OAuth token"))?);
        Ok(())
    }

    /// Ends the tokens of a client, of a user, or of both together.
    ///
    /// # Errors
    ///
    /// 405 unless the switch brings the operation back; 400 without any condition.
    pub fn delete_tokens_by_filter(
        &mut self,
        caller: Caller<'_>,
        client_id: Option<&str>,
        user_id: Option<&str>,
    ) -> Result<(), Problem> {
        self.admit_admin(caller, Endpoint::DeleteTokensByFilter)?;
        if !self.state.behaviour.delete_tokens_by_filter {
            return Err(Problem::of_status(405));
        }
        if client_id.is_none() && user_id.is_none() {
            return Err(Problem::invalid("clientId or userId is missing"));
        }
        self.tenant(caller.host)?.tokens.retain(|token| {
            !(client_id.is_none_or(|only| token.client_id == only)
                && user_id.is_none_or(|only| token.user_id == only))
        });
        Ok(())
    }
}
