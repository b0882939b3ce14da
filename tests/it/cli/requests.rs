//! Rotation, rollback, removal, forgetting, another client: asked for by hand.

use super::support::Bench;

/// A client's secret of this version, sealed but for its contents.
async fn given_secret(bench: &Bench, external_id: &str, version: i32, standing: &str) {
    sqlx::query(
        "INSERT INTO tenantd.secrets (tenant_id, client_id, standing, version, sealed, key_id, proven_at, retire_at)
         SELECT tenant_id, 'cid', $3, $2, 'a.b.c.d.e', 'k', now(),
                CASE $3 WHEN 'previous' THEN now() + interval '1 day' END
           FROM tenantd.tenants WHERE external_id = $1",
    )
    .bind(external_id)
    .bind(version)
    .bind(standing)
    .execute(&bench.db.pool)
    .await
    .unwrap();
}

async fn given_ready(bench: &Bench, external_id: &str) {
    bench.given_tenant(external_id).await;
    bench.make_ready(external_id).await;
    given_secret(bench, external_id, 1, "current").await;
}

/// The effects that the history names.
async fn effects(bench: &Bench) -> Vec<(String, String)> {
    sqlx::query_as("SELECT effect, message FROM tenantd.attempts ORDER BY attempt_id")
        .fetch_all(&bench.db.pool)
        .await
        .unwrap()
}

async fn phase_and_reason(bench: &Bench, external_id: &str) -> (String, Option<String>) {
    sqlx::query_as("SELECT phase, reason FROM tenantd.status WHERE external_id = $1")
        .bind(external_id)
        .fetch_one(&bench.db.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_rotation_says_which_version_comes_and_one_that_cannot_be_stops_no_other() {
    let bench = Bench::new().await;
    bench.given_tenant("new").await;
    given_ready(&bench, "a").await;

    let ran = bench.tenantd(&["tenant", "rotate", "new", "a"]).await;
    let again = bench.tenantd(&["tenant", "rotate", "a"]).await;
    let waited = bench.tenantd(&["tenant", "rotate", "a", "--wait", "--timeout", "200ms"]).await;

    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (1, "a gets version 2; `tenantd tenant wait a --version 2` waits for it\n")
    );
    assert!(ran.stderr.contains("new has no secret to rotate: new is not ready yet"), "{ran:?}");
    assert!(again.stdout.contains("a gets version 3"), "{again:?}");
    assert!(waited.code == 5 && waited.stdout.contains("a has version 1 and not 4 yet"), "{waited:?}");
    let is_due: bool =
        sqlx::query_scalar("SELECT due_at <= now() FROM tenantd.tenants WHERE external_id = 'a'")
            .fetch_one(&bench.db.pool)
            .await
            .unwrap();
    assert!(is_due, "the daemon is to go on at once");
}

#[tokio::test]
async fn waiting_for_a_version_ends_when_it_serves_or_needs_a_human() {
    let bench = Bench::new().await;
    given_ready(&bench, "a").await;
    let wait = ["tenant", "wait", "a", "--version", "2", "--timeout", "200ms"];

    let early = bench.tenantd(&wait).await;
    bench.park("a", "ProofRefused").await;
    let parked = bench.tenantd(&wait).await;
    bench.sql("UPDATE tenantd.tenants SET current_version = 3").await;
    let later = bench.tenantd(&wait).await;

    assert_eq!((early.code, parked.code, later.code), (5, 4, 0), "{early:?} {parked:?} {later:?}");
    assert!(parked.stdout.contains("a has version 1 and not 2 yet: do this"), "{parked:?}");
}

#[tokio::test]
async fn a_rollback_makes_the_previous_secret_current_and_says_why_not_otherwise() {
    let bench = Bench::new().await;
    given_ready(&bench, "a").await;
    given_ready(&bench, "lonely").await;
    bench
        .sql("UPDATE tenantd.tenants SET current_version = 2, desired_version = 2 WHERE external_id = 'a'")
        .await;
    bench
        .sql(
            "UPDATE tenantd.secrets SET standing = 'previous', retire_at = now() + interval '1 day'
               WHERE tenant_id = (SELECT tenant_id FROM tenantd.tenants WHERE external_id = 'a')",
        )
        .await;
    given_secret(&bench, "a", 2, "current").await;
    bench.given_tenant("new").await;

    let done = bench.tenantd(&["tenant", "rotate", "--rollback", "a"]).await;
    let lonely = bench.tenantd(&["tenant", "rotate", "--rollback", "lonely"]).await;
    let new = bench.tenantd(&["tenant", "rotate", "--rollback", "new"]).await;
    let nobody = bench.tenantd(&["tenant", "rotate", "--rollback", "nobody"]).await;

    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        done.stdout,
        "a: the secret of version 1 is current again, as version 3; version 2 lives on for 7days\n"
    );
    lonely.assert_refused(1, &["lonely is not rolled back: no previous secret", "tenantd tenant rotate"]);
    new.assert_refused(1, &["its phase is pending"]);
    nobody.assert_refused(1, &["\"nobody\""]);
    assert_eq!(effects(&bench).await[0].0, "rollback");
}

