//! What the state machine forbids, the schema refuses: an illegal row cannot be
//! written by anybody, not even by a defect of ours or by the owner's hand.
//!
//! The rule: every constraint has a case. The list comes from the catalog, so a
//! new constraint without one fails here.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgPool};

use crate::support::postgres::test_db;
use crate::support::roles::Refused;

use super::bad_rows::BAD;
use super::{given_pending, given_ready};

/// The constraint, its SQLSTATE, and what it refuses. `P` stands for a pending
/// row, `R` for a ready one.
const ILLEGAL: &[(&str, &str, &str)] = &[
    ("phase_is_known", "23514", "UPDATE tenantd.tenants SET phase = 'lost', due_at = now() WHERE R"),
    ("client_is_known_once_created", "23514", "UPDATE tenantd.tenants SET client_id = NULL WHERE R"),
    ("client_is_known_once_created", "23514", "UPDATE tenantd.tenants SET client_id = 'client' WHERE P"),
    ("unanswered_fits_the_phase", "23514", "UPDATE tenantd.tenants SET unanswered = 'create' WHERE P"),
    (
        "unanswered_fits_the_phase",
        "23514",
        "UPDATE tenantd.tenants SET unanswered = 'create', phase = 'creating', due_at = now() WHERE R",
    ),
    (
        "unanswered_fits_the_phase",
        "23514",
        "UPDATE tenantd.tenants SET unanswered = 'mint', phase = 'creating', due_at = now() WHERE R",
    ),
    (
        "client_is_known_once_created",
        "23514",
        "UPDATE tenantd.tenants SET phase = 'removed', current_version = NULL, ready_at = NULL WHERE R",
    ),
    (
        "client_is_known_once_created",
        "23514",
        "UPDATE tenantd.tenants SET phase = 'proving', client_id = NULL, due_at = now() WHERE R",
    ),
    (
        "unanswered_fits_the_phase",
        "23514",
        "UPDATE tenantd.tenants SET unanswered = 'create', phase = 'removing', due_at = now() WHERE R",
    ),
    (
        "unanswered_fits_the_phase",
        "23514",
        "UPDATE tenantd.tenants SET unanswered = 'mint', phase = 'rotating', due_at = now() WHERE R",
    ),
    (
        "unanswered_fits_the_phase",
        "23514",
        "UPDATE tenantd.tenants SET unanswered = 'mint', mint_snapshot = '{}' WHERE R",
    ),
    ("only_the_unanswered_settles", "23514", "UPDATE tenantd.tenants SET settles_at = now() WHERE P"),
    ("ready_has_a_proven_version", "23514", "UPDATE tenantd.tenants SET current_version = NULL WHERE R"),
    ("ready_has_a_proven_version", "23514", "UPDATE tenantd.tenants SET ready_at = NULL WHERE R"),
    (
        "ready_has_a_proven_version",
        "23514",
        "UPDATE tenantd.tenants SET phase = 'rotating', current_version = NULL, due_at = now() WHERE R",
    ),
    (
        "ready_has_a_proven_version",
        "23514",
        "UPDATE tenantd.tenants SET phase = 'proving', ready_at = NULL, due_at = now() WHERE R",
    ),
    (
        "removed_keeps_nothing",
        "23514",
        "UPDATE tenantd.tenants SET phase = 'removed', client_id = NULL, ready_at = NULL WHERE R",
    ),
    (
        "removed_keeps_nothing",
        "23514",
        "UPDATE tenantd.tenants SET phase = 'removed', client_id = NULL, current_version = NULL WHERE R",
    ),
    ("current_version_is_positive", "23514", "UPDATE tenantd.tenants SET current_version = 0 WHERE R"),
    (
        "acknowledged_version_is_not_ahead",
        "23514",
        "UPDATE tenantd.tenants SET acknowledged_version = 2 WHERE R",
    ),
    (
        "reasons_exclude_each_other",
        "23514",
        "UPDATE tenantd.tenants SET wait_reason = 'Retrying', parked_reason = 'GaveUp', message = 'm', due_at = NULL WHERE P",
    ),
    ("reasons_are_pascal_case", "23514", "UPDATE tenantd.tenants SET wait_reason = 'not yet' WHERE P"),
    (
        "parked_says_what_to_do",
        "23514",
        "UPDATE tenantd.tenants SET parked_reason = 'GaveUp', due_at = NULL WHERE P",
    ),
    ("nothing_waits_for_ever_in_silence", "23514", "UPDATE tenantd.tenants SET due_at = NULL WHERE P"),
    // Once it was let through, a removal never stops by itself.
    (
        "nothing_waits_for_ever_in_silence",
        "23514",
        "UPDATE tenantd.tenants SET desired_state = 'absent' WHERE R;
         UPDATE tenantd.tenants SET phase = 'removing', due_at = NULL WHERE R",
    ),
    (
        "nothing_waits_for_ever_in_silence",
        "23514",
        "UPDATE tenantd.tenants SET desired_state = 'absent' WHERE R;
         UPDATE tenantd.tenants SET phase = 'created', removal_admitted_at = now() WHERE R;
         UPDATE tenantd.tenants SET due_at = NULL WHERE R",
    ),
    ("repair_scope_is_known", "23514", "UPDATE tenantd.tenants SET repair_scope = 'some' WHERE R"),
    ("drift_has_a_beginning", "23514", "UPDATE tenantd.tenants SET drift = '{consent}' WHERE R"),
    ("drift_has_a_beginning", "23514", "UPDATE tenantd.tenants SET drifted_at = now() WHERE R"),
    ("a_pause_has_a_reason", "23514", "UPDATE tenantd.tenants SET paused_at = now() WHERE R"),
    ("a_pause_has_a_reason", "23514", "UPDATE tenantd.tenants SET pause_reason = 'm' WHERE R"),
    ("a_pause_has_a_reason", "23514", "UPDATE tenantd.tenants SET paused_until = now() WHERE R"),
    ("failures_are_counted_from_0", "23514", "UPDATE tenantd.tenants SET failures = -1 WHERE P"),
    ("lease_is_whole", "23514", "UPDATE tenantd.tenants SET lease_holder = gen_random_uuid() WHERE P"),
    ("lease_is_whole", "23514", "UPDATE tenantd.tenants SET lease_expires_at = now() WHERE P"),
    ("lease_is_counted_from_0", "23514", "UPDATE tenantd.tenants SET lease_epoch = -1 WHERE P"),
    ("lease_is_counted_from_0", "23514", "UPDATE tenantd.tenants SET lease_step = -1 WHERE P"),
    ("external_id_never_changes", "23514", "UPDATE tenantd.tenants SET external_id = 'x' WHERE P"),
    (
        "host_is_fixed_after_first_intent",
        "23514",
        "UPDATE tenantd.tenants SET host = 'x.us.qlikcloud.com' WHERE R",
    ),
    ("only_removed_tenants_are_deleted", "23514", "DELETE FROM tenantd.tenants WHERE P"),
    ("standing_is_known", "23514", "UPDATE tenantd.secrets SET standing = 'lost'"),
    ("the_proven_has_a_version", "23514", "UPDATE tenantd.secrets SET version = NULL"),
    ("the_proven_has_a_version", "23514", "UPDATE tenantd.secrets SET standing = 'discarded'"),
    ("version_is_positive", "23514", "UPDATE tenantd.secrets SET version = 0"),
    ("sealed_is_a_compact_jwe", "23514", "UPDATE tenantd.secrets SET sealed = 'in the clear'"),
    (
        "version_is_unique",
        "23505",
        "INSERT INTO tenantd.secrets (tenant_id, client_id, standing, version, sealed, key_id, proven_at)
         SELECT tenant_id, client_id, 'previous', version, sealed, key_id, proven_at FROM tenantd.secrets",
    ),
    (
        "one_current_one_unproven",
        "23P01",
        "INSERT INTO tenantd.secrets (tenant_id, client_id, standing, version, sealed, key_id, proven_at)
         SELECT tenant_id, client_id, 'current', 2, sealed, key_id, proven_at FROM tenantd.secrets",
    ),
    (
        "secrets_tenant_id_fkey",
        "23503",
        "INSERT INTO tenantd.secrets (tenant_id, client_id, sealed, key_id)
         VALUES (gen_random_uuid(), 'client', 'a.b.c.d.e', 'kid')",
    ),
    (
        "an_open_breaker_probes",
        "23514",
        "INSERT INTO tenantd.regions (region, opened_at) VALUES ('us', now())",
    ),
    (
        "a_missing_right_is_asked_for",
        "23514",
        "INSERT INTO tenantd.rights (region, effect, missing_since, answer) VALUES ('us', 'create', now(), 'a')",
    ),
    (
        "idempotency_key_is_short",
        "23514",
        "INSERT INTO tenantd.idempotency_keys (idempotency_key, request, answer)
         VALUES ('', sha256('asked'), '{}')",
    ),
    (
        "request_is_a_digest",
        "23514",
        "INSERT INTO tenantd.idempotency_keys (idempotency_key, request, answer) VALUES ('a', 'asked', '{}')",
    ),
    ("kind_is_known", "23514", "INSERT INTO tenantd.rollouts (kind) VALUES ('upgrade')"),
    ("stage_is_known", "23514", "UPDATE tenantd.rollouts SET stage = 'done', started_at = now()"),
    ("a_running_rollout_has_a_start", "23514", "UPDATE tenantd.rollouts SET stage = 'canary'"),
    (
        "a_halted_rollout_says_why",
        "23514",
        "UPDATE tenantd.rollouts SET stage = 'halted', started_at = now()",
    ),
    (
        "outcome_is_known",
        "23514",
        "INSERT INTO tenantd.changes (kind, tenant_id, ended_at, outcome)
         VALUES ('repair', gen_random_uuid(), now(), 'lost')",
    ),
    (
        "what_ended_has_an_outcome",
        "23514",
        "INSERT INTO tenantd.changes (kind, tenant_id, ended_at) VALUES ('repair', gen_random_uuid(), now())",
    ),
    (
        "what_ended_has_an_outcome",
        "23514",
        "INSERT INTO tenantd.changes (kind, tenant_id, outcome) VALUES ('repair', gen_random_uuid(), 'done')",
    ),
    (
        "changes_kind_fkey",
        "23503",
        "INSERT INTO tenantd.changes (kind, tenant_id) VALUES ('upgrade', gen_random_uuid())",
    ),
    ("a_hold_has_a_reason", "23514", "UPDATE tenantd.installation SET deletions_held_at = now()"),
    ("a_hold_has_a_reason", "23514", "UPDATE tenantd.installation SET held_reason = 'm'"),
    ("held_changes_hold_deletions", "23514", "UPDATE tenantd.installation SET changes_held_at = now()"),
    ("version_floor_is_positive", "23514", "UPDATE tenantd.installation SET version_floor = 0"),
    (
        "next_version_is_positive",
        "23514",
        "INSERT INTO tenantd.former_tenants (external_id, next_version) VALUES ('x', 0)",
    ),
    ("installation_has_one_row", "23514", "UPDATE tenantd.installation SET only_row = false"),
    ("counts_has_one_row", "23514", "UPDATE tenantd.counts SET only_row = false"),
];

