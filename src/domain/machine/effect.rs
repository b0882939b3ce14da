//! The outside acts there are, and what each can bring back.
//!
//! The rule: an effect has one commit behind it. Most effects are one request; some are a few
//! that belong together: a comparison asks two things, a list comes in pages, tokens are
//! revoked by the batch.
//!
//! What is true of an effect by its kind stands in one table (`EffectKind::facts`). Whoever
//! adds one adds it to [`EffectKind::ALL`], and is led by the compiler from there through the
//! machine to the engine.

use std::fmt;

use crate::domain::drift::{Change, Drift};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, UserId};
use crate::domain::look::SeenClient;
use crate::domain::retry::RetryClass;
use crate::domain::token::Walk;

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

    /// What is true of it: the one table of effects.
    const fn facts(self) -> Facts {
        use RetryClass::{Missing, Transient};
        match self {
            Self::Create => Facts { name: "create", is_repeatable: false, ..SETS },
            Self::Look => Facts { name: "look", ..READS },
            Self::Compare => Facts { name: "compare", not_found: Missing, ..READS },
            Self::Mint => {
                Facts { name: "mint", is_repeatable: false, not_found: Missing, conflict: Transient, ..SETS }
            }
            Self::Tidy => Facts { name: "tidy", ..DELETES },
            Self::Trust => Facts { name: "trust", not_found: Missing, ..SETS },
            // A token that it gets is listed at Qlik, too.
            Self::Prove => Facts { name: "prove", needs_right: false, ..SETS },
            Self::Recheck => Facts { name: "recheck", ..READS },
            Self::Dedupe => Facts { name: "dedupe", ..DELETES },
            Self::Audit => Facts { name: "audit", ..READS },
            Self::Amend => Facts { name: "amend", not_found: Missing, ..SETS },
            Self::Delete => Facts { name: "delete", ..DELETES },
            Self::Revoke => Facts { name: "revoke", is_in_batches: true, ..DELETES },
            Self::DeleteBot => Facts { name: "delete_bot", is_in_batches: true, ..DELETES },
        }
    }

    /// Whether it asks something of the region's OAuth client. A proof asks the new
    /// client's own.
    #[must_use]
    pub const fn needs_right(self) -> bool {
        self.facts().needs_right
    }

    /// Reads the spelling of history and SQL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The spelling in history, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// Whether doing it twice does no harm. Where it does, it is done again only after what
    /// came of the first time was looked up: the clients after a create, the client's secrets
    /// after a mint.
    #[must_use]
    pub const fn is_repeatable(self) -> bool {
        self.facts().is_repeatable
    }

    /// Whether it leaves anything at Qlik other than it was: a copy of the database must not.
    #[must_use]
    pub const fn is_change(self) -> bool {
        match self.facts().leaves {
            Leaves::AsItWas => false,
            Leaves::Otherwise | Leaves::Less => true,
        }
    }

    /// Whether it takes something away at Qlik: such an act waits while deletions are held.
    #[must_use]
    pub const fn is_deletion(self) -> bool {
        match self.facts().leaves {
            Leaves::Less => true,
            Leaves::AsItWas | Leaves::Otherwise => false,
        }
    }

    /// Whether it must end while the lease is certain: what cannot be repeated, and what takes
    /// something away.
    #[must_use]
    pub const fn needs_a_certain_lease(self) -> bool {
        !self.is_repeatable() || self.is_deletion()
    }

    /// Whether it goes on batch by batch, by our own pacing.
    #[must_use]
    pub const fn is_in_batches(self) -> bool {
        self.facts().is_in_batches
    }

    /// What it means that Qlik knows nothing there.
    #[must_use]
    pub const fn not_found(self) -> RetryClass {
        self.facts().not_found
    }

    /// What it means that Qlik finds it in conflict with what is there.
    #[must_use]
    pub const fn conflict(self) -> RetryClass {
        self.facts().conflict
    }
}

/// What an effect leaves behind at Qlik.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    AsItWas,
    Otherwise,
    Less,
}

/// What is true of an effect by its kind. Each has a question of the same name on
/// [`EffectKind`], which says what it means.
#[derive(Debug, Clone, Copy)]
struct Facts {
    name: &'static str,
    leaves: Leaves,
    is_repeatable: bool,
    needs_right: bool,
    is_in_batches: bool,
    not_found: RetryClass,
    conflict: RetryClass,
}

const READS: Facts = Facts {
    name: "",
    leaves: Leaves::AsItWas,
    is_repeatable: true,
    needs_right: true,
    is_in_batches: false,
    not_found: RetryClass::Transient,
    conflict: RetryClass::Permanent,
};
const SETS: Facts = Facts { leaves: Leaves::Otherwise, ..READS };
const DELETES: Facts = Facts { leaves: Leaves::Less, ..READS };

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
