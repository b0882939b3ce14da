//! `tenantd support-bundle`: one file for whoever helps.
//!
//! The rules: **no secret is in it, whatever was planted where** (`redact`); whatever cannot be
//! told becomes a note, and keeps nothing else back; every part is bounded in time and size; and
//! it tells what the other commands tell, by their own questions. It changes nothing, and sends
//! the file nowhere.

mod archive;
mod bundle;
mod daemon;
mod database;
mod fleet;
mod known;
mod looks;
mod machine;
mod names;
mod readme;
mod redact;
mod tenants;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::doctor::{self, Findings};
use super::exit::Code;
use super::output::{self, Format, OutputArg};
use super::private_file::NewFile;
use super::source::Source;
use crate::ports::Clock as _;
use crate::postgres::Store;
use crate::settings::{InvalidSettings, Layered};
use crate::system::SystemClock;

use archive::Packed;
use bundle::Bundle;
use names::Names;
use redact::Redactor;

/// The doctor asks every region; all else is one question.
const EXAMINATION: Duration = Duration::from_mins(1);

/// What is set, versions, schema, counts, brakes, the last failures, what the doctor finds and the
/// daemon's metrics, in a .tar.gz with a README.txt that says what each file is. Secrets are left
/// out, and so are the values of labels. What cannot be asked is noted, and the rest is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd support-bundle
  tenantd support-bundle --anonymous --tenant customer-42 --since 72h --out bundle.tar.gz")]
pub(super) struct SupportBundleArgs {
    /// Create this file, with mode 0600; by default tenantd-support-TIME.tar.gz, here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// All that is known of this tenant too; may be given more than once
    #[arg(long = "tenant", value_name = "EXTERNAL_ID")]
    tenants: Vec<String>,
    /// Failures that are not older
    #[arg(long, default_value = "24h", value_parser = humantime::parse_duration, value_name = "DURATION")]
    since: Duration,
    /// Write pseudonyms instead of external ids and hosts, the same in every bundle
    #[arg(long)]
    anonymous: bool,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: &SupportBundleArgs, source: &Source) -> anyhow::Result<Code> {
    let clock = SystemClock::start();
    let path = args.out.clone().unwrap_or_else(|| default_path(&clock));
    // First of all, so that nobody waits for what cannot be written.
    let file = NewFile::create(&path, "choose another name with --out")?;
    let layered = source.layered();
    let packed = file.unless_interrupted(gathered(args, source, &layered, clock)).await?;
    let bytes = file.write(|file| archive::write(file, &packed, clock.now()))?;
    tell(&path, bytes, &packed, args)?;
    Ok(Code::Done)
}

fn default_path(clock: &SystemClock) -> PathBuf {
    PathBuf::from(format!("tenantd-support-{}.tar.gz", clock.now().format("%Y%m%dT%H%M%SZ")))
}

/// Everything, as it may leave the machine.
async fn gathered(
    args: &SupportBundleArgs,
    source: &Source,
    layered: &Result<Layered, InvalidSettings>,
    clock: SystemClock,
) -> Packed {
    let mut bundle = Bundle::new(clock);
    bundle.value("version.json", "the program", &machine::version());
    bundle.value(
        "machine.json",
        "operating system, kernel, memory and this command's limits",
        &machine::machine(),
    );
    configuration(&mut bundle, layered);
    examination(&mut bundle, source).await;
    let mut store = None;
    if let Ok(layered) = layered {
        daemon::ask(&mut bundle, layered).await;
        store = database::ask(&mut bundle, layered).await;
        if let Some(store) = &store {
            fleet::ask(&mut bundle, layered, store, args.since).await;
            tenants::ask(&mut bundle, layered, store, &args.tenants).await;
        }
    }
    let redactor = Redactor::new(&layered.as_ref().map(Layered::secrets).unwrap_or_default());
    let names = nameless(args, &mut bundle, layered, store.as_ref()).await;
    archive::pack(&bundle, &readme::terms(args.anonymous, args.since), names.as_ref(), &redactor)
}

fn configuration(bundle: &mut Bundle, layered: &Result<Layered, InvalidSettings>) {
    const ABOUT: &str = "every setting, where it was set, and what is wrong or unwise; as `tenantd config`";
    let faults = |invalid: &InvalidSettings| -> Vec<String> {
        invalid.faults().iter().map(ToString::to_string).collect()
    };
    let told = match layered {
        Err(invalid) => json!({ "faults": faults(invalid) }),
        Ok(layered) => json!({
            "settings": layered.rows(),
            "faults": layered.settings().as_ref().map_or_else(faults, |_| Vec::new()),
            "warnings": layered.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    };
    bundle.value("configuration.json", ABOUT, &told);
}

/// What was found before the time was over is told all the same.
async fn examination(bundle: &mut Bundle, source: &Source) {
    const FILE: &str = "doctor.json";
    // As JSON it says nothing while it goes.
    let mut findings = Findings::new(Format::Json);
    // Boxed: it holds all that asking Qlik takes.
    bundle.within(FILE, EXAMINATION, Box::pin(doctor::check(source, &mut findings))).await;
    bundle.value(FILE, "what `tenantd doctor` finds", &findings.all());
}

/// The pseudonyms, where they were asked for.
async fn nameless(
    args: &SupportBundleArgs,
    bundle: &mut Bundle,
    layered: &Result<Layered, InvalidSettings>,
    store: Option<&Store>,
) -> Option<Names> {
    if !args.anonymous {
        return None;
    }
    let patterns = layered.as_ref().map(Layered::readable_hosts).unwrap_or_default();
    let mut names = Names::found_in(bundle, &args.tenants, patterns);
    if let Some(store) = store {
        let known = async { Ok(store.named(&names.external_ids(), &names.hosts()).await?) };
        let known = bundle.within("the pseudonyms", bundle::QUESTION, known).await;
        names.learn(&known.unwrap_or_default());
    }
    Some(names)
}

/// Says what is in it, before anybody sends it.
fn tell(path: &Path, bytes: u64, packed: &Packed, args: &SupportBundleArgs) -> anyhow::Result<()> {
    match args.format.output {
        Format::Json => output::json(&json!({
            "file": path,
            "bytes": bytes,
            "anonymous": args.anonymous,
            "redacted": packed.redacted,
            "parts": packed.parts,
            "notes": packed.notes,
        }))?,
        Format::Table => {
            let row = |part: &archive::PackedPart| {
                vec![part.file.clone(), part.bytes.to_string(), part.about.clone()]
            };
            output::print(&output::table(&["FILE", "BYTES", "WHAT"], packed.parts.iter().map(row)))?;
        }
    }
    for note in &packed.notes {
        output::note(&format!("not told: {note}"));
    }
    let names = if args.anonymous {
        "pseudonyms stand for external ids and hosts"
    } else {
        "external ids and hosts are in it; --anonymous writes pseudonyms"
    };
    let shown = path.display();
    output::note(&format!("wrote {shown} with mode 0600 ({bytes} bytes); the file was sent nowhere"));
    output::note(&format!("{names}; read it before you send it: mkdir bundle && tar -xzf {shown} -C bundle"));
    Ok(())
}
