//! How an event becomes a line that cannot be forged.
//!
//! The rule: what a field or a message holds may have been written by an owner or by
//! Qlik, so **every value is escaped here**, on its way out, whoever logged it: an
//! event is one line, and nothing in it steers the terminal of its reader.

use std::fmt;

use tracing::field::Field;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::domain::text::{plain, plain_json};

/// The fields of a line of text: those of the event and those of its spans.
pub(super) fn text_fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    format::debug_fn(text_field).delimited(" ")
}

fn text_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let shown = plain(&format!("{value:?}"));
    match field.name() {
        "message" => writer.write_str(&shown),
        name => write!(writer, "{name}={shown}"),
    }
}

/// An event as JSON, in which nothing is hidden either. The values that a program
/// reads from it are the same.
pub(super) struct PlainJson<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for PlainJson<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&plain_json(&line))
    }
}
