//! SIGHUP: the configuration is read anew, all of it or nothing.
//!
//! The rule: whatever may fail is read and checked before anything is changed. What changed is told
//! by the names of settings, never by what they say.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::time::timeout;

use super::systemd;
use crate::api::{Given, Reload, TakenOver};
use crate::app::{self, Reloaded};
use crate::cli::source::Source;
use crate::cli::{checked, exit};
use crate::domain::text::plain;
use crate::engine::generations::Generations;
use crate::ports::Clock as _;
use crate::qlik::Cloud;
use crate::settings::{Changed, InvalidSettings, Marks, Settings, Warning};
use crate::system::SystemClock;
use crate::telemetry;
use crate::telemetry::logs::{Directives, Level};

/// How long files may take to be read: less than systemd waits for a reload (`TimeoutStartSec`).
const PATIENCE: Duration = Duration::from_secs(30);

/// What reads the configuration anew, and who is to know.
pub(super) struct Reloading {
    pub(super) source: Source,
    /// Of the configuration that holds.
    pub(super) marks: Marks,
    /// What only a restart takes over of what was read last.
    pub(super) at_restart: Vec<String>,
    pub(super) level: Level,
    /// Those who answer over HTTP.
    pub(super) given: Arc<ArcSwap<Given>>,
    pub(super) hangups: Signal,
    /// It was asked for before there was work.
    pub(super) is_asked: bool,
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
    /// What comes before the work. Whoever asks meanwhile is told that it is heeded then.
    pub(super) async fn after<T>(&mut self, before: impl Future<Output = T>) -> T {
        tokio::pin!(before);
        loop {
            tokio::select! {
                done = &mut before => return done,
                Some(()) = self.hangups.recv() => self.is_asked = true,
            }
            tracing::warn!(
                "the configuration is read anew once the database can be used; what has changed in [database] \
                 only a restart takes over"
            );
        }
    }

    /// Reads it anew at every SIGHUP.
    pub(super) async fn whenever_asked(mut self, generations: Arc<Generations<Cloud>>) {
        let clock = SystemClock::start();
        while std::mem::take(&mut self.is_asked) || self.hangups.recv().await.is_some() {
            tell_begun();
            let source = self.source.clone();
            let outcome = match in_time(PATIENCE, move || read(&source)).await {
                Ok(read) => Ok(self.take_over(read, &generations)),
                Err(error) => Err(told(&error)),
            };
            let at_restart = self.at_restart.clone();
            note(&outcome, at_restart.len());
            let now = Given {
                reload: Some(Reload { at: clock.now(), outcome, at_restart }),
                ..(*self.given.load_full()).clone()
            };
            self.given.store(Arc::new(now));
            systemd::tell(&[NotifyState::Ready, NotifyState::Status("claiming due tenants")]);
        }
    }

    /// From here on nothing fails.
    fn take_over(&mut self, read: Read, generations: &Generations<Cloud>) -> TakenOver {
        let changed = self.marks.changes_to(&read.marks);
        let keys_gone = read.reloaded.keys_gone(generations);
        self.marks.take_over(read.marks);
        read.reloaded.take_over(generations);
        // As the engine has them: not all is taken over.
        let terms = generations.now().terms.claim_terms();
        self.given.store(Arc::new(Given { terms, ..read.given }));
        let Changed { at_once: changed, at_restart } = changed;
        let taken_over = TakenOver { changed, keys_gone };
        self.at_the_chattier_level(read.directives, || {
            for warning in &read.warnings {
                tracing::warn!("{warning}");
            }
            say(&taken_over, &at_restart);
        });
        self.at_restart = at_restart;
        taken_over
    }

    /// That less is logged from now on is itself to be heard, as is that it is more.
    fn at_the_chattier_level(&self, directives: Directives, say: impl FnOnce()) {
        if tracing::enabled!(tracing::Level::INFO) {
            say();
            self.level.set(directives);
        } else {
            self.level.set(directives);
            say();
        }
    }
}

/// Files may be on a disk that hangs, or be a pipe without a writer. The thread that waits for them is
/// left to it.
async fn in_time<T: Send + 'static>(
    patience: Duration,
    read: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let Ok(read) = timeout(patience, tokio::task::spawn_blocking(read)).await else {
        bail!(
            "its files could not be read within {}: see that their disk answers, and that none is a pipe",
            humantime::format_duration(patience)
        );
    };
    read.context("a defect of tenantd")?
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

fn told(error: &anyhow::Error) -> String {
    match error.downcast_ref::<InvalidSettings>() {
        Some(invalid) => invalid.faults().iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        None => exit::words(error),
    }
}

fn say(TakenOver { changed, keys_gone }: &TakenOver, at_restart: &[String]) {
    let listed = |names: &[String]| plain(&names.join(", "));
    let what = match changed.as_slice() {
        [] if at_restart.is_empty() => "nothing of it has changed".to_owned(),
        [] => "nothing that is taken over at once has changed".to_owned(),
        names => format!("changed: {}", listed(names)),
    };
    tracing::info!(changed = listed(changed), "the configuration was read anew; {what}");
    if !at_restart.is_empty() {
        let names = listed(at_restart);
        tracing::warn!(settings = names, "only a restart takes over {names}; until then the old values hold");
    }
    for kid in keys_gone {
        tracing::warn!(
            kid = kid.as_str(),
            "key {} is no longer in the keyring, and what it sealed opens no longer: `tenantd keys list` says what that is",
            kid.as_str()
        );
    }
}

fn note(outcome: &Result<TakenOver, String>, at_restart: usize) {
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
    metrics::gauge!(telemetry::CONFIG_RESTART_PENDING)
        .set(f64::from(u32::try_from(at_restart).unwrap_or(u32::MAX)));
}

/// As `sd_notify(3)` asks: with the moment, so that an answer to an earlier signal is not taken for this one's.
fn tell_begun() {
    match NotifyState::monotonic_usec_now() {
        Ok(moment) => systemd::tell(&[NotifyState::Reloading, moment]),
        Err(_) => systemd::tell(&[NotifyState::Reloading]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_reads_a_file_that_never_answers_is_not_waited_for() {
        let (let_go, held) = std::sync::mpsc::channel::<()>();

        let hangs = in_time(Duration::from_millis(10), move || Ok(held.recv())).await;
        let reads = in_time(PATIENCE, || Ok(7)).await;
        let refuses = in_time::<u8>(PATIENCE, || bail!("a fault")).await;
        let panics = in_time::<u8>(PATIENCE, || panic!("by a defect")).await;
        drop(let_go);

        assert!(hangs.unwrap_err().to_string().contains("could not be read within 10ms"));
        assert_eq!(reads.unwrap(), 7);
        assert_eq!(refuses.unwrap_err().to_string(), "a fault");
        assert_eq!(panics.unwrap_err().to_string(), "a defect of tenantd");
    }
}
