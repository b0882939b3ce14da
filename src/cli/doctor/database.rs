//! Role, schema, wake-up calls and clock.

use std::time::Duration;

use chrono::TimeDelta;

use super::finding::Findings;
use crate::app;
use crate::domain::message::Message;
use crate::ports::Clock;
use crate::postgres::operator::doctor;
use crate::postgres::work::listener;
use crate::postgres::{Connections, Store};
use crate::system::SystemClock;

/// Clocks further apart are worth a word. Nothing breaks: leases and due times
/// come from the database alone.
const SKEW: TimeDelta = TimeDelta::seconds(5);

pub(super) async fn role(connections: &Connections, findings: &mut Findings) -> anyhow::Result<()> {
    let rights = match doctor::rights(connections).await {
        Ok(rights) => rights,
        Err(error) => return Ok(findings.fail("role", app::started(&error).message())?),
    };
    let role = rights.role;
    match (rights.is_superuser, rights.may_work) {
        (true, _) => findings.warn(
            "role",
            &format!("{role} is a superuser"),
            "run the daemon as a login of its own that has tenantd_daemon (deploy/postgres/roles.sql)",
        )?,
        (false, Some(true)) => findings.ok("role", &format!("{role} may do the daemon's work"))?,
        (false, Some(false)) => findings.fail(
            "role",
            Message::new(
                format!("{role} may not write what the daemon writes"),
                "use a login that has tenantd_daemon, or run deploy/postgres/roles.sql again",
            ),
        )?,
        (false, None) => findings.ok("role", &format!("{role}; its rights show when the schema is there"))?,
    }
    Ok(())
}

pub(super) async fn schema(
    connections: &Connections,
    findings: &mut Findings,
) -> anyhow::Result<Option<Store>> {
    match app::open_store(connections).await {
        Ok(store) => {
            findings.ok("schema", "every migration of this version is there")?;
            Ok(Some(store))
        }
        Err(error) => {
            findings.fail("schema", error.message())?;
            Ok(None)
        }
    }
}

/// Whether new rows wake the daemon.
pub(super) async fn wake_ups(
    connections: &Connections,
    poll: Duration,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    match listener::is_heard(connections).await {
        Ok(Some(true)) => findings.ok("wake-ups", "new rows are heard of at once")?,
        Ok(Some(false)) => findings.fail(
            "wake-ups",
            Message::new(
                "what is called at database.url is not heard where the daemon listens",
                "let database.listen_url lead to the same database, past any pooler",
            ),
        )?,
        Ok(None) => findings.warn(
            "wake-ups",
            &format!(
                "through a pooler nobody can listen: new rows are found by worker.poll, within {}",
                humantime::format_duration(poll)
            ),
            "set database.listen_url to an address that leads to the server itself",
        )?,
        Err(error) => findings.fail(
            "wake-ups",
            Message::new(
                format!("nobody can listen for new rows: {error}"),
                "let database.listen_url lead to the server itself",
            ),
        )?,
    }
    Ok(())
}

pub(super) async fn clock(connections: &Connections, findings: &mut Findings) -> anyhow::Result<()> {
    let machine = SystemClock::start();
    let skew = match doctor::server_clock(connections).await {
        Ok(server) => server - machine.now() + TimeDelta::from_std(machine.elapsed() / 2)?,
        Err(error) => return Ok(findings.fail("clock", app::started(&error).message())?),
    };
    if skew.abs() > SKEW {
        let (seconds, side) =
            (skew.abs().num_seconds(), if skew > TimeDelta::zero() { "ahead of" } else { "behind" });
        findings.warn(
            "clock",
            &format!("the database is {seconds} s {side} this machine"),
            "set both by NTP; leases are safe either way, but logs and Retry-After dates mislead",
        )?;
    } else {
        findings.ok("clock", &format!("{} ms from the database's", skew.abs().num_milliseconds()))?;
    }
    Ok(())
}
