//! The world's results as Qlik's JSON.
//!
//! The rule: spellings are those of the reference; where it knows several, the
//! switch that chooses among them was drawn by the world.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::request::Request;
use crate::simulator::behaviour::{HintSpelling, NoLink};
use crate::simulator::clients::{ClientPage, Created};
use crate::simulator::problem::Problem;
use crate::simulator::records::{CREATED_BY_TYPE, ClientView, SecretView, User};
use crate::simulator::secrets::Minted;
use crate::simulator::tokens::{Granted, TOKEN_LIFE, TokenPage, TokenView};
use crate::simulator::users::UserPage;

fn nanos(instant: DateTime<Utc>) -> Value {
    instant.to_rfc3339_opts(SecondsFormat::Nanos, true).into()
}

fn millis(instant: DateTime<Utc>) -> Value {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true).into()
}

pub(super) fn problem(problem: &Problem, trace_id: &str) -> Value {
    let mut error = json!({
        "code": problem.code, "title": problem.title, "status": problem.status.to_string(),
    });
    if let Some(detail) = &problem.detail {
        error["detail"] = detail.as_str().into();
    }
    json!({ "errors": [error], "traceId": trace_id })
}

fn client(view: &ClientView) -> Value {
    let mut body = json!({
        "clientId": view.client_id,
        "ownerId": view.owner_id,
        "createdByType": CREATED_BY_TYPE,
        "createdAt": nanos(view.created_at),
        "updatedAt": nanos(view.updated_at),
    });
    // A draft is plain data: it always has a JSON form.
    if let (Value::Object(body), Ok(Value::Object(draft))) = (&mut body, serde_json::to_value(&view.draft)) {
        body.extend(draft);
    }
    if let Some(deleted_at) = view.deleted_at {
        body["deletedAt"] = nanos(deleted_at);
    }
    if let Some(tag) = &view.disable_tag {
        body["disableTag"] = tag.as_str().into();
    }
    body
}

fn secret(view: &SecretView) -> Value {
    json!({ "hint": view.hint, "createdAt": millis(view.created_at), "createdBy": view.created_by })
}

/// One client: with the hints, without consent.
pub(super) fn one_client(view: &ClientView) -> Value {
    let mut body = client(view);
    body["clientSecrets"] = view.secrets.iter().map(secret).collect();
    body
}

/// An item of the list: with the hints and consent.
fn listed_client(view: &ClientView) -> Value {
    let mut body = one_client(view);
    body["connectionConfig"] = consent(view.is_trusted);
    body
}

pub(super) fn consent(is_trusted: bool) -> Value {
    let method = if is_trusted { "trusted" } else { "required" };
    json!({ "consentMethod": method, "status": "approved" })
}

pub(super) fn created(created: &Created) -> Value {
    let mut body = client(&created.view);
    let secret = created.secret.as_ref().map_or("", |secret| secret.reveal());
    body["clientSecret"] = secret.into();
    let Some(hint) = &created.hint else { return body };
    if matches!(created.spelling, HintSpelling::TopLevel | HintSpelling::Both) {
        body["clientSecretHint"] = hint.as_str().into();
    }
    if matches!(created.spelling, HintSpelling::InList | HintSpelling::Both) {
        body["clientSecrets"] = json!([{ "hint": hint }]);
    }
    body
}

pub(super) fn minted(client_id: &str, minted: &Minted) -> Value {
    let mut body = json!({
        "clientId": client_id,
        "clientSecret": minted.secret.reveal(),
        "createdAt": millis(minted.view.created_at),
        "createdBy": minted.view.created_by,
    });
    if let Some(hint) = minted.shown_hint() {
        body["hint"] = hint.into();
    }
    body
}

pub(super) fn granted(granted: &Granted) -> Value {
    let mut body = json!({
        "access_token": granted.access_token.reveal(),
        "token_type": granted.token_type,
        "scope": granted.scope,
        "expires_at": millis(granted.expires_at),
    });
    if granted.shows_expires_in {
        body["expires_in"] = TOKEN_LIFE.as_secs().into();
    }
    body
}

pub(super) fn client_page(request: &Request, page: &ClientPage, none: NoLink) -> Value {
    let data: Vec<Value> = page.clients.iter().map(listed_client).collect();
    let links = links(request, &[("prev", page.prev.as_deref()), ("next", page.next.as_deref())], none);
    let mut body = json!({ "data": data, "links": links });
    if let Some(total) = page.total {
        body["totalResults"] = total.into();
    }
    body
}

pub(super) fn user(user: &User, tenant_id: Option<&str>, request: &Request) -> Value {
    let mut body = json!({
        "id": user.id, "status": "active", "subject": user.subject, "name": user.name,
        "roles": user.roles, "assignedRoles": [], "assignedGroups": [],
        "createdAt": millis(user.created_at), "lastUpdatedAt": millis(user.created_at),
        "links": { "self": { "href": format!("https://{}/api/v1/users/{}", request.authority, user.id) } },
    });
    if let Some(tenant_id) = tenant_id {
        body["tenantId"] = tenant_id.into();
    }
    if let Some(client_id) = &user.client_id {
        body["clientId"] = client_id.as_str().into();
    }
    if !user.email.is_empty() {
        body["email"] = user.email.as_str().into();
    }
    body
}

pub(super) fn user_page(request: &Request, page: &UserPage, none: NoLink) -> Value {
    let data: Vec<Value> = page.users.iter().map(|item| user(item, None, request)).collect();
    let links = links(request, &[("prev", page.prev.as_deref()), ("next", page.next.as_deref())], none);
    json!({ "data": data, "links": links })
}

pub(super) fn token_page(request: &Request, page: &TokenPage, none: NoLink) -> Value {
    let data: Vec<Value> = page.tokens.iter().map(|token| listed_token(token, &page.tenant_id)).collect();
    let mut links = links(request, &[("next", None)], none);
    if let Some(cursor) = &page.next {
        // This list pages by `page`, all others by `next`.
        links["next"] = json!({ "href": request.link(Some(("page", cursor))) });
    }
    json!({ "data": data, "links": links })
}

fn listed_token(token: &TokenView, tenant_id: &str) -> Value {
    let mut body = json!({
        "id": token.id, "tenantId": tenant_id, "userId": token.user_id,
        "description": null, "deviceType": null, "lastUsed": millis(token.last_used),
    });
    if let Some(client_id) = &token.client_id {
        body["clientId"] = client_id.as_str().into();
    }
    body
}

fn links(request: &Request, cursors: &[(&str, Option<&str>)], none: NoLink) -> Value {
    let mut links = Map::new();
    links.insert("self".to_owned(), json!({ "href": request.link(None) }));
    for (name, cursor) in cursors {
        let link = match (cursor, none) {
            (Some(cursor), _) => json!({ "href": request.link(Some((name, cursor))) }),
            (None, NoLink::Absent) => continue,
            (None, NoLink::Null) => Value::Null,
            (None, NoLink::NullHref) => json!({ "href": null }),
        };
        links.insert((*name).to_owned(), link);
    }
    Value::Object(links)
}

/// What `@qlik/api` asks for before its first call, to learn what it talks to.
pub(super) fn product_info() -> Value {
    json!({
        "composition": { "deploymentType": "qlikcloudservices", "productName": "Qlik" },
        "externalUrls": {},
    })
}
