//! Secrets that are known: where they stand in a text, however they are written.
//!
//! The rules: **every spelling that something between us and the file may have chosen is sought**
//! (JSON, XML, a debugging print, a URL, base64, hex); and a secret of figures is one only as a whole
//! number, or it would take the middle out of every longer one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

/// What stays as it is in a URL beside letters and figures: by RFC 3986, by JavaScript, in a form.
const PLAIN: [&str; 3] = ["-._~", "-._~!'()*", "-._*"];

/// See the file's head.
pub(super) struct Known {
    spellings: Vec<SecretString>,
}

impl Known {
    pub(super) fn new(secrets: &[SecretString]) -> Self {
        let all: BTreeSet<String> =
            secrets.iter().flat_map(|secret| spellings(secret.expose_secret())).collect();
        Self { spellings: all.into_iter().map(SecretString::from).collect() }
    }

    /// Where one stands; the places may overlap.
    pub(super) fn places(&self, text: &str) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        for secret in self.spellings.iter().map(SecretString::expose_secret) {
            if secret.len() <= text.len() {
                let found = text.match_indices(secret).map(|(at, _)| at..at + secret.len());
                places.extend(found.filter(|place| !is_number(secret) || is_whole(text, place)));
            }
        }
        places
    }
}

fn is_number(secret: &str) -> bool {
    secret.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Whether the number that stands there is no part of a longer one, of an instant or of a name.
fn is_whole(text: &str, place: &Range<usize>) -> bool {
    let goes_on = |mut outwards: [Option<char>; 2]| {
        let is_part = |c: &Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let is_joint = outwards[0].is_some_and(|c| ".:-+".contains(c));
        is_part(&outwards[0]) || (is_joint && outwards[1].take().is_some_and(|c| c.is_ascii_digit()))
    };
    let mut before = text[..place.start].chars().rev();
    let mut behind = text[place.end..].chars();
    !goes_on([before.next(), before.next()]) && !goes_on([behind.next(), behind.next()])
}

fn spellings(secret: &str) -> BTreeSet<String> {
    let json = as_json(secret);
    let mut all: BTreeSet<String> = [
        secret.to_owned(),
        as_json(&json),
        json.replace('/', r"\/"),
        json,
        within_quotes(&format!("{secret:?}")),
        hex(secret),
        hex(secret).to_uppercase(),
    ]
    .into();
    for (quote, apostrophe) in
        [("\"", "'"), ("&quot;", "'"), ("&quot;", "&apos;"), ("&quot;", "&#39;"), ("&#34;", "&#39;")]
    {
        let brackets = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        all.insert(brackets.replace('"', quote).replace('\'', apostrophe));
    }
    for plain in PLAIN {
        for is_upper in [true, false] {
            let encoded = percent(secret, plain, is_upper);
            all.insert(encoded.replace("%20", "+"));
            all.insert(encoded);
        }
    }
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        all.extend((0..3).map(|before| base64(secret, before, &engine)));
    }
    all.remove("");
    all
}

fn hex(secret: &str) -> String {
    secret.bytes().fold(String::new(), |mut encoded, byte| {
        // Writing to a `String` cannot fail.
        write!(encoded, "{byte:02x}").ok();
        encoded
    })
}

fn as_json(text: &str) -> String {
    within_quotes(&serde_json::to_string(text).unwrap_or_default())
}

fn within_quotes(text: &str) -> String {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn percent(secret: &str, plain: &str, is_upper: bool) -> String {
    secret.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a `String` cannot fail.
            let written =
                if is_upper { write!(encoded, "%{byte:02X}") } else { write!(encoded, "%{byte:02x}") };
            written.ok();
        }
        encoded
    })
}

/// What no neighbour changes in the base64 of a longer text in which so many bytes, or three more
/// of them each, come before the secret.
fn base64(secret: &str, before: usize, engine: &impl base64::Engine) -> String {
    let bytes = [&[0; 2][..before], secret.as_bytes()].concat();
    let encoded = engine.encode(&bytes);
    encoded[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    fn known(secret: &str) -> Known {
        Known::new(&[secret.to_owned().into()])
    }

    fn found(known: &Known, text: &str) -> Option<String> {
        let longest = known.places(text).into_iter().max_by_key(ExactSizeIterator::len)?;
        Some(text[longest].to_owned())
    }

    #[test]
    fn a_secret_is_found_whole_in_every_spelling() {
        let secret = "pä\"ss\\wo/rd (s3)~*\"";
        for spelling in [
            secret,
            r#"pä\"ss\\wo/rd (s3)~*\""#,
            r#"pä\"ss\\wo\/rd (s3)~*\""#,
            r#"pä\\\"ss\\\\wo/rd (s3)~*\\\""#,
            "p%C3%A4%22ss%5Cwo%2Frd%20%28s3%29~%2A%22",
            "p%c3%a4%22ss%5cwo%2frd%20%28s3%29~%2a%22",
            "p%C3%A4%22ss%5Cwo%2Frd%20(s3)~*%22",
            "p%C3%A4%22ss%5Cwo%2Frd+%28s3%29%7E*%22",
            "p%c3%a4%22ss%5cwo%2frd+%28s3%29%7e*%22",
            "pä&quot;ss\\wo/rd (s3)~*&quot;",
            "pä&#34;ss\\wo/rd (s3)~*&#34;",
            r"70c3a42273735c776f2f726420287333297e2a22",
            r"70C3A42273735C776F2F726420287333297E2A22",
        ] {
            assert_eq!(found(&known(secret), &format!("a {spelling}.")).as_deref(), Some(spelling));
        }
    }

    #[test]
    fn a_secret_is_found_in_base64_wherever_it_begins() {
        let secret = "s3cr>>t??word";
        for before in ["", "m", "me", "me:", "user:"] {
            for behind in ["", ":", "::", "\n"] {
                let text = format!("{before}{secret}{behind}");
                for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                    let found = found(&known(secret), &format!("Basic {encoded}"));
                    let least = secret.len() * 8 / 6 - 1;
                    assert!(found.is_some_and(|it| it.len() >= least), "{text:?}: {encoded}");
                }
            }
        }
    }

    #[test]
    fn a_secret_of_figures_is_found_as_a_whole_number_alone() {
        let known = known("100000");
        for text in ["100000", "is 100000.", "x=100000,", "me:100000@db", "\"100000\""] {
            assert_eq!(found(&known, text).as_deref(), Some("100000"), "{text}");
        }
        for text in ["1000000", "2100000", "12:00:00.100000Z", "a100000", "100000_0", "7-100000", "100000.5"]
        {
            assert_eq!(found(&known, text), None, "{text}");
        }
    }
}
