//! What stands behind the question mark.
//!
//! The rule: every parameter is known, given once, and read; one that is not is named, with
//! those that there are. A misspelt filter must not show everything.

use axum::http::Uri;

use super::problem::{Kind, Problem};

/// Each is asked of every row.
const MOST_OF_A_FAMILY: usize = 16;

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
        self.known.push(name);
        let found: Vec<String> =
            self.left.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect();
        let mut found = found.into_iter();
        let value = found.next();
        if found.next().is_some() {
            return Err(Problem::bad(name, "is given twice", "one value"));
        }
        value.map(|value| storable(name, value)).transpose()
    }

    /// One of a few words.
    pub(super) fn choice(
        &mut self,
        name: &'static str,
        choices: &[&'static str],
    ) -> Result<Option<String>, Problem> {
        let value = self.text(name)?;
        match value {
            Some(value) if !choices.contains(&value.as_str()) => {
                let expected = format!("one of {}", choices.join(", "));
                Err(Problem::bad(name, &format!("is {value:?}"), expected))
            }
            value => Ok(value),
        }
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        Ok(self.choice(name, &["true", "false"])?.map(|value| value == "true"))
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

    /// All parameters whose names begin so, without that beginning.
    pub(super) fn family(&mut self, beginning: &'static str) -> Result<Vec<(String, String)>, Problem> {
        self.known.push(beginning);
        let found: Vec<_> = self.left.extract_if(.., |(key, _)| key.starts_with(beginning)).collect();
        if let Some((name, _)) = found.get(MOST_OF_A_FAMILY) {
            return Err(Problem::bad(
                name,
                "is one too many",
                format!("at most {MOST_OF_A_FAMILY} of these"),
            ));
        }
        let mut family: Vec<(String, String)> = Vec::with_capacity(found.len());
        for (name, value) in found {
            let key = storable(&name, name[beginning.len()..].to_owned())?;
            if family.iter().any(|(known, _)| *known == key) {
                return Err(Problem::bad(&name, "is given twice", "one value"));
            }
            family.push((key, storable(&name, value)?));
        }
        Ok(family)
    }

    /// Nothing is left over.
    pub(super) fn end(self) -> Result<(), Problem> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let expected = match self.known.as_slice() {
            [] => "no parameter".to_owned(),
            known => format!("one of {}", known.join(", ").replace("label.", "label.KEY")),
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
    fn labels_are_read_as_one_family_and_decoded() {
        let mut query = query("label.team=a%26b&label.a.b=+c&phase=ready");

        let labels = query.family("label.").unwrap();

        let pairs: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("team", "a&b"), ("a.b", " c")]);
        assert_eq!(query.text("phase").unwrap().as_deref(), Some("ready"));
        assert!(query.end().is_ok());
    }
}
