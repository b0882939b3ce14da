//! A judged act: what was decided on its outcome, whole, before anything of it is written.
//!
//! The rule: it knows no worker, so that whoever carries it on need not know how it was made.

use crate::domain::machine::Decision;
use crate::domain::record::Record;
use crate::postgres::work::commit::{Attempt, SealedSecret};

/// A judged act, ready to be committed.
#[derive(Debug)]
pub struct Judged {
    /// What was decided.
    pub decision: Decision,
    /// What the row says from then on.
    pub record: Box<Record>,
    /// The secret to store with it.
    pub sealed: Option<SealedSecret>,
    /// The line of history.
    pub attempt: Attempt,
    /// Whether a removal may go on where it was.
    pub keeps_the_place: bool,
}
