//! The end of the tour: what was proven, and what to try next.

use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::paint::Paint;
use super::samples::{CORRECTED_HOST, mistyped};
use super::truth::Truth;

/// What was proven.
pub(super) fn proof(truth: &Truth, took: Duration, paint: Paint) -> String {
    let ready = truth.ready;
    let told = |is_kept: bool, number: usize, what: &str| {
        let mark = if is_kept { paint.good("✓") } else { paint.bad("✗") };
        format!("  {mark} {number:>5}  {what}")
    };
    let noted = |number: u64, what: &str| format!("    {number:>5}  {what}");
    let (is_one_each, is_all_trusted) =
        (truth.clients == ready && truth.doubled == 0, truth.trusted == ready);
    [
        String::new(),
        paint.bold(&format!("{ready} tenants are ready, after {:.1} s. What Qlik Cloud itself counts:", took.as_secs_f64())),
        String::new(),
        told(is_one_each, truth.clients, "clients live, one for each ready tenant"),
        told(is_all_trusted, truth.trusted, "of them with trusted consent"),
        told(truth.unknown_secrets == 0, truth.unknown_secrets, "secrets live that are not sealed in the database"),
        noted(truth.lost_answers as u64, "creates and mints whose answer got lost: looked for first, never just sent again"),
        noted(truth.healed as u64, "clients that landed too late, found beside their successor and deleted"),
        noted(truth.throttled, "requests throttled: waited as long as told, held against nobody"),
        noted(truth.failed, "requests failed with a 5xx: tried again with growing pauses"),
        String::new(),
        format!(
            "  From INSERT to ready: half of them within {:.1} s, 99 % within {:.1} s, with every fault above.",
            truth.p50.as_secs_f64(),
            truth.p99.as_secs_f64()
        ),
    ]
    .join("\n")
}

/// What to try while the demo stays up; `external_id` is the tenant to try it on.
pub(super) fn next(
    program: &str,
    config: &Path,
    database_url: &SecretString,
    external_id: &str,
    paint: Paint,
) -> String {
    let tenantd = format!("{program} --config {}", config.display());
    let psql = format!("psql '{}'", database_url.expose_secret());
    let typo = mistyped().external_id;
    [
        String::new(),
        paint.bold("The demo stays up. In another terminal, try:"),
        String::new(),
        format!("  {tenantd} tenant list"),
        format!("  {tenantd} tenant history {external_id}"),
        format!("  {tenantd} secret reveal {external_id} --yes"),
        String::new(),
        format!("{typo} is parked: no region allows its host. Correct it, and watch here:"),
        String::new(),
        format!("  {psql} \\\n    -c \"UPDATE tenantd.tenants SET host = '{CORRECTED_HOST}' WHERE external_id = '{typo}'\""),
        String::new(),
        paint.dim(&format!("Configuration: {}. What becomes ready or parked is told below. Ctrl-C ends all and removes it.", config.display())),
    ]
    .join("\n")
}

/// How to call this program again from where we are.
pub(super) fn program() -> String {
    let Ok(this) = std::env::current_exe() else { return "tenantd".to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_on_path = this.file_name().is_some_and(|name| {
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|found| found.is_file()).is_some_and(
            |found| {
                found.canonicalize().is_ok_and(|found| this.canonicalize().is_ok_and(|this| this == found))
            },
        )
    });
    if is_on_path {
        return "tenantd".to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    this.strip_prefix(&here).unwrap_or(&this).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_that_is_not_kept_gets_no_tick() {
        let truth = Truth { ready: 8, clients: 9, trusted: 8, doubled: 1, ..Truth::default() };

        let text = proof(&truth, Duration::from_secs(7), Paint { is_on: false });

        assert!(text.contains("✗     9  clients live") && text.contains("✓     8  of them"), "{text}");
    }
}
