//! Who is claimed, in which order, and what the claim costs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row as _};
use tenantd::ports::Clock;

use super::{host_of, rig, row};
use crate::support::postgres::test_db;
use crate::support::rig::{LEASE, Replica, Rig};

const MINUTE: Duration = Duration::from_mins(1);

async fn given_priority(rig: &Rig, name: &str, priority: i32) {
    rig.given_tenant(name).await;
    sqlx::query("UPDATE tenantd.tenants SET priority = $2 WHERE external_id = $1")
        .bind(name)
        .bind(priority)
        .execute(rig.pool())
        .await
        .unwrap();
}

async fn claim(replica: &Replica, limit: usize) -> Vec<String> {
    let claimed = replica.store.claim(&replica.terms.claim_terms(), limit).await.unwrap().rows;
    claimed.iter().map(|row| row.external_id.to_string()).collect()
}

#[tokio::test]
async fn rows_are_claimed_in_order_of_their_due_time_less_a_minute_for_each_point_of_priority() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_priority(&rig, "old", 0).await;
    rig.advance(5 * MINUTE).await;
    given_priority(&rig, "urgent", 10).await;
    given_priority(&rig, "idle", -10).await;
    rig.advance(10 * MINUTE).await;
    given_priority(&rig, "urgent-but-late", 10).await;

    let mut order = Vec::new();
    for _ in 0..4 {
        order.extend(claim(&replica, 1).await);
    }

    assert_eq!(order, ["urgent", "old", "urgent-but-late", "idle"]);
}

#[tokio::test]
async fn the_lowest_priority_comes_before_the_highest_once_it_has_waited_long_enough() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_priority(&rig, "lowest", -100).await;
    rig.advance(201 * MINUTE).await;
    for n in 0..20 {
        given_priority(&rig, &format!("highest-{n}"), 100).await;
    }

    assert_eq!(claim(&replica, 1).await, ["lowest"]);
}

#[tokio::test]
async fn the_lowest_priority_is_claimed_and_counts_as_late_from_when_it_is_due() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_priority(&rig, "lowest", -100).await;
    rig.advance(MINUTE).await;

    let waited = replica.store.oldest_due().await.unwrap();

    assert!(waited >= MINUTE && waited < 2 * MINUTE, "{waited:?}");
    assert_eq!(claim(&replica, 1).await, ["lowest"]);
}

#[tokio::test]
async fn a_claim_takes_as_many_as_it_is_asked_for_and_each_only_once() {
    let rig = rig().await;
    let replica = rig.replica().await;
    for n in 0..5 {
        rig.given_tenant(&format!("tenant-{n}")).await;
    }

    let batches = [claim(&replica, 3).await, claim(&replica, 3).await, claim(&replica, 3).await];

    assert_eq!(batches.each_ref().map(Vec::len), [3, 2, 0]);
    assert_eq!(batches.concat().into_iter().collect::<BTreeSet<_>>().len(), 5);
}

#[tokio::test]
async fn nothing_is_claimed_before_its_not_before() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.world.at(rig.clock.now()).add_tenant(&host_of("later"));
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host, not_before, priority)
         VALUES ('later', $1, tenantd.clock() + interval '10 minutes', 100)",
    )
    .bind(host_of("later"))
    .execute(rig.pool())
    .await
    .unwrap();

    rig.advance((10 * MINUTE).saturating_sub(Duration::from_millis(1))).await;
    assert!(claim(&replica, 1).await.is_empty());
    let status = replica.store.status("later").await.unwrap().unwrap();
    rig.advance(Duration::from_millis(1)).await;

    assert_eq!(status.reason.as_deref(), Some("NotBefore"));
    assert_eq!(claim(&replica, 1).await, ["later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_claim_at_once_share_the_rows() {
    let rig = rig().await;
    let replicas = [rig.replica().await, rig.replica().await];
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host)
         SELECT 'tenant-' || n, 'tenant-' || n || '.us.qlikcloud.com' FROM generate_series(1, 200) AS n",
    )
    .execute(rig.pool())
    .await
    .unwrap();

    let [one, two] = replicas.map(|replica| {
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..40 {
                mine.extend(claim(&replica, 7).await);
            }
            mine
        })
    });
    let (one, two) = (one.await.unwrap(), two.await.unwrap());

    let all: BTreeSet<&String> = one.iter().chain(&two).collect();
    assert_eq!((one.len() + two.len(), all.len()), (200, 200), "each row once");
    assert!(!one.is_empty() && !two.is_empty());
}

