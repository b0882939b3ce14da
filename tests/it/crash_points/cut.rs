//! The cut: where a worker dies, how Qlik answers it, who goes on.

use tenantd::domain::machine::Next;
use tenantd::domain::machine::effect::{Effect, EffectKind};
use tenantd::domain::phase::Phase;
use tenantd::engine::step::Acted;
use tenantd::engine::work::Work;
use tenantd::postgres::StoreError;
use tenantd::simulator::{Endpoint, Fault};

use crate::support::rig::{LEASE, Replica, Rig, SETTLE};

use super::Point;
use super::ways::{Way, remove, walk_to};

/// Where the worker is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Died {
    BeforeTheAct,
    AfterTheAct,
    AfterTheCommit,
}

/// How Qlik answers the act.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Answered,
    Lost,
    Late,
}

/// Who goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heir {
    TheSameHolder,
    AnotherReplica,
    /// Another replica, and then the first wakes up and goes on where it was.
    AZombieToo,
}

impl Died {
    pub(super) const ALL: [Self; 3] = [Self::BeforeTheAct, Self::AfterTheAct, Self::AfterTheCommit];
}

impl Answer {
    pub(super) const ALL: [Self; 3] = [Self::Answered, Self::Lost, Self::Late];
}

impl Heir {
    pub(super) const ALL: [Self; 3] = [Self::TheSameHolder, Self::AnotherReplica, Self::AZombieToo];
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) point: Point,
    pub(super) died: Died,
    pub(super) answer: Answer,
    pub(super) heir: Heir,
}

impl Case {
    /// Whether the worker that was taken over wakes and makes a client.
    pub(super) fn has_zombie_create(self) -> bool {
        self.is_done_by_a_zombie(EffectKind::Create, EffectKind::Look, &[Phase::Creating])
    }

    /// Whether the worker that was taken over wakes and makes a secret.
    pub(super) fn has_zombie_mint(self) -> bool {
        self.is_done_by_a_zombie(EffectKind::Mint, EffectKind::Compare, &[Phase::Creating, Phase::Rotating])
    }

    /// Whether `act` is what it was stopped before, or what comes after what it committed.
    fn is_done_by_a_zombie(self, act: EffectKind, before: EffectKind, phases: &[Phase]) -> bool {
        let Point { way: _, effect, phase } = self.point;
        let is_next = self.died == Died::AfterTheCommit && effect == before && phases.contains(&phase);
        let is_it = self.died != Died::AfterTheCommit && effect == act;
        self.heir == Heir::AZombieToo && (is_it || is_next)
    }
}

pub(super) async fn explore(rig: &Rig, case: Case, host: &str) {
    let (first, second) = (rig.replica().await, rig.replica().await);
    let (mut work, effect) = walk_to(rig, &first, case.point, host).await;
    rig.world.script(host, endpoint_of(case.point.effect), [fault(case.answer)]);
    let acted = cut_off(&first, &mut work, effect, case.died).await;
    if case.point.way == Way::RemovedMeanwhile {
        remove(rig, host).await;
    }
    rig.advance(LEASE).await;
    match case.heir {
        Heir::TheSameHolder => rig.work_until_quiet(&first).await,
        Heir::AnotherReplica => rig.work_until_quiet(&second).await,
        Heir::AZombieToo => {
            rig.work_until_quiet(&second).await;
            wake(&first, work, acted).await;
            rig.work_until_quiet(&second).await;
        }
    }
}

/// The request by which an effect changes something, or the last of those it reads.
fn endpoint_of(effect: EffectKind) -> Endpoint {
    match effect {
        EffectKind::Create => Endpoint::CreateClient,
        EffectKind::Look | EffectKind::Recheck | EffectKind::Audit => Endpoint::ListClients,
        EffectKind::Compare => Endpoint::GetClient,
        EffectKind::Mint => Endpoint::MintSecret,
        EffectKind::Tidy => Endpoint::DeleteSecret,
        EffectKind::Trust => Endpoint::SetConsent,
        EffectKind::Prove => Endpoint::ClientToken,
        EffectKind::Dedupe | EffectKind::Delete => Endpoint::DeleteClient,
        EffectKind::Amend => Endpoint::PatchClient,
        EffectKind::Revoke => Endpoint::DeleteToken,
        EffectKind::DeleteBot => Endpoint::DeleteUser,
    }
}

fn fault(answer: Answer) -> Fault {
    match answer {
        Answer::Answered => Fault::none(),
        Answer::Lost => Fault::close_after(),
        // After a dead holder's lease, and before it has settled.
        Answer::Late => Fault::late(LEASE + SETTLE / 2),
    }
}

async fn cut_off(replica: &Replica, work: &mut Work, effect: Effect, died: Died) -> Option<Acted> {
    match died {
        Died::BeforeTheAct => None,
        Died::AfterTheAct => Some(replica.act(work, effect).await),
        Died::AfterTheCommit => {
            let acted = replica.act(work, effect).await;
            let judged = replica.judge(work, acted).unwrap();
            replica.commit(work, &judged).await.unwrap();
            None
        }
    }
}

/// A worker that was taken over goes on, in the worst way: it was stopped after
/// every check and before the act.
async fn wake(replica: &Replica, mut work: Work, acted: Option<Acted>) {
    let acted = match (acted, work.next()) {
        (Some(acted), _) => acted,
        (None, Next::Do(effect)) => replica.act(&mut work, effect).await,
        (None, Next::Rest(_)) => return,
    };
    let may_be_one_more = acted.may_have_made_a_client();
    let Ok(judged) = replica.judge(&work, acted) else { panic!("a zombie's act is judged like any other") };
    let error = replica.commit(&mut work, &judged).await.expect_err("a zombie writes nothing");
    assert!(matches!(error, StoreError::LeaseLost(_)), "{error}");
    replica.not_persisted(work.tenant_id, &error, may_be_one_more).await;
}
