//! What it means to give one tenant its credential, with no I/O.
//!
//! Nothing here reads a clock, opens a socket or draws a random number: ages
//! and jitter come in as arguments, durations and states go out as values. That
//! is what lets the crash-point explorer walk through years of outages in
//! seconds.
//!
//! A tenant is moved by repeating three calls:
//!
//! 1. [`machine::next_effect`]: which single thing should be done now?
//! 2. the engine does it, and reports what was [`machine::effect::Done`] or the [`failure::Failure`];
//! 3. [`machine::after`] or [`machine::after_failure`]: what must be written down?
//!
//! The rule every change must keep: **a client secret is sealed and committed
//! before any further request is sent**, because Qlik shows it only once.

pub mod ages;
pub mod blame;
pub mod census;
pub mod choices;
pub mod digest;
pub mod drift;
pub mod failure;
pub mod field;
pub mod filter;
pub mod hints;
pub mod host;
pub mod ids;
pub mod import;
pub mod look;
pub mod machine;
pub mod mark;
pub mod message;
#[cfg(test)]
mod model;
pub mod nearest;
pub mod phase;
pub mod place;
pub mod pooler;
pub mod profile;
pub mod proof;
pub mod reason;
pub mod record;
pub mod region;
pub mod retry;
pub mod rights;
pub mod rollout;
pub mod secret;
pub mod tenant;
pub mod text;
pub mod token;
pub mod trace;
pub mod waiting;
pub mod wants;
pub mod when;
pub mod why;
