//! A client that somebody else made becomes a tenant's.
//!
//! The order is: look, commit, then write the mark. Were the mark first, a daemon that came
//! between would find the client as it finds one of its own whose create was lost, and
//! delete the secrets that are in use. After the commit it mints beside them, whether the
//! mark is there or not; running the command again writes a mark that is missing.
//!
//! The rule: secrets that were there before are nobody's to delete, unless an operator says so.

use std::collections::HashMap;

use super::inspect::{Inspector, NotDone, of_qlik};
use crate::domain::census::Known;
use crate::domain::drift::{Change, Drift, Expected, Field, Value, marked};
use crate::domain::hints::{SeenSecret, Standing};
use crate::domain::ids::{ClientId, Fence, Hint, TenantId};
use crate::domain::look::SeenClient;
use crate::domain::mark::{Owner, marks_in, without};
use crate::domain::phase::Phase;
use crate::domain::region::AllowedHost;
use crate::engine::acts::look_closely;
use crate::ports::QlikApi;
use crate::postgres::StoreError;
use crate::postgres::operator::inspect::Inspected;

/// An adoption as an operator asks for it.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// The client.
    pub client: ClientId,
    /// Take it although another installation's mark is on it.
    pub replace: bool,
    /// Who asks, for the history.
    pub by: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Adopted {
    /// The client as it was.
    pub client: SeenClient,
    /// The row had it before: only its mark was looked at.
    pub was_ours: bool,
    /// The mark was written by this call.
    pub is_marked_now: bool,
    /// How it differs from the row's profile, the mark apart.
    pub differences: Vec<Drift>,
    /// An operator keeps the daemon away.
    pub is_paused: bool,
}

/// What may become of a secret that is not the daemon's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is stored: it stays.
    Stored,
    /// Its hint occurs twice: it cannot be told from another, and stays.
    Twice,
    /// It is not stored: it goes when an operator says so.
    Old,
}

impl<Q: QlikApi> Inspector<Q> {
    /// Makes a client that is there this tenant's.
    ///
    /// # Errors
    ///
    /// [`NotDone`]. After a failure to write the mark the client is the row's, and calling
    /// this again writes it.
    pub async fn adopt(&self, tenant: TenantId, adoption: &Adoption) -> Result<Adopted, NotDone> {
        let fence = self.take(tenant).await?;
        self.under(tenant, fence, self.adopt_held(tenant, fence, adoption)).await
    }

    async fn adopt_held(
        &self,
        tenant: TenantId,
        fence: Fence,
        adoption: &Adoption,
    ) -> Result<Adopted, NotDone> {
        self.may_change().await?;
        let row = self.row(tenant).await?;
        let was_ours = row.client.as_ref() == Some(&adoption.client) && row.phase != Phase::Removing;
        if !was_ours {
            may_take(&row)?;
        }
        let host = self.allowed(&row.host)?;
        let seen = look_closely(&self.api, &host, &self.mark(tenant), &adoption.client)
            .await
            .map_err(of_qlik(&host))?;
        let client = self.vetted(&row, adoption, &seen).await?;
        if !was_ours {
            self.commit_adoption(tenant, fence, &client, &adoption.by).await?;
        }
        let is_marked_now = self.write_mark(&host, tenant, &client).await?;
        let differences = self.differences(&row, &client);
        Ok(Adopted { client, was_ours, is_marked_now, differences, is_paused: row.is_paused })
    }

