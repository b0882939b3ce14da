//! The last look at what leaves the machine: nothing in it may be a secret.
//!
//! The rule: **every text goes through here, whatever it was made from.** Two things are replaced:
//! what the configuration and the files that it names hold as secrets, however it is written; and
//! what has the look of a secret, whosever it is.

use regex::Regex;
use secrecy::{ExposeSecret as _, SecretString};

const MARK: &str = "[redacted]";

/// What secrets look like, and what is left of them.
const LOOKS: [(&str, &str); 5] = [
    // Of a header.
    (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", "$1 [redacted]"),
    // User and password of a URL.
    (r#"://[^/\s"'@]*:[^/\s"']*@"#, "://[redacted]@"),
    // A token or a sealed secret (JWS and JWE, compact).
    (r"\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){2,4}", MARK),
    // NAME=VALUE and "NAME": "VALUE".
    (
        r#"(?i)([a-z_-]*(?:secret|password|passwd|api_?key|access_?token|refresh_?token))(\\?"\s*:\s*\\?"|=)[^\s"'&,;}\\]{4,}"#,
        "$1$2[redacted]",
    ),
    (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)", MARK),
];

/// See the file's head.
pub(super) struct Redactor {
    /// The longest first, so that no part of a longer one is left.
    known: Vec<SecretString>,
    looks: Vec<(Regex, &'static str)>,
}

impl Redactor {
    /// Of these secrets, and whatever looks like one.
    pub(super) fn new(secrets: &[SecretString]) -> Self {
        let mut known: Vec<_> = secrets.iter().flat_map(|secret| spellings(secret.expose_secret())).collect();
        known.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        // They are constants, which a test builds.
        let built = |look| Regex::new(look).unwrap_or_else(|error| unreachable!("{error}"));
        Self { known, looks: LOOKS.map(|(look, left)| (built(look), left)).into() }
    }

    /// The text without secrets, and in how many places there were some.
    pub(super) fn redact(&self, text: &str) -> (String, usize) {
        let (mut text, mut places) = (text.to_owned(), 0);
        for secret in self.known.iter().map(SecretString::expose_secret) {
            let found = text.matches(secret).count();
            if found > 0 {
                text = text.replace(secret, MARK);
                places += found;
            }
        }
        for (look, left) in &self.looks {
            let is_new = |found: &regex::Match<'_>| !found.as_str().contains(MARK);
            let found = look.find_iter(&text).filter(is_new).count();
            if found > 0 {
                text = look.replace_all(&text, *left).into_owned();
                places += found;
            }
        }
        (text, places)
    }
}

/// As it is, and as JSON, a debugging print and a URL would write it.
fn spellings(secret: &str) -> Vec<SecretString> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let debug = format!("{secret:?}");
    let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut all = vec![secret, json.trim_matches('"'), debug.trim_matches('"'), &encoded];
    all.dedup();
    all.into_iter()
        .filter(|spelling| !spelling.is_empty())
        .map(|spelling| spelling.to_owned().into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_secret_is_found_however_it_is_written() {
        let secret = "pa\"ss\\wo/rd s3cret";
        let redactor = Redactor::new(&[secret.to_owned().into()]);
        let json = serde_json::to_string(&format!("said {secret} twice: {secret}")).unwrap();
        let url =
            format!("?password={}", form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>());

        assert_eq!(redactor.redact(&json), ("\"said [redacted] twice: [redacted]\"".to_owned(), 2));
        assert_eq!(redactor.redact(&format!("{secret:?}")).0, "\"[redacted]\"");
        assert!(!redactor.redact(&url).0.contains("s3cret"));
    }

    #[test]
    fn of_two_secrets_the_longer_one_is_taken_whole() {
        let redactor = Redactor::new(&["planted".to_owned().into(), "planted-deep".to_owned().into()]);

        assert_eq!(redactor.redact("a planted-deep word").0, "a [redacted] word");
    }

    #[test]
    fn what_looks_like_a_secret_is_one_and_what_does_not_is_left() {
        let redactor = Redactor::new(&[]);
        for (text, left) in [
            ("Authorization: Bearer abc.def-012345", "Authorization: Bearer [redacted]"),
            ("postgres://me:word@db/app", "postgres://[redacted]@db/app"),
            ("eyJhbGciOiJkaXIi.b.c.d.e here", "[redacted] here"),
            (r#"{"client_secret": "word-of-it"}"#, r#"{"client_secret": "[redacted]"}"#),
            (r#""answer": "{\"password\":\"word-of-it\"}""#, r#""answer": "{\"password\":\"[redacted]\"}""#),
            ("client_secret=word&x=1", "client_secret=[redacted]&x=1"),
            ("-----BEGIN EC PRIVATE KEY-----\nabc", "[redacted]"),
        ] {
            assert_eq!(redactor.redact(text), (left.to_owned(), 1), "{text}");
        }
        for harmless in [
            "correct the region's client_id and client_secret, and check",
            r#""key": "regions[0].client_secret", "value": "[redacted]""#,
            "see http://127.0.0.1:8080/metrics",
        ] {
            assert_eq!(redactor.redact(harmless), (harmless.to_owned(), 0));
        }
    }
}
