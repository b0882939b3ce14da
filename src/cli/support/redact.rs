//! The last look at what leaves the machine: nothing in it may be a secret.
//!
//! The rules: **every text goes through here, whatever it was made from.** Two things are replaced:
//! what the configuration and the files that it names hold as secrets, however it is written
//! (`known`); and what has the look of a secret, whosever it is (`looks`). Both are sought in the
//! text as it was, and where they overlap they go as one, so that no end of one is left. **JSON is
//! walked**, and each text in it looked at by itself: whatever is found, it stays JSON.

use std::ops::Range;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::known::Known;
use super::looks::{Looks, is_key_material, is_plural};

const MARK: &str = "[redacted]";

/// See the file's head.
pub(super) struct Redactor {
    known: Known,
    looks: Looks,
}

impl Redactor {
    /// Of these secrets, and whatever looks like one.
    pub(super) fn new(secrets: &[SecretString]) -> Self {
        Self { known: Known::new(secrets), looks: Looks::new() }
    }

    /// The text without secrets, and in how many places there were some.
    pub(super) fn redact(&self, text: &str) -> (String, usize) {
        let mut places = self.known.places(text);
        places.extend(self.looks.places(text));
        let (mut left, mut done, mut count) = (String::with_capacity(text.len()), 0, 0);
        for place in merged(places) {
            // What is no more than the mark was counted before.
            if &text[place.clone()] != MARK {
                left.push_str(&text[done..place.start]);
                left.push_str(MARK);
                (done, count) = (place.end, count + 1);
            }
        }
        (left + &text[done..], count)
    }

    /// The same of each text in it, and of what stands under a name of secrets.
    pub(super) fn redact_json(&self, value: &Value) -> (Value, usize) {
        let mut count = 0;
        (self.walked(value, "", &mut count), count)
    }

