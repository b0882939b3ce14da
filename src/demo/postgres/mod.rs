//! A private, throw-away Postgres from the machine's own programs.
//!
//! For the demo, the tests and the benchmarks: nothing to set up, nothing left
//! behind. It listens on a Unix socket in a directory of mode 0700 and on no
//! port, so two never collide and nobody else reaches it; that is also what
//! makes its `trust` authentication safe. As root it runs its server as an
//! unprivileged user, because Postgres refuses root.
//!
//! The rule every change must keep: **however this process ends, SIGKILL
//! included, no process and no directory stays.** Statics are never dropped, so
//! that is the work of the life line in `server`, not of `Drop`.

mod binaries;
mod directory;
mod error;
mod owner;
mod plan;
mod server;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::StartError;
pub use plan::{Durability, Plan};

use directory::Directory;
use server::Server;

/// A running server. Dropping it stops it and removes its directory.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Order matters: the server must be gone before its directory is.
    server: Server,
    directory: Directory,
}

impl PrivatePostgres {
    /// Starts a server without durability; see [`PrivatePostgres::start_with`].
    pub fn start() -> Result<Self, StartError> {
        Self::start_with(Durability::None)
    }

    /// Starts a server and waits until it accepts connections.
    ///
    /// Blocks for about a second: call it through `tokio::task::spawn_blocking`
    /// where other work shares the thread.
    ///
    /// # Errors
    ///
    /// [`StartError::NoBinaries`] when Postgres is not installed, otherwise what
    /// went wrong with the server's own words.
    pub fn start_with(durability: Durability) -> Result<Self, StartError> {
        Self::start_as(Plan { durability, ..Plan::default() })
    }

    /// The same, as somebody planned it. A standby is waited for until it accepts readers.
    pub fn start_as(plan: Plan) -> Result<Self, StartError> {
        Self::prepare(plan)?.start()
    }

    /// Makes its data, and starts nothing yet.
    pub fn prepare(plan: Plan) -> Result<Prepared, StartError> {
        let binaries = binaries::Binaries::find()?;
        let directory = Directory::create()?;
        let owner = owner::Owner::for_user(directory.created_by())?;
        directory.give_to(owner)?;
        match &plan.backup_of {
            None => server::initdb(&binaries, &directory, owner)?,
            Some(source) => server::base_backup(&binaries, source, &directory, owner)?,
        }
        if let Some(signal) = plan.signal {
            directory.signal(signal)?;
        }
        Ok(Prepared { binaries, directory, owner, plan })
    }

    /// The address of `database` on this server, for the superuser `postgres`.
    ///
    /// Everything that a caller's `PG…` variables could change is spelled out.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let socket = self.directory.path().display();
        format!("postgres://postgres@localhost:{}/{database}?host={socket}&sslmode=disable", server::PORT)
    }

    /// Its directory: data, socket and log. Gone when it has stopped.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops the server and removes its directory, as dropping it does.
    pub fn stop(self) {
        drop(self);
    }
}

/// A server whose data is there.
#[derive(Debug)]
pub struct Prepared {
    binaries: binaries::Binaries,
    directory: Directory,
    owner: Option<owner::Owner>,
    plan: Plan,
}

impl Prepared {
    /// Starts it, and waits until it accepts connections.
    pub fn start(self) -> Result<PrivatePostgres, StartError> {
        let Self { binaries, directory, owner, plan } = self;
        let mut server = Server::launch(&binaries, &directory, owner, &plan)?;
        server.wait_until_ready(&directory)?;
        Ok(PrivatePostgres { server, directory })
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.server.stop();
        self.directory.remove();
    }
}
