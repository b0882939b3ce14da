//! A line of CSV: one cell for each column that the header names.
//!
//! The rules: an empty cell says the column's default; of `redirect_uris` a cell holds the URIs
//! with spaces between them, or `[]` for none at all; of `labels` it holds a JSON object.

use serde_json::value::RawValue;

use super::wants::{Column, REJECTED_BECAUSE, Wants, array, not_before, priority, unknown};

/// The list that is there and empty, which an empty cell would not say.
const NO_URIS: &str = "[]";

/// Which column stands in which place; `None` for what is passed by.
pub fn header<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Option<Column>>, String> {
    let mut columns = Vec::new();
    for name in names {
        let Ok(name) = std::str::from_utf8(name) else {
            return Err("the header is not UTF-8: save the file as UTF-8".to_owned());
        };
        let name = name.trim();
        if columns.is_empty() && Column::parse(name).is_none() && name.contains([';', '\t']) {
            return Err(format!("the header is {name:?}: columns are separated by commas"));
        }
        columns.push(match Column::parse(name) {
            Some(column) if columns.contains(&Some(column)) => {
                return Err(format!("the header names {name} twice: leave one of them out"));
            }
            Some(column) => Some(column),
            None if name == REJECTED_BECAUSE => None,
            None => return Err(unknown(name)),
        });
    }
    match Column::NEEDED.into_iter().find(|needed| !columns.contains(&Some(*needed))) {
        Some(missing) => {
            Err(format!("the header has no {}: the first line names the columns", missing.as_str()))
        }
        None => Ok(columns),
    }
}

/// What the cells of a line ask for, or what is wrong with them.
pub fn of_cells<'a>(
    columns: &[Option<Column>],
    cells: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Result<Wants, String> {
    if cells.len() != columns.len() {
        // A reason that an earlier import wrote there is none of the line's own.
        let reasons = columns.iter().filter(|column| column.is_none()).count();
        let own = |count: usize| count.saturating_sub(reasons);
        return Err(format!("has {} cells, and the header has {}", own(cells.len()), own(columns.len())));
    }
    let mut wants = Wants::default();
    for (column, cell) in columns.iter().zip(cells) {
        let Some(column) = *column else { continue };
        let Ok(cell) = std::str::from_utf8(cell) else {
            return Err(format!("{} is not UTF-8: save the file as UTF-8", column.as_str()));
        };
        wants.say(column, value(column, cell)?);
    }
    wants.without_nul()
}

fn value(column: Column, cell: &str) -> Result<Option<String>, String> {
    // What a tenant cannot be without has no default: the schema says what is wrong with it.
    if cell.is_empty() && !Column::NEEDED.contains(&column) {
        return Ok(None);
    }
    Ok(match column {
        Column::ExternalId | Column::Host | Column::Profile | Column::ClientName | Column::DesiredState => {
            Some(cell.to_owned())
        }
        Column::Labels => match serde_json::from_str::<&RawValue>(cell) {
            Ok(labels) => Some(labels.get().to_owned()),
            Err(error) => return Err(format!("labels are no JSON: {error}")),
        },
        Column::RedirectUris if cell.trim() == NO_URIS => Some(array([])),
        Column::RedirectUris if cell.trim().is_empty() => None,
        // What else Unicode calls a space may stand in one of them.
        Column::RedirectUris => Some(array(cell.split_ascii_whitespace())),
        Column::Priority => Some(priority(cell.trim())?),
        Column::NotBefore => not_before(cell.trim())?,
    })
}

/// The cell that says these URIs.
#[must_use]
pub fn redirect_uris_as_cell(uris: Option<&[String]>) -> String {
    match uris {
        None => String::new(),
        Some([]) => NO_URIS.to_owned(),
        Some(uris) => uris.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str], cells: &[&str]) -> Result<Wants, String> {
        let columns = header(names.iter().map(|name| name.as_bytes()))?;
        of_cells(&columns, cells.iter().map(|cell| cell.as_bytes()))
    }

    #[test]
    fn a_header_names_known_columns_once_and_those_that_are_needed() {
        for (names, wrong) in [
            (&["external_id", "hots"][..], "did you mean host?"),
            (&["external_id", "host", "host"], "names host twice"),
            (&["external_id", "profile"], "has no host"),
            (&["external_id;host"], "separated by commas"),
            (&["external_id\thost"], "separated by commas"),
        ] {
            let said = read(names, &[]).unwrap_err();
            assert!(said.contains(wrong), "{names:?}: {said}");
        }
        assert!(header([&b"external_id"[..], b"h\xf6st"]).unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn an_empty_cell_says_the_default_and_a_column_that_is_not_there_says_nothing() {
        let wants = read(&["host", "external_id", "profile"], &["h", "t", ""]).unwrap();

        assert_eq!((wants.external_id(), wants.host(), wants.value(Column::Profile)), ("t", "h", None));
        assert_eq!(wants.said(), Column::ExternalId.bit() + Column::Host.bit() + Column::Profile.bit());
        assert_eq!(read(&["external_id", "host"], &["", "h"]).unwrap().value(Column::ExternalId), Some(""));
    }

    #[test]
    fn redirect_uris_stand_in_their_cell_as_they_are_written_out() {
        let uris = |cell: &str| {
            let wants = read(&["external_id", "host", "redirect_uris"], &["t", "h", cell]).unwrap();
            wants.value(Column::RedirectUris).map(str::to_owned)
        };
        let (none, own) = (Vec::new(), vec!["https://a/\u{a0}c".to_owned(), "https://b/".to_owned()]);

        assert_eq!(uris(&redirect_uris_as_cell(None)), None);
        assert_eq!(uris(&redirect_uris_as_cell(Some(&none))), Some("{}".to_owned()));
        assert_eq!(
            uris(&redirect_uris_as_cell(Some(&own))),
            Some("{\"https://a/\u{a0}c\",\"https://b/\"}".to_owned())
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_says_why() {
        let names = &["external_id", "host", "priority"];
        assert!(read(names, &["t", "h"]).unwrap_err().contains("has 2 cells, and the header has 3"));
        assert!(read(names, &["t", "h", "high"]).unwrap_err().contains("priority is no whole number"));
        let labels = read(&["external_id", "host", "labels"], &["t", "h", "{\"a\":"]);
        assert!(labels.unwrap_err().contains("labels are no JSON"));
        assert!(read(names, &["t\0", "h", ""]).unwrap_err().contains("external_id holds a NUL"));
        let columns = header([&b"external_id"[..], b"host"]).unwrap();
        assert!(of_cells(&columns, [&b"\xff"[..], b"h"].into_iter()).unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn the_reason_of_a_rejected_line_is_passed_by() {
        let wants = read(&[REJECTED_BECAUSE, "external_id", "host"], &["so", "t", "h"]).unwrap();
        assert_eq!(wants.said(), Column::ExternalId.bit() + Column::Host.bit());
    }
}
