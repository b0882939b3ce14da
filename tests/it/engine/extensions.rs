//! A row whose lease ran out and is extended counts as worked on, whoever asks.

use std::time::Duration;

use tenantd::domain::ids::RegionName;
use tenantd::domain::machine::effect::EffectKind;
use tenantd::postgres::fleet::rights::{Evidence, MissingRight};
use tenantd::postgres::work::claim::Claimed;

use super::rig;
use crate::support::rig::{LEASE, Replica, Rig};

const HOUR: Duration = Duration::from_hours(1);

/// A tenant whose holder lives, and whose lease in the row ran out half a lease ago: its
/// owner had the row locked meanwhile.
async fn extended() -> (Rig, Replica, Claimed) {
    let rig = rig().await;
    let holder = rig.replica().await;
    rig.given_tenant("acme").await;
    let claimed = rig.claim(&holder).await.unwrap();
    let mut owner = rig.pool().begin().await.unwrap();
    sqlx::query("UPDATE tenantd.tenants SET labels = '{\"a\": 1}'").execute(&mut *owner).await.unwrap();
    rig.advance(LEASE).await;
    holder.store.renew(&[(claimed.tenant_id, claimed.fence)], LEASE).await.unwrap();
    rig.advance(LEASE / 2).await;
    owner.commit().await.unwrap();
    (rig, holder, claimed)
}

async fn told(rig: &Rig) -> (Option<String>, Option<i64>, bool) {
    sqlx::query_as(
        "SELECT reason, extract(epoch FROM tenantd.clock() - since)::bigint, next_attempt_at IS NULL
           FROM tenantd.status",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn the_view_says_that_it_is_worked_on_and_until_when_is_nobodys_guess() {
    let (rig, ..) = extended().await;

    assert_eq!(told(&rig).await, (Some("Working".into()), Some(90), true));
    rig.advance(LEASE / 2).await;
    assert_eq!(told(&rig).await.0.as_deref(), Some("Queued"), "its holder is dead");
}

#[tokio::test]
async fn it_is_not_behind_and_waits_for_no_claim() {
    let (rig, holder, _) = extended().await;
    let terms = holder.terms.claim_terms();

    assert_eq!(holder.store.oldest_due().await.unwrap(), Duration::ZERO);
    assert!(holder.store.due_ids(&terms, 10).await.unwrap().is_empty());
    rig.advance(LEASE / 2).await;
    assert_eq!(holder.store.oldest_due().await.unwrap(), LEASE * 2);
    assert_eq!(holder.store.due_ids(&terms, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn its_holder_is_among_those_who_work_until_the_extension_ends() {
    let (rig, holder, _) = extended().await;
    let now = holder.store.now().await.unwrap();

    let holders = holder.store.holders().await.unwrap();

    assert_eq!((holders.len(), holders[0].tenants), (1, 1));
    assert_eq!(holders[0].lease_expires_at, Some(now + LEASE / 2));
    rig.advance(LEASE / 2).await;
    assert!(holder.store.holders().await.unwrap().is_empty());
}

#[tokio::test]
async fn no_breaker_is_probed_with_it() {
    let (rig, holder, claimed) = extended().await;
    let us = RegionName::new("us");
    rig.write(
        "UPDATE tenantd.tenants SET unanswered = NULL;
         UPDATE tenantd.regions SET opened_at = tenantd.clock(), probe_at = tenantd.clock()",
    )
    .await;

    assert_eq!(holder.store.take_probe(&us, Duration::ZERO).await.unwrap(), None);
    rig.advance(LEASE / 2).await;
    let probed = holder.store.take_probe(&us, Duration::ZERO).await.unwrap();
    assert_eq!(probed.map(|(tenant, _)| tenant), Some(claimed.tenant_id));
}

#[tokio::test]
async fn it_is_not_the_one_who_asks_for_a_right_nor_given_back_what_it_spent() {
    let (rig, holder, claimed) = extended().await;
    rig.write(
        "UPDATE tenantd.tenants
            SET wait_reason = 'RightMissing', awaits_right = 'create', right_refused_at = tenantd.clock(), failures = 3;
         INSERT INTO tenantd.rights (region, effect, missing_since, answer, ask_at)
         VALUES ('us', 'create', tenantd.clock(), 'no', tenantd.clock())",
    )
    .await;
    let right = MissingRight {
        region: "us".to_owned(),
        effect: "create".to_owned(),
        since: holder.store.now().await.unwrap(),
        answer: "no".to_owned(),
        waiting: 1,
        is_over: false,
    };
    let ask = async || holder.store.ask_for_right(&right, Duration::ZERO).await.unwrap();
    let spent = async || {
        let (us, evidence) = (RegionName::new("us"), Evidence { tenants: 1, ask_every: HOUR });
        holder.store.note_missing_right(&us, EffectKind::Create, "no", evidence).await.unwrap();
        super::row(&rig, "acme").await.failures
    };

    assert_eq!((ask().await, spent().await), (None, 3), "its holder has it, and will say");
    rig.advance(LEASE / 2).await;
    assert_eq!((ask().await, spent().await), (Some(claimed.tenant_id), 0));
}

/// The holder is done and has given the row back; the extension is deleted by nobody yet.
#[tokio::test]
async fn what_is_left_of_an_extension_keeps_no_operator_from_a_row_that_nobody_holds() {
    let (rig, holder, claimed) = extended().await;
    let recreate = async || holder.store.recreate("acme", "ada").await.unwrap();
    rig.write(
        "UPDATE tenantd.tenants
            SET phase = 'created', client_id = 'c', unanswered = NULL, parked_reason = 'ClientMissing', message = 'm'",
    )
    .await;

    assert!(!recreate().await, "somebody works on it");
    holder.store.give_back(claimed.tenant_id, claimed.fence).await.unwrap();
    assert!(recreate().await, "nobody does");
}
