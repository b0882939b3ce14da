//! The OAuth clients API.
//!
//! The rules: any success that carries what was asked for is a success, whatever its
//! number, and a body that was not asked for is not read; and a list that may hide our
//! mark counts as no list, because believing it could make a second client.

use hyper::body::Bytes;

use super::caller::Caller;
use super::endpoint::{
    AMEND_CLIENT, CREATE_CLIENT, Call, DELETE_CLIENT, DELETE_SECRET, LIST_CLIENTS, MINT_SECRET, READ_CLIENT,
    READ_CONSENT, TRUST_CONSENT, unsendable,
};
use super::pages::{self, List};
use super::transport::Answer;
use super::users;
use super::wire::clients::{ConnectionConfig, CreateAnswer, CreateRequest, MintAnswer, Operation, TRUST};
use super::wire::seen::SeenItem;
use crate::domain::drift::Change;
use crate::domain::failure::{Evidence, Failure, FailureKind};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint};
use crate::domain::look::SeenClient;
use crate::domain::profile::WantedClient;
use crate::domain::region::AllowedHost;
use crate::ports::{NewClient, NewSecret};

/// Newest first, so that a client made while we read shows up or is not ours.
const CLIENTS: List<'_> =
    List { endpoint: &LIST_CLIENTS, query: &[("limit", "100"), ("sort", "-createdAt")], cursors: &["next"] };

pub(super) async fn create(
    caller: &Caller,
    host: &AllowedHost,
    wanted: &WantedClient,
) -> Result<NewClient, Failure> {
    let body = serde_json::to_vec(&CreateRequest(wanted)).map_err(|_| unsendable())?;
    let answer = caller.call(host, &Call::new(&CREATE_CLIENT, &[])?.with_body(body.into())).await?;
    let created: CreateAnswer = answer.read()?;
    let hint = created.hint();
    Ok(NewClient { client_id: ClientId::new(created.id), secret: created.secret, hint })
}

pub(super) async fn list(caller: &Caller, host: &AllowedHost) -> Result<Vec<SeenClient>, Failure> {
    let items = pages::all(caller, host, &CLIENTS, |client: SeenItem, _| Ok(Some(client))).await?;
    let is_reduced = items.iter().any(|client| client.is_reduced() && !client.is_deleted());
    // Who is no administrator sees reduced clients only. A single one among others may just
    // have nothing more to show.
    if is_reduced
        && !items.iter().any(SeenItem::is_of_administrators)
        && !users::is_administrator(caller, host).await?
    {
        let evidence = Evidence { status: Some(200), ..Evidence::default() };
        return Err(Failure { kind: FailureKind::Forbidden, evidence });
    }
    Ok(items.into_iter().map(SeenItem::into_seen).collect())
}

/// A client of ours, alone.
fn checked(client: SeenItem, answer: &Answer) -> Result<SeenItem, Failure> {
    if client.fault().is_some() {
        return Err(answer.unreadable());
    }
    if client.is_reduced() && !client.is_deleted() {
        return Err(answer.meaning(FailureKind::Forbidden));
    }
    Ok(client)
}

pub(super) async fn list_secrets(
    caller: &Caller,
    host: &AllowedHost,
    client: &ClientId,
) -> Result<Vec<SeenSecret>, Failure> {
    let answer = caller.call(host, &Call::new(&READ_CLIENT, &[client.as_str()])?).await?;
    let client = checked(answer.read()?, &answer)?;
    if client.is_deleted() {
        return Err(answer.meaning(FailureKind::NotFound));
    }
    client.secrets().ok_or_else(|| answer.unreadable())
}

pub(super) async fn delete(caller: &Caller, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
    let call = Call::new(&DELETE_CLIENT, &[client.as_str()])?.confirming(client)?;
    caller.delete(host, &call).await
}

pub(super) async fn mint_secret(
    caller: &Caller,
    host: &AllowedHost,
    client: &ClientId,
) -> Result<NewSecret, Failure> {
    let answer = caller.call(host, &Call::new(&MINT_SECRET, &[client.as_str()])?).await?;
    let minted: MintAnswer = answer.read()?;
    let hint = minted.hint();
    Ok(NewSecret { secret: minted.secret, hint })
}

pub(super) async fn delete_secret(
    caller: &Caller,
    host: &AllowedHost,
    client: &ClientId,
    hint: &Hint,
) -> Result<(), Failure> {
    caller.delete(host, &Call::new(&DELETE_SECRET, &[client.as_str(), hint.as_str()])?).await
}

pub(super) async fn is_trusted(
    caller: &Caller,
    host: &AllowedHost,
    client: &ClientId,
) -> Result<bool, Failure> {
    let answer = caller.call(host, &Call::new(&READ_CONSENT, &[client.as_str()])?).await?;
    Ok(answer.read::<ConnectionConfig>()?.consent_method == "trusted")
}

pub(super) async fn trust(caller: &Caller, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
    let call = Call::new(&TRUST_CONSENT, &[client.as_str()])?.with_body(Bytes::from_static(TRUST));
    caller.call(host, &call).await.map(|_| ())
}

/// Sets fields. Qlik may answer with a secret that the patch made (202): it is
/// never read, and the next look sees its hint.
pub(super) async fn amend(
    caller: &Caller,
    host: &AllowedHost,
    client: &ClientId,
    changes: &[Change],
) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    let operations: Vec<_> = changes.iter().map(Operation::from).collect();
    let body = serde_json::to_vec(&operations).map_err(|_| unsendable())?;
    let call = Call::new(&AMEND_CLIENT, &[client.as_str()])?.with_body(body.into());
    caller.call(host, &call).await.map(drop)
}