#[tokio::test]
async fn illegal_rows_are_refused_whoever_writes_them() {
    let db = test_db().await;
    given_pending(&db.pool, "pending").await;
    given_ready(&db.pool, "ready").await;
    for (constraint, code, statement) in ILLEGAL {
        let refused = refusal(&db.pool, statement).await;

        let expected = Refused { code: (*code).into(), constraint: Some((*constraint).to_owned()) };
        assert_eq!(refused, Some(expected), "{statement}");
    }
}

#[tokio::test]
async fn every_constraint_of_the_schema_has_a_case() {
    let db = test_db().await;
    let cases: BTreeSet<&str> =
        ILLEGAL.iter().map(|case| case.0).chain(BAD.iter().map(|case| case.0)).collect();

    // Checks of tables, foreign keys and uniqueness, and the rules of check_wants(): the second
    // item of each of its lists. Primary keys and NOT NULL need no words.
    let constraints: Vec<String> = sqlx::query_scalar(
        "SELECT conname::text FROM pg_constraint
          WHERE connamespace = 'tenantd'::regnamespace AND contype IN ('c', 'f', 'u', 'x')
         UNION ALL
         SELECT rule[1] FROM pg_proc, regexp_matches(prosrc, 'ARRAY..[a-z_]+., .([a-z0-9_]+)', 'g') AS rule
          WHERE pronamespace = 'tenantd'::regnamespace AND proname = 'check_wants'",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();

    let missing: Vec<&String> = constraints.iter().filter(|name| !cases.contains(name.as_str())).collect();
    assert!(constraints.len() > 60 && missing.is_empty(), "without a case: {missing:?}");
}

async fn refusal(pool: &PgPool, statement: &str) -> Option<Refused> {
    let statement = statement.replace("WHERE P", "WHERE external_id = 'pending'");
    let statement = statement.replace("WHERE R", "WHERE external_id = 'ready'");
    let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await;
    done.err().map(|error| Refused::from(&error))
}
