//! SIGHUP: the configuration is read anew, all of it or nothing.
//!
//! The rule: whatever may fail is read and checked before anything is changed. What changed is told
//! by the names of settings, never by what they say.

use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use sd_notify::NotifyState;
use tokio::signal::unix::Signal;

use super::{keys, systemd};
use crate::api::{Given, Reload};
use crate::app::{self, Reloaded};
use crate::cli::checked;
use crate::cli::source::Source;
use crate::domain::text::plain;
use crate::engine::generations::Generations;
use crate::ports::Clock as _;
use crate::qlik::Cloud;
use crate::settings::{Changed, InvalidSettings, Marks, Settings, Warning};
use crate::system::SystemClock;
use crate::telemetry;
use crate::telemetry::logs::{Directives, Level};

/// What reads the configuration anew, and who is to know.
pub(super) struct Reloading {
    pub(super) source: Source,
    /// Of the configuration that holds.
    pub(super) marks: Marks,
    pub(super) level: Level,
    /// Those who answer over HTTP.
    pub(super) given: Arc<ArcSwap<Given>>,
    pub(super) hangups: Signal,
}

/// A configuration that can be taken over.
struct Read {
    marks: Marks,
    reloaded: Reloaded,
    given: Given,
    directives: Directives,
    warnings: Vec<Warning>,
}

impl Reloading {
    /// Reads it anew at every SIGHUP.
    pub(super) async fn whenever_asked(mut self, generations: Arc<Generations<Cloud>>) {
        let clock = SystemClock::start();
        while self.hangups.recv().await.is_some() {
            tell_begun();
            let source = self.source.clone();
            // It reads files, which may be on a disk that hangs.
            let read = tokio::task::spawn_blocking(move || read(&source)).await;
            let outcome = match read.context("a defect of tenantd").and_then(|read| read) {
                Ok(read) => Ok(self.take_over(read, &generations)),
                Err(error) => Err(told(&error)),
            };
            note(&outcome);
            let now = Given {
                reload: Some(Reload { at: clock.now(), outcome }),
                ..(*self.given.load_full()).clone()
            };
            self.given.store(Arc::new(now));
            systemd::tell(&[NotifyState::Ready, NotifyState::Status("claiming due tenants")]);
            sort(&generations).await;
            keys::tell_missing(&generations).await;
        }
    }

    /// From here on nothing fails. Returns what only a restart takes over.
    fn take_over(&mut self, read: Read, generations: &Generations<Cloud>) -> Vec<String> {
        let changed = self.marks.changes_to(&read.marks);
        self.marks.take_over(read.marks);
        read.reloaded.take_over(generations);
        self.given.store(Arc::new(read.given));
        self.level.set(read.directives);
        for warning in &read.warnings {
            tracing::warn!("{warning}");
        }
        say(&changed);
        changed.at_restart
    }
}

/// What the configuration says to those who answer.
pub(super) fn given(settings: &Settings) -> Given {
    Given {
        terms: app::terms(settings).claim_terms(),
        bounds: settings.bounds,
        rotate_every: settings.rotation.every,
        reload: None,
    }
}

fn read(source: &Source) -> anyhow::Result<Read> {
    let layered = source.layered()?;
    // Before what they mark: a file that changes meanwhile is found to differ next time.
    let marks = layered.marks();
    let settings = checked::settings(&layered)?;
    let directives = Directives::parse(&settings.log.level)?;
    let given = given(&settings);
    let reloaded = Reloaded::of(settings)?;
    Ok(Read { marks, reloaded, given, directives, warnings: layered.warnings() })
}

/// Rows are sorted by the regions that hold now. Where the database is away, the upkeep does it.
async fn sort(generations: &Generations<Cloud>) {
    let engine = generations.now();
    if let Err(error) = engine.adopt_regions().await {
        engine.outage.note(&error);
    }
}

fn told(error: &anyhow::Error) -> String {
    match error.downcast_ref::<InvalidSettings>() {
        Some(invalid) => invalid.faults().iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        None => format!("{error:#}"),
    }
}

fn say(changed: &Changed) {
    let listed = |names: &[String]| plain(&names.join(", "));
    let what = match changed.at_once.as_slice() {
        [] => "nothing of it has changed".to_owned(),
        names => format!("changed: {}", listed(names)),
    };
    tracing::info!(changed = listed(&changed.at_once), "the configuration was read anew; {what}");
    if !changed.at_restart.is_empty() {
        let names = listed(&changed.at_restart);
        tracing::warn!(settings = names, "only a restart takes over {names}; until then the old values hold");
    }
}

fn note(outcome: &Result<Vec<String>, String>) {
    let (word, stale) = match outcome {
        Ok(_) => (telemetry::metrics::RELOADED, 0.0),
        Err(why) => {
            tracing::error!(
                "the configuration could not be read anew, so nothing has changed: {}",
                plain(why)
            );
            (telemetry::metrics::UNCHANGED, 1.0)
        }
    };
    metrics::counter!(telemetry::CONFIG_RELOADS_TOTAL, "outcome" => word).increment(1);
    metrics::gauge!(telemetry::CONFIG_STALE).set(stale);
}

/// As `sd_notify(3)` asks: with the moment, so that an answer to an earlier signal is not taken for this one's.
fn tell_begun() {
    match NotifyState::monotonic_usec_now() {
        Ok(moment) => systemd::tell(&[NotifyState::Reloading, moment]),
        Err(_) => systemd::tell(&[NotifyState::Reloading]),
    }
}
