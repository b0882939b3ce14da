//! Takes a filter apart, character by character: keys and values, whatever they mean.
//!
//! The rule: a place is counted in characters, so that whoever shows the text can point at it.

use super::fault::Fault;
use super::term::MOST_CHARACTERS;

/// One alternative behind a key.
pub(super) struct Value {
    pub(super) at: usize,
    /// What was typed, with its quotes.
    pub(super) word: String,
    pub(super) text: String,
    pub(super) is_quoted: bool,
}

/// What a term begins with.
pub(super) struct Key {
    pub(super) at: usize,
    pub(super) name: String,
    /// Of a label: its own key.
    pub(super) label: Option<String>,
}

pub(super) struct Reader {
    pub(super) chars: Vec<char>,
    pub(super) at: usize,
}

impl Reader {
    pub(super) fn is_readable(&self) -> Result<(), Fault> {
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

    pub(super) fn too_long(&self) -> Fault {
        let problem = format!("the filter has more than {MOST_CHARACTERS} characters");
        let at = MOST_CHARACTERS.min(self.chars.len());
        self.fault(at, at, problem, &format!("at most {MOST_CHARACTERS} characters"))
    }

    pub(super) fn fault(&self, from: usize, to: usize, problem: String, expected: &str) -> Fault {
        Fault {
            at: from,
            word: self.chars[from..to].iter().collect(),
            problem,
            expected: expected.to_owned(),
        }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Whether there is anything behind the blanks.
    pub(super) fn skip_blanks(&mut self) -> bool {
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

    /// Whether what a hyphen negates stands behind it. Two are an option that was taken for a filter.
    pub(super) fn is_one_hyphen(&mut self, from: usize) -> Result<(), Fault> {
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
    pub(super) fn key(&mut self) -> Result<Option<Key>, Fault> {
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
    pub(super) fn values(&mut self) -> Result<Vec<Value>, Fault> {
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

    pub(super) fn rest_of_term(&self, from: usize) -> String {
        self.chars[from..].iter().take_while(|c| !c.is_whitespace()).collect()
    }
}
