//! Why one value does not fit its key, before it is known which key that is.

use config::{Value, ValueKind};

/// A problem and its remedy; the reader adds the key and the origin.
#[derive(Debug)]
pub(super) struct Misfit {
    /// What is wrong, as the rest of a sentence that starts with the key.
    pub(super) problem: String,
    /// What to do about it.
    pub(super) remedy: String,
}

impl Misfit {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }

    /// The value is of the wrong TOML type. Names the type, never the value.
    pub(super) fn wrong_type(value: &Value, wanted: &str, remedy: &str) -> Self {
        Self::new(format!("is {}, not {wanted}", type_of(value)), remedy)
    }
}

/// A value of ours as a message may quote it: short, and not where it may be an address with a password.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;

    if text.contains('@') {
        return "[redacted]".to_owned();
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Whether a text looks like a URL with user information (RFC 3986, section 3.2.1).
pub(super) fn has_password(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

fn type_of(value: &Value) -> &'static str {
    match value.kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_) => "a number",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}
