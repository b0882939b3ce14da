//! Inserting tenants in bulk: as a pipeline does, some thousand lines in a transaction.
//!
//! The rules: **a line that the schema refuses keeps no other from being inserted**: the lines
//! are tried together and, where they are refused, in halves, until the bad one stands alone;
//! **nothing is changed that is there**: a line whose key has a row is held against it. It
//! needs no more rights than a pipeline has, and leaves nothing on the server: its table lives as
//! long as its transaction, so that a pooler may be between.

use std::ops::Range;
use std::time::Duration;

use super::verbs::be_brief;
use crate::domain::import::{Column, Wants};
use crate::postgres::StoreError;
use crate::postgres::connections::{Connections, Link};
use crate::postgres::error::Meaning;

/// How often others may be in the way of a transaction before it is given up: with the time that each
/// waits for a lock, somebody who keeps one is waited for no longer than by any other command.
const ATTEMPTS: u32 = 3;
/// Pause before the next of them, once more for each that failed.
const PAUSE: Duration = Duration::from_millis(300);
/// Most parts that one transaction inserts: with more subtransactions than a server process
/// remembers (64), every snapshot of the daemons' would have to look them up.
const PARTS: usize = 50;

// The table is there for this transaction alone, so that no macro knows it.
const CREATE: &str = "
    -- import.create
    CREATE TEMPORARY TABLE import_lines (
        line integer NOT NULL, said integer NOT NULL, external_id text, host text, profile text, client_name text,
        redirect_uris text, desired_state text, priority text, not_before text, labels text
    ) ON COMMIT DROP";
const COPY: &str = "COPY pg_temp.import_lines FROM STDIN";
/// In the order of the keys, so that two who do so wait for each other in turn.
const INSERT: &str = "
    -- import.insert
    INSERT INTO tenantd.tenants (external_id, host, profile, client_name, redirect_uris, desired_state, priority,
                                 not_before, labels)
    SELECT l.external_id, l.host, coalesce(l.profile, 'default'), l.client_name, l.redirect_uris::text[],
           coalesce(l.desired_state, 'present'), coalesce(l.priority::integer, 0), l.not_before::timestamptz,
           coalesce(l.labels::jsonb, '{}')
      FROM pg_temp.import_lines AS l
     WHERE l.line BETWEEN $1 AND $2
     ORDER BY l.external_id, l.line
    ON CONFLICT (external_id) DO NOTHING";
/// In which columns, by their bits, each line differs from the row of its key. Whether a tenant
/// should be there at all is always asked. (OFFSET keeps the planner, which knows nothing of the
/// lines, from reading all tenants.)
const DIFFER: &str = "
    -- import.differ
    SELECT l.line, d.differs
      FROM pg_temp.import_lines AS l
      LEFT JOIN LATERAL (
           SELECT CASE WHEN t.host <> l.host THEN 2 ELSE 0 END
                + CASE WHEN t.profile <> coalesce(l.profile, 'default') THEN l.said & 4 ELSE 0 END
                + CASE WHEN t.client_name IS DISTINCT FROM l.client_name THEN l.said & 8 ELSE 0 END
                  -- Their order says nothing.
                + CASE WHEN (t.redirect_uris IS NULL) <> (l.redirect_uris IS NULL)
                            OR NOT (t.redirect_uris @> l.redirect_uris::text[]
                                    AND t.redirect_uris <@ l.redirect_uris::text[])
                       THEN l.said & 16 ELSE 0 END
                + CASE WHEN t.desired_state <> coalesce(l.desired_state, 'present') THEN 32 ELSE 0 END
                + CASE WHEN t.priority <> coalesce(l.priority::integer, 0) THEN l.said & 64 ELSE 0 END
                + CASE WHEN t.not_before IS DISTINCT FROM l.not_before::timestamptz THEN l.said & 128 ELSE 0 END
                + CASE WHEN t.labels <> coalesce(l.labels::jsonb, '{}') THEN l.said & 256 ELSE 0 END AS differs
             FROM tenantd.tenants AS t
            WHERE t.external_id = l.external_id
           OFFSET 0) AS d ON true
     WHERE l.line BETWEEN $1 AND $2 AND d.differs IS DISTINCT FROM 0";

