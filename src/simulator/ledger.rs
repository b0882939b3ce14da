//! What really happened, whoever was told what.
//!
//! The rule: the ledger counts effects, not answers. It never holds a secret,
//! only enough to say whether a text is one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::draft::Draft;
use super::endpoint::Endpoint;
use super::records::{Client, Secret, subject_of_bot};
use super::tally::Tally;
use super::world::Moment;

/// All tenants, and every call.
#[derive(Debug, Serialize)]
pub struct Ledger {
    /// By host, those that were only ever asked for included.
    pub tenants: BTreeMap<String, TenantLedger>,
    /// Calls by endpoint and status, such as `create-client 201`; `none` for no answer.
    pub calls: BTreeMap<String, u64>,
    /// Most secrets any client ever had at once.
    pub most_secrets: usize,
    /// Live clients of all tenants.
    pub live_clients: usize,
    /// Those of them whose consent is trusted.
    pub trusted_clients: usize,
    /// Live secrets of live clients.
    pub live_secrets: usize,
    /// Secrets ever made.
    pub secrets_made: usize,
}

/// One tenant.
#[derive(Debug, Default, Serialize)]
pub struct TenantLedger {
    /// Requests sent to the host.
    pub requests: u64,
    /// Every client ever made, in order.
    pub clients: Vec<ClientLedger>,
    /// Users, bots included.
    pub users: usize,
    /// Subjects of the bot users.
    pub bots: Vec<String>,
    /// Tokens that are still good, unless expired meanwhile.
    pub tokens: usize,
}

/// One client ever made, with all that there is of it: two that are equal are the
/// same to the last bit, their secrets included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct ClientLedger {
    pub client_id: String,
    pub name: String,
    pub description: String,
    /// All that a caller can set, name and description included.
    pub draft: Draft,
    pub owner_id: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// Set when it is disabled.
    pub disable_tag: Option<String>,
    pub is_trusted: bool,
    /// Most secrets it ever had at once.
    pub most_secrets: usize,
    /// Every secret ever made for it, in order.
    pub secrets: Vec<SecretLedger>,
}

/// One secret ever made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct SecretLedger {
    pub hint: String,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    digest: [u8; 32],
}

impl Ledger {
    /// The live clients of a tenant.
    pub fn live_clients_of(&self, host: &str) -> impl Iterator<Item = &ClientLedger> {
        self.tenants.get(host).into_iter().flat_map(TenantLedger::live_clients)
    }

    /// How often an endpoint was answered with this status, `None` meaning no answer.
    #[must_use]
    pub fn calls_of(&self, endpoint: Endpoint, status: Option<u16>) -> u64 {
        self.calls.get(&call_name(endpoint, status)).copied().unwrap_or(0)
    }

    /// How many requests were sent to a host.
    #[must_use]
    pub fn requests_to(&self, host: &str) -> u64 {
        self.tenants.get(host).map_or(0, |tenant| tenant.requests)
    }
}

impl TenantLedger {
    /// The clients that are not deleted.
    pub fn live_clients(&self) -> impl Iterator<Item = &ClientLedger> {
        self.clients.iter().filter(|client| client.deleted_at.is_none())
    }

    /// A client, even a deleted one.
    #[must_use]
    pub fn client(&self, client_id: &str) -> Option<&ClientLedger> {
        self.clients.iter().find(|client| client.client_id == client_id)
    }

    /// Whether the bot user of a client is there.
    #[must_use]
    pub fn has_bot_of(&self, client_id: &str) -> bool {
        self.bots.contains(&subject_of_bot(client_id))
    }
}

impl ClientLedger {
    /// The secrets that are not deleted.
    pub fn live_secrets(&self) -> impl Iterator<Item = &SecretLedger> {
        self.secrets.iter().filter(|secret| secret.deleted_at.is_none())
    }

    fn of(client: &Client) -> Self {
        Self {
            client_id: client.id.clone(),
            name: client.draft.client_name.clone(),
            description: client.draft.description.clone(),
            draft: client.draft.clone(),
            owner_id: client.owner_id.clone(),
            created_at: client.created_at,
            updated_at: client.updated_at,
            deleted_at: client.deleted_at,
            disable_tag: client.disable_tag.clone(),
            is_trusted: client.is_trusted,
            most_secrets: client.most_secrets,
            secrets: client.secrets.iter().map(SecretLedger::of).collect(),
        }
    }
}

impl SecretLedger {
    /// Whether this text is the secret.
    #[must_use]
    pub fn matches(&self, plaintext: &str) -> bool {
        self.digest == digest_of(plaintext)
    }

    fn of(secret: &Secret) -> Self {
        Self {
            hint: secret.hint.clone(),
            created_by: secret.created_by.clone(),
            created_at: secret.created_at,
            deleted_at: secret.deleted_at,
            digest: digest_of(secret.plaintext.reveal()),
        }
    }
}

