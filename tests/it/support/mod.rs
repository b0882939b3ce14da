//! What the integration tests share.

pub(crate) mod bundle;
pub(crate) mod cable;
pub(crate) mod collector;
pub(crate) mod consumers;
pub(crate) mod fleet;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod rig;
pub(crate) mod roles;
pub(crate) mod waiting;
