//! Every effect, cut off at every point, answered in every way, taken up again by
//! everybody: it converges to what the owner wants.
//!
//! What the owner wants is one client and one current secret that gets a token, or
//! nothing at all: no client, no bot user, no token, no sealed text. What counts as a
//! failure besides: more clients ever made than the case explains, a live secret that
//! the store does not know, a sixth secret. What does not: a zombie that mints after it
//! was taken over leaves one such secret, because Qlik cannot be fenced; audits find it.
//!
//! The rule: every kind of effect is cut off in every phase in which it can occur.

mod check;
mod cut;
mod twice;
mod ways;

use tenantd::domain::machine::effect::EffectKind;
use tenantd::domain::phase::Phase;

use crate::support::rig::Rig;

use check::check;
use cut::{Answer, Case, Died, Heir, explore};
use ways::Way;

/// An effect, the phase in which it is cut off, and how a row comes there.
#[derive(Debug, Clone, Copy)]
struct Point {
    way: Way,
    effect: EffectKind,
    phase: Phase,
}

const fn at(way: Way, effect: EffectKind, phase: Phase) -> Point {
    Point { way, effect, phase }
}

const PROVISION: &[Point] = &[
    at(Way::Plain, EffectKind::Create, Phase::Creating),
    at(Way::LostCreate, EffectKind::Look, Phase::Creating),
    at(Way::LateCreate, EffectKind::Look, Phase::Creating),
    at(Way::LostCreate, EffectKind::Compare, Phase::Creating),
    at(Way::LostCreate, EffectKind::Mint, Phase::Creating),
    at(Way::LostCreate, EffectKind::Compare, Phase::Created),
    at(Way::LostCreate, EffectKind::Tidy, Phase::Created),
    at(Way::Plain, EffectKind::Trust, Phase::Created),
    at(Way::Plain, EffectKind::Prove, Phase::Trusted),
    at(Way::LostCreate, EffectKind::Recheck, Phase::Ready),
    at(Way::LateCreate, EffectKind::Dedupe, Phase::Ready),
];

const ROTATION: &[Point] = &[
    at(Way::Rotation, EffectKind::Compare, Phase::Rotating),
    at(Way::LostMint, EffectKind::Tidy, Phase::Rotating),
    at(Way::Rotation, EffectKind::Mint, Phase::Rotating),
    at(Way::Rotation, EffectKind::Compare, Phase::Proving),
    at(Way::Rotation, EffectKind::Prove, Phase::Proving),
    // The overlap is over: the previous secret retires.
    at(Way::Rotation, EffectKind::Compare, Phase::Ready),
    at(Way::Rotation, EffectKind::Tidy, Phase::Ready),
];

const CARE: &[Point] = &[
    at(Way::Drift, EffectKind::Audit, Phase::Ready),
    at(Way::Drift, EffectKind::Trust, Phase::Ready),
    at(Way::Drift, EffectKind::Amend, Phase::Ready),
    at(Way::Drift, EffectKind::Dedupe, Phase::Ready),
    at(Way::LostSecret, EffectKind::Audit, Phase::Ready),
    at(Way::LostSecret, EffectKind::Mint, Phase::Rotating),
];

const REMOVAL: &[Point] = &[
    at(Way::Removal, EffectKind::Delete, Phase::Removing),
    at(Way::Removal, EffectKind::Revoke, Phase::Removing),
    at(Way::Removal, EffectKind::DeleteBot, Phase::Removing),
    at(Way::Removal, EffectKind::Look, Phase::Removing),
    at(Way::LostCreateRemoved, EffectKind::Look, Phase::Removing),
    at(Way::LateCreateRemoved, EffectKind::Look, Phase::Removed),
    at(Way::RemovedMeanwhile, EffectKind::Create, Phase::Creating),
    at(Way::RemovedMeanwhile, EffectKind::Trust, Phase::Created),
    at(Way::RemovedMeanwhile, EffectKind::Prove, Phase::Trusted),
    at(Way::NewLife, EffectKind::Look, Phase::Creating),
];

const FAMILIES: [&[Point]; 4] = [PROVISION, ROTATION, CARE, REMOVAL];

/// Checks each of them; says how many there were.
async fn every_crash_of(points: &[Point]) -> usize {
    let rig = Rig::unpaced().await;
    let mut count = 0;
    for point in points {
        for died in Died::ALL {
            for answer in Answer::ALL {
                for heir in Heir::ALL {
                    let case = Case { point: *point, died, answer, heir };
                    let host = rig.given_tenant(&format!("case-{count}")).await;
                    explore(&rig, case, &host).await;
                    check(&rig, case, &host).await;
                    count += 1;
                }
            }
        }
    }
    println!("{count} crash points explored");
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn every_crash_on_the_way_to_ready_converges_to_one_client_and_one_current_secret() {
    assert_eq!(every_crash_of(PROVISION).await, PROVISION.len() * 27);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_crash_of_a_rotation_converges_to_one_new_secret_and_no_old_one() {
    assert_eq!(every_crash_of(ROTATION).await, ROTATION.len() * 27);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_crash_of_an_audit_and_its_repairs_converges_to_a_client_as_wanted() {
    assert_eq!(every_crash_of(CARE).await, CARE.len() * 27);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_crash_of_a_removal_converges_to_nothing_of_ours() {
    assert_eq!(every_crash_of(REMOVAL).await, REMOVAL.len() * 27);
}

#[test]
fn every_kind_of_effect_is_cut_off() {
    let points = || FAMILIES.into_iter().flatten();
    for effect in EffectKind::ALL {
        assert!(points().any(|point| point.effect == effect), "{effect} is never cut off");
    }
    println!("{} crash points at {} effects in all", points().count() * 27, points().count());
}
