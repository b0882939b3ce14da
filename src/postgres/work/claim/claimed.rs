//! A claimed row, as a worker takes it up.
//!
//! The rule: all of it was read by the statement that claimed it, at one instant.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::ids::{ExternalId, Fence, ProfileName, RegionName, TenantId};
use crate::domain::record::{Record, Seen};
use crate::domain::tenant::Tenant;
use crate::domain::trace::TraceParent;

/// A row that is ours until its lease runs out.
#[derive(Debug)]
pub struct Claimed {
    /// The row.
    pub tenant_id: TenantId,
    /// The pipeline's key.
    pub external_id: ExternalId,
    /// The host as the row says it.
    pub host: String,
    /// The region that allows it, where one does.
    pub region: Option<RegionName>,
    /// Which profile it wants.
    pub profile: ProfileName,
    /// Its own client name.
    pub client_name: Option<String>,
    /// Its own redirect URIs.
    pub redirect_uris: Option<Vec<String>>,
    /// What writes must match.
    pub fence: Fence,
    /// The row as the core sees it.
    pub tenant: Tenant,
    /// What is stored of it.
    pub record: Box<Record>,
    /// What owner and others have said.
    pub seen: Seen,
    /// The owner's label of that name, where it is one.
    pub traceparent: Option<TraceParent>,
    /// When its owner last wanted it to be, or not to be.
    pub turned: DateTime<Utc>,
    /// Age of the row.
    pub age: Duration,
}
