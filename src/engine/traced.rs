//! A visit as the spans of a trace: one from claim to rest, and one for each act.
//!
//! The rule: **nothing is made here unless somebody wants to know**: where traces are off, or
//! this one is not kept, there is no [`Visit`], and nothing is asked of the clock.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Engine;
use super::held::Held;
use super::judged::Judged;
use crate::domain::host::Host;
use crate::domain::ids::{ExternalId, Holder, RegionName, TenantId};
use crate::domain::machine::Rest;
use crate::domain::tenant::Tenant;
use crate::domain::trace::{Journey, Trace};
use crate::ports::QlikApi;
use crate::postgres::work::claim::Claimed;
use crate::postgres::work::commit::DONE;
use crate::telemetry::traces::Traces;
use crate::telemetry::traces::span::{Attribute, Parent, Problem, Span};

/// The attributes of [`crate::domain::blame::Blame::ALL`], in its order.
const PARTS: [&str; 6] = [
    "tenantd.part_us.queue",
    "tenantd.part_us.limit",
    "tenantd.part_us.remote",
    "tenantd.part_us.backoff",
    "tenantd.part_us.human",
    "tenantd.part_us.us",
];

/// A visit that somebody wants to know of.
#[derive(Debug)]
pub(super) struct Visit {
    traces: Traces,
    trace: Trace,
    holder: Holder,
    tenant: TenantId,
    external_id: ExternalId,
    host: Option<Host>,
    region: Option<RegionName>,
    epoch: i64,
    /// By the database's clock, whose all other instants of a tenant are.
    began: DateTime<Utc>,
    /// By ours, at the same instant.
    started: Duration,
    acts: u32,
    rest: Option<(&'static str, Option<&'static str>)>,
    /// An audit that found all as it should be is no news.
    is_news: bool,
    /// Acts that nobody was told of.
    untold: Vec<Span>,
}

impl<Q: QlikApi> Engine<Q> {
    /// The visit that begins with this claim, if anybody wants to know of it.
    pub(super) fn visit(&self, claimed: &Claimed) -> Option<Box<Visit>> {
        if !self.traces.is_on() {
            return None;
        }
        let journey = Journey::of(&claimed.record, &claimed.seen, claimed.tenant.due.rotation);
        let trace = Trace::of(journey, claimed.tenant_id, claimed.turned, claimed.fence, claimed.traceparent);
        self.traces.keeps(&trace).then(|| {
            Box::new(Visit {
                traces: self.traces.clone(),
                trace,
                holder: self.store.holder(),
                tenant: claimed.tenant_id,
                external_id: claimed.external_id.clone(),
                host: Host::parse(&claimed.host).ok(),
                region: claimed.region.clone(),
                epoch: claimed.fence.epoch,
                began: claimed.seen.now,
                started: self.clock.elapsed(),
                acts: 0,
                rest: None,
                is_news: journey != Journey::Care,
                untold: vec![],
            })
        })
    }

    /// Tells of an act that was just judged.
    pub(super) fn trace_act(&self, visit: Option<&mut Visit>, tenant: &Tenant, judged: &Judged) {
        let Some(visit) = visit else { return };
        let is_news = judged.attempt.effect.is_change()
            || judged.attempt.outcome != DONE
            || judged.record.drift != tenant.drift;
        visit.acted(judged, tenant.failures.saturating_add(1), self.clock.elapsed());
        visit.tell(is_news);
    }

    /// Tells of a visit that has ended, and of the whole way where it ended that, too.
    pub(super) fn trace_end(&self, visit: Option<Box<Visit>>, held: &Held) {
        if let Some(visit) = visit {
            visit.end(self.clock.elapsed(), held);
        }
    }
}

/// Whoever wants to know of this visit is told that it rests so, which was committed.
pub(super) fn rests(visit: &mut Option<Box<Visit>>, rest: &Rest) {
    if let Some(visit) = visit {
        visit.rests(rest);
    }
}

