//! Changes to a client by the names of its fields at Qlik, for both doors.
//!
//! The rule: all or none, and a value of another type is a 400.

use serde_json::Value;

use super::draft::Draft;
use super::problem::Problem;

/// A draft with these fields replaced.
pub(super) fn replaced<'a>(
    draft: &Draft,
    changes: impl IntoIterator<Item = (&'a str, Value)>,
) -> Result<Draft, Problem> {
    let broken = |error: serde_json::Error| Problem::invalid(format!("patch: {error}"));
    let mut fields = serde_json::to_value(draft).map_err(broken)?;
    for (name, value) in changes {
        fields[name] = value;
    }
    serde_json::from_value(fields).map_err(broken)
}