    /// The value that stands under this name, itself or in a list or an object.
    fn walked(&self, value: &Value, secret: &str, count: &mut usize) -> Value {
        let mut take = || {
            *count += 1;
            Value::from(MARK)
        };
        match value {
            Value::String(text) if !secret.is_empty() && !["", MARK].contains(&text.as_str()) => take(),
            // Of many secrets there may be a count.
            Value::Number(_) if !secret.is_empty() && !is_plural(secret) => take(),
            Value::Number(number) if !self.known.places(&number.to_string()).is_empty() => take(),
            Value::String(text) => self.counted(text, count).into(),
            Value::Array(items) => items.iter().map(|item| self.walked(item, secret, count)).collect(),
            Value::Object(members) => {
                let mut left = Map::new();
                for (name, value) in members {
                    let secret = if self.is_secret(name, value) { name } else { secret };
                    let value = self.walked(value, secret, count);
                    left.insert(free(&left, self.counted(name, count)), value);
                }
                Value::Object(left)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn counted(&self, text: &str, count: &mut usize) -> String {
        let (text, places) = self.redact(text);
        *count += places;
        text
    }

    /// Whether a member is one by its name, or a private one of a JWK.
    fn is_secret(&self, name: &str, value: &Value) -> bool {
        self.looks.is_name(name) || value.as_str().is_some_and(|text| is_key_material(name, text))
    }
}

/// The places in their order, as one where they overlap.
fn merged(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_by_key(|place| place.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(places.len());
    for place in places {
        match merged.last_mut() {
            Some(last) if place.start < last.end => last.end = last.end.max(place.end),
            _ => merged.push(place),
        }
    }
    merged
}

/// A name that no member has yet, so that two which became alike do not swallow each other.
fn free(members: &Map<String, Value>, name: String) -> String {
    let mut numbered = (2..).map(|number| format!("{name} ({number})"));
    if members.contains_key(&name) {
        // They are without end, and the members are not.
        return numbered.find(|name| !members.contains_key(name)).unwrap_or(name);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Clock as _;
    use crate::system::SystemClock;

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
            ("client_secret=word&x=1 y", "client_secret=[redacted] y"),
            ("password='hunter 22' x", "password='[redacted]' x"),
            ("password = hunter22", "password = [redacted]"),
            ("password: hunter22, and", "password: [redacted], and"),
            ("x-api-key: 0123456789", "x-api-key: [redacted]"),
            (r#"{"password": "p,a", "x": "y"}"#, r#"{"password": "[redacted]", "x": "y"}"#),
            (r#"{"token":"ab cd\"ef,gh","x":1}"#, r#"{"token":"[redacted]","x":1}"#),
            ("-----BEGIN EC PRIVATE KEY-----\nabc", "[redacted]"),
        ] {
            assert_eq!(redactor.redact(text), (left.to_owned(), 1), "{text}");
        }
        for harmless in [
            "correct the region's client_id and client_secret, and check",
            r#""key": "regions[0].client_secret", "value": "[redacted]""#,
            "see http://127.0.0.1:8080/metrics",
            r#""key": "http.token_file", "value": "/etc/tenantd/token""#,
            "http.token_file: this file holds no token; write one of 16 characters or more",
            r#"tenantd_qlik_requests_total{endpoint="token.fetch"} 3"#,
        ] {
            assert_eq!(redactor.redact(harmless), (harmless.to_owned(), 0));
        }
    }

    /// Nothing of these may be left but what is told beside them.
    fn go_whole(of: &[(&str, &str)]) {
        let redactor = Redactor::new(&[]);
        for (text, left) in of {
            assert_eq!(redactor.redact(text).0, *left, "{text}");
            assert_eq!(redactor.redact(left), ((*left).to_owned(), 0), "nothing is found twice");
        }
    }

    #[test]
    fn secrets_that_nobody_configured_go_whole() {
        go_whole(&[
            ("host=db password=hun,ter22secret x", "host=db password=[redacted] x"),
            ("password=ab,cdefgh", "password=[redacted]"),
            ("password=[abc]defgh x", "password=[redacted] x"),
            ("password=p@ss;word1 x", "password=[redacted] x"),
            ("(password=hunter22), x", "(password=[redacted]), x"),
            ("token: abcdef0123456789", "token: [redacted]"),
            ("client_secret: S3cretS3cret.", "client_secret: [redacted]."),
            ("clientSecret: S3cretS3cret", "clientSecret: [redacted]"),
            (
                "pwd=x PASSWORD2=y pass: zz1 passphrase = zz",
                "pwd=[redacted] PASSWORD2=[redacted] pass: [redacted] passphrase = [redacted]",
            ),
            ("DB_PASS=abc token_2: abc1", "DB_PASS=[redacted] token_2: [redacted]"),
            (
                r#""secret_key": "abc", "private-key": "x y""#,
                r#""secret_key": "[redacted]", "private-key": "[redacted]""#,
            ),
            ("password => 'a b', password := c", "password => '[redacted]', password := [redacted]"),
            ("params['token'] = 'a b'", "params['token'] = '[redacted]'"),
            ("?client_secret%3Dabc", "?client_secret%3D[redacted]"),
            (r#"password: Some("a b"), x"#, r#"password: Some("[redacted]"), x"#),
            ("Authorization: 0123456789abcdef x", "Authorization: [redacted] x"),
            ("Authorization: Token abcdefgh x", "Authorization: Token [redacted] x"),
            ("authorization=Basic cGFzc3dk x", "authorization=Basic [redacted] x"),
            ("Authorization: Scheme abc1 x", "Authorization: [redacted] x"),
            (
                r#"Authorization: Digest username="me", response="0a1b", x"#,
                "Authorization: Digest [redacted] x",
            ),
            ("Set-Cookie: sid=abc; Path=/ x", "Set-Cookie: [redacted] x"),
            (r#""Authorization": "Token abc""#, r#""Authorization": "[redacted]""#),
            ("https://ghp_0123abc@host/ x", "https://[redacted]@host/ x"),
            ("postgres://u:pa/ss@h/db", "postgres://[redacted]@h/db"),
            ("postgres://u:p@ss@h/db", "postgres://[redacted]@h/db"),
            ("postgres://me:[redacted]-tail@h/db", "postgres://[redacted]@h/db"),
            ("password=[redacted]tail x", "password=[redacted] x"),
            (r#"{"password": 12345678, "x": 1}"#, r#"{"password": [redacted], "x": 1}"#),
            (r#"{"password":["a]","b"],"x":1}"#, r#"{"password":[redacted],"x":1}"#),
            ("{\"password\": [\n  \"a\"\n], \"x\": 1}", "{\"password\": [redacted], \"x\": 1}"),
            (
                r#"{"tokens":["a"],"secrets":{"a":"b"},"x":1}"#,
                r#"{"tokens":[redacted],"secrets":[redacted],"x":1}"#,
            ),
            (r#"{"k":"c2VjcmV0c2Vj","kid":"c2VjcmV0c2Vj"}"#, r#"{"k":"[redacted]","kid":"c2VjcmV0c2Vj"}"#),
            (r#"{\"d\": \"c2VjcmV0c2Vj\"}"#, r#"{\"d\": \"[redacted]\"}"#),
            (r#"{"password":"a\"b","x":1}"#, r#"{"password":"[redacted]","x":1}"#),
            (
                r#"{"a":"{\"password\":\"a\\\"b\",\"x\":1}"}"#,
                r#"{"a":"{\"password\":\"[redacted]\",\"x\":1}"}"#,
            ),
            (r#"{"client_secret":"cut o"#, r#"{"client_secret":"[redacted]"#),
            ("password='it''s' x", "password='[redacted]' x"),
            ("PGPASSWORD=\"one\"two x", "PGPASSWORD=\"[redacted]\"[redacted] x"),
            ("password='one'\"two\" x", "password='[redacted]'[redacted] x"),
            ("client_secrets: hunter2; tokens=two", "client_secrets: [redacted]; tokens=[redacted]"),
            ("api_keys=one,two and secrets=a1", "api_keys=[redacted] and secrets=[redacted]"),
            ("the password='a\nand 'b'", "the password='[redacted]\nand 'b'"),
        ]);
    }

    #[test]
    fn secrets_of_options_of_xml_and_with_their_makers_mark_go_whole() {
        go_whole(&[
            ("psql --password hunter2 --host db", "psql --password [redacted] --host db"),
            (
                "--db-password 'a b' x --token\t\"c d\"",
                "--db-password '[redacted]' x --token\t\"[redacted]\"",
            ),
            (
                "--client-secret=a1 --pass = b1 --api-key c1",
                "--client-secret=[redacted] --pass = [redacted] --api-key [redacted]",
            ),
            ("ALTER ROLE me PASSWORD 'a ''b' VALID", "ALTER ROLE me PASSWORD '[redacted]' VALID"),
            ("<password>a b</password><x>y</x>", "<password>[redacted]</password><x>y</x>"),
            (
                "<c:ClientSecret a=\"b\">\n x\ny</c:ClientSecret>",
                "<c:ClientSecret a=\"b\">\n [redacted]</c:ClientSecret>",
            ),
            ("<token><![CDATA[a<b]]></token>", "<token>[redacted]</token>"),
            ("&lt;password&gt;a&amp;b&lt;/password&gt; x", "&lt;password&gt;[redacted]&lt;/password&gt; x"),
            ("curl -u me:hunter2 --user='a:b' x", "curl -u [redacted] --user='[redacted]' x"),
            ("is SCRAM-SHA-256$4096:ab==$cd:ef x", "is [redacted] x"),
            ("<password>cut o", "<password>[redacted]"),
            ("eyJhbGciOiJkaXIi.eyJhIjoxfQ", "[redacted]"),
            ("id AKIAIOSFODNN7EXAMPLE of ghp_0123456789abcdefghij", "id [redacted] of [redacted]"),
        ]);
    }

    #[test]
    fn sentences_about_secrets_stay_readable() {
        let redactor = Redactor::new(&[]);
        for text in [
            "token expired",
            "the password is wrong: try again",
            "secret rotated",
            "basic authentication failed, bearer authentication too; bearer credentials are wrong",
            "Authorization: the header is missing; authorization failed",
            "http.token: is not a known key: did you mean http.token_file?",
            "client_secret: holds a line feed; password: must be set",
            "the secret: not found. The token: (none), password=null",
            "tokens: 12, secrets: 3",
            "tenantd::qlik::token::fetch: slow",
            "see https://host:8080/a/b?c=d, docs/cli.md and me@host",
            "bypass=1 compass: north",
            "give --password --host db, or --token-file FILE; --token must be set; --password requires a value",
            "no password matches; the password \"x\" was refused; a non-secret part",
            "<token></token> <password/> a < token > b, &lt;password&gt;&lt;/password&gt;",
            "see the client_secret:",
            r#""token": true, "password": null, "password": "", "k": "v", "d": 12345678"#,
            "a BEGIN of the PRIVATE KEY",
        ] {
            assert_eq!(redactor.redact(text), (text.to_owned(), 0));
        }
    }

    #[test]
    fn where_two_secrets_overlap_no_end_is_left() {
        let redactor = Redactor::new(&["one-two".to_owned().into(), "two-three".to_owned().into()]);

        assert_eq!(redactor.redact("a one-two-three b"), ("a [redacted] b".to_owned(), 1));
        assert_eq!(redactor.redact("://me:one-two-tail@db").0, "://[redacted]@db");
        assert_eq!(redactor.redact("password=x,one-two y").0, "password=[redacted] y");
    }

    #[test]
    fn of_json_the_values_under_names_of_secrets_go_and_all_else_stays() {
        let redactor = Redactor::new(&["123456".to_owned().into(), "ready".to_owned().into()]);
        let told = serde_json::json!({
            "password": 12_345_678, "token": ["a", { "b": "c" }], "client_secret": "x", "api_key": true,
            "secrets": 3, "tokens": ["x"], "Authorization": "Token x", "k": "bWF0ZXJpYWw", "kid": "bWF0ZXJpYWw",
            "tenants": 123_456, "others": 1_234_567, "note": "is 123456, not 1234567", "pass": "",
            "ready": 1, "ready!": { "[redacted]": 2 }, "[redacted]!": 3,
        });

        let (left, count) = redactor.redact_json(&told);

        let wanted = serde_json::json!({
            "password": "[redacted]", "token": ["[redacted]", { "b": "[redacted]" }],
            "client_secret": "[redacted]", "api_key": true, "secrets": 3, "tokens": ["[redacted]"],
            "Authorization": "[redacted]", "k": "[redacted]", "kid": "bWF0ZXJpYWw", "tenants": "[redacted]",
            "others": 1_234_567, "note": "is [redacted], not 1234567", "pass": "",
            "[redacted]": 1, "[redacted]!": 3, "[redacted]! (2)": { "[redacted]": 2 },
        });
        assert_eq!((left, count), (wanted, 11));
        assert_eq!(redactor.redact_json(&redactor.redact_json(&told).0).1, 0, "nothing is found twice");
    }

    #[test]
    fn a_long_text_is_looked_at_in_bounded_time() {
        let redactor = Redactor::new(&["long-secret".to_owned().into()]);
        for hard in [
            "token::",
            "tokens:",
            "token: [",
            "\"token\":[ ",
            "authorization:",
            "--password ",
            "--token-",
            "<password ",
            "<password>",
            "&lt;token&gt;",
            "<token><![CDATA[",
            "password 'x",
            "password='",
            "://a:",
            "eyJaaaaa-",
            "-----BEGIN PRIVATE KEY",
            "token=\\\\",
            "bearer ",
            "a@b ",
            "\"k\":\"",
            "password:the ",
            "x",
        ] {
            let text = hard.repeat(256 * 1024 / hard.len());
            let start = SystemClock::start();
            redactor.redact(&text);
            assert!(start.elapsed() < std::time::Duration::from_secs(20), "{hard}: {:?}", start.elapsed());
        }
    }
}
