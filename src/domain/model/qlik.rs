//! A Qlik that keeps its word: what it shows is what it has, but for an answer that
//! is lost, a request that lands late and a list that lags.
//!
//! The rule: it knows who made a secret and which secret it is, beyond the hint; that
//! is what the judges of [`super::life`] go by.

use chrono::DateTime;

use super::outcomes::{FAILURES, failed};
use super::{Choices, MARK, Outcome};
use crate::domain::drift::{Expected, Field};
use crate::domain::failure::FailureKind;
use crate::domain::hints::{SLOTS, SeenSecret};
use crate::domain::ids::{ClientId, Hint, UserId};
use crate::domain::look::{Maker, SeenClient};
use crate::domain::machine::effect::{Done, Effect};
use crate::domain::profile::{APP_TYPE, GRANTS, WantedClient};
use crate::domain::tenant::{State, Tenant};

/// Tokens revoked by one effect.
const BATCH: usize = 2;

/// A secret, by more than its hint.
#[derive(Debug, Clone)]
pub(super) struct Secret {
    pub(super) serial: u32,
    pub(super) hint: Hint,
    pub(super) is_ours: bool,
}

/// A client that exists.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) secrets: Vec<Secret>,
    pub(super) is_marked: bool,
    is_trusted: bool,
    is_disabled: bool,
    name: &'static str,
    born: u32,
}

/// How far hints can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hints {
    /// Each is told, and unlike every other.
    Plain,
    /// Some are alike.
    Alike,
    /// Some are not told.
    Untold,
}

/// One tenant at Qlik.
#[derive(Debug)]
pub(super) struct Qlik {
    pub(super) clients: Vec<Client>,
    /// Deleted, and perhaps still in a list that lags.
    deleted: Vec<Client>,
    /// By the client they were issued to.
    pub(super) tokens: Vec<ClientId>,
    /// By the client they were made for.
    pub(super) bots: Vec<ClientId>,
    in_flight: Vec<Effect>,
    /// Creates of a zombie: they land when nobody expects them any more.
    pub(super) late: usize,
    pub(super) hints: Hints,
    born: u32,
}

/// What an administrator does by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meddling {
    DeleteSecret,
    AddSecret,
    Distrust,
    Rename,
    Unmark,
    Disable,
    DeleteClient,
}

impl Meddling {
    pub(super) const ALL: [Self; 7] = [
        Self::DeleteSecret,
        Self::AddSecret,
        Self::Distrust,
        Self::Rename,
        Self::Unmark,
        Self::Disable,
        Self::DeleteClient,
    ];
}

type Answer = Result<(Done, Option<u32>), FailureKind>;

impl Qlik {
    pub(super) fn empty(hints: Hints) -> Self {
        let (clients, deleted, tokens, bots, in_flight) = (vec![], vec![], vec![], vec![], vec![]);
        Self { clients, deleted, tokens, bots, in_flight, late: 0, hints, born: 0 }
    }

    /// Answers, or fails, with the serial of the secret that the answer holds. `proof` is
    /// the secret that a proof is made with.
    pub(super) fn ask(
        &mut self,
        effect: &Effect,
        tenant: &Tenant,
        proof: Option<u32>,
        choices: &mut Choices<'_>,
    ) -> (Outcome, Option<u32>) {
        let is_lagging = choices.one_in(3);
        // What cannot be repeated is where the trouble begins.
        let answer = if choices.one_in(if effect.kind().is_repeatable() { 6 } else { 2 }) {
            Err(self.lose(effect, tenant, proof, choices))
        } else {
            self.perform(effect, tenant, proof, is_lagging)
        };
        match answer {
            Ok((done, serial)) => (Outcome::Done(done), serial),
            Err(kind) => (Outcome::Failed(failed(kind)), None),
        }
    }

    fn lose(
        &mut self,
        effect: &Effect,
        tenant: &Tenant,
        proof: Option<u32>,
        choices: &mut Choices<'_>,
    ) -> FailureKind {
        let kind = FAILURES[choices.below(FAILURES.len())].clone();
        let is_refusal = matches!(kind, FailureKind::Rejected | FailureKind::Conflict);
        let kind = if is_refusal && !effect.kind().is_repeatable() { FailureKind::NoAnswer } else { kind };
        let proves_nothing =
            matches!(kind, FailureKind::NoAnswer | FailureKind::ServerError | FailureKind::Unreadable);
        match choices.below(3) {
            0 if proves_nothing => drop(self.perform(effect, tenant, proof, false)),
            1 if proves_nothing && !effect.kind().is_repeatable() => self.in_flight.push(effect.clone()),
            _ => {}
        }
        kind
    }

