//! What pauses of tenants, regions and the fleet have in common: why, and until when.
//!
//! The rule: a pause has a reason, and an end that has passed already is a mistake and
//! not a pause.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use super::exit::Misuse;
use crate::domain::why::{EXPECTED, why};
use crate::postgres::Store;
use crate::postgres::pauses::{End, FLEET};

/// Why, and until when.
#[derive(Debug, Args)]
pub(super) struct PauseTerms {
    /// Why, for those who wonder
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(super) reason: String,
    /// End by itself at this instant, such as 2027-01-31T08:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = instant, conflicts_with = "duration")]
    until: Option<DateTime<Utc>>,
    /// End by itself after this long, such as 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
}

impl PauseTerms {
    /// When it ends, judged by the database's clock.
    pub(super) async fn end(&self, store: &Store) -> anyhow::Result<End> {
        let end = End::of(self.until, self.duration)
            .ok_or_else(|| Misuse("--for is no time for a pause; name one up to 10000d".to_owned()))?;
        match self.until {
            Some(until) if end.is_past(store.now().await?) => {
                Err(Misuse(format!("{} is in the past; name an instant to come", said(until))).into())
            }
            Some(_) | None => Ok(end),
        }
    }

    /// How it ends, in words.
    pub(super) fn ending(&self, by_hand: &str) -> String {
        match (self.until, self.duration) {
            (Some(until), _) => format!("until {}; {by_hand} ends it earlier", said(until)),
            (None, Some(duration)) => {
                format!("for {}; {by_hand} ends it earlier", humantime::format_duration(duration))
            }
            (None, None) => format!("until {by_hand}"),
        }
    }
}

/// What is paused, in words: a region, or all of them.
pub(super) fn spoken(region: &str) -> String {
    if region == FLEET { "the fleet".to_owned() } else { format!("region {region}") }
}

fn said(instant: DateTime<Utc>) -> String {
    instant.format("%F %T UTC").to_string()
}

/// A text that says something, for a row that is read in one line.
pub(super) fn reason(text: &str) -> Result<String, String> {
    why(text).ok_or_else(|| format!("say why, in {EXPECTED}"))
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let parsed = DateTime::parse_from_rfc3339(text);
    parsed
        .map(|instant| instant.to_utc())
        .map_err(|_| "write it as 2027-01-31T08:00:00Z (RFC 3339)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_taken_with_its_offset_and_nothing_else_is() {
        let taken = instant("2027-01-31T09:00:00+01:00").unwrap();

        assert_eq!(said(taken), "2027-01-31 08:00:00 UTC");
        assert!(instant("tomorrow").is_err() && instant("2027-01-31").is_err());
    }
}
