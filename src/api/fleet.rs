//! The pages of the fleet: its brakes, its regions, who works on it.

use axum::extract::State;
use axum::http::Uri;

use super::problem::{Answered, Details};
use super::query::Query;
use super::reply::json;
use super::state::Api;
use crate::answers::fleet::FleetStatus;
use crate::answers::regions::{RegionStatus, Regions};
use crate::answers::workers::Workers;

/// Every brake on the fleet, what is left of each budget, and how many tenants are in which
/// phase: `tenantd fleet status`.
#[utoipa::path(get, path = "/fleet", tag = "fleet", responses(
    (status = 200, body = FleetStatus),
    (status = "default", body = Details, content_type = "application/problem+json"),
))]
pub(super) async fn fleet(State(api): State<Api>, uri: Uri) -> Answered {
    Query::of(&uri).end()?;
    Ok(json(&FleetStatus::of(&api.0.given().bounds, api.store().await?).await?))
}

/// Every region that was ever used: its breaker, its pause, and the rights that it lacks.
#[utoipa::path(get, path = "/regions", tag = "fleet", responses(
    (status = 200, body = Regions),
    (status = "default", body = Details, content_type = "application/problem+json"),
))]
pub(super) async fn regions(State(api): State<Api>, uri: Uri) -> Answered {
    Query::of(&uri).end()?;
    let regions = RegionStatus::all(api.store().await?).await?;
    Ok(json(&Regions { regions }))
}

/// Who holds leases now: a daemon at work, or a command.
#[utoipa::path(get, path = "/workers", tag = "fleet", responses(
    (status = 200, body = Workers),
    (status = "default", body = Details, content_type = "application/problem+json"),
))]
pub(super) async fn workers(State(api): State<Api>, uri: Uri) -> Answered {
    Query::of(&uri).end()?;
    let workers = api.store().await?.holders().await?;
    Ok(json(&Workers { workers }))
}
