//! What goes to standard output: tables for people, JSON for programs.
//!
//! The rule: everything is written here, so that a reader who closes the pipe
//! ends the program quietly and no text from a row reaches a terminal raw.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use serde::Serialize;

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

/// Writes a text as it is.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a line.
pub(super) fn line(text: &str) -> io::Result<()> {
    print(&format!("{text}\n"))
}

/// Writes one JSON value.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string_pretty(value)?)?)
}

/// Tells a person something that is no result, on standard error.
pub(super) fn note(text: &str) {
    // Where nobody reads standard error, there is nobody to tell.
    writeln!(io::stderr(), "{text}").ok();
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

/// Without control characters: a row's text could otherwise steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// What stands in a cell that has nothing to say.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// `1 tenant`, `2 tenants`.
pub(super) fn count(number: i64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
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
        let shown = table(&["ID"], [vec!["a\u{1b}[2J\r\nb\u{9b}".to_owned()]]);

        assert_eq!(shown, "ID\na\\u{1b}[2J\\r\\nb\\u{9b}\n");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!((count(1, "tenant"), count(0, "tenant")), ("1 tenant".into(), "0 tenants".into()));
    }
}
