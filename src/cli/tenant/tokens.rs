//! `tenantd tenant tokens`: which tokens are out on a tenant, and their end.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::named::{not_done, target};
use crate::cli::exit::{Code, Misuse};
use crate::cli::os_user::os_user;
use crate::cli::output::{self, Format, OutputArg, or_dash};
use crate::cli::source::Source;
use crate::domain::ages::relative;
use crate::domain::ids::{TokenId, UserId};
use crate::domain::token::SeenToken;
use crate::visits::tokens::Revoke;

const HEADER: [&str; 5] = ["TOKEN", "USER", "CLIENT", "LAST USED", "DESCRIPTION"];

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokensCommand {
    /// List the tokens issued on a tenant
    List(ListArgs),
    /// Revoke tokens of a tenant
    Revoke(RevokeArgs),
}

/// What Qlik does not tell of a token is shown as a dash.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
    /// Only the tokens of this user
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    #[command(flatten)]
    format: OutputArg,
}

/// Whoever holds a revoked token must get another. One that is gone already counts as revoked.
#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
    /// A token, by its id; may be given more than once
    #[arg(long = "token", required_unless_present = "all_of_client", value_name = "ID")]
    tokens: Vec<String>,
    /// Every token that the tenant's client holds
    #[arg(long, conflicts_with = "tokens")]
    all_of_client: bool,
    /// Do it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: OutputArg,
}

/// A token as JSON shows it.
#[derive(Serialize)]
struct Shown {
    token_id: String,
    user_id: String,
    client_id: Option<String>,
    last_used_at: Option<DateTime<Utc>>,
    description: Option<String>,
}

pub(super) async fn run(command: &TokensCommand, source: &Source) -> anyhow::Result<Code> {
    match command {
        TokensCommand::List(args) => list(args, source).await,
        TokensCommand::Revoke(args) => revoke(args, source).await,
    }
}

async fn list(args: &ListArgs, source: &Source) -> anyhow::Result<Code> {
    let inspector = source.inspector().await?;
    let target = target(&inspector.store, &args.external_id).await?;
    let user = args.user.clone().map(UserId::new);
    let tokens = inspector.tokens(target.tenant_id, user.as_ref()).await;
    let tokens: Vec<_> = tokens.map_err(not_done(&args.external_id))?.into_iter().map(Shown::from).collect();
    match args.format.output {
        Format::Json => output::json(&tokens)?,
        Format::Table if tokens.is_empty() => output::note("no token is out"),
        Format::Table => {
            let now = inspector.store.now().await?;
            output::print(&output::table(&HEADER, tokens.iter().map(|token| row(token, now))))?;
        }
    }
    Ok(Code::Done)
}

async fn revoke(args: &RevokeArgs, source: &Source) -> anyhow::Result<Code> {
    if !args.yes {
        let what = "whoever holds a revoked token must get another; add --yes if you mean it";
        return Err(Misuse(what.to_owned()).into());
    }
    let inspector = source.inspector().await?;
    let target = target(&inspector.store, &args.external_id).await?;
    let which = if args.all_of_client {
        Revoke::OfClient
    } else {
        Revoke::Tokens(args.tokens.iter().cloned().map(TokenId::new).collect())
    };
    let revoked = inspector.revoke_tokens(target.tenant_id, &which, &os_user()).await;
    let revoked = revoked.map_err(not_done(&args.external_id))?;
    match args.format.output {
        Format::Json => output::json(&revoked.iter().map(TokenId::as_str).collect::<Vec<_>>())?,
        Format::Table => {
            let many = i64::try_from(revoked.len()).unwrap_or(i64::MAX);
            output::line(&format!("{} revoked", output::count(many, "token")))?;
        }
    }
    Ok(Code::Done)
}

impl From<SeenToken> for Shown {
    fn from(token: SeenToken) -> Self {
        Self {
            token_id: token.id.to_string(),
            user_id: token.user.to_string(),
            client_id: token.client.map(|client| client.to_string()),
            last_used_at: token.last_used,
            description: token.description,
        }
    }
}

fn row(token: &Shown, now: DateTime<Utc>) -> Vec<String> {
    vec![
        token.token_id.clone(),
        token.user_id.clone(),
        or_dash(token.client_id.as_deref()),
        or_dash(token.last_used_at.map(|at| relative(at, now))),
        or_dash(token.description.as_deref()),
    ]
}
