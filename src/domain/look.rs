//! What a look at all clients of a tenant tells.
//!
//! The rule: a look counts only if every page arrived and parsed, and only after
//! an unanswered create has settled; items with `deletedAt` do not count. What
//! bears no mark of ours is never touched.

use chrono::{DateTime, Utc};

use super::hints::SeenSecret;
use super::ids::{ClientId, TenantId, UserId};
use super::mark::{Mark, Owner};
use super::profile::{APP_TYPE, GRANTS};

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
    /// `appType`, where it is told
    pub app_type: Option<String>,
    /// When Qlik made it, where it is told.
    pub created_at: Option<DateTime<Utc>>,
    /// It is only a tombstone.
    pub is_deleted: bool,
    /// It has a `disableTag`: no credential of it works.
    pub is_disabled: bool,
    /// Whether its consent is trusted; `None` where the list does not say.
    pub is_trusted: Option<bool>,
    /// The hints of its secrets.
    pub secrets: Vec<SeenSecret>,
    /// Whose hand made it.
    pub made_by: Maker,
    /// What could not be read of it. On a client that is not ours it matters to nobody.
    pub fault: Option<&'static str>,
}

/// Whose hand made a client, as far as its secrets tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Ours: the user that we act as made one of them.
    Us,
    /// Others made all of them.
    Another,
    /// Nothing tells.
    Untold,
}

impl SeenClient {
    /// A client of which nothing but its id was told.
    #[must_use]
    pub fn of(client_id: ClientId) -> Self {
        Self {
            client_id,
            name: String::new(),
            description: String::new(),
            scopes: vec![],
            grants: vec![],
            redirect_uris: vec![],
            allowed_origins: vec![],
            app_type: None,
            created_at: None,
            is_deleted: false,
            is_disabled: false,
            is_trusted: None,
            secrets: vec![],
            made_by: Maker::Untold,
            fault: None,
        }
    }
}

/// Whether a client that bears our mark looks made by us. A mark is a text that anybody may
/// copy; the type of a client can never be changed, and a create of ours asks for these
/// grants and no others.
///
/// The rule: **what is deleted for its mark alone must look made by us.** The committed
/// client is ours by its id, whatever was made of it since.
#[must_use]
pub fn looks_made_by_us(client: &SeenClient) -> bool {
    let is_granted = |grant: &str| client.grants.iter().any(|found| found == grant);
    client.fault.is_none()
        && client.app_type.as_deref() == Some(APP_TYPE)
        && client.grants.len() == GRANTS.len()
        && GRANTS.iter().all(|grant| is_granted(grant))
        && client.made_by != Maker::Another
}

/// Whether somebody must say who we are before it is known who made these: clients that bear
/// the mark, beside the committed one, whose secrets name their makers.
#[must_use]
pub fn needs_maker(mark: &Mark, committed: Option<&ClientId>, seen: &[SeenClient]) -> bool {
    let mut others = marked(mark, seen).filter(|client| Some(&client.client_id) != committed);
    others.any(|client| client.secrets.iter().any(|secret| secret.created_by.is_some()))
}

/// Writes down who made each client, now that it is known who we are.
pub fn tell_makers(seen: &mut [SeenClient], me: &UserId) {
    for client in seen.iter_mut().filter(|client| client.made_by == Maker::Untold) {
        let makers = || client.secrets.iter().filter_map(|secret| secret.created_by.as_ref());
        client.made_by = match makers().next() {
            None => Maker::Untold,
            Some(_) if makers().any(|maker| maker == me) => Maker::Us,
            Some(_) => Maker::Another,
        };
    }
}

/// The first client of the row that cannot be read, and what of it.
#[must_use]
pub fn illegible<'a>(
    mark: &Mark,
    committed: Option<&ClientId>,
    seen: &'a [SeenClient],
) -> Option<(&'a ClientId, &'static str)> {
    let is_ours = |client: &&SeenClient| {
        Some(&client.client_id) == committed || mark.owner_of(&client.description) == Owner::ThisTenant
    };
    live(seen).filter(is_ours).find_map(|client| Some((&client.client_id, client.fault?)))
}

/// What a look means for a row that knows no client yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// No client of this installation: a create is allowed.
    Nothing,
    /// The oldest client that bears the row's mark.
    Ours(ClientId),
    /// A client of this installation that was made for another row.
    EarlierRow(TenantId),
    /// Nothing better than a client that bears the row's mark and does not look made by us:
    /// somebody copied the mark, or made something else of a client of ours. It is neither
    /// adopted nor passed over: somebody must say whose it is.
    Copied(ClientId),
}

/// Reads a look for a row that knows no client. Among several clients with the
/// row's mark that look made by us the oldest by `createdAt`, then by id, is the one.
#[must_use]
pub fn find(mark: &Mark, seen: &[SeenClient]) -> Finding {
    if let Some(best) = ours(mark, seen).into_iter().next() {
        let id = best.client_id.clone();
        return if looks_made_by_us(best) { Finding::Ours(id) } else { Finding::Copied(id) };
    }
    let earlier = live(seen).find_map(|client| match mark.owner_of(&client.description) {
        Owner::OtherTenant(tenant) => Some(tenant),
        Owner::ThisTenant | Owner::Stranger => None,
    });
    earlier.map_or(Finding::Nothing, Finding::EarlierRow)
}

/// The clients with the row's mark that are not its committed one and look made by
/// us: duplicates of our own making, to be deleted if the committed one is there.
#[must_use]
pub fn surplus(mark: &Mark, committed: &ClientId, seen: &[SeenClient]) -> Vec<ClientId> {
    let made_by_us = ours(mark, seen).into_iter().filter(|client| looks_made_by_us(client));
    made_by_us.map(|client| client.client_id.clone()).filter(|id| id != committed).collect()
}

