//! The OAuth clients API.
//!
//! The rules: any success that carries what was asked for is a success, whatever
//! its number; deleting what is gone is done; and **a list is whole or it is no
//! list**: a missing page or an item that hides our mark would let a second
//! client be made.

use std::collections::HashSet;

use hyper::body::Bytes;
use reqwest::Url;

use super::Cloud;
use super::endpoint::{
    CREATE_CLIENT, Call, DELETE_CLIENT, DELETE_SECRET, LIST_CLIENTS, MINT_SECRET, READ_CLIENT, READ_CONSENT,
    TRUST_CONSENT, unsendable,
};
use super::transport::Answer;
use super::wire::{self, ClientPage, ConnectionConfig, CreateAnswer, CreateRequest, MintAnswer, SeenItem};
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint};
use crate::domain::look::SeenClient;
use crate::domain::profile::WantedClient;
use crate::domain::region::AllowedHost;
use crate::ports::{NewClient, NewSecret};

/// Most pages of a hundred clients that are read: what the pacing of reads lets
/// pass at once. Ten thousand clients on one tenant are an error somewhere.
const MAX_PAGES: usize = 100;

/// Newest first, so that a client made while we read shows up or is not ours.
const FIRST_PAGE: &str = "limit=100&sort=-createdAt";

pub(super) async fn create(
    cloud: &Cloud,
    host: &AllowedHost,
    wanted: &WantedClient,
) -> Result<NewClient, Failure> {
    let body = serde_json::to_vec(&CreateRequest::from(wanted)).map_err(|_| unsendable())?;
    let answer = cloud.call(host, &Call::new(&CREATE_CLIENT, &[])?.with_body(body.into())).await?;
    let created: CreateAnswer = answer.read()?;
    let hint = created.hint();
    Ok(NewClient { client_id: ClientId::new(created.id), secret: created.secret, hint })
}

pub(super) async fn list(cloud: &Cloud, host: &AllowedHost) -> Result<Vec<SeenClient>, Failure> {
    let mut call = Call::new(&LIST_CLIENTS, &[])?;
    let path = std::mem::take(&mut call.target);
    call.target = format!("{path}?{FIRST_PAGE}");
    let mut seen = Vec::new();
    let mut cursors = HashSet::new();
    loop {
        let answer = cloud.call(host, &call).await?;
        let page: ClientPage = answer.read()?;
        let next = page.next().map(cursor_of);
        for client in page.data {
            seen.push(checked(client, &answer)?.into_seen().ok_or_else(|| answer.unreadable())?);
        }
        let Some(cursor) = next else { return Ok(seen) };
        let cursor = cursor.ok_or_else(|| answer.unreadable())?;
        call.target = format!("{path}?{FIRST_PAGE}&next={cursor}");
        // A cursor that comes twice goes round in a circle.
        if !cursors.insert(cursor) || cursors.len() == MAX_PAGES {
            return Err(answer.unreadable());
        }
    }
}

/// The cursor of a link to the next page, escaped as it must stand in a query.
///
/// Nothing else of the link is used: its host, scheme and path are not ours to
/// follow with a token in hand.
fn cursor_of(href: &str) -> Option<String> {
    let base = Url::parse("https://base.invalid").ok()?;
    let link = base.join(href).ok()?;
    let (_, cursor) = link.query_pairs().find(|(name, value)| name == "next" && !value.is_empty())?;
    let mut escaped = base;
    escaped.query_pairs_mut().append_pair("", &cursor);
    Some(escaped.query()?.trim_start_matches('=').to_owned())
}

/// A reduced item is what somebody sees who is no administrator.
fn checked(client: SeenItem, answer: &Answer) -> Result<SeenItem, Failure> {
    if client.is_reduced() && !client.is_deleted() {
        return Err(answer.meaning(FailureKind::Forbidden));
    }
    Ok(client)
}

pub(super) async fn list_secrets(
    cloud: &Cloud,
    host: &AllowedHost,
    client: &ClientId,
) -> Result<Vec<SeenSecret>, Failure> {
    let answer = cloud.call(host, &Call::new(&READ_CLIENT, &[client.as_str()])?).await?;
    let client = checked(answer.read()?, &answer)?;
    if client.is_deleted() {
        return Err(answer.meaning(FailureKind::NotFound));
    }
    Ok(client.into_secrets())
}

pub(super) async fn delete(cloud: &Cloud, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
    let call = Call::new(&DELETE_CLIENT, &[client.as_str()])?.confirming(client)?;
    gone(cloud.call(host, &call).await)
}

pub(super) async fn mint_secret(
    cloud: &Cloud,
    host: &AllowedHost,
    client: &ClientId,
) -> Result<NewSecret, Failure> {
    let answer = cloud.call(host, &Call::new(&MINT_SECRET, &[client.as_str()])?).await?;
    let minted: MintAnswer = answer.read()?;
    let hint = minted.hint();
    Ok(NewSecret { secret: minted.secret, hint })
}

pub(super) async fn delete_secret(
    cloud: &Cloud,
    host: &AllowedHost,
    client: &ClientId,
    hint: &Hint,
) -> Result<(), Failure> {
    gone(cloud.call(host, &Call::new(&DELETE_SECRET, &[client.as_str(), hint.as_str()])?).await)
}

pub(super) async fn is_trusted(
    cloud: &Cloud,
    host: &AllowedHost,
    client: &ClientId,
) -> Result<bool, Failure> {
    let answer = cloud.call(host, &Call::new(&READ_CONSENT, &[client.as_str()])?).await?;
    Ok(answer.read::<ConnectionConfig>()?.consent_method == "trusted")
}

pub(super) async fn trust(cloud: &Cloud, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
    let call = Call::new(&TRUST_CONSENT, &[client.as_str()])?.with_body(Bytes::from_static(wire::TRUST));
    cloud.call(host, &call).await.map(|_| ())
}

/// A deletion that finds nothing has nothing left to do.
fn gone(result: Result<Answer, Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.kind != FailureKind::NotFound => Err(failure),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cursor_of_a_link_is_taken() {
        for (href, cursor) in [
            ("https://acme.us.qlikcloud.com/api/v1/oauth-clients?limit=20&next=OPAQUE", Some("OPAQUE")),
            ("http://evil.example/steal?next=a%2Bb%26c%3D", Some("a%2Bb%26c%3D")),
            ("/api/v1/oauth-clients?next=a+b", Some("a+b")),
            ("?next==x=", Some("%3Dx%3D")),
            ("?limit=20", None),
            ("?next=", None),
            ("https://[", None),
        ] {
            assert_eq!(cursor_of(href).as_deref(), cursor, "{href}");
        }
    }
}
