//! The private path `/__simulator`, for whoever runs the simulator in another process.
//!
//! * `GET /__simulator/ledger`: what really happened.
//! * `POST /__simulator/tenants` `{"host", "status"?}`: makes a tenant, or switches it
//!   to `active`, `deactivated`, `disabled` or `unreachable`.
//! * `POST /__simulator/users` `{"host", "subject", "name"?, "email"?}`: makes a user.
//!
//! The rule: it asks for no credential, so the server must listen on loopback only.

use hyper::Response;
use serde::Deserialize;
use serde_json::json;

use super::reply::{Payload, json, refusal};
use super::request::Request;
use crate::simulator::problem::Problem;
use crate::simulator::records::TenantStatus;
use crate::simulator::users::NewUser;
use crate::simulator::world::World;

/// What all its paths start with.
pub(super) const PREFIX: &str = "/__simulator/";

#[derive(Deserialize)]
struct TenantBody {
    host: String,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[default]
    Active,
    Deactivated,
    Disabled,
    Unreachable,
}

#[derive(Deserialize)]
struct UserBody {
    host: String,
    subject: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

/// Answers a request to the private path.
pub(super) fn answer(world: &World, request: &Request) -> Response<Payload> {
    let path = request.path.strip_prefix(PREFIX).unwrap_or_default();
    let outcome = match (request.method.as_str(), path) {
        ("GET", "ledger") => ledger(world, request),
        ("POST", "tenants") => make_tenant(world, request),
        ("POST", "users") => make_user(world, request),
        _ => Err(Problem::not_found("this path")),
    };
    outcome.unwrap_or_else(|problem| refusal(&problem, ""))
}

fn ledger(world: &World, request: &Request) -> Result<Response<Payload>, Problem> {
    let ledger = world.at(request.now).ledger();
    let text = serde_json::to_string(&ledger).map_err(|_| Problem::of_status(500))?;
    Ok(json(200, text))
}

fn make_tenant(world: &World, request: &Request) -> Result<Response<Payload>, Problem> {
    let TenantBody { host, status } = read(request)?;
    let status = match status {
        Status::Active => TenantStatus::Active,
        Status::Deactivated => TenantStatus::Deactivated,
        Status::Disabled => TenantStatus::Disabled,
        Status::Unreachable => TenantStatus::Unreachable,
    };
    world.at(request.now).set_status(&host, status);
    Ok(json(201, json!({ "host": host }).to_string()))
}

fn make_user(world: &World, request: &Request) -> Result<Response<Payload>, Problem> {
    let UserBody { host, subject, name, email } = read(request)?;
    let user = world.at(request.now).seed_user(&host, NewUser { subject, name, email })?;
    Ok(json(201, json!({ "id": user.id, "subject": user.subject }).to_string()))
}

fn read<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    serde_json::from_slice(&request.body).map_err(|error| Problem::invalid(format!("body: {error}")))
}
