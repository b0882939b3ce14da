//! What the schema refused in a row, said with what to change.
//!
//! The rule: a constraint's name reads as the reason. It is shown unchanged, so that it
//! can be looked up in the schema and in the documents. What to write instead the schema
//! says itself (`tenantd.check_wants`); it is added here only for what Postgres refuses
//! by itself.

use crate::domain::text::plain;
use crate::postgres::StoreError;

/// The only constraint an insert can meet that has no words of its own.
const HOST_IS_UNIQUE: (&str, &str) = (
    "host_is_unique",
    "another tenant has this host already; `tenantd tenant list` shows which, and its row is the one to use",
);

/// The sentence for a row that the schema refused; `None` for any other error.
pub(super) fn violation(error: &StoreError) -> Option<String> {
    let StoreError::Driver(driver) = error else { return None };
    let constraint = driver.as_database_error()?.constraint()?;
    Some(match error.refusal() {
        Some((message, hint)) => {
            format!("the row breaks the rule {constraint}: {}; {}", plain(message), plain(hint))
        }
        None => sentence(constraint),
    })
}

fn sentence(constraint: &str) -> String {
    let (known, remedy) = HOST_IS_UNIQUE;
    let remedy = if constraint == known { remedy } else { "correct it and try again" };
    format!("the row breaks the rule {constraint}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_taken_is_said_with_where_to_look() {
        assert!(sentence("host_is_unique").contains("`tenantd tenant list` shows which"));
    }

    #[test]
    fn a_constraint_without_a_remedy_is_still_said() {
        let said = sentence("somebodys_own");

        assert!(said.contains("somebodys_own: correct it"), "{said}");
    }
}
