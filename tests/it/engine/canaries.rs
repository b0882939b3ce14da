//! What a failure says of the fleet, and what only of its own tenant.

use tenantd::domain::drift::DriftKind;
use tenantd::domain::reason::{Evidence, ParkReason, WaitReason};
use tenantd::domain::rollout::Stage;
use tenantd::domain::tenant::RepairScope;
use tenantd::ports::Clock;
use tenantd::postgres::fleet::rollouts::{Limits, Rollout, Turned};
use tenantd::simulator::{Endpoint, Fault, FaultPlan};
use tenantd::vault::KeyKind;

use super::rollouts::{DAY, ROTATED, STAGE, fleet, one, rotating, run};
use super::{by_hand, rig};
use crate::support::rig::{Replica, Rig};

const CANARY: Limits =
    Limits { changes_per_hour: 100, canary: 5, max_failure_ratio: 0.2, give_up_after: DAY };
const ROTATION: Rollout = Rollout::Rotation { every: DAY.saturating_mul(30) };

/// Makes these secrets so old that they are renewed.
async fn fall_due(rig: &Rig, which: &str) {
    rig.write(format!(
        "UPDATE tenantd.secrets SET proven_at = proven_at - interval '31 days'
              WHERE standing = 'current'
                AND tenant_id IN (SELECT tenant_id FROM tenantd.tenants WHERE external_id {which})"
    ))
    .await;
}

