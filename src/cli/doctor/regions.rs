//! Whether each region's credential gets a token, and what that token may do.
//!
//! The rule: one host of the region is asked, an exact host of its patterns or else a tenant
//! that is known, and **nothing is written there**. What only writing would show is told as
//! far as the daemons have met it.

use std::sync::Arc;

use super::finding::Findings;
use super::rights;
use crate::app;
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::host::{Host, HostPattern};
use crate::domain::ids::RegionName;
use crate::domain::message::Message;
use crate::domain::region::{AllowedHost, RegionMap};
use crate::ports::QlikApi;
use crate::postgres::{Store, StoreError};
use crate::settings::Settings;
use crate::system::SystemClock;

const CHECK: &str = "region";

pub(super) async fn check(
    mut settings: Settings,
    store: Option<&Store>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let map = app::terms(&settings).regions;
    let regions: Vec<_> =
        settings.regions.iter().map(|region| (region.name.clone(), region.hosts.clone())).collect();
    let cloud = match app::cloud(&mut settings, Arc::new(SystemClock::start())) {
        Ok(cloud) => cloud,
        Err(error) => return Ok(findings.fail(CHECK, error.message())?),
    };
    for (region, patterns) in &regions {
        match host(region, patterns, &map, store).await {
            Err(error) => findings.fail(CHECK, app::started(&error).message())?,
            Ok(Some(host)) => {
                let asked = cloud.authenticate(&host).await;
                let is_served = asked.is_ok();
                tell(region, &host, asked, findings)?;
                if is_served {
                    rights::check(&cloud, region, &host, findings).await?;
                }
            }
            Ok(None) => findings.warn(
                CHECK,
                &format!("{region}: no host to ask yet"),
                "run this again when the region has its first tenant, or add one exact host of the region to `hosts`",
            )?,
        }
    }
    match store {
        Some(store) => rights::missing(store, findings).await,
        None => Ok(()),
    }
}

/// A host on which this region's credential must work.
async fn host(
    region: &RegionName,
    patterns: &[HostPattern],
    map: &RegionMap,
    store: Option<&Store>,
) -> Result<Option<AllowedHost>, StoreError> {
    let ours = |host: &Host| map.allow(host).filter(|allowed| allowed.region() == region);
    let (mut exact, mut parents) = (Vec::new(), Vec::new());
    for pattern in patterns {
        match pattern {
            HostPattern::Exact(host) => exact.push(host),
            HostPattern::AnyLabelOf(parent) => parents.push(parent.clone()),
        }
    }
    if let Some(host) = exact.into_iter().find_map(ours) {
        return Ok(Some(host));
    }
    let Some(store) = store else { return Ok(None) };
    let known = store.hosts_of(region, &parents).await?;
    Ok(known.iter().filter_map(|host| Host::parse(host).ok()).find_map(|host| ours(&host)))
}

fn tell(
    region: &RegionName,
    host: &AllowedHost,
    asked: Result<(), Failure>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let host = host.host();
    match asked {
        Ok(()) => findings.ok(CHECK, &format!("{region}: {host} gave a token"))?,
        Err(failure) if failure.kind == FailureKind::TenantUnavailable => findings.warn(
            CHECK,
            &format!("{region}: {host}: {failure}, which says nothing about the credential"),
            "run this again when the region has another tenant",
        )?,
        Err(failure) => {
            let remedy = remedy(&failure.kind);
            findings.fail(CHECK, Message::new(format!("{region}: {host}: {failure}"), remedy))?;
        }
    }
    Ok(())
}

fn remedy(kind: &FailureKind) -> &'static str {
    match kind {
        FailureKind::CredentialRefused
        | FailureKind::TokenRefused
        | FailureKind::Forbidden
        | FailureKind::Rejected => {
            "correct the region's client_id and client_secret, and check in Qlik that the OAuth client is published with client credentials"
        }
        FailureKind::NotConnected | FailureKind::NoToken => {
            "check DNS, the way out of this network, and qlik.proxy, qlik.connect_to and qlik.ca_file where they are set"
        }
        FailureKind::NoAnswer
        | FailureKind::ServerError
        | FailureKind::Unreadable
        | FailureKind::IllegibleClient { .. }
        | FailureKind::Throttled { .. }
        | FailureKind::TenantUnavailable
        | FailureKind::NotFound
        | FailureKind::Conflict => "try again in a few minutes, and see Qlik's status page if it stays",
    }
}
