//! `tenantd tenant adopt`: a client that somebody else made becomes a tenant's.

use clap::Args;
use serde::Serialize;

use super::named::{not_done, target};
use crate::cli::exit::Code;
use crate::cli::os_user::os_user;
use crate::cli::output::{self, Format, OutputArg, or_dash};
use crate::cli::source::Source;
use crate::domain::drift::DriftKind;
use crate::domain::hints::SeenSecret;
use crate::domain::ids::ClientId;
use crate::postgres::operator::inspect::Target;
use crate::qlik::Cloud;
use crate::visits::adopt::{Adopted, Adoption, Fate};
use crate::visits::inspect::Inspector;

/// The tenant's row must have no client yet: insert it with `not_before` far in the future,
/// or pause it, so that the daemon makes none meanwhile. The client gets our mark, and the
/// daemon mints a secret of its own beside those that are there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd tenant adopt customer-42 --client-id 0123456789abcdef0123456789abcdef
  tenantd tenant adopt customer-42 --drop-old-secrets --yes")]
pub(in crate::cli) struct AdoptArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
    /// The client, by its id at Qlik
    #[arg(long, required_unless_present = "drop_old_secrets", value_name = "ID")]
    client_id: Option<String>,
    /// Take it although another installation of tenantd has marked it
    #[arg(long, requires = "client_id")]
    replace: bool,
    /// Of a tenant that is ready: delete the secrets that are not ours; without --yes, list them
    #[arg(long, conflicts_with_all = ["client_id", "replace"])]
    drop_old_secrets: bool,
    /// With --drop-old-secrets: do it
    #[arg(long, requires = "drop_old_secrets")]
    yes: bool,
    #[command(flatten)]
    format: OutputArg,
}

/// An adoption as JSON shows it.
#[derive(Serialize)]
struct Taken<'a> {
    external_id: &'a str,
    client_id: &'a str,
    was_ours: bool,
    marked: bool,
    old_secrets: usize,
    differences: Vec<&'static str>,
}

/// A secret as JSON shows it.
#[derive(Serialize)]
struct Secret<'a> {
    hint: &'a str,
    created_by: Option<&'a str>,
    fate: &'static str,
}

pub(super) async fn run(args: &AdoptArgs, source: &Source) -> anyhow::Result<Code> {
    let inspector = source.inspector().await?;
    let target = target(&inspector.store, &args.external_id).await?;
    match &args.client_id {
        Some(client) => {
            let adoption =
                Adoption { client: ClientId::new(client.clone()), replace: args.replace, by: os_user() };
            let adopted = inspector.adopt(target.tenant_id, &adoption).await;
            told(&target, &adopted.map_err(not_done(&args.external_id))?, args.format.output)
        }
        None => old_secrets(args, &inspector, &target).await,
    }
}

fn told(target: &Target, adopted: &Adopted, format: Format) -> anyhow::Result<Code> {
    let (id, client) = (&target.external_id, &adopted.client);
    let differences: Vec<_> = adopted.differences.iter().map(|drift| drift.kind().as_str()).collect();
    if format == Format::Json {
        output::json(&Taken {
            external_id: &target.external_id,
            client_id: client.client_id.as_str(),
            was_ours: adopted.was_ours,
            marked: adopted.is_marked_now,
            old_secrets: client.secrets.len(),
            differences,
        })?;
        return Ok(Code::Done);
    }
    let what = match (adopted.was_ours, adopted.is_marked_now) {
        (true, false) => "has this client already; nothing is changed".to_owned(),
        (true, true) => "has this client already; its mark is written now".to_owned(),
        (false, _) => format!(
            "has the client {} now; the daemon mints a secret of its own beside the {} there; `tenantd tenant wait {id}` waits until it is ready",
            client.client_id,
            client.secrets.len()
        ),
    };
    output::line(&format!("{id} {what}"))?;
    if adopted.is_paused {
        output::note(&format!("{id} is paused; `tenantd tenant resume {id}` lets the daemon go on"));
    }
    if !differences.is_empty() {
        output::note(&format!(
            "the client differs from the tenant's profile in {}; `tenantd tenant drift {id} --repair` mends it once the tenant is ready",
            differences.join(", ")
        ));
    }
    if differences.contains(&DriftKind::Grants.as_str()) {
        output::note("without our grants its new secret gets no token: set them in Qlik now");
    }
    Ok(Code::Done)
}

async fn old_secrets(
    args: &AdoptArgs,
    inspector: &Inspector<Cloud>,
    target: &Target,
) -> anyhow::Result<Code> {
    let failed = not_done(&args.external_id);
    let listed = inspector.old_secrets(target.tenant_id, None).await.map_err(&failed)?;
    list(&listed, args.format.output)?;
    let old = listed.iter().filter(|(_, fate)| *fate == Fate::Old).count();
    if old == 0 {
        output::note("there is no old secret to delete");
        return Ok(Code::Done);
    }
    let many = output::count(i64::try_from(old).unwrap_or(i64::MAX), "old secret");
    if !args.yes {
        output::note(&format!(
            "{many} would be deleted, and whoever uses one is locked out; add --yes to do it"
        ));
        return Ok(Code::Differences);
    }
    inspector.old_secrets(target.tenant_id, Some(&os_user())).await.map_err(&failed)?;
    output::note(&format!("{many} deleted"));
    Ok(Code::Done)
}

fn list(secrets: &[(SeenSecret, Fate)], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => output::json(&secrets.iter().map(shown).collect::<Vec<_>>()),
        Format::Table => {
            let row = |secret: &(SeenSecret, Fate)| {
                let secret = shown(secret);
                vec![secret.hint.to_owned(), or_dash(secret.created_by), secret.fate.to_owned()]
            };
            let rows = secrets.iter().map(row);
            Ok(output::print(&output::table(&["HINT", "CREATED BY", "FATE"], rows))?)
        }
    }
}

fn shown((secret, fate): &(SeenSecret, Fate)) -> Secret<'_> {
    Secret {
        hint: secret.hint.as_str(),
        created_by: secret.created_by.as_ref().map(crate::domain::ids::UserId::as_str),
        fate: match fate {
            Fate::Stored => "stored",
            Fate::Twice => "hint occurs twice",
            Fate::Old => "old",
        },
    }
}
