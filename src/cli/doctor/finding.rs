//! What was found, told as it is found.

use std::io;

use serde::Serialize;

use crate::cli::output::{self, Format};
use crate::domain::message::Message;
use crate::settings::Warning;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Finding {
    check: &'static str,
    verdict: Verdict,
    message: String,
    remedy: Option<String>,
}

/// All lines so far. Tables are told line by line, since a check may take long;
/// JSON is one array in the end.
#[derive(Debug)]
pub(in crate::cli) struct Findings {
    format: Format,
    all: Vec<Finding>,
    told: usize,
}

impl Findings {
    pub(in crate::cli) fn new(format: Format) -> Self {
        Self { format, all: Vec::new(), told: 0 }
    }

    /// What was found so far.
    pub(in crate::cli) fn all(&self) -> &[Finding] {
        &self.all
    }

    pub(super) fn ok(&mut self, check: &'static str, message: &str) -> io::Result<()> {
        self.add(check, Verdict::Ok, message.to_owned(), None)
    }

    pub(super) fn warn(&mut self, check: &'static str, message: &str, remedy: &str) -> io::Result<()> {
        self.add(check, Verdict::Warn, message.to_owned(), Some(remedy.to_owned()))
    }

    pub(super) fn fail(&mut self, check: &'static str, message: Message) -> io::Result<()> {
        self.add(check, Verdict::Fail, message.problem, message.remedy)
    }

    /// The configuration is sound, but for these. Told with the next line.
    pub(super) fn configured(&mut self, warnings: &[Warning]) {
        let ok = Finding {
            check: "configuration",
            verdict: Verdict::Ok,
            message: "it is sound".to_owned(),
            remedy: None,
        };
        self.all.push(ok);
        self.all.extend(warnings.iter().map(|warning| Finding {
            check: "configuration",
            verdict: Verdict::Warn,
            message: warning.to_string(),
            remedy: None,
        }));
    }

    pub(super) fn has(&self, verdict: Verdict) -> bool {
        self.all.iter().any(|finding| finding.verdict == verdict)
    }

    /// Tells what was not told yet.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.format == Format::Table {
            for finding in &self.all[self.told..] {
                output::line(&finding.line())?;
            }
        }
        self.told = self.all.len();
        Ok(())
    }

    /// The whole as JSON, where that was asked for.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        match self.format {
            Format::Json => output::json(&self.all),
            Format::Table => Ok(self.flush()?),
        }
    }

    fn add(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        message: String,
        remedy: Option<String>,
    ) -> io::Result<()> {
        self.all.push(Finding { check, verdict, message, remedy });
        self.flush()
    }
}

impl Finding {
    fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let remedy = self.remedy.as_ref().map(|remedy| format!("  — {remedy}")).unwrap_or_default();
        format!("{verdict:<4}  {:<13}  {}{remedy}", self.check, self.message)
    }
}
