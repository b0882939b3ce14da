//! Edits: whatever owner and daemons of both versions do, the client follows what is wanted, and
//! nothing is done for an edit that was taken back.

use super::*;
use crate::domain::ids::ClientId;
use crate::domain::machine::Rest;
use crate::domain::machine::decision::hold;
use crate::domain::model::stored::{inserted, now, seen};
use crate::domain::model::{MARK, POLICY, many_walks};
use crate::domain::phase::Phase;
use crate::domain::retry::Policy;
use crate::domain::tenant::{Duty, State};
use crate::domain::wants::WantsDigest;
use crate::domain::when::When;

fn wants(profile: u32) -> WantsDigest {
    WantsDigest::of(&profile.to_string(), None, None)
}

/// A ready tenant, and what its client has.
struct Row {
    record: Record,
    seen: Seen,
    has: WantsDigest,
}

impl Row {
    fn ready() -> Self {
        let record = Record {
            phase: Phase::Ready,
            client: Some(ClientId::new("c")),
            version: Some(1),
            ready: Some(When::At(now())),
            ..inserted()
        };
        Self { record, seen: Seen { wants: wants(0), ..seen() }, has: wants(0) }
    }

    /// As the owner's trigger does.
    fn edit(&mut self, to: WantsDigest) {
        if self.seen.wants != to {
            (self.seen.wants, self.record.edited) = (to, Some(When::At(now())));
            self.seen.generation += 1;
        }
    }

    /// A visit of this version that claimed the row when it was `seen` so. Returns whether Qlik was asked.
    fn visit(&mut self, claimed: &Claimed) -> bool {
        self.visit_until(claimed, true)
    }

    /// The same, which may end with another duty before it comes to an edit.
    fn visit_until(&mut self, claimed: &Claimed, is_whole: bool) -> bool {
        let mut tenant = claimed.record.tenant(MARK, &claimed.seen).unwrap();
        let is_asked = tenant.due.edit && is_whole;
        tenant.state = State::Ready { client: ClientId::new("c"), duty: Duty::None };
        let audit = if is_asked { AuditChange::Done { next: None } } else { AuditChange::Keep };
        if is_asked {
            self.has = claimed.seen.wants;
        }
        let decision = Decision { audit, rest: Rest::Settled, ..hold(tenant) };
        let mut after = claimed.record.after(&decision, None, &claimed.seen, &WITHOUT_AUDITS).unwrap();
        if claimed.seen.generation != self.seen.generation {
            // As the commit does where it has not heard all: what was written stays.
            after.edited = self.record.edited;
        }
        self.record = self.previous_is_heard(after.written(now(), None));
        is_asked
    }

    /// One of the version before, which knows of edits alone.
    fn visit_by_previous(&mut self) {
        if self.record.edited.is_some() {
            self.has = self.seen.wants;
        }
        self.record = self.previous_is_heard(Record { edited: None, ..self.record.clone() });
    }

    /// As `tenantd.unknow_applied` does.
    fn previous_is_heard(&self, after: Record) -> Record {
        let is_theirs =
            self.record.edited.is_some() && after.edited.is_none() && self.record.applied == after.applied;
        Record { applied: after.applied.filter(|_| !is_theirs), ..after }
    }

    fn claim(&self) -> Claimed {
        Claimed { record: self.record.clone(), seen: self.seen.clone() }
    }
}

struct Claimed {
    record: Record,
    seen: Seen,
}

const WITHOUT_AUDITS: Policy = Policy { audit_every: None, ..POLICY };

#[test]
fn whoever_meets_the_client_follows_what_is_wanted() {
    for numbers in many_walks(500) {
        let mut row = Row::ready();
        for number in numbers.iter().take(40) {
            match number % 5 {
                0 | 1 => row.edit(wants(number / 5 % 3)),
                2 => {
                    // Somebody writes while it is at work, or nobody.
                    let claimed = row.claim();
                    if number / 5 % 2 == 0 {
                        row.edit(wants(number / 10 % 3));
                    }
                    row.visit(&claimed);
                }
                3 => _ = row.visit_until(&row.claim(), false),
                _ => row.visit_by_previous(),
            }
        }
        row.visit(&row.claim());

        assert_eq!(row.has, row.seen.wants, "{:?}", row.record);
        assert!(!row.visit(&row.claim()), "and it is applied once: {:?}", row.record);
        assert_eq!(row.record.due, None, "{:?}", row.record);
    }
}

#[test]
fn an_edit_that_is_taken_back_asks_for_nothing() {
    let mut row = Row::ready();
    row.visit(&row.claim());
    row.edit(wants(1));
    row.edit(wants(0));

    assert!(!row.visit(&row.claim()));
    assert_eq!((row.record.edited, row.record.due), (None, None));
}

/// As the version before left it.
#[test]
fn where_nothing_is_known_to_be_applied_it_counts_what_the_owner_wrote() {
    let mut row = Row::ready();
    assert_eq!(row.record.applied, None);
    assert!(!row.visit(&row.claim()), "nobody wrote");
    assert_eq!(row.record.applied, Some(wants(0)));

    let mut row = Row::ready();
    row.edit(wants(1));
    assert!(row.visit(&row.claim()));
    assert_eq!((row.record.applied, row.has), (Some(wants(1)), wants(1)));
}

#[test]
fn a_client_is_made_as_it_was_wanted_when_its_maker_took_the_row_up() {
    let row = Row::ready();
    let creating = Record { phase: Phase::Creating, client: None, version: None, ready: None, ..row.record };
    let edited = Record { edited: Some(When::At(now())), ..creating };
    let tenant = Row::ready().record.tenant(MARK, &row.seen).unwrap();
    let state = State::Created { client: ClientId::new("c"), check: crate::domain::tenant::Check::Passed };
    let decision = hold(crate::domain::tenant::Tenant { state, ..tenant });
    let tried = |effect| Some(Tried { effect, is_done: true, took: std::time::Duration::ZERO });

    let made = edited.after(&decision, tried(EffectKind::Create), &row.seen, &WITHOUT_AUDITS).unwrap();
    let found = edited.after(&decision, tried(EffectKind::Look), &row.seen, &WITHOUT_AUDITS).unwrap();

    assert_eq!((made.applied, made.edited), (Some(wants(0)), None));
    assert_eq!(found.applied, None, "it may be made of what was wanted before");
    assert!(found.is_edit_due(&row.seen));
}
