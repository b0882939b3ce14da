//! What a command may not do at Qlik while the database is not believed.
//!
//! The daemon asks the same of each effect ([`Hold::stops`]); a command asks before each act,
//! because the database may be failed over while it is at work.
//!
//! The rule: **on what may be a copy nothing is changed, and nothing is deleted on the word of
//! a database that nobody has agreed to yet.**

use super::inspect::{Inspector, NotDone};
use crate::domain::place::Hold;
use crate::ports::QlikApi;
use crate::postgres::operator::fleet::Held;

impl<Q: QlikApi> Inspector<Q> {
    /// Refuses what changes Qlik while this may be a copy of the real database.
    pub(super) async fn may_change(&self) -> Result<(), NotDone> {
        match self.store.hold().await? {
            Some(held) if held.hold() == Hold::Changes => Err(refused(&held)),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses what deletes at Qlik while deletions, or all changes, are held.
    pub(super) async fn may_delete(&self) -> Result<(), NotDone> {
        self.store.hold().await?.map_or(Ok(()), |held| Err(refused(&held)))
    }
}

fn refused(held: &Held) -> NotDone {
    NotDone::Refused(match held.hold() {
        Hold::Changes => format!(
            "nothing may be changed at Qlik now ({}); if this is the real database, say so with `tenantd rejoin --confirm`",
            held.reason
        ),
        Hold::Deletions => deletions_held(&held.reason),
    })
}

/// Why nothing is deleted now.
pub(super) fn deletions_held(reason: &str) -> String {
    format!("nothing may be deleted at Qlik now ({reason}); read `tenantd rejoin` and agree first")
}
