//! The names things go by.
//!
//! The rule: one type per kind of name, so that a hint can never be passed where
//! a client id is wanted. Ids of Qlik's are opaque text: nothing here looks inside them.

use std::fmt;

use uuid::Uuid;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it came.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text as it came.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id! {
    /// The pipeline's own key of a tenant, 1 to 200 bytes.
    ExternalId
}
text_id! {
    /// The id Qlik gave an OAuth client, at most 512 characters.
    ClientId
}
text_id! {
    /// The at most five characters by which Qlik shows and deletes a client secret.
    Hint
}
text_id! {
    /// The id of a Qlik user.
    UserId
}
text_id! {
    /// The id by which Qlik lists and deletes an issued token; never the token itself.
    TokenId
}
text_id! {
    /// Where the next page of a list begins: whatever the adapter that gave it makes of it.
    PageCursor
}
text_id! {
    /// The name of a `[[regions]]` entry.
    RegionName
}
text_id! {
    /// The name of a `[profiles.…]` entry.
    ProfileName
}
text_id! {
    /// The `kid` of a key in the keyring (RFC 7517, section 4.5).
    KeyId
}

uuid_id! {
    /// The row's own id, made by Postgres at insert.
    TenantId
}
uuid_id! {
    /// One database of tenants; part of the mark on every client we make.
    InstallationId
}
uuid_id! {
    /// One running daemon or command, drawn anew at every start.
    Holder
}

/// What a write must match to be allowed: the fencing epoch of the lease it was
/// read under, and how many commits that lease has made.
///
/// The epoch stops a holder that was taken over. The step makes a commit whose
/// answer was lost recognisable when it is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Counts the leases ever given on this row.
    pub epoch: i64,
    /// Counts the commits under this lease.
    pub step: i32,
}
