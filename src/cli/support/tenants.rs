//! Single tenants, on request: all that is known of them.
//!
//! The rule: **the values of labels are left out**: they are the pipeline's own, and nobody here
//! knows what they hold.

use anyhow::anyhow;
use serde_json::Value;

use super::bundle::Bundle;
use crate::answers::attempts::Attempt;
use crate::answers::explanation::Explanation;
use crate::answers::tenants::Shown;
use crate::cli::tenant::{one, terms};
use crate::domain::ids::TenantId;
use crate::postgres::Store;
use crate::settings::Layered;

/// Most attempts of one tenant: more than years of rotations leave.
const ATTEMPTS: u32 = 5_000;
/// Most tenants; who needs more asks in another way.
const TENANTS: usize = 20;

pub(super) async fn ask(bundle: &mut Bundle, layered: &Layered, store: &Store, external_ids: &[String]) {
    for (number, external_id) in external_ids.iter().take(TENANTS).enumerate() {
        let room = format!("tenants/{}", number + 1);
        let about = |what: &str| format!("{external_id}: {what}");
        let shown = shown(store, external_id);
        bundle
            .ask(&format!("{room}/show.json"), &about("where it stands, and its whole history"), shown)
            .await;
        let explained = explained(layered, store, external_id);
        bundle
            .ask(&format!("{room}/explain.json"), &about("what is next, and what keeps it"), explained)
            .await;
    }
    if external_ids.len() > TENANTS {
        bundle.note("tenants", &format!("only the first {TENANTS} that were named are told"));
    }
}

async fn shown(store: &Store, external_id: &str) -> anyhow::Result<Shown> {
    let mut status = one(store, external_id).await?;
    let tenant = TenantId(status.tenant_id);
    let attempts = store.history(tenant, ATTEMPTS).await?.into_iter().map(Attempt::from).collect();
    let spent = store.spent(tenant).await?;
    if let Value::Object(labels) = &mut status.labels {
        labels.values_mut().for_each(|value| *value = "[left out]".into());
    }
    Ok(Shown::new(status, &spent, attempts))
}

async fn explained(layered: &Layered, store: &Store, external_id: &str) -> anyhow::Result<Explanation> {
    let (terms, bounds) = (terms(layered)?, layered.bounds()?);
    let status = one(store, external_id).await?;
    let explanation = Explanation::of(&status, &terms, &bounds, store).await?;
    explanation.ok_or_else(|| anyhow!("its row was deleted meanwhile"))
}
