//! `tenantd tenant import`: the tenants of a file, inserted as a pipeline inserts them.
//!
//! The rules: **a bad line keeps no good one out**, and each is told with its number and with the
//! words of whoever refused it; nothing that is there is changed, so that the same command may be
//! given again whatever became of it before. Memory is bounded, however long the file is.

mod interrupt;
mod lines;
mod progress;
mod records;
mod rejects;
mod repeats;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use self::interrupt::Interrupt;
use self::lines::{Batch, Line, Lines};
use self::progress::{Counts, Progress};
use self::records::{Content, FileFormat};
use self::rejects::Rejects;
use self::repeats::{Repeat, Repeats};
use crate::cli::constraints::violation;
use crate::cli::exit::{Code, Misuse};
use crate::cli::output::{self, Format, OutputArg};
use crate::cli::source::Source;
use crate::domain::import::{Column, Wants};
use crate::postgres::operator::import::{Importer, NotImported, Refusal};

/// Inserts each line as a tenant. What is there already with the same wants is passed by, so that
/// the same command goes on where one was broken off. Exits with 0 when all lines are there, 3
/// when some were rejected.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd tenant import customers.csv --dry-run
  tenantd tenant import customers.csv
  psql -c 'COPY (SELECT …) TO STDOUT CSV HEADER' | tenantd tenant import - --format csv")]
pub(in crate::cli) struct ImportArgs {
    /// The file, *.csv or *.jsonl; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How the file is written, where its name does not tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FileFormat>,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Where rejected lines go, each with its reason; instead of beside the input
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArg,
}

/// What JSON shows in the end.
#[derive(Serialize)]
struct Summary {
    lines: u64,
    inserted: u64,
    there: u64,
    rejected: u64,
    /// The file of the rejected lines.
    rejects: Option<String>,
    dry_run: bool,
    /// Whether the file was read to its end.
    complete: bool,
}

pub(super) async fn run(args: &ImportArgs, source: &Source) -> anyhow::Result<Code> {
    let format = format(args)?;
    let (input, length) = lines::open(&args.file)?;
    let lines = Lines::begin(input, format)?;
    let rejects = Rejects::new(lines.head(), args.rejects.as_deref(), &args.file, format, args.dry_run)?;
    let connections = source.connections().await?;
    let asked = Interrupt::hear()?;
    let mut import = Import {
        importer: Importer::new(connections, args.dry_run),
        rejects,
        repeats: args.dry_run.then(Repeats::default),
        counts: Counts::default(),
        progress: Progress::begin(length),
        is_file_broken: false,
    };
    let ended = tokio::select! {
        ended = import.all(lines, &asked) => ended,
        () = asked.now.cancelled() => Err(anyhow!("broken off in the middle of a batch")),
    };
    import.progress.end();
    // Where that fails beside something else, it is told with the file.
    let flushed = import.rejects.flush();
    match ended.and_then(|complete| flushed.map(|()| complete)) {
        Ok(complete) => import.told(args, complete),
        Err(error) => {
            import.tell_rejects();
            output::note(&import.how_to_go_on());
            Err(error)
        }
    }
}

fn format(args: &ImportArgs) -> Result<FileFormat, Misuse> {
    let extension = args.file.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match (args.format, extension.as_deref()) {
        (Some(format), _) => Ok(format),
        (None, Some("csv")) => Ok(FileFormat::Csv),
        (None, Some("jsonl" | "ndjson")) => Ok(FileFormat::Jsonl),
        (None, _) => Err(Misuse(format!(
            "{} tells by its name neither .csv nor .jsonl: say which with --format",
            args.file.display()
        ))),
    }
}

struct Import {
    importer: Importer,
    rejects: Rejects,
    /// Of a dry run.
    repeats: Option<Repeats>,
    counts: Counts,
    progress: Progress,
    /// It is not read on, and would not be another time.
    is_file_broken: bool,
}

impl Import {
    /// Imports batch after batch; returns whether that was all.
    async fn all(&mut self, lines: Lines, asked: &Interrupt) -> anyhow::Result<bool> {
        let mut batches = lines.read_ahead();
        loop {
            let batch = tokio::select! {
                biased;
                () = asked.soon.cancelled() => return Ok(false),
                batch = batches.recv() => batch,
            };
            let Some(batch) = batch else { return Ok(true) };
            let batch = batch.map_err(|error| {
                self.is_file_broken = error.kind() == io::ErrorKind::InvalidData;
                not_read(&error)
            })?;
            let bytes = batch.bytes;
            self.batch(batch).await?;
            self.progress.tell(bytes, &self.counts);
        }
    }