    /// What can still land within its time does. Of the creates some are a zombie's.
    /// Returns whether any did.
    pub(super) fn settle(&mut self, choices: &mut Choices<'_>) -> bool {
        let in_flight = std::mem::take(&mut self.in_flight);
        let has_any = !in_flight.is_empty();
        for effect in in_flight {
            if let Effect::Mint(client) = effect {
                drop(self.mint(&client, true));
            } else if choices.one_in(2) {
                self.late += 1;
            } else {
                self.create();
            }
        }
        has_any
    }

    pub(super) fn land_late(&mut self) -> bool {
        let has_any = self.late > 0;
        for _ in 0..std::mem::take(&mut self.late) {
            self.create();
        }
        has_any
    }

    fn perform(&mut self, effect: &Effect, tenant: &Tenant, proof: Option<u32>, is_lagging: bool) -> Answer {
        let plain = |done| Ok((done, None));
        match effect {
            Effect::Create => {
                let (client, serial, hint) = self.create();
                Ok((Done::Created { client, hint }, Some(serial)))
            }
            Effect::Look => {
                let is_ghostly = is_lagging && matches!(tenant.state, State::Removing(_));
                plain(Done::Looked(self.list(is_ghostly.then_some(tenant))))
            }
            Effect::Recheck(_) => plain(Done::Rechecked(self.list(None))),
            Effect::Compare(client) => {
                let secrets = seen(&self.client(client)?.secrets);
                plain(Done::Compared { secrets, me: UserId::new("me") })
            }
            Effect::Mint(client) => {
                let (serial, hint) = self.mint(client, true)?;
                Ok((Done::Minted { hint }, Some(serial)))
            }
            Effect::Tidy(client, hint) => {
                self.client(client)?.secrets.retain(|secret| secret.hint != *hint);
                plain(Done::Tidied)
            }
            Effect::Trust(client) => {
                self.client(client)?.is_trusted = true;
                plain(Done::Trusted)
            }
            Effect::Amend(client, changes) => {
                let client = self.client(client)?;
                client.name = "portal";
                client.is_marked |= changes.iter().any(|change| change.field == Field::Description);
                plain(Done::Amended)
            }
            Effect::Prove(client) => self.prove(client, proof),
            Effect::Audit(client) => plain(Done::Audited(self.audit(client, tenant))),
            Effect::Dedupe(client) => {
                self.delete(client);
                plain(Done::Deduped)
            }
            Effect::Delete(client) => {
                self.delete(client);
                plain(Done::Deleted)
            }
            Effect::Revoke(client, walk) => {
                for _ in 0..BATCH {
                    let place = self.tokens.iter().position(|of| of == client);
                    place.map(|place| self.tokens.remove(place));
                }
                plain(Done::Revoked { left: self.tokens.contains(client).then(|| walk.clone()) })
            }
            Effect::DeleteBot(client) => {
                self.bots.retain(|of| of != client);
                plain(Done::BotDeleted)
            }
        }
    }

    fn create(&mut self) -> (ClientId, u32, Option<Hint>) {
        let id = ClientId::new(format!("c{}", self.born));
        let client = Client {
            id: id.clone(),
            secrets: vec![],
            is_marked: true,
            is_trusted: false,
            is_disabled: false,
            name: "portal",
            born: self.born,
        };
        self.clients.push(client);
        self.bots.push(id.clone());
        let (serial, hint) = self.mint(&id, true).unwrap();
        (id, serial, hint)
    }

    fn mint(&mut self, client: &ClientId, is_ours: bool) -> Result<(u32, Option<Hint>), FailureKind> {
        self.born += 1;
        let serial = self.born;
        let hint = match (self.hints, is_ours) {
            (_, false) => Hint::new(format!("a{serial}")),
            (Hints::Alike, true) => Hint::new(format!("h{}", serial % 4)),
            (Hints::Plain | Hints::Untold, true) => Hint::new(format!("h{serial}")),
        };
        let secrets = &mut self.client(client)?.secrets;
        if secrets.len() >= SLOTS {
            return Err(FailureKind::Conflict);
        }
        secrets.push(Secret { serial, hint: hint.clone(), is_ours });
        let is_told = self.hints != Hints::Untold || !serial.is_multiple_of(3);
        Ok((serial, is_told.then_some(hint)))
    }

