//! An operator's visit to a tenant: what a command does at Qlik.
//!
//! The rules: **whatever calls Qlik for a tenant holds its lease**, so that no daemon
//! acts on what the command looks at; the row is read under that lease; a command that
//! dies leaves nothing but a lease that runs out.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::domain::drift::{Drift, DriftKind, Expected};
use crate::domain::failure::Failure;
use crate::domain::host::Host;
use crate::domain::ids::{ClientId, Fence, TenantId};
use crate::domain::mark::Mark;
use crate::domain::phase::Phase;
use crate::domain::profile::WantedClient;
use crate::domain::region::AllowedHost;
use crate::engine::Terms;
use crate::engine::acts::look_closely;
use crate::ports::QlikApi;
use crate::postgres::operator::inspect::Allowed;
use crate::postgres::operator::inspect::{Inspected, Target};
use crate::postgres::{Store, StoreError};

/// Most tenants visited at once.
const WIDTH: usize = 8;
/// Pause between attempts to get a lease.
const TAKE_AGAIN: Duration = Duration::from_millis(250);

/// Why a visit came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Qlik.
    #[error("{host}: {failure}")]
    Qlik {
        /// Who was asked.
        host: String,
        /// What came of it.
        failure: Failure,
    },
    /// Somebody else has the tenant.
    #[error(
        "somebody works on the tenant and did not let go within {}; try again in a minute, or pause the tenant first",
        humantime::format_duration(*.0)
    )]
    Busy(Duration),
    /// It must not be, for the reason given, which says what to do.
    #[error("{0}")]
    Refused(String),
}

/// What an audit found.
#[derive(Debug)]
pub struct Audited {
    /// Every difference.
    pub drifts: Vec<Drift>,
    /// What was let through to the daemon, when asked for.
    pub repair: Option<Allowed>,
}

/// A command's means: Qlik, the store, and the configuration.
pub struct Inspector<Q> {
    /// Qlik Cloud.
    pub api: Q,
    /// What must survive.
    pub store: Store,
    /// The configuration.
    pub terms: Terms,
    /// How long to wait for a lease that somebody has.
    pub patience: Duration,
}