#[tokio::test]
async fn a_removal_is_asked_for_only_with_yes_and_names_the_budget() {
    let bench = Bench::new().await;
    given_ready(&bench, "a").await;
    bench.given_tenant("new").await;

    let refused = bench.tenantd(&["tenant", "remove", "a", "new"]).await;
    let untouched = phase_and_reason(&bench, "a").await;
    let unknown = bench.tenantd(&["tenant", "remove", "a", "nobody"]).await;
    let removed = bench.tenantd(&["tenant", "remove", "a", "new", "--yes"]).await;
    let again = bench.tenantd(&["tenant", "remove", "new", "--yes"]).await;

    refused.assert_refused(
        2,
        &[
            "2 tenants for good",
            "add --yes",
            "a: client cid on a.us.qlikcloud.com",
            "new: no client is known",
        ],
    );
    assert_eq!(untouched, ("ready".to_owned(), None));
    unknown.assert_refused(1, &["\"nobody\""]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert!(
        removed.stdout.contains("a is to be removed, as [budget] removals_per_hour allows"),
        "{removed:?}"
    );
    assert!(removed.stdout.contains("new is removed: nothing was ever sent for it"), "{removed:?}");
    assert!(again.code == 0 && again.stdout.starts_with("nothing to do: new"), "{again:?}");
    assert_eq!(phase_and_reason(&bench, "a").await, ("ready".to_owned(), Some("AwaitingBudget".to_owned())));
}

#[tokio::test]
async fn a_tenant_is_forgotten_only_with_yes_and_what_may_still_live_is_told() {
    let bench = Bench::new().await;
    given_ready(&bench, "a").await;

    let refused = bench.tenantd(&["tenant", "forget", "a", "--reason", "it is gone"]).await;
    let untouched = phase_and_reason(&bench, "a").await;
    let forgotten = bench.tenantd(&["tenant", "forget", "a", "--reason", "it is gone", "--yes"]).await;

    refused.assert_refused(2, &["deletes nothing in Qlik", "--yes", "client cid on a.us.qlikcloud.com"]);
    assert_eq!(untouched, ("ready".to_owned(), None));
    assert_eq!(forgotten.code, 0, "{forgotten:?}");
    assert!(forgotten.stdout.starts_with("a is forgotten; 1 secret shredded\n"), "{forgotten:?}");
    assert!(
        forgotten
            .stdout
            .contains("may still live on a.us.qlikcloud.com: client cid, which bears [tenantd:1:"),
        "{forgotten:?}"
    );
    assert_eq!(phase_and_reason(&bench, "a").await, ("removed".to_owned(), Some("Removed".to_owned())));
    let told = effects(&bench).await;
    assert!(told[0].0 == "forget" && told[0].1.starts_with("it is gone; its client: cid;"), "{told:?}");
    let deleted = sqlx::query("DELETE FROM tenantd.tenants").execute(&bench.db.pool).await.unwrap();
    assert_eq!(deleted.rows_affected(), 1, "a forgotten row may be deleted");
}

#[tokio::test]
async fn another_client_is_made_only_for_a_tenant_whose_client_is_missing() {
    let bench = Bench::new().await;
    given_ready(&bench, "a").await;

    let refused = bench.tenantd(&["tenant", "retry", "--recreate", "a"]).await;
    bench.park("a", "ClientMissing").await;
    let begun = bench.tenantd(&["tenant", "retry", "--recreate", "a"]).await;

    refused.assert_refused(1, &["only a tenant that is parked as ClientMissing", "a is ready"]);
    assert!(begun.code == 0 && begun.stdout.contains("a gets another client"), "{begun:?}");
    assert_eq!(phase_and_reason(&bench, "a").await, ("creating".to_owned(), Some("Queued".to_owned())));
    assert_eq!(effects(&bench).await[0].0, "recreate");
}

#[tokio::test]
async fn retry_brings_forward_what_waits_in_every_phase_and_leaves_plans_and_the_budget_alone() {
    let bench = Bench::new().await;
    let rest = "wait_reason = 'Retrying', message = 'm', failures = 3, due_at = now() + interval '1 h'";
    let client = "client_id = 'cid'";
    let proven = format!("{client}, current_version = 1, ready_at = now()");
    let cases = [
        ("creating", format!("phase = 'creating', {rest}"), true),
        ("created", format!("phase = 'created', {client}, {rest}"), true),
        ("trusted", format!("phase = 'trusted', {client}, {rest}"), true),
        ("failing", format!("phase = 'ready', {proven}, {rest}"), true),
        ("rotating", format!("phase = 'rotating', {proven}, {rest}"), true),
        ("proving", format!("phase = 'proving', {proven}, {rest}"), true),
        ("removing", format!("phase = 'removing', desired_state = 'absent', {client}, {rest}"), true),
        ("turned", format!("phase = 'removing', {client}, {rest}"), true),
        ("healthy", format!("phase = 'ready', {proven}, due_at = now() + interval '1 h'"), false),
        ("awaiting", format!("phase = 'ready', {proven}, desired_state = 'absent', due_at = NULL"), false),
        ("removed", "phase = 'removed', desired_state = 'absent', due_at = NULL".to_owned(), false),
    ];
    // Rows as the daemon leaves them, and not as an owner's edit would.
    bench.sql("ALTER TABLE tenantd.tenants DISABLE TRIGGER accept_update").await;
    for (name, columns, is_retried) in cases {
        bench.given_tenant(name).await;
        bench.sql("ALTER TABLE tenantd.tenants DISABLE TRIGGER wake").await;
        bench.sql(&format!("UPDATE tenantd.tenants SET {columns} WHERE external_id = '{name}'")).await;
        bench.sql("ALTER TABLE tenantd.tenants ENABLE TRIGGER wake").await;

        let ran = bench.tenantd(&["tenant", "retry", name]).await;

        let expected =
            if is_retried { format!("{name} is due at once\n") } else { "nothing to do: ".to_owned() };
        assert!(ran.code == 0 && ran.stdout.starts_with(&expected), "{name}: {ran:?}");
        let is_due: bool = sqlx::query_scalar(
            "SELECT coalesce(due_at <= now(), false) FROM tenantd.tenants WHERE external_id = $1",
        )
        .bind(name)
        .fetch_one(&bench.db.pool)
        .await
        .unwrap();
        assert_eq!(is_due, is_retried, "{name}");
    }
}

#[tokio::test]
async fn a_parked_tenant_that_is_to_be_removed_goes_on_waiting_for_the_budget() {
    let bench = Bench::new().await;
    given_ready(&bench, "a").await;
    bench.sql("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    bench.park("a", "GaveUp").await;

    let ran = bench.tenantd(&["tenant", "retry", "a"]).await;

    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "a is no longer parked and waits for the removal budget\n")
    );
    assert_eq!(phase_and_reason(&bench, "a").await, ("ready".to_owned(), Some("AwaitingBudget".to_owned())));
}
