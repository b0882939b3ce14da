//! A filter as conditions, in values that a statement takes.
//!
//! The rule: **what a filter means is decided here and nothing is asked of the database**: terms
//! that contradict each other match nobody, and a path of a label is written so that no value of
//! it can be anything but a value.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::choices::{REMOVED, is_of_parked_alone};
use crate::domain::filter::{About, Filter, Since, Wanted};
use crate::domain::phase::Phase;

/// Longest number that a label is compared with; `numeric` holds far more.
const MOST_FIGURES: usize = 310;

/// Of one column: which values may be, where some are asked for, and which may not.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) any_of: Option<Vec<String>>,
    pub(super) none_of: Vec<String>,
}

/// Words of which each must stand at the beginning of a key or a host: those of the first term,
/// those of the others with the number of their term, and those that must not.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) first: Option<Vec<String>>,
    pub(super) others: (Vec<i32>, Vec<String>),
    pub(super) none_of: Vec<String>,
}

/// What must hold of a tenant, in values of SQL.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) phase: Choice,
    pub(super) reason: Choice,
    pub(super) region: Choice,
    pub(super) host: Choice,
    pub(super) profile: Choice,
    pub(super) ready: Option<bool>,
    pub(super) parked: Option<bool>,
    pub(super) paused: Option<bool>,
    /// At least so long, and since then at the latest; and not.
    pub(super) longer: (Option<Duration>, Option<DateTime<Utc>>),
    pub(super) shorter: (Option<Duration>, Option<DateTime<Utc>>),
    pub(super) labels: Labels,
    pub(super) words: Words,
    /// Two terms contradict each other.
    is_nobody: bool,
}

/// Conditions on labels as paths of SQL/JSON: of all that must hold, and of any that must not.
#[derive(Debug, Default)]
pub(super) struct Labels {
    pub(super) all_of: Option<String>,
    pub(super) none_of: Option<String>,
}

impl Choice {
    fn take(&mut self, is_negated: bool, values: impl IntoIterator<Item = impl Into<String>>) {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        if is_negated {
            self.none_of.append(&mut values);
        } else {
            match &mut self.any_of {
                Some(known) => known.retain(|value| values.contains(value)),
                None => self.any_of = Some(values),
            }
        }
    }

    /// Whether a value may be at all.
    fn allows(&self, value: &str) -> bool {
        let is_among = |all: &Vec<String>| all.iter().any(|one| one == value);
        self.any_of.as_ref().is_none_or(is_among) && !is_among(&self.none_of)
    }

    /// Whether no value but this may be.
    fn is_only(&self, value: &str) -> bool {
        self.any_of.as_ref().is_some_and(|all| all.iter().all(|one| one == value))
    }
}

impl Words {
    fn take(&mut self, is_negated: bool, words: &[String]) {
        if is_negated {
            self.none_of.extend_from_slice(words);
        } else if self.first.is_none() {
            self.first = Some(words.to_vec());
        } else {
            let number = self.others.0.last().map_or(1, |last| last + 1);
            self.others.0.extend(words.iter().map(|_| number));
            self.others.1.extend_from_slice(words);
        }
    }
}

impl Labels {
    fn take(&mut self, is_negated: bool, key: &str, wanted: &[Wanted]) {
        let path = path(key, wanted);
        let (all, between) = if is_negated { (&mut self.none_of, "||") } else { (&mut self.all_of, "&&") };
        *all = Some(match all.take() {
            Some(before) => format!("{before} {between} {path}"),
            None => path,
        });
    }
}

/// That a label is one of these. A value that is no text is meant by what JSON writes for it.
fn path(key: &str, wanted: &[Wanted]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let key = quoted(key);
    let mut alternatives = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        match wanted {
            Wanted::Any => return format!("(exists($.{key}))"),
            Wanted::Text(text) => {
                alternatives.push(format!("@ == {}", quoted(text)));
                alternatives.extend(scalar(text).map(|scalar| format!("@ == {scalar}")));
            }
        }
    }
    // A filter expression is true or false, and never unknown.
    format!("(exists($.{key} ? ({})))", alternatives.join(" || "))
}

