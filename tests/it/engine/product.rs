//! What the core says of a row is what the claim does with it, what `explain` tells of it and
//! what the view shows, over the whole product of the facts that decide.
//!
//! The rule: the facts that the core is asked about are read by a statement of this file, and
//! what is around the row is known because it was made here.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use tenantd::domain::host::HostPattern;
use tenantd::domain::ids::RegionName;
use tenantd::domain::place::Hold;
use tenantd::domain::region::RegionMap;
use tenantd::domain::tenant::Unanswered;
use tenantd::domain::waiting::{Breaker, Configured, Facts, Fleet, Lease, Pause, Row, Taken, Told};
use tenantd::postgres::work::claim::ClaimTerms;
use tenantd::vault::KeyKind;
use uuid::Uuid;

use super::rig;
use crate::support::rig::{Replica, Rig, SETTLE, terms};

const CANDIDATES: &str = include_str!("product.sql");
const CONFIGURED: [&str; 5] = ["us", "eu", "ap", "jp", "sg"];
/// How many faults are shown; there are many of each kind.
const SHOWN: usize = 12;

type At = DateTime<Utc>;

/// The phases of which there is everything, what is written of the installation and of pauses,
/// and the same for the core.
struct World {
    phases: &'static str,
    written: &'static str,
    hold: Option<Hold>,
    rejoined: Option<TimeDelta>,
    /// Of the installation, and pairs of the rejoin and the lease of rows.
    rejoin_epoch: i32,
    epochs: &'static str,
    fleet_pause: bool,
    /// So many rows at least, or it is a test of little.
    rows: usize,
}

/// A row before and after everything was claimed, and what the view showed of it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
struct Read {
    tenant_id: Uuid,
    external_id: String,
    phase: String,
    desired_state: String,
    removal_admitted_at: Option<At>,
    host: String,
    region: String,
    profile: String,
    due_at: Option<At>,
    not_before: Option<At>,
    backoff_at: Option<At>,
    paused_at: Option<At>,
    paused_until: Option<At>,
    pause_reason: Option<String>,
    lease_holder: Option<Uuid>,
    lease_epoch: i64,
    rejoin_epoch: i32,
    leased_at: Option<At>,
    lease_expires_at: Option<At>,
    extended: Option<At>,
    wait_reason: Option<String>,
    parked_reason: Option<String>,
    message: Option<String>,
    reason_since: At,
    unanswered: Option<String>,
    settles_at: Option<At>,
    recheck_at: Option<At>,
    must_look: bool,
    current_version: Option<i32>,
    is_ready: bool,
    reason: Option<String>,
    next_attempt_at: Option<At>,
}

impl Read {
    fn row(&self) -> Row {
        let pause = self.paused_at.map(|since| Pause {
            since,
            until: self.paused_until,
            reason: self.pause_reason.clone().unwrap(),
        });
        let lease = self.lease_holder.map(|holder| Lease {
            holder: holder.to_string(),
            since: self.leased_at.unwrap(),
            expires: self.lease_expires_at.unwrap(),
            extended: self.extended,
        });
        Row {
            phase: self.phase.clone(),
            is_present: self.desired_state == "present",
            is_admitted: self.removal_admitted_at.is_some(),
            host: self.host.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            due: self.due_at,
            not_before: self.not_before,
            backoff: self.backoff_at,
            pause,
            lease,
            lease_epoch: self.lease_epoch,
            rejoin_epoch: self.rejoin_epoch,
            wait_reason: self.wait_reason.clone(),
            parked_reason: self.parked_reason.clone(),
            message: self.message.clone(),
            reason_since: self.reason_since,
            unanswered: self.unanswered.as_deref().and_then(Unanswered::parse),
            settles: self.settles_at,
            recheck: self.recheck_at,
            must_look: self.must_look,
            version: self.current_version,
        }
    }

    fn told(&self) -> Told {
        Told { is_ready: self.is_ready, reason: self.reason.clone(), next: self.next_attempt_at }
    }

    /// What the claim made of it; `is_resting` is what the worker was told.
    fn taken(&self, before: &Self, ours: &BTreeMap<Uuid, bool>) -> Option<Taken> {
        (self.lease_epoch != before.lease_epoch).then(|| Taken {
            region: self.region.clone(),
            is_leased: self.lease_holder.is_some(),
            is_resting: ours.get(&self.tenant_id).copied().unwrap_or(false),
            phase: self.row().known_phase().unwrap(),
            unanswered: self.row().unanswered,
            settles: self.settles_at,
            recheck: self.recheck_at,
            backoff: self.backoff_at,
        })
    }
}

