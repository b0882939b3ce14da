//! What a demonstration needs and production does not.
//!
//! * [`tour`]: `tenantd demo`. Everything on this machine: a private Postgres, a
//!   simulated Qlik Cloud that misbehaves, the real daemon, sample customers.
//! * [`simulate`]: `tenantd simulate`. The simulated Qlik Cloud alone.
//! * [`postgres`]: the private Postgres, which tests and benchmarks use as well.
//!
//! The rule: the daemon shown here is the one that ships. It is built by
//! [`crate::app`] from a configuration file, and nothing in it knows of the demo.

mod config;
mod faults;
pub mod postgres;
mod private_directory;
mod scratch;
mod signals;
pub mod simulate;
pub mod tour;
