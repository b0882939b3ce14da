//! Where a command gets its settings and its store from.
//!
//! The rule: a command asks for the sections it needs and no more, so that
//! `tenantd migrate` does not fail over a secret that only the daemon may read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::{self, StartError};
use crate::postgres::{Connections, Store};
use crate::qlik::Cloud;
use crate::settings::{InvalidSettings, Layered};
use crate::vault::{Keyring, Vault};
use crate::visits::inspect::Inspector;

/// The file of `--config`, where one was given, and the environment.
#[derive(Debug, Clone)]
pub(super) struct Source {
    file: Option<PathBuf>,
}

impl Source {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    pub(super) fn layered(&self) -> Result<Layered, InvalidSettings> {
        Layered::of_this_process(self.file.as_deref())
    }

    /// Connections to a database that answered.
    pub(super) async fn connections(&self) -> anyhow::Result<Connections> {
        let connections = app::connections(&self.layered()?.database()?)?;
        app::reach(&connections).await?;
        Ok(connections)
    }

    /// The store, its schema checked.
    pub(super) async fn store(&self) -> anyhow::Result<Store> {
        Ok(app::open_store(&app::connections(&self.layered()?.database()?)?).await?)
    }

    /// What a command that asks Qlik works with: all of the settings, and the store.
    pub(super) async fn inspector(&self) -> anyhow::Result<Arc<Inspector<Cloud>>> {
        let (settings, _) = self.layered()?.settings()?;
        // The database is recognised first: what one that came out of a backup says may be
        // out of date.
        let store = app::open_for_work(&settings.database, settings.qlik.settle).await?;
        Ok(app::inspector(settings, store)?)
    }

    /// The vault over the keyring in this file, or else in the configured one.
    pub(super) fn vault(&self, keyring: Option<&Path>) -> anyhow::Result<Vault> {
        let keyring = match keyring {
            Some(path) => Keyring::load(path),
            None => Keyring::load(&self.layered()?.vault()?.keyring_file),
        };
        Ok(Vault::new(keyring.map_err(StartError::from)?))
    }
}
