//! `tenantd rejoin` tells what is so: how many are left, and what to do where it refuses.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::support::Bench;

/// A ready tenant that was worked on, and a rejoin whose process was killed right after it.
async fn asleep() -> Bench {
    let bench = Bench::new().await;
    bench.given_tenant("acme").await;
    bench.make_ready("acme").await;
    bench
        .db
        .write(
            "UPDATE tenantd.tenants SET region = 'us', lease_epoch = 1;
             UPDATE tenantd.installation
                SET rejoin_epoch = 1, rejoined_at = now(), deletions_held_at = now(), held_reason = 'a restore';
             INSERT INTO tenantd.passes (pass, asked, since) VALUES ('distrust', '1', now())",
        )
        .await;
    bench
}

#[tokio::test]
async fn nobody_agrees_while_a_tenant_is_to_be_woken_and_the_refusal_says_what_to_do() {
    let bench = asleep().await;

    let status = bench.tenantd(&["rejoin", "--status"]).await;
    assert!(status.stdout.contains("1 tenant to look at, 1 tenant to wake for it"), "{status:?}");
    for words in [&["rejoin", "--agree"][..], &["rejoin", "--agree", "--yes"]] {
        bench
            .tenantd(words)
            .await
            .assert_refused(1, &["1 tenant to wake", "a running daemon wakes", "--status"]);
    }
    // What comes first is said first.
    bench.sql("UPDATE tenantd.installation SET changes_held_at = now()").await;
    bench.tenantd(&["rejoin", "--agree"]).await.assert_refused(1, &["`tenantd rejoin --confirm` first"]);

    let confirmed = bench.tenantd(&["rejoin", "--confirm"]).await;
    assert!(confirmed.stdout.contains("changes at Qlik Cloud go on"), "{confirmed:?}");
    assert!(confirmed.stdout.contains("looked at: 1 tenant to look at; nothing"), "{confirmed:?}");
    bench.tenantd(&["rejoin", "--agree"]).await.assert_refused(1, &["1 tenant not looked at yet", "--yes"]);
    let agreed = bench.tenantd(&["rejoin", "--agree", "--yes"]).await;
    assert_eq!((agreed.code, agreed.stdout.as_str()), (0, "deletions at Qlik Cloud go on\n"), "{agreed:?}");
}

#[tokio::test]
async fn a_rejoin_counts_whoever_holds_a_row_and_says_who_is_left() {
    let bench = asleep().await;
    let mut pipeline = PgConnection::connect(&bench.db.url).await.unwrap();
    let mut open = pipeline.begin().await.unwrap();
    sqlx::query("SELECT FROM tenantd.tenants FOR UPDATE").execute(&mut *open).await.unwrap();

    let rejoined = bench.tenantd(&["rejoin"]).await;

    assert_eq!(rejoined.code, 0, "{rejoined:?}");
    assert!(rejoined.stderr.contains("every tenant is looked at before anything is done"), "{rejoined:?}");
    assert!(rejoined.stdout.contains("1 tenant to look at, 1 tenant to wake for it"), "{rejoined:?}");
    open.rollback().await.unwrap();
    let rejoined = bench.tenantd(&["rejoin"]).await;
    assert!(rejoined.stdout.contains("1 tenant to look at\n"), "{rejoined:?}");
}

#[tokio::test]
async fn a_rejoin_that_counts_and_could_not_wake_everybody_is_not_to_be_repeated() {
    let bench = asleep().await;
    bench
        .db
        .write(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$;
             CREATE TRIGGER zz_refuse BEFORE UPDATE OF must_look ON tenantd.tenants
                 FOR EACH ROW EXECUTE FUNCTION public.refuse()",
        )
        .await;

    let ran = bench.tenantd(&["rejoin"]).await;

    assert_eq!(ran.code, 1, "{ran:?}");
    for part in ["this counts and need not be repeated", "the disk is full", "--status"] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
    let status = bench.tenantd(&["rejoin", "--status", "--output", "json"]).await.json();
    assert_eq!((status["to_wake"].as_i64(), status["to_look_at"].as_i64()), (Some(1), Some(1)), "{status}");
}
