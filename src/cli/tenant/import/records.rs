//! A file of tenants, cut into its records: those of CSV (RFC 4180) or the lines of JSONL.
//!
//! The rule: **memory is bounded, whatever the file holds.** A record that is longer than any
//! tenant's is passed by, and where a quote was left open in it, what follows its first line is
//! read anew.

use std::io::{self, Read};

use clap::ValueEnum;
use csv::ByteRecord;
use csv_core::ReadRecordResult;

/// Longest record: labels have 16 KiB, which JSON can write in six times as many.
pub(super) const LONGEST: usize = 256 * 1024;
const CHUNK: usize = 64 * 1024;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FileFormat {
    /// Comma-separated, with a header
    Csv,
    /// A JSON object on each line
    Jsonl,
}

/// What is written in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Cells(ByteRecord),
    Text(Vec<u8>),
    /// More than [`LONGEST`].
    TooLong,
    /// The same, because of a quote that nobody closes.
    OpenQuote,
}

/// A record, and the number of the line on which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) line: u64,
    pub(super) content: Content,
}

/// The records of a file, one after the other.
pub(super) struct Records<R> {
    input: R,
    format: FileFormat,
    core: csv_core::Reader,
    /// What was read, and how much of it belongs to records that were given out.
    raw: Vec<u8>,
    start: usize,
    line: u64,
    bytes: u64,
    is_at_end: bool,
}

impl<R: Read> Records<R> {
    pub(super) fn new(input: R, format: FileFormat) -> io::Result<Self> {
        let (core, raw) = (csv_core::Reader::new(), Vec::with_capacity(2 * CHUNK));
        let mut records = Self { input, format, core, raw, start: 0, line: 1, bytes: 0, is_at_end: false };
        while records.raw.len() < BOM.len() && records.fill()? {}
        if records.raw.starts_with(BOM) {
            records.consume(BOM.len());
        }
        Ok(records)
    }

    /// How many bytes belong to the records that were given out.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        match self.format {
            FileFormat::Csv => self.cells(),
            FileFormat::Jsonl => self.text(),
        }
    }

    /// Reads on; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.raw.drain(..self.start);
        self.start = 0;
        let before = self.raw.len();
        self.raw.resize(before + CHUNK, 0);
        let read = loop {
            match self.input.read(&mut self.raw[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.raw.truncate(before + read.as_ref().copied().unwrap_or_default());
        self.is_at_end = read? == 0;
        Ok(!self.is_at_end)
    }

    fn consume(&mut self, count: usize) {
        let consumed = &self.raw[self.start..self.start + count];
        self.line += newlines(consumed);
        self.bytes += count as u64;
        self.start += count;
    }

    fn cells(&mut self) -> io::Result<Option<Record>> {
        let (mut out, mut ends) = (vec![0; 1024], vec![0; 16]);
        let (mut at, mut written, mut cells) = (0, 0, 0);
        loop {
            // To the library, nothing is the end.
            if self.start + at == self.raw.len() && !self.is_at_end {
                if at > LONGEST {
                    return self.too_long(at).map(Some);
                }
                self.fill()?;
                continue;
            }
            let input = &self.raw[self.start + at..];
            let (result, read, wrote, ended) =
                self.core.read_record(input, &mut out[written..], &mut ends[cells..]);
            (at, written, cells) = (at + read, written + wrote, cells + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => out.resize(2 * out.len(), 0),
                ReadRecordResult::OutputEndsFull => ends.resize(2 * ends.len(), 0),
                ReadRecordResult::End => {
                    self.consume(at);
                    return Ok(None);
                }
                ReadRecordResult::Record if at > LONGEST => return self.too_long(at).map(Some),
                ReadRecordResult::Record => {
                    let line = self.line + newlines(self.blank(at));
                    self.consume(at);
                    let begins = std::iter::once(0).chain(ends[..cells].iter().copied());
                    let cells = begins.zip(&ends[..cells]).map(|(from, to)| &out[from..*to]).collect();
                    return Ok(Some(Record { line, content: Content::Cells(cells) }));
                }
            }
        }
    }

    /// The ends of lines before a record: of the one before, or of lines that are empty.
    fn blank(&self, at: usize) -> &[u8] {
        let raw = &self.raw[self.start..self.start + at];
        let blank = raw.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        &raw[..blank]
    }

    /// Passes by a record of which so much was read.
    fn too_long(&mut self, at: usize) -> io::Result<Record> {
        let (end, blank) = (self.start + at, self.blank(at).len());
        self.consume(blank);
        self.core.reset();
        let line = self.line;
        let record = self.raw[self.start..end].trim_ascii_end();
        // Only in quotes does a record go on behind the end of its line.
        let content = if record.contains(&b'\n') { Content::OpenQuote } else { Content::TooLong };
        self.skip_line()?;
        Ok(Record { line, content })
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            match self.raw[self.start..].iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.consume(end + 1);
                    return Ok(());
                }
                None => self.consume(self.raw.len() - self.start),
            }
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    fn text(&mut self) -> io::Result<Option<Record>> {
        let mut seen = 0;
        loop {
            let raw = &self.raw[self.start..];
            let end = raw[seen..].iter().position(|byte| *byte == b'\n').map(|end| seen + end);
            let Some(end) = end.or(self.is_at_end.then_some(raw.len())) else {
                seen = raw.len();
                if seen > LONGEST {
                    let line = self.line;
                    self.skip_line()?;
                    return Ok(Some(Record { line, content: Content::TooLong }));
                }
                self.fill()?;
                continue;
            };
            let (line, text) = (self.line, raw[..end].trim_ascii().to_vec());
            let is_too_long = end > LONGEST;
            let is_last = end == raw.len();
            self.consume(if is_last { end } else { end + 1 });
            if !text.is_empty() {
                let content = if is_too_long { Content::TooLong } else { Content::Text(text) };
                return Ok(Some(Record { line, content }));
            }
            if is_last {
                return Ok(None);
            }
            seen = 0;
        }
    }
}

