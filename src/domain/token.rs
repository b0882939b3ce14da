//! Tokens that Qlik has issued, and which of them a client holds.
//!
//! Qlik's guide shows `clientId` on a token, its schema does not (oauth-tokens,
//! list): where it is missing, the client's bot user tells.

use chrono::{DateTime, Utc};

use super::ids::{ClientId, TokenId, UserId};

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
