//! SIGINT and SIGTERM: the first ends an import behind the batch in hand, the second at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::output;

/// What was asked for by signals so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt {
    /// Behind the batch in hand.
    pub(super) soon: CancellationToken,
    /// At once.
    pub(super) now: CancellationToken,
}

impl Interrupt {
    /// Hears the signals from now on.
    pub(super) fn hear() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let asked = Self::default();
        let told = asked.clone();
        tokio::spawn(async move {
            for token in [&told.soon, &told.now] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if !told.soon.is_cancelled() {
                    output::note("ending behind the batch in hand; a second signal breaks off");
                }
                token.cancel();
            }
        });
        Ok(asked)
    }
}
