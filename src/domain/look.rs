//! What a look at all clients of a tenant tells.
//!
//! The rule: a look counts only if every page arrived and parsed, and only after
//! an unanswered create has settled; items with `deletedAt` do not count. What
//! bears no mark of ours is never touched.

use chrono::{DateTime, Utc};

use super::hints::SeenSecret;
use super::ids::{ClientId, TenantId};
use super::mark::{Mark, Owner};

/// A client as Qlik shows it to an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenClient {
    /// Its id.
    pub client_id: ClientId,
    /// `clientName`
    pub name: String,
    /// Its description, where our mark stands.
    pub description: String,
    /// `allowedScopes`
    pub scopes: Vec<String>,
    /// `allowedGrantTypes`
    pub grants: Vec<String>,
    /// `redirectUris`
    pub redirect_uris: Vec<String>,
    /// `allowedOrigins`
    pub allowed_origins: Vec<String>,
    /// When Qlik made it.
    pub created_at: DateTime<Utc>,
    /// It is only a tombstone.
    pub is_deleted: bool,
    /// It has a `disableTag`: no credential of it works.
    pub is_disabled: bool,
    /// Whether its consent is trusted; `None` where the list does not say.
    pub is_trusted: Option<bool>,
    /// The hints of its secrets.
    pub secrets: Vec<SeenSecret>,
}

/// What a look means for a row that knows no client yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// No client of this installation: a create is allowed.
    Nothing,
    /// The oldest client that bears the row's mark.
    Ours(SeenClient),
    /// A client of this installation that was made for another row.
    EarlierRow(TenantId),
}

/// Reads a look for a row that knows no client. Among several clients with the
/// row's mark the oldest by `createdAt`, then by id, is the one.
#[must_use]
pub fn find(mark: &Mark, seen: &[SeenClient]) -> Finding {
    if let Some(oldest) = ours(mark, seen).into_iter().next() {
        return Finding::Ours(oldest.clone());
    }
    let earlier = live(seen).find_map(|client| match mark.owner_of(&client.description) {
        Owner::OtherTenant(tenant) => Some(tenant),
        Owner::ThisTenant | Owner::Stranger => None,
    });
    earlier.map_or(Finding::Nothing, Finding::EarlierRow)
}

/// The clients with the row's mark that are not its committed one: duplicates of
/// our own making, to be deleted.
#[must_use]
pub fn surplus(mark: &Mark, committed: &ClientId, seen: &[SeenClient]) -> Vec<ClientId> {
    ours(mark, seen).into_iter().map(|client| client.client_id.clone()).filter(|id| id != committed).collect()
}

/// The clients with the row's mark, oldest first.
#[must_use]
pub fn ours<'a>(mark: &Mark, seen: &'a [SeenClient]) -> Vec<&'a SeenClient> {
    let mut ours: Vec<_> =
        live(seen).filter(|client| mark.owner_of(&client.description) == Owner::ThisTenant).collect();
    ours.sort_by(|a, b| (a.created_at, &a.client_id).cmp(&(b.created_at, &b.client_id)));
    ours
}

fn live(seen: &[SeenClient]) -> impl Iterator<Item = &SeenClient> {
    seen.iter().filter(|client| !client.is_deleted)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::InstallationId;

    const MINE: Mark =
        Mark { installation: InstallationId(Uuid::from_u128(1)), tenant: TenantId(Uuid::from_u128(2)) };

    fn client(id: &str, second: i64, description: &str) -> SeenClient {
        SeenClient {
            client_id: ClientId::new(id),
            name: String::new(),
            description: description.to_owned(),
            scopes: vec![],
            grants: vec![],
            redirect_uris: vec![],
            allowed_origins: vec![],
            created_at: DateTime::from_timestamp(second, 0).unwrap(),
            is_deleted: false,
            is_disabled: false,
            is_trusted: Some(true),
            secrets: vec![],
        }
    }

    #[test]
    fn the_oldest_client_with_the_mark_is_ours_and_the_others_are_surplus() {
        let mark = MINE.to_string();
        let seen = [
            client("c", 30, &mark),
            client("b", 20, &mark),
            client("a", 20, &mark),
            client("x", 10, "by hand"),
            SeenClient { is_deleted: true, ..client("0", 1, &mark) },
        ];

        let Finding::Ours(found) = find(&MINE, &seen) else { panic!("nothing found") };

        assert_eq!(found.client_id.as_str(), "a");
        let ids = |ids: Vec<ClientId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ids(surplus(&MINE, &ClientId::new("a"), &seen)), ["b", "c"]);
        assert_eq!(ids(surplus(&MINE, &ClientId::new("c"), &seen)), ["a", "b"]);
    }

    #[test]
    fn a_client_of_another_row_is_reported_and_a_stranger_is_not() {
        let sibling = Mark { tenant: TenantId(Uuid::from_u128(7)), ..MINE };
        let other = Mark { installation: InstallationId(Uuid::from_u128(8)), ..MINE };

        assert_eq!(find(&MINE, &[client("s", 1, &sibling.to_string())]), Finding::EarlierRow(sibling.tenant));
        assert_eq!(find(&MINE, &[client("o", 1, &other.to_string())]), Finding::Nothing);
        assert!(surplus(&MINE, &ClientId::new("none"), &[client("s", 1, &sibling.to_string())]).is_empty());
    }
}
