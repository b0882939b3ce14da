//! What has the look of a secret, whosever it is.
//!
//! The rules: **what stands behind a name of secrets is one**, from its quote to the closing one
//! on the same line, else to the next blank; a sentence about secrets stays readable. Each
//! look goes over a text once, however long it is.

use std::ops::Range;

use regex::Regex;

/// What names of secrets end in, but for figures.
macro_rules! names {
    () => {
        r"(?i-u:secret|passw(?:or)?d|passcode|passphrase|(?:\b|_)pass|pwd|token|authorization|cookie|(?:access|account|api|auth|encryption|master|private|secret|shared|signing)[ _-]?key)s?(?:[_-]?[0-9]+)?"
    };
}

const NAME: &str = concat!(names!(), "$");
/// Up to where the value begins: `NAME=`, `"NAME": `, `params['NAME'] = `, `NAME%3D` and the like; or
/// a blank, as behind `--NAME` and before a text in SQL.
const NAMED: &str = concat!(
    "(?:--[A-Za-z0-9_-]*)?",
    names!(),
    r#"(?:(?:\\*["'])?\]?[ \t]*(?::=|=>|==|[:=]|%3[AaDd])[ \t]*(?:Some\()?|[ \t]+)"#
);

/// What is asked of a text before it is taken for a secret.
type IsOne = fn(&str) -> bool;

