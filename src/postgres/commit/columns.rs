//! A decision in the words of the commit's statement.
//!
//! The rule: nothing is decided here; every match is exhaustive, so that a new kind of
//! change cannot be forgotten.

use std::time::Duration;

use crate::domain::ids::Hint;
use crate::domain::transition::{
    Ailment, AuditChange, Decision, Progress, RecheckChange, Rest, SecretChange,
};

/// A decision in the words of the statement.
#[expect(clippy::struct_excessive_bools, reason = "columns, as they are")]
pub(super) struct Columns<'a> {
    pub(super) is_progress: bool,
    pub(super) excused: Duration,
    pub(super) is_proof_refused: bool,
    pub(super) is_client_missing: bool,
    pub(super) is_credential_refused: bool,
    /// The effect that the region's right to is missing.
    pub(super) awaits_right: Option<&'static str>,
    /// It was asked for, and refused.
    pub(super) is_right_refused: bool,
    pub(super) is_rechecked: bool,
    pub(super) recheck_after: Option<Duration>,
    pub(super) secret: &'static str,
    pub(super) hint: Option<&'a Hint>,
    pub(super) overlap: Option<Duration>,
    pub(super) is_audited: bool,
    pub(super) audit_after: Option<Duration>,
    pub(super) rest: &'static str,
    pub(super) due: Option<Duration>,
    pub(super) wait_reason: Option<&'static str>,
    pub(super) parked_reason: Option<&'static str>,
    pub(super) message: Option<&'a str>,
    /// More to do, but nothing gained yet: what the row waited for stays its story.
    pub(super) is_reason_kept: bool,
}

impl<'a> Columns<'a> {
    pub(super) fn of(decision: &'a Decision) -> Self {
        let Stored { word: secret, hint, overlap } = Stored::of(&decision.secret);
        let (is_audited, audit_after) = match decision.audit {
            AuditChange::Keep => (false, None),
            AuditChange::Done { next } => (true, next),
        };
        let (is_rechecked, recheck_after) = match decision.recheck {
            RecheckChange::Keep => (false, None),
            RecheckChange::After(duration) => (false, Some(duration)),
            RecheckChange::Done => (true, None),
        };
        let (awaits_right, is_right_refused) = match decision.ailment {
            Some(Ailment::RightRefused(effect)) => (Some(effect.as_str()), true),
            Some(Ailment::RightAwaited(effect)) => (Some(effect.as_str()), false),
            Some(Ailment::ProofRefused | Ailment::ClientMissing | Ailment::CredentialRefused) | None => {
                (None, false)
            }
        };
        let columns = Self {
            is_progress: decision.progress == Progress::Made,
            excused: match decision.progress {
                Progress::Excused(waited) => waited,
                Progress::Made | Progress::None => Duration::ZERO,
            },
            is_proof_refused: decision.tenant.refused_for.is_some()
                || decision.ailment == Some(Ailment::ProofRefused),
            is_client_missing: decision.tenant.missing_for.is_some()
                || decision.ailment == Some(Ailment::ClientMissing),
            is_credential_refused: decision.ailment == Some(Ailment::CredentialRefused),
            awaits_right,
            is_right_refused,
            is_rechecked,
            recheck_after,
            secret,
            hint,
            overlap,
            is_audited,
            audit_after,
            rest: "hold",
            due: None,
            wait_reason: None,
            parked_reason: None,
            message: None,
            is_reason_kept: false,
        };
        let is_reason_kept = decision.progress != Progress::Made;
        match &decision.rest {
            Rest::Hold => Self { is_reason_kept, ..columns },
            Rest::Requeue => Self { rest: "wait", due: Some(Duration::ZERO), is_reason_kept, ..columns },
            Rest::Settled => Self { rest: "settled", ..columns },
            Rest::Wait { reason, due, message } => Self {
                rest: "wait",
                due: Some(*due),
                wait_reason: Some(reason.as_str()),
                message: Some(message),
                ..columns
            },
            Rest::Park { reason, message } => {
                Self { rest: "park", parked_reason: Some(reason.as_str()), message: Some(message), ..columns }
            }
        }
    }
}

/// What becomes of the stored secrets, in a word and what belongs to it.
struct Stored<'a> {
    word: &'static str,
    hint: Option<&'a Hint>,
    overlap: Option<Duration>,
}

impl<'a> Stored<'a> {
    fn of(change: &'a SecretChange) -> Self {
        let of_word = |word, hint| Self { word, hint, overlap: None };
        match change {
            SecretChange::Keep => of_word("keep", None),
            SecretChange::Seal { hint } => of_word("seal", hint.as_ref()),
            SecretChange::Identify(hint) => of_word("identify", Some(hint)),
            SecretChange::Promote { overlap } => Self { overlap: Some(*overlap), ..of_word("promote", None) },
            SecretChange::Discard => of_word("discard", None),
            SecretChange::Withdraw => of_word("withdraw", None),
            SecretChange::Forget(hint) => of_word("forget", Some(hint)),
            SecretChange::Lose(hint) => of_word("lose", Some(hint)),
            SecretChange::Shred => of_word("shred", None),
        }
    }
}
