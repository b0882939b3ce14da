//! A request against the world.
//!
//! The rule: one operation of the world per request. A body that cannot be read
//! is refused only after its sender was let in.

use serde_json::{Value, json};

use super::answers;
use super::bodies;
use super::request::{Request, Route};
use crate::simulator::endpoint::Endpoint;
use crate::simulator::problem::Problem;
use crate::simulator::users;
use crate::simulator::world::Moment;

/// A success: its status, and its body where it has one.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
}

type Outcome = Result<Option<Value>, Problem>;

/// Does what the request asks.
pub(super) fn perform(moment: &mut Moment<'_>, request: &Request, route: &Route) -> Result<Answer, Problem> {
    let (caller, id) = (request.caller(), route.id.as_str());
    let body = match route.endpoint {
        Endpoint::RegionToken | Endpoint::ClientToken => give_token(moment, request),
        Endpoint::ListClients => list_clients(moment, request),
        Endpoint::CreateClient => create_client(moment, request),
        Endpoint::GetClient => moment.get_client(caller, id).map(|view| Some(answers::one_client(&view))),
        Endpoint::PatchClient => patch_client(moment, request, id),
        Endpoint::DeleteClient => nothing(moment.delete_client(caller, id, request.confirm.as_deref())),
        Endpoint::MintSecret => moment.mint_secret(caller, id).map(|made| Some(answers::minted(id, &made))),
        Endpoint::DeleteSecret => nothing(moment.delete_secret(caller, id, &route.hint)),
        Endpoint::GetConsent => moment.is_trusted(caller, id).map(|trusted| Some(answers::consent(trusted))),
        Endpoint::SetConsent => set_consent(moment, request, id),
        Endpoint::Me => me(moment, request),
        Endpoint::ListUsers => list_users(moment, request),
        Endpoint::CreateUser => create_user(moment, request),
        Endpoint::DeleteUser => nothing(moment.delete_user(caller, id)),
        Endpoint::ListTokens => list_tokens(moment, request),
        Endpoint::DeleteToken => nothing(moment.delete_token(caller, id)),
        Endpoint::DeleteTokensByFilter => delete_tokens(moment, request),
        Endpoint::ProductInfo => Ok(Some(answers::product_info())),
        Endpoint::Unknown => {
            moment.admit(caller, Endpoint::Unknown).and_then(|_| Err(Problem::not_found("this path")))
        }
    }?;
    // A patch that made a secret is the one success with a status of its own.
    let made_a_secret = route.endpoint == Endpoint::PatchClient && body.is_some();
    let status = if made_a_secret { 202 } else { route.endpoint.success() };
    Ok(Answer { status, body })
}

fn nothing(outcome: Result<(), Problem>) -> Outcome {
    outcome.map(|()| None)
}

/// What the request says, if it can be read; otherwise its sender is judged first.
fn readable<T>(
    moment: &mut Moment<'_>,
    request: &Request,
    endpoint: Endpoint,
    read: impl FnOnce(&Request) -> Result<T, Problem>,
) -> Result<T, Problem> {
    match read(request) {
        Ok(read) => Ok(read),
        Err(problem) => {
            moment.admit_admin(request.caller(), endpoint)?;
            Err(problem)
        }
    }
}

fn give_token(moment: &mut Moment<'_>, request: &Request) -> Outcome {
    moment.tenant(&request.host)?;
    let body = bodies::token(request)?;
    let granted = moment.grant_token(&request.host, &body.request()?)?;
    Ok(Some(answers::granted(&granted)))
}

fn list_clients(moment: &mut Moment<'_>, request: &Request) -> Outcome {
    let query = readable(moment, request, Endpoint::ListClients, bodies::list_query)?;
    let page = moment.list_clients(request.caller(), &query)?;
    Ok(Some(answers::client_page(request, &page, moment.no_link())))
}

fn create_client(moment: &mut Moment<'_>, request: &Request) -> Outcome {
    let (draft, is_trusted) = readable(moment, request, Endpoint::CreateClient, bodies::creation)?;
    let created = moment.create_client(request.caller(), draft, is_trusted)?;
    Ok(Some(answers::created(&created)))
}

fn patch_client(moment: &mut Moment<'_>, request: &Request, id: &str) -> Outcome {
    let operations = readable(moment, request, Endpoint::PatchClient, bodies::patch)?;
    let minted = moment.edit_client(request.caller(), id, |draft| bodies::patched(draft, &operations))?;
    Ok(minted.map(|minted| json!({ "clientSecret": minted.secret.reveal() })))
}

fn set_consent(moment: &mut Moment<'_>, request: &Request, id: &str) -> Outcome {
    let is_trusted = readable(moment, request, Endpoint::SetConsent, bodies::consent)?;
    nothing(moment.set_trusted(request.caller(), id, is_trusted))
}

fn me(moment: &mut Moment<'_>, request: &Request) -> Outcome {
    let (tenant_id, me) = moment.me(request.caller())?;
    Ok(Some(answers::user(&me, Some(&tenant_id), request)))
}

fn list_users(moment: &mut Moment<'_>, request: &Request) -> Outcome {
    let read = |request: &Request| Ok((bodies::filter(request, &users::FILTERS)?, bodies::paging(request)?));
    let (filter, paging) = readable(moment, request, Endpoint::ListUsers, read)?;
    let page = moment.list_users(request.caller(), &filter, &paging)?;
    Ok(Some(answers::user_page(request, &page, moment.no_link())))
}

fn create_user(moment: &mut Moment<'_>, request: &Request) -> Outcome {
    let new = readable(moment, request, Endpoint::CreateUser, bodies::user)?;
    let user = moment.create_user(request.caller(), new)?;
    Ok(Some(answers::user(&user, None, request)))
}

fn list_tokens(moment: &mut Moment<'_>, request: &Request) -> Outcome {
    let paging = readable(moment, request, Endpoint::ListTokens, bodies::paging)?;
    let page = moment.list_tokens(request.caller(), request.parameter("userId"), &paging)?;
    Ok(Some(answers::token_page(request, &page, moment.no_link())))
}

fn delete_tokens(moment: &mut Moment<'_>, request: &Request) -> Outcome {
    let (client_id, user_id) = (request.parameter("clientId"), request.parameter("userId"));
    nothing(moment.delete_tokens_by_filter(request.caller(), client_id, user_id))
}
