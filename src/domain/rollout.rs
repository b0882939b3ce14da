//! How a change that the daemon starts by itself spreads over a fleet.
//!
//! It begins with a few tenants, the canary. Only when all of them have ended does it
//! go on, and it halts by itself when too many fail; then only an operator lets it
//! go on.
//!
//! The rule: while the canary is out, nobody else is touched.

use std::fmt;

/// Fewest changes that a rollout is judged by once it is past its canary.
const LEAST_JUDGED: u32 = 5;

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Secrets renewed by age.
    Rotation,
    /// Drift mended.
    Repair,
    /// Tenants removed, whoever asked for it.
    Removal,
    /// Deletions of a census' plan.
    Census,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing is due.
    Idle,
    /// The first few tenants.
    Canary,
    /// All others, within the budget.
    Rolling,
    /// Too many failed.
    Halted,
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Tenants let through since it began.
    pub started: u32,
    /// Those whose outcome is not known yet.
    pub open: u32,
    /// Those that succeeded.
    pub done: u32,
    /// Those that failed.
    pub failed: u32,
    /// There are tenants that it has not reached.
    pub is_more_due: bool,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Where the rollout stands now.
    pub stage: Stage,
    /// How many more tenants may be let through now; `None` for as many as the budget allows.
    pub room: Option<u32>,
    progress: Progress,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Rotation, Self::Repair, Self::Removal, Self::Census];

    /// The spelling in SQL and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rotation => "rotation",
            Self::Repair => "repair",
            Self::Removal => "removal",
            Self::Census => "census",
        }
    }
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Canary, Self::Rolling, Self::Halted];

    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Canary => "canary",
            Self::Rolling => "rolling",
            Self::Halted => "halted",
        }
    }

    /// Reads the spelling of SQL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

impl Verdict {
    /// Moves a rollout on. `canary` of 0 means none; `max_failure_ratio` is the largest
    /// share of ended changes that may have failed, from 0 to 1.
    #[must_use]
    pub fn of(stage: Stage, progress: &Progress, canary: u32, max_failure_ratio: f64) -> Self {
        let verdict = |stage, room| Self { stage, room, progress: *progress };
        let ended = progress.done + progress.failed;
        // A canary is judged as a whole: it has failed once nothing can redeem it. Later a
        // handful must have ended, so that one unlucky tenant stops nobody.
        let judged = match stage {
            Stage::Canary => ended + progress.open,
            Stage::Idle | Stage::Rolling | Stage::Halted => ended.max(canary).max(LEAST_JUDGED),
        };
        let is_failing = f64::from(progress.failed) > max_failure_ratio * f64::from(judged);
        let is_over = progress.open == 0 && !progress.is_more_due;
        match stage {
            Stage::Halted => verdict(Stage::Halted, Some(0)),
            // What an earlier rollout did says nothing about this one.
            Stage::Idle if !progress.is_more_due => verdict(Stage::Idle, Some(0)),
            Stage::Idle if canary == 0 => verdict(Stage::Rolling, None),
            Stage::Idle => verdict(Stage::Canary, Some(canary)),
            Stage::Canary | Stage::Rolling if is_failing => verdict(Stage::Halted, Some(0)),
            Stage::Canary | Stage::Rolling if is_over => verdict(Stage::Idle, Some(0)),
            Stage::Canary if progress.started < canary => {
                verdict(Stage::Canary, Some(canary - progress.started))
            }
            Stage::Canary if progress.open > 0 => verdict(Stage::Canary, Some(0)),
            // Whoever was skipped proved nothing.
            Stage::Canary if progress.done == 0 => verdict(Stage::Canary, Some(canary)),
            Stage::Canary | Stage::Rolling => verdict(Stage::Rolling, None),
        }
    }

