//! A plan: what a census found, and what is proposed about it, in a file.
//!
//! The rule: an entry holds all that the proposal rests on, so that whoever carries it
//! out can tell whether it still holds.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::domain::census::{Action, Class};

/// The version of the file that this program writes and reads.
pub const VERSION: u32 = 1;

/// What a census found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`VERSION`]
    pub version: u32,
    /// Whose database it was held against.
    pub installation_id: Uuid,
    /// When, by the database's clock.
    pub made_at: DateTime<Utc>,
    /// How many of each.
    pub counts: Counts,
    /// What is not as it should be.
    pub entries: Vec<Entry>,
    /// What could not be looked at.
    pub not_asked: Vec<NotAsked>,
}

/// How many clients of each class were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Hosts whose every page arrived.
    pub hosts: usize,
    /// Clients that are some row's.
    pub ours: usize,
    /// Clients that rows have and hosts have not.
    pub missing: usize,
    /// Clients with our mark and no row.
    pub orphan: usize,
    /// Second clients of a row.
    pub duplicate: usize,
    /// Clients of others with our name.
    pub look_alike: usize,
    /// Secrets of ours that nobody knows.
    pub stale_secret: usize,
    /// Other clients.
    pub foreign: usize,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where.
    pub host: String,
    /// The host's row.
    pub tenant_id: Option<Uuid>,
    /// Its key.
    pub external_id: Option<String>,
    /// Its client.
    pub row_client_id: Option<String>,
    /// What.
    #[serde(serialize_with = "write_class", deserialize_with = "read_class")]
    pub class: Class,
    /// What is proposed.
    #[serde(serialize_with = "write_action", deserialize_with = "read_action")]
    pub action: Action,
    /// The client.
    pub client_id: String,
    /// The secret, of a stale one.
    pub hint: Option<String>,
    /// The tenant in the client's mark, or of the row.
    pub marked_tenant_id: Option<Uuid>,
    /// The client's name; null of one that is missing, as all that follows.
    pub name: Option<String>,
    /// The client's description.
    pub description: Option<String>,
    /// When Qlik made it.
    pub created_at: Option<DateTime<Utc>>,
    /// The hints of its secrets, sorted.
    pub hints: Vec<String>,
}

/// A host that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotAsked {
    /// Which.
    pub host: String,
    /// Why not.
    pub reason: String,
}

impl Counts {
    pub(super) fn count(&mut self, class: Class) {
        let counted = match class {
            Class::Missing => &mut self.missing,
            Class::Orphan => &mut self.orphan,
            Class::Duplicate => &mut self.duplicate,
            Class::LookAlike => &mut self.look_alike,
            Class::StaleSecret => &mut self.stale_secret,
        };
        *counted += 1;
    }
}

impl Plan {
    /// Whether there is something to do.
    #[must_use]
    pub fn is_action_due(&self) -> bool {
        self.entries.iter().any(|entry| entry.action != Action::None)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn write_class<S: Serializer>(class: &Class, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(class.as_str())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn write_action<S: Serializer>(action: &Action, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(action.as_str())
}

fn read_class<'de, D: Deserializer<'de>>(from: D) -> Result<Class, D::Error> {
    let text = String::deserialize(from)?;
    Class::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown class {text:?}")))
}

fn read_action<'de, D: Deserializer<'de>>(from: D) -> Result<Action, D::Error> {
    let text = String::deserialize(from)?;
    Action::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown action {text:?}")))
}
