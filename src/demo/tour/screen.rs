//! Where the tour is shown.
//!
//! On a terminal the picture of the moment is redrawn in place; anywhere else one
//! line is written when something changed.
//!
//! The rule: no escape code reaches a file or a pipe.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use super::paint::Paint;

/// Do not wrap: a line longer than the terminal is cut at its edge, so that as
/// many lines are on the screen as were written.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// Shortest time between two lines, away from a terminal.
const PACE: Duration = Duration::from_secs(1);

/// A terminal, or not.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    is_live: bool,
    paint: Paint,
    /// Lines of the picture that stands on the screen.
    drawn: usize,
    last_line: String,
    /// When the next line may be written.
    next_line: Duration,
}

impl Screen {
    /// Standard output. Colours follow `NO_COLOR` (no-color.org) and `TERM`.
    pub(super) fn of_stdout() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_live = io::stdout().is_terminal() && !is_dumb;
        let is_colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::on(Box::new(io::stdout()), is_live, is_live && !is_colourless)
    }

    /// Something that is no terminal.
    pub(super) fn plain(out: Box<dyn Write + Send>) -> Self {
        Self::on(out, false, false)
    }

    fn on(out: Box<dyn Write + Send>, is_live: bool, is_coloured: bool) -> Self {
        Self {
            out,
            is_live,
            paint: Paint { is_on: is_coloured },
            drawn: 0,
            last_line: String::new(),
            next_line: Duration::ZERO,
        }
    }

    pub(super) const fn paint(&self) -> Paint {
        self.paint
    }

    /// Writes lines that stay; the picture so far stays above them.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        self.drawn = 0;
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Shows the moment: `picture` on a terminal, elsewhere `line` with the time,
    /// unless it says nothing new or comes soon after the last.
    pub(super) fn show(&mut self, picture: &[String], elapsed: Duration, line: &str) -> io::Result<()> {
        if self.is_live {
            self.draw(picture)
        } else if line == self.last_line || elapsed < self.next_line {
            Ok(())
        } else {
            line.clone_into(&mut self.last_line);
            self.next_line = elapsed + PACE;
            self.say(&format!("{:>6.1} s  {line}", elapsed.as_secs_f64()))
        }
    }

    fn draw(&mut self, picture: &[String]) -> io::Result<()> {
        let back = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        let lines: Vec<String> = picture.iter().map(|line| format!("\x1b[2K{line}\n")).collect();
        let lines = lines.concat();
        // `0J` clears what a longer picture left below. One write: no flicker.
        write!(self.out, "{NO_WRAP}{back}{lines}\x1b[0J{WRAP}")?;
        self.drawn = picture.len();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_file_gets_plain_lines_each_only_once_and_not_too_many() {
        let kept = Kept::default();
        let mut screen = Screen::plain(Box::new(kept.clone()));

        for (millis, line) in [(500, "1 of 3"), (1000, "2 of 3"), (1500, "2 of 3"), (2500, "2 of 3")] {
            screen.show(&["picture".to_owned()], Duration::from_millis(millis), line).unwrap();
        }
        screen.say(&screen.paint().bold("done")).unwrap();

        assert_eq!(kept.text(), "   0.5 s  1 of 3\n   1.5 s  2 of 3\ndone\n");
    }

    #[test]
    fn a_terminal_is_redrawn_from_where_the_picture_began() {
        let kept = Kept::default();
        let mut screen = Screen::on(Box::new(kept.clone()), true, true);
        let picture = ["a".to_owned(), "b".to_owned()];

        screen.show(&picture, Duration::ZERO, "").unwrap();
        screen.show(&picture, Duration::ZERO, "").unwrap();
        screen.say("done").unwrap();
        screen.show(&picture, Duration::ZERO, "").unwrap();

        assert_eq!(kept.text().matches("\x1b[2A").count(), 1);
    }
}
