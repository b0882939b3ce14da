//! A line of JSONL: an object with a key for each column that it says something of.
//!
//! The rules: `redirect_uris` is an array of texts, `labels` an object, `priority` a whole number
//! and anything else a text; null says the column's default. What a value holds is handed on as
//! it is written, so that no number loses a figure.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::wants::{Column, REJECTED_BECAUSE, Wants, array, not_before, priority, unknown};

/// The keys of an object in their order, with what is written for each.
#[derive(Debug)]
pub struct Keys<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Deserialize<'a> for Keys<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'a> Visitor<'a> for Reader {
            type Value = Keys<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Keys<'a>, A::Error> {
                let mut keys = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    keys.push(entry);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl<'a> Keys<'a> {
    /// The object on a line.
    pub fn read(line: &'a [u8]) -> Result<Self, String> {
        let Ok(text) = std::str::from_utf8(line) else {
            return Err("is not UTF-8: save the file as UTF-8".to_owned());
        };
        serde_json::from_str(text).map_err(|error| format!("is no JSON object: {error}"))
    }

    /// The first key that no column has.
    #[must_use]
    pub fn unknown(&self) -> Option<&str> {
        let is_known = |name: &str| name == REJECTED_BECAUSE || Column::parse(name).is_some();
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !is_known(name))
    }

    /// Whether it is but the reason of the line behind it.
    #[must_use]
    pub fn is_reason(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(name, _)| name == REJECTED_BECAUSE)
    }
}

/// What a line asks for, or what is wrong with it.
pub fn of_json(keys: &Keys<'_>) -> Result<Wants, String> {
    let mut wants = Wants::default();
    for (name, raw) in &keys.0 {
        let Some(column) = Column::parse(name) else {
            if name == REJECTED_BECAUSE {
                continue;
            }
            return Err(unknown(name));
        };
        if wants.said() & column.bit() != 0 {
            return Err(format!("has {name} twice: leave one of them out"));
        }
        wants.say(column, if raw.get() == "null" { None } else { value(column, raw.get())? });
    }
    match Column::NEEDED.into_iter().find(|needed| wants.value(*needed).is_none()) {
        Some(missing) => Err(format!("has no {}", missing.as_str())),
        None => wants.without_nul(),
    }
}

fn value(column: Column, raw: &str) -> Result<Option<String>, String> {
    let name = column.as_str();
    let text =
        || serde_json::from_str::<String>(raw).map_err(|_| format!("{name} is no text: write it in quotes"));
    Ok(match column {
        Column::ExternalId | Column::Host | Column::Profile | Column::ClientName | Column::DesiredState => {
            Some(text()?)
        }
        Column::RedirectUris => match serde_json::from_str::<Vec<String>>(raw) {
            Ok(uris) => Some(array(uris.iter().map(String::as_str))),
            Err(_) => return Err(format!("{name} is no array of texts: write [\"https://…\"]")),
        },
        Column::Priority => Some(priority(raw)?),
        Column::NotBefore => not_before(&text()?)?,
        Column::Labels => Some(raw.to_owned()),
    })
}

/// The lines by which a rejected one is told with its reason, to be mended and read again. What
/// is no object, or an empty one, keeps its text, behind a line that says the reason alone.
#[must_use]
pub fn with_reason(line: &[u8], reason: &str) -> Vec<u8> {
    let reason = serde_json::Value::from(reason).to_string();
    if let Some(keys) = Keys::read(line).ok().filter(|keys| !keys.0.is_empty()) {
        let kept = keys.0.iter().filter(|(name, _)| name != REJECTED_BECAUSE);
        let mut parts: Vec<String> = kept
            .map(|(name, raw)| format!("{}:{}", serde_json::Value::from(name.as_str()), raw.get()))
            .collect();
        parts.push(format!("\"{REJECTED_BECAUSE}\":{reason}"));
        return format!("{{{}}}\n", parts.join(",")).into_bytes();
    }
    let mut lines = format!("{{\"{REJECTED_BECAUSE}\":{reason}}}\n").into_bytes();
    lines.extend_from_slice(line);
    lines.push(b'\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wants, String> {
        of_json(&Keys::read(line.as_bytes())?)
    }

    #[test]
    fn each_column_has_one_spelling() {
        let wants = read(
            r#"{"external_id":"t","host":"h","redirect_uris":["https://a/"],"priority":5,"labels":{"n":1e400},
                "not_before":"2027-01-31T06:00:00Z","client_name":null}"#,
        )
        .unwrap();

        assert_eq!(wants.value(Column::RedirectUris), Some(r#"{"https://a/"}"#));
        assert_eq!(wants.value(Column::Priority), Some("5"));
        assert_eq!(wants.value(Column::Labels), Some(r#"{"n":1e400}"#));
        assert_eq!(wants.value(Column::ClientName), None);
        let all = Column::ALL.into_iter().map(Column::bit).sum::<i32>();
        assert_eq!(wants.said(), all - Column::Profile.bit() - Column::DesiredState.bit());
    }

    #[test]
    fn a_line_that_cannot_be_read_says_why() {
        for (line, wrong) in [
            (r#"{"external_id":"t","hots":"h"}"#, "did you mean host?"),
            (r#"{"external_id":"t"}"#, "has no host"),
            (r#"{"external_id":null,"host":"h"}"#, "has no external_id"),
            (r#"{"external_id":"t","host":"h","host":"i"}"#, "has host twice"),
            (r#"{"external_id":7,"host":"h"}"#, "external_id is no text"),
            (r#"{"external_id":"t","host":"h","redirect_uris":"https://a"}"#, "no array of texts"),
            (r#"{"external_id":"t","host":"h","priority":"5"}"#, "priority is no whole number"),
            (r#"{"external_id":"t\u0000","host":"h"}"#, "external_id holds a NUL"),
            (r#"["t","h"]"#, "is no JSON object"),
            (r#"{"external_id":"t""#, "is no JSON object"),
        ] {
            let said = read(line).unwrap_err();
            assert!(said.contains(wrong), "{line}: {said}");
        }
        assert!(Keys::read(b"{\"external_id\":\"\xff\"}").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn a_rejected_line_is_the_same_line_with_its_reason_and_never_two() {
        let line = br#"{"external_id" : "t","labels":{"b":1,"a":2},"rejected_because":"old"}"#;
        let told = with_reason(line, "it \"is\" new");

        let wanted = "{\"external_id\":\"t\",\"labels\":{\"b\":1,\"a\":2},\"rejected_because\":\"it \\\"is\\\" new\"}\n";
        assert_eq!(String::from_utf8(told).unwrap(), wanted);
    }

    #[test]
    fn what_is_no_object_stays_as_it_is_behind_a_reason_that_is_passed_by() {
        let told = with_reason(b"{\"external_id\":\xff", "is not UTF-8");
        let lines: Vec<&[u8]> = told.split(|byte| *byte == b'\n').collect();

        assert!(Keys::read(lines[0]).unwrap().is_reason());
        assert_eq!(lines[1], b"{\"external_id\":\xff");
        assert!(with_reason(b"{}", "has no host").ends_with(b"}\n{}\n"), "or nobody would see it again");
    }
}
