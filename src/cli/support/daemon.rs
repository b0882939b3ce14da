//! What the running daemon says of itself.
//!
//! The rule: it is asked where this configuration says that it listens, on this machine if it
//! listens everywhere, by no proxy and with its token. **The token goes to no other machine**, where
//! it would pass in the clear. Whether one runs there is not known before: that none answers is a
//! note.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{anyhow, bail};
use reqwest::Client;
use secrecy::ExposeSecret as _;

use super::bundle::{Bundle, QUESTION};
use crate::settings::{Http, Layered};

/// Most of an answer that is read, and told but for its last line: half of a secret looks like none.
const MOST_BYTES: usize = 4 * 1024 * 1024;
const CUT: &str = "… cut off: the answer is longer\n";

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
        if !is_taken(&mut bytes, &chunk) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    match status.as_u16() {
        200 | 503 => Ok(text.into_owned()),
        _ => bail!("{url} answers {status}"),
    }
}

/// Takes a piece of an answer; false where it is too much, and then the answer ends with a whole line.
fn is_taken(answer: &mut Vec<u8>, piece: &[u8]) -> bool {
    let room = MOST_BYTES.saturating_sub(answer.len());
    answer.extend_from_slice(&piece[..piece.len().min(room)]);
    if piece.len() <= room {
        return true;
    }
    answer.truncate(answer.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    answer.extend_from_slice(CUT.as_bytes());
    false
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
        IpAddr::V4(_) | IpAddr::V6(_) => {
            if !is_of_this_machine(listen) {
                bail!("http.listen is {listen}, no address of this machine, so nobody was asked");
            }
            return Ok(listen);
        }
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

/// Whether what is sent there stays here: then it would be sent from that very address. Nothing is
/// sent. That one can listen there says less: `ip_nonlocal_bind` lets everybody listen anywhere.
fn is_of_this_machine(address: SocketAddr) -> bool {
    let from = || {
        let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(address)?;
        socket.local_addr()
    };
    address.ip().to_canonical().is_loopback() || from().is_ok_and(|from| from.ip() == address.ip())
}

fn not_answered(listen: SocketAddr, error: &reqwest::Error) -> anyhow::Error {
    let what = if error.is_connect() { "nobody listens" } else { "nobody answers" };
    anyhow!("{what} at {listen} (http.listen): does the daemon run on this machine?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_too_long_ends_with_a_whole_line_and_says_so() {
        let mut answer = Vec::new();
        assert!(is_taken(&mut answer, b"first\nsec"));
        assert!(is_taken(&mut answer, b"ond\nsecr"));
        assert!(!is_taken(&mut answer, &vec![b'e'; MOST_BYTES]));

        assert_eq!(String::from_utf8(answer).unwrap(), format!("first\nsecond\n{CUT}"));
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_this_machine() {
        for (listen, here_is) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8080", "[::1]:8080"), ("127.0.0.1:1", "127.0.0.1:1")]
        {
            assert_eq!(here(listen.parse().unwrap()).unwrap(), here_is.parse().unwrap());
        }
        assert!(here("127.0.0.1:0".parse().unwrap()).is_err());
    }

    /// The addresses of other machines are those of documentation (RFC 5737, RFC 3849) and groups.
    #[test]
    fn another_machine_is_never_asked() {
        for other in ["192.0.2.7:9464", "203.0.113.1:9464", "[2001:db8::7]:9464", "224.0.0.1:9464"] {
            let refused = here(other.parse().unwrap()).unwrap_err().to_string();
            assert!(refused.contains("no address of this machine"), "{refused}");
        }
        for own in ["127.0.0.1:9464", "127.8.0.1:9464", "[::1]:9464", "[::ffff:127.0.0.1]:9464"] {
            assert_eq!(here(own.parse().unwrap()).unwrap(), own.parse().unwrap());
        }
        // What this machine would send from is its own, where it reaches others at all.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.7:9").is_ok() {
            let own = SocketAddr::new(socket.local_addr().unwrap().ip(), 9464);
            assert_eq!(here(own).unwrap(), own);
        }
    }
}
