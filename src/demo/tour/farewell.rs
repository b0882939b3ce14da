//! The end of the tour: what was proven, and what to try next.

use std::path::Path;
use std::time::Duration;

use super::paint::Paint;
use super::samples::{CORRECTED_HOST, mistyped};
use super::truth::Truth;

/// What was proven.
pub(super) fn proof(truth: &Truth, took: Duration, paint: Paint) -> String {
    let Truth { ready, clients, trusted, unknown_secrets, .. } = truth;
    let (p50, p99) = (truth.p50.as_secs_f64(), truth.p99.as_secs_f64());
    let whose = if *ready == 1 { "The customer is".to_owned() } else { format!("All {ready} customers are") };
    let title = format!("{whose} ready, after {:.1} s. What Qlik Cloud itself counts:", took.as_secs_f64());
    let promised = |is_kept: bool| if is_kept { paint.good("✓") } else { paint.bad("✗") };
    let row = |mark: &str, what: &str, number: u64, meaning: &str| {
        format!("  {mark} {what:<16} {}  {}", paint.bold(&format!("{number:>5}")), paint.dim(meaning))
    };
    let kept = |is_kept: bool, what: &str, number: usize, meaning: &str| {
        row(&promised(is_kept), what, number as u64, meaning)
    };
    let noted = |what: &str, number: u64, meaning: &str| row(" ", what, number, meaning);
    [
        String::new(),
        paint.bold(&title),
        String::new(),
        kept(clients == ready && truth.doubled == 0, "live clients", *clients, "one for each ready tenant"),
        kept(trusted == clients, "trusted", *trusted, "their consent"),
        kept(
            *unknown_secrets == 0,
            "lost secrets",
            *unknown_secrets,
            "live there, and not sealed in the database",
        ),
        noted(
            "lost answers",
            truth.lost_answers as u64,
            "of creates and mints: looked for first, never just sent again",
        ),
        noted(
            "late duplicates",
            truth.healed as u64,
            "landed when nobody waited any more; found, and deleted",
        ),
        noted("throttled", truth.throttled, "waited as long as told, held against nobody"),
        noted("failed (5xx)", truth.failed, "tried again, with growing pauses"),
        String::new(),
        format!("  Time to ready, from INSERT, all this included: p50 {p50:.1} s, p99 {p99:.1} s."),
    ]
    .join("\n")
}

/// What to try while the demo stays up; `external_id` is the tenant to try it on.
pub(super) fn next(config: &Path, database_url: &Path, external_id: &str, paint: Paint) -> String {
    let (config, database_url) = (config.display(), database_url.display());
    let tenantd = program();
    let typo = mistyped().external_id;
    let correction =
        format!("UPDATE tenantd.tenants SET host = '{CORRECTED_HOST}' WHERE external_id = '{typo}'");
    [
        String::new(),
        paint.bold("The demo stays up. In another terminal, try:"),
        String::new(),
        format!("  export TENANTD_CONFIG={config}"),
        format!("  {tenantd} tenant list"),
        format!("  {tenantd} tenant history {external_id}"),
        format!("  {tenantd} secret reveal {external_id} --yes"),
        format!("  {tenantd} run             a second daemon; its log says where its status page is"),
        String::new(),
        paint.bold(&format!("{typo} is parked: no region allows its host. Correct it, and watch here:")),
        String::new(),
        format!("  psql \"$(cat {database_url})\" \\\n    -c \"{correction}\""),
        String::new(),
        paint.dim("What becomes ready or parked is told below. Ctrl-C ends everything and removes it."),
    ]
    .join("\n")
}

/// What to try when everything of the demo is gone.
pub(super) fn next_after_exit(paint: Paint) -> String {
    let tenantd = program();
    [
        String::new(),
        paint.bold("All of it is gone again. Next, try:"),
        String::new(),
        format!("  {tenantd} demo             the same, and it stays up to be looked into"),
        format!("  {tenantd} simulate         the simulated Qlik Cloud alone, for your own tests"),
        format!("  {tenantd} doctor --help    what to check on a database and tenants of your own"),
    ]
    .join("\n")
}

/// How to call this program again from here: by its name, where that finds it.
fn program() -> String {
    let Ok(this) = std::env::current_exe() else { return "tenantd".to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).map(|dir| dir.join("tenantd")).find(|found| found.is_file());
    if named.is_some_and(|named| named.canonicalize().ok() == this.canonicalize().ok()) {
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

        assert!(
            text.contains("✗ live clients         9") && text.contains("✓ lost secrets         0"),
            "{text}"
        );
    }
}
