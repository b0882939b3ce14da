//! A stateful Qlik Cloud to test against: one world, two doors.
//!
//! [`World`] holds tenants, clients, secrets, users and tokens and does what the
//! public documentation says; what the documentation leaves open is a switch of
//! [`Behaviour`], what goes wrong on the way is a [`FaultPlan`], and what really
//! happened is in the [`Ledger`].
//!
//! * [`memory::Door`] is the Qlik port straight on the world, for simulation
//!   tests that move time by hand.
//! * [`tls::Server`] is HTTPS for everything else: one port, every host, and
//!   faults that are faults on the wire.
//!
//! The rule: the world is pure and knows no JSON. Time is passed in, chance comes
//! from a seed; both doors call the same typed operations of [`Moment`].

mod behaviour;
mod clients;
mod console;
mod draft;
mod endpoint;
mod faults;
mod ledger;
mod limits;
pub mod memory;
mod patch;
mod problem;
mod query;
mod records;
mod rng;
mod secrets;
mod tally;
mod tenants;
#[cfg(test)]
mod testing;
pub mod tls;
mod tokens;
mod users;
mod world;

pub use behaviour::{Behaviour, HintSpelling, ListLag, ListOrder, NoLink, OneOf, RateLimits};
pub use clients::{ClientPage, Created};
pub use console::Console;
pub use draft::{Draft, PublicKey};
pub use endpoint::Endpoint;
pub use faults::{Fault, FaultPlan, RetryAfter, Spoil};
pub use ledger::{ClientLedger, Ledger, SecretLedger, TenantLedger};
pub use limits::Tier;
pub use problem::Problem;
pub use query::{Filter, ListQuery, Paging, Sort};
pub use records::{ClientView, Plaintext, SecretView, TenantStatus, User};
pub use secrets::Minted;
pub use tenants::Caller;
pub use tokens::{Grant, Granted, TokenPage, TokenRequest, TokenView};
pub use users::{NewUser, UserPage};
pub use world::{Moment, World};
