//! Request bodies: JSON and forms into the world's terms.
//!
//! The rule: a body of another shape is a 400 that names what is wrong, and
//! fields that Qlik does not document are ignored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::request::Request;
use super::text;
use crate::simulator::clients::{FILTERS, SORTS};
use crate::simulator::draft::{CLIENT_CREDENTIALS, Draft, IMPERSONATION};
use crate::simulator::patch::replaced;
use crate::simulator::problem::Problem;
use crate::simulator::query::{Filter, ListQuery, Paging, Sort};
use crate::simulator::tokens::{Grant, TokenRequest};
use crate::simulator::users::NewUser;

/// The body of `POST /oauth/token`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct TokenBody {
    pub(super) client_id: String,
    client_secret: String,
    grant_type: String,
    scope: Option<String>,
    user_lookup: Option<UserLookup>,
}

#[derive(Deserialize)]
struct UserLookup {
    field: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody {
    #[serde(flatten)]
    draft: Draft,
    connection_config: Option<ConnectionConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionConfig {
    consent_method: Option<String>,
}

/// One operation of a JSON Patch (RFC 6902) on whole fields.
#[derive(Deserialize)]
pub(super) struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct UserBody {
    #[serde(default)]
    subject: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

/// The fields a patch may name.
const PATCHABLE: [&str; 11] = [
    "allowedOrigins",
    "clientName",
    "clientUri",
    "description",
    "logoUri",
    "redirectUris",
    "allowedScopes",
    "allowedGrantTypes",
    "publicKeys",
    "allowedAuthMethods",
    "jwksUri",
];

fn json<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let kind = request.content_type.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::invalid("the content type must be application/json"));
    }
    serde_json::from_slice(&request.body).map_err(|error| Problem::invalid(format!("body: {error}")))
}

/// The client to be made, and whether its consent is trusted from the start.
pub(super) fn creation(request: &Request) -> Result<(Draft, bool), Problem> {
    let body: CreateBody = json(request)?;
    match body.connection_config.and_then(|config| config.consent_method).as_deref() {
        None => Ok((body.draft, false)),
        Some("trusted") => Ok((body.draft, true)),
        Some(_) => Err(Problem::invalid("connectionConfig.consentMethod can only be trusted")),
    }
}

/// Whether consent is to be trusted.
pub(super) fn consent(request: &Request) -> Result<bool, Problem> {
    let operations: Vec<Operation> = json(request)?;
    let [Operation { op, path, value }] = operations.as_slice() else {
        return Err(Problem::invalid("exactly one operation is expected"));
    };
    match (op.as_str(), path.as_str(), value.as_str()) {
        ("replace", "/consentMethod", Some("trusted")) => Ok(true),
        ("replace", "/consentMethod", Some("required")) => Ok(false),
        _ => Err(Problem::invalid("only consentMethod can be replaced, by required or trusted")),
    }
}

/// The operations on a client.
pub(super) fn patch(request: &Request) -> Result<Vec<Operation>, Problem> {
    json(request)
}

/// A client after the operations.
pub(super) fn patched(draft: &Draft, operations: &[Operation]) -> Result<Draft, Problem> {
    let changes: Vec<_> = operations.iter().map(Operation::change).collect::<Result<_, _>>()?;
    replaced(draft, changes)
}

impl Operation {
    /// Which field is to hold what.
    fn change(&self) -> Result<(&str, Value), Problem> {
        let field = self.path.strip_prefix('/').filter(|field| PATCHABLE.contains(field));
        let field = field.ok_or_else(|| Problem::invalid("patch: unknown path"))?;
        let value = match self.op.as_str() {
            "add" | "replace" => self.value.clone(),
            // Absent members take their default; null would be a wrong type.
            "remove" if field.ends_with('s') => Value::Array(Vec::new()),
            "remove" => Value::String(String::new()),
            _ => return Err(Problem::invalid("patch: op must be add, remove or replace")),
        };
        Ok((field, value))
    }
}

pub(super) fn user(request: &Request) -> Result<NewUser, Problem> {
    let UserBody { subject, name, email } = json(request)?;
    Ok(NewUser { subject, name, email })
}

/// The token asked for, as JSON or a form, by body or HTTP Basic.
pub(super) fn token(request: &Request) -> Result<TokenBody, Problem> {
    let is_form = request.content_type.starts_with("application/x-www-form-urlencoded");
    let mut body = if is_form { token_form(request)? } else { json(request)? };
    if let Some((id, secret)) = request.authorization.as_deref().and_then(basic) {
        (body.client_id, body.client_secret) = (id, secret);
    }
    Ok(body)
}

fn token_form(request: &Request) -> Result<TokenBody, Problem> {
    let text = std::str::from_utf8(&request.body).map_err(|_| Problem::invalid("body: not UTF-8"))?;
    let mut body = TokenBody::default();
    for (name, value) in text::fields(text) {
        match name.as_str() {
            "client_id" => body.client_id = value,
            "client_secret" => body.client_secret = value,
            "grant_type" => body.grant_type = value,
            "scope" => body.scope = Some(value),
            _ => {}
        }
    }
    Ok(body)
}

/// Id and secret of HTTP Basic (RFC 7617).
fn basic(authorization: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

impl TokenBody {
    pub(super) fn request(&self) -> Result<TokenRequest<'_>, Problem> {
        if self.client_id.is_empty() || self.client_secret.is_empty() {
            return Err(Problem::invalid("client_id or client_secret is missing"));
        }
        Ok(TokenRequest {
            client_id: &self.client_id,
            secret: &self.client_secret,
            grant: self.grant()?,
            scope: self.scope.as_deref(),
        })
    }

    fn grant(&self) -> Result<Grant<'_>, Problem> {
        match (self.grant_type.as_str(), &self.user_lookup) {
            (CLIENT_CREDENTIALS, _) => Ok(Grant::ClientCredentials),
            (IMPERSONATION, Some(lookup)) => match lookup.field.as_str() {
                "subject" => Ok(Grant::UserBySubject(&lookup.value)),
                "userId" => Ok(Grant::UserById(&lookup.value)),
                _ => Err(Problem::invalid("user_lookup.field must be subject or userId")),
            },
            (IMPERSONATION, None) => Err(Problem::invalid("user_lookup is missing")),
            _ => Err(Problem::invalid("grant_type is not known")),
        }
    }
}

/// What is asked of the list of clients.
pub(super) fn list_query(request: &Request) -> Result<ListQuery, Problem> {
    Ok(ListQuery {
        filter: filter(request, &FILTERS)?,
        sort: request.parameter("sort").map(|text| Sort::parse(text, &SORTS)).transpose()?,
        paging: paging(request)?,
        total: match request.parameter("totalResults") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Problem::invalid("totalResults must be true or false")),
        },
    })
}

pub(super) fn filter(request: &Request, allowed: &[&str]) -> Result<Filter, Problem> {
    let parsed = request.parameter("filter").map(|text| Filter::parse(text, allowed)).transpose()?;
    Ok(parsed.unwrap_or_default())
}

/// The page of any list; a cursor says itself which way it leads.
pub(super) fn paging(request: &Request) -> Result<Paging, Problem> {
    let limit = match request.parameter("limit") {
        None => 20,
        Some(text) => text.parse().map_err(|_| Problem::invalid("limit must be a number"))?,
    };
    let cursor = ["next", "prev", "page"].iter().find_map(|name| request.parameter(name));
    Paging::of(limit, cursor)
}
