//! Lists that come in pages.
//!
//! The rules: **a list is whole or it is no list**, since what a missing page
//! hides would be taken for not there; and of a link to the next page only the
//! cursor is used.

use std::collections::HashSet;

use reqwest::Url;
use serde::de::DeserializeOwned;

use super::Cloud;
use super::endpoint::{Call, Endpoint};
use super::transport::Answer;
use super::wire::Page;
use crate::domain::failure::Failure;
use crate::domain::region::AllowedHost;

/// Most pages of a hundred items that are read: what the pacing of reads lets
/// pass at once. Ten thousand clients on one tenant are an error somewhere.
const MAX_PAGES: usize = 100;

/// What is asked for, page by page.
pub(super) struct List<'a> {
    pub(super) endpoint: &'static Endpoint,
    /// Names and values of the first page's query, which all others repeat.
    pub(super) query: &'a [(&'static str, &'a str)],
    /// The names a cursor may have in a link, best first.
    pub(super) cursors: &'static [&'static str],
}

/// Reads all pages and keeps what `read` makes of their items.
pub(super) async fn all<T: DeserializeOwned, U>(
    cloud: &Cloud,
    host: &AllowedHost,
    list: &List<'_>,
    read: impl Fn(T, &Answer) -> Result<Option<U>, Failure> + Send,
) -> Result<Vec<U>, Failure> {
    let mut call = Call::new(list.endpoint, &[])?.with_query(list.query)?;
    let first = call.target.clone();
    let mut kept = Vec::new();
    let mut cursors = HashSet::new();
    loop {
        let answer = cloud.call(host, &call).await?;
        let page: Page<T> = answer.read()?;
        let next = page.next().map(|href| cursor_of(href, list.cursors));
        for item in page.data {
            kept.extend(read(item, &answer)?);
        }
        let Some(cursor) = next else { return Ok(kept) };
        let cursor = cursor.ok_or_else(|| answer.unreadable())?;
        call.target = format!("{first}&{cursor}");
        // A cursor that comes twice goes round in a circle.
        if !cursors.insert(cursor) || cursors.len() == MAX_PAGES {
            return Err(answer.unreadable());
        }
    }
}

/// The cursor of a link to the next page, with its name, escaped as it must
/// stand in a query.
///
/// Nothing else of the link is used: its host, scheme and path are not ours to
/// follow with a token in hand.
fn cursor_of(href: &str, names: &[&str]) -> Option<String> {
    let mut escaped = Url::parse("https://base.invalid").ok()?;
    let link = escaped.join(href).ok()?;
    let value_of =
        |wanted: &str| link.query_pairs().find(|(name, value)| name == wanted && !value.is_empty());
    let (name, cursor) = names.iter().find_map(|name| value_of(name))?;
    escaped.query_pairs_mut().append_pair(&name, &cursor);
    escaped.query().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cursor_of_a_link_is_taken() {
        for (href, cursor) in [
            ("https://acme.us.qlikcloud.com/api/v1/oauth-clients?limit=20&next=OPAQUE", Some("next=OPAQUE")),
            ("http://evil.example/steal?next=a%2Bb%26c%3D", Some("next=a%2Bb%26c%3D")),
            ("/api/v1/oauth-clients?next=a+b", Some("next=a+b")),
            ("?next==x=", Some("next=%3Dx%3D")),
            ("?limit=20", None),
            ("?page=2", None),
            ("?next=", None),
            ("https://[", None),
        ] {
            assert_eq!(cursor_of(href, &["next"]).as_deref(), cursor, "{href}");
        }
    }

    #[test]
    fn of_several_names_the_best_is_taken() {
        for (href, cursor) in
            [("?next=a&page=b", Some("page=b")), ("?next=a&page=", Some("next=a")), ("?limit=20", None)]
        {
            assert_eq!(cursor_of(href, &["page", "next"]).as_deref(), cursor, "{href}");
        }
    }
}
