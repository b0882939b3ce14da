//! `explain` says no blocker exactly where the claim takes the row.

use sqlx::{AssertSqlSafe, Executor};
use tenantd::domain::waiting::BlockerKind::{
    AwaitingBudget, BreakerOpen, FleetPaused, NotBefore, NotDue, NothingDue, Parked, Paused,
    RegionNotConfigured, RegionPaused, Rejoining, UnknownPhase, Working,
};
use tenantd::domain::waiting::{Blocker, BlockerKind};

use super::rig;
use crate::support::rig::{Replica, Rig};

/// A row, what stands in its way, and what takes that away again for the next row.
struct Case {
    name: &'static str,
    /// Assignments to its columns.
    row: &'static str,
    /// Statements about the rest of the world.
    world: &'static str,
    undo: &'static str,
    blockers: &'static [BlockerKind],
}

const PLAIN: Case = Case { name: "plain", row: "priority = 0", world: "", undo: "", blockers: &[] };

const LEASED: &str =
    "lease_holder = gen_random_uuid(), leased_at = tenantd.clock(), lease_expires_at = tenantd.clock() ";
const READY: &str =
    "phase = 'ready', client_id = 'cid', current_version = 1, ready_at = tenantd.clock(), due_at = NULL";
const PAUSE: &str = "INSERT INTO tenantd.pauses (region, reason, paused_at, paused_until) VALUES ";
const RESUME: &str = "DELETE FROM tenantd.pauses";
const OPEN: &str = "UPDATE tenantd.regions SET opened_at = tenantd.clock(), probe_at = tenantd.clock()";
const CLOSE: &str = "UPDATE tenantd.regions SET opened_at = NULL, probe_at = NULL";

const CASES: &[Case] = &[
    PLAIN,
    Case { name: "lowest-priority", row: "priority = -100", ..PLAIN },
    Case {
        name: "parked",
        row: "parked_reason = 'GaveUp', message = 'mend it', due_at = NULL",
        blockers: &[Parked],
        ..PLAIN
    },
    Case {
        name: "resting",
        row: "due_at = tenantd.clock() + interval '1 hour'",
        blockers: &[NotDue],
        ..PLAIN
    },
    Case {
        name: "early",
        row: "not_before = tenantd.clock() + interval '1 hour'",
        blockers: &[NotBefore],
        ..PLAIN
    },
    Case { name: "held", row: "LEASED + interval '1 minute'", blockers: &[Working], ..PLAIN },
    Case { name: "held-by-the-dead", row: "LEASED", ..PLAIN },
    Case {
        name: "paused",
        row: "paused_at = tenantd.clock(), pause_reason = 'why'",
        blockers: &[Paused],
        ..PLAIN
    },
    Case {
        name: "paused-for-now",
        row: "paused_at = tenantd.clock(), pause_reason = 'why', paused_until = tenantd.clock() + interval '1 s'",
        blockers: &[Paused],
        ..PLAIN
    },
    Case {
        name: "paused-until-now",
        row: "paused_at = tenantd.clock(), pause_reason = 'why', paused_until = tenantd.clock()",
        ..PLAIN
    },
    Case {
        name: "in-a-paused-fleet",
        world: "PAUSE ('*', 'why', tenantd.clock(), NULL)",
        undo: RESUME,
        blockers: &[FleetPaused],
        ..PLAIN
    },
    Case {
        name: "in-a-fleet-paused-until-now",
        world: "PAUSE ('*', 'why', tenantd.clock(), tenantd.clock())",
        undo: RESUME,
        ..PLAIN
    },
    Case {
        name: "unsorted-in-a-paused-region",
        world: "PAUSE ('us', 'why', tenantd.clock(), NULL)",
        undo: RESUME,
        blockers: &[RegionPaused],
        ..PLAIN
    },
    Case {
        name: "sorted-in-a-paused-region",
        row: "region = 'us'",
        world: "PAUSE ('us', 'why', tenantd.clock(), tenantd.clock() + interval '1 s')",
        undo: RESUME,
        blockers: &[RegionPaused],
    },
    Case {
        name: "beside-a-paused-region",
        world: "PAUSE ('eu', 'why', tenantd.clock(), NULL)",
        undo: RESUME,
        ..PLAIN
    },
    Case {
        name: "unsorted-with-an-open-breaker",
        world: OPEN,
        undo: CLOSE,
        blockers: &[BreakerOpen],
        ..PLAIN
    },
    Case {
        name: "sorted-with-an-open-breaker",
        row: "region = 'us'",
        world: OPEN,
        undo: CLOSE,
        blockers: &[BreakerOpen],
    },
    Case {
        name: "not-woken-since-a-rejoin",
        row: "lease_epoch = 1",
        world: "UPDATE tenantd.installation SET rejoin_epoch = 1",
        undo: "UPDATE tenantd.installation SET rejoin_epoch = 0",
        blockers: &[Rejoining],
    },
    Case {
        name: "never-claimed-before-a-rejoin",
        world: "UPDATE tenantd.installation SET rejoin_epoch = 1",
        undo: "UPDATE tenantd.installation SET rejoin_epoch = 0",
        ..PLAIN
    },
    Case { name: "sorted", row: "region = 'us'", ..PLAIN },
    Case { name: "of-a-gone-region", row: "region = 'gone'", blockers: &[RegionNotConfigured], ..PLAIN },
    Case { name: "not-allowed", row: "host = 'not-allowed.elsewhere.example'", ..PLAIN },
    Case { name: "of-no-profile", row: "profile = 'nobody'", ..PLAIN },
    Case {
        name: "of-a-newer-version",
        row: "phase = 'later', client_id = 'cid'",
        world: "ALTER TABLE tenantd.tenants DROP CONSTRAINT phase_is_known",
        blockers: &[UnknownPhase],
        ..PLAIN
    },
    Case { name: "ready", row: READY, blockers: &[NothingDue], ..PLAIN },
    Case {
        name: "awaiting-removal",
        row: "READY; desired_state = 'absent'",
        blockers: &[AwaitingBudget],
        ..PLAIN
    },
    Case {
        name: "let-through",
        row: "READY; desired_state = 'absent'; removal_admitted_at = tenantd.clock(), due_at = tenantd.clock()",
        ..PLAIN
    },
    Case {
        name: "removed",
        // Somebody has looked since.
        row: "desired_state = 'absent'; due_at = NULL",
        blockers: &[NothingDue],
        ..PLAIN
    },
    Case {
        name: "parked-and-paused-and-in-a-paused-fleet",
        row: "parked_reason = 'GaveUp', message = 'mend it', due_at = NULL, paused_at = tenantd.clock(), pause_reason = 'why'",
        world: "PAUSE ('*', 'why', tenantd.clock(), NULL)",
        undo: RESUME,
        blockers: &[Parked, Paused, FleetPaused],
    },
];

