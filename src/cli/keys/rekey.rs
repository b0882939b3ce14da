//! `tenantd keys rekey`: seals stored secrets anew under the first key of the keyring.
//!
//! The rules: it may be stopped at any point, because each secret is either as it was or as it
//! shall be, and what is left is found by looking; a secret that does not open is told and left as
//! it is, and the others go on; no text is exchanged before the new one was opened.

mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::report::{Report, Unopened};
use crate::app::StartError;
use crate::cli::exit::{Code, Misuse};
use crate::cli::output::{self, Format, OutputArg};
use crate::cli::source::Source;
use crate::domain::host::Host;
use crate::domain::ids::{ClientId, KeyId};
use crate::ports::Clock as _;
use crate::postgres::error::Meaning;
use crate::postgres::operator::rekey::{Exchange, Stored};
use crate::postgres::{Store, StoreError};
use crate::system::{OsEntropy, SystemClock};
use crate::vault::{OpenError, SealAnewError, Sealed, SealedFor, Vault};

/// So many numbers are looked at by one statement.
const SLICE: u32 = 500;
/// Most texts that one statement exchanges.
const MOST_AT_ONCE: u32 = 50;
/// How often all is looked at again for what daemons sealed meanwhile.
const PASSES: u32 = 5;
/// How long somebody has for what was busy, before all is looked at again.
const REST: Duration = Duration::from_secs(1);
/// How often it is said how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Each secret is opened, sealed under the first key, opened again, and exchanged only if it is
/// still the one that was read. It may be stopped at any point and run again. Daemons and web apps
/// must hold the new key already, and the old one until this has ended.
#[derive(Debug, Args)]
#[command(after_help = "\
Needs the login of the schema's owner, and a keyring that opens. Exits with 3 while other keys
still hold secrets, and with 4 where some do not open.

Example: tenantd keys rekey --keyring private.json --dry-run")]
pub(in crate::cli) struct RekeyArgs {
    /// The keyring, instead of `vault.keyring_file`: where the daemon only seals
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Most secrets sealed anew in a second
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    per_second: u32,
    /// Say how many secrets each key holds, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: &RekeyArgs, source: &Source) -> anyhow::Result<Code> {
    rekey(args, source).await.map_err(explained)
}

/// The remedies of others name a login that may not do this.
fn explained(error: anyhow::Error) -> anyhow::Error {
    let problem = match (error.downcast_ref::<StartError>(), error.downcast_ref::<StoreError>()) {
        (Some(StartError::Forbidden(said)), _) => said.clone(),
        (_, Some(said)) if said.meaning() == Some(Meaning::Forbidden) => said.message().problem,
        (_, _) => return error,
    };
    Misuse(format!("{problem}; `tenantd keys rekey` needs the login of the schema's owner")).into()
}

async fn rekey(args: &RekeyArgs, source: &Source) -> anyhow::Result<Code> {
    let vault = source.vault(args.keyring.as_deref())?;
    let key = first_key(&vault)?;
    let store = source.store().await?;
    let mut report = Report::new(&key, args.dry_run, &vault, &store.sealing_keys().await?);
    if !args.dry_run {
        let pace = pace(args.per_second);
        let format = args.format.output;
        let clock = SystemClock::start();
        let (store, vault, key) = (&store, &vault, &key);
        let mut rekeying = Rekeying { store, vault, key, pace, format, clock, told: Duration::ZERO };
        rekeying.until_nothing_is_left(&mut report).await?;
        report.left(vault, &store.sealing_keys().await?);
    }
    match args.format.output {
        Format::Json => output::json(&report)?,
        Format::Table => output::print(&report.sheet())?,
    }
    report.remarks().iter().for_each(|remark| output::note(remark));
    Ok(report.code())
}

/// The key to seal with; it must open too.
fn first_key(vault: &Vault) -> anyhow::Result<KeyId> {
    let first = vault.keyring().list().find(|key| key.is_sealing);
    // Cannot fail: a ring is only made with a key in it.
    let kid = first.expect("a keyring is never empty").kid;
    if vault.is_seal_only() {
        return Err(Misuse(format!(
            "this keyring only seals: its first key {:?} has no private half, so nothing could be opened again; \
             name the keyring that has it with --keyring FILE",
            kid.as_str()
        ))
        .into());
    }
    Ok(kid)
}

/// How many texts are exchanged at a time, and how often.
struct Pace {
    at_once: usize,
    ticks: Interval,
}

fn pace(per_second: u32) -> Pace {
    let at_once = (per_second / 10).clamp(1, MOST_AT_ONCE);
    let mut ticks = interval(Duration::from_secs(1) * at_once / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Pace { at_once: at_once as usize, ticks }
}

struct Rekeying<'a> {
    store: &'a Store,
    vault: &'a Vault,
    key: &'a KeyId,
    pace: Pace,
    format: Format,
    clock: SystemClock,
    told: Duration,
}

impl Rekeying<'_> {
    /// Passes until one has nothing to do any more: daemons seal meanwhile, perhaps under a key of
    /// their own, and what was busy is free by then.
    async fn until_nothing_is_left(&mut self, report: &mut Report) -> anyhow::Result<()> {
        for pass in 1..=PASSES {
            let (sealed_anew, passed_by) = (report.sealed_anew, report.passed_by);
            report.unopened = BTreeMap::new();
            self.pass(report).await?;
            if (report.sealed_anew, report.passed_by) == (sealed_anew, passed_by) {
                break;
            }
            if report.passed_by > passed_by && pass < PASSES {
                tokio::time::sleep(REST).await;
            }
        }
        Ok(())
    }

    /// Once through all secrets.
    async fn pass(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let mut behind = i64::MIN;
        loop {
            let slice = self.store.slice_of_secrets(behind, self.key, SLICE).await?;
            for few in slice.others.chunks(self.pace.at_once) {
                self.pace.ticks.tick().await;
                self.exchange(few, report).await?;
                self.tell(report);
            }
            match slice.end {
                Some(end) => behind = end,
                None => return Ok(()),
            }
        }
    }

    async fn exchange(&self, few: &[Stored], report: &mut Report) -> anyhow::Result<()> {
        let mut texts = Vec::with_capacity(few.len());
        for stored in few {
            match self.seal_anew(stored) {
                Ok(sealed) => texts.push(Exchange {
                    secret_id: stored.secret_id,
                    was: stored.sealed.clone(),
                    sealed: sealed.as_str().to_owned(),
                }),
                Err(SealAnewError::Open(error)) => report.unopened(stored, Unopened::of(&error)),
                Err(error @ (SealAnewError::Seal(_) | SealAnewError::Unlike)) => return Err(error.into()),
            }
        }
        if texts.is_empty() {
            return Ok(());
        }
        let exchanged = self.store.exchange_sealed(self.key, &texts).await?.len();
        report.sealed_anew += exchanged as u64;
        report.passed_by += texts.len().saturating_sub(exchanged) as u64;
        Ok(())
    }

    fn seal_anew(&self, stored: &Stored) -> Result<Sealed, SealAnewError> {
        let host = Host::parse(&stored.host).map_err(|_| OpenError::WrongRow { field: "host" })?;
        let client_id = ClientId::new(stored.client_id.clone());
        let row = SealedFor { tenant_id: stored.tenant_id, host: &host, client_id: &client_id };
        self.vault.seal_anew(&stored.sealed, &row, &OsEntropy)
    }

    fn tell(&mut self, report: &Report) {
        let now = self.clock.elapsed();
        if now.saturating_sub(self.told) >= TELL_EVERY {
            self.told = now;
            output::note(&report.progress(self.format));
        }
    }
}
