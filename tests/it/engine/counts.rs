//! What is kept is what one would count, whatever happened to the rows.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantd::domain::filter::Filter;

use super::{host_of, rig, work_due};
use crate::support::rig::{Replica, Rig};

/// In the order of `tenantd.totals`.
const COUNTED: &str = "
    SELECT count(*),
           count(*) FILTER (WHERE parked_reason IS NULL AND phase = 'ready' AND desired_state = 'present'),
           count(*) FILTER (WHERE parked_reason IS NOT NULL
                               OR (phase <> 'ready' OR desired_state <> 'present')
                                  AND (phase <> 'removed' OR recheck_at IS NOT NULL)),
           count(*) FILTER (WHERE phase = 'removed')
      FROM tenantd.tenants";

type Totals = (i64, i64, i64, i64);

async fn write(rig: &Rig, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(rig.pool()).await.unwrap();
}

async fn totals(rig: &Rig, query: &str) -> Totals {
    sqlx::query_as(AssertSqlSafe(query.to_owned())).fetch_one(rig.pool()).await.unwrap()
}

/// Kept equals counted: before the deltas are folded and after, by phase and by reason.
async fn assert_true(rig: &Rig, replica: &Replica, when: &str) -> Totals {
    let counted = totals(rig, COUNTED).await;
    for folded in [false, true] {
        if folded {
            replica.store.fold_counts().await.unwrap();
        }
        let kept = totals(rig, "SELECT tenants, ready, under_way, removed FROM tenantd.totals").await;
        assert_eq!(kept, counted, "{when}, folded: {folded}");
    }
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenantd.count_deltas").fetch_one(rig.pool()).await.unwrap();
    assert_eq!(left, 0, "{when}");

    let by = async |query: &'static str| -> BTreeMap<String, i64> {
        sqlx::query_as::<_, (String, i64)>(query).fetch_all(rig.pool()).await.unwrap().into_iter().collect()
    };
    let phases: BTreeMap<_, _> =
        replica.store.phases().await.unwrap().into_iter().map(|of| (of.phase, of.tenants)).collect();
    let phases: BTreeMap<_, _> = phases.into_iter().filter(|(_, tenants)| *tenants > 0).collect();
    assert_eq!(phases, by("SELECT phase, count(*) FROM tenantd.tenants GROUP BY phase").await, "{when}");
    let parked: BTreeMap<_, _> =
        replica.store.parked_reasons().await.unwrap().into_iter().map(|of| (of.reason, of.tenants)).collect();
    let reasons =
        "SELECT parked_reason, count(*) FROM tenantd.tenants WHERE parked_reason IS NOT NULL GROUP BY 1";
    assert_eq!(parked, by(reasons).await, "{when}");
    counted
}

/// A list that an index of a few serves shows what the view does.
async fn assert_lists(rig: &Rig, replica: &Replica) {
    let texts = [None, Some("ready"), Some("pending"), Some("removed"), Some("rotating")];
    let reasons = [None, Some("Queued"), Some("Removed"), Some("AwaitingBudget"), Some("NameTaken")];
    for (phase, reason) in texts.into_iter().flat_map(|phase| reasons.map(|reason| (phase, reason))) {
        for (parked, ready) in [false, true]
            .into_iter()
            .flat_map(|parked| [None, Some(false), Some(true)].map(|ready| (parked, ready)))
        {
            let asked = [
                phase.map(|phase| format!("phase:{phase}")),
                reason.map(|reason| format!("reason:{reason}")),
                parked.then(|| "parked:yes".to_owned()),
                ready.map(|is| format!("ready:{}", if is { "yes" } else { "no" })),
            ];
            let filter = Filter::parse(&asked.into_iter().flatten().collect::<Vec<_>>().join(" ")).unwrap();
            let listed: Vec<_> = replica
                .store
                .list(&filter, "", 100)
                .await
                .unwrap()
                .into_iter()
                .map(|row| row.external_id)
                .collect();
            let seen: Vec<String> = sqlx::query_scalar(
                "SELECT external_id FROM tenantd.status
                  WHERE ($1 IS NULL OR phase = $1) AND ($2 IS NULL OR reason = $2) AND (parked OR NOT $3)
                    AND ($4 IS NULL OR ready = $4)
                  ORDER BY external_id",
            )
            .bind(phase)
            .bind(reason)
            .bind(parked)
            .bind(ready)
            .fetch_all(rig.pool())
            .await
            .unwrap();
            assert_eq!(listed, seen, "{filter:?}");
        }
    }
}

