//! What the running daemon says of itself.
//!
//! The rule: it is asked where this configuration says that it listens, on this machine if it
//! listens everywhere, by no proxy and with its token. Whether one runs there is not known
//! before: that none answers is a note.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{anyhow, bail};
use reqwest::Client;
use secrecy::ExposeSecret as _;

use super::bundle::{Bundle, QUESTION};
use crate::settings::{Http, Layered};

/// Most of an answer that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;

pub(super) async fn ask(bundle: &mut Bundle, layered: &Layered) {
    for (page, file, about) in [
        ("/readyz", "daemon/readyz.txt", "whether the daemon of this machine is ready, and why not"),
        ("/metrics", "daemon/metrics.txt", "its metrics (docs/metrics.md)"),
    ] {
        if let Some(text) = bundle.within(file, QUESTION, page_of(layered, page)).await {
            bundle.text(file, about, text);
        }
    }
}

async fn page_of(layered: &Layered, page: &str) -> anyhow::Result<String> {
    let http = layered.http()?;
    let url = format!("http://{}{page}", here(http.listen)?);
    let mut request = client()?.get(&url);
    if let Some(token) = token(&http)? {
        request = request.bearer_auth(token);
    }
    #[expect(clippy::disallowed_methods, reason = "it asks a daemon of ours, and has a limit of its own")]
    let sent = request.send().await;
    let mut answer = sent.map_err(|error| not_answered(http.listen, &error))?;
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| not_answered(http.listen, &error))? {
        let room = MOST_BYTES.saturating_sub(bytes.len());
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if room < chunk.len() {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    match status.as_u16() {
        200 | 503 => Ok(text.into_owned()),
        _ => bail!("{url} answers {status}"),
    }
}

fn client() -> anyhow::Result<Client> {
    // reqwest panics without a provider, so it is not asked.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        bail!("no provider of TLS is installed");
    }
    #[expect(clippy::disallowed_methods, reason = "it sends nothing to Qlik, and has a limit of its own")]
    let built = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .timeout(QUESTION)
        .build();
    Ok(built?)
}

fn token(http: &Http) -> anyhow::Result<Option<String>> {
    let Some(file) = &http.looks else { return Ok(None) };
    let named = file.read().map_err(|sentence| anyhow!(sentence))?;
    Ok(Some(named.token.expose_secret().to_owned()))
}

/// The address at which this machine reaches who listens there.
fn here(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
    if listen.port() == 0 {
        bail!("http.listen lets the daemon pick a free port, so nobody knows where it is");
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

fn not_answered(listen: SocketAddr, error: &reqwest::Error) -> anyhow::Error {
    let what = if error.is_connect() { "nobody listens" } else { "nobody answers" };
    anyhow!("{what} at {listen} (http.listen): does the daemon run on this machine?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_on_this_machine() {
        for (listen, here_is) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8080", "[::1]:8080"), ("127.0.0.1:1", "127.0.0.1:1")]
        {
            assert_eq!(here(listen.parse().unwrap()).unwrap(), here_is.parse().unwrap());
        }
        assert!(here("127.0.0.1:0".parse().unwrap()).is_err());
    }
}
