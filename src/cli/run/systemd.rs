//! What systemd is told (`sd_notify(3)`); elsewhere nobody listens.

use std::time::Duration;

use sd_notify::NotifyState;

use super::readiness::Progress;

/// Tells systemd, where it asked to be told.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told: {error}; is NOTIFY_SOCKET of this unit?");
    }
}

/// Pings the watchdog, where one is set, while the loop goes round: one that
/// hangs is restarted. Twice per period, as `sd_watchdog_enabled(3)` recommends.
pub(super) async fn watchdog(progress: Progress) {
    let Some(period) = sd_notify::watchdog_enabled().filter(|period| *period > Duration::ZERO) else {
        return;
    };
    let mut beats = tokio::time::interval(period / 2);
    loop {
        beats.tick().await;
        match progress.of_claims() {
            Ok(()) => tell(&[NotifyState::Watchdog]),
            Err(why) => tracing::warn!("no sign of life for systemd: {why}"),
        }
    }
}
