//! What stands behind the question mark.
//!
//! The rule: every parameter is known, given once, and read; one that is not is named, with
//! those that there are. A misspelt filter must not show everything.

use axum::http::Uri;

use super::kind::Kind;
use super::problem::Problem;
use crate::domain::filter::Filter;

/// The parameters of a request that nobody has read yet.
pub(super) struct Query {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let text = uri.query().unwrap_or_default();
        Self { left: form_urlencoded::parse(text.as_bytes()).into_owned().collect(), known: Vec::new() }
    }

    /// The value of a parameter.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.raw(name)?.map(|value| storable(name, value)).transpose()
    }

    fn raw(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.known.push(name);
        let found: Vec<String> =
            self.left.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect();
        let mut found = found.into_iter();
        let value = found.next();
        if found.next().is_some() {
            return Err(Problem::bad(name, "is given twice", "one value"));
        }
        Ok(value)
    }

    /// Which tenants are meant; all of them where nothing is said.
    pub(super) fn filter(&mut self) -> Result<Filter, Problem> {
        // A NUL has its place in it, as all that is wrong with a filter.
        let text = self.raw("filter")?.unwrap_or_default();
        Filter::parse(&text).map_err(|fault| Problem::no_filter(Kind::BadParameter, &fault))
    }

    /// A number from 1 to `most`.
    pub(super) fn number(&mut self, name: &'static str, most: u32) -> Result<Option<u32>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse().ok().filter(|number| is_plain && (1..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::bad(name, &format!("is {text:?}"), format!("a number from 1 to {most}"))),
        }
    }

    /// Nothing is left over.
    pub(super) fn end(self) -> Result<(), Problem> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let expected = match self.known.as_slice() {
            [] => "no parameter".to_owned(),
            known => format!("one of {}", known.join(", ")),
        };
        Err(Problem::new(Kind::UnknownParameter, format!("there is no parameter {name:?}"))
            .at(name, expected))
    }
}

/// A text that a row may hold.
fn storable(name: &str, value: String) -> Result<String, Problem> {
    if value.contains('\0') {
        return Err(Problem::bad(name, "holds a NUL (U+0000)", "a text without it"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/tenants?{text}").parse().unwrap())
    }

    fn told(problem: Problem) -> serde_json::Value {
        serde_json::to_value(problem.0).unwrap()
    }

    #[test]
    fn what_is_given_twice_unknown_or_out_of_range_is_told_by_name() {
        let twice = told(query("limit=1&limit=2").number("limit", 5).unwrap_err());
        let mut unread = query("limit=1&phsae=ready");
        assert_eq!(unread.number("limit", 5).unwrap(), Some(1));
        let unknown = told(unread.end().unwrap_err());

        assert_eq!((&twice["parameter"], &twice["expected"]), (&"limit".into(), &"one value".into()));
        assert_eq!((&unknown["parameter"], &unknown["expected"]), (&"phsae".into(), &"one of limit".into()));
        for text in ["limit=0", "limit=6", "limit=", "limit=%2B1", "limit=1e0", "limit=-1", "limit=x"] {
            assert!(query(text).number("limit", 5).is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_is_decoded_and_what_is_wrong_with_it_has_its_place() {
        let mut right = query("filter=label.team%3A%22a%26b%22+phase%3Aready");
        let wrong = told(query("filter=acme+phsae%3Aready").filter().unwrap_err());
        let nul = told(query("filter=%00").filter().unwrap_err());

        assert_eq!(right.filter().unwrap().to_string(), "label.team:a&b phase:ready");
        assert!(right.end().is_ok());
        assert_eq!(
            (&wrong["parameter"], &wrong["position"], &wrong["word"]),
            (&"filter".into(), &5.into(), &"phsae".into())
        );
        assert!(wrong["expected"].as_str().unwrap().starts_with("did you mean phase?"), "{wrong}");
        assert_eq!(nul["position"], 0);
        assert!(query("").filter().unwrap().is_empty());
    }
}
