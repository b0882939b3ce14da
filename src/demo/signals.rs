//! Ctrl-C and SIGTERM.
//!
//! The rule: they are caught from the first moment, so that whatever was set up
//! is taken down again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals, once they are asked for.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one that came since the last was told.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
