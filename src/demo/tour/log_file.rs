//! The daemon's log, in a file: the screen is for the tour.

use std::fs::File;
use std::sync::Mutex;

use tracing_subscriber::filter::EnvFilter;

/// Our own steps in detail. What carries requests stays quiet: it would print them.
const LEVELS: &str = "warn,tenantd=debug";

/// Logs to this file from now on, unless this process logs elsewhere already.
/// Returns whether it does.
pub(super) fn begin(file: File) -> bool {
    let log = tracing_subscriber::fmt().with_writer(Mutex::new(file)).with_ansi(false);
    log.with_env_filter(EnvFilter::new(LEVELS)).try_init().is_ok()
}