fn digest_of(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn call_name(endpoint: Endpoint, status: Option<u16>) -> String {
    match status {
        Some(status) => format!("{} {status}", endpoint.as_str()),
        None => format!("{} none", endpoint.as_str()),
    }
}

impl Moment<'_> {
    /// Everything that has happened.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let state = &*self.state;
        let mut tenants: BTreeMap<String, TenantLedger> = BTreeMap::new();
        for (host, tenant) in &state.tenants {
            let entry = tenants.entry(host.clone()).or_default();
            entry.clients = tenant.clients.iter().map(ClientLedger::of).collect();
            entry.users = tenant.users.len();
            let bots = tenant.users.iter().filter(|user| user.client_id.is_some());
            entry.bots = bots.map(|user| user.subject.clone()).collect();
            entry.tokens = tenant.tokens.len();
        }
        for (host, count) in state.tally.arrivals() {
            tenants.entry(host.to_owned()).or_default().requests += count;
        }
        let clients = || tenants.values().flat_map(TenantLedger::live_clients);
        let made = tenants.values().flat_map(|tenant| &tenant.clients);
        let most = state.tenants.values().flat_map(|tenant| &tenant.clients);
        Ledger {
            calls: calls_by_name(&state.tally),
            most_secrets: most.map(|client| client.most_secrets).max().unwrap_or(0),
            live_clients: clients().count(),
            trusted_clients: clients().filter(|client| client.is_trusted).count(),
            live_secrets: clients().flat_map(ClientLedger::live_secrets).count(),
            secrets_made: made.map(|client| client.secrets.len()).sum(),
            tenants,
        }
    }
}

fn calls_by_name(tally: &Tally) -> BTreeMap<String, u64> {
    tally.answers().map(|(endpoint, status, count)| (call_name(endpoint, status), count)).collect()
}

#[cfg(test)]
mod tests {
    use crate::simulator::behaviour::Behaviour;
    use crate::simulator::tenants::Caller;
    use crate::simulator::testing::{HOST, OTHER, draft, instant, region_token, world};
    use crate::simulator::world::Moment;

    #[test]
    fn the_ledger_knows_every_client_and_secret_ever_made() {
        let world = world(Behaviour::default());
        let token = region_token(&world, HOST);
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let mut moment = world.at(instant(0));
        let first = moment.create_client(caller, draft("one"), true).unwrap();
        let second = moment.create_client(caller, draft("two"), false).unwrap();
        let minted = moment.mint_secret(caller, &second.client_id).unwrap();
        moment.delete_client(caller, &first.client_id, Some(&first.client_id)).unwrap();

        let ledger = moment.ledger();

        assert_eq!((ledger.live_clients, ledger.trusted_clients), (1, 0));
        assert_eq!((ledger.live_secrets, ledger.secrets_made, ledger.most_secrets), (2, 3, 2));
        let live: Vec<_> = ledger.live_clients_of(HOST).collect();
        assert_eq!(live[0].client_id, second.client_id);
        assert!(live[0].secrets[1].matches(minted.secret.reveal()));
        assert!(!live[0].secrets[0].matches(minted.secret.reveal()));
        assert_eq!(ledger.live_clients_of(OTHER).count(), 0);
    }

    #[test]
    fn no_secret_stands_in_the_ledger() {
        let world = world(Behaviour { sentinel: "SENTINEL".into(), ..Behaviour::default() });
        let token = region_token(&world, HOST);
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let mut moment = world.at(instant(0));
        moment.create_client(caller, draft("one"), true).unwrap();

        let json = serde_json::to_string(&moment.ledger()).unwrap();

        assert!(json.contains("one") && !json.contains("SENTINEL"));
    }

    #[test]
    fn a_client_that_nobody_touches_stays_equal_and_any_touch_shows() {
        let world = world(Behaviour::default());
        let mut moment = world.at(instant(0));
        let made = moment.console(HOST, "ada").unwrap().add_client(draft("theirs"), false).unwrap();
        let id = made.client_id;
        drop(moment);
        let token = region_token(&world, HOST);
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let shown = |second| world.at(instant(second)).ledger().tenants[HOST].client(&id).cloned().unwrap();
        let before = shown(0);

        world.at(instant(1)).create_client(caller, draft("ours"), true).unwrap();
        world.at(instant(1)).get_client(caller, &id).unwrap();
        assert_eq!(shown(2), before);

        let touched = |touch: &dyn Fn(&mut Moment<'_>)| {
            let before = shown(2);
            // Within the same second, so that the time of the change cannot tell.
            let mut moment = world.at(before.updated_at);
            touch(&mut moment);
            drop(moment);
            shown(2) != before
        };
        assert!(touched(&|moment| drop(moment.mint_secret(caller, &id).unwrap())));
        assert!(touched(&|moment| moment.set_trusted(caller, &id, true).unwrap()));
        assert!(touched(&|moment| {
            moment.console(HOST, "ada").unwrap().edit(&id, |draft| draft.logo_uri.push('x')).unwrap();
        }));
        assert!(touched(&|moment| {
            moment.console(HOST, "ada").unwrap().set_disable_tag(&id, Some("x")).unwrap();
        }));
        assert!(touched(&|moment| moment.delete_client(caller, &id, Some(&id)).unwrap()));
        assert!(!touched(&|_| ()));
    }
}
