//! What Qlik's documentation leaves open, as switches.
//!
//! The rule: documented behaviour has no switch. The default of each switch is
//! the best reading of the sources; whoever depends on it should be tested with
//! the other reading too ([`Behaviour::unkind`]).

use std::time::Duration;

use super::rng::Rng;

/// One of several readings, drawn anew for every answer.
#[derive(Debug, Clone)]
pub struct OneOf<T>(Vec<T>);

impl<T: Copy> OneOf<T> {
    /// Always this reading.
    #[must_use]
    pub fn always(reading: T) -> Self {
        Self(vec![reading])
    }

    /// This reading or one of the others, each as likely.
    #[must_use]
    pub fn any(first: T, others: &[T]) -> Self {
        let mut readings = vec![first];
        readings.extend_from_slice(others);
        Self(readings)
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> T {
        self.0[rng.below(self.0.len())]
    }
}

/// Where the answer to a create shows the new secret's hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintSpelling {
    /// Top-level `clientSecretHint`, as in the guide.
    TopLevel,
    /// `clientSecrets[].hint`, as in the schema.
    InList,
    /// Both, as in the guide's example.
    Both,
    /// Nowhere; the answer to a mint omits it too.
    Neither,
}

/// How a page says that there is no further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLink {
    /// The member is absent.
    Absent,
    /// The member is `null`.
    Null,
    /// The member's `href` is `null`.
    NullHref,
}

/// In which order a list without `sort` comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    /// By creation.
    OldestFirst,
    /// By creation, backwards.
    NewestFirst,
    /// By client id, which is as good as random.
    ById,
}

/// A share of tenants shows a new client in lists only later.
#[derive(Debug, Clone, Copy)]
pub struct ListLag {
    /// How many tenants lag, from 0 to 1.
    pub share: f64,
    /// For how long.
    pub lag: Duration,
}

/// Calls per minute, judged over five minutes (qlik.dev, rate limiting).
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Reads.
    pub tier_one_per_minute: u32,
    /// Writes and `/oauth/token`.
    pub tier_two_per_minute: u32,
    /// Also the documented tenant limit: user limit × number of users × 0.5.
    pub per_tenant: bool,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { tier_one_per_minute: 1000, tier_two_per_minute: 100, per_tenant: false }
    }
}

/// Every switch. `..Behaviour::default()` fills in the likely readings.
#[expect(clippy::struct_excessive_bools, reason = "switches are what it is made of")]
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Any one-label host under a region's suffix exists.
    pub any_host: bool,
    /// A second live client of the same name is a 409.
    pub unique_names: bool,
    /// Where a create shows the hint.
    pub hint: OneOf<HintSpelling>,
    /// All secrets of one client carry the same hint.
    pub twin_hints: bool,
    /// Whether a token answer carries `expires_in`.
    pub expires_in: OneOf<bool>,
    /// The spelling of `token_type`.
    pub token_type: OneOf<&'static str>,
    /// How "no further page" is written.
    pub no_link: OneOf<NoLink>,
    /// The order of a list without `sort`.
    pub list_order: ListOrder,
    /// New clients missing from lists for a while.
    pub list_lag: Option<ListLag>,
    /// A client whose consent is not trusted gets no token (400 `OAUTH-14`).
    pub refuse_untrusted: bool,
    /// The last secret of a client may be deleted; otherwise 400.
    pub delete_last_secret: bool,
    /// How long a new secret is refused and a deleted one still taken.
    pub secret_lag: Duration,
    /// How long a new tenant answers as if it did not exist.
    pub tenant_settling: Duration,
    /// A deleted client is still shown, with `deletedAt`.
    pub tombstones: bool,
    /// `DELETE /api/v1/oauth-tokens?clientId=…` of the 2021 pages still works.
    pub delete_tokens_by_filter: bool,
    /// Whether the list of tokens says to which client each was given: the guide
    /// shows it, the schema does not.
    pub token_client: OneOf<bool>,
    /// `None` switches the limits off.
    pub rate_limits: Option<RateLimits>,
    /// What every secret starts with, so that a search for it finds leaks.
    pub sentinel: String,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            any_host: false,
            unique_names: false,
            hint: OneOf::always(HintSpelling::Both),
            twin_hints: false,
            expires_in: OneOf::always(true),
            token_type: OneOf::always("bearer"),
            no_link: OneOf::always(NoLink::Absent),
            list_order: ListOrder::OldestFirst,
            list_lag: None,
            refuse_untrusted: true,
            delete_last_secret: true,
            secret_lag: Duration::ZERO,
            tenant_settling: Duration::ZERO,
            tombstones: false,
            delete_tokens_by_filter: false,
            token_client: OneOf::always(true),
            rate_limits: Some(RateLimits::default()),
            sentinel: String::new(),
        }
    }
}

impl Behaviour {
    /// Every reading of the sources at once: answers vary in spelling, lists come
    /// in no order and show tombstones.
    #[must_use]
    pub fn unkind() -> Self {
        use HintSpelling::{Both, InList, Neither, TopLevel};
        Self {
            hint: OneOf::any(Both, &[TopLevel, InList, Neither]),
            expires_in: OneOf::any(true, &[false]),
            token_type: OneOf::any("bearer", &["Bearer"]),
            no_link: OneOf::any(NoLink::Absent, &[NoLink::Null, NoLink::NullHref]),
            list_order: ListOrder::ById,
            token_client: OneOf::any(true, &[false]),
            tombstones: true,
            ..Self::default()
        }
    }
}