/// Why an import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum NotImported {
    /// The login may make no temporary table in the database.
    #[error("{0}")]
    NoTemporaryTable(StoreError),
    /// The login may not insert tenants.
    #[error("{0}")]
    Forbidden(StoreError),
    /// Anything else.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for NotImported {
    fn from(error: sqlx::Error) -> Self {
        let error = StoreError::from(error);
        if error.meaning() == Some(Meaning::Forbidden) { Self::Forbidden(error) } else { Self::Store(error) }
    }
}

/// Why a line is not inserted.
#[derive(Debug)]
pub enum Refusal {
    /// The database refused its values.
    Broken(StoreError),
    /// There is a row of its key, which differs in these columns.
    Differs(Vec<Column>),
    /// The row of its key was deleted at this moment.
    Deleted,
}

/// What came of some lines.
#[derive(Debug, Default)]
pub struct Imported {
    /// How many tenants are new.
    pub inserted: u64,
    /// How many lines have a row that wants the same.
    pub there: u64,
    /// The others, by their places.
    pub refused: Vec<(usize, Refusal)>,
}

/// Where lines are inserted.
#[derive(Debug)]
pub struct Importer {
    connections: Connections,
    is_trial: bool,
}

impl Importer {
    /// Inserts on these connections; on trial, everything is taken back.
    #[must_use]
    pub fn new(connections: Connections, is_trial: bool) -> Self {
        Self { connections, is_trial }
    }

    /// Inserts lines, and says what came of each.
    ///
    /// # Errors
    ///
    /// [`NotImported`]: some of the lines may be inserted all the same.
    pub async fn import(&self, lines: &[Wants]) -> Result<Imported, NotImported> {
        let mut imported = Imported::default();
        let mut left = std::iter::once(0..lines.len()).collect::<Vec<_>>();
        let mut failures = 0;
        while left.iter().any(|part| !part.is_empty()) {
            match self.transaction(lines, &left).await {
                Ok((done, rest)) => {
                    imported.inserted += done.inserted;
                    imported.there += done.there;
                    imported.refused.extend(done.refused);
                    left = rest;
                    failures = 0;
                }
                Err(NotImported::Store(error)) if error.is_contended() && failures + 1 < ATTEMPTS => {
                    failures += 1;
                    tokio::time::sleep(PAUSE * failures).await;
                }
                Err(error) => return Err(error),
            }
        }
        imported.refused.sort_unstable_by_key(|(place, _)| *place);
        Ok(imported)
    }

    /// One transaction over parts of the lines, the last first; returns what is left of them.
    async fn transaction(
        &self,
        lines: &[Wants],
        parts: &[Range<usize>],
    ) -> Result<(Imported, Vec<Range<usize>>), NotImported> {
        let mut left = parts.to_vec();
        let mut done = Imported::default();
        let mut transaction = self.connections.begin().await?;
        be_brief(&mut transaction).await?;
        spread_out(&mut transaction, lines, parts).await?;
        let mut inserted = 0;
        while let Some(part) = left.pop() {
            match insert(&mut transaction, &part, &mut done).await? {
                Ok(()) => inserted += 1,
                Err(refusal) if part.len() == 1 => done.refused.push((part.start, Refusal::Broken(refusal))),
                Err(_) => {
                    let middle = part.start + part.len() / 2;
                    left.push(middle..part.end);
                    left.push(part.start..middle);
                }
            }
            // On trial nothing stays that the next transaction could meet.
            if inserted == PARTS && !self.is_trial {
                break;
            }
        }
        if self.is_trial {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
        }
        Ok((done, left))
    }
}

