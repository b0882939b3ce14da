//! The pages for machines: is it alive, is it ready, what does it count.
//!
//! The rule: nothing here writes, and health never needs a token. What a page
//! says is for anybody who reaches the port, so it names no tenant.

mod auth;
mod readiness;
mod room;
mod routes;
mod serve;

#[cfg(test)]
mod tests;

pub use auth::Token;
pub use readiness::{Check, Readiness, Report};
pub use routes::Pages;
pub use serve::serve;
