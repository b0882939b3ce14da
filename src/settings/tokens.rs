//! The tokens that the HTTP port asks for: each the one line of a file.
//!
//! The rule: **the file is read anew whenever a token is asked for**, so that a token that
//! was replaced is heard at once, and one that was taken away opens nothing any more.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::misfit::Misfit;
use super::reader::{Read, Reader};
use super::{parse, secrets};

/// What a name of a token has at most.
const LONGEST_NAME: usize = 64;
/// What can be guessed is no token.
const SHORTEST: usize = 16;

/// A file that holds a token.
#[derive(Debug, Clone)]
pub struct TokenFile {
    key: &'static str,
    path: PathBuf,
}

/// A token, and whose it is.
#[derive(Debug)]
pub struct NamedToken {
    /// Who presents it, where the file says so: the word before the token.
    pub name: Option<String>,
    /// Visible ASCII (RFC 6750, section 2.1).
    pub token: SecretString,
}

impl TokenFile {
    /// The token that the file holds now.
    ///
    /// # Errors
    ///
    /// A sentence on what is wrong with the file, without a word of what is in it.
    pub fn read(&self) -> Result<NamedToken, String> {
        let told = |misfit: Misfit| {
            let path = parse::quoted_path(&self.path);
            format!("{} names {path}, which {}: {}", self.key, misfit.problem, misfit.remedy)
        };
        secrets::line_of(&self.path).and_then(|line| named(&line)).map_err(told)
    }
}

impl Reader<'_> {
    /// The file of this key, which must hold a token now.
    pub(super) fn token_file(&mut self, key: &'static str) -> Read<Option<(TokenFile, NamedToken)>> {
        let Some(path) = self.optional(key, parse::path)? else { return Ok(None) };
        let given = self.secret_in_file(key, &path)?;
        match named(given.text()) {
            Ok(token) => Ok(Some((file(key, &path), token))),
            Err(misfit) => Err(given.fault(self, &misfit)),
        }
    }
}

fn file(key: &'static str, path: &Path) -> TokenFile {
    TokenFile { key, path: path.to_owned() }
}

/// `TOKEN`, or `NAME TOKEN`.
fn named(line: &str) -> Result<NamedToken, Misfit> {
    let (name, token) = match line.split_once(' ') {
        Some((name, token)) => (Some(name), token),
        None => (None, line),
    };
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = "holds a token that does not fit into an HTTP header";
        return Err(Misfit::new(problem, "use letters and digits, without spaces"));
    }
    if token.len() < SHORTEST {
        let problem = format!("holds a token of less than {SHORTEST} characters, which can be guessed");
        return Err(Misfit::new(problem, "make one with `openssl rand -hex 32`"));
    }
    let is_plain = |name: &str| {
        name.len() <= LONGEST_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
    };
    if !name.is_none_or(is_plain) {
        let remedy = format!("use letters, digits, and any of . _ @ -, at most {LONGEST_NAME}");
        return Err(Misfit::new("names the token's holder in a way that no log should bear", remedy));
    }
    Ok(NamedToken { name: name.map(str::to_owned), token: token.into() })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_line_is_a_token_and_may_say_whose_it_is() {
        for (line, name, token) in [
            ("s3cret-of-16-chr", None, "s3cret-of-16-chr"),
            ("alice s3cret-of-16-chr", Some("alice"), "s3cret-of-16-chr"),
            ("a:b-of-16-letter", None, "a:b-of-16-letter"),
        ] {
            let read = named(line).unwrap();

            assert_eq!((read.name.as_deref(), read.token.expose_secret()), (name, token), "{line:?}");
        }
        for line in [
            "three words there",
            "alice  s3cret-of-16-chr",
            "ali/ce s3cret-of-16-chr",
            "s3cr\u{e9}t-of-sixteen",
            "s3cret-of-15-ch",
            "alice s3cret-of-15-ch",
        ] {
            assert!(named(line).is_err(), "{line:?}");
        }
    }
}
