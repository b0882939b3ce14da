//! Why a tenant is not ready: the stored half of the contract's closed list.
//!
//! A *wait* ends by itself; a *park* ends only when somebody acts, and so
//! carries the remedy. `Queued`, `Working`, `NotBefore`, `Paused`, `BreakerOpen`,
//! `AwaitingBudget` and `Removed` are not stored: `tenantd.status` derives them.
//!
//! The rule: messages are ours and stable. Of Qlik's answers only the status, the
//! error code and the trace id are ever kept.

use std::fmt;

/// Why the row rests until its `due_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitReason {
    /// A request went unanswered and may still land.
    Settling,
    /// The last attempt failed in a way that may pass.
    Retrying,
    /// Qlik asked us to slow down.
    Throttled,
    /// The tenant is deactivated, or does not exist yet.
    Blocked,
    /// The region's credential was refused.
    CredentialRefused,
    /// The region's OAuth client was refused what has to be done next.
    RightMissing,
    /// The new credential got no token yet.
    ProofRefused,
    /// The client has five secrets; the next one retires by itself.
    SecretSlotsFull,
    /// The database may have forgotten something, and nobody agreed yet to deletions at Qlik.
    DeletionsHeld,
    /// This may be a copy of the real database, and nobody said yet that it is not.
    ChangesHeld,
}

/// Why the row waits for somebody to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParkReason {
    /// No region of the configuration allows this host.
    HostNotAllowed,
    /// The row names a profile that the configuration does not have.
    UnknownProfile,
    /// Qlik refused the request, and asking again cannot help.
    Rejected,
    /// Qlik says the name is taken, and no client of ours has it.
    NameTaken,
    /// A client of this installation, made for another row, is on this host.
    EarlierClientFound,
    /// The client has five secrets, none of which we may delete.
    SecretSlotsFull,
    /// Our client has been gone for ten minutes.
    ClientMissing,
    /// No progress within `retry.give_up_after`.
    GaveUp,
    /// The region's credential was refused for `retry.give_up_after`.
    CredentialRefused,
    /// Two secrets in a row got no token.
    ProofRefused,
    /// The row cannot be read or written as it is: a defect of ours, or of whoever wrote it.
    Defect,
}

/// Against whom a failure speaks, when a change of the daemon's own meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// The change itself, or what all tenants share, may be at fault: others would fail alike.
    Fleet,
    /// Only this tenant: its row, its client or its host is not as it should be.
    Tenant,
    /// Nobody: it waits for a person's word, and goes on behind it.
    Nobody,
}

impl WaitReason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Settling,
        Self::Retrying,
        Self::Throttled,
        Self::Blocked,
        Self::CredentialRefused,
        Self::RightMissing,
        Self::ProofRefused,
        Self::SecretSlotsFull,
        Self::DeletionsHeld,
        Self::ChangesHeld,
    ];

    /// Whether the wait goes on when somebody says something of the tenant. The others are
    /// found out anew, or are ended by an owner's edit.
    #[must_use]
    pub const fn outlasts_a_wake(self) -> bool {
        match self {
            Self::Retrying
            | Self::Throttled
            | Self::Blocked
            | Self::CredentialRefused
            | Self::ProofRefused => true,
            Self::Settling
            | Self::RightMissing
            | Self::SecretSlotsFull
            | Self::DeletionsHeld
            | Self::ChangesHeld => false,
        }
    }

    /// Reads the spelling of the contract.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// The spelling in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settling => "Settling",
            Self::Retrying => "Retrying",
            Self::Throttled => "Throttled",
            Self::Blocked => "Blocked",
            Self::CredentialRefused => "CredentialRefused",
            Self::RightMissing => "RightMissing",
            Self::ProofRefused => "ProofRefused",
            Self::SecretSlotsFull => "SecretSlotsFull",
            Self::DeletionsHeld => "DeletionsHeld",
            Self::ChangesHeld => "ChangesHeld",
        }
    }

    /// Against whom it speaks, once a change has met it.
    #[must_use]
    pub const fn evidence(self) -> Evidence {
        match self {
            Self::Settling
            | Self::Retrying
            | Self::Throttled
            | Self::CredentialRefused
            | Self::ProofRefused => Evidence::Fleet,
            Self::Blocked | Self::SecretSlotsFull => Evidence::Tenant,
            // The region's condition, in which nothing was tried.
            Self::RightMissing | Self::DeletionsHeld | Self::ChangesHeld => Evidence::Nobody,
        }
    }

    /// The spellings of all that speak against the same.
    #[must_use]
    pub fn spellings(evidence: Evidence) -> Vec<String> {
        let all = Self::ALL.into_iter().filter(|reason| reason.evidence() == evidence);
        all.map(|reason| reason.as_str().to_owned()).collect()
    }
}

