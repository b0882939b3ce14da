//! `tenantd demo`: the whole of tenantd on this machine alone, in under a minute.
//!
//! A private Postgres, a simulated Qlik Cloud that loses, spoils and refuses
//! answers, the real daemon, and customers signed up by SQL. At its end it holds
//! what tenantd says against what Qlik Cloud counted.
//!
//! The rule: no request leaves this machine, and nothing is left behind.

use std::io::Write;
use std::time::Duration;

use secrecy::SecretString;

use super::signals::Signals;
use crate::ports::Clock;
use crate::system::SystemClock;

use self::samples::Sample;
use self::screen::Screen;
use self::snapshot::Snapshot;
use self::stage::Stage;

mod config_file;
mod daemon;
mod database;
mod error;
mod events;
mod farewell;
mod log_file;
mod paint;
mod picture;
mod samples;
mod screen;
mod snapshot;
mod stage;
mod truth;

pub use error::TourError;
pub use truth::Truth;

/// How often to look.
const PERIOD: Duration = Duration::from_millis(100);
/// Longest wait for all tenants, whatever their number.
const PATIENCE: Duration = Duration::from_mins(1);
/// And for each of them.
const PATIENCE_PER_TENANT: Duration = Duration::from_millis(500);
/// Longest wait for the last look at tenants whose create went unanswered.
const HEALING: Duration = Duration::from_secs(20);

/// What kind of tour.
#[derive(Debug)]
pub struct Options {
    /// How many customers sign up, at least 1.
    pub tenants: usize,
    /// End when all are ready, instead of staying up until Ctrl-C.
    pub exit: bool,
    /// Of what goes wrong by chance.
    pub seed: u64,
    /// An empty database to use instead of a private Postgres.
    pub database_url: Option<SecretString>,
}

/// What a tour has shown.
#[derive(Debug, Clone)]
pub struct Summary {
    /// From the rows' insert until all were ready.
    pub took: Duration,
    /// How the promises stand.
    pub truth: Truth,
}

/// Gives the tour.
///
/// Without [`Options::exit`] it returns at Ctrl-C or SIGTERM.
///
/// # Errors
///
/// [`TourError`]; whatever it is, nothing is left behind.
pub async fn run(options: Options) -> Result<Summary, TourError> {
    run_on(options, Screen::of_stdout()).await
}

/// Gives the tour in plain lines to `out` instead of standard output.
pub async fn run_to(options: Options, out: Box<dyn Write + Send>) -> Result<Summary, TourError> {
    run_on(options, Screen::plain(out)).await
}

async fn run_on(options: Options, mut screen: Screen) -> Result<Summary, TourError> {
    let mut signals = Signals::listen().map_err(TourError::os("listen for Ctrl-C"))?;
    let Options { tenants, exit, seed, database_url } = options;
    let customers = samples::customers(tenants.max(1));
    welcome(&mut screen, customers.len(), !exit)?;
    let mut stage = Stage::set(database_url, seed, &customers, &mut screen).await?;
    let given = tokio::select! {
        given = give(&mut stage, &customers, exit, &mut screen) => given,
        () = signals.next() => Err(TourError::Interrupted),
    };
    let ended = match given {
        Ok(summary) if !exit => {
            stay(&mut stage, &customers, &mut signals, &mut screen).await.map(|()| summary)
        }
        other => other,
    };
    let struck = stage.strike().await;
    let summary = ended?;
    struck?;
    if exit {
        let text = farewell::next_after_exit(screen.paint());
        say(&mut screen, &text)?;
    }
    Ok(summary)
}

fn welcome(screen: &mut Screen, tenants: usize, has_typo: bool) -> Result<(), TourError> {
    let title = screen.paint().bold("tenantd: a tour on this machine alone");
    let customers = if tenants == 1 { "A customer".to_owned() } else { format!("{tenants} customers") };
    let (sign, whose) = if tenants == 1 { ("signs", "It") } else { ("sign", "Each") };
    let another = if has_typo {
        format!(", and {} with a typo in its host", ordinal(tenants + 1))
    } else {
        String::new()
    };
    say(
        screen,
        &format!(
            "{title}\n\n{customers} of yours {sign} up{another}.\n\
             {whose} needs an OAuth client in its own Qlik Cloud tenant, trusted, its secret kept. Qlik Cloud\n\
             is simulated here, and loses, spoils and refuses answers on purpose.\n"
        ),
    )
}