async fn parked(rig: &Rig) -> Option<String> {
    one(rig, "SELECT min(parked_reason) FROM tenantd.tenants").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_of_one_whose_tenant_is_parked_stops_no_other_renewal() {
    for (ratio, reason) in
        [(0.2, "SecretSlotsFull"), (0.2, "Rejected"), (0.0, "SecretSlotsFull"), (0.0, "Rejected")]
    {
        let rig = rig().await;
        let mut terms = rotating();
        terms.bounds.max_failure_ratio = ratio;
        let replica = rig.replica_with(terms, KeyKind::Symmetric).await;
        fleet(&rig, &replica, 5).await;
        let host: String = one(&rig, "SELECT host FROM tenantd.tenants WHERE external_id = 't0'").await;
        if reason == "Rejected" {
            rig.world.script(&host, Endpoint::MintSecret, [Fault::status(400)]);
        } else {
            let client: String =
                one(&rig, "SELECT client_id FROM tenantd.tenants WHERE external_id = 't0'").await;
            by_hand(&rig, &host, |moment, caller| {
                for _ in 0..4 {
                    moment.mint_secret(caller, &client).unwrap();
                }
            });
        }
        fall_due(&rig, "= 't0'").await;
        run(&rig, &replica, 5).await;
        assert_eq!(parked(&rig).await.as_deref(), Some(reason));
        assert_eq!(one::<String>(&rig, STAGE).await, "idle", "{reason} of one tenant, ratio {ratio}");

        fall_due(&rig, "<> 't0'").await;
        run(&rig, &replica, 5).await;

        assert_eq!((one::<i64>(&rig, ROTATED).await, one::<String>(&rig, STAGE).await), (4, "idle".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rollouts_of_one_that_fail_one_after_the_other_halt_until_resumed() {
    let rig = rig().await;
    let replica = rig.replica_with(rotating(), KeyKind::Symmetric).await;
    fleet(&rig, &replica, 6).await;
    let fail = async |tenant: &str| {
        rig.world.plan_faults(|plan| {
            *plan = FaultPlan::none().with_share(Endpoint::MintSecret, 1.0, Fault::status(400));
        });
        fall_due(&rig, &format!("= '{tenant}'")).await;
        run(&rig, &replica, 3).await;
        rig.world.plan_faults(|plan| *plan = FaultPlan::none());
        one::<String>(&rig, STAGE).await
    };

    assert_eq!(fail("t0").await, "idle");
    assert!(replica.store.retry("t0").await.unwrap());
    run(&rig, &replica, 1).await;
    assert_eq!(fail("t1").await, "idle", "what failed before was mended since");
    assert_eq!(fail("t2").await, "halted");
    let message: String = one(&rig, "SELECT message FROM tenantd.rollouts WHERE kind = 'rotation'").await;
    assert!(message.starts_with("2 of 2 tenants failed, the latest before"), "{message}");
    assert!(replica.store.resume_rollout("rotation").await.unwrap());
    assert_eq!(fail("t3").await, "idle", "an operator has answered what failed before");
    assert_eq!(fail("t4").await, "halted");
}

/// One rollout of one tenant, ended in this way.
async fn outcome_of(rig: &Rig, replica: &Replica, ending: String) -> Option<String> {
    rig.write(
        "DELETE FROM tenantd.changes;
         UPDATE tenantd.rollouts SET stage = 'idle', judged_from = tenantd.clock();
         UPDATE tenantd.tenants SET phase = 'ready', parked_reason = NULL, wait_reason = NULL, message = NULL,
                failures = 0, due_at = NULL, drift = '{}', drifted_at = NULL, aged_version = NULL"
            .to_owned(),
    )
    .await;
    fall_due(rig, "= 't0'").await;
    assert_eq!(replica.store.turn_rollout(ROTATION, &CANARY).await.unwrap().admitted, 1);
    rig.write(format!("UPDATE tenantd.tenants SET {ending}")).await;
    let turned = replica.store.turn_rollout(ROTATION, &CANARY).await.unwrap();
    assert_ne!(turned.stage, Stage::Halted, "{ending}: one tenant");
    one(rig, "SELECT outcome FROM tenantd.changes").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_is_judged_by_whom_it_speaks_against() {
    let rig = rig().await;
    let replica = rig.replica().await;
    fleet(&rig, &replica, 1).await;
    let expected = |evidence: Evidence| match evidence {
        Evidence::Fleet => Some("failed"),
        Evidence::Tenant => Some("skipped"),
        Evidence::Nobody => None,
    };
    for reason in ParkReason::ALL {
        let parked = format!("parked_reason = '{reason}', message = 'm', due_at = NULL, failures = 1");
        let outcome = outcome_of(&rig, &replica, parked).await;
        assert_eq!(outcome.as_deref(), expected(reason.evidence()), "{reason}");
    }
    for reason in WaitReason::ALL {
        let waiting = format!("wait_reason = '{reason}', failures = 1, due_at = tenantd.clock()");
        let outcome = outcome_of(&rig, &replica, waiting).await;
        let at_once = expected(reason.evidence()).filter(|outcome| *outcome == "skipped");
        assert_eq!(outcome.as_deref(), at_once, "{reason}");
        rig.advance(DAY * 2).await;
        replica.store.turn_rollout(ROTATION, &CANARY).await.unwrap();
        let outcome: Option<String> = one(&rig, "SELECT outcome FROM tenantd.changes").await;
        assert_eq!(outcome.as_deref(), expected(reason.evidence()), "{reason} for two days");
    }
    for kind in DriftKind::ALL {
        let parked = format!(
            "parked_reason = 'ProofRefused', message = 'm', due_at = NULL, drift = '{{{kind}}}', drifted_at = tenantd.clock()"
        );
        let outcome = outcome_of(&rig, &replica, parked).await;
        let expected = if kind.explains_a_refusal() { "skipped" } else { "failed" };
        assert_eq!(outcome.as_deref(), Some(expected), "{kind}");
    }
    let done =
        "parked_reason = 'Defect', message = 'm', due_at = NULL, current_version = current_version + 1";
    assert_eq!(outcome_of(&rig, &replica, done.to_owned()).await.as_deref(), Some("done"), "parked later");
}

/// Qlik takes the change, and the client is as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_mends_nothing_is_tried_again_a_day_later() {
    let rig = rig().await;
    let replica = rig.replica().await;
    fleet(&rig, &replica, 1).await;
    let turn = async || -> Turned {
        let rollout = Rollout::Repair { scope: RepairScope::All };
        replica.store.turn_rollout(rollout, &CANARY).await.unwrap()
    };
    rig.write("UPDATE tenantd.tenants SET drift = '{name}', drifted_at = tenantd.clock()".to_owned()).await;
    assert_eq!(turn().await.admitted, 1);
    rig.write("UPDATE tenantd.tenants SET repair_scope = NULL".to_owned()).await;

    for _ in 0..20 {
        rig.advance(DAY / 25).await;
        let turned = turn().await;
        assert_eq!((turned.admitted, turned.stage), (0, Stage::Idle));
    }
    rig.advance(DAY / 4).await;
    assert_eq!(turn().await.admitted, 1);
    assert!(rig.clock.elapsed() > DAY);
}
