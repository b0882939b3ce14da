//! The port for machines: is it alive, is it ready, what does it count; and the door of the
//! API that is put under `/api/v1` and of the page for people under `/status`.
//!
//! The rule: health never needs a token. What a page of this room says is for anybody who
//! reaches the port, so it names no tenant.

mod auth;
mod readiness;
mod room;
mod routes;
mod serve;
mod session;
mod token;

#[cfg(test)]
mod tests;

pub(crate) use auth::names_this_machine;
pub use auth::{Door, Refusal, TokenSource, Visitor};
pub use readiness::{Check, Readiness, Report};
pub use routes::{API, Pages, STATUS};
pub use serve::serve;
pub use session::Entered;
pub(crate) use token::is_same;
pub use token::{Right, Token};
