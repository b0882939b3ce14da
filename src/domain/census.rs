//! Whose each client on a host is, and what could be done about it.
//!
//! The rules: only what bears a mark of this installation, and of no other, is ever
//! proposed for deletion; whatever some row may still need is left to that row; what
//! bears no mark of ours is counted or named, and never touched.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use super::hints::{SeenSecret, StoredSecret};
use super::ids::{ClientId, Hint, InstallationId, TenantId, UserId};
use super::look::{SeenClient, looks_made_by_us};
use super::mark::marks_in;
use super::phase::Phase;

/// What was found that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The row's client is not there.
    Missing,
    /// Our mark, but of a tenant that the database does not know, or that has ended or another client.
    Orphan,
    /// The row's mark, and not the row's client.
    Duplicate,
    /// The name our client has, or our mark, but not the look of what we make.
    LookAlike,
    /// A secret of our client that our bot user made and the database does not know.
    StaleSecret,
}

/// What a plan proposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Delete the client, its tokens and its bot user.
    DeleteClient,
    /// Delete the secret.
    DeleteSecret,
    /// Have the client made again: only a note, `tenantd tenant retry --recreate` does it.
    Recreate,
    /// Nothing.
    None,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::Missing, Self::Orphan, Self::Duplicate, Self::LookAlike, Self::StaleSecret];

    /// The spelling in plans and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Orphan => "orphan",
            Self::Duplicate => "duplicate",
            Self::LookAlike => "look_alike",
            Self::StaleSecret => "stale_secret",
        }
    }

    /// Reads the spelling of plans.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }

    /// What is proposed about it.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Missing => Action::Recreate,
            Self::Orphan | Self::Duplicate => Action::DeleteClient,
            Self::LookAlike => Action::None,
            Self::StaleSecret => Action::DeleteSecret,
        }
    }
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::DeleteClient, Self::DeleteSecret, Self::Recreate, Self::None];

    /// The spelling in plans and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeleteClient => "delete_client",
            Self::DeleteSecret => "delete_secret",
            Self::Recreate => "recreate",
            Self::None => "none",
        }
    }

    /// Reads the spelling of plans.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// What the database knows of a tenant whose mark was met on a host that is not its row's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It is removed.
    Removed,
    /// It may still come to have this client.
    WithoutClient,
    /// It has this client.
    WithClient(ClientId),
}

/// The row of a host.
#[derive(Debug, Clone)]
pub struct HostRow<'a> {
    /// The row.
    pub tenant: TenantId,
    /// How far it is.
    pub phase: Phase,
    /// Its client.
    pub client: Option<&'a ClientId>,
    /// Whether the tenant is to have a client.
    pub is_wanted: bool,
    /// Whether a further secret may be on its way, or known leavings are being tidied.
    pub is_minting: bool,
    /// Its secrets.
    pub stored: &'a [StoredSecret],
}

/// A host before its clients are sorted.
#[derive(Debug)]
pub struct HostView<'a, S> {
    /// Who we are.
    pub installation: InstallationId,
    /// The host's row, where it has one.
    pub row: Option<HostRow<'a>>,
    /// Names that clients of ours have here.
    pub names: &'a HashSet<String>,
    /// The other tenants whose marks are on clients here; unknown ones are not in it.
    pub known: &'a HashMap<TenantId, Known, S>,
    /// Our own bot user, where it was asked for.
    pub me: Option<&'a UserId>,
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub class: Class,
    /// The client.
    pub client: ClientId,
    /// The tenant in the client's mark, or of the row.
    pub tenant: Option<TenantId>,
    /// The secret.
    pub hint: Option<Hint>,
}

/// The clients of a host, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sorted {
    /// Clients that are some row's, or may become it.
    pub ours: usize,
    /// Clients of others.
    pub foreign: usize,
    /// The rest, in the order of the list.
    pub found: Vec<Found>,
}

/// Whose a client is.
enum Whose {
    Ours,
    Foreign,
    LookAlike,
    Orphan(TenantId),
    Duplicate(TenantId),
}

/// The tenants other than the row's whose marks of this installation stand on clients.
#[must_use]
pub fn other_tenants(
    installation: InstallationId,
    row: Option<TenantId>,
    seen: &[SeenClient],
) -> Vec<TenantId> {
    let marks =
        seen.iter().filter(|client| !client.is_deleted).flat_map(|client| marks_in(&client.description));
    let mut others: Vec<_> = marks
        .filter(|mark| mark.installation == installation && Some(mark.tenant) != row)
        .map(|mark| mark.tenant)
        .collect();
    others.sort_unstable();
    others.dedup();
    others
}

/// Whether somebody must say who we are before it is known who made what bears our mark.
#[must_use]
pub fn needs_maker(installation: InstallationId, committed: Option<&ClientId>, seen: &[SeenClient]) -> bool {
    let is_marked =
        |client: &&SeenClient| marks_in(&client.description).any(|mark| mark.installation == installation);
    let others = seen.iter().filter(|client| !client.is_deleted && Some(&client.client_id) != committed);
    let mut marked = others.filter(is_marked);
    marked.any(|client| client.secrets.iter().any(|secret| secret.created_by.is_some()))
}

