//! How a change that the daemon starts by itself spreads over a fleet.
//!
//! It begins with a few tenants, the canary. Only when all of them have ended does it
//! go on, and it halts by itself when too many fail; then only an operator lets it
//! go on.
//!
//! Renewals by age are spread over time, so that a rollout is often of one tenant. A share
//! is taken of a handful at least: where a rollout is smaller, the latest outcomes before it
//! are added, so that one tenant alone halts nothing, and a row of failures does.
//!
//! The rule: while the canary is out, nobody else is touched.

use std::fmt;

/// Fewest changes that a share of failures is taken of.
const LEAST_JUDGED: u32 = 5;

/// What bounds changes to a fleet, over all replicas (`[budget]` and `[canary]`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Most removals in an hour; `None` for 5 or a tenth of the fleet, whichever is more.
    pub removals_per_hour: Option<u32>,
    /// Most changes in an hour that nobody asked for tenant by tenant.
    pub changes_per_hour: u32,
    /// How many tenants a rollout begins with; 0 for no canary.
    pub canary: u32,
    /// Largest share of a rollout's changes that may fail, from 0 to 1.
    pub max_failure_ratio: f64,
}

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
    /// Tenants let through since it began whose outcome is not known yet.
    pub open: u32,
    /// Those that succeeded.
    pub done: u32,
    /// Those that failed, and not for a reason of their tenant's own.
    pub failed: u32,
    /// Of earlier rollouts, where this one is too small to be judged alone.
    pub earlier: Outcomes,
    /// There are tenants that it has not reached.
    pub is_more_due: bool,
}

/// How changes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// Those that succeeded.
    pub done: u32,
    /// Those that failed.
    pub failed: u32,
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

impl Progress {
    /// Those that count: whoever was skipped proved nothing.
    const fn tried(&self) -> u32 {
        self.open.saturating_add(self.done).saturating_add(self.failed)
    }

    /// How many earlier outcomes it takes to judge it.
    #[must_use]
    pub const fn lacks(&self) -> u32 {
        if self.failed == 0 { 0 } else { LEAST_JUDGED.saturating_sub(self.tried()) }
    }

    /// Whether more failed than may. What failed before this rollout halts it only together
    /// with what fails in it.
    fn is_failing(&self, stage: Stage, canary: u32, max_failure_ratio: f64) -> bool {
        // A canary is judged as a whole: it has failed once nothing can redeem it.
        let judged = match stage {
            Stage::Canary => self.tried(),
            Stage::Idle | Stage::Rolling | Stage::Halted => (self.done + self.failed).max(canary),
        };
        let judged = judged + self.earlier.done + self.earlier.failed;
        let failed = self.failed + self.earlier.failed;
        let is_one_alone = failed < 2 && judged < LEAST_JUDGED;
        let most = max_failure_ratio * f64::from(judged.max(LEAST_JUDGED));
        self.failed > 0 && !is_one_alone && f64::from(failed) > most
    }
}

impl Verdict {
    /// Moves a rollout on. `canary` of 0 means none; `max_failure_ratio` is the largest
    /// share of ended changes that may have failed, from 0 to 1.
    #[must_use]
    pub fn of(stage: Stage, progress: &Progress, canary: u32, max_failure_ratio: f64) -> Self {
        let verdict = |stage, room| Self { stage, room, progress: *progress };
        let is_failing = progress.is_failing(stage, canary, max_failure_ratio);
        let is_over = progress.open == 0 && !progress.is_more_due;
        match stage {
            Stage::Halted => verdict(Stage::Halted, Some(0)),
            Stage::Idle if !progress.is_more_due => verdict(Stage::Idle, Some(0)),
            Stage::Idle if canary == 0 => verdict(Stage::Rolling, None),
            Stage::Idle => verdict(Stage::Canary, Some(canary)),
            Stage::Canary | Stage::Rolling if is_failing => verdict(Stage::Halted, Some(0)),
            Stage::Canary | Stage::Rolling if is_over => verdict(Stage::Idle, Some(0)),
            // Whoever was skipped is replaced.
            Stage::Canary if progress.tried() < canary => {
                verdict(Stage::Canary, Some(canary - progress.tried()))
            }
            Stage::Canary if progress.open > 0 => verdict(Stage::Canary, Some(0)),
            // Too few failed to halt it, and none has shown that it works.
            Stage::Canary if progress.done == 0 => verdict(Stage::Canary, Some(canary)),
            Stage::Canary | Stage::Rolling => verdict(Stage::Rolling, None),
        }
    }

