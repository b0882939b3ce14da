//! What is told of a tenant in a trace.
//!
//! The rule: **no secret fits into a span**. A value is made of names, numbers and words of our
//! own alone; there is none of a free text, but for what the history says of a failure, too.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::failure::Evidence;
use crate::domain::host::Host;
use crate::domain::ids::{ExternalId, Holder, RegionName, TenantId};
use crate::domain::trace::{SpanId, TraceId, TraceParent};

/// One stretch of time, ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// What it is part of.
    pub parent: Parent,
    /// A span that it has to do with.
    pub link: Option<TraceParent>,
    /// One of a few names.
    pub name: &'static str,
    /// Whether it waited for somebody's answer.
    pub is_call: bool,
    /// When it began.
    pub began: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// What else is known of it.
    pub attributes: Vec<Attribute>,
    /// Whether it failed, and how.
    pub failure: Option<Problem>,
}

/// What a span is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// Nothing: it begins its trace.
    None,
    /// A span of this program's.
    Ours(SpanId),
    /// A span of the owner's.
    Owners(SpanId),
}

/// How something failed, in the words of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub String);

/// A name and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Of the semantic conventions of OpenTelemetry, where they have one.
    pub name: &'static str,
    /// What there is to it.
    pub value: Value,
}

/// See the file's head.
#[derive(Debug, Clone, PartialEq)]
pub struct Value(pub(super) Kind);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Word(&'static str),
    Text(String),
    Number(i64),
}

impl Attribute {
    /// An attribute.
    pub fn new(name: &'static str, value: impl Into<Value>) -> Self {
        Self { name, value: value.into() }
    }

    /// What was kept of Qlik's answer.
    pub fn of_evidence(evidence: &Evidence) -> impl Iterator<Item = Self> {
        let text = |text: &Option<String>| text.clone().map(|text| Value(Kind::Text(text)));
        let all = [
            ("http.response.status_code", evidence.status.map(Value::from)),
            ("qlik.error_code", text(&evidence.code)),
            ("qlik.trace_id", text(&evidence.trace_id)),
        ];
        all.into_iter().filter_map(|(name, value)| Some(Self { name, value: value? }))
    }
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self(Kind::Word(word))
    }
}

impl From<&ExternalId> for Value {
    fn from(id: &ExternalId) -> Self {
        Self(Kind::Text(id.to_string()))
    }
}

impl From<TenantId> for Value {
    fn from(id: TenantId) -> Self {
        Self(Kind::Text(id.to_string()))
    }
}

impl From<Holder> for Value {
    fn from(holder: Holder) -> Self {
        Self(Kind::Text(holder.to_string()))
    }
}

impl From<&RegionName> for Value {
    fn from(region: &RegionName) -> Self {
        Self(Kind::Text(region.to_string()))
    }
}

impl From<&Host> for Value {
    fn from(host: &Host) -> Self {
        Self(Kind::Text(host.to_string()))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self(Kind::Number(number.into()))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self(Kind::Number(number.into()))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(Kind::Number(number))
    }
}

/// In microseconds, as the database has them.
impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self(Kind::Number(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}
