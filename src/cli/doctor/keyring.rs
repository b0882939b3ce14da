//! Whether the keyring seals, opens, and knows every key that was used.

use uuid::Uuid;

use super::finding::Findings;
use crate::app;
use crate::cli::output;
use crate::domain::host::Host;
use crate::domain::ids::{ClientId, TenantId};
use crate::domain::message::Message;
use crate::domain::secret::ClientSecret;
use crate::postgres::Store;
use crate::settings::Settings;
use crate::system::OsEntropy;
use crate::vault::{Keyring, SealedFor, UnusableRandomness, Vault};

const CHECK: &str = "keyring";

pub(super) async fn check(
    settings: &Settings,
    store: Option<&Store>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let vault = match Keyring::load(&settings.vault.keyring_file) {
        Ok(keyring) => Vault::new(keyring),
        Err(error) => return Ok(findings.fail(CHECK, error.message())?),
    };
    match probe(&vault) {
        Ok(message) => findings.ok(CHECK, message)?,
        Err(message) => findings.fail(CHECK, message)?,
    }
    match store {
        Some(store) => known(&vault, store, findings).await,
        None => Ok(()),
    }
}

/// Seals something, and opens it again where it can.
fn probe(vault: &Vault) -> Result<&'static str, Message> {
    let host = Host::parse("probe.tenantd.example").map_err(|error| Message::bare(error.to_string()))?;
    let client_id = ClientId::new("probe");
    let row = SealedFor { tenant_id: TenantId(Uuid::nil()), host: &host, client_id: &client_id };
    let sealed = vault.seal(&row, &ClientSecret::new("probe".to_owned()), &OsEntropy);
    let sealed = sealed.map_err(UnusableRandomness::message)?;
    if vault.is_seal_only() {
        return Ok("it seals; it has no private half, so this daemon cannot read what it stores");
    }
    vault.open(sealed.as_str(), &row).map_err(|error| error.message())?;
    Ok("it seals and opens")
}

/// Compares with the keys that stored secrets name.
async fn known(vault: &Vault, store: &Store, findings: &mut Findings) -> anyhow::Result<()> {
    let keys: Vec<_> = vault.keyring().list().map(|key| key.kid).collect();
    let used = match store.sealing_keys().await {
        Ok(used) => used,
        Err(error) => return Ok(findings.fail(CHECK, app::started(&error).message())?),
    };
    let unknown: Vec<_> = used.iter().filter(|(key, _)| !keys.contains(key)).collect();
    if unknown.is_empty() {
        findings.ok(CHECK, "every stored secret names a key that is in it")?;
    }
    for (key, secrets) in unknown {
        findings.fail(
            CHECK,
            Message::new(
                format!("{} sealed by key {:?}, which is not in it", sealed(*secrets), key.as_str()),
                "add that key behind the others; `tenantd keys list` shows what each holds",
            ),
        )?;
    }
    Ok(())
}

/// `1 stored secret is`, `2 stored secrets are`.
fn sealed(secrets: i64) -> String {
    let verb = if secrets == 1 { "is" } else { "are" };
    format!("{} {verb}", output::count(secrets, "stored secret"))
}
