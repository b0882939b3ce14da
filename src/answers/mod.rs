//! What programs are told of tenants and the fleet: the JSON of `--output json` and of the
//! HTTP API, and what the status page is made of.
//!
//! The rules: **an answer has one shape, whoever gives it**; and an answer only grows within
//! a major version. Nothing here is a secret, sealed or not.

pub mod attempts;
pub mod attention;
pub mod calendar;
pub mod explanation;
pub mod fleet;
pub mod overview;
pub mod regions;
pub mod tenants;
pub mod workers;

pub use crate::domain::choices;
