//! The HTTP API: what the commands tell and do, for programs.
//!
//! It answers with the very shapes of `--output json` ([`crate::answers`]), and asks the store
//! as the commands do, on connections of its own.
//!
//! The rules: **never a secret, sealed or not.** Whatever is asked is bounded, in size, in
//! time and in number, so that no reader holds the daemon up. What cannot be answered is a
//! problem (RFC 9457) that names the parameter and says what would be right, and nothing is
//! half done.

mod asked;
mod bounds;
mod document;
mod fleet;
mod guard;
mod kind;
mod problem;
mod query;
mod reply;
mod routes;
mod state;
mod tenants;
mod verbs;
mod who;

pub use bounds::{Begun, Late, Room, bounded};
pub use document::document;
pub use kind::Kind;
pub use routes::{ROUTES, router};
pub use state::{Api, Given, Parts, Reload, TakenOver};
pub(crate) use who::{name_of, over_http};
