//! Whether each client of the database has a connection to the server of its own.
//!
//! The rule: nobody guesses. The configuration says what is in between, and what behaves
//! otherwise is refused with a word about it.

/// What stands between us and the database's server (`database.pooler`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or something that gives each client a server connection of its own.
    #[default]
    None,
    /// A pooler in transaction mode, such as `PgBouncer`: no session and no prepared
    /// statement outlives a transaction there, so each statement has one of its own.
    Transaction,
}
