//! The region's breaker: several tenants refused and none served means that our
//! own credential is at fault, not they.
//!
//! While it is open no tenant of the region is claimed; one at a time is probed,
//! by fetching a token and nothing else. Memory and arithmetic are in
//! [`crate::postgres::fleet::regions`], because the breaker is one for all replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::generations::Generations;
use super::pulse::Task;
use crate::domain::host::Host;
use crate::domain::ids::RegionName;
use crate::domain::region::AllowedHost;
use crate::ports::QlikApi;
use crate::postgres::StoreError;
use crate::postgres::fleet::regions::Breaker;

/// So many tenants must have been refused.
pub const TENANTS: u32 = 3;
/// Within so long, in which none was served.
pub const WINDOW: Duration = Duration::from_mins(5);
/// How often one tenant is probed while the breaker is open.
pub const PROBE_EVERY: Duration = Duration::from_secs(30);
/// How often to see whether a probe is due.
const TICK: Duration = Duration::from_secs(5);

impl<Q: QlikApi> Generations<Q> {
    /// Probes open breakers, and asks for missing rights, until stopped.
    pub async fn watch_breakers(&self, stop: &CancellationToken) {
        let watch = async {
            loop {
                let before = self.now();
                before.pulse.sleep(Task::Breakers, before.clock.as_ref(), TICK).await;
                let engine = self.now();
                let probe = engine.pulse.turn(Task::Breakers, engine.clock.as_ref(), engine.tend_regions());
                if let Err(error) = probe.await {
                    engine.outage.note(&error);
                }
            }
        };
        stop.run_until_cancelled(watch).await;
    }
}

impl<Q: QlikApi> Engine<Q> {
    /// A tenant of this region was refused: opens the breaker if that was one too many.
    pub(super) async fn refused(&self, region: &RegionName) {
        let opened = async {
            self.report_tokens().await?;
            self.store.open_breaker(region, TENANTS, WINDOW, PROBE_EVERY).await
        };
        match opened.await {
            Ok(true) => tracing::error!(
                region = %region,
                "the credential of region {region} is refused: its tenants wait while one at a time is probed; \
                 correct client_id and client_secret of the region and reload"
            ),
            Ok(false) => {}
            Err(error) => self.outage.note(&error),
        }
    }

    /// Tells the store which regions gave us a token lately.
    pub(super) async fn report_tokens(&self) -> Result<(), StoreError> {
        for (region, ago) in self.tokens_within(WINDOW) {
            self.store.token_seen(&region, ago).await?;
        }
        Ok(())
    }

    fn tokens_within(&self, window: Duration) -> Vec<(RegionName, Duration)> {
        let seen = |region: &RegionName| self.api.last_token(region).map(|ago| (region.clone(), ago));
        self.regions().into_iter().filter_map(seen).filter(|(_, ago)| *ago < window).collect()
    }

    /// The configured regions, each once.
    pub(super) fn regions(&self) -> BTreeSet<&RegionName> {
        self.terms.regions.patterns().map(|(_, region)| region).collect()
    }

    /// Asks for what regions lack: a token, or a right.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn tend_regions(&self) -> Result<(), StoreError> {
        self.probe_open_breakers().await?;
        self.ask_for_rights().await
    }

    /// Probes one tenant of every region whose breaker is open and whose turn is ours.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn probe_open_breakers(&self) -> Result<(), StoreError> {
        let breakers = self.store.breakers().await?;
        self.gauge_breakers(&breakers);
        for breaker in breakers {
            if breaker.open_for.is_some() && self.regions().contains(&breaker.region) {
                self.probe(&breaker.region).await?;
            }
        }
        Ok(())
    }

    /// Shows each region's breaker; one that no row knows of yet is closed.
    pub(super) fn gauge_breakers(&self, breakers: &[Breaker]) {
        let configured = self.regions().into_iter().map(|region| (region, 0.0));
        let known = breakers.iter().map(|it| (&it.region, if it.open_for.is_some() { 1.0 } else { 0.0 }));
        for (region, is_open) in configured.chain(known).collect::<BTreeMap<_, _>>() {
            metrics::gauge!(crate::telemetry::BREAKER_OPEN, "region" => region.to_string()).set(is_open);
        }
    }

    async fn probe(&self, region: &RegionName) -> Result<(), StoreError> {
        let Some((tenant, host)) = self.store.take_probe(region, PROBE_EVERY).await? else { return Ok(()) };
        let Some(host) = self.host_of(region, &host) else { return Ok(()) };
        let Some(fence) = self.store.lease_one(tenant, self.terms.lease).await? else { return Ok(()) };
        let closed = if self.is_served(&host).await { self.close(region).await } else { Ok(()) };
        match self.store.give_back(tenant, fence).await {
            // Who took the row over meanwhile is welcome to it: the answer stands.
            Ok(()) | Err(StoreError::LeaseLost(_)) => closed,
            Err(error) => closed.and(Err(error)),
        }
    }

    /// The host, if by our own configuration it is this region's: another region's
    /// token would prove nothing.
    fn host_of(&self, region: &RegionName, host: &str) -> Option<AllowedHost> {
        let host = self.terms.regions.allow(&Host::parse(host).ok()?)?;
        (host.region() == region).then_some(host)
    }

    async fn close(&self, region: &RegionName) -> Result<(), StoreError> {
        let released = self.store.close_breaker(region).await?;
        tracing::info!(region = %region, released, "the credential of region {region} works again");
        Ok(())
    }

    async fn is_served(&self, host: &AllowedHost) -> bool {
        match self.api.authenticate(host).await {
            Ok(()) => true,
            Err(failure) => {
                tracing::info!(tenant.host = %host.host(), %failure, "probe of region {}: {failure}", host.region());
                false
            }
        }
    }
}
