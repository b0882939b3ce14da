//! What people and programs ask and say of tenants and the fleet: the commands, the API, the
//! doctor.
//!
//! The rule: what is said here is a fact or a want for the daemon to act on; whoever changes
//! what the daemon works on locks the row first, and fences the worker out.

pub mod adopt;
pub mod attempts;
pub mod backlog;
pub mod calendar;
mod conditions;
pub mod doctor;
pub mod explain;
mod filter;
pub mod fleet;
pub mod forget;
pub mod import;
pub mod inspect;
pub mod lately;
pub mod orders;
pub mod owner;
pub mod parked;
pub mod pauses;
pub mod recreate;
pub mod rejoin;
pub mod rekey;
pub mod rollback;
pub mod support;
pub mod tenants;
pub mod verbs;
