//! Another configuration for an engine that runs.
//!
//! The rule: **all or nothing**. What may fail is done before ([`Reloaded::of`]); from then on nothing
//! fails, and whoever begins anything begins it under all of the new configuration.

use std::collections::HashSet;

use super::start::StartError;
use super::terms::{credentials, terms};
use crate::domain::ids::KeyId;
use crate::domain::retry::Policy;
use crate::engine::Terms;
use crate::engine::generations::Generations;
use crate::qlik::Cloud;
use crate::settings::Settings;
use crate::vault::{Keyring, Vault};

/// What an engine takes over from another configuration.
pub struct Reloaded {
    settings: Settings,
    vault: Vault,
}

impl Reloaded {
    /// Reads the files that the settings name and that are taken over.
    ///
    /// # Errors
    ///
    /// [`StartError::Keyring`].
    pub fn of(settings: Settings) -> Result<Self, StartError> {
        let vault = Vault::new(Keyring::load(&settings.vault.keyring_file)?);
        Ok(Self { settings, vault })
    }

    /// The keys of the engine that these files no longer hold.
    #[must_use]
    pub fn keys_gone(&self, generations: &Generations<Cloud>) -> Vec<KeyId> {
        let known: HashSet<KeyId> = self.vault.keyring().list().map(|key| key.kid).collect();
        let before = generations.now();
        let held = before.vault.keyring().list().map(|key| key.kid);
        held.filter(|kid| !known.contains(kid)).collect()
    }

    /// From now on the engine works so.
    pub fn take_over(mut self, generations: &Generations<Cloud>) {
        let before = generations.now();
        let terms = from_now_on(&before.terms, terms(&self.settings));
        let api = before.api.with_credentials(credentials(&mut self.settings));
        generations.replace(before.under(api, self.vault, terms));
    }
}

/// What was settled when the process began stays: the leases in hand and the deadlines of requests
/// under way were measured by it.
fn from_now_on(before: &Terms, after: Terms) -> Terms {
    Terms {
        lease: before.lease,
        request_timeout: before.request_timeout,
        // Never shorter than the requests that are waited for.
        policy: Policy { settle: before.policy.settle, ..after.policy },
        ..after
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::Layered;

    fn terms_of(more: &str) -> Terms {
        let name = format!("tenantd-reload-{}-{}.toml", std::process::id(), more.len());
        let path = std::env::temp_dir().join(name);
        let least = "database.url = \"postgres://a@localhost/a\"\nvault.keyring_file = \"/none\"\n";
        let region = "[[regions]]\nname = \"us\"\nhosts = [\"*.us.qlikcloud.com\"]\nclient_id = \"a\"\nclient_secret = \"b\"\n";
        std::fs::write(&path, [least, more, region].concat()).unwrap();
        let layered = Layered::load(Some(&path), []);
        std::fs::remove_file(&path).unwrap();
        terms(&layered.unwrap().settings().unwrap().0)
    }

    #[test]
    fn what_leases_and_requests_were_measured_by_stays_and_all_else_is_taken_over() {
        let before = terms_of("");
        let after = terms_of(
            "worker.lease = \"10m\"\nqlik.request_timeout = \"29s\"\nqlik.settle = \"9m\"\n\
             worker.poll = \"9s\"\nworker.concurrency = 9\nretry.cap = \"9m\"\n",
        );
        let of = |terms: &Terms| (terms.lease, terms.request_timeout, terms.policy.settle);
        assert!(
            of(&before).0 != of(&after).0 && of(&before).1 != of(&after).1 && of(&before).2 != of(&after).2
        );

        let now = from_now_on(&before, after);

        assert_eq!(of(&now), of(&before));
        assert_eq!((now.poll, now.concurrency), (Duration::from_secs(9), 9));
        assert_eq!(now.policy.cap, Duration::from_mins(9));
    }
}
