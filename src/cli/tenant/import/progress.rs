//! How far an import is, on standard error: a bar on a terminal, else a line from time to time.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::cli::output;
use crate::ports::Clock;
use crate::system::SystemClock;

/// Between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// What became of the lines so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) lines: u64,
    pub(super) inserted: u64,
    pub(super) there: u64,
    pub(super) rejected: u64,
    /// The last line of them.
    pub(super) last: u64,
}

/// See the file's head.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    clock: SystemClock,
    told: Duration,
}

impl Progress {
    /// Of a file of so many bytes, where that is known.
    pub(super) fn begin(length: Option<u64>) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let (bar, style) = match length {
                Some(length) => (ProgressBar::new(length), "{bar:30} {percent:>3}% {msg} ({eta} left)"),
                None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
            };
            // The templates are ours.
            bar.with_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        let clock = SystemClock::start();
        Self { bar, told: clock.elapsed(), clock }
    }

    /// Tells how far it is, at so many bytes.
    pub(super) fn tell(&mut self, bytes: u64, counts: &Counts) {
        let lines =
            || format!("{} lines, {} rejected", HumanCount(counts.lines), HumanCount(counts.rejected));
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(lines());
        } else if self.clock.elapsed().saturating_sub(self.told) >= PAUSE {
            self.told = self.clock.elapsed();
            output::note(&lines());
        }
    }

    /// A message that is not overwritten.
    pub(super) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