impl<Q: QlikApi> Inspector<Q> {
    /// Takes the tenant's lease, waiting a while for whoever has it.
    pub(super) async fn take(&self, tenant: TenantId) -> Result<Fence, NotDone> {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(fence) = self.store.lease_one(tenant, self.terms.lease).await? {
                return Ok(fence);
            }
            if waited >= self.patience {
                return Err(NotDone::Busy(self.patience));
            }
            tokio::time::sleep(TAKE_AGAIN).await;
            waited += TAKE_AGAIN;
        }
    }

    /// Does something under a lease that was taken: renews it meanwhile, breaks off when
    /// it is lost, and gives it back.
    pub(super) async fn under<T>(
        &self,
        tenant: TenantId,
        fence: Fence,
        act: impl Future<Output = Result<T, NotDone>> + Send,
    ) -> Result<T, NotDone> {
        let ended = tokio::select! {
            ended = act => ended,
            lost = self.keep(tenant, fence) => Err(lost.into()),
        };
        match self.store.give_back(tenant, fence).await {
            // What could not be given back runs out by itself.
            Ok(()) | Err(_) => ended,
        }
    }

    /// Renews a lease until it is lost. An outage is waited out for as long as the lease lasts.
    async fn keep(&self, tenant: TenantId, fence: Fence) -> StoreError {
        let mut failed = 0;
        loop {
            tokio::time::sleep(self.terms.lease / 3).await;
            match self.store.renew(&[(tenant, fence)], self.terms.lease).await {
                Ok(ours) if ours.is_empty() => return StoreError::LeaseLost(tenant),
                Ok(ours) if ours.iter().all(|renewal| renewal.is_renewed) => failed = 0,
                Err(error) if failed >= 1 => return error,
                Ok(_) | Err(_) => failed += 1,
            }
            if failed > 1 {
                return StoreError::LeaseLost(tenant);
            }
        }
    }

    /// The row, which somebody may have deleted meanwhile.
    pub(super) async fn row(&self, tenant: TenantId) -> Result<Inspected, NotDone> {
        let gone = || NotDone::Refused("the tenant's row is not there any more".to_owned());
        self.store.inspect(tenant).await?.ok_or_else(gone)
    }

    /// The host, if the configuration allows it.
    pub(super) fn allowed(&self, host: &str) -> Result<AllowedHost, NotDone> {
        let allowed = Host::parse(host).ok().and_then(|host| self.terms.regions.allow(&host));
        allowed.ok_or_else(|| {
            NotDone::Refused(format!("no region of the configuration allows {host}; add a pattern for it"))
        })
    }

    pub(super) fn mark(&self, tenant: TenantId) -> Mark {
        Mark { installation: self.store.installation(), tenant }
    }

    /// What the row's client should be; `None` where its profile is unknown.
    pub(super) fn wanted(&self, row: &Inspected) -> Option<WantedClient> {
        let (name, uris) = (row.client_name.as_deref(), row.redirect_uris.as_deref());
        let profile = self.terms.profiles.get(&row.profile)?;
        Some(profile.client_for(self.mark(row.tenant_id), name, uris))
    }

    /// Holds a tenant's client against what it should be, now, and changes nothing at Qlik.
    /// With `repair`, what the daemon can mend is let through to it.
    ///
    /// # Errors
    ///
    /// [`NotDone`], when it cannot be told.
    pub async fn drift(&self, tenant: TenantId, repair: bool) -> Result<Audited, NotDone> {
        let fence = self.take(tenant).await?;
        self.under(tenant, fence, self.audit(tenant, fence, repair)).await
    }

    /// The same for many, a few at once.
    pub async fn drift_of(
        self: &Arc<Self>,
        targets: Vec<Target>,
        repair: bool,
    ) -> Vec<(Target, Result<Audited, NotDone>)> {
        each(targets, |target| {
            let inspector = Arc::clone(self);
            async move {
                let audited = inspector.drift(target.tenant_id, repair).await;
                (target, audited)
            }
        })
        .await
    }

    async fn audit(&self, tenant: TenantId, fence: Fence, repair: bool) -> Result<Audited, NotDone> {
        let row = self.row(tenant).await?;
        let client = audited_client(&row)?;
        let host = self.allowed(&row.host)?;
        let (mark, wanted) = (self.mark(tenant), self.wanted(&row));
        let seen = look_closely(&self.api, &host, &mark, client).await.map_err(of_qlik(&host))?;
        let expected = Expected { client, mark: &mark, wanted: wanted.as_ref(), stored: &row.stored };
        let mut drifts = expected.drifts(&seen);
        if row.is_minting {
            // It may be the one that is on its way.
            drifts.retain(|drift| drift.kind() != DriftKind::SecretUnknown);
        }
        let is_mendable = drifts.iter().any(|drift| drift.kind().is_mendable());
        let repair = if repair && is_mendable {
            Some(self.store.allow_repair(tenant, fence).await?.ok_or(StoreError::LeaseLost(tenant))?)
        } else {
            None
        };
        Ok(Audited { drifts, repair })
    }
}

/// The client to be compared, of a tenant that was ready before.
fn audited_client(row: &Inspected) -> Result<&ClientId, NotDone> {
    let is_settled = match row.phase {
        Phase::Ready | Phase::Rotating | Phase::Proving => row.is_wanted,
        Phase::Pending
        | Phase::Creating
        | Phase::Created
        | Phase::Trusted
        | Phase::Removing
        | Phase::Removed => false,
    };
    row.client.as_ref().filter(|_| is_settled).ok_or_else(|| {
        let state = if row.is_wanted { "not ready yet" } else { "to be removed" };
        NotDone::Refused(format!("it is {state} (phase {}); there is nothing to compare", row.phase))
    })
}

/// Says whom a failure is of.
pub(super) fn of_qlik(host: &AllowedHost) -> impl Fn(Failure) -> NotDone + '_ {
    |failure| NotDone::Qlik { host: host.host().to_string(), failure }
}

/// Does something for each, a few at once; the answers come in the order of the items.
pub(super) async fn each<T, R, F>(items: Vec<T>, act: impl Fn(T) -> F) -> Vec<R>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let (mut running, mut done) = (JoinSet::new(), Vec::with_capacity(items.len()));
    for (place, item) in items.into_iter().enumerate() {
        if running.len() >= WIDTH {
            done.extend(running.join_next().await.map(joined));
        }
        let act = act(item);
        running.spawn(async move { (place, act.await) });
    }
    while let Some(ended) = running.join_next().await {
        done.push(joined(ended));
    }
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, answer)| answer).collect()
}

/// A visit that panicked is a defect of ours: the command ends as the visit did.
fn joined<R>(ended: Result<R, tokio::task::JoinError>) -> R {
    match ended {
        Ok(answer) => answer,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
