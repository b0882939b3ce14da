//! What can go wrong on the way, planned.
//!
//! A fault has two halves: when the request takes effect, and what becomes of
//! the answer. Scripted faults are taken first, one for each call; then chance
//! decides.
//!
//! The rule: chance is drawn by host, endpoint and number of the call, so that a
//! run with the same seed meets the same faults however its calls interleave.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::endpoint::Endpoint;
use super::rng::Rng;

/// When a request takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applies {
    Never,
    AtOnce,
    After(Duration),
}

/// How a `Retry-After` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Whole seconds.
    Seconds(u64),
    /// An HTTP date this far ahead of the answer's `Date`.
    Date(Duration),
    /// No header at all.
    Missing,
}

/// Ways to spoil the body of a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoil {
    /// Fewer bytes than `Content-Length` says, then the connection closes.
    Truncated,
    /// Not JSON.
    InvalidJson,
    /// JSON but for one byte that is not UTF-8.
    InvalidUtf8,
    /// `clientId` is a number.
    WrongType,
    /// `clientId` is absent.
    MissingField,
    /// `clientId` is `null`.
    NullField,
    /// No body.
    Empty,
    /// `clientId` stands there twice, with different values.
    DuplicateKeys,
    /// Ten megabytes.
    Huge,
    /// A small gzip stream that unpacks to very much.
    GzipBomb,
}

impl Spoil {
    /// Every way.
    pub const ALL: [Self; 10] = [
        Self::Truncated,
        Self::InvalidJson,
        Self::InvalidUtf8,
        Self::WrongType,
        Self::MissingField,
        Self::NullField,
        Self::Empty,
        Self::DuplicateKeys,
        Self::Huge,
        Self::GzipBomb,
    ];
}

/// What becomes of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Right,
    OkInsteadOfCreated,
    Status(u16),
    Throttle(RetryAfter),
    Html(u16),
    Redirect(String),
    Spoilt(Spoil),
    Close,
    Hang,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub(super) delay: Duration,
    pub(super) applies: Applies,
    pub(super) reply: Reply,
}

impl Fault {
    const fn new(applies: Applies, reply: Reply) -> Self {
        Self { delay: Duration::ZERO, applies, reply }
    }

    /// Nothing goes wrong; to let calls pass in a script.
    #[must_use]
    pub const fn none() -> Self {
        Self::new(Applies::AtOnce, Reply::Right)
    }

    /// The request is read, then nothing happens for a while, then all is well.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self { delay, ..Self::none() }
    }

    /// This status, and the request has no effect.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::new(Applies::Never, Reply::Status(status))
    }

    /// This status, as from a proxy, although the request took effect.
    #[must_use]
    pub const fn status_after(status: u16) -> Self {
        Self::new(Applies::AtOnce, Reply::Status(status))
    }

    /// 429, and the request has no effect.
    #[must_use]
    pub const fn throttle(retry_after: RetryAfter) -> Self {
        Self::new(Applies::Never, Reply::Throttle(retry_after))
    }

    /// The connection closes without an answer; the request has no effect.
    #[must_use]
    pub const fn close_before() -> Self {
        Self::new(Applies::Never, Reply::Close)
    }

    /// The request takes effect, then the connection closes without an answer.
    #[must_use]
    pub const fn close_after() -> Self {
        Self::new(Applies::AtOnce, Reply::Close)
    }

    /// No effect and no answer, until the client leaves.
    #[must_use]
    pub const fn hang_before() -> Self {
        Self::new(Applies::Never, Reply::Hang)
    }

    /// The request takes effect, but no answer comes until the client leaves.
    #[must_use]
    pub const fn hang_after() -> Self {
        Self::new(Applies::AtOnce, Reply::Hang)
    }

    /// No answer, and the request takes effect only after this time.
    #[must_use]
    pub const fn late(after: Duration) -> Self {
        Self::new(Applies::After(after), Reply::Hang)
    }

    /// The request takes effect, the body of its answer is spoilt.
    #[must_use]
    pub const fn spoilt(spoil: Spoil) -> Self {
        Self::new(Applies::AtOnce, Reply::Spoilt(spoil))
    }

    /// 200 with the right body where 201 is documented.
    #[must_use]
    pub const fn ok_instead_of_created() -> Self {
        Self::new(Applies::AtOnce, Reply::OkInsteadOfCreated)
    }

    /// A gateway's HTML page with this status; the request has no effect.
    #[must_use]
    pub const fn html(status: u16) -> Self {
        Self::new(Applies::Never, Reply::Html(status))
    }

    /// 302 to this URL; the request has no effect.
    #[must_use]
    pub const fn redirect(location: String) -> Self {
        Self::new(Applies::Never, Reply::Redirect(location))
    }
}

