//! The file of rejected lines: in the format of the one they come from, each with its reason, to
//! be mended and imported.
//!
//! The rules: it is made when there is a line to write, and **no file is overwritten**; what was
//! in a line is kept to the byte, but one that is longer than any tenant's is named alone.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use super::lines::{Head, place_of_reason};
use super::records::{Content, FileFormat};
use crate::cli::exit::Misuse;
use crate::cli::output::csv_line;
use crate::domain::import::{REJECTED_BECAUSE, with_reason};

/// Where rejected lines go.
pub(super) struct Rejects {
    head: Head,
    place: Place,
    file: Option<(PathBuf, BufWriter<File>)>,
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
        Ok(Self { head, place, file: None })
    }

    /// Writes a line down with its reason.
    pub(super) fn write(&mut self, content: &Content, because: &str) -> anyhow::Result<()> {
        let text = match (content, &self.head) {
            (Content::Cells(cells), Head::Named(names, _)) => csv_line(&reasoned(names, cells, because)),
            (Content::Text(text), _) => with_reason(text, because),
            // Without its cells, so that it is rejected again if nobody mends it.
            (Content::TooLong | Content::OpenQuote, Head::Named(..)) => {
                csv_line(&ByteRecord::from(vec![because.as_bytes()]))
            }
            (Content::Cells(_) | Content::TooLong | Content::OpenQuote, Head::Keys) => {
                with_reason(b"[]", because)
            }
        };
        if let Some(file) = self.file()? {
            file.write_all(&text)?;
        }
        Ok(())
    }

    /// What was written so far is in the file.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |(_, file)| file.flush())
    }

    /// The file, where one was made.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    fn file(&mut self) -> anyhow::Result<Option<&mut BufWriter<File>>> {
        if self.file.is_none() {
            let Some((path, file)) = self.place.create()? else { return Ok(None) };
            let mut file = BufWriter::new(file);
            if let Head::Named(names, _) = &self.head {
                file.write_all(&csv_line(&reasoned(names, names, REJECTED_BECAUSE)))?;
            }
            self.file = Some((path, file));
        }
        Ok(self.file.as_mut().map(|(_, file)| file))
    }
}

impl Place {
    fn create(&self) -> anyhow::Result<Option<(PathBuf, File)>> {
        let new = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let unwritable = |path: &Path, error| {
            Misuse(format!("{} cannot be written: {error}; name another with --rejects", path.display()))
        };
        match self {
            Self::Nowhere => Ok(None),
            Self::Named(path) => match new(path) {
                Ok(file) => Ok(Some((path.clone(), file))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(is_there(path).into()),
                Err(error) => Err(unwritable(path, error).into()),
            },
            Self::Beside(names) => {
                for number in 1.. {
                    let path = names.name(number);
                    match new(&path) {
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
        let is_number =
            |text: &str| text.strip_prefix('-').is_none_or(|number| number.parse::<u32>().is_ok());
        let own = match stem.rsplit_once(".rejected") {
            Some((own, number)) if number.is_empty() || number.starts_with('-') && is_number(number) => own,
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
    fn the_reason_comes_first_and_takes_the_place_of_an_older_one() {
        let names = ByteRecord::from(vec!["a", REJECTED_BECAUSE, "b"]);
        let cells = ByteRecord::from(vec!["1", "old", "2,\"\n"]);

        assert_eq!(csv_line(&reasoned(&names, &names, REJECTED_BECAUSE)), b"rejected_because,a,b\n");
        assert_eq!(csv_line(&reasoned(&names, &cells, "new")), b"new,1,\"2,\"\"\n\"\n");
    }
}
