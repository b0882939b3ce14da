//! The fleet as numbers: how many tenants stand where.
//!
//! The rule: a phase or reason that nobody is in any more goes back to 0, since a
//! gauge keeps what it was last told.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::metrics::{
    CHANGES_HELD, DELETIONS_HELD, DRIFTED, FLEET_READ_TIMESTAMP_SECONDS, MET, MISSED,
    OBJECTIVE_TENANTS_TOTAL, PARKED, REMOVALS_AWAITING, ROLLOUT_HALTED, TENANTS,
};
use crate::domain::drift::DriftKind;
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::reason::ParkReason;

/// Sets the gauges: how many tenants are in each phase, and how many wait for somebody, by
/// reason.
pub fn report_fleet(
    in_phases: impl IntoIterator<Item = (String, i64)>,
    parked: impl IntoIterator<Item = (String, i64)>,
) {
    let mut phases = zeroes(Phase::ALL.map(Phase::as_str));
    phases.extend(in_phases);
    let mut reasons = zeroes(ParkReason::ALL.map(ParkReason::as_str));
    reasons.extend(parked);
    for (phase, tenants) in phases {
        metrics::gauge!(TENANTS, "phase" => phase).set(gauged(tenants));
    }
    for (reason, tenants) in reasons {
        metrics::gauge!(PARKED, "reason" => reason).set(gauged(tenants));
    }
}

/// Sets the gauges of what is done to a ready fleet: tenants by kind of drift, kinds of
/// rollout and whether each has halted, removals that wait, and what is held.
pub fn report_care(
    drifted: impl IntoIterator<Item = (String, i64)>,
    rollouts: impl IntoIterator<Item = (String, bool)>,
    removals_awaiting: i64,
    hold: Option<Hold>,
) {
    let mut kinds = zeroes(DriftKind::ALL.map(DriftKind::as_str));
    kinds.extend(drifted);
    for (kind, tenants) in kinds {
        metrics::gauge!(DRIFTED, "kind" => kind).set(gauged(tenants));
    }
    for (kind, is_halted) in rollouts {
        metrics::gauge!(ROLLOUT_HALTED, "kind" => kind).set(f64::from(u8::from(is_halted)));
    }
    metrics::gauge!(REMOVALS_AWAITING).set(gauged(removals_awaiting));
    metrics::gauge!(DELETIONS_HELD).set(f64::from(u8::from(hold.is_some())));
    metrics::gauge!(CHANGES_HELD).set(f64::from(u8::from(hold == Some(Hold::Changes))));
}

/// Counts tenants that were judged by the objective.
pub fn count_judged(met: u64, missed: u64) {
    metrics::counter!(OBJECTIVE_TENANTS_TOTAL, "outcome" => MET).increment(met);
    metrics::counter!(OBJECTIVE_TENANTS_TOTAL, "outcome" => MISSED).increment(missed);
}

/// Says how old the gauges are: they keep what they were last told, also while nobody can
/// read the database.
pub fn report_read(at: DateTime<Utc>) {
    let seconds = u32::try_from(at.timestamp()).map_or(0.0, f64::from);
    metrics::gauge!(FLEET_READ_TIMESTAMP_SECONDS).set(seconds);
}

fn zeroes<const N: usize>(names: [&'static str; N]) -> BTreeMap<String, i64> {
    names.into_iter().map(|name| (name.to_owned(), 0)).collect()
}

/// Exact up to four thousand million tenants.
fn gauged(tenants: i64) -> f64 {
    u32::try_from(tenants).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Metrics;
    use super::*;

    fn counts(of: &[(&str, i64)]) -> Vec<(String, i64)> {
        of.iter().map(|(what, tenants)| ((*what).to_owned(), *tenants)).collect()
    }

    #[test]
    fn judged_tenants_add_up_and_the_gauges_say_their_age() {
        let (recorder, metrics) = Metrics::local();

        ::metrics::with_local_recorder(&recorder, || {
            count_judged(5, 0);
            count_judged(1, 2);
            report_read(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        });
        let text = metrics.render();

        for line in [
            "tenantd_objective_tenants_total{outcome=\"met\"} 6",
            "tenantd_objective_tenants_total{outcome=\"missed\"} 2",
            "tenantd_fleet_read_timestamp_seconds 1800000000",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }

    #[test]
    fn what_is_halted_held_or_drifted_shows_and_goes_back_to_zero() {
        let (recorder, metrics) = Metrics::local();
        let halted = |is_halted| [("rotation".to_owned(), is_halted)];

        ::metrics::with_local_recorder(&recorder, || {
            report_care([("consent".to_owned(), 3)], halted(true), 70, Some(Hold::Deletions));
        });
        let before = metrics.render();
        ::metrics::with_local_recorder(&recorder, || report_care([], halted(false), 0, None));
        let after = metrics.render();

        for (text, line) in [
            (&before, "tenantd_drifted{kind=\"consent\"} 3"),
            (&before, "tenantd_drifted{kind=\"name\"} 0"),
            (&before, "tenantd_rollout_halted{kind=\"rotation\"} 1"),
            (&before, "tenantd_removals_awaiting 70"),
            (&before, "tenantd_deletions_held 1"),
            (&before, "tenantd_changes_held 0"),
            (&after, "tenantd_drifted{kind=\"consent\"} 0"),
            (&after, "tenantd_rollout_halted{kind=\"rotation\"} 0"),
            (&after, "tenantd_deletions_held 0"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }

    #[test]
    fn what_is_empty_again_goes_back_to_zero() {
        let (recorder, metrics) = Metrics::local();

        ::metrics::with_local_recorder(&recorder, || {
            report_fleet(counts(&[("pending", 2), ("creating", 7)]), counts(&[("NameTaken", 7)]));
        });
        let before = metrics.render();
        ::metrics::with_local_recorder(&recorder, || report_fleet(counts(&[("ready", 9)]), counts(&[])));
        let after = metrics.render();

        for (text, line) in [
            (&before, "tenantd_parked{reason=\"NameTaken\"} 7"),
            (&before, "tenantd_tenants{phase=\"pending\"} 2"),
            (&before, "tenantd_tenants{phase=\"ready\"} 0"),
            (&after, "tenantd_parked{reason=\"NameTaken\"} 0"),
            (&after, "tenantd_tenants{phase=\"pending\"} 0"),
            (&after, "tenantd_tenants{phase=\"ready\"} 9"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }
}
