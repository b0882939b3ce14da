//! Just enough of Rust's grammar to see which paths a file names.
//!
//! The rule: what is not code (comments, literals, tests) is blanked first, so
//! that the rest can be read token by token.

/// Keywords after which a leading `::` begins a path, as in `use ::tokio::fs`.
const BEFORE_A_PATH: [&str; 9] = ["use", "as", "dyn", "else", "impl", "in", "match", "mut", "return"];

/// A token that matters for paths.
#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Separator,
    Sign(char),
}

/// `text` without comments, without the contents of literals, and without what
/// stands under `#[cfg(test)]`.
pub(super) fn shipped_code(text: &str) -> String {
    let mut code = without_literals(text);
    while let Some(start) = code.find("#[cfg(test)]") {
        let end = start + end_of_item(&code[start..]);
        code.replace_range(start..end, "");
    }
    code
}

/// Where the item that begins here ends: after its `;`, or its closing brace.
fn end_of_item(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    code.len()
}

fn without_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => end_of_string(rest),
            'r' if !code.ends_with(is_word) => end_of_raw_string(rest).unwrap_or(0),
            '\'' => end_of_character(rest).unwrap_or(0),
            _ => 0,
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

fn end_of_raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let body = text[1 + hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + body.find(&close)? + close.len())
}

/// A character literal, as opposed to a lifetime.
fn end_of_character(text: &str) -> Option<usize> {
    let body = &text[1..];
    if let Some(escape) = body.strip_prefix('\\') {
        return Some(3 + escape[1..].find('\'')? + 1);
    }
    let width = body.chars().next()?.len_utf8();
    body[width..].starts_with('\'').then_some(width + 2)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn tokens(code: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let width = if is_word(first) {
            let width = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..width].to_owned()));
            width
        } else if rest.starts_with("::") {
            found.push(Token::Separator);
            2
        } else {
            found.push(Token::Sign(first));
            first.len_utf8()
        };
        rest = rest[width..].trim_start();
    }
    found
}

/// Every path in `code`, with the groups of `use` written out.
pub(super) fn paths_in(code: &str) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let continues = at >= 2
            && tokens[at - 1] == Token::Separator
            && match &tokens[at - 2] {
                Token::Word(word) => !BEFORE_A_PATH.contains(&word.as_str()),
                Token::Separator => false,
                Token::Sign(sign) => *sign == '>',
            };
        if matches!(tokens[at], Token::Word(_)) && !continues {
            read_path(&tokens, at, &[], &mut found);
        }
    }
    found
}

/// Reads one path, or one branch of a group, and gives back where it ends.
fn read_path(tokens: &[Token], at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let Some(Token::Word(word)) = tokens.get(at) else { return at + 1 };
    let mut path = before.to_vec();
    path.push(word.clone());
    match (tokens.get(at + 1), tokens.get(at + 2)) {
        (Some(Token::Separator), Some(Token::Word(_))) => read_path(tokens, at + 2, &path, found),
        (Some(Token::Separator), Some(Token::Sign('{'))) => read_group(tokens, at + 3, &path, found),
        _ => {
            found.push(path);
            at + 1
        }
    }
}

fn read_group(tokens: &[Token], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    while at < tokens.len() && tokens[at] != Token::Sign('}') {
        at = read_path(tokens, at, before, found);
    }
    at + 1
}

#[test]
fn paths_are_read_from_groups_expressions_and_attributes_but_not_from_text() {
    let code = shipped_code(
        "use a::{b::{c, d as e}, f}; // g::h\n#[i::j] fn k<'l>(m: ::n::O<'l>) { p::q(\"r::s\", 't', r#\"u::\"v\"#); }",
    );

    let paths: Vec<String> = paths_in(&code).iter().map(|path| path.join("::")).collect();

    for path in ["a::b::c", "a::b::d", "a::f", "i::j", "n::O", "p::q"] {
        assert!(paths.iter().any(|found| found == path), "{path} is missing in {paths:?}");
    }
    for path in ["g::h", "r::s", "u", "v"] {
        assert!(!paths.iter().any(|found| found == path), "{path} is in {paths:?}");
    }
}
