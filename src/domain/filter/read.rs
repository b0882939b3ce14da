//! Reads a filter, character by character.
//!
//! The rule: every text is read to an end. A place is counted in characters, so that whoever
//! shows the text can point at it.

use chrono::{DateTime, Datelike};

use super::fault::Fault;
use super::term::{About, Filter, KEYS, MOST_CHARACTERS, MOST_TERMS, Since, Term, Wanted};
use super::{print, span};
use crate::domain::choices::{phases, reasons};
use crate::domain::nearest::nearest;
use crate::domain::phase::Phase;

/// One alternative behind a key.
struct Value {
    at: usize,
    /// What was typed, with its quotes.
    word: String,
    text: String,
    is_quoted: bool,
}

/// What a term begins with.
struct Key {
    at: usize,
    name: String,
    /// Of a label: its own key.
    label: Option<String>,
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

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
    fn is_readable(&self) -> Result<(), Fault> {
        if self.chars.len() > MOST_CHARACTERS {
            return Err(self.too_long());
        }
        match self.chars.iter().position(|c| *c == '\0') {
            Some(at) => {
                let problem = "a NUL (U+0000) is no text".to_owned();
                Err(self.fault(at, at + 1, problem, "the text without it"))
            }
            None => Ok(()),
        }
    }

    fn too_long(&self) -> Fault {
        let problem = format!("the filter has more than {MOST_CHARACTERS} characters");
        let at = MOST_CHARACTERS.min(self.chars.len());
        self.fault(at, at, problem, &format!("at most {MOST_CHARACTERS} characters"))
    }

    fn fault(&self, from: usize, to: usize, problem: String, expected: &str) -> Fault {
        Fault {
            at: from,
            word: self.chars[from..to].iter().collect(),
            problem,
            expected: expected.to_owned(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Whether there is anything behind the blanks.
    fn skip_blanks(&mut self) -> bool {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        self.at < self.chars.len()
    }

    /// Goes on to the first character that ends it.
    fn up_to(&mut self, ends: impl Fn(char) -> bool) -> String {
        let from = self.at;
        while self.peek().is_some_and(|c| !ends(c) && !c.is_whitespace()) {
            self.at += 1;
        }
        self.chars[from..self.at].iter().collect()
    }

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

    /// Whether what a hyphen negates stands behind it. Two are an option that was taken for a filter.
    fn is_one_hyphen(&mut self, from: usize) -> Result<(), Fault> {
        let (problem, expected) = match self.peek() {
            Some('-') => {
                self.up_to(|_| false);
                ("two hyphens negate nothing", "one hyphen, and quotes where a key or host begins with one")
            }
            Some(c) if !c.is_whitespace() => return Ok(()),
            Some(_) | None => (
                "a hyphen negates the term behind it, and there is none",
                "a term such as -phase:ready, or \"-\" for the text",
            ),
        };
        Err(self.fault(from, self.at, problem.to_owned(), expected))
    }

    /// The key with its colon; `None` where the term is a word, of which nothing is read yet.
    fn key(&mut self) -> Result<Option<Key>, Fault> {
        let at = self.at;
        let name = self.up_to(|c| c == ':' || c == '"');
        if name == "label." && self.peek() == Some('"') {
            let label = self.quoted()?;
            if self.peek() != Some(':') {
                let problem = "a label has no value".to_owned();
                return Err(self.fault(
                    at,
                    self.at,
                    problem,
                    "label.KEY:VALUE, or label.KEY:* for any value",
                ));
            }
            self.at += 1;
            return Ok(Some(Key { at, name, label: Some(label) }));
        }
        if self.peek() != Some(':') {
            self.at = at;
            return Ok(None);
        }
        let label = name.strip_prefix("label.").map(str::to_owned);
        if label.as_deref() == Some("") {
            let expected = r#"label.KEY:VALUE, or label."":VALUE where the key is empty"#;
            return Err(self.fault(at, self.at, "a label has no key".to_owned(), expected));
        }
        self.at += 1;
        Ok(Some(Key { at, name, label }))
    }

    /// The alternatives, to the end of the term.
    fn values(&mut self) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            match self.peek() {
                Some(',') => self.at += 1,
                Some(c) if !c.is_whitespace() => {
                    let at = self.at;
                    self.up_to(|_| false);
                    let problem = "something stands beside the quotes".to_owned();
                    return Err(self.fault(at, self.at, problem, "a blank, or a comma before another value"));
                }
                Some(_) | None => return Ok(values),
            }
        }
    }

    fn value(&mut self) -> Result<Value, Fault> {
        let at = self.at;
        if self.peek() == Some('"') {
            let text = self.quoted()?;
            let word = self.chars[at..self.at].iter().collect();
            return Ok(Value { at, word, text, is_quoted: true });
        }
        let text = self.up_to(|c| c == ',' || c == '"');
        if self.peek() == Some('"') {
            let problem = "a quote stands within a word".to_owned();
            return Err(self.fault(
                self.at,
                self.at + 1,
                problem,
                r#"quotes around the whole value, and \" for one within"#,
            ));
        }
        if text.is_empty() {
            let problem = "a value is missing".to_owned();
            return Err(self.fault(at, at, problem, r#"a value, or "" for the empty text"#));
        }
        Ok(Value { at, word: text.clone(), text, is_quoted: false })
    }

    /// From one quote to the other.
    fn quoted(&mut self) -> Result<String, Fault> {
        let from = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
        let problem = "a quote is not closed".to_owned();
        Err(self.fault(from, self.at, problem, "another quote at the end of the value"))
    }

    /// What stands behind a backslash within quotes.
    fn escaped(&mut self) -> Result<char, Fault> {
        if let Some(escaped @ ('"' | '\\')) = self.peek() {
            self.at += 1;
            return Ok(escaped);
        }
        let problem = "a backslash within quotes stands before neither a quote nor a backslash".to_owned();
        Err(self.fault(self.at - 1, self.at, problem, r#"\" or \\"#))
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

    fn rest_of_term(&self, from: usize) -> String {
        self.chars[from..].iter().take_while(|c| !c.is_whitespace()).collect()
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