#[tokio::test]
async fn kept_counts_are_those_that_one_would_count_after_a_mixed_history() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    assert_true(&rig, &replica, "of nothing").await;
    for number in 0..12 {
        rig.given_tenant(&format!("t{number}")).await;
    }
    write(
        &rig,
        "INSERT INTO tenantd.tenants (external_id, host, desired_state)
         SELECT 'gone' || n, 'gone' || n || '.us.qlikcloud.com', 'absent' FROM generate_series(1, 3) AS n",
    )
    .await;
    assert_eq!(assert_true(&rig, &replica, "inserted").await, (15, 0, 12, 3));
    assert_eq!(work_due(&rig, &replica).await, 12);
    assert_eq!(assert_true(&rig, &replica, "provisioned").await, (15, 12, 0, 3));

    write(
        &rig,
        "BEGIN; DELETE FROM tenantd.tenants WHERE phase = 'removed';
                 UPDATE tenantd.tenants SET desired_state = 'absent'; ROLLBACK",
    )
    .await;
    assert_eq!(assert_true(&rig, &replica, "rolled back").await, (15, 12, 0, 3));
    write(
        &rig,
        "UPDATE tenantd.tenants SET labels = '{\"a\": 1}', client_name = 'other' WHERE external_id IN ('t0', 't1');
         UPDATE tenantd.tenants SET desired_version = desired_version + 1 WHERE external_id = 't2';
         UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id IN ('t3', 't4', 't5');
         UPDATE tenantd.tenants SET desired_state = 'present' WHERE external_id = 'gone1';
         INSERT INTO tenantd.tenants (external_id, host) VALUES ('t0', 't0.us.qlikcloud.com'), ('new', 'new.eu.example')
             ON CONFLICT (external_id) DO UPDATE SET labels = '{\"b\": 2}'",
    )
    .await;
    assert_true(&rig, &replica, "edited").await;
    replica.store.admit_removals(Some(2)).await.unwrap();
    work_due(&rig, &replica).await;
    assert_true(&rig, &replica, "removed, rotated, parked").await;
    assert_lists(&rig, &replica).await;
    write(&rig, "UPDATE tenantd.tenants SET parked_reason = 'Defect', message = 'x', due_at = NULL WHERE external_id = 't6'")
        .await;
    write(&rig, "DELETE FROM tenantd.tenants WHERE phase = 'removed' AND recheck_at IS NULL").await;
    assert_true(&rig, &replica, "deleted").await;
    replica.store.retry("t6").await.unwrap();
    rig.advance(Duration::from_hours(2)).await;
    work_due(&rig, &replica).await;
    let counted = assert_true(&rig, &replica, "in the end").await;
    assert!(counted.0 > 8 && counted.1 > 5 && counted.2 > 0, "{counted:?}");
    assert_lists(&rig, &replica).await;
}

#[tokio::test]
async fn a_table_that_was_emptied_or_loaded_past_the_triggers_is_counted_too() {
    let rig = rig().await;
    let replica = rig.replica().await;
    for number in 0..5 {
        write(
            &rig,
            &format!(
                "INSERT INTO tenantd.tenants (external_id, host) VALUES ('t{number}', '{}')",
                host_of(&format!("t{number}"))
            ),
        )
        .await;
    }
    replica.store.fold_counts().await.unwrap();
    write(&rig, "INSERT INTO tenantd.tenants (external_id, host) VALUES ('late', 'late.us.qlikcloud.com')")
        .await;

    write(&rig, "TRUNCATE tenantd.tenants CASCADE").await;
    assert_eq!(assert_true(&rig, &replica, "emptied").await, (0, 0, 0, 0));

    write(
        &rig,
        "SET session_replication_role = replica;
         INSERT INTO tenantd.tenants (external_id, host, phase, removal_admitted_at, desired_state)
         SELECT 'x' || n, 'x' || n || '.us.qlikcloud.com', CASE n % 2 WHEN 0 THEN 'pending' ELSE 'removed' END,
                tenantd.clock(), CASE n % 2 WHEN 0 THEN 'present' ELSE 'absent' END
           FROM generate_series(1, 7) AS n;
         RESET session_replication_role;
         SELECT tenantd.recount()",
    )
    .await;
    assert_eq!(assert_true(&rig, &replica, "loaded").await, (7, 0, 3, 4));
}

/// Two classes of rows, far more than are counted one by one.
#[tokio::test]
async fn where_many_are_under_way_phases_are_estimated_and_their_sum_and_the_parked_are_right() {
    let rig = rig().await;
    let replica = rig.replica().await;
    write(
        &rig,
        "SET session_replication_role = replica;
         INSERT INTO tenantd.tenants (external_id, host, phase, parked_reason, message, due_at)
         SELECT 'x' || n, 'x' || n || '.us.qlikcloud.com', CASE WHEN n % 4 = 0 THEN 'creating' ELSE 'pending' END,
                CASE WHEN n = 7 THEN 'NameTaken' END, CASE WHEN n = 7 THEN 'x' END, CASE WHEN n <> 7 THEN tenantd.clock() END
           FROM generate_series(1, 60000) AS n;
         RESET session_replication_role;
         SELECT tenantd.recount()",
    )
    .await;

    let phases: BTreeMap<_, _> =
        replica.store.phases().await.unwrap().into_iter().map(|of| (of.phase, of.tenants)).collect();

    let (pending, creating) = (phases["pending"], phases["creating"]);
    assert!((pending + creating - 60_000).abs() <= 2, "{phases:?}");
    // 20,000 of 60,000: the standard error is 150.
    assert!((creating - 15_000).abs() < 1_000, "{phases:?}");
    let parked = replica.store.parked_reasons().await.unwrap();
    assert_eq!(
        parked.iter().map(|of| (of.reason.as_str(), of.tenants)).collect::<Vec<_>>(),
        [("NameTaken", 1)]
    );
}
