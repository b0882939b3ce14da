//! From a value of the tree to a typed one: pure, one function a kind of value.
//!
//! The rule: a file is taken at its word (a number is a number, a list a list);
//! the environment, where all is text, is read leniently.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use config::{Value, ValueKind};

use super::layers::is_variable;
use super::misfit::{Misfit, quoted};

/// Text, possibly empty.
pub(super) fn text(value: &Value) -> Result<String, Misfit> {
    as_text(value, "put it in quotes").map(str::to_owned)
}

/// Text with something in it.
pub(super) fn filled(value: &Value) -> Result<String, Misfit> {
    match text(value)?.trim() {
        "" => Err(Misfit::new("is empty", "write a value, or remove the key")),
        filled => Ok(filled.to_owned()),
    }
}

/// A path. Relative ones start at the working directory of the process. The content of a
/// file, where its path should stand, is refused and not quoted.
pub(super) fn path(value: &Value) -> Result<PathBuf, Misfit> {
    let text = filled(value)?;
    if is_content(&text) {
        let remedy = "write it into a file that only its reader may read, and name that file here";
        return Err(Misfit::new("is no path: it seems to be what the file should hold", remedy));
    }
    Ok(text.into())
}

/// Whether a text is a URL, JSON, PEM or of several lines, and so no path.
pub(super) fn is_content(text: &str) -> bool {
    text.contains("://")
        || text.contains(char::is_control)
        || text.starts_with(['{', '['])
        || text.starts_with("-----")
}

/// The path of a secret as a message may say it: a relative one may be the secret
/// itself, written where its file should be named.
pub(super) fn quoted_path(path: &Path) -> String {
    let shown = path.display().to_string();
    if ["/", "./", "../"].iter().any(|start| shown.starts_with(start)) {
        shown
    } else {
        "[a path that is not shown: it does not begin with / or ./]".to_owned()
    }
}

/// A duration with its unit, such as `200ms`, `15m`, `7d`.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Value) -> Result<Duration, Misfit> {
    move |value| {
        let text = as_text(value, "write a unit and quotes, as in \"90s\"")?;
        let parsed = humantime::parse_duration(text).map_err(|_| {
            Misfit::new(
                format!("is {}, which is not a duration", quoted(text)),
                "write a number with its unit: 200ms, 90s, 15m, 24h or 7d",
            )
        })?;
        if range.contains(&parsed) {
            return Ok(parsed);
        }
        let (least, most) = (shown(*range.start()), shown(*range.end()));
        Err(Misfit::new(
            format!("is {text}, outside {least} to {most}"),
            format!("choose a duration from {least} to {most}"),
        ))
    }
}

/// `never`, or how often.
pub(super) fn interval(
    range: RangeInclusive<Duration>,
) -> impl Fn(&Value) -> Result<Option<Duration>, Misfit> {
    move |value| match as_text(value, "write \"never\" or a duration such as \"90d\"")? {
        "never" => Ok(None),
        _ => duration(range.clone())(value).map(Some),
    }
}

/// A duration in the spelling of the configuration. Days are the longest unit:
/// humantime's months and years are fractions of the calendar's, and 365d would be
/// told as `11months 30days 3h 50m 24s`.
pub(super) fn shown(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let days = duration.as_secs() / DAY;
    let rest = duration.saturating_sub(Duration::from_secs(days * DAY));
    match (days, rest.is_zero()) {
        (0, _) => humantime::format_duration(rest).to_string(),
        (_, true) => format!("{days}d"),
        (_, false) => format!("{days}d {}", humantime::format_duration(rest)),
    }
}

/// A whole number.
pub(super) fn count<T>(range: RangeInclusive<T>) -> impl Fn(&Value) -> Result<T, Misfit>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |value| {
        let (least, most) = (range.start(), range.end());
        let number = whole_number(value).ok_or_else(|| {
            Misfit::wrong_type(value, "a whole number", &format!("write a number from {least} to {most}"))
        })?;
        let fitting = T::try_from(number).ok().filter(|number| range.contains(number));
        fitting.ok_or_else(|| {
            Misfit::new(
                format!("is {number}, outside {least} to {most}"),
                format!("choose a number from {least} to {most}"),
            )
        })
    }
}