    fn prove(&mut self, client: &ClientId, proof: Option<u32>) -> Answer {
        let is_good = self.client(client).is_ok_and(|client| {
            !client.is_disabled && client.secrets.iter().any(|secret| Some(secret.serial) == proof)
        });
        if !is_good {
            return Err(FailureKind::CredentialRefused);
        }
        self.tokens.extend(std::iter::repeat_n(client.clone(), BATCH + 1));
        Ok((Done::Proven, None))
    }

    fn delete(&mut self, client: &ClientId) {
        let (gone, left) = std::mem::take(&mut self.clients).into_iter().partition(|one| one.id == *client);
        self.clients = left;
        self.deleted.extend::<Vec<_>>(gone);
    }

    fn audit(&self, client: &ClientId, tenant: &Tenant) -> Vec<crate::domain::drift::Drift> {
        let wanted = WantedClient {
            name: "portal".to_owned(),
            description: MARK.to_string(),
            redirect_uris: vec![],
            allowed_origins: vec![],
            scopes: vec![],
        };
        let expected = Expected { client, mark: &MARK, wanted: Some(&wanted), stored: &tenant.stored };
        expected.drifts(&self.list(None))
    }

    /// Every client, and those that were deleted under this lease where the list lags.
    fn list(&self, ghosts_of: Option<&Tenant>) -> Vec<SeenClient> {
        let is_ghost = |client: &&Client| ghosts_of.is_some_and(|tenant| tenant.gone.contains(&client.id));
        let ghosts = self.deleted.iter().filter(is_ghost);
        self.clients.iter().chain(ghosts).map(Client::seen).collect()
    }

    fn client(&mut self, id: &ClientId) -> Result<&mut Client, FailureKind> {
        self.clients.iter_mut().find(|client| client.id == *id).ok_or(FailureKind::NotFound)
    }

    /// Whether a secret still gets tokens.
    pub(super) fn has(&self, serial: u32) -> bool {
        self.clients.iter().flat_map(|client| &client.secrets).any(|secret| secret.serial == serial)
    }

    /// The secrets of a client that go by this hint.
    pub(super) fn by_hint(&self, client: &ClientId, hint: &Hint) -> Vec<&Secret> {
        let of_client = self.clients.iter().filter(|one| one.id == *client).flat_map(|one| &one.secrets);
        of_client.filter(|secret| secret.hint == *hint).collect()
    }

    /// An administrator's hand. Returns the serials that are gone by it.
    pub(super) fn meddle(&mut self, id: &ClientId, how: Meddling, choices: &mut Choices<'_>) -> Vec<u32> {
        let Ok(client) = self.client(id) else { return vec![] };
        let (count, all) = (client.secrets.len(), client.secrets.iter().map(|s| s.serial).collect());
        match how {
            Meddling::DeleteSecret if count > 0 => {
                return vec![client.secrets.remove(choices.below(count)).serial];
            }
            Meddling::AddSecret => drop(self.mint(id, false)),
            Meddling::Distrust => client.is_trusted = false,
            Meddling::Rename => client.name = "renamed",
            Meddling::Unmark => client.is_marked = false,
            Meddling::Disable => client.is_disabled = true,
            Meddling::DeleteClient => {
                self.delete(id);
                return all;
            }
            Meddling::DeleteSecret => {}
        }
        vec![]
    }
}

impl Client {
    fn seen(&self) -> SeenClient {
        SeenClient {
            app_type: Some(APP_TYPE.to_owned()),
            made_by: Maker::Untold,
            fault: None,
            client_id: self.id.clone(),
            name: self.name.to_owned(),
            description: if self.is_marked { MARK.to_string() } else { String::new() },
            scopes: vec![],
            grants: GRANTS.map(str::to_owned).to_vec(),
            redirect_uris: vec![],
            allowed_origins: vec![],
            created_at: DateTime::from_timestamp(i64::from(self.born), 0),
            is_deleted: false,
            is_disabled: self.is_disabled,
            is_trusted: Some(self.is_trusted),
            secrets: seen(&self.secrets),
        }
    }
}

fn seen(secrets: &[Secret]) -> Vec<SeenSecret> {
    let maker = |secret: &Secret| UserId::new(if secret.is_ours { "me" } else { "admin" });
    secrets.iter().map(|s| SeenSecret { hint: s.hint.clone(), created_by: Some(maker(s)) }).collect()
}
