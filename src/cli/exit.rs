//! How a command ends: the one place where errors become exit codes and words.
//!
//! The rule: a message is one or two plain sentences that name the thing and the
//! remedy, never a stack of causes. Codes are part of the contract and only grow.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::app::{self, StartError};
use crate::postgres::StoreError;
use crate::settings::InvalidSettings;
use crate::vault::{KeyringError, NoPublicHalf};

/// Shown below the help of `tenantd` itself.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage or configuration
  3  differences were found
  4  a tenant needs a human
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

/// Says on standard error what went wrong, if anything did.
#[must_use]
pub fn end(ended: anyhow::Result<Code>) -> ExitCode {
    match ended {
        Ok(code) => code.into(),
        // Whoever read our output has seen enough, as in `tenantd tenant list | head`.
        Err(error) if is_broken_pipe(&error) => Code::Done.into(),
        Err(error) => {
            let (code, text) = verdict(&error);
            // Where nobody reads standard error, the code must do.
            writeln!(io::stderr(), "error: {text}").ok();
            code.into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_one = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_one))
}

/// The code of an error, and its words.
fn verdict(error: &anyhow::Error) -> (Code, String) {
    if let Some(store) = error.downcast_ref::<StoreError>() {
        of_start(&app::started(store))
    } else if let Some(start) = error.downcast_ref::<StartError>() {
        of_start(start)
    } else if let Some(invalid) = error.downcast_ref::<InvalidSettings>() {
        (Code::Usage, faults(invalid))
    } else if error.is::<Misuse>() || error.is::<KeyringError>() || error.is::<NoPublicHalf>() {
        (Code::Usage, error.to_string())
    } else {
        // With the cause, where there is one: "could not listen: address in use".
        (Code::Failed, format!("{error:#}"))
    }
}

/// Only what passes by itself is a failure; the rest is the configuration's.
fn of_start(error: &StartError) -> (Code, String) {
    let code = match error {
        StartError::Unreachable(_) | StartError::Elsewhere(_) | StartError::Failed(_) => Code::Failed,
        StartError::BadUrl
        | StartError::Refused(_)
        | StartError::SchemaMissing { .. }
        | StartError::Encoding { .. }
        | StartError::Forbidden(_)
        | StartError::Keyring(_)
        | StartError::CaFile { .. }
        | StartError::Qlik(_) => Code::Usage,
    };
    (code, error.to_string())
}

/// A headline, and every fault on a line of its own.
fn faults(invalid: &InvalidSettings) -> String {
    let count = match invalid.faults().len() {
        1 => "a fault".to_owned(),
        several => format!("{several} faults"),
    };
    let lines: Vec<_> = invalid.faults().iter().map(|fault| format!("  {fault}")).collect();
    format!("the configuration has {count}:\n{}", lines.join("\n"))
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
        let (code, text) = verdict(&InvalidSettings::from(fault("database.url")).into());

        assert_eq!(code, Code::Usage);
        assert_eq!(text, "the configuration has a fault:\n  database.url is not set: set it");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));

        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::anyhow!("no")));
    }
}
