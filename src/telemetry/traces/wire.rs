//! Spans as a collector reads them: OTLP, in the types of its own description.
//!
//! The rule: what is sent says which program and which process sends it.

use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Wired, SpanFlags, Status};
use prost::Message;

use super::span::{Attribute, Kind, Parent, Span};
use crate::domain::ids::Holder;
use crate::domain::trace::TraceParent;

/// All that we send is sampled.
const SAMPLED: u32 = 1;

/// The body of a request.
pub(super) fn request(holder: Holder, spans: &[Span]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [
        Attribute::new("service.name", "tenantd"),
        Attribute::new("service.version", version),
        Attribute::new("service.instance.id", holder),
    ];
    let resource = Resource { attributes: attributes.iter().map(attribute).collect(), ..Resource::default() };
    let scope = InstrumentationScope {
        name: "tenantd".to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    };
    let spans =
        ScopeSpans { scope: Some(scope), spans: spans.iter().map(span).collect(), ..ScopeSpans::default() };
    let resource_spans =
        ResourceSpans { resource: Some(resource), scope_spans: vec![spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec()
}

/// How many spans the collector did not take of those that it answered for.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

fn span(span: &Span) -> Wired {
    let kind = if span.is_call { SpanKind::Client } else { SpanKind::Internal };
    let (parent, is_remote) = match span.parent {
        Parent::None => (vec![], false),
        Parent::Ours(id) => (id.bytes().to_vec(), false),
        Parent::Owners(id) => (id.bytes().to_vec(), true),
    };
    Wired {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        parent_span_id: parent,
        flags: flags(is_remote),
        name: span.name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanoseconds(span.began),
        end_time_unix_nano: nanoseconds(span.ended),
        attributes: span.attributes.iter().map(attribute).collect(),
        links: span.link.map(link).into_iter().collect(),
        status: span
            .failure
            .as_ref()
            .map(|problem| Status { message: problem.0.clone(), code: StatusCode::Error.into() }),
        ..Wired::default()
    }
}

fn flags(is_remote: bool) -> u32 {
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    let remote = if is_remote { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    SAMPLED | known | remote
}

fn link(to: TraceParent) -> Link {
    let sampled = if to.is_sampled { SAMPLED } else { 0 };
    Link {
        trace_id: to.trace.bytes().to_vec(),
        span_id: to.span.bytes().to_vec(),
        flags: (flags(true) & !SAMPLED) | sampled,
        ..Link::default()
    }
}

fn attribute(attribute: &Attribute) -> KeyValue {
    let value = match &attribute.value.0 {
        Kind::Word(word) => any_value::Value::StringValue((*word).to_owned()),
        Kind::Text(text) => any_value::Value::StringValue(text.clone()),
        Kind::Number(number) => any_value::Value::IntValue(*number),
    };
    KeyValue {
        key: attribute.name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// None before 1970, and none after 2262, which no clock of a database says.
fn nanoseconds(at: DateTime<Utc>) -> u64 {
    at.timestamp_nanos_opt().and_then(|nanoseconds| u64::try_from(nanoseconds).ok()).unwrap_or(0)
}
