//! Refusals as Qlik words them.
//!
//! The rule: a status and a code that the reference documents are used where it
//! has them. Where it has none (`NOT FOUND`), the code is `HTTP-<status>`, in
//! the manner of the documented `HTTP-429`: nobody should depend on it.

/// A refusal: the status and the one entry of `errors[]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the answer")]
pub struct Problem {
    pub status: u16,
    pub code: String,
    pub title: String,
    pub detail: Option<String>,
    /// `Retry-After` in whole seconds, with a 429.
    pub retry_after: Option<u64>,
}

impl Problem {
    fn new(status: u16, code: impl Into<String>, title: impl Into<String>) -> Self {
        Self { status, code: code.into(), title: title.into(), detail: None, retry_after: None }
    }

    fn saying(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// A status without a documented code.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        Self::new(status, format!("HTTP-{status}"), title_of(status))
    }

    /// 400: the request breaks a documented rule.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::of_status(400).saying(detail)
    }

    /// 401: no access token, or one that this tenant did not give.
    pub(super) fn unauthorized() -> Self {
        Self::of_status(401)
    }

    /// 401 of the token endpoint: wrong secret, unknown client, scope or user.
    pub(super) fn bad_credential() -> Self {
        Self::new(401, "OAUTH-5", "Unauthorized")
    }

    /// 400 of the token endpoint: consent or grant is missing.
    pub(super) fn not_authorized_client() -> Self {
        Self::new(400, "OAUTH-14", "Invalid client_id").saying("OAuth client is not authorized")
    }

    /// 401: the tenant is switched off; the two documented codes.
    pub(super) fn deactivated(code: &'static str) -> Self {
        Self::new(401, code, "Tenant has been deactivated.")
            .saying("Tenant has been deactivated. Contact your administrator for more details.")
    }

    /// 401: no such tenant.
    pub(super) fn no_such_host() -> Self {
        Self::new(401, "LOGIN-2", "No authentication configured for this hostname")
    }

    /// 403: known, but not an administrator.
    pub(super) fn forbidden() -> Self {
        Self::of_status(403)
    }

    /// 404.
    pub(super) fn not_found(what: &str) -> Self {
        Self::of_status(404).saying(format!("{what} was not found"))
    }

    /// 409.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::of_status(409).saying(detail)
    }

    /// 429 with the documented body.
    pub(super) fn throttled(seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(429, "HTTP-429", "API rate limit reached.")
                .saying(format!("You need to wait {seconds} seconds until limit is lifted."))
        }
    }
}

fn title_of(status: u16) -> &'static str {
    match status {
        400 => "Bad request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not found",
        405 => "Method not allowed",
        409 => "Conflict",
        413 => "Payload too large",
        415 => "Unsupported media type",
        421 => "Misdirected request",
        429 => "API rate limit reached.",
        503 => "Service unavailable",
        500..=599 => "Internal server error",
        _ => "Error",
    }
}
