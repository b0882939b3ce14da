//! From checked settings to what engine and adapters are told.
//!
//! The rule: it is the same at the start and whenever the configuration is read anew.

use std::collections::HashMap;

use crate::domain::ids::RegionName;
use crate::domain::region::RegionMap;
use crate::domain::retry::Policy;
use crate::domain::secret::RegionCredential;
use crate::engine::Terms;
use crate::settings::Settings;

/// What the engine is told.
#[must_use]
pub fn terms(settings: &Settings) -> Terms {
    let patterns = settings
        .regions
        .iter()
        .flat_map(|region| region.hosts.iter().map(|pattern| (pattern.clone(), region.name.clone())));
    Terms {
        regions: RegionMap::new(patterns),
        profiles: settings.profiles.clone(),
        policy: Policy {
            base: settings.retry.base,
            cap: settings.retry.cap,
            give_up_after: settings.retry.give_up_after,
            settle: settings.qlik.settle,
            prove_patience: settings.prove.patience,
            overlap: settings.rotation.overlap,
            audit_every: settings.audit.every,
        },
        proof: settings.prove.method,
        revoke_by_filter: settings.qlik.revoke_by_filter,
        bounds: settings.bounds,
        rotate_every: settings.rotation.every,
        repair: settings.audit.repair,
        concurrency: settings.worker.concurrency,
        lease: settings.worker.lease,
        poll: settings.worker.poll,
        request_timeout: settings.qlik.request_timeout,
        keep_history: settings.history.keep,
        ready_within: settings.objective.ready_within,
    }
}

/// Takes the regions' credentials.
pub(super) fn credentials(settings: &mut Settings) -> HashMap<RegionName, RegionCredential> {
    let regions = std::mem::take(&mut settings.regions);
    regions.into_iter().map(|region| (region.name, region.credential)).collect()
}
