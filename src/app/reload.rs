//! Another configuration for an engine that runs.
//!
//! The rule: **all or nothing**. What may fail is done before ([`Reloaded::of`]); from then on nothing
//! fails, and whoever begins anything begins it under all of the new configuration.

use super::start::StartError;
use super::terms::{credentials, terms};
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

    /// From now on the engine works so. What was settled when the process began stays: the leases in
    /// hand and the deadlines of requests under way were measured by it.
    pub fn take_over(mut self, generations: &Generations<Cloud>) {
        let before = generations.now();
        let terms = Terms {
            lease: before.terms.lease,
            request_timeout: before.terms.request_timeout,
            ..terms(&self.settings)
        };
        let api = before.api.with_credentials(credentials(&mut self.settings));
        generations.replace(before.under(api, self.vault, terms));
    }
}