impl ParkReason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::HostNotAllowed,
        Self::UnknownProfile,
        Self::Rejected,
        Self::NameTaken,
        Self::EarlierClientFound,
        Self::SecretSlotsFull,
        Self::ClientMissing,
        Self::GaveUp,
        Self::CredentialRefused,
        Self::ProofRefused,
        Self::Defect,
    ];

    /// Reads the spelling of the contract.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// The spelling in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostNotAllowed => "HostNotAllowed",
            Self::UnknownProfile => "UnknownProfile",
            Self::Rejected => "Rejected",
            Self::NameTaken => "NameTaken",
            Self::EarlierClientFound => "EarlierClientFound",
            Self::SecretSlotsFull => "SecretSlotsFull",
            Self::ClientMissing => "ClientMissing",
            Self::GaveUp => "GaveUp",
            Self::CredentialRefused => "CredentialRefused",
            Self::ProofRefused => "ProofRefused",
            Self::Defect => "Defect",
        }
    }

    /// Against whom it speaks, once a change has met it. What needs the tenant's own row,
    /// client or host to be mended says nothing of the others.
    #[must_use]
    pub const fn evidence(self) -> Evidence {
        match self {
            Self::HostNotAllowed
            | Self::UnknownProfile
            | Self::NameTaken
            | Self::EarlierClientFound
            | Self::SecretSlotsFull
            | Self::ClientMissing => Evidence::Tenant,
            Self::Rejected | Self::GaveUp | Self::CredentialRefused | Self::ProofRefused | Self::Defect => {
                Evidence::Fleet
            }
        }
    }

    /// The spellings of all that speak against the same.
    #[must_use]
    pub fn spellings(evidence: Evidence) -> Vec<String> {
        let all = Self::ALL.into_iter().filter(|reason| reason.evidence() == evidence);
        all.map(|reason| reason.as_str().to_owned()).collect()
    }

    /// What to do about it, in one sentence; its page in `docs/runbook/` says more.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::HostNotAllowed => {
                "correct the row's host, or add a pattern for it to a [[regions]] entry and reload"
            }
            Self::UnknownProfile => {
                "correct the row's profile, or add [profiles.…] and reload, then run `tenantd tenant retry`"
            }
            Self::Rejected => {
                "read the attempt's status and code with `tenantd tenant history`, correct the cause, then run `tenantd tenant retry`"
            }
            Self::NameTaken => "set another client_name on the row, then run `tenantd tenant retry`",
            Self::EarlierClientFound => {
                "an earlier row of this installation left its client on this host: take it over with `tenantd tenant adopt`, or delete it in Qlik and run `tenantd tenant retry`"
            }
            Self::SecretSlotsFull => {
                "delete a secret of this client that nobody uses in Qlik, then run `tenantd tenant retry`"
            }
            Self::ClientMissing => {
                "somebody deleted the client in Qlik: have another made with `tenantd tenant retry --recreate`"
            }
            Self::GaveUp => {
                "see `tenantd tenant history` for what failed, mend it, then run `tenantd tenant retry`"
            }
            Self::CredentialRefused => {
                "correct the region's client_id and client_secret and reload, or restart where the daemon has a copy (`tenantd doctor` tests them), then run `tenantd tenant retry`"
            }
            Self::ProofRefused => {
                "check the client's scopes and grants in Qlik and the profile, then run `tenantd tenant retry`"
            }
            Self::Defect => {
                "report it with this message, mend the row where it was written by hand, then run `tenantd tenant retry`"
            }
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ParkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: &str = include_str!("../../docs/operations.md");
    const RUNBOOK: &str = include_str!("../../docs/runbook.md");

    /// Some wait at first and are parked later: they are in both tables.
    #[test]
    fn every_reason_is_in_the_table_of_its_kind_that_leads_the_operator_to_its_page() {
        let table = |heading| RUNBOOK.split(heading).nth(1).unwrap().split("\n#").next().unwrap();
        let named = |reason: &str| format!("\n| [`{reason}`](runbook/{reason}.md) |");
        for reason in ParkReason::ALL {
            let table = table("\n### That wait for you\n");
            assert!(table.contains(&named(reason.as_str())), "{reason} is not in the table");
        }
        for reason in WaitReason::ALL {
            let table = table("\n### That pass by themselves\n");
            assert!(table.contains(&named(reason.as_str())), "{reason} is not in the table");
        }
    }

    #[test]
    fn the_documents_name_every_park_that_is_no_evidence_against_a_rollout() {
        let section = OPERATIONS.split("### A rollout halted").nth(1).unwrap().split("\n## ").next().unwrap();
        for reason in ParkReason::ALL {
            let is_named = section.contains(&format!("`{reason}`"));
            assert_eq!(is_named, reason.evidence() != Evidence::Fleet, "{reason}");
        }
    }

    #[test]
    fn every_remedy_is_a_command_or_a_change_and_no_reason_is_spelt_twice() {
        let mut spellings: Vec<_> = ParkReason::ALL.map(ParkReason::as_str).to_vec();
        spellings.sort_unstable();
        spellings.dedup();

        assert_eq!(spellings.len(), ParkReason::ALL.len());
        assert!(ParkReason::ALL.iter().all(|reason| reason.remedy().len() > 20));
    }
}
