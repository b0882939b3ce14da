//! `[traces]`: where spans are sent, and with what.
//!
//! The rule: the address is shown and logged, so that nothing secret may stand in it; what
//! the collector asks for goes into the headers.

use secrecy::SecretString;

use super::authority::{decoded, host_name, is_this_machine, port, split};
use super::checked::{Collector, Traces};
use super::misfit::Misfit;
use super::parse::{share, text};
use super::reader::{Read, Reader};

const ENDPOINT: &str = "traces.endpoint";
const HEADERS: &str = "traces.headers";
const REMEDY: &str = "write it as http://127.0.0.1:4318/v1/traces";

pub(super) fn traces(from: &mut Reader<'_>) -> Read<Traces> {
    let endpoint = from.optional(ENDPOINT, |value| text(value).and_then(|url| endpoint(&url).map(|()| url)));
    let headers = headers(from);
    let ratio = from.required("traces.ratio", share);
    let (endpoint, headers, ratio) = (endpoint?, headers?, ratio?);
    let has_headers = !headers.is_empty();
    match &endpoint {
        None if has_headers => from.warn(HEADERS, "is given, but no traces.endpoint: nothing is sent"),
        Some(url) if is_readable_on_the_way(url) => {
            let read = if has_headers { " and traces.headers" } else { "" };
            from.warn(
                ENDPOINT,
                format!("is http:// to another machine: whoever stands in between reads which tenants there are{read}"),
            );
        }
        Some(_) | None => {}
    }
    Ok(Traces { collector: endpoint.map(|endpoint| Collector { endpoint, headers }), ratio })
}

/// Whether a collector can be reached by this URL.
fn endpoint(url: &str) -> Result<(), Misfit> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let parts = split(rest.ok_or_else(|| Misfit::new("is no URL of HTTP", REMEDY))?)?;
    if parts.user.is_some() {
        let remedy = "put what the collector asks for into traces.headers_file, as Authorization=Basic%20…";
        return Err(Misfit::new("holds a user, and would be shown", remedy));
    }
    if !parts.query.is_empty() {
        return Err(Misfit::new("has a query, and would be shown", REMEDY));
    }
    if parts.path.is_empty() {
        return Err(Misfit::new("has no path", "add the collector's, mostly /v1/traces"));
    }
    parts.port.map(port).transpose()?;
    host_name(parts.host).map(drop)
}

fn is_readable_on_the_way(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| split(rest).ok()).map(|parts| parts.host);
    host.is_some_and(|host| !is_this_machine(host.trim_matches(['[', ']'])))
}

/// As in `OTEL_EXPORTER_OTLP_HEADERS`: `name=value`, separated by commas, the values
/// percent-encoded.
fn headers(from: &mut Reader<'_>) -> Read<Vec<(String, SecretString)>> {
    let Some(given) = from.secret(HEADERS)? else { return Ok(vec![]) };
    let pairs: Result<Vec<_>, Misfit> = given.text().split(',').map(header).collect();
    pairs.map_err(|misfit| given.fault(from, &misfit))
}

fn header(pair: &str) -> Result<(String, SecretString), Misfit> {
    let misfit = |problem: &str| {
        Misfit::new(
            problem,
            "write name=value,name=value with %20 for a blank, as in Authorization=Bearer%20…",
        )
    };
    let (name, value) = pair.trim().split_once('=').ok_or_else(|| misfit("holds what is no name=value"))?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(misfit("holds a name that no HTTP header has"));
    }
    let is_plain =
        |value: &str| !value.is_empty() && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    let is_escape = |after: &str| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    let is_whole = value.split('%').skip(1).all(is_escape);
    let value = decoded(value).ok().filter(|value| is_whole && is_plain(value));
    let value = value.ok_or_else(|| misfit("holds a value that fits into no HTTP header"))?;
    Ok((name.to_owned(), value.into()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_header_is_read_as_exporters_of_opentelemetry_read_it() {
        for (pair, name, value) in [
            ("Authorization=Bearer%20s3cret", "Authorization", "Bearer s3cret"),
            (" api-key=a=b ", "api-key", "a=b"),
            ("x=%2C", "x", ","),
        ] {
            let read = header(pair).unwrap();
            assert_eq!((read.0.as_str(), read.1.expose_secret()), (name, value), "{pair}");
        }
        for pair in
            ["", "name", "=value", "name=", "na me=value", "name=%", "name=%0a", "name=%zz", "name=\u{e9}"]
        {
            assert!(header(pair).is_err(), "{pair:?}");
        }
    }

    #[test]
    fn an_address_holds_nothing_that_must_not_be_shown() {
        for url in
            ["http://127.0.0.1:4318/v1/traces", "https://otlp.example.com/otlp/v1/traces", "http://[::1]/x"]
        {
            assert!(endpoint(url).is_ok(), "{url}");
        }
        for url in [
            "127.0.0.1:4318",
            "grpc://127.0.0.1:4317/v1/traces",
            "http://127.0.0.1:4318",
            "http://127.0.0.1:4318/",
            "http://u:p@127.0.0.1:4318/v1/traces",
            "http://127.0.0.1:4318/v1/traces?key=s3cret",
            "http://127.0.0.1:0/v1/traces",
            "http://a b/v1/traces",
        ] {
            assert!(endpoint(url).is_err(), "{url}");
        }
    }
}
