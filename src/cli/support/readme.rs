//! `README.txt`: what each file is, what was left out, and what could not be told.
//!
//! The rule: it is written for two readers: whoever sends the bundle and must know what is in it,
//! and whoever gets it and knows nothing of this installation.

use std::time::Duration;

use crate::domain::text::plain;

/// What was asked, in sentences.
pub(super) fn terms(is_anonymous: bool, since: Duration) -> String {
    let names = if is_anonymous {
        "External ids and hosts are pseudonyms, the same in every bundle of this installation:\n\
         tenant-HEX and host-HEX are named after the first digits of the tenant's id. Whoever has the\n\
         database finds one by\n\
         \x20 SELECT external_id, host FROM tenantd.tenants WHERE replace(tenant_id::text, '-', '') LIKE 'HEX%';\n\
         They are looked for as words of their own: an id stays that is part of a longer word, as in a\n\
         client's name, or that stands in the free text of operators and nowhere else."
    } else {
        "External ids and hosts of tenants are in it as they are; --anonymous writes pseudonyms."
    };
    format!("{names}\nFailures are those of the last {}.", humantime::format_duration(since))
}

/// The text, of each file with what it is.
pub(super) fn text(terms: &str, parts: &[(&str, &str)], notes: &[String], redacted: usize) -> String {
    let line = |(file, about): &(&str, &str)| format!("  {file:<28} {}\n", plain(about));
    let parts: Vec<String> = parts.iter().map(line).collect();
    let mut told: Vec<String> = notes.iter().map(|note| format!("  {}\n", plain(note))).collect();
    if told.is_empty() {
        told.push("  nothing\n".to_owned());
    }
    let (parts, notes) = (parts.concat(), told.concat());
    format!(
        "A support bundle of tenantd {version}, made by `tenantd support-bundle`.\n\
         {terms}\n\
         All instants are in UTC; those of the database are by its clock.\n\n\
         Files\n\n{parts}\n\
         Not told, and why\n\n{notes}\n\
         Left out on purpose\n\n\
         \x20 secrets, sealed or not, of regions, clients, the database and the HTTP port; whatever is one or\n\
         \x20   looks like one reads [redacted] ({redacted} places)\n\
         \x20 the values of labels, and all tenants that nobody named and that neither failed nor wait\n\
         \x20 the log: add it by hand, for example with `journalctl -u tenantd --since -24h`\n\
         \x20 traces, the machine's name, and variables that are no settings of tenantd; paths of files and\n\
         \x20   logins are in it\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}
