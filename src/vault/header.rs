//! The protected header of a JWE (RFC 7516, section 4).
//!
//! The rule: we write `alg`, `enc`, `kid` and, for P-256, `epk`: nothing that a
//! strict reader refuses. We read strictly, but pass over members we do not
//! know, as section 4 demands, so that a later version may add some.

use p256::PublicKey;
use serde_json::{Map, Value, json};

use super::jwk::MAX_KID_BYTES;
use super::key::Key;
use super::open_error::OpenError;
use super::point;
use crate::domain::ids::KeyId;

/// The only content encryption we use (RFC 7518, section 5.3).
pub(super) const CONTENT_ENCRYPTION: &str = "A256GCM";

/// Members that change how a text is opened, and that we never write.
const UNEXPECTED: [&str; 4] = ["crit", "zip", "apu", "apv"];

/// A header that was read but is not yet trusted.
#[derive(Debug)]
pub(super) struct Header {
    alg: String,
    enc: String,
    kid: KeyId,
    epk: Option<PublicKey>,
}

impl Header {
    pub(super) fn parse(json: &[u8]) -> Result<Self, OpenError> {
        let members: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|_| OpenError::Malformed("its header is not a JSON object"))?;
        if let Some(member) = UNEXPECTED.into_iter().find(|name| members.contains_key(*name)) {
            return Err(OpenError::UnexpectedHeader { member });
        }
        let text = |name, missing| text(&members, name).ok_or(OpenError::Malformed(missing));
        Ok(Self {
            alg: text("alg", "its header has no `alg`")?.to_owned(),
            enc: text("enc", "its header has no `enc`")?.to_owned(),
            kid: parse_kid(text("kid", "its header has no `kid`")?)?,
            epk: members.get("epk").map(parse_epk).transpose()?,
        })
    }

    pub(super) fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The one-time public key of ECDH-ES.
    pub(super) fn epk(&self) -> Option<&PublicKey> {
        self.epk.as_ref()
    }

    /// Checks that it asks for exactly what the key is for.
    pub(super) fn must_suit(&self, key: &Key) -> Result<(), OpenError> {
        let wrong = |expected| Err(OpenError::WrongAlgorithm { kid: key.id().clone(), expected });
        if self.alg != key.kind().algorithm() {
            return wrong(key.kind().algorithm());
        }
        if self.enc != CONTENT_ENCRYPTION {
            return wrong(CONTENT_ENCRYPTION);
        }
        Ok(())
    }
}

/// The header of a text sealed by `key`, as JSON.
pub(super) fn write(key: &Key, epk: Option<&PublicKey>) -> String {
    let mut header =
        json!({ "alg": key.kind().algorithm(), "enc": CONTENT_ENCRYPTION, "kid": key.id().as_str() });
    if let Some(epk) = epk {
        let [x, y] = point::to_coordinates(epk);
        header["epk"] = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
    }
    header.to_string()
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
}

/// Bounded as in a keyring, because an unknown one is shown in an error.
fn parse_kid(kid: &str) -> Result<KeyId, OpenError> {
    if kid.len() > MAX_KID_BYTES {
        return Err(OpenError::Malformed("its `kid` is longer than any key's"));
    }
    Ok(KeyId::new(kid))
}

fn parse_epk(epk: &Value) -> Result<PublicKey, OpenError> {
    const BAD: OpenError = OpenError::Malformed("its `epk` is not a point on P-256");
    let member = |name| epk.get(name).and_then(Value::as_str).ok_or(BAD);
    if member("kty")? != "EC" || member("crv")? != "P-256" {
        return Err(BAD);
    }
    point::from_coordinates(member("x")?, member("y")?).map_err(|_| BAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &Value) -> OpenError {
        Header::parse(json.to_string().as_bytes()).unwrap_err()
    }

    #[test]
    fn a_header_that_changes_the_rules_is_refused() {
        for member in UNEXPECTED {
            let mut header = json!({ "alg": "A256KW", "enc": "A256GCM", "kid": "a" });
            header[member] = Value::Null;

            assert_eq!(refusal(&header), OpenError::UnexpectedHeader { member });
        }
    }

    #[test]
    fn a_member_that_is_not_known_is_passed_over() {
        let header = json!({ "alg": "A256KW", "enc": "A256GCM", "kid": "a", "typ": "JWE" });

        assert!(Header::parse(header.to_string().as_bytes()).is_ok());
    }

    #[test]
    fn a_header_without_its_members_is_refused() {
        for (member, value) in [("alg", json!(1)), ("enc", Value::Null), ("kid", json!(["a"]))] {
            let mut header = json!({ "alg": "A256KW", "enc": "A256GCM", "kid": "a" });
            header[member] = value;

            assert!(matches!(refusal(&header), OpenError::Malformed(why) if why.contains(member)));
        }
    }

    #[test]
    fn an_epk_off_the_curve_is_refused() {
        let (x, y) =
            ("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck");
        for epk in [
            json!({ "kty": "EC", "crv": "P-256", "x": y, "y": x }),
            json!({ "kty": "EC", "crv": "P-384", "x": x, "y": y }),
            json!({ "kty": "OKP", "crv": "P-256", "x": x, "y": y }),
            json!({ "kty": "EC", "crv": "P-256", "x": x }),
            json!(null),
        ] {
            let header = json!({ "alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": "a", "epk": epk });

            assert!(matches!(refusal(&header), OpenError::Malformed(why) if why.contains("epk")), "{header}");
        }
    }
}
