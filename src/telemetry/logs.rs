//! The log on standard error: text for people, JSON for programs.
//!
//! The rule: **a library says nothing here unless somebody has read all it says**,
//! whatever the level. What libraries log may hold the headers of a request, a line of
//! `~/.pgpass`, or the rest of a password that broke an address in two.

use std::io::IsTerminal;

use tracing::{Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{EnvFilter, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;

use super::colour;
use super::lines::{PlainJson, text_fields};

/// Chatty at `info` without telling an operator anything. A level of the
/// operator's own for one of them wins, since it comes later, and one that is quieter for all.
const QUIET: &str = "sqlx=warn,tokio_cron_scheduler=warn";

/// The targets that may appear, with all below them, and no others. Besides ours:
///
/// * `sqlx::query`: the text of a statement, in which values are `$1`, with counts and
///   times. All of our statements are constants.
/// * `sqlx::pool::acquire`: how long a connection was waited for.
/// * `tokio_cron_scheduler`: the ids and the times of its jobs.
///
/// Nothing is taken from the `log` crate: it has no reader in this process.
const MAY_SPEAK: [&str; 4] = ["tenantd", "sqlx::query", "sqlx::pool::acquire", "tokio_cron_scheduler"];

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The level is not a list of directives.
    #[error(
        "log.level `{level}` is not understood; write a level (`info`) or a list such as `info,tenantd=debug`"
    )]
    Level {
        /// As configured.
        level: String,
        /// What the parser objects to.
        #[source]
        source: ParseError,
    },
    /// Logging was set up before in this process.
    #[error("logging is set up already")]
    Twice,
}

/// Starts logging to standard error for the whole process.
///
/// `level` is a level or a comma-separated list of `target=level`. It may be changed later.
pub fn init(format: Format, level: &str) -> Result<Level, InitError> {
    let is_coloured = colour::is_wanted(std::io::stderr().is_terminal());
    let (subscriber, level) = subscriber(format, level, is_coloured, std::io::stderr)?;
    subscriber.try_init().map_err(|_| InitError::Twice)?;
    Ok(level)
}

/// How much is logged, for whoever may change it while the process runs.
#[derive(Debug, Clone)]
pub struct Level(Handle<EnvFilter, Registry>);

/// Directives that were understood.
#[derive(Debug)]
pub struct Directives(EnvFilter);

impl Directives {
    /// Reads a level or a comma-separated list of `target=level`.
    ///
    /// # Errors
    ///
    /// [`InitError::Level`].
    pub fn parse(level: &str) -> Result<Self, InitError> {
        let is_quieter = level.split(',').any(|directive| {
            let of_all = directive.trim();
            of_all.eq_ignore_ascii_case("error") || of_all.eq_ignore_ascii_case("off")
        });
        let chatty = if is_quieter { "" } else { QUIET };
        EnvFilter::try_new(format!("{chatty},{level}"))
            .map(Self)
            .map_err(|source| InitError::Level { level: level.to_owned(), source })
    }
}

impl Level {
    /// From now on this is logged.
    pub fn set(&self, directives: Directives) {
        // Fails only where the log is gone, and then there is nobody to tell.
        self.0.reload(directives.0).ok();
    }
}

fn subscriber<W>(
    format: Format,
    level: &str,
    is_coloured: bool,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync, Level), InitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(Directives::parse(level)?.0);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(is_coloured);
    let lines = match format {
        Format::Text => lines.fmt_fields(text_fields()).boxed(),
        Format::Json => lines.json().flatten_event(true).map_event_format(PlainJson).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(filter).with(filter_fn(may_speak)).with(lines);
    Ok((subscriber, Level(handle)))
}

