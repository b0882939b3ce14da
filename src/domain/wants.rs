//! What a row asks of its client, in short: so an edit is known by what is wanted, and not by that
//! somebody wrote.
//!
//! The rule: **of the row's own columns alone.** What its profile holds stands in the configuration,
//! and a change there is drift, which a rollout lets through.

use super::digest;

/// A digest of `profile`, `client_name` and `redirect_uris`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantsDigest([u8; 16]);

impl WantsDigest {
    /// Of these columns. The order of URIs says nothing.
    #[must_use]
    pub fn of(profile: &str, client_name: Option<&str>, redirect_uris: Option<&[String]>) -> Self {
        let whose = |is_own| if is_own { "its own" } else { "the profile's" };
        let mut parts = vec![
            profile,
            whose(client_name.is_some()),
            client_name.unwrap_or_default(),
            whose(redirect_uris.is_some()),
        ];
        let mut uris: Vec<&str> = redirect_uris.unwrap_or_default().iter().map(String::as_str).collect();
        uris.sort_unstable();
        parts.append(&mut uris);
        let mut short = [0; 16];
        short.copy_from_slice(&digest::of(&parts)[..16]);
        Self(short)
    }

    /// As it is stored; `None` for what no version of this program stores.
    #[must_use]
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The spelling of bytes in SQL.
    #[must_use]
    pub fn to_sql(self) -> String {
        format!("\\x{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Whether the client is to follow an edit: other wants than those that were applied. Where none are
/// known, whether the owner wrote any (`tenants.edited_at`).
#[must_use]
pub fn is_edited(applied: Option<WantsDigest>, is_noted: bool, wanted: WantsDigest) -> bool {
    applied.map_or(is_noted, |applied| applied != wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(uris: &[&str]) -> Vec<String> {
        uris.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn other_wants_have_another_digest_and_the_same_in_another_order_have_not() {
        let (none, one, two) =
            (uris(&[]), uris(&["https://a.example/b"]), uris(&["https://a.example/", "b"]));
        let wants = [
            WantsDigest::of("default", None, None),
            WantsDigest::of("other", None, None),
            WantsDigest::of("default", Some(""), None),
            WantsDigest::of("default", Some("a"), None),
            WantsDigest::of("defaulta", Some(""), None),
            WantsDigest::of("default", None, Some(&none)),
            WantsDigest::of("default", None, Some(&one)),
            WantsDigest::of("default", None, Some(&two)),
        ];
        for (number, digest) in wants.iter().enumerate() {
            assert!(!wants[..number].contains(digest), "{number}");
        }
        let turned = uris(&["b", "https://a.example/"]);
        assert_eq!(WantsDigest::of("default", None, Some(&turned)), wants[7]);
    }

    #[test]
    fn what_is_stored_is_read_as_it_was() {
        let digest = WantsDigest::of("default", None, None);
        let sql = digest.to_sql();
        let bytes: Vec<u8> =
            (2..sql.len()).step_by(2).map(|at| u8::from_str_radix(&sql[at..at + 2], 16).unwrap()).collect();

        assert_eq!((WantsDigest::stored(&bytes), WantsDigest::stored(&bytes[1..])), (Some(digest), None));
    }
}
