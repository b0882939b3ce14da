//! Done twice is as good as done once.
//!
//! The rule: whatever is not known to have happened is done again, so an effect that is
//! repeated leaves the world as the first time did. Create and mint cannot, and so are
//! never repeated before a look; where two workers did it all the same, the look mends it.

use tenantd::domain::machine::effect::EffectKind;
use tenantd::ports::Clock;
use tenantd::simulator::ClientLedger;

use crate::support::rig::{LEASE, Rig};

use super::check::check;
use super::cut::{Answer, Case, Died, Heir};
use super::ways::{Way, remove, walk_to, write};
use super::{FAMILIES, Point};

#[tokio::test(flavor = "multi_thread")]
async fn every_effect_run_twice_leaves_the_same_world() {
    let rig = Rig::unpaced().await;
    for (number, point) in FAMILIES.into_iter().flatten().enumerate() {
        let host = rig.given_tenant(&format!("case-{number}")).await;
        let (first, second) = (rig.replica().await, rig.replica().await);
        let (mut work, effect) = walk_to(&rig, &first, *point, &host).await;

        drop(first.act(&mut work, effect.clone()).await);
        let once = world(&rig, &host);
        drop(first.act(&mut work, effect).await);
        let twice = world(&rig, &host);

        assert_eq!(once == twice, point.effect.is_repeatable(), "{point:?}: {once:?} {twice:?}");
        if point.way == Way::RemovedMeanwhile {
            remove(&rig, &host).await;
        }
        rig.advance(LEASE).await;
        rig.work_until_quiet(&second).await;
        // As if a zombie had done it the second time.
        let (died, heir) = (Died::AfterTheAct, Heir::AZombieToo);
        check(&rig, Case { point: *point, died, answer: Answer::Answered, heir }, &host).await;
    }
}

/// Clients with all that there is of them, and bot users.
fn world(rig: &Rig, host: &str) -> (Vec<ClientLedger>, Vec<String>) {
    let mut ledger = rig.world.at(rig.clock.now()).ledger();
    let tenant = ledger.tenants.remove(host).unwrap();
    (tenant.clients, tenant.bots)
}

/// The owner's job runs every night, and changes its mind.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_asked_for_again_asks_qlik_for_nothing() {
    let rig = Rig::unpaced().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    remove(&rig, &host).await;
    rig.work_until_quiet(&replica).await;
    let requests = rig.world.at(rig.clock.now()).ledger().requests_to(&host);

    for desired in ["absent", "present", "absent", "absent"] {
        write(&rig, &host, &format!("desired_state = '{desired}'")).await;
    }
    rig.work_until_quiet(&replica).await;

    assert_eq!(rig.world.at(rig.clock.now()).ledger().requests_to(&host), requests);
    let (died, answer, heir) = (Died::AfterTheCommit, Answer::Answered, Heir::TheSameHolder);
    let point =
        Point { way: Way::Removal, effect: EffectKind::Look, phase: tenantd::domain::phase::Phase::Removed };
    check(&rig, Case { point, died, answer, heir }, &host).await;
}
