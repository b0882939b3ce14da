//! Rows in every phase as the previous version left them: the schema is brought up under them,
//! and this version serves each to its end.

use std::borrow::Cow;

use sqlx::AssertSqlSafe;
use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, InstallationId, TenantId};
use tenantd::domain::mark::Mark;
use tenantd::domain::profile::{APP_TYPE, GRANTS};
use tenantd::domain::secret::ClientSecret;
use tenantd::ports::Clock;
use tenantd::postgres::migrate::migrate;
use tenantd::simulator::{Behaviour, Caller, Draft, FaultPlan, Grant, TokenRequest, World};
use tenantd::system::OsEntropy;
use tenantd::vault::{KeyKind, SealedFor, Vault};
use uuid::Uuid;

use crate::support::postgres::{TestDb, connections, empty_db};
use crate::support::rig::{LEASE, Rig, SUFFIX, TestClock, shared_keyring};

/// The last migration of the version that left the rows.
const BEFORE: i64 = 20_261_130_110_000;
const ROWS: &str = include_str!("phases.sql");

/// Tenants with a client at Qlik: whether its consent is trusted, and how many secrets it has.
const CLIENTS: [(&str, bool, usize); 18] = [
    ("sent", false, 1),
    ("settling", false, 1),
    ("minting", false, 2),
    ("created", false, 1),
    ("trusted", true, 1),
    ("blocked", true, 1),
    ("paused", true, 1),
    ("parked", true, 1),
    ("resting", true, 1),
    ("stale", true, 1),
    ("drifted", false, 1),
    ("edited", true, 1),
    ("retiring", true, 2),
    ("rotating", true, 2),
    ("proving", true, 2),
    ("unwanted", true, 1),
    ("admitted", true, 1),
    ("removing", true, 1),
];
/// All that are to have a credential in the end, and its version.
const READY: [(&str, i32); 19] = [
    ("new", 1),
    ("early", 1),
    ("sent", 1),
    ("unsent", 1),
    ("settling", 1),
    ("retrying", 1),
    ("minting", 1),
    ("created", 1),
    ("trusted", 1),
    ("blocked", 1),
    ("paused", 1),
    ("parked", 1),
    ("resting", 1),
    ("stale", 2),
    ("drifted", 1),
    ("edited", 1),
    ("retiring", 2),
    ("rotating", 2),
    ("proving", 2),
];
const REMOVED: [&str; 5] = ["unwanted", "admitted", "removing", "gone", "looking"];

/// The schema as the version before had it.
async fn old_schema() -> TestDb {
    let db = empty_db().await;
    db.write("CREATE SCHEMA tenantd").await;
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.table_name = Cow::Borrowed("tenantd._sqlx_migrations");
    let old = migrator.iter().filter(|migration| migration.version <= BEFORE).cloned().collect();
    migrator.migrations = Cow::Owned(old);
    migrator.run(&db.pool).await.unwrap();
    db
}

/// Makes the clients at Qlik, and puts them where the fixture names them.
async fn with_clients(db: &TestDb, world: &World) -> String {
    let installation: Uuid = sqlx::query_scalar("SELECT installation_id FROM tenantd.installation")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    let vault = Vault::new(shared_keyring(KeyKind::Symmetric));
    let mut rows = ROWS.replace("{now}", "'2027-01-15 08:00:01+00'::timestamptz");
    for (name, is_trusted, secrets) in CLIENTS {
        let tenant: Uuid = sqlx::query_scalar(AssertSqlSafe(format!("SELECT md5('{name}')::uuid")))
            .fetch_one(&db.pool)
            .await
            .unwrap();
        let (host, tenant_id) = (format!("{name}.{SUFFIX}"), TenantId(tenant));
        let mark = Mark { installation: InstallationId(installation), tenant: tenant_id };
        let (client, made) = make_client(world, &host, mark, is_trusted, secrets);
        rows = rows.replace(&format!("{{client {name}}}"), &client);
        let (host, client) = (Host::parse(&host).unwrap(), ClientId::new(client));
        for (number, (hint, secret)) in made.into_iter().enumerate() {
            let sealed_for = SealedFor { tenant_id, host: &host, client_id: &client };
            let sealed = vault.seal(&sealed_for, &ClientSecret::new(secret), &OsEntropy).unwrap();
            rows = rows
                .replace(&format!("{{hint {name} {}}}", number + 1), &hint)
                .replace(&format!("{{sealed {name} {}}}", number + 1), sealed.as_str())
                .replace("{key}", sealed.kid().as_str());
        }
    }
    rows
}

/// A client of ours; its id, and each secret's hint and text.
fn make_client(
    world: &World,
    host: &str,
    mark: Mark,
    is_trusted: bool,
    secrets: usize,
) -> (String, Vec<(String, String)>) {
    let draft = Draft {
        app_type: APP_TYPE.into(),
        allowed_grant_types: GRANTS.map(str::to_owned).to_vec(),
        client_name: "portal".into(),
        description: format!("Made by tenantd. {mark}"),
        redirect_uris: vec!["https://portal.example.com/callback".into()],
        allowed_scopes: vec!["user_default".into()],
        ..Draft::default()
    };
    let mut moment = world.at(TestClock::epoch());
    let grant = Grant::ClientCredentials;
    let request = TokenRequest { client_id: "region-client", secret: "region-secret", grant, scope: None };
    let granted = moment.grant_token(host, &request).unwrap();
    let caller = Caller { host, bearer: Some(granted.access_token.reveal()) };
    let created = moment.create_client(caller, draft, is_trusted).unwrap();
    let mut made = vec![(created.hint.unwrap(), created.secret.unwrap().reveal().to_owned())];
    for _ in 1..secrets {
        let minted = moment.mint_secret(caller, &created.client_id).unwrap();
        made.push((minted.view.hint.clone(), minted.secret.reveal().to_owned()));
    }
    (created.client_id, made)
}

