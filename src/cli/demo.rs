//! `tenantd demo` and `tenantd simulate`: their arguments; what they do is in
//! [`crate::demo`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::exit::Code;
use super::source::Source;
use crate::demo::{simulate, tour};
use crate::settings::InvalidSettings;

/// A private Postgres, a simulated Qlik Cloud that loses, spoils and refuses
/// answers, the real daemon, and sample tenants. No request leaves this machine,
/// and nothing is left behind.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd demo
  tenantd demo --tenants 50 --exit")]
pub(super) struct DemoArgs {
    /// How many tenants sign up
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=2000), value_name = "N")]
    tenants: u16,
    /// End when all are ready, instead of staying up until Ctrl-C
    #[arg(long)]
    exit: bool,
    /// What goes wrong by chance; the same seed, the same mishaps
    #[arg(long, default_value_t = 7, value_name = "N")]
    seed: u64,
}

/// For the tests of programs that talk to Qlik Cloud. The first line on standard
/// output is `listening on ADDRESS`; the rest says how to lead programs to it.
#[derive(Debug, Args)]
#[command(after_help = "Example: tenantd simulate --suffix us.qlikcloud.com --write-ca ca.pem --faults")]
pub(super) struct SimulateArgs {
    /// Where to listen: a loopback address; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// What hosts end in: every host with one label before it is a tenant; may be given more than once
    #[arg(long = "suffix", default_value = "us.qlikcloud.com", value_name = "SUFFIX")]
    suffixes: Vec<String>,
    /// Write the certificate that clients must trust into this file
    #[arg(long, value_name = "FILE")]
    write_ca: Option<PathBuf>,
    /// How long every answer takes at least
    #[arg(long, default_value = "50ms", value_parser = humantime::parse_duration, value_name = "DURATION")]
    latency: Duration,
    /// Lose, spoil and refuse answers by chance
    #[arg(long)]
    faults: bool,
    /// Of ids, secrets and faults; the same seed makes the same
    #[arg(long, default_value_t = 7, value_name = "N")]
    seed: u64,
    /// Client id of the regions' simulated OAuth client
    #[arg(long, default_value = "region-client", value_name = "ID")]
    region_client_id: String,
    /// Its secret, which opens nothing but this simulator
    #[arg(long, default_value = "region-secret", value_name = "SECRET")]
    region_client_secret: SecretString,
}

pub(super) async fn demo(args: &DemoArgs, source: &Source) -> anyhow::Result<Code> {
    let options = tour::Options {
        tenants: usize::from(args.tenants),
        exit: args.exit,
        seed: args.seed,
        database_url: given_database(source)?,
    };
    tour::run(options).await?;
    Ok(Code::Done)
}

/// The configured database, where one is: else the tour makes its own.
fn given_database(source: &Source) -> Result<Option<SecretString>, InvalidSettings> {
    let layered = source.layered()?;
    let is_given = layered.rows().iter().any(|row| row.key.starts_with("database.url"));
    is_given.then(|| layered.database().map(|database| database.url)).transpose()
}

pub(super) async fn simulate(args: SimulateArgs) -> anyhow::Result<Code> {
    let options = simulate::Options {
        listen: args.listen,
        suffixes: args.suffixes,
        write_ca: args.write_ca,
        latency: args.latency,
        faults: args.faults,
        seed: args.seed,
        region_client_id: args.region_client_id,
        region_client_secret: args.region_client_secret,
    };
    simulate::run(options).await?;
    Ok(Code::Done)
}
