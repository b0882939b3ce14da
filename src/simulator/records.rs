//! What there is in the world: tenants, and the clients, secrets, users and tokens in them.
//!
//! The rule: records know each other and nothing else of the world. Who may change
//! them, and when, is for the operations of a [`Moment`](super::Moment), each of which
//! sees all of them. What is deleted stays where it must be told later: a client as a
//! tombstone, a secret for the ledger.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::draft::Draft;
use super::problem::Problem;
use super::rng::Rng;

/// The role that may manage OAuth clients.
pub(super) const ADMIN: &str = "TenantAdmin";

/// `createdByType` of a client that a bot user made: not documented.
pub(super) const CREATED_BY_TYPE: &str = "user";

/// Whether a tenant answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantStatus {
    /// It serves.
    Active,
    /// 401 `TENANT_DEACTIVATED` on every path.
    Deactivated,
    /// 401 `TENANT_DISABLED` on every path, the other documented code.
    Disabled,
    /// No connection is ever completed.
    Unreachable,
}

/// One tenant, serving or not.
pub(super) struct Tenant {
    pub(super) id: String,
    pub(super) status: TenantStatus,
    pub(super) created_at: DateTime<Utc>,
    /// Deleted ones included.
    pub(super) clients: Vec<Client>,
    pub(super) users: Vec<User>,
    pub(super) tokens: Vec<Token>,
}

impl Tenant {
    pub(super) fn new(rng: &mut Rng, host: &str, now: DateTime<Utc>) -> Self {
        // 32 characters, as the documented tenant ids.
        let id = format!("{}{}", rng.hex(24), Rng::named(0, host).hex(8));
        Self {
            id,
            status: TenantStatus::Active,
            created_at: now,
            clients: Vec::new(),
            users: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// The live client with this id, or 404.
    pub(super) fn live_client(&mut self, id: &str) -> Result<&mut Client, Problem> {
        self.clients
            .iter_mut()
            .find(|client| client.id == id && client.is_live())
            .ok_or_else(|| Problem::not_found("OAuth client"))
    }
}

/// An OAuth client, live or deleted.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) draft: Draft,
    pub(super) is_trusted: bool,
    pub(super) secrets: Vec<Secret>,
    pub(super) owner_id: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) deleted_at: Option<DateTime<Utc>>,
    /// Set when it is disabled.
    pub(super) disable_tag: Option<String>,
    /// Most secrets it ever had at once.
    pub(super) most_secrets: usize,
}

/// A client as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct ClientView {
    pub client_id: String,
    pub draft: Draft,
    /// Its consent is `trusted`; lists show it, reading one client does not.
    pub is_trusted: bool,
    pub secrets: Vec<SecretView>,
    pub owner_id: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// It is only a tombstone.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Set when it is disabled: no credential of it works.
    pub disable_tag: Option<String>,
}

impl Client {
    pub(super) fn is_live(&self) -> bool {
        self.deleted_at.is_none()
    }

    pub(super) fn live_secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(|secret| secret.is_live())
    }

    pub(super) fn keep(&mut self, secret: Secret, now: DateTime<Utc>) {
        self.secrets.push(secret);
        self.updated_at = now;
        self.most_secrets = self.most_secrets.max(self.live_secrets().count());
    }

    /// Whether this secret opens it: one just made or just deleted may lag.
    pub(super) fn knows(&self, secret: &str, now: DateTime<Utc>, lag: Duration) -> bool {
        self.is_live()
            && self.draft.uses_secrets()
            && self.secrets.iter().any(|kept| kept.plaintext.is(secret) && kept.works_at(now, lag))
    }

    /// Whether tokens are given to it by this grant.
    pub(super) fn may(&self, grant: &str) -> bool {
        self.draft.allowed_grant_types.iter().any(|allowed| allowed == grant)
    }

    pub(super) fn view(&self) -> ClientView {
        ClientView {
            client_id: self.id.clone(),
            draft: self.draft.clone(),
            is_trusted: self.is_trusted,
            secrets: self.live_secrets().map(Secret::view).collect(),
            owner_id: self.owner_id.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            disable_tag: self.disable_tag.clone(),
        }
    }

    /// What a filter may ask for.
    pub(super) fn attribute<'a>(&'a self, tenant_id: &'a str, name: &str) -> &'a str {
        match name {
            "clientId" => &self.id,
            "clientName" => &self.draft.client_name,
            "appType" => &self.draft.app_type,
            "tenantId" => tenant_id,
            _ => CREATED_BY_TYPE,
        }
    }
}

/// A simulated secret in the clear.
pub struct Plaintext(String);

/// A client secret, live or deleted.
#[derive(Debug)]
pub(super) struct Secret {
    pub(super) plaintext: Plaintext,
    pub(super) hint: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) created_by: String,
    pub(super) deleted_at: Option<DateTime<Utc>>,
}

/// A secret as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct SecretView {
    /// At most five characters.
    pub hint: String,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
}

impl Plaintext {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(..)")
    }
}

impl Secret {
    pub(super) fn is_live(&self) -> bool {
        self.deleted_at.is_none()
    }

    pub(super) fn view(&self) -> SecretView {
        SecretView {
            hint: self.hint.clone(),
            created_at: self.created_at,
            created_by: self.created_by.clone(),
        }
    }

    /// Whether it still, or already, authenticates.
    pub(super) fn works_at(&self, now: DateTime<Utc>, lag: Duration) -> bool {
        self.created_at + lag <= now && self.deleted_at.is_none_or(|gone| now < gone + lag)
    }
}

/// A token that was given, ended by time or not.
pub(super) struct Token {
    pub(super) id: String,
    pub(super) bearer: Plaintext,
    pub(super) client_id: String,
    pub(super) user_id: String,
    pub(super) last_used: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

impl Token {
    pub(super) fn opens(&self, bearer: &str, now: DateTime<Utc>) -> bool {
        self.bearer.is(bearer) && now < self.expires_at
    }
}

/// A user of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct User {
    pub id: String,
    /// The identity provider's name for it; unique in the tenant.
    pub subject: String,
    pub name: String,
    /// E-mail address, or empty.
    pub email: String,
    /// The client it is the bot of.
    pub client_id: Option<String>,
    pub roles: Vec<String>,
    pub created_at: DateTime<Utc>,
}

impl User {
    pub(super) fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == ADMIN)
    }

    pub(super) fn is_bot_of(&self, client_id: &str) -> bool {
        self.client_id.as_deref() == Some(client_id)
    }

    /// What a filter may ask for.
    pub(super) fn attribute(&self, name: &str) -> &str {
        match name {
            "id" => &self.id,
            "subject" => &self.subject,
            "name" => &self.name,
            "email" => &self.email,
            "clientId" => self.client_id.as_deref().unwrap_or_default(),
            _ => "active",
        }
    }
}

/// The subject of a client's bot user.
pub(super) fn subject_of_bot(client_id: &str) -> String {
    format!("qlikbot\\{client_id}")
}
