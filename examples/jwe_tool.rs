//! Seals and opens rows from the command line, for `tests/interop/run.sh`.
//!
//! `generate oct|p256` and `public KEYRING` print a key set; `seal KEYRING` and
//! `open KEYRING` read a row of `tenantd.credentials` as JSON. An operator's tool is
//! `tenantd keys` and `tenantd secret reveal`; this one needs no database.

use std::env;
use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value};
use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::domain::secret::ClientSecret;
use tenantd::ports::Entropy;
use tenantd::vault::{KeyKind, Keyring, SealedFor, Vault, generate_key_set};

const USAGE: &str = "usage: jwe_tool generate oct|p256 | public KEYRING | seal KEYRING | open KEYRING";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["generate", "oct"] => generate(KeyKind::Symmetric),
        ["generate", "p256"] => generate(KeyKind::P256),
        ["public", file] => print_public(&Keyring::load(Path::new(file))?),
        ["seal", file] => seal(&Vault::new(Keyring::load(Path::new(file))?)),
        ["open", file] => open(&Vault::new(Keyring::load(Path::new(file))?)),
        _ => Err(USAGE.into()),
    }
}

fn generate(kind: KeyKind) -> Result<(), Box<dyn Error>> {
    print!("{}", generate_key_set(kind, &OsEntropy)?.expose_to_keys_generate());
    Ok(())
}

fn print_public(keyring: &Keyring) -> Result<(), Box<dyn Error>> {
    print!("{}", keyring.public_key_set()?);
    Ok(())
}

/// Prints the row with `sealed` in place of its `client_secret`.
fn seal(vault: &Vault) -> Result<(), Box<dyn Error>> {
    let mut row: Map<String, Value> = serde_json::from_reader(io::stdin())?;
    let secret = ClientSecret::new(text(&row, "client_secret")?.to_owned());
    let sealed = with_identity(&row, |identity| Ok(vault.seal(identity, &secret, &OsEntropy)?))?;
    row.remove("client_secret");
    row.insert("sealed".into(), sealed.as_str().into());
    println!("{}", Value::Object(row));
    Ok(())
}

/// Prints the secret of a row.
fn open(vault: &Vault) -> Result<(), Box<dyn Error>> {
    let row: Map<String, Value> = serde_json::from_reader(io::stdin())?;
    let secret = with_identity(&row, |identity| Ok(vault.open(text(&row, "sealed")?, identity)?))?;
    println!("{}", secret.expose_to_reveal());
    Ok(())
}

fn with_identity<T>(
    row: &Map<String, Value>,
    act: impl FnOnce(&SealedFor<'_>) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let tenant_id = TenantId(text(row, "tenant_id")?.parse()?);
    let host = Host::parse(text(row, "host")?)?;
    let client_id = ClientId::new(text(row, "client_id")?);
    act(&SealedFor { tenant_id, host: &host, client_id: &client_id })
}

fn text<'a>(row: &'a Map<String, Value>, member: &str) -> Result<&'a str, String> {
    row.get(member).and_then(Value::as_str).ok_or_else(|| format!("the row needs a text `{member}`"))
}

struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "an example brings its own adapter of the port")]
    fn bits(&self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        u128::from_ne_bytes(bytes)
    }
}