    /// The client, if nobody else has a claim to it.
    async fn vetted(
        &self,
        row: &Inspected,
        adoption: &Adoption,
        seen: &[SeenClient],
    ) -> Result<SeenClient, NotDone> {
        let refuse = |why: String| Err(NotDone::Refused(why));
        let (id, mark) = (&adoption.client, self.mark(row.tenant_id));
        let live = || seen.iter().filter(|client| !client.is_deleted);
        let Some(client) = live().find(|client| client.client_id == *id) else {
            return refuse(format!("{} has no client {id}; see its id in Qlik's console", row.host));
        };
        if client.is_disabled {
            return refuse(format!(
                "the client {id} is disabled: no credential of it works; enable it in Qlik first"
            ));
        }
        let is_own = |client: &&SeenClient| mark.owner_of(&client.description) == Owner::ThisTenant;
        if let Some(own) = live().filter(is_own).find(|client| client.client_id != *id) {
            return refuse(format!(
                "this tenant has made a client already, {}; the daemon takes it up by itself, or delete it in Qlik first",
                own.client_id
            ));
        }
        let others = self.store.rows_with_client(id, row.tenant_id).await?;
        if let Some(other) = others.first() {
            return refuse(format!("the client {id} is the tenant {other}'s; remove that one first"));
        }
        let is_foreign = marks_in(&client.description).any(|found| found.installation != mark.installation);
        if is_foreign && !adoption.replace {
            return refuse(format!(
                "another installation of tenantd has marked the client {id} as its own; add --replace if that one is gone for good"
            ));
        }
        self.vet_marks(&mark.tenant, client).await?;
        Ok(client.clone())
    }

    /// No live row of this database may have its mark on the client.
    async fn vet_marks(&self, tenant: &TenantId, client: &SeenClient) -> Result<(), NotDone> {
        let installation = self.store.installation();
        let marks = marks_in(&client.description).filter(|mark| mark.installation == installation);
        let others: Vec<_> = marks.map(|mark| mark.tenant).filter(|other| other != tenant).collect();
        let known: HashMap<_, _> = self.store.known(&others).await?;
        let live = known.iter().find(|(_, known)| match known {
            Known::Removed => false,
            Known::WithoutClient | Known::WithClient(_) => true,
        });
        match live {
            None => Ok(()),
            Some((other, _)) => Err(NotDone::Refused(format!(
                "the client {} bears the mark of tenant {other}, which is in this database; remove that tenant first",
                client.client_id
            ))),
        }
    }

    async fn commit_adoption(
        &self,
        tenant: TenantId,
        fence: Fence,
        client: &SeenClient,
        by: &str,
    ) -> Result<(), NotDone> {
        let hints: Vec<Hint> = client.secrets.iter().map(|secret| secret.hint.clone()).collect();
        let after = self.terms.policy.recheck_after();
        let message = format!("client {} was taken over by {by}", client.client_id);
        let taken =
            self.store.adopt_client(tenant, fence, &client.client_id, &hints, after, &message).await?;
        if taken { Ok(()) } else { Err(StoreError::LeaseLost(tenant).into()) }
    }

    /// Writes the row's mark where it is missing, in the place of marks of whoever is gone.
    async fn write_mark(
        &self,
        host: &AllowedHost,
        tenant: TenantId,
        client: &SeenClient,
    ) -> Result<bool, NotDone> {
        let mark = self.mark(tenant);
        let description = marked(&mark, &without(&client.description, |_| true));
        let is_alone = marks_in(&client.description).all(|found| found == mark);
        if is_alone && mark.owner_of(&client.description) == Owner::ThisTenant {
            return Ok(false);
        }
        let change = Change { field: Field::Description, value: Value::Text(description) };
        let written = self.api.amend(host, &client.client_id, &[change]).await;
        written.map(|()| true).map_err(|failure| {
            NotDone::Refused(format!(
                "the client is the tenant's now, but its mark could not be written: {failure}; run the same command again"
            ))
        })
    }

    fn differences(&self, row: &Inspected, client: &SeenClient) -> Vec<Drift> {
        let (mark, wanted) = (self.mark(row.tenant_id), self.wanted(row));
        let expected =
            Expected { client: &client.client_id, mark: &mark, wanted: wanted.as_ref(), stored: &[] };
        let mut differences = expected.drifts(std::slice::from_ref(client));
        differences.retain(|drift| match drift {
            Drift::Field { wanted, .. } => wanted.field != Field::Description,
            Drift::ClientMissing
            | Drift::Duplicate(_)
            | Drift::CopiedMark(_)
            | Drift::Consent
            | Drift::Disabled
            | Drift::SecretMissing { .. }
            | Drift::SecretUnknown { .. } => false,
        });
        differences
    }

