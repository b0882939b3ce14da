//! What each page tells, and what none does.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{ACTS, LOOKS, Served};

const SENTINEL: &str = "s3ntinel0f";

#[tokio::test]
async fn a_tenant_is_told_with_what_is_next_what_keeps_it_and_what_was_tried() {
    let served = Served::new().await;
    served.given_tenants(["customer-1"]).await;
    served
        .db
        .write(
            "UPDATE tenantd.tenants SET parked_reason = 'NameTaken', message = 'rename it', due_at = NULL;
             INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, http_status, message, started_at,
                                           duration_ms, holder)
             SELECT tenant_id, 'pending', 'create', 'permanent', 409, 'taken ' || n, now(), 12, gen_random_uuid()
               FROM tenantd.tenants, generate_series(1, 3) AS n",
        )
        .await;

    let told = served.get("/tenants/customer-1?attempts=2").await.json();

    assert_eq!((&told["external_id"], &told["reason"]), (&"customer-1".into(), &"NameTaken".into()));
    assert_eq!(told["explanation"]["next"], "creates its client");
    assert_eq!(told["explanation"]["blockers"][0]["blocker"], "Parked");
    let attempts: Vec<_> = told["attempts"].as_array().unwrap().iter().map(|a| &a["message"]).collect();
    assert_eq!(attempts, ["taken 2", "taken 3"]);
}

#[tokio::test]
async fn regions_the_fleet_and_workers_are_told_as_the_commands_tell_them() {
    let served = Served::new().await;
    served.given_tenants(["a", "b", "c"]).await;
    served
        .db
        .write(
            "INSERT INTO tenantd.regions (region, opened_at, probe_at) VALUES ('eu', NULL, NULL), ('us', now(), now());
             INSERT INTO tenantd.pauses (region, reason, paused_at) VALUES ('eu', 'works', now()), ('*', 'all', now());
             UPDATE tenantd.tenants SET lease_holder = '00000000-0000-0000-0000-000000000001', leased_at = now(),
                    lease_epoch = 1, lease_expires_at = now() + interval '1 hour' WHERE external_id <> 'c';
             UPDATE tenantd.tenants SET lease_holder = '00000000-0000-0000-0000-000000000002', leased_at = now(),
                    lease_epoch = 1, lease_expires_at = now() - interval '1 hour' WHERE external_id = 'c'",
        )
        .await;

    let (regions, fleet) = (served.get("/regions").await.json(), served.get("/fleet").await.json());
    let workers = served.get("/workers").await.json();

    let of = |at: usize| &regions["regions"][at];
    assert_eq!((&of(0)["region"], &of(0)["pause"]["reason"]), (&"eu".into(), &"works".into()));
    assert!(of(0)["opened_at"].is_null() && of(1)["opened_at"].is_string() && of(1)["pause"].is_null());
    assert_eq!(fleet["pauses"].as_array().unwrap().len(), 2);
    assert_eq!((&fleet["phases"]["pending"], &fleet["budgets"][0]["limit"]), (&3.into(), &3.into()));
    let workers = workers["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 1, "a lease that has run out is nobody's: {workers:?}");
    assert_eq!(workers[0]["tenants"], 2);
}

#[tokio::test]
async fn no_page_tells_a_secret_sealed_or_not_nor_a_hint_nor_a_token() {
    let served = Served::new().await;
    served.given_tenants(["customer-1"]).await;
    served
        .db
        .write(format!(
            "UPDATE tenantd.tenants SET phase = 'ready', client_id = 'cid', current_version = 1, due_at = NULL, ready_at = now(),
                    mint_snapshot = '{{{SENTINEL}}}';
             INSERT INTO tenantd.secrets (tenant_id, client_id, hint, sealed, key_id, standing, version, proven_at)
             SELECT tenant_id, 'cid', '{SENTINEL}', '{SENTINEL}.a.b.c.d', '{SENTINEL}', 'current', 1, now()
               FROM tenantd.tenants"
        ))
        .await;

    for path in
        ["/tenants", "/tenants/customer-1", "/regions", "/fleet", "/workers", "/openapi.json", "/nowhere"]
    {
        let reply = served.get(path).await;

        for word in [SENTINEL, LOOKS, ACTS] {
            assert!(!reply.body.contains(word) && !reply.head.contains(word), "{path}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn every_answer_keeps_browsers_and_caches_from_making_anything_of_it() {
    let served = Served::new().await;
    let token = format!("authorization: Bearer {LOOKS}\r\norigin: https://evil.example\r\n");

    for first in ["GET /api/v1/fleet", "GET /api/v1/none", "OPTIONS /api/v1/fleet", "GET /api/v1/tenants?x=1"]
    {
        let reply = served.ask(first, &token, "").await;

        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{reply:?}");
        assert!(reply.header("content-security-policy").unwrap().contains("default-src 'none'"), "{reply:?}");
        assert!(!reply.head.contains("access-control-"), "{reply:?}");
    }
}

#[tokio::test]
async fn who_reads_nothing_of_what_was_asked_for_keeps_nobody_waiting() {
    let served = Served::new().await;
    served.given_tenants(["a", "b", "c"]).await;
    let ask =
        format!("GET /api/v1/tenants HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {LOOKS}\r\n\r\n");
    let mut held = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        // Nor does who sends half a request.
        let mut half = TcpStream::connect(served.address).await.unwrap();
        half.write_all(&ask.as_bytes()[..40]).await.unwrap();
        held.extend([stream, half]);
    }

    let reply = served.get("/tenants").await;

    assert_eq!(reply.status, 200, "{reply:?}");
}
