//! Filter, sort and page, as Qlik's lists understand them.
//!
//! The rule: of SCIM (RFC 7644) only `eq` joined by `and`, which is all that the
//! sources show to work; anything else is a 400. Cursors are opaque and name an
//! item, so that a deletion does not shift the pages behind it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::problem::Problem;

/// Conditions that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(Vec<(String, String)>);

impl Filter {
    /// Reads `clientName eq "acme" and appType eq "web"`.
    ///
    /// # Errors
    ///
    /// 400 for anything else, or an attribute that is not allowed.
    pub fn parse(text: &str, allowed: &[&str]) -> Result<Self, Problem> {
        let mut conditions = Vec::new();
        let mut rest = text.trim();
        loop {
            let (condition, tail) = condition(rest, allowed)?;
            conditions.push(condition);
            rest = tail.trim_start();
            if rest.is_empty() {
                return Ok(Self(conditions));
            }
            rest = word(rest, "and").ok_or_else(|| Problem::invalid("filter: expected `and`"))?;
        }
    }

    /// One equality.
    #[must_use]
    pub fn equal(name: &str, value: &str) -> Self {
        Self(vec![(name.to_owned(), value.to_owned())])
    }

    pub(super) fn matches<'a>(&self, attribute: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|(name, value)| attribute(name) == value)
    }
}

fn condition<'a>(text: &'a str, allowed: &[&str]) -> Result<((String, String), &'a str), Problem> {
    let (name, rest) =
        text.split_once(' ').ok_or_else(|| Problem::invalid("filter: expected a condition"))?;
    let name = allowed
        .iter()
        .find(|known| known.eq_ignore_ascii_case(name))
        .ok_or_else(|| Problem::invalid("filter: unknown attribute"))?;
    let rest = word(rest.trim_start(), "eq").ok_or_else(|| Problem::invalid("filter: only `eq` is known"))?;
    let (value, rest) = quoted(rest)?;
    Ok((((*name).to_owned(), value), rest))
}

/// The rest after a keyword and the space behind it.
fn word<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = text.split_once(' ')?;
    head.eq_ignore_ascii_case(keyword).then(|| rest.trim_start())
}

/// A JSON string at the start, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), Problem> {
    let broken = || Problem::invalid("filter: expected a quoted value");
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next().and_then(Result::ok).ok_or_else(broken)?;
    Ok((value, &text[values.byte_offset()..]))
}

/// The one field a list is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The field.
    pub field: String,
    /// `-` instead of `+`.
    pub is_descending: bool,
}

impl Sort {
    /// Reads `+createdAt`, `-createdAt` or `createdAt`.
    ///
    /// # Errors
    ///
    /// 400 for a field that is not allowed.
    pub fn parse(text: &str, allowed: &[&str]) -> Result<Self, Problem> {
        let (is_descending, field) = match text.strip_prefix('-') {
            Some(field) => (true, field),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if !allowed.contains(&field) {
            return Err(Problem::invalid("sort: unknown field"));
        }
        Ok(Self { field: field.to_owned(), is_descending })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cursor {
    After(String),
    Before(String),
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    limit: usize,
    cursor: Option<Cursor>,
}

impl Default for Paging {
    /// Twenty from the start, as documented.
    fn default() -> Self {
        Self { limit: 20, cursor: None }
    }
}

impl Paging {
    /// `limit` items from a cursor of an earlier page on.
    ///
    /// # Errors
    ///
    /// 400 unless `limit` is 1 to 100 and the cursor is one of ours.
    pub fn of(limit: usize, cursor: Option<&str>) -> Result<Self, Problem> {
        if !(1..=100).contains(&limit) {
            return Err(Problem::invalid("limit must be from 1 to 100"));
        }
        Ok(Self { limit, cursor: cursor.map(Cursor::parse).transpose()? })
    }
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, Problem> {
        let unknown = || Problem::invalid("unknown cursor");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| unknown())?;
        let text = String::from_utf8(bytes).map_err(|_| unknown())?;
        match text.split_once(':') {
            Some(("after", id)) => Ok(Self::After(id.to_owned())),
            Some(("before", id)) => Ok(Self::Before(id.to_owned())),
            Some(_) | None => Err(unknown()),
        }
    }
}

/// What is asked of a list of clients.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct ListQuery {
    pub filter: Filter,
    pub sort: Option<Sort>,
    pub paging: Paging,
    /// Whether to count all of them.
    pub total: bool,
}

/// One page cut out of a list.
pub(super) struct Cut<'a, T> {
    pub(super) items: Vec<&'a T>,
    pub(super) prev: Option<String>,
    pub(super) next: Option<String>,
    pub(super) total: usize,
}

/// Cuts a page out of a sorted list, of which only some items are shown.
pub(super) fn cut<'a, T>(
    sorted: &[&'a T],
    id: fn(&T) -> &str,
    shown: impl Fn(&T) -> bool,
    paging: &Paging,
) -> Result<Cut<'a, T>, Problem> {
    let place = |wanted: &str| {
        sorted.iter().position(|item| id(item) == wanted).ok_or_else(|| Problem::invalid("unknown cursor"))
    };
    let visible: Vec<usize> = (0..sorted.len()).filter(|at| shown(sorted[*at])).collect();
    let (start, end) = match &paging.cursor {
        None => (0, paging.limit),
        Some(Cursor::After(id)) => {
            let last = place(id)?;
            let start = visible.partition_point(|at| *at <= last);
            (start, start + paging.limit)
        }
        Some(Cursor::Before(id)) => {
            let first = place(id)?;
            let end = visible.partition_point(|at| *at < first);
            (end.saturating_sub(paging.limit), end)
        }
    };
    let end = end.min(visible.len());
    let items: Vec<&T> = visible[start..end].iter().map(|at| sorted[*at]).collect();
    let cursor = |word: &str, item: Option<&&T>| {
        item.map(|item| URL_SAFE_NO_PAD.encode(format!("{word}:{}", id(item))))
    };
    Ok(Cut {
        prev: if start > 0 { cursor("before", items.first()) } else { None },
        next: if end < visible.len() { cursor("after", items.last()) } else { None },
        total: visible.len(),
        items,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_equality_is_refused() {
        let allowed = ["clientName", "appType"];
        for text in [
            "",
            "clientName",
            "clientName eq",
            "clientName eq acme",
            r#"clientName eq "acme"#,
            r#"clientName co "acme""#,
            r#"clientName eq "a" or appType eq "web""#,
            r#"clientName eq "a" and"#,
            r#"secret eq "a""#,
        ] {
            assert_eq!(Filter::parse(text, &allowed).unwrap_err().status, 400, "{text}");
        }
        assert!(Filter::parse(r#"clientName eq "a" AND appType EQ "web""#, &allowed).is_ok());
    }

    #[test]
    fn limit_sort_and_cursor_are_checked() {
        assert!(Paging::of(0, None).is_err() && Paging::of(101, None).is_err());
        assert!(Paging::of(1, None).is_ok() && Paging::of(100, None).is_ok());
        assert!(Paging::of(20, Some("bogus")).is_err());
        assert!(Sort::parse("-description", &["createdAt"]).is_err());
        assert!(Sort::parse("-createdAt", &["createdAt"]).unwrap().is_descending);
        assert!(!Sort::parse("+createdAt", &["createdAt"]).unwrap().is_descending);
    }
}