/// The clients that bear the row's mark and do not look made by us: somebody copied it.
/// They are shown, and left alone.
#[must_use]
pub fn copied(mark: &Mark, committed: Option<&ClientId>, seen: &[SeenClient]) -> Vec<ClientId> {
    let copied = marked(mark, seen).filter(|client| !looks_made_by_us(client));
    copied.map(|client| client.client_id.clone()).filter(|id| Some(id) != committed).collect()
}

/// Whether the client is there.
#[must_use]
pub fn is_there(client: &ClientId, seen: &[SeenClient]) -> bool {
    live(seen).any(|seen| seen.client_id == *client)
}

/// The clients with the row's mark that may be ours: the type of a client never changes,
/// and we make no others. Those that look made by us come first, then the oldest.
#[must_use]
pub fn ours<'a>(mark: &Mark, seen: &'a [SeenClient]) -> Vec<&'a SeenClient> {
    let is_possible = |client: &&SeenClient| client.app_type.as_deref().is_none_or(|kind| kind == APP_TYPE);
    let mut ours: Vec<_> = marked(mark, seen).filter(is_possible).collect();
    let rank = |client: &SeenClient| (!looks_made_by_us(client), client.created_at);
    ours.sort_by(|a, b| (rank(a), &a.client_id).cmp(&(rank(b), &b.client_id)));
    ours
}

fn marked<'a>(mark: &Mark, seen: &'a [SeenClient]) -> impl Iterator<Item = &'a SeenClient> {
    live(seen).filter(|client| mark.owner_of(&client.description) == Owner::ThisTenant)
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
            description: description.to_owned(),
            app_type: Some(APP_TYPE.to_owned()),
            grants: GRANTS.map(str::to_owned).to_vec(),
            created_at: DateTime::from_timestamp(second, 0),
            is_trusted: Some(true),
            ..SeenClient::of(ClientId::new(id))
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

        assert_eq!(found.as_str(), "a");
        let ids = |ids: Vec<ClientId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ids(surplus(&MINE, &ClientId::new("a"), &seen)), ["b", "c"]);
        assert_eq!(ids(surplus(&MINE, &ClientId::new("c"), &seen)), ["a", "b"]);
    }

    #[test]
    fn only_what_looks_made_by_us_is_deleted_for_its_mark() {
        let mark = MINE.to_string();
        let secret = |by: Option<&str>| SeenSecret {
            hint: super::super::ids::Hint::new("h"),
            created_by: by.map(UserId::new),
        };
        let ours = client("ours", 1, &mark);
        let made = |makers: &[Option<&str>]| {
            let secrets = makers.iter().map(|by| secret(*by)).collect();
            let mut seen = [SeenClient { secrets, ..ours.clone() }];
            tell_makers(&mut seen, &UserId::new("me"));
            seen.into_iter().next().unwrap()
        };
        let grants: Vec<_> = GRANTS.iter().rev().map(|grant| (*grant).to_owned()).collect();
        for (seen, expected) in [
            (ours.clone(), true),
            (SeenClient { grants, ..ours.clone() }, true),
            (made(&[None]), true),
            (made(&[Some("ada"), Some("me")]), true),
            (made(&[Some("ada"), None]), false),
            (SeenClient { app_type: Some("spa".into()), ..ours.clone() }, false),
            (SeenClient { app_type: None, ..ours.clone() }, false),
            (SeenClient { grants: vec![GRANTS[0].into()], ..ours.clone() }, false),
            (SeenClient { grants: vec![GRANTS[0].into(), GRANTS[0].into()], ..ours.clone() }, false),
            (SeenClient { grants: vec![], ..ours.clone() }, false),
            (SeenClient { made_by: Maker::Another, ..ours.clone() }, false),
            (SeenClient { fault: Some("clientSecrets"), ..ours.clone() }, false),
        ] {
            let (other, id) = (ClientId::new("committed"), seen.client_id.clone());
            let expected_of = |is: bool| if is { vec![id.clone()] } else { vec![] };
            assert_eq!(looks_made_by_us(&seen), expected, "{seen:?}");
            assert_eq!(
                surplus(&MINE, &other, std::slice::from_ref(&seen)),
                expected_of(expected),
                "{seen:?}"
            );
            assert_eq!(
                copied(&MINE, Some(&other), std::slice::from_ref(&seen)),
                expected_of(!expected),
                "{seen:?}"
            );
            assert_eq!(copied(&MINE, Some(&id), &[seen]), [], "the committed one is ours by its id");
        }
    }

    #[test]
    fn only_what_looks_made_by_us_is_adopted_and_another_type_is_passed_over() {
        let mark = MINE.to_string();
        let copy = SeenClient { made_by: Maker::Another, ..client("copy", 1, &mark) };
        let spa = SeenClient { app_type: Some("spa".into()), ..client("spa", 1, &mark) };
        let found = |seen: &[SeenClient]| match find(&MINE, seen) {
            Finding::Ours(client) => Some(client.to_string()),
            Finding::Copied(client) => Some(format!("a copy: {client}")),
            Finding::Nothing | Finding::EarlierRow(_) => None,
        };

        let all = [client("ours", 9, &mark), copy.clone(), spa.clone()];
        assert_eq!(found(&all).as_deref(), Some("ours"));
        assert_eq!(found(&[copy, spa.clone()]).as_deref(), Some("a copy: copy"));
        assert_eq!(found(&[spa]), None);
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
