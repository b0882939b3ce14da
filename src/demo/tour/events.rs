//! What happens after the tour, told as pipelines hear of it: `LISTEN tenantd_events`.

use super::error::TourError;
use super::screen::Screen;
use crate::postgres::Connections;
use crate::postgres::work::listener::listener;
use serde::Deserialize;

/// The contract's notification.
#[derive(Deserialize)]
struct Event {
    external_id: String,
    #[serde(rename = "event")]
    what: String,
    reason: Option<String>,
}

/// Tells of every event, until the database is gone.
pub(super) async fn tell_all(connections: &Connections, screen: &mut Screen) -> Result<(), TourError> {
    // The tour's database is its own, with nothing in between.
    let Some(address) = connections.listening() else { return Ok(()) };
    let mut listener = listener(address, "tenantd_events").await?;
    loop {
        let notification = listener.recv().await?;
        screen.say(&line(notification.payload())).map_err(TourError::os("write to standard output"))?;
    }
}

fn line(payload: &str) -> String {
    match serde_json::from_str::<Event>(payload) {
        Ok(Event { external_id, what, reason: Some(reason) }) => {
            format!("  {external_id} is {what}: {reason}")
        }
        Ok(Event { external_id, what, reason: None }) => format!("  {external_id} is {what}"),
        Err(_) => format!("  {payload}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_as_a_sentence() {
        let ready = r#"{"external_id":"acme","event":"ready","phase":"ready","reason":null}"#;
        let parked = r#"{"external_id":"acme","event":"parked","phase":"pending","reason":"HostNotAllowed"}"#;

        assert_eq!(line(ready), "  acme is ready");
        assert_eq!(line(parked), "  acme is parked: HostNotAllowed");
    }
}
