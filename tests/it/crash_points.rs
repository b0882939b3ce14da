//! Every effect, cut off at every point, answered in every way, taken up again by
//! everybody: it converges to one client and one current secret.
//!
//! What counts as a failure: a second live client at the end, a client that the
//! row does not know, a credential that gets no token, a live secret that the
//! store does not know. What does not: a zombie that mints after it was taken
//! over leaves one such secret, because Qlik cannot be fenced; audits find it.

use tenantd::domain::effect::{Effect, EffectKind};
use tenantd::domain::host::Host;
use tenantd::domain::ids::ClientId;
use tenantd::domain::transition::Next;
use tenantd::engine::step::Acted;
use tenantd::engine::work::Work;
use tenantd::ports::{Clock, QlikApi};
use tenantd::postgres::StoreError;
use tenantd::simulator::{Behaviour, Endpoint, Fault, FaultPlan};
use tenantd::vault::SealedFor;

use crate::support::rig::{LEASE, Replica, Rig, SETTLE};

/// Where the worker is cut off.
#[derive(Debug, Clone, Copy)]
enum Died {
    BeforeTheAct,
    AfterTheAct,
    AfterTheCommit,
}

/// How Qlik answers the act.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Answered,
    Lost,
    Late,
}

/// Who goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heir {
    TheSameHolder,
    AnotherReplica,
    /// Another replica, and then the first wakes up and goes on where it was.
    AZombieToo,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    effect: EffectKind,
    died: Died,
    answer: Answer,
    heir: Heir,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_crash_point_converges_to_one_client_and_one_current_secret() {
    let rig = Rig::new(Behaviour { rate_limits: None, ..Behaviour::default() }, FaultPlan::none()).await;
    let mut count = 0;
    for effect in EffectKind::ALL {
        for died in [Died::BeforeTheAct, Died::AfterTheAct, Died::AfterTheCommit] {
            for answer in [Answer::Answered, Answer::Lost, Answer::Late] {
                for heir in [Heir::TheSameHolder, Heir::AnotherReplica, Heir::AZombieToo] {
                    let case = Case { effect, died, answer, heir };
                    let host = rig.given_tenant(&format!("case-{count}")).await;
                    explore(&rig, case, &host).await;
                    check(&rig, case, &host).await;
                    count += 1;
                }
            }
        }
    }
    println!("{count} crash points explored");
    assert_eq!(count, 9 * 3 * 3 * 3);
}

async fn explore(rig: &Rig, case: Case, host: &str) {
    let (first, second) = (rig.replica().await, rig.replica().await);
    rig.world.script(host, Endpoint::CreateClient, way_to(case.effect));
    let (mut work, effect) = walk_to(rig, &first, case.effect).await;
    rig.world.script(host, endpoint_of(case.effect), [fault(case.answer)]);
    let acted = cut_off(&first, &mut work, effect, case.died).await;
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

/// What must happen to the first create for a row to come to an effect.
fn way_to(effect: EffectKind) -> Vec<Fault> {
    match effect {
        EffectKind::Create | EffectKind::Trust | EffectKind::Prove => vec![],
        EffectKind::Look
        | EffectKind::Compare
        | EffectKind::Mint
        | EffectKind::Tidy
        | EffectKind::Recheck => {
            vec![Fault::close_after()]
        }
        // It lands after the second client was made: two of ours.
        EffectKind::Dedupe => vec![Fault::late(SETTLE + SETTLE / 2)],
    }
}

fn endpoint_of(effect: EffectKind) -> Endpoint {
    match effect {
        EffectKind::Create => Endpoint::CreateClient,
        EffectKind::Look | EffectKind::Recheck => Endpoint::ListClients,
        EffectKind::Compare => Endpoint::GetClient,
        EffectKind::Mint => Endpoint::MintSecret,
        EffectKind::Tidy => Endpoint::DeleteSecret,
        EffectKind::Trust => Endpoint::SetConsent,
        EffectKind::Prove => Endpoint::ClientToken,
        EffectKind::Dedupe => Endpoint::DeleteClient,
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

/// Steps a row until `wanted` is the next thing to do.
async fn walk_to(rig: &Rig, replica: &Replica, wanted: EffectKind) -> (Work, Effect) {
    for _ in 0..20 {
        let claimed = rig.claim(replica).await.expect("the row is still on its way");
        let mut work = replica.admit(claimed).expect("the row is admitted");
        while let Next::Do(effect) = work.next() {
            if effect.kind() == wanted {
                return (work, effect);
            }
            let acted = replica.act(&mut work, effect).await;
            let judged = replica.judge(&work, acted).unwrap();
            let rests = judged.decision.rest != tenantd::domain::transition::Rest::Hold;
            replica.commit(&mut work, &judged).await.unwrap();
            if rests {
                break;
            }
        }
    }
    panic!("never came to {wanted}");
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

async fn check(rig: &Rig, case: Case, host: &str) {
    let status: (String, Option<String>, uuid::Uuid) =
        sqlx::query_as("SELECT phase, client_id, tenant_id FROM tenantd.tenants WHERE host = $1")
            .bind(host)
            .fetch_one(rig.pool())
            .await
            .unwrap();
    let ledger = rig.world.at(rig.clock.now()).ledger();
    let live: Vec<_> = ledger.live_clients_of(host).collect();

    let zombie_created = case.heir == Heir::AZombieToo
        && matches!((case.effect, case.died), (EffectKind::Create, Died::BeforeTheAct));
    let expected = 1 + usize::from(case.effect == EffectKind::Dedupe) + usize::from(zombie_created);
    assert_eq!(ledger.tenants[host].clients.len(), expected, "{case:?}: clients ever made");
    assert_eq!(status.0, "ready", "{case:?}");
    assert_eq!(live.len(), 1, "{case:?}: live clients");
    assert_eq!(status.1.as_deref(), Some(live[0].client_id.as_str()), "{case:?}: the row knows its client");
    assert!(live[0].is_trusted, "{case:?}: consent");

    let stored: Vec<(String, Option<String>, String)> =
        sqlx::query_as("SELECT standing, hint, sealed FROM tenantd.secrets WHERE tenant_id = $1")
            .bind(status.2)
            .fetch_all(rig.pool())
            .await
            .unwrap();
    let current: Vec<_> = stored.iter().filter(|(standing, ..)| standing == "current").collect();
    assert_eq!((stored.len(), current.len()), (1, 1), "{case:?}: {stored:?}");
    let unknown = live[0].live_secrets().filter(|s| Some(s.hint.as_str()) != current[0].1.as_deref()).count();
    let zombie_minted = case.heir == Heir::AZombieToo
        && matches!((case.effect, case.died), (EffectKind::Mint, Died::BeforeTheAct | Died::AfterTheAct));
    let zombie_minted_next = case.heir == Heir::AZombieToo
        && matches!((case.effect, case.died), (EffectKind::Compare, Died::AfterTheCommit));
    assert!(
        unknown == 0 || unknown == 1 && (zombie_minted || zombie_minted_next),
        "{case:?}: {unknown} secrets that nobody knows"
    );

    let replica = rig.replica().await;
    let parsed = Host::parse(host).unwrap();
    let client = ClientId::new(live[0].client_id.clone());
    let tenant_id = tenantd::domain::ids::TenantId(status.2);
    let row = SealedFor { tenant_id, host: &parsed, client_id: &client };
    let secret = replica.vault.open(&current[0].2, &row).unwrap();
    let allowed = replica.terms.regions.allow(&parsed).unwrap();
    replica.api.prove(&allowed, &client, &secret).await.unwrap_or_else(|f| panic!("{case:?}: {f}"));
}