async fn upgraded() -> Rig {
    let behaviour = Behaviour { rate_limits: None, ..Behaviour::default() };
    let world =
        World::new(behaviour, FaultPlan::none(), 7).with_region(SUFFIX, "region-client", "region-secret");
    let names = READY.iter().map(|(name, _)| *name).chain(REMOVED);
    for name in names {
        world.at(TestClock::epoch()).add_tenant(&format!("{name}.{SUFFIX}"));
    }
    let db = old_schema().await;
    let rows = with_clients(&db, &world).await;
    db.write(rows).await;
    let applied = migrate(&connections(&db.url, None), |_| {}).await.unwrap();
    assert!(applied.iter().all(|step| step.version > BEFORE) && !applied.is_empty());
    Rig::in_world(db, world).await
}

async fn words(rig: &Rig, query: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_all(rig.pool()).await.unwrap()
}

#[tokio::test]
async fn what_the_previous_version_left_in_any_phase_is_served_to_its_end() {
    let rig = upgraded().await;
    let replica = rig.replica().await;
    let leased =
        words(&rig, "SELECT external_id FROM tenantd.tenants WHERE lease_holder IS NOT NULL ORDER BY 1")
            .await;
    assert_eq!(leased, ["created", "minting", "removing", "rotating", "sent", "unsent"]);
    assert_counts_are_true(&rig).await;

    // Whoever has a lease of the previous version keeps it, until it is over.
    let first = replica.store.claim(&replica.terms.claim_terms(), 64).await.unwrap().rows;
    let early = first.iter().filter(|row| leased.contains(&row.external_id.to_string())).count();
    assert_eq!(early, 1, "only the lease of the one that died is over");
    for claimed in first {
        rig.work_on(&replica, claimed).await;
    }
    assert!(replica.store.retry("parked").await.unwrap());
    replica.admit_removals().await.unwrap();
    rig.advance(LEASE).await;
    rig.work_until_quiet(&replica).await;

    assert_all_is_served(&rig).await;
    assert_counts_are_true(&rig).await;
    let history: i64 = sqlx::query_scalar("SELECT count(*) FROM tenantd.attempts WHERE duration_ms = 120")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert_eq!(history, 16, "what was tried before is told still");
}

async fn assert_all_is_served(rig: &Rig) {
    let parked = words(
        rig,
        "SELECT external_id || ': ' || message FROM tenantd.tenants WHERE parked_reason IS NOT NULL",
    )
    .await;
    assert!(parked.is_empty(), "{parked:?}");
    let ledger = rig.world.at(rig.clock.now()).ledger();
    for (name, version) in READY {
        let row: (String, Option<i32>, Option<String>, Vec<String>) = sqlx::query_as(
            "SELECT phase, current_version, client_id, drift FROM tenantd.tenants WHERE external_id = $1",
        )
        .bind(name)
        .fetch_one(rig.pool())
        .await
        .unwrap();
        let live: Vec<_> = ledger.live_clients_of(&format!("{name}.{SUFFIX}")).collect();
        assert_eq!(live.len(), 1, "{name}: live clients");
        assert_eq!(row, ("ready".into(), Some(version), Some(live[0].client_id.clone()), vec![]), "{name}");
        assert!(live[0].is_trusted, "{name}: consent");
        let known = words(
            rig,
            &format!("SELECT hint FROM tenantd.secrets JOIN tenantd.tenants USING (tenant_id) WHERE external_id = '{name}' AND standing = 'current'"),
        )
        .await;
        let secrets: Vec<_> = live[0].live_secrets().map(|secret| secret.hint.clone()).collect();
        assert_eq!(secrets, known, "{name}: secrets");
    }
    for name in REMOVED {
        let phase =
            words(rig, &format!("SELECT phase FROM tenantd.tenants WHERE external_id = '{name}'")).await;
        assert_eq!(phase, ["removed"], "{name}");
        assert_eq!(ledger.live_clients_of(&format!("{name}.{SUFFIX}")).count(), 0, "{name}: live clients");
    }
    let edited = ledger.live_clients_of(&format!("edited.{SUFFIX}")).next().unwrap();
    assert_eq!(edited.draft.redirect_uris, ["https://new.example.com/callback"]);
}

/// The kept counts are those that a walk over the rows would find.
async fn assert_counts_are_true(rig: &Rig) {
    let counted: (i64, i64) = sqlx::query_as("SELECT tenants::bigint, removed::bigint FROM tenantd.totals")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    let there: (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE phase = 'removed' AND desired_state = 'absent') FROM tenantd.tenants",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap();
    assert_eq!(counted, there);
}