/// A fault that strikes by chance.
#[derive(Debug, Clone)]
struct Chance {
    host: Option<String>,
    endpoint: Option<Endpoint>,
    share: f64,
    fault: Fault,
}

/// Which faults strike when.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    latency: Duration,
    chances: Vec<Chance>,
    scripts: HashMap<(String, Endpoint), VecDeque<Fault>>,
}

impl FaultPlan {
    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a fixed delay to every call.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Lets this fault strike a share (0 to 1) of the calls of one endpoint.
    /// Shares of one endpoint add up.
    #[must_use]
    pub fn with_share(mut self, endpoint: Endpoint, share: f64, fault: Fault) -> Self {
        self.chances.push(Chance { host: None, endpoint: Some(endpoint), share, fault });
        self
    }

    /// Lets this fault strike a share (0 to 1) of all calls.
    #[must_use]
    pub fn with_share_of_all(mut self, share: f64, fault: Fault) -> Self {
        self.chances.push(Chance { host: None, endpoint: None, share, fault });
        self
    }

    /// Lets this fault strike every call of one host, beginning now.
    pub fn always_on(&mut self, host: &str, fault: Fault) {
        self.chances.insert(0, Chance { host: Some(host.to_owned()), endpoint: None, share: 1.0, fault });
    }

    /// Queues faults for the next calls of one endpoint on one host.
    pub fn script(&mut self, host: &str, endpoint: Endpoint, faults: impl IntoIterator<Item = Fault>) {
        self.scripts.entry((host.to_owned(), endpoint)).or_default().extend(faults);
    }

    /// The fault of the `nth` call of this endpoint on this host.
    pub(super) fn take(&mut self, seed: u64, host: &str, endpoint: Endpoint, nth: u64) -> Fault {
        let scripted = self.scripts.get_mut(&(host.to_owned(), endpoint)).and_then(VecDeque::pop_front);
        let mut fault = scripted.unwrap_or_else(|| self.by_chance(seed, host, endpoint, nth));
        fault.delay += self.latency;
        fault
    }

    fn by_chance(&self, seed: u64, host: &str, endpoint: Endpoint, nth: u64) -> Fault {
        let mut draw = Rng::named(seed, &format!("{host} {} {nth}", endpoint.as_str())).share();
        let possible = self.chances.iter().filter(|chance| {
            chance.host.as_deref().is_none_or(|only| only == host)
                && chance.endpoint.is_none_or(|only| only == endpoint)
        });
        for chance in possible {
            if draw < chance.share {
                return chance.fault.clone();
            }
            draw -= chance.share;
        }
        Fault::none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripted_faults_are_taken_first_and_in_order() {
        let mut plan = FaultPlan::none().with_share(Endpoint::Me, 1.0, Fault::status(503));
        plan.script("a", Endpoint::Me, [Fault::none(), Fault::close_after()]);

        let taken: Vec<Fault> = (0..3).map(|nth| plan.take(1, "a", Endpoint::Me, nth)).collect();

        assert_eq!(taken, [Fault::none(), Fault::close_after(), Fault::status(503)]);
        assert_eq!(plan.take(1, "a", Endpoint::ListClients, 0), Fault::none());
    }

    #[test]
    fn shares_of_one_endpoint_add_up_and_repeat_with_the_seed() {
        let plan = FaultPlan::none()
            .with_share(Endpoint::CreateClient, 0.2, Fault::close_after())
            .with_share(Endpoint::CreateClient, 0.1, Fault::status(500));
        let run = |seed| -> Vec<Fault> {
            (0..2000).map(|nth| plan.clone().take(seed, "a", Endpoint::CreateClient, nth)).collect()
        };

        let faults = run(3);

        let count = |wanted: &Fault| faults.iter().filter(|fault| *fault == wanted).count();
        assert!((340..=460).contains(&count(&Fault::close_after())), "{}", count(&Fault::close_after()));
        assert!((150..=250).contains(&count(&Fault::status(500))), "{}", count(&Fault::status(500)));
        assert_eq!(faults, run(3));
        assert_ne!(faults, run(4));
    }

    #[test]
    fn one_host_can_be_struck_always() {
        let mut plan = FaultPlan::none();
        plan.always_on("bad", Fault::status(500));

        assert_eq!(plan.take(1, "bad", Endpoint::Me, 0), Fault::status(500));
        assert_eq!(plan.take(1, "good", Endpoint::Me, 0), Fault::none());
    }
}
