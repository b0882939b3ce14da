//! Visits: what an operator's command does at Qlik, beside the daemon.
//!
//! The rule: a visit holds the tenant's lease as a worker does (`inspect`), asks before each
//! act whether it may be done on the word of this database (`hold`), and writes what it did
//! into the history.

pub mod adopt;
pub mod census;
mod hold;
pub mod inspect;
pub mod tokens;