fn whole_number(value: &Value) -> Option<i64> {
    match &value.kind {
        ValueKind::I64(number) => Some(*number),
        ValueKind::String(text) if is_variable(value) => text.trim().parse().ok(),
        ValueKind::String(_)
        | ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::Table(_)
        | ValueKind::Array(_) => None,
    }
}

/// A share from 0 to 1.
pub(super) fn share(value: &Value) -> Result<f64, Misfit> {
    let number = value.clone().into_float().ok().filter(|_| !is_quoted(value));
    number.filter(|number| (0.0..=1.0).contains(number)).ok_or_else(|| {
        Misfit::new("is not a number from 0.0 to 1.0", "write a share, as in 0.2 for one in five")
    })
}

pub(super) fn flag(value: &Value) -> Result<bool, Misfit> {
    match (&value.kind, is_variable(value)) {
        (ValueKind::Boolean(flag), _) => Ok(*flag),
        (ValueKind::String(text), true) => bool::from_str(text.trim()).map_err(|_| not_a_flag(value)),
        _ => Err(not_a_flag(value)),
    }
}

fn not_a_flag(value: &Value) -> Misfit {
    Misfit::wrong_type(value, "true or false", "write true or false, without quotes in a file")
}

/// A list of texts. In the environment: separated by commas.
pub(super) fn list(value: &Value) -> Result<Vec<String>, Misfit> {
    match (&value.kind, is_variable(value)) {
        (ValueKind::Array(items), _) => items.iter().map(filled).collect(),
        (ValueKind::String(text), true) => Ok(text.split(',').map(|item| item.trim().to_owned()).collect()),
        _ => Err(Misfit::wrong_type(value, "a list", "write it in brackets, as in [\"one\", \"two\"]")),
    }
}

/// An IP address with its port.
pub(super) fn address(value: &Value) -> Result<SocketAddr, Misfit> {
    let text = as_text(value, "write an IP address and a port in quotes, as in \"127.0.0.1:9464\"")?;
    text.parse().map_err(|_| {
        Misfit::new(
            format!("is {}, which is not an IP address with a port", quoted(text)),
            "write it as 127.0.0.1:9464 or [::1]:9464; a host name will not do",
        )
    })
}

/// One of a few words.
pub(super) fn choice<T: Copy, const N: usize>(
    words: [(&'static str, T); N],
) -> impl Fn(&Value) -> Result<T, Misfit> {
    move |value| {
        let all = words.map(|(word, _)| format!("{word:?}")).join(" or ");
        let text = as_text(value, &format!("write {all}"))?;
        let chosen = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        chosen.ok_or_else(|| Misfit::new(format!("is {}", quoted(text)), format!("write {all}")))
    }
}

/// A name that goes into labels, rows and messages.
pub(super) fn name(value: &Value) -> Result<String, Misfit> {
    let text = filled(value)?;
    if is_name(&text) { Ok(text) } else { Err(Misfit::new(format!("is {}", quoted(&text)), NAME_RULE)) }
}

/// What a name must look like, as a remedy.
pub(super) const NAME_RULE: &str = "use 1 to 63 letters, digits, hyphens and underscores";

/// Whether a text can name a region or a profile.
pub(super) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A filter of log lines. Bare words must be levels: `EnvFilter` would take the
/// slip `inof` for the name of a module and log nothing else.
pub(super) fn log_filter(value: &Value) -> Result<String, Misfit> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let remedy = "write off, error, warn, info, debug or trace, or directives such as info,sqlx=warn";
    let text = filled(value)?;
    let is_level = |word: &str| LEVELS.contains(&word.trim().to_ascii_lowercase().as_str());
    let is_sound = text.split(',').all(|part| part.contains(['=', '[', ']']) || is_level(part));
    if is_sound && tracing_subscriber::EnvFilter::try_new(&text).is_ok() {
        return Ok(text);
    }
    Err(Misfit::new(format!("is {}, which is not a log filter", quoted(&text)), remedy))
}

fn is_quoted(value: &Value) -> bool {
    matches!(value.kind, ValueKind::String(_)) && !is_variable(value)
}

fn as_text<'a>(value: &'a Value, remedy: &str) -> Result<&'a str, Misfit> {
    match &value.kind {
        ValueKind::String(text) => Ok(text),
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::Table(_)
        | ValueKind::Array(_) => Err(Misfit::wrong_type(value, "text", remedy)),
    }
}