#[expect(clippy::naive_bytecount, reason = "the database takes far longer for a line than this")]
fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out a few bytes at a time, as a pipe may.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    /// Line and content of each record, however the bytes arrive.
    fn read(format: FileFormat, bytes: &[u8]) -> Vec<(u64, String)> {
        let of = |step| {
            let mut records = Records::new(Drops(bytes, step), format).unwrap();
            let mut found = Vec::new();
            while let Some(record) = records.next().unwrap() {
                found.push((record.line, shown(&record.content)));
            }
            assert_eq!(records.bytes(), bytes.len() as u64);
            found
        };
        let whole = of(usize::MAX);
        for step in [1, 3, 1000].into_iter().filter(|step| bytes.len() < 100_000 || *step > 500) {
            assert_eq!(of(step), whole, "{step} bytes at a time");
        }
        whole
    }

    fn shown(content: &Content) -> String {
        match content {
            Content::Cells(cells) => cells.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join("|"),
            Content::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Content::TooLong => "too long".to_owned(),
            Content::OpenQuote => "open quote".to_owned(),
        }
    }

    fn at(line: u64, text: &str) -> (u64, String) {
        (line, text.to_owned())
    }

    #[test]
    fn quotes_line_ends_and_marks_are_read_as_rfc_4180_and_excel_write_them() {
        let text = b"\xef\xbb\xbfa,b\r\n\r\n1,\"x\r\ny\"\r\n2,\"\"\"q\"\"\"\r\n\xff,\n3,c\"d";
        let found = read(FileFormat::Csv, text);

        let wanted = [at(1, "a|b"), at(3, "1|x\r\ny"), at(5, "2|\"q\""), at(6, "\u{fffd}|"), at(7, "3|c\"d")];
        assert_eq!(found, wanted);
    }

    #[test]
    fn each_line_of_jsonl_that_is_not_blank_is_a_record() {
        let found = read(FileFormat::Jsonl, b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"a\":2}");

        assert_eq!(found, [at(1, "{\"a\":1}"), at(4, "{\"a\":2}")]);
        assert_eq!(read(FileFormat::Jsonl, b""), []);
        assert_eq!(read(FileFormat::Csv, b"\r\n\n"), []);
    }

    #[test]
    fn a_record_that_is_too_long_is_passed_by_and_the_next_is_read() {
        let long = "x".repeat(3 * LONGEST);
        let csv = read(FileFormat::Csv, format!("a,b\n{long},1\nc,d\n").as_bytes());
        let jsonl = read(FileFormat::Jsonl, format!("{{}}\n{long}\n[]").as_bytes());

        assert_eq!(csv, [at(1, "a|b"), at(2, "too long"), at(3, "c|d")]);
        assert_eq!(jsonl, [at(1, "{}"), at(2, "too long"), at(3, "[]")]);
    }

    #[test]
    fn a_quote_that_is_left_open_costs_its_own_line_alone() {
        let rest = "c,d\n".repeat(LONGEST / 2);
        let found = read(FileFormat::Csv, format!("a,b\n1,\"x\n{rest}").as_bytes());

        assert_eq!(found[..3], [at(1, "a|b"), at(2, "open quote"), at(3, "c|d")]);
        assert_eq!(found.len(), 2 + LONGEST / 2);
    }

    #[test]
    fn memory_does_not_grow_with_the_file() {
        let text = format!("a,\"{}\nb,c\n", "x\n".repeat(4 * LONGEST));
        let mut records = Records::new(text.as_bytes(), FileFormat::Csv).unwrap();
        for _ in 0..100 {
            records.next().unwrap();
            assert!(records.raw.capacity() < 2 * (LONGEST + 2 * CHUNK), "{}", records.raw.capacity());
        }
    }
}
