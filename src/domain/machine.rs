//! The state machine: what to do next, and what to write down when it was done or failed.
//!
//! In the order of reading: what is decided ([`decision`]), the effects there are
//! ([`effect`]), which is [`next`], what follows when it was [`done`], when it [`failed`], and
//! when a worker stops before it ([`rest`]).
//!
//! The rules every change must keep:
//! * only `Entry::Cleared` creates and only `MintEntry::Cleared` mints, and
//!   both are left by whatever happens next: an act that cannot be repeated is
//!   never repeated without a look;
//! * a look that finds nothing and a comparison are no progress, so a tenant whose
//!   creates or mints keep failing is parked in the end;
//! * a row that came out of a backup is looked at before anything is done about it.

pub mod class;
pub mod decision;
pub mod done;
pub mod effect;
pub mod failed;
pub mod next;
pub mod rest;
mod waits;

pub use class::class_of;
pub use decision::{Ailment, AuditChange, Decision, Next, Progress, RecheckChange, Rest, SecretChange};
pub use done::{IllegalOutcome, after};
pub use failed::after_failure;
pub use next::next_effect;
pub use rest::{checkpoint, put_off, resting};

#[cfg(test)]
mod tests;