/// Events and spans alike: a span's fields stand on every line within it.
fn may_speak(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    MAY_SPEAK.iter().any(|listed| {
        target.strip_prefix(listed).is_some_and(|below| below.is_empty() || below.starts_with("::"))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::domain::text::is_hidden;

    /// A writer that keeps what it was given.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, level: &str, say: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let (subscriber, _) = subscriber(format, level, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_of_json_is_one_object_with_its_fields() {
        let text = logged(Format::Json, "info", || tracing::info!(tenant.id = 7, "tenant 7 is ready"));

        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["message"], &line["tenant.id"]), (&"tenant 7 is ready".into(), &7.into()));
    }

    #[test]
    fn text_bears_no_escape_codes_away_from_a_terminal() {
        let text = logged(Format::Text, "info", || tracing::warn!("look here"));

        assert!(text.contains("WARN") && text.contains("look here") && !text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn the_level_is_kept_and_chatty_libraries_are_quiet_until_asked() {
        let say = || {
            tracing::debug!("ours in detail");
            tracing::info!(target: "sqlx::query", "theirs");
        };

        let (plain, asked) =
            (logged(Format::Text, "info", say), logged(Format::Text, "debug,sqlx=info", say));

        assert_eq!(plain, "");
        assert!(asked.contains("ours in detail") && asked.contains("theirs"), "{asked:?}");
    }

    #[test]
    fn who_wants_errors_alone_hears_of_no_slow_statement() {
        let say = || tracing::warn!(target: "sqlx::query", "slow statement");

        for (level, is_told) in
            [("warn", true), ("warn,tenantd=error", true), ("error", false), ("tenantd=info, OFF", false)]
        {
            assert_eq!(!logged(Format::Text, level, say).is_empty(), is_told, "{level}");
        }
        let is_asked_for = logged(Format::Text, "error,sqlx=warn", say);
        assert!(is_asked_for.contains("slow statement"));
    }

    #[test]
    fn a_library_that_nobody_has_read_says_nothing_whatever_the_level() {
        let say = || {
            tracing::trace!(target: "hyper::proto::h1", "authorization: Bearer s3cret");
            tracing::debug!(target: "h2::codec", "client_secret=s3cret");
            tracing::warn!(target: "sqlx_postgres::options::parse", value = "s3cret", "unrecognized");
            tracing::warn!(target: "sqlx_postgres::options::pgpass", line = "s3cret", "Malformed line");
            tracing::error!(target: "tenantdx", "s3cret");
            tracing::error!(target: "sqlx::querying", "s3cret");
            let theirs = tracing::error_span!(target: "hyper::client", "connect", uri = "s3cret");
            theirs.in_scope(|| tracing::info!("ours"));
        };

        for level in
            ["trace", "trace,hyper=trace,h2::codec=trace,sqlx_postgres=trace", "[connect{uri}]=trace"]
        {
            for format in [Format::Text, Format::Json] {
                let text = logged(format, level, say);

                assert!(!text.contains("s3cret"), "{level}: {text}");
                assert!(text.contains("ours") || !level.starts_with("trace"), "{level}: {text}");
            }
        }
    }

    #[test]
    fn no_value_makes_a_line_of_its_own_or_steers_the_terminal() {
        let hostile = "a\nb\r\u{1b}[2J\u{9b}31m\u{202e}\u{2028}\u{feff}";
        let say = || {
            let span = tracing::info_span!("work", tenant = %hostile, quoted = hostile, debug = ?hostile);
            span.in_scope(|| tracing::warn!(tenant = %hostile, quoted = hostile, "tenant {hostile}"));
        };

        let (text, json) = (logged(Format::Text, "info", say), logged(Format::Json, "info", say));

        for log in [&text, &json] {
            assert_eq!(log.lines().count(), 1, "{log:?}");
            assert!(!log.trim_end_matches('\n').chars().any(is_hidden), "{log:?}");
        }
        assert!(text.contains(r"tenant a\nb\r\u{1b}[2J\u{9b}31m\u{202e}\u{2028}\u{feff}"), "{text}");
        let line: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&line["tenant"], &line["quoted"]), (&hostile.into(), &hostile.into()));
        assert_eq!(line["message"], format!("tenant {hostile}"));
        assert_eq!(line["span"]["tenant"], hostile);
    }

    #[test]
    fn colours_frame_the_level_and_never_come_from_a_value() {
        let kept = Kept::default();
        let writer = kept.clone();
        let (subscriber, _) = subscriber(Format::Text, "info", true, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || tracing::warn!("look \u{1b}[7m here"));
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();

        assert!(text.contains("\u{1b}[33m WARN\u{1b}[0m"), "{text:?}");
        assert!(text.ends_with("look \\u{1b}[7m here\n"), "{text:?}");
    }

    #[test]
    fn a_level_that_is_none_is_refused_with_an_example() {
        let error = subscriber(Format::Text, "info,=", false, std::io::stderr).err().unwrap().to_string();

        assert!(error.contains("`info,=`") && error.contains("info,tenantd=debug"), "{error}");
    }
}
