//! What a tenant waits for: what keeps it from being claimed, what a claim makes of it, and
//! what people are told.
//!
//! The rule: **this is judged here, and nowhere else.** The claim and the view `tenantd.status`
//! say the same once more in SQL, because only there it costs no commit and no daemon; a test
//! holds both to this over the whole product of what matters.

mod awaited;
mod blocker;
mod facts;
mod taken;
mod told;

pub use awaited::{Awaited, Waits, is_going};
pub use blocker::{Blocker, BlockerKind};
pub use facts::{Breaker, Configured, Facts, Fleet, Lease, Pause, Row};
pub use taken::{Taken, looks_first};
pub use told::Told;

#[cfg(test)]
mod tests;