/// A number or a truth value that is written so, as a path writes it.
fn scalar(text: &str) -> Option<String> {
    match serde_json::from_str(text).ok()? {
        serde_json::Value::Bool(is) => Some(is.to_string()),
        // As it is typed, and not what it was rounded to. JSONB knows no exponents.
        serde_json::Value::Number(_) if text.len() <= MOST_FIGURES && !text.contains(['e', 'E']) => {
            Some(format!("({text})"))
        }
        serde_json::Value::Number(_)
        | serde_json::Value::Null
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    }
}

impl Conditions {
    pub(super) fn of(filter: &Filter) -> Self {
        let mut conditions = Self::default();
        for term in filter.terms() {
            conditions.take(term.is_negated(), term.about());
        }
        let is_of_parked = |reasons: &Vec<String>| reasons.iter().all(|reason| is_of_parked_alone(reason));
        if conditions.reason.any_of.as_ref().is_some_and(is_of_parked) {
            // Which their index answers.
            conditions.is_nobody |= is_both(&mut conditions.parked, true);
        }
        conditions
    }

    fn take(&mut self, is_negated: bool, about: &About) {
        match about {
            About::Word(words) => self.words.take(is_negated, words),
            About::Phase(phases) => self.phase.take(is_negated, phases.iter().map(|phase| phase.as_str())),
            About::Reason(reasons) => self.reason.take(is_negated, reasons.iter().copied()),
            About::Region(regions) => self.region.take(is_negated, regions),
            About::Host(hosts) => self.host.take(is_negated, hosts),
            About::Profile(profiles) => self.profile.take(is_negated, profiles),
            About::Label(key, wanted) => self.labels.take(is_negated, key, wanted),
            About::Ready(is) => self.is_nobody |= is_both(&mut self.ready, *is),
            About::Parked(is) => self.is_nobody |= is_both(&mut self.parked, *is),
            About::Paused(is) => self.is_nobody |= is_both(&mut self.paused, *is),
            About::Since(since) => self.since(is_negated, *since),
        }
    }

    fn since(&mut self, is_negated: bool, since: Since) {
        match (is_negated, since) {
            (false, Since::For(of)) => self.longer.0 = self.longer.0.max(Some(of)),
            (false, Since::At(at)) => self.longer.1 = Some(self.longer.1.map_or(at, |known| known.min(at))),
            (true, Since::For(of)) => self.shorter.0 = Some(self.shorter.0.map_or(of, |known| known.min(of))),
            (true, Since::At(at)) => self.shorter.1 = self.shorter.1.max(Some(at)),
        }
    }

    /// Who can match at all: of those at rest, the ready have no reason and the removed only
    /// one of their own.
    pub(super) fn among(&self) -> &'static str {
        if self.is_nobody {
            return "nobody";
        }
        let (ready, removed) = (Phase::Ready.as_str(), Phase::Removed.as_str());
        // Their index is in the order of the keys.
        if self.parked == Some(true) {
            return "all";
        }
        let may_be_ready =
            self.ready != Some(false) && self.reason.any_of.is_none() && self.phase.allows(ready);
        let may_be_removed =
            self.ready != Some(true) && self.phase.allows(removed) && self.reason.allows(REMOVED);
        match (may_be_ready, may_be_removed) {
            (true, _) => "all",
            (false, true) if self.phase.is_only(removed) || self.reason.is_only(REMOVED) => "absent",
            (false, true) => "not ready",
            (false, false) => "under way",
        }
    }
}

/// Whether both is asked for.
fn is_both(known: &mut Option<bool>, is: bool) -> bool {
    known.replace(is).is_some_and(|before| before != is)
}
