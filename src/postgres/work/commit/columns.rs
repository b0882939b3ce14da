//! A write in the names of the commit's statement.
//!
//! The rule: **by name, and nothing else**: what a column holds was decided in the core.
//! What is not said is NULL.

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Attempt, Write};
use crate::domain::hints::StoredSecret;
use crate::domain::wants::WantsDigest;
use crate::domain::when::When;

impl Serialize for Write {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut columns = Columns(serializer.serialize_map(None)?);
        columns.of_fence(self)?;
        columns.of_stand(self)?;
        columns.of_progress(self)?;
        columns.of_schedule(self)?;
        columns.set("secrets", Some(Secrets(self)).filter(Secrets::are_any))?;
        columns.set("attempts", Some(&self.attempts).filter(|attempts| !attempts.is_empty()))?;
        columns.0.end()
    }
}

struct Columns<M>(M);

impl<M: SerializeMap> Columns<M> {
    fn set<T: Serialize>(&mut self, name: &'static str, value: Option<T>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.0.serialize_entry(name, &value))
    }

    /// An instant as it was read, or the microseconds from the commit to it.
    fn when(&mut self, at: &'static str, after: &'static str, when: Option<When>) -> Result<(), M::Error> {
        match when {
            None => Ok(()),
            Some(When::At(instant)) => self.set(at, Some(instant)),
            Some(When::After(duration)) => self.set(after, Some(microseconds(duration))),
        }
    }

    fn texts<T: ToString>(&mut self, name: &'static str, texts: &[T]) -> Result<(), M::Error> {
        self.set(name, Some(texts.iter().map(ToString::to_string).collect::<Vec<_>>()))
    }

    fn of_fence(&mut self, write: &Write) -> Result<(), M::Error> {
        self.set("tenant_id", Some(write.tenant.0))?;
        self.set("epoch", Some(write.fence.epoch))?;
        self.set("step", Some(write.fence.step))?;
        self.set("generation", Some(write.generation))?;
        self.set("is_intent", Some(write.is_intent))?;
        self.set("is_held", Some(write.is_held))?;
        self.set("keeps_lease", Some(write.keeps_lease))
    }

    fn of_stand(&mut self, write: &Write) -> Result<(), M::Error> {
        let record = &write.record;
        self.set("phase", Some(record.phase.as_str()))?;
        self.set("client_id", record.client.as_ref().map(crate::domain::ids::ClientId::as_str))?;
        self.set("unanswered", record.unanswered.map(crate::domain::tenant::Unanswered::as_str))?;
        self.when("settles_at", "settles_after", record.settles)?;
        if let Some(snapshot) = &record.snapshot {
            self.texts("mint_snapshot", snapshot)?;
        }
        self.set("is_adopted", Some(record.is_adopted))?;
        self.set("is_minted_afresh", Some(record.is_afresh))?;
        self.set("must_look", Some(record.must_look))?;
        self.texts("left_clients", &record.left)?;
        self.set("current_version", record.version)?;
        self.set("last_version", record.last_version)?;
        self.set("served_version", record.served_version)?;
        self.when("ready_at", "ready_after", record.ready)?;
        self.texts("drift", &record.drift)?;
        self.when("drifted_at", "drifted_after", record.drifted)
    }

    fn of_progress(&mut self, write: &Write) -> Result<(), M::Error> {
        let record = &write.record;
        self.set("failures", Some(i32::try_from(record.failures).unwrap_or(i32::MAX)))?;
        self.when("progress_at", "progress_after", Some(record.progress))?;
        self.when("proof_refused_at", "proof_refused_after", record.proof_refused)?;
        self.when("client_missing_at", "client_missing_after", record.client_missing)?;
        self.when("credential_refused_at", "credential_refused_after", record.credential_refused)?;
        self.set(
            "awaits_right",
            record.awaits_right.map(crate::domain::machine::effect::EffectKind::as_str),
        )?;
        self.when("right_refused_at", "right_refused_after", record.right_refused)?;
        self.set("wait_reason", record.wait_reason.as_ref())?;
        self.set("parked_reason", record.parked_reason.as_ref())?;
        self.set("message", record.message.as_ref())?;
        self.when("reason_since_at", "reason_since_after", Some(record.reason_since))
    }

