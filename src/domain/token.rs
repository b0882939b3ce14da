//! Tokens that Qlik has issued, and which of them a client holds.
//!
//! Qlik's guide shows `clientId` on a token, its schema does not (oauth-tokens,
//! list): where it is missing, the client's bot user tells.
//!
//! A tenant may have any number of tokens, everybody's in one list. The rules of a walk
//! through it: it holds one page at a time; a page that had some of ours is read again
//! until it has none, so that its end is never a token that is gone; and what was skipped,
//! because the pages behind moved up, is found by a last walk that revokes nothing.

use chrono::{DateTime, Utc};

use super::ids::{ClientId, PageCursor, TokenId, UserId};

/// A token as Qlik shows it; never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenToken {
    /// By which it is deleted.
    pub id: TokenId,
    /// Whom it acts as.
    pub user: UserId,
    /// The client it was issued to, where Qlik says so.
    pub client: Option<ClientId>,
    /// What Qlik says of it, where it does.
    pub description: Option<String>,
    /// When it was last used, where Qlik says so.
    pub last_used: Option<DateTime<Utc>>,
}

/// One page of a tenant's tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenPage {
    /// The tokens.
    pub tokens: Vec<SeenToken>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<PageCursor>,
}

/// Where a walk through all tokens of a tenant stands. What it remembers does not grow
/// with the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    at: Option<PageCursor>,
    /// What was revoked on this page: a list that lags may still show it.
    revoked: Vec<TokenId>,
    /// Something was revoked behind the first page: the end of this walk is not yet the end.
    is_unsure: bool,
    /// Pages passed, and the cursor of the last power of two of them: where it comes
    /// again the list goes round in a circle.
    passed: u32,
    milestone: Option<PageCursor>,
}

/// How a walk goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walked {
    /// With this page.
    On(Walk),
    /// Not at all: the whole list was seen, and nothing of ours is in it.
    Ended,
    /// The list goes round in a circle.
    Circle,
}

impl Walk {
    /// Where the page to be read begins.
    #[must_use]
    pub fn at(&self) -> Option<&PageCursor> {
        self.at.as_ref()
    }

    /// The client's tokens on the page, but for those that this walk revoked already.
    #[must_use]
    pub fn to_revoke(&self, page: &TokenPage, client: &ClientId, bots: &[UserId]) -> Vec<TokenId> {
        let of_client = of_client(&page.tokens, client, bots).map(|token| &token.id);
        of_client.filter(|id| !self.revoked.contains(id)).cloned().collect()
    }

    /// The same page again, of which these were revoked.
    #[must_use]
    pub fn again(self, page: &TokenPage, revoked: &[TokenId]) -> Self {
        let is_shown = |id: &TokenId| page.tokens.iter().any(|token| token.id == *id);
        let known = self.revoked.iter().filter(|id| is_shown(id));
        let revoked = known.chain(revoked).cloned().collect();
        // Whoever reads the first page begins anew.
        let is_unsure = self.at.is_some();
        Self { revoked, is_unsure, ..self }
    }

    /// Behind a page that has nothing to revoke.
    #[must_use]
    pub fn past(self, next: Option<PageCursor>) -> Walked {
        let Some(next) = next else {
            return if self.is_unsure { Walked::On(Self::default()) } else { Walked::Ended };
        };
        if self.at.as_ref() == Some(&next) || self.milestone.as_ref() == Some(&next) {
            return Walked::Circle;
        }
        let passed = self.passed.saturating_add(1);
        let milestone = if passed.is_power_of_two() { Some(next.clone()) } else { self.milestone };
        // What a list that lags still shows may hide what moved up.
        let is_unsure = self.is_unsure || !self.revoked.is_empty();
        Walked::On(Self { at: Some(next), revoked: vec![], is_unsure, passed, milestone })
    }

    /// The same walk when it is not known what became of the page.
    #[must_use]
    pub fn interrupted(self) -> Self {
        Self { is_unsure: self.at.is_some(), ..self }
    }
}

/// The tokens of a client: those that name it, and of those that name none, the
/// ones that act as its bot user.
pub fn of_client<'a>(
    tokens: &'a [SeenToken],
    client: &'a ClientId,
    bots: &'a [UserId],
) -> impl Iterator<Item = &'a SeenToken> {
    tokens.iter().filter(move |token| match &token.client {
        Some(named) => named == client,
        None => bots.contains(&token.user),
    })
}

#[cfg(test)]
mod walks;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_the_client_it_names_or_else_to_that_of_its_bot_user() {
        let token = |id: &str, user: &str, client: Option<&str>| SeenToken {
            id: TokenId::new(id),
            user: UserId::new(user),
            client: client.map(ClientId::new),
            description: None,
            last_used: None,
        };
        let tokens = [
            token("named", "anyone", Some("c")),
            token("bots", "bot", None),
            token("other client of the bot", "bot", Some("d")),
            token("stranger", "user", None),
        ];

        let (client, bots) = (ClientId::new("c"), [UserId::new("bot")]);
        let ids: Vec<_> = of_client(&tokens, &client, &bots).map(|token| token.id.as_str()).collect();

        assert_eq!(ids, ["named", "bots"]);
    }
}