    /// The secrets of a ready tenant's client, and what may become of each. With `drop`,
    /// deletes the old ones.
    ///
    /// # Errors
    ///
    /// [`NotDone`]; what was deleted before stays deleted.
    pub async fn old_secrets(
        &self,
        tenant: TenantId,
        drop: Option<&str>,
    ) -> Result<Vec<(SeenSecret, Fate)>, NotDone> {
        let fence = self.take(tenant).await?;
        self.under(tenant, fence, self.old_secrets_held(tenant, drop)).await
    }

    async fn old_secrets_held(
        &self,
        tenant: TenantId,
        drop: Option<&str>,
    ) -> Result<Vec<(SeenSecret, Fate)>, NotDone> {
        let row = self.row(tenant).await?;
        let client = settled_client(&row)?;
        let host = self.allowed(&row.host)?;
        let seen = self.api.list_secrets(&host, client).await.map_err(of_qlik(&host))?;
        let fated: Vec<_> = seen.iter().map(|secret| (secret.clone(), fate(secret, &seen, &row))).collect();
        let Some(by) = drop else { return Ok(fated) };
        for (secret, _) in fated.iter().filter(|(_, fate)| *fate == Fate::Old) {
            // Each time: the database may be failed over meanwhile.
            self.may_delete().await?;
            self.api.delete_secret(&host, client, &secret.hint).await.map_err(of_qlik(&host))?;
            let message = format!("old secret {} was deleted by {by}", secret.hint);
            self.store.record(tenant, "drop_secret", &message).await?;
        }
        Ok(fated)
    }
}

fn fate(secret: &SeenSecret, seen: &[SeenSecret], row: &Inspected) -> Fate {
    if row.stored.iter().any(|stored| stored.hint.as_ref() == Some(&secret.hint)) {
        Fate::Stored
    } else if seen.iter().filter(|other| other.hint == secret.hint).count() > 1 {
        Fate::Twice
    } else {
        Fate::Old
    }
}

/// The client of a tenant whose every secret is known.
fn settled_client(row: &Inspected) -> Result<&ClientId, NotDone> {
    let refuse = |why: &str| Err(NotDone::Refused(why.to_owned()));
    let Some(client) = row.client.as_ref().filter(|_| row.phase == Phase::Ready && row.is_wanted) else {
        return refuse("the tenant is not ready, so its old secrets may be all that works; wait until it is");
    };
    if row.is_minting {
        return refuse("the tenant's secrets are being put in order; try again in a minute");
    }
    if row.stored.iter().any(|stored| stored.hint.is_none()) {
        return refuse("the hint of a stored secret is unknown: it may be any of them; rotate first");
    }
    if !row.stored.iter().any(|stored| stored.standing == Standing::Current) {
        return refuse("the tenant has no current secret of its own");
    }
    Ok(client)
}

fn may_take(row: &Inspected) -> Result<(), NotDone> {
    let refuse = |why: String| Err(NotDone::Refused(why));
    if !row.is_wanted {
        return refuse("the tenant is to be removed; set its desired_state to present first".to_owned());
    }
    match (row.phase, &row.client) {
        (Phase::Pending | Phase::Creating, None) if row.is_settling => refuse(
            "a create for this tenant went unanswered and may still land; try again when it has settled (`tenantd tenant show` says when)".to_owned(),
        ),
        (Phase::Pending | Phase::Creating, None) => Ok(()),
        (
            Phase::Pending
            | Phase::Creating
            | Phase::Created
            | Phase::Trusted
            | Phase::Ready
            | Phase::Rotating
            | Phase::Proving
            | Phase::Removing
            | Phase::Removed,
            Some(client),
        ) => refuse(format!(
            "the tenant has the client {client} already (phase {}); an adoption needs a row without one: insert it with not_before far in the future, or pause it, before the daemon creates",
            row.phase
        )),
        (
            Phase::Created
            | Phase::Trusted
            | Phase::Ready
            | Phase::Rotating
            | Phase::Proving
            | Phase::Removing
            | Phase::Removed,
            None,
        ) => refuse(format!("the tenant is in phase {}; set its desired_state to present first", row.phase)),
    }
}
