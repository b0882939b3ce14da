//! The lines of a file as what they ask for, in batches that a thread of its own reads ahead.
//!
//! The rule: what no tenant can be read from is told at once where it is the file's (its header,
//! its format), and with its line's number where it is a line's.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread;

use csv::ByteRecord;
use tokio::sync::mpsc;

use super::records::{Content, FileFormat, LONGEST, Record, Records};
use crate::cli::exit::Misuse;
use crate::domain::import::{self, Column, Keys, REJECTED_BECAUSE, Wants};

/// Most lines of a batch, and most bytes but for the last line's.
const MOST_LINES: usize = 5000;
const MOST_BYTES: usize = 4 * 1024 * 1024;

type Input = Box<dyn Read + Send>;

/// A line, and what it asks for or what is wrong with it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) content: Content,
    pub(super) wants: Result<Wants, String>,
}

/// Some lines in their order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
    /// How many bytes of the file are read up to here.
    pub(super) bytes: u64,
}

/// A file whose beginning is read.
pub(super) struct Lines {
    records: Records<Input>,
    head: Head,
    /// The first line, where it had to be looked at.
    first: Option<Record>,
    /// Why the file is not read on, behind the lines that are.
    failed: Option<io::Error>,
}

/// How a file says which cell is which.
#[derive(Debug, Clone)]
pub(super) enum Head {
    Named(ByteRecord, Vec<Option<Column>>),
    Keys,
}

/// Opens a file, or standard input; returns how long it is, too.
pub(super) fn open(path: &Path) -> anyhow::Result<(Input, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let unreadable = |error| Misuse(format!("{} cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if about.is_dir() {
        return Err(Misuse(format!("{} is a directory", path.display())).into());
    }
    let length = about.is_file().then_some(about.len());
    Ok((Box::new(file), length))
}

impl Lines {
    /// Reads the header, or the first line's keys.
    pub(super) fn begin(input: Input, format: FileFormat) -> anyhow::Result<Self> {
        let mut records = Records::new(input, format)?;
        let first = records.next()?;
        let head = match (format, &first) {
            (FileFormat::Csv, Some(Record { content: Content::Cells(names), .. })) => {
                Head::Named(names.clone(), import::header(names.iter()).map_err(Misuse)?)
            }
            (FileFormat::Csv, None) => {
                return Err(Misuse("the file is empty: its first line names the columns".to_owned()).into());
            }
            (FileFormat::Csv, Some(_)) => {
                return Err(Misuse("the first line is no header: it names the columns".to_owned()).into());
            }
            (FileFormat::Jsonl, Some(Record { content: Content::Text(text), line })) => {
                // What is wrong with all lines is wrong with the first.
                if let Ok(keys) = Keys::read(text)
                    && let Some(name) = keys.unknown()
                {
                    return Err(Misuse(format!("line {line}: {}", import::unknown(name))).into());
                }
                Head::Keys
            }
            (FileFormat::Jsonl, _) => Head::Keys,
        };
        let first = if format == FileFormat::Jsonl { first } else { None };
        Ok(Self { records, head, first, failed: None })
    }

    /// What stands at the head of a file of lines from here.
    pub(super) fn head(&self) -> Head {
        self.head.clone()
    }

    /// Reads on beside whoever takes the batches, and one batch ahead.
    pub(super) fn read_ahead(mut self) -> mpsc::Receiver<io::Result<Batch>> {
        let (sender, receiver) = mpsc::channel(1);
        // It may wait for a pipe for ever: nobody joins it.
        thread::spawn(move || {
            loop {
                match self.batch() {
                    Ok(batch) if batch.lines.is_empty() => break,
                    batch => {
                        let is_last = batch.is_err();
                        if sender.blocking_send(batch).is_err() || is_last {
                            break;
                        }
                    }
                }
            }
        });
        receiver
    }

    /// The next lines; none at the end. What keeps the file from being read on keeps no line before it out.
    fn batch(&mut self) -> io::Result<Batch> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let (mut batch, mut size) = (Batch::default(), 0);
        while batch.lines.len() < MOST_LINES && size < MOST_BYTES {
            let next = match self.first.take().map_or_else(|| self.records.next(), |first| Ok(Some(first))) {
                Err(error) if !batch.lines.is_empty() => {
                    self.failed = Some(error);
                    None
                }
                next => next?,
            };
            let Some(record) = next else { break };
            if let Some(line) = self.line(record) {
                size += line.content.len() + line.wants.as_ref().map_or(0, Wants::len);
                batch.lines.push(line);
            }
        }
        batch.bytes = self.records.bytes();
        Ok(batch)
    }

    /// `None` for the reason of the line behind it.
    fn line(&self, record: Record) -> Option<Line> {
        let Record { line, content } = record;
        let wants = match (&content, &self.head) {
            (Content::Cells(cells), Head::Named(_, columns)) => import::of_cells(columns, cells.iter()),
            (Content::Text(text), _) => match Keys::read(text) {
                Ok(keys) if keys.is_reason() => return None,
                Ok(keys) => import::of_json(&keys),
                Err(wrong) => Err(wrong),
            },
            (Content::OpenQuote(_), _) => Err(format!(
                "opens a quote that is closed at the end of no cell within {LONGEST} bytes: close it, and double a quote that is meant"
            )),
            (Content::TooLong | Content::Cells(_), _) => Err(format!("is longer than {LONGEST} bytes")),
        };
        Some(Line { number: line, content, wants })
    }
}

/// The place of the column that an import passes by.
pub(super) fn place_of_reason(names: &ByteRecord) -> Option<usize> {
    names.iter().position(|name| name.trim_ascii() == REJECTED_BECAUSE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_before_one_that_cannot_be_read_on_are_a_batch() {
        let text = format!("external_id,host\n{}{}", "a,b\n".repeat(3), "a\",\"\n".repeat(100_000));
        let mut lines = Lines::begin(Box::new(io::Cursor::new(text)), FileFormat::Csv).unwrap();

        let batch = lines.batch().unwrap();

        assert_eq!(batch.lines[..3].iter().map(|line| line.wants.is_ok()).collect::<Vec<_>>(), [true; 3]);
        assert_eq!(lines.batch().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(batch.bytes > 12);
    }

    #[test]
    fn a_batch_of_many_empty_cells_is_a_short_one() {
        let text = format!("external_id,host\n{}", format!("{}\n", ",".repeat(16_383)).repeat(200));
        let mut lines = Lines::begin(Box::new(io::Cursor::new(text)), FileFormat::Csv).unwrap();

        assert_eq!(lines.batch().unwrap().lines.len(), MOST_BYTES.div_ceil(16_384 * (1 + 8) - 16_384));
    }

    #[test]
    fn a_batch_of_long_lines_is_a_short_one() {
        let text = format!("{{\"external_id\":\"{}\"}}\n", "x".repeat(LONGEST / 2)).repeat(40);
        let mut lines = Lines::begin(Box::new(io::Cursor::new(text)), FileFormat::Jsonl).unwrap();

        let (first, second) = (lines.batch().unwrap(), lines.batch().unwrap());

        let bytes: usize = first.lines.iter().map(|line| line.content.len()).sum();
        assert!((MOST_BYTES..MOST_BYTES + LONGEST).contains(&bytes), "{bytes}");
        assert_eq!(first.lines.len() + second.lines.len(), 40);
    }
}