/// The secret is the group; where its look is not enough, something more is asked of it.
const LOOKS: [(&str, IsOne); 9] = [
    // Of a header by its scheme, wherever it is told of.
    (r"(?i-u:\b(?:bearer|basic)[ \t]+)([A-Za-z0-9._~+/=-]{8,})", is_drawn),
    // Of a header by its name: `SCHEME VALUE`, `VALUE` and lists of `NAME=VALUE`.
    (
        concat!(
            r#"(?i-u:(?:authorization|cookie)[ \t]*[:=][ \t]*(?:(?:apikey|basic|bearer|digest|dpop|key|negotiate|ntlm|token)[ \t]+)?)"#,
            r#"([A-Za-z][A-Za-z0-9-]*[ \t]+[^\s"]*[0-9][^\s"]*|[^\s"'\\]\S*[,;](?:[ \t]+[^\s=]+=\S*[,;])*[ \t]+[^\s=]+=\S*|[^\s"'\\]\S*)"#,
        ),
        is_no_word,
    ),
    // User and password of a URL, or its user alone. A password may hold a / that should be %2F.
    (r#"://([^/\s"]*:[^\s"]*|[^/\s"?#]+)@"#, always),
    // The same of an option, as of curl.
    (r#"(?:^|\s)(?:-u|--(?:proxy-)?user)[ \t=]+["']?([^\s"':]+:[^\s"']+)"#, always),
    // A token or a sealed secret (JWS and JWE, compact).
    (r"\b(eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4})", always),
    // What its maker marks as one: of AWS, GitHub, GitLab, Slack, Stripe and Google; and what
    // PostgreSQL keeps of a password.
    (
        concat!(
            r"\b((?:AKIA|ASIA)[0-9A-Z]{16}|gh[oprsu]_[0-9A-Za-z]{20,}|github_pat_[0-9A-Za-z_]{20,}|glpat-[0-9A-Za-z_-]{20,}",
            r"|xox[abeoprs]-[0-9A-Za-z-]{10,}|[rs]k_(?:live|test)_[0-9A-Za-z]{10,}|AIza[0-9A-Za-z_-]{35}|SCRAM-SHA-256\$[0-9A-Za-z+/=$:]+)"
        ),
        always,
    ),
    // An element of XML with a name of secrets, also where its brackets are escaped.
    (
        concat!(
            r"(?:<|&lt;)(?:[A-Za-z0-9_.-]+:)?[A-Za-z0-9_.-]*",
            names!(),
            r"(?:\s[^<>]*?)?(?:>|&gt;)\s*(<!\[CDATA\[(?s:.*?)(?:]]>|\z)|(?:[^<&\s]|&[^l])[^<]*?)(?:<|&lt;|\z)"
        ),
        always,
    ),
    (
        r"(-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\z))",
        always,
    ),
    // A private member of a JWK, also where its JSON stands in a text of JSON.
    (r#"\\*"(?:k|d|p|q|dp|dq|qi)\\*"[ \t]*:[ \t]*\\*"([A-Za-z0-9_-]{8,})"#, always),
];

/// What sentences about a secret go on with behind a colon, and values that hold none.
const WORDS: &str = " a an and are as at be because but by can cannot could did do does empty expired \
    failed false for from gone had has have here hold holds in invalid is it its may missing must name named \
    names neither never no nobody needs none not nothing null of off ok on one only or refused rejected requires \
    revoked rotated see set should so some takes than that the there these they this to true undefined \
    unknown unset until was we were what when where whether which while who will with write wrong yes you your ";

/// See the file's head.
pub(super) struct Looks {
    name: Regex,
    named: Regex,
    others: Vec<(Regex, IsOne)>,
}

impl Looks {
    pub(super) fn new() -> Self {
        // They are constants, which a test builds.
        let built = |look| Regex::new(look).unwrap_or_else(|error| unreachable!("{error}"));
        Self {
            name: built(NAME),
            named: built(NAMED),
            others: LOOKS.map(|(look, is_one)| (built(look), is_one)).into(),
        }
    }

    /// Whether what has this name is a secret.
    pub(super) fn is_name(&self, name: &str) -> bool {
        self.name.is_match(name)
    }

    /// Where something stands that looks like one; the places may overlap.
    pub(super) fn places(&self, text: &str) -> Vec<Range<usize>> {
        let mut places = self.named_places(text);
        for (look, is_one) in &self.others {
            let groups = look.captures_iter(text).filter_map(|found| found.get(1));
            places.extend(groups.filter(|group| is_one(group.as_str())).map(|group| group.range()));
        }
        places
    }

    /// A value is passed over as a whole, so that none is looked at twice.
    fn named_places(&self, text: &str) -> Vec<Range<usize>> {
        let (mut places, mut at) = (Vec::new(), 0);
        while let Some(found) = self.named.find_at(text, at) {
            let value = value(found.as_str(), &text[found.end()..]);
            at = found.end() + value.end;
            if !value.is_empty() {
                places.push(found.end() + value.start..at);
            }
            // Without a quote before it the value has taken all.
            let glued = glued(&text[at..], value.start);
            if !glued.is_empty() {
                places.push(at + glued.start..at + glued.end);
                at += glued.end;
            }
        }
        places
    }
}

/// The value behind this name.
fn value(name: &str, rest: &str) -> Range<usize> {
    if is_behind_a_blank(name) && !is_one_all_the_same(name, rest) {
        return 0..0;
    }
    if let Some((quote, depth)) = opening(rest) {
        let start = depth + 1;
        return start..start + quoted(&rest[start..], quote, depth);
    }
    // Of JSON, where a comma ends what has no quotes.
    let is_member = name.contains(['"', '\'']);
    let is_nested = rest.starts_with(['[', '{']);
    // Headers have a look of their own; `token::fetch` is a path.
    if !is_nested && (is_header(name) || rest.starts_with(':')) {
        return 0..0;
    }
    let start = if is_nested { nested(rest, is_member) } else { 0 };
    let end = if is_nested && is_member { start } else { start + bare(&rest[start..], is_member) };
    let value = rest[..end].trim_end_matches([',', ';', '.', ')', '"', '\'']);
    // Of many there may be a count.
    if is_plural(name) && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0..0;
    }
    let is_one = if is_nested { value.contains(char::is_alphanumeric) } else { is_no_word(value) };
    0..if is_one { value.len() } else { 0 }
}

/// Whether nothing but blanks stands between the name and what follows.
fn is_behind_a_blank(name: &str) -> bool {
    name.ends_with([' ', '\t']) && !name.contains([':', '=', '%'])
}

/// Whether what follows is a value: of an option, unless another one follows, or in SQL.
fn is_one_all_the_same(name: &str, rest: &str) -> bool {
    let is_password = || name.to_ascii_lowercase().starts_with("passw");
    if name.starts_with("--") { !rest.starts_with('-') } else { is_password() && rest.starts_with('\'') }
}

fn is_header(name: &str) -> bool {
    ["authorization", "cookie"].iter().any(|header| name.to_ascii_lowercase().starts_with(header))
}

/// Of the name of a secret with whatever stands behind it.
pub(super) fn is_plural(name: &str) -> bool {
    let name = name.trim_end_matches(|c: char| !c.is_ascii_alphabetic()).to_ascii_lowercase();
    name.ends_with('s') && !name.ends_with("pass")
}

/// The quote with which it begins, and behind how many backslashes: within a text of JSON quotes have
/// one, within a text in there three.
fn opening(text: &str) -> Option<(char, usize)> {
    let quote = text.trim_start_matches('\\').chars().next()?;
    let depth = text.len() - text.trim_start_matches('\\').len();
    ['"', '\''].contains(&quote).then_some((quote, depth))
}

/// Where the text in quotes ends: at the quote like the opening one, or at the end of the line.
fn quoted(text: &str, quote: char, depth: usize) -> usize {
    let mut escapes = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\n' {
            return at;
        }
        if c == quote && (escapes < depth || escapes % (2 * depth + 2) == depth) {
            // SQL and YAML double it within quotes.
            let is_doubled =
                at > 0 && escapes == 0 && characters.next_if(|(_, next)| *next == quote).is_some();
            if !is_doubled {
                return at - escapes.min(depth);
            }
        }
        escapes = if c == '\\' { escapes + 1 } else { 0 };
    }
    text.len()
}