/// `a 13th`, `an 8th`, as it is spoken.
fn ordinal(number: usize) -> String {
    let article = if matches!(number, 8 | 11 | 18 | 80..=89 | 800..=899) { "an" } else { "a" };
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        (_, _) => "th",
    };
    format!("{article} {number}{suffix}")
}

fn say(screen: &mut Screen, text: &str) -> Result<(), TourError> {
    screen.say(text).map_err(TourError::os("write to standard output"))
}

/// Signs the customers up, watches until all are ready, and draws the balance.
async fn give(
    stage: &mut Stage,
    customers: &[Sample],
    exit: bool,
    screen: &mut Screen,
) -> Result<Summary, TourError> {
    let clock = SystemClock::start();
    samples::insert(&stage.database.connections, customers).await?;
    if !exit {
        samples::insert(&stage.database.connections, &[samples::mistyped()]).await?;
    }
    let first = customers.first().map(Sample::statement).unwrap_or_default();
    let (mark, first) = (screen.paint().good("✓"), screen.paint().dim(&format!("{first};")));
    say(screen, &format!("  {mark} each customer signed up by one statement:\n      {first}"))?;
    let took = watch(stage, customers.len(), &clock, screen).await?;
    let truth = Truth::read(&stage.database.connections, &stage.ledger()).await?;
    let text = farewell::proof(&truth, took, screen.paint());
    say(screen, &text)?;
    match truth.broken() {
        None => Ok(Summary { took, truth }),
        Some(broken) => Err(TourError::PromiseBroken(broken)),
    }
}

/// Shows how the tenants fare until all are ready and the last of them was
/// looked at once more; returns when they were ready.
async fn watch(
    stage: &mut Stage,
    wanted: usize,
    clock: &SystemClock,
    screen: &mut Screen,
) -> Result<Duration, TourError> {
    let patience = PATIENCE + PATIENCE_PER_TENANT * u32::try_from(wanted).unwrap_or(u32::MAX);
    let mut ticks = tokio::time::interval(PERIOD);
    let mut ready_at = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            error = stage.daemon.ended() => return Err(error),
        }
        let moment = Snapshot::take(&stage.store, &stage.ledger(), wanted, clock.elapsed()).await?;
        screen
            .show(&picture::lines(&moment, screen.paint()), moment.elapsed, &picture::line(&moment))
            .map_err(TourError::os("write to standard output"))?;
        if ready_at.is_none() && moment.ready >= wanted {
            ready_at = Some(moment.elapsed);
        }
        match ready_at {
            Some(at) if moment.rechecks == 0 || moment.elapsed > at + HEALING => return Ok(at),
            None if is_hopeless(&moment, wanted) || moment.elapsed > patience => {
                return Err(not_ready(&moment, wanted));
            }
            Some(_) | None => {}
        }
    }
}

/// Whether even those that go on by themselves would not be enough.
fn is_hopeless(moment: &Snapshot, wanted: usize) -> bool {
    moment.tenants - moment.parked < wanted
}

fn not_ready(moment: &Snapshot, tenants: usize) -> TourError {
    let (ready, seconds) = (moment.ready, moment.elapsed.as_secs());
    TourError::NotReady { ready, tenants, seconds, left: moment.left() }
}

/// Keeps everything up, tells what to try, and what happens.
async fn stay(
    stage: &mut Stage,
    customers: &[Sample],
    signals: &mut Signals,
    screen: &mut Screen,
) -> Result<(), TourError> {
    // The second one's first create got no answer: its history is worth reading.
    let example = customers.get(1).or(customers.first()).map_or("", |customer| customer.external_id.as_str());
    let text = farewell::next(&stage.files.config, &stage.files.database_url, example, screen.paint());
    say(screen, &text)?;
    let ended = tokio::select! {
        () = signals.next() => Ok(()),
        error = stage.daemon.ended() => Err(error),
        told = events::tell_all(&stage.database.connections, screen) => told,
    };
    say(screen, "\nStopping, and removing everything.")?;
    ended
}
