//! Which secrets of a client may be deleted, judged by their hints.
//!
//! Qlik shows a secret once and afterwards only a hint of at most five
//! characters, which is not documented as unique. A mint whose answer was lost
//! leaves a secret that nobody knows and that takes one of five slots.
//!
//! The rule: **never delete by a hint that is stored as live or that occurs
//! twice, nor a secret that our own bot user did not make.**

use super::ids::{Hint, UserId};
use super::when::When;

/// Most secrets of one client (oauth-clients, client-secrets: the sixth is a 409).
pub const SLOTS: usize = 5;

/// A secret as Qlik shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSecret {
    /// What Qlik shows of it.
    pub hint: Hint,
    /// Who made it, where Qlik says so.
    pub created_by: Option<UserId>,
}

/// A secret as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Under which it is stored; `None` for one that the next commit seals.
    pub id: Option<i64>,
    /// Its hint; `None` when Qlik's answer did not give one.
    pub hint: Option<Hint>,
    /// What it is good for.
    pub standing: Standing,
    /// Its number, once it is proven.
    pub version: Option<i32>,
    /// When it was proven.
    pub proven: Option<When>,
    /// When a previous one is to be withdrawn.
    pub retires: Option<When>,
    /// It is a previous one whose time is over: to be withdrawn from consumers, then deleted.
    pub is_retiring: bool,
}

impl StoredSecret {
    /// A secret whose time is not over.
    #[must_use]
    pub const fn new(hint: Option<Hint>, standing: Standing) -> Self {
        Self { id: None, hint, standing, version: None, proven: None, retires: None, is_retiring: false }
    }
}

/// What a stored secret is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Sealed and committed, not yet proven.
    Unproven,
    /// Proven: the one to use.
    Current,
    /// Proven earlier, still valid until its retirement.
    Previous,
    /// Never to be used; to be deleted at Qlik.
    Discarded,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 4] = [Self::Unproven, Self::Current, Self::Previous, Self::Discarded];

    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Discarded => "discarded",
        }
    }

    /// Reads the spelling of SQL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == text)
    }
}

/// What is known of one client's secrets.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// What Qlik shows now.
    pub seen: &'a [SeenSecret],
    /// What the store knows.
    pub stored: &'a [StoredSecret],
    /// The hints that were visible when the intent to mint was recorded.
    pub snapshot: Option<&'a [Hint]>,
    /// The client was adopted from a lost create: its first secrets were never known.
    pub is_adopted: bool,
    /// Our own bot user.
    pub me: &'a UserId,
}

/// What to do before a new secret may be minted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MintPlan {
    /// Delete this one first.
    Delete(Hint),
    /// Record these hints as seen, then mint.
    Mint {
        /// Hints visible before the first mint of this series.
        snapshot: Vec<Hint>,
    },
    /// Five secrets, none of them ours to delete.
    SlotsFull,
}

