//! What goes to standard output: tables for people, JSON for programs.
//!
//! The rule: everything is written here, so that a reader who closes the pipe
//! ends the program quietly, and **no text from a row or from Qlik reaches a terminal
//! raw**: callers need not think of it.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use csv::ByteRecord;
use serde::Serialize;

pub(super) use crate::domain::text::count;
use crate::domain::text::{plain, plain_json};

/// How a result is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people; may change
    #[default]
    Table,
    /// For programs; only grows
    Json,
}

/// `--output`, for every command that lists something.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct OutputArg {
    /// How to print the result
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) output: Format,
}

/// Writes a text as it is: a file of ours, a script, a table, a secret that was asked for.
pub(super) fn print(text: &str) -> io::Result<()> {
    bytes(text.as_bytes())
}

/// The same of what need not be a text.
pub(super) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    // The kind stays: whoever closes the pipe has seen enough.
    written
        .map_err(|error| io::Error::new(error.kind(), format!("standard output cannot be written: {error}")))
}

/// Writes a line, and one line only.
pub(super) fn line(text: &str) -> io::Result<()> {
    print(&format!("{}\n", plain(text)))
}

/// Writes lines that we have put together. A value in one of them that may hold a line
/// break goes through [`plain`] first.
pub(super) fn sheet(text: &str) -> io::Result<()> {
    print(&text.split('\n').map(plain).collect::<Vec<_>>().join("\n"))
}

pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(print(&format!("{}\n", plain_json(&serde_json::to_string_pretty(value)?)))?)
}

/// Tells a person something that is no result, on standard error, in one line.
pub(super) fn note(text: &str) {
    // Where nobody reads standard error, there is nobody to tell.
    writeln!(io::stderr(), "{}", plain(text)).ok();
}

/// Columns under their names; no lines, so that it can be cut and searched.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.to_vec());
    table.add_rows(rows.into_iter().map(|row| row.iter().map(|cell| plain(cell)).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

/// A record as a line of CSV.
pub(super) fn csv_line(record: &ByteRecord) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    // Into memory, which takes everything.
    writer.write_byte_record(record).and_then(|()| Ok(writer.flush()?)).unwrap_or_default();
    writer.into_inner().unwrap_or_default()
}

/// What stands in a cell that has nothing to say.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_names_and_columns_and_no_lines() {
        let text = table(&["NAME", "N"], [vec!["a".to_owned(), "1".to_owned()]]);

        assert_eq!(text, "NAME  N\na     1\n");
    }

    #[test]
    fn text_from_a_row_never_steers_the_terminal() {
        let shown = table(&["ID"], [vec!["a\u{1b}[2J\r\nb\u{9b}\u{202e}".to_owned()]]);

        assert_eq!(shown, "ID\na\\u{1b}[2J\\r\\nb\\u{9b}\\u{202e}\n");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!((count(1, "tenant"), count(0, "tenant")), ("1 tenant".into(), "0 tenants".into()));
    }
}