/// What more of a value stands behind its closing quote, which is so long: a shell takes `"a"b` and
/// `"a"'b'` for one.
fn glued(text: &str, quote: usize) -> Range<usize> {
    let is_closed = text.get(..quote).is_some_and(|closing| closing.ends_with(['"', '\'']));
    let behind = text.get(quote..).filter(|_| is_closed).unwrap_or_default();
    let begins = behind.strip_prefix(['"', '\'']).unwrap_or(behind);
    if begins.starts_with(char::is_alphanumeric) { quote..quote + bare(behind, true) } else { 0..0 }
}

/// Where a value without quotes ends.
fn bare(text: &str, is_member: bool) -> usize {
    let ends = |c: char| c.is_whitespace() || (is_member && ",]}".contains(c));
    text.find(ends).unwrap_or(text.len())
}

/// Where what begins with a bracket ends; JSON may go over lines, and it may have been cut off.
fn nested(text: &str, is_member: bool) -> usize {
    let text = if is_member { text } else { text.lines().next().unwrap_or_default() };
    let (mut at, mut open) = (0, 0_usize);
    while let Some(c) = text[at..].chars().next() {
        match (c, opening(&text[at..])) {
            (_, Some((quote, depth))) => {
                at += depth + 1;
                at += quoted(&text[at..], quote, depth) + depth;
            }
            ('\\', None) => {
                at = text.len() - text[at..].trim_start_matches('\\').len();
                continue;
            }
            ('[' | '{', None) => open += 1,
            (']' | '}', None) => open -= 1,
            _ => {}
        }
        // The bracket or the closing quote.
        at += text[at..].chars().next().map_or(0, char::len_utf8);
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// Whether a member of JSON is a private one of a JWK (RFC 7518).
pub(super) fn is_key_material(name: &str, text: &str) -> bool {
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ["k", "d", "p", "q", "dp", "dq", "qi"].contains(&name)
        && text.len() >= 8
        && text.chars().all(is_base64url)
}

fn always(_: &str) -> bool {
    true
}

/// Whether it was rather drawn by chance, or encoded, than written by somebody.
fn is_drawn(word: &str) -> bool {
    let turns = |(one, next): (char, char)| one.is_ascii_lowercase() && next.is_ascii_uppercase();
    word.len() > 20
        || word.contains(|c: char| c.is_ascii_digit() || c == '=')
        || word.chars().zip(word.chars().skip(1)).any(turns)
}

/// Whether it is more than punctuation, and begins with no word of a sentence.
fn is_no_word(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    !word.is_empty() && !WORDS.contains(&format!(" {word} "))
}
