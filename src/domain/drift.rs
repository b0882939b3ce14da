//! How a client differs from what it should be.
//!
//! The rules: lists are compared as sets; of the description only the mark counts,
//! because administrators may write around it; what cannot be told from a list of
//! clients is no drift.

mod kind;

pub use super::field::{Change, Field, Value};
use super::hints::{Standing, StoredSecret};
use super::ids::{ClientId, Hint};
use super::look::{self, SeenClient};
use super::mark::{Mark, Owner};
use super::profile::{MAX_DESCRIPTION, WantedClient};
pub use kind::{Drift, DriftKind, ForPeople};

/// What a client is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The committed client.
    pub client: &'a ClientId,
    /// What tells it from others.
    pub mark: &'a Mark,
    /// How it should look; `None` where the row's profile is unknown.
    pub wanted: Option<&'a WantedClient>,
    /// The row's secrets.
    pub stored: &'a [StoredSecret],
}

impl Expected<'_> {
    /// Every difference between the row and the tenant's clients.
    #[must_use]
    pub fn drifts(&self, seen: &[SeenClient]) -> Vec<Drift> {
        let copied = look::copied(self.mark, Some(self.client), seen).into_iter().map(Drift::CopiedMark);
        let duplicates = look::surplus(self.mark, self.client, seen).into_iter().map(Drift::Duplicate);
        let duplicates = duplicates.chain(copied);
        let Some(client) = seen.iter().find(|seen| !seen.is_deleted && seen.client_id == *self.client) else {
            return std::iter::once(Drift::ClientMissing).chain(duplicates).collect();
        };
        let mut drifts: Vec<_> = duplicates.collect();
        if client.is_trusted == Some(false) {
            drifts.push(Drift::Consent);
        }
        if client.is_disabled {
            drifts.push(Drift::Disabled);
        }
        drifts.extend(self.fields(client));
        drifts.extend(self.missing_secrets(client));
        drifts.extend(self.unknown_secrets(client));
        drifts
    }

    fn fields(&self, client: &SeenClient) -> Vec<Drift> {
        let mut drifts = Vec::new();
        if self.mark.owner_of(&client.description) != Owner::ThisTenant {
            drifts.push(differs(
                Field::Description,
                Value::Text(marked(self.mark, &client.description)),
                Value::Text(client.description.clone()),
            ));
        }
        let Some(wanted) = self.wanted else { return drifts };
        for field in Field::ALL.into_iter().filter(|field| *field != Field::Description) {
            let (wanted, found) = (field.wanted(wanted), field.found(client));
            if !wanted.is_met_by(&found) {
                drifts.push(differs(field, wanted, found));
            }
        }
        drifts
    }

    fn missing_secrets(&self, client: &SeenClient) -> Vec<Drift> {
        let is_shown = |hint: &Hint| client.secrets.iter().any(|seen| seen.hint == *hint);
        let missing = self.stored.iter().filter(|stored| match stored.standing {
            Standing::Current | Standing::Previous => true,
            Standing::Unproven | Standing::Discarded => false,
        });
        missing
            .filter_map(|stored| Some((stored.hint.clone()?, stored.standing)))
            .filter(|(hint, _)| !is_shown(hint))
            .map(|(hint, standing)| Drift::SecretMissing { hint, standing })
            .collect()
    }

    /// None while a stored hint is unknown: it may be the one.
    fn unknown_secrets(&self, client: &SeenClient) -> Vec<Drift> {
        if self.stored.iter().any(|stored| stored.hint.is_none()) {
            return vec![];
        }
        let is_stored = |hint: &Hint| self.stored.iter().any(|stored| stored.hint.as_ref() == Some(hint));
        let unknown = client.secrets.iter().filter(|seen| !is_stored(&seen.hint));
        unknown
            .map(|seen| Drift::SecretUnknown { hint: seen.hint.clone(), created_by: seen.created_by.clone() })
            .collect()
    }
}

fn differs(field: Field, wanted: Value, found: Value) -> Drift {
    Drift::Field { wanted: Change { field, value: wanted }, found }
}

