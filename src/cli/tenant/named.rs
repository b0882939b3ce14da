//! The tenants that a command was given, by their `external_id`.
//!
//! The rule: a name that nobody knows is answered with the command that shows all.

use anyhow::anyhow;

use crate::cli::exit::{self, Code};
use crate::cli::output;
use crate::postgres::operator::inspect::Target;
use crate::postgres::operator::tenants::Status;
use crate::postgres::{Store, StoreError};
use crate::visits::inspect::NotDone;

pub(in crate::cli) async fn one(store: &Store, external_id: &str) -> anyhow::Result<Status> {
    let found = store.status(external_id).await?;
    found.ok_or_else(|| unknown(external_id))
}

/// The tenant of this key, to be visited.
pub(super) async fn target(store: &Store, external_id: &str) -> anyhow::Result<Target> {
    let found = store.target(external_id).await?;
    found.ok_or_else(|| unknown(external_id))
}

pub(super) fn unknown(external_id: &str) -> anyhow::Error {
    anyhow!("there is no tenant with the external_id {external_id:?}; `tenantd tenant list` shows all")
}

/// A visit's failure, as the end of a command.
pub(super) fn not_done(external_id: &str) -> impl Fn(NotDone) -> anyhow::Error + '_ {
    move |error| match error {
        NotDone::Store(error) => error.into(),
        NotDone::Qlik { .. } | NotDone::Busy(_) | NotDone::Refused(_) => anyhow!("{external_id}: {error}"),
    }
}

/// Does something for each tenant; one that cannot be does not keep it from the others.
pub(super) async fn for_each(
    external_ids: &[String],
    mut act: impl AsyncFnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Code> {
    let mut first = None;
    for external_id in external_ids {
        if let Err(error) = act(external_id).await {
            // What the database says names nobody.
            let names_nobody = error.is::<StoreError>() && external_ids.len() > 1;
            // The last word is the first error; the others are told as they come.
            if names_nobody {
                output::note(&format!("error: {external_id}: {}", exit::words(&error)));
            } else if first.is_some() {
                output::note(&format!("error: {}", exit::words(&error)));
            }
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(Code::Done), Err)
}