    fn of_schedule(&mut self, write: &Write) -> Result<(), M::Error> {
        let record = &write.record;
        self.when("backoff_at", "backoff_after", record.backoff)?;
        self.set("spent", Some(record.spent.microseconds()))?;
        self.when("rested_at", "rested_after", record.rested)?;
        self.set("rests_for", Some(record.rests_for.as_str()))?;
        self.when("recheck_at", "recheck_after", record.recheck)?;
        self.when("retire_at", "retire_after", record.retirement)?;
        self.when("audit_at", "audit_after", record.audit)?;
        self.when("audited_at", "audited_after", record.audited)?;
        self.set("applied_wants", record.applied.map(WantsDigest::to_sql))?;
        self.when("edited_at", "edited_after", record.edited)?;
        self.set("repair_scope", record.repair.map(crate::domain::tenant::RepairScope::as_str))?;
        self.when("due_at", "due_after", record.due)
    }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Those that differ from what is stored.
struct Secrets<'a>(&'a Write);

impl Secrets<'_> {
    fn changed(&self) -> impl Iterator<Item = Secret<'_>> {
        let (now, before) = (&self.0.record.stored, &self.0.stored);
        let of = |one: &StoredSecret, all: &[StoredSecret]| all.iter().any(|other| other == one);
        let changed = now.iter().filter(move |secret| secret.id.is_some() && !of(secret, before));
        let sealed = now.iter().filter(|secret| secret.id.is_none());
        let is_kept = |secret: &StoredSecret| now.iter().any(|other| other.id == secret.id);
        let gone = before.iter().filter(move |secret| !is_kept(secret));
        changed
            .chain(sealed)
            .map(|secret| Secret { write: self.0, stored: secret, is_gone: false })
            .chain(gone.map(|secret| Secret { write: self.0, stored: secret, is_gone: true }))
    }

    fn are_any(&self) -> bool {
        self.changed().next().is_some()
    }
}

impl Serialize for Secrets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.changed())
    }
}

struct Secret<'a> {
    write: &'a Write,
    stored: &'a StoredSecret,
    is_gone: bool,
}

impl Serialize for Secret<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (secret, mut columns) = (self.stored, Columns(serializer.serialize_map(None)?));
        columns.set("secret_id", secret.id)?;
        columns.set("is_gone", Some(self.is_gone))?;
        columns.set("standing", Some(secret.standing.as_str()))?;
        columns.set("hint", secret.hint.as_ref().map(crate::domain::ids::Hint::as_str))?;
        columns.set("version", secret.version)?;
        columns.when("proven_at", "proven_after", secret.proven)?;
        columns.when("retire_at", "retire_after", secret.retires)?;
        if secret.id.is_none() {
            let sealed = self.write.sealed.as_ref();
            columns.set(
                "client_id",
                self.write.record.client.as_ref().map(crate::domain::ids::ClientId::as_str),
            )?;
            columns.set("sealed", sealed.map(|sealed| &sealed.sealed))?;
            columns.set("key_id", sealed.map(|sealed| &sealed.key_id))?;
        }
        columns.0.end()
    }
}

impl Serialize for Attempt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let milliseconds = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        let mut columns = Columns(serializer.serialize_map(None)?);
        columns.set("phase", Some(self.phase.as_str()))?;
        columns.set("effect", Some(self.effect.as_str()))?;
        columns.set("outcome", Some(self.outcome))?;
        columns.set("http_status", self.evidence.status.and_then(|status| i16::try_from(status).ok()))?;
        columns.set("error_code", self.evidence.code.as_deref())?;
        columns.set("trace_id", self.evidence.trace_id.as_deref())?;
        columns.set("message", self.message.as_deref())?;
        columns.set("began_ms_ago", Some(milliseconds(self.began_ago)))?;
        columns.set("duration_ms", Some(milliseconds(self.took)))?;
        columns.0.end()
    }
}
