//! A file of tenants, cut into its records: those of CSV (RFC 4180) or the lines of JSONL.
//!
//! The rule: **memory is bounded, whatever the file holds.** A record that is longer than any
//! tenant's is passed by, and where a quote was left open in it, to the end of the file or to the next
//! quote that was meant to open one, what follows its first line is read anew. Time grows as the file
//! does: one in which line after line leaves a quote open is not read on. A line ends with LF, CRLF or CR.

use std::io::{self, Read};

use clap::ValueEnum;
use csv::ByteRecord;
use csv_core::ReadRecordResult;

/// Longest record: labels have 16 KiB, which JSON can write in six times as many.
pub(super) const LONGEST: usize = 256 * 1024;
/// How many bytes may be looked through for the end of quotes that nobody closes, and how many times
/// what the file has up to there.
const MOST_IN_VAIN: u64 = 16 * 1024 * 1024;
const TIMES_IN_VAIN: u64 = 100;
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
    /// A quote that nothing closes at the end of a cell, within [`LONGEST`] or at all: the first line of
    /// what it opens.
    OpenQuote(Vec<u8>),
}

impl Content {
    /// How many bytes are kept of it; of a cell, also where it ends.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Cells(cells) => cells.as_slice().len() + cells.len() * size_of::<usize>(),
            Self::Text(text) | Self::OpenQuote(text) => text.len(),
            Self::TooLong => 0,
        }
    }
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
    /// Whether the last byte of those was a CR: an LF behind it ends no other line.
    is_behind_cr: bool,
    bytes: u64,
    in_vain: u64,
    is_at_end: bool,
}

impl<R: Read> Records<R> {
    pub(super) fn new(input: R, format: FileFormat) -> io::Result<Self> {
        let mut records = Self {
            input,
            format,
            core: csv_core::Reader::new(),
            raw: Vec::with_capacity(2 * CHUNK),
            start: 0,
            line: 1,
            is_behind_cr: false,
            bytes: 0,
            in_vain: 0,
            is_at_end: false,
        };
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
        for byte in &self.raw[self.start..self.start + count] {
            self.line += u64::from(*byte == b'\r' || *byte == b'\n' && !self.is_behind_cr);
            self.is_behind_cr = *byte == b'\r';
        }
        self.bytes += count as u64;
        self.start += count;
    }

