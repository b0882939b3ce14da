//! The daemon's role can do all that the program does.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantd::domain::filter::Filter;
use tenantd::domain::ids::RegionName;
use tenantd::domain::machine::effect::EffectKind;
use tenantd::ports::Clock;
use tenantd::postgres::fleet::rights::Evidence;
use tenantd::postgres::operator::pauses::End;
use tenantd::postgres::operator::tenants::NewTenant;
use tenantd::postgres::operator::verbs::{Task, Verb};
use tenantd::postgres::work::lease::Renewal;
use tenantd::simulator::{Behaviour, Endpoint, Fault, FaultPlan};

use crate::support::rig::{BOT, LEASE, Rig, SETTLE};
use crate::support::roles::{DAEMON, pool_as, test_db_with_roles, try_as};

/// Every effect there is: a plain way, a lost create and a late one.
#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_provisions_with_no_more_than_its_rights() {
    let quiet = Behaviour { rate_limits: None, ..Behaviour::default() };
    let rig = Rig::new(quiet, FaultPlan::none()).await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    replica.store.adopt_regions(&replica.terms.claim_terms()).await.unwrap();
    rig.given_tenant("plain").await;
    let lost = rig.given_tenant("lost").await;
    let late = rig.given_tenant("late").await;
    rig.world.script(&lost, Endpoint::CreateClient, [Fault::close_after()]);
    rig.world.script(&late, Endpoint::CreateClient, [Fault::late(SETTLE + SETTLE / 2)]);
    rig.given_tenant("parked").await;
    sqlx::query("UPDATE tenantd.tenants SET host = 'parked.elsewhere.example' WHERE external_id = 'parked'")
        .execute(rig.pool())
        .await
        .unwrap();

    rig.work_until_quiet(&replica).await;

    let states: Vec<(String, bool, Option<String>)> =
        sqlx::query_as("SELECT external_id, ready, reason FROM tenantd.status ORDER BY external_id")
            .fetch_all(rig.pool())
            .await
            .unwrap();
    let ready = |name: &str| (name.to_owned(), true, None);
    assert_eq!(
        states,
        [
            ready("late"),
            ready("lost"),
            ("parked".to_owned(), false, Some("HostNotAllowed".to_owned())),
            ready("plain")
        ]
    );
}

/// What the credential's later life needs: a rotation with its retirement, an audit with
/// every repair, a removal.
#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_rotates_mends_and_removes_with_no_more_than_its_rights() {
    let quiet = Behaviour { rate_limits: None, ..Behaviour::default() };
    let rig = Rig::new(quiet, FaultPlan::none()).await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    let write = async |statement: &'static str| {
        sqlx::raw_sql(statement).execute(replica.store.connections()).await.unwrap();
        rig.work_until_quiet(&replica).await;
    };
    let ledger = || rig.world.at(rig.clock.now()).ledger();
    rig.work_until_quiet(&replica).await;
    let client = ledger().live_clients_of(&host).next().unwrap().clone();

    write("UPDATE tenantd.tenants SET desired_version = 2").await;
    assert_eq!((ledger().live_secrets, ledger().secrets_made), (1, 2));
    {
        let mut moment = rig.world.at(rig.clock.now());
        let mut console = moment.console(&host, "ada").unwrap();
        console.set_trusted(&client.client_id, false).unwrap();
        console.edit(&client.client_id, |draft| draft.client_name = "renamed".into()).unwrap();
        moment.console(&host, BOT).unwrap().add_client(client.draft.clone(), false).unwrap();
    }
    write("UPDATE tenantd.tenants SET repair_scope = 'all', due_at = tenantd.clock()").await;
    let live: Vec<_> =
        ledger().live_clients_of(&host).map(|client| (client.name.clone(), client.is_trusted)).collect();
    assert_eq!(live, [("portal".to_owned(), true)]);

    write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    write("UPDATE tenantd.tenants SET removal_admitted_at = tenantd.clock(), due_at = tenantd.clock()").await;
    assert_eq!(ledger().live_clients, 0);
    assert_eq!(replica.store.status("acme").await.unwrap().unwrap().phase, "removed");
}

