//! The configuration of the demo's daemon, as a file that the other commands read too.
//!
//! The rule: it differs from production in waiting less, and in nothing else.

use std::path::Path;
use std::time::Duration;

use humantime::format_duration;

use crate::demo::config::{Reach, quoted};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const SETTLE: Duration = Duration::from_secs(2);

/// When a create lands that nobody waits for any more: its request was given up,
/// it was taken to have settled, and another was made.
pub(super) const TOO_LATE: Duration = Duration::from_secs(5);

/// Tenants worked on at a time: few enough that one can watch.
pub(super) const CONCURRENCY: usize = 8;

/// The whole file, which names the others.
pub(super) fn text(database_url: &Path, keyring: &Path, reach: &Reach<'_>) -> String {
    let (request_timeout, settle) = (format_duration(REQUEST_TIMEOUT), format_duration(SETTLE));
    let [database_url, keyring] = [database_url, keyring].map(|file| quoted(&file.display().to_string()));
    let (qlik_keys, region) = (reach.qlik_keys(), reach.region());
    format!(
        r#"# Written by `tenantd demo`, and removed with it.

[database]
url_file = {database_url}

[worker]
concurrency = {CONCURRENCY}
lease = "10s"
poll = "250ms"

[retry]
base = "500ms"
cap = "4s"

[qlik]
{qlik_keys}request_timeout = "{request_timeout}"
connect_timeout = "1s"
read_timeout = "{request_timeout}"
settle = "{settle}"

{region}
[profiles.default]
client_name = "Example portal"
redirect_uris = ["https://portal.example/callback"]

[vault]
keyring_file = {keyring}

[http]
listen = "127.0.0.1:0"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::scratch::Scratch;
    use crate::settings::Layered;

    #[test]
    fn the_file_is_a_configuration_that_can_run() {
        let scratch = Scratch::create().unwrap();
        let reach = Reach {
            addr: "127.0.0.1:8443".parse().unwrap(),
            ca_file: Path::new("/tmp/ca.pem"),
            suffixes: &["us.qlikcloud.com".to_owned(), "eu.qlikcloud.com".to_owned()],
            client_id: "region",
            client_secret: &"secret".into(),
        };

        let database_url = scratch.write("database-url", "postgres://localhost/a?host=/tmp").unwrap();

        let text = text(&database_url, Path::new("/tmp/k.json"), &reach);
        let file = scratch.write("tenantd.toml", &text).unwrap();
        let (settings, _) = Layered::load(Some(&file), []).unwrap().settings().unwrap();

        assert_eq!(settings.worker.concurrency, CONCURRENCY);
        assert_eq!(settings.regions[0].hosts.len(), 2);
        assert!(settings.qlik.request_timeout + settings.qlik.settle < TOO_LATE);
    }
}
