//! How a row comes to an effect.
//!
//! The rule: what an owner, an operator or a budget does is done here by plain SQL,
//! and what an administrator does in Qlik's console by the simulator's console.

use tenantd::domain::machine::effect::Effect;
use tenantd::domain::machine::{Next, Rest};
use tenantd::engine::work::Work;
use tenantd::ports::Clock;
use tenantd::simulator::{Endpoint, Fault, Grant, NewUser, TokenRequest};

use crate::support::rig::{BOT, Replica, Rig, SETTLE};

use super::Point;
use super::check::credential;

/// How a row comes to an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// An insert.
    Plain,
    /// The first create is lost.
    LostCreate,
    /// The first create lands after the second client was made: two of ours.
    LateCreate,
    /// The owner asks for another secret.
    Rotation,
    /// The same, and the first mint is lost.
    LostMint,
    /// Consent, a field and a second client of ours differ, and all may be mended.
    Drift,
    /// The current secret was deleted in Qlik, and all may be mended.
    LostSecret,
    /// A ready tenant is to be removed.
    Removal,
    /// So is one whose create was lost.
    LostCreateRemoved,
    /// So is one whose create lands after it was removed.
    LateCreateRemoved,
    /// The owner wants it removed while its worker is dead.
    RemovedMeanwhile,
    /// A removed tenant is wanted again.
    NewLife,
}

impl Way {
    /// Whether nothing is to be left in the end.
    pub(super) fn ends_removed(self) -> bool {
        match self {
            Self::Removal | Self::LostCreateRemoved | Self::LateCreateRemoved | Self::RemovedMeanwhile => {
                true
            }
            Self::Plain
            | Self::LostCreate
            | Self::LateCreate
            | Self::Rotation
            | Self::LostMint
            | Self::Drift
            | Self::LostSecret
            | Self::NewLife => false,
        }
    }

    /// Most clients that are ever made on it, but for those of zombies.
    pub(super) fn clients(self) -> usize {
        match self {
            Self::Plain
            | Self::LostCreate
            | Self::Rotation
            | Self::LostMint
            | Self::LostSecret
            | Self::Removal
            | Self::LostCreateRemoved
            | Self::LateCreateRemoved
            | Self::RemovedMeanwhile => 1,
            Self::LateCreate | Self::Drift | Self::NewLife => 2,
        }
    }

    /// Version of the credential in the end.
    pub(super) fn version(self) -> Option<i32> {
        match self {
            Self::Plain | Self::LostCreate | Self::LateCreate | Self::Drift => Some(1),
            Self::Rotation | Self::LostMint | Self::LostSecret | Self::NewLife => Some(2),
            Self::Removal | Self::LostCreateRemoved | Self::LateCreateRemoved | Self::RemovedMeanwhile => {
                None
            }
        }
    }
}

/// Steps a row until the point is the next thing to do.
pub(super) async fn walk_to(rig: &Rig, replica: &Replica, point: Point, host: &str) -> (Work, Effect) {
    lead(rig, replica, point.way, host).await;
    for _ in 0..40 {
        let claimed = rig.claim(replica).await.expect("the row is still on its way");
        let mut work = replica.admit(claimed).expect("the row is admitted");
        loop {
            match work.next() {
                Next::Do(effect) if is_at(point, &work, &effect) => return (work, effect),
                Next::Do(effect) => {
                    let acted = replica.act(&mut work, effect).await;
                    let judged = replica.judge(&work, acted).unwrap();
                    replica.commit(&mut work, &judged).await.unwrap();
                    if judged.decision.rest != Rest::Hold {
                        break;
                    }
                }
                Next::Rest(rest) => {
                    let resting = work.resting(rest);
                    replica.send(&work.held, &resting).await.unwrap();
                    break;
                }
            }
        }
    }
    panic!("never came to {point:?}");
}

fn is_at(point: Point, work: &Work, effect: &Effect) -> bool {
    (effect.kind(), work.tenant.stand().phase) == (point.effect, point.phase)
}

