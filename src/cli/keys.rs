//! `tenantd keys`: the keyring.
//!
//! The rule: key material is written to a file that only its owner can read, or
//! to standard output where it was asked for; nothing is ever overwritten.

mod holdings;
mod rekey;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};

use super::exit::{self, Code};
use super::output::{self, Format, OutputArg};
use super::private_file::NewFile;
use super::source::Source;
use crate::domain::ids::KeyId;
use crate::system::OsEntropy;
use crate::vault::{KeyKind, Keyring, generate_key_set};

/// How long `keys list` looks for a database.
const LOOKING: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a keyring with one fresh key
    Generate(GenerateArgs),
    /// Print the public half of a keyring, for a daemon that only seals
    ///
    /// Every key must be of type p256.
    Public(PublicArgs),
    /// List the keys of the keyring and how many secrets each holds; shows no key material
    List(ListArgs),
    /// Seal stored secrets anew under the first key of the keyring
    Rekey(rekey::RekeyArgs),
}

/// A JWK Set (RFC 7517), as `vault.keyring_file` wants it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd keys generate --out /etc/tenantd/secrets/keyring
  tenantd keys generate --type p256 --out private.json && tenantd keys public private.json --out public.json")]
pub(super) struct GenerateArgs {
    /// What kind of key
    #[arg(long = "type", value_enum, default_value_t, value_name = "TYPE")]
    kind: Kind,
    /// Create this file, with mode 0600, instead of printing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: tenantd keys public private.json --out /etc/tenantd/secrets/keyring")]
pub(super) struct PublicArgs {
    /// The keyring with the private halves
    file: PathBuf,
    /// Create this file, with mode 0600, instead of printing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The keyring to list, instead of `vault.keyring_file`
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    #[command(flatten)]
    format: OutputArg,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Kind {
    /// 256 secret bits that seal and open
    #[default]
    Oct,
    /// A pair on P-256: the public half seals, the private half opens
    P256,
}

pub(super) async fn run(command: KeysCommand, source: &Source) -> anyhow::Result<Code> {
    match command {
        KeysCommand::Generate(args) => generate(&args),
        KeysCommand::Public(args) => public(&args),
        KeysCommand::List(args) => list(&args, source).await,
        KeysCommand::Rekey(args) => rekey::run(&args, source).await,
    }
}

fn generate(args: &GenerateArgs) -> anyhow::Result<Code> {
    let kind = match args.kind {
        Kind::Oct => KeyKind::Symmetric,
        Kind::P256 => KeyKind::P256,
    };
    let set = generate_key_set(kind, &OsEntropy)?;
    if let Some(path) = &args.out {
        create(path, set.expose_to_keys_generate())?;
        output::note(&format!(
            "wrote {} with mode 0600; back it up: without it no secret opens",
            path.display()
        ));
    } else {
        output::print(set.expose_to_keys_generate())?;
        output::note("keep this in a file with mode 0600 (`chmod 0600 FILE`), or use --out FILE");
    }
    Ok(Code::Done)
}

fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let file =
        NewFile::create(path, "a lost key loses secrets: choose another name, or move it away yourself")?;
    file.write(|file| file.write_all(text.as_bytes()))?;
    Ok(())
}

fn public(args: &PublicArgs) -> anyhow::Result<Code> {
    let set = Keyring::load(&args.file)?.public_key_set()?;
    if let Some(path) = &args.out {
        create(path, &set)?;
        output::note(&format!("wrote {} with mode 0600; it seals, and opens nothing", path.display()));
    } else {
        output::print(&set)?;
    }
    Ok(Code::Done)
}

async fn list(args: &ListArgs, source: &Source) -> anyhow::Result<Code> {
    let vault = source.vault(args.keyring.as_deref())?;
    let used = match used(source).await {
        Ok(used) => Some(used),
        Err(why) => {
            output::note(&format!(
                "how many secrets each key holds could not be seen: {}",
                exit::words(&why)
            ));
            None
        }
    };
    let keys = holdings::of(&vault, used.as_deref());
    match args.format.output {
        Format::Json => output::json(&keys)?,
        Format::Table => output::print(&holdings::sheet(&keys))?,
    }
    for key in keys.iter().filter(|key| key.is_gone()) {
        let secrets = output::count(key.secrets.unwrap_or_default(), "stored secret");
        output::note(&format!("key {:?} is not in this keyring, and holds {secrets}", key.kid));
    }
    Ok(Code::Done)
}

/// The keys that stored secrets name. A database that is away is not waited for.
async fn used(source: &Source) -> anyhow::Result<Vec<(KeyId, i64)>> {
    let looking = async { Ok(source.store().await?.sealing_keys().await?) };
    match tokio::time::timeout(LOOKING, looking).await {
        Ok(used) => used,
        Err(_) => Err(anyhow!("the database did not answer within {} seconds", LOOKING.as_secs())),
    }
}
