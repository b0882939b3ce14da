//! Rights that a whole region lacks: known once, asked for by one tenant at a time, and
//! mended without a word.
//!
//! The breaker's younger sister. The breaker speaks of the credential and stops a region;
//! a missing right stops one effect, and whatever else is due goes on. Memory and
//! arithmetic are in [`crate::postgres::fleet::rights`], one for all replicas.
//!
//! The rule: **one tenant's refusal is that tenant's own condition** until several were
//! refused and none was served since, or nobody else is there to tell.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Engine;
use super::breaker::{PROBE_EVERY, TENANTS};
use super::work::Work;
use crate::domain::ids::RegionName;
use crate::domain::machine::Ailment;
use crate::domain::machine::effect::EffectKind;
use crate::domain::rights::REMEDY;
use crate::ports::QlikApi;
use crate::postgres::StoreError;
use crate::postgres::fleet::rights::{Evidence, MissingRight};
use crate::postgres::work::commit::{Attempt, DONE};
use crate::telemetry;

/// How many tenants speak for their region, and how often it asks again.
const EVIDENCE: Evidence = Evidence { tenants: TENANTS, ask_every: PROBE_EVERY };

impl<Q: QlikApi> Engine<Q> {
    /// Learns from a committed attempt what the region may do, and what not.
    pub(super) async fn learn_right(&self, work: &Work, attempt: &Attempt, ailment: Option<Ailment>) {
        let (region, effect) = (work.host.region(), attempt.effect);
        if attempt.outcome == DONE && effect.needs_right() {
            self.granted.note(region, effect, self.clock.elapsed());
            if work.tenant.rights.lacks(effect) {
                self.note_outcome(self.right_is_back(region.as_str(), effect.as_str()).await);
            }
        }
        if ailment == Some(Ailment::RightRefused(effect)) {
            let answer = attempt.message.as_deref().unwrap_or("refused");
            self.note_outcome(self.right_refused(region, effect, answer).await);
        }
    }

    /// What could not be told now is found out again.
    fn note_outcome(&self, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            self.outage.note(&error);
        }
    }

    async fn right_refused(
        &self,
        region: &RegionName,
        effect: EffectKind,
        answer: &str,
    ) -> Result<(), StoreError> {
        self.report_granted().await?;
        if self.store.note_missing_right(region, effect, answer, EVIDENCE).await? {
            tracing::error!(
                region = %region, effect = %effect,
                "region {region} lacks the right to {effect}: {answer}; who needs it waits while one tenant at a time asks again; {REMEDY}"
            );
        }
        Ok(())
    }

    async fn right_is_back(&self, region: &str, effect: &str) -> Result<(), StoreError> {
        if let Some(released) = self.store.right_is_back(region, effect).await? {
            tracing::info!(
                region,
                effect,
                released,
                "region {region} has the right to {effect} again, or nobody needs it"
            );
        }
        Ok(())
    }

    async fn report_granted(&self) -> Result<(), StoreError> {
        let granted = self.granted.take();
        if granted.is_empty() {
            return Ok(());
        }
        let now = self.clock.elapsed();
        let ago = |((region, effect), at): (&(RegionName, EffectKind), &Duration)| {
            (region.clone(), *effect, now.saturating_sub(*at))
        };
        let told = self.store.rights_granted(&granted.iter().map(ago).collect::<Vec<_>>()).await;
        if told.is_err() {
            self.granted.put_back(granted);
        }
        told
    }

    /// Tells what was granted here, ends what is over, and lets one tenant of each region
    /// ask for each right that it lacks, where that is due.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn ask_for_rights(&self) -> Result<(), StoreError> {
        self.report_granted().await?;
        for right in self.store.missing_rights().await? {
            if right.is_over {
                self.right_is_back(&right.region, &right.effect).await?;
            } else {
                self.store.ask_for_right(&right, PROBE_EVERY).await?;
            }
        }
        self.gauge_rights(&self.store.missing_rights().await?);
        Ok(())
    }

    /// Shows which rights each region lacks: every region and right, with 0 where it has it.
    pub(super) fn gauge_rights(&self, missing: &[MissingRight]) {
        let configured = self.regions().into_iter().map(ToString::to_string);
        let regions = configured.chain(missing.iter().map(|right| right.region.clone()));
        let needed =
            EffectKind::ALL.into_iter().filter(|effect| effect.needs_right()).map(EffectKind::as_str);
        let effects: Vec<_> = needed.collect();
        let all = regions.flat_map(|region| effects.iter().map(move |effect| (region.clone(), *effect)));
        let mut gauges: BTreeMap<_, _> = all.map(|of| (of, 0.0)).collect();
        gauges.extend(missing.iter().filter_map(|right| {
            let effect = EffectKind::parse(&right.effect)?.as_str();
            Some(((right.region.clone(), effect), 1.0))
        }));
        for ((region, effect), is_missing) in gauges {
            metrics::gauge!(telemetry::RIGHT_MISSING, "region" => region, "effect" => effect).set(is_missing);
        }
    }
}
