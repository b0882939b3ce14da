//! A line of an import: what it says of each of the owner's columns.
//!
//! The rules: **nothing is judged here that the schema judges**: a text that cannot be read as
//! its column's type is refused, and whatever can be read is left to the database. A column that
//! a line says nothing of is not held against a row that is there; an empty cell, or null, says
//! the column's default.

mod cells;
mod json;
mod wants;

pub use cells::{header, of_cells, redirect_uris_as_cell};
pub use json::{Keys, of_json, with_reason};
pub use wants::{Column, REJECTED_BECAUSE, Wants, unknown};
