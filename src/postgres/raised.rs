//! Errors that are ours and travel as the driver's: what a connection finds out before a
//! statement is sent on it.
//!
//! The rule: each is a type, so that what it means is known without reading its words.

/// The server has written less than it had before: it was set back.
#[derive(Debug, thiserror::Error)]
#[error("the database was set back to an earlier state")]
pub(super) struct SetBack;

/// A pooler was told to ignore what it does not know at the start of a session
/// (`PgBouncer`'s `ignore_startup_parameters`), and so our settings got lost.
#[derive(Debug, thiserror::Error)]
#[error("the settings of a session do not reach the database")]
pub(super) struct Swallowed;