    /// Why it halted, with what to do.
    #[must_use]
    pub fn message(&self, kind: Kind) -> Option<String> {
        let Progress { failed, done, earlier, .. } = self.progress;
        let (failed, ended) = (failed + earlier.failed, failed + done + earlier.failed + earlier.done);
        let before =
            if earlier == Outcomes::default() { "" } else { ", the latest before this rollout counted in" };
        (self.stage == Stage::Halted).then(|| {
            format!(
                "{failed} of {ended} tenants failed{before}: see `tenantd tenant list --parked`, mend the cause, then run \
                 `tenantd fleet resume --rollout {kind}`"
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
        assert_eq!(of(Stage::Canary, Progress { open: 5, ..due }), (Stage::Canary, Some(0)));
        let four = Progress { open: 1, done: 4, ..due };
        assert_eq!(of(Stage::Canary, four), (Stage::Canary, Some(0)));
        let five = Progress { open: 0, done: 5, ..due };
        assert_eq!(of(Stage::Canary, five), (Stage::Rolling, None));
        let last = Progress { open: 2, done: 88, ..Progress::default() };
        assert_eq!(of(Stage::Rolling, last), (Stage::Rolling, None));
        assert_eq!(of(Stage::Rolling, Progress { open: 0, ..last }), (Stage::Idle, Some(0)));
    }

    #[test]
    fn it_halts_when_too_many_fail_and_stays_so() {
        let due = Progress { is_more_due: true, ..Progress::default() };
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
    fn whoever_of_a_canary_was_skipped_is_replaced() {
        let skipped = Progress { is_more_due: true, ..Progress::default() };
        assert_eq!(of(Stage::Canary, skipped), (Stage::Canary, Some(5)));
        assert_eq!(of(Stage::Canary, Progress { done: 2, ..skipped }), (Stage::Canary, Some(3)));
        let out = Progress { open: 2, done: 1, failed: 1, ..skipped };
        assert_eq!(of(Stage::Canary, out), (Stage::Canary, Some(1)));
    }

    #[test]
    fn one_tenant_alone_halts_nothing_and_a_row_of_failures_does() {
        let one = Progress { failed: 1, ..Progress::default() };
        for (stage, ratio, canary) in [
            (Stage::Canary, 0.2, 5),
            (Stage::Canary, 0.0, 1),
            (Stage::Rolling, 0.0, 0),
            (Stage::Rolling, 0.1, 1),
        ] {
            assert_eq!(Verdict::of(stage, &one, canary, ratio).stage, Stage::Idle, "{stage} {ratio}");
        }
        // A canary of one that failed has proved nothing: another one, and nobody else.
        let more = Progress { is_more_due: true, ..one };
        let again = Verdict::of(Stage::Canary, &more, 1, 0.2);
        assert_eq!((again.stage, again.room), (Stage::Canary, Some(1)));
        let two = Progress { failed: 2, ..more };
        assert_eq!(Verdict::of(Stage::Canary, &two, 1, 0.2).stage, Stage::Halted);
        // Rollouts of one, each of which fails.
        let second = Progress { earlier: Outcomes { done: 0, failed: 1 }, ..one };
        let halted = Verdict::of(Stage::Canary, &second, 5, 0.2);
        assert_eq!(halted.stage, Stage::Halted);
        assert!(
            halted.message(Kind::Rotation).unwrap().starts_with("2 of 2 tenants failed, the latest before")
        );
        let among_others = Progress { earlier: Outcomes { done: 4, failed: 0 }, ..one };
        assert_eq!(of(Stage::Canary, among_others), (Stage::Idle, Some(0)));
    }

    #[test]
    fn what_failed_earlier_halts_nothing_that_goes_well() {
        let well = Progress {
            done: 1,
            earlier: Outcomes { done: 0, failed: 4 },
            is_more_due: true,
            ..Progress::default()
        };
        assert_eq!(of(Stage::Rolling, well), (Stage::Rolling, None));
        assert_eq!((well.lacks(), Progress { failed: 1, done: 0, ..well }.lacks()), (0, 4));
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
            let tried = open + done + failed;
            let progress = Progress { open, done, failed, is_more_due: more, earlier: Outcomes::default() };
            let verdict = Verdict::of(Stage::Canary, &progress, canary, 0.2);
            prop_assert!(verdict.stage != Stage::Rolling);
            prop_assert!(verdict.room.is_some_and(|room| tried.max(canary) >= tried + room));
        }
    }
}
