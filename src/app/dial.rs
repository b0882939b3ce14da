//! From a checked URL to what the driver is told.
//!
//! The rule: **every option is set here**, even to its default. What is left out the
//! driver takes from `PGHOST`, `PGPASSWORD`, `~/.pgpass` and the like, so that one
//! configuration would mean different databases on different machines. Variables that
//! cannot be overruled so are refused (`settings/database.rs`).

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::settings::{DatabaseUrl, Place, TlsMode};

/// What the server calls us, unless the URL says otherwise.
const APPLICATION_NAME: &str = "tenantd";

const DEFAULT_PORT: u16 = 5432;

/// The driver's options for this URL.
pub(super) fn options(url: &DatabaseUrl) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .port(url.port.unwrap_or(DEFAULT_PORT))
        .password(url.password.as_ref().map_or("", ExposeSecret::expose_secret))
        .ssl_mode(tls_mode(url))
        .application_name(url.application_name.as_deref().unwrap_or(APPLICATION_NAME));
    let options = match &url.place {
        Place::Host(host) => options.host(host),
        Place::Socket(directory) => options.host("localhost").socket(directory),
    };
    let options = match &url.user {
        Some(user) => options.username(user),
        None => options,
    };
    let database = url.database.clone().unwrap_or_else(|| options.get_username().to_owned());
    let options = match &url.root_cert {
        Some(file) => options.ssl_root_cert(file),
        // None besides the public ones.
        None => options.ssl_root_cert_from_pem(Vec::new()),
    };
    let options = match &url.client_cert {
        Some((certificate, key)) => options.ssl_client_cert(certificate).ssl_client_key(key),
        None => options,
    };
    let options = match url.statement_cache {
        Some(capacity) => options.statement_cache_capacity(capacity),
        None => options,
    };
    let own = url.options.iter().map(|(name, value)| (name, value));
    let options = if url.options.is_empty() { options } else { options.options(own) };
    options.database(&database)
}

/// A socket leads nowhere: it has no TLS, whatever the URL asks for, as with libpq.
fn tls_mode(url: &DatabaseUrl) -> PgSslMode {
    if matches!(url.place, Place::Socket(_)) {
        return PgSslMode::Disable;
    }
    match url.tls_mode {
        Some(TlsMode::Disable) => PgSslMode::Disable,
        Some(TlsMode::Allow) => PgSslMode::Allow,
        Some(TlsMode::Prefer) | None => PgSslMode::Prefer,
        Some(TlsMode::Require) => PgSslMode::Require,
        Some(TlsMode::VerifyCa) => PgSslMode::VerifyCa,
        Some(TlsMode::VerifyFull) => PgSslMode::VerifyFull,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialled(url: &str) -> PgConnectOptions {
        options(&DatabaseUrl::parse(url).unwrap())
    }

    #[test]
    fn the_driver_is_told_what_the_url_says() {
        let full = dialled(
            "postgresql://us%40er:p%3Fw@[::1]:6543/da%2Fta?sslmode=verify-full&application_name=x&options[geqo]=off\
             &options=-c%20lock_timeout%3D5s%20--my.text%3Da%5C%20b",
        );

        assert_eq!((full.get_host(), full.get_port(), full.get_username()), ("::1", 6543, "us@er"));
        assert_eq!((full.get_database(), full.get_application_name()), (Some("da/ta"), Some("x")));
        assert!(matches!(full.get_ssl_mode(), PgSslMode::VerifyFull));
        assert_eq!(full.get_options(), Some(r"-c lock_timeout=5s -c my.text=a\ b -c geqo=off"));
    }

    #[test]
    fn what_the_url_leaves_out_is_the_default_and_never_the_environments() {
        let least = dialled("postgres://tenantd@db.internal");

        assert_eq!((least.get_host(), least.get_port()), ("db.internal", 5432));
        assert_eq!((least.get_database(), least.get_application_name()), (Some("tenantd"), Some("tenantd")));
        assert!(matches!(least.get_ssl_mode(), PgSslMode::Prefer));
        assert!(least.get_socket().is_none());
    }

    #[test]
    fn a_socket_is_dialled_without_tls_in_each_of_its_spellings() {
        for url in [
            "postgres://u@localhost:6000/a?host=/run/pg&sslmode=verify-full",
            "postgres://u@:6000/a?host=/run/pg",
            "postgres://u@%2Frun%2Fpg:6000/a",
            "postgres:///a?user=u&host=%2Frun%2Fpg&port=6000",
        ] {
            let options = dialled(url);

            let socket = options.get_socket().map(|it| it.display().to_string());
            assert_eq!((socket.as_deref(), options.get_port()), (Some("/run/pg"), 6000), "{url}");
            assert_eq!((options.get_username(), options.get_database()), ("u", Some("a")), "{url}");
            assert!(matches!(options.get_ssl_mode(), PgSslMode::Disable), "{url}");
        }
    }
}