/// A description with the mark put back at its end, and no longer than Qlik allows.
#[must_use]
pub fn marked(mark: &Mark, description: &str) -> String {
    let room = MAX_DESCRIPTION - Mark::BYTES - 1;
    let text: String = description.chars().take(room).collect();
    match text.trim_end() {
        "" => mark.to_string(),
        text => format!("{text} {mark}"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::super::hints::SeenSecret;
    use super::super::ids::{InstallationId, TenantId};
    use super::super::profile::{APP_TYPE, GRANTS};
    use super::*;

    const MARK: Mark =
        Mark { installation: InstallationId(Uuid::from_u128(1)), tenant: TenantId(Uuid::from_u128(2)) };

    fn texts(items: &[&str]) -> Vec<String> {
        items.iter().map(ToString::to_string).collect()
    }

    fn wanted() -> WantedClient {
        WantedClient {
            name: "portal".into(),
            description: format!("ours {MARK}"),
            redirect_uris: texts(&["https://a.example/cb", "https://b.example/cb"]),
            allowed_origins: vec![],
            scopes: texts(&["user_default"]),
        }
    }

    fn healthy() -> SeenClient {
        SeenClient {
            app_type: Some(APP_TYPE.to_owned()),
            name: "portal".into(),
            description: format!("edited around {MARK} by hand"),
            scopes: texts(&["user_default"]),
            grants: texts(&[GRANTS[1], GRANTS[0]]),
            redirect_uris: texts(&["https://b.example/cb", "https://a.example/cb"]),
            created_at: DateTime::from_timestamp(1, 0),
            is_trusted: Some(true),
            secrets: vec![SeenSecret { hint: Hint::new("h1"), created_by: None }],
            ..SeenClient::of(ClientId::new("c"))
        }
    }

    fn kinds(seen: &[SeenClient]) -> Vec<DriftKind> {
        let stored = [StoredSecret::new(Some(Hint::new("h1")), Standing::Current)];
        let wanted = wanted();
        let expected =
            Expected { client: &ClientId::new("c"), mark: &MARK, wanted: Some(&wanted), stored: &stored };
        expected.drifts(seen).iter().map(Drift::kind).collect()
    }

    #[test]
    fn a_client_as_wanted_has_none_whatever_the_order_and_the_words_around_its_mark() {
        assert_eq!(kinds(&[healthy()]), []);
    }

    #[test]
    fn each_difference_is_told() {
        use DriftKind as K;
        let other = |change: fn(&mut SeenClient)| {
            let mut client = healthy();
            change(&mut client);
            client
        };
        for (kind, client) in [
            (K::Consent, other(|c| c.is_trusted = Some(false))),
            (K::Disabled, other(|c| c.is_disabled = true)),
            (K::Name, other(|c| c.name = "x".into())),
            (K::Mark, other(|c| c.description = "mine now".into())),
            (K::Scopes, other(|c| c.scopes.push("admin_classic".into()))),
            (K::Grants, other(|c| drop(c.grants.pop()))),
            (K::RedirectUris, other(|c| drop(c.redirect_uris.pop()))),
            (K::Origins, other(|c| c.allowed_origins.push("https://x.example".into()))),
            (K::ClientMissing, other(|c| c.is_deleted = true)),
        ] {
            assert_eq!(kinds(&[client]), [kind]);
        }
        let renewed = other(|c| c.secrets[0].hint = Hint::new("h2"));
        assert_eq!(kinds(&[renewed]), [K::SecretMissing, K::SecretUnknown]);
        let second = SeenClient { client_id: ClientId::new("d"), ..healthy() };
        assert_eq!(kinds(&[healthy(), second]), [K::Duplicate]);
    }

    #[test]
    fn a_lost_mark_is_put_back_without_losing_what_was_written() {
        assert_eq!(marked(&MARK, ""), MARK.to_string());
        assert_eq!(marked(&MARK, "team blue "), format!("team blue {MARK}"));
        let long = marked(&MARK, &"ä".repeat(MAX_DESCRIPTION));
        assert_eq!(long.chars().count(), MAX_DESCRIPTION);
        assert_eq!(MARK.owner_of(&long), Owner::ThisTenant);
    }

    #[test]
    fn nothing_is_unknown_while_a_stored_hint_is() {
        let stored = [StoredSecret::new(None, Standing::Current)];
        let expected = Expected { client: &ClientId::new("c"), mark: &MARK, wanted: None, stored: &stored };

        assert_eq!(expected.drifts(&[healthy()]), []);
    }

    #[test]
    fn every_kind_is_spelt_once() {
        for kind in DriftKind::ALL {
            assert_eq!(DriftKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(DriftKind::parse("x"), None);
    }
}
