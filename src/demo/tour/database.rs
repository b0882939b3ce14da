//! Where the tour keeps its tenants: a private Postgres, or a database that the user names.
//!
//! The rule: a database with a schema `tenantd` in it is never touched, because the
//! demo's daemon would take real tenants to a simulated Qlik Cloud; and a schema
//! made here is dropped here.

use std::path::Path;

use secrecy::SecretString;

use super::error::TourError;
use crate::app;
use crate::demo::postgres::PrivatePostgres;
use crate::postgres::migrate::migrate;
use crate::postgres::{Connections, schema};
use crate::settings;

/// Connections for the tour's own questions; the daemon has others.
const CONNECTIONS: u32 = 4;

/// The database of one tour.
pub(super) struct Database {
    pub(super) url: SecretString,
    pub(super) connections: Connections,
    private: Option<PrivatePostgres>,
}

impl Database {
    /// Uses the given database, or starts a private Postgres.
    pub(super) async fn open(given: Option<SecretString>) -> Result<Self, TourError> {
        let (url, private) = match given {
            Some(url) => (url, None),
            None => start_private().await?,
        };
        let connections = app::connections(&settings::Database::direct(url.clone(), CONNECTIONS))?;
        let database = Self { url, connections, private };
        if database.is_occupied().await.map_err(|error| app::started(&error.into()))? {
            return Err(TourError::Occupied);
        }
        Ok(database)
    }

    async fn is_occupied(&self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("-- demo.is_occupied\nSELECT to_regnamespace('tenantd') IS NOT NULL")
            .fetch_one(&self.connections)
            .await
    }

    /// Where the private Postgres lives, if there is one.
    pub(super) fn private_directory(&self) -> Option<&Path> {
        self.private.as_ref().map(PrivatePostgres::directory)
    }

    /// What the server calls its version.
    pub(super) async fn version(&self) -> Result<String, TourError> {
        let full: String = sqlx::query_scalar("SHOW server_version").fetch_one(&self.connections).await?;
        Ok(full.split(' ').next().unwrap_or_default().to_owned())
    }

    /// Makes the schema; returns how many migrations that took.
    pub(super) async fn migrate(&self) -> Result<usize, TourError> {
        migrate(&self.connections, |_| {}).await?;
        Ok(schema::steps(&self.connections).await?.len())
    }

    /// Removes what the tour made.
    pub(super) async fn close(self) -> Result<(), TourError> {
        let Self { connections, private, .. } = self;
        let Some(private) = private else {
            let dropped = sqlx::query("DROP SCHEMA IF EXISTS tenantd CASCADE").execute(&connections).await;
            return Ok(dropped.map(drop)?);
        };
        connections.close();
        let stopped = tokio::task::spawn_blocking(|| private.stop()).await;
        stopped.map_err(|error| TourError::panicked("stop PostgreSQL", error))
    }
}

async fn start_private() -> Result<(SecretString, Option<PrivatePostgres>), TourError> {
    let started = tokio::task::spawn_blocking(PrivatePostgres::start).await;
    let private = started.map_err(|error| TourError::panicked("start PostgreSQL", error))??;
    Ok((private.url("postgres").into(), Some(private)))
}
