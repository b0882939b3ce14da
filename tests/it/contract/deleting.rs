//! Which rows may go: what is removed and was looked at a last time, by whoever may write
//! rows; and no statement forgets a living client.

use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, Connection, PgPool};
use tenantd::ports::Clock;
use tenantd::postgres::operator::rejoin::Agreed;

use super::given_ready;
use crate::support::postgres::test_db;
use crate::support::rig::{Replica, Rig, SETTLE};
use crate::support::roles::{PIPELINE, Refused, pool_as};

/// What the database says to a statement: the rows, or the constraint, the message and the hint.
async fn said(pool: &PgPool, statement: &str) -> Result<u64, [String; 3]> {
    let mut connection = pool.acquire().await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut *connection).await;
    // A refusal is told before its transaction is over, and its row locks with it.
    connection.ping().await.unwrap();
    done.map(|done| done.rows_affected()).map_err(|error| {
        let error = error.into_database_error().unwrap();
        let error = error.downcast_ref::<PgDatabaseError>();
        [error.constraint(), Some(error.message()), error.hint()]
            .map(|part| part.unwrap_or_default().to_owned())
    })
}

async fn text(rig: &Rig, query: &'static str) -> String {
    sqlx::query_scalar(query).fetch_one(rig.pool()).await.unwrap()
}

/// A tenant that was removed a moment ago, and the pipeline that owns it.
async fn removed() -> (Rig, Replica, PgPool) {
    let rig = Rig::plain().await.with_replicas_as_daemon().await;
    sqlx::raw_sql(
        "GRANT USAGE ON SCHEMA tenantd_test TO tenantd_pipeline; GRANT SELECT ON tenantd_test.clock TO tenantd_pipeline",
    )
    .execute(rig.pool())
    .await
    .unwrap();
    let pipeline = pool_as(PIPELINE, &rig.db.url).await;
    rig.given_tenant("acme").await;
    let replica = rig.replica().await;
    rig.work_until_quiet(&replica).await;
    said(&pipeline, "UPDATE tenantd.tenants SET desired_state = 'absent'").await.unwrap();
    assert_eq!(replica.store.admit_removals(None).await.unwrap(), 1);
    rig.work_once(&replica).await;
    assert_eq!(text(&rig, "SELECT phase FROM tenantd.tenants").await, "removed");
    (rig, replica, pipeline)
}

/// What a process leaves that was killed right after it had recognised a restored database.
const REJOIN: &str = "
    UPDATE tenantd.installation
       SET rejoin_epoch = rejoin_epoch + 1, rejoined_at = tenantd.clock(), deletions_held_at = tenantd.clock(),
           held_reason = 'a restore';
    INSERT INTO tenantd.passes (pass, asked, since) VALUES ('distrust', '1', tenantd.clock())";

const DELETE: &str = "DELETE FROM tenantd.tenants WHERE external_id = 'acme'";

