//! The tenants that a command was given by a filter: counted, asked about, and worked on in slices.
//!
//! The rules: **nobody acts on many before the count was shown and agreed to**, nor on anybody but
//! those who were counted, nor goes on where it cannot be told what came of it. A slice is one
//! transaction, so that running a command again goes on where it ended.

use std::io::{self, IsTerminal, Write};

use clap::Args;

use crate::cli::exit::{self, Code, Misuse, NoFilter, Unconfirmed};
use crate::cli::os_user::os_user;
use crate::cli::output;
use crate::cli::pause::reason;
use crate::domain::filter::{Filter, Term};
use crate::domain::text::plain;
use crate::postgres::operator::pauses::End;
use crate::postgres::operator::verbs::{Task, Verb};
use crate::postgres::{Store, StoreError};

/// Tenants of a transaction: daemons wait for its end.
const SLICE: usize = 100;
/// Keys of a page, and of a warning.
const PAGE: u32 = 1000;
const NAMED: usize = 10;

/// The tenants, by their keys or by what they have in common.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The tenants, by the pipeline's keys
    #[arg(required_unless_present = "filter", conflicts_with = "filter", value_name = "EXTERNAL_ID")]
    pub(super) external_ids: Vec<String>,
    #[command(flatten)]
    pub(super) matching: MatchingArg,
}

/// The tenant, or those who have something in common.
#[derive(Debug, Args)]
pub(super) struct OneOrMatching {
    /// The tenant, by the pipeline's key
    #[arg(required_unless_present = "filter", conflicts_with = "filter")]
    pub(super) external_id: Option<String>,
    #[command(flatten)]
    pub(super) matching: MatchingArg,
}

/// `--filter`, for every command that acts on many.
#[derive(Debug, Args)]
pub(super) struct MatchingArg {
    /// All tenants that match, such as 'phase:creating since:15m'
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    filter: Option<String>,
    /// With --filter: only those behind this key, to go on where a run was broken off
    #[arg(long, value_name = "EXTERNAL_ID", requires = "filter", allow_hyphen_values = true)]
    after: Option<String>,
}

/// Who match a filter, behind a key.
pub(super) struct Matching {
    filter: Filter,
    after: String,
}

/// Why, where it is done to many.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// With --filter: why, for the history of each
    #[arg(long, value_name = "TEXT", value_parser = reason, requires = "filter", required_unless_present = "external_ids")]
    pub(super) reason: Option<String>,
}

impl Matching {
    /// Those of them of whom this holds too.
    pub(super) fn and(self, term: Term) -> Self {
        Self { filter: self.filter.and(term), ..self }
    }
}

impl MatchingArg {
    /// Whom it means, where it is given. Nothing, such as a variable that is not set, means nobody.
    pub(super) fn read(&self) -> anyhow::Result<Option<Matching>> {
        let Some(text) = &self.filter else { return Ok(None) };
        let filter = read(text)?;
        if filter.is_empty() {
            let all = "an empty --filter names nobody: say who is meant; every tenant is since:0s";
            return Err(Misuse(all.to_owned()).into());
        }
        Ok(Some(Matching { filter, after: self.after.clone().unwrap_or_default() }))
    }
}

/// Reads a filter; what is wrong with it is pointed at.
pub(super) fn read(text: &str) -> Result<Filter, NoFilter> {
    Filter::parse(text).map_err(|fault| NoFilter { pointed: fault.pointed(text), fault: Box::new(fault) })
}

/// Shows how many match and who the first are, and goes on where they are meant.
fn agree(count: u64, mut first: Vec<String>, verb: &str, yes: bool) -> anyhow::Result<()> {
    let tenants = tenants(count);
    if count == 0 || yes {
        output::note(&format!("{tenants} match"));
        return Ok(());
    }
    let named = u64::try_from(first.len()).unwrap_or(u64::MAX);
    if count > named {
        first.push(format!("and {} more", count - named));
    }
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        for external_id in &first {
            output::note(external_id);
        }
        if is_meant(&format!("{verb} {tenants}?"))? {
            return Ok(());
        }
    }
    let warning = format!("this would {verb} {tenants}; add --yes if you mean it");
    Err(Unconfirmed { warning, to: first }.into())
}

fn is_meant(question: &str) -> io::Result<bool> {
    write!(io::stderr(), "{} [y/N] ", plain(question))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What is to be done to all who match.
pub(super) struct ToAll<'a> {
    pub(super) verb: Verb,
    pub(super) end: End,
    pub(super) reason: &'a str,
    pub(super) yes: bool,
}

