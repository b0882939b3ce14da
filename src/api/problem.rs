//! What could not be answered, and why: problem details (RFC 9457).
//!
//! The rule: a problem is told by its type, never by its words. The list of types only
//! grows within a major version; `docs/api.md` has it.

use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::kind::Kind;
use crate::domain::filter::Fault;
use crate::http::Refusal;
use crate::postgres::StoreError;
use crate::postgres::error::Meaning;

/// What problems are written in.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// What every type begins with.
const TYPES: &str = "urn:tenantd:problem:";
/// When what is busy may be asked again.
const AGAIN: &str = "1";

/// What every page answers.
pub(super) type Answered = Result<Response, Problem>;

/// Why a request was not answered.
#[derive(Debug)]
pub(super) struct Problem(pub(super) Box<Details>);

/// Why a request was not answered (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Details {
    /// Which problem it is: one of a list that only grows.
    #[serde(rename = "type")]
    of_type: String,
    /// The same for people.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// The parameter that is wrong, or the field of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// Of a filter: how many of its characters stand before what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    /// Of a filter: what stands there; empty where something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    word: Option<String>,
    /// How many tenants match now.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip)]
    #[schema(ignore)]
    headers: Vec<(HeaderName, &'static str)>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let headers = match kind {
            Kind::Unauthorized => vec![(WWW_AUTHENTICATE, "Bearer")],
            Kind::Unavailable | Kind::Busy => vec![(RETRY_AFTER, AGAIN)],
            Kind::Forbidden
            | Kind::NotFound
            | Kind::UnknownTenant
            | Kind::MethodNotAllowed
            | Kind::UnknownParameter
            | Kind::BadParameter
            | Kind::KeyReused
            | Kind::BadBody
            | Kind::TooLarge
            | Kind::UnsupportedMediaType
            | Kind::Impossible
            | Kind::CountDiffers
            | Kind::WrongHost
            | Kind::Failed => Vec::new(),
        };
        Self(Box::new(Details {
            of_type: format!("{TYPES}{}", kind.as_str()),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            parameter: None,
            expected: None,
            position: None,
            word: None,
            count: None,
            headers,
        }))
    }

    /// Names what is wrong, and what would be right.
    pub(super) fn at(mut self, parameter: impl Into<String>, expected: impl Into<String>) -> Self {
        self.0.parameter = Some(parameter.into());
        self.0.expected = Some(expected.into());
        self
    }

    /// A parameter whose value cannot be; `problem` begins with a verb.
    pub(super) fn bad(parameter: &str, problem: &str, expected: impl Into<String>) -> Self {
        let detail = format!("the parameter {parameter} {problem}");
        Self::new(Kind::BadParameter, detail).at(parameter, expected)
    }

    /// A text that is no filter: a parameter, or a field of a body.
    pub(super) fn no_filter(kind: Kind, fault: &Fault) -> Self {
        let detail = format!("the filter is wrong: {}, at character {}", fault.problem(), fault.at() + 1);
        let mut problem = Self::new(kind, detail).at("filter", fault.expected());
        problem.0.position = Some(fault.at());
        problem.0.word = Some(fault.word().to_owned());
        problem
    }

    /// So many match now, and not as many as the caller has seen.
    pub(super) fn count_differs(seen: u64, count: u64) -> Self {
        let detail = format!("{count} tenants match now, and not {seen}: nothing was done");
        let expected = format!("{count}, once whoever asks has seen who they are");
        let mut problem = Self::new(Kind::CountDiffers, detail).at("expect", expected);
        problem.0.count = Some(count);
        problem
    }

    pub(super) fn unknown_tenant(external_id: &str) -> Self {
        let detail = format!("there is no tenant with the external_id {external_id:?}");
        Self::new(Kind::UnknownTenant, detail)
            .at("external_id", "the key of a tenant, as GET /api/v1/tenants lists them")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Unknown => Kind::Unauthorized,
            Refusal::MayOnlyLook | Refusal::NobodyActs => Kind::Forbidden,
            Refusal::Unreadable => Kind::Unavailable,
            Refusal::WrongHost => Kind::WrongHost,
        };
        Self::new(kind, refusal.sentence())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_outage() || error.is_contended() {
            tracing::debug!(%error, "the API could not ask the database: {error}");
            return Self::new(
                Kind::Unavailable,
                "the database cannot be asked at present; /readyz says more",
            );
        }
        if error.meaning() == Some(Meaning::Values) {
            return Self::new(Kind::Impossible, error.message().problem);
        }
        tracing::warn!(%error, "the API could not answer: {error}");
        Self::new(Kind::Failed, "the database refused what was asked; the daemon's log says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0.headers {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        (status, headers, super::reply::written(&self.0)).into_response()
    }
}