#[tokio::test]
async fn a_claim_never_waits_for_a_row_that_somebody_is_writing() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("locked").await;
    rig.given_tenant("free").await;
    let mut other = rig.pool().begin().await.unwrap();
    other.execute("SELECT FROM tenantd.tenants WHERE external_id = 'locked' FOR UPDATE").await.unwrap();

    let claimed = tokio::time::timeout(Duration::from_secs(30), claim(&replica, 10)).await;

    assert_eq!(claimed.expect("the claim does not wait"), ["free"]);
    other.rollback().await.unwrap();
    assert_eq!(claim(&replica, 10).await, ["locked"]);
}

#[tokio::test]
async fn a_row_that_is_held_is_not_claimed_until_its_lease_has_run_out() {
    let rig = rig().await;
    let (first, second) = (rig.replica().await, rig.replica().await);
    rig.given_tenant("acme").await;
    assert_eq!(claim(&first, 1).await, ["acme"]);

    rig.advance(LEASE.saturating_sub(Duration::from_millis(1))).await;
    assert!(claim(&second, 1).await.is_empty());
    rig.advance(Duration::from_millis(1)).await;

    assert_eq!(claim(&second, 1).await, ["acme"]);
    assert_eq!(row(&rig, "acme").await.lease_epoch, 2);
}

/// The statement of [`tenantd::postgres::Store::claim`], as it is sent.
fn claim_statement() -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.map(|file| serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).unwrap());
    let mut queries = texts.map(|query| query["query"].as_str().unwrap().to_owned());
    queries.find(|query| query.contains("-- tenants.claim")).expect("the claim is prepared")
}

/// What one scan of a plan read.
#[derive(Debug)]
struct Scan {
    index: Option<String>,
    returned: f64,
    removed: f64,
}

fn scans_of_tenants(node: &Value, found: &mut Vec<Scan>) {
    let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
    if node["Relation Name"] == "tenants" && node["Node Type"] != "ModifyTable" {
        found.push(Scan {
            index: node["Index Name"].as_str().map(str::to_owned),
            returned: number("Actual Rows") * number("Actual Loops"),
            removed: (number("Rows Removed by Filter") + number("Rows Removed by Index Recheck"))
                * number("Actual Loops"),
        });
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        scans_of_tenants(child, found);
    }
}

/// 20,000 ready rows, 4,900 parked, 5,000 that wait, 100 held, and 20 due.
const FLEET: &str = "
    SET session_replication_role = replica;
    INSERT INTO tenantd.regions (region) VALUES ('us');
    INSERT INTO tenantd.tenants (external_id, host, region, phase, client_id, current_version, ready_at, due_at)
    SELECT 'ready-' || n, 'ready-' || n || '.us.qlikcloud.com', 'us', 'ready', 'c', 1, now(), NULL
      FROM generate_series(1, 20000) AS n;
    INSERT INTO tenantd.tenants (external_id, host, region, phase, parked_reason, message, due_at)
    SELECT 'parked-' || n, 'parked-' || n || '.us.qlikcloud.com', 'us', 'creating', 'GaveUp', 'm', NULL
      FROM generate_series(1, 4900) AS n;
    INSERT INTO tenantd.tenants (external_id, host, region, phase, due_at)
    SELECT 'waiting-' || n, 'waiting-' || n || '.us.qlikcloud.com', 'us', 'creating', now() + interval '30 min'
      FROM generate_series(1, 5000) AS n;
    INSERT INTO tenantd.tenants (external_id, host, region, phase, due_at, lease_holder, leased_at, lease_expires_at)
    SELECT 'held-' || n, 'held-' || n || '.us.qlikcloud.com', 'us', 'creating', now() - interval '1 min',
           gen_random_uuid(), now(), now() + interval '1 hour'
      FROM generate_series(1, 100) AS n;
    INSERT INTO tenantd.tenants (external_id, host, region, phase, due_at)
    SELECT 'due-' || n, 'due-' || n || '.us.qlikcloud.com', 'us', 'creating', now() - interval '1 s'
      FROM generate_series(1, 20) AS n;
    SET session_replication_role = origin;
    UPDATE tenantd.installation AS i
       SET system_identifier = p.system_identifier, database_id = p.database_id, timeline = p.timeline
      FROM tenantd.place() AS p;
    ANALYZE tenantd.tenants;";

