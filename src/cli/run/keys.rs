//! Keys that stored secrets need and the keyring has not: told at the start and after a reload.
//!
//! The rule: it is told and nothing more. The daemon needs no stored secret for its work, but
//! somebody who reads one does.

use crate::cli::output::count;
use crate::engine::generations::Generations;
use crate::qlik::Cloud;

/// Looks once through the stored secrets.
pub(super) async fn tell_missing(generations: &Generations<Cloud>) {
    let engine = generations.now();
    let known: Vec<_> = engine.vault.keyring().list().map(|key| key.kid).collect();
    match engine.store.sealing_keys().await {
        Ok(used) => {
            for (key, secrets) in used.iter().filter(|(key, _)| !known.contains(key)) {
                let (key, secrets) = (key.as_str(), count(*secrets, "stored secret"));
                tracing::warn!(
                    key,
                    "{secrets} sealed by key {key:?}, which is not in the keyring: add that key behind the others (`tenantd keys list` shows what each holds)"
                );
            }
        }
        Err(error) => engine.outage.note(&error),
    }
}