async fn run(rig: &Rig, statement: String) {
    rig.pool().execute(AssertSqlSafe(statement)).await.unwrap();
}

async fn given(rig: &Rig, case: &Case) {
    rig.given_tenant(case.name).await;
    run(rig, case.world.replace("PAUSE", PAUSE)).await;
    let row = case.row.replace("READY", READY).replace("LEASED", LEASED);
    for assignments in row.split(';') {
        run(rig, format!("UPDATE tenantd.tenants SET {assignments} WHERE external_id = '{}'", case.name))
            .await;
    }
}

async fn blockers(replica: &Replica, name: &str) -> Vec<Blocker> {
    replica.store.explain(name, &replica.terms.claim_terms()).await.unwrap().unwrap().blockers()
}

async fn is_claimed(replica: &Replica, name: &str) -> bool {
    let claims = replica.store.claim(&replica.terms.claim_terms(), 100).await.unwrap();
    claims.rows.iter().any(|row| row.external_id.as_str() == name && !row.tenant.is_resting)
}

#[tokio::test]
async fn a_row_without_a_blocker_is_claimed_and_no_other_is() {
    let rig = rig().await;
    let replica = rig.replica().await;
    for case in CASES {
        given(&rig, case).await;

        let blockers = blockers(&replica, case.name).await;
        let is_claimed = is_claimed(&replica, case.name).await;

        let kinds: Vec<_> = blockers.iter().map(|blocker| blocker.kind).collect();
        assert_eq!(
            (kinds.as_slice(), is_claimed),
            (case.blockers, case.blockers.is_empty()),
            "{}",
            case.name
        );
        run(&rig, case.undo.to_owned()).await;
    }
}

#[tokio::test]
async fn a_blocker_says_since_when_and_until_when() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let now = replica.store.now().await.unwrap();
    rig.given_tenant("acme").await;
    run(
        &rig,
        format!("{PAUSE} ('us', 'why', tenantd.clock() - interval '2 h', tenantd.clock() + interval '3 h')"),
    )
    .await;
    run(
        &rig,
        "UPDATE tenantd.tenants SET wait_reason = 'Throttled', message = 'slow down',
                reason_since = tenantd.clock() - interval '1 h', due_at = tenantd.clock() + interval '1 h'"
            .to_owned(),
    )
    .await;

    let blockers = blockers(&replica, "acme").await;

    let hours = chrono::TimeDelta::hours;
    let blocker = |kind, since, until, detail: &str| Blocker {
        kind,
        since: Some(now + hours(since)),
        until: Some(now + hours(until)),
        detail: Some(detail.to_owned()),
    };
    assert_eq!(
        blockers,
        [blocker(NotDue, -1, 1, "Throttled: slow down"), blocker(RegionPaused, -2, 3, "us: why")]
    );
    assert!(replica.store.explain("nobody", &replica.terms.claim_terms()).await.unwrap().is_none());
}
