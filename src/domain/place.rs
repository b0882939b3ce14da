//! Where a database runs, and what follows when that is another place than before.
//!
//! A database that came out of a backup, or a standby that was promoted before it had
//! heard everything, has forgotten what Qlik knows. Nothing in its tables says so; where
//! it runs does.
//!
//! The rule: **in doubt it is another database**, which somebody must call the real one.
//! Only a later timeline of the same cluster and database goes on by itself: that is what
//! every failover looks like, and nobody should have to get up for one.

use std::fmt;

use chrono::{DateTime, Utc};

use super::machine::effect::EffectKind;

/// Where a database runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The cluster's system identifier.
    pub system: String,
    /// The database in it: name and oid, with a slash between. The name may change.
    pub database: String,
    /// The timeline that is written. It grows with every promotion.
    pub timeline: i32,
}

/// How far a server has written: a position in its write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// How far a server had written, and in which of its lives: a rejoin begins another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The position.
    pub position: Position,
    /// When the database was last rejoined.
    pub rejoined_at: Option<DateTime<Utc>>,
}

impl Written {
    /// Whether the server was set back since `before`.
    #[must_use]
    pub fn is_behind(&self, before: &Self) -> bool {
        self.rejoined_at == before.rejoined_at && self.position < before.position
    }
}

/// What is remembered of an earlier look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Where that was; `None` where nobody ever noted it.
    pub place: Option<Place>,
    /// Whether it holds tenants. A migration notes the place, so that only a hand takes it away.
    pub is_filled: bool,
    /// How far the server had written when this very process last looked.
    pub written: Option<Written>,
}

/// What a database is, held against what is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognition {
    /// The first look at a database that holds nothing.
    First,
    /// As it was.
    Same,
    /// The same database, but it may have forgotten something: a failover, or a recovery
    /// in its place. The text says what differs.
    Forgetful(String),
    /// Another one: a dump that was loaded, a clone, or one whose past is unknown.
    Another(String),
}

/// What waits for an operator, because the database is not believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Whatever takes something away at Qlik.
    Deletions,
    /// Whatever changes anything there: this may be a copy of the real database.
    Changes,
}

impl Hold {
    /// The spelling of SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deletions => "deletions",
            Self::Changes => "changes",
        }
    }

    /// Reads the spelling of SQL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Deletions, Self::Changes].into_iter().find(|hold| hold.as_str() == text)
    }

    /// Whether such an act waits.
    #[must_use]
    pub const fn stops(self, effect: EffectKind) -> bool {
        match self {
            Self::Deletions => effect.is_deletion(),
            Self::Changes => effect.is_change(),
        }
    }
}

impl Remembered {
    /// Judges where we are.
    #[must_use]
    pub fn recognise(&self, here: &Place, written: Option<Written>) -> Recognition {
        let Some(before) = &self.place else {
            return if self.is_filled {
                Recognition::Another("it does not say where it ran before".to_owned())
            } else {
                Recognition::First
            };
        };
        let mut differences = Vec::new();
        if before.system != here.system {
            differences.push(format!("system identifier {} is now {}", before.system, here.system));
        }
        if before.oid() != here.oid() {
            differences.push(format!("database {} is now {}", before.database, here.database));
        }
        let is_elsewhere = !differences.is_empty();
        if before.timeline != here.timeline {
            differences.push(format!("timeline {} is now {}", before.timeline, here.timeline));
        }
        let what = differences.join(", ");
        if is_elsewhere || here.timeline < before.timeline {
            return Recognition::Another(what);
        }
        if here.timeline > before.timeline {
            return Recognition::Forgetful(what);
        }
        match (self.written, written) {
            (Some(before), Some(now)) if now.is_behind(&before) => Recognition::Forgetful(format!(
                "it had written as far as {} and now only as far as {}",
                before.position, now.position
            )),
            (_, _) => Recognition::Same,
        }
    }
}

impl Place {
    fn oid(&self) -> &str {
        self.database.rsplit_once('/').map_or(self.database.as_str(), |(_, oid)| oid)
    }
}

impl fmt::Display for Position {
    /// As Postgres writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & u64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(system: &str, database: &str, timeline: i32) -> Place {
        Place { system: system.to_owned(), database: database.to_owned(), timeline }
    }

    fn remembered(place: Option<Place>) -> Remembered {
        Remembered { place, is_filled: true, written: None }
    }

    #[test]
    fn only_a_later_timeline_of_the_same_database_goes_on_by_itself() {
        let before = remembered(Some(place("7", "app/16384", 3)));
        for (here, is_the_same, is_forgetful) in [
            (place("7", "app/16384", 3), true, false),
            (place("7", "renamed/16384", 3), true, false),
            (place("7", "app/16384", 4), false, true),
            (place("7", "renamed/16384", 9), false, true),
            (place("7", "app/16384", 2), false, false),
            (place("7", "app/16999", 3), false, false),
            (place("7", "app/16999", 4), false, false),
            (place("8", "app/16384", 3), false, false),
            (place("8", "app/16384", 4), false, false),
        ] {
            match before.recognise(&here, None) {
                Recognition::Same => assert!(is_the_same, "{here:?}"),
                Recognition::Forgetful(what) => assert!(is_forgetful, "{here:?}: {what}"),
                Recognition::Another(what) => assert!(!is_the_same && !is_forgetful, "{here:?}: {what}"),
                Recognition::First => panic!("{here:?}"),
            }
        }
    }

    #[test]
    fn a_place_that_nobody_noted_is_the_first_one_only_before_any_tenant() {
        let (here, empty) = (place("7", "app/1", 1), Remembered { is_filled: false, ..remembered(None) });

        assert_eq!(empty.recognise(&here, None), Recognition::First);
        assert!(matches!(remembered(None).recognise(&here, None), Recognition::Another(_)));
    }

    #[test]
    fn a_log_that_went_back_tells_of_a_snapshot_under_a_running_process() {
        let here = place("7", "app/1", 1);
        let at = |position| Some(Written { position: Position(position), rejoined_at: None });
        let before = Remembered { written: at(0x1_0000_0010), ..remembered(Some(here.clone())) };

        assert_eq!(before.recognise(&here, at(0x1_0000_0010)), Recognition::Same);
        assert_eq!(before.recognise(&here, None), Recognition::Same);
        let rejoined = Written { position: Position(1), rejoined_at: Some(DateTime::UNIX_EPOCH) };
        assert_eq!(before.recognise(&here, Some(rejoined)), Recognition::Same, "another replica was faster");
        let Recognition::Forgetful(what) = before.recognise(&here, at(0xFFFF_FFFF)) else {
            panic!("believed")
        };
        assert_eq!(what, "it had written as far as 1/10 and now only as far as 0/FFFFFFFF");
    }
}
