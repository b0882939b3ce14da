//! What pages are put together from.
//!
//! The rule: whatever is shown of a row goes through [`text`]: what steers its reader or shows
//! nothing of itself is written as its number, and markup is no markup.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

use crate::domain::ages::relative;
use crate::domain::text::{of_so_many, plain};

/// A table whose rows are cards where there is no room.
pub(super) struct Table<'a> {
    /// What it is, for those who do not see it.
    pub(super) caption: &'a str,
    pub(super) head: &'a [&'a str],
    pub(super) rows: Vec<Vec<Markup>>,
}

impl Table<'_> {
    /// Its roles are said, because a card would lose them.
    pub(super) fn markup(&self) -> Markup {
        html! {
            table role="table" {
                caption .unseen { (self.caption) }
                thead role="rowgroup" {
                    tr role="row" { @for name in self.head { th role="columnheader" scope="col" { (name) } } }
                }
                tbody role="rowgroup" {
                    @for row in &self.rows {
                        tr role="row" {
                            @for (cell, name) in row.iter().zip(self.head) {
                                td role="cell" data-label=(name) { div { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Text that somebody else wrote.
pub(super) fn text(text: &str) -> Markup {
    html! { (plain(text)) }
}

/// The same with what stands between backticks as code.
pub(super) fn marked(said: &str) -> Markup {
    html! {
        @for (place, part) in said.split('`').enumerate() {
            @if place % 2 == 1 { code { (plain(part)) } } @else { (plain(part)) }
        }
    }
}

/// The same as a sentence; nothing where nothing is said.
pub(super) fn sentence(said: &str) -> Markup {
    if said.is_empty() {
        return html! {};
    }
    let mut rest = said.chars();
    let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if said.ends_with(['.', '?', '!']) { "" } else { "." };
    marked(&format!("{first}{}{end}", rest.as_str()))
}

/// How long ago, or in how long; when exactly is told where one points.
pub(super) fn time(instant: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let exact = instant.format("%Y-%m-%d %H:%M:%S UTC");
    html! {
        time datetime=(instant.to_rfc3339_opts(SecondsFormat::Secs, true)) title=(exact) {
            (relative(instant, now))
        }
    }
}

/// The same where there is an instant.
pub(super) fn time_or(instant: Option<DateTime<Utc>>, now: DateTime<Utc>, otherwise: &str) -> Markup {
    html! {
        @if let Some(instant) = instant { (time(instant, now)) } @else { span .quiet { (otherwise) } }
    }
}

/// A number in groups of three.
pub(super) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        grouped.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 tenant`, `1,000 tenants`.
pub(super) fn count(of: i64, noun: &str) -> String {
    format!("{} {}", number(of), of_so_many(of, noun))
}

/// `1 tenant is`, `1,000 tenants are`: the verb of one, and that of several.
pub(super) fn counted(of: i64, noun: &str, [one, several]: [&str; 2]) -> String {
    format!("{} {}", count(of, noun), if of == 1 { one } else { several })
}

/// `1 tenant is`, `1,000 tenants are`.
pub(super) fn are(tenants: i64) -> String {
    counted(tenants, "tenant", ["is", "are"])
}

/// A length of time as people say it, in its two largest units.
pub(super) fn length(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    match seconds {
        0 if millis == 0 && time.is_zero() => "0 s".to_owned(),
        0 if millis == 0 => "< 1 ms".to_owned(),
        0 => format!("{millis} ms"),
        1..10 => format!("{seconds}.{} s", millis / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

fn two(large: u64, unit: &str, small: u64, of_small: &str) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {of_small}") }
}

/// A part of a [`bar`]: its class, and how large it is.
pub(super) struct Part<'a> {
    pub(super) class: &'a str,
    pub(super) size: f64,
}

/// Parts side by side. What it says is said beside it in words too.
pub(super) fn bar(parts: &[Part<'_>], whole: f64) -> Markup {
    let whole = if whole > 0.0 { whole } else { 1.0 };
    let placed = parts.iter().scan(0.0_f64, |from, part| {
        let (at, wide) = (*from, (part.size / whole * 1000.0).clamp(0.0, 1000.0 - *from));
        *from += wide;
        Some((part.class, at, wide))
    });
    html! {
        svg .bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect .track width="1000" height="10" {}
            @for (class, at, wide) in placed.filter(|(_, _, wide)| *wide > 0.0) {
                rect class=(class) x=(format!("{at:.1}")) width=(format!("{wide:.1}")) height="10" {}
            }
        }
    }
}

/// A command to type, which one click selects.
pub(super) fn command(command: &str) -> Markup {
    html! {
        div .command {
            code { (plain(command)) }
            button type="button" .copy data-copy=(plain(command)) hidden { "Copy" }
        }
    }
}

/// An argument as a shell reads it; `None` where it cannot be typed.
pub(super) fn argument(argument: &str) -> Option<String> {
    if plain(argument) != argument {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._@%+=:,/-".contains(c);
    if !argument.is_empty() && !argument.starts_with('-') && argument.chars().all(is_plain) {
        return Some(argument.to_owned());
    }
    let quoted = format!("'{}'", argument.replace('\'', r"'\''"));
    Some(if argument.starts_with('-') { format!("-- {quoted}") } else { quoted })
}

/// A text as a part of a path.
pub(super) fn in_path(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-_~.".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            write!(path, "%{byte:02X}").ok();
        }
        path
    })
}

/// A tenant's key, which leads to its page. `.` and `..` lead nowhere: in a path, however it is
/// written, a browser takes them for a step.
pub(super) fn tenant_link(external_id: &str) -> Markup {
    html! {
        @if matches!(external_id, "." | "..") { (text(external_id)) }
        @else { a href={ "/status/tenants/" (in_path(external_id)) } { (text(external_id)) } }
    }
}

/// The page of tenants with a filter.
pub(super) fn filter_path(filter: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    format!("/status/tenants?{}", query.append_pair("filter", filter).finish())
}

/// A word that is one of a few, with a mark of its own besides its colour.
pub(super) fn chip(class: &str, word: &str) -> Markup {
    html! { span class={ "chip " (class) } { (plain(word)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_no_markup_and_hides_nothing() {
        let shown = text("<script>alert('x')</script>\u{202e}&\"").into_string();
        let code = marked("run `tenantd <b>` now").into_string();

        assert!(!shown.contains('<') && !shown.contains('\u{202e}'), "{shown}");
        assert!(shown.contains("&lt;script&gt;") && shown.contains("\\u{202e}&amp;"), "{shown}");
        assert_eq!(code, "run <code>tenantd &lt;b&gt;</code> now");
        assert_eq!(sentence("it `runs`").into_string(), "It <code>runs</code>.");
        assert_eq!(sentence("").into_string(), "");
    }

    #[test]
    fn numbers_and_lengths_are_told_as_people_say_them() {
        for (of, told) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")] {
            assert_eq!(number(of), told);
        }
        assert_eq!((count(1, "tenant"), count(1_000, "tenant")), ("1 tenant".into(), "1,000 tenants".into()));
        let are = |of| counted(of, "tenant", ["is", "are"]);
        assert_eq!((are(1), are(2)), ("1 tenant is".into(), "2 tenants are".into()));
        for (millis, told) in [
            (0, "0 s"),
            (40, "40 ms"),
            (1_230, "1.2 s"),
            (59_900, "59 s"),
            (60_000, "1 min"),
            (754_000, "12 min 34 s"),
            (7_260_000, "2 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(length(Duration::from_millis(millis)), told);
        }
    }

    #[test]
    fn an_argument_is_one_word_to_a_shell_or_is_not_offered() {
        assert_eq!(argument("customer-42").as_deref(), Some("customer-42"));
        assert_eq!(argument("a b'c").as_deref(), Some(r"'a b'\''c'"));
        assert_eq!(argument("$(x)").as_deref(), Some("'$(x)'"));
        assert_eq!(argument("-rf").as_deref(), Some("-- '-rf'"));
        assert_eq!(argument("a\nb"), None);
    }

    #[test]
    fn a_key_is_one_part_of_a_path() {
        for (key, link) in [
            ("a/b?<c>", r#"<a href="/status/tenants/a%2Fb%3F%3Cc%3E">a/b?&lt;c&gt;</a>"#),
            ("a.b", r#"<a href="/status/tenants/a.b">a.b</a>"#),
            ("...", r#"<a href="/status/tenants/...">...</a>"#),
            (".", "."),
            ("..", ".."),
        ] {
            assert_eq!(tenant_link(key).into_string(), link);
        }
        assert_eq!(filter_path("reason:A b&c"), "/status/tenants?filter=reason%3AA+b%26c");
    }

    #[test]
    fn the_parts_of_a_bar_never_leave_it() {
        let parts = [Part { class: "a", size: 3.0 }, Part { class: "b", size: 9.0 }];

        let drawn = bar(&parts, 4.0).into_string();

        assert!(drawn.contains(r#"class="a" x="0.0" width="750.0""#), "{drawn}");
        assert!(drawn.contains(r#"class="b" x="750.0" width="250.0""#), "{drawn}");
    }
}
