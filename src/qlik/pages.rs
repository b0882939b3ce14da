//! Lists that come in pages.
//!
//! The rules: **a list is whole or it is no list**, since what a missing page
//! hides would be taken for not there; and of a link to the next page only the
//! cursor is used.
//!
//! A list that needs more requests than the limits allow at once waits here between them.
//! If it began anew each time, it would never reach its end.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::Url;
use serde::de::DeserializeOwned;

use super::caller::Caller;
use super::endpoint::{Call, Endpoint};
use super::transport::Answer;
use super::wire::Page;
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::ids::PageCursor;
use crate::domain::region::AllowedHost;

/// Most pages of a hundred items that are read as one list. Twenty thousand clients on one
/// tenant are an error somewhere.
const MAX_PAGES: usize = 200;
/// Longest wait for a turn in the middle of a list. Our own pacing asks for less.
const MAX_TURN: Duration = Duration::from_secs(1);
/// Most waits for one page: others may ask the same host.
const MAX_TURNS: usize = 3;

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
    caller: &Caller,
    host: &AllowedHost,
    list: &List<'_>,
    read: impl Fn(T, &Answer) -> Result<Option<U>, Failure> + Send,
) -> Result<Vec<U>, Failure> {
    let mut kept = Vec::new();
    let mut cursors = HashSet::new();
    let mut at = None;
    loop {
        let (answer, page, next) = in_turn(caller, host, list, at.as_ref()).await?;
        for item in page.data {
            kept.extend(read(item, &answer)?);
        }
        let Some(cursor) = next else { return Ok(kept) };
        // A cursor that comes twice goes round in a circle.
        if !cursors.insert(cursor.clone()) || cursors.len() == MAX_PAGES {
            return Err(answer.unreadable());
        }
        at = Some(cursor);
    }
}

/// One page, and where the next one begins.
pub(super) async fn one<T: DeserializeOwned>(
    caller: &Caller,
    host: &AllowedHost,
    list: &List<'_>,
    at: Option<&PageCursor>,
) -> Result<(Page<T>, Option<PageCursor>), Failure> {
    read_page(caller, host, list, at).await.map(|(_, page, next)| (page, next))
}

/// Waits for a page after the first, where only our own pacing says that it is too early.
async fn in_turn<T: DeserializeOwned>(
    caller: &Caller,
    host: &AllowedHost,
    list: &List<'_>,
    at: Option<&PageCursor>,
) -> Result<(Answer, Page<T>, Option<PageCursor>), Failure> {
    for _ in 0..MAX_TURNS {
        match read_page(caller, host, list, at).await {
            Err(Failure { kind: FailureKind::Throttled { wait }, evidence })
                if at.is_some() && evidence.status.is_none() && wait <= MAX_TURN =>
            {
                tokio::time::sleep(wait).await;
            }
            read => return read,
        }
    }
    read_page(caller, host, list, at).await
}

async fn read_page<T: DeserializeOwned>(
    caller: &Caller,
    host: &AllowedHost,
    list: &List<'_>,
    at: Option<&PageCursor>,
) -> Result<(Answer, Page<T>, Option<PageCursor>), Failure> {
    let mut call = Call::new(list.endpoint, &[])?.with_query(list.query)?;
    if let Some(cursor) = at {
        call.target = format!("{}&{cursor}", call.target);
    }
    let answer = caller.call(host, &call).await?;
    let page: Page<T> = answer.read()?;
    let next = match page.next() {
        Some(href) => Some(cursor_of(href, list.cursors).ok_or_else(|| answer.unreadable())?),
        None => None,
    };
    Ok((answer, page, next.map(PageCursor::new)))
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
