//! Bodies of requests and answers, in Qlik's spelling.
//!
//! The rule: what we depend on must be there, once and of its type. What we can do
//! without (hints, `expires_in`) may be missing or odd: neither an answer that holds a
//! secret nor a whole list is lost for it. What is not ours may look as it likes.

pub(super) mod clients;
pub(super) mod item;
pub(super) mod seen;
pub(super) mod token;
pub(super) mod tokens;
pub(super) mod users;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Longest id or secret taken, in bytes. Qlik documents 512 and 64.
const MAX_TEXT: usize = 4096;

#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Links {
    next: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: Option<String>,
}

impl<T> Page<T> {
    /// Where the next page is. Absent, null and empty all mean that there is none.
    pub(super) fn next(&self) -> Option<&str> {
        self.links.as_ref()?.next.as_ref()?.href.as_deref().filter(|href| !href.is_empty())
    }
}

/// Whether the text can be an id: some, not endless, and without control
/// characters, which Postgres (NUL) or a header would refuse later.
fn is_plain(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    is_plain(&text).then_some(text).ok_or_else(|| D::Error::custom("not an id"))
}

/// A text that can be an id, where there is one.
fn plain_text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| is_plain(text))
}

/// Year one is how Go writes a time that was never set.
fn is_never(instant: &str) -> bool {
    instant.starts_with("0001-01-01T")
}
