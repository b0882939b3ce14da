//! Reads a filter: what its keys and values mean.
//!
//! The rule: every text is read to an end, and what is wrong is told with its place and what
//! would be right.

use chrono::{DateTime, Datelike};

use super::fault::Fault;
use super::scan::{Key, Reader, Value};
use super::term::{About, Filter, KEYS, MOST_CHARACTERS, MOST_TERMS, Since, Term, Wanted};
use super::{print, span};
use crate::domain::choices::{phases, reasons};
use crate::domain::nearest::nearest;
use crate::domain::phase::Phase;

impl Filter {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// [`Fault`], the first one.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        filter(text)
    }
}

fn filter(text: &str) -> Result<Filter, Fault> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0 };
    reader.is_readable()?;
    let mut filter = Filter::default();
    let mut terms = 0;
    while reader.skip_blanks() {
        let at = reader.at;
        let term = reader.term()?;
        terms += 1;
        if terms > MOST_TERMS {
            let problem = format!("this is one term more than {MOST_TERMS}");
            return Err(reader.fault(at, reader.at, problem, &format!("at most {MOST_TERMS} terms")));
        }
        filter = filter.and(term);
    }
    // What it prints must be read again.
    if filter.to_string().chars().count() > MOST_CHARACTERS {
        return Err(reader.too_long());
    }
    Ok(filter)
}

impl Reader {
    fn term(&mut self) -> Result<Term, Fault> {
        let from = self.at;
        let is_negated = self.peek() == Some('-');
        if is_negated {
            self.at += 1;
            self.is_one_hyphen(from)?;
        }
        let Some(key) = self.key()? else {
            let words = self.values()?;
            return Ok(Term::new(is_negated, About::Word(self.words(words)?)));
        };
        let values = self.values()?;
        Ok(Term::new(is_negated, self.about(&key, values)?))
    }

    fn about(&self, key: &Key, values: Vec<Value>) -> Result<About, Fault> {
        if let Some(label) = &key.label {
            return Ok(About::Label(label.clone(), wanted(values)));
        }
        match key.name.as_str() {
            "phase" => self.phases(&values).map(About::Phase),
            "reason" => self.reasons(&values).map(About::Reason),
            "region" => Ok(About::Region(texts(values))),
            "host" => self.words(values).map(About::Host),
            "profile" => self.words(values).map(About::Profile),
            "ready" => self.flag(values).map(About::Ready),
            "parked" => self.flag(values).map(About::Parked),
            "paused" => self.flag(values).map(About::Paused),
            "since" => self.since(values).map(About::Since),
            _ => Err(self.unknown_key(key)),
        }
    }

    fn unknown_key(&self, key: &Key) -> Fault {
        let name = &key.name;
        let near = match name.split_once('.') {
            Some((before, label)) => nearest(before, ["label"]).map(|_| format!("label.{label}")),
            None if nearest(name, ["label"]).is_some() => Some("label.KEY".to_owned()),
            None => nearest(name, KEYS).map(str::to_owned),
        };
        let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        let whole = print::quoted(&self.rest_of_term(key.at));
        let expected =
            format!("{near}one of {}; quotes where a key or host begins so: {whole}", KEYS.join(", "));
        let to = key.at + name.chars().count();
        self.fault(key.at, to, format!("there is no key {name:?}"), &expected)
    }

    fn wrong(&self, value: &Value, what: &str, expected: &str) -> Fault {
        self.fault(
            value.at,
            value.at + value.word.chars().count(),
            format!("{what} {:?}", value.text),
            expected,
        )
    }

    fn one_of(&self, value: &Value, what: &str, choices: &[&'static str]) -> Result<&'static str, Fault> {
        if let Some(choice) = choices.iter().find(|choice| **choice == value.text) {
            return Ok(choice);
        }
        let near = nearest(&value.text, choices.iter().copied());
        let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        Err(self.wrong(
            value,
            &format!("there is no {what}"),
            &format!("{near}one of {}", choices.join(", ")),
        ))
    }

    fn phases(&self, values: &[Value]) -> Result<Vec<Phase>, Fault> {
        let choices = phases();
        let named = values.iter().map(|value| self.one_of(value, "phase", &choices));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        Ok(distinct(named.into_iter().filter_map(Phase::parse)))
    }

    fn reasons(&self, values: &[Value]) -> Result<Vec<&'static str>, Fault> {
        let choices = reasons();
        let named = values.iter().map(|value| self.one_of(value, "reason", &choices));
        named.collect::<Result<Vec<_>, _>>().map(distinct)
    }

    /// Texts that say something.
    fn words(&self, values: Vec<Value>) -> Result<Vec<String>, Fault> {
        match values.iter().find(|value| value.text.is_empty()) {
            Some(empty) => Err(self.wrong(empty, "nobody is called", "at least one character")),
            None => Ok(texts(values)),
        }
    }

    /// The only value of a term that takes no alternatives.
    fn only(&self, values: Vec<Value>, expected: &str) -> Result<Value, Fault> {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (_, Some(second)) => Err(self.wrong(&second, "this key takes one value, and not also", expected)),
            (Some(only), None) => Ok(only),
            (None, None) => unreachable!("a term has a value"),
        }
    }

    fn flag(&self, values: Vec<Value>) -> Result<bool, Fault> {
        let value = self.only(values, "yes or no")?;
        match value.text.as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(self.wrong(&value, "this key knows no", "yes or no")),
        }
    }

    fn since(&self, values: Vec<Value>) -> Result<Since, Fault> {
        let expected = format!("{}, or an instant such as 2027-01-31T08:00:00Z (RFC 3339)", span::EXPECTED);
        let value = self.only(values, &expected)?;
        if let Some(duration) = span::parse(&value.text) {
            return Ok(Since::For(duration));
        }
        let instant = DateTime::parse_from_rfc3339(&value.text);
        // Four figures in every zone, or nobody could read what is printed.
        let instant =
            instant.ok().map(|instant| instant.to_utc()).filter(|at| (1..=9999).contains(&at.year()));
        instant.map(Since::At).ok_or_else(|| self.wrong(&value, "this is no time:", &expected))
    }
}

fn wanted(values: Vec<Value>) -> Vec<Wanted> {
    distinct(values.into_iter().map(|value| match value.text.as_str() {
        "*" if !value.is_quoted => Wanted::Any,
        _ => Wanted::Text(value.text),
    }))
}

fn texts(values: Vec<Value>) -> Vec<String> {
    distinct(values.into_iter().map(|value| value.text))
}

/// Each once, in the order in which they were given.
fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    values.into_iter().fold(Vec::new(), |mut all, value| {
        if !all.contains(&value) {
            all.push(value);
        }
        all
    })
}
