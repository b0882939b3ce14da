//! The columns of a tenant as the core sees them: its own, and what others have said.
//!
//! The rule: one field a column, by the column's meaning; nothing here decides.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::blame::{Blame, Spent};
use crate::domain::drift::DriftKind;
use crate::domain::hints::StoredSecret;
use crate::domain::ids::{ClientId, Hint};
use crate::domain::machine::effect::EffectKind;
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::rights::MissingRights;
use crate::domain::tenant::{RepairScope, Unanswered};
use crate::domain::wants::WantsDigest;
use crate::domain::when::When;

/// The core's columns of a tenant, and its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How far the tenant is.
    pub phase: Phase,
    /// The committed client.
    pub client: Option<ClientId>,
    /// A request that may have been sent.
    pub unanswered: Option<Unanswered>,
    /// Until then it may still land; `None` while it may be in flight.
    pub settles: Option<When>,
    /// The hints that were visible when the first intent to mint of this series was recorded.
    pub snapshot: Option<Vec<Hint>>,
    /// The client was found after a lost create.
    pub is_adopted: bool,
    /// A secret was already minted afresh.
    pub is_afresh: bool,
    /// What the row says of Qlik may be out of date.
    pub must_look: bool,
    /// Clients of this life that somebody else deleted.
    pub left: Vec<ClientId>,
    /// Its secrets, the oldest first.
    pub stored: Vec<StoredSecret>,
    /// The number of the current secret.
    pub version: Option<i32>,
    /// The highest number that a secret of this row was ever given, in whatever life.
    pub last_version: Option<i32>,
    /// The desired version that was served; `None` where the version before wrote the row: then all
    /// up to the current number.
    pub served_version: Option<i32>,
    /// When it was first ready in this life.
    pub ready: Option<When>,
    /// Failures since the last progress.
    pub failures: u32,
    /// The last progress, moved forward by every wait that is not held against the tenant.
    pub progress: When,
    /// When the new credential was first refused.
    pub proof_refused: Option<When>,
    /// When our client was first not to be seen.
    pub client_missing: Option<When>,
    /// When the region's credential was last refused here.
    pub credential_refused: Option<When>,
    /// The effect to which the region lacked the right when it was last needed here.
    pub awaits_right: Option<EffectKind>,
    /// Since when it is refused here.
    pub right_refused: Option<When>,
    /// When to look for a second client of ours.
    pub recheck: Option<When>,
    /// When the next previous secret is to be deleted.
    pub retirement: Option<When>,
    /// When to compare with Qlik.
    pub audit: Option<When>,
    /// When that was last done.
    pub audited: Option<When>,
    /// How the client differed then.
    pub drift: Vec<DriftKind>,
    /// Since when it is known to differ.
    pub drifted: Option<When>,
    /// What its owner wanted of the client when that was last made or found so; `None` where it is
    /// not known.
    pub applied: Option<WantsDigest>,
    /// When its owner wrote what is wanted of the client, until that follows.
    pub edited: Option<When>,
    /// What of its drift may be mended now.
    pub repair: Option<RepairScope>,
    /// Why it rests.
    pub wait_reason: Option<String>,
    /// Why it waits for somebody to act.
    pub parked_reason: Option<String>,
    /// The same in words.
    pub message: Option<String>,
    /// Since when it stands so.
    pub reason_since: When,
    /// Until then it waits after what Qlik answered, whoever wakes it.
    pub backoff: Option<When>,
    /// Whose the time was since its insert, until it was first ready.
    pub spent: Spent,
    /// Since when nobody works on it; `None` while somebody does.
    pub rested: Option<When>,
    /// Whose the time is until it is due.
    pub rests_for: Blame,
    /// When somebody should go on.
    pub due: Option<When>,
}

/// What the row says besides: what its owner wants, and what others have said of it. All of
/// it as it was at one instant.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The instant, by the database's clock.
    pub now: DateTime<Utc>,
    /// When the row was inserted.
    pub created: DateTime<Utc>,
    /// Counts what owner and others have said. A commit of another one decided on less.
    pub generation: i64,
    /// The tenant should have a credential.
    pub is_present: bool,
    /// Its removal was let through.
    pub is_admitted: bool,
    /// What its owner wants of the client.
    pub wants: WantsDigest,
    /// The version that its owner asks for, at least.
    pub desired_version: i32,
    /// The version that is to be renewed for its age. Of any other than the current one it says nothing.
    pub aged_version: Option<i32>,
    /// No secret gets a lower number.
    pub version_floor: i32,
    /// Nothing is sent before.
    pub not_before: Option<DateTime<Utc>>,
    /// An operator keeps the daemon away from it, until then or until further notice.
    pub paused: Option<Option<DateTime<Utc>>>,
    /// The intent to create was recorded by this very claim.
    pub is_fresh_intent: bool,
    /// What may not be done at Qlik until an operator has said so.
    pub hold: Option<Hold>,
    /// What its region is known to lack the right to.
    pub rights: MissingRights,
}

/// An effect that was tried, and whether it worked.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// Which.
    pub effect: EffectKind,
    /// It did.
    pub is_done: bool,
    /// How long it took.
    pub took: Duration,
}

/// A record that no version of this program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("phase {0} without a client")]
pub struct Unreadable(pub Phase);
