//! What can go wrong with a request to Qlik, in terms of what it proves.
//!
//! The rule: **Qlik's error code first, status second, never the title**, in one
//! match ([`FailureKind::of_answer`]). A body is secret material: nothing of it
//! is kept but the error code and the trace id.

use std::fmt;
use std::time::Duration;

/// A request that did not give what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{evidence}")]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// What the answer said about it, where there was one.
    pub evidence: Evidence,
}

/// What is kept of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// HTTP status.
    pub status: Option<u16>,
    /// The first `errors[].code`.
    pub code: Option<String>,
    /// Qlik's `traceId`, to be quoted to Qlik's support.
    pub trace_id: Option<String>,
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailureKind {
    /// Connection or TLS handshake never completed: nothing was sent.
    #[error("could not connect to the tenant")]
    NotConnected,
    /// No token for the region's credential could be fetched, for a reason that
    /// may pass: nothing was sent.
    #[error("the tenant gave no access token")]
    NoToken,
    /// The request left, the answer did not come.
    #[error("the tenant did not answer")]
    NoAnswer,
    /// 408 or any 5xx. A proxy may have sent it, so it proves nothing.
    #[error("the tenant failed")]
    ServerError,
    /// A 2xx answer whose body is not what the contract says.
    #[error("the tenant's answer was not readable")]
    Unreadable,
    /// A client of ours in a list that could be read otherwise.
    #[error("the client {client:?}, which is ours, cannot be read: {fault}")]
    IllegibleClient {
        /// Its id.
        client: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// 429, or our own pacing.
    #[error("the tenant asked us to slow down")]
    Throttled {
        /// `Retry-After`, already bounded.
        wait: Duration,
    },
    /// Our region's credential was refused.
    #[error("the region's credential was refused")]
    CredentialRefused,
    /// 401 to a token that the tenant had just given: the credential is good, and what it
    /// gets is not accepted here.
    #[error("the tenant does not accept the token that it gave")]
    TokenRefused,
    /// The tenant is deactivated, or there is no such tenant (yet).
    #[error("the tenant is deactivated or does not exist")]
    TenantUnavailable,
    /// 403: the credential is known, but may not do this.
    #[error("the tenant forbids this")]
    Forbidden,
    /// 404.
    #[error("the tenant knows no such thing")]
    NotFound,
    /// 409.
    #[error("the tenant reports a conflict")]
    Conflict,
    /// Any other refusal: 400, an unexpected redirect, an unknown 4xx.
    #[error("the tenant refused the request")]
    Rejected,
}

/// Error codes of a tenant that is switched off (`TENANT_…`, qlik.dev "Delete a
/// tenant") or unknown (`LOGIN-2`, Qlik support article 1710940). They come with a 401.
const UNAVAILABLE: [&str; 3] = ["TENANT_DEACTIVATED", "TENANT_DISABLED", "LOGIN-2"];

impl FailureKind {
    /// Reads an answer that is not a success. `retry_after` counts for a 429 only.
    #[must_use]
    pub fn of_answer(status: u16, code: Option<&str>, retry_after: Duration) -> Self {
        match (status, code) {
            (400..=499, Some(code)) if UNAVAILABLE.contains(&code) => Self::TenantUnavailable,
            (429, _) => Self::Throttled { wait: retry_after },
            (401, _) => Self::CredentialRefused,
            (403, _) => Self::Forbidden,
            (404, _) => Self::NotFound,
            (409, _) => Self::Conflict,
            (408 | 500..=599, _) => Self::ServerError,
            (200..=299, _) => Self::Unreadable,
            (_, _) => Self::Rejected,
        }
    }
}

impl Failure {
    /// The same failure when it met a token that was fetched for this very call: a 401 then
    /// speaks of what the token may do, and no more of the credential.
    #[must_use]
    pub fn with_fresh_token(self) -> Self {
        match self.kind {
            FailureKind::CredentialRefused => Self { kind: FailureKind::TokenRefused, ..self },
            FailureKind::NotConnected
            | FailureKind::NoToken
            | FailureKind::NoAnswer
            | FailureKind::ServerError
            | FailureKind::Unreadable
            | FailureKind::IllegibleClient { .. }
            | FailureKind::Throttled { .. }
            | FailureKind::TokenRefused
            | FailureKind::TenantUnavailable
            | FailureKind::Forbidden
            | FailureKind::NotFound
            | FailureKind::Conflict
            | FailureKind::Rejected => self,
        }
    }

    /// Whether a walk through a list may go on where it was: not where the answer may mean
    /// that its cursor is good for nothing any more.
    #[must_use]
    pub const fn keeps_the_place(&self) -> bool {
        match self.kind {
            FailureKind::Rejected
            | FailureKind::NotFound
            | FailureKind::Conflict
            | FailureKind::Unreadable
            | FailureKind::IllegibleClient { .. } => false,
            FailureKind::NotConnected
            | FailureKind::NoToken
            | FailureKind::NoAnswer
            | FailureKind::ServerError
            | FailureKind::Throttled { .. }
            | FailureKind::TokenRefused
            | FailureKind::CredentialRefused
            | FailureKind::TenantUnavailable
            | FailureKind::Forbidden => true,
        }
    }

    /// A failure without an answer.
    #[must_use]
    pub fn unanswered(kind: FailureKind) -> Self {
        Self { kind, evidence: Evidence::default() }
    }

    /// The same failure when it met the request for *our own* token: the call
    /// behind it was then never sent. Only 400, 401 and 403 speak of the credential
    /// (RFC 6749, section 5.2); a redirect or an odd 4xx comes from something in between.
    #[must_use]
    pub fn while_fetching_token(self) -> Self {
        let kind = match self.kind {
            FailureKind::Rejected if self.evidence.status == Some(400) => FailureKind::CredentialRefused,
            FailureKind::Forbidden | FailureKind::TokenRefused => FailureKind::CredentialRefused,
            FailureKind::Rejected
            | FailureKind::NoAnswer
            | FailureKind::ServerError
            | FailureKind::Unreadable
            | FailureKind::IllegibleClient { .. }
            | FailureKind::Conflict => FailureKind::NoToken,
            FailureKind::NotFound => FailureKind::TenantUnavailable,
            same @ (FailureKind::NotConnected
            | FailureKind::NoToken
            | FailureKind::Throttled { .. }
            | FailureKind::CredentialRefused
            | FailureKind::TenantUnavailable) => same,
        };
        Self { kind, ..self }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, " (status {status}")?;
            if let Some(code) = &self.code {
                write!(f, ", code {code}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_read_by_code_first_and_status_second() {
        let wait = Duration::from_secs(7);
        for (status, code, expected) in [
            (401, Some("TENANT_DEACTIVATED"), FailureKind::TenantUnavailable),
            (401, Some("TENANT_DISABLED"), FailureKind::TenantUnavailable),
            (401, Some("LOGIN-2"), FailureKind::TenantUnavailable),
            (401, Some("OAUTH-5"), FailureKind::CredentialRefused),
            (401, None, FailureKind::CredentialRefused),
            (403, Some("AUTH-5"), FailureKind::Forbidden),
            (404, None, FailureKind::NotFound),
            (409, None, FailureKind::Conflict),
            (429, Some("HTTP-429"), FailureKind::Throttled { wait }),
            (408, None, FailureKind::ServerError),
            (500, Some("TENANT_DEACTIVATED"), FailureKind::ServerError),
            (503, None, FailureKind::ServerError),
            (200, None, FailureKind::Unreadable),
            (302, None, FailureKind::Rejected),
            (400, Some("OAUTH-14"), FailureKind::Rejected),
            (418, None, FailureKind::Rejected),
        ] {
            assert_eq!(FailureKind::of_answer(status, code, wait), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn only_400_401_and_403_at_the_token_endpoint_speak_of_the_credential() {
        for (status, expected) in [
            (400, FailureKind::CredentialRefused),
            (401, FailureKind::CredentialRefused),
            (403, FailureKind::CredentialRefused),
            (302, FailureKind::NoToken),
            (404, FailureKind::TenantUnavailable),
            (405, FailureKind::NoToken),
            (407, FailureKind::NoToken),
            (418, FailureKind::NoToken),
            (503, FailureKind::NoToken),
        ] {
            let kind = FailureKind::of_answer(status, None, Duration::ZERO);
            let evidence = Evidence { status: Some(status), ..Evidence::default() };

            let failure = Failure { kind, evidence: evidence.clone() }.while_fetching_token();

            assert_eq!(failure, Failure { kind: expected, evidence }, "{status}");
        }
    }

    #[test]
    fn a_failure_names_status_and_code_and_nothing_else() {
        let failure = Failure {
            kind: FailureKind::Rejected,
            evidence: Evidence {
                status: Some(400),
                code: Some("OAUTH-14".into()),
                trace_id: Some("t".into()),
            },
        };

        assert_eq!(failure.to_string(), "the tenant refused the request (status 400, code OAUTH-14)");
    }
}