/// Puts the lines of these parts into the transaction's own table.
async fn spread_out(link: &mut Link, lines: &[Wants], parts: &[Range<usize>]) -> Result<(), NotImported> {
    link.say(CREATE).await.map_err(|error| match NotImported::from(error) {
        NotImported::Forbidden(error) => NotImported::NoTemporaryTable(error),
        other @ (NotImported::NoTemporaryTable(_) | NotImported::Store(_)) => other,
    })?;
    let mut text = Vec::new();
    for place in parts.iter().cloned().flatten() {
        write_line(&mut text, place, &lines[place]);
    }
    Ok(link.copy_in(COPY, text).await?)
}

/// Inserts a part, or says what refused it; then nothing of it is there.
async fn insert(
    link: &mut Link,
    part: &Range<usize>,
    done: &mut Imported,
) -> Result<Result<(), StoreError>, NotImported> {
    if part.is_empty() {
        return Ok(Ok(()));
    }
    let (first, last) = (number(part.start), number(part.end - 1));
    link.say("SAVEPOINT part").await?;
    let inserted = sqlx::query(INSERT).persistent(false).bind(first).bind(last).execute(&mut *link).await;
    let inserted = inserted.map(|done| done.rows_affected());
    let inserted = match inserted.map_err(StoreError::from) {
        Ok(inserted) => inserted,
        Err(error) if error.may_be_one_rows() => {
            link.say("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part").await?;
            return Ok(Err(error));
        }
        Err(error) if error.meaning() == Some(Meaning::Forbidden) => {
            return Err(NotImported::Forbidden(error));
        }
        Err(error) => return Err(error.into()),
    };
    link.say("RELEASE SAVEPOINT part").await?;
    let known = u64::try_from(part.len()).unwrap_or(u64::MAX) - inserted;
    done.inserted += inserted;
    done.there += known;
    if known > 0 {
        let differ: Vec<(i32, Option<i32>)> =
            sqlx::query_as(DIFFER).persistent(false).bind(first).bind(last).fetch_all(link).await?;
        done.there -= u64::try_from(differ.len()).unwrap_or(known);
        done.refused.extend(differ.into_iter().map(|(line, bits)| (place(line), difference(bits))));
    }
    Ok(Ok(()))
}

/// In what a row differs; without it, there is none any more.
fn difference(bits: Option<i32>) -> Refusal {
    match bits {
        Some(bits) => {
            Refusal::Differs(Column::ALL.into_iter().filter(|column| bits & column.bit() != 0).collect())
        }
        None => Refusal::Deleted,
    }
}

/// A line in the format of COPY.
fn write_line(text: &mut Vec<u8>, place: usize, wants: &Wants) {
    text.extend_from_slice(format!("{place}\t{}", wants.said()).as_bytes());
    for column in Column::ALL {
        text.push(b'\t');
        match wants.value(column) {
            None => text.extend_from_slice(br"\N"),
            Some(value) => value.bytes().for_each(|byte| match byte {
                b'\\' => text.extend_from_slice(br"\\"),
                b'\t' => text.extend_from_slice(br"\t"),
                b'\n' => text.extend_from_slice(br"\n"),
                b'\r' => text.extend_from_slice(br"\r"),
                _ => text.push(byte),
            }),
        }
    }
    text.push(b'\n');
}

/// A batch has some thousand lines.
fn number(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}

fn place(number: i32) -> usize {
    usize::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_that_compares_knows_each_column_by_its_bit() {
        for column in Column::ALL {
            let (name, bit) = (column.as_str(), column.bit());
            let line = DIFFER.split(" + ").find(|part| part.contains(&format!("t.{name}")));
            match column {
                Column::ExternalId => assert!(DIFFER.contains("t.external_id = l.external_id"), "{line:?}"),
                // Always compared.
                Column::Host | Column::DesiredState => {
                    assert!(line.unwrap().contains(&format!("THEN {bit} ELSE")), "{line:?}");
                }
                Column::Profile
                | Column::ClientName
                | Column::RedirectUris
                | Column::Priority
                | Column::NotBefore
                | Column::Labels => {
                    assert!(line.unwrap().contains(&format!("l.said & {bit} ELSE")), "{line:?}");
                }
            }
        }
    }
}
