//! The file of rejected lines: in the format of the one they come from, each with its reason, to
//! be mended and imported.
//!
//! The rules: it is made when there is a line to write, and **no file is overwritten**; what was
//! in a line is kept to the byte, but one that is longer than any tenant's is named alone. What
//! cannot be told cell by cell has its line's number in its reason. Who is told of the file is told
//! where it is short of a line.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use csv::ByteRecord;
use csv_core::ReadFieldResult;

use super::lines::{Head, place_of_reason};
use super::records::{Content, FileFormat};
use crate::cli::exit::Misuse;
use crate::cli::output::csv_line;
use crate::cli::private_file::open_new;
use crate::domain::import::{REJECTED_BECAUSE, with_reason};

/// Where rejected lines go.
pub(super) struct Rejects {
    head: Head,
    /// Where the lines come from, for people.
    source: String,
    place: Place,
    file: Option<(PathBuf, BufWriter<File>)>,
    /// Why it does not hold all that was rejected.
    fault: Option<String>,
}

/// Which file it is to be.
enum Place {
    /// This one, which must not be there.
    Named(PathBuf),
    /// The first of these that is not there yet.
    Beside(Names),
    /// None.
    Nowhere,
}

struct Names {
    stem: PathBuf,
    extension: &'static str,
}

impl Rejects {
    /// Into this file, or else beside the input; on trial, only into one that was named.
    pub(super) fn new(
        head: Head,
        named: Option<&Path>,
        input: &Path,
        format: FileFormat,
        is_trial: bool,
    ) -> anyhow::Result<Self> {
        let place = match named {
            Some(path) if path.symlink_metadata().is_ok() => return Err(is_there(path).into()),
            Some(path) => Place::Named(path.to_owned()),
            None if is_trial => Place::Nowhere,
            None => Place::Beside(Names::beside(input, format)),
        };
        let source =
            if input == Path::new("-") { "standard input".to_owned() } else { input.display().to_string() };
        Ok(Self { head, source, place, file: None, fault: None })
    }

    /// Writes a line of this number down with its reason.
    pub(super) fn write(&mut self, number: u64, content: &Content, because: &str) -> anyhow::Result<()> {
        let text = self.text(number, content, because);
        self.begin()?;
        self.put(|file| file.write_all(&text))
    }

    fn text(&self, number: u64, content: &Content, because: &str) -> Vec<u8> {
        let told = || format!("line {number} of {}: {because}", self.source);
        // As few cells as no header has, so that it is rejected again if nobody mends it.
        let record = |cells: Vec<&[u8]>| csv_line(&ByteRecord::from(cells));
        match (content, &self.head) {
            (Content::Cells(cells), Head::Named(names, _)) => csv_line(&reasoned(names, cells, because)),
            (Content::Text(text), _) => with_reason(text, because),
            (Content::TooLong, Head::Named(..)) => record(vec![told().as_bytes()]),
            (Content::OpenQuote(line), Head::Named(names, _)) => record(vec![
                format!("{} (the cell behind this has the whole line: put its cells there)", told())
                    .as_bytes(),
                without_reason(names, line),
            ]),
            (Content::Cells(_) | Content::TooLong | Content::OpenQuote(_), Head::Keys) => {
                with_reason(b"[]", &told())
            }
        }
    }

    /// What was written so far is in the file.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.put(BufWriter::flush)
    }

    fn put(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> anyhow::Result<()> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        write(file).map_err(|error| {
            self.fault.get_or_insert_with(|| error.to_string());
            anyhow!(
                "{} cannot be written on: {error}; make room, or name another with --rejects",
                path.display()
            )
        })
    }

    /// The file, where one was made.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// What a person is to know of the file, where one was made.
    pub(super) fn told(&self) -> Option<String> {
        let path = self.path()?.display();
        Some(match &self.fault {
            None => format!(
                "the rejected lines are in {path}, each with its reason: mend them, and import that file"
            ),
            Some(fault) => format!("not all of the rejected lines are in {path}: {fault}"),
        })
    }

    /// Whether the next run needs another: it may not overwrite one that was asked for by its name,
    /// nor does it get further where this one could not be written.
    pub(super) fn needs_another(&self) -> bool {
        self.fault.is_some() || (self.file.is_some() && matches!(self.place, Place::Named(_)))
    }

    /// Makes the file, unless it is there or is not wanted.
    fn begin(&mut self) -> anyhow::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let made = self.place.create().inspect_err(|error| self.fault = Some(error.to_string()))?;
        self.file = made.map(|(path, file)| (path, BufWriter::new(file)));
        let head = match &self.head {
            Head::Named(names, _) => csv_line(&reasoned(names, names, REJECTED_BECAUSE)),
            Head::Keys => Vec::new(),
        };
        self.put(|file| file.write_all(&head))
    }
}

