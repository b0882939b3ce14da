//! What the schema refused in a row, said with what to change.
//!
//! The rule: a constraint's name reads as the reason, so it is said as it is, to be
//! found again in the schema and in the documents; this table adds what to do, where the
//! schema does not say so itself. It never says which rows are allowed: the schema does.

use crate::domain::text::plain;
use crate::postgres::StoreError;

/// What to do about each constraint that an insert can meet.
const REMEDIES: [(&str, &str); 24] = [
    ("external_id_is_1_to_200_bytes", "give the tenant a key of that length"),
    ("host_has_no_path", "leave out everything from the first slash on"),
    ("host_has_no_port", "leave out the colon and the port"),
    ("host_has_no_scheme", "leave out https://"),
    ("host_has_no_space", "remove the space"),
    ("host_has_no_trailing_dot", "remove the dot at the end"),
    ("host_has_no_upper_case", "write it in lower case"),
    ("host_has_no_wildcard", "write the host of one tenant; patterns stand in the configuration"),
    ("host_is_at_most_253_bytes", "write the tenant's real host name"),
    ("host_is_no_international_name", "Qlik Cloud hosts are plain ASCII names without xn--"),
    ("host_is_no_ip_address", "write the tenant's host name"),
    (
        "host_is_unique",
        "another tenant has this host already; `tenantd tenant list` shows which, and its row is the one to use",
    ),
    ("host_labels_are_1_to_63_letters_digits_hyphens", "write it as in acme42.us.qlikcloud.com"),
    ("host_labels_are_three_or_more", "write it in full, as in acme42.us.qlikcloud.com"),
    ("profile_is_1_to_200_bytes", "name a [profiles.NAME] of the configuration"),
    ("client_name_is_1_to_512_characters", "choose another name, or leave it out"),
    ("priority_is_minus_100_to_100", "choose one in that range; 0 is usual"),
    ("redirect_uris_are_a_plain_list", "give a list of URIs, not a list of lists"),
    ("redirect_uris_are_at_most_5", "Qlik Cloud takes no more; leave some out"),
    ("redirect_uris_are_at_most_256_characters", "Qlik Cloud takes no more; shorten it"),
    ("redirect_uris_are_https", "write https://, or http://localhost for a test"),
    ("redirect_uris_are_unique", "give each once"),
    ("redirect_uris_have_no_null", "leave out the empty one"),
    ("redirect_uris_have_no_space", "remove the space, or write it as %20"),
];

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
    let known = REMEDIES.iter().find(|(name, _)| *name == constraint);
    let remedy = known.map_or("correct it and try again", |(_, remedy)| remedy);
    format!("the row breaks the rule {constraint}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = include_str!("../../migrations/20261122100100_create_tenants.sql");

    #[test]
    fn every_rule_for_a_column_that_an_insert_fills_has_its_remedy_and_no_other_has() {
        const FILLED: [&str; 6] =
            ["external_id_", "host_", "profile_", "client_name_", "redirect_uris_", "priority_"];
        let named =
            SCHEMA.lines().filter_map(|line| line.trim().strip_prefix("CONSTRAINT ")?.split(' ').next());
        let mut rules: Vec<&str> =
            named.filter(|name| FILLED.iter().any(|column| name.starts_with(column))).collect();
        let mut remedies: Vec<&str> = REMEDIES.iter().map(|(name, _)| *name).collect();
        rules.sort_unstable();
        remedies.sort_unstable();
        // The key's own uniqueness is what makes adding twice harmless.
        rules.retain(|name| *name != "external_id_is_unique");

        assert_eq!(remedies, rules);
    }

    #[test]
    fn a_constraint_without_a_remedy_is_still_said() {
        let said = sentence("labels_are_an_object");

        assert!(said.contains("labels_are_an_object: correct it"), "{said}");
    }
}