/// Everything up to where the way begins.
async fn lead(rig: &Rig, replica: &Replica, way: Way, host: &str) {
    let lost = || [Fault::close_after()];
    let late = || [Fault::late(SETTLE + SETTLE / 2)];
    match way {
        Way::Plain | Way::RemovedMeanwhile => {}
        Way::LostCreate => rig.world.script(host, Endpoint::CreateClient, lost()),
        Way::LateCreate => rig.world.script(host, Endpoint::CreateClient, late()),
        Way::Rotation => raise(rig, replica, host).await,
        Way::LostMint => {
            rig.world.script(host, Endpoint::MintSecret, lost());
            raise(rig, replica, host).await;
        }
        Way::Drift => {
            rig.work_until_quiet(replica).await;
            spoil(rig, host);
            write(rig, host, "repair_scope = 'all', due_at = tenantd.clock()").await;
        }
        Way::LostSecret => {
            rig.work_until_quiet(replica).await;
            lose_secret(rig, host);
            write(rig, host, "repair_scope = 'all', due_at = tenantd.clock()").await;
        }
        Way::Removal => {
            rig.work_until_quiet(replica).await;
            sign_in(rig, replica, host).await;
            remove(rig, host).await;
        }
        Way::LostCreateRemoved => {
            rig.world.script(host, Endpoint::CreateClient, lost());
            rig.work_once(replica).await;
            remove(rig, host).await;
        }
        Way::LateCreateRemoved => {
            rig.world.script(host, Endpoint::CreateClient, late());
            rig.work_once(replica).await;
            remove(rig, host).await;
        }
        Way::NewLife => {
            rig.work_until_quiet(replica).await;
            remove(rig, host).await;
            rig.work_until_quiet(replica).await;
            write(rig, host, "desired_state = 'present'").await;
        }
    }
}

async fn raise(rig: &Rig, replica: &Replica, host: &str) {
    rig.work_until_quiet(replica).await;
    write(rig, host, "desired_version = 2").await;
}

/// The owner's wish, and the budget that lets it through.
pub(super) async fn remove(rig: &Rig, host: &str) {
    write(rig, host, "desired_state = 'absent'").await;
    write(rig, host, "removal_admitted_at = tenantd.clock(), due_at = tenantd.clock()").await;
}

pub(super) async fn write(rig: &Rig, host: &str, assignments: &str) {
    let statement = format!("UPDATE tenantd.tenants SET {assignments} WHERE host = $1");
    sqlx::query(sqlx::AssertSqlSafe(statement)).bind(host).execute(rig.pool()).await.unwrap();
}

/// Users sign in with the credential: more tokens than one effect revokes, of users who stay.
async fn sign_in(rig: &Rig, replica: &Replica, host: &str) {
    let (client, secret) = credential(rig, replica, host).await;
    let mut moment = rig.world.at(rig.clock.now());
    moment.seed_user(host, NewUser { subject: "ada".into(), ..NewUser::default() }).unwrap();
    let request = TokenRequest {
        client_id: client.as_str(),
        secret: secret.expose_to_token_endpoint(),
        grant: Grant::UserBySubject("ada"),
        scope: Some("user_default"),
    };
    for _ in 0..25 {
        moment.grant_token(host, &request).unwrap();
    }
}

/// An administrator takes the consent back and renames the client, beside which a lost
/// create of ours has landed.
fn spoil(rig: &Rig, host: &str) {
    let mut moment = rig.world.at(rig.clock.now());
    let client = moment.ledger().live_clients_of(host).next().unwrap().clone();
    let mut console = moment.console(host, "ada").unwrap();
    console.set_trusted(&client.client_id, false).unwrap();
    console.edit(&client.client_id, |draft| draft.client_name = "renamed".into()).unwrap();
    moment.console(host, BOT).unwrap().add_client(client.draft, false).unwrap();
}

/// An administrator deletes the current secret.
fn lose_secret(rig: &Rig, host: &str) {
    let mut moment = rig.world.at(rig.clock.now());
    let client = moment.ledger().live_clients_of(host).next().unwrap().clone();
    let hint = client.live_secrets().next().unwrap().hint.clone();
    moment.console(host, "ada").unwrap().delete_secret(&client.client_id, &hint).unwrap();
}