impl Visit {
    fn rests(&mut self, rest: &Rest) {
        self.rest = match rest {
            Rest::Hold => return,
            Rest::Requeue => Some(("due", None)),
            Rest::Wait { reason, .. } => Some(("waits", Some(reason.as_str()))),
            Rest::Park { reason, .. } => Some(("parked", Some(reason.as_str()))),
            Rest::Settled => Some(("settled", None)),
            Rest::Still => Some(("still", None)),
        };
    }

    fn acted(&mut self, judged: &Judged, number: u32, elapsed: Duration) {
        let attempt = &judged.attempt;
        let has_failed = attempt.outcome != DONE;
        let mut attributes = self.subject();
        attributes.push(Attribute::new("tenantd.effect", attempt.effect.as_str()));
        attributes.push(Attribute::new("tenantd.outcome", attempt.outcome));
        attributes.push(Attribute::new("tenantd.attempt", number));
        if has_failed {
            attributes.push(Attribute::new("error.type", attempt.outcome));
        }
        attributes.extend(Attribute::of_evidence(&attempt.evidence));
        let span = Span {
            id: self.trace.act(self.acts),
            parent: Parent::Ours(self.trace.visit),
            is_call: true,
            failure: has_failed.then(|| Problem(attempt.message.clone().unwrap_or_default())),
            attributes,
            ..self.span(
                attempt.effect.as_str(),
                self.at(elapsed.saturating_sub(attempt.took)),
                self.at(elapsed),
            )
        };
        self.acts += 1;
        self.untold.push(span);
    }

    /// From the first news on all is told.
    fn tell(&mut self, is_news: bool) {
        self.is_news |= is_news;
        if self.is_news {
            self.untold.drain(..).for_each(|span| self.traces.send(span));
        }
    }

    fn end(mut self: Box<Self>, elapsed: Duration, held: &Held) {
        let mut attributes = self.subject();
        attributes.push(Attribute::new("tenantd.journey", self.trace.journey.as_str()));
        attributes.push(Attribute::new("tenantd.holder", self.holder));
        attributes.push(Attribute::new("tenantd.epoch", self.epoch));
        if let Some((rest, reason)) = self.rest {
            attributes.push(Attribute::new("tenantd.rest", rest));
            attributes.extend(reason.map(|reason| Attribute::new("tenantd.reason", reason)));
        }
        let visit = Span {
            id: self.trace.visit,
            parent: self.trace.root.map_or(Parent::None, Parent::Ours),
            link: self.trace.owner.filter(|_| self.trace.root.is_none()),
            attributes,
            ..self.span("visit", self.began, self.at(elapsed))
        };
        let ready = self.ready(held);
        self.untold.push(visit);
        self.untold.extend(ready);
        self.tell(false);
    }

    /// The whole way, which ended in this visit.
    fn ready(&self, held: &Held) -> Option<Span> {
        let (root, (created, ready)) = (self.trace.root?, held.way()?);
        let mut attributes = self.subject();
        let parts = held.time_to_ready().into_iter().flatten();
        attributes.extend(PARTS.into_iter().zip(parts).map(|(name, (_, part))| Attribute::new(name, part)));
        Some(Span {
            id: root,
            parent: self.trace.owner.map_or(Parent::None, |owner| Parent::Owners(owner.span)),
            attributes,
            ..self.span("tenant ready", created, ready)
        })
    }

    /// A span of this visit's trace, of which nothing else is known.
    fn span(&self, name: &'static str, began: DateTime<Utc>, ended: DateTime<Utc>) -> Span {
        Span {
            trace: self.trace.id,
            id: self.trace.visit,
            parent: Parent::None,
            link: None,
            name,
            is_call: false,
            began,
            ended,
            attributes: vec![],
            failure: None,
        }
    }

    /// Whose it is.
    fn subject(&self) -> Vec<Attribute> {
        let mut attributes = vec![
            Attribute::new("tenant.id", self.tenant),
            Attribute::new("tenant.external_id", &self.external_id),
        ];
        attributes.extend(self.host.as_ref().map(|host| Attribute::new("server.address", host)));
        attributes.extend(self.region.as_ref().map(|region| Attribute::new("tenantd.region", region)));
        attributes
    }

    fn at(&self, elapsed: Duration) -> DateTime<Utc> {
        self.began + elapsed.saturating_sub(self.started)
    }
}