#[tokio::test]
async fn the_claim_reads_what_is_due_and_not_the_fleet() {
    for plan_cache_mode in ["force_custom_plan", "force_generic_plan"] {
        let db = test_db().await;
        let mut connection = PgConnection::connect(&db.url).await.unwrap();
        connection.execute(FLEET).await.unwrap();
        let set = format!("SET plan_cache_mode = {plan_cache_mode}");
        let prepare = format!("PREPARE claim AS {}", claim_statement());
        for statement in [set, prepare] {
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        }

        let explained = connection
            .fetch_one(
                "EXPLAIN (ANALYZE, FORMAT JSON)
                 EXECUTE claim(ARRAY['us'], ARRAY['*.us.qlikcloud.com'], ARRAY['us'], ARRAY['default'],
                               '1 min', '2 min', 64, '00000000-0000-0000-0000-000000000001',
                               ARRAY['pending', 'creating', 'created', 'trusted', 'ready', 'rotating', 'proving',
                                     'removing', 'removed'], NULL)",
            )
            .await
            .unwrap();

        let plan: Value = explained.get(0);
        let mut scans = Vec::new();
        scans_of_tenants(&plan[0]["Plan"], &mut scans);
        let due: Vec<&Scan> =
            scans.iter().filter(|scan| scan.index.as_deref() == Some("tenants_due")).collect();
        assert_eq!(due.len(), 1, "{plan_cache_mode}: the index of due rows serves the claim: {scans:?}");
        assert!(scans.iter().all(|scan| scan.index.is_some()), "{plan_cache_mode}: {scans:?}");
        let read: f64 = scans.iter().map(|scan| scan.returned + scan.removed).sum();
        // Those due, once found and once written, and those held, which are passed over.
        assert!(read <= 20.0 + 20.0 + 100.0, "{plan_cache_mode}: {read} rows: {scans:?}");
    }
}

#[tokio::test]
async fn rows_of_a_newer_version_are_left_alone_and_the_others_go_on() {
    let rig = rig().await;
    let replica = rig.replica().await;
    for name in ["newer-phase", "newer-standing", "plain"] {
        rig.given_tenant(name).await;
    }
    for statement in [
        "ALTER TABLE tenantd.tenants DROP CONSTRAINT phase_is_known",
        "ALTER TABLE tenantd.secrets DROP CONSTRAINT standing_is_known",
        "UPDATE tenantd.tenants SET phase = 'archived', client_id = 'c' WHERE external_id = 'newer-phase'",
        "INSERT INTO tenantd.secrets (tenant_id, client_id, standing, sealed, key_id)
         SELECT tenant_id, 'c', 'retired', 'a.b.c.d.e', 'k' FROM tenantd.tenants WHERE external_id = 'newer-standing'",
    ] {
        sqlx::query(statement).execute(rig.pool()).await.unwrap();
    }

    let claims = replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap();

    let names: Vec<_> = claims.rows.iter().map(|row| row.external_id.as_str()).collect();
    assert_eq!(names, ["plain"]);
    let newer = row(&rig, "newer-phase").await;
    assert_eq!((newer.phase.as_str(), newer.is_held), ("archived", false), "nobody touched it");
}
