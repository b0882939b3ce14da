//! What a private server is to be: how durable, how set, and of which data.
//!
//! The rule: unless more is asked for, it is an empty server that keeps nothing safe from
//! a crash of the machine, which is the fastest.

use std::path::PathBuf;

/// What the server does about a crash of the *machine*.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: commits stay in memory. Several times faster; for data that is thrown away.
    #[default]
    None,
    /// Every commit reaches the disk, as in production; for honest measurements.
    Full,
}

/// What a server is started as, where an empty one of its own is not what is wanted.
#[derive(Debug, Default)]
pub struct Plan {
    /// What it does about a crash of the machine.
    pub durability: Durability,
    /// `name=value` for each setting, as on the command line.
    pub settings: Vec<String>,
    /// The data comes from a base backup of the running server with its socket in this
    /// directory, whose settings must allow it.
    pub backup_of: Option<PathBuf>,
    /// An empty file that tells a restored server what to be: `standby.signal`, or
    /// `recovery.signal` (PostgreSQL documentation, 26.3).
    pub signal: Option<&'static str>,
}