impl Place {
    fn create(&self) -> anyhow::Result<Option<(PathBuf, File)>> {
        let unwritable = |path: &Path, error| {
            Misuse(format!("{} cannot be written: {error}; name another with --rejects", path.display()))
        };
        match self {
            Self::Nowhere => Ok(None),
            Self::Named(path) => match open_new(path) {
                Ok(file) => Ok(Some((path.clone(), file))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(is_there(path).into()),
                Err(error) => Err(unwritable(path, error).into()),
            },
            Self::Beside(names) => {
                for number in 1.. {
                    let path = names.name(number);
                    match open_new(&path) {
                        Ok(file) => return Ok(Some((path, file))),
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        Err(error) => return Err(unwritable(&path, error).into()),
                    }
                }
                Ok(None)
            }
        }
    }
}

impl Names {
    /// `customers.csv` has `customers.rejected.csv`, and those that come out of that have
    /// `customers.rejected-2.csv`; standard input has `import.rejected.csv`.
    fn beside(input: &Path, format: FileFormat) -> Self {
        let extension = match format {
            FileFormat::Csv => "csv",
            FileFormat::Jsonl => "jsonl",
        };
        let stem = input.file_stem().filter(|stem| *stem != "-");
        let stem = stem.map_or_else(|| "import".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let is_number = |text: &str| text.strip_prefix('-').is_some_and(|it| it.parse::<u32>().is_ok());
        let own = match stem.rsplit_once(".rejected") {
            Some((own, number)) if number.is_empty() || is_number(number) => own,
            Some(_) | None => &stem,
        };
        Self { stem: input.with_file_name(own), extension }
    }

    fn name(&self, number: u32) -> PathBuf {
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        let mut name = self.stem.clone().into_os_string();
        name.push(format!(".rejected{number}.{}", self.extension));
        name.into()
    }
}

fn is_there(path: &Path) -> Misuse {
    Misuse(format!(
        "{} is there already, and is not overwritten: name another with --rejects",
        path.display()
    ))
}

/// First the reason, so that a line with too few cells or too many keeps their places.
fn reasoned(names: &ByteRecord, cells: &ByteRecord, reason: &str) -> ByteRecord {
    let old = place_of_reason(names);
    let kept = cells.iter().enumerate().filter(|(place, _)| Some(*place) != old).map(|(_, cell)| cell);
    std::iter::once(reason.as_bytes()).chain(kept).collect()
}

/// A line that no cells can be read of, without the reason of the file that it comes from.
fn without_reason<'a>(names: &ByteRecord, line: &'a [u8]) -> &'a [u8] {
    if place_of_reason(names) != Some(0) {
        return line;
    }
    let mut reason = vec![0; line.len()];
    match csv_core::Reader::new().read_field(line, &mut reason) {
        (ReadFieldResult::Field { record_end: false }, read, _) => &line[read..],
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rejected_again_goes_beside_the_file_that_all_came_from() {
        let name = |input: &str, number| {
            Names::beside(Path::new(input), FileFormat::Csv).name(number).to_string_lossy().into_owned()
        };

        assert_eq!(name("in/customers.csv", 1), "in/customers.rejected.csv");
        assert_eq!(name("in/customers.rejected.csv", 2), "in/customers.rejected-2.csv");
        assert_eq!(name("in/customers.rejected-2.csv", 3), "in/customers.rejected-3.csv");
        assert_eq!(name("customers.rejected-by-hand.csv", 1), "customers.rejected-by-hand.rejected.csv");
        assert_eq!(name("-", 1), "import.rejected.csv");
    }

    #[test]
    fn the_reason_of_a_line_that_no_cells_can_be_read_of_is_no_part_of_it() {
        let (old, own) = (ByteRecord::from(vec![REJECTED_BECAUSE, "a"]), ByteRecord::from(vec!["a", "b"]));

        assert_eq!(without_reason(&old, b"\"line 3: x, \"\"y\"\"\",1,\"z"), b"1,\"z");
        assert_eq!(without_reason(&old, b",1,\"z"), b"1,\"z");
        assert_eq!(without_reason(&old, b"\"line 3: x,1,z"), b"\"line 3: x,1,z");
        assert_eq!(without_reason(&old, b"\"line 3: x\""), b"\"line 3: x\"");
        assert_eq!(without_reason(&own, b"1,\"z"), b"1,\"z");
    }

    #[test]
    fn a_file_that_is_short_of_a_line_is_told_as_such() {
        let path = std::env::temp_dir().join(format!("tenantd-rejects-{}.jsonl", std::process::id()));
        let mut rejects = Rejects::new(Head::Keys, Some(&path), &path, FileFormat::Jsonl, false).unwrap();
        let text = Content::Text(b"{}".to_vec());
        assert_eq!(rejects.told(), None);

        rejects.write(1, &text, "so").unwrap();
        rejects.flush().unwrap();
        assert!(rejects.told().unwrap().starts_with("the rejected lines are in "));
        // Opened to be read, it takes nothing.
        let (_, writable) =
            rejects.file.replace((path.clone(), BufWriter::new(File::open(&path).unwrap()))).unwrap();
        rejects.write(2, &text, "so").unwrap();
        let failed = rejects.flush().unwrap_err().to_string();
        rejects.file = Some((path.clone(), writable));
        rejects.flush().unwrap();
        std::fs::remove_file(&path).unwrap();

        assert!(failed.starts_with(&format!("{} cannot be written on: ", path.display())), "{failed}");
        assert!(rejects.told().unwrap().starts_with("not all of the rejected lines are in "));
    }

    #[test]
    fn the_reason_comes_first_and_takes_the_place_of_an_older_one() {
        let names = ByteRecord::from(vec!["a", REJECTED_BECAUSE, "b"]);
        let cells = ByteRecord::from(vec!["1", "old", "2,\"\n"]);

        assert_eq!(csv_line(&reasoned(&names, &names, REJECTED_BECAUSE)), b"rejected_because,a,b\n");
        assert_eq!(csv_line(&reasoned(&names, &cells, "new")), b"new,1,\"2,\"\"\n\"\n");
    }
}