/// The rows by their ids.
async fn read(rig: &Rig) -> BTreeMap<Uuid, Read> {
    let rows: Vec<Read> = sqlx::query_as(
        "SELECT t.*, e.expires_at AS extended, s.ready AS is_ready, s.reason, s.next_attempt_at
           FROM tenantd.tenants AS t
           JOIN tenantd.status AS s USING (tenant_id)
           LEFT JOIN tenantd.lease_extensions AS e ON e.tenant_id = t.tenant_id AND e.lease_epoch = t.lease_epoch",
    )
    .fetch_all(rig.pool())
    .await
    .unwrap();
    rows.into_iter().map(|row| (row.tenant_id, row)).collect()
}

fn configured() -> Configured {
    let pattern = |region: &str| HostPattern::parse(&format!("*.{region}.qlikcloud.com")).unwrap();
    let regions = RegionMap::new(CONFIGURED.map(|region| (pattern(region), RegionName::new(region))));
    Configured { regions, profiles: vec!["default".to_owned()], settle: SETTLE }
}

fn fleet(world: &World, now: At) -> Fleet {
    let hours = TimeDelta::hours;
    let breaker = |region: &str| Breaker {
        region: region.to_owned(),
        opened: now - hours(1),
        probe: Some(now + hours(6)),
    };
    let pause = |region: &str, until: Option<TimeDelta>| {
        let until = until.map(|until| now + until);
        (region.to_owned(), Pause { since: now - hours(1), until, reason: "why".to_owned() })
    };
    let mut pauses = vec![pause("ap", Some(hours(7))), pause("jp", None), pause("sg", Some(hours(0)))];
    pauses.extend(world.fleet_pause.then(|| pause(Fleet::ALL, Some(hours(8)))));
    Fleet {
        configured: Some(configured()),
        breakers: vec![breaker("eu"), breaker("jp")],
        pauses,
        hold: world.hold,
        rejoined: world.rejoined.map(|ago| now - ago),
        rejoin_epoch: world.rejoin_epoch,
    }
}

async fn given(rig: &Rig, world: &World, now: At) {
    let constraints: Vec<String> = sqlx::query_scalar(
        "SELECT format('coalesce(%s, true)', pg_get_expr(conbin, conrelid))
           FROM pg_constraint WHERE conrelid = 'tenantd.tenants'::regclass AND contype = 'c'",
    )
    .fetch_all(rig.pool())
    .await
    .unwrap();
    let columns: String = sqlx::query_scalar(
        "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
          WHERE attrelid = 'tenantd.tenants'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap();
    let script = format!(
        "SET session_replication_role = replica;
         {CANDIDATES}
         INSERT INTO tenantd.tenants ({columns})
         SELECT {columns} FROM tenantd_test.candidates WHERE {};
         INSERT INTO tenantd.lease_extensions (tenant_id, lease_epoch, expires_at)
         SELECT tenant_id, CASE lease WHEN 'of another claim' THEN 6 ELSE 7 END,
                {{now}} + CASE lease WHEN 'expired' THEN interval '0' ELSE interval '30 s' END
           FROM tenantd_test.candidates JOIN tenantd.tenants USING (tenant_id)
          WHERE lease IN ('expired', 'extended', 'of another claim');
         INSERT INTO tenantd.regions (region, opened_at, probe_at)
         VALUES ('eu', {{now}} - interval '1 h', {{now}} + interval '6 h'), ('jp', {{now}} - interval '1 h', {{now}} + interval '6 h'),
                ('ap', NULL, NULL), ('sg', NULL, NULL), ('gone', NULL, NULL);
         INSERT INTO tenantd.pauses (region, reason, paused_at, paused_until)
         VALUES ('ap', 'why', {{now}} - interval '1 h', {{now}} + interval '7 h'), ('jp', 'why', {{now}} - interval '1 h', NULL),
                ('sg', 'why', {{now}} - interval '1 h', {{now}});
         {};
         SET session_replication_role = origin;
         ANALYZE tenantd.tenants",
        constraints.join(" AND "),
        world.written
    );
    let now = format!("'{}'::timestamptz", now.to_rfc3339());
    rig.write(
        script.replace("{now}", &now).replace("{phases}", world.phases).replace("{epochs}", world.epochs),
    )
    .await;
}

/// Claims until nothing is left to be claimed; whether each was taken up to rest on.
async fn claimed(replica: &Replica, terms: &ClaimTerms) -> BTreeMap<Uuid, bool> {
    let mut ours = BTreeMap::new();
    loop {
        let claims = replica.store.claim(terms, 5000).await.unwrap();
        for row in claims.rows {
            let again = ours.insert(row.tenant_id.0, row.tenant.is_resting);
            assert_eq!(again, None, "{} is claimed twice", row.external_id);
        }
        if claims.touched == 0 {
            return ours;
        }
    }
}

#[derive(Default)]
struct Faults {
    count: usize,
    shown: Vec<String>,
}

impl Faults {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, facts: &Facts, core: &T, is: &T) {
        if core == is {
            return;
        }
        self.count += 1;
        if self.shown.len() < SHOWN {
            let row = &facts.row;
            self.shown.push(format!("{what}: the core says {core:?}\n    and it is {is:?}\n    of {row:?}"));
        }
    }

    fn assert_none(self) {
        assert!(self.shown.is_empty(), "{} faults, such as\n{}", self.count, self.shown.join("\n"));
    }
}

