//! The log on standard error: text for people, JSON for programs.
//!
//! The rule: the libraries that carry our requests never log below a warning,
//! whatever the level: further down they print headers and bodies, which hold
//! credentials.

use std::io::IsTerminal;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Chatty at `info` without telling an operator anything. A level of the
/// operator's own for one of them wins, since it comes later.
const QUIET: &str = "sqlx=warn,tokio_cron_scheduler=warn";

/// Crates that see requests and answers in the clear.
const ON_THE_WIRE: [&str; 7] = ["h2", "hyper", "hyper_util", "reqwest", "rustls", "tokio_rustls", "tower"];

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
/// `level` is a level or a comma-separated list of `target=level`.
///
/// # Errors
///
/// [`InitError`]
pub fn init(format: Format, level: &str) -> Result<(), InitError> {
    let ansi = std::io::stderr().is_terminal();
    let subscriber = subscriber(format, level, ansi, std::io::stderr)?;
    // Also catches what libraries say through the `log` crate.
    subscriber.try_init().map_err(|_| InitError::Twice)
}

fn subscriber<W>(
    format: Format,
    level: &str,
    ansi: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, InitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(format!("{QUIET},{level}"))
        .map_err(|source| InitError::Level { level: level.to_owned(), source })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        Format::Text => lines.with_ansi(ansi).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok(tracing_subscriber::registry().with(filter).with(filter_fn(is_harmless)).with(lines))
}

fn is_harmless(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::WARN || !ON_THE_WIRE.contains(&library)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

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
        let subscriber = subscriber(format, level, false, move || writer.clone()).unwrap();
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
    fn what_travels_on_the_wire_is_never_logged_whatever_the_level() {
        let text = logged(Format::Text, "trace,hyper=trace,h2::codec=trace", || {
            tracing::trace!(target: "hyper::proto::h1", "authorization: Bearer abc");
            tracing::debug!(target: "h2::codec", "client_secret=abc");
            tracing::warn!(target: "hyper::client", "the connection was closed");
        });

        assert!(text.contains("the connection was closed") && !text.contains("abc"), "{text:?}");
    }

    #[test]
    fn a_level_that_is_none_is_refused_with_an_example() {
        let error = subscriber(Format::Text, "info,=", false, std::io::stderr).err().unwrap().to_string();

        assert!(error.contains("`info,=`") && error.contains("info,tenantd=debug"), "{error}");
    }
}
