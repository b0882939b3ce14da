//! Arguments in, exit code out.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tenantd::cli::{self, Cli};
use tokio::runtime::Builder;

/// What still runs after a command has ended gets so long, and is then cut off.
const AFTERMATH: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // Fails only where a provider is installed already, and then there is one.
    rustls::crypto::ring::default_provider().install_default().ok();
    let cli = Cli::parse();
    match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(cli::run(cli));
            runtime.shutdown_timeout(AFTERMATH);
            code
        }
        Err(error) => cli::end(Err(anyhow::anyhow!(
            "no threads can be started: {error}; raise this user's limits on processes and open files"
        ))),
    }
}