impl Comparison<'_> {
    /// What to do on the way to a new secret: lost mints and discarded secrets go
    /// first, but for the only one left, which Qlik might refuse to delete before
    /// there is another; an adopted client gives up a creation-time secret only for
    /// want of a slot. Where nothing should be deleted now, that too only for want of one.
    #[must_use]
    pub fn before_mint(&self, may_delete: bool) -> MintPlan {
        let snapshot = || self.seen.iter().map(|secret| secret.hint.clone()).collect();
        let is_wanted = may_delete || self.seen.len() >= SLOTS;
        match self.first(|secret| self.is_discarded(secret) || self.is_lost_mint(secret)) {
            Some(hint) if self.seen.len() > 1 && is_wanted => MintPlan::Delete(hint),
            Some(_) | None if self.seen.len() < SLOTS => {
                MintPlan::Mint { snapshot: self.snapshot.map_or_else(snapshot, <[Hint]>::to_vec) }
            }
            Some(_) | None => self
                .first(|secret| self.is_creation_time(secret))
                .map_or(MintPlan::SlotsFull, MintPlan::Delete),
        }
    }

    /// The next secret to delete once a new one is sealed, if any.
    #[must_use]
    pub fn after_mint(&self) -> Option<Hint> {
        self.first(|secret| {
            self.is_discarded(secret) || self.is_lost_mint(secret) || self.is_creation_time(secret)
        })
    }

    /// A discarded secret that Qlik does not show any more.
    #[must_use]
    pub fn discarded_and_gone(&self) -> Option<Hint> {
        let discarded = self.stored.iter().filter(|stored| stored.standing == Standing::Discarded);
        discarded
            .filter_map(|stored| stored.hint.as_ref())
            .find(|hint| !self.seen.iter().any(|seen| seen.hint == **hint))
            .cloned()
    }

    /// The hint of the one live stored secret that came without, where what Qlik
    /// shows leaves exactly one candidate. It is deleted by that hint one day, so it must
    /// be one that we made.
    #[must_use]
    pub fn missing_hint(&self) -> Option<Hint> {
        let mut candidates = self.seen.iter().filter(|secret| {
            let is_known = self.snapshot.is_some_and(|known| known.contains(&secret.hint));
            self.is_mine(secret) && !self.is_stored(secret) && !is_known
        });
        match (candidates.next(), candidates.next()) {
            (Some(only), None) => Some(only.hint.clone()),
            (_, _) => None,
        }
    }

    fn first(&self, wanted: impl Fn(&SeenSecret) -> bool) -> Option<Hint> {
        // A live secret whose hint is unknown may be any of those seen.
        if self.live().any(|secret| secret.hint.is_none()) {
            return None;
        }
        let deletable = |secret: &&SeenSecret| {
            let occurs_once = self.seen.iter().filter(|other| other.hint == secret.hint).count() == 1;
            let is_live = self.live().any(|stored| stored.hint.as_ref() == Some(&secret.hint));
            occurs_once && !is_live && wanted(secret)
        };
        self.seen.iter().find(deletable).map(|secret| secret.hint.clone())
    }

    fn live(&self) -> impl Iterator<Item = &StoredSecret> {
        self.stored.iter().filter(|secret| match secret.standing {
            Standing::Unproven | Standing::Current | Standing::Previous => true,
            Standing::Discarded => false,
        })
    }

    fn is_stored(&self, secret: &SeenSecret) -> bool {
        self.stored.iter().any(|stored| stored.hint.as_ref() == Some(&secret.hint))
    }

    fn is_mine(&self, secret: &SeenSecret) -> bool {
        secret.created_by.as_ref() == Some(self.me)
    }

    fn is_discarded(&self, secret: &SeenSecret) -> bool {
        self.stored.iter().any(|s| s.standing == Standing::Discarded && s.hint.as_ref() == Some(&secret.hint))
    }

    /// Neither stored nor there when the intent was recorded, and made by us.
    fn is_lost_mint(&self, secret: &SeenSecret) -> bool {
        self.snapshot.is_some_and(|known| !known.contains(&secret.hint))
            && !self.is_stored(secret)
            && self.is_mine(secret)
    }

    /// There before the first mint on an adopted client, never known, made by us.
    fn is_creation_time(&self, secret: &SeenSecret) -> bool {
        self.is_adopted && !self.is_stored(secret) && self.is_mine(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> UserId {
        UserId::new("bot")
    }

    fn seen(hints: &[&str]) -> Vec<SeenSecret> {
        hints.iter().map(|hint| SeenSecret { hint: Hint::new(*hint), created_by: Some(me()) }).collect()
    }

    fn stored(hints: &[(&str, Standing)]) -> Vec<StoredSecret> {
        hints.iter().map(|(hint, standing)| StoredSecret::new(Some(Hint::new(*hint)), *standing)).collect()
    }

    fn hints(hints: &[&str]) -> Vec<Hint> {
        hints.iter().map(|hint| Hint::new(*hint)).collect()
    }

    #[test]
    fn a_lost_mint_goes_before_the_next_one_and_the_first_snapshot_stays() {
        let (seen, known) = (seen(&["old", "lost"]), hints(&["old"]));
        let compare =
            Comparison { seen: &seen, stored: &[], snapshot: Some(&known), is_adopted: false, me: &me() };

        assert_eq!(compare.before_mint(true), MintPlan::Delete(Hint::new("lost")));
        let rest = Comparison { seen: &seen[..1], ..compare };
        assert_eq!(rest.before_mint(true), MintPlan::Mint { snapshot: known.clone() });
    }

    #[test]
    fn live_foreign_and_doubled_hints_are_never_deleted() {
        let mut seen = seen(&["live", "twice", "twice"]);
        seen.push(SeenSecret { hint: Hint::new("admin"), created_by: Some(UserId::new("admin")) });
        seen.push(SeenSecret { hint: Hint::new("anon"), created_by: None });
        let stored = stored(&[("live", Standing::Current)]);
        let compare =
            Comparison { seen: &seen, stored: &stored, snapshot: Some(&[]), is_adopted: true, me: &me() };

        assert_eq!(compare.after_mint(), None);
        assert_eq!(compare.before_mint(true), MintPlan::SlotsFull);
    }

    #[test]
    fn nothing_is_deleted_while_a_live_hint_is_unknown() {
        let seen = seen(&["a", "b"]);
        let unknown = [StoredSecret::new(None, Standing::Unproven)];
        let compare =
            Comparison { seen: &seen, stored: &unknown, snapshot: Some(&[]), is_adopted: true, me: &me() };

        assert_eq!(compare.after_mint(), None);
    }

    #[test]
    fn an_adopted_client_loses_its_creation_time_secrets_after_the_mint() {
        let (seen, known) = (seen(&["birth", "new"]), hints(&["birth"]));
        let stored = stored(&[("new", Standing::Unproven)]);
        let adopted =
            Comparison { seen: &seen, stored: &stored, snapshot: Some(&known), is_adopted: true, me: &me() };

        assert_eq!(adopted.after_mint(), Some(Hint::new("birth")));
        assert_eq!(Comparison { is_adopted: false, ..adopted }.after_mint(), None);
    }

    #[test]
    fn a_full_adopted_client_gives_up_a_creation_time_secret() {
        let (seen, known) = (seen(&["1", "2", "3", "4", "5"]), hints(&["1", "2", "3", "4", "5"]));
        let compare =
            Comparison { seen: &seen, stored: &[], snapshot: Some(&known), is_adopted: true, me: &me() };

        assert_eq!(compare.before_mint(true), MintPlan::Delete(Hint::new("1")));
        assert_eq!(Comparison { is_adopted: false, ..compare }.before_mint(true), MintPlan::SlotsFull);
    }

    #[test]
    fn a_discarded_secret_goes_first_unless_it_is_the_only_one() {
        let (seen, stored) = (seen(&["bad", "new"]), stored(&[("bad", Standing::Discarded)]));
        let both = Comparison { seen: &seen, stored: &stored, snapshot: None, is_adopted: false, me: &me() };
        let alone = Comparison { seen: &seen[..1], ..both };

        assert_eq!(both.before_mint(true), MintPlan::Delete(Hint::new("bad")));
        assert_eq!(alone.before_mint(true), MintPlan::Mint { snapshot: hints(&["bad"]) });
        assert_eq!(both.after_mint(), Some(Hint::new("bad")));
    }

    #[test]
    fn a_secret_of_somebody_else_is_never_taken_for_the_one_without_a_hint() {
        let mut admins = seen(&["new"]);
        admins[0].created_by = Some(UserId::new("admin"));
        let unknown = [StoredSecret::new(None, Standing::Unproven)];
        let compare =
            Comparison { seen: &admins, stored: &unknown, snapshot: Some(&[]), is_adopted: false, me: &me() };

        assert_eq!(compare.missing_hint(), None);
    }

    #[test]
    fn a_missing_hint_is_told_only_when_one_candidate_is_left() {
        let known = hints(&["birth"]);
        let two = seen(&["birth", "new"]);
        let compare =
            Comparison { seen: &two, stored: &[], snapshot: Some(&known), is_adopted: true, me: &me() };

        assert_eq!(compare.missing_hint(), Some(Hint::new("new")));
        assert_eq!(Comparison { snapshot: None, ..compare }.missing_hint(), None);
    }
}
