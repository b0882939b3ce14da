//! `[database]`: its URL, and what of it depends on where it is read.
//!
//! The rule: nothing is taken from `PG…` variables. The driver reads them by itself
//! for whatever is left out: where we can, we set that to its default (`app/dial.rs`);
//! where we cannot, the variable is refused.

use super::checked::Database;
use super::database_url::{self, DatabaseUrl, Place, TlsMode, Unsound};
use super::misfit::Misfit;
use super::parse::{choice, count};
use super::ranges::MAX_CONNECTIONS;
use super::reader::{Read, Reader};
use super::secrets::Given;
use crate::domain::pooler::Pooler;

pub(super) fn database(from: &mut Reader<'_>) -> Read<Database> {
    let given = from.required_secret("database.url");
    let max_connections = from.required("database.max_connections", count(MAX_CONNECTIONS));
    let words = [("none", Pooler::None), ("transaction", Pooler::Transaction)];
    let pooler = from.required("database.pooler", choice(words));
    let listen = from.secret("database.listen_url");
    let given = given?;
    sound(from, &given)?;
    let listen = listen?;
    if let Some(listen) = &listen {
        sound(from, listen)?;
    }
    Ok(Database {
        url: given.secret,
        max_connections: max_connections?,
        pooler: pooler?,
        listen_url: listen.map(|listen| listen.secret),
    })
}

/// Whether a URL can be dialled as it says.
fn sound(from: &mut Reader<'_>, given: &Given) -> Read<()> {
    let url = database_url::read(given.text()).map_err(|Unsound { first, more }| {
        let recorded = given.fault(from, &first);
        more.iter().fold(recorded, |_, misfit| given.fault(from, misfit))
    })?;
    refuse_variables(from, given, &url)?;
    ignored_variables(from, given, &url);
    open_line(from, given, &url);
    Ok(())
}

/// Variables that the driver follows and that nothing else can override.
fn refuse_variables(from: &mut Reader<'_>, given: &Given, url: &DatabaseUrl) -> Read<()> {
    let has_tls = matches!(url.place, Place::Host(_));
    let into_url = "write what it says into the URL, or unset it";
    let mut refused = Ok(());
    for (variable, is_followed, remedy) in [
        ("PGUSER", url.user.is_none(), into_url),
        ("PGOPTIONS", true, "unset it; what it sets may stand in the URL as options[NAME]=VALUE"),
        ("PGSSLCERT", has_tls && url.client_cert.is_none(), into_url),
        ("PGSSLKEY", has_tls && url.client_cert.is_none(), into_url),
    ] {
        if is_followed && from.has_variable(variable) {
            let problem =
                format!("leaves out what {variable} says, which is set and which the driver would follow");
            refused = Err(given.fault(from, &Misfit::new(problem, remedy)));
        }
    }
    refused
}

/// Variables that other programs follow where the URL leaves something out.
fn ignored_variables(from: &mut Reader<'_>, given: &Given, url: &DatabaseUrl) {
    let is_verified = matches!(url.tls_mode, Some(TlsMode::VerifyCa | TlsMode::VerifyFull));
    for (variable, is_left_out) in [
        ("PGPASSWORD", url.password.is_none()),
        ("PGPASSFILE", url.password.is_none()),
        ("PGPORT", url.port.is_none()),
        ("PGDATABASE", url.database.is_none()),
        ("PGSSLMODE", url.tls_mode.is_none()),
        ("PGSSLROOTCERT", is_verified && url.root_cert.is_none()),
    ] {
        if is_left_out && from.has_variable(variable) {
            let sentence =
                format!("leaves out what {variable} says, which is set but not read: write it into the URL");
            from.warn(given.key(), given.told(&sentence));
        }
    }
}

/// Says what protects nothing, where the line leads to another machine.
fn open_line(from: &mut Reader<'_>, given: &Given, url: &DatabaseUrl) {
    let what = match url.tls_mode {
        _ if url.is_local() => return,
        Some(TlsMode::VerifyCa | TlsMode::VerifyFull) => return,
        None => "leaves out sslmode, so that TLS is used only if whoever answers offers it",
        Some(TlsMode::Disable) => "says sslmode=disable: everything crosses the network in the clear",
        Some(TlsMode::Allow) => "says sslmode=allow, which never uses TLS here",
        Some(TlsMode::Prefer) => "says sslmode=prefer, so that TLS is used only if whoever answers offers it",
        Some(TlsMode::Require) => "says sslmode=require, which takes any certificate from whoever answers",
    };
    from.warn(given.key(), given.told(&format!("{what}: write sslmode=verify-full")));
}