impl<S: BuildHasher> HostView<'_, S> {
    /// Sorts the clients of the host.
    #[must_use]
    pub fn sort(&self, seen: &[SeenClient]) -> Sorted {
        let mut sorted = Sorted { found: self.missing(seen).into_iter().collect(), ..Sorted::default() };
        for client in seen.iter().filter(|client| !client.is_deleted) {
            let found = |class, tenant| Found { class, client: client.client_id.clone(), tenant, hint: None };
            match self.whose(client) {
                Whose::Ours => {
                    sorted.ours += 1;
                    sorted.found.extend(self.stale(client));
                }
                Whose::Foreign => sorted.foreign += 1,
                Whose::LookAlike => sorted.found.push(found(Class::LookAlike, None)),
                // A mark is a text that anybody may copy, and what is there beside a client that
                // is not may be all that works.
                Whose::Orphan(_) | Whose::Duplicate(_) if !looks_made_by_us(client) => {
                    sorted.found.push(found(Class::LookAlike, None));
                }
                Whose::Duplicate(_) if !self.is_committed_there(seen) => {
                    sorted.found.push(found(Class::LookAlike, None));
                }
                Whose::Orphan(tenant) => sorted.found.push(found(Class::Orphan, Some(tenant))),
                Whose::Duplicate(tenant) => sorted.found.push(found(Class::Duplicate, Some(tenant))),
            }
        }
        sorted
    }

    /// Whether sorting needs to know our bot user: the row's client has secrets that are not stored.
    #[must_use]
    pub fn needs_me(&self, seen: &[SeenClient]) -> bool {
        let mut ours = seen.iter().filter(|client| !client.is_deleted && self.is_committed(client));
        ours.any(|client| self.unknown(client).next().is_some())
    }

    fn whose(&self, client: &SeenClient) -> Whose {
        if self.is_committed(client) {
            return Whose::Ours;
        }
        let marks: Vec<_> = marks_in(&client.description).collect();
        if marks.is_empty() || marks.iter().any(|mark| mark.installation != self.installation) {
            let is_alike = self.names.contains(&client.name);
            return if is_alike { Whose::LookAlike } else { Whose::Foreign };
        }
        let mut whose = None;
        for mark in marks {
            match self.claim(mark.tenant, client) {
                // What one row may need, another does not take.
                Whose::Ours => return Whose::Ours,
                duplicate @ Whose::Duplicate(_) => whose = Some(duplicate),
                other @ (Whose::Foreign | Whose::LookAlike | Whose::Orphan(_)) => {
                    whose = whose.or(Some(other));
                }
            }
        }
        whose.unwrap_or(Whose::Foreign)
    }

    /// What the tenant of a mark makes of the client.
    fn claim(&self, tenant: TenantId, client: &SeenClient) -> Whose {
        match &self.row {
            Some(row) if row.tenant == tenant => match (row.phase, row.client) {
                (Phase::Removed, _) => Whose::Orphan(tenant),
                // It will look, and take up or delete what bears its mark.
                (Phase::Removing, _) | (_, None) => Whose::Ours,
                (_, Some(_)) => Whose::Duplicate(tenant),
            },
            Some(_) | None => match self.known.get(&tenant) {
                Some(Known::WithoutClient) => Whose::Ours,
                Some(Known::WithClient(theirs)) if *theirs == client.client_id => Whose::Ours,
                None | Some(Known::Removed | Known::WithClient(_)) => Whose::Orphan(tenant),
            },
        }
    }

    fn is_committed_there(&self, seen: &[SeenClient]) -> bool {
        seen.iter().any(|client| !client.is_deleted && self.is_committed(client))
    }

    fn is_committed(&self, client: &SeenClient) -> bool {
        self.row.as_ref().and_then(|row| row.client) == Some(&client.client_id)
    }

    fn missing(&self, seen: &[SeenClient]) -> Option<Found> {
        let row = self.row.as_ref()?;
        let client = row.client?;
        let is_expected = row.is_wanted && !matches!(row.phase, Phase::Removing | Phase::Removed);
        let is_there = seen.iter().any(|seen| !seen.is_deleted && seen.client_id == *client);
        let (class, tenant) = (Class::Missing, Some(row.tenant));
        (is_expected && !is_there).then(|| Found { class, client: client.clone(), tenant, hint: None })
    }

    fn stale<'c>(&'c self, client: &'c SeenClient) -> impl Iterator<Item = Found> + 'c {
        let tenant = self.row.as_ref().map(|row| row.tenant);
        let by_us =
            self.unknown(client).filter(|secret| self.me.is_some() && secret.created_by.as_ref() == self.me);
        by_us.map(move |secret| Found {
            class: Class::StaleSecret,
            client: client.client_id.clone(),
            tenant,
            hint: Some(secret.hint.clone()),
        })
    }

    /// The secrets of the row's client that are not stored and whose hint occurs once. None
    /// while the row is not at rest, or a stored hint is unknown: it may be any of them.
    fn unknown<'c>(&'c self, client: &'c SeenClient) -> impl Iterator<Item = &'c SeenSecret> {
        let row = self.row.as_ref().filter(|row| {
            let is_at_rest = row.phase == Phase::Ready && row.is_wanted && !row.is_minting;
            is_at_rest && self.is_committed(client) && row.stored.iter().all(|stored| stored.hint.is_some())
        });
        let secrets = if row.is_some() { client.secrets.as_slice() } else { &[] };
        secrets.iter().filter(move |secret| {
            let is_stored =
                row.is_some_and(|row| row.stored.iter().any(|s| s.hint.as_ref() == Some(&secret.hint)));
            let occurs_once = client.secrets.iter().filter(|other| other.hint == secret.hint).count() == 1;
            !is_stored && occurs_once
        })
    }
}

#[cfg(test)]
mod tests;
