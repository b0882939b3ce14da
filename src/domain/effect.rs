//! The outside acts there are, and what each can bring back.
//!
//! The rule: an effect has one commit behind it. Most effects are one request; some are a few
//! that belong together: a comparison asks two things, a list comes in pages, tokens are
//! revoked by the batch.
//!
//! What is true of an effect by its kind stands in the matches below and in the table of
//! `retry.rs`, none with a wildcard arm. Whoever adds one adds it to [`EffectKind::ALL`], and
//! is led by the compiler from there through the transition to the engine.

use std::fmt;

use super::drift::{Change, Drift};
use super::hints::SeenSecret;
use super::ids::{ClientId, Hint, UserId};
use super::look::SeenClient;
use super::token::Walk;

/// One outside act, to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make the client. Not repeatable.
    Create,
    /// List all clients, to learn whether ours is among them.
    Look,
    /// Read the client's hints and our bot user, to judge its secrets.
    Compare(ClientId),
    /// Make a further secret. Not repeatable.
    Mint(ClientId),
    /// Delete a secret: one of ours that nobody knows, or one that was withdrawn from consumers.
    Tidy(ClientId, Hint),
    /// Set the consent to trusted.
    Trust(ClientId),
    /// Get a token with the new credential.
    Prove(ClientId),
    /// List all clients, to learn whether there is more than one of ours.
    Recheck(ClientId),
    /// Delete a client of our own that is not the committed one.
    Dedupe(ClientId),
    /// List all clients, to hold ours against what it should be.
    Audit(ClientId),
    /// Set fields of the client.
    Amend(ClientId, Vec<Change>),
    /// Delete the client, because the tenant is to have none.
    Delete(ClientId),
    /// Revoke a batch of the tokens that were issued to the client, from here on.
    Revoke(ClientId, Walk),
    /// Delete the bot user that Qlik made for the client.
    DeleteBot(ClientId),
}

/// An effect without its object: what the retry class, metrics and history go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EffectKind {
    /// See [`Effect::Create`].
    Create,
    /// See [`Effect::Look`].
    Look,
    /// See [`Effect::Compare`].
    Compare,
    /// See [`Effect::Mint`].
    Mint,
    /// See [`Effect::Tidy`].
    Tidy,
    /// See [`Effect::Trust`].
    Trust,
    /// See [`Effect::Prove`].
    Prove,
    /// See [`Effect::Recheck`].
    Recheck,
    /// See [`Effect::Dedupe`].
    Dedupe,
    /// See [`Effect::Audit`].
    Audit,
    /// See [`Effect::Amend`].
    Amend,
    /// See [`Effect::Delete`].
    Delete,
    /// See [`Effect::Revoke`].
    Revoke,
    /// See [`Effect::DeleteBot`].
    DeleteBot,
}

/// What came of an effect that succeeded. The secret itself never comes here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The client exists; its secret is held by the engine, to be sealed with this commit.
    Created {
        /// Its id.
        client: ClientId,
        /// The secret's hint, where the answer gave one.
        hint: Option<Hint>,
    },
    /// Every page of the list arrived and parsed.
    Looked(Vec<SeenClient>),
    /// The client's secrets as shown now.
    Compared {
        /// All of them.
        secrets: Vec<SeenSecret>,
        /// Our own bot user.
        me: UserId,
    },
    /// A further secret exists; the engine holds it, to be sealed with this commit.
    Minted {
        /// Its hint, where the answer gave one.
        hint: Option<Hint>,
    },
    /// The secret is gone.
    Tidied,
    /// The consent is trusted.
    Trusted,
    /// The credential got a token, or proof is switched off.
    Proven,
    /// The stored secret cannot be opened here: the daemon only seals, or the key is gone.
    Unopenable,
    /// Every page of the list arrived and parsed.
    Rechecked(Vec<SeenClient>),
    /// The surplus client is gone.
    Deduped,
    /// Every page of the list arrived and parsed; these are the differences.
    Audited(Vec<Drift>),
    /// The fields are set.
    Amended,
    /// The client is gone.
    Deleted,
    /// A batch of its tokens is gone.
    Revoked {
        /// Where to go on; `None` at the end.
        left: Option<Walk>,
    },
    /// Its bot user is gone.
    BotDeleted,
}

