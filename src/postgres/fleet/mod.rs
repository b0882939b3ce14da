//! What is decided and remembered for many tenants at once: the jobs of the schedules, the
//! budgets, the breaker's memory, the counts.
//!
//! The rule: nothing here walks over the fleet in one statement, and whoever counts against a
//! limit holds its lock.

pub mod audits;
pub mod budget;
pub mod census;
pub mod counts;
pub mod objective;
mod passes;
pub mod regions;
pub mod rights;
pub mod rollouts;
pub mod schedules;
