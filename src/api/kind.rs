//! The kinds of problem that are told over HTTP.
//!
//! The rule: a kind is told by its type, which never changes; the list only grows within a major
//! version, and `docs/api.md` has it.

use axum::http::StatusCode;

/// Which problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No token was presented, or one that is not known.
    Unauthorized,
    /// The token does not give this right.
    Forbidden,
    /// There is no such page.
    NotFound,
    /// There is no such tenant.
    UnknownTenant,
    /// The page does not take this method.
    MethodNotAllowed,
    /// There is no such parameter.
    UnknownParameter,
    /// A parameter's value cannot be.
    BadParameter,
    /// The key of the request stands for another one.
    KeyReused,
    /// The body is none, or a field of it cannot be.
    BadBody,
    /// The body has too many bytes.
    TooLarge,
    /// The body is no JSON.
    UnsupportedMediaType,
    /// It cannot be done to this tenant, as it is.
    Impossible,
    /// More or fewer tenants match than were seen.
    CountDiffers,
    /// A name that is none of this machine's was asked.
    WrongHost,
    /// The database or a file cannot be used at present.
    Unavailable,
    /// Too much is asked at once, or it took too long.
    Busy,
    /// A defect, or a database that refuses what it should not.
    Failed,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::UnknownTenant,
        Self::MethodNotAllowed,
        Self::UnknownParameter,
        Self::BadParameter,
        Self::KeyReused,
        Self::BadBody,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Impossible,
        Self::CountDiffers,
        Self::WrongHost,
        Self::Unavailable,
        Self::Busy,
        Self::Failed,
    ];

    /// The last part of its type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::UnknownTenant => "unknown-tenant",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::UnknownParameter => "unknown-parameter",
            Self::BadParameter => "bad-parameter",
            Self::KeyReused => "key-reused",
            Self::BadBody => "bad-body",
            Self::TooLarge => "too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::Impossible => "impossible",
            Self::CountDiffers => "count-differs",
            Self::WrongHost => "wrong-host",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }

    /// The same for people, for every problem of the kind.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Unauthorized => "A token is asked for",
            Self::Forbidden => "The token does not give this right",
            Self::NotFound => "There is no such page",
            Self::UnknownTenant => "There is no such tenant",
            Self::MethodNotAllowed => "The page does not take this method",
            Self::UnknownParameter => "There is no such parameter",
            Self::BadParameter => "The value of a parameter cannot be",
            Self::KeyReused => "The key was used for another request",
            Self::BadBody => "The body cannot be",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body is of another type",
            Self::Impossible => "It cannot be done to this tenant",
            Self::CountDiffers => "Not as many match as were seen",
            Self::WrongHost => "This is asked under a name that is not ours",
            Self::Unavailable => "It cannot be answered at present",
            Self::Busy => "Too much is asked at once",
            Self::Failed => "It failed",
        }
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnknownTenant => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnknownParameter | Self::BadParameter | Self::BadBody => StatusCode::BAD_REQUEST,
            Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Impossible | Self::CountDiffers => StatusCode::CONFLICT,
            Self::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Unavailable | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