impl Effect {
    /// The effect without its object.
    #[must_use]
    pub const fn kind(&self) -> EffectKind {
        match self {
            Self::Create => EffectKind::Create,
            Self::Look => EffectKind::Look,
            Self::Compare(_) => EffectKind::Compare,
            Self::Mint(_) => EffectKind::Mint,
            Self::Tidy(..) => EffectKind::Tidy,
            Self::Trust(_) => EffectKind::Trust,
            Self::Prove(_) => EffectKind::Prove,
            Self::Recheck(_) => EffectKind::Recheck,
            Self::Dedupe(_) => EffectKind::Dedupe,
            Self::Audit(_) => EffectKind::Audit,
            Self::Amend(..) => EffectKind::Amend,
            Self::Delete(_) => EffectKind::Delete,
            Self::Revoke(..) => EffectKind::Revoke,
            Self::DeleteBot(_) => EffectKind::DeleteBot,
        }
    }
}

impl EffectKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Create,
        Self::Look,
        Self::Compare,
        Self::Mint,
        Self::Tidy,
        Self::Trust,
        Self::Prove,
        Self::Recheck,
        Self::Dedupe,
        Self::Audit,
        Self::Amend,
        Self::Delete,
        Self::Revoke,
        Self::DeleteBot,
    ];

    /// Whether it asks something of the region's OAuth client. A proof asks the new
    /// client's own.
    #[must_use]
    pub const fn needs_right(self) -> bool {
        match self {
            Self::Prove => false,
            Self::Create
            | Self::Look
            | Self::Compare
            | Self::Mint
            | Self::Tidy
            | Self::Trust
            | Self::Recheck
            | Self::Dedupe
            | Self::Audit
            | Self::Amend
            | Self::Delete
            | Self::Revoke
            | Self::DeleteBot => true,
        }
    }

    /// Reads the spelling of history and SQL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The spelling in history, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Look => "look",
            Self::Compare => "compare",
            Self::Mint => "mint",
            Self::Tidy => "tidy",
            Self::Trust => "trust",
            Self::Prove => "prove",
            Self::Recheck => "recheck",
            Self::Dedupe => "dedupe",
            Self::Audit => "audit",
            Self::Amend => "amend",
            Self::Delete => "delete",
            Self::Revoke => "revoke",
            Self::DeleteBot => "delete_bot",
        }
    }

    /// Whether doing it twice does no harm. Where it does, it is done again only after what
    /// came of the first time was looked up: the clients after a create, the client's secrets
    /// after a mint.
    #[must_use]
    pub const fn is_repeatable(self) -> bool {
        match self {
            Self::Create | Self::Mint => false,
            Self::Look
            | Self::Compare
            | Self::Tidy
            | Self::Trust
            | Self::Prove
            | Self::Recheck
            | Self::Dedupe
            | Self::Audit
            | Self::Amend
            | Self::Delete
            | Self::Revoke
            | Self::DeleteBot => true,
        }
    }

    /// Whether it leaves anything at Qlik other than it was: a copy of the database must not.
    /// A token that a proof gets is listed there too.
    #[must_use]
    pub const fn is_change(self) -> bool {
        match self {
            Self::Look | Self::Compare | Self::Recheck | Self::Audit => false,
            Self::Create
            | Self::Mint
            | Self::Tidy
            | Self::Trust
            | Self::Prove
            | Self::Dedupe
            | Self::Amend
            | Self::Delete
            | Self::Revoke
            | Self::DeleteBot => true,
        }
    }

    /// Whether it takes something away at Qlik: such an act waits while deletions are held.
    #[must_use]
    pub const fn is_deletion(self) -> bool {
        match self {
            Self::Tidy | Self::Dedupe | Self::Delete | Self::Revoke | Self::DeleteBot => true,
            Self::Create
            | Self::Look
            | Self::Compare
            | Self::Mint
            | Self::Trust
            | Self::Prove
            | Self::Recheck
            | Self::Audit
            | Self::Amend => false,
        }
    }
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
