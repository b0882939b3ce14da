//! The fields of a client that we set, read back and compare: one table.
//!
//! The rule: whoever makes, patches, reads or compares a client goes through
//! [`Field::ALL`]. A further field is a line in each `match` here and its place in
//! [`Profile`](super::profile::Profile), [`WantedClient`] and [`SeenClient`]; the compiler
//! asks for the rest.

use std::collections::BTreeSet;
use std::fmt;

use super::look::SeenClient;
use super::profile::{GRANTS, WantedClient};

/// A field of a client that a create and a PATCH can set (oauth-clients).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The name shown in Qlik's console.
    Name,
    /// Any text, and our mark in it.
    Description,
    /// What the client may ask for.
    Scopes,
    /// How it may ask for tokens.
    Grants,
    /// Where users may be sent after they signed in.
    RedirectUris,
    /// Where in a browser its tokens may be used.
    Origins,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One text.
    Text(String),
    /// Several, in no particular order.
    List(Vec<String>),
}

/// Where a field of a client that was seen is kept.
pub enum Slot<'a> {
    /// One text.
    Text(&'a mut String),
    /// Several.
    List(&'a mut Vec<String>),
}

/// A field to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub field: Field,
    /// To what.
    pub value: Value,
}

impl Field {
    /// Every field, in the order in which a create names them.
    pub const ALL: [Self; 6] =
        [Self::Name, Self::Description, Self::Scopes, Self::Grants, Self::RedirectUris, Self::Origins];

    /// Its name at Qlik.
    #[must_use]
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Name => "clientName",
            Self::Description => "description",
            Self::Scopes => "allowedScopes",
            Self::Grants => "allowedGrantTypes",
            Self::RedirectUris => "redirectUris",
            Self::Origins => "allowedOrigins",
        }
    }

    /// What it should hold.
    #[must_use]
    pub fn wanted(self, client: &WantedClient) -> Value {
        match self {
            Self::Name => Value::Text(client.name.clone()),
            Self::Description => Value::Text(client.description.clone()),
            Self::Scopes => Value::List(client.scopes.clone()),
            Self::Grants => Value::List(GRANTS.map(str::to_owned).to_vec()),
            Self::RedirectUris => Value::List(client.redirect_uris.clone()),
            Self::Origins => Value::List(client.allowed_origins.clone()),
        }
    }

    /// What it was seen to hold.
    #[must_use]
    pub fn found(self, client: &SeenClient) -> Value {
        match self {
            Self::Name => Value::Text(client.name.clone()),
            Self::Description => Value::Text(client.description.clone()),
            Self::Scopes => Value::List(client.scopes.clone()),
            Self::Grants => Value::List(client.grants.clone()),
            Self::RedirectUris => Value::List(client.redirect_uris.clone()),
            Self::Origins => Value::List(client.allowed_origins.clone()),
        }
    }

    /// Where what was seen of it is written down.
    #[must_use]
    pub fn slot(self, client: &mut SeenClient) -> Slot<'_> {
        match self {
            Self::Name => Slot::Text(&mut client.name),
            Self::Description => Slot::Text(&mut client.description),
            Self::Scopes => Slot::List(&mut client.scopes),
            Self::Grants => Slot::List(&mut client.grants),
            Self::RedirectUris => Slot::List(&mut client.redirect_uris),
            Self::Origins => Slot::List(&mut client.allowed_origins),
        }
    }
}

impl Value {
    /// Whether a field that should hold this is as it should be. The order of a list, and
    /// how often it names something, does not count.
    #[must_use]
    pub fn is_met_by(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::Text(wanted), Self::Text(found)) => wanted == found,
            (Self::List(wanted), Self::List(found)) => {
                wanted.iter().collect::<BTreeSet<_>>() == found.iter().collect::<BTreeSet<_>>()
            }
            (Self::Text(_), Self::List(_)) | (Self::List(_), Self::Text(_)) => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::ClientId;
    use super::*;

    #[test]
    fn what_is_written_into_a_slot_is_found_there_and_nowhere_else() {
        for field in Field::ALL {
            let mut client = SeenClient::of(ClientId::new("c"));
            match field.slot(&mut client) {
                Slot::Text(text) => text.push('x'),
                Slot::List(items) => items.push("x".to_owned()),
            }

            for other in Field::ALL {
                assert_eq!(other.found(&client).to_string() == "x", other == field, "{field:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_list_is_compared_as_a_set_and_a_text_to_the_letter() {
        let list = |items: &[&str]| Value::List(items.iter().map(ToString::to_string).collect());

        assert!(list(&["a", "b"]).is_met_by(&list(&["b", "a", "b"])));
        assert!(!list(&["a", "b"]).is_met_by(&list(&["a"])));
        assert!(!Value::Text("a".into()).is_met_by(&Value::Text("A".into())));
        assert!(!Value::Text("a".into()).is_met_by(&list(&["a"])));
    }
}