    /// Why it halted, with what to do.
    #[must_use]
    pub fn message(&self, kind: Kind) -> Option<String> {
        let Progress { failed, done, .. } = self.progress;
        (self.stage == Stage::Halted).then(|| {
            format!(
                "{failed} of {} tenants failed: see `tenantd tenant list --parked`, mend the cause, then run \
                 `tenantd fleet resume --rollout {kind}`",
                failed + done
            )
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(stage: Stage, progress: Progress) -> (Stage, Option<u32>) {
        let verdict = Verdict::of(stage, &progress, 5, 0.2);
        (verdict.stage, verdict.room)
    }

    #[test]
    fn a_rollout_from_its_beginning_to_its_end() {
        let due = Progress { is_more_due: true, ..Progress::default() };
        assert_eq!(of(Stage::Idle, Progress::default()), (Stage::Idle, Some(0)));
        assert_eq!(of(Stage::Idle, due), (Stage::Canary, Some(5)));
        // All five are out: nobody else, until each has ended.
        assert_eq!(of(Stage::Canary, Progress { started: 5, open: 5, ..due }), (Stage::Canary, Some(0)));
        let four = Progress { started: 5, open: 1, done: 4, ..due };
        assert_eq!(of(Stage::Canary, four), (Stage::Canary, Some(0)));
        let five = Progress { started: 5, open: 0, done: 5, ..due };
        assert_eq!(of(Stage::Canary, five), (Stage::Rolling, None));
        let last = Progress { started: 90, open: 2, done: 88, failed: 0, is_more_due: false };
        assert_eq!(of(Stage::Rolling, last), (Stage::Rolling, None));
        assert_eq!(of(Stage::Rolling, Progress { open: 0, ..last }), (Stage::Idle, Some(0)));
    }

    #[test]
    fn it_halts_when_too_many_fail_and_stays_so() {
        let due = Progress { started: 5, is_more_due: true, ..Progress::default() };
        assert_eq!(of(Stage::Canary, Progress { done: 4, failed: 1, ..due }), (Stage::Rolling, None));
        let failing = Progress { done: 3, failed: 2, ..due };
        assert_eq!(of(Stage::Canary, failing), (Stage::Halted, Some(0)));
        // One of five may still be the only one; the second decides it, whatever the others do.
        assert_eq!(of(Stage::Canary, Progress { open: 4, failed: 1, ..due }), (Stage::Canary, Some(0)));
        assert_eq!(of(Stage::Canary, Progress { open: 3, failed: 2, ..due }), (Stage::Halted, Some(0)));
        assert_eq!(of(Stage::Rolling, failing), (Stage::Halted, Some(0)));
        assert_eq!(of(Stage::Halted, Progress { done: 500, ..failing }), (Stage::Halted, Some(0)));
        let told = Verdict::of(Stage::Canary, &failing, 5, 0.2).message(Kind::Repair).unwrap();
        assert!(told.starts_with("2 of 5 tenants failed") && told.contains("--rollout repair"), "{told}");
    }

    #[test]
    fn a_canary_that_was_skipped_is_replaced() {
        let skipped = Progress { started: 5, is_more_due: true, ..Progress::default() };
        assert_eq!(of(Stage::Canary, skipped), (Stage::Canary, Some(5)));
    }

    #[test]
    fn without_a_canary_it_rolls_at_once() {
        let due = Progress { is_more_due: true, ..Progress::default() };
        assert_eq!(Verdict::of(Stage::Idle, &due, 0, 0.2).stage, Stage::Rolling);
    }

    proptest! {
        #[test]
        fn while_the_canary_is_out_nobody_else_is_let_through(
            open in 1_u32..50, done in 0_u32..50, failed in 0_u32..50, canary in 1_u32..20, more: bool
        ) {
            let started = open + done + failed;
            let progress = Progress { started, open, done, failed, is_more_due: more };
            let verdict = Verdict::of(Stage::Canary, &progress, canary, 0.2);
            prop_assert!(verdict.stage != Stage::Rolling);
            prop_assert!(verdict.room.is_some_and(|room| started.max(canary) >= started + room));
        }
    }
}