    async fn batch(&mut self, batch: Batch) -> anyhow::Result<()> {
        let last = batch.lines.last().map_or(self.counts.last, |line| line.number);
        let (mut sent, mut wanted, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for Line { number, content, wants } in batch.lines {
            self.counts.lines += 1;
            match wants.and_then(|wants| self.before(wants)) {
                Ok(Some(wants)) => {
                    sent.push((number, content));
                    wanted.push(wants);
                }
                Ok(None) => self.counts.there += 1,
                Err(because) => rejected.push((number, content, because)),
            }
        }
        let imported = self.importer.import(&wanted).await.map_err(not_imported)?;
        self.counts.inserted += imported.inserted;
        self.counts.there += imported.there;
        let mut refused: VecDeque<_> = imported.refused.into();
        for (place, (number, content)) in sent.into_iter().enumerate() {
            match refused.pop_front_if(|(refused, _)| *refused == place) {
                Some((_, refusal)) => rejected.push((number, content, because(&refusal))),
                None => {
                    if let Some(repeats) = &mut self.repeats {
                        repeats.note(number, &wanted[place]);
                    }
                }
            }
        }
        rejected.sort_unstable_by_key(|(number, _, _)| *number);
        for (number, content, because) in rejected {
            self.reject(number, &content, &because)?;
        }
        self.counts.last = last;
        self.rejects.flush()
    }

    /// On trial, what a line repeats of batches before; `None` where it is all of one.
    fn before(&self, wants: Wants) -> Result<Option<Wants>, String> {
        match self.repeats.as_ref().and_then(|repeats| repeats.of(&wants)) {
            None => Ok(Some(wants)),
            Some(Repeat::Same) => Ok(None),
            Some(Repeat::Key(line)) => Err(format!("line {line} has the same external_id, with other wants")),
            Some(Repeat::Host(line)) => {
                Err(format!("the row breaks the rule host_is_unique: line {line} has the same host"))
            }
        }
    }

    fn reject(&mut self, number: u64, content: &Content, because: &str) -> anyhow::Result<()> {
        self.counts.rejected += 1;
        self.progress.note(&format!("line {number}: {because}"));
        self.rejects.write(number, content, because)
    }

    fn told(&self, args: &ImportArgs, complete: bool) -> anyhow::Result<Code> {
        let Counts { lines, inserted, there, rejected, .. } = self.counts;
        match args.output.output {
            Format::Json => output::json(&Summary {
                lines,
                inserted,
                there,
                rejected,
                rejects: self.rejects.path().map(|path| path.display().to_string()),
                dry_run: args.dry_run,
                complete,
            })?,
            Format::Table => {
                let all = output::count(i64::try_from(lines).unwrap_or(i64::MAX), "line");
                output::line(&if args.dry_run {
                    format!(
                        "{all}: {inserted} would be inserted, {there} there already, {rejected} would be rejected; nothing is changed"
                    )
                } else {
                    format!("{all}: {inserted} inserted, {there} there already, {rejected} rejected")
                })?;
            }
        }
        self.tell_rejects();
        if self.repeats.as_ref().is_some_and(Repeats::is_full) {
            output::note(&format!(
                "only the first {} new lines were held against the others of the file",
                repeats::MOST
            ));
        }
        if !complete {
            output::note(&self.how_to_go_on());
            return Ok(Code::Failed);
        }
        Ok(if rejected == 0 { Code::Done } else { Code::Differences })
    }

    fn tell_rejects(&self) {
        if let Some(told) = self.rejects.told() {
            output::note(&told);
        }
    }

    fn how_to_go_on(&self) -> String {
        let how = if self.is_file_broken {
            "the same command with a file that is mended"
        } else if self.rejects.needs_another() {
            "the same command with another --rejects"
        } else {
            "the same command"
        };
        format!("ended behind line {}: {how} goes on, and passes by what is there already", self.counts.last)
    }
}

/// Why a line was rejected.
fn because(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Broken(error) => violation(error).unwrap_or_else(|| error.to_string()),
        Refusal::Differs(columns) => {
            let names: Vec<&str> = columns.iter().copied().map(Column::as_str).collect();
            format!(
                "its external_id is there already, and its row differs in {}: an import changes no row",
                names.join(", ")
            )
        }
        Refusal::Deleted => "the row of its external_id was deleted at this moment: give it again".to_owned(),
    }
}

fn not_read(error: &io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::InvalidData {
        return Misuse(format!("the file is not read on at {error}")).into();
    }
    anyhow!("the file cannot be read on: {error}")
}

fn not_imported(error: NotImported) -> anyhow::Error {
    match error {
        NotImported::NoTemporaryTable(error) => Misuse(format!(
            "{error}: an import needs the right to make temporary tables; GRANT TEMPORARY ON DATABASE … TO its login, as everybody has it by default"
        ))
        .into(),
        NotImported::Forbidden(error) => Misuse(format!(
            "{error}: an import needs a login that has tenantd_pipeline or tenantd_daemon, or run deploy/postgres/roles.sql again"
        ))
        .into(),
        NotImported::Store(error) => error.into(),
    }
}
