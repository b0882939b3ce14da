//! What a worker of the daemon does to rows that it holds, and how it comes by them.
//!
//! The rule: whoever writes a row here holds its lease, or takes or parks it in the same
//! statement.

pub mod claim;
pub mod commit;
pub mod defects;
pub mod lease;
pub mod listener;
