//! `tenantd secret reveal`: the one place that prints a secret.
//!
//! The rule: only when asked twice (the command and `--yes`), and written into
//! the tenant's history before it is shown.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::exit::{Code, Misuse};
use super::os_user::os_user;
use super::output;
use super::source::Source;
use super::tenant;
use crate::domain::host::Host;
use crate::domain::ids::ClientId;
use crate::postgres::Store;
use crate::postgres::secrets::Credential;
use crate::vault::{OpenError, SealedFor};

#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Print the current secret of a tenant, and nothing else
    Reveal(RevealArgs),
}

/// Who looked is written into the tenant's history first. Applications do not
/// need this: they read `tenantd.credentials` and open the JWE themselves.
#[derive(Debug, Args)]
pub(super) struct RevealArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
    /// Yes, print a secret in the clear
    #[arg(long)]
    yes: bool,
    /// Open it with this keyring, where `vault.keyring_file` only seals
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
}

pub(super) async fn run(command: SecretCommand, source: &Source) -> anyhow::Result<Code> {
    match command {
        SecretCommand::Reveal(args) => reveal(&args, source).await,
    }
}

async fn reveal(args: &RevealArgs, source: &Source) -> anyhow::Result<Code> {
    if !args.yes {
        return Err(Misuse(
            "this prints a secret in the clear, and the tenant's history will say so; add --yes if you mean it".to_owned(),
        )
        .into());
    }
    let vault = source.vault(args.keyring.as_deref())?;
    let store = source.store().await?;
    let credential = credential(&store, &args.external_id).await?;
    let host = Host::parse(&credential.host)?;
    let client_id = ClientId::new(credential.client_id);
    let row = SealedFor { tenant_id: credential.tenant_id, host: &host, client_id: &client_id };
    let secret = vault.open(&credential.sealed, &row).map_err(explained)?;
    let message = format!("version {} was shown to {}", credential.version, os_user());
    store.record(credential.tenant_id, "reveal", &message).await?;
    output::print(secret.expose_to_reveal())?;
    output::print("\n")?;
    Ok(Code::Done)
}

async fn credential(store: &Store, external_id: &str) -> anyhow::Result<Credential> {
    if let Some(credential) = store.credential(external_id).await? {
        return Ok(credential);
    }
    let status = tenant::one(store, external_id).await?;
    let why = status.reason.unwrap_or_default();
    Err(anyhow!(
        "{external_id} has no proven secret yet ({why}); `tenantd tenant wait {external_id}` waits for it"
    ))
}

/// A keyring that only seals is no fault here: another one opens.
fn explained(error: OpenError) -> anyhow::Error {
    if let OpenError::SealOnly { kid } = &error {
        return anyhow!(
            "this keyring only seals: it lacks the private half of key {:?}; name the keyring that has it with --keyring FILE",
            kid.as_str()
        );
    }
    error.into()
}