    fn cells(&mut self) -> io::Result<Option<Record>> {
        let (mut out, mut ends) = (vec![0; 1024], vec![0; 16]);
        let (mut at, mut written, mut cells) = (0, 0, 0);
        loop {
            let is_end = self.start + at == self.raw.len();
            if is_end && !self.is_at_end {
                if at > LONGEST {
                    return self.pass_by(at, false).map(Some);
                }
                self.fill()?;
                continue;
            }
            // The library would take the end of a file for the end of a quote, and all lines
            // between for one cell. The end of a line ends what is whole, and no quote.
            let input = if is_end { b"\n" } else { &self.raw[self.start + at..] };
            let (result, read, wrote, ended) =
                self.core.read_record(input, &mut out[written..], &mut ends[cells..]);
            at += if is_end { 0 } else { read };
            (written, cells) = (written + wrote, cells + ended);
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End if is_end => {
                    if self.blank(at).len() < at {
                        return self.pass_by(at, true).map(Some);
                    }
                    self.consume(at);
                    return Ok(None);
                }
                // It says that only where it is given nothing.
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
                ReadRecordResult::OutputFull => out.resize(2 * out.len(), 0),
                ReadRecordResult::OutputEndsFull => ends.resize(2 * ends.len(), 0),
                ReadRecordResult::Record if at > LONGEST => return self.pass_by(at, false).map(Some),
                ReadRecordResult::Record if has_loose_quote(&self.raw[self.start..self.start + at]) => {
                    return self.pass_by(at, true).map(Some);
                }
                ReadRecordResult::Record => {
                    let blank = self.blank(at).len();
                    self.consume(blank);
                    let line = self.line;
                    self.consume(at - blank);
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
        let blank = raw.iter().take_while(|byte| ends_line(**byte)).count();
        &raw[..blank]
    }

    /// Passes by the first line of a record of which so much was read: it is too long, or has a
    /// quote that is open at the end of the file.
    fn pass_by(&mut self, at: usize, is_open: bool) -> io::Result<Record> {
        let (end, blank) = (self.start + at, self.blank(at).len());
        self.consume(blank);
        self.core.reset();
        let line = self.line;
        let record = &self.raw[self.start..end];
        let first = record.iter().position(|byte| ends_line(*byte));
        // Only in quotes does a record go on behind the end of its line.
        let goes_on = |first: usize| !matches!(&record[first..], b"\n" | b"\r" | b"\r\n");
        let is_open = is_open || first.is_some_and(goes_on);
        let first = &record[..first.unwrap_or(record.len())];
        let content = if is_open && first.len() <= LONGEST {
            Content::OpenQuote(first.to_vec())
        } else {
            Content::TooLong
        };
        self.in_vain += (record.len() - first.len()) as u64;
        self.skip_line()?;
        if self.in_vain > MOST_IN_VAIN + TIMES_IN_VAIN * self.bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "line {line}: one line after the other leaves a quote open: is the file quoted in another way? A cell with a quote in it stands in quotes, and that quote is doubled"
                ),
            ));
        }
        Ok(Record { line, content })
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            match self.raw[self.start..].iter().position(|byte| ends_line(*byte)) {
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
            let end = raw[seen..].iter().position(|byte| ends_line(*byte)).map(|end| seen + end);
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

/// Whether a cell in quotes goes on behind the closing one, which RFC 4180 does not allow and the library
/// passes by: it is where a quote that was left open met the next cell's, with all lines between as one cell.
fn has_loose_quote(record: &[u8]) -> bool {
    enum At {
        Start,
        Bare,
        Quoted,
        BehindQuote,
    }
    let mut at = At::Start;
    for byte in record {
        at = match (at, byte) {
            (At::Quoted, b'"') => At::BehindQuote,
            (At::Start | At::BehindQuote, b'"') | (At::Quoted, _) => At::Quoted,
            (At::Start | At::Bare | At::BehindQuote, b',' | b'\r' | b'\n') => At::Start,
            (At::BehindQuote, _) => return true,
            (At::Start | At::Bare, _) => At::Bare,
        };
    }
    false
}

/// A CRLF is the end of a line and a blank one, which are passed by.
fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
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
            Content::OpenQuote(text) => format!("open quote: {}", String::from_utf8_lossy(text)),
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
    fn a_record_may_be_as_long_as_any_and_no_byte_longer() {
        let of = |length: usize| "x".repeat(length);
        for (format, end) in [(FileFormat::Jsonl, 0), (FileFormat::Csv, 1)] {
            let text = format!("{}\n{}\ny\n", of(LONGEST - end), of(LONGEST + 1 - end));

            let found = read(format, text.as_bytes());

            assert_eq!(found, [at(1, &of(LONGEST - end)), at(2, "too long"), at(3, "y")], "{format:?}");
        }
    }

    #[test]
    fn a_quote_that_is_left_open_costs_its_own_line_alone() {
        let rest = "c,d\n".repeat(LONGEST / 2);
        let found = read(FileFormat::Csv, format!("a,b\n1,\"x\n{rest}").as_bytes());

        assert_eq!(found[..3], [at(1, "a|b"), at(2, "open quote: 1,\"x"), at(3, "c|d")]);
        assert_eq!(found.len(), 2 + LONGEST / 2);
    }

    #[test]
    fn a_quote_that_is_left_open_near_the_end_takes_no_line_with_it() {
        for (text, rest) in [
            ("a,b\n1,\"x\n2,y\n3,z\n", vec![at(2, "open quote: 1,\"x"), at(3, "2|y"), at(4, "3|z")]),
            ("a,b\n1,\"x\n2,\"y\n", vec![at(2, "open quote: 1,\"x"), at(3, "open quote: 2,\"y")]),
            ("a,b\n1,\"x\n2,\"y\"\n3,z\n", vec![at(2, "open quote: 1,\"x"), at(3, "2|y"), at(4, "3|z")]),
            ("a,b\n1,\"x\"y\n2,\"z\n\"\n", vec![at(2, "open quote: 1,\"x\"y"), at(3, "2|z\n")]),
            ("a,b\n\"x\" ,1\n2,\"\"\"\"\n", vec![at(2, "open quote: \"x\" ,1"), at(3, "2|\"")]),
            ("a,b\n\"\",\"\"\r\n\"1\",\",\"\"\"\"\n\"", vec![at(2, "|"), at(3, "1|,\"\"\n")]),
            ("a,b\n1,\"x", vec![at(2, "open quote: 1,\"x")]),
            ("a,b\r\n1,\"x\r\n2,y\r\n", vec![at(2, "open quote: 1,\"x"), at(3, "2|y")]),
            ("a,b\n1,\"\"\"", vec![at(2, "open quote: 1,\"\"\"")]),
            ("a,b\n1,\"x\"", vec![at(2, "1|x")]),
            ("a,b\n1,x\n\n", vec![at(2, "1|x")]),
            ("a,b\r\n1,x\r\n", vec![at(2, "1|x")]),
        ] {
            assert_eq!(read(FileFormat::Csv, text.as_bytes())[1..], rest, "{text:?}");
        }
    }

    #[test]
    fn a_line_ends_with_lf_or_crlf_or_cr() {
        for end in ["\n", "\r\n", "\r"] {
            let text = "a,b|1,\"x||y\"|2,\"x|3,z|".replace('|', end);
            let inside = at(2, &format!("1|x{end}{end}y"));
            let wanted = [at(1, "a|b"), inside, at(5, "open quote: 2,\"x"), at(6, "3|z")];
            assert_eq!(read(FileFormat::Csv, text.as_bytes()), wanted, "{end:?}");

            let text = "{\"a\":1}||{\"a\":2}|".replace('|', end);
            let wanted = [at(1, "{\"a\":1}"), at(3, "{\"a\":2}")];
            assert_eq!(read(FileFormat::Jsonl, text.as_bytes()), wanted, "{end:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_so_with_an_open_quote_too() {
        let long = "x".repeat(LONGEST);
        let found = read(FileFormat::Csv, format!("a,b\n1,\"{long}\nc,d\n").as_bytes());

        assert_eq!(found, [at(1, "a|b"), at(2, "too long"), at(3, "c|d")]);
    }

    #[test]
    fn time_does_not_grow_as_the_square_of_the_file() {
        for lines in ["a\",\"\n", "a\",\"\nc,d\n"] {
            let text = format!("a,b\n{}", lines.repeat(100_000));
            let mut records = Records::new(text.as_bytes(), FileFormat::Csv).unwrap();
            let mut count = 0;
            let ended = loop {
                match records.next() {
                    Ok(Some(_)) => count += 1,
                    ended => break ended.map(|_| ()).unwrap_err(),
                }
            };

            assert_eq!(ended.kind(), io::ErrorKind::InvalidData);
            assert!(ended.to_string().contains("one line after the other leaves a quote open"), "{ended}");
            assert!(count < 1000, "{count}");
        }
    }

    #[test]
    fn a_line_in_some_hundreds_that_leaves_a_quote_open_ends_no_import() {
        let text = format!("a\",\"\n{}", "c,some text\n".repeat(400)).repeat(150);
        let mut records = Records::new(text.as_bytes(), FileFormat::Csv).unwrap();
        let mut count = 0;
        while let Some(record) = records.next().unwrap() {
            assert_eq!(matches!(record.content, Content::OpenQuote(_)), count % 401 == 0);
            count += 1;
        }

        assert_eq!(count, 150 * 401);
        assert!(records.in_vain > MOST_IN_VAIN, "{}", records.in_vain);
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
