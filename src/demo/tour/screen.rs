//! Where the tour is shown.
//!
//! On a terminal the picture of the moment is redrawn in place; anywhere else one
//! line is written when something changed.
//!
//! The rule: no escape code reaches a file or a pipe.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use super::paint::Paint;
use crate::telemetry::colour;

/// Do not wrap: should the terminal have become narrower since it was asked, as
/// many lines are on the screen as were written still.
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
        Self::on(Box::new(io::stdout()), is_live, colour::is_wanted(is_live))
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
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let fitted = |line: &String| width.map_or_else(|| line.clone(), |width| cut(line, width));
        let back = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        let lines: Vec<String> = picture.iter().map(|line| format!("\x1b[2K{}\n", fitted(line))).collect();
        let lines = lines.concat();
        // `0J` clears what a longer picture left below. One write: no flicker.
        write!(self.out, "{NO_WRAP}{back}{lines}\x1b[0J{WRAP}")?;
        self.drawn = picture.len();
        self.out.flush()
    }
}

/// The line on a terminal of this width: where it is too long, it ends in `…`
/// before the last column. Escape codes take no room and are kept, so that
/// colours end.
fn cut(line: &str, width: usize) -> String {
    let room = width.saturating_sub(1);
    let (mut fitted, mut used, mut is_code) = (String::with_capacity(line.len()), 0, false);
    for c in line.chars() {
        is_code |= c == '\x1b';
        if is_code {
            fitted.push(c);
            is_code = c != 'm';
            continue;
        }
        used += 1;
        if used < room || (used == room && visible(line) <= room) {
            fitted.push(c);
        } else if used == room {
            fitted.push('…');
        }
    }
    fitted
}

/// Characters of the line without its escape codes.
fn visible(line: &str) -> usize {
    let codes: usize = line.split('\x1b').skip(1).filter_map(|code| code.find('m')).map(|end| end + 2).sum();
    line.chars().count() - codes
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
    fn a_line_too_long_for_the_terminal_is_cut_before_its_last_column() {
        let painted = "ab \x1b[1mbold\x1b[0m";

        assert_eq!(cut(painted, 8), painted);
        assert_eq!(cut(painted, 7), "ab \x1b[1mbo…\x1b[0m");
        assert_eq!(cut("äöü", 3), "ä…");
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
