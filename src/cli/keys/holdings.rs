//! How many stored secrets each key holds.
//!
//! The rule: keys that secrets need are told whether or not the keyring has them.

use serde::Serialize;

use crate::cli::output;
use crate::domain::ids::KeyId;
use crate::vault::{KeyListing, Vault};

/// What stands where a key is known by its name alone.
const UNKNOWN: &str = "unknown";

/// A key as JSON shows it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Holding {
    pub(super) kid: String,
    kty: &'static str,
    alg: &'static str,
    opens: bool,
    seals: bool,
    in_keyring: bool,
    /// `None`: nobody could look.
    pub(super) secrets: Option<i64>,
}

impl Holding {
    /// Whether it holds secrets that nobody opens with this keyring.
    pub(super) fn is_needed_and_shut(&self) -> bool {
        !self.opens && self.secrets.is_some_and(|secrets| secrets > 0)
    }

    /// Whether it holds secrets and is not in the keyring.
    pub(super) fn is_gone(&self) -> bool {
        !self.in_keyring
    }
}

/// The keys of the vault in their order, and behind them those that only secrets name.
pub(super) fn of(vault: &Vault, used: Option<&[(KeyId, i64)]>) -> Vec<Holding> {
    let held = |kid: &KeyId| used.map(|used| used.iter().find(|(key, _)| key == kid).map_or(0, |(_, n)| *n));
    let known: Vec<KeyListing> = vault.keyring().list().collect();
    let gone = used.into_iter().flatten().filter(|(key, _)| !known.iter().any(|it| it.kid == *key));
    let gone: Vec<Holding> = gone.map(|(key, secrets)| gone_key(key, *secrets)).collect();
    let here = known.iter().map(|key| Holding {
        kid: key.kid.as_str().to_owned(),
        kty: key.kind.kty(),
        alg: key.kind.algorithm(),
        opens: key.can_open,
        seals: key.is_sealing,
        in_keyring: true,
        secrets: held(&key.kid),
    });
    here.chain(gone).collect()
}

fn gone_key(key: &KeyId, secrets: i64) -> Holding {
    Holding {
        kid: key.as_str().to_owned(),
        kty: UNKNOWN,
        alg: UNKNOWN,
        opens: false,
        seals: false,
        in_keyring: false,
        secrets: Some(secrets),
    }
}

/// For people.
pub(super) fn sheet(keys: &[Holding]) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let rows = keys.iter().map(|key| {
        let [kty, alg] = [key.kty, key.alg].map(str::to_owned);
        vec![key.kid.clone(), kty, alg, yes(key.opens), yes(key.seals), output::or_dash(key.secrets)]
    });
    output::table(&["KID", "KTY", "ALG", "OPENS", "SEALS", "SECRETS"], rows)
}