fn insert(key: &str) -> String {
    format!(
        "INSERT INTO tenantd.tenants (external_id, host) SELECT '{key}', host FROM tenantd.tenants WHERE external_id = 'acme'
         ON CONFLICT (external_id) DO NOTHING"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn until_its_last_look_a_removed_tenant_keeps_row_and_host_and_the_refusal_says_when_it_may_go() {
    let (rig, replica, pipeline) = removed().await;
    let planned = text(&rig, "SELECT recheck_at::text FROM tenantd.tenants").await;

    let [constraint, message, hint] = said(&pipeline, DELETE).await.unwrap_err();
    assert_eq!(constraint, "removed_tenants_are_kept_until_looked_at");
    assert!(
        message.contains("acme is removed and looked at once more") && hint.contains(&planned),
        "{message} {hint}"
    );
    let shown = text(&rig, "SELECT message FROM tenantd.status").await;
    assert!(shown.contains("until then the row is kept"), "{shown}");
    let [constraint, message, hint] = said(&pipeline, &insert("new")).await.unwrap_err();
    assert_eq!(constraint, "host_is_unique");
    assert!(message.contains("acme, which is removed") && hint.contains(&planned), "{message} {hint}");
    // What is there by its key is left as it is, without a word.
    assert_eq!(said(&pipeline, &insert("acme")).await, Ok(0));

    rig.work_until_quiet(&replica).await;
    let [constraint, _, hint] = said(&pipeline, &insert("new")).await.unwrap_err();
    assert!(constraint == "host_is_unique" && hint.contains(DELETE), "{hint}");
    let shown = text(&rig, "SELECT message FROM tenantd.status").await;
    assert!(shown.contains("the row may be deleted"), "{shown}");
    assert_eq!(said(&pipeline, DELETE).await, Ok(1));
}

/// Its client may be one that the database forgot: what is removed is looked at once more first.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_slice_of_a_rejoin_has_reached_is_kept_like_what_is_looked_at_once_more() {
    let (rig, replica, pipeline) = removed().await;
    rig.work_until_quiet(&replica).await;
    rig.write(REJOIN).await;
    let is_kept = async |when: &str| {
        let [constraint, _, hint] = said(&pipeline, DELETE).await.unwrap_err();
        assert_eq!(constraint, "removed_tenants_are_kept_until_looked_at", "{when}");
        assert!(hint.contains(when), "{hint}");
        let [constraint, _, hint] = said(&pipeline, &insert("new")).await.unwrap_err();
        assert!(constraint == "host_is_unique" && hint.contains(when), "{constraint} {hint}");
        let moved = "UPDATE tenantd.tenants SET host = 'other.us.qlikcloud.com'";
        let [constraint, ..] = said(&pipeline, moved).await.unwrap_err();
        assert_eq!(constraint, "host_is_fixed_until_looked_at", "{when}");
        let [constraint, ..] = said(rig.pool(), "TRUNCATE tenantd.tenants CASCADE").await.unwrap_err();
        assert_eq!(constraint, "only_removed_tenants_are_deleted", "{when}");
        let shown = text(&rig, "SELECT message FROM tenantd.status").await;
        assert!(shown.contains("until then the row is kept"), "{when}: {shown}");
    };

    is_kept("rejoined").await;

    replica.store.wake_distrusted(SETTLE, 9).await.unwrap();
    is_kept("planned for").await;
    rig.work_until_quiet(&replica).await;
    assert_eq!(said(&pipeline, DELETE).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_wanted_again_before_its_slice_comes_keeps_its_host_until_it_is_looked_at() {
    let (rig, replica, pipeline) = removed().await;
    rig.work_until_quiet(&replica).await;
    rig.write(REJOIN).await;

    said(&pipeline, "UPDATE tenantd.tenants SET desired_state = 'present'").await.unwrap();

    let moved = "UPDATE tenantd.tenants SET host = 'other.us.qlikcloud.com'";
    for slices in [0, 9] {
        replica.store.wake_distrusted(SETTLE, slices).await.unwrap();
        let [constraint, ..] = said(&pipeline, moved).await.unwrap_err();
        assert_eq!(constraint, "host_is_fixed_until_looked_at", "{slices}");
    }
    assert_eq!(replica.store.agree_to_deletions().await.unwrap(), Agreed::Done);
    rig.work_until_quiet(&replica).await;
    assert_eq!(text(&rig, "SELECT phase FROM tenantd.tenants").await, "ready");
}

/// It never was at Qlik, or was before the last rejoin and looked at since.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_rejoin_does_not_concern_may_be_deleted_and_moved() {
    let (rig, _, pipeline) = removed().await;
    rig.write("UPDATE tenantd.tenants SET desired_state = 'absent', recheck_at = NULL, lease_epoch = 0, region = ''").await;
    rig.write(REJOIN).await;

    let moved = "UPDATE tenantd.tenants SET host = 'other.us.qlikcloud.com'";
    assert_eq!(said(&pipeline, moved).await, Ok(1));
    assert_eq!(said(&pipeline, DELETE).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_gives_the_host_of_a_removed_tenant_to_a_new_key_and_no_version_twice() {
    let (rig, replica, pipeline) = removed().await;
    let host = text(&rig, "SELECT host FROM tenantd.tenants").await;
    rig.work_until_quiet(&replica).await;
    // By an edit as by an insert.
    let later = "INSERT INTO tenantd.tenants (external_id, host, not_before)
                 VALUES ('new', 'b.us.qlikcloud.com', '2100-01-01Z')";
    said(&pipeline, later).await.unwrap();
    let give =
        format!("UPDATE tenantd.tenants SET host = '{host}', not_before = NULL WHERE external_id = 'new'");
    let [constraint, _, hint] = said(&pipeline, &give).await.unwrap_err();
    assert!(constraint == "host_is_unique" && hint.contains(DELETE), "{hint}");

    assert_eq!(said(&pipeline, DELETE).await, Ok(1));
    assert_eq!(said(&pipeline, &give).await, Ok(1));
    rig.work_until_quiet(&replica).await;

    assert_eq!(text(&rig, "SELECT phase FROM tenantd.status WHERE ready").await, "ready");
    assert_eq!(rig.world.at(rig.clock.now()).ledger().live_clients_of(&host).count(), 1);
    let anew = "INSERT INTO tenantd.tenants (external_id, host) VALUES ('acme', 'c.us.qlikcloud.com')";
    said(&pipeline, anew).await.unwrap();
    let version = "SELECT desired_version::text FROM tenantd.tenants WHERE external_id = 'acme'";
    assert_eq!(text(&rig, version).await, "2", "consumers of acme have seen 1");
    // The living are the pipeline's to remove, not to delete.
    let [constraint, ..] =
        said(&pipeline, "DELETE FROM tenantd.tenants WHERE external_id = 'new'").await.unwrap_err();
    assert_eq!(constraint, "only_removed_tenants_are_deleted");
}

#[tokio::test]
async fn no_table_that_holds_what_is_nowhere_else_is_truncated() {
    let db = test_db().await;
    given_ready(&db.pool, "acme").await;
    for statement in [
        "INSERT INTO tenantd.changes (kind, tenant_id) VALUES ('removal', gen_random_uuid())",
        "INSERT INTO tenantd.regions (region) VALUES ('us')",
        "INSERT INTO tenantd.pauses (region, reason) VALUES ('*', 'm')",
        "INSERT INTO tenantd.former_tenants (external_id, next_version) VALUES ('gone', 3)",
        "INSERT INTO tenantd.rights (region, effect) VALUES ('us', 'create')",
        "INSERT INTO tenantd.idempotency_keys (idempotency_key, request, answer) VALUES ('a', sha256('asked'), '{}')",
    ] {
        sqlx::query(statement).execute(&db.pool).await.unwrap();
    }
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'tenantd'::regnamespace AND relkind = 'r'",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert!(tables.len() > 9, "{tables:?}");

    for table in tables {
        let done =
            sqlx::raw_sql(AssertSqlSafe(format!("TRUNCATE tenantd.{table} CASCADE"))).execute(&db.pool).await;
        let refused = done.err().map(|error| Refused::from(&error).constraint.unwrap());
        let expected = match table.as_str() {
            // The history, the migrator's own table, what is only counted, and what is begun anew or
            // written by the next heartbeat.
            "attempts" | "_sqlx_migrations" | "passes" | "awaited" | "lease_extensions" => None,
            "tenants" => Some("only_removed_tenants_are_deleted"),
            _ => Some("tables_in_use_are_not_emptied"),
        };
        assert_eq!(refused.as_deref(), expected, "{table}");
    }
    for table in ["installation", "rollouts", "schedules", "counts"] {
        let [constraint, ..] = said(&db.pool, &format!("DELETE FROM tenantd.{table}")).await.unwrap_err();
        assert_eq!(constraint, "tables_in_use_are_not_emptied", "{table}");
    }
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenantd.credentials").fetch_one(&db.pool).await.unwrap();
    assert_eq!(left, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_and_looked_at_may_be_truncated_and_its_versions_stay_known() {
    let (rig, replica, _) = removed().await;
    let truncate = "TRUNCATE tenantd.tenants CASCADE";
    let [constraint, ..] = said(rig.pool(), truncate).await.unwrap_err();
    assert_eq!(constraint, "only_removed_tenants_are_deleted", "a late create may still land there");
    rig.work_until_quiet(&replica).await;

    assert_eq!(said(rig.pool(), truncate).await, Ok(0));

    let known = "SELECT external_id || ' ' || next_version FROM tenantd.former_tenants";
    assert_eq!(text(&rig, known).await, "acme 2");
}

/// What never had a secret has no number to go on from, however its row ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_never_had_a_secret_begins_at_the_number_that_was_asked_for() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let desired = "SELECT desired_version::text FROM tenantd.tenants";
    let terms = replica.terms.claim_terms();

    assert_eq!(replica.store.explain("acme", &terms).await.unwrap().unwrap().next_version(), 1);
    said(
        rig.pool(),
        "UPDATE tenantd.tenants SET phase = 'created', client_id = 'c', parked_reason = 'ClientMissing', message = 'm',
                due_at = NULL",
    )
    .await
    .unwrap();
    assert!(replica.store.recreate("acme", "ada").await.unwrap());
    assert_eq!(text(&rig, desired).await, "1", "made again");
    replica.store.forget("acme", "gone", "ada").await.unwrap().unwrap();
    assert_eq!(text(&rig, desired).await, "1", "forgotten");
    said(rig.pool(), "UPDATE tenantd.tenants SET desired_version = 3").await.unwrap();
    said(rig.pool(), DELETE).await.unwrap();
    rig.given_tenant("acme").await;
    assert_eq!(text(&rig, desired).await, "3", "inserted anew");
}

/// The statement looked back when it began, and knew of no key that was there before.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_deleted_while_a_statement_inserts_it_anew_gives_no_version_twice() {
    let db = test_db().await;
    let given = "INSERT INTO tenantd.tenants (external_id, host, desired_state, desired_version)
                 VALUES ('acme', 'acme.us.qlikcloud.com', 'absent', 3)";
    said(&db.pool, given).await.unwrap();
    let mut gate = db.pool.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(7)").execute(&mut *gate).await.unwrap();
    let anew = "INSERT INTO tenantd.tenants (external_id, host)
                SELECT 'acme', 'other.us.qlikcloud.com' FROM (SELECT pg_advisory_lock(7)) AS gate";
    let pool = db.pool.clone();
    let inserting = tokio::spawn(async move { sqlx::query(anew).execute(&pool).await });
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&db.pool).await.unwrap() {
        tokio::task::yield_now().await;
    }

    assert_eq!(said(&db.pool, DELETE).await, Ok(1));
    sqlx::query("SELECT pg_advisory_unlock(7)").execute(&mut *gate).await.unwrap();
    let error = inserting.await.unwrap().unwrap_err().into_database_error().unwrap();

    assert_eq!(error.code().as_deref(), Some("40001"), "{error}");
    said(&db.pool, "SELECT pg_advisory_unlock_all()").await.unwrap();
    said(
        &db.pool,
        "INSERT INTO tenantd.tenants (external_id, host) VALUES ('acme', 'other.us.qlikcloud.com')",
    )
    .await
    .unwrap();
    let version: i32 =
        sqlx::query_scalar("SELECT desired_version FROM tenantd.tenants").fetch_one(&db.pool).await.unwrap();
    assert_eq!(version, 3, "repeated, it goes on behind what was seen");
}
