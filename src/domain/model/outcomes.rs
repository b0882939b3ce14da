//! What may come of an effect: everything that fits it.

use std::time::Duration;

use chrono::DateTime;
use uuid::Uuid;

use super::{Choices, MARK, NEVER_SHOWN, Outcome};
use crate::domain::drift::{Change, Drift, Field, Value};
use crate::domain::failure::{Evidence, Failure, FailureKind};
use crate::domain::hints::{SLOTS, SeenSecret, Standing};
use crate::domain::ids::{ClientId, Hint, TenantId, UserId};
use crate::domain::look::{Maker, SeenClient};
use crate::domain::machine::effect::{Done, Effect};
use crate::domain::mark::Mark;
use crate::domain::profile::{APP_TYPE, GRANTS};
use crate::domain::tenant::Tenant;
use crate::domain::token::Walk;

/// Every failure there is.
pub(in crate::domain) const FAILURES: [FailureKind; 13] = [
    FailureKind::NotConnected,
    FailureKind::NoToken,
    FailureKind::NoAnswer,
    FailureKind::ServerError,
    FailureKind::Unreadable,
    FailureKind::Throttled { wait: Duration::from_secs(90) },
    FailureKind::CredentialRefused,
    FailureKind::TokenRefused,
    FailureKind::TenantUnavailable,
    FailureKind::Forbidden,
    FailureKind::NotFound,
    FailureKind::Conflict,
    FailureKind::Rejected,
];

/// This failure, with an answer behind it.
pub(in crate::domain) fn failed(kind: FailureKind) -> Failure {
    let evidence = Evidence {
        status: Some(418),
        code: Some("CODE-1".to_owned()),
        trace_id: Some(NEVER_SHOWN[0].to_owned()),
    };
    Failure { kind, evidence }
}

/// One outcome that fits the effect; two of three are successes, but a proof is
/// refused as often as not, because its way is the longest.
pub(super) fn of(effect: &Effect, tenant: &Tenant, choices: &mut Choices<'_>) -> Outcome {
    if matches!(effect, Effect::Prove(_)) && choices.one_in(2) {
        return Outcome::Failed(failed(FailureKind::CredentialRefused));
    }
    if choices.one_in(3) {
        return Outcome::Failed(failed(FAILURES[choices.below(FAILURES.len())].clone()));
    }
    Outcome::Done(match effect {
        Effect::Create => Done::Created { client: ClientId::new("made"), hint: new_hint(choices) },
        Effect::Look => Done::Looked(clients(choices)),
        Effect::Compare(_) => Done::Compared { secrets: secrets(tenant, choices), me: UserId::new("me") },
        Effect::Mint(_) => Done::Minted { hint: new_hint(choices) },
        Effect::Tidy(..) => Done::Tidied,
        Effect::Trust(_) => Done::Trusted,
        Effect::Prove(_) if choices.one_in(4) => Done::Unopenable,
        Effect::Prove(_) => Done::Proven,
        Effect::Recheck(_) => Done::Rechecked(clients(choices)),
        Effect::Dedupe(_) => Done::Deduped,
        Effect::Audit(_) => Done::Audited(drifts(tenant, choices)),
        Effect::Amend(..) => Done::Amended,
        Effect::Delete(_) => Done::Deleted,
        Effect::Revoke(..) => Done::Revoked { left: choices.one_in(4).then(Walk::default) },
        Effect::DeleteBot(_) => Done::BotDeleted,
    })
}

/// Up to three differences, among them the loss of a secret that is stored.
fn drifts(tenant: &Tenant, choices: &mut Choices<'_>) -> Vec<Drift> {
    let field = |field| Drift::Field {
        wanted: Change { field, value: Value::Text("wanted".to_owned()) },
        found: Value::Text(NEVER_SHOWN[1].to_owned()),
    };
    let mut serving = tenant.stored.iter().filter_map(|stored| match stored.standing {
        Standing::Current | Standing::Previous => Some((stored.hint.clone()?, stored.standing)),
        Standing::Unproven | Standing::Discarded => None,
    });
    let mut drifts = Vec::new();
    for _ in 0..choices.below(4) {
        let drift = match choices.below(8) {
            0 => Some(Drift::ClientMissing),
            1 => Some(Drift::Duplicate(ClientId::new("other"))),
            2 => Some(Drift::Consent),
            3 => Some(Drift::Disabled),
            4 => Some(field(Field::Name)),
            5 => Some(field(Field::Description)),
            6 => Some(Drift::SecretUnknown { hint: hint(choices), created_by: None }),
            _ => serving.next().map(|(hint, standing)| Drift::SecretMissing { hint, standing }),
        };
        drifts.extend(drift);
    }
    drifts
}

fn hint(choices: &mut Choices<'_>) -> Hint {
    Hint::new(["aaaaa", "bbbbb", "ccccc", "ddddd", "eeeee", "fffff"][choices.below(6)])
}

fn new_hint(choices: &mut Choices<'_>) -> Option<Hint> {
    (!choices.one_in(4)).then(|| hint(choices))
}

/// Up to three clients: ours, another row's, a stranger's, a tombstone.
fn clients(choices: &mut Choices<'_>) -> Vec<SeenClient> {
    let earlier = Mark { tenant: TenantId(Uuid::from_u128(3)), ..MARK };
    let count = choices.below(4);
    let mut client = |second: usize| SeenClient {
        app_type: Some(APP_TYPE.to_owned()),
        made_by: Maker::Untold,
        fault: None,
        client_id: ClientId::new(["made", "other", "third"][second]),
        name: String::new(),
        scopes: Vec::new(),
        grants: GRANTS.map(str::to_owned).to_vec(),
        redirect_uris: Vec::new(),
        allowed_origins: Vec::new(),
        is_disabled: false,
        is_trusted: None,
        description: match choices.below(4) {
            0 => MARK.to_string(),
            1 => format!("{} {MARK} edited", NEVER_SHOWN[1]),
            2 => format!("{} {earlier}", NEVER_SHOWN[1]),
            _ => NEVER_SHOWN[1].to_owned(),
        },
        created_at: DateTime::from_timestamp(i64::try_from(second).unwrap_or(0), 0),
        is_deleted: choices.one_in(5),
        secrets: Vec::new(),
    };
    (0..count).map(&mut client).collect()
}

/// Most of the stored secrets, and some that are not.
fn secrets(tenant: &Tenant, choices: &mut Choices<'_>) -> Vec<SeenSecret> {
    let me = || Some(UserId::new("me"));
    let mut seen: Vec<SeenSecret> = Vec::new();
    for stored in &tenant.stored {
        let hint = stored.hint.clone().unwrap_or_else(|| hint(choices));
        if !choices.one_in(8) {
            seen.push(SeenSecret { hint, created_by: me() });
        }
    }
    for _ in 0..choices.below(SLOTS + 1) {
        let created_by = [me(), Some(UserId::new("admin")), None][choices.below(3)].clone();
        seen.push(SeenSecret { hint: hint(choices), created_by });
    }
    seen.truncate(SLOTS);
    seen
}