/// What commands and budgets write, on tables of their own.
#[tokio::test]
async fn the_daemon_bounds_changes_and_pauses_regions_with_no_more_than_its_rights() {
    let db = test_db_with_roles().await;
    for (statement, rows) in [
        ("SELECT FROM tenantd.rollouts WHERE kind = 'rotation' FOR UPDATE", 1),
        ("UPDATE tenantd.rollouts SET stage = 'canary', since = now(), started_at = now(), message = NULL", 4),
        (
            "INSERT INTO tenantd.changes (kind, tenant_id, target_version) VALUES ('rotation', gen_random_uuid(), 2);
             UPDATE tenantd.changes SET ended_at = now(), outcome = 'done';
             DELETE FROM tenantd.changes WHERE started_at <= tenantd.clock()",
            3,
        ),
        (
            "INSERT INTO tenantd.pauses (region, reason) VALUES ('us', 'm')
             ON CONFLICT (region) DO UPDATE SET reason = excluded.reason, paused_until = excluded.paused_until;
             UPDATE tenantd.pauses SET reason = 'n', paused_at = now(), paused_until = now();
             DELETE FROM tenantd.pauses",
            3,
        ),
        (
            "UPDATE tenantd.installation
                SET database_id = current_database(), rejoined_at = now(), deletions_held_at = now(), held_reason = 'm',
                    system_identifier = (SELECT system_identifier::text FROM pg_control_system()),
                    timeline = (SELECT timeline_id FROM pg_control_checkpoint())",
            1,
        ),
    ] {
        assert_eq!(try_as(&db.pool, DAEMON, statement).await, Ok(rows), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_keeps_its_leases_breakers_and_history_with_no_more_than_its_rights() {
    let rig = Rig::plain().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    let (store, us, minute) = (&replica.store, RegionName::new("us"), Duration::from_mins(1));
    let new = NewTenant {
        external_id: "added".into(),
        host: "added.us.qlikcloud.com".into(),
        profile: "default".into(),
        client_name: None,
        redirect_uris: None,
        priority: 0,
    };

    assert!(store.add_tenant(&new).await.unwrap());
    let claimed = rig.claim(&replica).await.unwrap();
    let (tenant, fence) = (claimed.tenant_id, claimed.fence);
    assert_eq!(store.renew(&[(tenant, fence)], LEASE).await.unwrap(), [Renewal { tenant, is_renewed: true }]);
    store.give_back(tenant, fence).await.unwrap();
    let fence = store.lease_one(tenant, LEASE).await.unwrap().expect("nobody has it");
    store.give_back(tenant, fence).await.unwrap();
    store.recheck_later(tenant, minute).await.unwrap();
    store.record(tenant, "reveal", "shown").await.unwrap();
    assert_eq!(store.history(tenant, 10).await.unwrap().len(), 1);
    rig.advance(minute * 2).await;
    assert_eq!(store.prune_history(minute, 10).await.unwrap(), 1);

    assert!(store.open_breaker(&us, 0, minute, minute).await.unwrap());
    rig.advance(minute).await;
    assert!(store.take_probe(&us, minute).await.unwrap().is_some());
    assert_eq!(store.close_breaker(&us).await.unwrap(), 0);
    store.token_seen(&us, Duration::ZERO).await.unwrap();
    assert_eq!(store.breakers().await.unwrap().len(), 1);

    sqlx::query(
        "UPDATE tenantd.tenants SET region = 'us', wait_reason = 'RightMissing', awaits_right = 'create',
                        right_refused_at = tenantd.clock()",
    )
    .execute(rig.pool())
    .await
    .unwrap();
    let evidence = Evidence { tenants: 3, ask_every: minute };
    assert!(store.note_missing_right(&us, EffectKind::Create, "why", evidence).await.unwrap());
    rig.advance(minute).await;
    let missing = store.missing_rights().await.unwrap();
    assert_eq!(store.ask_for_right(&missing[0], minute).await.unwrap(), Some(tenant));
    store.rights_granted(&[(us.clone(), EffectKind::Create, Duration::ZERO)]).await.unwrap();
    assert_eq!(store.right_is_back("us", "create").await.unwrap(), Some(1));
    assert_eq!(store.right_is_back("us", "create").await.unwrap(), None);

    assert!(store.status("added").await.unwrap().is_some());
    assert_eq!(store.list(&Filter::default(), "", 10).await.unwrap().len(), 1);
    assert_eq!(store.phases().await.unwrap().iter().map(|of| of.tenants).sum::<i64>(), 1);
    assert!(store.parked_reasons().await.unwrap().is_empty());
    store.fold_counts().await.unwrap();
    store.oldest_due().await.unwrap();
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 1);
    let keys = store.keys(&Filter::default(), "", 10).await.unwrap();
    assert_eq!(keys, ["added"]);
    let task = Task { verb: Verb::Resume, end: End::Open, reason: "why", by: "who" };
    assert_eq!(store.act_on_those(&Filter::default(), &keys, &task).await.unwrap().unchanged, 1);
    assert!(!store.retry("nobody").await.unwrap() && store.credential("added").await.unwrap().is_none());
    let steps = tenantd::postgres::schema::steps(store.connections()).await.unwrap();
    assert!(steps.iter().all(|step| step.is_applied));
}

/// Planning a statement checks every right that running it needs, so this holds
/// for queries that no other test here runs, and for those still to be written.
#[tokio::test]
async fn every_query_of_the_program_is_within_the_daemons_rights() {
    let db = test_db_with_roles().await;
    let pool = pool_as(DAEMON, &db.url).await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut planned = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let prepared = std::fs::read(file.unwrap().path()).unwrap();
        let prepared: serde_json::Value = serde_json::from_slice(&prepared).unwrap();
        let query = prepared["query"].as_str().unwrap();
        let parameters = prepared["describe"]["parameters"]["Left"].as_array().unwrap().len();
        let arguments = if parameters == 0 {
            String::new()
        } else {
            format!("({})", vec!["NULL"; parameters].join(", "))
        };

        // One that is refused stays prepared.
        let name = format!("q{planned}");
        let script =
            format!("PREPARE {name} AS {query}; EXPLAIN EXECUTE {name}{arguments}; DEALLOCATE {name}");
        let done = sqlx::raw_sql(AssertSqlSafe(script)).execute(&pool).await;

        // `keys rekey` runs as the schema's owner: a daemon must not be able to change what is sealed.
        let is_the_owners = query.contains("-- secrets.exchange");
        assert!(done.is_ok() != is_the_owners, "grant it in deploy/postgres/roles.sql: {done:?}\n{query}");
        planned += 1;
    }
    assert!(planned > 20, "only {planned} queries were found");
}
