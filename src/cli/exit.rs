//! How a command ends: the one place where errors become exit codes and words.
//!
//! The rule: a message is one or two plain sentences that name the thing and the
//! remedy, never a stack of causes. It may quote a row or the server, so it is made
//! plain here, line by line. Codes are part of the contract and only grow.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::app::{self, StartError};
use crate::domain::filter::Fault;
use crate::domain::text::plain;
use crate::postgres::StoreError;
use crate::settings::InvalidSettings;
use crate::vault::{KeyringError, NoPublicHalf};

/// Shown below the help of `tenantd` itself, in the words of `docs/cli.md`.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  failed; also: the database is unreachable
  2  wrong usage or configuration; also: the database refused us, the schema is missing,
     a row breaks a rule
  3  differences were found; also: migrations are pending, lines of an import were rejected,
     another key still holds secrets
  4  a tenant needs a human; also: stored secrets do not open
  5  timed out waiting";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// All is well.
    Done = 0,
    /// It could not be done.
    Failed = 1,
    /// It was asked wrongly, or the configuration is wrong.
    Usage = 2,
    /// What is there differs from what should be.
    Differences = 3,
    /// A tenant needs a human.
    NeedsHuman = 4,
    /// What was waited for did not come in time.
    TimedOut = 5,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Something was asked that cannot be: ends with [`Code::Usage`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misuse(pub(super) String);

/// A text that is no filter: ends with [`Code::Usage`].
#[derive(Debug, thiserror::Error)]
#[error("--filter is wrong: {fault}")]
pub(super) struct NoFilter {
    /// What is wrong with it.
    pub(super) fault: Box<Fault>,
    /// The text, and a mark under the place.
    pub(super) pointed: [String; 2],
}

/// What cannot be undone was asked without saying so: ends with [`Code::Usage`].
#[derive(Debug, thiserror::Error)]
#[error("{warning}")]
pub(super) struct Unconfirmed {
    /// What would be done, and how to say that it is meant.
    pub(super) warning: String,
    /// To what, one a line.
    pub(super) to: Vec<String>,
}

/// Says on standard error what went wrong, if anything did.
#[must_use]
pub fn end(ended: anyhow::Result<Code>) -> ExitCode {
    match ended {
        Ok(code) => code.into(),
        // Whoever read our output has seen enough, as in `tenantd tenant list | head`.
        Err(error) if is_broken_pipe(&error) => Code::Done.into(),
        Err(error) => {
            let (code, said) = verdict(&error);
            // Where nobody reads standard error, the code must do.
            writeln!(io::stderr(), "error: {}", said.plain()).ok();
            code.into()
        }
    }
}

/// The same words, for whoever goes on all the same.
pub(super) fn words(error: &anyhow::Error) -> String {
    verdict(error).1.plain()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_one = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_one))
}

#[derive(Debug, PartialEq, Eq)]
struct Said {
    head: String,
    /// What it is about, one a line.
    list: Vec<String>,
}

impl Said {
    /// Each on a line of its own, and nothing in it that makes another.
    fn plain(&self) -> String {
        let list = self.list.iter().map(|line| format!("\n  {}", plain(line)));
        std::iter::once(plain(&self.head)).chain(list).collect()
    }
}

/// The code of an error, and its words.
fn verdict(error: &anyhow::Error) -> (Code, Said) {
    let (code, head, list) = if let Some(store) = error.downcast_ref::<StoreError>() {
        of_start(&app::started(store))
    } else if let Some(start) = error.downcast_ref::<StartError>() {
        of_start(start)
    } else if let Some(invalid) = error.downcast_ref::<InvalidSettings>() {
        let list = invalid.faults().iter().map(ToString::to_string).collect();
        (Code::Usage, headline(invalid), list)
    } else if let Some(wrong) = error.downcast_ref::<NoFilter>() {
        (Code::Usage, wrong.to_string(), wrong.pointed.to_vec())
    } else if let Some(Unconfirmed { warning, to }) = error.downcast_ref::<Unconfirmed>() {
        (Code::Usage, format!("{warning}:"), to.clone())
    } else if error.is::<Misuse>() || error.is::<KeyringError>() || error.is::<NoPublicHalf>() {
        (Code::Usage, error.to_string(), vec![])
    } else {
        // With the cause, where there is one: "could not listen: address in use".
        (Code::Failed, format!("{error:#}"), vec![])
    };
    (code, Said { head, list })
}

/// Only what passes by itself is a failure; the rest is the configuration's.
fn of_start(error: &StartError) -> (Code, String, Vec<String>) {
    let code = match error {
        StartError::Unreachable(_)
        | StartError::Elsewhere(_)
        | StartError::Contended(_)
        | StartError::Failed(_) => Code::Failed,
        StartError::BadUrl
        | StartError::Refused(_)
        | StartError::Pooler(_)
        | StartError::SchemaMissing { .. }
        | StartError::Encoding { .. }
        | StartError::Forbidden(_)
        | StartError::Keyring(_)
        | StartError::CaFile { .. }
        | StartError::Qlik(_)
        | StartError::Traces(_) => Code::Usage,
    };
    (code, error.to_string(), vec![])
}

fn headline(invalid: &InvalidSettings) -> String {
    match invalid.faults().len() {
        1 => "the configuration has a fault:".to_owned(),
        several => format!("the configuration has {several} faults:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Fault;

    fn fault(key: &str) -> Fault {
        Fault {
            key: key.to_owned(),
            origin: None,
            problem: "is not set".to_owned(),
            remedy: "set it".to_owned(),
        }
    }

    #[test]
    fn only_what_passes_by_itself_is_a_failure_and_the_rest_is_configuration() {
        let unreachable = StartError::Unreachable("the database did not answer: refused".to_owned());
        let refused = StartError::Refused("the database said: no".to_owned());

        assert_eq!(verdict(&unreachable.into()).0, Code::Failed);
        assert_eq!(verdict(&refused.into()).0, Code::Usage);
        assert_eq!(verdict(&StartError::SchemaMissing { pending: 2 }.into()).0, Code::Usage);
        assert_eq!(verdict(&Misuse("no".to_owned()).into()).0, Code::Usage);
        assert_eq!(verdict(&anyhow::anyhow!("no")).0, Code::Failed);
    }

    #[test]
    fn faults_have_a_headline_and_a_line_each() {
        let (code, said) = verdict(&InvalidSettings::from(fault("database.url")).into());

        assert_eq!(code, Code::Usage);
        assert_eq!(said.plain(), "the configuration has a fault:\n  database.url is not set: set it");
    }

    #[test]
    fn no_error_makes_a_line_of_its_own_or_steers_the_terminal() {
        let hostile = "a\nerror: forged\u{1b}[2J\u{202e}";
        let shown = r"a\nerror: forged\u{1b}[2J\u{202e}";
        let unconfirmed = Unconfirmed { warning: hostile.to_owned(), to: vec![hostile.to_owned()] };

        for (error, lines) in [
            (anyhow::anyhow!("{hostile}"), vec![shown.to_owned()]),
            (Misuse(hostile.to_owned()).into(), vec![shown.to_owned()]),
            (
                StartError::Unreachable(hostile.to_owned()).into(),
                vec![format!("{shown}; check database.url and that the server is up")],
            ),
            (unconfirmed.into(), vec![format!("{shown}:"), format!("  {shown}")]),
        ] {
            let text = verdict(&error).1.plain();

            assert_eq!(text.lines().collect::<Vec<_>>(), lines);
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));

        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::anyhow!("no")));
    }
}
