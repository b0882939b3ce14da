//! Sessions of browsers, which cannot present a token with every request.
//!
//! A cookie says what it opens and until when, under a code (HMAC) whose key is the digest of
//! the token that it was opened with. So nothing is kept here: every replica with the same
//! token knows the session, and **one whose token was replaced opens nothing any more**. The
//! token itself is in no cookie.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::token::{Right, Token};

/// What separates the codes of cookies from those of forms.
const OF_COOKIES: &str = "tenantd session";
const OF_FORMS: &str = "tenantd form";

/// Who came in with a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// What the session is for.
    pub right: Right,
    /// By the name of the token.
    pub name: Option<String>,
    /// What a form of this session bears, and no page elsewhere can know.
    pub form: String,
}

/// A cookie, taken apart.
pub(super) struct Claimed<'a> {
    pub(super) right: Right,
    until: i64,
    /// What the code is of, as it came: another spelling of the same is none of ours.
    said: &'a str,
    code: &'a str,
    cookie: &'a str,
}

impl<'a> Claimed<'a> {
    /// `None` where it is none of ours.
    pub(super) fn of(cookie: &'a str) -> Option<Self> {
        let (said, code) = cookie.rsplit_once('.')?;
        let (right, until) = said.split_once('.')?;
        let right = match right {
            "look" => Right::Look,
            "act" => Right::Act,
            _ => return None,
        };
        Some(Self { right, until: until.parse().ok()?, said, code, cookie })
    }

    /// Whether the token opened it, and it is not over. In constant time.
    pub(super) fn is_of(&self, token: &Token, now: i64) -> bool {
        let Ok(code) = URL_SAFE_NO_PAD.decode(self.code) else { return false };
        keyed(token, OF_COOKIES, self.said).verify_slice(&code).is_ok() && now < self.until
    }

    pub(super) fn enter(&self, token: &Token) -> Entered {
        let form = keyed(token, OF_FORMS, self.cookie).finalize().into_bytes();
        Entered { right: self.right, name: token.name.clone(), form: URL_SAFE_NO_PAD.encode(form) }
    }
}

/// A cookie that opens this until then, in seconds since 1970.
pub(super) fn cookie(token: &Token, right: Right, until: i64) -> String {
    let said = said(right, until);
    let code = keyed(token, OF_COOKIES, &said).finalize().into_bytes();
    format!("{said}.{}", URL_SAFE_NO_PAD.encode(code))
}

fn said(right: Right, until: i64) -> String {
    let right = match right {
        Right::Look => "look",
        Right::Act => "act",
    };
    format!("{right}.{until}")
}

fn keyed(token: &Token, purpose: &str, said: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(&token.digest);
    // Keys of any length are taken.
    let mut mac = mac.unwrap_or_else(|error| unreachable!("{error}"));
    for part in [purpose, "\0", said] {
        mac.update(part.as_bytes());
    }
    mac
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn token(text: &str) -> Token {
        Token::new(&SecretString::from(text), Some("alice".to_owned()))
    }

    #[test]
    fn a_cookie_opens_what_it_says_until_then_and_with_its_own_token_only() {
        let cookie = cookie(&token("one"), Right::Look, 100);
        let claimed = Claimed::of(&cookie).unwrap();

        assert_eq!(claimed.right, Right::Look);
        assert!(claimed.is_of(&token("one"), 99));
        assert!(!claimed.is_of(&token("one"), 100), "it is over");
        assert!(!claimed.is_of(&token("two"), 99), "the token was replaced");
        assert!(!cookie.contains("one"));
    }

    #[test]
    fn nothing_of_a_cookie_can_be_changed() {
        let cookie = cookie(&token("one"), Right::Look, 100);
        let code = cookie.rsplit('.').next().unwrap();

        for forged in [
            format!("act.100.{code}"),
            format!("look.101.{code}"),
            format!("look.+100.{code}"),
            format!("look.0100.{code}"),
            format!("look.100.{}", &code[1..]),
            format!("look.100.{code}a"),
            "look.100.".to_owned(),
        ] {
            let is_open = Claimed::of(&forged).is_some_and(|claimed| claimed.is_of(&token("one"), 50));
            assert!(!is_open, "{forged}");
        }
        for none in ["", "look", "look.x.y", "all.100.x", "look.100"] {
            assert!(Claimed::of(none).is_none(), "{none}");
        }
    }

    #[test]
    fn forms_of_two_sessions_differ_and_are_no_cookies() {
        let entered = |until| {
            let cookie = cookie(&token("one"), Right::Act, until);
            (Claimed::of(&cookie).unwrap().enter(&token("one")).form, cookie)
        };
        let ((first, cookie), (second, _)) = (entered(100), entered(101));

        assert_ne!(first, second);
        assert!(!cookie.contains(&first));
    }
}