async fn hold_against_the_core(world: World) {
    let rig = rig().await;
    let mut of_five = terms();
    of_five.regions = configured().regions;
    let replica = rig.replica_with(of_five, KeyKind::Symmetric).await;
    let terms = replica.terms.claim_terms();
    let now = replica.store.now().await.unwrap();
    given(&rig, &world, now).await;
    let fleet = fleet(&world, now);

    let before = read(&rig).await;
    let mut faults = Faults::default();
    let facts = |read: &Read| Facts { now, row: read.row(), fleet: fleet.clone() };
    for row in before.values() {
        let facts = facts(row);
        faults.expect("the view", &facts, &facts.told(), &row.told());
    }
    // The statement of explain reads what the one of this file does.
    for row in before.values().step_by(before.len() / 200) {
        let (facts, explained) = (facts(row), replica.store.explain(&row.external_id, &terms).await.unwrap());
        let read = explained.unwrap().facts;
        faults.expect("what explain reads", &facts, &facts.row, &read.row);
        faults.expect("what explain says", &facts, &facts.blockers(), &read.blockers());
        faults.expect("what explain reads of holds", &facts, &fleet.hold, &read.fleet.hold);
        faults.expect("what explain reads of rejoins", &facts, &fleet.rejoined, &read.fleet.rejoined);
        let epochs = (fleet.rejoin_epoch, read.fleet.rejoin_epoch);
        faults.expect("what explain reads of epochs", &facts, &epochs.0, &epochs.1);
    }
    let ours = claimed(&replica, &terms).await;
    let after = read(&rig).await;
    let mut kinds = BTreeSet::new();
    for row in before.values() {
        let (facts, is) = (facts(row), after[&row.tenant_id].taken(row, &ours));
        faults.expect("the claim", &facts, &facts.taken(), &is);
        let is_taken_up = ours.get(&row.tenant_id) == Some(&false);
        faults.expect("no blocker", &facts, &facts.blockers().is_empty(), &is_taken_up);
        kinds.insert((
            is.as_ref().map(|taken| (taken.is_leased, taken.is_resting)),
            is.map(|t| t.phase.as_str()),
        ));
    }

    eprintln!("{} rows, of which {} were claimed; {} outcomes", before.len(), ours.len(), kinds.len());
    faults.assert_none();
    assert!(before.len() >= world.rows, "only {} rows", before.len());
}

const EVERY: &str =
    "'pending', 'creating', 'created', 'trusted', 'ready', 'rotating', 'proving', 'removing', 'removed'";
/// Those of which a place or a restore decides something.
const SOME: &str = "'pending', 'ready', 'removing'";
/// Of rows where nothing was ever rejoined.
const CLAIMED: &str = "(0, 7)";
/// Of rows that were taken up since a rejoin, that were not, and that nobody ever claimed.
const REJOINED: &str = "(1, 7), (0, 7), (0, 0)";

#[tokio::test(flavor = "multi_thread")]
async fn the_core_the_claim_explain_and_the_view_agree_on_every_row() {
    hold_against_the_core(World {
        phases: EVERY,
        written: "SELECT",
        hold: None,
        rejoined: None,
        rejoin_epoch: 0,
        epochs: CLAIMED,
        fleet_pause: false,
        rows: 100_000,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_agree_right_after_a_restore() {
    hold_against_the_core(World {
        phases: SOME,
        written: "UPDATE tenantd.installation SET rejoined_at = {now} - interval '30 s', rejoin_epoch = 1, deletions_held_at = {now}, held_reason = 'why'",
        hold: Some(Hold::Deletions),
        rejoined: Some(TimeDelta::seconds(30)),
        rejoin_epoch: 1,
        epochs: REJOINED,
        fleet_pause: false,
        rows: 40_000,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_agree_when_what_was_sent_before_a_restore_has_settled() {
    hold_against_the_core(World {
        phases: SOME,
        written:
            "UPDATE tenantd.installation SET rejoined_at = {now} - interval '1 h', rejoin_epoch = 1, deletions_held_at = {now},
                         changes_held_at = {now}, held_reason = 'why'",
        hold: Some(Hold::Changes),
        rejoined: Some(TimeDelta::hours(1)),
        rejoin_epoch: 1,
        epochs: REJOINED,
        fleet_pause: false,
        rows: 40_000,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_agree_in_a_paused_fleet() {
    hold_against_the_core(World {
        phases: "'pending'",
        written: "INSERT INTO tenantd.pauses (region, reason, paused_at, paused_until)
                  VALUES ('*', 'why', {now} - interval '1 h', {now} + interval '8 h')",
        hold: None,
        rejoined: None,
        rejoin_epoch: 0,
        epochs: CLAIMED,
        fleet_pause: true,
        rows: 20_000,
    })
    .await;
}
