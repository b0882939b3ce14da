//! What the simulator's own tests have in common.

use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::behaviour::Behaviour;
use super::draft::{CLIENT_CREDENTIALS, Draft, IMPERSONATION, WEB};
use super::faults::FaultPlan;
use super::problem::Problem;
use super::tokens::{Grant, Granted, TokenRequest};
use super::world::World;
use crate::ports::Clock;

pub(super) const HOST: &str = "acme.us.qlikcloud.com";
pub(super) const OTHER: &str = "other.us.qlikcloud.com";
pub(super) const REGION_ID: &str = "region-client";
pub(super) const REGION_SECRET: &str = "region-secret";

/// Seconds after the beginning of the world.
pub(super) fn instant(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

/// A clock that stands until it is moved.
#[derive(Default)]
pub(super) struct HandClock(Mutex<u64>);

impl HandClock {
    pub(super) fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += seconds;
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        instant(0) + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(*self.0.lock().unwrap())
    }
}

/// A world with two tenants in one region.
pub(super) fn world(behaviour: Behaviour) -> World {
    let world =
        World::new(behaviour, FaultPlan::none(), 1).with_region("us.qlikcloud.com", REGION_ID, REGION_SECRET);
    world.at(instant(0)).add_tenant(HOST);
    world.at(instant(0)).add_tenant(OTHER);
    world
}

/// An access token of the region's bot.
pub(super) fn region_token(world: &World, host: &str) -> String {
    let granted = prove(world, 0, host, REGION_ID, REGION_SECRET).unwrap();
    granted.access_token.reveal().to_owned()
}

/// A token by `client_credentials`.
pub(super) fn prove(
    world: &World,
    second: i64,
    host: &str,
    client_id: &str,
    secret: &str,
) -> Result<Granted, Problem> {
    let request = TokenRequest { client_id, secret, grant: Grant::ClientCredentials, scope: None };
    world.at(instant(second)).grant_token(host, &request)
}

/// A client as the daemon makes them.
pub(super) fn draft(name: &str) -> Draft {
    Draft {
        app_type: WEB.into(),
        client_name: name.into(),
        description: "made by a test".into(),
        redirect_uris: vec!["https://portal.example/callback".into()],
        allowed_scopes: vec!["user_default".into()],
        allowed_grant_types: vec![CLIENT_CREDENTIALS.into(), IMPERSONATION.into()],
        ..Draft::default()
    }
}
