//! What is gathered, and what could not be.
//!
//! The rule: **whatever goes wrong is a note about one part**, never the end of the whole; and
//! all parts together have their time too.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::cli::exit;
use crate::ports::Clock;

/// The end of one question.
pub(super) const QUESTION: Duration = Duration::from_secs(10);
/// The end of all.
const ALL: Duration = Duration::from_mins(3);

/// What a part holds.
#[derive(Debug)]
pub(super) enum Body {
    Json(Value),
    Text(String),
}

/// One file.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: String,
    /// What it is, for whoever reads it.
    pub(super) about: String,
    pub(super) body: Body,
}

/// Everything so far.
pub(super) struct Bundle {
    clock: Box<dyn Clock>,
    pub(super) parts: Vec<Part>,
    /// What could not be told, and why.
    pub(super) notes: Vec<String>,
}

impl Bundle {
    /// Whose time begins with this clock.
    pub(super) fn new(clock: impl Clock) -> Self {
        Self { clock: Box::new(clock), parts: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn value(&mut self, file: &str, about: &str, value: &impl Serialize) {
        match serde_json::to_value(value) {
            Ok(value) => self.add(file, about, Body::Json(value)),
            Err(error) => self.note(file, &error.to_string()),
        }
    }

    pub(super) fn text(&mut self, file: &str, about: &str, text: String) {
        self.add(file, about, Body::Text(text));
    }

    pub(super) fn note(&mut self, what: &str, why: &str) {
        // Faults come one a line.
        let why: Vec<&str> = why.lines().map(str::trim).collect();
        self.notes.push(format!("{what}: {}", why.join(" ")));
    }

    /// The answer to a question as a part, or a note.
    pub(super) async fn ask<T: Serialize>(
        &mut self,
        file: &str,
        about: &str,
        question: impl Future<Output = anyhow::Result<T>>,
    ) {
        if let Some(answer) = self.within(file, QUESTION, question).await {
            self.value(file, about, &answer);
        }
    }

    /// What came of it within its time, and that of the whole; else a note.
    pub(super) async fn within<T>(
        &mut self,
        what: &str,
        limit: Duration,
        act: impl Future<Output = anyhow::Result<T>>,
    ) -> Option<T> {
        let limit = limit.min(ALL.saturating_sub(self.clock.elapsed()));
        match tokio::time::timeout(limit, act).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => self.note(what, &exit::words(&error)),
            Err(_) => {
                self.note(what, &format!("no answer within {}", humantime::format_duration(limit)));
            }
        }
        None
    }

    fn add(&mut self, file: &str, about: &str, body: Body) {
        self.parts.push(Part { file: file.to_owned(), about: about.to_owned(), body });
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::system::SystemClock;

    /// A clock on which so much has passed.
    struct Passed(Duration);

    impl Clock for Passed {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }

        fn elapsed(&self) -> Duration {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_has_no_more_time_than_is_left_for_all() {
        let mut bundle = Bundle::new(Passed(ALL.saturating_sub(Duration::from_secs(2))));

        bundle.ask("never.json", "", std::future::pending::<anyhow::Result<()>>()).await;

        assert_eq!(bundle.notes, ["never.json: no answer within 2s"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_is_a_note_and_the_rest_goes_on() {
        let mut bundle = Bundle::new(SystemClock::start());

        bundle.ask("never.json", "", std::future::pending::<anyhow::Result<()>>()).await;
        bundle.ask("no.json", "", async { anyhow::bail!("refused") as anyhow::Result<()> }).await;
        bundle.ask("yes.json", "", async { Ok(1) }).await;

        assert_eq!(bundle.notes, ["never.json: no answer within 10s", "no.json: refused"]);
        assert_eq!(bundle.parts.iter().map(|part| part.file.as_str()).collect::<Vec<_>>(), ["yes.json"]);
    }
}
