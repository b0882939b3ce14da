//! SIGTERM and SIGINT: at the first, work in hand is finished; at the second, it is
//! broken off. SIGHUP: the configuration is read anew, or, where nobody would, work in hand is finished.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::engine::shutdown::Stop;

/// A stop that these signals request from now on.
pub(super) fn stop() -> io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = Stop::new();
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            say(&told);
            told.request();
        }
    });
    Ok(stop)
}

/// SIGHUP from now on. One that comes before anybody listens is kept, and several are one.
pub(super) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// For a single run, whose SIGHUP is that of a terminal that was closed: finishes what is in hand, however
/// often it comes.
pub(super) fn drain_at(mut hangups: Signal, stop: &Stop) {
    let stop = stop.clone();
    tokio::spawn(async move {
        hangups.recv().await;
        if !stop.drain.is_cancelled() {
            say(&stop);
            stop.drain.cancel();
        }
    });
}

fn say(stop: &Stop) {
    if stop.drain.is_cancelled() {
        tracing::warn!("stopping at once; leases run out by themselves");
    } else {
        tracing::info!("stopping: the steps under way are finished; a second signal breaks off");
    }
}