impl ToAll<'_> {
    /// Does it, and says to how many.
    pub(super) async fn run(&self, store: &Store, of: &Matching) -> anyhow::Result<Code> {
        let keys = keys(store, of, self.verb.as_str(), self.yes).await?;
        let by = os_user();
        let task = Task { verb: self.verb, end: self.end, reason: self.reason, by: &by };
        let (mut done, mut unchanged, mut refused) = (0, 0, 0_u64);
        let mut after = &of.after;
        for keys in keys.chunks(SLICE) {
            let slice = store.act_on_those(&of.filter, keys, &task).await.inspect_err(|_| {
                output::note(&format!("{} done before this{}", tenants(done), go_on(after)));
            })?;
            done += slice.done;
            unchanged += slice.unchanged;
            for external_id in &slice.refused {
                refused += 1;
                output::note(&format!("refused: {external_id} has no secret, or is to have none"));
            }
            after = keys.last().unwrap_or(after);
        }
        output::line(&format!(
            "{}: {} done, {unchanged} with nothing to do, {refused} refused",
            self.verb.as_str(),
            tenants(done)
        ))?;
        Ok(if refused == 0 { Code::Done } else { Code::Failed })
    }
}

/// The keys of all who match, once these are agreed to: nobody who comes to match meanwhile.
pub(super) async fn keys(store: &Store, of: &Matching, verb: &str, yes: bool) -> anyhow::Result<Vec<String>> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let after = keys.last().unwrap_or(&of.after);
        let mut page = store.keys(&of.filter, after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        keys.append(&mut page);
    }
    let first = keys.iter().take(NAMED).cloned().collect();
    agree(u64::try_from(keys.len()).unwrap_or(u64::MAX), first, verb, yes)?;
    Ok(keys)
}

/// Does something to all who match, one after the other, once these are agreed to; whoever
/// matches no longer when it is his turn is passed by. The act says whether there was anything to do.
pub(super) async fn each(
    store: &Store,
    of: &Matching,
    verb: &str,
    yes: bool,
    mut act: impl AsyncFnMut(&str) -> anyhow::Result<bool>,
) -> anyhow::Result<Code> {
    let (mut done, mut unchanged, mut refused) = (0, 0_u64, 0_u64);
    let mut after = of.after.clone();
    for external_id in keys(store, of, verb, yes).await? {
        let acted = match store.matches(&of.filter, &external_id).await {
            Ok(true) => act(&external_id).await,
            Ok(false) => Ok(false),
            Err(error) => Err(error.into()),
        };
        match acted {
            Ok(true) => done += 1,
            Ok(false) => unchanged += 1,
            Err(error) if error.is::<StoreError>() => {
                output::note(&format!("{} done before this{}", tenants(done), go_on(&after)));
                return Err(error);
            }
            // It is done, and nobody hears what came of it: nor would anybody of the others.
            Err(error) if error.is::<io::Error>() => {
                output::note(&format!("{} done{}", tenants(done + 1), go_on(&external_id)));
                return Err(error);
            }
            Err(error) => {
                refused += 1;
                output::note(&format!("refused: {}", exit::words(&error)));
            }
        }
        after = external_id;
    }
    output::line(&format!(
        "{verb}: {} done, {unchanged} with nothing to do, {refused} refused",
        tenants(done)
    ))?;
    Ok(if refused == 0 { Code::Done } else { Code::Failed })
}

/// How the same command goes on with the others. A key is any text, and is pasted into a shell.
fn go_on(after: &str) -> String {
    let shown = plain(after);
    if after.is_empty() {
        String::new()
    } else if shown == after {
        format!(", up to {shown}; --after='{}' goes on behind it", shown.replace('\'', r"'\''"))
    } else {
        format!(", up to {shown}, which has hidden characters; --after and that key goes on behind it")
    }
}

fn tenants(count: u64) -> String {
    output::count(i64::try_from(count).unwrap_or(i64::MAX), "tenant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_pastes_where_to_go_on_runs_nothing_else() {
        assert_eq!(go_on(""), "");
        assert_eq!(go_on("t7"), ", up to t7; --after='t7' goes on behind it");
        assert!(go_on("x'; reboot #").contains(r"--after='x'\''; reboot #'"), "{}", go_on("x'; reboot #"));
        assert!(!go_on("a\nb").contains("--after="), "{}", go_on("a\nb"));
    }
}
