//! A filter as a text: the one form that it has.
//!
//! The rule: quotes stand where they are needed, and nowhere else.

use std::fmt;

use chrono::SecondsFormat;

use super::span;
use super::term::{About, Filter, Since, Term, Wanted};

impl Term {
    /// Its key as it is typed; a word has none.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        Some(match &self.about {
            About::Word(_) => return None,
            About::Phase(_) => "phase".to_owned(),
            About::Reason(_) => "reason".to_owned(),
            About::Region(_) => "region".to_owned(),
            About::Host(_) => "host".to_owned(),
            About::Profile(_) => "profile".to_owned(),
            About::Label(key, _) => format!("label.{}", label_key(key)),
            About::Ready(_) => "ready".to_owned(),
            About::Parked(_) => "parked".to_owned(),
            About::Paused(_) => "paused".to_owned(),
            About::Since(_) => "since".to_owned(),
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, term) in self.terms.iter().enumerate() {
            write!(f, "{}{term}", if number == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negated { "-" } else { "" };
        match self.key() {
            Some(key) => write!(f, "{sign}{key}:{}", values(&self.about)),
            None => write!(f, "{sign}{}", values(&self.about)),
        }
    }
}

fn values(about: &About) -> String {
    match about {
        About::Word(words) => words.iter().map(|word| of_word(word)).collect::<Vec<_>>().join(","),
        About::Phase(phases) => phases.iter().map(|phase| phase.as_str()).collect::<Vec<_>>().join(","),
        About::Reason(reasons) => reasons.join(","),
        About::Region(texts) | About::Host(texts) | About::Profile(texts) => {
            texts.iter().map(|text| value(text)).collect::<Vec<_>>().join(",")
        }
        About::Label(_, wanted) => wanted.iter().map(of_label).collect::<Vec<_>>().join(","),
        About::Ready(is) | About::Parked(is) | About::Paused(is) => if *is { "yes" } else { "no" }.to_owned(),
        About::Since(Since::For(duration)) => span::print(*duration),
        About::Since(Since::At(instant)) => instant.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    }
}

/// The key of a label, as it stands behind `label.`.
fn label_key(key: &str) -> String {
    quoted_if(key, key.is_empty() || key.contains(|c: char| c == ':' || c == '"' || c.is_whitespace()))
}

fn value(text: &str) -> String {
    quoted_if(text, text.is_empty() || text.contains(|c: char| c == ',' || c == '"' || c.is_whitespace()))
}

/// A word with a colon would be a key, and one with a hyphen before it would be negated.
fn of_word(word: &str) -> String {
    if word.starts_with('-') || word.contains(':') { quoted(word) } else { value(word) }
}

fn of_label(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Any => "*".to_owned(),
        Wanted::Text(text) if text == "*" => quoted(text),
        Wanted::Text(text) => value(text),
    }
}

fn quoted_if(text: &str, is_needed: bool) -> String {
    if is_needed { quoted(text) } else { text.to_owned() }
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
